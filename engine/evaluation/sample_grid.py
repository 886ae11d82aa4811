"""Samples of a run as one file: a sheet of images as PNG or a film of how they come about, with the recipe inside; or texts."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, PngImagePlugin

from engine import messages as m
from engine.common.films import LARGE_SIDE, film_bytes, film_ending, some_of
from engine.data.tokens import encode
from engine.method import Method
from engine.protocols import ObservationSampler, Sampler, SymbolSequence, provides
from engine.queries.sampling import film_of_samples, finished_samples, sampler_settings
from engine.queries.session import CannotAnswer, Model
from engine.storage.atomic_io import write_file
from engine.storage.run_reader import Run

GAP = 2  # pixels between images
PICTURES = (".png", ".apng", ".jpg", ".jpeg", ".gif", ".bmp", ".webp", ".tif", ".tiff")
TEXTS = (".txt", ".md", ".csv", ".json", ".html")
NOT_WRITTEN = (*TEXTS, ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")  # of images


class CannotWrite(OSError):
    """One sentence: which file and why."""


class WrittenSamples(NamedTuple):
    """What `sample_file` wrote."""

    step: int
    what: str  # in words
    step_rule: str  # by which that checkpoint was taken
    decode: str  # "mean" of p(x|z) or "sample" of it; "" where there is no such choice
    settings: dict[str, Any]  # the sampler's own, all of them


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
    settings: Mapping[str, Any] | None = None,
    caption: str = "",
    top_k: int = 0,
    top_p: float = 1.0,
) -> WrittenSamples:
    """Draw `n` samples and write them to `out`: images as one PNG, or as they come about as a film (.gif, .webp, .apng); texts (each the
    prompt and as much as the context) as text.

    The window draws the same. `decode`: as `decoding` takes it; `settings`: as `sampler_settings` does.

    Raises:
        CannotAnswer: the method has nothing to sample from, no such class or choice, or is of the other kind. BadRun. CannotWrite.
        BadSampleSetting: the sampler has no such settings. BadData: the prompt has a character that the model does not know.
    """
    model = Model(Run.open(path), step)
    method = model.method
    if not provides(method, Sampler):
        raise CannotAnswer(f"{method.title} has no distribution to draw from; choose a run of a generative method.")
    if label is not None:
        _check_class(method, label)
    if method.accepts == "text":
        if out.suffix.lower() in PICTURES:
            raise CannotAnswer(f"{method.title} writes text, and {out.name} would be a picture; name a file such as sample.txt.")
    elif prompt:
        raise CannotAnswer(f"{method.title} draws images, which no text can begin; leave out --prompt.")
    elif out.suffix.lower() in NOT_WRITTEN:
        raise CannotAnswer(f"{method.title} draws images, which are written as .png, or as films .gif, .webp or .apng, not as {out.name}.")
    if (top_k or top_p != 1) and not provides(method, SymbolSequence):
        raise CannotAnswer(f"{method.title} draws no symbols that could be left out; leave out --top-k and --top-p.")
    chosen = sampler_settings(method, settings or {})
    told = {} if chosen is None else asdict(chosen)
    work = m.DrawSamples(
        job="",
        run=str(path),
        seed=seed,
        samples=tuple(range(n)),
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        label=label,
        prompt=prompt,
        caption=caption,
        decode=decoding(method, decode),
        settings=tuple(told.items()),
    )
    how = work.decode if provides(method, ObservationSampler) else ""
    if provides(method, SymbolSequence) and method.accepts == "text":
        given = len(encode(prompt.encode(), model.spec.symbols, model.spec.units))
        _, texts = finished_samples(model, replace(work, length=given + method.length))
        _write(out, _joined(texts).encode("utf-8"))
        return WrittenSamples(model.step, "text" if n == 1 else "texts", model.step_rule, how, told)
    recipe = {"run": path.name, "step": model.step, "seed": seed, "temperature": temperature, "class": label, "n": n}
    recipe |= {"caption": caption} if caption else {}
    recipe |= {"top_k": top_k} if top_k else {}
    recipe |= {"top_p": top_p} if top_p != 1 else {}
    recipe |= {"decode": how} | ({"sample_settings": told} if told else {})
    _write(out, _film(model, work, ending, recipe) if (ending := film_ending(out)) else _picture(model, work, recipe))
    kind = {"mean": " (means of p(x|z))", "sample": " (drawn from p(x|z))"}.get(how, "")
    return WrittenSamples(model.step, ("image" if n == 1 else "images") + kind, model.step_rule, how, told)


def _picture(model: Model, work: m.DrawSamples, recipe: dict[str, Any]) -> bytes:
    pixels, _ = finished_samples(model, work)
    assert pixels is not None, "what learns from images draws images"
    info = PngImagePlugin.PngInfo()
    info.add_text("priorama", json.dumps(recipe))
    file = io.BytesIO()
    Image.fromarray(sheet(pixels)).save(file, format="PNG", pnginfo=info)
    return file.getvalue()


def _film(model: Model, work: m.DrawSamples, ending: str, recipe: dict[str, Any]) -> bytes:
    """The sheet after some of the steps, at most `MOST_FRAMES` of them, the last one among them."""
    sheets: list[np.ndarray] = []
    wanted: set[int] = set()
    for done, of, images in film_of_samples(model, work):
        wanted = wanted or {1 + place for place in some_of(of)}
        if done in wanted or done == 0:
            plain = sheet(images)
            sheets.append(plain if plain.ndim == 3 else plain[:, :, None].repeat(3, 2))
    return film_bytes(sheets, ending, recipe, factor=max(1, LARGE_SIDE // sheets[0].shape[1]))


def decoding(method: Sampler, decode: str | None) -> str:
    """What samples of a model with p(x|z) are: its "mean" (also where None is asked for) or a "sample" of it.

    Raises: CannotAnswer: a choice is asked for, and the method draws x itself.
    """
    if decode is not None and not provides(method, ObservationSampler):
        raise CannotAnswer(f"{type(method).title} draws x itself and has no means of p(x|z) to choose; leave out --decode.")  # type: ignore[attr-defined]
    return decode or "mean"


def _check_class(method: Method, label: int) -> None:
    if not method.conditional:
        raise CannotAnswer(f"{method.title} is not conditional in this run, so it cannot draw one class; leave out --class.")
    if not 0 <= label < len(method.data.classes):
        raise CannotAnswer(f"There is no class {label}; this run knows 0 to {len(method.data.classes) - 1}.")


def _joined(texts: tuple[str, ...]) -> str:
    """Texts below each other, each with a heading where there are several."""
    if len(texts) == 1:
        return texts[0] + "\n"
    return "\n".join(f"── {number} of {len(texts)} ──\n{text}\n" for number, text in enumerate(texts, 1))


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
