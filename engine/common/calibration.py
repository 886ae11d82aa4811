"""Calibration of a classifier in numbers (Guo et al. 2017): how far its confidence is from how often it is right. Without torch."""

from __future__ import annotations

import math

import numpy as np

BINS = 15  # Guo et al. 2017, section 5
SIMULATIONS = 999  # of a calibrated classifier


def calibration_errors(confidence: np.ndarray, right: np.ndarray, bins: int = BINS) -> np.ndarray:
    """Expected calibration errors (Guo et al. 2017, eq. 3): Σ_b (n_b / n) |accuracy_b - confidence_b| over bins ((b - 1)/B, b/B].

    Args:
        confidence: probability of each answer [N].
        right: whether it was right, in S samples [S, N].

    Returns:
        float64 [S].
    """
    confidence = np.asarray(confidence, np.float64)
    place = np.clip(np.ceil(confidence * bins).astype(np.int64), 1, bins) - 1
    surplus = (np.asarray(right, np.float64) - confidence) @ np.eye(bins)[place]  # [S, B]
    return np.abs(surplus).sum(1) / len(confidence)


def calibration_limit(confidence: np.ndarray, uniform: np.ndarray, bins: int = BINS) -> float:
    """The error that a perfectly calibrated classifier with these confidences [N] exceeds by chance in at most 5 % of samples.

    The estimate is above zero even then: each answer is drawn right with its own confidence as probability, in S samples. The limit
    is the value of rank ⌈.95 (S + 1)⌉, so an error of the same law lies above it with probability .05 at most.

    Args:
        uniform: numbers drawn uniformly from [0, 1), [S, N].
    """
    return limit_of(calibration_errors(confidence, uniform < np.asarray(confidence, np.float64), bins))


def limit_of(errors: np.ndarray) -> float:
    """The value of rank ⌈.95 (S + 1)⌉ among the errors [S] of samples that are perfectly calibrated."""
    return float(np.sort(errors)[math.ceil(0.95 * (len(errors) + 1)) - 1])
