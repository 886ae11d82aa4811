"""The verb `curate`: decisions about single images, kept as a file beside the data; the data's own files are never touched."""

from __future__ import annotations

import argparse
from typing import Any

from engine.cli.console import Console
from engine.cli.errors import Usage
from engine.cli.import_options import add_import_options, data_named
from engine.cli.parser import VerbParsers
from engine.cli.text import all_visible


def add(verbs: VerbParsers) -> None:
    """Its words."""
    sub = verbs.add("curate", curate, "Leave images out of a data set, give them another class or a tag; its files stay as they are.")
    sub.add_argument("data", metavar="D", help="the path of a data set")
    sub.add_argument("--exclude", nargs="+", default=[], metavar="NAME", help="leave these images out, named as `data` names them")
    sub.add_argument("--include", nargs="+", default=[], metavar="NAME", help="take images in again that were left out")
    sub.add_argument("--relabel", nargs="+", default=[], metavar="NAME=CLASS", help="give images another class")
    sub.add_argument("--tag", nargs="+", default=[], metavar="NAME=TAG", help="give images a tag")
    sub.add_argument("--untag", nargs="+", default=[], metavar="NAME=TAG", help="take a tag off images")
    sub.add_argument("--undo", action="store_true", help="take the last decision back")
    sub.add_argument("--redo", action="store_true", help="bring back what was undone last")
    add_import_options(sub)


def curate(options: argparse.Namespace, console: Console) -> dict[str, Any]:
    """{"file", "decisions", "excluded", "relabelled", "tags", "images", "recipe", …}; without a decision it only tells."""
    from engine import messages as m
    from engine.queries.session import QuerySession

    name = data_named(options.data, options)
    if options.undo and options.redo:
        raise Usage("Undo and redo at once say nothing; give one of them.")
    asked = _asked(options)
    session = QuerySession()
    for act, value, names in asked or [("look", "", ())]:
        told = session.answer(m.Curate(data=name, act=act, names=names, value=value))
    assert isinstance(told, m.Curated)
    from engine.data.recipe import parted_name

    result = {
        "data": told.plain,
        "curated": told.curated,
        "file": told.file,
        "decisions": told.decisions,
        "excluded": told.excluded,
        "relabelled": told.relabelled,
        "tags": dict(told.tags),
        "images": [{"name": one.name, "excluded": one.excluded, "class": one.label, "tags": list(one.tags)} for one in told.images],
        "undo": told.undo,
        "redo": told.redo,
        "recipe": parted_name(told.curated)[1].changed(),
    }
    console.say(_in_words(all_visible(result)))
    return result


def _asked(options: argparse.Namespace) -> list[tuple[str, str, tuple[str, ...]]]:
    """(act, value, names) of every decision, images of one value together. Raises: Usage."""
    found: list[tuple[str, str, tuple[str, ...]]] = []
    for act in ("undo", "redo"):
        if getattr(options, act):
            found.append((act, "", ()))
    for act in ("exclude", "include"):
        if names := getattr(options, act):
            found.append((act, "", tuple(names)))
    for act in ("relabel", "tag", "untag"):
        of_value: dict[str, list[str]] = {}
        for pair in getattr(options, act):
            name, sign, value = pair.rpartition("=")
            if not sign or not name or not value.strip():
                raise Usage(f"“{pair}” names no image and {'class' if act == 'relabel' else 'tag'}; write NAME=VALUE.")
            of_value.setdefault(value.strip(), []).append(name)
        found += [(act, value, tuple(names)) for value, names in of_value.items()]
    return found


def _in_words(result: dict[str, Any]) -> str:
    """The same for a person."""
    lines = [
        f"{result['data']}: {result['decisions']:,} decisions, {result['excluded']:,} images left out, {result['relabelled']:,} with "
        f"another class, kept in {result['file']}"
    ]
    lines += [f"  {count:>8,}  {tag}" for tag, count in result["tags"].items()]
    if result["decisions"]:
        lines.append("  Use them with “--curation beside”.")
    return "\n".join(lines)
