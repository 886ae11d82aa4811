"""Densities on the plane against sums over a fine grid and finite differences."""

from __future__ import annotations

import numpy as np
import pytest

from engine.mcmc.targets import TARGETS, UnknownTarget, target_named

every = pytest.mark.parametrize("name", TARGETS)
shapes = pytest.mark.parametrize("shape", [0.0, 0.5, 1.0])


@every
@shapes
def test_that_mass_mean_and_deviation_are_those_of_a_sum_over_a_grid(name: str, shape: float):
    target = target_named(name, shape)
    xs, ys = np.linspace(-14, 14, 701), np.linspace(-12, 120, 3301)
    grid = np.stack(np.meshgrid(xs, ys), axis=-1)
    p = np.exp(target.log_p(grid)) * (xs[1] - xs[0]) * (ys[1] - ys[0])
    assert p.sum() == pytest.approx(1, abs=2e-6)
    mean, deviation = target.moments()
    ours = (p[..., None] * grid).sum((0, 1))
    assert ours == pytest.approx(mean, abs=1e-4)
    assert np.sqrt((p[..., None] * (grid - ours) ** 2).sum((0, 1))) == pytest.approx(deviation, rel=1e-4)
    left, right, bottom, top = target.extent
    within = (grid[..., 0] > left) & (grid[..., 0] < right) & (grid[..., 1] > bottom) & (grid[..., 1] < top)
    assert p[within].sum() > 0.98


@every
@shapes
def test_that_the_gradient_is_that_of_log_p(name: str, shape: float):
    target, x, h = target_named(name, shape), np.random.default_rng(0).normal(size=(20, 2)), 1e-6
    for axis in range(2):
        step = h * np.eye(2)[axis]
        wanted = (target.log_p(x + step) - target.log_p(x - step)) / (2 * h)
        assert target.gradient(x)[:, axis] == pytest.approx(wanted, rel=1e-5, abs=1e-5)


def test_that_an_unknown_density_is_answered_with_the_known_ones():
    with pytest.raises(UnknownTarget, match="banana, ring"):
        target_named("doughnut")
