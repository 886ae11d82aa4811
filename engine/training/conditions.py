"""What a conditional method is told of images: their classes, or the words of their captions."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from engine.data import Split
from engine.data.captions import encode_captions
from engine.method import DataSpec


def told_of(split: Split, spec: DataSpec, condition: str, device: str) -> Tensor | None:
    """The condition of all images of a split: words int64 [N, L] of their captions, else classes int64 [N] where there are any (also for
    methods that are not told them and look at them).
    """
    if condition == "caption":
        return torch.from_numpy(encode_captions(split.names, spec.words, strict=False)).to(device)
    return None if split.labels is None else torch.from_numpy(np.asarray(split.labels)).to(device)
