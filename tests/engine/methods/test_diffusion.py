"""Diffusion against closed forms: an untrained EDM is a Gaussian, and any network can be put in the place of the U-Net."""

from __future__ import annotations

import csv
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.distributions import Normal

import engine.bases.probability_flow as flow
from engine import messages as m
from engine.bases import denoising
from engine.bases.denoising import LEVELS, DenoisingSampler, diagnose
from engine.config import BadSetting, make_config
from engine.data import open_data
from engine.data.captions import encode_captions
from engine.detectors.base import ImageBatch, ScoredModel, density_steps, finish
from engine.detectors.likelihood import Elbo
from engine.detectors.ode_likelihood import OdeLikelihood
from engine.evaluation.evaluate import evaluate
from engine.evaluation.score_report import score_files, table, write_csv
from engine.losses.diffusion import level_range
from engine.losses.likelihoods import image_generators
from engine.method import CannotLearn, DataSpec, StepContext, build
from engine.methods.diffusion import Config, Diffusion
from engine.queries.session import Model, QuerySession
from engine.storage.atomic_io import seal, write_file
from engine.storage.run_reader import Run
from engine.training.loop import train
from engine.training.plan import Plan, ResumePlan
from tests.kit.tensors import seeded

CLASSES = ("a", "b", "c")
SHAPE = (1, 8, 8)


def make(
    shape: tuple[int, ...] = SHAPE, classes: tuple[str, ...] = CLASSES, moved: bool = False, words: tuple[str, ...] = (), **settings: Any
) -> Diffusion:
    """Untrained, of images as `images` gives them; with `moved` weights its network says something."""
    config = make_config(Config, {"width": 4} | settings)
    config = replace(config, **Diffusion.settings_to_keep(config))  # as of a new run
    made = build(Diffusion, config, DataSpec(shape, classes, words=words), seed=0)
    assert isinstance(made, Diffusion)
    made.init_from_data(images(64, shape))
    if moved:
        with torch.no_grad():
            for parameter in made.parameters():
                parameter.add_(0.2 * torch.randn(parameter.shape, generator=seeded(3)))
    return made.eval()


def images(count: int, shape: tuple[int, ...] = SHAPE, seed: int = 1) -> Tensor:
    """Dark more often than bright."""
    return (torch.rand((count, *shape), generator=seeded(seed)).square() * 256).floor() / 255


def last(frames: Any) -> Tensor:
    return [*frames][-1].x


# -- density ----------------------------------------------------------------------------------------------------------


def untrained_bits(method: Diffusion, x: Tensor) -> Tensor:
    """Bits per dimension [B] of images under N(mean, deviation²) on [0, 1], dequantized: what an EDM is that has not learned.

    The ODE of a unit Gaussian brings all nearer to the mean by √((1 + σ_min²)/(1 + σ_max²)), and begins around the mean image.
    """
    low, high = level_range(method.data.dims)
    shrunk = math.sqrt((1 + low**2) / (1 + high**2))
    mean = method.mean.double() + shrunk * (method.mean_image - method.mean).double()
    u = torch.stack(
        [(255 * image + torch.rand(image.shape, generator=own)) / 256 for image, own in zip(x, image_generators(x, 0), strict=True)]
    )
    density = Normal((mean + 1) / 2, method.sigma_data.double() * shrunk * high / 2)
    return -density.log_prob(u.double()).flatten(1).mean(1) / math.log(2) + 8


@pytest.mark.parametrize("shape", [SHAPE, (3, 9, 12)])
def test_that_an_untrained_edm_has_the_bits_of_its_gaussian(shape: tuple[int, ...]):
    method, x = make(shape), images(4, shape)
    log_p = method.flow_density(x, steps=60).log_p
    bits = [method.bits_per_dim(-value) for value in log_p.tolist()]
    assert bits == pytest.approx(untrained_bits(method, x).tolist(), abs=1e-4)
    few = [method.bits_per_dim(-value) for value in method.log_prob(x).tolist()]
    assert few == pytest.approx(bits, abs=1e-3)


