"""The optimizers of a method: one for each group of parameters that the method names, made once: AdamW, SGD or LARS."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from engine.losses.distillation import along_cosine
from engine.method import Method, ParameterGroup

TRUST = 1e-3  # of LARS: the share of a layer's length that a step of rate 1 has (You et al. 2017, section 5)
KEEPS = {
    "adamw": frozenset({"step", "exp_avg", "exp_avg_sq"}),
    "sgd": frozenset({"momentum_buffer"}),
    "lars": frozenset({"momentum_buffer"}),
}


@dataclass(frozen=True)
class GroupOptimizer:
    """The optimizer of one group of parameters."""

    parameters: tuple[nn.Parameter, ...]
    algorithm: torch.optim.Optimizer
    peak: float  # learning rate at its highest
    clip: float  # longest gradient; 0: any
    decay: tuple[float, float]  # weight decay at the start and at the end
    keeps: frozenset[str]  # names of the tensors that it keeps of every parameter
    rate_setting: str = "learning_rate"  # the setting that `peak` is

    def prepare(self, rate: float, progress: float) -> None:
        """Set the learning rate of the next step, and the weight decay at this progress of the training, of 0 to 1."""
        decay = along_cosine(*self.decay, progress)
        for group in self.algorithm.param_groups:
            group["lr"] = rate
            if group["decays"]:
                group["weight_decay"] = decay


class LARS(torch.optim.Optimizer):
    """SGD with momentum whose step of a matrix is scaled to ‖w‖ / ‖g + λ w‖ (You, Gitman and Ginsburg 2017, eq. 6).

    Biases and norms, whose group does not decay, take plain steps (Goyal et al. 2017; as in SimCLR's code).
    """

    def __init__(self, parameters: Any, lr: float, momentum: float = 0.9, trust: float = TRUST) -> None:
        super().__init__(parameters, {"lr": lr, "momentum": momentum, "trust": trust, "weight_decay": 0.0, "decays": False})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Move every parameter that has a gradient."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                update = parameter.grad.add(parameter, alpha=group["weight_decay"])
                if group["decays"]:
                    length, slope = parameter.norm(), update.norm()
                    known = (length > 0) & (slope > 0)  # no number leaves the device
                    update = update * torch.where(known, group["trust"] * length / slope.clamp(min=1e-30), torch.ones_like(length))
                state = self.state[parameter]
                if "momentum_buffer" not in state:
                    state["momentum_buffer"] = torch.zeros_like(parameter)
                state["momentum_buffer"].mul_(group["momentum"]).add_(update)
                parameter.sub_(group["lr"] * state["momentum_buffer"])


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
    """The optimizer that the settings name, whose decay spares biases and norms: all parameters of one dimension.

    The group's β1 is the momentum of SGD and LARS: 0.9 unless the method says otherwise.
    """
    peak = config.learning_rate if group.learning_rate is None else group.learning_rate
    decay = config.weight_decay if group.weight_decay is None else group.weight_decay
    last = decay if config.final_weight_decay < 0 or group.weight_decay is not None else config.final_weight_decay
    parts: list[dict[str, Any]] = [
        {"params": [p for p in group.parameters if p.ndim > 1], "weight_decay": decay, "decays": True},
        {"params": [p for p in group.parameters if p.ndim <= 1], "weight_decay": 0.0, "decays": False},
    ]
    parts = [part for part in parts if part["params"]]
    fused = device == "cpu" or device.startswith("cuda")
    algorithm: torch.optim.Optimizer
    if config.optimizer == "lars":
        algorithm = LARS(parts, lr=peak, momentum=group.betas[0])
    elif config.optimizer == "sgd":
        algorithm = torch.optim.SGD(parts, lr=peak, momentum=group.betas[0])  # its fused form fails where a gradient begins late
    else:
        algorithm = torch.optim.AdamW(parts, lr=peak, betas=group.betas, fused=fused)
    clip = config.clip if group.clip is None else group.clip
    return GroupOptimizer(tuple(group.parameters), algorithm, peak, clip, (decay, last), KEEPS[config.optimizer], group.rate_setting)


def state_of(optimizers: Iterable[GroupOptimizer], method: Method) -> dict[str, Tensor]:
    """The tensors [...] of all optimizers, by `<key>/<parameter>`: no parameter is in two of them."""
    tensors: dict[str, Tensor] = {}
    names = {parameter: name for name, parameter in method.named_parameters()}
    for one in optimizers:
        for parameter in one.parameters:
            tensors |= {
                f"{key}/{names[parameter]}": value for key, value in one.algorithm.state.get(parameter, {}).items() if value is not None
            }
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
    names = {parameter: name for name, parameter in method.named_parameters()}
    for one in optimizers:
        for parameter in one.parameters:
            if not (state := by_parameter.get(names[parameter])):
                continue
            if not one.keeps <= state.keys():
                raise ValueError(f"a part of the optimizer's state of {names[parameter]} is missing")
            one.algorithm.state[parameter] = {key: state[key] for key in one.keeps}
