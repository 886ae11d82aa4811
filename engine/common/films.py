"""Films as files: frames as an animated GIF, WebP or PNG that repeats and carries its recipe."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

FILMS = ("gif", "webp", "apng")  # endings that say a file is a film
FRAME_MS = 80
LAST_MS = 2000  # the finished picture stays
SHORTEST_MS = 20  # of a frame: what a GIF's viewers show no faster
LARGE_SIDE = 320  # pixels that a film is enlarged to, at most, by a whole number
MOST_FRAMES = 64
IMAGE_DESCRIPTION = 0x010E  # the EXIF tag that holds the recipe of a WebP


def film_bytes(
    frames: Sequence[np.ndarray],
    ending: str,
    about: Mapping[str, object],
    factor: int = 1,
    frame_ms: float = FRAME_MS,
    last_ms: float = LAST_MS,
) -> bytes:
    """Frames uint8 [H, W, 3] of one size, every pixel `factor` pixels wide, again and again; each stays `frame_ms` milliseconds, the last
    `last_ms`.

    `about` stands in the file as JSON: a GIF's comment, a WebP's EXIF description, an animated PNG's text “priorama”.
    """
    from PIL import Image, PngImagePlugin

    pictures = []
    for frame in frames:
        small = Image.fromarray(frame)
        if ending == "gif":
            small = small.quantize(256, dither=Image.Dither.NONE)  # each frame has a palette of its own
        pictures.append(small.resize((small.width * factor, small.height * factor), Image.Resampling.NEAREST))
    first, *others = pictures
    stays = [max(SHORTEST_MS, round(frame_ms))] * len(others) + [max(SHORTEST_MS, round(last_ms))]
    told, out = json.dumps(about), io.BytesIO()
    film = {"save_all": True, "append_images": others, "duration": stays, "loop": 0}
    if ending == "gif":
        first.save(out, "GIF", comment=told.encode("ascii"), optimize=False, **film)
    elif ending == "webp":
        exif = Image.Exif()
        exif[IMAGE_DESCRIPTION] = told
        first.save(out, "WEBP", lossless=True, exif=exif, **film)
    else:
        text = PngImagePlugin.PngInfo()
        text.add_text("priorama", told)
        first.save(out, "PNG", pnginfo=text, **film)
    return out.getvalue()


def film_ending(path: str | Path) -> str:
    """Which film a file's name asks for, by its ending: "gif", "webp" or "apng"; "" for none."""
    ending = Path(path).suffix.lower().removeprefix(".")
    return ending if ending in FILMS else ""


def some_of(count: int, most: int = MOST_FRAMES) -> list[int]:
    """At most `most` places of 0 … count - 1, evenly spread, the first and the last among them."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(int)).tolist()
