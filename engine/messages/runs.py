"""Messages of runs: list, start and continue them, follow their curves, describe a checkpoint."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from engine.messages.base import Answer, Command, Event, Query, Work

if TYPE_CHECKING:
    import numpy as np

__all__ = [
    "BuildBackground",
    "CheckData",
    "CheckpointInfo",
    "CheckpointSaved",
    "ContinueRun",
    "DataChecked",
    "DataLocated",
    "DeleteRun",
    "Describe",
    "Described",
    "Diagnosis",
    "ExportRun",
    "FinalFigure",
    "FinalFigures",
    "FinalFiguresFound",
    "FollowRun",
    "ImportRun",
    "ListedLocated",
    "LocateData",
    "LocateListed",
    "Metrics",
    "Number",
    "OpenRun",
    "RunFigure",
    "RunImported",
    "RunInfo",
    "RunsListed",
    "StartRun",
    "UnfollowRun",
]


@dataclass(frozen=True)
class CheckpointInfo:
    """One checkpoint of a run."""

    step: int
    resumable: bool
    best: bool = False
    fault: str = ""  # a sentence when a file that looking at it needs is missing or damaged
    note: str = ""  # a sentence when only a file that resuming needs is


@dataclass(frozen=True)
class RunFigure:
    """The number that judges a checkpoint: the value of one validation term at one step."""

    term: str  # as `loss` names it
    value: float
    unit: str
    bigger_is_better: bool
    step: int


@dataclass(frozen=True)
class FinalFigure:
    """What a checkpoint was worth on a split kept for the end, as it was read once."""

    split: str
    step: int
    step_rule: str  # by which that checkpoint was taken
    images: int  # of a text 0
    values: dict[str, object]  # with standard errors, as `nats_se`
    date: str  # UTC, ISO 8601


@dataclass(frozen=True)
class RunInfo:
    """One line of the run list. `fault` is a sentence when the folder cannot be used; the other fields are then best effort."""

    run: str  # absolute path of the folder
    name: str
    method: str
    title: str  # the method's title
    data: str  # what the user named: "digits" or a path
    data_name: str
    status: str  # "queued" | "training" | "paused" | "done" | "stopped" | "failed" | "interrupted" | "damaged"
    step: int  # newest step known
    total_steps: int | None
    checkpoints: tuple[CheckpointInfo, ...]
    config: dict[str, object]
    changed: dict[str, object]  # the settings that differ from the defaults
    headline: str  # the number of the best checkpoint in words: "3.41 bits/dim", "" when there is none yet
    message: str = ""  # why it stopped, when there is something to say
    fault: str = ""
    seed: int = 0
    shape: tuple[int, ...] = ()  # [C, H, W] of its images
    created: float = 0.0  # seconds since the epoch
    elsewhere: bool = False  # another process is writing it now
    capabilities: tuple[str, ...] = ()
    device: str = ""
    precision: str = ""
    minutes: float | None = None  # planned, where its length was given in minutes
    best: RunFigure | None = None  # None before the first checkpoint, and in runs of version 0.1.0
    newest: RunFigure | None = None
    final_figures: tuple[FinalFigure, ...] = ()  # oldest first
    bytes: int = 0  # of its files
    resume_bytes: int = 0  # of those that only a training that goes on needs


@dataclass(frozen=True)
class Number:
    """One row of the inspector."""

    name: str
    value: float
    unit: str = ""
    digits: int = 2
    help: str = ""


@dataclass(frozen=True)
class Diagnosis:
    """A sentence about a checkpoint, with its level."""

    level: str  # "good" | "muted" | "warning" | "bad"; muted: nothing can be said, and why
    text: str


@dataclass(frozen=True)
class StartRun(Command):
    """Queue a training run. `config` holds only the settings that were changed."""

    job: str
    method: str
    data: str
    config: dict[str, object] = field(default_factory=dict)
    seed: int = 0
    steps: int | None = None
    minutes: float | None = None
    name: str | None = None
    device: str = "auto"
    precision: str = "auto"


@dataclass(frozen=True)
class BuildBackground(Command):
    """Train a background model beside a run, or go on with one. A job of the training lane.

    `kind` as in `engine.training.background_models`: "mutated", the same method on mutated images, or "local", a PixelCNN that sees a small
    window only. Its own run folder lies within the run's folder; that is the `run` of its events.
    """

    job: str
    run: str
    steps: int | None = None
    minutes: float | None = None
    kind: str = "mutated"


@dataclass(frozen=True)
class ContinueRun(Command):
    """Go on with a run from its newest resumable checkpoint, up to `steps` in total (None: as planned)."""

    job: str
    run: str
    steps: int | None = None
    minutes: float | None = None


@dataclass(frozen=True)
class DeleteRun(Command):
    """Remove a finished run's folder."""

    run: str


@dataclass(frozen=True)
class OpenRun(Command):
    """Show a run folder that lies outside the run list's folder."""

    path: str


@dataclass(frozen=True)
class FollowRun(Command):
    """Send the whole metrics history of a run, then every new point, until `UnfollowRun`."""

    run: str


