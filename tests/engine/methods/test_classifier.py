"""The classifier: its loss and calibration against closed forms, what may not change its answers, and that it learns."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from engine.config import make_config
from engine.evaluation.evaluate import evaluate
from engine.losses.calibration import calibration_error
from engine.method import CannotLearn, DataSpec, StepContext, build, capabilities
from engine.methods.classifier import Config, ImageClassifier, augmented
from engine.queries.session import Model
from engine.storage.run_reader import Run
from engine.training.loop import train
from engine.training.plan import Plan
from tests.kit.tensors import seeded

CLASSES = ("a", "b", "c")


def images(count: int, shape: tuple[int, ...] = (1, 8, 8), seed: int = 1) -> Tensor:
    return torch.randint(0, 256, (count, *shape), generator=seeded(seed)).float() / 255


def make(shape: tuple[int, ...] = (1, 8, 8), classes: tuple[str, ...] = CLASSES, **settings: Any) -> ImageClassifier:
    made = build(ImageClassifier, make_config(Config, {"width": 8} | settings), DataSpec(shape, classes), 0)
    assert isinstance(made, ImageClassifier)
    return made


def finish(job: Any) -> Any:
    try:
        while True:
            next(job)
    except StopIteration as end:
        return end.value


def test_that_it_has_classes_and_features_and_no_density():
    assert capabilities(ImageClassifier) == ("encode", "classify")
    assert (ImageClassifier.density, ImageClassifier.sampling) == ("none", "none")


def test_that_the_loss_is_the_cross_entropy_of_the_true_class():
    model, x = make(label_smoothing=0.3).double().eval(), images(9).double()
    y = torch.arange(9) % 3
    terms = model.loss(x, y, StepContext())
    plain = smooth = right = 0.0
    for row, label in zip(model.classify(x).tolist(), y.tolist(), strict=True):
        log_p = [value - math.log(sum(math.exp(other) for other in row)) for value in row]
        plain -= log_p[label] / 9
        smooth -= (0.7 * log_p[label] + 0.3 * sum(log_p) / 3) / 9
        right += (row.index(max(row)) == label) / 9
    assert terms["cross_entropy"].item() == pytest.approx(plain, abs=1e-10)
    assert terms["loss"].item() == pytest.approx(smooth, abs=1e-10)
    assert terms["accuracy"].item() == pytest.approx(right, abs=1e-10)


def test_that_adding_a_constant_to_all_logits_changes_no_loss():
    model, x, y = make().double().eval(), images(9).double(), torch.arange(9) % 3
    before = model.loss(x, y, StepContext())
    with torch.no_grad():
        model.head.bias.add_(5.0)
    after = model.loss(x, y, StepContext())
    assert all(after[name].item() == pytest.approx(before[name].item(), abs=1e-10) for name in before)


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 32, 32), (1, 28, 28), (3, 64, 64), (3, 13, 21)])
def test_that_answers_do_not_depend_on_batch_mates_in_training_and_out_of_it(shape: tuple[int, ...]):
    model, x = make(shape, augmentation="none").double(), images(4, shape).double()
    for mode in (True, False):
        together = model.train(mode).classify(x)
        assert together.shape == (4, 3) and model.encode(x).shape == (4, 32)
        for place in range(4):
            assert torch.allclose(model.classify(x[place : place + 1])[0], together[place], atol=1e-10)


def test_that_the_logits_are_linear_in_the_features():
    model, x = make(), images(4)
    assert torch.allclose(model.encode(x) @ model.head.weight.T + model.head.bias, model.classify(x), atol=1e-6)


@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 12, 10), (3, 28, 28)])
def test_that_gradients_reach_every_weight_and_the_image(shape: tuple[int, ...]):
    model, x = make(shape), images(4, shape).requires_grad_()
    model.loss(x, torch.tensor([0, 1, 2, 0]), StepContext(generator=seeded()))["loss"].backward()
    for name, tensor in [*model.named_parameters(), ("image", x)]:
        assert tensor.grad is not None and tensor.grad.isfinite().all() and tensor.grad.abs().sum() > 0, name


def test_that_data_without_classes_are_refused_in_a_sentence(tmp_path: Path):
    for classes in ((), ("only",)):
        with pytest.raises(CannotLearn, match=r"classes.*choose.*\.$"):
            make(classes=classes)
    np.save(tmp_path / "no-classes.npy", np.arange(60 * 64, dtype=np.uint8).reshape(60, 8, 8))
    with pytest.raises(CannotLearn, match="classes"):
        finish(train(Plan("classifier", str(tmp_path / "no-classes.npy"), steps=2, device="cpu", name="run"), tmp_path))
    assert not (tmp_path / "run").exists()


def test_that_training_images_are_shifted_by_whole_pixels_and_validation_is_not():
    x = images(40, (2, 28, 20))
    seen = augmented(x, seeded(), flip=False)
    assert torch.equal(seen, augmented(x, seeded(), flip=False))
    moves = set()
    for before, after in zip(x, seen, strict=True):
        padded = torch.nn.functional.pad(before[None], (1, 1, 1, 1), mode="replicate")[0]
        fits = [(dy, dx) for dy in range(3) for dx in range(3) if torch.equal(padded[:, dy : dy + 28, dx : dx + 20], after)]
        assert len(fits) == 1
        moves.add(fits[0])
    assert len(moves) == 9
    model, y = make((2, 28, 20)).eval(), torch.arange(40) % 3
    assert model.loss(x, y, StepContext(generator=seeded(1)))["loss"] == model.loss(x, y, StepContext(generator=seeded(2)))["loss"]


def test_that_about_half_of_the_images_are_mirrored():
    x = images(200)
    plain, flipped = augmented(x, seeded(), flip=False), augmented(x, seeded(), flip=True)
    image_first = augmented(x.flip(3), seeded(), flip=False)
    mirrored = sum(torch.equal(a, b) for a, b in zip(image_first, flipped, strict=True))
    same = sum(torch.equal(a, b) for a, b in zip(plain, flipped, strict=True))
    assert mirrored + same == 200 and 70 < mirrored < 130


def test_that_the_calibration_error_is_the_weighted_distance_in_bins():
    confidence = torch.tensor([0.95, 0.99, 0.95, 0.97, 0.52, 0.52])
    right = torch.tensor([True, True, False, True, True, False])
    sure = abs(0.75 - (0.95 + 0.99 + 0.95 + 0.97) / 4)  # one bin (14/15, 1], accuracy 3/4
    unsure = abs(0.5 - 0.52)  # one bin (7/15, 8/15], accuracy 1/2
    assert calibration_error(confidence, right) == pytest.approx((4 * sure + 2 * unsure) / 6, abs=1e-6)
    assert calibration_error(torch.ones(5), torch.ones(5, dtype=torch.bool)) == 0


def test_that_a_separable_toy_is_learned_to_the_last_image():
    """Three textures in random places: no single pixel tells them apart."""
    generator, size = seeded(3), 60
    x, y = 0.2 * torch.rand(size, 1, 12, 12, generator=generator), torch.arange(size) % 3
    for image, label in zip(x, y.tolist(), strict=True):
        top, left = torch.randint(0, 6, (2,), generator=generator).tolist()
        patch = image[0, top : top + 6, left : left + 6]
        (patch[::2] if label == 0 else patch[:, ::2] if label == 1 else patch)[:] = 0.9
    model = make((1, 12, 12))
    optimizer = torch.optim.AdamW(model.parameters(), 5e-3)
    for step in range(60):
        loss = model.loss(x, y, StepContext(step, step / 60, seeded(step)))["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert model.eval().loss(x, y, StepContext())["accuracy"].item() == 1


def test_that_a_run_on_digits_is_described_and_scored_with_its_labels(tmp_path: Path):
    config = {"width": 16, "learning_rate": 5e-3, "warmup": 10, "ema": 0.9}
    finish(train(Plan("classifier", "digits", config, steps=80, device="cpu", precision="fp32", name="run"), tmp_path))
    run = Run.open(tmp_path / "run")
    assert run.info().headline.endswith(" % accuracy")
    described = {number.name: number.value for number in Model(run, None).describe().numbers}
    assert described.keys() == {"accuracy", "cross-entropy", "mean confidence", "ECE"}
    assert described["accuracy"] > 80
    scored = finish(evaluate(tmp_path / "run")).values
    assert scored["accuracy"] > 0.8 and "density" not in scored
    few = finish(evaluate(tmp_path / "run", limit=70))  # ends within a batch
    assert few.images == 70 and few.values["accuracy"] > 0.8
