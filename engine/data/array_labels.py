"""Class numbers from arrays as people store them: whole or floating numbers, one-hot rows, words, −1 for no label, numbers with gaps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from engine.data.limits import MAX_CLASSES
from engine.data.path_words import in_order

KINDS = "uifbUS"  # kinds of numpy that can be labels
NO_LABEL = -1
_MOST_ONE_HOT = 2_000  # columns


@dataclass
class ArrayLabels:
    """The labels of each part as places in `classes`, −1 for none."""

    parts: dict[str, np.ndarray]  # int64 [N]
    classes: tuple[str, ...]
    notes: list[str]


def could_be_labels(shape: tuple[int, ...], kind: str) -> bool:
    """Whether an array of that shape has one label for each row: [N], [N, 1], or [N, K] in the hope of one-hot rows."""
    if kind not in KINDS or not shape:
        return False
    return len(shape) == 1 or (len(shape) == 2 and (shape[1] == 1 or (kind in "uifb" and 1 < shape[1] <= _MOST_ONE_HOT)))


def column_of(pieces: Iterator[np.ndarray], place: int | None) -> np.ndarray | None:
    """One value a row from the pieces of an array: its only column, the column asked for, or the place of the one in a one-hot row.

    None where rows of several columns are not one-hot.
    """
    found: list[np.ndarray] = []
    for rows in pieces:
        if rows.ndim == 1 or rows.shape[1] == 1:
            found.append(rows.reshape(-1))
        elif place is not None:
            found.append(rows[:, place])
        else:
            if not (((rows == 0) | (rows == 1)).all() and (rows.sum(1) == 1).all()):
                return None
            found.append(rows.argmax(1))
    return np.concatenate(found) if found else np.zeros(0, np.int64)


def numbered(columns: dict[str, np.ndarray]) -> ArrayLabels | str:
    """Classes of the labels of all parts; or why they are none, as the end of a sentence about them."""
    words = {part: as_words(values) for part, values in columns.items()}
    bad = next((why for why in words.values() if isinstance(why, str)), None)
    if bad is not None:
        return bad
    arrays = {part: values for part, values in words.items() if not isinstance(values, str)}
    found: set[str] = set()
    for values in arrays.values():
        found |= set(np.unique(values).tolist())
    notes = []
    found.discard("")
    if "-1" in found and found != {"-1", "1"}:
        found.discard("-1")
    elif found == {"-1", "1"}:
        notes.append("The labels −1 and 1 are two classes.")
    if len(found) > MAX_CLASSES:
        return f"are {len(found):,} different ones and the limit is {MAX_CLASSES:,}; number fewer classes"
    classes = tuple(in_order(found))
    order = np.array(sorted(classes), dtype=np.str_) if classes else np.zeros(0, "U1")
    place = {name: n for n, name in enumerate(classes)}
    rank = np.array([place[str(name)] for name in order], np.int64)
    parts = {}
    for part, values in arrays.items():
        if not len(order):
            parts[part] = np.full(len(values), NO_LABEL, np.int64)
            continue
        at = np.searchsorted(order, values).clip(0, len(order) - 1)
        parts[part] = np.where(order[at] == values, rank[at], NO_LABEL)
    return ArrayLabels(parts, classes, notes)


def as_words(values: np.ndarray) -> np.ndarray | str:
    """Labels as text, "" for none; or why they are no labels."""
    if values.dtype.kind == "U":
        letters = np.ascontiguousarray(values).view(np.dtype(np.uint32).newbyteorder(values.dtype.byteorder))
        if (letters > 0x10FFFF).any() or ((letters >= 0xD800) & (letters < 0xE000)).any():
            return "are no text (they hold impossible letters); save the array again"
        return values
    if values.dtype.kind == "S":
        return np.char.decode(values, "utf-8", "replace")
    if values.dtype.kind == "b":
        return np.where(values, "1", "0")
    if values.dtype.kind == "f":
        good = np.isfinite(values)
        if not (values[good] == np.rint(values[good])).all() or (np.abs(values[good]) >= 2**53).any():
            return "are no class numbers (they have decimals); number the classes from 0"
        unique, place = np.unique(np.where(good, values, 0), return_inverse=True)
        words = np.array([str(int(one)) for one in unique], np.str_)[place.reshape(-1)] if len(values) else np.zeros(0, "U1")
        return np.where(good, words, "")
    unique, place = np.unique(values, return_inverse=True)
    return np.array([str(int(one)) for one in unique], np.str_)[place.reshape(-1)] if len(values) else np.zeros(0, "U1")
