"""Ways from one latent vector to another: the straight line and the arc."""

from __future__ import annotations

import numpy as np

NEARLY_ZERO = 1e-6  # a shorter vector has no direction
NEARLY_STRAIGHT = 1e-4  # radians: nearer to 0 or π there is no single arc


def lerp(a: np.ndarray, b: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Points on the straight line from a to b: [D], [D], [T] -> [T, D]."""
    t = np.asarray(t, dtype=a.dtype)
    return (1 - t)[:, None] * a + t[:, None] * b


def slerp(a: np.ndarray, b: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Points on the arc from a to b at constant angular speed (Shoemake 1985), the length going evenly from |a| to |b|: -> [T, D].

    Where a or b is (nearly) zero or they point the same or opposite ways there is no single arc: the straight line.
    """
    t = np.asarray(t, dtype=a.dtype)
    length_a, length_b = np.linalg.norm(a), np.linalg.norm(b)
    if min(length_a, length_b) < NEARLY_ZERO:
        return lerp(a, b, t)
    u, v = a / length_a, b / length_b
    omega = np.arccos(np.clip(u @ v, -1, 1))
    if omega < NEARLY_STRAIGHT or omega > np.pi - NEARLY_STRAIGHT:
        return lerp(a, b, t)
    direction = (np.sin((1 - t) * omega)[:, None] * u + np.sin(t * omega)[:, None] * v) / np.sin(omega)
    return direction * ((1 - t) * length_a + t * length_b)[:, None]
