"""Heads that stand on an encoder while it learns."""

from __future__ import annotations

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
