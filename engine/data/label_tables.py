"""Tables that stand beside pictures: .csv, .tsv, .jsonl, .json and lists in .txt, and which column names the file, the class, the split.

`parse_table` sees foreign bytes and runs in the reading process only; the rest works on its rows.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from engine.data.limits import MAX_FILES, MAX_TABLE_BYTES, MAX_TABLE_CELL, MAX_TABLE_COLUMNS
from engine.data.mat_structs import name_numbers, read_structs
from engine.data.path_words import class_key, split_and_rest, split_word, stem_of

SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".txt", ".mat")
CLASS_NAMES = (
    "label", "labels", "class", "classname", "classlabel", "classid", "labelname", "category", "categories", "target", "targets", "y",
    "dx", "diagnosis", "species", "breed", "finding", "disease", "type", "classification", "level", "grade", "articletype",
    "groundtruth", "answer",
)  # fmt: skip
_FILE_NAMES = (
    "file", "filename", "fname", "filepath", "image", "images", "imagename", "imagefile", "imagefilename", "imagepath", "imageid",
    "img", "imgname", "imgpath", "imgid", "path", "picture", "photo",
)  # fmt: skip
SPLIT_NAMES = ("split", "set", "subset", "partition", "fold", "datasplit", "phase", "usage", "traintest", "datasettype")
_IS_TRAIN = ("istrain", "istraining", "istrainingimage", "traintestsplit", "train")
_IS_TEST = ("istest", "istesting", "istestimage", "test")
_GROUP_NAMES = (
    "patient", "patientid", "patientnumber", "subject", "subjectid", "participant", "participantid", "person", "personid", "lesionid",
    "caseid", "studyid", "slide", "slideid", "wsi", "tile", "tileid", "scene", "sceneid", "sequence", "sequenceid", "video", "videoid",
    "clip", "clipid", "group", "groupid", "animalid", "individual", "individualid", "specimen", "specimenid", "locationid", "wellid",
    "plateid", "photo", "photograph", "photographid", "original", "source", "sourceimage",
)  # fmt: skip
_GROUPS_LOOKED_AT = 100  # columns
_GROUP_ROWS = 5_000  # of a table, from all over it, tell whether a column groups
_FEWEST_GROUPS = 10  # of which a tenth can be held out
_LEAST_MATCHED = 0.5  # of the rows or of the pictures, for a column to name files
_MOST_DOUBTFUL = 0.5  # of the pictures may have two values in a column; more of them, and it says nothing of a picture
_MOST_CLASSES = 0.5  # distinct values per picture; beyond that a column tells pictures apart and does not group them


_ONE_HOT = "the column that is 1"


class NoTable(Exception):
    """The bytes are no table."""


@dataclass
class RawTable:
    """A table as it is written: all cells as text."""

    columns: list[str]
    rows: list[list[str]]
    headed: bool = True  # whether the first line names the columns
    numbered_by: str = ""  # the table that says which picture has which number, where the rows are by number

    def column(self, place: int) -> list[str]:
        """The cells of a column, from the first row on."""
        return [row[place] for row in self.rows]


@dataclass
class LabelTable:
    """What a table says of the pictures under its folder."""

    path: str
    columns: list[str]  # that could be classes
    labels: dict[str, dict[str, str]] = field(default_factory=dict)  # column -> picture -> cell
    chosen: str = ""  # the column of classes; "" where none stands out
    splits: dict[str, str] = field(default_factory=dict)  # picture -> split
    split_column: str = ""
    split_meaning: str = ""  # of numbers, as the end of a phrase: “ (1 train, 0 test)”
    doubtful: dict[str, int] = field(default_factory=dict)  # column -> pictures whose rows say different things; they have no value
    unmatched: int = 0  # rows that name no picture
    listed: list[str] = field(default_factory=list)  # the pictures that it names
    rows: list[tuple[str, list[str]]] = field(default_factory=list)  # (picture, the cells of its row) of every row that names one
    headings: list[str] = field(default_factory=list)  # of all cells
    numbered_by: str = ""  # as of a `RawTable`

    def values(self, column: str) -> list[tuple[str, str]]:
        """(picture, cell) of every row whose cell is not empty; nothing where there is no such column."""
        if column not in self.headings:
            return []
        place = self.headings.index(column)
        return [(picture, row[place]) for picture, row in self.rows if row[place]]

    def group_columns(self) -> list[str]:
        """The columns that could say which pictures belong together: some values stand at several of them, and not one at all.

        Told from some of the rows, or from all while no value has come twice. A column of so few values that no tenth can be drawn of
        them is an attribute or a class, unless its name says otherwise; and the one of the classes groups nothing.
        """
        stride = max(1, len(self.rows) // _GROUP_ROWS)
        return [
            column
            for place, column in enumerate(self.headings[:_GROUPS_LOOKED_AT])
            if column != self.chosen and self._groups(place, stride, 2 if is_group_name(column) else _FEWEST_GROUPS)
        ]

    def _groups(self, place: int, stride: int, fewest: int) -> bool:
        first: dict[str, str] = {}  # cell -> the first picture that it stands at
        again = False
        for picture, row in self.rows[::stride]:
            if cell := row[place]:
                again |= first.setdefault(cell, picture) != picture
        if not again and stride > 1:
            again = any(first.setdefault(row[place], picture) != picture for picture, row in self.rows if row[place])
        return again and len(first) >= fewest and not _is_measure(set(first))

    def likely_group(self, columns: list[str]) -> str:
        """The one of the columns that by its name says which patient, place or picture an image is of; "" for none."""
        return next((name for name in columns if is_group_name(name) and name != self.chosen), "")


def is_group_name(name: str) -> bool:
    """Whether a column or an array says by its name which patient, place or picture an image is of."""
    words = squeezed(name)
    return words in _GROUP_NAMES or words.removesuffix("s") in _GROUP_NAMES


def parse_table(name: str, data: bytes) -> RawTable:
    """The cells of a table. Raises: NoTable."""
    suffix = "." + name.rpartition(".")[2].lower()
    if suffix == ".mat":
        return _from_structs(data)
    text = data.decode("utf-8-sig", "replace").replace("\0", "")
    if suffix in (".jsonl", ".ndjson"):
        return _from_objects(_json(line) for line in text.splitlines() if line.strip())
    if suffix == ".json":
        return _from_json(_json(text))
    lines = text.splitlines()
    if suffix == ".txt":
        lines = [line for line in lines if not line.startswith("#")]  # notes, as in the lists of Oxford-IIIT Pet
        text = "\n".join(lines)
    delimiter = "\t" if suffix == ".tsv" else _delimiter(lines[:20], suffix)
    try:
        rows = [
            row for row in csv.reader(io.StringIO(text), delimiter=delimiter, skipinitialspace=True) if any(cell.strip() for cell in row)
        ]
    except csv.Error:
        raise NoTable from None
    return _table(rows, suffix)


def _from_structs(data: bytes) -> RawTable:
    try:
        columns, rows = read_structs(data, MAX_TABLE_BYTES)
    except ValueError:
        raise NoTable from None
    if len(rows) > MAX_FILES or len(columns) > MAX_TABLE_COLUMNS or len(set(columns)) < len(columns):
        raise NoTable
    return RawTable(columns, rows)


def named_by_lists(tables: dict[str, RawTable]) -> set[str]:
    """Gives the tables of .mat files the names of classes that another .mat file in the same folder lists; returns those lists."""
    found = {path: table for path, table in tables.items() if path.lower().endswith(".mat")}
    used: set[str] = set()
    for path, names in found.items():
        if len(names.columns) != 1:
            continue
        for other, table in found.items():
            if len(table.columns) > 1 and other.rpartition("/")[0] == path.rpartition("/")[0]:
                _, rows = name_numbers(table.columns, table.rows, names.column(0))
                if rows is not table.rows:
                    table.rows = rows
                    used.add(path)
    return used


def _table(rows: list[list[str]], suffix: str) -> RawTable:
    if len(rows) < 2 or len(rows) > MAX_FILES:
        raise NoTable
    width = Counter(map(len, rows[:1000])).most_common(1)[0][0]
    if width > MAX_TABLE_COLUMNS:
        raise NoTable
    good = [[cell.strip()[:MAX_TABLE_CELL] for cell in (row + [""] * width)[:width]] for row in rows]
    headed = suffix != ".txt" and not any(_is_picture(cell) for cell in good[0])
    if suffix == ".txt" and width > 1 and not any(_is_picture(cell) for cell in good[0]) and any(_is_picture(cell) for cell in good[1]):
        headed = True
    if not headed:
        return RawTable([f"column {n + 1}" for n in range(width)], good, False)
    names = [name or f"column {n + 1}" for n, name in enumerate(good[0])]
    return RawTable([name if names.count(name) == 1 else f"{name} {n + 1}" for n, name in enumerate(names)], good[1:])


def _delimiter(lines: list[str], suffix: str) -> str:
    """The sign that parts most lines into the same number of cells, two at least."""
    best, most = ",", 0
    for sign in ",;\t |" if suffix == ".txt" else ",;\t|":
        counts = Counter(line.count(sign) for line in lines if line.strip())
        number, lines_with = counts.most_common(1)[0] if counts else (0, 0)
        if number and lines_with > most:
            best, most = sign, lines_with
    return best


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise NoTable from None


def _from_json(value: Any) -> RawTable:
    """A list of objects, {"file": "class"}, or {"labels": [["file", class]]} as NVIDIA's dataset tool writes it."""
    match value:
        case {"labels": [[_, _], *_] as pairs, **others} if len(others) <= 2:
            value = dict(pair for pair in pairs if isinstance(pair, list) and len(pair) == 2 and isinstance(pair[0], str))
        case _:
            pass
    if isinstance(value, list):
        return _from_objects(value)
    if isinstance(value, dict) and len(value) > 1 and all(isinstance(v, (str, int)) for v in value.values()):
        return RawTable(["file", "label"], [[str(key)[:MAX_TABLE_CELL], str(v)[:MAX_TABLE_CELL]] for key, v in value.items()])
    raise NoTable


