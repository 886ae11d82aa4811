"""Messages of data sets: list, inspect and forget them, and browse their images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.messages.base import Answer, Command, Event, Query

if TYPE_CHECKING:
    import numpy as np

__all__ = [
    "BadFile", "BrowseData", "ClassExamples", "ClassExamplesFound", "DataInfo", "DataListed", "DataPage", "DataReport", "DataSampled",
    "DataWarning", "ForgetData", "ImportFacts", "LeftOutFiles", "ListData", "OpenData",
]  # fmt: skip


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
    grey: bool | None = None  # whether its images have one channel; None where it is not known without opening the set
    lost: bool = False  # it was opened before, and nothing lies at its place now
    decided: str = ""  # how it is read, in words: “labels dx · curated: 2 left out”


@dataclass(frozen=True, eq=False)
class BadFile:
    """A file that was left out, with the reason."""

    path: str
    reason: str


@dataclass(frozen=True)
class OpenData(Command):
    """Inspect a data set (built-in name, file or folder) and report on it: `Progress`, then `DataReport`, then `Ended`.

    With a `sample` of images, `DataSampled` comes before as soon as there is something to show, where reading the whole takes longer.
    """

    job: str
    data: str
    listed: bool = True  # False: it is only tried, and does not come onto the list
    sample: int = 0  # images that a first answer may look at; 0: none is wanted


@dataclass(frozen=True)
class ListData(Command):
    """Put a data set on the list without reading it again -> `DataListed`."""

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
class LeftOutFiles:
    """Files that were left out for one reason."""

    count: int
    examples: tuple[str, ...]
    reason: str  # ends the sentence that begins with their number
    keep: tuple[str, ...] = ()  # patterns of the decision `keep` that use them all the same; none where they cannot be used


@dataclass(frozen=True, eq=False)
class DataWarning:
    """What a person should know of a set before they train on it."""

    kind: str  # "leak" | "near_leak" | "few" | "imbalance" | "test_only" | "bands" | "ungrouped" | "doubt"
    text: str
    decision: tuple[str, str] | None = None  # that would mend it: its name and value in a recipe
    offer: str = ""  # that decision in words


@dataclass(frozen=True, eq=False)
class ImportFacts:
    """What an import understood of a set of images, and which decisions can change it."""

    decisions: dict[str, Any]  # those that were made, as a recipe holds them
    offered: tuple[str, ...]  # names of those that make sense for this kind of data; none for what comes with the program
    classes_from: str  # "folders" | "names" | "none" | "TABLE:COLUMN" | words
    splits_from: str  # "folders" | "none" | "TABLE:COLUMN" | words
    columns: tuple[str, ...] = ()  # that could be the classes, "TABLE:COLUMN"
    group_columns: tuple[str, ...] = ()  # that could say which images belong together
    split_columns: tuple[str, ...] = ()  # that could be the splits, and lists of files that could
    levels: tuple[str, ...] = ()  # folders that could be the classes, by their depth: some of their names
    arrays: tuple[str, ...] = ()  # that could be the images
    class_level: int | None = None  # which of the levels names the class, where folders do
    groups_from: str = "none"  # "folder" | "TABLE:COLUMN" | an array | "none"
    array: str = ""  # what the images are taken from, where they are arrays
    original_classes: tuple[str, ...] = ()  # before they were renamed
    left_out: tuple[LeftOutFiles, ...] = ()
    scale: tuple[float, float] | None = None  # the values that become black and white; None: 8 bits as they are
    low: float | None = None  # of all values before they were scaled
    high: float | None = None
    histogram: tuple[int, ...] = ()  # of values before, in equal steps from low to high
    counted: int = 0  # values in it: all, or a sample spread evenly
    histogram_after: tuple[int, ...] = ()  # of the 8-bit values, in equal steps of 0..255
    background: str = "white"
    fit: str = "crop"
    largest_side: int = 64  # pixels that `size` may be


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
    understood: ImportFacts | None = None  # of images
    warnings: tuple[DataWarning, ...] = ()
    sampled: int = 0  # images that all but counts and names is told from, where the whole was not read; 0: all of them


@dataclass(frozen=True, eq=False)
class DataSampled(Event):
    """A first answer of a job that reads a data set: counts by names and tables, all else from a few images. Its `DataReport` follows."""

    job: str
    report: DataReport  # without a hash and without duplicates


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


@dataclass(frozen=True, eq=False, kw_only=True)
class ClassExamples(Query):
    """A few images of each of some classes in a split, spread over it -> `ClassExamplesFound`."""

    data: str
    rows: tuple[tuple[str, int], ...]  # (split, class); class -1: of the whole split
    each: int = 5
    sample: bool = False  # of the images of the newest first answer, and of no other


@dataclass(frozen=True, eq=False, kw_only=True)
class ClassExamplesFound(Answer):
    """Images uint8 [n, C, H, W], those of one row after those of the other."""

    data: str
    rows: tuple[tuple[str, int], ...]
    counts: tuple[int, ...]  # images of each row
    images: np.ndarray