def test_that_flow_matching_with_the_best_velocity_has_the_bits_of_that_gaussian(monkeypatch: pytest.MonkeyPatch):
    """v* = (2t - 1) x_t/(t² + (1 - t)²) from N(0, I) to N(0, I)."""

    def best(self: Diffusion, x: Tensor, c_noise: Tensor, y: Tensor | None) -> Tensor:
        t = 1 / (1 + (4 * c_noise).exp())[:, None, None, None]
        return (2 * t - 1) * x / (t**2 + (1 - t) ** 2)

    monkeypatch.setattr(Diffusion, "network", best)
    method, x = make(objective="flow"), images(3)
    bits = [method.bits_per_dim(-value) for value in method.flow_density(x, steps=60).log_p.tolist()]
    assert bits == pytest.approx(untrained_bits(method, x).tolist(), abs=1e-3)


@pytest.mark.parametrize("settings", [{}, {"conditional": True}])
def test_that_the_density_is_the_same_with_and_without_gradients_and_in_any_batch(settings: dict[str, Any]):
    method, x, y = make(moved=True, **settings), images(3), torch.tensor([0, 2, 1])
    wanted = method.log_prob(x, y)
    with torch.inference_mode():
        assert torch.equal(method.log_prob(x * 1, y * 1), wanted)
    with torch.no_grad():
        assert torch.allclose(method.log_prob(x[1:2], y[1:2]), wanted[1:2], atol=1e-2)
    assert not torch.equal(method.log_prob(x, y, seeded(9)), wanted), "another seed, another dequantization"
    assert all(p.grad is None for p in method.parameters())


def test_that_the_class_moves_a_conditional_density_only():
    x = images(3)
    for conditional in (False, True):
        method = make(moved=True, conditional=conditional)
        given = [method.log_prob(x, torch.full((3,), label)) for label in range(3)]
        assert torch.equal(given[0], given[1]) == torch.equal(given[0], method.log_prob(x)) == (not conditional)


def test_that_it_is_scored_as_an_ode_likelihood_and_not_as_an_elbo():
    subject = ScoredModel(make(moved=True))
    assert OdeLikelihood.suits(subject) and not Elbo.suits(subject)
    look = ImageBatch(subject.method, (images(5) * 255).round().byte().numpy())
    detector = OdeLikelihood(subject)
    scores = finish(detector.steps(look))
    assert torch.allclose(scores, -subject.method.log_prob(look.x), atol=1e-2)
    assert detector.value(64 * math.log(256)) == pytest.approx(8.0), "uniform noise"
    assert sum(1 for _ in density_steps(subject.method, look.x)) > 4 * Diffusion.ODE_STEPS, "it can be left between two passes"


def test_that_each_image_has_the_error_of_its_own_ode_in_table_json_and_csv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """As the flow itself tells it, once for bits/dim and once for nats; what has no such error says none."""
    monkeypatch.setattr("engine.queries.calibrated_detectors.FIT_IMAGES", 8)
    [*_] = train(Plan("diffusion", "digits", {"width": 4}, steps=1, name="run"), tmp_path)
    files = []
    for place, image in enumerate((images(3)[:, 0] * 255).round().byte().numpy()):
        files.append(str(tmp_path / f"{place}.png"))
        Image.fromarray(image).save(files[-1])
    result = score_files(tmp_path / "run", None, files, held_out=4)
    method = Model(Run.open(tmp_path / "run"), None).method
    assert isinstance(method, Diffusion)
    write_csv(tmp_path / "scores.csv", result)
    rows = list(csv.DictReader((tmp_path / "scores.csv").read_text().splitlines()))
    for file, told, row in zip(files, result["images"], rows, strict=True):
        x = torch.from_numpy(np.asarray(Image.open(file)).copy())[None, None].float() / 255
        nats = method.flow_density(x).error.item()
        assert nats > 0
        scores = told["scores"]
        wanted = {"ode_likelihood": nats / 64 / math.log(2), "typicality": nats, "input_complexity": nats / 64 / math.log(2)}
        assert {name: scores[name]["error"] for name in wanted} == pytest.approx(wanted, rel=1e-3)
        assert {name: float(row[f"{name}_error"]) for name in wanted} == pytest.approx(wanted, rel=1e-3)
        assert all("error" not in score and f"{name}_error" not in row for name, score in scores.items() if name not in wanted)
    assert f"± {result['images'][0]['scores']['ode_likelihood']['error']:.4f} bits/dim" in table(result)


