"""Bayes' rule against linear discriminant analysis and the normal distribution function, and in the evaluation of a run."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal, norm
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from engine.data import open_data
from engine.data.splits import spread
from engine.evaluation.bayes import bayes
from engine.evaluation.evaluate import evaluate
from engine.queries.session import Model
from engine.storage.run_reader import Run
from engine.training.loop import train
from engine.training.plan import Plan

RNG = np.random.default_rng(0)


def test_that_gaussians_with_one_covariance_are_linear_discriminant_analysis():
    means, priors = RNG.normal(size=(3, 4)), np.array([0.5, 0.3, 0.2])
    mix = RNG.normal(size=(4, 4))
    x = np.concatenate([RNG.normal(size=(300, 4)) @ mix + mean for mean in means])
    y = np.repeat([0, 1, 2], 300)
    lda = LinearDiscriminantAnalysis(solver="lsqr", priors=priors).fit(x, y)
    given = np.stack([multivariate_normal(x[y == k].mean(0), _pooled(x, y, priors)).logpdf(x) for k in range(3)], 1)
    told = bayes(torch.from_numpy(given), torch.from_numpy(np.log(priors)))
    assert told.log_posterior.exp().numpy() == pytest.approx(lda.predict_proba(x), abs=1e-6)
    assert told.log_posterior.exp().sum(1).numpy() == pytest.approx(1)
    density = sum(p * np.exp(given[:, k]) for k, p in enumerate(priors))
    assert told.log_marginal.numpy() == pytest.approx(np.log(density))


def _pooled(x: np.ndarray, y: np.ndarray, priors: np.ndarray) -> np.ndarray:
    """The covariance within classes, each weighted by its prior, as scikit-learn does."""
    return sum(p * np.cov(x[y == k].T, bias=True) for k, p in enumerate(priors))


def test_that_doubling_a_prior_moves_its_logit_by_ln_2():
    given = torch.from_numpy(RNG.normal(size=(6, 2)))
    even = bayes(given).log_posterior
    tilted = bayes(given, torch.tensor([math.log(2 / 3), math.log(1 / 3)], dtype=torch.float64)).log_posterior
    moved = (tilted[:, 0] - tilted[:, 1]) - (even[:, 0] - even[:, 1])
    assert moved.tolist() == pytest.approx([math.log(2)] * 6)


def test_that_two_gaussians_two_apart_are_told_apart_as_often_as_the_theory_says():
    n = 200_000
    y = RNG.integers(0, 2, n)
    x = RNG.normal(size=n) + 2 * y
    given = torch.from_numpy(np.stack([norm.logpdf(x, 0), norm.logpdf(x, 2)], 1))
    right = (bayes(given).log_posterior.argmax(1).numpy() == y).mean()
    assert right == pytest.approx(norm.cdf(1), abs=4 * math.sqrt(0.25 / n))  # Φ(δ/2) = 0.841345


@pytest.mark.parametrize("levels", [2, 8])
def test_that_a_conditional_run_is_evaluated_by_bayes_rule(levels: int, tmp_path: Path):
    settings = {"width": 6, "layers": 1, "cell_layers": 0, "levels": levels, "conditional": True}
    list(train(Plan("pixel_cnn", "digits", settings, steps=30, name="run", device="cpu"), tmp_path))
    events = evaluate(tmp_path / "run", limit=12)
    while True:
        try:
            next(events)
        except StopIteration as end:
            told = end.value.values
            break
    split = open_data("digits").splits["test"]
    rows = spread(split, 12)
    x = torch.from_numpy(split.images[rows]).float() / 255
    method = Model(Run.open(tmp_path / "run"), None).method
    with torch.no_grad():
        given = np.stack([method.log_prob(x, torch.full((12,), label)).numpy() for label in range(10)], 1).astype(np.float64)
        plain = method.log_prob(x).numpy().astype(np.float64)
    assert told["nats"] == pytest.approx(-plain.mean(), rel=1e-5)
    assert told["nats"] == pytest.approx(-np.log(np.exp(given - given.max()).mean(1)).mean() - given.max(), rel=1e-5)
    assert told["nats_given_class"] == pytest.approx(-given[np.arange(12), split.labels[rows]].mean(), rel=1e-5)
    assert told["bayes_accuracy"] == (given.argmax(1) == split.labels[rows]).mean()
