"""VQ-VAE: its bound against a slow sum, its codebook's learning, and a training that goes on exactly."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from engine.config import make_config
from engine.data import open_data
from engine.method import DataSpec, StepContext, build, capabilities
from engine.methods.vq_vae import VQVAE, Config, diagnose
from engine.storage.run_reader import Run
from engine.training.loop import train
from engine.training.plan import Plan, ResumePlan, resolve
from engine.training.trainer import Trainer
from tests.kit.tensors import seeded

SHAPE = (1, 8, 8)
TINY = {"codes": 5, "code_size": 3, "width": 8, "blocks": 1}


def images(count: int, shape: tuple[int, ...] = SHAPE, seed: int = 1) -> Tensor:
    return torch.randint(0, 256, (count, *shape), generator=seeded(seed)).double() / 255


def make(shape: tuple[int, ...] = SHAPE, **settings: Any) -> VQVAE:
    made = build(VQVAE, make_config(Config, TINY | settings), DataSpec(shape), 0)
    assert isinstance(made, VQVAE)
    made = made.double()
    made.init_from_data(images(20, shape))
    return made


def logistic_mass(k: int, mean: float, log_scale: float) -> float:
    """Of the bin of the grey value k, by the distribution function itself."""

    def below(edge: float) -> float:
        return 1 / (1 + math.exp(-(edge - mean) / math.exp(log_scale)))

    upper = 1.0 if k == 255 else below(2 * k / 255 - 1 + 1 / 255)
    lower = 0.0 if k == 0 else below(2 * k / 255 - 1 - 1 / 255)
    return upper - lower


def test_that_the_bound_is_the_decoders_likelihood_and_a_uniform_prior():
    model, x = make(), images(2)
    with torch.no_grad():
        mean, log_scale = model._mean_and_width(model.quantizer.lookup(model.codes(x)))
    for b, bound in enumerate(model.log_prob(x).tolist()):
        pixels = zip((x[b] * 255).round().flatten().tolist(), mean[b].flatten().tolist(), log_scale[b].flatten().tolist(), strict=True)
        slow = sum(math.log(logistic_mass(round(k), m, s)) for k, m, s in pixels)
        assert bound == pytest.approx(slow - 16 * math.log(5), abs=1e-6)
    assert model.loss(x, None, StepContext())["bound"].item() == pytest.approx(model.log_prob(x).mean().item(), abs=1e-8)


def test_that_all_256_values_of_a_pixel_share_one_probability():
    model, codes = make(), torch.zeros(256, 4, 4, dtype=torch.int64)
    x = images(1).expand(256, -1, -1, -1).clone()
    x[:, 0, 3, 3] = torch.arange(256).double() / 255
    assert model.log_likelihood_map(x, codes)[:, 3, 3].detach().exp().sum().item() == pytest.approx(1, abs=1e-9)


def test_that_the_loss_is_reconstruction_and_weighted_commitment():
    model, x = make(commitment=0.7), images(6)
    terms = model.loss(x, None, StepContext())
    z, codes = model._vectors(x).detach().flatten(0, 2), model.codes(x).flatten()
    slow = sum(float((row - model.quantizer.codebook[code]).square().sum()) for row, code in zip(z, codes, strict=True))
    assert terms["commitment"].item() == pytest.approx(slow / 6, rel=1e-9)
    assert terms["loss"].item() == pytest.approx(terms["reconstruction"].item() + 0.7 * slow / 6, rel=1e-9)
    assert 1 <= terms["perplexity"].item() <= terms["used_codes"].item() <= 5


def test_that_features_and_codes_name_the_same_images():
    model, x = make((3, 13, 21)), images(4, (3, 13, 21))
    codes = model.codes(x)
    assert codes.shape == (4, 5, 7) and codes.dtype == torch.int64
    assert model.encode(x).shape == (4, 5 * 7 * 3)
    assert torch.equal(model.from_codes(codes), model.decode(model.encode(x)))
    assert model.from_codes(codes).shape == x.shape


def test_that_discrete_codes_offer_no_latent_space_to_slide_in_and_no_samples():
    assert capabilities(VQVAE) == ("encode", "decode", "log_prob")
    assert (VQVAE.density, VQVAE.sampling) == ("bound", "none")
    assert not hasattr(VQVAE, "posterior")


def test_that_the_codebook_moves_with_a_step_of_training_and_never_with_a_look():
    model, x = make(), images(12)
    before = model.quantizer.codebook.clone()
    model.eval()
    model.loss(x, None, StepContext(1, 1.0, seeded()))
    model.after_step(StepContext(1, 1.0, seeded()))
    assert torch.equal(model.quantizer.codebook, before)
    model.train()
    with torch.no_grad():
        model.loss(x, None, StepContext(1, 1.0, seeded()))
    model.after_step(StepContext(1, 1.0, seeded()))
    assert torch.equal(model.quantizer.codebook, before)
    model.loss(x, None, StepContext(1, 1.0, seeded()))
    assert torch.equal(model.quantizer.codebook, before)
    model.after_step(StepContext(1, 1.0, seeded()))
    assert not torch.equal(model.quantizer.codebook, before)


def test_that_gradients_reach_every_weight():
    model = make()
    model.loss(images(4), None, StepContext())["loss"].backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


def test_that_it_says_when_the_codebook_is_collapsed_idle_or_well_used():
    assert [word.level for used in (1, 3, 30) for word in diagnose(used, 32, 32, used)] == ["bad", "warning", "good"]


# ---------------------------------------------------------------------------------------------------------------------
# Training
# ---------------------------------------------------------------------------------------------------------------------

SETTINGS = {"codes": 64, "code_size": 4, "width": 8, "blocks": 1, "revive": 0.5, "decay": 0.8, "warmup": 2, "batch_size": 32}


def plan(**changes: Any) -> Plan:
    return replace(Plan("vq_vae", "digits", SETTINGS, steps=20, device="cpu", precision="fp32", name="run"), **changes)


def finish(events: Any, stop_at: int | None = None) -> None:
    """To the end, or until a checkpoint of that step or a later one is due."""
    try:
        event = next(events)
        while True:
            done = getattr(event, "done", 0) if getattr(event, "unit", "") == "step" else 0
            event = events.send("pause" if stop_at is not None and done >= stop_at else None)
    except StopIteration:
        pass


def saved(path: Path, step: int) -> dict[str, np.ndarray]:
    run = Run.open(path)
    return {**run.load(step)[1], **run.load(step, "resume.safetensors")[1]}


def test_that_a_training_with_restarts_goes_on_bit_for_bit(tmp_path: Path):
    finish(train(plan(name="whole"), tmp_path))
    finish(train(plan(name="parts"), tmp_path), stop_at=8)
    steps = Run.open(tmp_path / "parts").newest_resumable()
    assert steps is not None and 8 <= steps < 20
    finish(train(ResumePlan(tmp_path / "parts", steps=20), tmp_path))
    whole, parts = saved(tmp_path / "whole", 20), saved(tmp_path / "parts", 20)
    assert whole.keys() == parts.keys()
    assert [name for name in whole if whole[name].tobytes() != parts[name].tobytes()] == []


def test_that_running_out_of_memory_amid_a_batch_counts_no_image_twice(monkeypatch: pytest.MonkeyPatch):
    data, honest, calls = open_data("digits"), VQVAE.loss, []
    still = {**SETTINGS, "revive": 0.0}  # restarts take vectors of the last piece, whose size differs
    calm, tight = (Trainer(resolve(plan(steps=3, config=still)), data) for _ in range(2))
    tight.stepper.micro_batch_size = calm.stepper.micro_batch_size = calm.batch // 2

    def hungry(self: VQVAE, x: Tensor, y: Tensor | None, context: StepContext) -> dict[str, Tensor]:
        calls.append(len(x))
        if len(calls) == 2:  # the first half of the batch went well
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return honest(self, x, y, context)

    calm.step()
    monkeypatch.setattr(VQVAE, "loss", hungry)
    tight.step()
    assert calls == [tight.batch // 2] * 2 + [tight.batch // 4] * 4
    ours, theirs = (trainer.method.quantizer for trainer in (tight, calm))
    torch.testing.assert_close(ours.uses, theirs.uses)
    torch.testing.assert_close(ours.sums, theirs.sums, rtol=1e-4, atol=1e-5)


def test_that_it_learns_digits_and_keeps_its_codes_in_use(tmp_path: Path):
    finish(train(plan(steps=80, config={**SETTINGS, "decay": 0.95, "revive": 0.05, "learning_rate": 5e-3}), tmp_path))
    run = Run.open(tmp_path / "run")
    first, last = (run.load(step, "state.json")[2]["valid"] for step in (0, 80))
    assert last["reconstruction"] < first["reconstruction"] - 15
    assert last["used_codes"] > 32
