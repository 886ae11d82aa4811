"""How well two sets of scores are told apart, held against scikit-learn and slow loops."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_curve

from app.panes.likelihood import separation as s


@pytest.fixture(params=["normal", "ties", "reversed", "few"])
def sides(request) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(7)
    if request.param == "ties":
        return rng.integers(0, 6, 300).astype(float), rng.integers(2, 9, 211).astype(float)
    if request.param == "reversed":
        return rng.normal(2, 1, 400), rng.normal(0, 1, 300)
    if request.param == "few":
        return rng.normal(0, 1, 9), rng.normal(0.5, 1, 3)
    return rng.normal(0, 1, 500), rng.normal(1.5, 2, 700)


def joined(sides: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    known, strange = sides
    return np.concatenate([np.zeros(len(known)), np.ones(len(strange))]), np.concatenate([known, strange])


def test_that_the_rates_at_every_threshold_are_those_of_scikit_learn(sides) -> None:
    false, true, thresholds = roc_curve(*joined(sides), drop_intermediate=False)
    for fp, tp, threshold in zip(false, true, thresholds, strict=True):
        assert s.rates(*sides, threshold) == (pytest.approx(tp, abs=1e-12), pytest.approx(fp, abs=1e-12))


def test_that_an_empty_side_gives_no_number() -> None:
    empty, full = np.array([]), np.array([1.0, 2.0])
    assert np.isnan(s.first_threshold(empty))
    assert np.isnan(s.rates(empty, full, 1.5)[1]) and s.rates(empty, full, 1.5)[0] == 0.5
    assert s.auroc_in_words(float("nan")) == ("", "")


def test_that_a_score_that_is_no_number_counts_as_the_highest() -> None:
    known, odd = np.array([1.0, 2.0, 3.0]), np.array([np.nan])
    assert s.rates(known, odd, 1e9) == (1.0, 0.0)
    assert s.shares(np.array([np.nan, 0.5]), np.array([0.0, 1.0, 2.0])).tolist() == [0.5, 0.5]


@pytest.mark.parametrize("n", [1, 7, 19, 20, 21, 100, 500])
def test_that_the_first_threshold_loses_at_most_a_twentieth_of_the_known_and_as_many_as_it_may(n: int) -> None:
    known = np.random.default_rng(n).permutation(n).astype(float)
    threshold = s.first_threshold(known)
    lost = int((known >= threshold).sum())
    assert lost == n // 20


def test_that_flipped_images_are_those_between_the_two_thresholds() -> None:
    scores = np.array([1.0, 2.0, 3.0, 4.0, 5.0])
    assert s.flipped(scores, 2.5, 4.0).tolist() == [2]
    assert s.flipped(scores, 2.5, 4.5).tolist() == [3, 2]
    assert s.flipped(scores, 4.5, 2.0).tolist() == [1, 2, 3]
    assert s.flipped(scores, 3.0, 3.0).tolist() == []


def test_that_a_path_crosses_on_the_line_between_its_points() -> None:
    strengths = np.array([0.0, 0.5, 1.0])
    assert s.crossing(strengths, np.array([0.4, 0.2, 0.0]), 0.05) == pytest.approx(0.875)
    assert s.crossing(strengths, np.array([0.01, 0.2, 0.3]), 0.05) == 0.0
    assert s.crossing(strengths, np.array([0.4, 0.2, 0.1]), 0.05) is None


def test_that_every_score_is_in_a_bin_and_a_straggler_does_not_press_the_rest_together() -> None:
    known = np.random.default_rng(0).normal(0, 1, 500)
    low, high = s.shown_range(known, np.array([*np.linspace(-1, 1, 300), 1e6]))
    assert low > -10 and high < 10
    edges = np.linspace(low, high, 30)
    assert s.shares(np.array([*known, 1e6, -1e6]), edges).sum() == pytest.approx(1)
    for odd in (np.array([3.0, 3.0]), np.array([]), np.array([np.inf])):
        low, high = s.shown_range(odd)
        assert low < high


def test_that_a_value_below_one_half_is_said_in_words() -> None:
    text, level = s.auroc_in_words(0.21)
    assert "Below 0.5" in text and "more likely than its own data" in text and level == "warning"
    assert s.auroc_in_words(0.97)[1] == "good"
    assert "guessing" in s.auroc_in_words(0.52)[0]