def test_that_eval_says_how_far_the_solver_may_be_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """By the difference of the walk and one of half the steps, which twice the steps make at least eight times smaller."""
    [*_] = train(Plan("diffusion", "digits", {"width": 8}, steps=1, name="run"), tmp_path)
    fixed = flow.signs(torch.zeros(4, 1, 8, 8).double(), 1, [seeded(i) for i in range(4)])
    monkeypatch.setattr(flow, "signs", lambda *given: fixed)

    def told(steps: int) -> dict[str, Any]:
        monkeypatch.setattr(Diffusion, "ODE_STEPS", steps)
        return finish(evaluate(tmp_path / "run", limit=4)).values

    few, more = told(8), told(16)
    assert few["bits_per_dim_solver_error"] == pytest.approx(few["solver_error"] / 64 / math.log(2))
    assert 0 < 8 * more["solver_error"] < few["solver_error"]
    assert abs(few["nats"] - more["nats"]) < 2 * few["solver_error"]


def test_that_bayes_rule_on_a_flow_says_its_error_in_the_verb_and_in_the_pane(tmp_path: Path):
    """Against each class's own walk: log p(x) = log mean_y p(x|y) may be off as far as the classes are, by their posterior."""
    [*_] = train(Plan("diffusion", "digits", {"width": 8, "conditional": True}, steps=1, name="run"), tmp_path)
    values = finish(evaluate(tmp_path / "run", limit=2, split="valid")).values
    answer = QuerySession().answer(
        m.AskBayes(stamp=1, channel="c", run=str(tmp_path / "run"), picture=m.PictureRef("one", index=0, split="valid"))
    )
    assert isinstance(answer, m.BayesAnswered) and answer.errors is not None
    method = Model(Run.open(tmp_path / "run"), None).method
    assert isinstance(method, Diffusion)
    x = torch.from_numpy(answer.seen)[None].float() / 255
    walks = [method.flow_density(x, torch.tensor([label]), torch.Generator().manual_seed(0)) for label in range(10)]
    assert answer.given == pytest.approx([walk.log_p.item() for walk in walks], abs=1e-6)
    assert answer.errors == pytest.approx([walk.error.item() for walk in walks], rel=1e-4) and (answer.errors > 0).all()
    assert 0 < values["solver_error"] < max(10 * walk.solver_error.item() for walk in walks)


# -- samples ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sampler", flow.SAMPLERS)
def test_that_every_frame_is_an_8_bit_image_and_the_walk_can_be_left_after_each(sampler: str, monkeypatch: pytest.MonkeyPatch):
    asked: list[float] = []
    network = Diffusion.network

    def counted(self: Diffusion, x: Tensor, c_noise: Tensor, y: Tensor | None) -> Tensor:
        asked.append(float(c_noise[0]))
        return network(self, x, c_noise, y)

    monkeypatch.setattr(Diffusion, "network", counted)
    frames = make(moved=True).sample_with(2, None, DenoisingSampler(steps=5, sampler=sampler), seeded())
    passes = 2 if sampler == "heun" else 1
    for number in range(1, 4):
        frame = next(frames)
        assert (frame.step, frame.count) == (number, 5) and len(asked) == passes * number
        assert torch.equal((frame.x * 255).round() / 255, frame.x) and not frame.x.requires_grad
        assert frame.x.min() >= 0 and frame.x.max() <= 1
    frames.close()  # type: ignore[attr-defined]
    assert len(asked) == passes * 3


def test_that_a_seed_has_one_noise_whatever_the_settings(monkeypatch: pytest.MonkeyPatch):
    first: list[Tensor] = []

    def caught(sampler: str, denoise: Any, x: Tensor, times: Any, generator: Any) -> Any:
        first.append(x)
        yield x

    monkeypatch.setattr("engine.bases.denoising.sampled", caught)
    method = make(conditional=True)
    for settings in (DenoisingSampler(), DenoisingSampler(steps=3), DenoisingSampler(sampler="ancestral"), DenoisingSampler(guidance=3.0)):
        [*_] = method.sample_with(4, None, settings, seeded(7))
    assert all(torch.equal(x, first[0]) for x in first) and first[0].dtype == torch.float64
    assert first[0].std().item() == pytest.approx(level_range(64)[1], rel=0.2)
    method.mean_image.add_(torch.linspace(0, 100, 64).view(SHAPE))
    [*_] = method.sample_with(4, None, DenoisingSampler(), seeded(7))
    moved = torch.linspace(0, 100, 64).view(SHAPE) / method.sigma_data
    assert torch.allclose(first[-1] - first[0], moved.double().expand(4, *SHAPE), atol=1e-3), "noise lies around the mean image"


