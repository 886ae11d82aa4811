"""Counts of modes where they are known, and how often real images are called collapsed."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import hypergeom
from sklearn.cluster import KMeans

from engine.data import open_data
from engine.evaluation.mode_count import chance_of_none, k_means, mean_distance, mode_count, nearest
from engine.methods.gan import coverage
from tests.kit.tensors import seeded

MODES = 10


def drawn(n: int, modes: int, seed: int) -> torch.Tensor:
    """Rows [n, 12] of so many of ten far places."""
    place = torch.randint(modes, (n,), generator=seeded(seed))
    return 20 * torch.eye(12)[place] + torch.randn(n, 12, generator=seeded(seed + 1))


def test_that_the_chance_of_no_sample_is_the_hypergeometric_one():
    found = torch.tensor([0, 1, 5, 40])
    wanted = hypergeom.pmf(0, 300, found.numpy(), 200)  # none of the b among 200 drawn of 300
    np.testing.assert_allclose(chance_of_none(found, 100, 200).numpy(), wanted, rtol=1e-10)


def test_that_k_means_ends_where_lloyds_algorithm_does():
    x = drawn(100, 3, 4).double()
    ours = k_means(x, 3, seeded(1))
    theirs = KMeans(3, init=x[torch.randperm(100, generator=seeded(1))[:3]].numpy(), n_init=1).fit(x.numpy())
    np.testing.assert_allclose(ours.numpy(), theirs.cluster_centers_, atol=1e-8)
    assert (nearest(x, ours).numpy() == theirs.labels_).all()


def test_that_the_mean_distance_leaves_out_that_of_a_row_to_itself():
    assert mean_distance(torch.tensor([[0.0], [3.0], [6.0]])).item() == pytest.approx((3 + 3 + 6) / 3)


def test_that_samples_of_three_of_ten_modes_miss_the_others_and_real_ones_hardly_any():
    real = drawn(256, MODES, 0)
    few, all_of_them = mode_count(real, drawn(256, 3, 10), seeded()), mode_count(real, drawn(256, MODES, 20), seeded())
    assert few is not None and few.reached <= 5 and few.missed >= 4
    assert all_of_them is not None and all_of_them.reached == all_of_them.clusters and all_of_them.missed == 0
    assert all_of_them.expected == pytest.approx(all_of_them.clusters, abs=0.1) and all_of_them.diversity == pytest.approx(1, abs=0.05)


def test_that_one_image_again_and_again_is_a_collapse_in_words():
    real = drawn(256, MODES, 0)
    found = mode_count(real, real[:1].repeat(256, 1), seeded())
    assert found is not None and (found.reached, found.diversity) == (1, 0.0)
    assert coverage(found).level == "bad" and "Mode collapse" in coverage(found).text


@pytest.mark.parametrize("few", [0, 1, 39])
def test_that_a_handful_of_images_or_equal_ones_are_not_counted(few: int):
    assert mode_count(drawn(few, MODES, 0), drawn(50, MODES, 1), seeded()) is None
    assert mode_count(torch.ones(100, 4), drawn(100, MODES, 1)[:, :4], seeded()) is None


def test_that_real_images_are_hardly_ever_warned_of():
    """Disjoint sets of digits stand for held-out images and for samples of a perfect model."""
    images = torch.from_numpy(np.asarray(open_data("digits").splits["train"].images)) / 255
    warned = 0
    for seed in range(60):
        order = torch.randperm(len(images), generator=seeded(seed))
        found = mode_count(images[order[:256]], images[order[256:512]], seeded(seed))
        assert found is not None
        warned += coverage(found).level != "good"
    assert warned / 60 <= 0.05 + 2 * (0.05 * 0.95 / 60) ** 0.5
