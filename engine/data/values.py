"""Numbers of any kind to bytes 0..255, with a sentence that says how."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

NAN_BECOMES = 0  # black


@dataclass(frozen=True)
class Range:
    """What is known of some numbers before they are scaled."""

    low: float  # smallest finite value
    high: float  # largest finite value
    holes: int = 0  # values that are NaN or infinite

    @staticmethod
    def of(values: np.ndarray) -> Range:
        """Least and greatest of the finite numbers of an array [...], and how many are not finite."""
        if values.dtype.kind != "f":
            return Range(float(values.min()), float(values.max())) if values.size else Range(0.0, 0.0)
        finite = np.isfinite(values)
        holes = int(values.size - finite.sum())
        kept = values if holes == 0 else values[finite]
        return Range(float(kept.min()), float(kept.max()), holes) if kept.size else Range(0.0, 0.0, holes)

    def joined(self, other: Range) -> Range:
        """The range of both."""
        return Range(min(self.low, other.low), max(self.high, other.high), self.holes + other.holes)


@dataclass(frozen=True)
class Scaling:
    """byte = (value - black) / (white - black) * 255, rounded and clipped."""

    black: float
    white: float
    notes: tuple[str, ...]

    def to_bytes(self, values: np.ndarray) -> np.ndarray:
        """Numbers [...] as uint8 [...], black at 0 and white at 255; NaN and infinity become `NAN_BECOMES`."""
        if values.dtype == np.uint8 and (self.black, self.white) == (0.0, 255.0):
            return values
        if values.dtype == np.bool_:
            return values.astype(np.uint8) * np.uint8(255)
        numbers = values.astype(np.float32 if values.dtype.itemsize <= 4 and values.dtype.kind == "f" else np.float64)
        finite = np.isfinite(numbers)
        numbers = np.where(finite, numbers, self.black)
        half = self.white / 2 - self.black / 2  # the whole span of two huge numbers would be infinite
        scaled = (
            np.clip((numbers / 2 - self.black / 2) * (255.0 / half), 0, 255)
            if np.isinf(self.white - self.black)
            else np.clip((numbers - self.black) * (255.0 / (self.white - self.black)), 0, 255)
        )
        bytes_ = np.rint(scaled).astype(np.uint8)
        bytes_[~finite] = NAN_BECOMES
        return bytes_


def scaling_for(dtype: np.dtype, seen: Range, bits: int | None = None) -> Scaling:
    """How numbers of this kind and range become bytes.

    Floats are taken as 0..1, −1..1 or 0..255 by their range, integers by their bit depth (`bits` when the file states it);
    what fits none of these is stretched from its smallest to its largest value.
    """
    notes = []
    if seen.holes:
        notes.append(f"{seen.holes:,} values that are no numbers (NaN or infinity) were set to black.")
    low, high = seen.low, seen.high
    if dtype == np.uint8 or dtype.kind == "b":
        return Scaling(0.0, 255.0 if dtype == np.uint8 else 1.0, tuple(notes))
    if dtype.kind == "f":
        black, white, named = _float_range(low, high)
    else:
        black, white, named = _integer_range(low, high, bits)
    if (black, white) != (0.0, 255.0):
        notes.append(f"Values {named} were scaled to 0..255.")
    else:
        notes.append("Values were rounded to whole numbers 0..255." if dtype.kind == "f" else "Values 0..255 were taken as they are.")
    return Scaling(black, white, tuple(notes))


def _float_range(low: float, high: float) -> tuple[float, float, str]:
    slack = 1e-3  # resampled images overshoot a little
    if low >= -slack and high <= 1 + slack:
        return 0.0, 1.0, "0..1"
    if low >= -1 - slack and high <= 1 + slack:
        return -1.0, 1.0, "−1..1"
    if low >= 0 and high <= 255:
        return 0.0, 255.0, "0..255"
    return _stretched(low, high)


def _integer_range(low: float, high: float, bits: int | None) -> tuple[float, float, str]:
    if low < 0:
        return _stretched(low, high)
    if bits is None:
        bits = next((b for b in (8, 12, 16) if high < 2**b), None)
    if bits is None or high >= 2**bits:
        return _stretched(low, high)
    return 0.0, float(2**bits - 1), f"of {bits} bits (0..{2**bits - 1:,})"


def _stretched(low: float, high: float) -> tuple[float, float, str]:
    white = high if high > low else low + max(1.0, abs(low) / 1e6)  # a huge number plus one is the same number
    return low, white, f"from {low:g} to {high:g}"
