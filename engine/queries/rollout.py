"""Answers with a film that is rolled out: from the first four frames of a held-out clip on, frame after frame, each with its likelihood."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from engine import messages as m
from engine.data import DataSet, Split
from engine.protocols import FramePredictor
from engine.queries.answers import Job, answers
from engine.queries.arrays import image_array, image_tensor
from engine.queries.autoregressive_sampling import draw_symbols, noise_of
from engine.queries.session import CannotAnswer, Model, QuerySession

MOST_FRAMES = 64
SPLIT = "valid"  # whose clips are looked at


@dataclass(frozen=True)
class Clip:
    """A held-out clip: the four frames that are given, and those that truly follow."""

    number: int
    of: int
    name: str  # of the first frame that follows
    before: np.ndarray  # uint8 [4, C, H, W]
    truth: np.ndarray  # uint8 [T, C, H, W]


@dataclass(frozen=True)
class RolledOutFrame:
    """A frame that was drawn given the four before it."""

    image: np.ndarray  # uint8 [C, H, W]
    log_p: float  # nats


def clip_starts(split: Split) -> np.ndarray:
    """The rows int64 [clips] with which the clips of a split begin: where the frames before do not go on with the row above."""
    assert split.before is not None
    before, images = split.before, split.images
    follows = (before[1:, -1] == images[:-1]).all((1, 2, 3)) & (before[1:, :-1] == before[:-1, 1:]).all((1, 2, 3, 4))
    return np.flatnonzero(np.concatenate([[True], ~follows]))


def clip_of(data: DataSet, number: int, frames: int) -> Clip:
    """A held-out clip by its number, counted round, and at most so many of the frames that follow. Raises: CannotAnswer."""
    split = data.splits.get(SPLIT)
    if split is None or split.before is None:
        raise CannotAnswer(f"{data.name} has no clips; choose a run that was trained on “moving-shapes”.")
    starts = clip_starts(split)
    number %= len(starts)
    start = int(starts[number])
    end = int(starts[number + 1]) if number + 1 < len(starts) else len(split)
    return Clip(number, len(starts), split.names[start], split.before[start], split.images[start : min(end, start + frames)])


def predictor_of(model: Model, frames: int) -> FramePredictor:
    """The method, if it draws the next frame. Raises: CannotAnswer: it does not, or not so many."""
    method = model.require(FramePredictor, "say what the next frame of a clip is")
    if not 0 < frames <= MOST_FRAMES:
        raise CannotAnswer(f"{frames} frames cannot be rolled out; choose 1 to {MOST_FRAMES}.")
    return method


def true_log_probs(method: FramePredictor, clip: Clip) -> np.ndarray:
    """log p in nats, float64 [T], of each true frame given the four true ones before it."""
    whole = torch.from_numpy(np.concatenate([clip.before, clip.truth]))
    past = torch.stack([whole[frame : frame + len(clip.before)] for frame in range(len(clip.truth))])
    return method.log_prob(image_tensor(clip.truth), past).double().numpy()


def roll_out(method: FramePredictor, clip: Clip, frames: int, seed: int) -> Iterator[RolledOutFrame | None]:
    """Frames drawn one after the other, None in between wherever it may be interrupted."""
    past = torch.from_numpy(np.array(clip.before))
    for frame in range(frames):
        drawing = draw_symbols(method, 1, noise_of(seed, (frame,), method.length), y=past[None])
        for samples in drawing:
            if samples.place < method.length:
                yield None
        image = image_array(method.to_images(samples.tokens))[0]
        past = torch.cat([past[1:], torch.from_numpy(image)[None]])
        yield RolledOutFrame(image, math.fsum(samples.log_p[0].tolist()))


@answers(m.RollOut)
def rolled_out(session: QuerySession, work: m.RollOut) -> Job:
    """Raises: CannotAnswer: no clips, or a method of single images. BadRun, BadData."""
    model = session.model(work.run, work.step)
    method = predictor_of(model, work.frames)
    data = yield from session.load_run_data(model, work.job)
    clip = clip_of(data, work.clip, work.frames)
    began = (clip.number, clip.of, clip.name, work.frames, clip.before, clip.truth, true_log_probs(method, clip))
    yield m.RolloutBegan(work.job, work.run, model.step, *began)
    frame = 0
    for drawn in roll_out(method, clip, work.frames, work.seed):
        if drawn is None:
            yield None
            continue
        frame += 1
        yield m.FrameRolledOut(work.job, work.run, model.step, frame, work.frames, drawn.image, drawn.log_p, frame == work.frames)
    return ""
