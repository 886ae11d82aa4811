"""A classifier's errors as one picture: the confusion matrix beside the reliability diagram, without a window."""

from __future__ import annotations

import io
import json

import numpy as np
from PIL import Image, ImageDraw, ImageFont, PngImagePlugin

from engine.messages import ErrorsFound

SIDE = 560  # pixels of the matrix and of the diagram
LEFT, TOP, BELOW, GAP = 130, 64, 56, 130
NAMED = 24  # classes whose names have room
WRITTEN = 12  # classes whose counts have room
GROUND, INK, MUTED, LINE = "#ffffff", "#1a1d24", "#626b7c", "#dfe3ea"
LOW, HIGH = np.array([255, 255, 255.0]), np.array([31, 78, 160.0])


def errors_picture(found: ErrorsFound, title: str) -> bytes:
    """A PNG that says about itself what was asked about."""
    image = Image.new("RGB", (LEFT + SIDE + GAP + SIDE + 24, TOP + SIDE + BELOW), GROUND)
    draw = ImageDraw.Draw(image)
    draw.text((16, 14), title, INK, _font(16))
    _matrix(draw, found)
    _diagram(draw, found, LEFT + SIDE + GAP)
    about = PngImagePlugin.PngInfo()
    of = found.of
    told = {"run": of.run, "step": of.step, "split": of.split, "images": found.images, "of": found.total, "through": of.through}
    about.add_text("priorama", json.dumps(told | {"figures": found.figures}))
    file = io.BytesIO()
    image.save(file, format="PNG", pnginfo=about)
    return file.getvalue()


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _matrix(draw: ImageDraw.ImageDraw, found: ErrorsFound) -> None:
    """Cells as dark as their share of the true class."""
    matrix, count = found.matrix, len(found.classes)
    shares = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    cell, small = SIDE / count, _font(12)
    for i in range(count):
        for j in range(count):
            box = (LEFT + j * cell, TOP + i * cell, LEFT + (j + 1) * cell, TOP + (i + 1) * cell)
            color = LOW + (HIGH - LOW) * np.sqrt(shares[i, j])
            draw.rectangle(box, tuple(int(value) for value in color), LINE if count <= NAMED else None)
            if count <= WRITTEN and matrix[i, j]:
                ink = "#ffffff" if shares[i, j] > 0.3 else INK
                draw.text(((box[0] + box[2]) / 2, (box[1] + box[3]) / 2), f"{matrix[i, j]:,}", ink, small, anchor="mm")
    if count <= NAMED:
        for i, name in enumerate(found.classes):
            at = (i + 0.5) * cell
            draw.text((LEFT - 8, TOP + at), _fitted(name, LEFT - 16, small), INK, small, anchor="rm")
            draw.text((LEFT + at, TOP + SIDE + 6), _fitted(name, cell - 4, small), INK, small, anchor="ma")
    draw.text((LEFT, TOP - 20), "true class: rows · answer: columns · darker: a larger share of the row", MUTED, small)


def _fitted(text: str, width: float, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> str:
    """The text, without its end where it needs more pixels."""
    while len(text) > 1 and font.getlength(text) > width:
        text = text[:-2] + "…" if text.endswith("…") else text[:-1] + "…"
    return text


def _diagram(draw: ImageDraw.ImageDraw, found: ErrorsFound, left: float) -> None:
    """Accuracy over confidence, with intervals."""
    small = _font(12)

    def at(x: float, y: float) -> tuple[float, float]:
        return left + x * SIDE, TOP + (1 - y) * SIDE

    for tick in np.linspace(0, 1, 6):
        draw.line((*at(0, tick), *at(1, tick)), LINE)
        draw.text((left - 6, at(0, tick)[1]), f"{100 * tick:.0f} %", MUTED, small, anchor="rm")
        draw.text((at(tick, 0)[0], TOP + SIDE + 6), f"{100 * tick:.0f} %", MUTED, small, anchor="ma")
    draw.line((*at(0, 0), *at(1, 1)), MUTED)
    for _low, _high, sure, right, low, high, count in found.bins:
        draw.line((*at(sure, low), *at(sure, high)), "#1f4ea0", 2)
        x, y = at(sure, right)
        draw.ellipse((x - 4, y - 4, x + 4, y + 4), "#1f4ea0")
        draw.text((x + 7, y + 3), f"{int(count):,}", MUTED, small)
    f = found.figures
    draw.text((left, TOP - 20), f"accuracy over confidence · ECE {100 * f['calibration']:.1f} % (calibrated: at most "
              f"{100 * f['calibration_limit']:.1f} %) · numbers: images", MUTED, small)  # fmt: skip
    draw.text((left + SIDE / 2, TOP + SIDE + 28), "confidence", MUTED, small, anchor="ma")
