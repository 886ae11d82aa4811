"""The energy-based model: its chains, what happens when they diverge, and (slow) that it learns."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm
from torch import nn

from engine.common.pixels import to_float
from engine.config import make_config
from engine.data import open_data
from engine.detectors.base import ImageBatch, ScoredModel, finish, of
from engine.detectors.energy_score import UnnormalizedEnergy
from engine.messages import Diagnosis
from engine.method import DataSpec, Diverged, StepContext, build
from engine.methods import method_named
from engine.methods.energy import BOUND, NOISE_IMAGES, PATIENCE, EnergySpread, LangevinSettings, diagnose, langevin_step
from engine.nets.energy import EnergyNet, pixel_gradient
from engine.nets.init import initialize
from engine.queries.session import Model
from engine.storage.run_reader import Run
from engine.training.loop import train
from engine.training.plan import Plan, ResumePlan, TrainingFailed
from tests.kit.detectors import Linear
from tests.kit.tensors import seeded

SHAPE = (1, 8, 8)
SMALL = {"width": 4, "replay": 32, "batch_size": 8, "langevin_steps": 3}


def made(**settings: Any) -> Any:
    kind = method_named("energy")
    method = build(kind, make_config(kind.Config, SMALL | settings), DataSpec(SHAPE), seed=0)
    method.on_train_start(100, seeded())
    return method


def images(count: int) -> torch.Tensor:
    return torch.rand(count, *SHAPE, generator=seeded(5))


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 13, 21), (1, 28, 28), (1, 5, 64)])
def test_that_the_pixels_gradient_is_a_finite_difference_and_weights_gather_none(shape: tuple[int, ...]):
    net = EnergyNet(shape, 4)
    initialize(net, seeded())
    net, x = net.double(), torch.rand(2, *shape, generator=seeded(), dtype=torch.float64)
    with torch.inference_mode():
        energies, gradient = pixel_gradient(net, x)
    assert energies.shape == (2,) and not energies.requires_grad
    direction = torch.randn(x.shape, generator=seeded(1), dtype=torch.float64)
    with torch.no_grad():
        wanted = (net(x + 1e-6 * direction) - net(x - 1e-6 * direction)) / 2e-6
    assert torch.allclose((gradient * direction).flatten(1).sum(1), wanted, rtol=1e-5, atol=1e-9)
    assert all(parameter.grad is None for parameter in net.parameters())


def test_that_langevin_steps_have_their_own_stationary_variance():
    """E = (x - 1/2)² / 2σ² with s = η/2 and n = √η: σ² / (1 - η / 4σ²), far from the edges of [0, 1]."""
    sigma, eta, g = 0.05, 0.001, seeded()
    x, kept = torch.full((4000, 1, 1, 1), 0.5, dtype=torch.float64), []
    for step in range(300):
        x = langevin_step(x, (x - 0.5) / sigma**2, torch.randn(x.shape, generator=g, dtype=x.dtype), eta / 2, eta**0.5, 0.0)
        if step >= 100 and step % 20 == 0:
            kept.append(x)
    assert torch.cat(kept).var().item() == pytest.approx(sigma**2 / (1 - eta / (4 * sigma**2)), rel=0.03)
    assert torch.equal(langevin_step(x, x, x, 0.0, 0.0, 0.0), x), "no step, no noise"
    far = langevin_step(x, torch.full_like(x, 99.0), torch.zeros_like(x), 1.0, 0.0, 0.03)
    assert torch.allclose(far, x - 0.03), "no further than the bound on the gradient"


def test_that_a_seed_draws_the_same_noise_whatever_is_set():
    method = made().eval()
    still = list(method.sample_with(3, None, LangevinSettings(steps=4, step_size=0.0, noise=0.0), seeded(2)))
    assert torch.equal(still[-1].x, still[0].x) and still[0].x.mean().item() == pytest.approx(0.5, abs=0.05)  # uniform noise
    few, many = (list(method.sample_with(3, None, LangevinSettings(steps=steps), seeded(2))) for steps in (4, 7))
    assert all(torch.equal(a.x, b.x) for a, b in zip(few, many, strict=False))
    assert [frame.step for frame in many] == list(range(1, 8)) and {frame.count for frame in many} == {7}
    plans = [LangevinSettings(steps=1, step_size=0.0, noise=n) for n in (0.0, 0.5, 1.0)]
    noise = [next(method.sample_with(3, None, plan, seeded(2))).x for plan in plans]
    inside = (noise[2] > 0) & (noise[2] < 1)
    assert torch.allclose((noise[2] - noise[0])[inside], 2 * (noise[1] - noise[0])[inside], atol=1e-6)


def test_that_chains_go_on_in_the_replay_buffer_and_some_begin_anew():
    method = made(restarts=0.0, langevin_size=0.001, langevin_noise=0.0)
    before = method.replay.clone()
    method.after_step(StepContext(1, generator=seeded(3)))
    moved = (method.replay != before).flatten(1).any(1)
    assert moved.sum() <= 8 and torch.allclose(method.replay, before, atol=0.01), "eight chains, a little further"
    method = made(restarts=1.0, langevin_size=0.001, langevin_noise=0.0)
    method.after_step(StepContext(1, generator=seeded(3)))
    assert ((method.replay - before).abs().flatten(1).amax(1) > 0.3).sum() == 8, "as noise"


@pytest.mark.parametrize(("chains", "slices"), [(400, 40), (40, 80)])
def test_that_chains_of_the_datas_own_distribution_are_at_no_distance_on_average(chains: int, slices: int):
    """Slices of 128 images against chains that are drawn as they are: fewer of them, where there are fewer, but none twice."""
    found, method = [], made(replay=chains).eval()
    for seed in range(slices):
        method.replay.copy_(torch.rand(chains, *SHAPE, generator=seeded(1000 + seed)))
        x, context = torch.rand(128, *SHAPE, generator=seeded(seed)), StepContext(generator=seeded(seed))
        found.append(method.loss(x, None, context)["energy_distance"].item())
    assert abs(np.mean(found)) < 4 * np.std(found) / np.sqrt(len(found))
    assert np.std(found) / np.sqrt(len(found)) < 0.004, "far less than the 0.025 that chains taken twice would add"


class Broken(nn.Module):
    """E = `slope` · Σ x, as steep as one likes."""

    def __init__(self, slope: float) -> None:
        super().__init__()
        self.out = nn.Linear(1, 1)
        self.slope = slope

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.slope * x.flatten(1).sum(1) + 0 * self.out.weight.sum()


@pytest.mark.parametrize("slope", [float("nan"), float("inf"), 1e30])
def test_that_chains_that_diverge_begin_anew_are_counted_and_end_the_training_in_the_end(slope: float):
    method, context = made(), StepContext(1, generator=seeded())
    method.network = Broken(slope)
    method.after_step(context)
    assert method.chains.isfinite().all() and method.replay.isfinite().all()
    assert method.trouble.tolist() == [1.0, 1.0]
    method.network = made().network  # good again: the step that follows learns from the energies' size alone, then all is as before
    skipped = method.loss(images(8), None, replace(context, generator=seeded(7)))
    method.trouble.zero_()
    usual = method.loss(images(8), None, replace(context, generator=seeded(7)))
    assert (skipped["restarted"], usual["restarted"]) == (1.0, 0.0)
    assert skipped["loss"].item() == pytest.approx((usual["loss"] - usual["energy_difference"]).item(), abs=1e-7)
    assert abs(usual["energy_difference"].item()) > 1e-6
    method.after_step(context)
    assert method.trouble.tolist() == [0.0, 0.0]
    method.network = Broken(slope)
    with pytest.raises(Diverged, match=r"diverged.*last good checkpoint is kept.*learning_rate"):
        for step in range(2 * PATIENCE + 1):
            method.after_step(replace(context, step=step))


def test_that_a_training_whose_energies_run_away_ends_with_a_sentence_and_is_shown_where_it_was_good(tmp_path: Path):
    settings = SMALL | {"learning_rate": 1.0, "alpha": 0.0, "clip": 0.0}
    with pytest.raises(Diverged, match=r"The energies diverged.*learning_rate \(this one has 1\)") as caught:
        list(train(Plan("energy", "digits", settings, steps=300, name="run", device="cpu"), tmp_path))
    run = Run.open(tmp_path / "run")
    assert run.manifest is not None and run.manifest.best is not None
    assert (run.status, run.manifest.message) == ("failed", str(caught.value))
    shown, last = Model(run, None), Model(run, "newest")
    assert (shown.step_rule, shown.step) == ("best on validation", run.manifest.best.step) and shown.step < last.step
    x = shown.probe()
    assert last.method.energy(x).abs().max() > BOUND > 100 * shown.method.energy(x).abs().max()
    with pytest.raises(TrainingFailed, match="“run” diverged, and going on with the same settings would end there again"):
        list(train(ResumePlan(tmp_path / "run", steps=400), tmp_path))


def told(data: float, noise: float, deviation: float, above: float, images: int) -> Diagnosis:
    """Where held-out images and noise vary alike."""
    return diagnose(EnergySpread(data, deviation, images), EnergySpread(noise, deviation, NOISE_IMAGES), above)


def test_that_energies_that_run_away_and_noise_as_likely_as_images_are_said():
    assert told(0.0, 1.0, 0.3, 0.99, 256).level == "good"
    assert "another order" in told(0.0, 1.0, 0.3, 0.5, 256).text
    assert "Noise" in told(1.0, 0.5, 0.3, 0.9, 256).text
    for energies in ((BOUND, 0.0), (0.0, -BOUND), (float("nan"), 0.0), (0.0, float("nan"))):
        assert "run away" in told(*energies, 0.3, 0.9, 256).text
    assert [told(0.0, 1.0, 0.3, 1.0, images).level for images in (1, 2, 256)] == ["muted", "muted", "good"]
    assert told(0.0, 1.0, math.nan, 1.0, 1).text.startswith("1 held-out image is too few to tell")


def test_that_shuffled_pixels_are_called_worse_only_where_they_are_in_nine_of_ten_pairs():
    levels = [told(0.0, 1.0, 0.3, above, 100).level for above in (0.5, 0.8, 0.86, 0.89, 0.9, 0.95, 1.0)]
    assert levels == ["warning", "warning", "muted", "muted", "good", "good", "good"]
    assert "too few to tell whether" in told(0.0, 1.0, 0.3, 0.86, 100).text
    assert told(0.0, 1.0, 0.3, 0.86, 1000).level == "warning"


def test_that_few_images_of_wide_energies_are_not_told_from_noise_of_narrow_ones():
    """Welch's test: with the variances pooled by equal weights, five such images were shown to lie below noise."""
    data, noise = EnergySpread(0.0, 1.0, 5), EnergySpread(1.0, 0.01, NOISE_IMAGES)
    assert diagnose(data, noise, 1.0).level == "muted"
    assert diagnose(replace(data, count=50), noise, 1.0).level == "good"


