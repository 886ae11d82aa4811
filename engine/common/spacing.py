"""Which of many things a limited look takes when their order may mean something: never only the first ones."""

from __future__ import annotations

import numpy as np


def evenly(total: int, count: int) -> np.ndarray:
    """At most `count` of the places 0 … total - 1 at equal distances, the first among them, int64 [n]."""
    return np.arange(total, dtype=np.int64) if count >= total else np.arange(count, dtype=np.int64) * total // count
