"""What the frames before say about each place of the next one: a small convolutional network over all of them at once."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engine.nets.masked import Kernel, ScaledLinear, gate

MOST = 2  # pixels that anything is taken to move in a frame, either way
SIDE = 5  # of the kernels, in pixels: what moves by at most two pixels per frame is followed in every layer


class FrameEncoder(nn.Module):
    """The frames before [B, T, C, H, W] in [0, 1], the oldest first -> maps [B, H, W, M]; zero where there is no frame before.

    All frames lie on each other as channels, so that the first kernels see motion. A frame that is not there holds -1 everywhere; an image
    with none of them gets maps of zeros.
    """

    def __init__(self, frames: int, channels: int, width: int, layers: int) -> None:
        super().__init__()
        self.first = Kernel(frames * (channels + 1) + (2 * MOST + 1) ** 2, width, (SIDE, SIDE))
        self.near = nn.ModuleList(Kernel(width, width, (SIDE, SIDE), apart=True) for _ in range(layers))
        self.across = nn.ModuleList(ScaledLinear(width, 2 * width) for _ in range(layers))

    def forward(self, past: Tensor) -> Tensor:
        """Frames [B, T, C, H, W] -> maps [B, H, W, M]."""
        there = (past[:, :, :1] >= 0).to(past.dtype)  # [B, T, 1, H, W]: also tells the border from black
        planes = torch.cat([torch.cat([(2 * past - 1) * there, there], 2).flatten(1, 2), costs(past)], 1).permute(0, 2, 3, 1)
        maps = F.silu(self.first(planes, (SIDE // 2, SIDE // 2)))
        for near, across in zip(self.near, self.across, strict=True):
            maps = maps + gate(across(near(maps, (SIDE // 2, SIDE // 2))))  # type: ignore[operator]
        return maps * there.amax((1, 2))[..., None]


def costs(past: Tensor) -> Tensor:
    """The cost volume [B, (2 MOST + 1)², H, W] of frames [B, T, C, H, W] (Dosovitskiy et al. 2015, FlowNet, section 3, with differences):
    how far the last frame at p - d is from the one before it at p - 2 d, for each motion d in raster order: 0 where all moves on by d.
    """
    height, width = past.shape[3:]
    edge = 2 * MOST
    last, before = (F.pad(past[:, frame], (edge,) * 4, mode="replicate") for frame in (-1, -2))
    found = []
    for down in range(-MOST, MOST + 1):
        for right in range(-MOST, MOST + 1):
            here, earlier = (
                frame[:, :, edge - times * down :, edge - times * right :][:, :, :height, :width]
                for frame, times in ((last, 1), (before, 2))
            )
            found.append((here - earlier).abs().mean(1))
    return torch.stack(found, 1)
