"""A gated PixelCNN (van den Oord et al. 2016, Conditional Image Generation with PixelCNN Decoders): for every pixel, features of
all pixels before it in raster order. Here: the stacks, and the rows that a writer remembers. Not here: what a pixel's value is.

No weight is ever masked. A kernel that may look up and to the left is a smaller kernel over shifted maps, and it is taken apart
into one per channel and a plain layer across channels (Chollet 2017), which processors multiply fastest. Maps are [B, H, W, C].
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engine.nets.convolution import sure

UP, ASIDE, BACK = 3, 3, 4  # first layer: rows above, columns to either side there, pixels to the left
TALL, WIDE, LONG = 3, 3, 3  # kernels of a block: rows and columns of the vertical stack, pixels of the horizontal one
PATCH = 4  # side of a cell of the context, in pixels
FLAT = (3, 5)  # kernel of the context, in cells


class ScaledLinear(nn.Linear):
    """A layer across channels whose numbers keep their size on average; `gain` scales them."""

    def __init__(self, inputs: int, outputs: int, gain: float = 1.0) -> None:
        super().__init__(inputs, outputs)
        self.gain = gain

    def reset(self, generator: torch.Generator) -> None:
        """Draw the weights anew: normal with deviation gain / √(inputs); bias zero."""
        nn.init.normal_(self.weight, 0, self.gain / math.sqrt(self.in_features), generator=generator)
        nn.init.zeros_(self.bias)


class Kernel(nn.Conv2d):
    """A convolution of maps with the channels last [B, H, W, C]; one kernel per channel where `apart`."""

    def __init__(self, inputs: int, outputs: int, size: tuple[int, int], apart: bool = False) -> None:
        super().__init__(inputs, outputs, size, groups=inputs if apart else 1, bias=not apart)

    def reset(self, generator: torch.Generator) -> None:
        """Draw the weights anew: normal with deviation 1 / √(fan-in); bias zero."""
        nn.init.normal_(self.weight, 0, 1 / math.sqrt(self.weight[0].numel()), generator=generator)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def forward(self, input: Tensor, padding: tuple[int, int] = (0, 0)) -> Tensor:
        """2-D convolution with the channels last, [B, H, W, C] -> [B, H', W', K]."""
        weight = sure(self.weight, input.shape[1:3], (1, 1), padding)
        maps = F.conv2d(input.permute(0, 3, 1, 2), weight, self.bias, padding=padding, groups=self.groups)
        return maps.permute(0, 2, 3, 1)

    def causal(self, maps: Tensor, aside: bool = False) -> Tensor:
        """Each place sees itself and what is above, over all its columns; or with a flat kernel what is to the left. maps [B, H, W, C]
        -> [B, H, W, K].
        """
        tall, wide = self.weight.shape[2:]
        height, width = maps.shape[1:3]
        return self(maps, (tall - 1, wide // 2 if aside else wide - 1))[:, :height, :width]  # the surplus is cheaper than a padded copy


class Shifts(nn.Embedding):
    """What a class adds before every gate; nothing at first."""

    def reset(self, generator: torch.Generator) -> None:
        """Set the shifts to zero."""
        nn.init.zeros_(self.weight)


class MapShifts(nn.Linear):
    """What conditioning maps [B, H, W, M] add before every gate, at their own places; nothing at first, and nothing where they are 0."""

    def __init__(self, maps: int, shifts: int) -> None:
        super().__init__(maps, shifts, bias=False)

    def reset(self, generator: torch.Generator) -> None:
        """Set the shifts to zero."""
        nn.init.zeros_(self.weight)


def gate(z: Tensor) -> Tensor:
    """a σ(b) (Dauphin et al. 2017) [..., 2 C] -> [..., C]. The paper's tanh(a) σ(b) costs three times as much."""
    return F.glu(z, -1)


