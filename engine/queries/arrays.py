"""From the arrays of messages and data sets to the tensors of methods, and back."""

from __future__ import annotations

from typing import Any, overload

import numpy as np
import torch
from torch import Tensor

from engine.common.pixels import to_float, to_uint8


def image_tensor(images: np.ndarray) -> Tensor:
    """Images as networks take them: uint8 [..., C, H, W] -> float32 in [0, 1] of that shape, as in training."""
    return torch.from_numpy(to_float(np.asarray(images)))


def image_array(images: Tensor) -> np.ndarray:
    """Images as messages hold them: float in [0, 1] [..., C, H, W] -> uint8 of that shape, rounded."""
    return to_uint8(images).numpy()


@overload
def array(tensor: Tensor) -> np.ndarray: ...


@overload
def array(tensor: None) -> None: ...


def array(tensor: Tensor | None) -> Any:
    """A fresh numpy copy [...] of a tensor [...]; None of None."""
    return None if tensor is None else tensor.detach().numpy().copy()
