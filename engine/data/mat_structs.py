"""Struct arrays of MATLAB files of version 5 to 7 as tables, one row for each struct: so come the annotations of Stanford Cars (Krause et
al. 2013). Format: MAT-File Level 5, MathWorks.
"""

from __future__ import annotations

import math
import struct
import zlib
from typing import Any

_ARRAY, _PACKED = 14, 15  # miMATRIX, miCOMPRESSED
_CELLS, _STRUCTS, _LETTERS, _NUMERIC = 1, 2, 4, range(6, 16)  # mxCELL_CLASS, mxSTRUCT_CLASS, mxCHAR_CLASS, mxDOUBLE_CLASS …
_NUMBERS = {1: "b", 2: "B", 3: "h", 4: "H", 5: "i", 6: "I", 7: "f", 9: "d", 12: "q", 13: "Q"}  # miINT8 … as `struct` names them
_TEXTS = {1: "latin-1", 2: "latin-1", 4: "utf-16-le", 16: "utf-8", 17: "utf-16-le"}
_DEEPEST = 4
_LETTERS_READ = 300
_CLASSES = ("class", "label", "classes", "labels")  # fields whose numbers count the names of classes from 1


def part(data: bytes, place: int) -> tuple[int, int, int, int]:
    """(kind, bytes, where they are, where the next part is) of a data element; small ones lie in their own tag. Raises: struct.error."""
    kind, size = struct.unpack_from("<II", data, place)
    if kind >> 16:
        return kind & 0xFFFF, kind >> 16, place + 4, place + 8
    return kind, size, place + 8, place + 8 + (size + 7) // 8 * 8


def read_structs(data: bytes, most: int) -> tuple[list[str], list[list[str]]]:
    """(fields, rows of cells) of the first struct array; of a file without any, of its first list of texts, or of its lists of numbers.

    A single list of numbers is a column; several are the numbers of images in splits, with the list's name beside each: so has
    Oxford-102 “imagelabels” and “setid” (trnid, valid, tstid).

    Numbers of classes become their names where the file lists them. `most`: bytes that a packed part may unpack to.

    Raises:
        ValueError: another kind of file, damaged, or without either.
    """
    if data[126:128] != b"IM":
        raise ValueError
    structs: tuple[list[str], list[list[str]]] | None = None
    lists: dict[str, list[str]] = {}
    numbers: dict[str, list[str]] = {}
    try:
        for name, value in _variables(data, most):
            if isinstance(value, tuple) and structs is None and len(value[1]) > 1:
                structs = value
            elif isinstance(value, list) and len(value) > 1 and all(isinstance(one, str) for one in value):
                lists[name] = value
            elif isinstance(value, list) and len(value) > 1 and all(isinstance(one, (int, float)) for one in value):
                numbers[name] = [_cell(one) for one in value]
    except (struct.error, zlib.error, IndexError, UnicodeDecodeError, OverflowError):
        raise ValueError from None
    if structs is None:
        if not lists and numbers:
            if len(numbers) == 1:
                return list(numbers), [[one] for one in next(iter(numbers.values()))]
            return ["id", "split"], [[one, name.removesuffix("id")] for name, some in numbers.items() for one in some]
        if not lists:
            raise ValueError
        name, texts = next(iter(lists.items()))
        return [name], [[text] for text in texts]
    for texts in lists.values():
        structs = name_numbers(*structs, texts)
    return structs


def name_numbers(columns: list[str], rows: list[list[str]], names: list[str]) -> tuple[list[str], list[list[str]]]:
    """The table with the numbers 1 … n of its column of classes as the n names; as it is where they do not fit."""
    for place, column in enumerate(columns):
        cells = [row[place] for row in rows if row[place]]
        if (
            column.lower() in _CLASSES
            and cells
            and all(cell.isascii() and cell.isdigit() and 1 <= int(cell) <= len(names) for cell in cells)
        ):
            named = [[*row[:place], names[int(row[place]) - 1] if row[place] else "", *row[place + 1 :]] for row in rows]
            return columns, named
    return columns, rows


def _variables(data: bytes, most: int) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    place = 128
    while place + 8 <= len(data):
        kind, length = struct.unpack_from("<II", data, place)
        if place + 8 + length > len(data):
            raise struct.error
        body, start = data, place + 8
        if kind == _PACKED:
            unpack = zlib.decompressobj()
            body = unpack.decompress(data[start : start + length], most)
            if unpack.unconsumed_tail:
                raise struct.error
            kind, _, start, _ = part(body, 0)
        if kind == _ARRAY:
            found.append(_value(body, start, 0))
        place += 8 + length
    return found


def _value(data: bytes, place: int, depth: int) -> tuple[str, Any]:
    """(name, value) of an array: a text, a number, a list (also of a vector), a tuple (fields, rows) of structs; None for anything else."""
    kind = struct.unpack_from("<I", data, place + 8)[0] & 0xFF
    place += 16
    _, size, at, place = part(data, place)
    shape = struct.unpack_from(f"<{min(size, 32) // 4}i", data, at)
    _, size, at, place = part(data, place)
    name = data[at : at + min(size, 200)].decode("ascii", "replace")
    count = math.prod(shape)
    if not shape or min(shape) < 0 or count > len(data):
        raise struct.error
    if kind == _LETTERS and count:
        stored, size, at, _ = part(data, place)
        return name, data[at : at + min(size, 2 * _LETTERS_READ)].decode(_TEXTS.get(stored, "latin-1"), "replace")[:count]
    if kind in _NUMERIC and count == 1:
        stored, size, at, _ = part(data, place)
        return name, struct.unpack_from(f"<{_NUMBERS[stored]}", data, at)[0] if stored in _NUMBERS else None
    if kind in _NUMERIC and depth == 0 and len(shape) == 2 and min(shape) == 1:
        stored, size, at, _ = part(data, place)
        letter = _NUMBERS.get(stored, "")
        fits = letter and count * struct.calcsize(f"<{letter}") <= size
        return name, list(struct.unpack_from(f"<{count}{letter}", data, at)) if fits else None
    if kind == _CELLS and depth < _DEEPEST:
        return name, _values(data, place, count, depth)[0]
    if kind == _STRUCTS and depth < _DEEPEST:
        _, _, at, place = part(data, place)
        length = struct.unpack_from("<i", data, at)[0]
        _, size, at, place = part(data, place)
        if length < 1 or size > 1 << 16:
            raise struct.error
        fields = [data[start : start + length].split(b"\0")[0].decode("ascii", "replace") for start in range(at, at + size, length)]
        if count * len(fields) * 8 > len(data):
            raise struct.error
        rows: list[list[str]] = []
        for _ in range(count):
            values, place = _values(data, place, len(fields), depth)
            rows.append([_cell(value) for value in values])
        return name, (fields, rows)
    return name, None


def _values(data: bytes, place: int, count: int, depth: int) -> tuple[list[Any], int]:
    """(the values of some arrays one after the other, where the next part is)."""
    found: list[Any] = []
    for _ in range(count):
        kind, size, at, place = part(data, place)
        if kind != _ARRAY or place > len(data) + 7:
            raise struct.error
        value = _value(data, at, depth + 1)[1] if size else None
        found.append(value[0] if isinstance(value, list) and len(value) == 1 else value)  # a text in a cell of its own
    return found, place


def _cell(value: Any) -> str:
    if isinstance(value, float) and not math.isfinite(value):
        return ""
    if isinstance(value, float) and value == int(value):
        value = int(value)
    return str(value)[:_LETTERS_READ] if isinstance(value, (str, int, float)) else ""
