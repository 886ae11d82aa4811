"""One picture of any size, and the one and only way it becomes what a network sees."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial

import numpy as np

from engine.data.dataset import BadData
from engine.data.limits import LARGEST_SIDE, SMALLEST_SIDE, USUAL_SIDE
from engine.data.preprocessing import GROUNDS, Preprocessing

ENCODER_SECONDS, PIXEL_SECONDS = 3.5, 17.0  # of one core for 1,000 images of 64×64: SimCLR, VAE


@dataclass(frozen=True, eq=False)
class Picture:
    """A decoded picture and what was done to it on the way."""

    pixels: np.ndarray  # uint8 [H, W, 1] grey or [H, W, 3] colour
    notes: tuple[str, ...] = ()
    how: Preprocessing = field(default_factory=Preprocessing)  # by which it was decoded; its fit holds for what a network sees

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W), as the networks count."""
        height, width, channels = self.pixels.shape
        return channels, height, width


def picture_from_array(pixels: np.ndarray) -> Picture:
    """A picture from uint8 [H, W], [H, W, 1] or [H, W, 3].

    Raises:
        BadData: the array is nothing of the kind.
    """
    if pixels.ndim == 2:
        pixels = pixels[:, :, None]
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] not in (1, 3) or 0 in pixels.shape:
        raise BadData(f"An array of {pixels.dtype} {list(pixels.shape)} is no picture; it must be uint8 [H, W], [H, W, 1] or [H, W, 3].")
    return Picture(pixels)


def adapt(picture: Picture, shape: tuple[int, ...]) -> tuple[np.ndarray, tuple[str, ...]]:
    """The picture as a network of `shape` (C, H, W) sees it, uint8 [C, H, W], with what was done in words.

    The largest centred part with the target's proportions is cut out and scaled by Pillow's antialiased bicubic filter, or the whole
    picture by the other fits.
    Colour becomes grey by ITU-R 601 luma, grey becomes colour by repeating the channel.
    """
    channels, height, width = shape
    pixels = picture.pixels
    notes = []
    if pixels.shape[:2] != (height, width):
        resized = {"crop": _resized, "squeeze": _squeezed, "letterbox": partial(_letterboxed, ground=GROUNDS[picture.how.pad])}
        pixels, how = resized[picture.how.fit](pixels, height, width)
        notes.append(how)
    if pixels.shape[2] != channels:
        if channels == 1:
            weights = np.array([19595, 38470, 7471], np.uint32)  # 0.299, 0.587, 0.114 of 65536
            pixels = ((pixels.astype(np.uint32) @ weights + 32768) >> 16).astype(np.uint8)[:, :, None]
            notes.append("Colour was turned into grey.")
        else:
            pixels = np.repeat(pixels, 3, axis=2)
            notes.append("Grey was repeated in red, green and blue.")
    return np.ascontiguousarray(pixels.transpose(2, 0, 1)), tuple(notes)


def notes_of_cost(shape: tuple[int, ...], images: int) -> list[str]:
    """What images that are larger than usual cost, in memory and (measured on one core, in round numbers) in time."""
    side = max(shape[1:], default=0)
    if side <= USUAL_SIDE:
        return []
    each = int(np.prod(shape))
    area = (side / USUAL_SIDE) ** 2
    pixels = f"a model of pixels {_round(PIXEL_SECONDS * area)} or more" if side <= 128 else "models of pixels do not take them"
    return [
        f"Each image takes {each / 1024:,.0f} KB and all of them {images * each / 2**20:,.0f} MB of memory or of the cache on the disk. "
        f"To train on 1,000 of them once takes one core about {_round(ENCODER_SECONDS * area)} seconds for an encoder; {pixels}."
    ]


def _round(seconds: float) -> str:
    digits = 10 ** max(0, int(np.log10(seconds)))
    return f"{round(seconds / digits) * digits:,.0f}"


def _resized(pixels: np.ndarray, height: int, width: int) -> tuple[np.ndarray, str]:
    from PIL import Image

    old_height, old_width, channels = pixels.shape
    cut_width = min(old_width, old_height * width / height)
    cut_height = min(old_height, old_width * height / width)
    left, top = (old_width - cut_width) / 2, (old_height - cut_height) / 2
    box = (left, top, left + cut_width, top + cut_height)
    image = Image.fromarray(pixels[:, :, 0] if channels == 1 else np.ascontiguousarray(pixels))
    small = np.asarray(image.resize((width, height), Image.Resampling.BICUBIC, box=box))
    kept = cut_width * cut_height / (old_width * old_height)
    cut = "" if kept > 0.995 else f" after cutting to the centre ({max(kept, 0.01):.0%} of the picture)"
    return small.reshape(height, width, channels), f"Scaled from {old_width}×{old_height} to {width}×{height} pixels{cut}."


def _squeezed(pixels: np.ndarray, height: int, width: int) -> tuple[np.ndarray, str]:
    from PIL import Image

    old_height, old_width, channels = pixels.shape
    image = Image.fromarray(pixels[:, :, 0] if channels == 1 else np.ascontiguousarray(pixels))
    small = np.asarray(image.resize((width, height), Image.Resampling.BICUBIC))
    return small.reshape(height, width, channels), f"Scaled from {old_width}×{old_height} to {width}×{height} pixels, squeezed."


def _letterboxed(pixels: np.ndarray, height: int, width: int, ground: int) -> tuple[np.ndarray, str]:
    old_height, old_width, channels = pixels.shape
    scale = min(width / old_width, height / old_height)
    new_width, new_height = max(1, round(old_width * scale)), max(1, round(old_height * scale))
    small, _ = _squeezed(pixels, new_height, new_width)
    whole = np.full((height, width, channels), ground, np.uint8)
    top, left = (height - new_height) // 2, (width - new_width) // 2
    whole[top : top + new_height, left : left + new_width] = small
    return whole, f"Scaled from {old_width}×{old_height} to {new_width}×{new_height} pixels, whole, within {width}×{height}."


def network_shape(shape: tuple[int, ...], size: int | None = None, colour: str | None = None) -> tuple[int, int, int]:
    """The (C, H, W) that images of `shape` are trained at: as they are when networks take them, else a square.

    The square's side is the shorter side of the images, at most 64, rounded down to a multiple of 4 that networks like.

    Raises:
        BadData: an explicit size that no network takes.
    """
    channels, height, width = shape
    if colour not in (None, "grey", "colour"):
        raise BadData(f"“{colour}” is no choice of colour; say “grey” or “colour”.")
    if colour is not None:
        channels = 1 if colour == "grey" else 3
    if size is not None:
        if not SMALLEST_SIDE <= size <= LARGEST_SIDE:
            raise BadData(f"Images of {size}×{size} cannot be trained on; choose a size from {SMALLEST_SIDE} to {LARGEST_SIDE} pixels.")
        return channels, size, size
    if min(height, width) >= SMALLEST_SIDE and max(height, width) <= USUAL_SIDE:
        return channels, height, width
    side = min(max(SMALLEST_SIDE, min(height, width)), USUAL_SIDE) // 4 * 4
    return channels, side, side
