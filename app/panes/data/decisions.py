"""The decisions of an import as settings of a form, as a recipe, and as the words of a command. Nothing is drawn here."""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from app.widgets.forms import Draft
from engine.common.data_names import path_and_decisions
from engine.messages import DataReport, FieldInfo, ImportFacts

FOUND = "as found"
SHOWN = 12  # characters of what was found, which fit a box; the column beside it says all
SIZES = (8, 16, 24, 28, 32, 48, 64, 96, 128, 160, 192, 224, 256)
SCALES = (FOUND, "range", "robust", "numbers")
WORDS = {"range": "whole range", "robust": "robust range", "numbers": "given range", "rgb": "ignored", "alpha": "transparency"}


def _choice(name: str, label: str, help: str, *choices: str) -> FieldInfo:
    return FieldInfo(name, label, "choice", FOUND, help, choices=(FOUND, *choices))


FIELDS = {
    field.name: field
    for field in (
        _choice("array", "images from", "Which array of the file holds the images."),
        _choice("labels", "classes from", "Where the classes come from: folders, the files’ names, a column of a table, or none."),
        _choice("class_level", "class folder", "Which folder below the splits names the class."),
        _choice("split", "splits", "Where splits come from: folders, a column of a table, a list of files, or none.", "folders", "none"),
        FieldInfo("split_names", "split words", "text", "", "Folders or words of a column that are splits: Prüfung=test, dev=valid"),
        _choice("group", "group by", "Images with the same value, such as those of one patient, stay in one split.", "folder"),
        _choice("scale", "scale", "What becomes black and white: the whole range, 99 % of the values, or what is given.", *SCALES[1:]),
        FieldInfo("numbers", "black..white", "text", "", "The values that become black and white, such as 0..4095."),
        _choice("background", "background", "Under what is transparent, and around letterboxed images.", "white", "black", "grey"),
        _choice("fit", "fit", "How images of another shape become the common one.", "crop", "letterbox", "squeeze"),
        _choice("size", "size", "Both sides of all images, in pixels."),
        _choice("colour", "colour", "Whether all images are grey or in colour.", "grey", "colour"),
        _choice("bands", "alpha channel", "What a fourth channel is: ignored (bands rgb), or transparency (alpha).", "rgb", "alpha"),
        _choice("pages", "pages", "Of TIFF files and animations: the first page or frame, or each as an image.", "first", "all"),
        _choice("frames", "clips", "Clips: an animation or a folder of numbered frames is one, for a model of the next frame.", "clips"),
        FieldInfo("leave_out", "leave out", "text", "", "Files that are not used, as patterns with commas between them: drafts/*, *.tif"),
        FieldInfo("keep", "keep", "text", "", "Files that are used though a rule leaves them out, such as masks/*, with commas between."),
        FieldInfo("rename", "class names", "text", "", "Other names for classes."),
    )
}  # fmt: skip
NAMED = re.compile(r"\((\w+) ")  # a decision that a sentence of the engine names: “(bands alpha)”
PACKED = (".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz", ".parquet")  # files that hold others, as folders do
PATTERNS = ("leave_out", "keep")  # with commas between them
_WHOLE = ("class_level", "size")  # numbers in a recipe


def fields_for(facts: ImportFacts | None) -> tuple[FieldInfo, ...]:
    """The rows of a form that make sense for a set; nearly all of them where nothing is known, since it could not be read."""
    made = []
    for name, field in FIELDS.items():
        choices = field.choices
        match name:
            case "labels":
                by_place = ("folders", "names") if facts is None or "class_level" in facts.offered else ()
                choices = (FOUND, *by_place, "none", *(facts.columns if facts else ()))
            case "class_level":
                choices = (FOUND, *(str(place + 1) for place in range(len(facts.levels))), "-1") if facts and facts.levels else ()
            case "split":
                choices = (*choices, *(facts.split_columns if facts else ()))
            case "group":
                by_folder = facts is None or "class_level" in facts.offered  # arrays lie in none
                columns = facts.group_columns if facts else ()
                choices = (*(one for one in choices if by_folder or one != "folder"), *columns) if by_folder or columns else ()
            case "array":
                choices = (FOUND, *facts.arrays) if facts and len(facts.arrays) > 1 else ()
            case "size":
                choices = (FOUND, *(str(size) for size in SIZES if size <= (facts.largest_side if facts else SIZES[-1])))
        decided = str(facts.decisions.get(name, "")) if facts else ""
        if choices and decided and name != "scale" and decided not in choices:
            choices = (*choices, decided)  # a number or a column that only a recipe can name
        asked = "scale" if name == "numbers" else name
        offered = asked in facts.offered if facts is not None else name != "group"
        if offered and name != "rename" and (choices or field.kind == "text"):
            made.append(replace(field, choices=choices))
    return tuple(made)


