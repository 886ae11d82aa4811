"""The generated clips: one grey shape that moves at a constant velocity of whole pixels and bounces off the borders.

So the next frame is the last one moved, pixel by pixel: a model that knows the motion and the borders need spend hardly any bits on it.

Clip i depends on (seed, i) only. An image is a frame of a clip with the four frames before it; all frames of a clip are of one group, so
that no split parts them.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence

import numpy as np

from engine.common.conditions import PAST_FRAMES
from engine.data import shapes
from engine.data.dataset import Part, Source, Step

SIDE = 16  # pixels
FRAMES = 20  # of a clip; the first four are only seen as what comes before
SMALLEST, LARGEST = 2.5, 3.5  # pixels from the centre to the farthest point
EDGE = 0.5  # pixels between a shape and the border, at least, where it bounces
FASTEST = 2  # pixels per frame, either way
DARKEST, BRIGHTEST = 150.0, 255.0  # grey levels of the shapes
BACKGROUND = 24.0
CHUNK = 100  # clips drawn between two steps of progress
_MOTIONS = np.array([(x, y) for x in range(-FASTEST, FASTEST + 1) for y in range(-FASTEST, FASTEST + 1) if x or y], np.float64)
_STREAM = 0x6D6F7665  # added to the seed, so that clip i shares no number with image i of `shapes`


def clips_of(seed: int, index: np.ndarray) -> dict[str, np.ndarray]:
    """The true factors of clips `index` int64 [N], each [N]: shape (0..4), size, angle, brightness (grey level), x and y of the centre
    in the first frame (whole pixels, y downwards), and the velocities vx and vy there (whole pixels per frame).
    """

    def number(stream: int, low: float = 0.0, high: float = 1.0) -> np.ndarray:
        return low + shapes.uniform(seed + _STREAM, index, stream) * (high - low)

    kind = (number(0) * len(shapes.KINDS)).astype(np.int64)
    size = number(2, SMALLEST, LARGEST)
    low, span = _room(size)
    motion = _MOTIONS[(number(6) * len(_MOTIONS)).astype(np.int64)]  # [N, 2]
    return {
        "shape": kind,
        "size": size,
        "angle": number(5) * np.array([shapes.TURNS[name] for name in shapes.KINDS])[kind],
        "brightness": number(1, DARKEST, BRIGHTEST),
        "x": low + np.floor(number(3) * (span + 1)),
        "y": low + np.floor(number(4) * (span + 1)),
        "vx": motion[:, 0],
        "vy": motion[:, 1],
    }


def _room(size: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The least whole coordinate that the centre of a shape of this size can have, and how many pixels it can move from there."""
    low = np.ceil(size + EDGE)
    return low, SIDE - 2 * low


def moved(clips: dict[str, np.ndarray], time: np.ndarray) -> dict[str, np.ndarray]:
    """The factors [N, T] at frames `time` [T] of clips [N]: the centre goes straight on and is reflected at both borders, where the
    velocity is already that of the way back.
    """
    factors = {name: np.broadcast_to(values[:, None], (len(values), len(time))).copy() for name, values in clips.items()}
    low, span = (values[:, None] for values in _room(clips["size"]))
    for place, velocity in (("x", "vx"), ("y", "vy")):
        straight = (factors[place] + factors[velocity] * time - low) % (2 * span)  # there and back is one period
        back = straight > span
        factors[place] = low + np.where(back, 2 * span - straight, straight)
        turned = np.where(back, -factors[velocity], factors[velocity])
        speed = np.abs(turned)
        factors[velocity] = np.where(straight == 0, speed, np.where(straight == span, -speed, turned))
    return factors


def draw(factors: dict[str, np.ndarray]) -> np.ndarray:
    """Frames uint8 [N, 1, 16, 16] of factors [N]."""
    share = shapes.coverage(factors, SIDE)
    bright = factors["brightness"].astype(np.float32)[:, None, None]
    return np.rint(BACKGROUND + share * (bright - BACKGROUND)).astype(np.uint8)[:, None]


def read(count: int, seed: int = 0) -> Generator[Step, None, Source]:
    """`count` clips as a source whose images are their frames from the fifth on, with the four before each."""
    later = FRAMES - PAST_FRAMES
    images = np.empty((count, later, 1, SIDE, SIDE), np.uint8)
    before = np.empty((count, later, PAST_FRAMES, 1, SIDE, SIDE), np.uint8)
    factors = moved(clips_of(seed, np.arange(count)), np.arange(FRAMES))
    for start in range(0, count, CHUNK):
        part = slice(start, start + CHUNK)
        frames = draw({name: values[part].reshape(-1) for name, values in factors.items()}).reshape(-1, FRAMES, 1, SIDE, SIDE)
        images[part] = frames[:, PAST_FRAMES:]
        for place in range(PAST_FRAMES):
            before[part, :, place] = frames[:, place : place + later]
        yield Step(min(start + CHUNK, count), count, "clip")
    flat = {name: values[:, PAST_FRAMES:].reshape(-1) for name, values in factors.items()}
    groups = np.repeat(np.arange(count), later)
    part = Part(images.reshape(-1, 1, SIDE, SIDE), flat["shape"], FrameNames(count), groups, before.reshape(-1, PAST_FRAMES, 1, SIDE, SIDE))
    note = (
        f"{count:,} clips of {FRAMES} frames were drawn by the program. Each image is a frame with the four before it, so a clip’s first "
        "four are no images of their own. A clip lies whole in one split. x, y and size are in pixels, vx and vy in pixels per frame."
    )
    return Source("moving-shapes", {"all": part}, shapes.KINDS, notes=[note], factors=flat)


class FrameNames(Sequence[str]):
    """“clip 17, frame 5”, made when asked for; frames count from 1."""

    def __init__(self, clips: int) -> None:
        self.clips = clips

    def __len__(self) -> int:
        return self.clips * (FRAMES - PAST_FRAMES)

    def __getitem__(self, place):  # type: ignore[no-untyped-def, override]
        if isinstance(place, slice):
            return [self[one] for one in range(*place.indices(len(self)))]
        clip, frame = divmod(range(len(self))[place], FRAMES - PAST_FRAMES)
        return f"clip {clip + 1}, frame {PAST_FRAMES + frame + 1}"
