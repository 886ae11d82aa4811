"""Neighbours, PCA, trust, the graph of a UMAP and clusters, each against a slow loop, a closed form or a reference library."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from sklearn.manifold import trustworthiness
from sklearn.metrics import normalized_mutual_info_score
from sklearn.neighbors import KNeighborsClassifier

from engine.bases.classical import agreement
from engine.detectors.base import finish
from engine.umap import projection


def points(count: int, size: int, seed: int = 0, groups: int = 4) -> tuple[torch.Tensor, np.ndarray]:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % groups
    centres = 3 * torch.randn(groups, size, generator=generator)
    return centres[labels] + torch.randn(count, size, generator=generator), labels.numpy()


def by_hand(features: torch.Tensor, k: int) -> tuple[np.ndarray, np.ndarray]:
    """All distances, one pair after the other, in float64."""
    x = features.double().numpy()
    places, distances = [], []
    for i in range(len(x)):
        apart = [math.dist(x[i], x[j]) if j != i else math.inf for j in range(len(x))]
        order = sorted(range(len(x)), key=lambda j: (apart[j], j))[:k]
        places.append(order)
        distances.append([apart[j] for j in order])
    return np.array(places), np.array(distances)


# -- neighbours --------------------------------------------------------------------------------------------------------


def test_that_neighbours_are_those_of_brute_force(monkeypatch):
    monkeypatch.setattr(projection, "ROWS", 32)
    features, _ = points(150, 12)
    places, distances = finish(projection.neighbours(features, 9))
    wanted, apart = by_hand(features, 9)
    assert np.array_equal(places.numpy(), wanted)
    assert distances.numpy() == pytest.approx(apart, rel=1e-6)


def test_that_rounding_hides_no_neighbour_far_from_the_origin(monkeypatch):
    """In float32 |a|² + |b|² - 2ab of these is all rounding: differences of 1e-3 beside one point at 1e4."""
    generator = torch.Generator().manual_seed(0)
    features = 100 + 1e-3 * torch.randn(120, 6, generator=generator)
    features[0] = 1e4
    places, distances = finish(projection.neighbours(features, 5))
    wanted, apart = by_hand(features, 5)
    assert distances.numpy() == pytest.approx(apart, rel=1e-6)
    assert (places.numpy() == wanted).mean() > 0.95  # the rest are equally far in float32 numbers


def test_that_equal_points_are_each_others_neighbours_at_distance_zero():
    features = torch.cat([torch.zeros(30, 3), torch.ones(30, 3)])
    places, distances = finish(projection.neighbours(features, 4))
    assert distances.max() == 0
    assert ((places < 30) == (torch.arange(60) < 30)[:, None]).all()
    assert (places != torch.arange(60)[:, None]).all()


def test_that_neighbours_on_a_map_leave_out_the_point_itself_also_where_many_lie_at_one_place():
    places = np.concatenate([np.zeros((20, 2)), np.random.default_rng(0).normal(size=(30, 2))]).astype(np.float32)
    near = projection.neighbours_on_map(places, 6)
    assert near.shape == (50, 6)
    assert (near != np.arange(50)[:, None]).all()
    _, apart = by_hand(torch.from_numpy(places), 6)
    found = np.linalg.norm(places[near].astype(np.float64) - places[:, None], axis=2)
    assert found == pytest.approx(apart, rel=1e-6)


# -- PCA ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("count", "size"), [(80, 10), (12, 40)])
def test_that_pca_is_that_of_scikit_learn_up_to_sign(count, size):
    features, _ = points(count, size)
    plane = projection.pca(features, 3)
    reference = PCA(3, svd_solver="full").fit(features.double().numpy())
    turned = np.sign((plane.axes * reference.components_).sum(1))[:, None]
    assert plane.axes * turned == pytest.approx(reference.components_, abs=1e-8)
    assert plane.explained == pytest.approx(reference.explained_variance_ratio_, rel=1e-9)
    assert plane.variances == pytest.approx(reference.explained_variance_, rel=1e-9)
    assert plane.axes @ plane.axes.T == pytest.approx(np.eye(3), abs=1e-9)
    assert all(axis[np.abs(axis).argmax()] > 0 for axis in plane.axes)


def test_that_what_pca_leaves_out_is_the_sum_of_the_discarded_eigenvalues():
    features, _ = points(60, 7)
    x = features.double().numpy()
    plane = projection.pca(features, 2)
    back = (x - plane.centre) @ plane.axes.T @ plane.axes + plane.centre
    eigenvalues = np.linalg.eigvalsh(np.cov(x.T))
    assert np.square(x - back).sum() / (len(x) - 1) == pytest.approx(eigenvalues[:-2].sum(), rel=1e-10)


def test_that_axes_that_do_not_exist_are_zero():
    two = projection.pca(torch.tensor([[0.0, 0.0, 0.0], [3.0, 0.0, 4.0]]))
    assert two.axes[0] == pytest.approx([0.6, 0, 0.8])
    assert not two.axes[1].any() and two.explained == (pytest.approx(1.0), 0.0)
    narrow = projection.pca(torch.arange(5.0)[:, None])
    assert narrow.axes.shape == (2, 1) and narrow.axes[0, 0] == pytest.approx(1)
    assert projection.pca(torch.ones(4, 3)).explained == (0.0, 0.0)


def test_that_aligning_undoes_a_turn_a_mirror_and_a_move_but_no_stretching():
    target = np.random.default_rng(0).normal(size=(40, 2)).astype(np.float32)
    turn = np.array([[math.cos(2), -math.sin(2)], [math.sin(2), math.cos(2)]])
    for mirror in (1, -1):
        moved = target @ turn @ np.diag([1, mirror]) + [5, -3]
        assert projection.align(moved, target) == pytest.approx(target, abs=1e-5)
    stretched = projection.align(3 * (target @ turn), target)
    assert stretched - stretched.mean(0) == pytest.approx(3 * (target - target.mean(0)), abs=1e-4)


# -- UMAP's graph ------------------------------------------------------------------------------------------------------


def test_that_the_graph_is_the_fuzzy_union_of_the_paper():
    """A loop per point: ρ the nearest, σ by bisection, then a + b - ab for every pair."""
    features, _ = points(40, 5)
    k = 6
    places, distances = by_hand(features, k)
    weights = np.zeros((40, 40))
    for i in range(40):
        rho = distances[i, 0]
        low, high = 1e-9, 1e3
        for _ in range(200):
            sigma = (low + high) / 2
            total = sum(math.exp(-(d - rho) / sigma) for d in distances[i])
            low, high = (low, sigma) if total > math.log2(k + 1) else (sigma, high)
        for j, d in zip(places[i], distances[i], strict=True):
            weights[i, j] = math.exp(-(d - rho) / sigma)
    union = weights + weights.T - weights * weights.T
    graph = projection.graph(places, distances)
    found = np.zeros((40, 40))
    found[graph.head, graph.tail] = graph.weight
    assert found == pytest.approx(union, abs=1e-4)
    assert graph.head.dtype == graph.tail.dtype == np.int32


@pytest.mark.parametrize(("min_dist", "wanted"), [(0.1, (1.5769434, 0.8950609)), (0.5, (0.5830300, 1.3341670))])
def test_that_the_curve_has_the_numbers_of_umap_learn(min_dist, wanted):
    """What umap.umap_.find_ab_params of version 0.5.12 gives for spread 1."""
    assert projection.curve(min_dist) == pytest.approx(wanted, rel=1e-5)


def test_that_weights_of_equal_points_are_numbers():
    rho, sigma = projection.smooth(np.zeros((5, 3)))
    assert not rho.any() and np.isfinite(sigma).all()
    assert (projection.memberships(np.zeros((5, 3)), rho, sigma) == 1).all()


def test_that_a_fresh_layout_begins_the_same_for_the_same_seed_and_also_for_equal_points():
    plane = np.random.default_rng(1).normal(size=(30, 2))
    begin = projection.beginning(plane, 3)
    assert np.array_equal(begin, projection.beginning(plane, 3)) and not np.array_equal(begin, projection.beginning(plane, 4))
    assert np.ptp(begin, axis=0) == pytest.approx([10, 10], abs=0.01)
    assert np.isfinite(projection.beginning(np.zeros((5, 2)), 0)).all()
    assert len(np.unique(projection.beginning(np.zeros((5, 2)), 0), axis=0)) == 5


def test_that_a_new_point_lies_among_its_nearest_and_at_the_place_of_an_equal_one():
    places = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    assert projection.place(np.array([0.0, 1.0, 2.0]), places) == pytest.approx([0, 0])
    assert projection.place(np.array([1.0, 1.0, 1.0]), places) == pytest.approx([1 / 3, 1 / 3])
    nearer = projection.place(np.array([0.5, 1.0, 1.0]), places)
    assert nearer[0] == pytest.approx(nearer[1]) and 0 < nearer[0] < 1 / 3


# -- trust -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("k", [1, 5, 30])
def test_that_trustworthiness_is_that_of_scikit_learn(k, monkeypatch):
    monkeypatch.setattr(projection, "ROWS", 17)
    features, _ = points(90, 8)
    places = projection.pca(features).project(features.numpy())
    found = finish(projection.trustworthiness(features, projection.neighbours_on_map(places, k), np.arange(90)))
    assert found == pytest.approx(trustworthiness(features.double().numpy(), places, n_neighbors=k), abs=1e-12)


def test_that_trustworthiness_of_some_rows_is_their_part_of_all():
    """The mean over two halves is the whole: each row is exact."""
    features, _ = points(60, 8)
    near = projection.neighbours_on_map(features[:, :2].numpy(), 5)
    parts = [finish(projection.trustworthiness(features, near, rows)) for rows in (np.arange(30), np.arange(30, 60))]
    assert np.mean(parts) == pytest.approx(finish(projection.trustworthiness(features, near, np.arange(60))), abs=1e-12)


def test_that_a_map_that_is_the_features_is_wholly_trusted_and_undefined_trust_is_no_number():
    features, _ = points(50, 2)
    near = projection.neighbours_on_map(features.numpy(), 7)
    assert finish(projection.trustworthiness(features, near, np.arange(50))) == 1
    assert (projection.survived(near, near) == 1).all()
    assert math.isnan(finish(projection.trustworthiness(features[:9], projection.neighbours_on_map(features[:9].numpy(), 5), np.arange(9))))


def test_that_large_maps_are_checked_on_the_same_random_rows_each_time():
    assert np.array_equal(projection.trusted_rows(5000), np.arange(5000))
    rows = projection.trusted_rows(20_000)
    assert len(rows) == len(np.unique(rows)) == 1000 and np.array_equal(rows, projection.trusted_rows(20_000))
    assert 9000 < rows.mean() < 11_000


def test_that_survival_counts_true_neighbours_on_the_map():
    generator = np.random.default_rng(0)
    true, near = (np.stack([generator.permutation(40)[:6] for _ in range(50)]) for _ in range(2))
    by_loop = [len(set(a) & set(b)) / 6 for a, b in zip(true, near, strict=True)]
    assert projection.survived(true, near) == pytest.approx(by_loop)


def test_that_the_vote_in_feature_space_is_weighted_by_cosine_and_leaves_each_point_out():
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(5, (70,), generator=generator).numpy()
    features = torch.randn(70, 3, generator=generator) + 0.6 * torch.randn(5, 3, generator=generator)[labels]
    x = features.double().numpy()

    def by_hand(temperature: float) -> float:
        right = 0
        for i in range(70):
            cosines = [(x[i] @ x[j] / np.linalg.norm(x[i]) / np.linalg.norm(x[j]), labels[j]) for j in range(70) if j != i]
            best = sorted(cosines, reverse=True)[:40]
            votes = [sum(math.exp(c / temperature) for c, y in best if y == label) for label in range(5)]
            right += int(np.argmax(votes) == labels[i])
        return right / 70

    wanted = [by_hand(temperature) for temperature in (0.1, 1.0)]
    assert wanted[0] != wanted[1]
    for temperature, share in zip((0.1, 1.0), wanted, strict=True):
        assert finish(projection.knn_accuracy(features, labels, np.arange(70), 40, temperature)) == pytest.approx(share)


def test_that_the_vote_on_the_map_is_that_of_scikit_learn():
    features, labels = points(80, 2, groups=5)
    places = features.numpy() * 0.3
    near = projection.neighbours_on_map(places, 7)
    right = []
    for i in range(80):
        rest = np.delete(np.arange(80), i)
        right.append(KNeighborsClassifier(7).fit(places[rest], labels[rest]).predict(places[i : i + 1])[0] == labels[i])
    assert projection.vote_accuracy(near, labels) == pytest.approx(np.mean(right))


# -- clusters and directions -------------------------------------------------------------------------------------------


def test_that_clusters_find_well_separated_groups_and_agree_with_their_classes():
    features, labels = points(120, 6, groups=3)
    found = projection.clusters(10 * features.numpy(), 3, seed=0)
    assert agreement(found, labels) == (pytest.approx(1), 1)
    assert np.array_equal(found, projection.clusters(10 * features.numpy(), 3, seed=0))


def test_that_agreement_takes_the_best_matching_and_the_mutual_information_of_scikit_learn():
    labels = np.array([0, 0, 0, 1, 1, 1, 2, 2])
    found = np.array([1, 1, 0, 0, 0, 0, 2, 1])
    nmi, right = agreement(found, labels)
    assert nmi == pytest.approx(normalized_mutual_info_score(labels, found))
    assert right == pytest.approx(6 / 8)  # cluster 1 is class 0, cluster 0 is class 1, cluster 2 is class 2


def test_that_there_are_no_more_clusters_than_different_points():
    features = np.repeat(np.eye(3, dtype=np.float32), 4, axis=0)
    assert len(np.unique(projection.clusters(features, 10, seed=0))) == 3


def test_that_a_direction_is_zero_at_one_mean_and_one_at_the_other():
    features, labels = points(60, 5)
    x = features.numpy()
    a, b = np.flatnonzero(labels == 0), np.flatnonzero(labels == 1)
    values = projection.along(x, a, b)
    assert values[a].mean() == pytest.approx(0, abs=1e-9) and values[b].mean() == pytest.approx(1)
    ours, theirs = projection.along_without(x, a, b)
    for i in range(3):  # the same, with the point really left out
        assert ours[i] == pytest.approx(projection.along(x, np.delete(a, i), b)[a[i]])
        assert theirs[i] == pytest.approx(projection.along(x, a, np.delete(b, i))[b[i]])
