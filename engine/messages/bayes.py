"""Messages of the Bayes pane: how likely an image is given each class, and what a classifier says of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.messages.base import Answer, Event, PictureRef, Query, Work

if TYPE_CHECKING:
    import numpy as np

__all__ = ["AskBayes", "BayesAnswered", "ClassifiersCompared", "CompareClassifiers"]


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
    errors: np.ndarray | None = None  # standard errors of `given` in nats [K], of a probability flow


@dataclass(frozen=True, eq=False, kw_only=True)
class CompareClassifiers(Work):
    """log p(x|y) of validation images for every class, and p(y|x) of a classifier beside -> `Progress`, one `ClassifiersCompared`."""

    run: str  # of a class-conditional density
    step: int | None = None
    beside: str = ""  # a classifier's run; empty: none
    beside_step: int | None = None
    limit: int = 500  # images, spread over the split


@dataclass(frozen=True, eq=False)
class ClassifiersCompared(Event):
    """What a class-conditional density, and beside it a classifier, says of the same N validation images."""

    job: str
    run: str
    step: int
    given: np.ndarray  # log p(x|y) in nats [N, K], float64
    labels: np.ndarray  # int64 [N]
    groups: np.ndarray | None  # images that are one piece of evidence, int64 [N]
    classifier: np.ndarray | None  # p(y|x) [N, K] of the run `beside`
    total: int  # images of the split
