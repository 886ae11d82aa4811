"""Where a classifier is wrong, and whether its confidence can be believed: plain functions of arrays. No run, no file, no lane.

Of every image only a few numbers are kept (`Answered`), so memory grows with the images and not with images times classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from engine.common.calibration import BINS
from engine.common.intervals import share_interval, standard_error
from engine.evaluation.bayes import calibration

PAIRS = 20  # of classes that are taken for each other most often


@dataclass(frozen=True)
class Answered:
    """What a classifier said of N images whose classes are known."""

    labels: np.ndarray  # the true class, int64 [N]
    predicted: np.ndarray  # the likeliest class, int64 [N]
    second: np.ndarray  # the next likeliest, int64 [N]
    confidence: np.ndarray  # p of the likeliest, float64 [N]
    p_second: np.ndarray  # p of the next likeliest, float64 [N]
    p_true: np.ndarray  # p of the true class, float64 [N]
    log_loss: np.ndarray  # -log p of the true class in nats, float64 [N]
    brier: np.ndarray  # Σ_k (p_k - [k is true])², float64 [N], from 0 to 2 (Brier 1950)

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def right(self) -> np.ndarray:
        """Whether the likeliest class is the true one, bool [N]."""
        return self.predicted == self.labels


def answered(log_p: np.ndarray, labels: np.ndarray) -> Answered:
    """What is kept of log p(y|x) [N, K], normalized, beside the true classes int64 [N]. Among equals the first class is the likeliest."""
    log_p, labels = np.asarray(log_p, np.float64), np.asarray(labels, np.int64)
    p, rows = np.exp(log_p), np.arange(len(labels))
    predicted = log_p.argmax(1)
    others = log_p.copy()
    others[rows, predicted] = -np.inf
    second = others.argmax(1) if log_p.shape[1] > 1 else predicted
    p_true = p[rows, labels]
    return Answered(
        labels,
        predicted,
        second,
        p[rows, predicted],
        p[rows, second],
        p_true,
        -log_p[rows, labels],
        (p**2).sum(1) - 2 * p_true + 1,
    )


def joined(parts: Sequence[Answered]) -> Answered:
    """Answers about several batches as one."""
    return Answered(*(np.concatenate([getattr(part, name) for part in parts]) for name in Answered.__dataclass_fields__))


class Bins(NamedTuple):
    """A reliability diagram (DeGroot and Fienberg 1983) of B bins that hold at least one answer."""

    low: np.ndarray  # of confidence, float64 [B]
    high: np.ndarray
    confidence: np.ndarray  # mean of the bin, float64 [B]
    accuracy: np.ndarray  # share of right answers, float64 [B]
    accuracy_low: np.ndarray  # Wilson's 95 % interval of it, float64 [B]
    accuracy_high: np.ndarray
    count: np.ndarray  # int64 [B]


def reliability(confidence: np.ndarray, right: np.ndarray, bins: int = BINS, equal_mass: bool = False) -> Bins:
    """Accuracy in bins of confidence: of equal width (b/B, (b+1)/B], or of about equally many answers.

    Answers of equal confidence are never parted, so bins of equal mass are fewer where many answers are equally sure.

    Args:
        confidence: p of each answer [N]. right: whether it was right [N].
    """
    confidence, right = np.asarray(confidence, np.float64), np.asarray(right, np.float64)
    edges = np.quantile(confidence, np.linspace(0, 1, bins + 1)) if equal_mass and len(confidence) else np.linspace(0, 1, bins + 1)
    place = np.searchsorted(edges[1:-1], confidence)
    count = np.bincount(place, minlength=bins)
    some = np.flatnonzero(count)
    sure, true = (np.bincount(place, weights=values, minlength=bins)[some] for values in (confidence, right))
    n = count[some]
    intervals = np.array([share_interval(float(k), int(m)) for k, m in zip(true, n, strict=True)]).reshape(-1, 2)
    return Bins(edges[some], edges[some + 1], sure / n, true / n, intervals[:, 0], intervals[:, 1], n)


class ConfusedPair(NamedTuple):
    """How often images of one class were taken for another."""

    true: int
    predicted: int
    count: int
    share: float  # of the images of the true class


@dataclass(frozen=True)
class ErrorReport:
    """A classifier's errors in numbers. Intervals are Wilson's (1927), 95 %, and take each image for a trial of its own."""

    matrix: np.ndarray  # images of true class i that were taken for class j, int64 [K, K]
    recall: np.ndarray  # of each class: share of its images that were found, low, high; float64 [K, 3], NaN where it has none
    precision: np.ndarray  # share of the answers of each class that were right, low, high; float64 [K, 3], NaN where it was never answered
    accuracy: tuple[float, float, float]  # with its interval
    figures: dict[str, float]  # accuracy, log_loss (nats), brier, calibration (ECE): each with “_se”; calibration_limit, confidence
    equal_width: Bins
    equal_mass: Bins
    pairs: tuple[ConfusedPair, ...]  # the most confused ones first


def confusion(labels: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """Images of true class i (rows) that were taken for class j (columns), int64 [K, K]."""
    return np.bincount(np.asarray(labels) * classes + np.asarray(predicted), minlength=classes * classes).reshape(classes, classes)


def shares(counts: np.ndarray, totals: np.ndarray) -> np.ndarray:
    """counts / totals with Wilson's intervals, float64 [K, 3]; NaN where the total is 0."""
    return np.array(
        [(k / n, *share_interval(float(k), int(n))) if n else (np.nan,) * 3 for k, n in zip(counts, totals, strict=True)]
    ).reshape(-1, 3)


