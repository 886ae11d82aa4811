"""Tables whose rows hold an image each, as numbers in a column “pixels”: FER2013 (Goodfellow et al. 2013), `emotion,pixels,Usage`."""

from __future__ import annotations

import csv
import math
import os
from collections import Counter
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engine.data.array_labels import numbered
from engine.data.dataset import BadData, Numbered, Part, Source, Step
from engine.data.label_tables import CLASS_NAMES
from engine.data.limits import LONGEST_SIDE, MAX_FILES, MAX_SET_BYTES
from engine.data.path_words import split_word
from engine.data.recipe import ImportRecipe
from engine.data.rows import PixelRows, promised
from engine.data.split_columns import squeezed

_PIXELS = ("pixels", "pixel", "pixelvalues")
_LABELS = ("emotion", *CLASS_NAMES)
_USAGES = {
    "publictest": "valid",
    "privatetest": "test",
}  # of a contest: the part its competitors could measure themselves by, and the other
_SPLIT_NAMES = ("split", "set", "usage")
_ENDINGS = (".csv", ".tsv")
_HEAD = 1 << 16  # bytes that are looked at
_SAMPLE = 64  # rows that tell the size
_AT_ONCE = 2 << 20  # pixels that are handed over at once
_LEAST_NUMBERS = 16


@dataclass(frozen=True)
class _Columns:
    """Which column is what; −1 for none."""

    names: tuple[str, ...]
    pixels: int
    usage: int
    sign: str  # between two cells


def recognizes(path: Path) -> bool:
    """Whether it is a table with a column of pixels, or a folder with nothing else in it."""
    return _file(path) is not None


def summary(path: Path) -> str:
    """The kind, as the list of data sets shows it."""
    return "table with a column of pixels"


def read(path: Path, recipe: ImportRecipe) -> Generator[Step | PixelRows, None, Source]:
    """The images of all rows, square and grey; a column of classes and one of splits beside them.

    Raises:
        BadData: no row holds a square of numbers, or a column that was asked for is not there.
    """
    file = _file(path)
    columns = None if file is None else _columns(file)
    if file is None or columns is None:
        raise BadData(f"{path.name} is no table with a column of pixels; give it headings and whole numbers from 0 to 255 under “pixels”.")
    if file.stat().st_size > MAX_SET_BYTES:
        raise BadData(f"{file.name} takes more than {MAX_SET_BYTES >> 30} GB, the limit; use a part of it.")
    source = Source(file.stem)
    usages, counts = yield from _counted(file, columns)
    splits, meaning = _splits(usages)
    label = _label_column(file, columns, recipe)
    side = math.isqrt(counts.most_common(1)[0][0]) if counts else 0
    if side * side < _LEAST_NUMBERS or counts[side * side] == 0 or side > LONGEST_SIDE:
        number = counts.most_common(1)[0][0] if counts else 0
        raise BadData(f"{file.name} has {number:,} numbers a row under “{columns.names[columns.pixels]}”, which is no square of pixels.")
    total = sum(usages.values())
    room = {split: sum(count for usage, count in usages.items() if splits[usage] == split) for split in dict.fromkeys(splits.values())}
    cells, numbers = {split: list[str]() for split in room}, {split: list[int]() for split in room}
    waiting: dict[str, bytearray] = {split: bytearray() for split in room}
    each = side * side
    for place, row in enumerate(_rows(file, columns)):
        split = splits[row[columns.usage].strip() if columns.usage >= 0 else ""]
        why = _taken(row[columns.pixels], each, waiting[split])
        if why:
            source.refuse(f"row {place + 2}", why)  # as a person counts lines, the headings first
        else:
            numbers[split].append(place)
            cells[split].append(row[label].strip() if label >= 0 else "")
        if len(waiting[split]) >= _AT_ONCE:
            yield _handed_over(split, room[split], side, waiting)
        if place % 256 == 0:
            yield Step(place, total, "image", f"Reading {file.name}")
    for split in room:
        if waiting[split]:
            yield _handed_over(split, room[split], side, waiting)
        names = Numbered("row", np.array(numbers[split], np.int64) + 2)
        source.parts[split] = Part(promised(len(names), 1, side, side), None, names)
    if not any(numbers.values()):
        raise BadData(f"{file.name} holds no image that can be read: {source.bad[0].reason}")
    if source.bad_total:
        source.notes.append(f"{source.bad_total:,} of {total:,} rows were left out, first {source.bad[0].path}: {source.bad[0].reason}")
    _name_classes(source, columns, label, cells)
    others = [name for place, name in enumerate(columns.names) if place not in (columns.pixels, columns.usage)]
    source.understood |= {"columns": {"": others}, "splits": columns.names[columns.usage] if meaning else "none"}
    said = [f"The images are the numbers under “{columns.names[columns.pixels]}”, {side} rows of {side}."]
    if meaning:
        said.append(f"The splits are the column “{columns.names[columns.usage]}” ({meaning}).")
    source.notes = [*said, *source.notes]
    return source


def _file(path: Path) -> Path | None:
    if path.is_file():
        return path if path.suffix.lower() in _ENDINGS and _columns(path) is not None else None
    try:
        with os.scandir(path) as entries:
            found: list[Path] = []
            for entry in entries:
                if not entry.name.startswith("."):
                    found.append(Path(entry.path))
                if len(found) > 1:
                    return None
    except OSError:
        return None
    return _file(found[0]) if found and found[0].is_file() else None


