"""Improved precision and recall of samples (Kynkäänniemi et al. 2019): how many look real, and how much of what is real they cover.

Both in an encoder's features: a set is taken for the union of balls around its rows, each as large as the distance to its k-th nearest
neighbour among the others.
"""

from __future__ import annotations

import torch
from torch import Tensor

NEIGHBOURS = 3  # k of the paper, section 3.1
NUMBERS_AT_ONCE = 2**22  # distances in memory: 32 MB


def precision_recall(real: Tensor, made: Tensor, k: int = NEIGHBOURS) -> tuple[float, float]:
    """(precision, recall) of samples `made` [M, D] against real images [N, D], shares from 0 to 1.

    Precision: the samples that lie in a ball of the real images; recall: the real images that lie in a ball of the samples (eq. 1 to 3).
    Both grow with N and M, so that only sets of the same sizes compare. Of fewer than k + 1 rows each ball reaches to the farthest one.

    Raises:
        ValueError: a set is empty.
    """
    if not len(real) or not len(made):
        raise ValueError("Precision and recall need at least one image in either set.")
    return inside(made, real, radii(real, k)), inside(real, made, radii(made, k))


def radii(x: Tensor, k: int) -> Tensor:
    """The distance of each row of [N, D] to its k-th nearest among the others [N]; 0 of a single row."""
    if len(x) == 1:
        return x.new_zeros(1)
    place = min(k, len(x) - 1) + 1  # the row itself is the nearest
    return torch.cat([_distances(part, x).kthvalue(place, dim=1).values for part in _blocks(x, len(x))])


def inside(x: Tensor, centres: Tensor, radius: Tensor) -> float:
    """The share of rows [M, D] that lie in any of the balls around `centres` [N, D] of `radius` [N], their edges included."""
    held = sum(int((_distances(part, centres) <= radius).any(1).sum()) for part in _blocks(x, len(centres)))
    return held / len(x)


def _blocks(x: Tensor, others: int) -> tuple[Tensor, ...]:
    return x.split(max(1, NUMBERS_AT_ONCE // others))


def _distances(a: Tensor, b: Tensor) -> Tensor:
    """[M, D], [N, D] -> [M, N]; by differences, not products: equal rows are exactly 0 apart."""
    return torch.cdist(a, b, compute_mode="donot_use_mm_for_euclid_dist")
