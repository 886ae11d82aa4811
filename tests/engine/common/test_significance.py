"""p-values, their floor, several of them together, and what may be said: against counting by hand, scipy, and thousands of draws."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import false_discovery_control

from engine.common import significance

DRAWS = 4000
ALPHAS = (0.01, 0.05, 0.1, 0.3)


def most(alpha: float, draws: int = DRAWS) -> float:
    """α and three binomial errors of so many draws."""
    return alpha + 3 * math.sqrt(alpha * (1 - alpha) / draws)


def test_that_a_p_value_counts_held_out_scores_that_are_at_least_as_high():
    known = np.array([3.0, 1.0, 2.0, 2.0])
    asked = np.array([0.0, 1.0, 1.5, 2.0, 3.0, 3.1])
    expected = [(1 + sum(k >= s for k in known)) / 5 for s in asked]
    assert significance.p_values(known, asked) == pytest.approx(expected)
    assert significance.p_values(np.zeros(0), asked).tolist() == [1.0] * 6


def test_that_each_group_counts_as_one():
    rng = np.random.default_rng(0)
    known, groups = rng.normal(size=40), rng.integers(0, 7, 40) * 3 + 1
    asked = np.concatenate([rng.normal(size=9), known[:5], [-9.0, 9.0]])
    own = [[k for k, g in zip(known, groups, strict=True) if g == name] for name in set(groups.tolist())]
    expected = [(1 + sum(sum(k >= s for k in some) / len(some) for some in own)) / (len(own) + 1) for s in asked]
    assert significance.p_values(known, asked, groups) == pytest.approx(expected)
    alone = np.arange(40)
    assert significance.p_values(known, asked, alone) == pytest.approx(significance.p_values(known, asked))
    assert significance.count_groups(40, groups) == 7 and significance.count_groups(40, None) == 40


def test_that_a_score_that_is_no_number_counts_as_the_highest():
    assert significance.p_values(np.arange(9.0), np.array([math.nan]))[0] == pytest.approx(0.1)
    assert significance.p_values(np.array([math.nan, 1.0]), np.array([5.0]))[0] == pytest.approx(2 / 3)


@pytest.mark.parametrize("count", [14, 19, 162])
def test_that_images_like_the_held_out_ones_get_small_p_values_no_more_often_than_promised(count: int):
    rng = np.random.default_rng(count)
    scores = np.round(rng.normal(size=(DRAWS, count + 1)), 1)  # with ties
    p = np.array([significance.p_values(row[:-1], row[-1:])[0] for row in scores])
    for alpha in ALPHAS:
        assert (p <= alpha).mean() <= most(alpha)
    assert p.min() >= significance.p_floor(count) - 1e-12


def grouped_draws(seed: int, groups: int = 12, size: int = 30, draws: int = DRAWS) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Held-out scores [draws, N] of patches of 12 tiles, one score of another tile [draws], and the groups [N]: tiles differ far more
    than their patches do.
    """
    rng = np.random.default_rng(seed)
    tiles = 3 * rng.normal(size=(draws, groups + 1))
    known = tiles[:, :-1].repeat(size, 1) + rng.normal(size=(draws, groups * size))
    return known, tiles[:, -1] + rng.normal(size=draws), np.arange(groups).repeat(size)


def test_that_patches_of_few_pictures_are_no_more_evidence_than_the_pictures():
    known, asked, groups = grouped_draws(0)
    by_group = np.array([significance.p_values(k, s[None], groups)[0] for k, s in zip(known, asked, strict=True)])
    by_image = np.array([significance.p_values(k, s[None])[0] for k, s in zip(known, asked, strict=True)])
    for alpha in ALPHAS:
        assert (by_group <= alpha).mean() <= most(alpha)
    assert (by_image <= 0.01).mean() > 3 * 0.01, "which is why groups are counted"
    assert (by_group <= 0.1).mean() > 0.05, "and not a p-value that never speaks"


