"""Curves as numbers: keep every point, smooth it independently of the zoom, thin it for the screen without losing a peak.

Numpy only. What the numbers mean in words is the business of the panes.
"""

from __future__ import annotations

import numpy as np

LONGEST_BLOCK = 64  # points smoothed by one matrix row


class Series:
    """All points of one term of one run: steps int64 [n] ascending, values float32 [n]. Grows by doubling."""

    def __init__(self) -> None:
        self._steps = np.empty(256, np.int64)
        self._values = np.empty(256, np.float32)
        self._count = 0
        self.version = 0  # grows with every change
        self._smooth = np.empty(0, np.float64)
        self._smooth_factor = -1.0
        self._smooth_count = 0
        self._carry = (0.0, 0.0)

    def __len__(self) -> int:
        return self._count

    @property
    def steps(self) -> np.ndarray:
        return self._steps[: self._count]

    @property
    def values(self) -> np.ndarray:
        return self._values[: self._count]

    def clear(self) -> None:
        self._count = 0
        self._smooth_count = 0
        self.version += 1

    def append(self, steps: np.ndarray, values: np.ndarray) -> None:
        """Add points. Steps that go back (a run continued from an earlier checkpoint) replace what they overlap."""
        steps = np.asarray(steps, np.int64)
        if not len(steps):
            return
        if self._count and steps[0] <= self._steps[self._count - 1]:
            self._count = int(np.searchsorted(self.steps, steps[0]))
            self._smooth_count = 0
        needed = self._count + len(steps)
        if needed > len(self._steps):
            capacity = max(needed, 2 * len(self._steps))
            self._steps = np.concatenate([self.steps, np.empty(capacity - self._count, np.int64)])
            self._values = np.concatenate([self.values, np.empty(capacity - self._count, np.float32)])
        self._steps[self._count : needed] = steps
        self._values[self._count : needed] = values
        self._count = needed
        self.version += 1

    def smoothed(self, factor: float) -> np.ndarray:
        """Exponential moving average over all points, unbiased at the start, float64 [n]; only new points are computed."""
        if factor != self._smooth_factor or self._smooth_count > self._count:
            self._smooth_factor, self._smooth_count, self._carry = factor, 0, (0.0, 0.0)
        if self._smooth_count == 0:
            self._carry = (0.0, 0.0)
        if len(self._smooth) < self._count:
            self._smooth = np.concatenate([self._smooth[: self._smooth_count], np.empty(len(self._steps) - self._smooth_count)])
        if self._smooth_count < self._count:
            new = self._values[self._smooth_count : self._count].astype(np.float64)
            self._smooth[self._smooth_count : self._count], self._carry = ema(new, factor, self._carry)
            self._smooth_count = self._count
        return self._smooth[: self._count]

    def at(self, step: float) -> int:
        """Index of the point nearest to a step; the series must not be empty."""
        steps = self.steps
        right = int(np.searchsorted(steps, step))
        if right == 0:
            return 0
        if right == len(steps):
            return right - 1
        return right if steps[right] - step < step - steps[right - 1] else right - 1


def ema(values: np.ndarray, factor: float, carry: tuple[float, float] = (0.0, 0.0)) -> tuple[np.ndarray, tuple[float, float]]:
    """s_i = sum_j factor^(i-j) v_j / sum_j factor^(i-j), over finite values only; float64 [n].

    `carry` is what an earlier part left behind, so that a long curve can be smoothed as it grows.
    """
    finite = np.isfinite(values)
    above = _decaying_sum(np.where(finite, values, 0.0), factor, carry[0])
    below = _decaying_sum(finite.astype(np.float64), factor, carry[1])
    left = (float(above[-1]), float(below[-1])) if len(values) else carry
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(below > 0, above / below, np.nan), left


def _decaying_sum(x: np.ndarray, factor: float, start: float) -> np.ndarray:
    """y_i = x_i + factor * y_(i-1), y_(-1) = start: blocks side by side, then the same sum over the blocks' ends."""
    count = len(x)
    if count == 0:
        return np.zeros(0)
    if factor < 1e-20:  # what lies two points back is below the last bit
        before = np.concatenate([[start], x[:-1]])
        return x + factor * before
    block = max(2, min(LONGEST_BLOCK, int(140 / -np.log(factor))))  # so that factor ** -block stays far inside float64
    if count <= block:
        powers = factor ** np.arange(1, count + 1, dtype=np.float64)
        return powers * (np.cumsum(x / powers) + start)
    blocks = -(-count // block)
    padded = np.zeros(blocks * block)
    padded[:count] = x
    powers = factor ** np.arange(1, block + 1, dtype=np.float64)
    local = np.cumsum(padded.reshape(blocks, block) / powers, axis=1) * powers
    ends = _decaying_sum(local[:, -1], factor**block, start)
    before = np.concatenate([[start], ends[:-1]])
    return (local + before[:, None] * powers).ravel()[:count]


def thinned(x: np.ndarray, y: np.ndarray, low: float, high: float, columns: int) -> tuple[np.ndarray, np.ndarray]:
    """What a screen of `columns` pixels can show of an ascending x within [low, high]: per column the lowest and the highest y.

    One point beyond each side is kept so that lines reach the edge. With few points they come back unchanged.
    """
    first = max(int(np.searchsorted(x, low)) - 1, 0)
    last = min(int(np.searchsorted(x, high, side="right")) + 1, len(x))
    x, y = x[first:last], y[first:last]
    if len(x) <= 2 * columns:
        return x, y
    edges = np.searchsorted(x, np.linspace(low, high, columns + 1)[:-1])
    starts = np.unique(np.concatenate([[0], edges[edges < len(x)]]))
    lowest, highest = np.fmin.reduceat(y, starts), np.fmax.reduceat(y, starts)
    out_x = np.repeat(x[starts], 2)
    out_y = np.empty(2 * len(starts), y.dtype)
    out_y[0::2], out_y[1::2] = lowest, highest
    return np.append(out_x, x[-1]), np.append(out_y, y[-1])
