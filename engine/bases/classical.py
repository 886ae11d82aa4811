"""What the classical methods share: their settings, and how well groups found without labels agree with the classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from engine.common.importing import IMPORTING
from engine.config import Training, setting


def _fixed(default: float | str) -> Any:
    """A setting of the optimizer, which there is none of: not offered."""
    return setting(default, "", group="")


@dataclass(frozen=True)
class ClassicalMethod(Training):
    """Settings of a method without gradients, whose every step takes all images: nothing about an optimizer can be chosen."""

    batch_size: int = _fixed(1)
    learning_rate: float = _fixed(0.0)
    schedule: str = _fixed("constant")
    warmup: int = _fixed(0)
    weight_decay: float = _fixed(0.0)
    final_weight_decay: float = _fixed(-1.0)
    optimizer: str = _fixed("adamw")
    clip: float = _fixed(0.0)
    ema: float = _fixed(0.0)


def agreement(groups: ArrayLike, labels: ArrayLike) -> tuple[float, float]:
    """(normalized mutual information, accuracy when every group is given at most one class, the best way).

    Args:
        groups, labels: int64 [N].
    """
    with IMPORTING:
        from scipy.optimize import linear_sum_assignment
        from sklearn.metrics import normalized_mutual_info_score

    found, right = np.asarray(groups), np.asarray(labels)
    counts = np.zeros((found.max() + 1, right.max() + 1), np.int64)
    np.add.at(counts, (found, right), 1)
    rows, columns = linear_sum_assignment(counts, maximize=True)
    return float(normalized_mutual_info_score(right, found)), float(counts[rows, columns].sum() / len(found))
