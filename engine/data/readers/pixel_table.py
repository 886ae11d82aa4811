"""Tables whose rows hold an image each, as numbers: in a column “pixels”, as FER2013 (Goodfellow et al. 2013) with `emotion,pixels,Usage`,
or in a column for each pixel, as Kaggle has MNIST and others: `label,pixel0,pixel1…`, or without headings.
"""

from __future__ import annotations

import csv
import io
import math
import os
import re
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import IO

import numpy as np

from engine.common.counting import number_of, was_or_were
from engine.data.array_labels import numbered
from engine.data.dataset import BadData, Numbered, Part, Source, Step
from engine.data.label_tables import CLASS_NAMES
from engine.data.limits import LONGEST_SIDE, MAX_FILES, MAX_SET_BYTES
from engine.data.path_words import class_key, is_litter, may_be_a_picture, split_and_rest, stem_of
from engine.data.recipe import ImportRecipe
from engine.data.rows import PixelRows, promised
from engine.data.split_columns import split_reading, squeezed

_PIXELS = ("pixels", "pixel", "pixelvalues")
_USAGES = ("usage", "split", "set", "subset", "partition")
_LABELS = ("emotion", *CLASS_NAMES)
ENDINGS = (".csv", ".tsv")
_HEAD = 1 << 16  # bytes that tell whether it is such a table
_LONGEST_LINE = 4 << 20  # bytes of headings
_SAMPLE = 64  # rows that tell the size
_AT_ONCE = 2 << 20  # pixels that are handed over at once
_LEAST_NUMBERS = 16  # in a cell
_LEAST_COLUMNS = 64  # of a pixel each
_LONGEST_CELL = 8 * LONGEST_SIDE**2  # characters; the csv module takes 131,072 by itself, which 200×200 pixels are more than
_LOOKED_AT = 200  # files of a folder that may be such tables
_NUMBERS = re.compile(rb"\d+(?: +\d+){%d}" % (_LEAST_NUMBERS - 1))


@dataclass(frozen=True)
class PixelFile:
    """A table that can be read from its start as often as asked."""

    name: str
    open: Callable[[], IO[bytes]]


@dataclass(frozen=True)
class _Columns:
    """Which column is what; −1 for none."""

    names: tuple[str, ...]
    pixels: int  # the first column of pixels
    wide: int  # how many columns of one pixel there are; 0: the numbers stand in one
    label: int  # where there are no headings; otherwise its name tells
    sign: str  # between two cells
    headed: bool = True


def recognizes(path: Path) -> bool:
    """Whether it is a table of pixels, or a folder with such tables and hardly anything else."""
    return bool(_files(path))


def summary(path: Path) -> str:
    """The kind, as the list of data sets shows it."""
    count = len(_files(path))
    return "table of pixels" if count == 1 else f"{count:,} tables of pixels"


def read(path: Path, recipe: ImportRecipe) -> Generator[Step | PixelRows, None, Source]:
    """The images of all rows, square, grey or in colour; a column of classes and one of splits beside them.

    Raises:
        BadData: no row holds a square of numbers, or a column that was asked for is not there.
    """
    found = [PixelFile(file.name, partial(file.open, "rb")) for file in _files(path)]
    for file in _files(path):
        if file.stat().st_size > MAX_SET_BYTES:
            raise BadData(f"{file.name} takes more than {MAX_SET_BYTES >> 30} GB, the limit; use a part of it.")
    source = yield from read_files(found, path.stem if path.is_file() else path.resolve().name, recipe)
    if source is None:
        raise BadData(f"{path.name} is no table of pixels; give it headings and whole numbers from 0 to 255 under “pixels”.")
    return source


