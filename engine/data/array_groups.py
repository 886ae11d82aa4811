"""Groups from the arrays of a file: of which patient, lesion or tile each image is, one value an image."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from engine.data.array_labels import KINDS, as_words, column_of
from engine.data.dataset import Source
from engine.data.grouping import OFFERED, number_groups
from engine.data.label_tables import is_group_name

ROWS = 1 << 16  # read at once
NO_GROUP = "-1"


class _ValueArray(Protocol):
    """What of a file's array is needed here."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype
    rows: Callable[[int], Iterator[np.ndarray]]


@dataclass
class GroupArrays:
    """The arrays that could say which images belong together: name without the split -> split -> array."""

    found: dict[str, dict[str, _ValueArray]]

    @property
    def names(self) -> list[str]:
        return list(self.found)

    def likely(self) -> str:
        """The one that by its name says so, and where some value, but not one alone, stands at several images; "" for none."""
        for name in filter(is_group_name, self.found):
            values = [one for array in self.found[name].values() if not isinstance(one := _values(array), str)]
            every = [value for some in values for value in some if value]
            if 1 < len(set(every)) < len(every):
                return name
        return ""


def group_arrays(
    arrays: list[_ValueArray], images: Mapping[str, _ValueArray], labels: list[str], split_of: Callable[[str], str]
) -> GroupArrays:
    """Every array of one value an image, but those that the classes are from (`labels`); `split_of` a name: “all” where it says none."""
    found: dict[str, dict[str, _ValueArray]] = {}
    for array in arrays:
        split = split_of(array.name)
        if split not in images or array.name in labels or array.dtype.kind not in KINDS:
            continue
        if array.shape[:1] == images[split].shape[:1] and array.shape[1:] in ((), (1,)):
            found.setdefault(_without_split(array.name, split_of), {})[split] = array
    return GroupArrays(found)


def group_by_array(source: Source, asked: str, offered: GroupArrays, kept: Mapping[str, np.ndarray]) -> None:
    """Number the groups of all parts by the array that was asked for; where none was, say which one could be it.

    Args:
        kept: which images of a split [N] are there; all where it says nothing.
    """
    source.understood["group_columns"] = {"": offered.names} if offered.names else {}
    if not asked:
        if likely := offered.likely():
            source.understood["likely_group"] = likely
            source.notes.append(f"The array “{likely}” may say which images belong together; group {likely} keeps them in one split.")
        return
    exact = {name: arrays for name, arrays in offered.found.items() if asked in (name, *(one.name for one in arrays.values()))}
    if not exact:
        names = ", ".join(f"“{name}”" for name in offered.names[:OFFERED]) or "none"
        source.notes.append(f"No array “{asked}” has one value for each image, so images are not grouped; there are: {names}.")
        return
    name, arrays = next(iter(exact.items()))
    groups: dict[str, list[str]] = {}
    for split, part in source.parts.items():
        values: list[str] | str = _values(arrays[split]) if split in arrays else [""] * len(part.images)
        if isinstance(values, str):
            source.notes.append(f"The values of the array “{name}” {values}, so images are not grouped.")
            return
        stays = kept.get(split) if split in arrays else None
        groups[split] = values if stays is None else [value for value, stay in zip(values, stays.tolist(), strict=True) if stay]
    source.understood["groups"] = name
    number_groups(source, name, groups)


def _without_split(name: str, split_of: Callable[[str], str]) -> str:
    """“train_patient”, “patient_train” -> “patient”; a name that is nothing else stays."""
    rest = "_".join(word for word in re.split(r"[^A-Za-z0-9]+", name) if word and split_of(word) == "all")
    return rest if rest and split_of(name) != "all" else name


def _values(array: _ValueArray) -> list[str] | str:
    """The group of each image, "" for none (−1, NaN or an empty text); or why they are none, as the end of a sentence."""
    values = column_of(array.rows(ROWS), None)
    if values is None:
        return "are several for each image"
    if values.dtype.kind == "f":
        good = np.isfinite(values)
        if not (values[good] == np.rint(values[good])).all():
            return "have decimals, as measures and no groups have"
    words = as_words(values)
    if isinstance(words, str):
        return words
    return ["" if word == NO_GROUP else word.strip() for word in words.tolist()]
