"""What a data set is once it is read, and what the readers hand over before it is split and counted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from engine.data.errors import BadData as BadData
from engine.data.fingerprints import Fingerprints
from engine.data.preprocessing import Preprocessing

if TYPE_CHECKING:
    from engine.messages import BadFile, DataReport


class Numbered(Sequence[str]):
    """Names made when asked for: “train image 17”."""

    def __init__(self, prefix: str, numbers: np.ndarray) -> None:
        self.prefix = prefix
        self.numbers = numbers

    def __len__(self) -> int:
        return len(self.numbers)

    @overload
    def __getitem__(self, place: int) -> str: ...
    @overload
    def __getitem__(self, place: slice) -> Numbered: ...
    def __getitem__(self, place: int | slice) -> str | Numbered:
        if isinstance(place, slice):
            return Numbered(self.prefix, self.numbers[place])
        return f"{self.prefix} {int(self.numbers[place])}"


class Chosen(Sequence[str]):
    """Some of a longer sequence of names, in the order of `places`."""

    def __init__(self, names: Sequence[str], places: np.ndarray) -> None:
        self.names = names
        self.places = places

    def __len__(self) -> int:
        return len(self.places)

    @overload
    def __getitem__(self, place: int) -> str: ...
    @overload
    def __getitem__(self, place: slice) -> Chosen: ...
    def __getitem__(self, place: int | slice) -> str | Chosen:
        if isinstance(place, slice):
            return Chosen(self.names, self.places[place])
        return self.names[int(self.places[place])]


class Joined(Sequence[str]):
    """Several sequences of names, one after the other."""

    def __init__(self, parts: Sequence[Sequence[str]]) -> None:
        self.parts = tuple(parts)
        self.ends = np.cumsum([len(part) for part in self.parts])

    def __len__(self) -> int:
        return int(self.ends[-1])

    @overload
    def __getitem__(self, place: int) -> str: ...
    @overload
    def __getitem__(self, place: slice) -> Chosen: ...
    def __getitem__(self, place: int | slice) -> str | Chosen:
        if isinstance(place, slice):
            return Chosen(self, np.arange(len(self))[place])
        place = range(len(self))[place]
        part = int(np.searchsorted(self.ends, place, side="right"))
        return self.parts[part][place - int(self.ends[part]) + len(self.parts[part])]  # from the part's beginning


@dataclass
class Split:
    """Images of one split with their labels and names.

    Images of one group are copies of each other or pieces of one photograph: no drawn split parts them.
    """

    images: np.ndarray  # uint8 [N, C, H, W], may be a memmap
    labels: np.ndarray | None  # int64 [N]
    names: Sequence[str]
    index: np.ndarray  # int64 [N]: the place in the part of the source it was taken from
    groups: np.ndarray | None = None  # int64 [N], numbered over all splits: images of one group are one piece of evidence
    before: np.ndarray | None = None  # of clips, in their order: the frames before each image, uint8 [N, 4, C, H, W], the oldest first

    def __len__(self) -> int:
        return len(self.images)

    def take(self, rows: np.ndarray) -> np.ndarray:
        """The images uint8 [n, C, H, W] at rows int64 [n], copied."""
        return np.asarray(self.images[rows])


class JoinedSplits:
    """Several splits looked at as one, the images one part after the other; no image is copied before it is asked for."""

    def __init__(self, parts: Sequence[Split]) -> None:
        self.parts = tuple(parts)
        self.ends = np.cumsum([len(part) for part in self.parts])
        labels = [part.labels for part in self.parts if part.labels is not None]
        self.labels = np.concatenate(labels) if len(labels) == len(self.parts) else None  # int64 [N]
        self.names = Joined([part.names for part in self.parts])
        self.groups = self._groups()  # int64 [N], as of a split

    def __len__(self) -> int:
        return int(self.ends[-1])

    def take(self, rows: np.ndarray) -> np.ndarray:
        """The images uint8 [n, C, H, W] at rows int64 [n], copied."""
        rows = np.asarray(rows, np.int64)
        taken = np.empty((len(rows), *self.parts[0].images.shape[1:]), np.uint8)
        for part, end in zip(self.parts, self.ends.tolist(), strict=True):
            start = end - len(part)
            here = (rows >= start) & (rows < end)
            taken[here] = part.images[rows[here] - start]
        return taken

    def _groups(self) -> np.ndarray | None:
        """Those of the parts; the images of a part without any stand alone."""
        given = [part.groups for part in self.parts if part.groups is not None]
        if not given:
            return None
        free = int(max(groups.max(initial=-1) for groups in given)) + 1  # numbers from here on are nobody's
        pieces = []
        for part, end in zip(self.parts, self.ends.tolist(), strict=True):
            pieces.append(part.groups if part.groups is not None else np.arange(end - len(part), end) + free)
        return np.concatenate(pieces)


@dataclass
class DataSet:
    """A data set that is ready to train on.

    Attributes:
        factors: the true factors behind generated images, one array [N] each in the order they were generated;
            `factors[name][split.index]` belongs to a split.
        spans: for a text, (start, end) in bytes of each split.
        former_hash: what `hash` was in version 0.2, which drew copies of one image apart; empty where that changes nothing.
        captioned: whether the images' names are captions.
        preprocessing: how the files became pixels; a dropped image becomes so too.
        values, understood: as of a `Source`.
    """

    data: str  # what the user named
    name: str  # "fashion-mnist"
    kind: str  # "images" | "text"
    shape: tuple[int, ...]  # (C, H, W), empty for text
    classes: tuple[str, ...]
    splits: dict[str, Split]  # "train", "valid", "test"; empty for text
    hash: str  # SHA-256 of the content
    report: DataReport
    factors: dict[str, np.ndarray] | None = None
    text: bytes | None = None
    spans: dict[str, tuple[int, int]] = field(default_factory=dict)
    former_hash: str = ""
    captioned: bool = False
    preprocessing: Preprocessing = field(default_factory=Preprocessing)
    values: dict[str, Any] = field(default_factory=dict)
    understood: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Step:
    """How far a reader is."""

    done: int
    total: int | None
    unit: str
    note: str = ""


@dataclass(frozen=True)
class SampleWish:
    """A first answer that is wanted before the whole is read."""

    images: int  # that it may look at
    seconds: float | None = None  # that the looking may take; None: so many images, however long it takes


@dataclass
class Part:
    """Images as a source holds them: `train`, `valid`, `test`, or `all` when the source has no splits."""

    images: np.ndarray  # uint8 [N, C, H, W]
    labels: np.ndarray | None  # int64 [N]
    names: Sequence[str]
    groups: np.ndarray | None = None  # int64 [N], numbered over all parts, where the reader knows what belongs together
    before: np.ndarray | None = None  # of clips: the frames before each image, uint8 [N, 4, C, H, W], the oldest first
    past: np.ndarray | None = None  # of clips while `images` holds single frames: rows int64 [N, 5], the four before and the image itself
    prints: Fingerprints | None = None  # where who decoded the images has computed them

    def known_prints(self) -> Fingerprints | None:
        """What the images are compared by, where it is known; nothing where they have been replaced since."""
        return self.prints if self.prints is not None and self.prints.images is self.images else None


@dataclass
class Source:
    """What a reader found, before splitting, counting and hashing."""

    name: str
    parts: dict[str, Part] = field(default_factory=dict)
    classes: tuple[str, ...] = ()
    sizes: dict[str, int] = field(default_factory=dict)  # "28×28 grey" -> files; empty: as the arrays are
    bad: list[BadFile] = field(default_factory=list)
    bad_total: int = 0
    notes: list[str] = field(default_factory=list)
    factors: dict[str, np.ndarray] | None = None
    text: bytes | None = None
    encoding: str = "utf-8"
    captioned: bool = False  # names are captions
    grouped_by: str = ""  # what the groups of the parts are, in words: “patient”
    group_names: tuple[str, ...] = ()  # of the groups 0 … n - 1; higher numbers are images that stand alone
    preprocessing: Preprocessing = field(default_factory=Preprocessing)
    values: dict[str, Any] = field(default_factory=dict)  # of what was scaled: the lowest, the highest, a histogram
    understood: dict[str, Any] = field(
        default_factory=dict
    )  # where classes and splits are from, columns, left-out files, as JSON holds them

    def refuse(self, path: str, reason: str) -> None:
        """Count a file that could not be used; the list is capped, the total is exact."""
        from engine.data.limits import BAD_LISTED
        from engine.messages import BadFile

        self.bad_total += 1
        if len(self.bad) < BAD_LISTED:
            self.bad.append(BadFile(path, reason))


@dataclass(frozen=True)
class Sampled:
    """What is known of a source before all of it is read."""

    source: Source  # a few images, in the parts “train”, “valid” and “test” that they will be in
    counts: dict[str, int]  # split -> images of the whole, as far as names and tables tell
    class_counts: dict[str, list[int]]  # split -> images of each class


@dataclass(frozen=True)
class FirstAnswer:
    """A sample as a data set, whose report says how many images there are; the whole follows."""

    data: DataSet


def size_in_words(shape: tuple[int, ...]) -> str:
    """(C, H, W) as “28×28 grey”: width first, as people say it."""
    channels, height, width = shape
    return f"{width}×{height} {'grey' if channels == 1 else 'colour'}"
