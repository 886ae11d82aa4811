"""The order of the gated PixelCNN's stacks: nothing from later pixels, everything from earlier ones, and rows that remember the same."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from engine.nets import masked
from engine.nets.init import initialize
from engine.nets.masked import GatedPixelNet
from tests.kit.tensors import seeded

F64 = torch.float64


def net(inputs: int = 2, width: int = 6, layers: int = 3, context: int = 2, classes: int = 0) -> GatedPixelNet:
    made = GatedPixelNet(inputs, width, layers, context, classes)
    initialize(made, seeded())
    if made.classes is not None:
        nn.init.normal_(made.classes.weight, generator=seeded(1))
    return made.double()


def planes(n: int, height: int, width: int, inputs: int = 2, seed: int = 0) -> Tensor:
    return torch.randn(n, height, width, inputs, dtype=F64, generator=seeded(seed))


def influence(net: nn.Module, height: int, width: int, inputs: int = 2) -> Tensor:
    """|∂ f_i / ∂ pixel j| [H W, H W], where f_i is a random mixture of pixel i's features: 0 only where all of them ignore j."""
    x = planes(1, height, width, inputs).requires_grad_()
    features = net(x).flatten(0, 2)  # [H W, F]
    mixed = features @ torch.randn(features.shape[1], dtype=F64, generator=seeded(7))
    rows = [torch.autograd.grad(number, x, retain_graph=True)[0].abs().sum((0, 3)).flatten() for number in mixed]
    return torch.stack(rows)


class PlainMaskedStack(nn.Module):
    """3×3 convolutions with their later weights set to zero (PixelCNN without the two stacks), as the paper's figure 1 draws them."""

    def __init__(self, layers: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Conv2d(2 if first else 6, 6, 3, padding=1) for first in [True] + [False] * (layers - 1))
        initialize(self, seeded())
        with torch.no_grad():
            for place, layer in enumerate(self.layers):
                layer.weight[:, :, 2] = 0  # type: ignore[index]
                layer.weight[:, :, 1, 2] = 0  # type: ignore[index]
                if place == 0:
                    layer.weight[:, :, 1, 1] = 0  # type: ignore[index]

    def forward(self, x: Tensor) -> Tensor:
        x = x.permute(0, 3, 1, 2)
        for layer in self.layers:
            x = layer(x).tanh()
        return x.permute(0, 2, 3, 1)


@pytest.mark.parametrize("context", [0, 2])
def test_that_a_pixel_depends_on_no_pixel_from_itself_on_and_the_first_on_none(context: int):
    felt = influence(net(context=context), 6, 7)
    assert (felt.triu() == 0).all()
    assert (felt[1:].sum(1) > 0).all()


def test_that_the_context_sees_no_cell_before_its_row_is_complete():
    far = net(context=2).context
    assert far is not None
    x = planes(1, 9, 6).requires_grad_()
    for row, known in [(3, 0), (4, 4), (7, 4), (8, 8)]:
        gradient = torch.autograd.grad(far(x)[0, row].square().sum(), x, retain_graph=True)[0]
        assert (gradient[0, known:] == 0).all()
        assert known == 0 or (gradient[0, :known].abs().sum((1, 2)) > 0).all()


def test_that_there_is_no_blind_spot_where_a_plain_masked_stack_has_one():
    height, width = 5, 7
    ours = influence(net(layers=3, context=0), height, width) > 0
    plain = influence(PlainMaskedStack(3).double(), height, width) > 0
    earlier = torch.ones(height * width, height * width).tril(-1) > 0
    assert torch.equal(ours, earlier)  # the whole image is within reach of three blocks, and all of it is felt
    assert not (plain & ~earlier).any()
    here, above_right = 3 * width + 2, 2 * width + 4  # two to the right in the row above: three 3×3 layers reach so far
    assert not plain[here, above_right] and ours[here, above_right]


def test_that_one_block_reaches_exactly_as_far_as_its_kernels():
    """Vertical: 3 rows and 3 columns aside at first, then 2 rows and 1 column more. Horizontal: 4 pixels, then 2. No gaps."""
    height, width = 7, 13
    felt = (influence(net(width=12, layers=1, context=0), height, width) > 0).view(height, width, height, width)
    for row in range(height):
        for column in range(width):
            expected = torch.zeros(height, width, dtype=torch.bool)
            expected[max(0, row - 5) : row, max(0, column - 4) : column + 5] = True
            expected[row, max(0, column - 6) : column] = True
            assert torch.equal(felt[row, column], expected), (row, column)


def slow_kernel(maps: Tensor, weight: Tensor, rows: range, columns: range) -> Tensor:
    """out[y, x] = Σ weight[.., a, b] in[y + rows[a], x + columns[b]], pixel by pixel; outside is 0. weight [C, I, h, w]"""
    height, width, _ = maps.shape
    out = torch.zeros(height, width, len(weight), dtype=F64)
    for y in range(height):
        for x in range(width):
            for a, dy in enumerate(rows):
                for b, dx in enumerate(columns):
                    if 0 <= y + dy < height and 0 <= x + dx < width:
                        out[y, x] += weight[:, :, a, b] @ maps[y + dy, x + dx]
    return out


