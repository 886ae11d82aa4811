"""The number that judges a checkpoint: of the best and of the newest, in the manifest and in the list."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from engine.messages import RunFigure
from engine.methods.vae import VAE
from engine.storage.run_reader import Run
from engine.training.loop import train
from engine.training.plan import Plan, ResumePlan

SMALL = {"network": "mlp", "width": 8, "latent": 4, "batch_size": 64, "warmup": 5, "likelihood": "bernoulli", "schedule": "constant"}
LOSSES = {0: 9.0, 1: 8.0, 2: 3.0, 4: 5.0, 8: 6.0, 10: 7.0, 12: 2.0}  # of the held-out images, at each step that is saved


@pytest.fixture(autouse=True)
def prescribed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Validation that gives these numbers; training itself is as ever."""
    honest = VAE.loss

    def loss(self, x, y, context):
        terms = honest(self, x, y, context)
        if not self.training:
            terms |= {"loss": torch.tensor(LOSSES[context.step]), "elbo": torch.tensor(-LOSSES[context.step])}
        return terms

    monkeypatch.setattr(VAE, "loss", loss)


def figure(step: int) -> RunFigure:
    term, unit, bigger = VAE.headline
    return RunFigure(term, -LOSSES[step] if bigger else LOSSES[step], unit, bigger, step)


def test_that_the_manifest_keeps_the_best_and_the_newest_number_and_the_list_the_words_of_the_best(tmp_path: Path):
    list(train(Plan("vae", "digits", SMALL, steps=10, device="cpu", precision="fp32", name="run"), tmp_path))
    run = Run.open(tmp_path / "run")
    info = run.info()
    assert (info.best, info.newest) == (figure(2), figure(10))
    assert info.headline == "ELBO −3.0 nat"
    assert [c.step for c in run.checkpoints() if c.best] == [2]

    list(train(ResumePlan(tmp_path / "run", steps=12), tmp_path))
    info = Run.open(tmp_path / "run").info()
    assert (info.best, info.newest) == (figure(12), figure(12))
    assert info.headline == "ELBO −2.0 nat"


def test_that_the_best_survives_a_resume_that_brings_nothing_better(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(LOSSES, 12, 4.0)
    list(train(Plan("vae", "digits", SMALL, steps=10, device="cpu", precision="fp32", name="run"), tmp_path))
    list(train(ResumePlan(tmp_path / "run", steps=12), tmp_path))
    info = Run.open(tmp_path / "run").info()
    assert (info.best, info.newest, info.headline) == (figure(2), figure(12), "ELBO −3.0 nat")
