"""Samples and log-densities of the Latent pane under a prior that is learned, against the mixture of its posteriors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.special import logsumexp
from scipy.stats import norm

from engine import messages as m
from engine.protocols import LatentPrior, provides
from engine.queries.session import QuerySession
from engine.training.loop import train
from engine.training.plan import Plan

SMALL = {"network": "mlp", "width": 16, "latent": 3, "batch_size": 64}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("runs")
    list(train(Plan("vae", "digits", {**SMALL, "prior": "vamp", "pseudo_inputs": 8}, steps=120, name="vamp", device="cpu"), root))
    list(train(Plan("autoencoder", "digits", SMALL, steps=4, name="autoencoder", device="cpu"), root))
    return root


def components(session: QuerySession, run: str) -> tuple[np.ndarray, np.ndarray]:
    method = session.model(run, None).method
    with torch.no_grad():
        parts = method._components()  # type: ignore[attr-defined]
    return parts.mean.double().numpy(), parts.sigma.double().numpy()


def mixture(z: np.ndarray, mean: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    """log of the equal mixture of q(z|u_k): [N, D], [K, D], [K, D] -> [N]."""
    return logsumexp(norm.logpdf(z[:, None], mean, sigma).sum(2), axis=1) - np.log(len(mean))


def test_that_samples_and_their_density_are_those_of_the_learned_prior(runs: Path) -> None:
    session, run = QuerySession(), str(runs / "vamp")
    mean, sigma = components(session, run)
    assert provides(session.model(run, None).method, LatentPrior)
    drawn = session.answer(m.SamplePrior(run=run, count=400, seed=3))
    assert isinstance(drawn, m.PriorSampled) and drawn.z.shape == (400, 3)
    own, standard = mixture(drawn.z, mean, sigma), norm.logpdf(drawn.z).sum(1)
    assert own.mean() > standard.mean() + 0.1, "they come from the mixture, and not from N(0, I)"
    again = np.concatenate([mixture(mean[k] + sigma[k] * np.random.default_rng(k).normal(size=(4000, 3)), mean, sigma) for k in range(8)])
    assert own.mean() == pytest.approx(again.mean(), abs=4 * own.std() / 20), "as often from each component as the mixture says"
    z = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    decoded = session.answer(m.Decode(run=run, z=z))
    assert isinstance(decoded, m.Decoded) and decoded.log_prior == pytest.approx(mixture(z.astype(np.float64), mean, sigma), abs=1e-3)
    way = session.answer(m.Interpolate(run=run, a=z[0], b=z[1], count=5))
    assert isinstance(way, m.Interpolated)
    assert way.lerp_log_prior == pytest.approx(mixture(way.lerp_z.astype(np.float64), mean, sigma), abs=1e-3)


def test_that_a_temperature_of_zero_gives_the_components_means(runs: Path) -> None:
    session, run = QuerySession(), str(runs / "vamp")
    mean, _ = components(session, run)
    drawn = session.answer(m.SamplePrior(run=run, count=30, seed=1, temperature=0.0))
    assert isinstance(drawn, m.PriorSampled)
    assert np.abs(drawn.z[:, None] - mean).max(2).min(1).max() < 1e-5


def test_that_an_autoencoder_has_neither_prior_nor_density(runs: Path) -> None:
    session, run = QuerySession(), str(runs / "autoencoder")
    drawn = session.answer(m.SamplePrior(run=run, count=4, seed=0))
    assert isinstance(drawn, m.PriorSampled) and "no prior" in drawn.note
    decoded = session.answer(m.Decode(run=run, z=drawn.z))
    assert isinstance(decoded, m.Decoded) and decoded.log_prior is None
