"""How well scores tell known images from out-of-distribution (OOD) ones: AUROC with its interval, rates, thresholds.

How unusual one score is stands in `significance.py`.

One convention everywhere: a high score means unlike the training data, OOD is the positive class, and nothing is ever flipped: an
area under the ROC curve below 0.5 is a result. A score that is not a number counts as the highest, so that no image drops out of a
comparison; without images on a side that is needed a figure is NaN (`require_scores` raises instead). Numpy only, and no model.
"""

from __future__ import annotations

import math

import numpy as np

CONFIDENCE = 0.95  # of intervals
DRAWS = 1000  # of a bootstrap
DRAWS_AT_ONCE = 50  # so that memory stays small
FPR95 = "share of known images called OOD at the threshold that catches 95 % of the OOD images (OOD positive, as in OpenOOD)"
FPR95_OTHER = "share of OOD images taken for known where 95 % of the known images are kept (known positive, Liang et al. 2018)"


class BadScores(ValueError):
    """One sentence: why these scores cannot be compared."""


# ---------------------------------------------------------------------------------------------------------------------
# How well scores separate
# ---------------------------------------------------------------------------------------------------------------------


def require_scores(*sides: np.ndarray) -> None:
    """Nothing, where every side has a score.

    Raises:
        BadScores: one has none.
    """
    if not all(np.size(side) for side in sides):
        raise BadScores("There are no scores to compare; score at least one image on each side.")


def auroc(known: np.ndarray, unknown: np.ndarray) -> float:
    """Area under the ROC curve: the probability that an OOD image scores higher than a known one, ties counting half
    (Mann and Whitney 1947: U / n₁n₂).

    Args:
        known: scores of in-distribution images [n].
        unknown: scores of OOD images [m].
    """
    known, unknown = _sorted(known), _sorted(unknown)
    if not len(known) or not len(unknown):
        return math.nan
    below = np.searchsorted(known, unknown, "left")  # known images each OOD image beats
    not_above = np.searchsorted(known, unknown, "right")
    return float((below + not_above).sum() / (2 * len(known) * len(unknown)))


