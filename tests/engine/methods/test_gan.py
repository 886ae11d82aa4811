"""The GAN: what each phase moves, its penalties in the step, averaged weights, directions, classes, diagnosis; and that it learns."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn

from engine.common.pixels import to_float
from engine.config import make_config
from engine.data import open_data
from engine.evaluation.fid import frechet_distance
from engine.method import CannotLearn, DataSpec, Diverged, StepContext, build, judged, skeleton
from engine.methods import gan
from engine.methods.gan import GAN, Config, balance, ranked_right
from engine.nets.adversarial import patches
from engine.queries.session import Model
from engine.storage.run_reader import Run
from engine.training.loop import train
from engine.training.plan import Plan, ResumePlan, TrainingFailed, resolve
from engine.training.resume_state import checked
from engine.training.trainer import Trainer
from tests.kit.tensors import first_normals, seeded

SMALL = {"width": 4, "latent": 5, "batch_size": 16}
DATA = DataSpec((1, 12, 10), ("a", "b", "c"))


def made(**values: Any) -> GAN:
    return build(GAN, make_config(Config, {**SMALL, "objective": "relativistic", **values}), DATA, seed=0)


def stirred(**values: Any) -> GAN:
    """With weights away from their zeros, so that everything has an effect."""
    method = made(**values)
    with torch.no_grad():
        for i, p in enumerate(method.parameters()):
            p.add_(0.3 * torch.randn(p.shape, generator=seeded(i)) / max(1, p[0].numel() if p.ndim else 1) ** 0.5)
    return method.eval()


def images(n: int, seed: int = 0) -> Tensor:
    return torch.rand(n, *DATA.shape, generator=seeded(seed))


def context(phase: str = "", step: int = 0) -> StepContext:
    return StepContext(step, 0.5, seeded(3), phase=phase)


def trainer(precision: str = "fp32", steps: int = 50, **values: Any) -> Trainer:
    return Trainer(resolve(Plan("gan", "digits", SMALL | values, steps=steps, device="cpu", precision=precision)), open_data("digits"))


def finish(job: Any) -> None:
    for _ in job:
        pass


# -- training ----------------------------------------------------------------------------------------------------------


def test_that_each_network_has_an_optimizer_with_settings_of_its_own():
    t = trainer(learning_rate=0.002, discriminator_rate=0.001, generator_beta1=0.5, discriminator_beta1=0.1, beta2=0.98)
    ours, theirs = t.optimizers["generator"], t.optimizers["discriminator"]
    assert (ours.peak, theirs.peak) == (0.002, 0.001)
    assert [one.algorithm.defaults["betas"] for one in (ours, theirs)] == [(0.5, 0.98), (0.1, 0.98)]
    together = {id(p) for one in (ours, theirs) for p in one.parameters}
    assert together == {id(p) for p in t.method.parameters()} and len(together) == len(ours.parameters) + len(theirs.parameters)


@pytest.mark.parametrize("phase", ["discriminator_loss", "generator_loss"])
def test_that_a_phase_is_asked_for_its_own_term_and_moves_its_own_network(phase: str):
    t = trainer()
    step = t.stepper
    chosen = next(p for p in t.method.phases if p.term == phase)
    x = torch.randint(0, 256, (16, 1, 8, 8), dtype=torch.uint8, generator=seeded())
    terms = step.gradients(chosen, x, None, replace(t.context(), phase=phase))
    assert terms is not None and phase in terms and not {"generator_loss", "discriminator_loss"} - {phase} & set(terms)
    moved = {name.split(".")[0] for name, p in t.method.named_parameters() if p.grad is not None}
    assert moved == {chosen.optimizer}


@pytest.mark.parametrize("objective", ["relativistic", "non_saturating", "hinge"])
def test_that_penalties_come_at_every_kth_step_k_times_as_heavy_and_r2_with_the_relativistic_loss_only(objective: str):
    method, x = stirred(objective=objective, gamma=3.0, penalty_interval=4).train(), images(6)
    plain = method.loss(x, None, context("discriminator_loss", 1))
    penalized = method.loss(x, None, context("discriminator_loss", 8))
    after = method.loss(x, None, context("discriminator_loss", 9))
    extra = 4 * (penalized["r1"] + penalized["r2"])
    assert penalized["discriminator_loss"].item() == pytest.approx((plain["discriminator_loss"] + extra).item(), rel=1e-5)
    assert plain["r1"] == plain["r2"] == 0 and (after["r1"], after["r2"]) == (penalized["r1"], penalized["r2"])
    assert penalized["r1"] > 0 and (penalized["r2"] > 0) == (objective == "relativistic")
    told = method.loss(x, None, context())  # of held-out images: as if there were no interval
    once = told["r1"] + told["r2"]
    assert told["discriminator_loss"].item() == pytest.approx((plain["discriminator_loss"] + once).item(), rel=1e-5)


def test_that_r1_and_r2_are_gamma_halves_of_the_mean_squared_gradient_at_real_and_at_generated_images():
    """By finite differences along every pixel, in float64."""
    method, x = stirred(gamma=3.0).double(), images(2).double()
    told = method.loss(x, None, context())
    with torch.no_grad():
        fake = method.generator(torch.randn(2, 1, 5, generator=seeded(3))[:, 0].double())  # the first noise that the loss draws

        def slow(at: Tensor) -> float:
            total = 0.0
            for i in range(at[0].numel()):
                change = torch.zeros_like(at).flatten(1)
                change[:, i] = 1e-5
                ahead, behind = (method.discriminator(at + sign * change.view_as(at)) for sign in (1, -1))
                total += ((ahead - behind) / 2e-5).square().mean().item()
            return total

        assert told["r1"].item() == pytest.approx(1.5 * slow(x), rel=1e-4)
        assert told["r2"].item() == pytest.approx(1.5 * slow(fake), rel=1e-4)


@pytest.mark.parametrize("objective", ["relativistic", "hinge"])
def test_that_the_penalized_step_is_in_full_precision_where_the_training_is_in_bf16(objective: str):
    x = torch.randint(0, 256, (16, 1, 8, 8), dtype=torch.uint8, generator=seeded())
    found = {}
    for precision in ("fp32", "bf16"):
        t = trainer(precision, objective=objective, width=16)
        with torch.no_grad():  # away from the zeros it begins at
            for i, p in enumerate(t.method.parameters()):
                p.add_(0.1 * torch.randn(p.shape, generator=seeded(i)))
        terms = t.stepper.gradients(t.method.phases[0], x, None, replace(t.context(), phase="discriminator_loss"))
        assert terms is not None and {value.dtype for value in terms.values()} == {torch.float32}
        found[precision] = terms["r1"].item(), torch.cat([p.grad.flatten() for p in t.method.discriminator.parameters()])
    assert found["bf16"][0] == found["fp32"][0]  # at the same real images
    assert (found["bf16"][1] - found["fp32"][1]).norm() < 0.05 * found["fp32"][1].norm()  # the generated ones are rounded


def test_that_resuming_is_bit_exact_in_both_networks_and_both_optimizers(tmp_path: Path):
    settings = SMALL | {"penalty_interval": 4, "schedule": "constant", "ema": 0.9}  # a cosine would end elsewhere
    finish(train(Plan("gan", "digits", settings, steps=11, name="whole", device="cpu"), tmp_path))
    finish(train(Plan("gan", "digits", settings, steps=6, name="parts", device="cpu"), tmp_path))
    finish(train(ResumePlan(tmp_path / "parts", steps=11), tmp_path))
    whole, parts = (Run.open(tmp_path / name).load(11, "resume.safetensors")[1] for name in ("whole", "parts"))
    assert whole.keys() == parts.keys() and all((whole[key] == parts[key]).all() for key in whole)
    assert {key.split("/")[0] for key in whole} == {"weights", "working", "optimizer", "random"}
    for network in ("generator", "discriminator"):
        assert any(key.startswith(f"optimizer/exp_avg_sq/{network}.") for key in whole)
    valid = [Run.open(tmp_path / name).load(11, "state.json")[2]["valid"] for name in ("whole", "parts")]
    assert valid[0] == valid[1] and "energy_distance" in valid[0]
    told = [penalties_of(tmp_path / name) for name in ("whole", "parts")]
    assert told[0] == told[1] and len(told[0]) == 11 and len(set(told[0].values())) == 3  # at steps 0, 4 and 8, and kept between them


def test_that_a_checkpoint_without_the_unit_of_features_opens_and_goes_on_with_the_one_measured_anew(tmp_path: Path):
    finish(train(Plan("gan", "digits", SMALL | {"ema": 0.9}, steps=2, name="run", device="cpu"), tmp_path))
    run = Run.open(tmp_path / "run")
    weights, resume = (run.load(2, f"{name}.safetensors")[1] for name in ("model", "resume"))
    unit = weights.pop("feature_unit")
    assert (resume.pop("weights/feature_unit") == unit).all() and len(set(unit.tolist())) > 100
    method = skeleton(GAN, make_config(Config, SMALL), DataSpec((1, 8, 8), tuple("0123456789")))
    method.load_state_dict({name: torch.from_numpy(value) for name, value in weights.items()}, assign=True)
    assert method.feature_unit.tolist() == [1.0] * len(unit) and method.loss(images(4)[..., :8, :8], None, context())
    t = trainer(ema=0.9)
    t.restore(weights, resume, checked(run.load(2, "state.json")[2], "run", 2))
    assert (t.method.feature_unit.numpy() == unit).all() and (t.ema.feature_unit.numpy() == unit).all()
    del weights["generator.offset.value"]
    with pytest.raises(ValueError, match=r"generator\.offset\.value is missing"):
        t.restore(weights, resume, checked(run.load(2, "state.json")[2], "run", 2))


def penalties_of(path: Path) -> dict[int, float]:
    """The curve of R1: values by step."""
    rows, _ = Run.open(path).metrics()
    return {
        step: value for row in rows if "r1" in row.get("values", {}) for step, value in zip(row["steps"], row["values"]["r1"], strict=True)
    }


def test_that_what_is_drawn_comes_from_the_averaged_weights(tmp_path: Path):
    finish(train(Plan("gan", "digits", SMALL | {"learning_rate": 0.01}, steps=8, name="run", device="cpu"), tmp_path))
    run = Run.open(tmp_path / "run")
    resume = run.load(8, "resume.safetensors")[1]
    raw = {key.removeprefix("weights/"): torch.from_numpy(value.copy()) for key, value in resume.items() if key.startswith("weights/")}
    averaged = Model(run, 8).method
    trained = Model(run, 8).method
    trained.load_state_dict(raw)
    shown, other = ([*one.sample(4, generator=seeded())][-1].x for one in (averaged, trained))
    assert (shown - other).abs().max() > 1e-4
    t = trainer("auto", learning_rate=0.01, steps=8)
    for _ in range(8):
        t.step()
    assert torch.equal([*t.ema.eval().sample(4, generator=seeded())][-1].x, shown)


def test_that_a_network_that_overflows_ends_the_run_with_a_sentence_and_its_last_good_checkpoint(tmp_path: Path, monkeypatch):
    honest = gan.adversarial.squared_gradient
    calls = []

    def poisoned(logits: Tensor, x: Tensor) -> Tensor:
        calls.append(torch.is_grad_enabled() and logits.requires_grad)
        return honest(logits, x) * (math.inf if len(calls) > 30 else 1)

    monkeypatch.setattr(gan.adversarial, "squared_gradient", poisoned)
    with pytest.raises(TrainingFailed, match=r"stopped being a finite number at step \d+.*last good checkpoint is kept"):
        finish(train(Plan("gan", "digits", SMALL | {"penalty_interval": 1}, steps=100, name="run", device="cpu"), tmp_path))
    run = Run.open(tmp_path / "run")
    assert run.manifest is not None and run.manifest.status == "failed" and "finite" in run.manifest.message
    *_, last = list(Model(run, None).method.sample(3, generator=seeded()))
    assert last.x.isfinite().all()


def test_that_a_game_that_runs_away_ends_with_a_sentence_and_is_shown_and_drawn_where_it_was_good(tmp_path: Path):
    wild = {"learning_rate": 1.0, "discriminator_rate": 1.0, "gamma": 0.0}
    with pytest.raises(Diverged, match=r"diverged: for \d+ steps.*start a new run with a lower learning_rate \(this one has 1\)") as caught:
        finish(train(Plan("gan", "digits", SMALL | wild, steps=400, name="run", device="cpu"), tmp_path))
    run = Run.open(tmp_path / "run")
    assert run.manifest is not None and run.manifest.best is not None
    assert (run.status, run.manifest.message) == ("failed", str(caught.value))
    shown = Model(run, None)
    assert shown.step_rule == "best on validation" and shown.step == run.manifest.best.step
    digits = to_float(torch.from_numpy(np.asarray(open_data("digits").splits["train"].images)))
    spread = digits.var(0).mean()

    def away(model: Model) -> float:  # how far the mean sample is from the mean image, in a single image's distances
        (frame,) = model.method.sample(64, generator=seeded())
        return float((frame.x.mean(0) - digits.mean(0)).square().mean() / spread)

    assert away(shown) < 0.5 < 1.25 < away(Model(run, "newest"))
    with pytest.raises(TrainingFailed, match="“run” diverged, and going on with the same settings would end there again"):
        finish(train(ResumePlan(tmp_path / "run", steps=500), tmp_path))
    assert not any(checkpoint.resumable for checkpoint in run.checkpoints())  # so the window offers no Continue
    assert run.status == "failed" and Run.open(run.path).manifest == run.manifest  # refused, and nothing was touched


def test_that_a_game_in_hand_is_not_taken_for_one_that_runs_away():
    for seed, settings in enumerate(({}, {"gamma": 0.0}, {"learning_rate": 0.02, "discriminator_rate": 0.02})):
        t = trainer("fp32", 60, **settings)
        lost = []
        for _ in range(60):
            t.step()
            lost.append(float(t.method.get_buffer("lost")))
        assert max(lost) < gan.PATIENCE / 5, (seed, settings)


def test_that_a_number_that_is_not_finite_names_the_rate_of_the_network_it_is_of(tmp_path: Path, monkeypatch):
    honest = gan.adversarial.generator_loss
    rates = SMALL | {"learning_rate": 0.003, "discriminator_rate": 0.004}

    def plan(name: str) -> Plan:
        return Plan("gan", "digits", rates, steps=20, name=name, device="cpu")

    def poisoned(*given: Any) -> Tensor:
        loss = honest(*given)
        return loss * (math.nan if loss.requires_grad else 1)

    monkeypatch.setattr(gan.adversarial, "generator_loss", poisoned)
    with pytest.raises(TrainingFailed, match=r"“generator_loss” stopped.*a lower learning_rate \(this one has 0\.003\) or clip"):
        finish(train(plan("generator"), tmp_path))
    monkeypatch.setattr(gan.adversarial, "generator_loss", honest)
    length = torch.nn.utils.clip_grad_norm_
    count = len([*made().discriminator.parameters()])

    def overflowing(parameters: Any, most: float) -> Tensor:
        parameters = list(parameters)
        norm = length(parameters, most)
        return norm * math.inf if len(parameters) == count else norm

    monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", overflowing)
    with pytest.raises(
        TrainingFailed, match=r"“gradient norm of discriminator_loss” stopped.*a lower discriminator_rate \(this one has 0\.004\)"
    ):
        finish(train(plan("discriminator"), tmp_path))


def test_that_it_says_what_it_cannot_learn_from():
    with pytest.raises(CannotLearn, match="no classes"):
        build(GAN, Config(conditional=True), DataSpec((1, 8, 8)), seed=0)
    with pytest.raises(ValueError, match="8×8 to 128×128"):
        patches((7, 30))


# -- samples and directions --------------------------------------------------------------------------------------------


class Linear(nn.Module):
    """G(z) = A z, as an image, for a generator whose derivative is known."""

    def __init__(self, matrix: Tensor, offset: nn.Module) -> None:
        super().__init__()
        self.matrix, self.offset = nn.Parameter(matrix), offset

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        return (z @ self.matrix.T).unflatten(1, DATA.shape)


def test_that_the_principal_directions_are_the_right_singular_vectors_by_their_effect():
    method = made(latent=4).double()
    u, _ = torch.linalg.qr(torch.randn(DATA.dims, 4, generator=seeded(1), dtype=torch.float64))
    v, _ = torch.linalg.qr(torch.randn(4, 4, generator=seeded(2), dtype=torch.float64))
    method.generator = Linear(u @ torch.diag(torch.tensor([0.1, 9.0, 1.0, 30.0], dtype=torch.float64)) @ v.T, method.generator.offset)
    found = method.eval().principal_directions()
    wanted = v[:, [3, 1, 2, 0]]
    overlap = (found.T @ wanted).abs()
    assert (overlap.diagonal() > 0.95).all()
    assert torch.allclose(found.T @ found, torch.eye(4, dtype=torch.float64), atol=1e-10)
    shares = method.principal_shares()
    assert shares.sum().item() == pytest.approx(1) and (shares.diff() <= 0).all()
    squares = torch.tensor([900.0, 81.0, 1.0, 0.01], dtype=torch.float64)  # of the singular values: the variances along them
    assert shares.numpy() == pytest.approx((squares / squares.sum()).numpy(), abs=0.03)


def test_that_coordinates_are_a_rotation_of_z_and_the_first_one_changes_the_image_most():
    method = stirred().double()
    z = torch.randn(6, 5, generator=seeded(), dtype=torch.float64)
    directions = method.principal_directions()
    with torch.no_grad():
        assert torch.allclose(method.decode(z @ directions), method.generator(z), atol=1e-9)
        effect = [(method.decode(z + 0.1 * one) - method.decode(z)).square().sum().item() for one in torch.eye(5, dtype=torch.float64)]
    assert effect[0] == max(effect) and effect[-1] == min(effect)


def test_that_directions_are_those_of_the_weights_as_they_are():
    method = stirred()
    before = method.principal_directions()
    assert method.principal_directions() is before  # a slider does not wait for them
    same = stirred()
    with torch.inference_mode():
        assert torch.equal(same.principal_directions(), before)
    method.load_state_dict({key: value.flip(0) if value.ndim == 2 else value for key, value in method.state_dict().items()})
    after = method.principal_directions()
    assert not torch.equal(after, before)
    method.train()
    method.eval()
    assert torch.equal(method.principal_directions(), after)


def test_that_truncation_scales_the_same_codes_towards_the_centre():
    method = stirred()
    with torch.no_grad():
        plain = [*method.sample(5, generator=seeded())][-1].x
        default = [*method.sample_with(5, None, method.SampleSettings(), seeded())][-1].x
        half = [*method.sample_with(5, None, method.SampleSettings(truncation=0.5), seeded())][-1].x
        none = [*method.sample_with(5, None, method.SampleSettings(truncation=0.0), seeded())][-1].x
        z = first_normals(5, 5, seeded())
        assert torch.equal(plain, default) and torch.equal(half, method.generator(0.5 * z))
        assert torch.allclose(none, method.generator(torch.zeros(1, 5)).expand_as(none), atol=1e-6)


def test_that_a_class_changes_the_image_and_the_logit_and_not_the_noise():
    method, free = stirred(conditional=True), stirred()
    assert method.conditional and not free.conditional
    y = torch.tensor([0, 1, 2, 0])
    with torch.no_grad():
        ours = [*method.sample(4, y, generator=seeded())][-1].x
        z = first_normals(4, 5, seeded())
        assert torch.equal(ours, method.generator(z, y))
        assert (method.generator(z, y) - method.generator(z, (y + 1) % 3)).abs().max() > 1e-3
        x = images(4)
        assert ((method.discriminator(x, y) - method.discriminator(x, (y + 1) % 3)).abs() > 1e-5).all()
        drawn = [*method.sample(600, generator=seeded())][-1].x  # any class, about as often as any other
        z = first_normals(600, 5, seeded())
        each = torch.stack([(method.generator(z, torch.full((600,), k)) - drawn).flatten(1).abs().amax(1) < 1e-6 for k in range(3)])
        assert each.any(0).all() and (each.double().mean(1) - 1 / 3).abs().max() < 0.08
        assert torch.equal(method.decode(z[:4]), method.decode(z[:4], torch.zeros(4, dtype=torch.int64)))
        assert torch.equal([*free.sample(4, y, generator=seeded())][-1].x, [*free.sample(4, generator=seeded())][-1].x)


# -- what is said of a checkpoint --------------------------------------------------------------------------------------


def test_that_pairs_ranked_right_are_the_area_under_the_curve_ties_included():
    real, fake = torch.tensor([0.1, 2.0, 0.5, 0.5]), torch.tensor([0.5, -1.0, 0.2])
    wanted = roc_auc_score([1] * 4 + [0] * 3, torch.cat([real, fake]).numpy())
    assert ranked_right(real, fake) == pytest.approx(wanted)
    assert balance(ranked_right(real + 9, fake), 256).level == "warning"
    assert "cannot tell" in balance(ranked_right(fake, fake), 256).text
    assert balance(0.8, 256).level == "good"
    assert [balance(share, 6).text.split(" to tell")[0] for share in (0.5, 0.8, 1.0)] == ["6 held-out images are too few"] * 3
    assert balance(1.0, 1).text.startswith("1 held-out image is too few to tell")


def test_that_a_discriminator_that_ranks_samples_above_held_out_images_is_said_to():
    for share, number in ((0.0, 256), (0.3, 256), (0.0, 6), (0.43, 256)):
        word = balance(share, number)
        assert word.level == "warning" and "ranks samples above held-out images" in word.text, (share, number)
    assert "cannot tell" in balance(0.47, 256).text and "too few" in balance(0.3, 6).text


def test_that_a_generator_of_one_image_is_called_collapsed_and_early_steps_are_not_judged():
    method = made()
    with torch.no_grad():
        method.generator.fine.weight.zero_()
    found = method.describe(images(64), seeded())
    assert {n.name: n.value for n in found.numbers}["diversity"] == pytest.approx(0, abs=1e-4)
    assert [w.level for w in found.diagnosis][-1] == "bad" and "Mode collapse" in found.diagnosis[-1].text
    assert all(word.level == "muted" for word in judged(method, found, 10))
    assert found.scale is not None and found.centre is not None and (found.scale == 1).all() and (found.centre == 0).all()


def test_that_losses_with_a_zero_say_how_many_are_on_its_right_side_and_classes_are_given_where_it_needs_them():
    x, y = images(50), torch.arange(50) % 3
    names = [number.name for number in stirred(objective="hinge").describe(x, seeded()).numbers]
    assert names == ["told apart", "real taken for real", "samples seen through", "clusters reached", "diversity"]
    conditional = stirred(conditional=True)
    assert "told apart" not in [n.name for n in conditional.describe(x, seeded()).numbers]
    assert "told apart" in [n.name for n in conditional.describe(x, seeded(), y=y).numbers]


def test_that_checkpoints_are_judged_by_what_pixels_show_of_fine_structure():
    """Blurred digits are farther from digits than digits are, though their mean image is the same; the farther the more."""
    x = to_float(torch.from_numpy(np.asarray(open_data("digits").splits["train"].images)))
    ours, theirs = x[torch.randperm(len(x), generator=seeded())].chunk(2)
    blurred = torch.nn.functional.avg_pool2d(ours, 3, 1, 1, count_include_pad=False)
    unit = gan.feature_unit(x)
    none, half, whole = (gan.sample_distance(one, theirs, unit).item() for one in (ours, (ours + blurred) / 2, blurred))
    assert abs(none) < 0.2 < half < 0.7 * whole
    black = torch.zeros_like(x[:50])
    assert gan.sample_distance(black, black, gan.feature_unit(black)).item() == 0


def test_that_the_distance_is_in_units_of_the_data_whatever_images_a_slice_has():
    """Of slices of 16 images of digits, and of slices of one class each: on average that of all images together."""
    data = open_data("digits").splits["train"]
    x, y = to_float(torch.from_numpy(np.asarray(data.images[:1024]))), torch.from_numpy(np.asarray(data.labels[:1024]))
    method = build(GAN, make_config(Config, SMALL), DataSpec((1, 8, 8)), seed=0).eval()
    method.init_from_data(x)

    def told(images: Tensor) -> float:
        return method.loss(images, None, context())["energy_distance"].item()

    whole = told(x)
    slices = [told(some) for some in x.split(16)]
    error = np.std(slices) / math.sqrt(len(slices))
    assert np.mean(slices) == pytest.approx(whole, abs=4 * error) and error < 0.05 * whole
    bright = x[y == 1][:2]  # two images that are nearly alike
    assert told(bright.expand(2, -1, -1, -1)) < 4 * whole


def test_that_held_out_images_are_judged_in_slices_of_one_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Of the 162 held-out digits, one slice of 128; the unit is that of the training images in both sets of weights, from step 0 on."""
    asked: list[tuple[int, Tensor]] = []
    whole = gan.sample_distance

    def counted(fake: Tensor, real: Tensor, unit: Tensor) -> Tensor:
        asked.append((len(real), unit.clone()))
        return whole(fake, real, unit)

    monkeypatch.setattr(gan, "sample_distance", counted)
    finish(train(Plan("gan", "digits", SMALL | {"ema": 0.9}, steps=2, name="run", device="cpu"), tmp_path))
    images = to_float(torch.from_numpy(np.asarray(open_data("digits").splits["train"].images)))
    assert {size for size, _ in asked} == {128} and len(asked) >= 2
    assert all(torch.allclose(unit, gan.feature_unit(images), rtol=1e-5) for _, unit in asked)


