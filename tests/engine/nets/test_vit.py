"""The vision transformer: any size, places between learned ones, hidden patches, features after each block."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from engine.nets.init import initialize
from engine.nets.vit import ViT, ViTBlock
from tests.kit.tensors import seeded


def make(shape: tuple[int, ...] = (3, 32, 32), width: int = 32, blocks: int = 2) -> ViT:
    net = ViT(shape, width, blocks)
    initialize(net, seeded())
    return net.double().eval()


def images(*shape: int, seed: int = 1) -> Tensor:
    return torch.rand(shape, generator=seeded(seed), dtype=torch.float64)


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 13, 21), (1, 28, 28), (3, 32, 32), (3, 64, 40)])
def test_that_whole_images_and_half_as_large_ones_give_one_vector_each(shape: tuple[int, ...]):
    net = make(shape)
    channels, height, width = shape
    for size in ((height, width), (height // 2, width // 2)):
        features = net(images(2, channels, *size))
        assert features.shape == (2, 32) and features.isfinite().all()


@pytest.mark.parametrize("shape", [(3, 7, 32), (3, 32, 65)])
def test_that_other_sizes_are_refused_in_words(shape: tuple[int, ...]):
    with pytest.raises(ValueError, match="from 8×8 to 64×64, not"):
        ViT(shape, 32, 1)


def test_that_places_are_the_learned_ones_on_their_grid_and_between_them_on_others():
    net = make()
    assert net.places_of((8, 8)) is net.places.value
    between = net.places_of((4, 4))
    assert torch.equal(between, F.interpolate(net.places.value, (4, 4), mode="bicubic", align_corners=False))
    with torch.no_grad():  # a ramp from left to right stays one: its inner places lie halfway between two learned ones
        net.places.value.copy_(torch.arange(8.0).expand(1, 32, 8, 8))
    assert torch.allclose(net.places_of((4, 4))[0, 0, 0, 1:3], torch.tensor([2.5, 4.5], dtype=torch.float64), atol=1e-12)


def test_that_gradients_reach_the_places_through_a_smaller_grid():
    net = make()
    net(images(2, 3, 16, 16))[:, 0].sum().backward()
    assert net.places.value.grad is not None and net.places.value.grad.abs().sum() > 0


def test_that_what_lies_under_a_hidden_patch_does_not_matter_and_the_rest_does():
    net, x = make(), images(2, 3, 32, 32)
    hidden = torch.zeros(2, 64, dtype=torch.bool)
    hidden[0, 10] = True  # row 1, column 2 of patches of 4 pixels
    changed = x.clone()
    changed[0, :, 4:8, 8:12] = 0
    assert torch.equal(net.tokens(changed, hidden), net.tokens(x, hidden))
    assert not torch.allclose(net.tokens(changed), net.tokens(x))
    assert torch.equal(net.tokens(x, hidden)[1], net.tokens(x)[1]), "an image that hides nothing"
    changed[0, :, 8:12, 8:12] = 0
    assert not torch.allclose(net.tokens(changed, hidden), net.tokens(x, hidden))


def test_that_a_hidden_patch_still_knows_its_place():
    net, hidden = make(), torch.ones(1, 64, dtype=torch.bool)
    tokens = net.begun(images(1, 3, 32, 32), hidden)[0, 1:]
    assert torch.allclose(tokens - net.places.value[0].flatten(1).mT, net.hidden.value.expand(64, -1), atol=1e-12)


def test_that_each_block_is_told_in_order_and_the_features_are_those_of_the_network():
    net, x = make(), images(3, 3, 32, 32)
    told = net.each(x)
    assert list(told) == ["stem", "block 1", "block 2", "features"]
    assert all(value.shape == (3, 32) for value in told.values())
    assert torch.equal(told["features"], net(x))
    assert torch.allclose(told["block 1"], net.blocks[0](net.begun(x))[:, 1:].mean(1), atol=1e-12)


def test_that_images_do_not_see_each_other():
    net, x = make(), images(3, 3, 16, 24)
    assert torch.allclose(net(x)[1:2], net(x[1:2]), atol=1e-12)


# -- patches -------------------------------------------------------------------------------------------------------------


def test_that_attention_is_the_softmax_of_queries_and_keys_from_the_weights_by_hand():
    net, x = make(width=64, blocks=3), images(2, 3, 32, 32)
    weights = net.state_dict()

    def normed(h: Tensor, name: str) -> Tensor:
        centred = h - h.mean(-1, keepdim=True)
        return centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt() * weights[f"{name}.weight"] + weights[f"{name}.bias"]

    h = net.begun(x).detach()
    for layer in (1, 2, 3):
        name = f"blocks.{layer - 1}"
        qkv = normed(h, f"{name}.norm1") @ weights[f"{name}.qkv.weight"].T + weights[f"{name}.qkv.bias"]
        expected = torch.zeros(2, 2, 65, 65, dtype=torch.float64)
        for image in range(2):
            for head in range(2):
                q, k = (qkv[image, :, 64 * part + 32 * head : 64 * part + 32 * (head + 1)] for part in (0, 1))
                scores = torch.tensor([[float(a @ b) / 32**0.5 for b in k] for a in q[:5]], dtype=torch.float64)
                expected[image, head, :5] = scores.exp() / scores.exp().sum(1, keepdim=True)
        found = net.attention(x, layer)
        assert found.shape == (2, 2, 65, 65)
        assert torch.allclose(found[:, :, :5], expected[:, :, :5], atol=1e-12)
        assert torch.allclose(found.sum(3), torch.ones(2, 2, 65, dtype=torch.float64), atol=1e-12), "class token and patches together"
        h = net.blocks[layer - 1](h).detach()


def test_that_attention_is_what_the_block_mixes_its_values_by():
    net, x = make(width=64, blocks=1), images(2, 3, 32, 32)
    block: ViTBlock = net.blocks[0]  # type: ignore[assignment]
    h = net.begun(x)
    mixed = net.attention(x, 1) @ block.projected(h)[2]
    after = h + block.scale1(block.project(mixed.transpose(1, 2).flatten(2)))
    after = after + block.scale2(block.fc2(F.gelu(block.fc1(block.norm2(after)))))
    assert torch.allclose(after, block(h), atol=1e-12)


@pytest.mark.parametrize(("size", "grid"), [((32, 32), (8, 8)), ((13, 21), (4, 6)), ((16, 16), (4, 4))])
def test_that_patch_features_are_the_tokens_of_the_grid_in_raster_order(size: tuple[int, int], grid: tuple[int, int]):
    net, x = make(), images(2, 3, *size)
    found = net.patch_features(x)
    assert net.patch_grid(size) == grid == tuple(found.shape[1:3])
    assert net.patch_area(size) == (0, 0, 4 * grid[0], 4 * grid[1])
    assert torch.equal(found[:, 1, 2], net.tokens(x)[:, 1 + grid[1] + 2])