def test_that_samples_of_an_untrained_edm_are_its_gaussian():
    method = make()
    found = last(method.sample(512, generator=seeded()))
    mean, deviation = (method.mean.item() + 1) / 2, method.sigma_data.item() / 2
    u = mean + deviation * torch.randn(200_000, generator=seeded(1))
    wanted = (u * 256).floor().clamp(0, 255) / 255
    assert found.mean().item() == pytest.approx(wanted.mean().item(), abs=0.01)
    assert found.std().item() == pytest.approx(wanted.std().item(), rel=0.03)


def test_that_sample_is_sample_with_the_defaults():
    method = make(moved=True, conditional=True)
    ours, theirs = method.sample(3, generator=seeded()), method.sample_with(3, None, DenoisingSampler(), seeded())
    assert torch.equal(last(ours), last(theirs))


# -- classes ----------------------------------------------------------------------------------------------------------


def test_that_guidance_of_1_and_0_are_the_conditional_and_the_unconditional_model_bit_for_bit():
    method, y = make(moved=True, conditional=True).double(), torch.tensor([0, 2])
    x = torch.randn(2, *SHAPE, generator=seeded(), dtype=torch.float64)
    with torch.no_grad():
        told, untold = method.denoise(x, 0.7, y), method.denoise(x, 0.7)
        assert torch.equal(method.guided(x, 0.7, y, 1.0), told)
        assert torch.equal(method.guided(x, 0.7, y, 0.0), untold)
        assert torch.allclose(method.guided(x, 0.7, y, 2.5), untold + 2.5 * (told - untold))
        assert not torch.equal(told, untold)
    draw = [last(method.sample_with(2, labels, DenoisingSampler(guidance=0.0), seeded())) for labels in (y, y.flip(0))]
    assert torch.equal(draw[0], draw[1])


def test_that_guidance_between_unit_gaussians_moves_the_mean(monkeypatch: pytest.MonkeyPatch):
    """D = (x + σ² μ)/(1 + σ²), so F = σ μ/√(1 + σ²): the guided mean is μ_none + w (μ_y - μ_none)."""
    means = torch.tensor([-0.5, 0.5, 1.0, 0.25])  # of each class, and of none

    def best(self: Diffusion, x: Tensor, c_noise: Tensor, y: Tensor | None) -> Tensor:
        sigma = (4 * c_noise).exp()
        mu = means[torch.full((len(x),), 3) if y is None else y]
        return (sigma * mu * (1 + sigma.square()).rsqrt())[:, None, None, None].expand_as(x)

    monkeypatch.setattr(Diffusion, "network", best)
    method, y = make(conditional=True), torch.tensor([2, 0])
    method.mean.zero_()
    method.mean_image.zero_()
    method.sigma_data.fill_(0.1)  # nothing is clipped
    begun = 1 / math.sqrt(1 + level_range(64)[1] ** 2)  # the share of 0, where the noise lies around, that stays
    for guidance in (0.0, 1.0, 3.0):
        x = last(method.sample_with(400, y.repeat(200), DenoisingSampler(guidance=guidance, steps=40), seeded()))
        found = ((x * 255 + 0.5) / 256 * 2 - 1) / 0.1
        for place, label in enumerate(y.tolist()):
            wanted = (1 - begun) * (0.25 + guidance * (means[label].item() - 0.25))
            assert found[place::2].mean().item() == pytest.approx(wanted, abs=0.05)
            assert found[place::2].std().item() == pytest.approx(1.0, abs=0.05)


def test_that_guidance_without_classes_is_refused_at_once():
    with pytest.raises(BadSetting, match="without classes"):
        make().sample_with(2, None, DenoisingSampler(guidance=2.0), seeded())
    with pytest.raises(CannotLearn, match="no classes"):
        make(classes=(), conditional=True)


