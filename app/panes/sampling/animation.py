"""A film of small pictures as one GIF that carries its recipe."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence

import numpy as np
from PySide6.QtGui import QImage

FRAME_MS = 80
LAST_MS = 2000  # the finished picture stays


def gif_bytes(frames: Sequence[QImage], factor: int, about: Mapping[str, object]) -> bytes:
    """Frames of one size, every pixel `factor` pixels wide; `about` is the file's comment, as JSON."""
    from PIL import Image

    palette = Image.fromarray(pixels(frames[-1])).quantize(256)  # the last frame has all the colours; the earlier ones share them
    shown = []
    for frame in frames:
        small = Image.fromarray(pixels(frame)).quantize(palette=palette, dither=Image.Dither.NONE)
        shown.append(small.resize((small.width * factor, small.height * factor), Image.Resampling.NEAREST))
    out = io.BytesIO()
    durations = [FRAME_MS] * (len(shown) - 1) + [LAST_MS]
    comment = json.dumps(about).encode("ascii")
    shown[0].save(out, "GIF", save_all=True, append_images=shown[1:], duration=durations, loop=0, comment=comment, optimize=False)
    return out.getvalue()


def pixels(image: QImage) -> np.ndarray:
    """uint8 [H, W, 3]"""
    plain = image.convertToFormat(QImage.Format.Format_RGB888)
    lines = np.frombuffer(plain.constBits(), np.uint8).reshape(plain.height(), plain.bytesPerLine())
    return lines[:, : 3 * plain.width()].reshape(plain.height(), plain.width(), 3).copy()
