"""What the Views pane asks of pretext tasks: a validation image as a puzzle that a person can try too, and what the method answers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from engine import messages as m
from engine.protocols import FillPuzzle, JigsawPuzzle, Puzzle, RotationPuzzle, provides
from engine.queries.answers import answers
from engine.queries.arrays import array, image_array, image_tensor
from engine.queries.session import CannotAnswer, Model, QuerySession, answer_head
from engine.queries.views import batch_data, image_model
from engine.training.batches import seeded
from engine.transforms.pretext import square

TURNS = 4


@answers(m.PosePuzzle)
def pose_puzzle(session: QuerySession, query: m.PosePuzzle) -> m.PuzzlePosed:
    """Puzzle number `number` of the run: a validation image, turned or shuffled, the right answer and the method's probabilities. Raises:
    CannotAnswer: the method has no puzzle.
    """
    model = image_model(session, query.run, query.step)
    if not provides(model.method, Puzzle):
        raise CannotAnswer(f"{model.method.title} learns from no puzzle; choose a run of rotation, jigsaw or inpainting.")
    kind = model.method.puzzle
    split = batch_data(session, model).splits["valid"]
    generator = model.generator(seeded(model.manifest.seed, query.number))
    index = int(torch.randint(len(split), (), generator=generator))
    original = np.asarray(split.images[index])
    shown: dict[str, Any] = {"original": original, "picture": original}
    if kind == "rotation":
        shown = _turned(model, original, generator)
    elif kind == "jigsaw":
        shown = _shuffled(model, original, generator)
    label = _class_of(session, model, index)
    return m.PuzzlePosed(**answer_head(query, model), number=query.number, kind=kind, index=index, label=label, **shown)


def _turned(model: Model, original: np.ndarray, generator: torch.Generator) -> dict[str, Any]:
    """A square image turned counter-clockwise by a drawn number of quarter turns."""
    method = model.require(RotationPuzzle, "tell turned images apart")
    turns = int(torch.randint(TURNS, (), generator=generator))
    x = square(image_tensor(original[None]))
    picture = torch.rot90(x, turns, (2, 3))
    return {
        "original": image_array(x)[0],
        "picture": image_array(picture)[0],
        "answer": turns,
        "probabilities": array(method.answers(picture)[0]),
    }


def _shuffled(model: Model, original: np.ndarray, generator: torch.Generator) -> dict[str, Any]:
    """An image whose tiles lie in a drawn order."""
    method = model.require(JigsawPuzzle, "tell orders of tiles apart")
    order = torch.randint(len(method.permutations), (1,), generator=generator)
    picture = method.shuffled(image_tensor(original[None]), order, generator)
    return {
        "original": original,
        "picture": image_array(picture)[0],
        "answer": int(order),
        "probabilities": array(method.answers(picture)[0]),
        "permutations": array(method.permutations).astype(np.int64),
        "side": math.isqrt(method.permutations.shape[1]),
    }


def _class_of(session: QuerySession, model: Model, index: int) -> str:
    data = batch_data(session, model)
    labels = data.splits["valid"].labels
    return "" if labels is None or not data.classes else data.classes[int(labels[index])]


@answers(m.FillMask)
def fill_mask(session: QuerySession, query: m.FillMask) -> m.MaskFilled:
    """A validation image with pixels hidden, filled in; root mean square errors there beside those of the visible pixels' mean. Raises:
    CannotAnswer: nothing or everything is hidden.
    """
    model = image_model(session, query.run, query.step)
    images = batch_data(session, model).splits["valid"].images
    original = np.asarray(images[query.index % len(images)])
    if query.hidden.shape != original.shape[1:] or not query.hidden.any() or query.hidden.all():
        height, width = original.shape[1:]
        raise CannotAnswer(f"A part of the {width}×{height} pixels must be hidden, not all and not none; mark some blocks.")
    hidden = torch.from_numpy(np.ascontiguousarray(query.hidden, bool))[None, None]
    filled = image_array(model.require(FillPuzzle, "fill").fill(image_tensor(original[None]), hidden))[0]
    where = np.broadcast_to(query.hidden, original.shape)
    mean = np.where(query.hidden, 0.0, original).sum((1, 2), keepdims=True) / (~query.hidden).sum()
    return m.MaskFilled(
        **answer_head(query, model),
        index=query.index,
        hidden=query.hidden,
        filled=filled,
        error=_root_mean_square((filled.astype(np.float64) - original)[where]),
        plain=_root_mean_square((mean - original)[where]),
    )


def _root_mean_square(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(values))))
