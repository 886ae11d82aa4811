"""What every method with an encoder must hold besides: going on exactly, detectors on its features, views that can be made again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from engine import messages as m
from engine.config import fields_of, make_config
from engine.data import open_data
from engine.method import DataSpec, StepContext, build, capabilities, skeleton
from engine.methods import all_methods
from engine.queries.session import Model, QuerySession
from engine.storage.run_reader import Run
from engine.training.batches import noise_seed
from engine.training.loop import train
from engine.training.plan import Plan, ResumePlan, resolve
from engine.training.trainer import Trainer

SMALL = {"width": 4, "batch_size": 32, "projection": 8, "queue": 48, "prototypes": 16, "latent": 4, "clusters": 4, "components": 4}
ENCODERS = [name for name, kind in all_methods().items() if "encode" in capabilities(kind) and kind.accepts == "images"]
LEARNERS = [name for name in ENCODERS if "views" in capabilities(all_methods()[name])]


def plan(name: str, steps: int, run: str) -> Plan:
    known = {field.name for field in fields_of(all_methods()[name].Config)}
    return Plan(name, "digits", {key: value for key, value in SMALL.items() if key in known}, steps=steps, name=run, device="cpu")


def finish(events: Any) -> Any:
    while True:
        try:
            next(events)
        except StopIteration as end:
            return end.value


def test_that_there_are_encoders_to_look_at():
    assert {"rotation", "jigsaw", "inpainting", "simclr", "memory_bank", "moco", "dino"} <= set(LEARNERS)
    assert {"pca", "kmeans", "vae", "classifier", "pretrained", "fine_tuning"} <= set(ENCODERS)


@pytest.mark.parametrize("name", LEARNERS)
def test_that_two_halves_are_the_whole_bit_for_bit(name: str, tmp_path: Path):
    """Queues, banks, centres, momentum encoders and their statistics included."""
    finish(train(plan(name, 6, "whole"), tmp_path))
    events = train(plan(name, 6, "half"), tmp_path)  # of the same length: the learning rate falls along it
    try:
        event = next(events)
        while True:
            saved = isinstance(event, m.CheckpointSaved) and event.step == 4
            event = events.send("pause" if saved else None)
    except StopIteration as end:
        assert end.value.status == "paused" and end.value.step < 6
    finish(train(ResumePlan(tmp_path / "half", steps=6), tmp_path))
    for file in ("model.safetensors", "resume.safetensors"):
        whole, half = (Run.open(tmp_path / run).load(6, file)[1] for run in ("whole", "half"))
        assert whole.keys() == half.keys()
        assert [key for key, value in whole.items() if not np.array_equal(half[key], value)] == []


@pytest.mark.parametrize("name", ENCODERS)
def test_that_the_detectors_that_want_features_judge_by_it(name: str, tmp_path: Path):
    finish(train(plan(name, 2, "run"), tmp_path))
    events = [e for e in QuerySession().work(m.Calibrate(job="c", runs=((str(tmp_path / "run"), None),), limit=24)) if e is not None]
    (told,) = [event for event in events if isinstance(event, m.Calibrated)]
    assert {"knn", "mahalanobis"} <= {info.name for info in told.detectors if not info.missing}
    for detector in ("knn", "mahalanobis"):
        assert told.known[detector].shape == (24,) and np.isfinite(told.known[detector]).all()


@pytest.mark.parametrize("name", LEARNERS)
def test_that_the_batch_and_the_noise_of_any_step_can_be_made_again_from_its_number_alone(name: str):
    made = Trainer(resolve(plan(name, 9, "run")), open_data("digits"))
    given: list[tuple[torch.Tensor, torch.Tensor]] = []
    loss = made.method.loss

    def listened(x: torch.Tensor, y: torch.Tensor | None, context: StepContext) -> dict[str, torch.Tensor]:
        assert context.generator is not None
        given.append((x, context.generator.get_state()))
        return loss(x, y, context)

    made.method.loss = listened  # type: ignore[method-assign]
    for _ in range(4):
        made.step()
    order = type(made.order)(made.order.count, made.order.batch, 0)
    examples, _ = made.batches.take(order.at(3))
    assert torch.equal(given[3][0], examples.float() / 255)
    assert torch.equal(given[3][1], torch.Generator().manual_seed(noise_seed(0, 3)).get_state())


@pytest.mark.parametrize("name", LEARNERS)
def test_that_features_of_a_checkpoint_do_not_depend_on_batch_mates(name: str, tmp_path: Path):
    finish(train(plan(name, 2, "run"), tmp_path))
    model = Model(Run.open(tmp_path / "run"), None)
    x = model.probe()[:9]
    together = model.method.encode(x)
    assert torch.allclose(model.method.encode(x[4:5])[0], together[4], atol=1e-5)
    blocks: dict[str, torch.Tensor] = model.method.blocks(x)  # type: ignore[operator]
    assert all(len(value) == 9 and value.ndim == 2 for value in blocks.values())
    assert torch.equal(list(blocks.values())[-1], together)


def test_that_no_checkpoint_of_moco_is_best_while_random_vectors_stand_in_its_queue(tmp_path: Path):
    config = {"width": 4, "batch_size": 32, "projection": 64, "queue": 512}  # full after 16 steps
    finish(train(Plan("moco", "digits", config, steps=40, name="run", device="cpu"), tmp_path))
    run = Run.open(tmp_path / "run")
    early = run.load(4, "state.json")[2]["valid"]["top1_retrieval"]
    manifest = run.manifest
    assert manifest is not None and manifest.best is not None
    assert early == 1, "easy while nothing but noise is to be told apart"
    assert manifest.best.step >= 32, "of the steps after which the queue was filled twice"


@pytest.mark.parametrize(
    ("names", "term", "says"),
    [
        ("byol vicreg emp_ssl moco simclr dino memory_bank", "top1_retrieval", "7.3 % top-1 retrieval"),
        ("jigsaw rotation", "accuracy", "7.3 % accuracy"),
        ("mae", "loss", "error 0.073"),
        ("inpainting", "rmse", "off by 7.3 %"),
    ],
)
def test_that_the_run_list_has_the_headline_in_words(names: str, term: str, says: str):
    for name in names.split():
        kind = all_methods()[name]
        assert kind.headline[0] == term, name
        made = skeleton(kind, kind.Config(), DataSpec((1, 16, 16), ("a", "b")))
        assert made.headline_words({"loss": 0.5, term: 0.0731}) == says, name


@pytest.mark.parametrize("name", ["byol", "dino", "emp_ssl", "inpainting", "jigsaw", "memory_bank", "moco", "rotation", "simclr", "vicreg"])
def test_that_forward_passes_are_those_of_a_step(name: str):
    """Counted in images of full size that go through the encoder or a copy of it."""
    kind, seen = all_methods()[name], []
    known = {field.name for field in fields_of(kind.Config)}
    config = make_config(kind.Config, {key: value for key, value in SMALL.items() if key in known})
    made: Any = build(kind, config, DataSpec((1, 16, 16), ("a", "b")), 0)
    made.on_train_start(40, torch.Generator().manual_seed(0))
    for module in made.modules():
        if type(module) is type(made.network):
            module.register_forward_pre_hook(lambda _, given: seen.append(len(given[0]) * given[0].shape[-2] * given[0].shape[-1]))
    x = torch.rand(8, 1, 16, 16, generator=torch.Generator().manual_seed(1))
    made.train().loss(x, None, StepContext(generator=torch.Generator().manual_seed(2), indices=torch.arange(8)))
    assert sum(seen) / (8 * 16 * 16) == made.forward_passes
