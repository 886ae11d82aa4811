"""How unusual one score is among those of held-out images: p-values, their floor, several scores and several images at once, words.

The null hypothesis is that an image comes from where the held-out images come from. Images of one group (patches of one picture,
twins) are one piece of evidence together. Numpy only, and no model.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from engine.common.counting import number_of

ALPHAS = (0.05, 0.01)  # levels that verdicts are given at
FALSE_DISCOVERIES = 0.05  # share of false ones among the images that are marked in a folder, at most, on average
SLACK = 1e-9  # of a comparison with α: sums of weights are rounded

Level = str  # "none": no verdict | "plain": not unusual | "warning": p ≤ 0.05 | "bad": p ≤ 0.01


class NoPValue(ValueError):
    """One sentence: why a number cannot be judged."""


def count_groups(count: int, groups: np.ndarray | None) -> int:
    """Independent pieces of evidence in `count` images: the number of groups [count], or of images where there are none."""
    return count if groups is None else len(np.unique(groups))


def p_floor(groups: int, scores: int = 1) -> float:
    """The smallest p-value that G groups of held-out images can give: 1 / (G + 1), and m times that after correcting m scores by Holm."""
    return min(1.0, scores / (groups + 1))


def groups_needed(alpha: float, scores: int = 1) -> int:
    """How many groups of held-out images a p-value needs to reach `alpha`: m / (G + 1) ≤ α."""
    return math.ceil(scores / alpha - 1 - SLACK)


def p_values(known: np.ndarray, scores: np.ndarray, groups: np.ndarray | None = None) -> np.ndarray:
    """(1 + Σ_g share of group g that scores at least as high) / (G + 1) for every score: how unusual it is among held-out images.

    Without groups this is (1 + #{known ≥ s}) / (n + 1), the conformal p-value (Vovk et al. 2005). With them each group counts as one
    (Lee, Barber and Willett 2023, arXiv 2306.06342, hierarchical conformal prediction). For an image of a new group, drawn as the
    held-out ones were, P(p ≤ α) ≤ α for every α.

    Args:
        known: scores of held-out images [n]; one that is not a number counts as the highest.
        scores: [k], the same.
        groups: which group each held-out image belongs to, int64 [n].
    """
    known, scores = _ranked(known), _ranked(scores)
    order = np.argsort(known, kind="stable")
    if groups is None:
        weights, total = np.ones(len(known)), len(known)
    else:
        _, places, sizes = np.unique(groups, return_inverse=True, return_counts=True)
        weights, total = 1 / sizes[places], len(sizes)
    above = np.append(np.cumsum(weights[order][::-1])[::-1], 0.0)  # weight at or above each place
    return np.minimum((1 + above[np.searchsorted(known[order], scores, "left")]) / (total + 1), 1.0)


def holm(p: np.ndarray) -> np.ndarray:
    """Holm's adjusted p-values [..., m] of m hypotheses in the last axis (Holm 1979): valid however they depend on each other.

    Their minimum, min(1, m · min p), is the p-value of "none of the m scores is unusual".
    """
    p = np.asarray(p, np.float64)
    order = np.argsort(p, -1, kind="stable")
    factors = p.shape[-1] - np.arange(p.shape[-1])
    stepped = np.maximum.accumulate(np.take_along_axis(p, order, -1) * factors, -1)
    out = np.empty_like(p)
    np.put_along_axis(out, order, np.minimum(stepped, 1.0), -1)
    return out


def combined_p(p: np.ndarray) -> float:
    """The one p-value of several scores [m] of an image: the smallest after Holm's correction; NaN without any."""
    return float(holm(p).min()) if np.size(p) else math.nan


def benjamini_hochberg(p: np.ndarray) -> np.ndarray:
    """Benjamini and Hochberg's adjusted p-values [n] of n images (1995): those at or below q are marked with at most a share q of false
    marks on average.

    Proven for p-values that depend positively, as those of one score and one set of held-out images do (Bates et al. 2023).
    """
    p = np.asarray(p, np.float64).ravel()
    order = np.argsort(p, kind="stable")
    stepped = p[order] * len(p) / np.arange(1, len(p) + 1)
    out = np.empty_like(p)
    out[order] = np.minimum(np.minimum.accumulate(stepped[::-1])[::-1], 1.0)
    return out


def marked_sentence(marked: int, images: int, floor: float) -> str:
    """How many images of a folder `benjamini_hochberg` marks, without a full stop; that it can mark none where no p-value of them can be
    below `floor`, and that is too high.
    """
    if floor > FALSE_DISCOVERIES + SLACK:
        return f"Too few held-out images to mark any of {images:,} at a false discovery rate of {100 * FALSE_DISCOVERIES:.0f} %"
    return f"{marked:,} of {images:,} unusual at a false discovery rate of {100 * FALSE_DISCOVERIES:.0f} %"


@dataclass(frozen=True)
class Verdict:
    """What may be said of a p-value, and no more."""

    level: Level
    words: str


def verdict(p: float, groups: int, scores: int = 1, images: int | None = None) -> Verdict:
    """The words for a p-value from so many groups of held-out images; none where they are too few to reach the first of `ALPHAS`.

    Args:
        groups: groups of held-out images.
        scores: how many scores were combined by Holm's correction; 1 for a score's own p-value.
        images: held-out images, where several make a group.

    Raises:
        NoPValue: p is not between 0 and 1.
    """
    if not 0 <= p <= 1:
        raise NoPValue(f"{p} is no p-value; it must lie between 0 and 1.")
    first = ALPHAS[0]
    by = "by this score" if scores == 1 else f"by any of {scores} scores"
    if p_floor(groups, scores) > first + SLACK:
        have = f"{groups:,}" if images in (None, groups) else f"{number_of(groups, 'group')} (of {images:,} images)"
        needed = f"at least {groups_needed(first, scores):,} needed for p ≤ {first}"
        return Verdict("none", f"too few held-out images for a verdict: {have}, {needed}")
    reached = [alpha for alpha in ALPHAS if p <= alpha + SLACK]
    if not reached:
        return Verdict("plain", f"not unusual {by}")
    by = "by this score" if scores == 1 else f"by one of {scores} scores at least"
    return Verdict("bad" if len(reached) > 1 else "warning", f"unusual {by} (p ≤ {reached[-1]})")


def _ranked(scores: np.ndarray) -> np.ndarray:
    """Scores as float64 [n]; one that is not a number counts as the highest."""
    scores = np.asarray(scores, np.float64).ravel()
    return np.where(np.isnan(scores), math.inf, scores)