def decisions_may_help(data: str, refusal: str) -> bool:
    """Whether a set that could not be read may be readable by other decisions: a folder or archive, or where the refusal asks for one.

    A single file that is damaged or no image stays so, whatever is decided.
    """
    path, made = path_and_decisions(data)
    asked = not FIELDS.keys().isdisjoint(NAMED.findall(refusal))
    return os.path.isdir(path) or (os.path.exists(path) and (bool(made) or asked or path.lower().endswith(PACKED)))


def found_of(report: DataReport, facts: ImportFacts) -> dict[str, str]:
    """What each decision comes to, in words; those that were made are not among them."""
    _, height, width = report.shape
    scale = facts.scale and f"{facts.scale[0]:g}..{facts.scale[1]:g}"
    found = {
        "array": facts.array,
        "labels": facts.classes_from.rpartition(":")[2],
        "class_level": "" if facts.class_level is None else words_of_choice("class_level", str(facts.class_level), None),
        "split": "at random" if facts.splits_from == "none" else facts.splits_from.rpartition(":")[2],
        "group": facts.groups_from.rpartition(":")[2],
        "scale": scale or "8 bits",
        "background": facts.background,
        "fit": facts.fit,
        "size": str(width) if width == height else f"{width}×{height}",
        "colour": "grey" if report.shape[0] == 1 else "colour",
        "bands": "each file",
        "pages": "first",
    }
    return {name: words for name, words in found.items() if words and name not in facts.decisions}


def words_of_choice(name: str, value: str, facts: ImportFacts | None, found: str = "") -> str:
    """How a box shows one of its choices; `found`: what the set comes to where nothing is decided."""
    if value == FOUND:
        return f"{FOUND}: {found if len(found) <= SHOWN else found[: SHOWN - 1] + '…'}" if found else FOUND
    if name in ("labels", "group", "split") and facts and value in (*facts.columns, *facts.group_columns, *facts.split_columns):
        table, _, column = value.rpartition(":")
        return f"{column} · {table}" if table and (table not in facts.columns) else value
    if name == "class_level":
        level = int(value)
        named = facts.levels[level - 1] if facts and 0 < level <= len(facts.levels) else ""
        return "innermost" if level == -1 else f"{value}: {named}" if named else value
    return WORDS.get(value, value) if name in ("scale", "bands") else value


def recipe_from(draft: Draft, scope: str) -> dict[str, Any]:
    """The decisions of a scope as a recipe holds them."""
    given = draft.differing(scope)
    numbers = str(given.pop("numbers", "")).strip()
    recipe: dict[str, Any] = {}
    for name, value in given.items():
        if name == "scale" and value == "numbers":
            if numbers:
                recipe[name] = numbers
        elif name in PATTERNS:
            patterns = [one.strip() for one in value.split(",") if one.strip()]
            recipe |= {name: patterns} if patterns else {}
        elif name == "split_names":
            pairs = (one.split("=") for one in value.split(",") if one.count("=") == 1)
            if named := {
                word.strip(): split.strip() for word, split in pairs if word.strip() and split.strip() in ("train", "valid", "test")
            }:
                recipe[name] = named
        elif name == "rename":
            recipe[name] = json.loads(value)
        else:
            recipe[name] = int(value) if name in _WHOLE else value
    return recipe


def put_recipe(draft: Draft, scope: str, recipe: Mapping[str, Any]) -> None:
    """Let a scope hold the decisions of a recipe, without a trace in the undo stack."""
    for name, field in FIELDS.items():
        value = recipe.get(name, field.default)
        if name == "scale" and value not in SCALES:
            value = "numbers"
        elif name == "numbers":
            value = "" if recipe.get("scale", FOUND) in SCALES else recipe["scale"]
        elif name in PATTERNS and value:
            value = ", ".join(value)
        elif name == "split_names" and value:
            value = ", ".join(f"{word}={split}" for word, split in recipe[name].items())
        elif name == "rename" and value:
            value = json.dumps(value, ensure_ascii=False)
        draft.put(scope, field, str(value))


def joined_patterns(before: str, more: str) -> str:
    """Patterns as a text of the form, with others behind them; none twice."""
    both = [one.strip() for one in f"{before},{more}".split(",") if one.strip()]
    return ", ".join(dict.fromkeys(both))


def renamed(facts: ImportFacts, shown: str, new: str) -> dict[str, str]:
    """The names of classes after the one that is shown so has got another; its own name again takes the decision back."""
    names = dict(facts.decisions.get("rename", {}))
    for original in facts.original_classes:
        if names.get(original, original) == shown:
            names[original] = new
    return {old: name for old, name in names.items() if old != name}


def command_for(path: str, recipe: Mapping[str, Any], method: str) -> str:
    """The same decisions as a command for the shell."""
    words = ["priorama", "train", method, "--data", path]
    for name, value in recipe.items():
        option = f"--{name.replace('_', '-')}"
        given = [f"{old}={new}" for old, new in value.items()] if isinstance(value, dict) else value if isinstance(value, list) else [value]
        for one in map(str, given):
            words += [f"{option}={one}"] if one.startswith("-") else [option, one]
    return shlex.join(words)
