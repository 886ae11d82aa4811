"""Where a training's batches come from: images of a split in a fresh order every epoch, or windows of a text.

A place in the data is two numbers (epoch, index), so a training can go on exactly.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from engine import device as devices
from engine.common.pixels import to_float
from engine.common.spacing import evenly
from engine.data import DataSet
from engine.data.captions import vocabulary
from engine.data.dataset import BadData
from engine.data.splits import spread
from engine.data.tokens import encode, symbols_of
from engine.method import DataSpec
from engine.training.conditions import told_of

Batch = tuple[Tensor, Tensor | None]  # images uint8 [B, C, H, W] or tokens int64 [B, T]; what is told of each or its class, if any
WHOLE_NUMBERS = 200_000_000  # at most so many pixel values are taken at once by a method that wants all images
PROBE_EXAMPLES = 256  # held-out examples that a run keeps
PREPARE_IMAGES = 4096  # training examples that a method looks at before its first step
NOISE = -1  # number of the seed that the seeds of all steps' noise come from


def seeded(seed: int, number: int) -> int:
    """A seed of its own for every (seed, number), within what generators take."""
    return (seed * 1_000_003 + number) % 2**63


def noise_seed(seed: int, step: int) -> int:
    """Of the noise of one step, so that the batch of any step can be made again without those before it."""
    return seeded(seeded(seed, NOISE), step)


@dataclass
class Order:
    """Which examples come next: every epoch a fresh permutation of its own seed, so that a place is two numbers."""

    count: int
    batch: int
    seed: int
    epoch: int = 0
    index: int = 0

    def __post_init__(self) -> None:
        self._shuffle()

    def go_to(self, epoch: int, index: int) -> None:
        """Continue at a place of an epoch."""
        self.epoch, self.index = epoch, index
        self._shuffle()

    def _shuffle(self) -> None:
        generator = torch.Generator().manual_seed(seeded(self.seed, self.epoch))
        self.permutation = torch.randperm(self.count, generator=generator)
        self.offset = int(torch.randint(2**31, (), generator=generator))  # of an epoch's windows

    def at(self, step: int) -> Tensor:
        """The indices [B] of the batch after `step` steps; the next one follows it."""
        each = self.count // self.batch  # batches of an epoch
        self.go_to(step // each, step % each * self.batch)
        return self.next()

    def next(self) -> Tensor:
        """The next batch's indices [B]; a last incomplete batch of an epoch is left out."""
        if self.index + self.batch > self.count:
            self.go_to(self.epoch + 1, 0)
        chosen = self.permutation[self.index : self.index + self.batch]
        self.index += self.batch
        return chosen


class ImageBatches:
    """Images of the training split, or a share of them; on the device where they fit."""

    def __init__(self, data: DataSet, batch: int, seed: int, device: str, share: float = 1.0, told: Tensor | None = None) -> None:
        """`told`: of all images of the training split [N, ...]; their classes where None."""
        images, labels = shared(data, share)
        tensor = torch.from_numpy(np.ascontiguousarray(images))  # uint8 [N, C, H, W]; a mapped file stays one
        self.device = device
        self.images = tensor.to(device) if devices.fits(tensor.nbytes, device) else tensor
        if told is None and labels is not None:
            told = torch.from_numpy(np.asarray(labels)).to(device)
        self.told = told
        self.order = Order(len(images), min(batch, len(images)), seed)

    def next(self) -> Batch:
        """The next batch in the shuffled order."""
        return self.take(self.order.next())

    def take(self, chosen: Tensor) -> Batch:
        """The images uint8 [B, C, H, W] and what is told of them, or None, at indices int64 [B] of the split."""
        return self.images[chosen.to(self.images.device)].to(self.device), None if self.told is None else self.told[chosen.to(self.device)]

    def first(self, count: int) -> Tensor:
        """Training images uint8 [n, C, H, W] to look at before the first step: at most `count`, at equal distances over all of them."""
        rows = torch.from_numpy(evenly(len(self.images), count))
        return self.images[rows.to(self.images.device)].to(self.device)

    @staticmethod
    def held_out(data: DataSet, spec: DataSpec, count: int, device: str, condition: str = "") -> Batch:
        """Images of the validation split, `count` of them spread over it."""
        valid = data.splits["valid"]
        rows = spread(valid, count)
        told = told_of(valid, spec, condition, device)
        images = torch.from_numpy(np.ascontiguousarray(valid.images[rows])).to(device)
        return images, None if told is None else told[torch.from_numpy(rows).to(device)]


def first_look(data: DataSet, share: float = 1.0) -> np.ndarray:
    """The training images uint8 [n, C, H, W] that a method looks at before its first step, where it learns from `share` of them."""
    images, _ = shared(data, share)
    return np.ascontiguousarray(images[evenly(len(images), PREPARE_IMAGES)])


def shared(data: DataSet, share: float) -> tuple[np.ndarray, np.ndarray | None]:
    """The training images uint8 [N, C, H, W] and labels [N] or None; or the same share of every class, at least one image, always the
    same ones.
    """
    split = data.splits["train"]
    if share >= 1:
        return split.images, split.labels
    take = max(1, len(data.classes), round(share * len(split.images)))
    rows = spread(split, take)
    return split.images[rows], None if split.labels is None else split.labels[rows]


