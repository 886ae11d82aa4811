"""The decisions of an import as a small JSON object, and how a data set's name carries them: `PATH?{"labels": "dx"}`."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, fields, replace
from typing import Any

from engine.common.data_names import name_with, split_name
from engine.data.errors import BadData
from engine.data.limits import LARGEST_SIDE, MAX_DEPTH, MAX_RECIPE_BYTES, SMALLEST_SIDE

CHOICES = {
    "fit": ("crop", "letterbox", "squeeze"),
    "background": ("white", "black", "grey"),
    "bands": ("rgb", "alpha"),
    "pages": ("first", "all"),
    "frames": ("clips",),
    "colour": ("grey", "colour"),
}
SPLITS = ("train", "valid", "test")
_GIVEN = re.compile(r"\s*(-?\d+(?:\.\d+)?(?:e[+-]?\d+)?)\s*\.\.\s*(-?\d+(?:\.\d+)?(?:e[+-]?\d+)?)\s*", re.IGNORECASE)
_PATTERNS = ("leave_out", "keep")  # lists of them
_TEXT = 200  # characters of a column or a pattern
_PATH = 4_096  # of a path


@dataclass(frozen=True)
class ImportRecipe:
    """What a person decided about a data set; "" and None leave it to what the data show."""

    labels: str = ""  # "folders" | "names" | "none" | the column of a table | "TABLE:COLUMN"
    class_level: int | None = None  # which folder below the splits names the class: 1 the outermost, −1 the innermost
    split: str = ""  # "folders" | "none" | the column of a table | "TABLE:COLUMN" | a list of files
    split_names: tuple[tuple[str, str], ...] = ()  # (folder, word in the column or list, the split that it is)
    group: str = ""  # "folder" | the column of a table | "TABLE:COLUMN" | an array: images with the same value stay in one split
    scale: str = ""  # "range" | "robust" | "LOW..HIGH": which values become black and white
    background: str = ""  # under what is transparent, and around letterboxed pictures
    fit: str = ""
    bands: str = ""  # of four: red, green and blue only, or with transparency
    pages: str = ""  # of a TIFF or an animation
    frames: str = ""  # "clips": animations and folders of numbered frames are clips, an image a frame with the four before it
    array: str = ""  # the array of images, where a file has several
    leave_out: tuple[str, ...] = ()  # patterns of paths, as in a shell
    keep: tuple[str, ...] = ()  # patterns of paths that no rule leaves out (masks, what lies beside the splits); `leave_out` goes first
    size: int | None = None  # pixels, both sides
    colour: str = ""
    rename: tuple[tuple[str, str], ...] = ()  # (class, its new name); classes of one name become one
    curation: str = ""  # decisions about single images: STEPS-CHECK of the file beside the data, PATH#STEPS-CHECK, or a file's path

    def changed(self) -> dict[str, Any]:
        """The decisions that were made, as JSON holds them."""
        plain = ImportRecipe()
        given = {field.name: getattr(self, field.name) for field in fields(self)}
        as_json = {name: list(v) if isinstance(v, tuple) else v for name, v in given.items() if v != getattr(plain, name)}
        return as_json | {name: dict(pairs) for name, pairs in (("rename", self.rename), ("split_names", self.split_names)) if pairs}

    def given_range(self) -> tuple[float, float] | None:
        """(black, white) of a scale that was given in numbers."""
        match = _GIVEN.fullmatch(self.scale)
        return None if match is None else (float(match[1]), float(match[2]))


def recipe_of(decisions: Any) -> ImportRecipe:
    """A recipe from its JSON object. Raises: BadData: a name or a value that there is not."""
    if not isinstance(decisions, dict):
        raise BadData("A recipe is a JSON object of decisions, such as {“labels”: “dx”}.")
    known = {field.name for field in fields(ImportRecipe)}
    for name in decisions:
        if name not in known:
            raise BadData(f"A recipe has no “{_told(name)}”; it may have {', '.join(sorted(known))}.")
    given = {name: value for name, value in decisions.items() if value not in (None, "", [])}
    for name, value in given.items():
        _check(name, value)
    for name in _PATTERNS:
        if name in given:
            given[name] = tuple(given[name])
    for name in ("rename", "split_names"):
        if name in given:
            given[name] = tuple(sorted(given[name].items()))  # in the order that a data set’s name keeps
    return replace(ImportRecipe(), **given)


def _check(name: str, value: Any) -> None:
    """Raises: BadData."""
    if name in CHOICES:
        if value not in CHOICES[name]:
            raise BadData(f"“{_told(value)}” is no {name}; choose {_or(CHOICES[name])}.")
    elif name == "size":
        if type(value) is not int or not SMALLEST_SIDE <= value <= LARGEST_SIDE:
            raise BadData(f"Images of size {value!r:.40} cannot be trained on; choose from {SMALLEST_SIDE} to {LARGEST_SIDE} pixels.")
    elif name == "class_level":
        if type(value) is not int or value < -1 or value > MAX_DEPTH or value == 0:
            raise BadData(f"{value!r:.40} is no class level; 1 is the outermost folder below the splits, −1 the innermost.")
    elif name in _PATTERNS:
        if not isinstance(value, (list, tuple)) or not all(isinstance(v, str) and len(v) <= _TEXT for v in value) or len(value) > 1000:
            raise BadData(f"“{name}” is no list of at most 1,000 short patterns; write one such as [“drafts/*”].")
    elif name == "rename":
        names = [*value, *value.values()] if isinstance(value, dict) else [None]
        if not all(isinstance(one, str) and one.strip() and len(one) <= _TEXT for one in names):
            raise BadData("“rename” names no classes and their new names; write an object such as {“cat”: “animal”}.")
    elif name == "split_names":
        if not isinstance(value, dict) or not all(
            isinstance(word, str) and word.strip() and len(word) <= _TEXT and split in SPLITS for word, split in value.items()
        ):
            raise BadData(f"“split_names” is an object of folders or words and the splits they are ({_or(SPLITS)}): {{“Prüfung”: “test”}}.")
    elif not isinstance(value, str) or len(value) > (_PATH if name == "curation" else _TEXT) or "\0" in value:
        raise BadData(f"{value!r:.40} is no {name}; it must be a short text.")
    elif name == "scale":
        given = ImportRecipe(scale=value).given_range()
        if value not in ("range", "robust") and (given is None or not given[0] < given[1]):
            raise BadData(f"“{_told(value)}” is no scale; choose range, robust or two numbers such as 0..4095.")


def _told(value: Any) -> str:
    """The beginning of a foreign name or value as it can be printed in one line."""
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in str(value)[:40])


def _or(names: tuple[str, ...]) -> str:
    return f"{', '.join(names[:-1])} or {names[-1]}"


def with_recipe(data: str, recipe: ImportRecipe) -> str:
    """The name of a data set that is read by a recipe; as it is where nothing was decided."""
    return name_with(data, recipe.changed())


def parted_name(data: str) -> tuple[str, ImportRecipe]:
    """(path or built-in name, recipe) of a data set's name. Raises: BadData: the recipe in it is none."""
    path, text = split_name(data)
    return path, parsed_recipe(text) if text else ImportRecipe()


def parsed_recipe(text: str) -> ImportRecipe:
    """A recipe from its JSON text. Raises: BadData."""
    if len(text) > MAX_RECIPE_BYTES:
        raise BadData(f"A recipe of {len(text):,} characters is too long; the limit is {MAX_RECIPE_BYTES:,}.")
    try:
        decisions = json.loads(text)
    except (ValueError, RecursionError):
        raise BadData("The recipe is no JSON; write an object such as {“labels”: “dx”}.") from None
    return recipe_of(decisions)
