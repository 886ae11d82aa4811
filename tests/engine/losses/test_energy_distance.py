"""The energy distance against a slow sum, and where rounding would show."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from engine.losses.energy_distance import energy_distance
from tests.kit.tensors import seeded


def slow(a: Tensor, b: Tensor) -> float:
    def mean(x: Tensor, y: Tensor, same: bool) -> float:
        return float(np.mean([math.dist(p, q) for i, p in enumerate(x.tolist()) for j, q in enumerate(y.tolist()) if not same or i != j]))

    return 2 * mean(a, b, False) - mean(a, a, True) - mean(b, b, True)


def test_that_it_is_the_slow_sum_and_unbiased():
    a, b = (torch.randn(n, 3, generator=seeded(n), dtype=torch.float64) for n in (5, 7))
    assert energy_distance(a, b + 1).item() == pytest.approx(slow(a, b + 1), rel=1e-12)
    drawn = [energy_distance(*torch.randn(2, 20, 3, generator=seeded(i), dtype=torch.float64)).item() for i in range(300)]
    assert abs(np.mean(drawn)) < 4 * np.std(drawn) / math.sqrt(300) and min(drawn) < 0 < max(drawn)


def test_that_images_are_rows_and_two_equal_images_are_at_no_distance():
    x, y = torch.rand(5, 1, 2, 2, generator=seeded()), torch.rand(4, 1, 2, 2, generator=seeded(1)) + 0.5
    assert energy_distance(x, y).item() == pytest.approx(slow(x.flatten(1), y.flatten(1)), rel=1e-12)
    assert energy_distance(x[:1], x[:1]).item() == 0


@pytest.mark.parametrize("size", [1.0, 1e4])
def test_that_of_sets_of_one_image_or_of_the_same_images_nothing_is_left_but_rounding(size: float):
    """Sets x = y of n rows, whose mean distance is d: 2 d (n - 1)/n - 2 d. Float32 squares of many numbers round by far more than that."""
    one = (size * torch.rand(1, 3000, generator=seeded())).expand(64, -1)
    assert abs(energy_distance(one, one).item()) < 1e-9 * size
    same = size + torch.rand(64, 3000, generator=seeded(1))
    rows = same.double()
    mean = sum((a - rows).norm(dim=1).sum().item() for a in rows) / (64 * 63)
    assert energy_distance(same, same).item() == pytest.approx(-2 * mean / 64, abs=1e-9 * size)
