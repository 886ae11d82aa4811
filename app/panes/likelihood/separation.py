"""How a comparison of two sets of scores is said and drawn: an AUROC in words, and the range of a histogram.

The figures themselves are in `engine.common.ood_metrics`.
"""

from __future__ import annotations

import numpy as np

from app.shell.formatting import number, things

KNOWN_LOST = 0.05  # share of held-out images that the first threshold calls strange
CHANCE = 0.5
FEW = 20  # with fewer images single points say more than a histogram


FAR = 4.0  # times the distance of the quartiles beyond them: what lies farther out is an outlier, and does not stretch an axis


def shown_range(*sides: np.ndarray) -> tuple[float, float]:
    """From where to where a histogram of these is drawn: everything, unless a few stragglers would press the rest into a corner.

    Of each side that is what its quartiles reach (`FAR`); of one with fewer than `FEW` images, beside one with more, what is near that.
    """
    sides = tuple(side for side in map(_finite, sides) if len(side))
    if not sides:
        return 0.0, 1.0
    together = np.concatenate(sides)
    low, high = float(together.min()), float(together.max())
    cores = [_core(side) for side in [side for side in sides if len(side) >= FEW] or sides]
    core_low, core_high = min(core[0] for core in cores), max(core[1] for core in cores)
    room = core_high - core_low
    if room > 0:
        low, high = max(low, core_low - room / 2), min(high, core_high + room / 2)
    if high - low <= 0:
        half = max(abs(low) * 0.05, 0.5)
        return low - half, high + half
    return low - 0.03 * (high - low), high + 0.03 * (high - low)


def auroc_in_words(value: float, strangers: int = FEW) -> tuple[str, str]:
    """What an AUROC says, and its level."""
    if not np.isfinite(value):
        return "", ""
    if strangers < FEW:
        return f"From {things(strangers, 'image')} only: it takes about {FEW} for such a figure to mean much.", ""
    if value < CHANCE - 0.02:
        return "Below 0.5: it finds the strangers more likely than its own data.", "warning"
    if value < CHANCE + 0.1:
        return "It hardly tells the two apart: 0.5 is guessing.", "warning"
    return (
        f"Of all pairs of a known image and a stranger, {number(100 * value, 1, '%')} have the stranger on the right side.",
        "good" if value >= 0.9 else "",
    )


def beyond(low: float, high: float, *sides: np.ndarray) -> tuple[int, int]:
    """How many of these lie below and above what is drawn; a score that is no number is drawn nowhere, and counts as above."""
    together = np.concatenate([np.asarray(side, np.float64).ravel() for side in sides])
    return int((together < low).sum()), int((~(together <= high)).sum())


def beyond_in_words(below: int, above: int) -> str:
    """That something lies outside of the axis, and at which end; empty where nothing does."""
    parts = [f"{number(n, 0)} {where}" for n, where in ((below, "below"), (above, "above")) if n]
    return f"Not drawn: {' and '.join(parts)} the axis" if parts else ""


def _core(side: np.ndarray) -> tuple[float, float]:
    """Where nearly all of some values are: their 1st to 99th percentiles, but no outliers."""
    first, low, high, last = np.percentile(side, (1, 25, 75, 99))
    reach = FAR * (high - low)
    if reach <= 0:  # most are equal
        return float(first), float(last)
    return float(max(first, low - reach)), float(min(last, high + reach))


def _finite(values: np.ndarray) -> np.ndarray:
    values = np.asarray(values, np.float64).ravel()
    return values[np.isfinite(values)]
