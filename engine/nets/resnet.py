"""A small residual network for images of any size from 8×8 to 64×64. It normalizes each image by itself: no batch norm."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

MOST_PLACES = 16  # per side after the stem: beyond it, pixels are gathered into channels first
STAGES = 3  # each of twice the channels and half the side of the one before
SMALLEST, LARGEST = 8, 64  # pixels per side


class ResNet(nn.Module):
    """Images [B, C, H, W] -> features [B, 4 width]: a stem without pooling, three stages of residual blocks, the mean over places.

    Raises:
        ValueError: the images are smaller than 8×8 or larger than 64×64.
    """

    def __init__(self, shape: tuple[int, ...], width: int, blocks: int) -> None:
        super().__init__()
        if min(shape[1:]) < SMALLEST or max(shape[1:]) > LARGEST:
            raise ValueError(f"This network takes images from 8×8 to 64×64, not {shape[1]}×{shape[2]}.")
        self.patch = math.ceil(max(shape[1:]) / MOST_PLACES)
        self.stem = nn.Conv2d(shape[0] * self.patch**2, width, 3, padding=1)
        stages = []
        for stage in range(STAGES):
            channels = width * 2**stage
            for block in range(blocks):
                first = stage > 0 and block == 0
                stages.append(Block(channels // 2 if first else channels, channels, stride=2 if first else 1))
        self.blocks = nn.Sequential(*stages)
        self.features = width * 2 ** (STAGES - 1)
        self.norm = norm(self.features)

    def forward(self, x: Tensor) -> Tensor:  # [B, C, H, W] -> [B, F]
        right, below = -x.shape[3] % self.patch, -x.shape[2] % self.patch
        h = F.pixel_unshuffle(F.pad(x - 0.5, (0, right, 0, below)), self.patch)
        h = self.blocks(self.stem(h.contiguous(memory_format=torch.channels_last)))
        return F.relu(self.norm(h)).mean((2, 3))


class Block(nn.Module):
    """x + f(x), f = two rounds of norm, ReLU and 3×3 convolution (He et al. 2016, “Identity Mappings”, fig. 4e)."""

    def __init__(self, channels: int, to: int, stride: int) -> None:
        super().__init__()
        self.first_norm, self.second_norm = norm(channels), norm(to)
        self.first = nn.Conv2d(channels, to, 3, stride, padding=1)
        self.second = nn.Conv2d(to, to, 3, padding=1)
        self.stride = stride
        self.shortcut = None if channels == to and stride == 1 else nn.Conv2d(channels, to, 1)

    def forward(self, x: Tensor) -> Tensor:  # [B, C, H, W] -> [B, to, H / stride, W / stride]
        h = F.relu(self.first_norm(x))
        # places are skipped by hand: the gradient of a 1×1 convolution with a stride, channels last, spoils the heap (torch 2.13, CPU)
        short = x if self.shortcut is None else self.shortcut(h[:, :, :: self.stride, :: self.stride])
        return short + self.second(F.relu(self.second_norm(self.first(h))))


def norm(channels: int) -> nn.GroupNorm:
    """Group norm (Wu and He 2018) with at most 8 groups of at least 4 channels, so that even a 1×1 map keeps what it says."""
    return nn.GroupNorm(next(groups for groups in (8, 4, 2, 1) if channels % (4 * groups) == 0 or groups == 1), channels)