def test_that_the_score_is_the_energy_has_no_bits_and_is_not_offered_of_others():
    method = made().eval().requires_grad_(False)
    pixels = np.random.default_rng(0).integers(0, 256, (5, *SHAPE), dtype=np.uint8)
    detector = of(UnnormalizedEnergy, method)
    wanted = method.network(torch.from_numpy(pixels).float() / 255).double()
    assert torch.allclose(finish(detector.steps(ImageBatch(method, pixels))), wanted, atol=1e-6)
    told = detector.info()
    assert (told.density, told.unit) == ("none", "nat, unnormalized")
    assert not UnnormalizedEnergy.suits(ScoredModel(Linear()))


def test_that_a_training_resumed_goes_on_bit_for_bit_with_its_replay_buffer(tmp_path: Path):
    def arrays(run: Path) -> dict[str, np.ndarray]:
        opened = Run.open(run)
        return opened.load(6, "model.safetensors")[1] | opened.load(6, "resume.safetensors")[1]

    plan = Plan("energy", "digits", {**SMALL, "warmup": 2}, steps=6, precision="fp32")
    list(train(replace(plan, name="whole"), tmp_path))
    job = train(replace(plan, name="parts"), tmp_path)
    next(job)
    steps, verb = 0, None
    try:
        while True:
            item = job.send(verb)
            steps += item is None
            verb = "pause" if len(list((tmp_path / "parts" / "checkpoints").glob("*00000002"))) else None
    except StopIteration as end:
        assert end.value.status == "paused" and 0 < end.value.step < 6
    list(train(ResumePlan(tmp_path / "parts"), tmp_path))
    whole, parts = arrays(tmp_path / "whole"), arrays(tmp_path / "parts")
    assert {"working/replay", "working/chains", "working/trouble"} <= set(whole)
    assert all(np.array_equal(whole[name], parts[name]) for name in whole)


