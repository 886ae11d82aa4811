"""The optimizers that settings name, against the formulas of their papers, number by number."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from engine import messages as m
from engine.config import Training, fields_of, make_config
from engine.method import DataSpec, Method, ParameterGroup, build
from engine.methods import all_methods
from engine.storage.run_reader import Run
from engine.training.loop import train
from engine.training.optimizers import LARS, optimizers_of
from engine.training.plan import Plan, ResumePlan

SMALL = {"width": 4, "batch_size": 32, "warmup": 1}


def finish(events: Any) -> Any:
    while True:
        try:
            next(events)
        except StopIteration as end:
            return end.value


def test_that_lars_scales_the_step_of_a_matrix_to_its_length_and_leaves_biases_alone():
    w = torch.nn.Parameter(torch.tensor([[3.0, 4.0]], dtype=torch.float64))
    b = torch.nn.Parameter(torch.tensor([1.0], dtype=torch.float64))
    groups = [{"params": [w], "weight_decay": 0.5, "decays": True}, {"params": [b], "weight_decay": 0.0, "decays": False}]
    lars = LARS(groups, lr=10.0)
    momentum_w, momentum_b, by_hand = np.zeros(2), 0.0, np.array([3.0, 4.0])
    bias = 1.0
    for gradient in (np.array([1.0, 0.0]), np.array([0.0, -2.0])):
        w.grad, b.grad = torch.tensor(gradient[None]), torch.tensor([0.25], dtype=torch.float64)
        lars.step()
        slope = gradient + 0.5 * by_hand
        momentum_w = 0.9 * momentum_w + 0.001 * math.hypot(*by_hand) / math.hypot(*slope) * slope
        momentum_b = 0.9 * momentum_b + 0.25
        by_hand, bias = by_hand - 10.0 * momentum_w, bias - 10.0 * momentum_b
        assert np.allclose(w.detach().numpy()[0], by_hand, rtol=1e-12) and b.item() == pytest.approx(bias)


def test_that_lars_moves_weights_of_zero_by_a_plain_step():
    w = torch.nn.Parameter(torch.zeros(1, 2))
    w.grad = torch.ones(1, 2)
    LARS([{"params": [w], "weight_decay": 0.1, "decays": True}], lr=0.5).step()
    assert torch.equal(w.detach(), torch.full((1, 2), -0.5))


def test_that_the_weight_decay_goes_along_a_cosine_and_spares_biases():
    kind = all_methods()["vae"]
    config = make_config(kind.Config, {"width": 4, "weight_decay": 0.04, "final_weight_decay": 0.4})
    (one,) = optimizers_of(build(kind, config, DataSpec((1, 8, 8)), 0), config, "cpu").values()
    for progress, expected in ((0.0, 0.04), (0.5, 0.22), (1.0, 0.4)):
        one.prepare(1e-3, progress)
        decays = {group["decays"]: group["weight_decay"] for group in one.algorithm.param_groups}
        assert decays[True] == pytest.approx(expected) and decays[False] == 0
    assert all(parameter.ndim <= 1 for group in one.algorithm.param_groups if not group["decays"] for parameter in group["params"])


def paused_at(step: int, events: Any) -> Any:
    """The outcome of a training that is paused when the checkpoint of a step is saved."""
    try:
        event = next(events)
        while True:
            event = events.send("pause" if isinstance(event, m.CheckpointSaved) and event.step == step else None)
    except StopIteration as end:
        return end.value


@pytest.mark.parametrize("optimizer", ["sgd", "lars"])
def test_that_two_halves_are_the_whole_bit_for_bit(optimizer: str, tmp_path: Path):
    config = SMALL | {"optimizer": optimizer, "learning_rate": 1e-2, "weight_decay": 1e-4, "final_weight_decay": 1e-2}
    finish(train(Plan("simclr", "digits", config, steps=8, name="whole", device="cpu"), tmp_path))
    assert paused_at(4, train(Plan("simclr", "digits", config, steps=8, name="half", device="cpu"), tmp_path)).status == "paused"
    finish(train(ResumePlan(tmp_path / "half", steps=8), tmp_path))
    whole, half = (Run.open(tmp_path / name).load(8, "resume.safetensors")[1] for name in ("whole", "half"))
    assert {name.split("/")[1] for name in whole if name.startswith("optimizer/")} == {"momentum_buffer"}
    assert whole.keys() == half.keys() and all(np.array_equal(half[name], value) for name, value in whole.items())


def test_that_lars_goes_down_to_the_least_squares_solution():
    x = torch.randn(200, 3, generator=torch.Generator().manual_seed(0))
    right = torch.tensor([[1.0, -2.0, 0.5]])
    w = torch.nn.Parameter(torch.ones(1, 3))
    lars = LARS([{"params": [w], "weight_decay": 0.0, "decays": True}], lr=5.0)
    for step in range(400):
        lars.param_groups[0]["lr"] = 5.0 * (1 - step / 400)
        lars.zero_grad()
        (x @ w.T - x @ right.T).square().mean().backward()
        lars.step()
    torch.testing.assert_close(w.detach(), right, atol=0.02, rtol=0)


def test_that_sgd_moves_what_gets_its_gradient_only_later(tmp_path: Path):
    config = SMALL | {"optimizer": "sgd", "learning_rate": 1e-3, "prototypes": 16, "freeze": 0.3}
    assert finish(train(Plan("dino", "digits", config, steps=8, name="late", device="cpu"), tmp_path)).status == "done"


class TwoRates(Method):
    """Half of |w|², by a group of the method's own betas."""

    name = title = "two_rates"

    def __init__(self, config: Any, data: DataSpec) -> None:
        super().__init__(config, data)
        self.w = torch.nn.Parameter(torch.tensor([[3.0, 4.0]], dtype=torch.float64))

    def optimizers(self) -> dict[str, ParameterGroup]:
        return {"all": ParameterGroup((self.w,), betas=(0.5, 0.99))}


