"""Messages of the Errors pane: where a classifier is wrong, which images those are, and how far its confidence can be believed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.messages.base import Answer, Event, Query, Work

if TYPE_CHECKING:
    import numpy as np

__all__ = ["AnswersOf", "BrowseErrors", "ErrorImages", "ErrorsFound", "FindErrors"]


@dataclass(frozen=True)
class AnswersOf:
    """Whose answers, about which images of the run's own data."""

    run: str
    step: int | None = None
    split: str = "valid"  # "train" | "valid" | "test"
    limit: int | None = 5000  # images, spread over the split; None: all of it
    through: str = ""  # "classifier" | "bayes" (of p(x|y)) | "probe" (linear) or "knn", of an encoder; empty: the first that it has


@dataclass(frozen=True, eq=False, kw_only=True)
class FindErrors(Work):
    """Ask a classifier about held-out images -> `Progress`, one `ErrorsFound`. What was found is kept for `BrowseErrors`."""

    of: AnswersOf


@dataclass(frozen=True, eq=False)
class ErrorsFound(Event):
    """A classifier's errors in numbers; intervals are Wilson's, 95 %."""

    job: str
    of: AnswersOf  # with the step and by what it answers
    data: str  # what the run was trained on
    data_name: str
    classes: tuple[str, ...]
    images: int  # that were asked about
    total: int  # images of the split with a class
    matrix: np.ndarray  # images of true class i that were taken for class j, int64 [K, K]
    recall: np.ndarray  # of each class, with its interval; float64 [K, 3], NaN where it has no image
    precision: np.ndarray  # the same of its answers; NaN where it was never answered
    accuracy: tuple[float, float, float]  # with its interval
    figures: dict[str, float]  # accuracy, log_loss (nats), brier, calibration (ECE): each with “_se”; calibration_limit, confidence
    bins: np.ndarray  # reliability over bins of equal width, float64 [B, 7]: low, high, confidence, accuracy, its interval, count
    mass_bins: np.ndarray  # the same over bins of equally many answers
    pairs: tuple[tuple[int, int, int], ...]  # true class, predicted class, images: the most confused ones first
    note: str = ""  # what else the numbers rest on, in words


@dataclass(frozen=True, eq=False, kw_only=True)
class BrowseErrors(Query):
    """A page of the answers that `FindErrors` found -> `ErrorImages`.

    `kind` is “wrong” (the surest first), “unsure” (right ones, the least sure first) or “cell” (both, in this order); of one true class, of
    one predicted class, or of any where that is None.
    """

    of: AnswersOf  # as it stands in `ErrorsFound`
    kind: str = "wrong"
    true: int | None = None
    predicted: int | None = None
    offset: int = 0
    count: int = 60
    pixels: bool = True  # False: the numbers alone, for a table


@dataclass(frozen=True, eq=False, kw_only=True)
class ErrorImages(Answer):
    """Some answers of a classifier with their images."""

    of: AnswersOf
    kind: str
    true: int | None
    predicted: int | None
    offset: int
    total: int  # answers of this kind, on all pages
    images: np.ndarray  # uint8 [n, C, H, W]; of no image where pixels were not asked for
    indices: np.ndarray  # places in the split, int64 [n]
    labels: np.ndarray  # the true classes, int64 [n]
    answers: np.ndarray  # the likeliest classes, int64 [n]
    second: np.ndarray  # the next likeliest, int64 [n]
    confidence: np.ndarray  # p of the likeliest, float64 [n]
    p_second: np.ndarray  # p of the next likeliest, float64 [n]
    p_true: np.ndarray  # p of the true class, float64 [n]
    names: tuple[str, ...]  # of the files
