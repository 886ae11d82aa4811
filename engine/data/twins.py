"""Twins: images that are the same byte for byte. They make up groups that no drawn split parts, and are counted in the report."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import numpy as np

from engine.common.counting import is_or_are, number_of
from engine.common.threads import in_threads
from engine.data.dataset import Joined, Part, Source, Split, Step
from engine.data.fingerprints import chunks, digests_of
from engine.data.limits import DUPLICATES_LISTED
from engine.data.splits import drawn_from

Numbers = dict[str, np.ndarray]  # part -> int64 [N]: equal images have the same number, whatever part they are in


@dataclass(frozen=True)
class Copies:
    """What the report says of equal images."""

    count: int  # images that are equal to an earlier one
    across: int  # test images that are equal to one that is trained on or validated with
    examples: tuple[tuple[str, str], ...]  # names of an image and of a later one that is equal to it
    notes: list[str]


def find_twins(parts: dict[str, Part]) -> Generator[Step, None, Numbers]:
    """Numbers equal images alike, over all parts."""
    numbers: Numbers = {}
    seen: dict[bytes, int] = {}
    total = sum(len(part.images) for part in parts.values())
    done = 0
    for name, part in parts.items():
        found: list[int] = []
        known = part.known_prints()
        for digests in in_threads(digests_of, chunks(part.images)) if known is None else [_rows(known.digests)]:
            found += [seen.setdefault(digest, len(seen)) for digest in digests]
            done += len(digests)
            yield Step(done, total, "image", "Looking for duplicates")
        numbers[name] = np.array(found, np.int64)
    return numbers


def _rows(digests: np.ndarray) -> list[bytes]:
    """Each row of uint8 [N, 16]."""
    return np.ascontiguousarray(digests).view(f"V{digests.shape[1]}").reshape(-1).tolist()


def group(parts: dict[str, Part], twins: Numbers) -> None:
    """Put equal images into one group, together with what the reader has grouped; no groups where every image stands alone."""
    twin = np.concatenate([twins[name] for name in parts])
    given = [part.groups for part in parts.values() if part.groups is not None]
    if len(given) == len(parts):
        groups = united(np.concatenate(given), twin)
    elif len(np.unique(twin)) < len(twin):
        groups = twin
    else:
        return
    start = 0
    for part in parts.values():
        part.groups = groups[start : start + len(part.images)]
        start += len(part.images)


def united(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Groups [N] of which each holds whole groups of `a` [N] and of `b` [N]: the smallest such."""
    _, a = np.unique(a, return_inverse=True)
    groups, b = a.reshape(-1), np.unique(b, return_inverse=True)[1].reshape(-1)
    a = groups.copy()
    while True:
        before = groups
        for numbers in (b, a):
            least = np.full(int(numbers.max(initial=0)) + 1, len(numbers), np.int64)
            np.minimum.at(least, numbers, groups)
            groups = least[numbers]
        if np.array_equal(groups, before):
            return groups


def copies_of(source: Source, splits: dict[str, Split], twins: Numbers) -> Copies:
    """Counts equal images within and across the splits of a source."""
    rest = drawn_from(source)
    own = {name: name for name, part in source.parts.items() if name != rest and len(part.images)}
    found = {name: twins[own.get(name, rest)][split.index] for name, split in splits.items()}
    every = np.concatenate(list(found.values()))
    names = Joined([split.names for split in splits.values()])
    _, first, number = np.unique(every, return_index=True, return_inverse=True)
    earlier = first[number.reshape(-1)]
    later = np.flatnonzero(earlier != np.arange(len(every)))
    examples = tuple((names[int(earlier[place])], names[place]) for place in later[:DUPLICATES_LISTED].tolist())
    known = int(np.isin(found["valid"], found["train"]).sum())
    across = int(np.isin(found["test"], np.concatenate([found["train"], found["valid"]])).sum())
    notes = []
    if known:
        notes.append(
            f"{number_of(known, 'validation image')} {is_or_are(known)} the same as a training image; "
            "validation will look too good by these."
        )
    if across:
        notes.append(
            f"{number_of(across, 'test image')} {is_or_are(across)} the same as one for training or validation; "
            "the test figures will be too good by these."
        )
    return Copies(len(later), across, examples, notes)
