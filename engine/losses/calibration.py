"""How far stated probabilities of answers are from how often these are right (Guo et al. 2017), as plain functions of tensors."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from engine.common import calibration

DRAWN_AT_ONCE = 2**20  # uniform numbers: 8 MB


def calibration_error(confidence: Tensor, right: Tensor, bins: int = calibration.BINS) -> float:
    """Expected calibration error (Guo et al. 2017, eq. 3), over bins of equal width.

    Args:
        confidence: probability of the answer given [N].
        right: whether it was right [N], bool.
    """
    return float(calibration.calibration_errors(confidence.double().cpu().numpy(), right[None].cpu().numpy(), bins)[0])


def calibration_limit(confidence: Tensor, generator: torch.Generator, bins: int = calibration.BINS) -> float:
    """The ECE that a perfectly calibrated classifier with these confidences [N] exceeds by chance in at most 5 % of samples.

    In pieces of samples, so that memory does not grow with their number times N.
    """
    sure = confidence.double().cpu().numpy()
    size = max(1, DRAWN_AT_ONCE // max(1, len(sure)))
    errors = []
    for start in range(0, calibration.SIMULATIONS, size):
        samples = min(size, calibration.SIMULATIONS - start)
        uniform = torch.rand(samples, len(sure), generator=generator, dtype=torch.float64).numpy()
        errors.append(calibration.calibration_errors(sure, uniform < sure, bins))
    return calibration.limit_of(np.concatenate(errors))
