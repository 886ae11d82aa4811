"""A training that is told to end ends with its step: a look at held-out examples that would take long is left out, nothing else is."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from engine.data import open_data
from engine.methods.diffusion import Diffusion
from engine.storage.run_reader import Run
from engine.training import recorder
from engine.training.loop import train
from engine.training.plan import Plan, ResumePlan
from engine.training.trainer import Trainer

DIFFUSION = {"width": 4, "batch_size": 8}


class Counted:
    """How many steps were taken and slices of held-out examples looked at."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.steps = self.slices = 0
        step, loss = Trainer.step, Diffusion.loss

        def counted_step(trainer: Trainer):
            self.steps += 1
            return step(trainer)

        def counted_loss(method: Diffusion, *given, **named):
            self.slices += not method.training
            return loss(method, *given, **named)

        monkeypatch.setattr(Trainer, "step", counted_step)
        monkeypatch.setattr(Diffusion, "loss", counted_loss)


def until(events, counted: Counted, step: int, verb: str, slices: int | None = None):
    """Advance until that step (or that slice of a look at it) and send the verb from then on: (outcome, steps and slices after it)."""
    sent, at = None, (0, 0)
    try:
        next(events)
        while True:
            if sent is None and counted.steps >= step and (slices is None or counted.slices >= slices):
                sent, at = verb, (counted.steps, counted.slices)
            events.send(sent)
    except StopIteration as end:
        return end.value, counted.steps - at[0], counted.slices - at[1]


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Counted:
    return Counted(monkeypatch)


def diffusion(name: str = "run", steps: int = 40) -> Plan:
    return Plan("diffusion", "digits", DIFFUSION, steps=steps, name=name, device="cpu", precision="fp32")


@pytest.mark.parametrize(("verb", "status"), [("stop", "stopped"), ("pause", "paused")])
def test_that_a_long_last_look_is_left_out(verb: str, status: str, tmp_path: Path, counted: Counted, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(recorder, "LAST_LOOK_SECONDS", -1.0)
    outcome, steps, slices = until(train(diffusion(), tmp_path), counted, 11, verb)
    assert outcome.status == status and steps <= 1 and slices == 0
    run = Run.open(tmp_path / "run")
    assert run.newest_resumable() == outcome.step and run.manifest.checkpoints[-1].step == outcome.step
    assert run.manifest.best.step == 8 and [entry.step for entry in run.manifest.checkpoints if entry.best]  # judged at powers of two


def test_that_a_look_which_is_under_way_is_given_up(tmp_path: Path, counted: Counted, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(recorder, "LAST_LOOK_SECONDS", -1.0)
    whole = math.ceil(min(512, len(open_data("digits").splits["valid"])) / Diffusion.valid_slice)
    events = train(diffusion(), tmp_path)
    outcome, steps, slices = until(events, counted, 16, "stop", 5 * whole + 2)  # in the look at step 16, after those at 0, 1, 2, 4, 8
    assert (outcome.status, outcome.step, steps) == ("stopped", 16, 0) and slices == 0
    assert Run.open(tmp_path / "run").newest_resumable() == 16


def test_that_a_short_one_is_taken_once(tmp_path: Path, counted: Counted, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(recorder, "LAST_LOOK_SECONDS", math.inf)
    whole = math.ceil(min(512, len(open_data("digits").splits["valid"])) / Diffusion.valid_slice)
    outcome, _, slices = until(train(diffusion(), tmp_path), counted, 11, "stop")
    assert slices == whole
    assert Run.open(tmp_path / "run").manifest.newest.step == outcome.step


def test_that_a_run_goes_on_bit_for_bit_from_a_checkpoint_that_was_not_judged(
    tmp_path: Path, counted: Counted, monkeypatch: pytest.MonkeyPatch
):
    list(train(diffusion("whole", 14), tmp_path))
    monkeypatch.setattr(recorder, "LAST_LOOK_SECONDS", -1.0)
    counted.steps = 0
    until(train(diffusion("half", 14), tmp_path), counted, 11, "pause")
    list(train(ResumePlan(tmp_path / "half", device="cpu"), tmp_path))
    whole, half = (Run.open(tmp_path / name).load(14, "resume.safetensors")[1] for name in ("whole", "half"))
    assert all(np.array_equal(half[name], value) for name, value in whole.items())


def test_that_the_first_checkpoint_is_there_though_nothing_was_judged(tmp_path: Path, counted: Counted, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(recorder, "LAST_LOOK_SECONDS", -1.0)
    outcome, _, _ = until(train(diffusion(), tmp_path), counted, 0, "stop", 1)
    run = Run.open(tmp_path / "run")
    assert outcome.status == "stopped" and run.manifest.best is None and run.newest_resumable() == 0
    assert run.info().headline == ""


@pytest.mark.parametrize(("verb", "status"), [("stop", "stopped"), ("pause", "paused")])
def test_that_a_verb_in_the_look_after_the_last_step_loses_nothing(
    verb: str, status: str, tmp_path: Path, counted: Counted, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(recorder, "LAST_LOOK_SECONDS", -1.0)
    monkeypatch.setattr(recorder, "NEWEST_SECONDS", math.inf)
    whole = math.ceil(min(512, len(open_data("digits").splits["valid"])) / Diffusion.valid_slice)
    outcome, steps, slices = until(train(diffusion(steps=14), tmp_path), counted, 14, verb, 5 * whole + 2)  # after 0, 1, 2, 4, 8
    assert (outcome.status, outcome.step, steps, slices) == (status, 14, 0, 0) and "14" in outcome.message and "disk" not in outcome.message
    run = Run.open(tmp_path / "run")
    assert run.newest_resumable() == 14 and run.manifest.step == 14
    assert [entry.step for entry in run.manifest.checkpoints if entry.best] == [run.manifest.best.step] != [14]