def test_that_a_share_of_the_classes_is_not_told():
    method, y = make(conditional=True, label_dropout=0.3), torch.arange(3).repeat(1000)
    told = method.dropped(y, seeded())
    assert told is not None
    assert (told == 3).float().mean().item() == pytest.approx(0.3, abs=0.04)
    assert torch.equal(told[told < 3], y[told < 3])
    assert make().dropped(y, seeded()) is None


# -- training ---------------------------------------------------------------------------------------------------------


def test_that_a_network_that_says_nothing_has_a_loss_of_one_at_every_level_and_flow_matching_of_two():
    x = images(512)
    edm = make()
    edm.init_from_data(x)
    terms = edm.loss(x, None, StepContext(generator=seeded()))
    assert [*terms] == ["loss", *(f"loss σ {level:g}" for level in LEVELS)]
    assert {name: value.item() for name, value in terms.items()} == pytest.approx(dict.fromkeys(terms, 1.0), abs=0.06)
    assert [number.value for number in edm.describe(x, seeded()).numbers] == pytest.approx([1.0] * len(LEVELS), abs=0.06)
    flow_matching = make(objective="flow")
    flow_matching.init_from_data(x)
    assert flow_matching.loss(x, None, StepContext(generator=seeded()))["loss"].item() == pytest.approx(2.0, abs=0.1)
    assert [*flow_matching.train().loss(x, None, StepContext(generator=seeded()))] == ["loss"], (
        "levels cost a pass more: held-out images only"
    )


def test_that_a_velocity_of_zero_costs_its_closed_form_at_every_level_and_the_words_hold_for_both_objectives():
    x = images(2000)
    flow = make(objective="flow").double().describe(x.double(), seeded())
    for level, number in zip(LEVELS, flow.numbers, strict=True):
        assert number.value == pytest.approx(2 * (1 + level**2) / (1 + level) ** 2, rel=0.06)  # D = x / (1 + σ)
        assert "scaling the image alone gives 1" in number.help
    y, noise = images(4000).double().flatten(), torch.randn(4000 * 64, generator=seeded(2)).double()
    y = (y - y.mean()) / y.std()
    for level in LEVELS:  # the best of all scalings, found by least squares
        noisy = y + level * noise
        best = noisy * (noisy @ y) / (noisy @ noisy)
        assert (1 + level**-2) * (best - y).square().mean().item() == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("objective", ["edm", "flow"])
def test_that_the_loss_of_a_level_is_the_weighted_error_of_the_denoiser(objective: str):
    method, x = make(moved=True, objective=objective).double(), images(4).double()
    sigma = torch.tensor([0.1, 0.4, 1.0, 3.0]).double()
    got = method._weighted(x, sigma, None, seeded(5))
    noise = torch.randn(x.shape, generator=seeded(5)).double()
    for i, level in enumerate(sigma.tolist()):
        clean = method.denoise(x[i : i + 1] + level * noise[i : i + 1], level)
        wanted = (1 + level**2) / level**2 * (clean - x[i : i + 1]).square().mean()
        assert got[i].item() == pytest.approx(wanted.item(), rel=1e-9)


@pytest.mark.parametrize(
    ("settings", "mean", "std"),
    [
        ({}, -1.2, 1.2),
        ({"conditional": True}, -1.2, 1.2),
        ({"noise_mean": -0.4, "noise_std": 1.0}, -0.4, 1.0),
        ({"conditional": True, "condition": "caption"}, -0.2, 1.2),
        ({"conditional": True, "condition": "caption", "noise_mean": -0.5, "noise_std": 2.0}, 0.5, 2.0),
    ],
)
def test_that_training_draws_the_noise_that_is_set_and_more_of_it_where_captions_are_told(
    settings: dict[str, Any], mean: float, std: float
):
    method, seen = make(words=("a", "star"), **settings), []
    method.network = lambda x, c_noise, y: (seen.append(c_noise), 0 * x)[1]  # type: ignore[method-assign]
    y = torch.zeros((4000, 16), dtype=torch.int64) if "condition" in settings else torch.zeros(4000, dtype=torch.int64)
    method.train().loss(images(4000), y, StepContext(generator=seeded()))
    log_sigma = 4 * seen[0] + math.log(0.5)  # the network is told ln σ / 4, in deviations of the images; EDM's are of 0.5
    assert (log_sigma.mean().item(), log_sigma.std().item()) == pytest.approx((mean, std), abs=0.02)


