"""Curves as numbers, against slow loops; verdicts on curves whose story is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.panes.curves.curve_diagnosis import MOST_POINTS, every_nth, verdicts
from app.widgets.series import Series, ema, thinned


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


def story(kind: str, count: int = 2000) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    steps = np.arange(1, count + 1)
    fall = 100 + 400 * np.exp(-steps / 100)
    if kind == "falling":
        fall = 500 - 0.1 * steps
    if kind == "diverging":
        fall = 500 - 0.3 * steps + 1.5 * np.maximum(steps - 1200, 0)
    values = (fall + rng.normal(0, 2, count)).astype(np.float32)
    if kind == "not a number":
        values[1500:] = np.nan
    return steps, values


@pytest.mark.parametrize(
    ("kind", "level", "words"),
    [
        ("falling", "good", "falling"),
        ("flat", "warning", "has been flat for"),
        ("diverging", "bad", "diverging since step 1\u202f2"),
        ("not a number", "bad", "not a number at step 1\u202f501"),
    ],
)
def test_that_the_verdict_tells_the_story_of_the_curve(kind: str, level: str, words: str) -> None:
    found = verdicts(story(kind), None, running=True)
    assert found[0].level == level
    assert words in found[0].text
    assert all(verdict.rule for verdict in found)


def test_that_a_rising_validation_loss_names_the_step_of_its_minimum() -> None:
    steps = np.arange(0, 2000, 100)
    values = 100 + np.abs(steps - 900) * 0.02
    found = verdicts(story("falling"), (steps, values), running=True)
    assert found[0].level == "warning" and "since step 900" in found[0].text


def test_that_noise_on_a_flat_validation_loss_is_no_rise() -> None:
    rng = np.random.default_rng(3)
    steps = np.arange(0, 4000, 100)
    values = 100 + 50 * np.exp(-steps / 300) + rng.normal(0, 0.03, len(steps))
    assert "rising" not in verdicts(story("falling"), (steps, values), running=True)[0].text


def test_that_too_few_points_are_not_judged() -> None:
    assert verdicts((np.arange(5), np.ones(5)), None, running=True) == []


def test_that_a_run_that_ended_flat_is_neither_praised_nor_blamed() -> None:
    (found,) = verdicts(story("flat"), None, running=False)
    assert found.level == "muted" and found.text.startswith("The loss was flat for")


@pytest.mark.parametrize("kind", ["falling", "flat", "diverging"])
def test_that_a_million_points_are_judged_as_a_few_are(kind: str) -> None:
    few, many = (verdicts(story(kind, count), None, running=True)[0] for count in (2000, 1_000_000))
    assert many.level == few.level
    assert many.text[:20] == few.text[:20]


def test_that_one_bad_value_among_a_million_is_found() -> None:
    values = np.ones(1_000_000, np.float32)
    values[777_777] = np.nan
    assert "not a number at step 777\u202f777" in verdicts((np.arange(1_000_000), values), None, running=True)[0].text


def test_that_a_curve_is_thinned_evenly_and_keeps_its_end() -> None:
    steps = np.arange(1_000_003)
    kept, values = every_nth(steps, steps * 2.0)
    assert len(kept) <= MOST_POINTS and kept[-1] == steps[-1]
    assert len(set(np.diff(kept).tolist())) == 1
    np.testing.assert_array_equal(values, kept * 2.0)
