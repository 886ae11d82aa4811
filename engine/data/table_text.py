"""The cells of tables that stand beside pictures: .csv, .tsv, .jsonl, .json, lists in .txt, and annotations in .mat, in any usual encoding.

`parse_table` sees foreign bytes and runs in the reading process only.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from engine.data.limits import MAX_FILES, MAX_TABLE_BYTES, MAX_TABLE_CELL, MAX_TABLE_COLUMNS
from engine.data.mat_structs import read_structs
from engine.data.path_words import split_word

SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".txt", ".mat")
_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before that of UTF-16, which it begins with
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_NAMES_IN_JSON = ("name", "label", "class", "title")  # what an object in a cell is called by
_CLASS_SIGN = "|"  # between several classes of one picture
_SAME_WIDTH = 0.95  # of the lines of a list have as many words where each is a cell
_MOST_NAMES = 0.5  # distinct values per row; beyond that the rest of a line is no class


class NoTable(Exception):
    """The bytes are no table."""


@dataclass
class RawTable:
    """A table as it is written: all cells as text."""

    columns: list[str]
    rows: list[list[str]]
    headed: bool = True  # whether the first line names the columns
    numbered_by: str = ""  # the table that says which picture has which number, where the rows are by number
    remark: str = ""  # on its text, as the end of a sentence that begins with its name

    def column(self, place: int) -> list[str]:
        """The cells of a column, from the first row on."""
        return [row[place] for row in self.rows]


def parse_table(name: str, data: bytes) -> RawTable:
    """The cells of a table. Raises: NoTable."""
    suffix = "." + name.rpartition(".")[2].lower()
    if suffix == ".mat":
        return _from_structs(data)
    text, remark = text_of(data)
    table = _parsed(text.replace("\0", ""), suffix)
    table.remark = remark
    return table


def text_of(data: bytes) -> tuple[str, str]:
    """(a text, what is to be said of its letters as the end of a sentence); of its mark's encoding, else UTF-8, Windows-1252 or -1251.

    No two bytes become the same letter: what no encoding knows stands as \\x81.
    """
    for mark, encoding in _BYTE_ORDER_MARKS:
        if data.startswith(mark):
            return data[len(mark) :].decode(encoding, "backslashreplace"), ""
    if (encoding := _wide(data)) and len(data) % 2 == 0:
        return data.decode(encoding, "backslashreplace"), ""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        encoding, letters = ("cp1251", "Windows-1251 (Cyrillic)") if _cyrillic(data) else ("cp1252", "Windows-1252 (Western European)")
        words = f"is no text in UTF-8 and was read as {letters}; where letters look wrong, save it as UTF-8"
        return data.decode(encoding, "backslashreplace"), words
    if "\ufffd" in text:
        return text, "holds the sign � where letters were lost when it was saved, so words that differed in these only are one now"
    return text, ""


def _cyrillic(data: bytes) -> bool:
    """Whether most letters beyond ASCII stand side by side, as in Cyrillic words; in those of Western languages they stand alone."""
    letters = sum(map(len, re.findall(rb"[\xc0-\xff]+", data[:1_000_000])))
    in_words = sum(map(len, re.findall(rb"[\xc0-\xff]{3,}", data[:1_000_000])))
    return 2 * in_words > letters and letters > len(re.findall(rb"[\x80-\xbf]", data[:1_000_000]))


def _wide(data: bytes) -> str:
    """UTF-16 without a mark: every second byte of plain text is 0."""
    head = data[:4096]
    even, odd = head[::2].count(0), head[1::2].count(0)
    if max(even, odd) < 0.3 * len(head) / 2:
        return ""
    return "utf-16-le" if odd > even else "utf-16-be"


def _parsed(text: str, suffix: str) -> RawTable:
    if suffix in (".jsonl", ".ndjson"):
        return _from_objects(_json(line) for line in text.splitlines() if line.strip())
    if suffix == ".json":
        return _from_json(_json(text))
    lines = text.splitlines()
    if suffix == ".txt":
        lines = [line for line in lines if not line.startswith("#")]  # notes, as in the lists of Oxford-IIIT Pet
        if len(lines) > 2 and lines[0].strip().isdigit() and not lines[1].strip().isdigit():
            lines = lines[1:]  # how many there are, as in the lists of CelebA
        text = "\n".join(lines)
    elif lines and lines[0].startswith("#"):
        text = _without_notes(lines)
        lines = text.splitlines()
    delimiter = "\t" if suffix == ".tsv" else _delimiter(lines[:20], suffix)
    try:
        rows = [
            row for row in csv.reader(io.StringIO(text), delimiter=delimiter, skipinitialspace=True) if any(cell.strip() for cell in row)
        ]
    except csv.Error:
        raise NoTable from None
    if delimiter == " ":
        return _spaced([[cell for cell in row if cell.strip()] for row in rows])
    return _table(rows, suffix, delimiter)


def _without_notes(lines: list[str]) -> str:
    """Without the lines that begin with “#” above the headings. They are none themselves (“# file,label”) where they have its cells."""
    start = next((place for place, line in enumerate(lines) if line.strip() and not line.startswith("#")), len(lines))
    sign = _delimiter(lines[start : start + 20], ".csv")
    if start and start < len(lines) and lines[start - 1].count(sign) == lines[start].count(sign) > 0:
        return "\n".join([lines[start - 1].lstrip("# "), *lines[start:]])
    return "\n".join(lines[start:])


