"""Encoders and decoders for images of any size from 8×8 to 64×64: convolutions or plain layers, the same for every method.

An encoder maps images [B, C, H, W] to features [B, F]; a decoder maps codes [B, D] to maps [B, K, H, W].
There is no batch norm, so no image ever depends on the others in its batch.
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SMALLEST, LARGEST = 8, 64  # pixels per side
COARSEST = 8  # halve the image until neither side is longer than this


def encoder(network: str, shape: tuple[int, ...], features: int, width: int, blocks: int) -> nn.Module:
    """Images [B, C, H, W] -> features [B, F]; `network` is “conv” or “mlp”.

    Raises:
        ValueError: the images are smaller than 8×8 or larger than 64×64.
    """
    _check(shape)
    return (ConvEncoder if network == "conv" else MlpEncoder)(shape, features, width, blocks)


def decoder(network: str, shape: tuple[int, ...], channels: int, latent: int, width: int, blocks: int) -> ConvDecoder | MlpDecoder:
    """Codes [B, D] -> maps [B, K, H, W] with K = `channels`; `network` is “conv” or “mlp”.

    Raises:
        ValueError: the images are smaller than 8×8 or larger than 64×64.
    """
    _check(shape)
    return (ConvDecoder if network == "conv" else MlpDecoder)(shape, channels, latent, width, blocks)


def pyramid(height: int, width: int) -> list[tuple[int, int]]:
    """The sizes an image passes through: halved (rounded up) at least once, and until no side is longer than 8."""
    sizes = [(height, width)]
    while len(sizes) == 1 or max(sizes[-1]) > COARSEST:
        sizes.append((math.ceil(sizes[-1][0] / 2), math.ceil(sizes[-1][1] / 2)))
    return sizes


class Residual(nn.Module):
    """x + f(x) with two 3×3 convolutions (He et al. 2016, pre-activation, without norms)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:  # [B, C, H, W] -> the same
        return x + self.second(F.relu(self.first(F.relu(x))))


class ConvEncoder(nn.Module):
    """Strided convolutions down the pyramid, residual blocks at its end, one linear layer."""

    def __init__(self, shape: tuple[int, ...], features: int, width: int, blocks: int) -> None:
        super().__init__()
        sizes = pyramid(*shape[1:])
        wide = [shape[0], *(min(width * 2**level, 4 * width) for level in range(len(sizes) - 1))]
        self.down = nn.ModuleList(nn.Conv2d(a, b, 3, stride=2, padding=1) for a, b in pairwise(wide))
        self.blocks = nn.Sequential(*(Residual(wide[-1]) for _ in range(blocks)))
        self.out = nn.Linear(wide[-1] * math.prod(sizes[-1]), features)

    def forward(self, x: Tensor) -> Tensor:
        h = x - 0.5
        for index, down in enumerate(self.down):
            h = down(h if index == 0 else F.relu(h))
        h = F.relu(self.blocks(h))  # [B, wide, h, w]
        return self.out(h.flatten(1))


class ConvDecoder(nn.Module):
    """One linear layer, residual blocks at the coarsest size, then up the pyramid by sub-pixel convolutions (Shi et al. 2016)."""

    def __init__(self, shape: tuple[int, ...], channels: int, latent: int, width: int, blocks: int) -> None:
        super().__init__()
        self.sizes = pyramid(*shape[1:])[::-1]  # coarse to fine
        wide = [min(width * 2**level, 4 * width) for level in range(len(self.sizes) - 1)][::-1]
        self.project = nn.Linear(latent, wide[0] * math.prod(self.sizes[0]))
        self.blocks = nn.Sequential(*(Residual(wide[0]) for _ in range(blocks)))
        self.up = nn.ModuleList(SubPixel(a, b) for a, b in zip(wide, [*wide[1:], channels], strict=True))

    def forward(self, z: Tensor) -> Tensor:
        h = self.project(z).unflatten(1, (-1, *self.sizes[0]))
        h = self.blocks(h)
        for up, (height, width) in zip(self.up, self.sizes[1:], strict=True):
            h = up(F.relu(h))[:, :, :height, :width]
        return h  # [B, K, H, W]


class SubPixel(nn.Module):
    """Twice as fine: a 3×3 convolution to four times the channels, laid out as 2×2 pixels."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels_in, 4 * channels_out, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:  # [B, C, H, W] -> [B, C', 2 H, 2 W]
        return F.pixel_shuffle(self.conv(x), 2)


class Offset(nn.Module):
    """A learned number for every place of a map [K, H, W], added in the parameters' own precision."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.empty(shape))

    def reset(self, generator: torch.Generator) -> None:
        nn.init.zeros_(self.value)

    def forward(self, maps: Tensor) -> Tensor:
        return maps + self.value


class MlpEncoder(nn.Module):
    """Fully connected layers; each layer is 16 times `width` wide, and the first block stands for the first layer."""

    def __init__(self, shape: tuple[int, ...], features: int, width: int, blocks: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(*_layers(math.prod(shape), 16 * width, blocks))
        self.out = nn.Linear(16 * width, features)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.layers((x - 0.5).flatten(1)))


class MlpDecoder(nn.Module):
    def __init__(self, shape: tuple[int, ...], channels: int, latent: int, width: int, blocks: int) -> None:
        super().__init__()
        self.size = (channels, *shape[1:])
        self.layers = nn.Sequential(*_layers(latent, 16 * width, blocks))
        self.out = nn.Linear(16 * width, math.prod(self.size))

    def forward(self, z: Tensor) -> Tensor:
        return self.out(self.layers(z)).unflatten(1, self.size)


def _layers(inputs: int, hidden: int, blocks: int) -> list[nn.Module]:
    layers: list[nn.Module] = [nn.Linear(inputs, hidden), nn.ReLU()]
    for _ in range(blocks):
        layers += [nn.Linear(hidden, hidden), nn.ReLU()]
    return layers


def _check(shape: tuple[int, ...]) -> None:
    if min(shape[1:]) < SMALLEST or max(shape[1:]) > LARGEST:
        raise ValueError(f"These networks take images from 8×8 to 64×64, not {shape[1]}×{shape[2]}.")
