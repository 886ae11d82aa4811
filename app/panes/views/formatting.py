"""What an augmentation did to an image, in words; cosines as the Views pane writes them; images out of the network's own numbers."""

from __future__ import annotations

import numpy as np

from app.shell.formatting import count, number
from app.widgets.parts import signed
from engine.messages import Drawn

MOST_NAMED = 4  # runs that a sentence names


def said(drawn: Drawn, size: tuple[int, int] | None = None) -> str:
    """In the order in which it was done: "20×14 of it · mirrored · hue +0.04 · grey"; the crop only with the original's size."""
    parts = []
    if size is not None and drawn.box != (0, 0, *size):
        parts.append(f"{drawn.box[2]}×{drawn.box[3]} of it")
    if abs(drawn.angle) >= 0.5:
        parts.append(f"turned {signed(drawn.angle, 0)}°")
    if drawn.flipped:
        parts.append("mirrored")
    for name in ("brightness", "contrast", "saturation"):
        percent = 100 * (getattr(drawn, name) - 1)
        if abs(percent) >= 0.5:
            parts.append(f"{name} {signed(percent, 0)} %")
    if abs(drawn.hue) >= 0.005:
        parts.append(f"hue {signed(drawn.hue)}")
    if drawn.grey:
        parts.append("grey")
    if drawn.sigma > 0:
        parts.append(f"blur {number(drawn.sigma, 1)} px")
    if drawn.solarized:
        parts.append("solarized")
    if drawn.hole[2] > 0:
        parts.append("cut-out")
    return " · ".join(parts) or "unchanged"


def cosine(value: float, digits: int = 2) -> str:
    return number(float(value), digits)


def digits_for(values: np.ndarray) -> int:
    """So many that cosines which lie close together can be told apart."""
    span = float(np.nanmax(values) - np.nanmin(values)) if values.size else 1.0
    return 2 if span >= 0.1 else 3 if span >= 0.01 else 4


def pixels(x: np.ndarray) -> np.ndarray:
    """Float [..., C, h, w] with black at 0 and white at 1 -> uint8."""
    return (np.clip(np.nan_to_num(x), 0, 1) * 255).round().astype(np.uint8)


def runs_with_patches(names: list[str]) -> str:
    """“Runs with patches: a, b and 2 more.”"""
    if not names:
        return "No run of the list has patches yet."
    more = f" and {count(len(names) - MOST_NAMED)} more" if len(names) > MOST_NAMED else ""
    return f"Runs with patches: {', '.join(names[:MOST_NAMED])}{more}."
