"""The U-Net: any size, no image depends on another, the level and the condition are heard."""

from __future__ import annotations

import pytest
import torch

from engine.nets.init import initialize
from engine.nets.unet import UNet
from tests.kit.tensors import seeded


def made(size: tuple[int, int] = (8, 8), channels: int = 1, trained: bool = True, blocks: int = 1) -> UNet:
    """In float64; as if `trained`, every weight is moved off zero."""
    net = UNet(channels, channels, size, 8, blocks).double()
    initialize(net, seeded())
    if trained:
        with torch.no_grad():
            for parameter in net.parameters():
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=seeded(1), dtype=torch.float64))
    return net.eval()


def noise(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=seeded(2), dtype=torch.float64)


@pytest.mark.parametrize("size", [(8, 8), (28, 28), (32, 32), (13, 21), (9, 33), (64, 8), (64, 64)])
@pytest.mark.parametrize("channels", [1, 3])
def test_that_maps_of_any_size_come_back_in_their_size_and_begin_at_zero(size: tuple[int, int], channels: int):
    x = noise(2, channels, *size)
    assert torch.equal(made(size, channels, trained=False)(x, noise(2)), torch.zeros_like(x))
    assert made(size, channels)(x, noise(2)).shape == x.shape


@pytest.mark.parametrize("size", [(7, 8), (8, 129)])
def test_that_other_sizes_are_refused(size: tuple[int, int]):
    with pytest.raises(ValueError, match="8×8 to 128×128"):
        made(size)


def test_that_every_pixel_is_heard_and_no_image_by_another():
    net, x, level = made((13, 21)), noise(3, 1, 13, 21).requires_grad_(), noise(3)
    (gradient,) = torch.autograd.grad(net(x, level)[1].sum(), x)
    assert (gradient[1] != 0).all() and (gradient[[0, 2]] == 0).all()
    assert torch.allclose(net(x, level)[1:2], net(x[1:2], level[1:2]), atol=1e-12)


def test_that_the_level_and_the_condition_are_heard():
    net, x = made(), noise(2, 1, 8, 8)
    plain = net(x, torch.zeros(2).double())
    assert not torch.allclose(net(x, torch.full((2,), 0.02).double()), plain, atol=1e-6)
    told = net(x, torch.zeros(2).double(), noise(2, net.embedding_size))
    assert not torch.allclose(told, plain, atol=1e-4)
    assert torch.equal(net(x, torch.zeros(2).double(), torch.zeros(2, net.embedding_size).double()), plain)


def test_that_every_weight_learns_once_the_last_ones_have_moved():
    net = made(trained=True, blocks=2)
    net(noise(2, 1, 8, 8), noise(2), noise(2, net.embedding_size)).square().sum().backward()
    assert [name for name, p in net.named_parameters() if p.grad is None or not p.grad.any()] == []
