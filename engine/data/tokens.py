"""Text as numbers: the symbols a text is made of, and the way there and back. Numpy only."""

from __future__ import annotations

import numpy as np

from engine.data.dataset import BadData

BYTES = tuple(range(256))
MOST_SYMBOLS = 4096  # a model of characters has an output for each
UNITS = ("characters", "bytes")
UNKNOWN = 0xFFFD  # “�”: stands for every character that is not in a model's vocabulary


def symbols_of(text: bytes, units: str) -> tuple[int, ...]:
    """The vocabulary of a text in ascending order: its code points and `UNKNOWN`, or all 256 bytes.

    Raises:
        BadData: it has more different characters than a model of characters can take.
    """
    if units == "bytes":
        return BYTES
    found = tuple(int(point) for point in np.unique(np.append(_points(text), np.uint32(UNKNOWN))))
    if len(found) > MOST_SYMBOLS:
        raise BadData(f"The text has {len(found):,} different characters, and models take {MOST_SYMBOLS:,}; set units to bytes.")
    return found


def encode(text: bytes, symbols: tuple[int, ...], units: str, strict: bool = True) -> np.ndarray:
    """A text as places in `symbols` [N], int64; without `strict` a character that is not among them is `UNKNOWN`, where that is.

    Raises:
        BadData: a character is not among the symbols.
    """
    if units == "bytes":
        return np.frombuffer(text, np.uint8).astype(np.int64)
    known, points = np.asarray(symbols), _points(text)
    places = np.searchsorted(known, points).clip(max=len(known) - 1)
    strange = known[places] != points
    if strange.any():
        if strict or UNKNOWN not in symbols:
            count = len(known) - (UNKNOWN in symbols)
            raise BadData(f"“{chr(points[strange][0])}” is not among the {count} characters this model has learned; leave it out.")
        places[strange] = symbols.index(UNKNOWN)
    return places.astype(np.int64)


def unknown_in(text: bytes, symbols: tuple[int, ...], units: str) -> np.ndarray:
    """Where a text has a character that is not among the symbols, bool [N]."""
    if units == "bytes":
        return np.zeros(len(text), bool)
    return ~np.isin(_points(text), np.asarray(symbols))


def decode(tokens: np.ndarray, symbols: tuple[int, ...], units: str) -> str:
    """Places in `symbols` [N] as text; bytes that are no UTF-8 become �."""
    points = np.asarray(symbols)[np.asarray(tokens)]
    if units == "bytes":
        return bytes(points.astype(np.uint8)).decode("utf-8", "replace")
    return "".join(map(chr, points))


def _points(text: bytes) -> np.ndarray:
    """Code points of a text in UTF-8 [N]; bytes that are none become �."""
    return np.frombuffer(text.decode("utf-8", "replace").encode("utf-32-le"), np.uint32)
