"""What is said of curves whose story is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import lfilter

from app.panes.curves.curve_diagnosis import MOST_POINTS, chance_of_rise, diagnose, diverged, every_nth, flat, rising


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


# -- hundreds of curves whose story is known ---------------------------------------------------------------------------

DRAWS = 300
CHECKPOINTS = np.array([0, *(2**i for i in range(11)), *range(1200, 4001, 200)])


def validation(after: float, noise: float, seed: int, until: int = len(CHECKPOINTS)) -> tuple[np.ndarray, np.ndarray]:
    """Falls from 200 to 160 until about step 500, then changes by `after` in 1,000 steps, with noise."""
    steps = CHECKPOINTS[:until]
    fall = 160 + 40 * np.exp(-steps / 100) + after * np.maximum(steps - 500, 0) / 1000
    return steps, fall + np.random.default_rng(seed).normal(0, noise, len(steps))


@pytest.mark.parametrize("noise", [0.01, 0.3, 3.0])
@pytest.mark.parametrize("after", [0.0, -1.0])
def test_that_overfitting_is_hardly_ever_said_of_a_flat_or_falling_validation_loss(after: float, noise: float) -> None:
    said = sum(any(rising(*validation(after, noise, seed, n)) for n in range(8, len(CHECKPOINTS) + 1)) for seed in range(DRAWS))
    assert said <= 0.05 * DRAWS, "at any time of the training"
    assert sum(rising(np.arange(40), np.random.default_rng(i).standard_t(3, 40)) is not None for i in range(DRAWS)) <= 0.05 * DRAWS


def test_that_overfitting_is_found_where_it_is() -> None:
    assert sum(rising(*validation(15, 0.5, seed)) is not None for seed in range(DRAWS)) >= 0.9 * DRAWS
    digits = np.array([0, 128, 256, 512, 1024, 1871, 2048, 2794, 3524, 4000])
    measured = np.array([208.7, 171.2, 163.6, 160.6, 168.3, 224.9, 241.6, 368.0, 729.0, 1076.0])  # a VAE on digits
    found = rising(digits, measured)
    assert found is not None and found.text.startswith("Overfitting") and "since step 512" in found.text


def test_that_a_rise_of_the_training_loss_too_is_no_overfitting() -> None:
    """MoCo's loss rises while the keys of images fill its queue."""
    steps = np.arange(4000)
    valid = validation(15, 0.5, 0)
    assert rising(*valid, (steps, 100 + steps / 100)) is None and rising(*valid, (steps, 100 - steps / 100)) is not None


def test_that_the_chance_of_a_rise_is_the_share_of_orders() -> None:
    from itertools import permutations

    orders = list(permutations(range(5)))
    pairs = [sum(a < b for i, a in enumerate(order) for b in order[i + 1 :]) for order in orders]
    for order, count in zip(orders[::7], pairs[::7], strict=True):
        assert chance_of_rise(np.array(order)) == pytest.approx(sum(other >= count for other in pairs) / 120)
    many = np.random.default_rng(0).normal(size=61)
    assert chance_of_rise(many[:60]) == pytest.approx(chance_of_rise(many), abs=0.1)


def test_that_standstill_is_said_where_it_is_and_not_elsewhere() -> None:
    def told(slope: float, seed: int):
        steps = np.arange(600)
        values = 100 + 300 * np.exp(-steps / 50) + slope * steps
        return steps, values + np.random.default_rng(seed).normal(0, 2, 600)

    assert sum(flat(*told(-0.3, seed)) is not None for seed in range(DRAWS)) <= 0.05 * DRAWS
    assert sum(flat(*told(0, seed)) is not None for seed in range(DRAWS)) >= 0.9 * DRAWS


RUNS, POINTS, EVERY = 120, 1500, 15  # curves, points of each, points between two looks
ALARMS = 0.05 * RUNS + 2 * (RUNS * 0.05 * 0.95) ** 0.5  # of a rule of exactly 5 %, in 97.5 % of such tests


def noisy(seed: int, holds_on: float, points: int = POINTS) -> np.ndarray:
    """Noise of deviation 1 whose points are correlated with the one before by `holds_on`."""
    drawn = np.random.default_rng(seed).normal(0, 1, points)
    if holds_on:
        drawn[1:] *= (1 - holds_on**2) ** 0.5
        drawn = lfilter([1.0], [1.0, -holds_on], drawn)
    return drawn


def spoke_at(curve: np.ndarray) -> int | None:
    """How many points of a curve somebody who watches it grow has seen when divergence is first said."""
    steps = np.arange(len(curve))
    return next((n for n in range(40, len(curve) + 1, EVERY) if diverged(steps[:n], curve[:n])), None)


@pytest.mark.parametrize("holds_on", [0.0, 0.95])
@pytest.mark.parametrize(("fall", "time"), [(0, 50), (5, 50), (5, 300), (20, 50), (300, 50), (300, 2000)])
def test_that_hardly_any_run_is_called_diverging_at_any_time_while_it_only_falls_in_noise(
    fall: float, time: float, holds_on: float
) -> None:
    curves = (fall * np.exp(-np.arange(POINTS) / time) + noisy(seed, holds_on) for seed in range(RUNS))
    assert sum(spoke_at(curve) is not None for curve in curves) <= ALARMS


@pytest.mark.parametrize("holds_on", [0.0, 0.95])
@pytest.mark.parametrize(("fall", "turn", "slope"), [(5, 400, 0.05), (20, 400, 0.2), (300, 400, 3.0), (300, 1000, 1.0), (50, 60, 2.0)])
def test_that_a_loss_that_rises_again_is_called_diverging_soon_after(fall: float, turn: int, slope: float, holds_on: float) -> None:
    after = np.maximum(np.arange(POINTS) - turn, 0)
    said = [spoke_at(fall * np.exp(-np.arange(POINTS) / 50) + slope * after + noisy(seed, holds_on)) for seed in range(RUNS // 4)]
    early = [n for n in said if n is not None and n < turn]
    assert not early and sum(n is not None and n <= 2 * turn for n in said) >= 0.9 * len(said)


@pytest.mark.parametrize("length", [60, 89, 158, 300])
def test_that_a_young_curve_whose_noise_hides_its_fall_is_not_called_flat(length: int) -> None:
    """As the first minute of a VAE on digits: from 240 nat towards 150, one step's noise of 4 nat, still falling by a nat in ten steps."""
    steps = np.arange(length)
    said = 0
    for seed in range(DRAWS):
        noise = np.random.default_rng(seed).normal(0, 4, length)
        values = 150 + 90 * np.exp(-steps / 250) + noise
        said += any("flat" in one.text for one in diagnose((steps, values), None, running=True))
    assert said <= 0.05 * DRAWS


def test_that_too_much_noise_is_said_to_hide_the_answer() -> None:
    steps = np.arange(60)
    values = 100 - 0.2 * steps + np.random.default_rng(0).normal(0, 20, 60)
    (found,) = diagnose((steps, values), None, running=True)
    assert found.level == "muted" and "cannot be told" in found.text
