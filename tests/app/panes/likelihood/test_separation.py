"""How a comparison of two sets of scores is said and drawn."""

from __future__ import annotations

import numpy as np
import pytest

from app.panes.likelihood import separation
from app.panes.likelihood.histogram import Histogram
from app.shell.theme import DARK
from engine.common import ood_metrics


def test_that_every_score_is_in_a_bin_and_a_straggler_does_not_press_the_rest_together() -> None:
    known = np.random.default_rng(0).normal(0, 1, 500)
    low, high = separation.shown_range(known, np.array([*np.linspace(-1, 1, 300), 1e6]))
    assert low > -10 and high < 10
    edges = np.linspace(low, high, 30)
    assert ood_metrics.histogram_shares(np.array([*known, 1e6, -1e6]), edges).sum() == pytest.approx(1)
    for odd in (np.array([3.0, 3.0]), np.array([]), np.array([np.inf])):
        low, high = separation.shown_range(odd)
        assert low < high


@pytest.mark.parametrize("n", [8, 40, 60, 500])
def test_that_one_outlier_of_few_images_does_not_squeeze_the_rest_into_one_bin(n: int) -> None:
    known = np.append(np.random.default_rng(n).normal(0, 1, n - 1), 4e5)
    low, high = separation.shown_range(known, np.zeros(0))
    assert -12 < low < known.min() and high < 30
    assert separation.beyond(low, high, known, np.array([np.nan, np.inf, low - 1])) == (1, 3)
    low, high = separation.shown_range(np.random.default_rng(1).normal(0, 1, 200), np.array([0.5, 2e4]))
    assert high < 30, "nor does one of two dropped images"
    low, high = separation.shown_range(np.random.default_rng(1).normal(0, 1, 200), np.random.default_rng(2).normal(90, 1, 200))
    assert high > 92, "a whole data set far away is seen"


def test_that_what_is_not_drawn_is_counted() -> None:
    assert separation.beyond_in_words(0, 0) == ""
    assert separation.beyond_in_words(0, 3) == "Not drawn: 3 above the axis"
    assert separation.beyond_in_words(2, 1) == "Not drawn: 2 below and 1 above the axis"


def test_that_a_value_below_one_half_is_said_in_words() -> None:
    text, level = separation.auroc_in_words(0.21)
    assert "Below 0.5" in text and "more likely than its own data" in text and level == "warning"
    assert separation.auroc_in_words(0.97)[1] == "good"
    assert "guessing" in separation.auroc_in_words(0.52)[0]
    assert separation.auroc_in_words(float("nan")) == ("", "")


def test_that_the_plot_says_what_it_leaves_out(qapp) -> None:
    chart = Histogram()
    chart.set_colors(DARK)
    chart.resize(400, 200)
    chart.set_scores(np.append(np.random.default_rng(0).normal(0, 1, 60), 1e5), np.array([0.3, -1e4]), "known", "dropped", "nat")
    assert chart.high < 30 and chart.beyond == "Not drawn: 1 below and 1 above the axis"
    assert chart.beyond in chart.accessibleDescription()
    with_words = chart.grab().toImage()
    chart.beyond = ""
    assert with_words != chart.grab().toImage()
    chart.set_scores(np.random.default_rng(0).normal(0, 1, 60), np.array([0.3]), "known", "dropped", "nat")
    assert chart.beyond == "" and len({*chart._edges}) > 8
    chart.deleteLater()
