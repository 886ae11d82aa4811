"""What is measured of a training beside its loss."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
import torch

from engine.common.training_metrics import is_training_metric
from engine.messages import Metrics
from engine.method import Phase
from engine.storage.run_reader import Run
from engine.training.gauges import gauges, resident_bytes
from engine.training.loop import train
from engine.training.plan import Plan
from engine.worker.run_follower import history_points

CONFIG = {"network": "mlp", "width": 8, "latent": 4, "batch_size": 16, "learning_rate": 0.01, "warmup": 4, "schedule": "cosine"}
STEPS = 40


def test_that_rate_speed_and_memory_are_told_and_kept_beside_every_crossing(tmp_path: Path):
    events = list(train(Plan("vae", "digits", CONFIG, steps=STEPS, name="run", device="cpu"), tmp_path))
    points = history_points(Run.open(tmp_path / "run").metrics()[0])
    assert {name for name in points if is_training_metric(name)} == {"learning rate", "gradient norm", "images per second", "memory"}
    steps, rates = points["learning rate"]
    assert steps.tolist() == sorted(set(steps.tolist())) and steps[0] == 1 and steps[-1] == STEPS
    for step, rate in zip(steps.tolist(), rates.tolist(), strict=True):  # the definition, of the rate that a step was made with
        warm, fall = min(1, step / 4), 0.5 * (1 + math.cos(math.pi * (step - 1) / STEPS))
        assert rate == pytest.approx(0.01 * warm * fall, rel=1e-5)
    assert points["images per second"][0].tolist() == steps.tolist() and (points["images per second"][1] > 0).all()
    resident = psutil.Process().memory_info().rss / 1e6
    assert 0.3 * resident < points["memory"][1][-1] < 3 * resident
    told = [event for event in events if isinstance(event, Metrics) and "memory" in event.points]
    assert [int(event.points["memory"][0][-1]) for event in told] == steps.tolist()
    assert points["loss"][0].tolist() == list(range(1, STEPS + 1))


def test_that_each_of_two_optimizers_has_its_rate():
    phases = (Phase("discriminator_loss", "discriminator"), Phase("generator_loss", "generator"))
    optimizers = {
        name: SimpleNamespace(algorithm=torch.optim.SGD([torch.zeros(1)], lr=rate))
        for name, rate in (("generator", 0.25), ("discriminator", 0.5))
    }
    trainer: Any = SimpleNamespace(
        method=SimpleNamespace(phases=phases), optimizers=optimizers, spec=SimpleNamespace(kind="text"), batch=8, device="cpu"
    )
    figures = gauges(trainer, 3, 2.0)
    assert figures["learning rate of discriminator_loss"] == 0.5 and figures["learning rate of generator_loss"] == 0.25
    assert figures["sequences per second"] == 12 and "learning rate" not in figures
    assert all(map(is_training_metric, (*figures, "gradient norm of discriminator_loss", "device memory")))
    assert not any(map(is_training_metric, ("loss", "generator_loss", "valid loss", "rate", "kl")))
    assert "sequences per second" not in gauges(trainer, 0, 0.0)


def test_that_a_system_that_does_not_tell_leaves_the_figure_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr("engine.training.gauges.STATM", tmp_path / "none")
    assert resident_bytes() is None
