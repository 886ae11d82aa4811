"""What a conditional method is told of images: their classes, the words of their captions, or the frames before them."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from engine.data import Split
from engine.data.captions import encode_captions
from engine.data.dataset import BadData
from engine.method import DataSpec


def told_of(split: Split, spec: DataSpec, condition: str, device: str) -> Tensor | None:
    """The condition of all images of a split: words int64 [N, L] of their captions, the frames before them uint8 [N, 4, C, H, W], else
    classes int64 [N] where there are any (also for methods that are not told them and look at them).

    Raises: BadData: frames are wished for, and the images are no frames of clips.
    """
    if condition == "frames":
        if split.before is None:
            raise BadData(
                "These images are no frames of clips, so nothing comes before them; choose “moving-shapes”, or have a folder of clips "
                "read as such (frames clips)."
            )
        return torch.from_numpy(np.ascontiguousarray(split.before)).to(device)
    if condition == "caption":
        return torch.from_numpy(encode_captions(split.names, spec.words, strict=False)).to(device)
    return None if split.labels is None else torch.from_numpy(np.asarray(split.labels)).to(device)