@pytest.mark.parametrize("optimizer", ["adamw", "sgd", "lars"])
def test_that_a_methods_own_beta_is_the_momentum_of_every_optimizer(optimizer: str):
    """By hand, two steps at rate 0.1: β1 = 0.5, not the 0.9 of a method that says nothing."""
    config = make_config(Training, {"optimizer": optimizer})
    method = TwoRates(config, DataSpec((1, 2, 2)))
    (one,) = optimizers_of(method, config, "cpu").values()
    for gradient in ([[1.0, 0.0]], [[0.0, 2.0]]):
        method.w.grad = torch.tensor(gradient, dtype=torch.float64)
        one.prepare(0.1, 0.0)
        one.algorithm.step()
    w = np.array([3.0, 4.0])
    if optimizer == "adamw":
        m1 = np.array([0.5, 0.0]), np.array([0.25, 1.0])
        v = np.array([0.01, 0.0]), np.array([0.0099, 0.04])
        for t in (1, 2):
            w = w - 0.1 * m1[t - 1] / (1 - 0.5**t) / (np.sqrt(v[t - 1] / (1 - 0.99**t)) + 1e-8)
    elif optimizer == "sgd":
        w = w - 0.1 * np.array([1.0, 0.0]) - 0.1 * np.array([0.5, 2.0])
    else:
        first = 0.001 * 5.0 * np.array([1.0, 0.0])
        w = w - 0.1 * first
        w = w - 0.1 * (0.5 * first + 0.001 * math.hypot(*w) * np.array([0.0, 1.0]))
    assert np.allclose(method.w.detach().numpy()[0], w, rtol=1e-9)


def test_that_no_text_calls_the_optimizer_by_the_name_of_one_of_them():
    """It is a setting of every run; a help that names one says what the others do."""
    for kind in all_methods().values():
        for field in fields_of(kind.Config):
            if "Adam" in field.help:
                assert "SGD" in field.help and "LARS" in field.help, (kind.name, field.name)