class GatedBlock(nn.Module):
    """One layer of both stacks. The vertical one (v) knows the rows above, the horizontal one (h) also what is to the left."""

    def __init__(self, width: int, gain: float, last: bool) -> None:
        super().__init__()
        self.last = last
        self.v_near = Kernel(width, width, (TALL, WIDE), apart=True)
        self.v_across = ScaledLinear(width, 2 * width)
        self.h_near = Kernel(width, width, (1, LONG), apart=True)
        self.h_across = ScaledLinear(2 * width, 2 * width)  # of h and v
        self.out = ScaledLinear(width, width if last else 2 * width, gain)  # to the end (skip), and on along h (residual)

    def forward(self, v: Tensor, h: Tensor, v_shift: Tensor | None, h_shift: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """-> v, h, and what goes straight to the end. A class's shifts are [B, 1, 1, 2 C], those of maps [B, H, W, 2 C]."""
        v = self.vertical(self.v_near.causal(v, aside=True), v, v_shift)
        z = self.h_across(torch.cat([self.h_near.causal(h), v], -1))
        return v, *self.horizontal(z if h_shift is None else z + h_shift, h)

    def vertical(self, near: Tensor, v: Tensor, shift: Tensor | None) -> Tensor:
        """The vertical stack's gated residual step: v [B, H, W, C] -> the same."""
        z = self.v_across(near)
        return v + gate(z if shift is None else z + shift)

    def horizontal(self, z: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        """The horizontal stack's gated step: z [B, H, W, 2 C], h [B, H, W, C] -> the new h and the skip output [B, H, W, C]."""
        out = self.out(gate(z))
        if self.last:
            return h, out
        skip, residual = out.chunk(2, -1)
        return h + residual, skip


class CellContext(nn.Module):
    """The rows above in cells of 4×4 pixels: far sight for little work. A row of cells is seen once it is complete."""

    def __init__(self, inputs: int, outputs: int, width: int, layers: int) -> None:
        super().__init__()
        self.cells = ScaledLinear(inputs * PATCH**2, width)
        self.near = nn.ModuleList(Kernel(width, width, FLAT, apart=True) for _ in range(layers))
        self.across = nn.ModuleList(ScaledLinear(width, 2 * width) for _ in range(layers))
        self.pixels = ScaledLinear(width, outputs * PATCH**2, 0.5)

    def forward(self, planes: Tensor) -> Tensor:  # [B, H, W, I] -> [B, H, W, C]
        """Planes [B, H, W, I] -> context of the cells above and to the left [B, H, W, C]."""
        height, width = planes.shape[1:3]
        cells = F.pad(planes, (0, 0, 0, -width % PATCH, 0, -height % PATCH))
        cells = cells.unflatten(2, (-1, PATCH)).unflatten(1, (-1, PATCH)).transpose(2, 3).flatten(3)  # [B, h, w, 4 4 I]
        c = F.pad(self.cells(cells)[:, :-1], (0, 0, 0, 0, 1, 0))
        for near, across in zip(self.near, self.across, strict=True):
            c = c + gate(across(near.causal(c, aside=True)))  # type: ignore[operator]
        pixels = self.pixels(c).unflatten(3, (PATCH, PATCH, -1)).transpose(2, 3).flatten(3, 4).flatten(1, 2)
        return pixels[:, :height, :width]


class GatedPixelNet(nn.Module):
    """Planes [B, H, W, I] -> features [B, H, W, 2 C] of the pixels before each one: the skips' sum, rectified, and the end of h.

    The planes must hold a constant 1, so that the edge of the image can be told from a pixel.

    Args:
        inputs: planes I.
        width: channels C.
        layers: blocks.
        context: blocks on cells of 4×4 pixels; 0 leaves them out.
        classes: 0 where there are none to condition on.
        maps: M of conditioning maps [B, H, W, M], which every place may see; 0 where there are none.
    """

    def __init__(self, inputs: int, width: int, layers: int, context: int = 0, classes: int = 0, maps: int = 0) -> None:
        super().__init__()
        self.width = width
        self.above = Kernel(inputs, width, (UP, 2 * ASIDE + 1))
        self.left = Kernel(inputs, width, (1, BACK))
        self.context = CellContext(inputs, width, 64 * width // 48, context) if context else None
        self.blocks = nn.ModuleList(GatedBlock(width, 1 / math.sqrt(layers), layer == layers - 1) for layer in range(layers))
        self.classes = Shifts(classes, layers * 4 * width) if classes else None
        self.maps = MapShifts(maps, layers * 4 * width) if maps else None

    def forward(self, planes: Tensor, y: Tensor | None = None) -> Tensor:
        """Planes [B, H, W, I] -> features [B, H, W, C], each of the pixels before it alone and of y: classes int64 [B], maps [B, H, W, M]
        or None.
        """
        return self.run(planes, y)[0]

    def run(self, planes: Tensor, y: Tensor | None) -> tuple[Tensor, list[tuple[Tensor, Tensor, Tensor]]]:
        """Planes [B, H, W, I] -> features, and of every block the v and h that went in and the v that came out, all [B, H, W, C].

        The planes may end before the maps do: what is below the last row has no influence.
        """
        v = self.above(F.pad(planes[:, :-1], (0, 0, ASIDE, ASIDE, UP, 0)))
        h = self.left(F.pad(planes[:, :, :-1], (0, 0, BACK, 0)))
        if self.context is not None:
            v = v + self.context(planes)
        skips: Tensor | None = None
        passed = []
        shifts = self.shifts(y if self.maps is None or y is None else y[:, : planes.shape[1]])
        for block, (v_shift, h_shift) in zip(self.blocks, shifts, strict=True):
            before = v, h
            v, h, skip = block(v, h, v_shift, h_shift)
            skips = skip if skips is None else skips + skip
            passed.append((*before, v))
        assert skips is not None
        return torch.cat([F.relu(skips), h], -1), passed

    def shifts(self, y: Tensor | None) -> list[tuple[Tensor | None, Tensor | None]]:
        """What the conditions add in every block: two for v and for h, of classes int64 [B] two of [B, 1, 1, 2 C], of maps [B, H, W, M]
        two of [B, H, W, 2 C].
        """
        if y is None or (self.classes is None and self.maps is None):
            return [(None, None)] * len(self.blocks)
        whole = self.classes(y)[:, None, None] if self.classes is not None else self.maps(y)  # type: ignore[misc]
        parts = whole.chunk(2 * len(self.blocks), -1)
        return list(zip(parts[::2], parts[1::2], strict=True))

    def rows(self, n: int, size: tuple[int, int], y: Tensor | None = None) -> Rows:
        """Incremental state that computes n images of `size` row by row; y int64 [n], maps [n, H, W, M] or None."""
        return Rows(self, n, size, y)


class Rows:
    """What a writer of n images remembers: of every block the last rows of v and the last pixels of h.

    The vertical stack runs once per row, the horizontal one once per pixel, and the context once per row of its cells.
    """

    def __init__(self, net: GatedPixelNet, n: int, size: tuple[int, int], y: Tensor | None) -> None:
        self._net, self._y, self._place, self._ready = net, y, 0, False
        height, self._width = size
        like = net.left.weight
        self._planes = like.new_zeros(n, UP + height, BACK + self._width, like.shape[1])  # with the edges that kernels see
        self._left = like[:, :, 0].transpose(1, 2).flatten(1)  # [C, 4 I]
        self._shifts = net.shifts(y)
        self._v = [like.new_zeros(n, TALL - 1, self._width, net.width) for _ in net.blocks]  # rows i-1 and i
        self._h = [like.new_zeros(n, LONG - 1 + self._width, net.width) for _ in net.blocks]  # this row, behind its edge
        self._from_v = [like.new_zeros(0)] * len(net.blocks)  # what v adds to h before the gate, in this row [n, W, 2 C]
        self._far = like.new_zeros(0)  # of the context, for this row of cells
        self._blocks: list[tuple[GatedBlock, Tensor, Tensor, Tensor]] = []  # with its weights for one pixel
        for block in net.blocks:
            assert isinstance(block, GatedBlock)
            near, across = block.h_near.weight[:, 0, 0].T, block.h_across.weight[:, : net.width].T  # [LONG, C], [C, 2 C]
            both = (near[:, :, None] * across).flatten(0, 1)  # [LONG C, 2 C]: two linear layers are one
            missing = 2 * net.width - len(block.out.bias)  # the last block says nothing more to h
            self._blocks.append((block, both, F.pad(block.out.weight.T, (0, missing)), F.pad(block.out.bias, (0, missing))))

    def take(self, planes: Tensor) -> Tensor:
        """Append the next m pixels' planes [n, m, I] -> features of the pixel after them [n, 2 C]. Several pixels are one pass."""
        new = planes.shape[1]
        places = torch.arange(self._place, self._place + new, device=planes.device)
        self._planes[:, UP + places // self._width, BACK + places % self._width] = planes
        self._place += new
        row, column = divmod(self._place, self._width)
        if new > 1 or (new and not self._ready):
            self._catch_up(row, column)
        elif column == 0:
            self._begin(row)
        self._ready = True
        return self._step(row, column)

    def _begin(self, row: int) -> None:
        """A new row: the vertical stack from the rows above."""
        net = self._net
        v = net.above(F.pad(self._planes[:, row : row + UP, BACK:], (0, 0, ASIDE, ASIDE)))  # [n, 1, W, C]
        if net.context is not None:
            if row % PATCH == 0:
                self._far = net.context(self._planes[:, UP : UP + row + PATCH, BACK:])[:, row:]
            v = v + self._far[:, row % PATCH, None]
        for layer, (block, *_) in enumerate(self._blocks):
            rows = torch.cat([self._v[layer], v], 1)
            self._v[layer] = rows[:, 1:]
            v = block.vertical(block.v_near(rows, (0, WIDE // 2)), v, self._shift(layer, 0, row))
            self._keep(layer, block, v[:, 0], row)

    def _shift(self, layer: int, stack: int, row: int) -> Tensor | None:
        """What the conditions add in a row: [n, 1, 1, 2 C] of classes, [n, 1, W, 2 C] of maps; `stack`: 0 of v, 1 of h."""
        shift = self._shifts[layer][stack]
        return shift if shift is None or shift.shape[1] == 1 else shift[:, row : row + 1]

    def _keep(self, layer: int, block: GatedBlock, v: Tensor, row: int) -> None:
        """What the vertical stack's row [n, W, C] says to the horizontal one."""
        width = self._net.width
        from_v = F.linear(v, block.h_across.weight[:, width:], block.h_across.bias)
        shift = self._shift(layer, 1, row)
        self._from_v[layer] = from_v if shift is None else from_v + shift[:, 0]

    def _step(self, row: int, column: int) -> Tensor:
        """The next pixel: the horizontal stack from what is to its left."""
        h = F.linear(self._planes[:, UP + row, column : column + BACK].flatten(1), self._left, self._net.left.bias)  # [n, C]
        skip_and_h = F.pad(h, (self._net.width, 0))
        for layer, (_, across, out, bias) in enumerate(self._blocks):
            row_of_h = self._h[layer]
            row_of_h[:, column + LONG - 1] = skip_and_h[:, self._net.width :]
            z = torch.addmm(self._from_v[layer][:, column], row_of_h[:, column : column + LONG].flatten(1), across)
            skip_and_h += torch.addmm(bias, gate(z), out)
        skip_and_h[:, : self._net.width].relu_()
        return skip_and_h

    def _catch_up(self, row: int, column: int) -> None:
        """Whatever was given at once: the whole network runs once over it, and what is remembered is read off."""
        planes = self._planes[:, UP : UP + row + 1, BACK:]
        _, passed = self._net.run(planes, self._y)
        for layer, ((block, *_), (v, h, v_after)) in enumerate(zip(self._blocks, passed, strict=True)):
            self._v[layer] = F.pad(v, (0, 0, 0, 0, TALL, 0))[:, 1 - TALL :]
            self._h[layer][:, LONG - 1 : LONG - 1 + column] = h[:, row, :column]
            self._keep(layer, block, v_after[:, row], row)
        if self._net.context is not None:
            first = row - row % PATCH
            self._far = self._net.context(self._planes[:, UP : UP + first + PATCH, BACK:])[:, first:]
