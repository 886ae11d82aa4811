"""A data set read again by other decisions, in the background: first a sample of it, then the whole.

Only the newest request is waited for, and what comes of an older one is dropped.
"""

from __future__ import annotations

from PySide6.QtCore import QObject, Signal

from app.panes import Context
from engine.messages import DataReport, DataSampled, Ended, OpenData, Progress, StopJob

SAMPLE = 256  # images that are looked at first
TRIED = "tried"  # what the names of these jobs begin with


class ImportPreview(QObject):
    """Emits what becomes of the newest request: `sampled` and `progressed`, then `reported`, or `failed` with a sentence, or `stopped`."""

    progressed = Signal(Progress)
    sampled = Signal(DataReport)
    reported = Signal(DataReport)
    failed = Signal(str)
    stopped = Signal()

    def __init__(self, context: Context, parent: QObject) -> None:
        super().__init__(parent)
        self.context = context
        self.job = ""
        context.bridge.on(DataSampled, self._on_sample)
        context.bridge.on(DataReport, self._on_report)
        context.bridge.on(Progress, self._on_progress)
        context.bridge.on(Ended, self._on_ended)

    @property
    def busy(self) -> bool:
        return bool(self.job)

    def ask(self, data: str) -> None:
        """Read a set by the decisions in its name; what was asked for before is given up."""
        self.give_up()
        self.job = self.context.bridge.new_job(TRIED)
        self.context.bridge.send(OpenData(self.job, data, listed=False, sample=SAMPLE))

    def follow(self, job: str) -> None:
        """Wait for a job that somebody else has begun, and tells the end of, too."""
        self.give_up()
        self.job = job

    @property
    def following(self) -> bool:
        return self.busy and not self.job.startswith(TRIED)

    def let_go(self) -> None:
        """Wait no longer for a job that somebody else has begun; it goes on."""
        self.job = ""

    def give_up(self) -> None:
        """Nobody waits any longer."""
        if self.job:
            self.context.bridge.send(StopJob(self.job))
        self.job = ""

    def cancel(self) -> None:
        """Stop, and say so when it has ended."""
        if self.job:
            self.context.bridge.send(StopJob(self.job))

    def _on_progress(self, event: Progress) -> None:
        if event.job == self.job:
            self.progressed.emit(event)

    def _on_sample(self, event: DataSampled) -> None:
        if event.job == self.job:
            self.sampled.emit(event.report)

    def _on_report(self, event: DataReport) -> None:
        if event.job == self.job:
            self.job = ""
            self.reported.emit(event)

    def _on_ended(self, event: Ended) -> None:
        if event.job != self.job or not self.job:
            return
        self.job = ""
        if event.outcome == "failed":
            self.failed.emit(event.message)
        else:
            self.stopped.emit()
