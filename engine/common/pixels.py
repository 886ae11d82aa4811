"""The one way from 8-bit pixels to numbers and back: k -> k/255 in single precision, and rounded back to the nearest k."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np

Array = TypeVar("Array")  # a numpy array or a torch tensor, on any device; numpy alone is imported here


def to_float(pixels: Array) -> Array:
    """Pixels as float32 in [0, 1]: uint8 of any shape -> float32 of that shape, exactly k/255."""
    if isinstance(pixels, np.ndarray):
        return pixels.astype(np.float32) / 255  # type: ignore[return-value]
    tensor: Any = pixels
    return tensor.float() / 255


def to_uint8(values: Array) -> Array:
    """Numbers in [0, 1] as pixels: float of any shape -> uint8 of that shape; what lies outside is clipped, halves go to the even one."""
    if isinstance(values, np.ndarray):
        return (values.clip(0, 1) * 255).round().astype(np.uint8)  # type: ignore[return-value]
    tensor: Any = values
    return (tensor.clamp(0, 1) * 255).round().byte()
