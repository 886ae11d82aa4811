"""The whole vocabulary between window and engine: commands and queries go in, events come out.

Frozen dataclasses of numbers, strings and numpy arrays only, so every message pickles and the engine could live in
another process. No behaviour here, and nothing heavy is imported.

Words: a *run* is named by the absolute path of its folder; a *step* of `None` means the newest checkpoint;
images are uint8 `[N, C, H, W]`; latents are float32 `[N, D]`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


# ---------------------------------------------------------------------------------------------------------------------
# Descriptions: what the engine tells about methods, runs and data sets
# ---------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class FieldInfo:
    """One setting of a method: the form, the tooltip, `--set` and the manifest are made from it."""

    name: str
    label: str
    kind: str  # "int" | "float" | "bool" | "choice" | "text" | "name" (of a folder)
    default: int | float | bool | str
    help: str  # one sentence
    low: float | None = None
    high: float | None = None
    unit: str = ""
    choices: tuple[str, ...] = ()
    log: bool = False  # a range better walked by factors
    group: str = "Model"  # heading in the form: "Model", "Objective", "Training"


@dataclass(frozen=True)
class MethodInfo:
    name: str  # "vae"
    title: str  # "VAE"
    family: str  # its branch on the map, for example "Explicit density · bound"
    density: str  # "exact" | "bound" | "none"
    sampling: str  # "direct" | "iterative" | "none"
    conditional: bool
    capabilities: tuple[str, ...]  # of: encode decode log_prob sample classify views
    source: str  # the paper
    summary: str  # two or three sentences for "What you are looking at"
    formula: str  # rich text
    fields: tuple[FieldInfo, ...]
    accepts: str = "images"  # "images" | "text": the kind of data it learns from
    units: tuple[tuple[str, str], ...] = ()  # (term of the loss, its unit)

    def unit_of(self, term: str) -> str:
        """Empty where a term has none."""
        return dict(self.units).get(term, "")


@dataclass(frozen=True)
class CheckpointInfo:
    step: int
    resumable: bool
    best: bool = False
    fault: str = ""  # a sentence when a file of it is missing or damaged


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
    headline: str  # the best number in words: "3.41 bits/dim", "" when there is none yet
    message: str = ""  # why it stopped, when there is something to say
    fault: str = ""
    seed: int = 0
    shape: tuple[int, ...] = ()  # [C, H, W] of its images
    created: float = 0.0  # seconds since the epoch
    elsewhere: bool = False  # another process is writing it now
    capabilities: tuple[str, ...] = ()
    device: str = ""
    precision: str = ""


@dataclass(frozen=True)
class DataInfo:
    data: str  # what to pass as `--data`
    name: str
    kind: str  # "images" | "text"
    summary: str  # "1,797 · 8×8 · built in"
    built_in: bool = False


@dataclass(frozen=True, eq=False)
class Picture:
    """An image to be looked at: give one of `path`, `image`, `index`."""

    label: str
    path: str | None = None
    image: np.ndarray | None = None  # uint8 [H, W] | [H, W, 3]
    data: str | None = None  # with `index`: a test image of this data set
    index: int | None = None


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
    level: str  # "good" | "warning" | "bad"
    text: str


# ---------------------------------------------------------------------------------------------------------------------
# Commands
# ---------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Command:
    pass


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
class PauseJob(Command):
    """Save, free the device, keep the place in the list; `ResumeJob` goes on exactly where it was."""

    job: str


@dataclass(frozen=True)
class ResumeJob(Command):
    job: str


@dataclass(frozen=True)
class StopJob(Command):
    """Stop after this batch and keep what there is."""

    job: str


@dataclass(frozen=True)
class DiscardJob(Command):
    """Stop and remove the run's folder."""

    job: str


@dataclass(frozen=True)
class MoveJob(Command):
    """Move a queued job to a place in the queue (0 is next)."""

    job: str
    place: int


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
    run: str


@dataclass(frozen=True)
class OpenData(Command):
    """Inspect a data set (built-in name, file or folder) and report on it: `Progress`, then `DataReport`, then `Ended`."""

    job: str
    data: str


@dataclass(frozen=True, eq=False, kw_only=True)
class Work(Command):
    """A long piece of work for the exploring lane -> its own events, then one `Ended`. `StopJob` ends it early.

    New work on a channel ends what was still going on there; `channel` is the pane's own name.
    """

    job: str
    channel: str = ""


@dataclass(frozen=True)
class ForgetData(Command):
    data: str