def slow_apart(maps: Tensor, weight: Tensor, rows: range, columns: range) -> Tensor:
    return slow_kernel(maps, torch.diag_embed(weight[:, 0].permute(1, 2, 0)).permute(2, 3, 0, 1), rows, columns)


def test_that_the_stacks_are_the_paper_written_out_pixel_by_pixel():
    made = net(layers=2, context=0, classes=3)
    x, y = planes(1, 5, 6), torch.tensor([1])
    with torch.no_grad():
        v = slow_kernel(x[0], made.above.weight, range(-3, 0), range(-3, 4)) + made.above.bias
        h = slow_kernel(x[0], made.left.weight, range(1), range(-4, 0)) + made.left.bias
        assert made.classes is not None
        shifts = iter(made.classes.weight[1].view(4, 12))
        skips = torch.zeros(())
        for block in made.blocks:
            assert isinstance(block, masked.GatedBlock)
            z = (
                slow_apart(v, block.v_near.weight, range(-2, 1), range(-1, 2)) @ block.v_across.weight.T
                + block.v_across.bias
                + next(shifts)
            )
            v = v + z[..., :6] * torch.sigmoid(z[..., 6:])
            h_near = slow_apart(h, block.h_near.weight, range(1), range(-2, 1))
            z = h_near @ block.h_across.weight[:, :6].T + v @ block.h_across.weight[:, 6:].T + block.h_across.bias + next(shifts)
            out = (z[..., :6] * torch.sigmoid(z[..., 6:])) @ block.out.weight.T + block.out.bias
            skips = skips + out[..., :6]
            if not block.last:
                h = h + out[..., 6:]
        expected = torch.cat([skips.clamp(min=0), h], -1)
        assert torch.allclose(made(x, y)[0], expected, atol=1e-12)


@pytest.mark.parametrize("size", [(7, 5), (4, 4), (1, 9), (9, 1), (2, 2)])
@pytest.mark.parametrize("given", [0, 1, 2, 3, 7, 12])
def test_that_the_rows_remember_what_the_whole_network_computes(size: tuple[int, int], given: int):
    """`given` pixels at once, then one at a time: the features of every pixel are those of the whole image, in float64."""
    height, width = size
    given = min(given, height * width - 1)
    made, y = net(classes=2), torch.tensor([0, 1, 1])
    x = planes(3, height, width)
    line = x.flatten(1, 2)
    with torch.no_grad():
        whole = made(x, y).flatten(1, 2)  # [B, H W, F]
        rows = made.rows(3, size, y)
        assert torch.allclose(rows.take(line[:, :given]), whole[:, given], atol=1e-12)
        for place in range(given, height * width - 1):
            assert torch.allclose(rows.take(line[:, place : place + 1]), whole[:, place + 1], atol=1e-12), place


def test_that_several_pixels_may_come_at_once_at_any_place():
    made, x = net(), planes(2, 6, 5)
    line = x.flatten(1, 2)
    with torch.no_grad():
        whole, rows, place = made(x).flatten(1, 2), made.rows(2, (6, 5)), 0
        for count in (0, 3, 1, 1, 6, 1, 9, 5, 1):
            features = rows.take(line[:, place : place + count])
            place += count
            assert torch.allclose(features, whole[:, place], atol=1e-12), place


def test_that_in_float32_the_rows_agree_to_five_digits():
    made, x = net(width=16, layers=5).float(), planes(2, 8, 8).float()
    line = x.flatten(1, 2)
    with torch.no_grad():
        whole, rows = made(x).flatten(1, 2), made.rows(2, (8, 8))
        for place in range(64):
            features = rows.take(line[:, max(0, place - 1) : place])
            assert torch.allclose(features, whole[:, place], atol=1e-5)


def test_that_an_image_does_not_see_its_batch_mates():
    made, x = net(), planes(4, 8, 8)
    others = x.clone()
    others[1:] = 1.0
    with torch.no_grad():
        assert torch.equal(made(x)[0], made(others)[0])
        assert torch.allclose(made(x)[2], made(x[2:3])[0], atol=1e-12)


def test_that_every_weight_has_a_gradient_and_the_classes_move_the_features():
    made = net(classes=3)
    x = planes(3, 9, 9)
    features = made(x, torch.tensor([0, 1, 2]))
    features.square().sum().backward()
    for name, parameter in made.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name
    with torch.no_grad():
        same = x[:1].expand(3, -1, -1, -1)
        first, second, third = made(same, torch.tensor([0, 1, 2]))
    assert not torch.allclose(first, second) and not torch.allclose(second, third)