@dataclass(frozen=True)
class UnfollowRun(Command):
    """Send no more metrics of a run."""

    run: str


@dataclass(frozen=True, eq=False)
class RunsListed(Event):
    """All runs of the folder."""

    runs: tuple[RunInfo, ...]
    root: str


@dataclass(frozen=True, eq=False)
class Metrics(Event):
    """Points of the curves: for every name an array with one value per entry of its own steps."""

    run: str
    points: dict[str, tuple[np.ndarray, np.ndarray]]  # name -> (steps int64 [n], values float32 [n])
    history: bool = False  # True: this is all there is so far; what was shown is replaced


@dataclass(frozen=True, eq=False)
class CheckpointSaved(Event):
    """A run has a new checkpoint."""

    run: str
    step: int
    resumable: bool
    kept: bool  # a log-spaced one, or the best


@dataclass(frozen=True, eq=False, kw_only=True)
class Describe(Query):
    """Numbers, KL per dimension and the diagnosis of one checkpoint -> `Described`."""

    run: str
    step: int | None = None


@dataclass(frozen=True, eq=False, kw_only=True)
class Described(Answer):
    """Numbers and diagnosis of one checkpoint."""

    run: str
    step: int
    numbers: tuple[Number, ...]
    diagnosis: tuple[Diagnosis, ...]
    latent: int  # D, 0 when the method has no latent space
    kl: np.ndarray | None  # nats per dimension [D]; None when the method has no prior
    scale: np.ndarray | None  # what one slider unit is worth per dimension [D]: 1 for a N(0, 1) prior, the data's own deviation otherwise
    centre: np.ndarray | None  # where the sliders' zero lies [D]
    pictures: np.ndarray | None = None  # what the weights look like: uint8 [n, C, H, W]
    captions: tuple[str, ...] = ()  # of the pictures
    active: np.ndarray | None = None  # which latent dimensions react to the image: bool [D]; None where there is no posterior
    classes: tuple[str, ...] = ()  # that its latents can be decoded as; empty where the decoder knows none
    names: tuple[str, ...] = ()  # of the latent dimensions [D], where they are of several kinds: "z2.1" is of kind z2
    share: np.ndarray | None = None  # of the variance of decoded images, by latent direction, to first order [D]
    class_scores: int = 0  # K: the last dimensions of z score `classes`, and the largest of them is the class that is decoded


@dataclass(frozen=True, eq=False, kw_only=True)
class FinalFigures(Work):
    """Score the best checkpoint on all test images and keep the figures in the run -> `Progress`, then `FinalFiguresFound`."""

    run: str


@dataclass(frozen=True, eq=False)
class FinalFiguresFound(Event):
    """A run's final figures, as they are kept now."""

    job: str
    run: str
    split: str
    step: int
    step_rule: str  # by which that checkpoint was taken
    images: int
    values: dict[str, object]  # with standard errors, as `nats_se`
    date: str  # UTC, ISO 8601
    reading: int  # how many times the test images were read for this run, with this one


@dataclass(frozen=True, eq=False, kw_only=True)
class ExportRun(Work):
    """Write a run into one file at `out`, with its data where they are asked for and are the user's own -> `Progress`."""

    run: str
    out: str
    with_data: bool = False
    without_resume: bool = False  # leave out what only a training that goes on needs


@dataclass(frozen=True, eq=False, kw_only=True)
class ImportRun(Work):
    """Put the run of a bundle into the folder `root` -> `Progress`, then `RunImported`."""

    file: str
    root: str


@dataclass(frozen=True, eq=False, kw_only=True)
class CheckData(Query):
    """Whether a run's data are where it has them, as far as that is known without reading them -> `DataChecked`."""

    run: str


@dataclass(frozen=True, eq=False, kw_only=True)
class DataChecked(Answer):
    """Where a run's data are, and why they cannot be used; `fault` is empty where nothing is wrong."""

    run: str
    data: str  # the path, without the recipe
    fault: str = ""


@dataclass(frozen=True, eq=False, kw_only=True)
class LocateData(Work):
    """Check by its content whether a run's data lie at `place` now, or, where that is empty, at any place that is known, and note it in
    the run -> `Progress`, then `DataLocated`.
    """

    run: str
    place: str = ""


@dataclass(frozen=True, eq=False)
class DataLocated(Event):
    """A run's data can be opened, at the path `data`."""

    job: str
    run: str
    data: str


@dataclass(frozen=True, eq=False, kw_only=True)
class LocateListed(Work):
    """Check by its content whether a data set of the list lies at `place` now; its entry, its decisions and the runs on it in the folder
    `root` follow -> `Progress`, then `ListedLocated`.
    """

    data: str
    place: str
    root: str


@dataclass(frozen=True, eq=False)
class ListedLocated(Event):
    """A data set of the list is called `now` where it lies now."""

    job: str
    data: str
    now: str
    compared: bool = True  # False: nobody knew its content


@dataclass(frozen=True, eq=False)
class RunImported(Event):
    """A bundle's run lies in its folder `run` now."""

    job: str
    run: str
