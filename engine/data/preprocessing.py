"""How files become 8-bit pixels: decided once for a set, kept with the run, and the same for every image that is dropped later."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from engine.data.recipe import CHOICES, ImportRecipe

TRANSPARENT = 0.5  # of a fourth channel must be wholly clear or wholly opaque, for it to be transparency
GROUNDS = {"white": 255, "black": 0, "grey": 128}


@dataclass(frozen=True)
class Preprocessing:
    """The decisions about pixels; the defaults are what single pictures get."""

    black: float | None = None  # the value that becomes 0; None: every file by its own values
    white: float | None = None  # the value that becomes 255
    of_bytes: bool = False  # whether the scale holds for 8-bit files too; it does where they hold 0 and 1 only
    asked: str = ""  # "range" | "robust" | "numbers": how the scale was asked for; then 8-bit files that exceed it are scaled by it too
    background: str = "white"  # under what is transparent
    fit: str = "crop"  # "crop" | "letterbox" | "squeeze"
    pad: str = "black"  # around letterboxed pictures
    bands: str = ""  # of four in a TIFF: "rgb" | "alpha"; "": a fourth band that is no transparency is refused

    @property
    def scale(self) -> tuple[float, float] | None:
        """(black, white), where the set has a scale."""
        return None if self.black is None or self.white is None else (self.black, self.white)

    def changed(self) -> dict[str, Any]:
        """What differs from the defaults, as JSON holds it."""
        plain = asdict(Preprocessing())
        return {name: value for name, value in asdict(self).items() if value != plain[name]}


def preprocessing_of(decisions: Any) -> Preprocessing:
    """From its JSON object; what is not known or makes no sense is left at the default."""
    good: dict[str, Any] = {}
    for field in fields(Preprocessing):
        value = decisions.get(field.name) if isinstance(decisions, dict) else None
        if field.name in ("black", "white"):
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                good[field.name] = float(value)
        elif field.name == "of_bytes":
            good[field.name] = value is True
        elif field.name == "asked":
            good[field.name] = value if value in ("range", "robust", "numbers") else ""
        elif value in CHOICES["background" if field.name == "pad" else field.name]:
            good[field.name] = value
    if not (good.get("black", 0.0) < good.get("white", 1.0)):
        good = {name: value for name, value in good.items() if name not in ("black", "white")}
    return Preprocessing(**good)


def as_asked(recipe: ImportRecipe) -> Preprocessing:
    """What is known before any file was read."""
    given = recipe.given_range() or (None, None)
    asked = recipe.scale if given == (None, None) else "numbers"
    ground = recipe.background
    return Preprocessing(
        *given, asked=asked, background=ground or "white", fit=recipe.fit or "crop", pad=ground or "black", bands=recipe.bands
    )


def looks_transparent(alpha: np.ndarray) -> bool:
    """Whether a fourth channel uint8 [...] is transparency: mostly 0 or 255, as a band of light never is."""
    return bool(((alpha == 0) | (alpha == 255)).mean() >= TRANSPARENT)
