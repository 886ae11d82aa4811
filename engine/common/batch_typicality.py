"""Typicality of a batch of images (Nalisnick et al. 2019, arXiv 1906.02994): is its mean log p that of held-out images?

The statistic is T = |mean of -log p(x) over the batch - its mean over held-out images|, which grows with either too little or too much
probability. Under the null hypothesis the images of the batch come, one independently of the other, from where the held-out ones do.
The paper takes the mean over training images; held-out ones are as new to the model as those of the batch, so that an overfitted model
calls no new batch unusual. Images of one group are one piece of evidence: a group counts by the mean of its images. Numpy only.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from engine.common.ood_metrics import BadScores, auroc

LOG_P_SCORES = (
    "log_likelihood",
    "ode_likelihood",
    "iwae",
    "elbo",
)  # scores that are -log p(x) in nats, or a bound; the best first
DRAWS = 1999  # bootstrap batches of a null distribution; no p-value is below 1 / (DRAWS + 1)
BATCHES = 1000  # of each side of a comparison
RESAMPLES = 50  # of all images, for the standard errors of a comparison
EXACT_SIZE = 1000  # the mean of more is drawn from a normal distribution (central limit theorem)
FEWEST_HELD_OUT = 20  # groups of held-out images; with fewer nothing is said
DRAWN_AT_ONCE = 2**21  # images
ROWS_AT_ONCE = 500  # resamples of the held-out images
ALPHA = 0.05


@dataclass(frozen=True)
class BatchTest:
    """One batch beside held-out images."""

    images: int  # M
    mean: float  # of -log p(x) over the batch, nats
    held_out_mean: float
    statistic: float  # |mean - held_out_mean|, nats
    p_value: float
    held_out_images: int
    held_out_groups: int

    @property
    def p_floor(self) -> float:
        """The smallest p-value that so many draws can give."""
        return 1 / (DRAWS + 1)

    @property
    def verdict(self) -> str:
        """In words that claim no more than the p-value."""
        if self.p_value > ALPHA:
            return "not unusual as a batch"
        side = "less" if self.mean > self.held_out_mean else "more"
        return f"unusual as a batch (p ≤ {0.01 if self.p_value <= 0.01 else ALPHA}): {side} likely than held-out images on average"


@dataclass(frozen=True)
class BatchComparison:
    """How well the statistic tells batches of M known images from batches of M others; each figure with its standard error."""

    auroc: float
    auroc_se: float
    rejected_in: float  # share of batches of known images with p ≤ alpha: alpha, where the test keeps its level
    rejected_in_se: float
    rejected_out: float  # share of batches of the others with p ≤ alpha: the power
    rejected_out_se: float


class _NatsOfGroups:
    """-log p of images, by groups: what batches are drawn from."""

    def __init__(self, nats: np.ndarray, groups: np.ndarray | None) -> None:
        nats = np.asarray(nats, np.float64).ravel()
        nats = np.where(np.isnan(nats), math.inf, nats)
        number = np.arange(len(nats)) if groups is None else np.unique(groups, return_inverse=True)[1].reshape(-1)
        order = np.argsort(number, kind="stable")
        self.nats = nats[order]
        self.sizes = np.bincount(number) if len(number) else np.zeros(0, np.int64)
        self.starts = np.cumsum(self.sizes) - self.sizes
        self.means = np.add.reduceat(self.nats, self.starts) / self.sizes if len(self.sizes) else self.nats

    def __len__(self) -> int:
        """Groups."""
        return len(self.sizes)

    @property
    def mean(self) -> float:
        """Over groups, nats."""
        return float(self.means.mean())

    def subset(self, chosen: np.ndarray) -> _NatsOfGroups:
        """The groups at places int64 [k]; one that comes twice is two groups."""
        parts = [self.nats[self.starts[g] : self.starts[g] + self.sizes[g]] for g in chosen]
        return _NatsOfGroups(np.concatenate(parts), np.repeat(np.arange(len(chosen)), self.sizes[chosen]))

    def resampled(self, rng: np.random.Generator) -> _NatsOfGroups:
        """As many groups, drawn with replacement."""
        return self.subset(rng.integers(0, len(self), len(self)))

    def batch_means(self, count: int, size: int, rng: np.random.Generator) -> np.ndarray:
        """Mean -log p of `count` batches of `size` images, each of a group that is drawn with replacement: [count]."""
        if size > EXACT_SIZE:
            second = np.add.reduceat(self.nats**2, self.starts) / self.sizes
            variance = max(float(second.mean()) - self.mean**2, 0.0)
            return rng.normal(self.mean, math.sqrt(variance / size), count)
        found = []
        at_once = max(1, DRAWN_AT_ONCE // size)
        for start in range(0, count, at_once):
            group = rng.integers(0, len(self), (min(at_once, count - start), size))
            place = self.starts[group] + (rng.random(group.shape) * self.sizes[group]).astype(np.int64)
            found.append(self.nats[place].mean(1))
        return np.concatenate(found)

    def null(self, size: int, draws: int, rng: np.random.Generator) -> np.ndarray:
        """T of bootstrap batches, sorted [draws]: the reference is drawn anew with each, as it is known from these images only."""
        batches = self.batch_means(draws, size, rng)
        if len(self) > EXACT_SIZE:
            references = rng.normal(self.mean, self.means.std() / math.sqrt(len(self)), draws)
        else:
            references = np.concatenate(
                [
                    self.means[rng.integers(0, len(self), (min(ROWS_AT_ONCE, draws - start), len(self)))].mean(1)
                    for start in range(0, draws, ROWS_AT_ONCE)
                ]
            )
        return np.sort(np.abs(batches - references))


def batch_test(known: np.ndarray, nats: np.ndarray, groups: np.ndarray | None = None, seed: int = 0) -> BatchTest | None:
    """The batch of all images with -log p = `nats` [M] beside held-out ones with `known` [n].

    p = (1 + #{bootstrap batches with T* ≥ T}) / (draws + 1). None where that says nothing: fewer than two images, fewer than 20 groups of
    held-out images, or a held-out image of probability zero. An image of the batch whose probability is zero makes T infinite.

    Args:
        groups: which group each held-out image belongs to, int64 [n]; None where each is its own.
        seed: of the bootstrap.
    """
    pool, batch = _NatsOfGroups(known, groups), _NatsOfGroups(nats, None)
    if len(batch) < 2 or len(pool) < FEWEST_HELD_OUT or not np.isfinite(pool.nats).all():
        return None
    statistic = abs(batch.mean - pool.mean)
    null = pool.null(len(batch), DRAWS, np.random.default_rng(seed))
    p = float(_p_values(null, np.array([statistic]))[0])
    return BatchTest(len(batch), batch.mean, pool.mean, statistic, p, len(pool.nats), len(pool))


def compare_batches(
    known: np.ndarray,
    unknown: np.ndarray,
    size: int,
    known_groups: np.ndarray | None = None,
    unknown_groups: np.ndarray | None = None,
    alpha: float = ALPHA,
    seed: int = 0,
) -> BatchComparison:
    """AUROC and rejection rates of batches of `size` images, drawn from images with -log p = `known` [n] and `unknown` [m], nats.

    Half of the known groups are the held-out images that T is counted from and calibrated on; batches of known images come from the other
    half. Standard errors are deviations over 50 bootstrap resamples of all images, whole groups at a time: they hold the chance of which
    images there were, and that of drawing batches.

    Raises:
        BadScores: too few images for batches of that size, or a known image of probability zero.
    """
    check_size(known, size, known_groups)
    pool, others = _NatsOfGroups(known, known_groups), _NatsOfGroups(unknown, unknown_groups)
    if not len(others):
        raise BadScores("There is no image to draw batches from; name a data set with at least one.")
    if not np.isfinite(pool.nats).all():
        raise BadScores("A known image has a probability of zero, so that log p has no mean; choose a model that gives it some.")
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(pool))
    held_out, fresh = (pool.subset(np.sort(half)) for half in (order[: len(order) // 2], order[len(order) // 2 :]))
    found = _rates(held_out, fresh, others, size, alpha, BATCHES, rng)
    again = [
        _rates(held_out.resampled(rng), fresh.resampled(rng), others.resampled(rng), size, alpha, BATCHES // 2, rng)
        for _ in range(RESAMPLES)
    ]
    errors = np.std(again, 0, ddof=1)
    return BatchComparison(found[0], float(errors[0]), found[1], float(errors[1]), found[2], float(errors[2]))


def check_size(known: np.ndarray, size: int, groups: np.ndarray | None = None) -> None:
    """Nothing, where half of the known images [n] are enough for batches of `size`. Raises: BadScores."""
    count = len(known) if groups is None else len(np.unique(groups))
    what = "known images" if groups is None else "groups of known images"
    if count < 2 * max(size, FEWEST_HELD_OUT):
        needed = 2 * max(size, FEWEST_HELD_OUT)
        raise BadScores(
            f"Batches of {size:,} need at least {needed:,} {what}, half of them to calibrate with, and there are {count:,}; "
            "lower --batch or raise --limit."
        )


def _rates(
    held_out: _NatsOfGroups, fresh: _NatsOfGroups, others: _NatsOfGroups, size: int, alpha: float, batches: int, rng: np.random.Generator
) -> tuple[float, float, float]:
    """(AUROC, share of known batches rejected, share of others rejected)."""
    null = held_out.null(size, DRAWS, rng)
    ours, theirs = (np.abs(pool.batch_means(batches, size, rng) - held_out.mean) for pool in (fresh, others))
    return auroc(ours, theirs), *(float((_p_values(null, side) <= alpha).mean()) for side in (ours, theirs))  # type: ignore[return-value]


def _p_values(null: np.ndarray, statistics: np.ndarray) -> np.ndarray:
    """(1 + #{T* ≥ T}) / (draws + 1) for each T [k]; null sorted [draws]."""
    return (1 + len(null) - np.searchsorted(null, statistics, "left")) / (len(null) + 1)
