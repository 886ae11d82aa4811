"""The transformer over pixels: closed forms of untrained nets, places, and what it can learn."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
import torch

from engine.config import BadSetting, make_config
from engine.method import DataSpec, StepContext, build
from engine.methods.pixel_transformer import Config, PixelTransformer

SMALL = {"width": 16, "layers": 1, "heads": 2}


def make(shape: tuple[int, ...] = (1, 4, 4), classes: tuple[str, ...] = (), **settings: Any) -> PixelTransformer:
    made = build(PixelTransformer, make_config(Config, SMALL | settings), DataSpec(shape, classes), 0)
    assert isinstance(made, PixelTransformer)
    return made


def grey(count: int, shape: tuple[int, ...] = (1, 4, 4), seed: int = 0) -> torch.Tensor:
    return torch.randint(0, 256, (count, *shape), generator=torch.Generator().manual_seed(seed)).float() / 255


@torch.no_grad()
@pytest.mark.parametrize("levels, bits", [(256, 8.0), (27, 4.754888), (2, 1.0)])
def test_that_a_head_of_zeros_is_uniform_noise(levels: int, bits: float):
    method = make(levels=levels)
    method.net.head.weight.zero_()
    assert method.loss(grey(5), None, StepContext(generator=torch.Generator()))["bits_per_dim"].item() == pytest.approx(bits, abs=1e-5)


@torch.no_grad()
def test_that_after_one_look_an_untrained_net_costs_about_the_entropy_of_the_values():
    x = torch.where(grey(500) < 0.3, 0.0, grey(500))
    method = make()
    method.init_from_data(x)
    method.net.head.weight.zero_()
    counts = torch.bincount((x * 255).round().long().flatten(), minlength=256) + 1
    p = counts.double() / counts.sum()
    expected = -(p[(x * 255).round().long()].log2()).mean().item()
    assert method.loss(x, None, StepContext())["bits_per_dim"].item() == pytest.approx(expected, rel=1e-6)


def test_that_it_learns_which_class_has_which_picture():
    """Two classes, two fixed binary pictures: log p(x|y) → 0 for the right class, and log p(x) → log 1/2."""
    pictures = (grey(2) > 0.5).float()
    y = torch.tensor([0, 1])
    method = make(classes=("a", "b"), conditional=True, levels=4)
    optimizer = torch.optim.Adam(method.parameters(), 1e-2)
    for _ in range(150):
        optimizer.zero_grad()
        method.loss(pictures, y, StepContext())["loss"].backward()
        optimizer.step()
    assert method.log_prob(pictures, y).tolist() == pytest.approx([0, 0], abs=0.05)
    assert (method.log_prob(pictures, 1 - y) < -5).all()
    assert method.log_prob(pictures).tolist() == pytest.approx([-math.log(2)] * 2, abs=0.05)
    *_, drawn = method.sample(2, y.flip(0), generator=torch.Generator().manual_seed(0))
    assert torch.equal(drawn.x.round(), pictures.flip(0))


def test_that_a_width_must_be_shared_by_the_heads():
    with pytest.raises(BadSetting, match="choose a multiple of 4"):
        make(width=18, heads=4)


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 5, 9), (1, 28, 28)])
def test_that_images_of_any_size_grow_row_by_row(shape: tuple[int, ...]):
    method = make(shape, levels=16)
    results = [frame.x for frame in method.sample(2, generator=torch.Generator().manual_seed(0))]
    assert len(results) == shape[1]
    for row, (early, late) in enumerate(itertools.pairwise(results), 1):
        assert torch.equal(early[:, :, :row], late[:, :, :row])
        assert not early[:, :, row:].any() or early[:, :, row:].unique().numel() == 1
