"""Random numbers of a test: always from a generator of its own."""

from __future__ import annotations

import torch
from torch import Tensor

from engine.losses.likelihoods import sample_generators


def seeded(seed: int = 0) -> torch.Generator:
    """A generator that begins at `seed`; no global state is touched."""
    return torch.Generator().manual_seed(seed)


def first_normals(n: int, size: int, generator: torch.Generator) -> Tensor:
    """The first standard normal numbers that a sampler with this generator draws for each of n samples [n, size]."""
    return torch.stack([torch.randn(size, generator=own) for own in sample_generators(n, generator)])