def read_files(files: list[PixelFile], name: str, recipe: ImportRecipe) -> Generator[Step | PixelRows, None, Source | None]:
    """A source from tables of pixels, one for each split; None where none of the files is one. Raises: BadData."""
    tables = [(file, columns) for file in files if (columns := _columns(file)) is not None]
    if not tables:
        return None
    source = Source(name)
    chosen = _one_for_each_split(tables, source, recipe)
    if len(tables) == 1:
        source.name = stem_of(tables[0][0].name)
    labels, cells = "", dict[str, list[str]]()
    bare: list[str] = []
    for split, (file, columns) in chosen.items():
        label = _label_column(file, columns, recipe)
        labels = labels or (columns.names[label] if label >= 0 else "")
        if label < 0 and labels and split in ("test", "valid"):
            bare.append(
                f"{file.name} has no column “{labels}”, so its images of {split} were left out; without classes (labels none) they stay"
            )
            continue
        yield from _read(file, columns, label, split if len(chosen) > 1 else "", source, recipe, cells)
    source.notes += [f"{why}." for why in bare]
    if not any(len(part.names) for part in source.parts.values()):
        raise BadData(f"{tables[0][0].name} holds no image that can be read: {source.bad[0].reason if source.bad else 'it has no rows.'}")
    shapes = {part.images.shape[1:] for part in source.parts.values()}
    if len(shapes) > 1:
        raise BadData(f"The tables of “{name}” hold images of different sizes; open one of them.")
    if labels:
        _name_classes(source, labels, cells)
    return source


def _one_for_each_split(
    tables: list[tuple[PixelFile, _Columns]], source: Source, recipe: ImportRecipe
) -> dict[str, tuple[PixelFile, _Columns]]:
    """split -> its table, by the words in the files' names; the first table alone where these say none. Others are named."""
    chosen: dict[str, tuple[PixelFile, _Columns]] = {}
    tables = sorted(tables, key=lambda table: (table[0].name.count("/"), table[0].name))
    for file, columns in tables:
        split = split_and_rest(stem_of(file.name.rpartition("/")[2]))[0]
        if split and recipe.split != "none":
            chosen.setdefault(split, (file, columns))
    if "train" not in chosen or len(chosen) < 2:
        chosen = {"all": chosen.get("train", tables[0])}
    chosen = {split: chosen[split] for split in ("train", "valid", "test", "all") if split in chosen}
    if len(chosen) > 1:
        source.notes.append(f"The splits are the tables {', '.join(file.name for file, _ in chosen.values())}.")
        source.understood["splits"] = "tables"
    used = {file.name for file, _ in chosen.values()}
    if others := [file.name for file, _ in tables if file.name not in used]:
        more = ", …" if len(others) > 5 else ""
        source.notes.append(
            f"{number_of(len(others), 'other table')} of pixels: {', '.join(others[:5])}{more}; open one by its name to read it."
        )
    return chosen


def _read(
    file: PixelFile, columns: _Columns, label: int, as_split: str, source: Source, recipe: ImportRecipe, cells: dict[str, list[str]]
) -> Generator[Step | PixelRows, None, None]:
    """Hand over the images of a table as one split, or by its column of splits."""
    usage = -1 if as_split or recipe.split == "none" else _usage_column(columns, recipe)
    usages, counts = yield from _counted(file, columns, usage)
    splits = {"": as_split} if as_split else _splits(usages, columns, usage, source, recipe)
    channels, side = _size(file, columns, counts)
    total = sum(usages.values())
    room = {
        split: sum(count for word, count in usages.items() if splits[word] == split) for split in dict.fromkeys(splits.values()) if split
    }
    numbers = {split: list[int]() for split in room}
    waiting: dict[str, bytearray] = {split: bytearray() for split in room}
    each = channels * side * side
    bad = source.bad_total
    first = 2 if columns.headed else 1  # as a person counts lines, the headings first
    for place, row in enumerate(_rows(file, columns)):
        split = splits[row[usage].strip() if usage >= 0 else ""]
        if not split:
            continue
        why = _taken(
            row[columns.pixels : columns.pixels + columns.wide] if columns.wide else row[columns.pixels].split(), each, waiting[split]
        )
        if why:
            source.refuse(f"{'' if not as_split else file.name + ' '}row {place + first}", why)
        else:
            numbers[split].append(place)
            cells.setdefault(split, []).append(row[label].strip() if label >= 0 else "")
        if len(waiting[split]) >= _AT_ONCE:
            yield _handed_over(split, room[split], (channels, side), waiting)
        if place % 256 == 0:
            yield Step(place, total, "image", f"Reading {file.name}")
    for split in room:
        if waiting[split]:
            yield _handed_over(split, room[split], (channels, side), waiting)
        called = f"{as_split} row" if as_split else "row"
        names = Numbered(called, np.array(numbers[split], np.int64) + first)
        source.parts[split] = Part(promised(len(names), channels, side, side), None, names)
    if (count := source.bad_total - bad) > 0:
        rows = f"{count:,} of {number_of(total, 'row')} {was_or_were(count)}"
        source.notes.append(f"{rows} left out, first {source.bad[0].path}: {source.bad[0].reason}")
    others = [name for place, name in enumerate(columns.names) if place != usage and not 0 <= place - columns.pixels < max(1, columns.wide)]
    source.understood["columns"] = {"": others}
    under = f"in {columns.wide:,} columns" if columns.wide else f"under “{columns.names[columns.pixels]}”"
    in_colour = ", red, green and blue beside each other" if channels == 3 else ""
    source.notes.insert(0, f"The images of {file.name} are the numbers {under}, {side} rows of {side}{in_colour}.")


