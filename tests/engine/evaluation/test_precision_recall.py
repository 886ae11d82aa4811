"""Precision and recall of samples against sets where they are known, and a search for neighbours by scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.neighbors import NearestNeighbors

from engine.evaluation import precision_recall as module
from engine.evaluation.precision_recall import precision_recall


def normal(n: int, seed: int, d: int = 6) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(n, d)))


def searched(real: np.ndarray, made: np.ndarray, k: int) -> tuple[float, float]:
    """The same by scikit-learn's search tree."""

    def held(x: np.ndarray, centres: np.ndarray) -> float:
        radius = NearestNeighbors(n_neighbors=k + 1, algorithm="kd_tree").fit(centres).kneighbors(centres)[0][:, k]
        found = [any(np.linalg.norm(row - centre) <= r for centre, r in zip(centres, radius, strict=True)) for row in x]
        return float(np.mean(found))

    return held(made, real), held(real, made)


def test_that_a_set_covers_itself_and_nothing_far_away():
    x = normal(50, 0)
    assert precision_recall(x, x) == (1.0, 1.0)
    assert precision_recall(x, x + 100) == (0.0, 0.0)


def test_that_samples_of_half_the_modes_are_precise_and_recall_half():
    real, few = normal(400, 0, 2), normal(200, 1, 2)
    real[200:] += 50
    precision, recall = precision_recall(real, few)
    assert precision > 0.9 and 0.4 < recall <= 0.5
    precision, recall = precision_recall(few, real)  # half of what is drawn is nothing real
    assert 0.4 < precision <= 0.5 and recall > 0.9


@pytest.mark.parametrize("k", [1, 3, 7])
def test_that_it_is_what_a_search_for_neighbours_finds_in_blocks_too(k: int, monkeypatch: pytest.MonkeyPatch):
    real, made = normal(90, 2, 3), 1.3 * normal(70, 3, 3) + 0.5
    wanted = searched(real.numpy(), made.numpy(), k)
    assert precision_recall(real, made, k) == pytest.approx(wanted)
    assert max(wanted) > 0.2 and min(wanted) < 0.99
    monkeypatch.setattr(module, "NUMBERS_AT_ONCE", 7 * 90)
    assert precision_recall(real, made, k) == pytest.approx(wanted)


def test_that_many_equal_images_are_exactly_no_distance_apart():
    twins = normal(1, 4).repeat(5, 1) * 1e3
    assert precision_recall(twins, twins[:1]) == (1.0, 1.0)
    assert precision_recall(twins, twins + 1e-6) == (0.0, 0.0)


def test_that_sets_smaller_than_k_have_an_answer_and_empty_ones_a_sentence():
    assert precision_recall(normal(2, 5), normal(2, 5)) == (1.0, 1.0)
    assert precision_recall(normal(1, 5), normal(3, 6))[0] == 0.0
    with pytest.raises(ValueError, match="at least one image"):
        precision_recall(normal(0, 5), normal(3, 6))
