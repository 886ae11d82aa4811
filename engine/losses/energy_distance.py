"""The energy distance between two sets of vectors (Székely and Rizzo 2013). The energy of its name is none of a model."""

from __future__ import annotations

import torch
from torch import Tensor


@torch.no_grad()
def energy_distance(x: Tensor, y: Tensor) -> Tensor:
    """2 E|x - y| - E|x - x'| - E|y - y'| of rows [N, ...], [M, ...], a float64 scalar []: 0 for equal distributions, else positive.

    It is estimated without bias from two rows of each on, so it may be below 0. Distances are taken from differences in float64, not as
    |x|² + |y|² - 2xy, whose rounding would give equal rows a distance.
    """
    device = "cpu" if x.device.type == "mps" else x.device  # which knows no float64
    a, b = (rows.flatten(1).to(device, torch.float64) for rows in (x, y))
    within = [_distances(rows, rows).sum() / max(1, len(rows) * (len(rows) - 1)) for rows in (a, b)]
    return 2 * _distances(a, b).mean() - within[0] - within[1]


def _distances(a: Tensor, b: Tensor) -> Tensor:
    return torch.cdist(a, b, compute_mode="donot_use_mm_for_euclid_dist")  # [N, M]
