"""Encoders and decoders for images of any size from 8×8 to 128×128: convolutions or plain layers, the same for every method.

An encoder maps images [B, C, H, W] to features [B, F]; a decoder maps codes [B, D] to maps [B, K, H, W].
The convolutions work on a grid of at most 8×8 patches, as in a vision transformer's stem: small maps with many channels
are what processors multiply fastest. There is no batch norm, so no image ever depends on the others in its batch.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engine.nets.convolution import Conv2d, ConvTranspose2d

SMALLEST, LARGEST = 8, 128  # pixels per side
MOST_PATCHES = 8  # per side


def encoder(network: str, shape: tuple[int, ...], features: int, width: int, blocks: int) -> nn.Module:
    """Images [B, C, H, W] -> features [B, F]; `network` is “conv” or “mlp”.

    Raises:
        ValueError: the images are smaller than 8×8 or larger than 128×128.
    """
    _check(shape)
    return (ConvEncoder if network == "conv" else MlpEncoder)(shape, features, width, blocks)


def decoder(network: str, shape: tuple[int, ...], channels: int, latent: int, width: int, blocks: int) -> ConvDecoder | MlpDecoder:
    """Codes [B, D] -> maps [B, K, H, W] with K = `channels`; `network` is “conv” or “mlp”.

    Raises:
        ValueError: the images are smaller than 8×8 or larger than 128×128.
    """
    _check(shape)
    return (ConvDecoder if network == "conv" else MlpDecoder)(shape, channels, latent, width, blocks)


def grid(height: int, width: int) -> tuple[int, tuple[int, int]]:
    """The patch's side p in pixels and the patches' rows and columns: at most 8 of each; the last ones may hang over the edge."""
    patch = math.ceil(max(height, width) / MOST_PATCHES)
    return patch, (math.ceil(height / patch), math.ceil(width / patch))


class Residual(nn.Module):
    """x + f(x) with two 3×3 convolutions (He et al. 2016, pre-activation, without norms)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = Conv2d(channels, channels, 3, padding=1)
        self.second = Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:  # [B, C, H, W] -> the same
        """Residual block, [B, C, H, W] -> the same."""
        return x + self.second(F.silu(self.first(F.silu(x))))


class ConvEncoder(nn.Module):
    """A 3×3 convolution and residual blocks on the grid of patches, then plain layers 10 times `width` wide."""

    def __init__(self, shape: tuple[int, ...], features: int, width: int, blocks: int) -> None:
        super().__init__()
        self.patch, (rows, columns) = grid(*shape[1:])
        inputs = shape[0] * self.patch**2
        channels = max(16, inputs)
        self.more = channels - inputs
        self.stem = Conv2d(channels, channels, 3, padding=1)
        self.blocks = nn.Sequential(*(Residual(channels) for _ in range(blocks)))
        self.plain = nn.Linear(rows * columns * channels, 10 * width)
        self.deeper = nn.ModuleList(nn.Linear(10 * width, 10 * width) for _ in range(2))
        self.out = nn.Linear(10 * width, features)

    def forward(self, x: Tensor) -> Tensor:  # [B, C, H, W] -> [B, F]
        """Images [B, C, H, W] in 0..1 -> [B, F]."""
        right, below = -x.shape[3] % self.patch, -x.shape[2] % self.patch
        h = F.pixel_unshuffle(F.pad(x - 0.5, (0, right, 0, below)), self.patch)  # [B, C p², h, w]
        h = F.pad(h, (0, 0, 0, 0, 0, self.more)).contiguous(memory_format=torch.channels_last)
        h = self.blocks(h + F.silu(self.stem(h)))
        h = F.silu(self.plain(h.permute(0, 2, 3, 1).flatten(1)))
        for layer in self.deeper:
            h = h + F.silu(layer(h))
        return self.out(h)