# -- what it learns ----------------------------------------------------------------------------------------------------


def trained(**values: Any) -> Trainer:
    t = Trainer(resolve(Plan("gan", "digits", values, steps=600, device="cpu")), open_data("digits"))
    while not t.done:
        t.step()
    t.ema.eval()
    return t


def pixels(of: str) -> tuple[np.ndarray, np.ndarray]:
    split = open_data("digits").splits[of]
    return to_float(torch.from_numpy(np.asarray(split.images))).flatten(1).double().numpy(), np.asarray(split.labels)


@pytest.mark.slow
def test_that_it_learns_digits_clearly_better_than_untrained():
    """Fréchet distance on the first 20 principal components of pixels: a fifth of the untrained one's."""
    real = torch.from_numpy(np.concatenate([pixels("valid")[0], pixels("test")[0]]))
    train_pixels = torch.from_numpy(pixels("train")[0])
    axes = torch.linalg.svd(train_pixels - train_pixels.mean(0), full_matrices=False).Vh[:20].T

    def distance(t: Trainer) -> float:
        with torch.no_grad():
            drawn = [*t.ema.sample(len(real), generator=seeded())][-1].x.flatten(1).double()
        return frechet_distance(drawn @ axes, real @ axes)

    young = Trainer(resolve(Plan("gan", "digits", steps=1, device="cpu")), open_data("digits"))
    assert distance(trained()) < 0.2 * distance(young)


@pytest.mark.slow
def test_that_the_class_asked_for_is_drawn():
    """Judged by a logistic regression on the pixels of real digits."""
    judge = LogisticRegression(max_iter=2000).fit(*pixels("train"))
    assert judge.score(*pixels("test")) > 0.93
    t = trained(conditional=True)
    y = torch.arange(200) % 10
    with torch.no_grad():
        drawn = [*t.ema.sample(200, y, generator=seeded())][-1].x.flatten(1).double().numpy()
    assert (judge.predict(drawn) == y.numpy()).mean() > 0.8
