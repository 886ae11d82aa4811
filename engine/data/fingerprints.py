"""What an image is compared by: a digest of its pixels for exact copies, its lowest cosine coefficients for near ones.

The process that decodes a picture computes them while its pixels are at hand; for all other images they are computed here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

LOWEST = 8  # cosine coefficients along each side; all but the mean
CHUNK_BYTES = 2 << 20  # of pixels looked at between two steps
DIGEST_BYTES = 16
_LOW = LOWEST * LOWEST - 1
PRINT_BYTES = DIGEST_BYTES + 2 * _LOW + 8  # of one image, as they cross over from a process that decodes


@dataclass(frozen=True, eq=False)
class Fingerprints:
    """Of images uint8 [N, C, H, W]; they say nothing of any other array."""

    images: np.ndarray
    digests: np.ndarray  # uint8 [N, 16]
    low: np.ndarray  # float16 [N, 63]
    contrast: np.ndarray  # float64 [N]: standard deviation of what the coefficients hold, in grey levels

    @classmethod
    def room(cls, images: np.ndarray) -> Fingerprints:
        """For as many images, to be filled in."""
        count = len(images)
        return cls(images, np.zeros((count, DIGEST_BYTES), np.uint8), np.zeros((count, _LOW), np.float16), np.zeros(count))

    def first(self, count: int) -> Fingerprints:
        """Of the first images."""
        return Fingerprints(self.images[:count], self.digests[:count], self.low[:count], self.contrast[:count])

    def put(self, start: int, count: int, packed: bytes) -> None:
        """Those of `count` images from row `start` on, as `packed_prints` gave them."""
        rows = slice(start, start + count)
        self.digests[rows] = np.frombuffer(packed, np.uint8, count * DIGEST_BYTES).reshape(count, -1)
        self.low[rows] = np.frombuffer(packed, "<f2", count * _LOW, count * DIGEST_BYTES).reshape(count, -1)
        self.contrast[rows] = np.frombuffer(packed, "<f8", count, count * (DIGEST_BYTES + 2 * _LOW))

    def move(self, start: int, count: int, to: int) -> None:
        """The images and what belongs to them from row `start` to row `to`, where other rows were left out before."""
        for rows in (self.images, self.digests, self.low, self.contrast):
            rows[to : to + count] = rows[start : start + count]


def chunks(images: np.ndarray) -> Iterator[np.ndarray]:
    """Images [N, C, H, W] in pieces of about 2 MB that lie in one stretch of memory."""
    size = rows_at_once(images)
    for start in range(0, len(images), size):
        yield np.ascontiguousarray(images[start : start + size])


def rows_at_once(images: np.ndarray) -> int:
    """How many images [N, C, H, W] make up about 2 MB."""
    return max(1, CHUNK_BYTES // max(1, int(np.prod(images.shape[1:]))))


def digests_of(images: np.ndarray) -> list[bytes]:
    """Of each image of a stretch of memory [n, C, H, W]: equal ones have equal digests."""
    return [hashlib.blake2b(row, digest_size=DIGEST_BYTES).digest() for row in images.reshape(len(images), -1)]


def lowest_coefficients(images: np.ndarray) -> np.ndarray:
    """The lowest cosine coefficients float32 [N, 63] of the grey of images uint8 [N, C, H, W], without the mean (DCT-II, orthonormal)."""
    grey = images[:, 0].astype(np.float32)
    for channel in range(1, images.shape[1]):
        grey += images[:, channel]
    grey /= images.shape[1]
    rows, columns = (_cosines(side) for side in grey.shape[1:])
    return (rows @ grey @ columns.T).reshape(len(images), -1)[:, 1:]


def contrast_of(low: np.ndarray, images: np.ndarray) -> np.ndarray:
    """Standard deviation float64 [N] in grey levels of what coefficients [N, 63] of images [N, C, H, W] hold."""
    return np.linalg.norm(low, axis=1) / np.sqrt(images.shape[2] * images.shape[3])


def packed_prints(images: np.ndarray) -> bytes:
    """`PRINT_BYTES` for each of images uint8 [n, C, H, W] in one stretch of memory: all digests, coefficients and contrasts in turn."""
    low = lowest_coefficients(images)
    return b"".join((*digests_of(images), low.astype("<f2").tobytes(), contrast_of(low, images).astype("<f8").tobytes()))


@lru_cache(8)
def _cosines(side: int) -> np.ndarray:
    """The lowest cosines float32 [8, side], each of length 1."""
    waves = np.cos(np.arange(LOWEST)[:, None] * (np.arange(side) + 0.5) * np.pi / side).astype(np.float32)
    return waves / np.maximum(np.linalg.norm(waves, axis=1, keepdims=True), 1e-6)