class ConvDecoder(nn.Module):
    """The way back: two plain layers 8 times `width` wide, residual blocks on the grid, then pixels in two steps of
    convolutions whose windows overlap, so that neighbouring patches fit together."""

    def __init__(self, shape: tuple[int, ...], channels: int, latent: int, width: int, blocks: int) -> None:
        super().__init__()
        self.size = tuple(shape[1:])
        self.patch, self.grid = grid(*self.size)
        coarse = 2 if self.patch % 2 == 0 and self.patch > 2 else 1
        fine = self.patch // coarse
        between = max(8, 2 * width // 3)  # fewer channels where there are more places
        self.plain = nn.Linear(latent, 8 * width)
        self.second = nn.Linear(8 * width, 8 * width)
        self.project = nn.Linear(8 * width, self.grid[0] * self.grid[1] * width)
        self.blocks = nn.Sequential(*(Residual(width) for _ in range(blocks)))
        self.coarse = enlarge(width, between, coarse)
        self.fine = Conv2d(between, channels * fine**2, 3, padding=1)
        self.pixels = nn.PixelShuffle(fine)

    def forward(self, z: Tensor) -> Tensor:  # [B, D] -> [B, K, H, W]
        """Latents [B, D] -> maps [B, K, H, W]."""
        h = F.silu(self.plain(z))
        h = self.project(h + F.silu(self.second(h)))
        h = h.unflatten(1, (*self.grid, -1)).permute(0, 3, 1, 2)  # [B, width, h, w], channels last in memory
        h = self.coarse(F.silu(self.blocks(h)))  # [B, between, 2 h, 2 w]
        return self.pixels(self.fine(F.silu(h)))[:, :, : self.size[0], : self.size[1]]


def enlarge(channels: int, to: int, times: int) -> nn.Module:
    """A convolution that makes maps exactly `times` as large on a side, each window reaching into its neighbours."""
    if times == 1:
        return Conv2d(channels, to, 3, padding=1)
    reach = times // 2 if times % 2 == 0 else 1
    return ConvTranspose2d(channels, to, times + 2 * reach, stride=times, padding=reach)


class Offset(nn.Module):
    """A learned number for every place of a map [K, H, W], added in the parameters' own precision."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.empty(shape))

    def reset(self, generator: torch.Generator) -> None:
        """Set the offset to zero."""
        nn.init.zeros_(self.value)

    def forward(self, maps: Tensor) -> Tensor:
        """maps [B, ...] + the offset."""
        return maps + self.value


class MlpEncoder(nn.Module):
    """Fully connected layers, each 8 times `width` wide."""

    def __init__(self, shape: tuple[int, ...], features: int, width: int, blocks: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(*_layers(math.prod(shape), 8 * width, blocks))
        self.out = nn.Linear(8 * width, features)

    def forward(self, x: Tensor) -> Tensor:
        """Images [B, C, H, W] in 0..1 -> [B, F]."""
        return self.out(self.layers((x - 0.5).flatten(1)))


class MlpDecoder(nn.Module):
    """Multilayer perceptron from latents [B, D] to maps [B, K, H, W]."""

    def __init__(self, shape: tuple[int, ...], channels: int, latent: int, width: int, blocks: int) -> None:
        super().__init__()
        self.size = (channels, *shape[1:])
        self.layers = nn.Sequential(*_layers(latent, 8 * width, blocks))
        self.out = nn.Linear(8 * width, math.prod(self.size))

    def forward(self, z: Tensor) -> Tensor:
        """Latents [B, D] -> maps [B, K, H, W]."""
        return self.out(self.layers(z)).unflatten(1, self.size)


def _layers(inputs: int, hidden: int, blocks: int) -> list[nn.Module]:
    layers: list[nn.Module] = [nn.Linear(inputs, hidden), nn.ReLU()]
    for _ in range(blocks):
        layers += [nn.Linear(hidden, hidden), nn.ReLU()]
    return layers


def _check(shape: tuple[int, ...]) -> None:
    if min(shape[1:]) < SMALLEST or max(shape[1:]) > LARGEST:
        raise ValueError(f"These networks take images from 8×8 to 128×128, not {shape[1]}×{shape[2]}.")
