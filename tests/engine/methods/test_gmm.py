"""The Gaussian mixture against scikit-learn's and closed forms (oracle 17)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.mixture import GaussianMixture

from engine.bases.dequantized import dequantized
from engine.common.pixels import to_float
from engine.config import make_config
from engine.data import open_data
from engine.losses.likelihoods import image_generators
from engine.method import CannotLearn, DataSpec, StepContext, build
from engine.methods import gmm, method_named
from tests.kit.tensors import seeded

SHAPE = (1, 2, 3)
D = 6


def images(count: int, seed: int = 0) -> torch.Tensor:
    """Two groups, of dark and of bright images."""
    bright = torch.arange(count) % 2
    levels = 60 + 110 * bright[:, None, None, None] + 12 * torch.randn(count, *SHAPE, generator=seeded(seed))
    return levels.round().clamp(0, 255).double() / 255


def made(shape: tuple[int, ...] = SHAPE, **settings: object) -> Any:
    kind = method_named("gmm")
    return build(kind, make_config(kind.Config, {"components": 5, **settings}), DataSpec(shape), seed=0).double()


def fit(method: Any, x: torch.Tensor, steps: int = 200) -> Any:
    for step in range(steps):
        if not method.finished:
            method.fit_step(x, None, StepContext(step, generator=seeded(step)))
    return method


def noised(x: torch.Tensor) -> np.ndarray:
    return dequantized(x, image_generators(x, 0)).numpy()


@pytest.mark.parametrize("covariance", ["full", "diagonal"])
def test_that_log_p_equals_scikit_learns_of_the_same_mixture(covariance: str):
    method, asked = fit(made(select=False, components=3, covariance=covariance), images(90)), images(8, seed=3)
    theirs = GaussianMixture(3, covariance_type="full" if covariance == "full" else "diag")
    weights = method.weights[:3].numpy()
    theirs.weights_, theirs.means_ = weights / weights.sum(), method.means[:3].numpy()
    theirs.precisions_cholesky_ = (method.factors if covariance == "full" else method.diagonals)[:3].numpy()
    assert method.log_prob(asked).numpy() == pytest.approx(theirs.score_samples(noised(asked)) - D * math.log(256), rel=1e-10)


def test_that_a_description_is_of_images_over_the_whole_of_what_it_is_given():
    method, x = fit(made(select=False, components=2), images(90)), images(384, seed=4)
    told = {number.name: number.value for number in method.describe(x, seeded()).numbers}["−log p(x)"]
    assert told == pytest.approx(-method.log_prob(x[::3]).mean().item(), rel=1e-9)


def test_that_one_full_component_is_the_gaussian_of_maximum_likelihood():
    x = images(70)
    method = fit(made(select=False, components=1, covariance="full", regularization=1e-4), x)
    rows = (255 * x.flatten(1) + 0.5) / 256  # the noise within a level adds 1/12 of its square
    centred = rows - rows.mean(0)
    wanted = centred.T @ centred / len(rows) + (1e-4 + 1 / 12 / 256**2) * torch.eye(D).double()
    precision = method.factors[0] @ method.factors[0].T
    assert torch.allclose(method.means[0], rows.mean(0), atol=5e-4)
    assert torch.allclose(torch.linalg.inv(precision), wanted, atol=2e-4)


def test_that_expectation_maximization_never_lowers_the_likelihood_and_ends(monkeypatch):
    """Without regularization, which takes some likelihood back."""
    monkeypatch.setattr(gmm, "BUDGET", 0.0)  # two iterations a step
    x = (128 + 25 * torch.randn(150, *SHAPE, generator=seeded())).round().double() / 255  # one group, which four share slowly
    method, found = made(select=False, components=4, covariance="full", regularization=1e-9), []
    while not method.finished:
        method.fit_step(x, None, StepContext(generator=seeded(len(found))))
        found.append(float(method.likelihood))
    rises = np.diff(found[1:])
    assert len(found) > 3 and (rises > -1e-6).all() and rises[-1] < gmm.TOLERANCE


def test_that_two_groups_are_found_to_be_two():
    method = fit(made(components=10), images(300))
    assert method.kept.components == 2
    means = sorted(method.means[:2].mean(1).tolist())
    assert means == pytest.approx([60.5 / 256, 170.5 / 256], abs=0.01)
    whole = method.tried.all(1)  # the others were left after two folds, worse than the best on both
    best = int(method.state[2])
    assert whole[best] and float(method.scores[best].mean()) == float(method.scores[whole].mean(1).min())
    assert set(method.tried.sum(1).tolist()) == {0, 2, gmm.FOLDS}


def test_that_samples_have_the_mean_and_covariance_of_the_mixture():
    for covariance in ("full", "diagonal"):
        method = fit(made(select=False, components=2, covariance=covariance), images(300))
        v = method.draw(20_000, 1.0, seeded())
        weights, means = method.weights[:2], method.means[:2]
        if covariance == "full":
            inner = torch.linalg.inv(method.factors[:2] @ method.factors[:2].mT)
        else:
            inner = torch.diag_embed(method.diagonals[:2] ** -2)
        mean = (weights[:, None] * means).sum(0)
        spread = (weights[:, None, None] * (inner + means[:, :, None] * means[:, None])).sum(0) - mean[:, None] * mean
        assert torch.allclose(v.mean(0), mean, atol=6e-3)
        assert torch.allclose(torch.cov(v.T), spread, atol=1.5e-3)


def test_that_it_goes_on_from_any_step_bit_for_bit():
    x = images(40)
    whole = fit(made(components=2, covariance="full"), x)
    for stop in (2, 5):
        first, again = fit(made(components=2, covariance="full"), x, stop), made(components=2, covariance="full")
        again.load_state_dict(first.state_dict())
        for step in range(stop, 200):
            if not again.finished:
                again.fit_step(x, None, StepContext(step, generator=seeded(step)))
        assert all(torch.equal(a, b) for a, b in zip(whole.state_dict().values(), again.state_dict().values(), strict=True))


def test_that_full_covariances_too_large_for_the_memory_are_refused_or_left_out():
    with pytest.raises(CannotLearn, match="covariance=diagonal"):
        made((3, 64, 64), covariance="full")
    with pytest.raises(CannotLearn, match="fewer components"):
        made((1, 32, 32), covariance="full", select=False, components=100)
    assert {candidate.kind for candidate in made((3, 64, 64)).candidates} == {gmm.DIAGONAL}
    with pytest.raises(CannotLearn, match="at least two"):
        fit(made(), images(1))


def test_that_every_image_is_held_out_once_so_that_a_rare_pixel_is_met(monkeypatch: pytest.MonkeyPatch):
    """A tenth of the images may well hold none of the few in which a pixel is bright that is black in all others."""
    method, x = made(components=5), images(60)
    seen: dict[int, list[np.ndarray]] = {}
    whole = type(method)._try

    def watched(self: Any, rows: np.ndarray, held_out: np.ndarray, seed: int) -> None:
        assert not {tuple(row) for row in rows} & {tuple(row) for row in held_out} and len(rows) + len(held_out) == 60
        seen.setdefault(int(self.state[1]), []).append(held_out)
        whole(self, rows, held_out, seed)

    monkeypatch.setattr(type(method), "_try", watched)
    fit(method, x)
    wanted = {tuple(row) for row in (255 * x).round().int().flatten(1).tolist()}
    levels = np.floor(256 * np.concatenate(seen[int(method.state[2])])).astype(int)
    assert len(levels) == 60 and {tuple(row) for row in levels.tolist()} == wanted
    assert min(candidate.variance for candidate in method.candidates) == 1 / 256**2, "a grey level"


@pytest.mark.slow
def test_that_what_is_selected_on_digits_is_near_the_best_on_their_validation_images():
    """Against scikit-learn's own fits of every candidate on all training images."""
    data = open_data("digits")
    x, held_out = (to_float(torch.from_numpy(data.splits[split].images)).double() for split in ("train", "valid"))
    method = fit(made((1, 8, 8), components=20), x, 1000)
    ours, scores = -method.log_prob(held_out).mean().item(), []
    for candidate in method.candidates:
        kind = "full" if candidate.kind == gmm.FULL else "diag"
        theirs = GaussianMixture(candidate.components, covariance_type=kind, reg_covar=candidate.variance, random_state=0, tol=1e-2)
        scores.append(64 * math.log(256) - theirs.fit(noised(x)).score(noised(held_out)))
    assert ours < 1.02 * min(scores) and max(scores) > 1.2 * min(scores)


@pytest.mark.slow
def test_that_it_scores_digits_as_scikit_learn_does_by_itself():
    data = open_data("digits")
    x, held_out = (to_float(torch.from_numpy(data.splits[split].images)).double() for split in ("train", "valid"))
    method = fit(made((1, 8, 8), components=10, covariance="full", regularization=1e-3, select=False), x)
    theirs = GaussianMixture(10, reg_covar=1e-3, random_state=0).fit(noised(x)).score(noised(held_out)) - 64 * math.log(256)
    assert method.log_prob(held_out).mean().item() == pytest.approx(theirs, rel=0.01)
    assert method.bits_per_dim(-theirs) < 7.0