class TextBatches:
    """Windows of the training part of a text. Every epoch lays them end to end from another beginning, so that each symbol
    stands at every place of a window sooner or later."""

    def __init__(self, tokens: Tensor, context: int, batch: int, seed: int) -> None:
        """tokens: int64 [N], at least one window more than `context`."""
        self.tokens, self.context = tokens, context
        count = (len(tokens) - context) // context
        self.order = Order(count, min(batch, count), seed)

    def next(self) -> Batch:
        """The next batch in the shuffled order."""
        return self.take(self.order.next())

    def take(self, chosen: Tensor) -> Batch:
        """The windows int64 [B, T] at places int64 [B] of this epoch."""
        starts = chosen.to(self.tokens.device) * self.context + self.order.offset % self.context
        return windows(self.tokens, starts, self.context), None

    def first(self, count: int) -> Tensor:
        """Windows [n, T] to look at before the first step: at most `count`, at equal distances over the whole training text."""
        places = torch.from_numpy(evenly(self.order.count, count)).to(self.tokens.device)
        return windows(self.tokens, places * self.context, self.context)


def windows(tokens: Tensor, starts: Tensor, context: int) -> Tensor:
    """[B] beginnings -> [B, context]"""
    return tokens[starts[:, None] + torch.arange(context, device=tokens.device)]


def spread_windows(tokens: np.ndarray, context: int, count: int) -> np.ndarray:
    """At most `count` windows [n, context] spread evenly over a text; fewer where it is short, none where it is shorter than one."""
    most = len(tokens) // context
    if most == 0:
        return np.zeros((0, context), np.int64)
    starts = np.linspace(0, len(tokens) - context, min(count, most)).astype(np.int64)
    return tokens[starts[:, None] + np.arange(context)]


def spec_of(data: DataSet, units: str = "characters", learned: tuple[int, ...] = (), condition: str = "") -> DataSpec:
    """What a network must know of a data set; of its captions where it is told those (`Method.condition`).

    The vocabulary of a text is that of its training and validation parts, or `learned`, where a run has one already.
    """
    if data.kind == "text":
        known = (data.text or b"")[data.spans["train"][0] : data.spans["valid"][1]]
        return DataSpec((), (), "text", learned or symbols_of(known, units), units)
    words = vocabulary(data.splits["train"].names) if condition == "caption" and data.captioned else ()
    return DataSpec(data.shape, data.classes, words=words)


def tokens_of(data: DataSet, split: str, spec: DataSpec) -> np.ndarray:
    """One split of a text as places in the spec's symbols [N], int64; what is not among them is the unknown symbol."""
    return encode(text_of(data, split), spec.symbols, spec.units, strict=False)


def text_of(data: DataSet, split: str) -> bytes:
    """One split of a text."""
    start, end = data.spans[split]
    return (data.text or b"")[start:end]


def batches_of(data: DataSet, spec: DataSpec, config: Any, seed: int, device: str, whole: bool = False) -> ImageBatches | TextBatches:
    """Batches of `config.batch_size` examples; with `full_batch`, all images at once.

    Raises:
        BadData: the text is too short for one window.
    """
    batch: int = WHOLE_NUMBERS // max(1, spec.dims) if whole else config.batch_size
    if data.kind != "text":
        told = config.conditioned_on if spec.words or config.conditioned_on == "frames" else ""
        return ImageBatches(
            data, batch, seed, device, config.label_share, told_of(data.splits["train"], spec, told, device) if told else None
        )
    context: int = config.context  # symbols in a window
    tokens = tokens_of(data, "train", spec)
    if len(tokens) < 2 * context or len(tokens_of(data, "valid", spec)) < context:
        raise BadData(f"{data.name} is too short for windows of {context} {spec.units}; set a smaller context or take a longer text.")
    return TextBatches(torch.from_numpy(tokens).to(device), context, batch, seed)


def held_out(data: DataSet, spec: DataSpec, context: int, count: int, device: str, condition: str = "") -> Batch:
    """Fixed examples of the validation split, for the numbers of a checkpoint, and what is told of them."""
    if data.kind != "text":
        return ImageBatches.held_out(data, spec, count, device, condition)
    return torch.from_numpy(spread_windows(tokens_of(data, "valid", spec), context, count)).to(device), None


def frames_before(data: DataSet, spec: DataSpec, condition: str) -> dict[str, np.ndarray]:
    """Of a method that is told the frames before: those of the first examples that `held_out` gives to be kept, as “before”."""
    if condition != "frames":
        return {}
    _, before = held_out(data, spec, 0, PROBE_EXAMPLES, "cpu", condition)
    assert before is not None
    return {"before": before.numpy()}


def as_input(examples: Tensor) -> Tensor:
    """Examples as a method takes them: uint8 [B, C, H, W] -> float32 in [0, 1]; tokens, int64 [B, T], stay what they are."""
    return to_float(examples) if examples.dtype == torch.uint8 else examples


def mutated(examples: Tensor, share: float, values: int, generator: torch.Generator) -> Tensor:
    """Training examples in which each number is replaced, with probability `share`, by one of `values` at random (Ren et al. 2019).
    examples [...] -> the same shape.

    What is learned from them still knows the plain statistics of the data, but little of what makes an object.
    """
    chance = torch.rand(examples.shape, generator=generator, device=examples.device)
    random = torch.randint(values, examples.shape, generator=generator, device=examples.device, dtype=examples.dtype)
    return torch.where(chance < share, random, examples)
