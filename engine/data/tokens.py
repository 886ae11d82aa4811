"""Text as numbers: the symbols a text is made of, and the way there and back. Numpy only."""

from __future__ import annotations

import numpy as np

from engine.data.dataset import BadData

BYTES = tuple(range(256))
MOST_SYMBOLS = 4096  # a model of characters has an output for each
UNITS = ("characters", "bytes")


def symbols_of(text: bytes, units: str) -> tuple[int, ...]:
    """The symbols of a text in ascending order: its code points, or all 256 bytes.

    Raises:
        BadData: it has more different characters than a model of characters can take.
    """
    if units == "bytes":
        return BYTES
    found = tuple(int(point) for point in np.unique(_points(text)))
    if len(found) > MOST_SYMBOLS:
        raise BadData(f"The text has {len(found):,} different characters, and models take {MOST_SYMBOLS:,}; set units to bytes.")
    return found


def encode(text: bytes, symbols: tuple[int, ...], units: str) -> np.ndarray:
    """A text as places in `symbols` [N], int64.

    Raises:
        BadData: a character is not among the symbols.
    """
    if units == "bytes":
        return np.frombuffer(text, np.uint8).astype(np.int64)
    known, points = np.asarray(symbols), _points(text)
    places = np.searchsorted(known, points).clip(max=len(known) - 1)
    strange = points[known[places] != points]
    if len(strange):
        raise BadData(f"“{chr(strange[0])}” is not among the {len(known)} characters this model has learned; leave it out.")
    return places.astype(np.int64)


def decode(tokens: np.ndarray, symbols: tuple[int, ...], units: str) -> str:
    """Places in `symbols` [N] as text; bytes that are no UTF-8 become �."""
    points = np.asarray(symbols)[np.asarray(tokens)]
    if units == "bytes":
        return bytes(points.astype(np.uint8)).decode("utf-8", "replace")
    return "".join(map(chr, points))


def _points(text: bytes) -> np.ndarray:
    """Code points of a text in UTF-8 [N]; bytes that are none become �."""
    return np.frombuffer(text.decode("utf-8", "replace").encode("utf-32-le"), np.uint32)
