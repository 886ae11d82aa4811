"""Discriminant analysis against scikit-learn, scipy's normal distributions and the closed form of its accuracy."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal, norm
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis, QuadraticDiscriminantAnalysis
from torch import Tensor

from engine.config import make_config
from engine.evaluation.bayes import bayes
from engine.method import CannotLearn, DataSpec, StepContext, build
from engine.methods.discriminant import Config, DiscriminantAnalysis
from tests.kit.tensors import seeded


def make(shape: tuple[int, ...] = (1, 2, 3), classes: int = 3, **settings: Any) -> DiscriminantAnalysis:
    made = build(DiscriminantAnalysis, make_config(Config, settings), DataSpec(shape, tuple("abcdefghij"[:classes])), 0)
    assert isinstance(made, DiscriminantAnalysis)
    return made


def blobs(count: int, classes: int = 3, dims: int = 6, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Correlated classes of different sizes, [N, 1, 2, 3] in [0, 1], in float32 as images are."""
    rng = np.random.default_rng(seed)
    y = np.sort(rng.choice(classes, count, p=np.arange(1, classes + 1) / sum(range(1, classes + 1))))
    mix = rng.normal(0, 0.05, (classes, dims, dims)) + 0.05 * np.eye(dims)
    centre = rng.uniform(0.4, 0.6, (classes, dims))
    rows = centre[y] + np.einsum("nij,nj->ni", mix[y], rng.normal(size=(count, dims)))
    return torch.from_numpy(rows.clip(0, 1).astype(np.float32)).view(-1, 1, 2, 3), torch.from_numpy(y)


def fitted(x: Tensor, y: Tensor, **settings: Any) -> DiscriminantAnalysis:
    made = make(tuple(x.shape[1:]), int(y.max()) + 1, **settings)
    made.fit_step(x, y, StepContext(generator=seeded()))
    return made


@pytest.mark.parametrize("prior", [None, (0.6, 0.3, 0.1)])
@pytest.mark.parametrize("shrinkage", [0.0, 0.3])
def test_that_a_shared_covariance_gives_scikit_learns_linear_discriminant_analysis(shrinkage: float, prior: tuple[float, ...] | None):
    x, y = blobs(300)
    share = np.bincount(y) / len(y)
    theirs = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=shrinkage or None, priors=share)
    theirs.fit(x.flatten(1).double().numpy(), y.numpy())
    logits = theirs.decision_function(x.flatten(1).double().numpy())
    log_prior = torch.from_numpy(np.log(share)) if prior is None else torch.tensor(prior, dtype=torch.float64).log()
    if prior is not None:  # their weights of the covariance are their priors, so another prior is put in afterwards
        logits = logits - np.log(share) + np.log(prior)
    expected = np.exp(logits - np.logaddexp.reduce(logits, 1, keepdims=True))
    found = bayes(fitted(x, y, shrinkage=shrinkage).log_p_given(x), log_prior).log_posterior.exp()
    assert np.abs(found.numpy() - expected).max() < 1e-6
    assert found.sum(1).numpy() == pytest.approx(np.ones(len(x)))


def test_that_own_covariances_give_scikit_learns_quadratic_discriminant_analysis():
    x, y = blobs(400, seed=1)
    theirs = QuadraticDiscriminantAnalysis(tol=1e-12).fit(x.flatten(1).double().numpy(), y.numpy())
    prior = torch.from_numpy(np.bincount(y) / len(y)).log()
    found = bayes(fitted(x, y, covariance="own", shrinkage=0.0).log_p_given(x), prior).log_posterior.exp().numpy()
    assert np.abs(found - theirs.predict_proba(x.flatten(1).double().numpy())).max() < 1e-6


@pytest.mark.parametrize("covariance", ["shared", "own"])
def test_that_log_p_is_that_of_a_normal_distribution(covariance: str):
    x, y = blobs(200, seed=2)
    made, rows = fitted(x, y, covariance=covariance, shrinkage=0.25), x.flatten(1).double().numpy()
    pooled = sum((y == k).double().mean().item() * np.cov(rows[y == k].T, bias=True) for k in range(3))
    for k in range(3):
        s = np.cov(rows[y == k].T, bias=True) if covariance == "own" else pooled
        s = 0.75 * s + 0.25 * np.trace(s) / 6 * np.eye(6)
        expected = multivariate_normal(rows[y == k].mean(0), s).logpdf(rows)
        assert made.log_prob(x, torch.full((200,), k)).numpy() == pytest.approx(expected, abs=1e-6)
    each = torch.stack([made.log_prob(x, torch.full((200,), k)) for k in range(3)])
    assert torch.allclose(made.log_prob(x).exp(), each.exp().mean(0), rtol=1e-9)
    assert made.bits_per_dim(6 * math.log(2)) == pytest.approx(9.0)


