"""How far stated probabilities of answers are from how often these are right (Guo et al. 2017), as plain functions of tensors."""

from __future__ import annotations

import math

import torch
from torch import Tensor

CALIBRATION_BINS = 15  # Guo et al. 2017, section 5
SIMULATIONS = 999  # of a calibrated classifier


def calibration_error(confidence: Tensor, right: Tensor, bins: int = CALIBRATION_BINS) -> float:
    """Expected calibration error (Guo et al. 2017, eq. 3): Σ_b (n_b / n) |accuracy_b - confidence_b| over bins ((b - 1)/B, b/B].

    Args:
        confidence: probability of the answer given [N].
        right: whether it was right [N], bool.
    """
    return _errors(confidence, right[None], bins)[0].item()


def calibration_limit(confidence: Tensor, generator: torch.Generator, bins: int = CALIBRATION_BINS) -> float:
    """The ECE that a perfectly calibrated classifier with these confidences [N] exceeds by chance in at most 5 % of samples.

    The estimate is above zero even then: each answer is drawn right with its own confidence as probability, SIMULATIONS times. The
    limit is the value of rank ⌈.95 (S + 1)⌉, so an ECE of the same law lies above it with probability .05 at most.
    """
    confidence = confidence.double().cpu()
    drawn = torch.rand(SIMULATIONS, len(confidence), generator=generator, dtype=torch.float64) < confidence
    errors = _errors(confidence, drawn, bins).sort().values
    return errors[math.ceil(0.95 * (SIMULATIONS + 1)) - 1].item()


def _errors(confidence: Tensor, right: Tensor, bins: int) -> Tensor:
    """The ECE of each row: confidence [N], right bool [S, N] -> [S]."""
    place = (confidence.double() * bins).ceil().long().clamp(1, bins) - 1
    surplus = torch.zeros(len(right), bins, dtype=torch.float64, device=confidence.device)
    surplus.index_add_(1, place, right.double() - confidence.double())
    return surplus.abs().sum(1) / len(confidence)
