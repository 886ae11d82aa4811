"""Gradients of convolutions in bf16 where part of the kernel never meets the map; the memory was full of NaN before."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from engine.nets import images
from engine.nets.convolution import Conv2d, ConvTranspose2d, sure
from engine.nets.init import initialize
from engine.nets.masked import Kernel
from engine.nets.resnet import ConvNet, ResNet
from engine.precision import autocast, best

in_bf16 = pytest.mark.skipif(best("cpu") != "bf16", reason="this processor trains in fp32")


class Causal(Kernel):
    """As `masked.Context` calls it."""

    def forward(self, input: Tensor, padding: tuple[int, int] = (0, 0)) -> Tensor:
        return super().forward(input.permute(0, 2, 3, 1), (2, 2))


ALONE = {
    "a stride over one place": (Conv2d(32, 64, 3, 2, padding=1), (32, 1, 1)),
    "a stride over one column": (Conv2d(32, 64, 3, 2, padding=1), (32, 4, 1)),
    "a stride over two places": (Conv2d(32, 64, 3, 2, padding=1), (32, 2, 2)),
    "one place": (Conv2d(32, 64, 3, padding=1), (32, 1, 1)),
    "one row, many channels": (Conv2d(128, 256, 5, padding=2), (128, 1, 3)),
    "one column made two": (ConvTranspose2d(32, 24, 4, 2, padding=1), (32, 5, 1)),
    "one column made two, unlike the rows": (ConvTranspose2d(32, 32, 4, 3, padding=1), (32, 5, 1)),
    "one column, causal": (Causal(32, 32, (3, 5), apart=True), (32, 4, 1)),
}
NETWORKS = {
    "residual, 8×8": (lambda: ResNet((1, 8, 8), 32, 1, stages=4), (1, 8, 8)),
    "plain, 4×4": (lambda: ConvNet((1, 8, 8), 32, 1, stages=4), (1, 4, 4)),
    "plain, 64×8": (lambda: ConvNet((1, 64, 8), 32, 1), (1, 64, 8)),
    "decoder, 64×8": (lambda: images.ConvDecoder((1, 64, 8), 1, 8, 32, 1), (8,)),
    "decoder, 8×64": (lambda: images.ConvDecoder((1, 8, 64), 1, 8, 32, 1), (8,)),
}


def gradients(module: nn.Module, x: Tensor, precision: str) -> dict[str, Tensor]:
    module.zero_grad()
    spoiled = [torch.full_like(p, torch.nan, dtype=kind) for p in module.parameters() for kind in (torch.bfloat16, torch.float32) * 10]
    with autocast(precision, "cpu"):
        y = module(x)
    spoiled.clear()  # to whom asks for memory next
    towards = torch.randn(y.shape, generator=torch.Generator().manual_seed(1))
    (y.float() * towards).sum().backward()
    return {name: p.grad.clone() for name, p in module.named_parameters() if p.grad is not None}


def require_alike(module: nn.Module, shape: tuple[int, ...], least: float) -> None:
    initialize(module, torch.Generator().manual_seed(0))
    x = torch.rand(16, *shape, generator=torch.Generator().manual_seed(2))
    exact, ours = gradients(module, x, "fp32"), gradients(module, x, "bf16")
    for name, wanted in exact.items():
        likeness = torch.cosine_similarity(ours[name].flatten(), wanted.flatten(), 0).item()
        assert likeness > least, name  # NaN is not
        assert 0.9 < (ours[name].norm() / wanted.norm()).item() < 1.1, name


@in_bf16
@pytest.mark.parametrize("name", ALONE)
def test_that_in_bf16_weights_beside_the_map_get_no_gradient_of_what_lay_in_the_memory(name: str):
    module, shape = ALONE[name]
    require_alike(module, shape, 0.9995)


@in_bf16
@pytest.mark.parametrize("name", NETWORKS)
def test_that_networks_have_the_same_gradients_in_bf16_on_maps_however_small(name: str):
    make, shape = NETWORKS[name]
    require_alike(make(), shape, 0.95)


def test_that_weights_are_touched_in_bf16_only_and_only_those_beside_the_map():
    weight = torch.ones(2, 3, 3, 3)
    assert sure(weight, (1, 1), (2, 2), (1, 1)) is weight
    with autocast("bf16", "cpu"):
        assert sure(weight, (4, 4), (2, 2), (1, 1)) is weight
        assert sure(weight, (2, 4), (1, 1), (1, 1)) is weight
        assert sure(weight, (2, 4), (2, 2), (1, 1))[0, 0].tolist() == [[0, 0, 0], [1, 1, 1], [1, 1, 1]]
        assert sure(weight, (4, 1), (2, 2), (1, 1))[0, 0].tolist() == [[0, 1, 0], [0, 1, 0], [0, 1, 0]]


@pytest.mark.parametrize("module", [Conv2d(4, 6, 3, 2, padding=1), ConvTranspose2d(4, 6, 4, 2, padding=1)], ids=["there", "back"])
def test_that_they_compute_what_pytorch_computes(module: nn.Module):
    x = torch.rand(2, 4, 5, 3)
    assert torch.equal(module(x), type(module).__mro__[1].forward(module, x))  # type: ignore[attr-defined]
