"""A data set read again by other decisions, in the background: only the newest is waited for, and what comes of an older one is dropped."""

from __future__ import annotations

from PySide6.QtCore import QObject, Signal

from app.panes import Context
from engine.messages import DataReport, Ended, OpenData, Progress, StopJob

TRIED = "tried"  # what the names of these jobs begin with


class ImportPreview(QObject):
    """Emits what becomes of the newest request: `progressed`, then `reported`, or `failed` with a sentence, or `stopped`."""

    progressed = Signal(Progress)
    reported = Signal(DataReport)
    failed = Signal(str)
    stopped = Signal()

    def __init__(self, context: Context, parent: QObject) -> None:
        super().__init__(parent)
        self.context = context
        self.job = ""
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
        self.context.bridge.send(OpenData(self.job, data, listed=False))

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
