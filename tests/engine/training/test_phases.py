"""A method with two optimizers and two phases: a small GAN, thrown away after the test."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engine.config import Training, setting
from engine.data import open_data
from engine.method import DataSpec, Method, ParameterGroup, Phase, StepContext
from engine.storage.run_folders import BadRun
from engine.storage.run_reader import Run
from engine.training import plan as plans
from engine.training.loop import train
from engine.training.plan import Plan, ResumePlan, TrainingFailed, resolve
from engine.training.trainer import Trainer


@dataclass(frozen=True)
class Config(Training):
    batch_size: int = setting(32, "Images per step.", low=1, high=512, group="Training")
    latent: int = setting(4, "Numbers that an image is made from.", low=1, high=64)
    critic_rate: float = setting(4e-4, "Step size of the discriminator.", low=1e-6, high=1.0)


class Gan(Method):
    """Non-saturating GAN (Goodfellow et al. 2014)."""

    Config = Config
    name = "gan"
    title = "GAN"
    family = "adversarial"
    source = "arXiv:1406.2661"
    summary = "Two networks."
    headline = ("generator_loss", "nat", False)
    phases: ClassVar = (Phase("discriminator_loss", "discriminator"), Phase("generator_loss", "generator"))

    def __init__(self, config: Config, data: DataSpec) -> None:
        super().__init__(config, data)
        self.generator = nn.Sequential(nn.Linear(config.latent, 16), nn.ReLU(), nn.Linear(16, data.dims), nn.Sigmoid())
        self.discriminator = nn.Sequential(nn.Linear(data.dims, 16), nn.LeakyReLU(0.2), nn.Linear(16, 1))

    def optimizers(self) -> dict[str, ParameterGroup]:
        critic = ParameterGroup(tuple(self.discriminator.parameters()), learning_rate=self.config.critic_rate, betas=(0.5, 0.9), clip=1.0)
        return {"discriminator": critic, "generator": ParameterGroup(tuple(self.generator.parameters()))}

    def loss(self, x: Tensor, y: Tensor | None, context: StepContext) -> dict[str, Tensor]:
        z = torch.randn(len(x), self.config.latent, generator=context.generator, device=x.device)
        made, terms = self.generator(z), {}
        if context.phase in ("discriminator_loss", ""):
            real, fake = self.discriminator(context.gather(x.flatten(1))), self.discriminator(made.detach())
            terms["discriminator_loss"] = (F.softplus(-real) + F.softplus(fake)).mean()
        if context.phase in ("generator_loss", ""):
            terms["generator_loss"] = F.softplus(-self.discriminator(made)).mean()
        return terms


@pytest.fixture(autouse=True)
def known(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    found = plans.method_named
    monkeypatch.setattr(plans, "method_named", lambda name: Gan if name == "gan" else found(name))
    yield


def plan(**changes: Any) -> Plan:
    return replace(Plan("gan", "digits", {"warmup": 0, "ema": 0.0}, steps=12, device="cpu", precision="fp32", name="run"), **changes)


def weights(part: nn.Module) -> Tensor:
    return torch.cat([p.detach().flatten().clone() for p in part.parameters()])


def test_that_both_networks_move_and_each_by_its_own_optimizer_only():
    trainer = Trainer(resolve(plan()), open_data("digits"))
    method: Any = trainer.method
    parts = {"discriminator_loss": method.discriminator, "generator_loss": method.generator}
    stepper, moved = trainer.stepper, {}
    descended = stepper._descended

    def watched(phase: Phase, *rest: Any) -> dict[str, Tensor]:
        before = {name: weights(part) for name, part in parts.items()}
        terms = descended(phase, *rest)
        assert phase.term in terms and f"gradient norm of {phase.term}" in terms
        moved[phase.term] = [name for name, part in parts.items() if not torch.equal(before[name], weights(part))]
        strangers = [p for name, part in parts.items() if name != phase.term for p in part.parameters()]
        assert all(p.grad is None for p in strangers)
        return terms

    stepper._descended = watched  # type: ignore[method-assign]
    terms = trainer.step()
    assert moved == {"discriminator_loss": ["discriminator_loss"], "generator_loss": ["generator_loss"]}
    assert set(terms) == {*parts, *(f"gradient norm of {name}" for name in parts)}


def test_that_a_step_is_adam_by_hand_with_each_group_s_own_settings():
    trainer = Trainer(resolve(plan(config={"warmup": 0, "ema": 0.0, "schedule": "constant", "learning_rate": 2e-3})), open_data("digits"))
    method: Any = trainer.method
    before = {name: weights(getattr(method, name)) for name in ("discriminator", "generator")}
    trainer.step()
    for name, rate in (("discriminator", 4e-4), ("generator", 2e-3)):
        change = (weights(getattr(method, name)) - before[name]).abs()
        assert change.max().item() == pytest.approx(rate, rel=1e-3)  # Adam's first step is the rate itself, whatever the gradient
    groups = {name: one.algorithm.param_groups[0]["betas"] for name, one in trainer.optimizers.items()}
    assert groups == {"discriminator": (0.5, 0.9), "generator": (0.9, 0.999)}


def test_that_pieces_of_a_batch_have_its_gradients():
    whole, pieces = (Trainer(resolve(plan()), open_data("digits")) for _ in range(2))
    pieces.stepper.micro_batch_size = 8
    indices = whole.order.next()
    examples, _ = whole.batches.take(indices)
    phase = Gan.phases[0]
    grads = []
    for trainer in (whole, pieces):
        method: Any = trainer.method
        nn.init.zeros_(method.generator[2].weight)  # then its images do not depend on the noise, which pieces draw otherwise
        told = trainer.stepper.gradients(phase, examples, None, replace(trainer.context(indices), phase=phase.term))
        assert told is not None
        grads.append([p.grad.clone() for p in method.discriminator.parameters()])
        assert all(p.grad is None for p in method.generator.parameters())
    for a, b in zip(*grads, strict=True):
        torch.testing.assert_close(a, b)


def finish(events: Any, pause_at: int | None = None) -> Any:
    """Advance a training to its end, or to a pause at the n-th yield."""
    count = 0
    try:
        next(events)
        while True:
            count += 1
            events.send("pause" if pause_at is not None and count >= pause_at else None)
    except StopIteration as end:
        return end.value


def test_that_a_paused_training_goes_on_bit_for_bit_with_the_states_of_both_optimizers(tmp_path: Path):
    settings = {"warmup": 0, "schedule": "constant"}
    paused = finish(train(plan(name="parts", config=settings, steps=10_000), tmp_path), pause_at=40)
    assert paused.status == "paused" and paused.step > 0
    end = paused.step + 6
    finish(train(ResumePlan(tmp_path / "parts", steps=end), tmp_path))
    finish(train(plan(name="whole", config=settings, steps=end), tmp_path))
    whole, parts = (Run.open(tmp_path / name).load(end, "resume.safetensors")[1] for name in ("whole", "parts"))
    assert {"optimizer/exp_avg/generator.0.weight", "optimizer/exp_avg/discriminator.0.weight"} <= whole.keys()
    assert whole.keys() == parts.keys()
    assert not [name for name in whole if not np.array_equal(whole[name], parts[name])]


def test_that_numbers_that_are_not_finite_end_it_with_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    honest = Gan.loss

    def poisoned(self: Gan, x: Tensor, y: Tensor | None, context: StepContext) -> dict[str, Tensor]:
        terms = honest(self, x, y, context)
        bad = context.step == 6 and context.phase == "generator_loss"
        return {name: value * math.nan for name, value in terms.items()} if bad else terms

    monkeypatch.setattr(Gan, "loss", poisoned)
    with pytest.raises(TrainingFailed, match=r"stopped being a finite number at step 7.*learning_rate"):
        finish(train(plan(), tmp_path))
    assert [checkpoint.step for checkpoint in Run.open(tmp_path / "run").checkpoints()] == [0, 1, 2, 4]


def test_that_the_generator_learns_to_please_a_fixed_discriminator(tmp_path: Path):
    trainer = Trainer(resolve(plan(steps=200, config={"critic_rate": 1e-6, "learning_rate": 0.01, "warmup": 0})), open_data("digits"))
    losses = [trainer.step()["generator_loss"].item() for _ in range(60)]
    assert np.mean(losses[-5:]) < losses[0] - 0.1


def test_that_a_parameter_in_two_groups_and_a_phase_of_no_group_are_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Gan, "optimizers", lambda self: {name: ParameterGroup(tuple(self.parameters())) for name in ("a", "b")})
    with pytest.raises(ValueError, match="two optimizers"):
        Trainer(resolve(plan()), open_data("digits"))
    monkeypatch.setattr(Gan, "optimizers", lambda self: {"generator": ParameterGroup(tuple(self.parameters()))})
    with pytest.raises(ValueError, match="discriminator"):
        Trainer(resolve(plan()), open_data("digits"))


def test_that_a_run_does_not_go_on_with_other_data(tmp_path: Path):
    finish(train(plan(), tmp_path))
    changed = replace(open_data("digits"), hash="another")
    with pytest.raises(BadRun, match=r"digits is not what run was trained on \(its content changed: .*\); put the .* start a new run\.$"):
        plans.fit(resolve(ResumePlan(tmp_path / "run", steps=20)), changed, tmp_path)
