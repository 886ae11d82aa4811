"""Random numbers of a test: always from a generator of its own."""

from __future__ import annotations

import torch


def seeded(seed: int = 0) -> torch.Generator:
    """A generator that begins at `seed`; no global state is touched."""
    return torch.Generator().manual_seed(seed)