@pytest.mark.slow
def test_that_a_run_of_captions_goes_on_with_the_noise_it_began_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    settings = {"width": 4, "batch_size": 8, "conditional": True, "condition": "caption", "schedule": "constant"}

    def trained(name: str, steps: int) -> Path:
        list(train(Plan("diffusion", "shapes:600", settings, steps=steps, name=name, device="cpu", precision="fp32"), tmp_path))
        return tmp_path / name

    def weights(run: Path) -> dict[str, np.ndarray]:
        return Run.open(run).load(4, "resume.safetensors")[1]

    with monkeypatch.context() as earlier:
        earlier.setattr(denoising, "CAPTION_SHIFT", 0.0)
        without, old = weights(trained("whole", 4)), trained("old", 2)
    manifest = Run.open(old).manifest
    assert manifest is not None
    config = {name: value for name, value in manifest.config.items() if name != "noise_shift"}  # as versions wrote it that had no shift
    write_file(old / "manifest.json", seal(manifest.model_copy(update={"config": config}).model_dump()))
    new = trained("new", 2)
    for run in (old, new):
        list(train(ResumePlan(run, steps=4, device="cpu"), tmp_path))
    assert all(np.array_equal(weights(old)[name], value) for name, value in without.items())
    shifted = weights(trained("whole again", 4))
    assert all(np.array_equal(weights(new)[name], value) for name, value in shifted.items())
    assert not all(np.array_equal(without[name], value) for name, value in shifted.items())


def test_that_a_run_of_captions_tells_its_loss_at_high_noise_too():
    method, x = make(words=("a", "star"), conditional=True, condition="caption"), images(70)
    wanted = [f"loss σ {level:g}" for level in (0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)]
    terms = method.loss(x, torch.ones((70, 16), dtype=torch.int64), StepContext(generator=seeded()))
    assert [*terms] == ["loss", *wanted] and all(value.item() == pytest.approx(1, abs=0.15) for value in terms.values())
    assert [number.name for number in method.describe(x, seeded()).numbers] == [name.replace("σ", "at σ =") for name in wanted]


@pytest.mark.slow
def test_that_a_quarter_of_a_minute_of_training_teaches_a_place_from_the_captions_words(tmp_path: Path):
    """At noise that hides most of a place, the right words help and those of another place harm, more than any words lacking."""
    settings = {"width": 16, "conditional": True, "condition": "caption"}
    [*_] = train(Plan("diffusion", "shapes:4000", settings, steps=250, name="run", device="cpu"), tmp_path)
    model = Model(Run.open(tmp_path / "run"), None)
    method, split = model.method, open_data("shapes:4000").splits["valid"]
    assert isinstance(method, Diffusion)
    x, names = torch.from_numpy(np.ascontiguousarray(split.images[:100])).float() / 255, list(split.names[:100])
    other = {"top": "bottom", "bottom": "top", "left": "right", "right": "left", "middle": "top", "centre": "left"}
    wrong = [" ".join(other.get(word, word) for word in name.split()) for name in names]
    losses = []
    for captions in (names, [""] * 100, wrong):
        y = torch.from_numpy(encode_captions(captions, model.spec.words))
        with torch.no_grad():
            clean = method._from_images(x, seeded(1))
            losses.append(method._weighted(clean, torch.full((100,), 25.0), y, seeded(2)).mean().item())
    right, none, wrong_loss = losses
    assert right < 0.9 * none and wrong_loss > 1.2 * none


def test_that_few_images_have_all_levels_too():
    terms = make(moved=True).loss(images(2), None, StepContext(generator=seeded()))
    assert len(terms) == 1 + len(LEVELS) and all(value.isfinite() for value in terms.values())


