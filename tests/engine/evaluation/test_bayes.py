"""Bayes' rule against linear discriminant analysis and the normal distribution function, and in the evaluation of a run."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal, norm
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from engine.common.bayes_rule import posterior, with_share
from engine.data import open_data
from engine.data.splits import spread
from engine.evaluation.bayes import BadPrior, bayes, calibration, class_prior, marginal_error
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
    log_p = given - np.logaddexp.reduce(given, 1, keepdims=True)
    assert told["bayes_log_loss"] == pytest.approx(-log_p[np.arange(12), split.labels[rows]].mean(), rel=1e-4)
    assert 0 <= told["bayes_calibration"] <= 1 and told["bayes_calibration_se"] > 0 and told["bayes_calibration_limit"] > 0
    assert "bayes_confidence" not in told


def test_that_the_rule_on_numbers_is_that_on_tensors():
    given, prior = RNG.normal(size=(5, 4)) * 800, np.array([0.1, 0.0, 0.6, 0.3])
    ours = posterior(given, 7 * prior)
    theirs = bayes(torch.from_numpy(given), torch.from_numpy(prior).log())
    assert ours.log_posterior == pytest.approx(theirs.log_posterior.numpy(), abs=1e-9)
    assert ours.log_marginal == pytest.approx(theirs.log_marginal.numpy(), abs=1e-9)
    assert np.exp(ours.log_posterior[:, 1]).max() == 0, "a class of probability zero stays so"


def test_that_a_share_of_a_prior_is_moved_and_the_others_keep_their_proportions():
    assert with_share(np.array([0.5, 0.3, 0.2]), 0, 0.0) == pytest.approx([0, 0.6, 0.4])
    assert with_share(np.array([0.5, 0.3, 0.2]), 1, 0.65) == pytest.approx([0.25, 0.65, 0.1])
    assert with_share(np.array([1.0, 0.0, 0.0]), 0, 0.5) == pytest.approx([0.5, 0.25, 0.25])
    assert with_share(np.array([1.0, 0.0]), 1, 2.0) == pytest.approx([0, 1])


def test_that_a_prior_is_read_from_words_and_a_bad_one_refused_with_what_it_may_be():
    names, labels = ("a", "b", "c"), np.array([0, 0, 0, 1, 1, 2])
    assert class_prior("uniform", names, None) == pytest.approx([1 / 3] * 3)
    assert class_prior("data", names, labels) == pytest.approx([1 / 2, 1 / 3, 1 / 6])
    assert class_prior("2, 1,1", names, None) == pytest.approx([0.5, 0.25, 0.25])
    for text, why in (("flat", "uniform, data, or 3"), ("1,2", "There are 3 classes"), ("-1,1,1", "from 0 on"), ("0,0,0", "not all")):
        with pytest.raises(BadPrior, match=why):
            class_prior(text, names, labels)
    with pytest.raises(BadPrior, match="no labels"):
        class_prior("data", names, None)


def test_that_the_calibration_error_is_the_distance_of_confidence_and_accuracy_and_its_error_shrinks_with_images():
    def told(n: int, accuracy: float) -> dict[str, float]:
        return calibration(np.full(n, 0.8), RNG.random(n) < accuracy)

    honest, sure = told(4000, 0.8), told(4000, 0.6)
    assert honest["calibration"] < 2 * honest["calibration_limit"]
    assert sure["calibration"] == pytest.approx(0.2, abs=4 * math.sqrt(0.24 / 4000)) and sure["calibration"] > sure["calibration_limit"]
    assert sure["calibration_se"] == pytest.approx(math.sqrt(0.24 / 4000), rel=0.3)  # one bin: the binomial error
    paired = calibration(np.full(4000, 0.8), np.repeat(RNG.random(2000) < 0.6, 2), np.repeat(np.arange(2000), 2))
    assert paired["calibration_se"] == pytest.approx(math.sqrt(0.24 / 2000), rel=0.3), "twins are one piece of evidence"


def test_that_a_prior_moves_what_eval_says_of_a_run(tmp_path: Path):
    list(train(Plan("discriminant", "digits", {}, steps=1, name="run", device="cpu"), tmp_path))

    def told(prior: str) -> dict:
        job = evaluate(tmp_path / "run", prior=prior)
        while True:
            try:
                next(job)
            except StopIteration as end:
                return end.value.values

    even, zero = told("uniform"), told("1,0,0,0,0,0,0,0,0,0")
    assert even["bayes_accuracy"] > 0.85
    labels = open_data("digits").splits["test"].labels
    assert zero["bayes_accuracy"] == pytest.approx((labels == 0).mean()) and zero["prior"][0] == 1
    shares = np.bincount(open_data("digits").splits["train"].labels)
    assert told("data")["prior"] == pytest.approx(shares / shares.sum(), abs=1e-5)


def test_that_the_error_of_the_marginal_is_what_moving_every_class_does_to_it() -> None:
    """Against log Σ exp itself, moved a little."""
    given = torch.randn(5, 4, generator=torch.Generator().manual_seed(0)).double() * 3
    error = torch.rand(5, 4, generator=torch.Generator().manual_seed(1)).double()
    moved = ((given + 1e-6 * error).logsumexp(1) - given.logsumexp(1)) / 1e-6
    assert torch.allclose(marginal_error(error, given.log_softmax(1)), moved, atol=1e-5)
