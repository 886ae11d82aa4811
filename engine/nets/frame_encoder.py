"""What the frames before say about each place of the next one: a small convolutional network over all of them at once."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engine.nets.masked import Kernel, ScaledLinear, gate

SIDE = 5  # of the kernels, in pixels: what moves by at most two pixels per frame is followed in every layer


class FrameEncoder(nn.Module):
    """The frames before [B, T, C, H, W] in [0, 1], the oldest first -> maps [B, H, W, M]; zero where there is no frame before.

    All frames lie on each other as channels, so that the first kernels see motion. A frame that is not there holds -1 everywhere; an image
    with none of them gets maps of zeros.
    """

    def __init__(self, frames: int, channels: int, width: int, layers: int) -> None:
        super().__init__()
        self.first = Kernel(frames * (channels + 1), width, (SIDE, SIDE))
        self.near = nn.ModuleList(Kernel(width, width, (SIDE, SIDE), apart=True) for _ in range(layers))
        self.across = nn.ModuleList(ScaledLinear(width, 2 * width) for _ in range(layers))

    def forward(self, past: Tensor) -> Tensor:
        """Frames [B, T, C, H, W] -> maps [B, H, W, M]."""
        there = (past[:, :, :1] >= 0).to(past.dtype)  # [B, T, 1, H, W]: also tells the border from black
        planes = torch.cat([(2 * past - 1) * there, there], 2).flatten(1, 2).permute(0, 2, 3, 1)
        maps = F.silu(self.first(planes, (SIDE // 2, SIDE // 2)))
        for near, across in zip(self.near, self.across, strict=True):
            maps = maps + gate(across(near(maps, (SIDE // 2, SIDE // 2))))  # type: ignore[operator]
        return maps * there.amax((1, 2))[..., None]
