"""Samples of a run as one PNG: a sheet of images with the recipe inside the file."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, PngImagePlugin

from engine.explore import CannotAnswer, Model
from engine.runs import Run

GAP = 2  # pixels between images


class CannotWrite(OSError):
    """One sentence: which file and why."""


def sample_sheet(
    path: Path, out: Path, n: int, seed: int = 0, temperature: float = 1.0, label: int | None = None, step: int | None = None
) -> int:
    """Draw `n` images and write them to `out`; returns the checkpoint's step.

    Raises:
        CannotAnswer: the method has nothing to sample from, or no classes. BadRun. CannotWrite.
    """
    model = Model(Run.open(path), step)
    method: Any = model.method
    if method.sampling == "none":
        raise CannotAnswer(f"{method.title} has no distribution to draw from; choose a run of a generative method.")
    y = None
    if label is not None:
        if not method.conditional:
            raise CannotAnswer(f"{method.title} is not conditional, so it cannot draw one class; leave out --class.")
        y = torch.full((n,), label)
    with torch.inference_mode():
        *_, images = method.sample(n, y, temperature, model.generator(seed))
    pixels = (images.clamp(0, 1) * 255).round().to(torch.uint8).numpy()
    recipe = {"run": path.name, "step": model.step, "seed": seed, "temperature": temperature, "class": label, "n": n}
    info = PngImagePlugin.PngInfo()
    info.add_text("priorama", json.dumps(recipe))
    try:
        Image.fromarray(sheet(pixels)).save(out, format="PNG", pnginfo=info)
    except OSError as error:
        raise CannotWrite(f"{out} could not be written ({error.strerror or error}); choose another place.") from None
    return model.step


def sheet(images: np.ndarray) -> np.ndarray:
    """uint8 [N, C, H, W] side by side, in rows as square as can be: uint8 [H', W'] or [H', W', 3]."""
    n, c, h, w = images.shape
    columns = math.ceil(math.sqrt(n))
    rows = math.ceil(n / columns)
    canvas = np.full((rows * (h + GAP) - GAP, columns * (w + GAP) - GAP, c), 128, np.uint8)
    for i, image in enumerate(images):
        y, x = (i // columns) * (h + GAP), (i % columns) * (w + GAP)
        canvas[y : y + h, x : x + w] = image.transpose(1, 2, 0)
    return canvas[:, :, 0] if c == 1 else canvas
