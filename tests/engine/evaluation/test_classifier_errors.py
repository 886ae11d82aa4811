"""A classifier's errors against scikit-learn, and Wilson's intervals against statsmodels' formula written out."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
import torch
from scipy.stats import norm
from sklearn.calibration import calibration_curve
from sklearn.metrics import accuracy_score, brier_score_loss, confusion_matrix, log_loss, precision_score, recall_score

from engine.common import calibration as plain
from engine.evaluation.classifier_errors import Answered, answered, chosen, joined, most_confused, reliability, report
from engine.losses.calibration import calibration_limit

N, K = 702, 5  # 701 is a prime: no border of a bin of equal mass falls on an answer


@pytest.fixture(scope="module")
def told() -> tuple[np.ndarray, np.ndarray, Answered]:
    """log p [N, K], labels [N] and what is kept of them: the last class has no image, and the one before it is never answered."""
    rng = np.random.default_rng(3)
    labels = rng.integers(0, K - 1, N)
    logits = rng.normal(size=(N, K)) * 1.5
    logits[np.arange(N), labels] += 1.2
    logits[:, K - 2] -= 14
    log_p = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    return log_p, labels, joined([answered(log_p[part], labels[part]) for part in (slice(0, 300), slice(300, N))])


def test_that_matrix_recall_precision_and_scores_are_those_of_scikit_learn(told: tuple[np.ndarray, np.ndarray, Answered]):
    log_p, labels, answers = told
    found, predicted, every = report(answers, K), log_p.argmax(1), np.arange(K)
    assert (found.matrix == confusion_matrix(labels, predicted, labels=every)).all()
    recall = recall_score(labels, predicted, labels=every, average=None, zero_division=np.nan)
    precision = precision_score(labels, predicted, labels=every, average=None, zero_division=np.nan)
    np.testing.assert_allclose(found.recall[:, 0], recall)
    np.testing.assert_allclose(found.precision[:, 0], precision)
    assert np.isnan(found.recall[K - 1]).all() and np.isnan(found.precision[K - 2]).all()  # no image, no answer: nothing is claimed
    p = np.exp(log_p)
    assert found.figures["accuracy"] == pytest.approx(accuracy_score(labels, predicted))
    assert found.figures["log_loss"] == pytest.approx(log_loss(labels, p / p.sum(1, keepdims=True), labels=every))
    one_hot = np.eye(K)[labels]
    assert found.figures["brier"] == pytest.approx(sum(brier_score_loss(one_hot[:, k], p[:, k], pos_label=1) for k in range(K)))


@pytest.mark.parametrize(("equal_mass", "strategy"), [(False, "uniform"), (True, "quantile")])
def test_that_the_reliability_diagram_is_scikit_learns_calibration_curve(
    told: tuple[np.ndarray, np.ndarray, Answered], equal_mass: bool, strategy: str
):
    _, _, answers = told
    bins = reliability(answers.confidence, answers.right, 12, equal_mass)
    accuracy, confidence = calibration_curve(answers.right, answers.confidence, n_bins=12, strategy=strategy)
    np.testing.assert_allclose(bins.accuracy, accuracy)
    np.testing.assert_allclose(bins.confidence, confidence)
    assert bins.count.sum() == N
    if equal_mass:
        assert bins.count.max() - bins.count.min() <= 1
    for k, n, low, high in zip(bins.accuracy * bins.count, bins.count, bins.accuracy_low, bins.accuracy_high, strict=True):
        for border in (low, high):  # Wilson's borders solve (p - k/n)² = z² p (1 - p) / n, or lie at 0 or 1
            wanted = norm.ppf(0.975) ** 2 * border * (1 - border) / n
            assert (border - k / n) ** 2 == pytest.approx(wanted, rel=1e-3, abs=1e-9)


def test_that_answers_of_one_confidence_stay_in_one_bin_and_no_bin_is_empty():
    sure = np.array([1.0] * 90 + list(np.linspace(0.3, 0.9, 10)))
    bins = reliability(sure, np.ones(100), 15, equal_mass=True)
    assert (bins.count > 0).all() and bins.count.sum() == 100 and bins.count[-1] >= 90
    assert reliability(np.zeros(0), np.zeros(0)).count.sum() == 0


def test_that_the_calibration_error_is_the_bins_mean_distance(told: tuple[np.ndarray, np.ndarray, Answered]):
    _, _, answers = told
    found = report(answers, K)
    bins = found.equal_width
    assert found.figures["calibration"] == pytest.approx((bins.count * abs(bins.accuracy - bins.confidence)).sum() / N)


def test_that_errors_come_surest_first_and_right_answers_least_sure_first(told: tuple[np.ndarray, np.ndarray, Answered]):
    log_p, labels, answers = told
    sure, predicted = np.exp(log_p).max(1), log_p.argmax(1)
    wrong = chosen(answers, "wrong")
    assert sorted(wrong) == sorted(np.flatnonzero(predicted != labels)) and (np.diff(sure[wrong]) <= 0).all()
    unsure = chosen(answers, "unsure")
    assert sorted(unsure) == sorted(np.flatnonzero(predicted == labels)) and (np.diff(sure[unsure]) >= 0).all()
    cell = chosen(answers, "cell", 1, 2)
    assert sorted(cell) == sorted(np.flatnonzero((labels == 1) & (predicted == 2)))
    row = chosen(answers, "wrong", true=1)
    assert sorted(row) == sorted(np.flatnonzero((labels == 1) & (predicted != 1)))
    mixed = chosen(answers, "cell", predicted=0)
    right = (predicted == labels)[mixed]
    assert (np.diff(right.astype(int)) >= 0).all() and 0 < right.sum() < len(right)
    second = np.argsort(log_p, 1)[:, -2]
    assert (answers.second == second).all() and answers.p_second == pytest.approx(np.exp(log_p[np.arange(N), second]))


def test_that_the_most_confused_pairs_are_the_largest_cells_beside_the_diagonal():
    matrix = np.array([[9, 4, 0], [1, 20, 4], [0, 3, 2]])
    pairs = most_confused(matrix, 3)
    assert [tuple(pair) for pair in pairs] == [(0, 1, 4, 4 / 13), (1, 2, 4, 4 / 25), (2, 1, 3, 3 / 5)]


def test_that_the_limit_drawn_in_pieces_is_the_limit_of_one_draw_in_little_memory():
    sure = torch.rand(3000, generator=torch.Generator().manual_seed(1), dtype=torch.float64) / 2 + 0.5
    uniform = torch.rand(plain.SIMULATIONS, 3000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    tracemalloc.start()
    limit = calibration_limit(sure, torch.Generator().manual_seed(0))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert limit == pytest.approx(plain.calibration_limit(sure.numpy(), uniform.numpy()), abs=1e-12)
    assert peak < 24e6  # of one draw: 999 × 3,000 float64 are 24 MB, and twice that is needed
