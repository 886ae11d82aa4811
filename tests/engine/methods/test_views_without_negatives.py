"""BYOL, VICReg, EMP-SSL, MoCo v3 and MAE: their losses from their parts, computed another way, and what they learn."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from engine.config import make_config
from engine.data import open_data
from engine.method import DataSpec, StepContext, build
from engine.methods import all_methods
from engine.training.plan import Plan, resolve
from engine.training.trainer import Trainer
from tests.kit.tensors import seeded

SHAPE = (3, 16, 16)


def made(name: str, **settings: Any) -> Any:
    kind = all_methods()[name]
    method = build(kind, make_config(kind.Config, {"width": 4} | settings), DataSpec(SHAPE, ("a", "b")), seed=0)
    method.on_train_start(100, seeded())
    return method


def images(count: int = 12) -> torch.Tensor:
    return torch.rand(count, *SHAPE, generator=seeded())


def context(progress: float = 0.0) -> StepContext:
    return StepContext(progress=progress, generator=seeded(3))


def test_that_byols_loss_is_between_the_predictions_of_one_view_and_the_targets_of_the_other():
    method, x = made("byol").eval(), images()
    first, second = (view.x for view in method.views(x, seeded(3)))
    asked, told = [method.compared(v) for v in (first, second)], [method.compared(v, "target") for v in (first, second)]
    expected = sum(((a - b) ** 2).sum(1).mean() for a, b in ((asked[0], told[1]), (asked[1], told[0]))) / 2
    assert method.loss(x, None, context())["loss"].item() == pytest.approx(expected.item(), rel=1e-4)


def test_that_byols_target_gets_no_gradient_and_follows_along_a_cosine():
    method = made("byol", momentum=0.9)
    method.loss(images(), None, context())["loss"].backward()
    assert all(p.grad is None for p in (*method.target.parameters(), *method.target_head.parameters()))
    before = [p.detach().clone() for p in method.target.parameters()]
    with torch.no_grad():
        for p in method.network.parameters():
            p.add_(1.0)
    method.after_step(StepContext(progress=0.5))
    share = 1 - (1 - (1 - 0.9) * (math.cos(math.pi * 0.5) + 1) / 2)  # Grill et al., section 3.3
    for old, new in zip(before, method.target.parameters(), strict=True):
        torch.testing.assert_close(new, old + share, rtol=0, atol=1e-6)
    method.after_step(StepContext(progress=1.0))  # at the end it stands still
    for old, new in zip(before, method.target.parameters(), strict=True):
        torch.testing.assert_close(new, old + share, rtol=0, atol=1e-6)


def test_that_vicregs_loss_is_its_three_terms():
    terms = made("vicreg", invariance=3.0, variance=5.0, covariance=7.0).loss(images(), None, context())
    # each variance term is halved where both views are summed, as in the authors' code
    expected = 3 * terms["invariance"] + 5 * terms["variance"] + 7 * terms["covariance"]
    assert terms["loss"].item() == pytest.approx(expected.item(), rel=1e-6)


def test_that_emp_ssls_loss_is_that_of_its_crops():
    method, x = made("emp_ssl", patches=3, projection=6, invariance=10.0, distortion=0.3).eval(), images(5)
    crops = [method.compared(view.x).double().detach().numpy() for view in method.views(x, seeded(3))]
    mean = sum(crops) / 3
    cosines = [(z * mean).sum(1) / np.linalg.norm(z, axis=1) / np.linalg.norm(mean, axis=1) for z in crops]
    rates = [0.5 * np.log1p(6 / (5 * 0.3) * np.linalg.svd(z, compute_uv=False) ** 2).sum() for z in crops]
    loss = method.loss(x, None, context())["loss"].item()
    assert loss == pytest.approx(-np.mean(rates) - 10 * np.mean(cosines), rel=1e-3)


def test_that_version_3_of_moco_compares_with_the_keys_of_its_batch():
    method, x = made("moco", version="v3", temperature=0.2).eval(), images()
    assert len(method.queue) == 0 and method.forward_passes == 4
    first, second = (view.x for view in method.views(x, seeded(3)))
    losses = []
    for asking, answering in ((first, second), (second, first)):
        logits = method.compared(asking) @ method.compared(answering, "key").T / 0.2
        losses.append(F.cross_entropy(logits, torch.arange(len(x))))
    assert method.loss(x, None, context())["loss"].item() == pytest.approx(torch.stack(losses).mean().item(), rel=1e-4)
    assert any("predictor" in name for name, _ in method.named_parameters())


def test_that_a_masked_autoencoder_never_sees_what_is_hidden_and_is_judged_there_alone():
    method, x = made("mae", hidden=0.5, crop_least=1.0, flip=0.0).eval(), images(6)
    order = torch.rand(6, method.patches, generator=seeded(5)).argsort(1)
    hidden = method._hidden(order)
    assert hidden.sum(1).tolist() == [method.patches // 2] * 6
    side = method.network.patch
    mask = F.interpolate(hidden.unflatten(1, method.network.grid)[:, None].float(), scale_factor=side) > 0
    other = torch.where(mask, torch.rand(x.shape, generator=seeded(6)), x)
    assert torch.equal(method._painted(x, order), method._painted(other, order))
    seen = torch.where(mask, x, torch.rand(x.shape, generator=seeded(7)))
    assert not torch.equal(method._painted(x, order), method._painted(seen, order))


def test_that_the_view_of_a_masked_autoencoder_shows_what_is_left_and_grey_elsewhere():
    method, x = made("mae", hidden=0.75, crop_least=1.0, flip=0.0), images(6)
    (view,) = method.views(x, seeded(3))
    side = method.network.patch
    shown = view.x.unfold(2, side, side).unfold(3, side, side).transpose(1, 3).flatten(3)  # [6, w, h, C p²]
    grey = (shown == 0.5).all(3)
    assert grey.sum((1, 2)).tolist() == [3 * method.patches // 4] * 6
    pixels = x.unfold(2, side, side).unfold(3, side, side).transpose(1, 3).flatten(3)
    torch.testing.assert_close(shown[~grey], pixels[~grey])
    order = method._posed(x, seeded(3))[2]
    assert torch.equal(grey.mT.flatten(1), method._hidden(order)), "the patches that the loss is asked about"


def test_that_normalized_patches_have_mean_0_and_deviation_1_and_raster_order():
    method, x = made("mae"), images(2)
    side, columns = method.network.patch, method.network.grid[1]
    targets = method._targets(x)
    torch.testing.assert_close(targets.mean(2), torch.zeros_like(targets[..., 0]), atol=1e-5, rtol=0)
    patch = x[1, :, side : 2 * side, :side].flatten()  # second row, first column
    torch.testing.assert_close(targets[1, columns], (patch - patch.mean()) / patch.std(), atol=1e-3, rtol=1e-3)


def test_that_the_features_of_a_masked_autoencoder_are_the_same_every_time():
    method, x = made("mae").eval(), images()
    assert torch.equal(method.encode(x), method.encode(x))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "settings"), [("byol", {}), ("vicreg", {}), ("emp_ssl", {"patches": 4, "crop_most": 1.0}), ("moco", {"version": "v3"})]
)
def test_that_held_out_views_find_each_other_after_a_short_training_and_features_do_not_collapse(name: str, settings: dict[str, Any]):
    """Two views of 128 held-out digits: the cosine of raw features, computed here, no head and no loss of the method."""
    trainer = Trainer(resolve(Plan(name, "digits", {"width": 8, "flip": 0.0} | settings, steps=300, device="cpu")), open_data("digits"))
    held_out = torch.from_numpy(np.asarray(open_data("digits").splits["valid"].images[:128])) / 255

    def found() -> tuple[float, float]:
        method = trainer.method.eval()
        with torch.no_grad():
            a, b = (F.normalize(method.encode(view.x)).numpy() for view in method.views(held_out, seeded(1))[:2])
        method.train()
        return float(((a @ b.T).argmax(1) == np.arange(len(a))).mean()), float(np.linalg.norm(a.std(0)))

    before, _ = found()
    for _ in range(300):
        trainer.step()
    after, spread = found()
    assert after > 1.5 * before and spread > 0.3, (before, after, spread)


@pytest.mark.slow
def test_that_a_masked_autoencoder_paints_held_out_patches_better_than_their_mean():
    trainer = Trainer(resolve(Plan("mae", "digits", {"width": 16}, steps=300, device="cpu")), open_data("digits"))
    for _ in range(300):
        trainer.step()
    held_out = torch.from_numpy(np.asarray(open_data("digits").splits["valid"].images[:128])) / 255
    with torch.no_grad():
        loss = trainer.method.eval().loss(held_out, None, context())["loss"].item()
    assert loss < 0.75  # normalized patches: painting each patch's mean costs about 1
