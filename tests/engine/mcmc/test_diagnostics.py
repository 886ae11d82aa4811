"""Effective sample size and R-hat against autoregressive chains, whose answer is known, and slow loops."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.signal import lfilter
from scipy.stats import norm, rankdata

from engine.common.chains import FEWEST_STEPS, without_figures
from engine.mcmc.diagnostics import autocovariance, bulk_ess, ess, plain_rhat, rank_normalized, rhat, split


def autoregressive(rho: float, chains: int = 4, steps: int = 20_000, seed: int = 0) -> np.ndarray:
    """x_t = ρ x_{t-1} + √(1 - ρ²) ξ, from its stationary distribution."""
    noise = np.random.default_rng(seed).normal(size=(chains, steps))
    noise[:, 0] /= math.sqrt(1 - rho**2)
    return np.asarray(lfilter([math.sqrt(1 - rho**2)], [1, -rho], noise))


@pytest.mark.parametrize("rho", [-0.5, 0.0, 0.5, 0.9])
def test_that_the_effective_sample_size_of_an_autoregressive_chain_is_its_closed_form(rho: float):
    x = autoregressive(rho)
    wanted = x.size * (1 - rho) / (1 + rho)
    assert ess(x) == pytest.approx(wanted, rel=0.15)
    assert bulk_ess(x) == pytest.approx(wanted, rel=0.15)


def test_that_autocovariances_are_those_of_a_slow_loop():
    x = np.random.default_rng(0).normal(size=(2, 30)).cumsum(1)
    centred = x - x.mean(1, keepdims=True)
    slow = np.array([[sum(row[i] * row[i + lag] for i in range(30 - lag)) / 30 for lag in range(30)] for row in centred])
    assert autocovariance(x) == pytest.approx(slow, abs=1e-10)


def test_that_normal_scores_are_those_of_mean_ranks():
    x = np.random.default_rng(0).integers(0, 9, (3, 20)).astype(float)
    wanted = norm.ppf((rankdata(x) - 3 / 8) / (x.size + 1 / 4)).reshape(x.shape)
    assert rank_normalized(x) == pytest.approx(wanted, abs=1e-9)


def test_that_chains_that_agree_have_an_r_hat_of_one_and_others_have_not():
    x = autoregressive(0.3, steps=4000)
    assert rhat(x) == pytest.approx(1, abs=0.01)
    assert rhat(x + 2 * np.arange(4)[:, None]) > 1.5, "of different places"
    assert rhat(x * np.array([1, 1, 1, 8])[:, None]) > 1.05, "of different widths"
    assert rhat(x + np.linspace(0, 3, 4000)) > 1.1, "that drift"
    assert ess(x + 5 * np.arange(4)[:, None]) < 40


def test_that_r_hat_is_its_formula():
    x = split(np.random.default_rng(3).normal(size=(3, 10)))
    assert x.shape == (6, 5)
    within = np.mean([np.var(row, ddof=1) for row in x])
    between = 5 * np.var([row.mean() for row in x], ddof=1)
    assert plain_rhat(x) == pytest.approx(math.sqrt((4 / 5 * within + between / 5) / within), abs=1e-12)


def test_that_too_few_steps_or_chains_that_do_not_move_have_no_answer():
    assert math.isnan(ess(np.zeros((2, 5)))) and math.isnan(bulk_ess(np.ones((2, 50)))) and math.isnan(rhat(np.ones((2, 50))))
    assert math.isnan(bulk_ess(np.full((1, 20), np.inf)))
    apart = np.repeat(np.array([[0.1], [0.7], [1.3]]), 50, axis=1)  # whose ranks vary within a chain by rounding alone
    assert math.isnan(rhat(apart)) and math.isnan(bulk_ess(apart))


@pytest.mark.parametrize("steps", range(2, 24))
def test_that_both_figures_begin_at_the_same_number_of_steps(steps: int):
    x = np.random.default_rng(0).normal(size=(4, steps))
    assert [math.isfinite(figure) for figure in (bulk_ess(x), rhat(x))] == [steps >= FEWEST_STEPS] * 2
    assert ("too few" in without_figures(steps)) == (steps < FEWEST_STEPS)