def _from_structs(data: bytes) -> RawTable:
    try:
        columns, rows = read_structs(data, MAX_TABLE_BYTES)
    except ValueError:
        raise NoTable from None
    if len(rows) > MAX_FILES or len(columns) > MAX_TABLE_COLUMNS or len(set(columns)) < len(columns):
        raise NoTable
    return RawTable(columns, rows)


def _spaced(rows: list[list[str]]) -> RawTable:
    """A list whose cells are parted by spaces, which names may have too: as CelebA's, with headings that leave out the file's, and as
    FGVC-Aircraft's, a file and the name of its class.
    """
    if len(rows) > 2 and len(rows[0]) + 1 == len(rows[1]) and is_picture(rows[1][0]) and not any(map(is_picture, rows[0])):
        return _table([["file", *rows[0]], *rows[1:]], ".csv")
    if len(rows) < 2 or len(rows) > MAX_FILES:
        raise NoTable
    if Counter(map(len, rows)).most_common(1)[0][1] < _SAME_WIDTH * len(rows):
        return _table([_name_and_rest(row) for row in rows], ".txt")
    table = _table(rows, ".txt")
    if not table.headed and len(table.columns) > 2:
        rest = [" ".join(row[1:]) for row in table.rows]
        if _is_name(table, rest):
            table.columns.append(f"columns 2 to {len(table.columns)}")
            table.rows = [[row[0], whole[:MAX_TABLE_CELL], *row[1:]] for row, whole in zip(table.rows, rest, strict=True)]
            table.columns.insert(1, table.columns.pop())
    return table


def _name_and_rest(row: list[str]) -> list[str]:
    """The cells of a line in two: up to the picture's name, and what is behind it."""
    end = next((place for place, cell in enumerate(row) if is_picture(cell)), 0)
    if end and end == len(row) - 1:
        return [row[-1], " ".join(row[:-1])]
    return [" ".join(row[: end + 1]), " ".join(row[end + 1 :])]


def _is_name(table: RawTable, rest: list[str]) -> bool:
    """Whether the cells behind the first are one name of several words (“Boeing 737”): words stand first, and what stands behind one does
    not stand behind all others. Not where they are splits or measures, or say no more than the first does by numbers in several columns.
    """
    first = set(table.column(1))
    whole = set(rest)
    if not any(re.search(r"[^\W\d_]", cell) for cell in first):
        return False
    behind = {" ".join(row[2:]) for row in table.rows}
    if len(whole) == len(first) and len(table.columns) > 3 and not any(re.search(r"[^\W\d_]", cells) for cells in behind):
        return False
    others = [set(table.column(place)) for place in range(2, len(table.columns))]
    if any(all(map(split_word, cells)) for cells in (first, *others)):
        return False
    return len(whole) < len(first) * len(behind) + (len(first) == 1) and len(whole) <= max(2, _MOST_NAMES * len(rest))


def _table(rows: list[list[str]], suffix: str, sign: str = " ") -> RawTable:
    if len(rows) < 2 or len(rows) > MAX_FILES:
        raise NoTable
    widths = Counter(map(len, rows[:1000]))
    width = widths.most_common(1)[0][0]
    if suffix != ".txt" and 1 < len(rows[0]) < width and widths[len(rows[0])] > 1 and not any(map(is_picture, rows[0])):
        width = len(rows[0])  # the headings count, where cells hold the sign between cells
    if width > MAX_TABLE_COLUMNS:
        raise NoTable
    good = [[cell.strip()[:MAX_TABLE_CELL] for cell in _of_width(row, width, sign)] for row in rows]
    headed = suffix != ".txt" and not any(is_picture(cell) for cell in good[0])
    if suffix == ".txt" and width > 1 and not any(is_picture(cell) for cell in good[0]) and any(is_picture(cell) for cell in good[1]):
        headed = True
    if not headed:
        return RawTable([f"column {n + 1}" for n in range(width)], good, False)
    names = [name or f"column {n + 1}" for n, name in enumerate(good[0])]
    return RawTable([name if names.count(name) == 1 else f"{name} {n + 1}" for n, name in enumerate(names)], good[1:])


