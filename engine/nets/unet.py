"""A small U-Net (Ronneberger et al. 2015) that is told a noise level and a condition, for images of any size from 8×8 to 128×128.

Pixels are gathered into at most 16×16 places first; from there it halves the maps, widens them, and comes back with shortcuts.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engine.nets.convolution import Conv2d
from engine.nets.resnet import norm

SMALLEST, LARGEST = 8, 128  # pixels per side
MOST_PLACES = 16  # per side of the finest maps
LEAST_PLACES = 4  # per side of the coarsest maps, which attention looks over
WIDENING = (1, 2, 2)  # channels of each resolution, in widths
NOISE_FEATURES = 16


class ZeroConv2d(Conv2d):
    """A convolution that is zero at first: what it is added to begins unchanged."""

    def reset(self, generator: torch.Generator) -> None:
        """Set weights and bias to zero."""
        nn.init.zeros_(self.weight)
        if self.bias is not None:
            nn.init.zeros_(self.bias)


class UNet(nn.Module):
    """Maps [B, C, H, W], levels [B] and a condition [B, E] -> maps [B, K, H, W]; zero before it is trained.

    Args:
        inputs, outputs: C and K.
        size: (H, W).
        width: channels at the finest resolution.
        blocks: residual blocks at each resolution, on the way down and again on the way up.

    Raises:
        ValueError: the images are smaller than 8×8 or larger than 128×128.
    """

    def __init__(self, inputs: int, outputs: int, size: tuple[int, int], width: int, blocks: int) -> None:
        super().__init__()
        if min(size) < SMALLEST or max(size) > LARGEST:
            raise ValueError(f"This network takes images from 8×8 to 128×128, not {size[0]}×{size[1]}.")
        self.patch = math.ceil(max(size) / MOST_PLACES)
        self.embedding_size = 4 * width  # E
        widths = [factor * width for factor, _ in zip(WIDENING, _halvings(min(size), self.patch), strict=False)]
        self.embed_noise = nn.Linear(NOISE_FEATURES, self.embedding_size)
        self.embed = nn.Linear(self.embedding_size, self.embedding_size)
        self.stem = Conv2d(inputs * self.patch**2, width, 3, padding=1)
        self.down = nn.ModuleList()
        self.shrink = nn.ModuleList()
        self.up = nn.ModuleList()
        before = width
        for level, channels in enumerate(widths):
            if level:
                self.shrink.append(Conv2d(before, channels, 3, 2, padding=1))
            self.down.append(self._blocks(channels, channels, blocks))
            above = widths[min(level + 1, len(widths) - 1)]
            self.up.append(self._blocks(channels + above, channels, blocks))
            before = channels
        self.middle = UNetBlock(before, before, self.embedding_size)
        self.attention = MapAttention(before)
        self.out_norm = norm(width)
        self.out = ZeroConv2d(width, outputs * self.patch**2, 3, padding=1)

    def _blocks(self, channels: int, to: int, count: int) -> nn.ModuleList:
        return nn.ModuleList(UNetBlock(channels if i == 0 else to, to, self.embedding_size) for i in range(count))

    def forward(self, x: Tensor, level: Tensor, condition: Tensor | None = None) -> Tensor:
        """x [B, C, H, W], level [B] (a number within a few units of 0), condition [B, E] -> [B, K, H, W]."""
        e = self.embed_noise(noise_features(level))
        e = F.silu(self.embed(F.silu(e if condition is None else e + condition)))  # [B, E]
        height, width = x.shape[2:]
        padded = F.pad(x, (0, -width % self.patch, 0, -height % self.patch))
        h = self.stem(F.pixel_unshuffle(padded, self.patch).contiguous(memory_format=torch.channels_last))
        kept = []
        for i, blocks in enumerate(self.down):
            h = h if i == 0 else self.shrink[i - 1](h)
            for block in blocks:  # type: ignore[attr-defined]
                h = block(h, e)
            kept.append(h)
        h = self.attention(self.middle(h, e))
        for blocks in reversed(self.up):
            beside = kept.pop()
            h = torch.cat([_enlarged(h, beside.shape[2:]), beside], 1)
            for block in blocks:  # type: ignore[attr-defined]
                h = block(h, e)
        out = self.out(F.silu(self.out_norm(h))).contiguous()
        return F.pixel_shuffle(out, self.patch)[:, :, :height, :width]


class UNetBlock(nn.Module):
    """x + f(x, e): norm, SiLU and 3×3 convolution, twice; before the second the embedding scales and shifts each channel
    (Dhariwal and Nichol 2021, adaptive group norm)."""

    def __init__(self, channels: int, to: int, embedding: int) -> None:
        super().__init__()
        self.first_norm, self.second_norm = norm(channels), norm(to)
        self.first = Conv2d(channels, to, 3, padding=1)
        self.second = ZeroConv2d(to, to, 3, padding=1)
        self.affine = nn.Linear(embedding, 2 * to)
        self.shortcut = None if channels == to else nn.Conv2d(channels, to, 1)

    def forward(self, x: Tensor, e: Tensor) -> Tensor:
        """Residual block: x [B, C, h, w] and e [B, E] -> [B, K, h, w]."""
        h = self.first(F.silu(self.first_norm(x)))
        scale, shift = self.affine(e)[:, :, None, None].chunk(2, 1)
        h = self.second(F.silu(torch.addcmul(shift, self.second_norm(h), 1 + scale)))
        return h + (x if self.shortcut is None else self.shortcut(x))


class MapAttention(nn.Module):
    """x + attention over the places of a map, with one head (Vaswani et al. 2017)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = norm(channels)
        self.qkv = nn.Conv2d(channels, 3 * channels, 1)
        self.out = ZeroConv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Self-attention, [B, C, h, w] -> the same."""
        q, k, v = self.qkv(self.norm(x)).flatten(2).transpose(1, 2).chunk(3, 2)  # [B, h w, C]
        found = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(x.shape)
        return x + self.out(found.contiguous(memory_format=torch.channels_last))


def noise_features(level: Tensor) -> Tensor:
    """cos and sin of level [B] times π/2 … 4π -> [B, 16]: fine enough to tell levels apart, smooth enough for an ODE solver."""
    powers = torch.linspace(-1, 2, NOISE_FEATURES // 2, device=level.device, dtype=level.dtype)
    angles = level[:, None] * (math.pi * 2**powers)
    return torch.cat([angles.cos(), angles.sin()], 1)


def _halvings(side: int, patch: int) -> list[int]:
    """Places per side at each resolution, finest first, as long as there are `LEAST_PLACES`."""
    sides = [math.ceil(side / patch)]
    while (half := math.ceil(sides[-1] / 2)) >= LEAST_PLACES:
        sides.append(half)
    return sides


def _enlarged(x: Tensor, size: torch.Size) -> Tensor:
    """Maps of twice the size, each place repeated, cut to `size`; as they are where they have it."""
    if x.shape[2:] == size:
        return x
    return F.interpolate(x, scale_factor=2.0, mode="nearest")[:, :, : size[0], : size[1]]
