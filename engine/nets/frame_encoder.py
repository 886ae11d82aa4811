"""What the frames before say about each place of the next one: motion, and the last frame moved on by it.

For every place the network says which neighbours of the last frame come there, as weights over a window that sum to one: a dynamic local
filter (Jia et al. 2016, Dynamic Filter Networks, section 3.2; Finn et al. 2016 move whole objects so). Its first guess is the last frame.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engine.nets.masked import Kernel, ScaledLinear, gate

SIDE = 5  # of the kernels and windows, in pixels: what moves by at most two pixels per frame is followed
FILTERS = 2  # windows of each place
STAYS = 4.0  # how much likelier, as a logit, a pixel is at first to stay than to come from a single neighbour


class Windows(nn.Linear):
    """Logits of the windows; at first every pixel stays where it is."""

    def reset(self, generator: torch.Generator) -> None:
        """Set the weights to zero and the biases to 0, of the middles to STAYS."""
        nn.init.zeros_(self.weight)
        with torch.no_grad():
            self.bias.view(-1, SIDE**2).copy_(STAYS * (torch.arange(SIDE**2) == SIDE**2 // 2))


class FrameEncoder(nn.Module):
    """The frames before [B, T, C, H, W] in [0, 1], the oldest first -> maps [B, H, W, M]; zero where there is no frame before.

    All frames lie on each other as channels, so that the first kernels see motion. A frame that is not there holds -1 everywhere; an image
    with none of them gets maps of zeros. The maps are `width` features, and the last frame as each of the filters moves it.
    """

    def __init__(self, frames: int, channels: int, width: int, layers: int) -> None:
        super().__init__()
        self.first = Kernel(frames * (channels + 1), width, (SIDE, SIDE))
        self.near = nn.ModuleList(Kernel(width, width, (SIDE, SIDE), apart=True) for _ in range(layers))
        self.across = nn.ModuleList(ScaledLinear(width, 2 * width) for _ in range(layers))
        self.windows = Windows(width, FILTERS * SIDE**2)

    @staticmethod
    def maps_of(channels: int, width: int) -> int:
        """M."""
        return width + FILTERS * channels

    def forward(self, past: Tensor) -> Tensor:
        """Frames [B, T, C, H, W] -> maps [B, H, W, M]."""
        there = (past[:, :, :1] >= 0).to(past.dtype)  # [B, T, 1, H, W]: also tells the border from black
        values = (2 * past - 1) * there
        planes = torch.cat([values, there], 2).flatten(1, 2).permute(0, 2, 3, 1)
        maps = F.silu(self.first(planes, (SIDE // 2, SIDE // 2)))
        for near, across in zip(self.near, self.across, strict=True):
            maps = maps + gate(across(near(maps, (SIDE // 2, SIDE // 2))))  # type: ignore[operator]
        maps = torch.cat([maps, self.moved(values[:, -1], maps)], -1)
        return maps * there.amax((1, 2))[..., None]

    def moved(self, frame: Tensor, maps: Tensor) -> Tensor:
        """A frame [B, C, H, W] as each filter moves it [B, H, W, F C]: at each place the mean over a window with weights from the maps."""
        weights = self.windows(maps).unflatten(-1, (FILTERS, SIDE**2)).softmax(-1)  # [B, H, W, F, S²]
        edge = SIDE // 2
        around = F.unfold(F.pad(frame, (edge,) * 4, mode="replicate"), SIDE).unflatten(2, frame.shape[2:])  # [B, C S², H, W]
        windows = around.unflatten(1, (-1, SIDE**2)).permute(0, 3, 4, 2, 1)  # [B, H, W, S², C]
        return (weights.to(windows.dtype) @ windows).flatten(3)
