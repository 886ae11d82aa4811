"""Losses of several views without negatives, as plain functions of tensors: a term of its own keeps the features from collapsing.

All sums run in the number format they are given.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

TINY = 1e-4  # added to a variance before its root (Bardes et al. 2022, section 4.1)


def cosine_regression(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean over rows of the squared distance of unit vectors, 2 - 2 cos (Grill et al. 2020, BYOL, eq. 2), a scalar. Both [B, d]."""
    return (2 - 2 * F.cosine_similarity(prediction, target, dim=1)).mean()


def invariance(a: Tensor, b: Tensor) -> Tensor:
    """Mean squared difference of two views' vectors, over rows and dimensions (Bardes et al. 2022, eq. 5, divided by d as in its code).
    a, b [B, d] -> scalar.
    """
    return F.mse_loss(a, b)


def variance_hinge(z: Tensor, least: float = 1.0) -> Tensor:
    """Mean over dimensions of max(0, least - standard deviation over the batch) (Bardes et al. 2022, eq. 1). z [B, d] -> scalar."""
    return F.relu(least - (z.var(0) + TINY).sqrt()).mean()


def covariance_penalty(z: Tensor) -> Tensor:
    """Sum of the squared covariances of different dimensions, divided by d (Bardes et al. 2022, eq. 4). z [B, d] -> scalar."""
    centred = z - z.mean(0)
    covariance = centred.T @ centred / (len(z) - 1)
    return (covariance.square().sum() - covariance.diagonal().square().sum()) / z.shape[1]


def total_coding_rate(z: Tensor, distortion: float) -> Tensor:
    """½ log det(I + d / (B ε²) ZᵀZ): nats that code B vectors up to the distortion ε² (Yu et al. 2020, MCR², eq. 1). z [B, d] -> scalar.

    The smaller of ZᵀZ and ZZᵀ is taken: both have the same determinant with the identity added.
    """
    count, size = z.shape
    gram = z.T @ z if size <= count else z @ z.T
    return 0.5 * torch.logdet(torch.eye(len(gram), dtype=z.dtype, device=z.device) + size / (count * distortion) * gram)
