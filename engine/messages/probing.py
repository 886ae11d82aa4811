"""Messages of the Probe pane: what the features of a checkpoint are worth for telling classes apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.messages.base import Event, Work

if TYPE_CHECKING:
    import numpy as np

__all__ = ["Probe", "ProbeFitting", "ProbeMeasured", "ProbeSubject"]


@dataclass(frozen=True, eq=False, kw_only=True)
class Probe(Work):
    """Fit a linear probe and let nearest neighbours vote, on frozen features -> `ProbeFitting`s while it fits, then `ProbeMeasured`.

    One of each for every subject: the checkpoint, its blocks, fewer labels, and the same of the baselines.

    Trained on at most `limit` images of the data's training split, measured on at most as many of `split`, or on all of it.
    """

    run: str
    step: int | None = None
    data: str = ""  # empty: the run's own
    limit: int = 5000
    split: str = "valid"  # "valid" | "test"
    whole_split: bool = False  # every image of `split` is asked about, however many `limit` allows
    blocks: bool = True  # also after every block of the encoder, where the method has them
    shares: tuple[float, ...] = (0.01, 0.1)  # of the training split's labels; 1 stands for `limit` images and is always measured
    random: bool = True  # also the same network before its first step
    pixels: bool = True  # also the raw pixels


@dataclass(frozen=True)
class ProbeSubject:
    """What was measured."""

    of: str  # "checkpoint" | "random" | "pixels"
    block: str = ""  # of the encoder; empty: its features
    share: float = 1.0  # of the labels


@dataclass(frozen=True, eq=False)
class ProbeFitting(Event):
    """A linear probe as it is being fitted: all iterations so far."""

    job: str
    run: str
    step: int
    subject: ProbeSubject
    losses: np.ndarray  # nats [k]: mean cross-entropy and penalty, on training images
    right: np.ndarray  # [k]: share of the images asked about whose class it finds


@dataclass(frozen=True, eq=False)
class ProbeMeasured(Event):
    """Accuracies of the probes at one checkpoint."""

    job: str
    run: str
    step: int
    data: str  # what was asked for; empty: the run's own
    data_name: str
    limit: int
    split: str
    subject: ProbeSubject
    knn: float  # share of right classes on the split
    linear: float | None  # None where there are too many features for a fit: see `note`
    features: int  # D
    n_train: int
    n_test: int
    classes: int
    iterations: int = 0
    gradient: float = 0.0  # length of the gradient at the end
    converged: bool = True
    note: str = ""
    n_split: int = 0  # images of the whole training split
    knn_se: float = float("nan")  # standard errors; images of one group count as one piece of evidence
    linear_se: float | None = None
