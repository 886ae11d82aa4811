"""Initial weights from a generator of one's own, so that no global random state is ever touched."""

from __future__ import annotations

import math

import torch
from torch import nn


@torch.no_grad()
def initialize(module: nn.Module, generator: torch.Generator) -> None:
    """Fill every parameter and buffer of `module` (PyTorch's own defaults, drawn from `generator`).

    A submodule may define `reset(generator)` to fill what it owns directly (not its children's), or `reset_all(generator)` to fill
    its children too.

    Raises:
        TypeError: a submodule owns tensors that nobody knows how to fill.
    """
    done: set[nn.Module] = set()
    for name, child in module.named_modules():
        if child in done:
            continue
        if hasattr(child, "reset_all"):
            child.reset_all(generator)  # type: ignore[operator]
            done.update(child.modules())
            continue
        own = [*child.parameters(recurse=False), *child.buffers(recurse=False)]
        if not own:
            continue
        if hasattr(child, "reset"):
            child.reset(generator)  # type: ignore[operator]
        elif isinstance(child, (nn.Linear, nn.modules.conv._ConvNd)):
            fan_in = nn.init._calculate_fan_in_and_fan_out(child.weight)[0]
            bound = 1 / math.sqrt(fan_in)
            child.weight.uniform_(-bound, bound, generator=generator)
            if child.bias is not None:
                child.bias.uniform_(-bound, bound, generator=generator)
        elif isinstance(child, nn.Embedding):
            child.weight.normal_(generator=generator)
        elif isinstance(child, (nn.GroupNorm, nn.LayerNorm, nn.modules.batchnorm._BatchNorm)):
            child.reset_parameters()
        else:
            raise TypeError(f"{name or 'the method'} ({type(child).__name__}) needs a reset(generator) for its own tensors")
