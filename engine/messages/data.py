"""Messages of data sets: list, inspect and forget them, and browse their images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.messages.base import Answer, Command, Event, Query

if TYPE_CHECKING:
    import numpy as np

__all__ = ["BadFile", "BrowseData", "DataInfo", "DataListed", "DataPage", "DataReport", "ForgetData", "OpenData"]


@dataclass(frozen=True)
class DataInfo:
    """A data set as the list of data sets shows it."""

    data: str  # what to pass as `--data`
    name: str
    kind: str  # "images" | "text"
    summary: str  # "1,797 · 8×8 · built in"
    built_in: bool = False
    training_images: int | None = None  # where it is known without opening the set
    has: tuple[str, ...] | None = None  # of "classes", "captions", "frames"; None where it is not known without opening the set


@dataclass(frozen=True, eq=False)
class BadFile:
    """A file that was left out, with the reason."""

    path: str
    reason: str


@dataclass(frozen=True)
class OpenData(Command):
    """Inspect a data set (built-in name, file or folder) and report on it: `Progress`, then `DataReport`, then `Ended`."""

    job: str
    data: str


@dataclass(frozen=True)
class ForgetData(Command):
    """Take a data set off the list; its files stay."""

    data: str


@dataclass(frozen=True, eq=False)
class DataListed(Event):
    """All data sets of the list."""

    data: tuple[DataInfo, ...]


@dataclass(frozen=True, eq=False)
class DataReport(Event):
    """What is in a data set, before anything is trained on it."""

    job: str
    data: str
    name: str
    kind: str  # "images" | "text"
    shape: tuple[int, ...]  # [C, H, W]; empty for text
    counts: dict[str, int]  # split -> images (or bytes)
    classes: tuple[str, ...]
    class_counts: dict[str, tuple[int, ...]]  # split -> images per class
    sizes: dict[str, int]  # "28×28 grey" -> how many files
    bad: tuple[BadFile, ...]
    bad_total: int
    duplicates: int  # images that are byte for byte equal to an earlier one
    duplicate_examples: tuple[tuple[str, str], ...]
    across_splits: int  # exact duplicates between train and test
    notes: tuple[str, ...]  # what was adapted and how, what is missing, how it was split
    hash: str
    text_sample: str = ""
    seconds: float = 0.0
    near_duplicates: int = 0  # images that are nearly the same as another, but for compression, brightness or a slight crop
    near_examples: tuple[tuple[str, str, int], ...] = ()  # (name, name, bits that their perceptual hashes differ in), across splits first
    near_across_splits: int = 0  # test images that are nearly the same as one for training or validation


@dataclass(frozen=True, eq=False, kw_only=True)
class BrowseData(Query):
    """A page of a data set's images -> `DataPage`. `label` and `split` filter; `seen_by` shows them as that run's network sees them."""

    data: str
    split: str = "train"  # "train" | "valid" | "test"
    offset: int = 0
    count: int = 48
    label: int | None = None
    seen_by: str | None = None


@dataclass(frozen=True, eq=False, kw_only=True)
class DataPage(Answer):
    """Some images or a stretch of text of a data set."""

    data: str
    split: str
    offset: int
    total: int
    images: np.ndarray
    labels: tuple[str, ...]
    names: tuple[str, ...]
    indices: tuple[int, ...]
    text: str = ""  # for a text: the bytes of this page
    notes: tuple[str, ...] = ()
