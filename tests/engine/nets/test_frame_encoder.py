"""Maps of the frames before: every frame counts, none that is missing does, and a PixelCNN told them keeps its order."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor, nn

from engine.nets.frame_encoder import FrameEncoder, costs
from engine.nets.init import initialize
from engine.nets.masked import GatedPixelNet
from tests.kit.tensors import seeded

F64 = torch.float64


def encoder(width: int = 6, layers: int = 2, channels: int = 1) -> FrameEncoder:
    made = FrameEncoder(4, channels, width, layers)
    initialize(made, seeded())
    return made.double()


def told(maps: int = 5, context: int = 2) -> GatedPixelNet:
    """A net with conditioning maps that have something to say."""
    made = GatedPixelNet(2, 6, 3, context, maps=maps)
    initialize(made, seeded())
    assert made.maps is not None
    nn.init.normal_(made.maps.weight, generator=seeded(1))
    return made.double()


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, dtype=F64, generator=seeded(seed))


@pytest.mark.parametrize("channels", [1, 3])
def test_that_each_frame_and_each_channel_moves_the_maps(channels: int):
    net, past = encoder(channels=channels), random(1, 4, channels, 9, 7).requires_grad_()
    maps = net(past)
    assert maps.shape == (1, 9, 7, 6)
    (gradient,) = torch.autograd.grad((maps * random(*maps.shape, seed=3)).sum(), past)
    assert (gradient.abs().amax((3, 4)) > 0).all()


def test_that_images_without_frames_get_maps_of_zeros_and_batch_mates_change_nothing():
    net, past = encoder(), random(3, 4, 1, 8, 8)
    past[1] = -1
    maps = net(past)
    assert (maps[1] == 0).all() and (maps[0] != 0).any()
    assert torch.allclose(net(past[2:]), maps[2:], atol=1e-12)


def test_that_a_single_missing_frame_is_told_from_a_black_one():
    net, past = encoder(), random(2, 4, 1, 8, 8)
    past[0, 0], past[1] = -1, past[0]
    past[1, 0] = 0
    missing, black = net(past)
    assert not torch.allclose(missing, black)


@pytest.mark.parametrize("context", [0, 2])
def test_that_maps_tell_every_place_their_own_and_the_order_of_the_pixels_stays(context: int):
    """|∂ f_i / ∂ pixel j| is 0 from j = i on; each place hears the maps at itself; maps of 0 are no maps."""
    net, height, width = told(context=context), 6, 5
    x, maps = random(1, height, width, 2).requires_grad_(), random(1, height, width, 5, seed=2).requires_grad_()
    features = net(x, maps).flatten(0, 2)
    mixed = features @ torch.randn(features.shape[1], dtype=F64, generator=seeded(7))
    for place, number in enumerate(mixed):
        of_pixels, of_maps = torch.autograd.grad(number, (x, maps), retain_graph=True)
        assert (of_pixels.abs().sum((0, 3)).flatten()[place:] == 0).all()
        assert of_maps.abs().sum((0, 3)).flatten()[place] > 0
    assert torch.equal(net(x, torch.zeros_like(maps)), net(x))


@pytest.mark.parametrize("given", [0, 1, 7, 11, 29])
@pytest.mark.parametrize("context", [0, 2])
def test_that_rows_remember_maps_as_the_whole_network_sees_them(context: int, given: int):
    """Whatever is taken in at once, in the middle of a row or at its end, every later pixel has the features of one pass."""
    net, (height, width) = told(context=context), (6, 5)
    planes, maps = random(2, height, width, 2), random(2, height, width, 5, seed=2)
    planes[..., 1] = 1
    wanted = net(planes, maps).flatten(1, 2)
    rows = net.rows(2, (height, width), maps)
    flat = planes.flatten(1, 2)
    features = rows.take(flat[:, :given])
    assert torch.allclose(features, wanted[:, given], atol=1e-10)
    for place in range(given + 1, height * width):
        features = rows.take(flat[:, place - 1 : place])
        assert torch.allclose(features, wanted[:, place], atol=1e-10), place


def test_that_planes_may_end_before_the_maps():
    net, planes, maps = told(), random(2, 6, 5, 2), random(2, 6, 5, 5, seed=2)
    assert torch.allclose(net(planes[:, :3], maps), net(planes, maps)[:, :3], atol=1e-12)


def test_that_the_cost_of_a_motion_is_how_far_the_last_two_frames_are_from_moving_on_by_it():
    """Pixel by pixel in plain loops; a frame goes on beyond its border as it is there."""
    past = random(1, 4, 2, 7, 6, seed=4)
    found = costs(past)[0]
    for place, (down, right) in enumerate(itertools.product(range(-2, 3), repeat=2)):
        for y, x in ((0, 0), (3, 5), (6, 2)):
            at = [(min(max(y - t * down, 0), 6), min(max(x - t * right, 0), 5)) for t in (1, 2)]
            wanted = (past[0, -1, :, at[0][0], at[0][1]] - past[0, -2, :, at[1][0], at[1][1]]).abs().mean()
            assert found[place, y, x] == pytest.approx(wanted.item())
