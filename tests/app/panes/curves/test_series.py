"""Curves as numbers, against slow loops."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.panes.curves.series import Series, ema, thinned


def slow_ema(values: np.ndarray, factor: float) -> list[float]:
    above = below = 0.0
    out = []
    for value in values:
        above, below = factor * above, factor * below
        if np.isfinite(value):
            above, below = above + float(value), below + 1
        out.append(above / below if below else np.nan)
    return out


@pytest.mark.parametrize("factor", [0.0, 0.01, 0.3, 0.6, 0.9, 0.99])
@pytest.mark.parametrize("count", [1, 5, 64, 65, 4097, 9000])
def test_that_the_moving_average_equals_its_definition(factor: float, count: int) -> None:
    values = np.random.default_rng(count).normal(3, 2, count)
    values[count // 3 :: 50] = np.nan
    np.testing.assert_allclose(ema(values, factor)[0], slow_ema(values, factor), rtol=1e-9, atol=1e-9)


@given(st.lists(st.integers(0, 90), max_size=12), st.sampled_from([0.0, 0.5, 0.97]))
@settings(deadline=None, max_examples=60)
def test_that_smoothing_a_growing_curve_equals_smoothing_it_whole(parts: list[int], factor: float) -> None:
    series, start = Series(), 0
    values = np.random.default_rng(1).normal(0, 1, sum(parts)).astype(np.float32)
    for part in parts:
        series.append(np.arange(start, start + part), values[start : start + part])
        start += part
        series.smoothed(factor)
    np.testing.assert_allclose(series.smoothed(factor), slow_ema(values, factor), rtol=1e-6, atol=1e-6)


def test_that_points_of_a_continued_run_replace_those_after_its_checkpoint() -> None:
    series = Series()
    series.append(np.arange(1, 11), np.arange(1, 11))
    series.smoothed(0.5)
    series.append(np.array([6, 7]), np.array([60, 70]))
    assert series.steps.tolist() == [1, 2, 3, 4, 5, 6, 7]
    assert series.values.tolist() == [1, 2, 3, 4, 5, 60, 70]
    np.testing.assert_allclose(series.smoothed(0.5), slow_ema(series.values, 0.5), rtol=1e-6)


def test_that_a_thousand_small_additions_keep_every_point() -> None:
    series = Series()
    for step in range(3000):
        series.append(np.array([step]), np.array([step * 0.5], np.float32))
    assert series.steps.tolist() == list(range(3000))
    np.testing.assert_array_equal(series.values, np.arange(3000, dtype=np.float32) * 0.5)


@given(st.integers(0, 10_000), st.integers(1, 300), st.floats(0, 1), st.floats(0, 1))
@settings(deadline=None, max_examples=80)
def test_that_thinning_keeps_the_lowest_and_highest_of_what_is_seen(seed: int, columns: int, one: float, two: float) -> None:
    rng = np.random.default_rng(seed)
    x = np.cumsum(rng.integers(1, 9, 2000)).astype(float)
    y = rng.normal(0, 1, 2000)
    low, high = sorted((x[0] + one * (x[-1] - x[0]), x[0] + two * (x[-1] - x[0])))
    got_x, got_y = thinned(x, y, low, high, columns)
    seen = (x >= low) & (x <= high)
    assert len(got_x) <= max(2 * columns + 4, 2 * columns + 1)
    assert (np.diff(got_x) >= 0).all()
    assert set(got_y) <= set(y)
    if seen.any():
        assert got_y.max() >= y[seen].max() and got_y.min() <= y[seen].min()
