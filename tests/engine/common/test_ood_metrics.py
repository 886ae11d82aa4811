"""Separation and thresholds, against scikit-learn and counting by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

from engine.common import ood_metrics


def some(seed: int, count: int, ties: bool, shift: float = 0.0) -> np.ndarray:
    values = np.random.default_rng(seed).normal(shift, 1, count)
    return np.round(values * 2) / 2 if ties else values


def both(known: np.ndarray, unknown: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.repeat([0, 1], [len(known), len(unknown)]), np.concatenate([known, unknown])


def test_auroc_of_the_textbook_example():
    assert ood_metrics.auroc(np.array([0.1, 0.4]), np.array([0.35, 0.8])) == 0.75


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize(("n", "m"), [(300, 200), (7, 50), (1, 1)])
def test_that_the_numbers_are_those_of_scikit_learn(ties, n, m):
    known, unknown = some(0, n, ties), some(1, m, ties, 0.8)
    labels, scores = both(known, unknown)
    assert ood_metrics.auroc(known, unknown) == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)
    assert ood_metrics.average_precision(known, unknown) == pytest.approx(average_precision_score(labels, scores), abs=1e-12)
    fpr, tpr, _ = roc_curve(labels, scores, drop_intermediate=False)
    assert ood_metrics.fpr_at(known, unknown) == pytest.approx(fpr[np.argmax(tpr >= 0.95)], abs=1e-12)


def test_that_auroc_is_the_mann_whitney_count():
    known, unknown = some(2, 40, True), some(3, 30, True)
    wins = sum((u > k) + 0.5 * (u == k) for k in known for u in unknown)
    assert ood_metrics.auroc(known, unknown) == pytest.approx(wins / (40 * 30), abs=1e-12)


def test_that_auroc_is_never_flipped_and_only_order_counts():
    known, unknown = some(4, 100, False), some(5, 100, False, -1.0)
    area = ood_metrics.auroc(known, unknown)
    assert area < 0.5
    assert ood_metrics.auroc(-known, -unknown) == pytest.approx(1 - area, abs=1e-12)
    assert ood_metrics.auroc(unknown, known) == pytest.approx(1 - area, abs=1e-12)
    assert ood_metrics.auroc(np.exp(known), np.exp(unknown)) == area
    assert ood_metrics.auroc(np.zeros(5), np.zeros(9)) == 0.5
    assert (ood_metrics.auroc(np.zeros(5), np.ones(9)), ood_metrics.fpr_at(np.zeros(5), np.ones(9))) == (1.0, 0.0)


def test_that_a_score_that_is_no_number_counts_as_the_highest():
    assert ood_metrics.auroc(np.zeros(3), np.array([math.nan])) == 1.0
    with pytest.raises(ood_metrics.BadScores, match="no scores"):
        ood_metrics.require_scores(np.zeros(0), np.zeros(3))


def test_that_without_images_on_a_side_there_is_no_figure():
    three, none = np.arange(3.0), np.zeros(0)
    for figure in (ood_metrics.auroc, ood_metrics.fpr_at, ood_metrics.average_precision):
        assert math.isnan(figure(three, none)) and math.isnan(figure(none, three)), figure
    assert math.isnan(ood_metrics.threshold_at(none)) and math.isnan(ood_metrics.threshold_at_fpr(none))
    caught, lost = ood_metrics.rates_at(three, none, 1.0)
    assert math.isnan(caught) and lost == pytest.approx(2 / 3)
    assert ood_metrics.histogram_shares(none, np.arange(4.0)).tolist() == [0, 0, 0]


@pytest.mark.parametrize("ties", [False, True])
def test_that_rates_are_those_of_scikit_learns_curve(ties):
    known, unknown = some(6, 80, ties), some(7, 60, ties, 0.5)
    fpr, tpr, thresholds = roc_curve(*both(known, unknown), drop_intermediate=False)
    for false, true, threshold in zip(fpr, tpr, thresholds, strict=True):
        assert ood_metrics.rates_at(known, unknown, threshold) == pytest.approx((true, false), abs=1e-12)


@pytest.mark.parametrize("n", [1, 7, 19, 20, 21, 100, 500])
def test_that_a_threshold_loses_as_many_known_images_as_it_may_and_no_more(n: int):
    known = np.random.default_rng(n).permutation(n).astype(float)
    threshold = ood_metrics.threshold_at_fpr(known)
    assert int((known >= threshold).sum()) == n // 20
    assert (known >= np.nextafter(threshold, -np.inf)).sum() > n // 20


@pytest.mark.parametrize("share", [0.0, 0.3, 0.95, 1.0])
def test_that_a_threshold_is_the_highest_that_catches_the_share(share: float):
    unknown = np.random.default_rng(1).permutation(41).astype(float)
    threshold = ood_metrics.threshold_at(unknown, share)
    assert ood_metrics.share_at_or_above(unknown, threshold) >= share
    assert ood_metrics.share_at_or_above(unknown, threshold + 1) < max(share, 0.02)


def test_that_changed_calls_are_those_between_the_two_thresholds_the_nearest_first():
    scores = np.array([1.0, 2.0, 3.0, 4.0, 5.0])
    assert ood_metrics.changed_calls(scores, 2.5, 4.0).tolist() == [2]
    assert ood_metrics.changed_calls(scores, 2.5, 4.5).tolist() == [3, 2]
    assert ood_metrics.changed_calls(scores, 4.5, 2.0).tolist() == [1, 2, 3]
    assert ood_metrics.changed_calls(scores, 3.0, 3.0).tolist() == []


def test_that_a_path_crosses_on_the_line_between_its_points():
    strengths = np.array([0.0, 0.5, 1.0])
    assert ood_metrics.crossing(strengths, np.array([0.4, 0.2, 0.0]), 0.05) == pytest.approx(0.875)
    assert ood_metrics.crossing(strengths, np.array([0.01, 0.2, 0.3]), 0.05) == 0.0
    assert ood_metrics.crossing(strengths, np.array([0.4, 0.2, 0.1]), 0.05) is None
    assert ood_metrics.crossing(strengths, np.array([math.nan, 0.0, 0.1]), 0.05) == 0.5


def test_that_every_score_is_in_a_bin():
    edges = np.array([0.0, 1.0, 2.0])
    assert ood_metrics.histogram_shares(np.array([-9.0, 0.5, 1.5, 1e6]), edges).tolist() == [0.5, 0.5]
    assert ood_metrics.histogram_shares(np.array([math.nan, 0.5]), edges).tolist() == [0.5, 0.5]


def test_that_the_other_convention_of_fpr_95_is_scikit_learns_with_the_sides_changed():
    known, unknown = some(8, 101, False), some(9, 77, False, 0.7)
    labels, scores = both(known, unknown)
    fpr, tpr, _ = roc_curve(1 - labels, -scores, drop_intermediate=False)  # known images are the positive class
    assert ood_metrics.missed_at(known, unknown) == pytest.approx(fpr[np.argmax(tpr >= 0.95)], abs=1e-12)
    assert ood_metrics.missed_at(known, unknown) != ood_metrics.fpr_at(known, unknown)


def slow_interval(known: np.ndarray, unknown: np.ndarray, groups: np.ndarray, draws: int) -> tuple[float, float]:
    """Every draw by scikit-learn, on copies of whole groups."""
    rng = np.random.default_rng(1)
    areas = []
    for _ in range(draws):
        some_known = np.concatenate([known[groups == g] for g in rng.choice(np.unique(groups), len(np.unique(groups)))])
        areas.append(roc_auc_score(*both(some_known, rng.choice(unknown, len(unknown)))))
    low, high = np.quantile(areas, [0.025, 0.975])
    return low, high


def test_that_an_interval_is_that_of_drawing_whole_groups_anew():
    rng = np.random.default_rng(0)
    groups = np.arange(15).repeat(8)
    known = rng.normal(size=15).repeat(8) + 0.2 * rng.normal(size=120)
    unknown = np.round(rng.normal(0.8, 1, 50), 1)
    found = ood_metrics.auroc_interval(known, unknown, groups, draws=2000)
    assert found == pytest.approx(slow_interval(known, unknown, groups, 600), abs=0.03)
    alone = ood_metrics.auroc_interval(known, unknown, draws=2000)
    assert found[1] - found[0] > 1.3 * (alone[1] - alone[0]), "patches of one picture are not so many pictures"
    assert found[0] < ood_metrics.auroc(known, unknown) < found[1]
    assert ood_metrics.auroc_interval(known, unknown, groups) == ood_metrics.auroc_interval(known, unknown, groups)
    assert all(map(math.isnan, ood_metrics.auroc_interval(known, unknown, np.zeros(120))))
    assert all(map(math.isnan, ood_metrics.auroc_interval(known, unknown[:1])))


def test_that_nineteen_of_twenty_intervals_hold_the_true_figure():
    rng = np.random.default_rng(4)
    true = 0.5 * math.erfc(-1 / 2)  # Φ(1/√2) of two normals one deviation apart
    held = [
        low <= true <= high
        for low, high in (ood_metrics.auroc_interval(rng.normal(size=60), rng.normal(1, 1, 60), draws=200, seed=i) for i in range(200))
    ]
    assert 0.89 <= np.mean(held) <= 0.99
