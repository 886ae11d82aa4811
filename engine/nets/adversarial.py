"""The two networks of a GAN, for images from 8×8 to 128×128: residual convolutions on small maps, without any norm (R3GAN).

Both work on the grid of at most 8×8 patches of `engine.nets.images`, the generator from codes to pixels, the discriminator the way back.
Without batch statistics no image depends on the others in its batch; the branches of the residual blocks begin at zero instead
(Zhang et al. 2019, Fixup).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engine.nets.convolution import Conv2d, ConvTranspose2d
from engine.nets.images import LARGEST, SMALLEST, Offset, grid

SLOPE = 0.2  # of the leaky ReLU
RANDOM_LAYERS = ((32, 4, 2), (64, 4, 2), (128, 3, 1))  # channels, kernel, stride of `random_features`
RANDOM_FEATURES = sum(5 * channels for channels, _, _ in RANDOM_LAYERS)  # of an image of any size
GAIN = math.sqrt(2 / (1 + SLOPE**2))  # keeps the size of its inputs (He et al. 2015)


def active(x: Tensor) -> Tensor:
    """Leaky ReLU of slope 0.2, [...] -> the same."""
    return F.leaky_relu(x, SLOPE)


class HeConv2d(Conv2d):
    """A convolution whose weights begin normal with deviation gain / √(fan-in), its bias at zero."""

    def __init__(self, inputs: int, outputs: int, size: int, stride: int = 1, padding: int = 0, gain: float = GAIN) -> None:
        super().__init__(inputs, outputs, size, stride, padding)
        self.gain = gain

    def reset(self, generator: torch.Generator) -> None:
        """Draw the weights anew."""
        fan_in = self.in_channels * self.kernel_size[0] * self.kernel_size[1]
        nn.init.normal_(self.weight, 0, self.gain / math.sqrt(fan_in), generator=generator)
        if self.bias is not None:
            nn.init.zeros_(self.bias)


class HeConvTranspose2d(ConvTranspose2d):
    """A transposed convolution that begins as `HeConv2d` does; each pixel of its result has fan-in channels · (size / stride)²."""

    def __init__(self, inputs: int, outputs: int, size: int, stride: int, padding: int) -> None:
        super().__init__(inputs, outputs, size, stride, padding)

    def reset(self, generator: torch.Generator) -> None:
        """Draw the weights anew."""
        fan_in = self.in_channels * (self.kernel_size[0] / self.stride[0]) * (self.kernel_size[1] / self.stride[1])
        nn.init.normal_(self.weight, 0, GAIN / math.sqrt(fan_in), generator=generator)
        if self.bias is not None:
            nn.init.zeros_(self.bias)


class HeLinear(nn.Linear):
    """A plain layer that begins as `HeConv2d` does."""

    def __init__(self, inputs: int, outputs: int, gain: float = GAIN, bias: bool = True) -> None:
        super().__init__(inputs, outputs, bias)
        self.gain = gain

    def reset(self, generator: torch.Generator) -> None:
        """Draw the weights anew."""
        nn.init.normal_(self.weight, 0, self.gain / math.sqrt(self.in_features), generator=generator)
        if self.bias is not None:
            nn.init.zeros_(self.bias)


class ClassEmbedding(nn.Embedding):
    """A vector for each class, all zero at first: the classes part while learning."""

    def reset(self, generator: torch.Generator) -> None:
        """Set all to zero."""
        nn.init.zeros_(self.weight)


class FixupBlock(nn.Module):
    """x + f(x) with two 3×3 convolutions, f = 0 at first."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = HeConv2d(channels, channels, 3, padding=1)
        self.second = HeConv2d(channels, channels, 3, padding=1, gain=0.0)

    def forward(self, x: Tensor) -> Tensor:
        """Residual block, [B, C, H, W] -> the same."""
        return x + self.second(active(self.first(active(x))))