# -- that it learns ------------------------------------------------------------------------------------------------------


def frechet(a: np.ndarray, b: np.ndarray) -> float:
    """Of two sets of rows, as Gaussians."""
    first, second = np.cov(a.T), np.cov(b.T)
    return float(((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(first + second - 2 * np.real(sqrtm(first @ second))))


@pytest.mark.slow
def test_that_samples_of_digits_come_far_nearer_than_those_of_the_untrained_chain(tmp_path: Path):
    """Fréchet distance of 256 samples to 256 held-out images along the 16 principal directions of pixels; 11 times nearer when written."""
    list(train(Plan("energy", "digits", steps=500, name="run"), tmp_path))
    data = open_data("digits")
    x, held_out = (to_float(torch.from_numpy(data.splits[name].images)).flatten(1).double().numpy() for name in ("train", "valid"))
    basis = np.linalg.svd(x - x.mean(0), full_matrices=False)[2][:16].T

    def distance(step: int) -> float:
        model = Model(Run.open(tmp_path / "run"), step)
        *_, frame = model.method.sample(256, generator=seeded())  # type: ignore[operator]
        return frechet(frame.x.flatten(1).double().numpy() @ basis, held_out[:256] @ basis)

    assert distance(500) < distance(0) / 3


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
def test_that_no_seed_diverges_on_digits(tmp_path: Path, seed: int):
    settings = {"width": 16, "langevin_steps": 10, "replay": 512}
    events: list[Any] = list(train(Plan("energy", "digits", settings, seed=seed, steps=200, name="run"), tmp_path))
    points = [event.points for event in events if type(event).__name__ == "Metrics"]
    restarted = np.concatenate([p["restarted"][1] for p in points if "restarted" in p])
    energies = np.concatenate([p["energy_data"][1] for p in points if "energy_data" in p])
    assert len(restarted) == 200 and restarted.mean() < 0.01 and np.abs(energies).max() < 10