def _size(file: PixelFile, columns: _Columns, counts: Counter[int]) -> tuple[int, int]:
    """(channels, pixels of a side). Raises: BadData: the numbers of a row are no square."""
    number = columns.wide or (counts.most_common(1)[0][0] if counts else 0)
    shape = _shape(number)
    if shape is None or shape[1] ** 2 < _LEAST_NUMBERS or shape[1] > LONGEST_SIDE:
        where = "" if columns.wide else f" under “{columns.names[columns.pixels]}”"
        raise BadData(f"{file.name} has {number:,} numbers a row{where}, which is no square of pixels.")
    return shape


def _shape(number: int) -> tuple[int, int] | None:
    """(channels, pixels of a side) of so many numbers."""
    for channels in (1, 3):
        side = math.isqrt(number // channels)
        if side * side * channels == number:
            return channels, side
    return None


def _files(path: Path) -> list[Path]:
    """The tables of pixels at a path: itself, or those in a folder and in the folders of it, where there are hardly any pictures."""
    if path.is_file():
        return [path] if path.suffix.lower() in ENDINGS and _may_hold_pixels(path) else []
    found: list[Path] = []
    pictures = 0
    try:
        for folder in (path, *_folders(path)):
            with os.scandir(folder) as entries:
                for entry in entries:
                    if is_litter(entry.name) or not entry.is_file():
                        continue
                    if entry.name.lower().endswith(ENDINGS):
                        found.append(Path(entry.path))
                    else:
                        pictures += may_be_a_picture(entry.name)
                    if pictures > _SAMPLE or len(found) > _LOOKED_AT:
                        return []
    except OSError:
        return []
    found = [file for file in sorted(found) if _may_hold_pixels(file)] if found else []
    return (
        [file for place, file in enumerate(found) if file.name not in {one.name for one in found[:place]}] if len(found) > pictures else []
    )


def _folders(path: Path) -> list[Path]:
    """The folders of a folder, unless there are many."""
    folders: list[Path] = []
    if path.is_dir():
        with os.scandir(path) as entries:
            for place, entry in enumerate(entries):
                if place > _LOOKED_AT:
                    return []
                if entry.is_dir(follow_symlinks=False) and not is_litter(entry.name):
                    folders.append(Path(entry.path))
    return folders


def _may_hold_pixels(file: Path) -> bool:
    try:
        with file.open("rb") as stream:
            return looks_like_pixels(stream.read(_HEAD))
    except OSError:
        return False


def looks_like_pixels(head: bytes) -> bool:
    """Whether the first bytes of a table may be of one of pixels. They are only searched: tables are parsed in the reading process."""
    first, end, rest = head.partition(b"\n")
    sign = max((b",", b"\t", b";"), key=first.count)
    cells = [cell.strip(b" \t\r\n\"'\xef\xbb\xbf").lower() for cell in first.split(sign)]
    if any(re.sub(rb"[^a-z]", b"", cell).decode() in _PIXELS and not re.search(rb"\d", cell) for cell in cells):
        return _NUMBERS.search(rest) is not None
    if len(cells) < _LEAST_COLUMNS:
        return False
    if all(cell.isdigit() for cell in cells[:-1]):
        return bool(end) and (_shape(len(cells)) or _shape(len(cells) - 1) or (0, 0))[0] == 1
    patterns = Counter(re.sub(rb"\d+", b"#", cell) for cell in cells)
    pattern, count = patterns.most_common(1)[0]
    below = [cell.strip(b' "\r') for cell in rest.partition(b"\n")[0].split(sign)]
    whole = sum(cell.isdigit() for cell in below)
    return b"#" in pattern and count >= _LEAST_COLUMNS and (not end or whole >= min(count, len(below) - 8))


def _columns(file: PixelFile) -> _Columns | None:
    """From the first line and the rows under it; None where that is no table of pixels."""
    with file.open() as stream:
        head = stream.readline(_LONGEST_LINE)
        below = [stream.readline(_LONGEST_LINE) for _ in range(_SAMPLE)]
    lines = [line.decode("utf-8-sig", "backslashreplace").rstrip("\r\n") for line in (head, *below) if line.strip()]
    sign = max(("\t", ";", ","), key=lines[0].count) if lines else ","
    csv.field_size_limit(_LONGEST_CELL)
    try:
        rows = [[cell.strip() for cell in row] for row in csv.reader(lines, delimiter=sign)]
    except csv.Error:
        return None
    if len(rows) < 2 or len(rows[1]) < len(rows[0]):
        return None
    names = tuple(rows[0])
    if all(map(_is_byte, names)) and len(names) >= _LEAST_COLUMNS:
        return _without_headings(rows, sign)
    pixels = next((place for place, name in enumerate(names) if squeezed(name) in _PIXELS and not re.search(r"\d", name)), -1)
    if pixels >= 0:
        words = rows[1][pixels].split()[:_LEAST_NUMBERS]
        good = len(set(names)) == len(names) and len(words) == _LEAST_NUMBERS and all(map(str.isdigit, words))
        return _Columns(names, pixels, 0, -1, sign) if good else None
    patterns = [re.sub(r"\d+", "#", name.lower()) for name in names]
    pattern, count = Counter(patterns).most_common(1)[0]
    pixels = patterns.index(pattern)
    if "#" not in pattern or count < _LEAST_COLUMNS or set(patterns[pixels : pixels + count]) != {pattern} or _shape(count) is None:
        return None
    good = all(map(_is_byte, rows[1][pixels : pixels + count]))
    return _Columns(names, pixels, count, -1, sign) if good else None


def _without_headings(rows: list[list[str]], sign: str) -> _Columns | None:
    """All columns are pixels, or all but the first or the last, which is the class: of both the one whose value changes."""
    width = len(rows[0])
    names = tuple(f"column {place + 1}" for place in range(width))
    if (shape := _shape(width)) is not None and shape[0] == 1:
        return _Columns(names, 0, width, -1, sign, False)
    if (shape := _shape(width - 1)) is None or shape[0] != 1:
        return None
    last = len({row[0] for row in rows}) < 2 <= len({row[-1] for row in rows})
    return _Columns(names, 0 if last else 1, width - 1, width - 1 if last else 0, sign, False)


def _is_byte(cell: str) -> bool:
    return cell.isascii() and cell.isdigit() and len(cell) < 4 and int(cell) < 256


def _rows(file: PixelFile, columns: _Columns) -> Iterator[list[str]]:
    """All rows under the headings, short ones filled up with empty cells. Raises: BadData: no table any more."""
    width = len(columns.names)
    csv.field_size_limit(_LONGEST_CELL)
    with file.open() as plain, io.TextIOWrapper(plain, "utf-8-sig", "backslashreplace", "") as stream:
        lines = csv.reader((line.replace("\0", "") for line in stream), delimiter=columns.sign)
        try:
            if columns.headed:
                next(lines, None)
            for row in lines:
                if row:
                    yield row + [""] * (width - len(row))
        except csv.Error:
            raise BadData(f"{file.name} is damaged (line {lines.line_num:,} is no row of a table); save or download it again.") from None


def _counted(file: PixelFile, columns: _Columns, usage: int) -> Generator[Step, None, tuple[Counter[str], Counter[int]]]:
    """(rows of each usage, rows of each number of pixels among the first). Raises: BadData: too many rows."""
    usages, counts = Counter[str](), Counter[int]()
    for place, row in enumerate(_rows(file, columns)):
        usages[row[usage].strip() if usage >= 0 else ""] += 1
        if place < _SAMPLE and not columns.wide:
            counts[len(row[columns.pixels].split())] += 1
        if place >= MAX_FILES:
            raise BadData(f"{file.name} has more than {MAX_FILES:,} rows, the limit; use a part of it.")
        if place % 1024 == 0:
            yield Step(place, None, "row", f"Looking into {file.name}")
    return usages, counts


def _usage_column(columns: _Columns, recipe: ImportRecipe) -> int:
    asked = recipe.split.rpartition(":")[2] if recipe.split != "folders" else ""
    known = [place for place, name in enumerate(columns.names) if name == asked or (not asked and squeezed(name) in _USAGES)]
    return next((place for place in known if not 0 <= place - columns.pixels < max(1, columns.wide)), -1) if columns.headed else -1


def _splits(usages: Counter[str], columns: _Columns, usage: int, source: Source, recipe: ImportRecipe) -> dict[str, str]:
    """usage -> split, "" for rows that are left out, and a note of what that means; all in one where no word is one of a split."""
    said = {class_key(word): split for word, split in recipe.split_names}
    counts = {word: count for word, count in usages.items() if word}
    reading = split_reading(columns.names[usage], counts, said, bool(recipe.split)) if usage >= 0 else None
    if reading is None or not reading.words or (len(set(reading.words.values())) < 2 and not reading.unknown):
        return dict.fromkeys(usages, "all")
    names = {"train": "training", "valid": "validation", "test": "test"}
    meaning = ", ".join(
        f"{word}: {names[split]}" for word, split in sorted(reading.words.items(), key=lambda item: [*names].index(item[1]))
    )
    source.notes.append(f"The splits are the column “{columns.names[usage]}” ({meaning}).")
    source.understood["splits"] = columns.names[usage]
    if left := sum(count for word, count in usages.items() if word not in reading.words):
        words = ", ".join(f"“{word}”" for word in usages if word not in reading.words)
        source.notes.append(f"{number_of(left, 'row')} of {words} {was_or_were(left)} left out; say what they are (split names).")
    return {word: reading.words.get(word, "") for word in usages}


def _label_column(file: PixelFile, columns: _Columns, recipe: ImportRecipe) -> int:
    usage = _usage_column(columns, replace(recipe, split=""))
    others = [place for place in range(len(columns.names)) if place != usage and not 0 <= place - columns.pixels < max(1, columns.wide)]
    if recipe.labels == "none":
        return -1
    if recipe.labels not in ("", "folders", "names"):
        asked = recipe.labels.removeprefix(f"{file.name}:")
        if asked not in columns.names:
            raise BadData(f"{file.name} has no column “{asked}”; it has {', '.join(columns.names[place] for place in others[:20])}.")
        return columns.names.index(asked)
    if not columns.headed:
        return columns.label
    named = [place for known in _LABELS for place in others if squeezed(columns.names[place]) == known]
    return named[0] if named else others[0] if len(others) == 1 else -1


def _taken(numbers: list[str], each: int, waiting: bytearray) -> str:
    """Puts the numbers of a row behind the others; or why not."""
    try:
        pixels = bytes(map(int, numbers))
    except ValueError:
        return "Its pixels are not all whole numbers from 0 to 255; scale them to that."
    if len(pixels) != each:
        return f"It has {len(pixels):,} pixels where the others have {each:,}; write all rows alike."
    waiting += pixels
    return ""


def _handed_over(split: str, count: int, size: tuple[int, int], waiting: dict[str, bytearray]) -> PixelRows:
    channels, side = size
    pixels, waiting[split] = waiting[split], bytearray()
    images = np.frombuffer(pixels, np.uint8).reshape(-1, side, side, channels).transpose(0, 3, 1, 2)
    return PixelRows(split, (count, channels, side, side), np.ascontiguousarray(images))


def _name_classes(source: Source, label: str, cells: dict[str, list[str]]) -> None:
    """Classes from the column of labels; none where rows have no label, or all the same."""
    found = numbered({split: np.array(words or [""], np.str_)[: len(words)] for split, words in cells.items()})
    if isinstance(found, str):
        source.notes.append(f"The column “{label}” was not used: its values {found}.")
        return
    if len(found.classes) < 2 or any((numbers < 0).any() for numbers in found.parts.values()):
        source.notes.append(f"The column “{label}” does not give every image one of several classes, so it was not used.")
        return
    source.classes = found.classes
    source.understood["labels"] = label
    for split, numbers in found.parts.items():
        source.parts[split].labels = numbers
    source.notes.append(f"The classes are the column “{label}”.")
    source.notes += found.notes
