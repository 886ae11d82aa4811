"""Samples of a run as one file: a sheet of images as PNG with the recipe inside, or texts one below the other."""

from __future__ import annotations

import io
import json
import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image, PngImagePlugin

from engine.common.pixels import to_uint8
from engine.data.tokens import decode, encode
from engine.method import Method
from engine.protocols import ObservationSampler, Sampler, SymbolSequence, provides
from engine.queries.sampling import drawn_frames
from engine.queries.session import CannotAnswer, Model
from engine.storage.atomic_io import write_file
from engine.storage.run_reader import Run

GAP = 2  # pixels between images
PICTURES = (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".webp", ".tif", ".tiff")
TEXTS = (".txt", ".md", ".csv", ".json", ".html")


class CannotWrite(OSError):
    """One sentence: which file and why."""


class WrittenSamples(NamedTuple):
    """What `sample_file` wrote."""

    step: int
    what: str  # in words
    step_rule: str  # by which that checkpoint was taken
    decode: str  # "mean" of p(x|z) or "sample" of it; "" where there is no such choice


def sample_file(
    path: Path,
    out: Path,
    n: int,
    seed: int = 0,
    temperature: float = 1.0,
    label: int | None = None,
    step: int | None = None,
    prompt: str = "",
    decode: str | None = None,
) -> WrittenSamples:
    """Draw `n` samples and write them to `out`: images as one PNG, texts (each as long as the context) as text.

    `decode`: as `decoding` takes it.

    Raises:
        CannotAnswer: the method has nothing to sample from, no such class or choice, or is of the other kind. BadRun. CannotWrite.
        BadData: the prompt has a character that the model does not know.
    """
    model = Model(Run.open(path), step)
    method = model.method
    if not provides(method, Sampler):
        raise CannotAnswer(f"{method.title} has no distribution to draw from; choose a run of a generative method.")
    decode = decoding(method, decode)
    y = None if label is None else torch.full((n,), _checked_class(method, label))
    recipe = {"run": path.name, "step": model.step, "seed": seed, "temperature": temperature, "class": label, "n": n}
    if method.accepts == "text":
        if out.suffix.lower() in PICTURES:
            raise CannotAnswer(f"{method.title} writes text, and {out.name} would be a picture; name a file such as sample.txt.")
        _write(out, _texts(model, n, seed, temperature, prompt).encode("utf-8"))
        return WrittenSamples(model.step, "text" if n == 1 else "texts", model.step_rule, "")
    if prompt:
        raise CannotAnswer(f"{method.title} draws images, which no text can begin; leave out --prompt.")
    if out.suffix.lower() in TEXTS:
        raise CannotAnswer(f"{method.title} draws images, and {out.name} would be a text; name a file that ends in .png.")
    with torch.inference_mode():
        frames, how = drawn_frames(method, n, y, temperature, model.generator(seed), decode)
        *_, frame = frames
    recipe["decode"] = how
    pixels = to_uint8(frame.x).numpy()
    info = PngImagePlugin.PngInfo()
    info.add_text("priorama", json.dumps(recipe))
    file = io.BytesIO()
    Image.fromarray(sheet(pixels)).save(file, format="PNG", pnginfo=info)
    _write(out, file.getvalue())
    kind = {"mean": " (means of p(x|z))", "sample": " (drawn from p(x|z))"}.get(how, "")
    return WrittenSamples(model.step, ("image" if n == 1 else "images") + kind, model.step_rule, how)


def decoding(method: Sampler, decode: str | None) -> str:
    """What samples of a model with p(x|z) are: its "mean" (also where None is asked for) or a "sample" of it.

    Raises: CannotAnswer: a choice is asked for, and the method draws x itself.
    """
    if decode is not None and not provides(method, ObservationSampler):
        raise CannotAnswer(f"{type(method).title} draws x itself and has no means of p(x|z) to choose; leave out --decode.")  # type: ignore[attr-defined]
    return decode or "mean"


def _checked_class(method: Method, label: int) -> int:
    if not method.conditional:
        raise CannotAnswer(f"{method.title} is not conditional in this run, so it cannot draw one class; leave out --class.")
    if not 0 <= label < len(method.data.classes):
        raise CannotAnswer(f"There is no class {label}; this run knows 0 to {len(method.data.classes) - 1}.")
    return label


def _texts(model: Model, n: int, seed: int, temperature: float, prompt: str) -> str:
    """`n` texts, each with a heading where there are several; the prompt is part of each."""
    method = model.method
    assert provides(method, SymbolSequence), "what learns from texts writes symbols"
    spec = model.spec
    given = torch.from_numpy(encode(prompt.encode("utf-8"), spec.symbols, spec.units).copy())
    with torch.inference_mode():
        *_, tokens = method.write_out(n, None, temperature, model.generator(seed), method.length, given.expand(n, -1))
    texts = [decode(row, spec.symbols, spec.units) for row in tokens.numpy()]
    if n == 1:
        return texts[0] + "\n"
    return "\n".join(f"── {number} of {n} ──\n{text}\n" for number, text in enumerate(texts, 1))


def _write(out: Path, content: bytes) -> None:
    try:
        write_file(out.absolute(), content)
    except OSError as error:
        raise CannotWrite(f"{out} could not be written ({error.strerror or error}); choose another place.") from None


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