def _from_objects(objects: Iterable[Any]) -> RawTable:
    columns: dict[str, None] = {}
    found: list[dict[str, Any]] = []
    for one in objects:
        if not isinstance(one, dict) or len(found) >= MAX_FILES:
            raise NoTable
        columns |= dict.fromkeys(map(str, one))
        found.append({str(key): value for key, value in one.items()})
        if len(columns) > MAX_TABLE_COLUMNS:
            raise NoTable
    if not found:
        raise NoTable
    rows = [[_cell(one.get(name)) for name in columns] for one in found]
    return RawTable(list(columns), rows)


def _cell(value: Any) -> str:
    """A value as text; "" where it is none or a structure."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)[:MAX_TABLE_CELL] if isinstance(value, (str, int, float)) else ""


def _is_picture(cell: str) -> bool:
    return bool(re.search(r"\.(png|jpe?g|gif|bmp|tiff?|webp|p[gp]m)$", cell, re.IGNORECASE))


def match_table(path: str, table: RawTable, pictures: list[str]) -> LabelTable | None:
    """What a table says of the pictures in and below its folder, or of those elsewhere; None where no column names them.

    Where pictures of several splits have the same names, a table that is called after one of the splits is about that one's.
    """
    folder = path.rpartition("/")[0]
    mine = [picture for picture in pictures if picture.startswith(folder + "/")] if folder else pictures
    found = _matched(path, table, mine, folder)
    if found is None and folder:
        found = _matched(path, table, pictures, "")
    split = split_and_rest(stem_of(path.rpartition("/")[2]))[0]
    if split and (found is None or found.unmatched):
        mine = [picture for picture in pictures if any(split_and_rest(name)[0] == split for name in picture.split("/")[:-1])]
        of_split = _matched(path, table, mine, "")
        if of_split is not None and (found is None or len(of_split.listed) > len(found.listed)):
            return of_split
    return found


def _matched(path: str, table: RawTable, mine: list[str], folder: str) -> LabelTable | None:
    if not mine or not table.rows:
        return None
    known = _names(mine, folder)
    least = max(1, _LEAST_MATCHED * min(len(table.rows), len(mine)))
    naming: list[tuple[tuple[int, ...], int, list[str | None]]] = []
    for place, name in enumerate(table.columns):
        found = [known.get(_plain(cell)) for cell in table.column(place)]
        matched = [cell for cell, one in zip(table.column(place), found, strict=True) if one is not None]
        if len(matched) >= least:
            naming.append((_trust(name, matched), place, found))
    if not naming:
        return None
    _, place, found = max(naming, key=lambda some: (some[0], -some[1]))
    matched = sum(one is not None for one in found)
    result = LabelTable(path, [], unmatched=len(table.rows) - matched, listed=[one for one in found if one is not None])
    _columns(result, table, place, found)
    return result


def _trust(name: str, matched: list[str]) -> tuple[int, ...]:
    """How much speaks for a column to name the files. Names with an ending come before bare ones, which a running number may be; of those
    a column that is called so.
    """
    named = squeezed(name) in _FILE_NAMES
    with_ending = sum(stem_of(cell) != cell for cell in matched) > len(matched) / 2
    return (1, len(matched), named) if with_ending else (0, named, len(matched))


def _names(pictures: list[str], folder: str) -> dict[str, str]:
    """What a cell may call a picture -> its path: its path, the end of it, its name, with and without ending. None that two share."""
    known: dict[str, str] = {}
    doubtful: set[str] = set()
    for picture in pictures:
        parts = picture[len(folder) + 1 if folder else 0 :].split("/")
        for start in range(len(parts)):
            whole = "/".join(parts[start:])
            for name in {_plain(whole), _plain(stem_of(whole))}:
                if known.setdefault(name, picture) != picture:
                    doubtful.add(name)
    for name in doubtful:
        del known[name]
    return known


def _plain(name: str) -> str:
    name = name.strip().replace("\\", "/").casefold()
    return name.removeprefix("./").lstrip("/")


def _columns(result: LabelTable, table: RawTable, file: int, found: list[str | None]) -> None:
    """Which of the other columns are classes or splits."""
    rows = result.rows = [(picture, row) for picture, row in zip(found, table.rows, strict=True) if picture is not None]
    result.headings = table.columns
    others = [place for place in range(len(table.columns)) if place != file]
    for place in others:
        name = table.columns[place]
        cells = [row[place] for _, row in rows]
        values = {cell for cell in cells if cell}
        told = name if table.headed or len(others) > 1 else stem_of(result.path.rpartition("/")[2])
        words = _splits_in(told, values)
        if words and not result.splits:
            result.splits = _agreed(result, name, ((picture, words[row[place]]) for picture, row in rows if row[place]))
            result.split_column = name
            if not all(map(split_word, values)):
                result.split_meaning = f" ({', '.join(f'{value} {words[value]}' for value in sorted(words))})"
        elif 2 <= len(values) <= max(2, _MOST_CLASSES * len(rows)) and not _is_measure(values):
            result.labels[name] = _agreed(result, name, ((picture, row[place]) for picture, row in rows if row[place]))
    if one_hot := _one_hot([table.columns[place] for place in others], [[row[place] for place in others] for _, row in rows]):
        labels = _agreed(result, _ONE_HOT, ((picture, label) for (picture, _), label in zip(rows, one_hot, strict=True)))
        result.labels = {_ONE_HOT: labels}
    result.labels = {name: labels for name, labels in result.labels.items() if labels}
    result.columns = list(result.labels)
    named = sorted((name for name in result.columns if squeezed(name) in CLASS_NAMES), key=lambda name: CLASS_NAMES.index(squeezed(name)))
    if named:
        result.chosen = named[0]
    elif len(result.columns) == 1 and (not table.headed or len(others) == 1 or one_hot):
        result.chosen = result.columns[0]
    elif not table.headed and result.columns:
        result.chosen = result.columns[0] if not _all_numbers(result.labels[result.columns[0]]) else ""


def _agreed(result: LabelTable, column: str, cells: Iterable[tuple[str, str]]) -> dict[str, str]:
    """picture -> the one value of its rows. Those with several are counted; nothing where they are most."""
    found: dict[str, str] = {}
    doubtful: set[str] = set()
    for picture, cell in cells:
        if class_key(found.setdefault(picture, cell)) != class_key(cell):
            doubtful.add(picture)
    if doubtful:
        result.doubtful[column] = len(doubtful)
    if len(doubtful) > _MOST_DOUBTFUL * len(found):
        return {}
    return {picture: cell for picture, cell in found.items() if picture not in doubtful}


def _splits_in(name: str, values: set[str]) -> dict[str, str]:
    """value -> split, where a column of that name holds splits: their words, or numbers as in CelebA (0, 1, 2) and CUB-200 (1, 0)."""
    name = squeezed(name)
    if name in SPLIT_NAMES and values and all(split_word(value) for value in values):
        return {value: split_word(value) for value in values}
    if name.endswith("partition") and values == {"0", "1", "2"}:
        return {"0": "train", "1": "valid", "2": "test"}
    plain = {value.lower() for value in values}
    if name in _IS_TRAIN and plain in ({"0", "1"}, {"false", "true"}):
        return {value: "train" if value.lower() in ("1", "true") else "test" for value in values}
    if name in _IS_TEST and plain in ({"0", "1"}, {"false", "true"}):
        return {value: "test" if value.lower() in ("1", "true") else "train" for value in values}
    return {}


def joined_by_number(tables: list[LabelTable], others: dict[str, RawTable]) -> dict[str, RawTable]:
    """Tables that name pictures by a number, with their files in its place, as CUB-200 comes: images.txt says which file is number 7.

    The column of what a table says is called like the table, since such tables have no headings.
    """
    files: dict[str, str] = {}
    numbers = ""
    for table in tables:
        numbers = table.path
        for place in range(len(table.headings)):
            pairs = [(row[place], picture) for picture, row in table.rows]
            if len(table.headings) == 2 and len({cell for cell, _ in pairs}) == len(pairs) > 1 and all(cell.isdigit() for cell, _ in pairs):
                files = dict(pairs)
        if files:
            break
    joined: dict[str, RawTable] = {}
    for path, raw in others.items():
        if not files or len(raw.columns) != 2 or raw.headed:
            continue
        known = sum(row[0] in files for row in raw.rows)
        if known == len({row[0] for row in raw.rows}) == len(raw.rows) >= _LEAST_MATCHED * len(files):
            columns = ["file", stem_of(path.rpartition("/")[2])]
            joined[path] = RawTable(columns, [[files[number], value] for number, value in raw.rows], numbered_by=numbers)
    return joined


def _one_hot(names: list[str], rows: list[list[str]]) -> list[str] | None:
    """The name of the column that is 1, for each row; None where the columns are no one-hot table."""
    if len(names) < 2 or not rows:
        return None
    labels = []
    for row in rows:
        ones = [name for name, cell in zip(names, row, strict=True) if cell in ("1", "1.0")]
        if len(ones) != 1 or any(cell not in ("0", "0.0", "1", "1.0") for cell in row):
            return None
        labels.append(ones[0])
    return labels if len(set(labels)) > 1 else None


def squeezed(name: str) -> str:
    """The letters of a name: “imageid” of “Image ID”."""
    return re.sub(r"[^a-z]", "", name.lower())


def _is_measure(values: set[str]) -> bool:
    """Whether the values are numbers with decimals: a measurement, no class."""
    return all(re.fullmatch(r"[-+]?\d+\.\d+(e[-+]?\d+)?", value) for value in values) and any(not value.endswith(".0") for value in values)


def _all_numbers(cells: dict[str, str]) -> bool:
    return all(re.fullmatch(r"[-+]?\d+(\.\d+)?", cell) for cell in cells.values())
