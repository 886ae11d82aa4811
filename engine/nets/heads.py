"""Heads that stand on an encoder while it learns."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F


class Head(nn.Module):
    """Two linear layers with a ReLU between them (Chen et al. 2020, section 2.1): [B, F] -> [B, d]."""

    def __init__(self, features: int, hidden: int, to: int) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(features, hidden), nn.Linear(hidden, to)

    def forward(self, h: Tensor) -> Tensor:
        """Two linear layers with a ReLU between, [..., F] -> [..., D]."""
        return self.second(F.relu(self.first(h)))


class NormHead(nn.Module):
    """Linear layers with batch norm and ReLU between them (Grill et al. 2020, section 3.3): [B, F] -> [B, d].

    Args:
        layers: linear ones, at least 2; `hidden` is the width between them.
    """

    def __init__(self, features: int, hidden: int, to: int, layers: int = 2) -> None:
        super().__init__()
        widths = (features, *[hidden] * (layers - 1))
        inner = [nn.Sequential(nn.Linear(a, b, bias=False), nn.BatchNorm1d(b)) for a, b in pairwise(widths)]
        self.inner = nn.ModuleList(inner)
        self.last = nn.Linear(hidden, to)

    def forward(self, h: Tensor) -> Tensor:
        """[B, F] -> [B, d]; in training rows share the batch's statistics."""
        for layer in self.inner:
            h = F.relu(layer(h))
        return self.last(h)
