"""Batch typicality against closed forms of Gaussians, an enumeration of all bootstrap batches, and the paper's thought experiment."""

from __future__ import annotations

import itertools
import math
from statistics import NormalDist

import numpy as np
import pytest

from engine.common import batch_typicality
from engine.common.batch_typicality import BatchTest, batch_test, check_size, compare_batches
from engine.common.ood_metrics import BadScores


def outcome(known: np.ndarray, nats: np.ndarray, groups: np.ndarray | None = None) -> BatchTest:
    found = batch_test(known, nats, groups)
    assert found is not None
    return found


def test_that_a_batch_of_likeliest_images_is_rejected_and_a_typical_one_is_not():
    """N(0, I) in 784 dimensions: the origin is the likeliest point of all, and nothing like a sample."""
    rng, dims = np.random.default_rng(0), 784
    nats = lambda x: 0.5 * (x**2).sum(1) + dims / 2 * math.log(2 * math.pi)  # noqa: E731
    known = nats(rng.standard_normal((300, dims)))
    likeliest = outcome(known, nats(np.zeros((5, dims))))
    assert likeliest.mean == pytest.approx(720.45, abs=0.01)  # oracle 43
    assert likeliest.statistic == pytest.approx(392, abs=5)
    assert likeliest.p_value == 1 / 2000
    assert "more likely" in likeliest.verdict
    assert outcome(known, nats(rng.standard_normal((5, dims)))).p_value > 0.05


def test_that_p_is_the_share_of_all_bootstrap_batches(monkeypatch):
    """Three held-out images and batches of two: 3³ references × 3² batches, all written out."""
    monkeypatch.setattr(batch_typicality, "FEWEST_HELD_OUT", 2)
    monkeypatch.setattr(batch_typicality, "DRAWS", 40_000)
    known = np.array([0.0, 1.0, 5.0])
    every = [
        abs(np.mean(batch) - np.mean(reference))
        for reference in itertools.product(known, repeat=3)
        for batch in itertools.product(known, repeat=2)
    ]
    for nats in ([2.0, 2.5], [4.0, 4.3], [6.0, 5.0]):
        statistic = abs(np.mean(nats) - 2.0)
        exact = np.mean(np.array(every) >= statistic - 1e-12)
        assert outcome(known, np.array(nats)).p_value == pytest.approx(exact, abs=4 * math.sqrt(0.25 / 40_000) + 1e-3)


@pytest.mark.parametrize("size", [4, 40, 400])
def test_that_the_level_holds_for_batches_as_large_as_the_held_out_images(size: int, monkeypatch):
    """Without drawing the reference anew, batches as large as it would be rejected in 17 % of the cases at α = 0.05."""
    monkeypatch.setattr(batch_typicality, "DRAWS", 399)
    rng = np.random.default_rng(1)
    rejected = [outcome(rng.standard_normal(400), rng.standard_normal(size)).p_value <= 0.05 for _ in range(400)]
    assert np.mean(rejected) == pytest.approx(0.05, abs=4 * math.sqrt(0.05 * 0.95 / 400))


def test_that_auroc_and_power_are_those_of_two_normal_means():
    rng, size, shift = np.random.default_rng(2), 25, 0.6
    known, unknown = rng.standard_normal(4000), rng.standard_normal(4000) + shift
    found = compare_batches(known, unknown, size)
    spread, normal = math.sqrt(1 / size), NormalDist()
    critical = normal.inv_cdf(0.975) * math.sqrt(1 / size + 1 / 2000)
    power = normal.cdf((shift - critical) / spread) + normal.cdf((-shift - critical) / spread)
    draws = np.abs(rng.standard_normal((2, 200_000)) * spread + np.array([[0.0], [shift]]))
    area = np.mean(draws[1] > draws[0])  # P(|N(δ, s²)| > |N(0, s²)|)
    assert found.rejected_out == pytest.approx(power, abs=4 * found.rejected_out_se)
    assert found.auroc == pytest.approx(area, abs=4 * found.auroc_se)
    assert found.rejected_in == pytest.approx(0.05, abs=4 * found.rejected_in_se)
    assert 0 < found.auroc_se < 0.05 and 0 < found.rejected_in_se < 0.05 and 0 < found.rejected_out_se < 0.05


def test_that_standard_errors_are_the_spread_over_new_data():
    rng = np.random.default_rng(3)
    found = [compare_batches(rng.standard_normal(200), rng.standard_normal(100) + 0.5, 10, seed=i) for i in range(12)]
    spread = np.std([one.rejected_out for one in found], ddof=1)
    told = np.mean([one.rejected_out_se for one in found])
    assert 0.5 < told / spread < 2  # a deviation of twelve is itself known to a fifth


def test_that_equal_data_give_a_half_and_far_data_one_and_larger_batches_tell_more():
    rng = np.random.default_rng(4)
    known, near, far = rng.standard_normal(1000), rng.standard_normal(1000), rng.standard_normal(1000) + 50
    assert compare_batches(known, near, 10).auroc == pytest.approx(0.5, abs=0.1)
    assert compare_batches(known, far, 10).auroc == 1.0
    areas = [compare_batches(known, near + 0.4, size).auroc for size in (2, 10, 50)]
    assert areas[0] < areas[1] < areas[2]


def test_that_copies_of_images_are_no_further_evidence():
    rng = np.random.default_rng(5)
    known, nats = rng.standard_normal(40), rng.standard_normal(30) + 0.1
    alone = outcome(known, nats)
    copied = outcome(np.repeat(known, 25), nats, np.repeat(np.arange(40), 25))
    assert copied.held_out_images == 1000 and copied.held_out_groups == 40
    assert copied.p_value == pytest.approx(alone.p_value, abs=0.03)
    assert outcome(np.repeat(known, 25), nats).p_value < alone.p_value  # they would pass for more


def test_that_a_large_batch_has_the_normal_mean_of_a_small_one(monkeypatch):
    rng = np.random.default_rng(6)
    known, nats = rng.standard_normal(3000), rng.standard_normal(900) + 0.07
    exact = outcome(known, nats).p_value
    monkeypatch.setattr(batch_typicality, "EXACT_SIZE", 1)
    assert outcome(known, nats).p_value == pytest.approx(exact, abs=0.03)


def test_what_cannot_be_said():
    known = np.arange(30.0)
    assert batch_test(known, np.zeros(1)) is None  # one image is no batch
    assert batch_test(known[:19], np.zeros(5)) is None
    assert batch_test(np.append(known, np.inf), np.zeros(5)) is None
    assert outcome(known, np.array([3.0, np.inf])).p_value == 1 / 2000
    assert outcome(known, np.array([3.0, np.nan])).p_value == 1 / 2000
    with pytest.raises(BadScores, match="at least 100 known images"):
        check_size(np.zeros(99), 50)
    with pytest.raises(BadScores, match="probability of zero"):
        compare_batches(np.append(known, [np.inf] * 20), known, 5)
    with pytest.raises(BadScores, match="no image"):
        compare_batches(np.arange(50.0), np.zeros(0), 5)