# ---------------------------------------------------------------------------------------------------------------------
# Queries: short questions from a pane. The newest of each (type, channel) wins; late ones are dropped.
# ---------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False, kw_only=True)
class Query:
    stamp: int = 0
    channel: str = ""


@dataclass(frozen=True, eq=False, kw_only=True)
class Describe(Query):
    """Numbers, KL per dimension and the diagnosis of one checkpoint -> `Described`."""

    run: str
    step: int | None = None


@dataclass(frozen=True, eq=False, kw_only=True)
class Decode(Query):
    """-> `Decoded`"""

    run: str
    step: int | None = None
    z: np.ndarray = None  # type: ignore[assignment]  # [N, D]


@dataclass(frozen=True, eq=False, kw_only=True)
class Encode(Query):
    """Read an image as the run's network sees it, encode it, reconstruct it -> `Encoded`. Give one of `path`, `image`, `index`."""

    run: str
    step: int | None = None
    path: str | None = None
    image: np.ndarray | None = None  # uint8 [H, W] | [H, W, 3]
    index: int | None = None  # of the run's test split
    label: str = ""  # how to call it in the window


@dataclass(frozen=True, eq=False, kw_only=True)
class Interpolate(Query):
    """`count` pictures from a to b, on the straight line and on the sphere -> `Interpolated`."""

    run: str
    step: int | None = None
    a: np.ndarray = None  # type: ignore[assignment]  # [D]
    b: np.ndarray = None  # type: ignore[assignment]  # [D]
    count: int = 9


@dataclass(frozen=True, eq=False, kw_only=True)
class DecodeGrid(Query):
    """A plane through z: dimensions `x` and `y` (indices of z) walked from -span to +span slider units -> `GridDecoded`."""

    run: str
    step: int | None = None
    z: np.ndarray = None  # type: ignore[assignment]  # [D]
    x: int = 0
    y: int = 1
    span: float = 3.0
    count: int = 9  # per side


@dataclass(frozen=True, eq=False, kw_only=True)
class SamplePrior(Query):
    """-> `PriorSampled`"""

    run: str
    step: int | None = None
    count: int = 16
    seed: int = 0
    temperature: float = 1.0


@dataclass(frozen=True, eq=False, kw_only=True)
class Reconstruct(Query):
    """The fixed probe images beside their reconstructions at this checkpoint -> `Reconstructed`."""

    run: str
    step: int | None = None
    count: int = 8


@dataclass(frozen=True, eq=False, kw_only=True)
class BrowseData(Query):
    """A page of a data set's images -> `DataPage`. `label` and `split` filter; `seen_by` shows them as that run's network sees them."""

    data: str
    split: str = "train"  # "train" | "valid" | "test"
    offset: int = 0
    count: int = 48
    label: int | None = None
    seen_by: str | None = None


# ---------------------------------------------------------------------------------------------------------------------
# Events
# ---------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Event:
    pass


@dataclass(frozen=True, eq=False)
class Ready(Event):
    """Sent once, when torch is imported and the methods are known."""

    methods: tuple[MethodInfo, ...]
    device: str  # "CPU", "NVIDIA H200", ...: what "auto" means here
    devices: tuple[str, ...]  # of: cpu cuda mps
    cores: int
    precision: str  # what "auto" means here: "fp32" | "bf16"
    versions: dict[str, str]
    seconds: float  # from the engine's start


@dataclass(frozen=True, eq=False)
class RunsListed(Event):
    runs: tuple[RunInfo, ...]
    root: str


@dataclass(frozen=True, eq=False)
class DataListed(Event):
    data: tuple[DataInfo, ...]


@dataclass(frozen=True, eq=False)
class JobChanged(Event):
    """State of a job. `place` counts from 0 in the queue, -1 when it is not queued."""

    job: str
    kind: str  # "train" | "data" | ...
    state: str  # "queued" | "running" | "pausing" | "paused" | "waiting" | "stopping" | "discarding"
    run: str = ""
    label: str = ""
    message: str = ""
    place: int = -1


@dataclass(frozen=True, eq=False)
class Progress(Event):
    job: str
    run: str
    done: int
    total: int | None
    unit: str  # "step", "file", "image"
    rate: float  # images per second for a training, units per second otherwise
    seconds_left: float | None
    note: str = ""


@dataclass(frozen=True, eq=False)
class Metrics(Event):
    """Points of the curves: for every name an array with one value per entry of its own steps."""

    run: str
    points: dict[str, tuple[np.ndarray, np.ndarray]]  # name -> (steps int64 [n], values float32 [n])
    history: bool = False  # True: this is all there is so far; what was shown is replaced


