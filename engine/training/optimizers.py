"""The optimizers of a method: one AdamW for each group of parameters that the method names, made once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from engine.method import Method, ParameterGroup


@dataclass(frozen=True)
class GroupOptimizer:
    """The optimizer of one group of parameters."""

    parameters: tuple[nn.Parameter, ...]
    adamw: torch.optim.Optimizer
    peak: float  # learning rate at its highest
    clip: float  # longest gradient; 0: any


def optimizers_of(method: Method, config: Any, device: str) -> dict[str, GroupOptimizer]:
    """One optimizer for each of `method.optimizers()`, by its name; none where a method has no parameters that learn.

    Raises:
        ValueError: a parameter is in two groups, or a phase names a group that is not there.
    """
    groups = {name: group for name, group in method.optimizers().items() if group.parameters}
    seen = [id(parameter) for group in groups.values() for parameter in group.parameters]
    if len(seen) != len(set(seen)):
        raise ValueError(f"{method.name} gives a parameter to two optimizers.")
    if groups and (lacking := {phase.optimizer for phase in method.phases} - groups.keys()):
        raise ValueError(f"{method.name} has a phase for the optimizer “{min(lacking)}”, which moves no parameter.")
    return {name: _optimizer(group, config, device) for name, group in groups.items()}


def _optimizer(group: ParameterGroup, config: Any, device: str) -> GroupOptimizer:
    """AdamW, whose decay spares biases and norms: all parameters of one dimension."""
    peak = config.learning_rate if group.learning_rate is None else group.learning_rate
    decay = config.weight_decay if group.weight_decay is None else group.weight_decay
    parts = [
        {"params": [p for p in group.parameters if p.ndim > 1], "weight_decay": decay},
        {"params": [p for p in group.parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    fused = device == "cpu" or device.startswith("cuda")
    adamw = torch.optim.AdamW([part for part in parts if part["params"]], lr=peak, betas=group.betas, fused=fused)
    return GroupOptimizer(tuple(group.parameters), adamw, peak, config.clip if group.clip is None else group.clip)


def state_of(optimizers: Iterable[GroupOptimizer], method: Method) -> dict[str, Tensor]:
    """The tensors [...] of all optimizers, by `<key>/<parameter>`: no parameter is in two of them."""
    tensors: dict[str, Tensor] = {}
    names = {parameter: name for name, parameter in method.named_parameters()}
    for one in optimizers:
        for parameter in one.parameters:
            tensors |= {f"{key}/{names[parameter]}": value for key, value in one.adamw.state.get(parameter, {}).items()}
    return tensors


def restore_state(optimizers: Iterable[GroupOptimizer], method: Method, tensors: dict[str, Tensor], device: str) -> None:
    """Put back the tensors [...] that `state_of` returned. Raises: ValueError: they are of other parameters; which one."""
    by_parameter: dict[str, dict[str, Tensor]] = {}
    shapes = {name: parameter.shape for name, parameter in method.named_parameters()}
    for place, value in tensors.items():
        key, _, name = place.partition("/")
        if name not in shapes or value.shape != (torch.Size() if key == "step" else shapes[name]) or not value.is_floating_point():
            raise ValueError(f"optimizer/{place} is of no parameter of this method")
        by_parameter.setdefault(name, {})[key] = value.to(device)
    if lacking := [name for name, state in by_parameter.items() if not {"step", "exp_avg", "exp_avg_sq"} <= state.keys()]:
        raise ValueError(f"a part of the optimizer's state of {lacking[0]} is missing")
    names = {parameter: name for name, parameter in method.named_parameters()}
    for one in optimizers:
        for parameter in one.parameters:
            if state := by_parameter.get(names[parameter]):
                one.adamw.state[parameter] = state