def test_that_mean_and_deviation_are_those_of_the_images_and_none_is_too_small():
    method, x = make((3, 8, 8)), images(32, (3, 8, 8)) * torch.tensor([0.2, 0.5, 1.0])[:, None, None]
    method.init_from_data(x)
    on_scale = 2 * x.double() - 1
    centred = on_scale - on_scale.mean((0, 2, 3), keepdim=True)
    assert torch.allclose(method.mean.flatten().double(), on_scale.mean((0, 2, 3)), atol=1e-5)
    assert method.sigma_data.item() == pytest.approx(centred.square().mean().sqrt().item(), rel=1e-4)
    method.init_from_data(torch.full((4, 3, 8, 8), 0.5))
    assert method.sigma_data.item() == pytest.approx(2 / 255)
    assert method.log_prob(images(2, (3, 8, 8))).isfinite().all()


def test_that_what_is_said_follows_from_the_loss():
    assert [diagnose(*case)[0].level for case in ((1.0, 0.01), (0.99, 0.02), (math.nan, 0.1), (0.9, 0.01), (0.4, 0.01))] == [
        "bad",
        "bad",
        "bad",
        "warning",
        "good",
    ]


def test_that_a_training_goes_on_bit_for_bit_and_its_samples_are_drawn_as_asked(tmp_path: Path):
    settings = {"width": 4, "batch_size": 16, "conditional": True, "objective": "flow", "schedule": "constant"}
    plan = Plan("diffusion", "digits", settings, steps=8, name="whole")
    [*_] = train(plan, tmp_path)
    [*_] = train(replace(plan, steps=4, name="parts"), tmp_path)
    [*_] = train(ResumePlan(tmp_path / "parts", steps=8), tmp_path)
    whole, parts = (Run.open(tmp_path / name) for name in ("whole", "parts"))
    for file in ("model.safetensors", "resume.safetensors"):
        ours, theirs = whole.load(8, file)[1], parts.load(8, file)[1]
        assert ours.keys() == theirs.keys() and all((ours[key] == theirs[key]).all() for key in ours)
    valid = whole.load(8, "state.json")[2]["valid"]
    assert {f"loss σ {level:g}" for level in LEVELS} < {*valid}
    ask = m.DrawSamples(job="j", run=str(tmp_path / "whole"), samples=(0, 1), label=2, settings=(("steps", 3), ("guidance", 2.0)))
    began, *frames = (event for event in QuerySession().work(ask) if event is not None)
    assert isinstance(began, m.SamplingBegan) and (began.kind, began.frames, began.labels) == ("steps", 3, (2, 2))
    assert [frame.frame for frame in frames] == [1, 2, 3] and frames[-1].images.shape == (2, *SHAPE)  # type: ignore[union-attr]


@pytest.mark.slow
def test_that_digits_are_learned_and_ten_times_the_solvers_steps_change_little(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Bounds, not frozen numbers: an untrained model has a loss of 1 and the bits of one Gaussian for all pixels."""
    [*_] = train(Plan("diffusion", "digits", {"width": 32}, steps=500), tmp_path)
    (run,) = tmp_path.iterdir()
    first, trained = Model(Run.open(run), 0), Model(Run.open(run), "newest")
    x, untrained, method = trained.probe()[:48], first.method, trained.method
    assert isinstance(untrained, Diffusion) and isinstance(method, Diffusion)
    losses = [one.loss(x, None, StepContext(generator=seeded()))["loss"].item() for one in (untrained, method)]
    assert losses[0] > 0.95 and losses[1] < 0.55
    bits = [one.bits_per_dim(-one.log_prob(x).mean().item()) for one in (untrained, method)]
    assert bits[1] < bits[0] - 1.5
    own = [seeded(i) for i in range(4)]
    fixed = flow.signs(torch.zeros(4, *SHAPE).double(), 1, own)
    monkeypatch.setattr(flow, "signs", lambda *given: fixed)  # the same at every step, so that only the steps differ
    coarse, fine = (method.flow_density(x[:4], steps=steps) for steps in (Diffusion.ODE_STEPS, 10 * Diffusion.ODE_STEPS))
    apart = (coarse.log_p - fine.log_p).abs()
    assert apart.max().item() / 64 / math.log(2) < 0.005 and (apart < 2 * coarse.solver_error).all()
    frames = last(method.sample(64, generator=seeded()))
    centred = x - x.mean(0)
    assert frames.mean().item() == pytest.approx(x.mean().item(), abs=0.04)
    assert (frames - x.mean(0)).square().mean().item() == pytest.approx(centred.square().mean().item(), rel=0.25)