def _of_width(row: list[str], width: int, sign: str) -> list[str]:
    """A row with as many cells as most have: what is too much is part of the last (“0.png,Boeing, 707” without quotes)."""
    if len(row) <= width:
        return row + [""] * (width - len(row))
    last = row[width - 1 :]
    while len(last) > 1 and not last[-1].strip():
        last = last[:-1]
    return [*row[: width - 1], f"{sign} ".join(cell.strip() for cell in last)]


def _delimiter(lines: list[str], suffix: str) -> str:
    """The sign that parts most lines into the same number of cells, two at least; in a list a space where no sign parts half of them."""
    best, most = ",", 0
    lines = [line for line in lines if line.strip()]
    for sign in ",;\t |" if suffix == ".txt" else ",;\t|":
        counts = Counter(line.count(sign) for line in lines)
        number, lines_with = counts.most_common(1)[0] if counts else (0, 0)
        if number and lines_with > most:
            best, most = sign, lines_with
    spaced = sum(" " in line.strip() for line in lines)
    return " " if suffix == ".txt" and 2 * most < len(lines) and spaced > most else best


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise NoTable from None


def _from_json(value: Any) -> RawTable:
    """A list of objects, {"file": "class"}, {"class": ["file"]}, {"images": a list of objects}, COCO's {"images", "annotations",
    "categories"}, or {"labels": [["file", class]]} as NVIDIA's dataset tool writes it.
    """
    match value:
        case {"labels": [[_, _], *_] as pairs, **others} if len(others) <= 2:
            value = dict(pair for pair in pairs if isinstance(pair, list) and len(pair) == 2 and isinstance(pair[0], str))
        case {"images": [{}, *_] as images, "annotations": [{}, *_] as annotations, "categories": [{}, *_] as categories}:
            value = _annotated(images, annotations, categories)
        case {**lists} if len(found := [some for some in lists.values() if isinstance(some, list) and some and _all(some, dict)]) == 1:
            value = found[0]
        case _:
            pass
    if isinstance(value, list):
        return _from_objects(value)
    if not isinstance(value, dict) or not value:
        raise NoTable
    if _all(value.values(), list) and any(_is_file(one) for some in value.values() for one in some[:1]):
        rows = [[_cell(one), str(key)[:MAX_TABLE_CELL]] for key, some in value.items() for one in some]
    elif len(value) > 1 and _all(value.values(), str | int | list):
        rows = [[str(key)[:MAX_TABLE_CELL], _cell(one)] for key, one in value.items()]
    else:
        raise NoTable
    if not rows or len(rows) > MAX_FILES:
        raise NoTable
    return RawTable(["file", "label"], rows)


def _is_file(value: Any) -> bool:
    return isinstance(value, str) and ("/" in value or is_picture(value))


def _all(values: Iterable[Any], kind: Any) -> bool:
    return all(isinstance(value, kind) for value in values)


def _annotated(images: Iterable[Any], annotations: Iterable[Any], categories: Iterable[Any]) -> list[Any]:
    """A row for each annotation: its image's file, and the name of its category. Raises: NoTable."""
    try:
        files = {one["id"]: one["file_name"] for one in images}
        names = {one["id"]: one["name"] for one in categories}
        return [{"file": files[one["image_id"]], "category": names[one["category_id"]]} for one in annotations]
    except (KeyError, TypeError):
        raise NoTable from None


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
    """A value as text: of an object its name, of a list all of it; "" where there is none."""
    if isinstance(value, dict):
        value = next((value[key] for key in _NAMES_IN_JSON if isinstance(value.get(key), str)), None)
    elif isinstance(value, list):
        some = value[:MAX_TABLE_CELL]
        words = len(some) == 1 or _all(some, str | dict)  # several numbers are a box or a vector
        cells = [_cell(one) for one in some if not isinstance(one, list)] if words else []
        value = _CLASS_SIGN.join(cells) if len(cells) == len(value) and all(cells) else None
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)[:MAX_TABLE_CELL] if isinstance(value, (str, int, float)) else ""


def is_picture(cell: str) -> bool:
    """Whether a cell ends as the name of a picture does."""
    return bool(re.search(r"\.(png|jpe?g|gif|bmp|tiff?|webp|p[gp]m)$", cell, re.IGNORECASE))
