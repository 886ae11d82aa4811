"""Messages of the Likelihood pane: how likely is an image, by which score, and how sure is that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.messages.base import Answer, Event, PictureRef, Query, Work

if TYPE_CHECKING:
    import numpy as np

__all__ = [
    "Calibrate",
    "Calibrated",
    "Corrupt",
    "Corrupted",
    "DataScored",
    "DetectorInfo",
    "DetectorScore",
    "ImageInspected",
    "ImageScored",
    "InspectImage",
    "ScoreData",
    "ScoreImages",
]


@dataclass(frozen=True)
class DetectorInfo:
    """One score for "does this image come from the training distribution?". High always means: unlike the training data."""

    name: str  # "log_likelihood"
    title: str  # "log-likelihood"
    density: str  # "exact" | "bound" | "P(y|x)" | "features"
    unit: str  # "bits/dim" | "nat" | ""
    source: str  # the paper
    help: str  # one or two sentences
    missing: str = ""  # why this run does not have it now, and what to do: empty when it is ready
    remedy: str = ""  # what one click can do about `missing`: the kind of `BuildBackground`; empty when nothing can
    score_unit: str = ""  # of the compared score, where it is not the value's


@dataclass(frozen=True)
class DetectorScore:
    """One detector's answer about one image."""

    run: str
    detector: str
    value: float  # as people read it: log p in nat, bits/dim, a softmax, a distance
    score: float  # what is compared: high = unlike the training data
    p_value: float  # (1 + #{held-out scores ≥ score}) / (n + 1)
    level: str  # "good" | "warning" | "bad"
    verdict: str  # "looks known" | "unusual" | "unlike training"
    floor: float = 0.0  # 1 / (n + 1): no p-value can be smaller with so many held-out images


@dataclass(frozen=True, eq=False, kw_only=True)
class Calibrate(Work):
    """Score held-out images of each run's own data with every detector -> a `Calibrated` per run (cached on disk)."""

    runs: tuple[tuple[str, int | None], ...]  # (run, step)
    limit: int = 500
    samples: int = 64  # importance samples per image, where a density has them


@dataclass(frozen=True, eq=False, kw_only=True)
class ScoreImages(Work):
    """Score pictures with every ready detector of the runs -> one `ImageScored` per picture, unreadable ones with the reason."""

    runs: tuple[tuple[str, int | None], ...]
    pictures: tuple[PictureRef, ...]
    limit: int = 500  # held-out images to compare with
    samples: int = 64  # importance samples per image, where a density has them


@dataclass(frozen=True, eq=False, kw_only=True)
class ScoreData(Work):
    """Score a whole data set's test images with one run's detectors -> `Progress`, then `DataScored` (cached on disk)."""

    run: str
    step: int | None = None
    data: str = ""  # empty: the run's own
    limit: int = 500
    held_out: int = 500  # images the detectors are calibrated on
    samples: int = 64  # importance samples per image, where a density has them
    runs: tuple[tuple[str, int | None], ...] = ()  # looked at together: an ensemble asks its peers among them


@dataclass(frozen=True, eq=False, kw_only=True)
class Corrupt(Work):
    """A picture ever more corrupted, and every score on the way -> `Corrupted` after each strength."""

    run: str
    step: int | None = None
    picture: PictureRef
    kind: str = "blur"  # "blur" | "noise" | "brightness" | "rotation"
    count: int = 11  # strengths from 0 to 1
    seed: int = 0
    limit: int = 500  # held-out images the detectors were calibrated on
    samples: int = 64
    runs: tuple[tuple[str, int | None], ...] = ()  # looked at together: an ensemble asks its peers among them


@dataclass(frozen=True, eq=False, kw_only=True)
class InspectImage(Query):
    """-> `ImageInspected`"""

    run: str
    step: int | None = None
    picture: PictureRef
    nearest: int = 6


@dataclass(frozen=True, eq=False)
class Calibrated(Event):
    """The detectors that are ready for a checkpoint, with their scores of held-out images."""

    job: str
    run: str
    step: int
    weights: str  # SHA-256 of the checkpoint's weights
    detectors: tuple[DetectorInfo, ...]  # all that this method can have, ready or not
    known: dict[str, np.ndarray]  # detector -> scores of held-out images [n], high = unlike training
    data: str  # name of the data they come from


@dataclass(frozen=True, eq=False)
class ImageScored(Event):
    """A picture's scores and p-values, or why there are none."""

    job: str
    label: str
    path: str | None
    scores: tuple[DetectorScore, ...]
    seen: dict[str, np.ndarray]  # run -> what its network really saw, uint8 [C, H, W]
    original: np.ndarray | None  # uint8 [H, W, 3], at most 512 px
    notes: tuple[str, ...]  # how it was adapted, in words
    png_bytes: int = 0  # of the image that the first run's network saw
    error: str = ""  # why it could not be read: one sentence; then there are no scores


@dataclass(frozen=True, eq=False)
class DataScored(Event):
    """Scores of a whole data set."""

    job: str
    run: str
    step: int
    data: str
    scores: dict[str, np.ndarray]  # detector -> [n], high = unlike training
    indices: np.ndarray  # of the data set's test split [n]
    images: np.ndarray  # what the network saw, uint8 [n, C, H, W]


@dataclass(frozen=True, eq=False)
class Corrupted(Event):
    """Scores of a corrupted picture."""

    job: str
    run: str
    kind: str
    strengths: np.ndarray  # done so far [k]
    scores: dict[str, np.ndarray]  # detector -> [k]
    images: np.ndarray  # uint8 [k, C, H, W]


@dataclass(frozen=True, eq=False, kw_only=True)
class ImageInspected(Answer):
    """What a checkpoint says about one picture, in detail."""

    run: str
    step: int
    seen: np.ndarray  # uint8 [C, H, W]
    bits: np.ndarray | None  # bits per pixel [H, W], channels summed; None where the method has no map
    nearest: np.ndarray  # uint8 [n, C, H, W]: training images
    nearest_labels: tuple[str, ...]
    nearest_distances: np.ndarray  # [n]
    nearest_by: str  # "features" | "pixels"
    reconstruction: np.ndarray | None  # uint8 [C, H, W]
    difference: np.ndarray | None  # uint8 [C, H, W]: |seen - reconstruction|
    notes: tuple[str, ...] = ()  # how it was adapted, in words
    nearest_missing: str = ""  # why there are no nearest training images, one sentence
