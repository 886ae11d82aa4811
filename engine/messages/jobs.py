"""Messages of jobs: the verbs that steer long work, its state and progress, and the one `Ended` that closes it."""

from __future__ import annotations

from dataclasses import dataclass

from engine.messages.base import Command, Event

__all__ = ["DiscardJob", "Ended", "JobChanged", "MoveJob", "PauseJob", "Progress", "ResumeJob", "Stalled", "StopJob"]


@dataclass(frozen=True)
class PauseJob(Command):
    """Save, free the device, keep the place in the list; `ResumeJob` goes on exactly where it was."""

    job: str


@dataclass(frozen=True)
class ResumeJob(Command):
    """Let a paused job go on."""

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
    seed: int | None = None  # of a new training


@dataclass(frozen=True, eq=False)
class Progress(Event):
    """How far a job is."""

    job: str
    run: str
    done: int
    total: int | None
    unit: str  # "step", "file", "image"
    rate: float  # images per second for a training, units per second otherwise
    seconds_left: float | None
    note: str = ""


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
