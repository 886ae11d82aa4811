"""Losses without negatives, against closed forms and against plain loops."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from engine.losses.contrastive import top1_retrieval
from engine.losses.redundancy import cosine_regression, covariance_penalty, invariance, total_coding_rate, variance_hinge
from tests.kit.tensors import seeded


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=seeded(seed), dtype=torch.float64)


def test_that_cosine_regression_goes_from_0_for_the_same_direction_to_4_for_the_opposite_one():
    z = drawn(6, 5)
    assert cosine_regression(z, 3 * z).item() == pytest.approx(0, abs=1e-12)
    assert cosine_regression(z, -z).item() == pytest.approx(4)
    assert cosine_regression(torch.eye(4), torch.eye(4).roll(1, 0)).item() == pytest.approx(2)


def test_that_vicregs_terms_are_numpys_variances_and_covariances():
    a, b = drawn(40, 7), 0.5 * drawn(40, 7, seed=1)
    assert invariance(a, b).item() == pytest.approx(float(((a - b).numpy() ** 2).mean()))
    deviation = np.sqrt(a.numpy().var(0, ddof=1) + 1e-4)
    assert variance_hinge(a).item() == pytest.approx(float(np.maximum(0, 1 - deviation).mean()))
    covariance = np.cov(a.numpy().T)
    expected = sum(covariance[i, j] ** 2 for i in range(7) for j in range(7) if i != j) / 7
    assert covariance_penalty(a).item() == pytest.approx(float(expected))


def test_that_collapse_costs_all_of_the_variance_term_and_none_of_the_others():
    z = torch.ones(16, 4, dtype=torch.float64)
    assert invariance(z, z).item() == 0 and covariance_penalty(z).item() == 0
    assert variance_hinge(z).item() == pytest.approx(1 - math.sqrt(1e-4))


@pytest.mark.parametrize(("count", "size"), [(12, 5), (5, 12), (8, 8)])
def test_that_the_coding_rate_is_the_sum_over_singular_values(count: int, size: int):
    z, distortion = drawn(count, size), 0.2
    values = np.linalg.svd(z.numpy(), compute_uv=False)
    expected = 0.5 * np.log1p(size / (count * distortion) * values**2).sum()
    assert total_coding_rate(z, distortion).item() == pytest.approx(expected, rel=1e-10)


def test_that_unit_vectors_in_all_directions_have_the_highest_coding_rate():
    spread = torch.eye(6, dtype=torch.float64)
    same = torch.ones(6, 6, dtype=torch.float64) / math.sqrt(6)
    assert total_coding_rate(spread, 0.2).item() == pytest.approx(3 * math.log(1 + 1 / 0.2))
    assert total_coding_rate(same, 0.2).item() == pytest.approx(0.5 * math.log(1 + 6 / 0.2))


def test_that_retrieval_counts_the_rows_that_find_their_own():
    a = torch.eye(4)
    assert top1_retrieval(a, 5 * a).item() == 1.0
    assert top1_retrieval(a, a[[1, 0, 2, 3]]).item() == 0.5
