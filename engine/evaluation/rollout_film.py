"""A film that was rolled out as one file: the true frames beside the drawn ones, as an animation or side by side as a picture."""

from __future__ import annotations

import io
import json
from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, PngImagePlugin

from engine.common.films import film_bytes, film_ending
from engine.evaluation.sample_grid import GAP, CannotWrite
from engine.messages import Event, Progress
from engine.queries.rollout import Clip, RolledOutFrame, clip_of, predictor_of, roll_out, true_log_probs
from engine.queries.session import CannotAnswer, Model
from engine.storage.atomic_io import write_file
from engine.storage.run_data import open_run_data
from engine.storage.run_reader import Run

SHOWN_SIDE = 64  # pixels of a frame in the file, at least
FRAME_MS = 250
GREY = 128  # where there is no frame


def rollout_file(
    path: Path, out: Path, clip: int, frames: int, seed: int = 0, step: int | str | None = None
) -> Generator[Event, None, dict[str, Any]]:
    """Draw the `frames` frames after the first four of a held-out clip and write them to `out`, below the true ones as .png or beside
    them as a film. The window draws the same. Yields progress.

    Values: `step`, `step_rule`, `clip`, `clips`, `frames`; log p in nats of each drawn frame given the four before it (`log_p`) and of each
    true one given the four true ones (`true_log_p`), and the means of both in bits/dim.

    Raises: CannotAnswer: a method of single images, no clips, or another kind of file. BadRun, BadData. CannotWrite.
    """
    if not film_ending(out) and out.suffix.lower() != ".png":
        raise CannotAnswer(f"A film is written as .gif, .webp, .apng or .png, and {out.name} is none; name a file such as film.gif.")
    model = Model(Run.open(path), step)
    method = predictor_of(model, frames)
    data = yield from open_run_data(model.run)
    held_out = clip_of(data, clip, frames)
    drawn: list[RolledOutFrame] = []
    true_log_p = true_log_probs(method, held_out).tolist()
    for frame in roll_out(method, held_out, frames, seed):
        if frame is not None:
            drawn.append(frame)
            yield Progress("", str(path), len(drawn), frames, "frame", 0.0, None)
    log_p = [frame.log_p for frame in drawn]
    recipe = {"run": path.name, "step": model.step, "seed": seed, "clip": held_out.number + 1, "frames": frames}
    images = [frame.image for frame in drawn]
    ending = film_ending(out)
    if ending:
        content = film_bytes(_pairs(held_out, images), ending, recipe, frame_ms=FRAME_MS, last_ms=FRAME_MS)
    else:
        content = _png(held_out, images, json.dumps(recipe))
    try:
        write_file(out.absolute(), content)
    except OSError as error:
        raise CannotWrite(f"{out} could not be written ({error.strerror or error}); choose another place.") from None
    values = {"step": model.step, "step_rule": model.step_rule, "clip": held_out.number + 1, "clips": held_out.of, "frames": frames}
    values |= {"log_p": log_p, "true_log_p": true_log_p}
    bits_per_dim = model.method.bits_per_dim
    return values | {"bits_per_dim": bits_per_dim(-float(np.mean(log_p))), "true_bits_per_dim": bits_per_dim(-float(np.mean(true_log_p)))}


def _png(clip: Clip, drawn: list[np.ndarray], recipe: str) -> bytes:
    """Two rows of frames: the true ones above, and below what was drawn after the same first four."""
    given, nothing = list(clip.before), [np.full_like(drawn[0], GREY)] * (len(drawn) - len(clip.truth))
    rows = [np.concatenate([_shown(frame) for frame in row], 1) for row in ([*given, *clip.truth, *nothing], [*given, *drawn])]
    sheet = np.concatenate(rows, 0)[:-GAP, :-GAP]
    info = PngImagePlugin.PngInfo()
    info.add_text("priorama", recipe)
    file = io.BytesIO()
    _picture(sheet).save(file, format="PNG", pnginfo=info)
    return file.getvalue()


def _pairs(clip: Clip, drawn: list[np.ndarray]) -> list[np.ndarray]:
    """Frame after frame uint8 [H, W, 3]: the true one at the left, the drawn one at the right."""
    nothing = [np.full_like(drawn[0], GREY)] * (len(drawn) - len(clip.truth))
    pairs = zip([*clip.before, *clip.truth, *nothing], [*clip.before, *drawn], strict=True)
    pictures = (np.concatenate([_shown(true), _shown(ours)], 1)[:-GAP, :-GAP] for true, ours in pairs)
    return [np.broadcast_to(picture, (*picture.shape[:2], 3)).copy() for picture in pictures]


def _shown(frame: np.ndarray) -> np.ndarray:
    """A frame uint8 [C, H, W] enlarged by a whole number to at least 64 pixels, with a gap at the right and below: [H', W', C]."""
    times = max(1, -(-SHOWN_SIDE // frame.shape[1]))
    large = frame.transpose(1, 2, 0).repeat(times, 0).repeat(times, 1)
    return np.pad(large, ((0, GAP), (0, GAP), (0, 0)), constant_values=GREY)


def _picture(pixels: np.ndarray) -> Image.Image:
    return Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
