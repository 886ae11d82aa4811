"""A network that gives every image one number, smooth in its pixels: convolutions with swish and no norms."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engine.nets.convolution import Conv2d

SMALLEST_MAP = 4  # maps this small are not halved again
WIDENINGS = 2  # halvings that double the channels


class EnergyNet(nn.Module):
    """A 3×3 convolution, 4×4 convolutions of stride 2 until the map is small, two plain layers.

    Swish (Ramachandran et al. 2017), because a Langevin step follows the gradient by the pixels, which ReLU makes jump. No batch norm: an
    image's energy may not depend on the others.
    """

    def __init__(self, shape: tuple[int, ...], width: int) -> None:
        super().__init__()
        channels, rows, columns = shape
        self.stem = Conv2d(channels, width, 3, padding=1)
        downs, have = [], width
        while max(rows, columns) > SMALLEST_MAP:
            wide = width * 2 ** min(len(downs) + 1, WIDENINGS)
            downs.append(Conv2d(have, wide, 4, stride=2, padding=1))
            rows, columns, have = max(1, rows // 2), max(1, columns // 2), wide
        self.downs = nn.ModuleList(downs)
        self.features = 4 * width
        self.plain = nn.Linear(have * rows * columns, self.features)
        self.out = nn.Linear(self.features, 1)

    def encode(self, x: Tensor) -> Tensor:
        """Features [B, F] before the last layer, of images [B, C, H, W] in [0, 1]."""
        h = F.silu(self.stem(2 * x - 1))
        for down in self.downs:
            smallest = (max(0, 2 - h.shape[2]), max(0, 2 - h.shape[3]))  # a side of 1 has nothing to halve
            h = F.silu(down(F.pad(h, (0, smallest[1], 0, smallest[0])) if any(smallest) else h))
        return F.silu(self.plain(h.flatten(1)))

    def forward(self, x: Tensor) -> Tensor:
        """E(x) [B] of images [B, C, H, W]."""
        return self.out(self.encode(x)).squeeze(1)


def pixel_gradient(energy: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    """(E(x) [B], ∂E/∂x [B, C, H, W]), both detached, whatever gradient mode surrounds this; weights gather no gradient."""
    with torch.inference_mode(False), torch.enable_grad():
        x = x.clone().requires_grad_()
        e = energy(x)
        (gradient,) = torch.autograd.grad(e.sum(), x)
    return e.detach(), gradient
