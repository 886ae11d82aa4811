"""Small residual networks for images of any size from 8×8 to 256×256, and their plain sister without shortcuts."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engine.nets.convolution import Conv2d

MOST_PLACES = 16  # per side after the stem: beyond it, pixels are gathered into channels first
STAGES = 3  # each of twice the channels and half the side of the one before
SMALLEST, LARGEST = 8, 256  # pixels per side
NORMS = ("batch", "split", "group")
SPLITS = 8  # pieces of a batch in split batch norm


class ResNet(nn.Module):
    """Images [B, C, H, W] -> features [B, F], F = width · 2^(stages - 1): a stem without pooling, residual blocks, the mean over places.

    Args:
        blocks: residual blocks in each stage.
        kind: "group" normalizes each image by itself; "batch" and "split" as `norm` says.

    Raises:
        ValueError: the images are smaller than 8×8 or larger than 256×256.
    """

    def __init__(self, shape: tuple[int, ...], width: int, blocks: int, stages: int = STAGES, kind: str = "group") -> None:
        super().__init__()
        if min(shape[1:]) < SMALLEST or max(shape[1:]) > LARGEST:
            raise ValueError(f"This network takes images from 8×8 to 256×256, not {shape[1]}×{shape[2]}.")
        self.patch = math.ceil(max(shape[1:]) / MOST_PLACES)
        self.stem = Conv2d(shape[0] * self.patch**2, width, 3, padding=1)
        self.blocks = nn.Sequential(*self._blocks(width, blocks, stages, kind))
        self.features = width * 2 ** (stages - 1)
        self.norm = norm(self.features, kind)

    def _blocks(self, width: int, blocks: int, stages: int, kind: str) -> list[nn.Module]:
        made: list[nn.Module] = []
        for stage in range(stages):
            channels = width * 2**stage
            for block in range(blocks):
                first = stage > 0 and block == 0
                made.append(self._block(channels // 2 if first else channels, channels, 2 if first else 1, kind))
        return made

    def _block(self, channels: int, to: int, stride: int, kind: str) -> nn.Module:
        return PreactBlock(channels, to, stride, kind)

    def begun(self, x: Tensor) -> Tensor:
        """The stem's maps [B, width, h, w]."""
        right, below = -x.shape[3] % self.patch, -x.shape[2] % self.patch
        h = F.pixel_unshuffle(F.pad(x - 0.5, (0, right, 0, below)), self.patch)
        return self.stem(h.contiguous(memory_format=torch.channels_last))

    def ended(self, maps: Tensor) -> Tensor:
        """The last block's maps [B, C, h, w] as features [B, C]: normalized, ReLU, averaged over places."""
        return F.relu(self.norm(maps)).mean((2, 3))

    def forward(self, x: Tensor) -> Tensor:  # [B, C, H, W] -> [B, F]
        """Images [B, C, H, W] -> features [B, F]."""
        return self.ended(self.blocks(self.begun(x)))

    def each(self, x: Tensor) -> dict[str, Tensor]:
        """What the network knows after the stem, each block and at its end, the mean over places: [B, F] each."""
        h = self.begun(x)
        found = {"stem": h.mean((2, 3))}
        for i, block in enumerate(self.blocks, 1):
            h = block(h)
            found[f"block {i}"] = F.relu(h).mean((2, 3))
        return found | {"features": self.ended(h)}


class ConvNet(ResNet):
    """The same without shortcuts: in each block one 3×3 convolution, norm and ReLU."""

    def _block(self, channels: int, to: int, stride: int, kind: str) -> nn.Module:
        return ConvBlock(channels, to, stride, kind)


class PreactBlock(nn.Module):
    """x + f(x), f = two rounds of norm, ReLU and 3×3 convolution (He et al. 2016, “Identity Mappings”, fig. 4e)."""

    def __init__(self, channels: int, to: int, stride: int, kind: str = "group") -> None:
        super().__init__()
        self.first_norm, self.second_norm = norm(channels, kind), norm(to, kind)
        self.first = Conv2d(channels, to, 3, stride, padding=1)
        self.second = Conv2d(to, to, 3, padding=1)
        self.stride = stride
        self.shortcut = None if channels == to and stride == 1 else nn.Conv2d(channels, to, 1)

    def forward(self, x: Tensor) -> Tensor:  # [B, C, H, W] -> [B, to, H / stride, W / stride]
        """Pre-activation residual block, [B, C, H, W] -> [B, to, H / stride, W / stride]."""
        h = F.relu(self.first_norm(x))
        # places are skipped by hand: the gradient of a 1×1 convolution with a stride, channels last, spoils the heap (torch 2.13, CPU)
        short = x if self.shortcut is None else self.shortcut(h[:, :, :: self.stride, :: self.stride])
        return short + self.second(F.relu(self.second_norm(self.first(h))))


class ConvBlock(nn.Module):
    """ReLU of the norm of a 3×3 convolution."""

    def __init__(self, channels: int, to: int, stride: int, kind: str) -> None:
        super().__init__()
        self.convolution, self.norm = Conv2d(channels, to, 3, stride, padding=1), norm(to, kind)

    def forward(self, x: Tensor) -> Tensor:
        """Convolution, batch norm, ReLU: [B, C, H, W] -> [B, K, H', W']."""
        return F.relu(self.norm(self.convolution(x)))


def norm(channels: int, kind: str = "group") -> nn.Module:
    """How maps are normalized.

    group: each image by itself, in at most 8 groups of at least 4 channels (Wu and He 2018), so that even a 1×1 map keeps what it says.
    batch: every channel over the batch (Ioffe and Szegedy 2015). split: over each eighth of the batch.
    """
    if kind == "batch":
        return nn.BatchNorm2d(channels)
    if kind == "split":
        return SplitBatchNorm(channels)
    return nn.GroupNorm(next(groups for groups in (8, 4, 2, 1) if channels % (4 * groups) == 0 or groups == 1), channels)


class SplitBatchNorm(nn.BatchNorm2d):
    """Batch norm as several devices would do it, each with a part of the batch (He et al. 2020, section 3.3) on one device.

    Image i belongs to part i mod S. Partners must meet other images in their parts, so one side is to be shuffled (`moco.py`). In
    eval mode it is plain batch norm.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Batch norm over each part of the batch by itself, [B, C, ...] -> the same."""
        splits = next((n for n in (SPLITS, 4, 2) if len(input) % n == 0 and len(input) > n), 1)
        if not self.training or splits == 1:
            return super().forward(input)
        assert self.running_mean is not None and self.running_var is not None and self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        side_by_side = input.to(self.weight.dtype).reshape(len(input) // splits, splits * input.shape[1], *input.shape[2:])
        of_parts = [values.repeat(splits) for values in (self.running_mean, self.running_var, self.weight, self.bias)]
        normal = F.batch_norm(side_by_side, *of_parts, training=True, momentum=self.momentum or 0.0, eps=self.eps)
        with torch.no_grad():
            for kept, parts in ((self.running_mean, of_parts[0]), (self.running_var, of_parts[1])):
                kept.copy_(parts.unflatten(0, (splits, -1)).mean(0))
        return normal.reshape(input.shape).to(input.dtype)
