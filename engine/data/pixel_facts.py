"""What the files of a set show of their values, and the decisions about pixels that follow for all of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from statistics import median
from typing import Any

import numpy as np

from engine.common.counting import number_of, was_or_were
from engine.data.preprocessing import GROUNDS, Preprocessing, as_asked
from engine.data.recipe import ImportRecipe
from engine.data.values import Measured, Range, Scaling, scaling_of_set

KEPT_BY_CROP = 0.5  # of a picture, in the middle of a set; where a centred cut would lose more, pictures are letterboxed
VISIBLE = 24.0  # grey levels between what is opaque and the ground under it; below that a shape cannot be seen

Facts = dict[str, Any]  # of one file, as JSON holds them
Size = tuple[int, int, int]  # C, H, W


def facts_of_values(values: np.ndarray, bits: int | None, own: tuple[float, float]) -> Facts:
    """Of the values [...] of a picture; `own` is the scale that it would have alone."""
    seen = Measured.of(values, bits)
    return {
        "low": seen.range.low, "high": seen.range.high, "holes": seen.range.holes, "sample": seen.sample.tolist(),
        "whole": seen.whole, "floating": seen.floating, "bits": seen.bits, "own": list(own),
    }  # fmt: skip


def contrasts(colors: np.ndarray, alpha: np.ndarray) -> list[float]:
    """How far the opaque parts of a picture [H, W, C] are from each ground on average, in the order of `GROUNDS`."""
    weight = alpha.astype(np.float64)
    total = max(1.0, float(weight.sum()) * colors.shape[2])
    return [float((np.abs(colors.astype(np.float64) - ground) * weight).sum() / total) for ground in GROUNDS.values()]


def _measured(facts: Facts) -> Measured:
    seen = Range(float(facts["low"]), float(facts["high"]), int(facts["holes"]))
    return Measured(seen, np.array(facts["sample"], np.float64), bool(facts["whole"]), bool(facts["floating"]), int(facts["bits"]))


@dataclass
class PixelFacts:
    """Of all files of a set."""

    deep: Measured | None = None
    deep_files: int = 0
    own: set[tuple[float, float]] = field(default_factory=set)
    windows: set[tuple[float, float] | None] = field(default_factory=set)  # that the files of more than 8 bits state; None: not all do
    window_files: int = 0  # that state one
    clear: list[list[float]] = field(default_factory=list)
    top: int = -1  # the highest value of the 8-bit files
    bytes: Measured | None = None  # of the 8-bit files, where a scale was asked for
    files: int = 0

    def add(self, facts: Facts) -> None:
        """Count one good file in."""
        self.files += 1
        if "deep" in facts:
            deep, some = facts["deep"], _measured(facts["deep"])
            self.deep = some if self.deep is None else self.deep.joined(some)
            self.deep_files += 1
            self.own.add((float(deep["own"][0]), float(deep["own"][1])))
            window = deep.get("window")
            self.window_files += window is not None
            self.windows.add(None if window is None else (float(window[0]), float(window[1])))
        else:
            self.top = max(self.top, int(facts.get("top", 255)))
        if "bytes" in facts:
            some = _measured(facts["bytes"])
            self.bytes = some if self.bytes is None else self.bytes.joined(some)
        if "clear" in facts:
            self.clear.append([float(value) for value in facts["clear"]])

    def add_plain(self, count: int, top: int) -> None:
        """Count in good files of 8 bits that were taken as they are, with their highest value."""
        self.files += count
        self.top = max(self.top, top)

    def agreed(self, recipe: ImportRecipe, sizes: Iterable[Size], shape: Size) -> tuple[Preprocessing, list[str]]:
        """The decisions for the whole set, and what is to be said of them."""
        how, notes = as_asked(recipe), []
        given = recipe.given_range()
        if self.deep is not None:
            scaling = scaling_of_set(self.deep, "" if given else recipe.scale, given)
            window = next(iter(self.windows)) if len(self.windows) == 1 and not recipe.scale else None
            if window is not None:
                words = f"Values from {window[0]:g} to {window[1]:g}, the window that all of them state, were scaled to 0..255."
                scaling = Scaling(*window, (f"{words} Others can be asked for (scale range, or scale 0..4095).",))
            elif self.window_files and not recipe.scale:
                notes.append(self._unused_windows())
            how = replace(how, black=scaling.black, white=scaling.white)
            notes += [f"{number_of(self.deep_files, 'file')} of more than 8 bits: {note}" for note in scaling.notes]
            if self.deep_files < self.files:
                rest = self.files - self.deep_files
                notes.append(f"{number_of(rest, 'file')} of 8 bits {was_or_were(rest)} taken as is beside them.")
        elif self.bytes is not None:
            scaling = scaling_of_set(self.bytes, recipe.scale)
            how = replace(how, black=scaling.black, white=scaling.white, of_bytes=True)
            notes += scaling.notes
        elif self.top == 1 and not given:
            how = replace(how, black=0.0, white=1.0, of_bytes=True)
            notes.append("All values are 0 or 1; they were made black and white.")
        elif given and self.files:
            how = replace(how, of_bytes=True)
            notes.append(f"Values between {given[0]:g} and {given[1]:g}, as asked for, were scaled to 0..255.")
        if self.clear and not recipe.background:
            how = replace(how, background=self._ground())
            if how.background != "white":
                notes.append(f"What is opaque could not be told from white, so transparent parts are shown on {how.background}.")
        if not recipe.fit and _kept_by_crop(sizes, shape) < KEPT_BY_CROP:
            how = replace(how, fit="letterbox")
        return how, notes

    def _unused_windows(self) -> str:
        """Why the windows that files state are not used."""
        stated = [window for window in self.windows if window is not None]
        which = f"{len(stated):,} different windows" if len(stated) > 1 else "a window ({:g} to {:g})".format(*stated[0])
        if self.window_files == self.deep_files:
            return f"The files state {which}; all have one scale in their place."
        verb = "states" if self.window_files == 1 else "state"
        return (
            f"{self.window_files:,} of {self.deep_files:,} files {verb} {which}; it was not used, as all have one scale. "
            "Another can be asked for (scale 0..4095)."
        ).replace("windows; it was", "windows; they were")

    def _ground(self) -> str:
        """White where shapes can be told from it, else the ground that they differ most from."""
        mean = np.mean(self.clear, 0)
        return "white" if mean[0] >= VISIBLE else list(GROUNDS)[int(mean.argmax())]

    def same_pixels(self, before: Preprocessing, after: Preprocessing) -> bool:
        """Whether every file becomes the same by both decisions."""
        own = before.scale is None and after.scale is not None and self.own <= {after.scale} and not after.of_bytes
        return before == after or (own and replace(before, black=after.black, white=after.white) == after)


def _kept_by_crop(sizes: Iterable[Size], shape: Size) -> float:
    """The share of a picture that a centred cut keeps, in the middle of all."""
    _, height, width = shape

    def share(w: int, h: int) -> float:
        return min(w, h * width / height) * min(h, w * height / width) / (w * h)

    counted = Counter((w, h) for _, h, w in sizes)
    kept = [one for size, count in counted.items() for one in [share(*size)] * count]
    return median(kept) if kept else 1.0


def words_of_fit(how: Preprocessing) -> str:
    """How pictures of another size become the common one, as part of a sentence."""
    ways = {
        "crop": "were cut to the centre and scaled to",
        "letterbox": f"were scaled down whole and set on {how.pad} to fill",
        "squeeze": "were squeezed to",
    }
    return ways[how.fit]