def test_that_holms_correction_is_his():
    p = np.array([0.01, 0.04, 0.03, 0.005])
    assert significance.holm(p) == pytest.approx([0.03, 0.06, 0.06, 0.02])  # the textbook's example
    assert significance.holm(np.stack([p, p[::-1]]))[1] == pytest.approx([0.02, 0.06, 0.06, 0.03])
    assert significance.combined_p(p) == pytest.approx(0.02)
    assert significance.combined_p(np.array([0.9, 0.8])) == 1.0 and math.isnan(significance.combined_p(np.zeros(0)))


def test_that_eight_scores_together_do_not_cry_wolf_eight_times():
    rng = np.random.default_rng(1)
    common = rng.normal(size=(DRAWS // 2, 201, 1))  # scores of one image are alike
    scores = 0.8 * common + 0.6 * rng.normal(size=(DRAWS // 2, 201, 8))
    p = np.array([[significance.p_values(one[:-1, d], one[-1:, d])[0] for d in range(8)] for one in scores])
    combined = np.array([significance.combined_p(row) for row in p])
    assert (p.min(1) <= 0.05).mean() > 0.12, "one of eight by itself"
    for alpha in ALPHAS:
        assert (combined <= alpha).mean() <= most(alpha, len(p))


def test_that_benjamini_hochberg_is_scipys():
    rng = np.random.default_rng(2)
    for count in (1, 5, 200):
        p = np.round(rng.random(count), 2)
        assert significance.benjamini_hochberg(p) == pytest.approx(false_discovery_control(p))
    assert significance.benjamini_hochberg(np.zeros(0)).tolist() == []


def test_that_few_of_the_marked_images_of_a_folder_are_marked_wrongly():
    rng = np.random.default_rng(3)
    false_shares, found = [], []
    for _ in range(1500):
        known = rng.normal(size=(400, 2))
        folder = np.concatenate([rng.normal(size=(60, 2)), rng.normal(4.5, 1, size=(20, 2))])
        p = np.stack([significance.p_values(known[:, d], folder[:, d]) for d in range(2)], 1)
        marked = significance.benjamini_hochberg(significance.holm(p).min(1)) <= significance.FALSE_DISCOVERIES
        false_shares.append(marked[:60].sum() / max(1, marked.sum()))
        found.append(marked[60:].mean())
    error = np.std(false_shares) / math.sqrt(len(false_shares))
    assert np.mean(false_shares) <= significance.FALSE_DISCOVERIES + 3 * error
    assert np.mean(found) > 0.8


@pytest.mark.parametrize(
    ("p", "level", "words"),
    [
        (1.0, "plain", "not unusual by this score"),
        (0.0501, "plain", "not unusual by this score"),
        (0.05, "warning", "unusual by this score (p ≤ 0.05)"),
        (0.0101, "warning", "unusual by this score (p ≤ 0.05)"),
        (0.01, "bad", "unusual by this score (p ≤ 0.01)"),
        (1e-4, "bad", "unusual by this score (p ≤ 0.01)"),
    ],
)
def test_that_a_verdict_says_no_more_than_the_p_value(p: float, level: str, words: str):
    told = significance.verdict(p, 500)
    assert (told.level, told.words) == (level, words)


def test_that_there_is_no_verdict_from_too_few_images_however_odd_the_image():
    for groups in range(19):
        told = significance.verdict(significance.p_floor(groups), groups)
        assert told.level == "none" and f"{groups}, at least 19 needed for p ≤ 0.05" in told.words
    assert significance.verdict(significance.p_floor(19), 19).level == "warning"
    assert significance.verdict(significance.p_floor(98), 98).level == "warning"
    assert significance.verdict(significance.p_floor(99), 99).level == "bad"
    assert "12 groups (of 972 images)" in significance.verdict(0.5, 12, images=972).words
    assert significance.groups_needed(0.05, 8) == 159
    assert "at least 159 needed" in significance.verdict(0.9, 158, 8).words
    assert significance.verdict(8 / 160, 159, 8).words == "unusual by one of 8 scores at least (p ≤ 0.05)"
    assert significance.verdict(0.9, 159, 8).words == "not unusual by any of 8 scores"
    with pytest.raises(significance.NoPValue, match="between 0 and 1"):
        significance.verdict(math.nan, 500)
