"""The options of the verbs that read a person's own data: the decisions of an import, one by one or as a recipe file."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from engine.cli.errors import Usage
from engine.cli.parser import Parser

_NAMES = (
    "labels",
    "class_level",
    "split",
    "group",
    "scale",
    "background",
    "fit",
    "bands",
    "pages",
    "frames",
    "array",
    "leave_out",
    "keep",
    "size",
    "colour",
)


def add_import_options(sub: Parser) -> None:
    """Add them to a verb that has `--data` or a data set of its own."""
    group = sub.add_argument_group("how a person's own data are read; what is left out is found in the data and said")
    group.add_argument("--recipe", metavar="FILE", help="a JSON file of these decisions, as `data D --json` gives it under “recipe”")
    group.add_argument("--labels", metavar="COLUMN", help="where classes come from: folders, names, none, or a column of a table")
    group.add_argument("--class-level", type=int, metavar="N", help="which folder below the splits is the class: 1 outermost, -1 innermost")
    group.add_argument("--split", metavar="COLUMN", help="where splits come from: folders, none, a column of a table, or a list of files")
    group.add_argument(
        "--split-names", action="append", metavar="WORD=SPLIT", help="a folder, or a word of that column, that means train, valid or test"
    )
    group.add_argument(
        "--group", metavar="COLUMN", help="what stays in one split: folder (the innermost), a column of a table, or an array"
    )
    group.add_argument("--scale", metavar="RULE", help="of values beyond 8 bits: range, robust, or LOW..HIGH")
    group.add_argument("--background", choices=("white", "black", "grey"), help="under what is transparent, and around letterboxed images")
    group.add_argument("--fit", choices=("crop", "letterbox", "squeeze"), help="how images of another shape become the common one")
    group.add_argument("--bands", choices=("rgb", "alpha"), help="what an alpha channel (a fourth band) is: left out, or transparency")
    group.add_argument("--pages", choices=("first", "all"), help="of TIFF files and animations")
    group.add_argument("--frames", choices=("clips",), help="a GIF, or a folder of numbered frames, is a clip (for next_frame)")
    group.add_argument("--array", metavar="NAME", help="which array of a file holds the images")
    group.add_argument(
        "--leave-out", action="append", metavar="PATTERN", help="files that are not used, such as “drafts/*”, or a folder’s name"
    )
    group.add_argument(
        "--keep", action="append", metavar="PATTERN", help="files that are used though a rule leaves them out, such as masks"
    )
    group.add_argument("--curation", metavar="FILE", help="decisions about single images (`curate`): beside (the data), or a file of them")
    group.add_argument("--size", type=int, metavar="PIXELS", help="both sides of all images")
    group.add_argument("--colour", choices=("grey", "colour"), help="of all images")
    group.add_argument(
        "--rename", action="append", metavar="OLD=NEW", help="another name for a class; classes of one name become one (several times)"
    )


def data_named(data: str, options: argparse.Namespace) -> str:
    """The data set's name with the decisions of the options in it; single ones go before those of a file.

    Raises: Usage: a recipe that cannot be read, or decisions about a built-in set.
    """
    from engine.data.builtin import is_built_in
    from engine.data.curation import pinned
    from engine.data.errors import BadData
    from engine.data.recipe import parsed_recipe, parted_name, recipe_of, with_recipe

    given: dict[str, Any] = {name: getattr(options, name) for name in _NAMES if getattr(options, name) is not None}
    try:
        path, recipe = parted_name(data)
        before = recipe.changed()
        if options.recipe is not None:
            before |= parsed_recipe(_content(options.recipe)).changed()
        if options.rename:
            given["rename"] = {**before.get("rename", {}), **_pairs(options.rename, "OLD=NEW", "cat=animal")}
        if options.split_names:
            given["split_names"] = {**before.get("split_names", {}), **_pairs(options.split_names, "WORD=SPLIT", "Prüfung=test")}
        if options.curation:
            given["curation"] = pinned(path, options.curation)
        decided = recipe_of(before | given)
    except BadData as error:
        raise Usage(str(error)) from None
    if decided.changed() and is_built_in(path):
        raise Usage(f"“{path}” comes with the program and is read as it is; leave these options out.")
    return with_recipe(path, decided)


def _pairs(pairs: list[str], form: str, example: str) -> dict[str, str]:
    """Raises: Usage: an option that is not of the form."""
    names: dict[str, str] = {}
    for pair in pairs:
        old, sign, new = pair.partition("=")
        if not sign or not old.strip() or not new.strip():
            raise Usage(f"“{pair}” is no {form}; write it as in {example}.")
        names[old.strip()] = new.strip()
    return names


def _content(file: str) -> str:
    try:
        return Path(file).expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Usage(
            f"The recipe “{file}” cannot be read ({getattr(error, 'strerror', None) or 'it is no text'}); check the path."
        ) from None