def most_confused(matrix: np.ndarray, most: int = PAIRS) -> tuple[ConfusedPair, ...]:
    """The cells beside the diagonal with the most images, at most `most` of them; of equal ones the larger share first."""
    wrong = matrix.copy()
    np.fill_diagonal(wrong, 0)
    totals = matrix.sum(1)
    rows, columns = np.nonzero(wrong)
    pairs = [ConfusedPair(int(i), int(j), int(wrong[i, j]), float(wrong[i, j] / totals[i])) for i, j in zip(rows, columns, strict=True)]
    return tuple(sorted(pairs, key=lambda pair: (-pair.count, -pair.share, pair.true, pair.predicted))[:most])


def report(told: Answered, classes: int, groups: np.ndarray | None = None, seed: int = 0) -> ErrorReport:
    """Everything that follows from the answers; the standard errors are those of the verb `eval`.

    Args:
        groups: images that are one piece of evidence, int64 [N]; None: each is its own.
    """
    matrix = confusion(told.labels, told.predicted, classes)
    right, found = told.right, np.diag(matrix)
    figures = {"accuracy": float(right.mean()), "log_loss": float(told.log_loss.mean()), "brier": float(told.brier.mean())}
    for name, values in (("accuracy", right.astype(np.float64)), ("log_loss", told.log_loss), ("brier", told.brier)):
        figures[f"{name}_se"] = standard_error(values, groups)
    figures |= calibration(told.confidence, right, groups, seed)
    figures["confidence"] = float(told.confidence.mean())
    return ErrorReport(
        matrix,
        shares(found, matrix.sum(1)),
        shares(found, matrix.sum(0)),
        (figures["accuracy"], *share_interval(float(right.sum()), len(right))),
        figures,
        reliability(told.confidence, right),
        reliability(told.confidence, right, equal_mass=True),
        most_confused(matrix),
    )


# ---------------------------------------------------------------------------------------------------------------------
# Which images
# ---------------------------------------------------------------------------------------------------------------------

WRONG, UNSURE, CELL = "wrong", "unsure", "cell"
KINDS = (WRONG, UNSURE, CELL)


def chosen(told: Answered, kind: str, true: int | None = None, predicted: int | None = None) -> np.ndarray:
    """Places int64 [n] of the answers that are meant, in the order they are looked at.

    “wrong”: wrong ones, the surest first. “unsure”: right ones, the least sure first. “cell”: all, right and wrong, the surest wrong ones
    first and then the least sure right ones. Of one true class, of one predicted class, or of any where that is None.
    """
    wanted = np.ones(len(told), bool) if kind == CELL else told.right == (kind == UNSURE)
    if true is not None:
        wanted &= told.labels == true
    if predicted is not None:
        wanted &= told.predicted == predicted
    places = np.flatnonzero(wanted)
    right = told.right[places]
    return places[np.lexsort((np.where(right, told.confidence[places], -told.confidence[places]), right))]
