"""Everything that changes while training: networks, averaged weights, optimizers, noise, place in the data; and saving and restoring it."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from torch import Tensor

from engine.data import DataSet
from engine.method import Method, StepContext, build
from engine.training.batches import NOISE, PREPARE_IMAGES, as_input, batches_of, mutated, noise_seed, seeded, spec_of
from engine.training.optimizers import optimizers_of, restore_state, state_of
from engine.training.plan import ResolvedPlan
from engine.training.resume_state import ResumeState
from engine.training.step import EagerStep


class Trainer:
    """The state of one training, and how to take one step."""

    def __init__(self, resolved: ResolvedPlan, data: DataSet) -> None:
        """Raises: BadData: too little of it for one batch."""
        self.plan, kind = resolved.plan, resolved.method
        self.device, self.precision, self.config = resolved.device, resolved.precision, resolved.config
        begun = None if resolved.resumed is None else resolved.resumed.manifest
        self.spec = spec_of(data, self.config.units, () if begun is None else tuple(begun.symbols), self.config.conditioned_on)
        self.context_length: int = self.config.context  # symbols in a window of a text
        self.batches = batches_of(data, self.spec, self.config, self.plan.seed, self.device, kind.full_batch)
        self.order = self.batches.order
        self.batch = self.order.batch
        self.step_number = 0
        self.seconds = 0.0
        self.exact = True  # a resumed training goes on bit for bit
        self.noise = torch.Generator(self.device).manual_seed(seeded(self.plan.seed, NOISE))
        self.method = build(kind, self.config, self.spec, self.plan.seed, self.device)
        with torch.no_grad():
            self.method.init_from_data(as_input(self.batches.first(PREPARE_IMAGES)))
        self.ema = self.method  # the averaged weights, which are shown and scored; the raw ones where no average is wished
        if self.config.ema:
            self.ema = build(kind, self.config, self.spec, self.plan.seed, self.device)
            self.ema.load_state_dict(self.method.state_dict())
            self.ema.requires_grad_(False)
        for one in {self.method, self.ema}:
            one.on_train_start(self.order.count, torch.Generator().manual_seed(seeded(self.plan.seed, NOISE)))
        self.optimizers = optimizers_of(self.method, self.config, self.device)  # what is frozen from the start is in none
        micro_batch_size = min(self.batch, self.config.micro_batch_size or self.method.images_at_once or self.batch)
        self.stepper = EagerStep(self.method, self.optimizers, self.device, self.precision, self.batch, micro_batch_size)
        self._begin_with(resolved)

    def _begin_with(self, resolved: ResolvedPlan) -> None:
        """The weights of the runs that the method builds on, or those that others have trained."""
        for parent in resolved.parents:
            arrays = {name: torch.from_numpy(value.copy()) for name, value in parent.arrays.items()}
            self.method.init_from_run(parent.setting, parent.config, arrays)
        if resolved.pretrained is not None:
            self.method.load_pretrained({name: torch.from_numpy(value) for name, value in resolved.pretrained.arrays.items()})
        if self.ema is not self.method and (resolved.parents or resolved.pretrained is not None):
            self.ema.load_state_dict(self.method.state_dict())

    @property
    def progress(self) -> float:
        """How much of the planned training is behind us, 0 to 1."""
        parts = [0.0]
        if self.plan.steps:
            parts.append(self.step_number / self.plan.steps)
        if self.plan.minutes:
            parts.append(self.seconds / (60 * self.plan.minutes))
        return min(1.0, max(parts))

    @property
    def done(self) -> bool:
        """Whether the training has reached its end."""
        return self.progress >= 1.0 or self.method.finished

    def learning_rate(self, peak: float | None = None) -> float:
        """The learning rate of the next step; of an optimizer with a highest one of its own where `peak` is given."""
        c = self.config
        warm = min(1.0, (self.step_number + 1) / max(1, c.warmup))
        fall = 0.5 * (1 + math.cos(math.pi * self.progress)) if c.schedule == "cosine" else 1.0
        return (c.learning_rate if peak is None else peak) * warm * fall

    def context(self, indices: Tensor | None = None) -> StepContext:
        """What the method is told of the next step. indices: int64 [B], the batch's places in the training split."""
        return StepContext(step=self.step_number, progress=self.progress, generator=self.noise, indices=indices)

    def step(self) -> dict[str, Tensor]:
        """One training step; its terms are scalars [] that stay on the device. Too little memory leads to smaller pieces of the same
        batch.

        Raises:
            TrainingFailed: not even a small piece of the batch fits the memory.
        """
        indices = self.order.next()
        examples, labels = self.batches.take(indices)
        self.noise.manual_seed(noise_seed(self.plan.seed, self.step_number))
        if self.plan.mutation:
            values = 256 if self.spec.kind == "images" else len(self.spec.symbols)
            examples = mutated(examples, self.plan.mutation, values, self.noise)
        terms = self.stepper.take(examples, labels, self.context(indices), self.learning_rate)
        self.step_number += 1
        self.method.after_step(self.context())
        self.update_ema()
        return terms

    @torch.no_grad()
    def update_ema(self) -> None:
        """Move the averaged weights towards the trained ones, faster in the first steps than later; what is frozen is the same in both."""
        if self.ema is self.method:
            return
        decay = min(self.config.ema, self.step_number / (self.step_number + 10))
        for ours, theirs in zip(self.ema.parameters(), self.method.parameters(), strict=True):
            ours.lerp_(theirs, 1 - decay) if theirs.requires_grad else ours.copy_(theirs)
        for ours, theirs in zip(self.ema.buffers(), self.method.buffers(), strict=True):
            ours.copy_(theirs)

    # -- saving and restoring ------------------------------------------------------------------------------------------

    def ema_arrays(self) -> dict[str, np.ndarray]:
        """The averaged weights [...] by their names."""
        return {name: _array(value) for name, value in self.ema.state_dict().items()}

    def resume_arrays(self) -> dict[str, np.ndarray]:
        """The trained weights, the buffers that only training needs, the optimizers' states and the noise's [...], by names with a
        prefix.
        """
        arrays = {f"weights/{name}": _array(value) for name, value in self.method.state_dict().items()}
        for name in self.method.training_only_buffers:
            arrays[f"working/{name}"] = _array(self.method.get_buffer(name))
        for name, value in state_of(self.optimizers.values(), self.method).items():
            arrays[f"optimizer/{name}"] = _array(value)
        arrays["random/noise"] = self.noise.get_state().cpu().numpy().copy()
        return arrays

    def numbers(self) -> dict[str, Any]:
        """What a resumable checkpoint must know besides tensors."""
        order = {"epoch": self.order.epoch, "index": self.order.index}
        micro = self.stepper.micro_batch_size
        return {"step": self.step_number, "seconds": self.seconds, "micro": micro, "order": order, "plan": asdict(self.plan)}

    def restore(self, ema: dict[str, np.ndarray], resume: dict[str, np.ndarray], numbers: ResumeState) -> None:
        """Put back the arrays [...] of a checkpoint that `ema_arrays`, `resume_arrays` and `numbers` returned.

        Raises:
            ValueError: they are not of this training; one clause.
        """
        tensors = {name: torch.from_numpy(value.copy()) for name, value in resume.items()}
        working = {name: self.method.get_buffer(name) for name in self.method.training_only_buffers}
        _require("weights/", _expected(self.method, _under("weights/", tensors)), _under("weights/", tensors))
        _require("working/", working, _under("working/", tensors))
        if "random/noise" not in tensors:
            raise ValueError("there is no random/noise")
        if numbers.order.index > self.order.count:
            raise ValueError(f"its place in the data, {numbers.order.index:,}, is beyond their {self.order.count:,} examples")
        self.method.load_state_dict(_under("weights/", tensors))
        if self.ema is not self.method:
            averaged = {name: torch.from_numpy(value.copy()) for name, value in ema.items()}
            _require("", _expected(self.ema, averaged), averaged)
            self.ema.load_state_dict(averaged)
        for name in working:
            for one in {self.method, self.ema}:
                one.get_buffer(name).copy_(tensors[f"working/{name}"])
        restore_state(self.optimizers.values(), self.method, _under("optimizer/", tensors), self.device)
        self.step_number, self.seconds = numbers.step, numbers.seconds
        self.stepper.micro_batch_size = min(self.batch, numbers.micro)
        state = tensors["random/noise"]
        ours = self.noise.get_state()
        self.exact = state.shape == ours.shape and state.dtype == ours.dtype
        if self.exact:
            try:
                self.noise.set_state(state)
            except RuntimeError:
                raise ValueError("random/noise is no state of a random generator") from None
        else:  # written on another kind of device, whose generator is another one
            self.noise.manual_seed(seeded(self.plan.seed, self.step_number))
        self.order.go_to(numbers.order.epoch, numbers.order.index)


def _expected(method: Method, given: dict[str, Tensor]) -> dict[str, Tensor]:
    """What a checkpoint must hold: all but what it may lack, as it was measured anew."""
    return {name: value for name, value in method.state_dict().items() if name in given or name not in method.measured_buffers}


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _require(prefix: str, ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> None:
    """Raises: ValueError: a tensor [...] lacks, has another shape or is of another kind; which one."""
    if lacking := sorted(ours.keys() ^ theirs.keys()):
        raise ValueError(f"{prefix}{lacking[0]} is {'missing' if lacking[0] in ours else 'not of this method'}")
    for name, value in ours.items():
        if value.shape != theirs[name].shape or value.is_floating_point() != theirs[name].is_floating_point():
            raise ValueError(f"{prefix}{name} is {tuple(theirs[name].shape)}, not {tuple(value.shape)}")


def _array(value: Tensor) -> np.ndarray:
    return value.detach().cpu().numpy().copy()