def auroc_interval(
    known: np.ndarray,
    unknown: np.ndarray,
    known_groups: np.ndarray | None = None,
    unknown_groups: np.ndarray | None = None,
    draws: int = DRAWS,
    seed: int = 0,
) -> tuple[float, float]:
    """The AUROC's bootstrap interval of 95 % (percentiles; Efron 1979): both sides are drawn anew, whole groups at a time.

    NaN where a side has fewer than two groups. Where the sides do not overlap at all every draw is 0 or 1, and the interval says nothing
    about how few images there are.

    Args:
        known, unknown: scores [n] and [m].
        known_groups, unknown_groups: which group an image belongs to, int64 [n] and [m]; None where each is its own.
        seed: of the draws.
    """
    known, unknown = _ranked(known), _ranked(unknown)
    sides = [_members(len(known), known_groups), _members(len(unknown), unknown_groups)]
    if min(len(sizes) for _, sizes in sides) < 2:
        return math.nan, math.nan
    rng = np.random.default_rng(seed)
    order = np.argsort(known, kind="stable")
    below = np.searchsorted(known[order], unknown, "left")
    not_above = np.searchsorted(known[order], unknown, "right")
    areas = []
    for start in range(0, draws, DRAWS_AT_ONCE):
        count = min(DRAWS_AT_ONCE, draws - start)
        weights = []
        for places, sizes in sides:
            drawn = rng.multinomial(len(sizes), np.full(len(sizes), 1 / len(sizes)), count)  # how often each group
            weights.append(drawn[:, places].astype(np.float64))
        ours = np.concatenate([np.zeros((count, 1)), weights[0][:, order].cumsum(1)], 1)  # weight of known images below each place
        wins = ((ours[:, below] + ours[:, not_above]) / 2 * weights[1]).sum(1)
        areas.append(wins / (weights[0].sum(1) * weights[1].sum(1)))
    low, high = np.quantile(np.concatenate(areas), [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)


def _members(count: int, groups: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Each image's group as a number [count], and the groups' sizes [G]."""
    if groups is None:
        return np.arange(count), np.ones(count, np.int64)
    _, places, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    return places, sizes


def share_at_or_above(scores: np.ndarray, threshold: float) -> float:
    """Share of the scores [n] that are called OOD: `score ≥ threshold`."""
    scores = _ranked(scores)
    return float((scores >= threshold).mean()) if len(scores) else math.nan


def rates_at(known: np.ndarray, unknown: np.ndarray, threshold: float) -> tuple[float, float]:
    """(true positive rate, false positive rate) at a threshold, of scores [n] and [m]."""
    return share_at_or_above(unknown, threshold), share_at_or_above(known, threshold)


def threshold_at(unknown: np.ndarray, share: float = 0.95) -> float:
    """The highest threshold with a true positive rate of at least `share`, of the scores of OOD images [m]."""
    ordered = _sorted(unknown)
    if not len(ordered):
        return math.nan
    return float(ordered[len(ordered) - max(1, math.ceil(share * len(ordered) - 1e-9))])


def threshold_at_fpr(known: np.ndarray, share: float = 0.05) -> float:
    """The lowest threshold with a false positive rate of at most `share`, of the scores of known images [n]."""
    ordered = _sorted(known)
    if not len(ordered):
        return math.nan
    kept = len(ordered) - math.floor(share * len(ordered) + 1e-9)  # so many must stay below
    return float(np.nextafter(ordered[kept - 1], np.inf))


def fpr_at(known: np.ndarray, unknown: np.ndarray, share: float = 0.95) -> float:
    """FPR@95: the false positive rate at the threshold whose true positive rate is 95 %. Scores [N] of known and [M] of unknown images.

    OOD is the positive class, as in the code of OpenOOD (Yang et al. 2022). Liang et al. 2018 and Liu et al. 2020 fix 95 % of the
    known images instead and count OOD images: another number.
    """
    if not np.size(unknown):
        return math.nan
    return share_at_or_above(known, threshold_at(unknown, share))


def missed_at(known: np.ndarray, unknown: np.ndarray, share: float = 0.95) -> float:
    """The other convention of FPR@95 (Liang et al. 2018): the share of OOD images [m] that are taken for known at the lowest threshold
    which keeps at least `share` of the known ones [n].
    """
    if not np.size(known) or not np.size(unknown):
        return math.nan
    return 1.0 - share_at_or_above(unknown, threshold_at_fpr(known, 1 - share))


def changed_calls(scores: np.ndarray, before: float, after: float) -> np.ndarray:
    """Places int64 of the scores [n] that another threshold calls differently, the nearest to the new one first."""
    scores = _ranked(scores)
    changed = np.flatnonzero((scores >= before) != (scores >= after))
    return changed[np.argsort(np.abs(scores[changed] - after), kind="stable")]


def crossing(xs: np.ndarray, ys: np.ndarray, level: float) -> float | None:
    """x at which the line through the points (xs, ys) [n] first falls below a level; None where it never does."""
    xs, ys = np.asarray(xs, np.float64), np.asarray(ys, np.float64)
    below = np.flatnonzero(ys < level)
    if not len(below):
        return None
    first = int(below[0])
    if first == 0 or not np.isfinite(ys[first - 1]):
        return float(xs[first])
    share = (ys[first - 1] - level) / (ys[first - 1] - ys[first])
    return float(xs[first - 1] + share * (xs[first] - xs[first - 1]))


def average_precision(known: np.ndarray, unknown: np.ndarray) -> float:
    """Average precision Σ (recall_k - recall_{k-1}) precision_k over all thresholds, OOD positive, of scores [N] and [M]. It depends on
    how many images each side has.
    """
    scores = np.concatenate([_ranked(known), _ranked(unknown)])
    positive = np.concatenate([np.zeros(np.size(known)), np.ones(np.size(unknown))])
    if not np.size(known) or not np.size(unknown):
        return math.nan
    order = np.argsort(-scores, kind="stable")
    scores, caught = scores[order], np.cumsum(positive[order])
    ends = np.flatnonzero(np.append(scores[1:] != scores[:-1], True))  # equal scores share one threshold
    precision, recall = caught[ends] / (ends + 1), caught[ends] / np.size(unknown)
    return float((np.diff(recall, prepend=0.0) * precision).sum())


def histogram_shares(scores: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Share of the scores [n] in each bin between edges [k + 1], [k]; what lies outside is counted in the bin at that end."""
    scores = _ranked(scores)
    if not len(scores):
        return np.zeros(len(edges) - 1)
    return np.histogram(np.clip(scores, edges[0], edges[-1]), edges)[0] / len(scores)


def _ranked(scores: np.ndarray) -> np.ndarray:
    """Scores as float64 [n]; one that is not a number counts as the highest."""
    scores = np.asarray(scores, np.float64).ravel()
    return np.where(np.isnan(scores), math.inf, scores)


def _sorted(scores: np.ndarray) -> np.ndarray:
    return np.sort(_ranked(scores))
