"""How a comparison of two sets of scores is said and drawn: an AUROC in words, and the range of a histogram.

The figures themselves are in `engine.common.ood_metrics`.
"""

from __future__ import annotations

import numpy as np

from app.shell.formatting import number

KNOWN_LOST = 0.05  # share of held-out images that the first threshold calls strange
CHANCE = 0.5
FEW = 20  # with fewer images single points say more than a histogram


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


def _finite(values: np.ndarray) -> np.ndarray:
    values = np.asarray(values, np.float64).ravel()
    return values[np.isfinite(values)]
