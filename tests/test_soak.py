"""The soak's verdict on numbers whose trend is known, and a short soak of the real window."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.soak import COUNTS, SIGNIFICANT, Samples, growth, rising, soak


def correlated_noise(rng: np.random.Generator, count: int) -> np.ndarray:
    """An AR(1) series with coefficient 0.6 [count]: neighbours resemble each other, and nothing rises."""
    values = rng.normal(size=count)
    for i in range(1, count):
        values[i] += 0.6 * values[i - 1]
    return values


def test_that_a_leak_is_found_under_noise_and_a_fall_is_none():
    noise = 600 + correlated_noise(np.random.default_rng(0), 200)
    assert rising(noise + 0.05 * np.arange(200)) < SIGNIFICANT
    assert rising(noise - 0.05 * np.arange(200)) > 0.5
    assert growth(list(range(100))) == 75


def test_that_flat_memory_is_seldom_called_rising_although_neighbours_resemble_each_other():
    rng = np.random.default_rng(1)
    alarms = sum(rising(correlated_noise(rng, 150)) < SIGNIFICANT for _ in range(400))
    assert alarms <= 12  # 400 × 0.01, and two and a half standard errors more


def test_that_the_warm_up_does_not_count():
    samples = Samples(list(map(float, range(10))), {name: list(range(10)) for name in COUNTS})
    assert samples.steady().memory == [5, 6, 7, 8, 9]
    assert [len(Samples(list(map(float, range(count)))).steady().memory) for count in (50, 70, 400)] == [25, 40, 320]


@pytest.mark.slow
def test_that_a_short_soak_runs_and_counts():
    samples = soak(20)
    assert len(samples.memory) >= 2 and all(len(counts) == len(samples.memory) for counts in samples.counts.values())
    assert samples.memory[0] > 50 and all(samples.counts[name][0] > 0 for name in COUNTS)
