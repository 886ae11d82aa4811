"""Messages of the Likelihood pane: how likely is an image, by which score, and how sure is that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.messages.base import Answer, DecodedAnswer, Event, PictureRef, Query, Work

if TYPE_CHECKING:
    import numpy as np

__all__ = [
    "Calibrate",
    "Calibrated",
    "CombinedScore",
    "Corrupt",
    "Corrupted",
    "DataScored",
    "DetectorInfo",
    "DetectorScore",
    "ImageInspected",
    "ImageScored",
    "InspectImage",
    "PictureRead",
    "ReadPicture",
    "ReadTrainingImages",
    "ScoreData",
    "ScoreImages",
]


@dataclass(frozen=True)
class DetectorInfo:
    """One score for "does this image come from the training distribution?". High always means: unlike the training data."""

    name: str  # "log_likelihood"
    title: str  # "log-likelihood"
    density: str  # what it says about p(x): "exact" | "bound" | "none" (also of a difference of two bounds) | "P(y|x)" | "features"
    unit: str  # "bits/dim" | "nat" | ""
    source: str  # the paper
    help: str  # one or two sentences
    missing: str = ""  # why this run does not have it now, and what to do: empty when it is ready
    remedy: str = ""  # what one click can do about `missing`: the kind of `BuildBackground`, or "repeat" (`RepeatRun`); empty: nothing
    score_unit: str = ""  # of the compared score, where it is not the value's
    direction: str = "higher"  # which shown values are more unusual: "higher" | "lower"; of the compared score always the higher ones


@dataclass(frozen=True)
class DetectorScore:
    """One detector's answer about one image."""

    run: str
    detector: str
    value: float  # as people read it: log p in nat, bits/dim, a softmax, a distance
    score: float  # what is compared: high = unlike the training data
    p_value: float  # how unusual it is among held-out images (`engine.common.significance`)
    level: str  # "none": no verdict | "plain": not unusual | "warning": p ≤ 0.05 | "bad": p ≤ 0.01
    verdict: str  # in words that claim no more: "not unusual by this score"
    p_floor: float = 0.0  # no p-value can be smaller with so many groups of held-out images
    calibration_images: int = 0  # held-out images that it is compared with
    calibration_groups: int = 0  # independent pieces of evidence among them: groups of images that belong together


@dataclass(frozen=True)
class CombinedScore:
    """All ready detectors of one run together: one p-value for one image, after Holm's correction."""

    run: str
    p_value: float
    level: str  # as in `DetectorScore`
    verdict: str
    p_floor: float
    scores: int  # how many were combined
    calibration_images: int
    calibration_groups: int


@dataclass(frozen=True, eq=False, kw_only=True)
class Calibrate(Work):
    """Score held-out images of each run's own data with every detector -> a `Calibrated` per run (cached on disk)."""

    runs: tuple[tuple[str, int | None], ...]  # (run, step)
    limit: int = 500
    samples: int = 64  # importance samples per image, where a density has them
    seed: int = 0  # of the noise in scores


@dataclass(frozen=True, eq=False, kw_only=True)
class ScoreImages(Work):
    """Score pictures with every ready detector of the runs -> one `ImageScored` per picture, unreadable ones with the reason."""

    runs: tuple[tuple[str, int | None], ...]
    pictures: tuple[PictureRef, ...]
    limit: int = 500  # held-out images to compare with
    samples: int = 64  # importance samples per image, where a density has them
    seed: int = 0  # of the noise in scores


@dataclass(frozen=True, eq=False, kw_only=True)
class ReadTrainingImages(Work):
    """Open each run's own data, so that `InspectImage` can name the nearest training images -> `Progress`."""

    runs: tuple[tuple[str, int | None], ...]


@dataclass(frozen=True, eq=False, kw_only=True)
class ScoreData(Work):
    """Score a data set with one run's detectors -> `Progress`, then `DataScored` (cached on disk)."""

    run: str
    step: int | None = None
    data: str = ""  # empty: the run's own
    split: str = ""  # "train" | "valid" | "test"; empty: the test images where the data come with some or are the run's own, else all
    limit: int = 500
    samples: int = 64  # importance samples per image, where a density has them
    seed: int = 0  # of the noise in scores
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


@dataclass(frozen=True, eq=False, kw_only=True)
class ReadPicture(Query):
    """-> `PictureRead`, without any score: soon, also while held-out images are being scored."""

    run: str
    step: int | None = None
    picture: PictureRef


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
    groups: np.ndarray | None = None  # int64 [n]: held-out images of one group are one piece of evidence; None: each is its own
    split: str = "valid"  # that they were taken from
    data_hash: str = ""  # SHA-256 of the content of the data


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
    combined: tuple[CombinedScore, ...] = ()  # of each run: one p-value for the image


@dataclass(frozen=True, eq=False)
class DataScored(Event):
    """Scores of a whole data set."""

    job: str
    run: str
    step: int
    data: str
    scores: dict[str, np.ndarray]  # detector -> [n], high = unlike training
    indices: np.ndarray  # of `split` [n]
    images: np.ndarray  # what the network saw, uint8 [n, C, H, W]
    split: str = "test"  # "train" | "valid" | "test" | "all", where the data have no splits of their own
    total: int = 0  # images in it; more than n where there was a limit
    names: tuple[str, ...] = ()  # of the images [n]
    groups: np.ndarray | None = None  # int64 [n], as in `Calibrated`
    notes: tuple[str, ...] = ()  # how they were adapted, in words
    data_hash: str = ""  # SHA-256 of the content of the data
    name: str = ""  # of the data


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
class ImageInspected(DecodedAnswer):
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
    nearest_pending: bool = False  # whether they follow once `ReadTrainingImages` or a calibration has ended


@dataclass(frozen=True, eq=False, kw_only=True)
class PictureRead(Answer):
    """A picture as it was given, or the sentence why it cannot be read; neither while its data set is not open."""

    run: str
    step: int
    original: np.ndarray | None = None  # uint8 [H, W, 3]
    notes: tuple[str, ...] = ()
    error: str = ""
