"""What is said of curves whose story is known."""

from __future__ import annotations

import numpy as np
import pytest

from app.panes.curves.curve_diagnosis import MOST_POINTS, diagnose, every_nth


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
def test_that_the_diagnosis_tells_the_story_of_the_curve(kind: str, level: str, words: str) -> None:
    found = diagnose(story(kind), None, running=True)
    assert found[0].level == level
    assert words in found[0].text
    assert all(finding.rule for finding in found)


def test_that_a_rising_validation_loss_names_the_step_of_its_minimum() -> None:
    steps = np.arange(0, 2000, 100)
    values = 100 + np.abs(steps - 900) * 0.02
    found = diagnose(story("falling"), (steps, values), running=True)
    assert found[0].level == "warning" and "since step 900" in found[0].text


def test_that_noise_on_a_flat_validation_loss_is_no_rise() -> None:
    rng = np.random.default_rng(3)
    steps = np.arange(0, 4000, 100)
    values = 100 + 50 * np.exp(-steps / 300) + rng.normal(0, 0.03, len(steps))
    assert "rising" not in diagnose(story("falling"), (steps, values), running=True)[0].text


def test_that_too_few_points_are_not_judged() -> None:
    assert diagnose((np.arange(5), np.ones(5)), None, running=True) == []


def test_that_a_run_that_ended_flat_is_neither_praised_nor_blamed() -> None:
    (found,) = diagnose(story("flat"), None, running=False)
    assert found.level == "muted" and found.text.startswith("The loss was flat for")


@pytest.mark.parametrize("kind", ["falling", "flat", "diverging"])
def test_that_a_million_points_are_judged_as_a_few_are(kind: str) -> None:
    few, many = (diagnose(story(kind, count), None, running=True)[0] for count in (2000, 1_000_000))
    assert many.level == few.level
    assert many.text[:20] == few.text[:20]


def test_that_one_bad_value_among_a_million_is_found() -> None:
    values = np.ones(1_000_000, np.float32)
    values[777_777] = np.nan
    assert "not a number at step 777\u202f777" in diagnose((np.arange(1_000_000), values), None, running=True)[0].text


def test_that_a_curve_is_thinned_evenly_and_keeps_its_end() -> None:
    steps = np.arange(1_000_003)
    kept, values = every_nth(steps, steps * 2.0)
    assert len(kept) <= MOST_POINTS and kept[-1] == steps[-1]
    assert len(set(np.diff(kept).tolist())) == 1
    np.testing.assert_array_equal(values, kept * 2.0)
