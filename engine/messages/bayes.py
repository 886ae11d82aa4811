"""Messages of the Bayes pane: how likely an image is given each class, and what a classifier says of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.messages.base import Answer, PictureRef, Query

if TYPE_CHECKING:
    import numpy as np

__all__ = ["AskBayes", "BayesAnswered"]


@dataclass(frozen=True, eq=False, kw_only=True)
class AskBayes(Query):
    """log p(x|y) of one picture for every class -> `BayesAnswered`. A prior is the window's own: the posterior follows from these."""

    run: str  # of a class-conditional density
    step: int | None = None
    picture: PictureRef
    beside: str = ""  # a classifier's run; empty: none
    beside_step: int | None = None


@dataclass(frozen=True, eq=False, kw_only=True)
class BayesAnswered(Answer):
    """What a class-conditional density, and beside it a classifier, says of one picture."""

    run: str
    step: int
    label: str  # what the picture is called
    classes: tuple[str, ...]
    given: np.ndarray  # log p(x|y) in nats [K], float64
    shares: np.ndarray | None  # of each class in the training images [K]; None where the data are not open or have no labels
    seen: np.ndarray  # what the network saw, uint8 [C, H, W]
    notes: tuple[str, ...]  # how it was adapted, in words
    bits: tuple[float, float]  # bits per dimension of -log p = nats: (offset, per nat)
    density: str  # "exact" | "bound"
    true_class: str = ""  # of an image of the run's data
    classifier: np.ndarray | None = None  # p(y|x) [K] of the run `beside`
    beside_fault: str = ""  # why there is none: one sentence