@dataclass(frozen=True, eq=False)
class CheckpointSaved(Event):
    run: str
    step: int
    resumable: bool
    kept: bool  # a log-spaced one, or the best


@dataclass(frozen=True, eq=False)
class Stalled(Event):
    """A training that cannot go on by itself now (disk full). It tries again after `retry_seconds`."""

    job: str
    run: str
    message: str
    retry_seconds: float


@dataclass(frozen=True, eq=False)
class Ended(Event):
    """Exactly one for every job."""

    job: str
    outcome: str  # "ok" | "stopped" | "failed"
    message: str  # one sentence
    run: str = ""
    details: str = ""  # the traceback, one click away


@dataclass(frozen=True, eq=False)
class Notice(Event):
    level: str  # "info" | "good" | "warning" | "bad"
    text: str
    details: str = ""


@dataclass(frozen=True, eq=False)
class BadFile:
    path: str
    reason: str


@dataclass(frozen=True, eq=False)
class DataReport(Event):
    """What is in a data set, before anything is trained on it."""

    job: str
    data: str
    name: str
    kind: str  # "images" | "text"
    shape: tuple[int, ...]  # [C, H, W]; empty for text
    counts: dict[str, int]  # split -> images (or bytes)
    classes: tuple[str, ...]
    class_counts: dict[str, tuple[int, ...]]  # split -> images per class
    sizes: dict[str, int]  # "28×28 grey" -> how many files
    bad: tuple[BadFile, ...]
    bad_total: int
    duplicates: int  # images that are byte for byte equal to an earlier one
    duplicate_examples: tuple[tuple[str, str], ...]
    across_splits: int  # exact duplicates between train and test
    notes: tuple[str, ...]  # what was adapted and how, what is missing, how it was split
    hash: str
    text_sample: str = ""
    seconds: float = 0.0


@dataclass(frozen=True, eq=False, kw_only=True)
class Answer(Event):
    stamp: int
    channel: str = ""


@dataclass(frozen=True, eq=False, kw_only=True)
class QueryFailed(Answer):
    kind: str  # the query's type
    message: str
    details: str = ""


@dataclass(frozen=True, eq=False, kw_only=True)
class Described(Answer):
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


@dataclass(frozen=True, eq=False, kw_only=True)
class Decoded(Answer):
    run: str
    step: int
    images: np.ndarray  # [N, C, H, W]
    log_prior: np.ndarray | None  # nats [N]; None when there is no prior
    milliseconds: float


@dataclass(frozen=True, eq=False, kw_only=True)
class Encoded(Answer):
    run: str
    step: int
    label: str
    mean: np.ndarray  # [D]
    sigma: np.ndarray  # [D], zeros for a deterministic encoder
    seen: np.ndarray  # what the network really saw [C, H, W]
    original: np.ndarray  # uint8 [H, W, 3], at most 512 px
    reconstruction: np.ndarray  # [C, H, W]
    notes: tuple[str, ...]  # how it was adapted, in words
    nats: float | None  # -ELBO; None when the method has no density


@dataclass(frozen=True, eq=False, kw_only=True)
class Interpolated(Answer):
    run: str
    step: int
    lerp: np.ndarray  # [count, C, H, W]
    slerp: np.ndarray  # [count, C, H, W]
    lerp_z: np.ndarray  # [count, D]
    slerp_z: np.ndarray  # [count, D]
    lerp_log_prior: np.ndarray | None  # nats [count]
    slerp_log_prior: np.ndarray | None


@dataclass(frozen=True, eq=False, kw_only=True)
class GridDecoded(Answer):
    run: str
    step: int
    images: np.ndarray  # [count * count, C, H, W], row by row, y downwards from +span
    count: int


@dataclass(frozen=True, eq=False, kw_only=True)
class PriorSampled(Answer):
    run: str
    step: int
    z: np.ndarray  # [N, D]
    images: np.ndarray  # [N, C, H, W]
    note: str = ""  # says so when there is no prior to draw from


@dataclass(frozen=True, eq=False, kw_only=True)
class Reconstructed(Answer):
    run: str
    step: int
    originals: np.ndarray
    reconstructions: np.ndarray


@dataclass(frozen=True, eq=False, kw_only=True)
class DataPage(Answer):
    data: str
    split: str
    offset: int
    total: int
    images: np.ndarray
    labels: tuple[str, ...]
    names: tuple[str, ...]
    indices: tuple[int, ...]
    text: str = ""  # for a text: the bytes of this page
    notes: tuple[str, ...] = ()
