"""The networks of a GAN: any size, one image at a time, blocks that begin as nothing, signals that keep their size."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from engine.nets.adversarial import (
    FixupBlock,
    HeConv2d,
    HeConvTranspose2d,
    HeLinear,
    ImageDiscriminator,
    ImageGenerator,
    active,
    random_features,
)
from engine.nets.init import initialize
from tests.kit.tensors import seeded

SHAPES = [(1, 8, 8), (3, 32, 32), (1, 28, 28), (3, 13, 21), (1, 64, 64)]


def networks(shape: tuple[int, ...], classes: int = 0) -> tuple[ImageGenerator, ImageDiscriminator]:
    found = ImageGenerator(shape, 6, 8, 1, classes), ImageDiscriminator(shape, 8, 1, classes)
    for number, network in enumerate(found):
        initialize(network, seeded(number))
        network.double()
    return found


@pytest.mark.parametrize("shape", SHAPES)
def test_that_no_image_depends_on_the_others(shape: tuple[int, ...]):
    generator, discriminator = networks(shape)
    z, x = torch.randn(3, 6, generator=seeded()).double(), torch.rand(3, *shape, generator=seeded()).double()
    images, logits = generator(z), discriminator(x)
    assert images.shape == (3, *shape) and logits.shape == (3,)
    assert torch.allclose(generator(z[1:2])[0], images[1], atol=1e-12) and torch.allclose(discriminator(x[1:2])[0], logits[1], atol=1e-12)


@pytest.mark.parametrize("shape", SHAPES)
def test_that_every_pixel_is_drawn_from_the_codes_and_seen_by_the_discriminator(shape: tuple[int, ...]):
    generator, discriminator = networks(shape)
    z = torch.randn(4, 6, generator=seeded()).double()
    assert generator(z).std(0).min() > 1e-4
    x = torch.rand(2, *shape, generator=seeded()).double().requires_grad_()
    discriminator(x).sum().backward()
    assert (x.grad.abs().sum(0) > 0).all()


def test_that_a_residual_block_begins_as_the_identity():
    block = FixupBlock(4)
    initialize(block, seeded())
    x = torch.randn(2, 4, 5, 5, generator=seeded())
    assert torch.equal(block(x), x)


@pytest.mark.parametrize(
    ("layer", "size"),
    [
        (HeLinear(400, 300), (500, 400)),
        (HeConv2d(64, 64, 3, padding=0), (8, 64, 12, 12)),
        (HeConvTranspose2d(64, 64, 4, 2, 1), (8, 64, 10, 10)),
    ],
)
def test_that_a_layer_behind_its_nonlinearity_keeps_the_mean_square(layer: nn.Module, size: tuple[int, ...]):
    initialize(layer, seeded())
    x = torch.randn(size, generator=seeded(1))
    with torch.no_grad():
        out = layer(active(x))
    inner = out if out.ndim == 2 else out[:, :, 2:-2, 2:-2]  # at the edge fewer pixels count
    assert inner.square().mean().item() == pytest.approx(1, abs=0.1)


def test_that_classes_are_all_alike_at_first_and_learn_apart():
    generator, discriminator = networks((1, 8, 8), 3)
    z, x = torch.randn(3, 6, generator=seeded()).double(), torch.rand(3, 1, 8, 8, generator=seeded()).double()
    y = torch.tensor([0, 1, 2])
    assert torch.equal(generator(z, y), generator(z)) and torch.equal(discriminator(x, y), discriminator(x))
    discriminator(x, y).sum().backward()
    generator(z, y).sum().backward()
    assert discriminator.classes.weight.grad.abs().sum(1).min() > 0 and generator.classes.weight.grad.abs().sum(1).min() > 0


@pytest.mark.parametrize("shape", SHAPES)
def test_that_random_features_are_the_same_every_time_of_one_image_each_and_move_with_every_pixel(shape: tuple[int, ...]):
    x = torch.rand(3, *shape, generator=seeded()).double()
    found = random_features(x)
    assert torch.equal(random_features(x), found) and torch.allclose(random_features(x[1:2])[0], found[1], atol=1e-12)
    x.requires_grad_()
    random_features(x).sum().backward()
    assert (x.grad != 0).all()
