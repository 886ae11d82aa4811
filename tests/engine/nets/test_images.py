"""Shapes, gradients and independence of the image networks."""

from __future__ import annotations

import pytest
import torch

from engine.nets import images
from engine.nets.init import initialize

SIZES = [(8, 8), (13, 13), (28, 28), (32, 32), (33, 33), (64, 64), (8, 64), (21, 10)]


def built(module: torch.nn.Module) -> torch.nn.Module:
    initialize(module, torch.Generator().manual_seed(0))
    return module


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("network", ["conv", "mlp"])
def test_that_images_of_any_size_go_in_and_come_out(network: str, channels: int, size: tuple[int, int]):
    shape = (channels, *size)
    encoder = built(images.encoder(network, shape, features=6, width=4, blocks=1))
    decoder = built(images.decoder(network, shape, channels=2 * channels, latent=3, width=4, blocks=1))
    x, z = torch.rand(2, *shape), torch.randn(2, 3)
    features, maps = encoder(x), decoder(z)
    assert features.shape == (2, 6)
    assert maps.shape == (2, 2 * channels, *size)
    (features.square().sum() + maps.square().sum()).backward()
    for name, parameter in [*encoder.named_parameters(), *decoder.named_parameters()]:
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize("network", ["conv", "mlp"])
def test_that_every_pixel_reaches_the_features_and_every_code_reaches_every_pixel(network: str):
    shape = (1, 13, 21)
    encoder = built(images.encoder(network, shape, features=8, width=8, blocks=1)).double()
    decoder = built(images.decoder(network, shape, channels=1, latent=4, width=8, blocks=1)).double()
    x = torch.rand(1, *shape, dtype=torch.float64, requires_grad=True)
    encoder(x).square().sum().backward()
    assert x.grad is not None and (x.grad != 0).all()
    z = torch.randn(1, 4, generator=torch.Generator().manual_seed(1)).double()
    moved = decoder(z) - decoder(torch.zeros_like(z))
    assert (moved != 0).all()


@pytest.mark.parametrize("network", ["conv", "mlp"])
def test_that_an_image_does_not_see_its_batch_mates(network: str):
    encoder = built(images.encoder(network, (1, 16, 16), features=6, width=4, blocks=1)).double()
    x = torch.rand(4, 1, 16, 16, dtype=torch.float64)
    others = x.clone()
    others[1:] = 1.0
    assert torch.equal(encoder(x)[0], encoder(others)[0])
    assert torch.allclose(encoder(x)[2], encoder(x[2:3])[0], atol=1e-12)


@pytest.mark.parametrize("size", [(7, 8), (8, 129), (256, 256)])
def test_that_a_size_out_of_range_is_refused_in_a_sentence(size: tuple[int, int]):
    with pytest.raises(ValueError, match=f"not {size[0]}×{size[1]}"):
        images.encoder("conv", (1, *size), features=2, width=4, blocks=0)
    with pytest.raises(ValueError, match="from 8×8 to 128×128"):
        images.decoder("mlp", (1, *size), channels=1, latent=2, width=4, blocks=0)


@pytest.mark.parametrize(
    ("size", "patch", "cells"),
    [((8, 8), 1, (8, 8)), ((28, 28), 4, (7, 7)), ((13, 13), 2, (7, 7)), ((33, 33), 5, (7, 7)), ((64, 64), 8, (8, 8)), ((8, 64), 8, (1, 8))],
)
def test_that_patches_cover_the_image_in_at_most_eight_rows_and_columns(size: tuple[int, int], patch: int, cells: tuple[int, int]):
    assert images.grid(*size) == (patch, cells)
