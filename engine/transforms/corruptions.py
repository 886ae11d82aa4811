"""One picture made ever stranger, evenly from 0 (as it is) to 1."""

from __future__ import annotations

import numpy as np

KINDS = ("blur", "noise", "brightness", "rotation")


class BadCorruption(ValueError):
    """One sentence that names the kinds there are."""


def corrupt(image: np.ndarray, kind: str, strength: float, seed: int = 0) -> np.ndarray:
    """The image [C, H, W], uint8, corrupted with a strength from 0 to 1; at 0 it is the image itself. Raises: BadCorruption: an unknown
    kind.

    blur: Gaussian, up to an eighth of the shorter side. noise: Gaussian, up to a standard deviation of half the range; one seed
    is one noise, which only grows. brightness: towards white, 80 % of the way at most. rotation: up to half a turn about the
    centre; corners are filled with the median of the border.
    """
    if kind not in KINDS:
        raise BadCorruption(f"There is no corruption “{kind}”; there are: {', '.join(KINDS)}.")
    if strength <= 0:
        return image.copy()
    if kind == "noise":
        noise = np.random.default_rng(seed).normal(0, 127.5, image.shape)
        return _bytes(image + strength * noise)
    if kind == "brightness":
        return _bytes(image + 0.8 * strength * (255.0 - image))
    return np.stack([_through_pillow(channel, kind, strength) for channel in image])


def _through_pillow(channel: np.ndarray, kind: str, strength: float) -> np.ndarray:
    from PIL import Image, ImageFilter

    picture = Image.fromarray(channel)
    if kind == "blur":
        return np.asarray(picture.filter(ImageFilter.GaussianBlur(strength * min(channel.shape) / 8)))
    border = np.concatenate([channel[0], channel[-1], channel[:, 0], channel[:, -1]])
    return np.asarray(picture.rotate(180 * strength, Image.Resampling.BICUBIC, fillcolor=int(np.median(border))))


def _bytes(values: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)
