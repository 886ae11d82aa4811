"""Frames of an iterative sampler, kept so that its film can be wound back, within a bounded memory.

Arrays only: no widget, no engine.
"""

from __future__ import annotations

import weakref
from bisect import bisect_right

import numpy as np

FILM_BYTES = 32 * 2**20  # of one film
FILMS_BYTES = 128 * 2**20  # of all films together


class FrameFilm:
    """Frames by their number, each uint8 [n, C, H, W]. Where they are too many, every second one is let go; first and last stay."""

    def __init__(self, max_bytes: int = FILM_BYTES) -> None:
        self.max_bytes = max_bytes
        self.numbers: list[int] = []
        self.frames: list[np.ndarray] = []
        self.stride = 1  # between the numbers that are kept

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def nbytes(self) -> int:
        return sum(frame.nbytes for frame in self.frames)

    def clear(self) -> None:
        self.numbers, self.frames, self.stride = [], [], 1

    def add(self, number: int, frame: np.ndarray) -> None:
        """The next frame; numbers grow. The one before it goes where it was kept only because it was the last."""
        if len(self.numbers) > 1 and self.numbers[-1] % self.stride:
            del self.numbers[-1], self.frames[-1]
        self.numbers.append(number)
        self.frames.append(frame)
        while len(self.frames) > 2 and self.nbytes > self.max_bytes:
            self.stride *= 2
            last = len(self.numbers) - 1
            kept = [place for place, n in enumerate(self.numbers) if place in (0, last) or n % self.stride == 0]
            self.numbers = [self.numbers[place] for place in kept]
            self.frames = [self.frames[place] for place in kept]

    def at(self, number: int) -> np.ndarray | None:
        """The newest frame up to this number, the first one where all came later; None without frames."""
        return self.frames[self._place(number)] if self.frames else None

    def number_at(self, number: int) -> int | None:
        """The number of the frame that `at` gives."""
        return self.numbers[self._place(number)] if self.frames else None

    def _place(self, number: int) -> int:
        return max(bisect_right(self.numbers, number) - 1, 0)

    def release(self) -> int:
        """Keep the last frame only; returns the bytes set free."""
        before = self.nbytes
        self.numbers, self.frames = self.numbers[-1:], self.frames[-1:]
        return before - self.nbytes


class FilmMemory:
    """Bounds what all films take together: of those that were added to least recently only the last frame stays."""

    def __init__(self, max_bytes: int = FILMS_BYTES) -> None:
        self.max_bytes = max_bytes
        self._recent: list[weakref.ref[FrameFilm]] = []

    def touch(self, film: FrameFilm) -> None:
        """A frame was added to this film."""
        others = [ref for ref in self._recent if ref() is not None and ref() is not film]
        self._recent = [*others, weakref.ref(film)]
        alive = [other for ref in self._recent if (other := ref()) is not None]
        excess = sum(other.nbytes for other in alive) - self.max_bytes
        for other in alive[:-1]:
            if excess <= 0:
                return
            excess -= other.release()
