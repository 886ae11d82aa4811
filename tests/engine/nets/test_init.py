"""Initial weights come from one generator and nothing else."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from engine.nets.init import initialize


def layers() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 5, 3), nn.GroupNorm(1, 5), nn.ConvTranspose2d(5, 4, 2, groups=1), nn.Linear(9, 7), nn.Embedding(6, 4))


def test_that_the_same_seed_gives_the_same_weights_and_another_seed_others():
    made = [layers() for _ in range(3)]
    before = torch.get_rng_state()
    for module, seed in zip(made, (1, 1, 2), strict=True):
        initialize(module, torch.Generator().manual_seed(seed))
    assert torch.equal(torch.get_rng_state(), before)
    first, again, other = (module.state_dict() for module in made)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["0.weight"], other["0.weight"])


def test_that_weights_have_the_range_of_pytorchs_own_defaults():
    module = nn.Sequential(nn.Linear(50, 400), nn.Conv2d(4, 64, 3), nn.ConvTranspose2d(6, 64, 3))
    initialize(module, torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    for ours, theirs in zip(module, (nn.Linear(50, 400), nn.Conv2d(4, 64, 3), nn.ConvTranspose2d(6, 64, 3)), strict=True):
        assert isinstance(ours, (nn.Linear, nn.Conv2d, nn.ConvTranspose2d))
        assert ours.weight.std().item() == pytest.approx(theirs.weight.std().item(), rel=0.1)
    linear = module[0]
    assert isinstance(linear, nn.Linear)
    assert linear.weight.abs().max().item() == pytest.approx(1 / math.sqrt(50), rel=0.01)


def test_that_tensors_nobody_knows_how_to_fill_are_refused():
    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.value = nn.Parameter(torch.empty(3))

    with pytest.raises(TypeError, match="needs a reset"):
        initialize(nn.Sequential(Own()), torch.Generator())