def test_that_two_classes_two_deviations_apart_are_told_apart_as_often_as_the_normal_distribution_says():
    generator, n, sigma = seeded(3), 40_000, 0.05
    y = torch.arange(n) % 2
    rows = 0.5 + sigma * torch.randn(n, 6, generator=generator)
    rows[:, 0] += 2 * sigma * y
    x = rows.view(-1, 1, 2, 3)
    made = fitted(x[: n // 2], y[: n // 2], shrinkage=0.0)
    right = made.loss(x[n // 2 :], y[n // 2 :], StepContext())["accuracy"].item()
    expected = norm.cdf(1)  # δ / 2
    assert right == pytest.approx(expected, abs=4 * math.sqrt(expected * (1 - expected) / (n // 2)))


def test_that_doubling_a_prior_moves_its_logit_by_ln_2():
    x, y = blobs(300)
    given = fitted(x, y).log_p_given(x[::20])
    before = bayes(given, torch.tensor([0.2, 0.3, 0.5], dtype=torch.float64).log()).log_posterior
    after = bayes(given, torch.tensor([0.4, 0.3, 0.5], dtype=torch.float64).div(1.2).log()).log_posterior
    moved = (after[:, 0] - after[:, 1]) - (before[:, 0] - before[:, 1])
    assert moved.numpy() == pytest.approx(np.full(len(moved), math.log(2)), abs=1e-9)


def test_that_samples_have_the_mean_and_the_covariance_of_their_class():
    x, y = blobs(3000, seed=4)
    made, rows = fitted(x, y, covariance="own", shrinkage=0.0), x.flatten(1)
    *_, frame = made.sample(20_000, torch.full((20_000,), 1), generator=seeded(1))
    drawn = frame.x.flatten(1)
    assert torch.allclose(drawn.mean(0), rows[y == 1].mean(0), atol=5e-3)
    assert torch.allclose(drawn.T.cov(), rows[y == 1].T.cov(), atol=1e-3)


def test_that_weights_survive_in_double_precision():
    x, y = blobs(300)
    made = fitted(x, y)
    copy = make()
    copy.load_state_dict({name: value.to(torch.float32) for name, value in made.state_dict().items()})
    assert torch.allclose(copy.log_p_given(x), made.log_p_given(x), atol=1e-9, rtol=0)


def test_that_a_singular_covariance_is_refused_with_what_to_do():
    x, y = blobs(300)
    x[:, 0, 0, 0] = 0.5  # a pixel that never varies
    with pytest.raises(CannotLearn, match="larger shrinkage"):
        fitted(x, y, shrinkage=0.0)
    assert fitted(x, y, shrinkage=0.01).log_prob(x, y).isfinite().all()
    with pytest.raises(CannotLearn, match="larger shrinkage"):
        fitted(x[:4], torch.tensor([0, 0, 1, 1]), shrinkage=0.0)


def test_that_a_class_with_one_image_or_none_takes_the_shared_covariance():
    x, y = blobs(100)
    x, y = torch.cat([x, x[:1] + 0.1]), torch.cat([y, torch.tensor([3])])
    made = fitted(x, y, covariance="own", shrinkage=0.1)
    assert made.log_p_given(x).isfinite().all()
    shared = fitted(x, y, shrinkage=0.1)
    assert torch.allclose(made.log_p_given(x)[:, 3], shared.log_p_given(x)[:, 3], atol=1e-9)


def test_that_covariances_beyond_the_memory_are_refused_before_they_are_made():
    with pytest.raises(CannotLearn, match="one shared by all classes"):
        make((3, 32, 32), 10, covariance="own")
    with pytest.raises(CannotLearn, match="smaller images"):
        make((3, 64, 64), 10)
    with pytest.raises(CannotLearn, match="choose data with classes"):
        build(DiscriminantAnalysis, make_config(Config, {}), DataSpec((1, 8, 8)), 0)


def test_that_bits_follow_from_the_nats_as_their_help_says():
    """nats / (D ln 2) + 8, which may look far from nats below zero."""
    x, y = blobs(60)
    numbers = {number.name: number for number in fitted(x, y).describe(x, seeded()).numbers}
    nats, bits = numbers["−log p(x)"], numbers["−log p(x), bits/dim"]
    assert bits.value == pytest.approx(nats.value / (6 * math.log(2)) + 8) and "/ (D ln 2) + 8" in bits.help
