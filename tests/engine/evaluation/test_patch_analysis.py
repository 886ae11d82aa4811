"""Attention maps, components and cosines of patches, against slow loops in float64 and scikit-learn."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from engine.evaluation.patch_analysis import (
    apart,
    attention_distance,
    best_patches,
    component_colors,
    patch_components,
    patch_cosines,
    summarize_attention,
)
from tests.kit.tensors import seeded

GRID = (3, 4)
HEADS, SPECIAL = 2, 3


def weights(seed: int = 0) -> torch.Tensor:
    """Attention of two heads between three special tokens and twelve patches."""
    tokens = SPECIAL + GRID[0] * GRID[1]
    return torch.randn(HEADS, tokens, tokens, generator=seeded(seed)).mul(2).softmax(2)


def distance(a: int, b: int) -> float:
    (r1, c1), (r2, c2) = divmod(a, GRID[1]), divmod(b, GRID[1])
    return math.sqrt((r1 - r2) ** 2 + (c1 - c2) ** 2)


@pytest.mark.parametrize("query", [0, 7, None])
def test_that_maps_entropies_and_distances_are_those_of_a_slow_loop(query: int | None) -> None:
    given = weights()
    found = summarize_attention(given, GRID, query)
    heads = [*given.double().numpy(), given.double().numpy().mean(0)]
    for place, head in enumerate(heads):
        patches = range(SPECIAL, len(head))
        row = head[query] if query is not None else sum(head[i] for i in patches) / 12
        np.testing.assert_allclose(found.maps[place].flatten().numpy(), row[SPECIAL:], atol=1e-6)
        assert found.rest[place].item() == pytest.approx(row[:SPECIAL].sum(), abs=1e-6)
        assert found.maps[place].sum().item() + found.rest[place].item() == pytest.approx(1, abs=1e-6)
        among = [value / sum(row[SPECIAL:]) for value in row[SPECIAL:]]
        assert found.entropies[place].item() == pytest.approx(-sum(p * math.log(p) for p in among), abs=1e-6)
        total = 0.0
        for i in patches:
            own = sum(head[i][j] for j in patches)
            total += sum(head[i][j] / own * distance(i - SPECIAL, j - SPECIAL) for j in patches)
        assert found.distances[place].item() == pytest.approx(total / 12, abs=1e-6)


def test_that_even_attention_has_the_largest_entropy_and_the_mean_distance_of_the_grid() -> None:
    even = torch.full((1, 12, 12), 1 / 12)
    found = summarize_attention(even, GRID, None)
    assert found.entropies[0].item() == pytest.approx(math.log(12), abs=1e-6) and found.rest[0] == 0
    assert attention_distance(even, GRID)[0].item() == pytest.approx(apart(GRID).mean().item(), abs=1e-6)
    assert attention_distance(torch.eye(12)[None], GRID)[0].item() == 0


def features(count: int = 3, size: int = 6, seed: int = 1) -> list[torch.Tensor]:
    """Features whose first direction is large in the middle of the images."""
    noise = torch.randn(count, *GRID, size, generator=seeded(seed))
    bump = torch.tensor([[0.0, 1, 1, 0], [1, 5, 5, 1], [0, 1, 1, 0]])
    return list(noise * torch.tensor([0.2, 0.2, 2.0, 0.5, 0.5, 1.0]) + bump[:, :, None] * torch.tensor([0.0, -3, 0, 0, 0, 0]))


def test_that_components_are_those_of_scikit_learn_but_for_their_sign() -> None:
    given = features()
    rows = torch.cat([one.flatten(0, 1) for one in given]).numpy().astype(np.float64)
    known = PCA(3, svd_solver="full").fit(rows)
    found = patch_components(given)
    np.testing.assert_allclose(found.explained, known.explained_variance_ratio_, atol=1e-6)
    assert found.first_explained == found.explained[0]
    scores = torch.cat([one.flatten(0, 1) for one in found.scores]).numpy()
    expected = known.transform(rows)
    for component in range(3):
        sign = np.sign(scores[:, component] @ expected[:, component])
        np.testing.assert_allclose(scores[:, component], sign * expected[:, component], atol=1e-5)


@pytest.mark.parametrize("flip", [1, -1])
def test_that_scores_are_higher_in_the_middle_of_the_images_than_at_their_edges_whatever_the_sign_of_the_features(flip: int) -> None:
    found = patch_components([flip * one for one in features()])
    first = torch.stack(found.scores)[..., 0]
    assert first[:, 1, 1:3].mean() > 0 > first[:, (0, 0, 2, 2), (0, 3, 0, 3)].mean()


@pytest.mark.parametrize("foreground", ["above", "below"])
def test_that_the_foreground_is_kept_by_the_first_component_and_the_others_are_computed_anew_from_it(foreground: str) -> None:
    given = features()
    first = torch.stack(patch_components(given).scores)[..., 0]
    found = patch_components(given, foreground)
    expected = first > 0 if foreground == "above" else first < 0
    assert torch.equal(torch.stack(found.kept), expected) and 4 < expected.sum() < 32
    rows = torch.stack(given)[expected].numpy().astype(np.float64)
    known = PCA(3, svd_solver="full").fit(rows)
    np.testing.assert_allclose(found.explained, known.explained_variance_ratio_, atol=1e-6)
    assert found.first_explained == patch_components(given).explained[0]
    scores = torch.stack(found.scores)
    assert scores[~expected].isnan().all()
    np.testing.assert_allclose(scores[expected].numpy().var(0), known.explained_variance_ * (len(rows) - 1) / len(rows), rtol=1e-4)
    colors = component_colors(found)
    assert (colors[~expected] == 0).all()


def test_that_too_few_patches_are_refused_in_a_sentence_and_narrow_features_have_fewer_components() -> None:
    with pytest.raises(ValueError, match="Only 1 patches are left"):
        patch_components([torch.zeros(1, 1, 8)])
    found = patch_components([torch.randn(4, 4, 2, generator=seeded())])
    assert found.explained[2] == 0 and sum(found.explained) == pytest.approx(1)
    assert (found.scores[0][..., 2] == 0).all() and (component_colors(found)[..., 2] == 128).all()
    assert patch_components([torch.ones(4, 4, 5)]).explained == (0, 0, 0), "patches that are all alike"


def test_that_colours_run_over_the_robust_range_of_each_component() -> None:
    found = patch_components(features())
    scores, colors = torch.stack(found.scores).numpy().reshape(-1, 3), component_colors(found).numpy().reshape(-1, 3)
    low, high = (np.quantile(scores.astype(np.float64), q, axis=0) for q in (0.02, 0.98))
    expected = np.clip((scores - low) / (high - low), 0, 1) * 255
    assert np.abs(colors - expected).max() <= 0.51
    assert colors.min() == 0 and colors.max() == 255


def test_that_cosines_and_the_best_matches_are_those_of_numpy() -> None:
    given = features()
    given[1][2, 3] = 3 * given[0][1, 2]  # the same direction
    given[2][0, 0] = 0  # no direction at all
    cosines = patch_cosines(given, (1, 2))
    rows = np.stack([one.numpy() for one in given]).astype(np.float64).reshape(-1, 6)
    vector = given[0][1, 2].numpy().astype(np.float64)
    lengths = np.linalg.norm(rows, axis=1) * np.linalg.norm(vector)
    expected = np.divide(rows @ vector, lengths, out=np.zeros(len(rows)), where=lengths > 0).reshape(3, *GRID)
    np.testing.assert_allclose(cosines.numpy(), expected, atol=1e-6)
    best = best_patches(cosines, (1, 2), 5)
    expected[0, 1, 2] = -2
    assert best[0] == (1, 2, 3)
    assert best == [tuple(map(int, np.unravel_index(i, expected.shape))) for i in np.argsort(-expected.ravel())[:5]]
    assert len(best_patches(cosines, (1, 2), 100)) == 35
