"""Scores of a run on its test split: what is measured, on which images, against closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from engine.data import open_data
from engine.data.splits import spread
from engine.evaluation.evaluate import evaluate
from engine.losses.likelihoods import image_generators
from engine.messages import Progress
from engine.queries.session import CannotAnswer, Model
from engine.storage.run_folders import BadRun
from engine.storage.run_reader import Run
from engine.training.loop import train
from engine.training.plan import Plan

CONFIG = {"network": "mlp", "width": 8, "latent": 4, "batch_size": 64}


def result(job):
    events = []
    try:
        while True:
            events.append(next(job))
    except StopIteration as end:
        return end.value, events


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    for method in ("vae", "autoencoder"):
        list(train(Plan(method, "digits", CONFIG, steps=8, name=method, device="cpu"), root))
    return root


def test_an_image_scores_the_same_whatever_else_is_scored(runs):
    told, _ = result(evaluate(runs / "vae", limit=4, k=4))
    method = Model(Run.open(runs / "vae"), 8).method
    split = open_data("digits").splits["test"]
    nats = []
    for place in spread(split, 4).tolist():
        alone = torch.from_numpy(split.images[place : place + 1].copy()).float() / 255
        noise = image_generators(alone, 0)
        target = method.evaluate_target(alone, noise)
        log_w = method.log_weights(target, method.posterior(target), 4, noise)
        nats.append(-float(log_w.double().logsumexp(0) - math.log(4)))
    assert told.values["nats"] == pytest.approx(sum(nats) / 4, rel=1e-5)
    whole, events = result(evaluate(runs / "vae", k=4))
    assert isinstance(events[-1], Progress) and events[-1].done == whole.images == events[-1].total


def test_more_samples_never_loosen_the_bound_by_more_than_noise(runs):
    k1, k64 = (result(evaluate(runs / "vae", limit=64, k=k))[0].values for k in (1, 64))
    assert k1["nats"] == pytest.approx(k1["elbo_nats"])
    assert k64["nats"] < k64["elbo_nats"]


def test_a_decoder_that_ignores_z_has_the_likelihood_of_its_fixed_distribution(runs, monkeypatch):
    """With p(x|z) = U{0..255} per pixel and q = prior every importance weight is 256^-D: 8 bits per dimension, whatever k is."""
    from engine.method import Latents
    from engine.methods.vae import VAE

    def posterior(self, x):
        return Latents(torch.zeros(len(x), 4), torch.ones(len(x), 4))

    monkeypatch.setattr(VAE, "posterior", posterior)
    monkeypatch.setattr(VAE, "_log_likelihoods", lambda self, x, z: torch.full(z.shape[:2], -64 * math.log(256.0)))
    values = result(evaluate(runs / "vae", limit=5, k=7))[0].values
    assert values["bits_per_dim"] == pytest.approx(8.0, rel=1e-5)
    assert values["elbo_bits_per_dim"] == pytest.approx(8.0, rel=1e-5)


def test_a_step_is_chosen_and_a_missing_one_refused_with_those_there_are(runs):
    assert result(evaluate(runs / "vae", step=2, limit=2, k=2))[0].step == 2
    with pytest.raises(BadRun, match="0, 1, 2, 4, 8"):
        result(evaluate(runs / "vae", step=3))


def test_a_method_without_density_or_classes_has_nothing_to_score(runs):
    with pytest.raises(CannotAnswer):
        result(evaluate(runs / "autoencoder"))


def test_data_that_changed_since_the_training_are_refused(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (200, 8, 8), dtype=np.uint8)
    np.save(tmp_path / "images.npy", images)
    list(train(Plan("vae", str(tmp_path / "images.npy"), CONFIG, steps=1, name="run", device="cpu"), tmp_path / "runs"))
    np.save(tmp_path / "images.npy", 255 - images)
    with pytest.raises(BadRun, match="content changed"):
        result(evaluate(tmp_path / "runs" / "run"))


def test_that_a_stop_is_heard_while_the_data_are_read_and_the_reading_is_closed(runs, monkeypatch):
    closed = []

    def reading(_run, _job):
        try:
            for done in range(1000):
                yield Progress("", "", done, 1000, "file", 0.0, None)
        finally:
            closed.append(done)

    monkeypatch.setattr("engine.evaluation.evaluate.open_run_data", reading)
    seen: list[object] = []
    with pytest.raises(KeyboardInterrupt, match="before anything was scored"):
        for event in evaluate(runs / "vae", stop=lambda: len(seen) > 3):
            seen.append(event)
    assert len(seen) == 4 and closed == [3]
