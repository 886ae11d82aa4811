"""Numbers of any kind to bytes 0..255, with a sentence that says how."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.common.counting import number_of, was_or_were

NAN_BECOMES = 0  # black
DARK = 0.25  # of the range of its bits; what uses less is stretched
ROBUST = 0.005  # of the values, at either end, may be clipped
OUTLIERS = 0.001  # of the values, at either end, that say nothing of the range where they lie further out than all others span
SAMPLE_OF_ONE = 256  # values of one image or piece that are kept
SAMPLE_OF_SET = 1 << 17
HISTOGRAM_STEPS = 32
BYTES_COUNTED = 1 << 21  # of a split, for the histogram of what the networks get


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


@dataclass(frozen=True, eq=False)
class Measured:
    """What is known of all values of a set before they are scaled by one rule; those of several pieces are joined."""

    range: Range
    kept: np.ndarray  # float64 [n], drawn evenly from the finite values
    whole: bool  # all are whole numbers
    floating: bool  # some are stored as floating point numbers
    bits: int = 0  # the most that a file states; 0: none does
    keys: np.ndarray | None = None  # float64 [n] in 0..1; those with the lowest stay where there are too many. None: not drawn yet

    @staticmethod
    def of(values: np.ndarray, bits: int | None = None, most: int = SAMPLE_OF_ONE) -> Measured:
        """Of an array [...]; at most `most` of its values are kept."""
        seen = Range.of(values)
        sample = _drawn(values.reshape(-1), most).astype(np.float64)
        sample = sample[np.isfinite(sample)]
        whole = values.dtype.kind != "f" or bool(
            (sample == np.rint(sample)).all() and seen.low == round(seen.low) and seen.high == round(seen.high)
        )
        return Measured(seen, sample, whole, values.dtype.kind == "f", bits or 0)

    @property
    def sample(self) -> np.ndarray:
        """At most `SAMPLE_OF_SET` of all values, float64 [n]: the same ones in whatever order the pieces were joined."""
        kept, keys = self.kept, self._keys()
        return kept if len(kept) <= SAMPLE_OF_SET else kept[np.argpartition(keys, SAMPLE_OF_SET)[:SAMPLE_OF_SET]]

    def joined(self, other: Measured) -> Measured:
        """Of the values of both."""
        kept, keys = np.concatenate([self.kept, other.kept]), np.concatenate([self._keys(), other._keys()])
        if len(kept) > 2 * SAMPLE_OF_SET:  # not at every file, which would be slow
            lowest = np.argpartition(keys, SAMPLE_OF_SET)[:SAMPLE_OF_SET]
            kept, keys = kept[lowest], keys[lowest]
        whole, floating = self.whole and other.whole, self.floating or other.floating
        return Measured(self.range.joined(other.range), kept, whole, floating, max(self.bits, other.bits), keys)

    def _keys(self) -> np.ndarray:
        return _random_of(self.kept).random(len(self.kept)) if self.keys is None else self.keys

    def between(self, share: float) -> tuple[float, float]:
        """The values between which all but a share at either end lie."""
        if not len(self.kept):
            return self.range.low, self.range.high
        low, high = np.quantile(self.sample, (share, 1 - share), method="nearest")
        return float(low), float(high)

    def told(self) -> dict[str, Any]:
        """What a report says of them: the lowest, the highest, and how many of `counted` ones lie in each step between."""
        return {"low": self.range.low, "high": self.range.high, "histogram": self.histogram(), "counted": len(self.sample)}

    def histogram(self) -> list[int]:
        """How many of the sample lie in each of 32 equal steps from the lowest to the highest value."""
        low, high = self.range.low, self.range.high
        if not np.isfinite(high - low) or high <= low:
            return []
        return np.histogram(self.sample, HISTOGRAM_STEPS, (low, high))[0].tolist()


def histogram_of_bytes(parts: Iterable[np.ndarray]) -> list[int]:
    """How many values of images uint8 [N, C, H, W] lie in each of 32 equal steps of 0..255; of large parts a sample, spread evenly."""
    counted = np.zeros(256, np.int64)
    for images in parts:
        each = max(1, int(np.prod(images.shape[1:])))
        if len(images):
            rows = np.unique(np.linspace(0, len(images) - 1, min(len(images), max(1, BYTES_COUNTED // each))).astype(np.int64))
            counted += np.bincount(np.asarray(images[rows]).reshape(-1), minlength=256)
    return counted.reshape(HISTOGRAM_STEPS, -1).sum(1).tolist()


def _drawn(values: np.ndarray, most: int) -> np.ndarray:
    """At most `most` of the values [n], one at a random place in each of as many equal stretches: every n-th could always be a border."""
    if values.size <= most:
        return values
    return values[((np.arange(most) + _random_of(values).random(most)) * (values.size / most)).astype(np.int64).clip(0, values.size - 1)]


def _random_of(values: np.ndarray) -> np.random.Generator:
    """Random numbers that are always the same for the same values and others for others."""
    return np.random.default_rng(zlib.crc32(np.ascontiguousarray(values).view(np.uint8)))


def scaling_of_set(seen: Measured, wish: str = "", given: tuple[float, float] | None = None) -> Scaling:
    """The one rule by which all values of a set become bytes.

    As asked: "range" (lowest to highest), "robust" (all but half a percent at either end) or `given`. Otherwise 0 and 1 alone are black
    and white; whole numbers go by their bit depth, unless they use a small part of it; others by the range they plainly have, without a
    thousandth that lies far outside.
    """
    if given is not None:
        return _said(seen, given, f"between {given[0]:g} and {given[1]:g}, as asked for,")
    if wish:
        black, white = (seen.range.low, seen.range.high) if wish == "range" else seen.between(ROBUST)
        black, white, named = _stretched(black, white)
        return _said(seen, (black, white), f"{named} ({wish})")
    low, high = seen.range.low, seen.range.high
    if seen.whole and (low, high) == (0, 1):
        return Scaling(0.0, 1.0, (*_holes(seen.range), "All values are 0 or 1; they were made black and white."))
    if not seen.floating:
        black, white, named = _integer_range(low, high, seen.bits or None)
        dark_low, dark_high = seen.between(ROBUST)
        if white > 255 and low >= 0 and dark_low < dark_high and dark_high - black <= DARK * (white - black):
            fewer = next((bits for bits in (10, 12, 14) if high < 2**bits and dark_high > DARK * 2**bits), None)
            if fewer:  # a camera's, stored in 16
                return _said(seen, (0.0, float(2**fewer - 1)), f"of {fewer} bits (0..{2**fewer - 1:,})")
            return _said(seen, (dark_low, dark_high), f"from {dark_low:,.0f} to {dark_high:,.0f}, a small part of what they could be,")
        return _said(seen, (black, white), named)
    inner_low, inner_high = seen.between(OUTLIERS)
    span = inner_high - inner_low
    if 0 < span < np.inf and (high - inner_high > span or inner_low - low > span):
        black, white, named = _float_range(inner_low, inner_high)
    else:
        black, white, named = _float_range(low, high)
    return _said(seen, (black, white), named)


def _said(seen: Measured, borders: tuple[float, float], named: str) -> Scaling:
    notes = [*_holes(seen.range)]
    if borders == (0.0, 255.0):
        notes.append("Values were rounded to whole numbers 0..255." if seen.floating else "Values 0..255 were taken as they are.")
    else:
        notes.append(f"Values {named} were scaled to 0..255, by one rule for the whole set.")
    slack = 1e-3 * (borders[1] - borders[0]) if np.isfinite(borders[1] - borders[0]) else 0.0
    if seen.range.low < borders[0] - slack or seen.range.high > borders[1] + slack:
        notes.append(f"Values lie as far out as {seen.range.low:g} and {seen.range.high:g}; what is beyond the scale is black or white.")
    return Scaling(*borders, tuple(notes))


def _holes(seen: Range) -> list[str]:
    if not seen.holes:
        return []
    values = number_of(seen.holes, "value that is no number", "values that are no numbers")
    return [f"{values} (NaN or infinity) {was_or_were(seen.holes)} set to black."]


def scaling_for(dtype: np.dtype, seen: Range, bits: int | None = None) -> Scaling:
    """How numbers of this kind and range become bytes.

    Floats are taken as 0..1, −1..1 or 0..255 by their range, integers by their bit depth (`bits` when the file states it);
    what fits none of these is stretched from its smallest to its largest value.
    """
    notes = _holes(seen)
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
    if low >= 0 and 32 < high <= 255:
        return 0.0, 255.0, "0..255"
    return _stretched(0.0 if 0 <= low < 0.5 * high else low, high)  # what starts near zero starts at zero


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