def _columns(file: Path) -> _Columns | None:
    """From the first line and the row under it; None where that is no table of pixels."""
    try:
        with file.open("rb") as stream:
            lines = stream.read(_HEAD).decode("utf-8-sig", "replace").splitlines()
    except OSError:
        return None
    sign = next((sign for sign in ("\t", ";", ",") if lines and sign in lines[0]), ",")
    try:
        rows = list(csv.reader(lines[:2], delimiter=sign))
    except csv.Error:
        return None
    if len(rows) < 2:
        return None
    names = tuple(name.strip() for name in rows[0])
    pixels = next((place for place, name in enumerate(names) if squeezed(name) in _PIXELS), -1)
    usage = next((place for place, name in enumerate(names) if squeezed(name) in _SPLIT_NAMES), -1)
    if pixels < 0 or pixels >= len(rows[1]) or len(set(names)) < len(names):
        return None
    words = rows[1][pixels].split()[:_LEAST_NUMBERS]
    return _Columns(names, pixels, usage, sign) if len(words) == _LEAST_NUMBERS and all(map(str.isdigit, words)) else None


def _rows(file: Path, columns: _Columns) -> Iterator[list[str]]:
    """All rows under the headings, short ones filled up with empty cells. Raises: BadData: no table any more."""
    width = len(columns.names)
    with file.open(encoding="utf-8-sig", errors="replace", newline="") as stream:
        lines = csv.reader((line.replace("\0", "") for line in stream), delimiter=columns.sign)
        try:
            next(lines, None)
            for row in lines:
                if row:
                    yield row + [""] * (width - len(row))
        except csv.Error:
            raise BadData(f"{file.name} is damaged (line {lines.line_num:,} is no row of a table); save or download it again.") from None


def _counted(file: Path, columns: _Columns) -> Generator[Step, None, tuple[Counter[str], Counter[int]]]:
    """(rows of each usage, rows of each number of pixels among the first). Raises: BadData: too many rows."""
    usages, counts = Counter[str](), Counter[int]()
    for place, row in enumerate(_rows(file, columns)):
        usages[row[columns.usage].strip() if columns.usage >= 0 else ""] += 1
        if place < _SAMPLE:
            counts[len(row[columns.pixels].split())] += 1
        if place >= MAX_FILES:
            raise BadData(f"{file.name} has more than {MAX_FILES:,} rows, the limit; use a part of it.")
        if place % 1024 == 0:
            yield Step(place, None, "row", f"Looking into {file.name}")
    return usages, counts


def _splits(usages: Counter[str]) -> tuple[dict[str, str], str]:
    """(usage -> split, what that means in words); all in one where a usage is no word for a split."""
    splits = {usage: _USAGES.get(squeezed(usage), "") or split_word(usage) for usage in usages}
    if len(set(splits.values())) < 2 or not all(splits.values()):
        return dict.fromkeys(usages, "all"), ""
    names = {"train": "training", "valid": "validation", "test": "test"}
    return splits, ", ".join(f"{usage}: {names[split]}" for usage, split in splits.items())


def _label_column(file: Path, columns: _Columns, recipe: ImportRecipe) -> int:
    others = [place for place in range(len(columns.names)) if place not in (columns.pixels, columns.usage)]
    if recipe.labels == "none":
        return -1
    if recipe.labels not in ("", "folders", "names"):
        asked = recipe.labels.removeprefix(f"{file.name}:")
        if asked not in columns.names:
            raise BadData(f"{file.name} has no column “{asked}”; it has {', '.join(columns.names[place] for place in others[:20])}.")
        return columns.names.index(asked)
    named = [place for known in _LABELS for place in others if squeezed(columns.names[place]) == known]
    return named[0] if named else others[0] if len(others) == 1 else -1


def _taken(cell: str, each: int, waiting: bytearray) -> str:
    """Puts the numbers of a cell behind the others; or why not."""
    try:
        pixels = bytes(map(int, cell.split()))
    except ValueError:
        return "Its pixels are not all whole numbers from 0 to 255; scale them to that."
    if len(pixels) != each:
        return f"It has {len(pixels):,} pixels where the others have {each:,}; write all rows alike."
    waiting += pixels
    return ""


def _handed_over(split: str, count: int, side: int, waiting: dict[str, bytearray]) -> PixelRows:
    pixels, waiting[split] = waiting[split], bytearray()
    return PixelRows(split, (count, 1, side, side), np.frombuffer(pixels, np.uint8).reshape(-1, 1, side, side))


def _name_classes(source: Source, columns: _Columns, label: int, cells: dict[str, list[str]]) -> None:
    """Classes from the column of labels; none where rows have no label, or all the same."""
    if label < 0:
        return
    found = numbered({split: np.array(words or [""], np.str_)[: len(words)] for split, words in cells.items()})
    if isinstance(found, str):
        source.notes.append(f"The column “{columns.names[label]}” was not used: its values {found}.")
        return
    if len(found.classes) < 2 or any((numbers < 0).any() for numbers in found.parts.values()):
        source.notes.append(f"The column “{columns.names[label]}” does not give every image one of several classes, so it was not used.")
        return
    source.classes = found.classes
    source.understood["labels"] = columns.names[label]
    for split, numbers in found.parts.items():
        source.parts[split].labels = numbers
    source.notes.append(f"The classes are the column “{columns.names[label]}”.")
    source.notes += found.notes
