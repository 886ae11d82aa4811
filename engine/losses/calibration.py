"""How far stated probabilities of answers are from how often these are right (Guo et al. 2017), as plain functions of tensors."""

from __future__ import annotations

import torch
from torch import Tensor

from engine.common import calibration


def calibration_error(confidence: Tensor, right: Tensor, bins: int = calibration.BINS) -> float:
    """Expected calibration error (Guo et al. 2017, eq. 3), over bins of equal width.

    Args:
        confidence: probability of the answer given [N].
        right: whether it was right [N], bool.
    """
    return float(calibration.calibration_errors(confidence.double().cpu().numpy(), right[None].cpu().numpy(), bins)[0])


def calibration_limit(confidence: Tensor, generator: torch.Generator, bins: int = calibration.BINS) -> float:
    """The ECE that a perfectly calibrated classifier with these confidences [N] exceeds by chance in at most 5 % of samples."""
    uniform = torch.rand(calibration.SIMULATIONS, len(confidence), generator=generator, dtype=torch.float64)
    return calibration.calibration_limit(confidence.double().cpu().numpy(), uniform.numpy(), bins)
