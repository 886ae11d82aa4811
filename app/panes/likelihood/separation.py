"""What a threshold on a score does to two sets of images, and how a histogram and a path of scores are read.

Numpy only, and small enough to follow a dragged threshold; AUROC, FPR@95 and p-values are in `engine.common.ood_metrics`, whose
convention holds here too: a high score means "unlike the training data", OOD images are the positives, nothing is flipped. A score
that is not a number counts as the highest.
"""

from __future__ import annotations

import numpy as np

from app.shell.formatting import number

KNOWN_LOST = 0.05  # share of held-out images that the first threshold calls strange
CHANCE = 0.5
FEW = 20  # with fewer images single points say more than a histogram


def rates(known: np.ndarray, strange: np.ndarray, threshold: float) -> tuple[float, float]:
    """Shares of strange and of known images at or above the threshold: true and false positives. NaN for an empty side."""
    return _share(strange, threshold), _share(known, threshold)


def first_threshold(known: np.ndarray, lost: float = KNOWN_LOST) -> float:
    """The lowest score that at most `lost` of the held-out images reach. NaN without images."""
    ordered = np.sort(_ranked(known))
    if not len(ordered):
        return float("nan")
    kept = len(ordered) - int(np.floor(lost * len(ordered) + 1e-9))  # so many must stay below
    return float(np.nextafter(ordered[kept - 1], np.inf))


def flipped(scores: np.ndarray, before: float, after: float) -> np.ndarray:
    """Indices of the scores that are called differently by another threshold, the nearest to the new one first."""
    scores = _ranked(scores)
    changed = np.flatnonzero((scores >= before) != (scores >= after))
    return changed[np.argsort(np.abs(scores[changed] - after), kind="stable")]


def crossing(strengths: np.ndarray, values: np.ndarray, level: float) -> float | None:
    """Where a path first falls below a level: on the line between its points. None when it never does."""
    strengths, values = np.asarray(strengths, np.float64), np.asarray(values, np.float64)
    below = np.flatnonzero(values < level)
    if not len(below):
        return None
    first = int(below[0])
    if first == 0 or not np.isfinite(values[first - 1]):
        return float(strengths[first])
    before, after = values[first - 1], values[first]
    share = (before - level) / (before - after)
    return float(strengths[first - 1] + share * (strengths[first] - strengths[first - 1]))


def shown_range(*sides: np.ndarray) -> tuple[float, float]:
    """From where to where a histogram of these is drawn: everything, unless a few stragglers would press the rest into a corner."""
    sides = tuple(side for side in map(_finite, sides) if len(side))
    if not sides:
        return 0.0, 1.0
    together = np.concatenate(sides)
    low, high = float(together.min()), float(together.max())
    wide = [np.percentile(side, (1, 99)) for side in sides]
    core_low, core_high = float(min(w[0] for w in wide)), float(max(w[1] for w in wide))
    room = core_high - core_low
    if room > 0:
        low, high = max(low, core_low - room / 2), min(high, core_high + room / 2)
    if high - low <= 0:
        half = max(abs(low) * 0.05, 0.5)
        return low - half, high + half
    return low - 0.03 * (high - low), high + 0.03 * (high - low)


def shares(scores: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Share of the scores in each bin; what lies outside is counted in the bin at that end."""
    scores = _ranked(scores)
    if not len(scores):
        return np.zeros(len(edges) - 1)
    inside = np.clip(scores, edges[0], edges[-1])
    return np.histogram(inside, edges)[0] / len(scores)


def auroc_in_words(value: float, strangers: int = FEW) -> tuple[str, str]:
    """What an AUROC says, and its level."""
    if not np.isfinite(value):
        return "", ""
    if strangers < FEW:
        return f"From {strangers} image{'s' if strangers != 1 else ''} only: it takes about {FEW} for such a figure to mean much.", ""
    if value < CHANCE - 0.02:
        return "Below 0.5: it finds the strangers more likely than its own data.", "warning"
    if value < CHANCE + 0.1:
        return "It hardly tells the two apart: 0.5 is guessing.", "warning"
    return (
        f"Of all pairs of a known image and a stranger, {number(100 * value, 1, '%')} have the stranger on the right side.",
        "good" if value >= 0.9 else "",
    )


def _ranked(values: np.ndarray) -> np.ndarray:
    values = np.asarray(values, np.float64).ravel()
    return np.where(np.isnan(values), np.inf, values)


def _finite(values: np.ndarray) -> np.ndarray:
    values = np.asarray(values, np.float64).ravel()
    return values[np.isfinite(values)]


def _share(scores: np.ndarray, threshold: float) -> float:
    scores = _ranked(scores)
    return float((scores >= threshold).mean()) if len(scores) else float("nan")
