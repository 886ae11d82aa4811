"""A film of pictures as one file, GIF, WebP or animated PNG, that repeats and carries its recipe; and the menu of its speed."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from PySide6.QtCore import QObject
from PySide6.QtGui import QAction, QActionGroup, QImage
from PySide6.QtWidgets import QMenu

FILMS = ("webp", "apng")  # endings of files that a film can be saved as, beside "gif"
FRAME_MS = 80
LAST_MS = 2000  # the finished picture stays
SHORTEST_MS = 20  # of a frame: what a GIF's viewers show no faster
SPEEDS = {0.5: "½×", 1.0: "1×", 2.0: "2×"}
IMAGE_DESCRIPTION = 0x010E  # the EXIF tag that holds the recipe of a WebP


def film_bytes(
    frames: Sequence[QImage],
    ending: str,
    about: Mapping[str, object],
    factor: int = 1,
    frame_ms: float = FRAME_MS,
    last_ms: float = LAST_MS,
) -> bytes:
    """Frames of one size, every pixel `factor` pixels wide, again and again; each stays `frame_ms` milliseconds, the last `last_ms`.

    `about` stands in the file as JSON: a GIF's comment, a WebP's EXIF description, an animated PNG's text “priorama”.
    """
    from PIL import Image, PngImagePlugin

    pictures = []
    for frame in frames:
        small = Image.fromarray(pixels(frame))
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


def film_ending(path: str) -> str:
    """What kind of film a file's name asks for: "webp" or "apng"; else "gif"."""
    ending = Path(path).suffix.lower().removeprefix(".")
    return ending if ending in FILMS else "gif"


class FilmSpeed(QObject):
    """The speed of saved films, as entries of a menu; 1 is that of the window."""

    def __init__(self, menu: QMenu) -> None:
        super().__init__(menu)
        self.factor = 1.0
        group = QActionGroup(menu)
        for factor, text in SPEEDS.items():
            action = QAction(f"Film speed {text}", menu, checkable=True, checked=factor == self.factor)  # type: ignore[call-overload]
            action.triggered.connect(partial(self._choose, factor))
            group.addAction(action)
            menu.addAction(action)

    def _choose(self, factor: float, _checked: bool = False) -> None:
        self.factor = factor


def pixels(image: QImage) -> np.ndarray:
    """uint8 [H, W, 3]"""
    plain = image.convertToFormat(QImage.Format.Format_RGB888)
    lines = np.frombuffer(plain.constBits(), np.uint8).reshape(plain.height(), plain.bytesPerLine())
    return lines[:, : 3 * plain.width()].reshape(plain.height(), plain.width(), 3).copy()
