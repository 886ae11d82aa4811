"""Whether to trust chains: effective sample size and R-hat, rank-normalized and split (Vehtari et al. 2021, Bayesian Analysis 16).

Chains of one quantity are float64 [C, T]: C chains of T steps.
"""

from __future__ import annotations

import math

import numpy as np
import torch

from engine.common.chains import FEWEST_STEPS


def autocovariance(x: np.ndarray) -> np.ndarray:
    """Biased autocovariances (1/T) of each chain at all lags, [C, T] -> [C, T], by the fast Fourier transform."""
    T = x.shape[1]
    centred = x - x.mean(1, keepdims=True)
    spectrum = np.fft.rfft(centred, 2 * T)
    return np.fft.irfft(spectrum * spectrum.conj(), 2 * T)[:, :T] / T


def ess(x: np.ndarray) -> float:
    """Effective sample size of the mean over chains [C, T], by Geyer's initial monotone sequence (1992).

    NaN where no chain moves, or of fewer steps than half a chain has.

    Autocorrelations are of all chains together (eq. 10 of the paper), so that chains that disagree count for little.
    """
    C, T = x.shape
    if T < FEWEST_STEPS // 2 or not np.isfinite(x).all() or still(x):
        return math.nan
    covariances = autocovariance(x)
    within = covariances[:, 0].mean() * T / (T - 1)
    total = within * (T - 1) / T + (x.mean(1).var(ddof=1) if C > 1 else 0.0)
    if total <= 0 or within <= 0:
        return math.nan
    rho = 1 - (within - covariances.mean(0) * T / (T - 1)) / total
    rho[0] = 1.0
    pairs = rho[: T - T % 2].reshape(-1, 2).sum(1)  # Γ_k = ρ_2k + ρ_2k+1
    ends = np.flatnonzero(pairs <= 0)
    positive = np.minimum.accumulate(pairs[: ends[0]] if len(ends) else pairs)
    tau = max(-1 + 2 * positive.sum(), 1 / math.log10(max(C * T, 10)))
    return C * T / tau


def split(x: np.ndarray) -> np.ndarray:
    """Each chain cut in two: [C, T] -> [2 C, T // 2]; of an odd number of steps the middle one is left out."""
    half = x.shape[1] // 2
    return np.concatenate([x[:, :half], x[:, x.shape[1] - half :]])


def rank_normalized(x: np.ndarray) -> np.ndarray:
    """Normal scores of the ranks among all values, ties at their mean rank: [C, T] -> [C, T]."""
    _, inverse, counts = np.unique(x.ravel(), return_inverse=True, return_counts=True)
    ranks = counts.cumsum() - (counts - 1) / 2
    shares = (ranks - 3 / 8) / (x.size + 1 / 4)
    return torch.special.ndtri(torch.from_numpy(shares)).numpy()[inverse.ravel()].reshape(x.shape)


def bulk_ess(x: np.ndarray) -> float:
    """Effective sample size of rank-normalized split chains [C, T]; NaN where no chain moves, or T < `FEWEST_STEPS`."""
    return math.nan if x.shape[1] < FEWEST_STEPS or not np.isfinite(x).all() else ess(rank_normalized(split(x)))


def still(x: np.ndarray) -> bool:
    """Whether no chain of [C, T] moves: variances within them are then 0, but for rounding, and no measure of anything."""
    return bool((x == x[:, :1]).all())


def plain_rhat(x: np.ndarray) -> float:
    """√(estimated total variance / variance within chains) of [C, T] (Gelman and Rubin 1992)."""
    T = x.shape[1]
    if still(x):
        return math.nan
    within = x.var(1, ddof=1).mean()
    return math.sqrt(((T - 1) / T * within + x.mean(1).var(ddof=1)) / within)


def rhat(x: np.ndarray) -> float:
    """The larger of the rank-normalized split R-hat of [C, T] and that of its distances from the median; near 1 where chains agree.

    NaN where no chain moves, or T < `FEWEST_STEPS`.
    """
    if x.shape[1] < FEWEST_STEPS or not np.isfinite(x).all():
        return math.nan
    halves = split(x)
    folded = np.abs(halves - np.median(halves))
    return max(plain_rhat(rank_normalized(halves)), plain_rhat(rank_normalized(folded)))
