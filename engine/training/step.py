"""One step of the optimizers, eagerly: in phases, in micro-batches where the batch is too large for the memory.

What is here: gradients, clipping, optimizers, running out of memory. What is not: which batch, the averaged weights (trainer).
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator
from dataclasses import replace

import torch
from torch import Tensor

from engine import device as devices
from engine import precision as precisions
from engine.method import CannotLearn, FullBatch, Method, Phase, StepContext, cuts
from engine.protocols import provides
from engine.training.batches import as_input
from engine.training.optimizers import GroupOptimizer
from engine.training.plan import TrainingFailed

HALVINGS = 3


class EagerStep:
    """Moves a method's parameters by one batch. `micro_batch_size` is how many examples the network is given at once."""

    def __init__(
        self, method: Method, optimizers: dict[str, GroupOptimizer], device: str, precision: str, batch: int, micro_batch_size: int
    ) -> None:
        self.method, self.optimizers = method, optimizers
        self.device, self.precision = device, precision
        self.batch, self.micro_batch_size = batch, micro_batch_size

    def take(self, examples: Tensor, labels: Tensor | None, context: StepContext, rate: Callable[[float], float]) -> dict[str, Tensor]:
        """Loss terms of a batch (scalars on the device), after every phase has moved its own parameters.

        examples: uint8 [B, C, H, W] or int64 [B, T]; labels: int64 [B]; context: its indices are the batch's; `rate` makes a learning
        rate at its highest that of this step.

        Raises:
            TrainingFailed: not even a small piece of the batch fits the memory.
            CannotLearn: a single image, by a network that normalizes over the batch.
        """
        if not self.optimizers:
            return self._learned(examples, labels, context)
        terms: dict[str, Tensor] = {}
        for phase in self.method.phases:
            terms |= self._descended(phase, examples, labels, replace(context, phase=phase.term), rate)
        return terms

    @torch.no_grad()
    def _learned(self, examples: Tensor, labels: Tensor | None, context: StepContext) -> dict[str, Tensor]:
        """A step of a method that learns without gradients."""
        assert provides(self.method, FullBatch), "what has no optimizers learns without gradients"
        return self.method.fit_step(as_input(examples), labels, context)

    def _descended(
        self, phase: Phase, examples: Tensor, labels: Tensor | None, context: StepContext, rate: Callable[[float], float]
    ) -> dict[str, Tensor]:
        """A step of one optimizer down the gradient of one term."""
        noise = _noise_of(context)
        before = noise.get_state()
        smallest = max(1, self.micro_batch_size // 2**HALVINGS)
        while (terms := self.gradients(phase, examples, labels, context)) is None:
            if self.micro_batch_size <= smallest:
                raise TrainingFailed(
                    f"There is not enough memory on {devices.describe(self.device)} even for pieces of {self.micro_batch_size} images; "
                    "lower batch_size or the width of the network, then start again."
                )
            self._make_smaller()
            noise.set_state(before)
        optimizer = self.optimizers[phase.optimizer]
        optimizer.prepare(rate(optimizer.peak), context.progress)
        norm = torch.nn.utils.clip_grad_norm_(optimizer.parameters, optimizer.clip or math.inf)
        terms["gradient norm" if len(self.method.phases) == 1 else f"gradient norm of {phase.term}"] = norm
        optimizer.algorithm.step()
        return terms

    def gradients(self, phase: Phase, examples: Tensor, labels: Tensor | None, context: StepContext) -> dict[str, Tensor] | None:
        """Terms averaged over the batch, with the gradients of all of it left in the phase's parameters; None when memory ran out.
        examples [B, ...], labels int64 [B] -> scalars [].
        """
        self.method.zero_grad(set_to_none=True)
        total: dict[str, Tensor] = {}
        try:
            if self.micro_batch_size < len(examples) and cuts(self.method):
                total = self._cached(phase, examples, context)
            else:
                total = self._accumulated(phase, examples, labels, context)
        except (RuntimeError, MemoryError) as error:
            if not devices.out_of_memory(error):
                raise
            total = {}
        return total or None  # outside of `except`: the traceback would keep the tensors alive

    def _accumulated(self, phase: Phase, examples: Tensor, labels: Tensor | None, context: StepContext) -> dict[str, Tensor]:
        """The mean over the micro-batches' losses (gradient accumulation)."""
        total: dict[str, Tensor] = {}
        indices = context.indices
        start = 0
        for length in piece_lengths(len(examples), self.micro_batch_size):
            piece = slice(start, start := start + length)
            x = as_input(examples[piece])
            share = len(x) / len(examples)
            y = None if labels is None else labels[piece]
            with precisions.autocast(self.precision, self.device), _single_image_said_plainly(length):
                terms = self.method.loss(x, y, replace(context, indices=None if indices is None else indices[piece]))
            self._backward(phase, terms[phase.term] * share)
            for name, value in terms.items():
                total[name] = total.get(name, 0) + value.detach() * share
        return total

    def _backward(self, phase: Phase, loss: Tensor, gradient: Tensor | None = None) -> None:
        """Gradients of a phase's loss with respect to its own parameters only."""
        if len(self.optimizers) == 1:
            loss.backward(gradient)
        else:
            loss.backward(gradient, inputs=self.optimizers[phase.optimizer].parameters)

    def _cached(self, phase: Phase, examples: Tensor, context: StepContext) -> dict[str, Tensor]:
        """Gradients of a loss over the whole batch with one piece's activations in memory at a time (Gao et al. 2021, GradCache).

        First all projections without gradients, then the loss and its gradient with respect to them, then each piece once more,
        with the same noise, and on from there. Exact where the network has no batch statistics; where it has, they are each piece's own,
        and both passes move the running ones.
        """
        method = self.method
        assert cuts(method), "its loss comes in two parts"
        context, noise = replace(context, indices=None), _noise_of(context)
        lengths = piece_lengths(len(examples), self.micro_batch_size)
        pieces = examples.split(lengths)
        noises, projections = [], []
        with torch.no_grad(), precisions.autocast(self.precision, self.device):
            for piece in pieces:
                noises.append(noise.get_state())
                with _single_image_said_plainly(len(piece)):
                    projections.append(method.project(as_input(piece), context))
        z = torch.cat(projections).requires_grad_()
        terms: dict[str, Tensor] = method.contrast(z, context)
        terms[phase.term].backward()
        assert z.grad is not None
        for piece, state, gradient in zip(pieces, noises, z.grad.split(lengths), strict=True):
            noise.set_state(state)
            with precisions.autocast(self.precision, self.device):
                again = method.project(as_input(piece), context)
            self._backward(phase, again, gradient)
        return {name: value.detach() for name, value in terms.items()}

    def _make_smaller(self) -> None:
        """Memory ran out: half as many examples at once from now on.

        `forget_batch` undoes what the losses of this attempt changed in the method besides gradients. With several phases it is asked
        for in the one that ran out; the steps that earlier phases have taken with this batch stay.

        Raises:
            TrainingFailed: the loss needs them all.
        """
        if not self.method.batch_splits and not cuts(self.method):
            raise TrainingFailed(
                f"There is not enough memory on {devices.describe(self.device)} for a batch of {self.batch}, which this method cannot take "
                "in pieces; lower batch_size, then start again."
            )
        self.method.zero_grad(set_to_none=True)
        self.method.forget_batch()
        devices.release(self.device)
        self.micro_batch_size = max(1, self.micro_batch_size // 2)


def piece_lengths(count: int, most: int) -> list[int]:
    """As few pieces of `count` examples as there can be with at most `most` in each, as even as can be: no small rest."""
    pieces = -(-count // most)
    return [count // pieces + (place < count % pieces) for place in range(pieces)]


@contextlib.contextmanager
def _single_image_said_plainly(count: int) -> Iterator[None]:
    """Raises: CannotLearn where a network with batch norm was given one image, whose features have no variance over a batch."""
    try:
        yield
    except ValueError as error:
        if count > 1 or "more than 1 value per channel" not in str(error):
            raise
        raise CannotLearn(
            "This network normalizes features by their variance over a batch, and a single image has none; "
            "raise batch_size (and micro_batch_size), and train on at least two images."
        ) from error


def _noise_of(context: StepContext) -> torch.Generator:
    assert context.generator is not None, "a training step has noise of its own"
    return context.generator