class ImageGenerator(nn.Module):
    """Codes z [B, D] (and classes [B]) -> images [B, C, H, W] in [0, 1]."""

    def __init__(self, shape: tuple[int, ...], latent: int, width: int, blocks: int, classes: int = 0) -> None:
        super().__init__()
        self.size = tuple(shape[1:])
        self.grid, coarse, fine = patches(self.size)
        wide = 2 * width if coarse > 1 else width
        places = self.grid[0] * self.grid[1]
        self.plain = HeLinear(latent, 8 * width, gain=1.0)
        self.classes = ClassEmbedding(classes, 8 * width) if classes else None
        self.project = HeLinear(8 * width, places * wide)
        self.low = nn.Sequential(*(FixupBlock(wide) for _ in range(blocks)))
        self.enlarge = HeConvTranspose2d(wide, width, 4, 2, 1) if coarse > 1 else HeConv2d(wide, width, 3, padding=1)
        self.high = nn.Sequential(*(FixupBlock(width) for _ in range(blocks)))
        self.fine = HeConv2d(width, shape[0] * fine**2, 3, padding=1, gain=1.0)
        self.pixels = nn.PixelShuffle(fine)
        self.offset = Offset(shape)

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """Generated images [B, C, H, W] of codes z [B, D], of the classes y int64 [B] where there are any."""
        h = self.plain(z)
        if self.classes is not None and y is not None:
            h = h + self.classes(y)
        h = self.project(active(h)).unflatten(1, (*self.grid, -1)).permute(0, 3, 1, 2)  # [B, K, h, w], channels last in memory
        h = self.high(self.enlarge(active(self.low(h))))
        maps = self.pixels(self.fine(active(h)))[:, :, : self.size[0], : self.size[1]]
        return self.offset(maps if maps.dtype == torch.float64 else maps.float()).sigmoid()


class ImageDiscriminator(nn.Module):
    """Images [B, C, H, W] in [0, 1] (and classes [B]) -> logits [B]: w·h(x), and v_y·h(x) for a class (Miyato and Koyama 2018)."""

    def __init__(self, shape: tuple[int, ...], width: int, blocks: int, classes: int = 0) -> None:
        super().__init__()
        (rows, columns), coarse, self.fine = patches(shape[1:])
        self.patch = coarse * self.fine
        wide = 2 * width if coarse > 1 else width
        self.stem = HeConv2d(shape[0] * self.fine**2, width, 3, padding=1, gain=1.0)
        self.high = nn.Sequential(*(FixupBlock(width) for _ in range(blocks)))
        self.shrink = HeConv2d(width, wide, 4, 2, 1) if coarse > 1 else HeConv2d(width, wide, 3, padding=1)
        self.low = nn.Sequential(*(FixupBlock(wide) for _ in range(blocks)))
        self.plain = HeLinear(rows * columns * wide, 8 * width)
        self.out = HeLinear(8 * width, 1, gain=1.0, bias=False)
        self.classes = ClassEmbedding(classes, 8 * width) if classes else None

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Logits [B], high for what is taken for real, of images [B, C, H, W] given their classes int64 [B]."""
        right, below = -x.shape[3] % self.patch, -x.shape[2] % self.patch
        h = F.pixel_unshuffle(F.pad(2 * x - 1, (0, right, 0, below)), self.fine).contiguous(memory_format=torch.channels_last)
        h = self.low(self.shrink(active(self.high(self.stem(h)))))
        h = active(self.plain(active(h).permute(0, 2, 3, 1).flatten(1)))  # [B, F]
        logits = self.out(h)[:, 0]
        if self.classes is not None and y is not None:
            logits = logits + (self.classes(y).to(h.dtype) * h).sum(1)
        return logits


def patches(size: tuple[int, ...]) -> tuple[tuple[int, int], int, int]:
    """The grid of patches (rows, columns), and how its patches become pixels: `coarse` times as large by a convolution, then `fine` times.

    Raises:
        ValueError: the images are smaller than 8×8 or larger than 128×128.
    """
    if min(size) < SMALLEST or max(size) > LARGEST:
        raise ValueError(f"These networks take images from 8×8 to 128×128, not {size[0]}×{size[1]}.")
    patch, cells = grid(*size)
    coarse = 2 if patch % 2 == 0 and patch > 2 else 1
    return cells, coarse, patch // coarse


def random_features(x: Tensor) -> Tensor:
    """Features [B, F] of images [B, C, H, W] from three convolutions with random weights, always the same (Naeem et al. 2020, sec. 4.3).

    After each layer the mean of every channel over the four quarters of its map, and its deviation over all places: what strokes,
    edges and textures there are and roughly where. Nothing is learned, so the features are the same at every step of any training.
    """
    generator = torch.Generator().manual_seed(0)
    found, h = [], 2 * x - 1
    for channels, size, stride in RANDOM_LAYERS:
        fan_in = h.shape[1] * size**2
        weight = GAIN / math.sqrt(fan_in) * torch.randn(channels, h.shape[1], size, size, generator=generator)
        h = active(F.conv2d(h, weight.to(h), None, stride, 1))
        found += [F.adaptive_avg_pool2d(h, 2).flatten(1), h.flatten(2).std(2, correction=0)]
    return torch.cat(found, 1)
