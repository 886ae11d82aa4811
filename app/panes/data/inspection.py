"""The inspection of data sets: what has been found in each, the job that looks into one, and the page that shows its progress."""

from __future__ import annotations

from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtWidgets import QHBoxLayout, QProgressBar, QVBoxLayout, QWidget

from app.panes import Context
from app.panes.data.import_preview import SAMPLE, TRIED
from app.shell.formatting import count, number, things
from app.widgets.parts import TextLines, button, plain
from engine.common.data_names import short_name, split_name
from engine.messages import DataReport, DataSampled, Ended, OpenData, Progress, StopJob


class InspectionController(QObject):
    """Asks the engine once what is in a set and keeps its report until the set is opened again or leaves the list."""

    began = Signal(str)  # looking into a data set
    progressed = Signal(Progress)
    sampled = Signal(DataReport)  # a first answer about the set that is looked into
    reported = Signal(DataReport)
    failed = Signal(str, Ended)  # data set, and why it has no report: it cannot be used, or was stopped

    def __init__(self, context: Context, parent: QObject) -> None:
        super().__init__(parent)
        self.context = context
        self.reports: dict[str, DataReport] = {}
        self.job = ""
        self.asked = ""  # the data set that the job inspects
        self._outdated: set[str] = set()  # jobs whose report would come too late: the set was opened again meanwhile
        self._listed = set(context.state.data)
        context.state.data_opened.connect(self._opened_again)
        context.state.data_changed.connect(self._data_listed)
        context.bridge.on(DataSampled, self._on_sample)
        context.bridge.on(DataReport, self._on_report)
        context.bridge.on(Progress, self._on_progress)
        context.bridge.on(Ended, self._on_ended)

    def inspect(self, data: str) -> None:
        """Ask the engine what is in a set."""
        self._stop()
        self.job, self.asked = self.context.bridge.new_job("data"), data
        self.began.emit(data)
        self.context.bridge.send(OpenData(self.job, data, sample=SAMPLE))

    def cancel(self) -> bool:
        """Stop looking; returns whether anything was under way."""
        for job in self._jobs():
            self.context.bridge.send(StopJob(job))
        return bool(self.asked)

    def _stop(self) -> None:
        if self.job:
            self.context.bridge.send(StopJob(self.job))
        self.job = self.asked = ""

    def _jobs(self) -> list[str]:
        """The job asked for here, and any that the window has begun for the same set."""
        if not self.asked:
            return []
        same = [job.job for job in self.context.state.jobs.values() if job.kind == "data" and job.label == short_name(self.asked)]
        return list(dict.fromkeys(([self.job] if self.job else []) + same))

    def _opened_again(self, data: str) -> None:
        """What was known of a set is out of date."""
        path, _ = split_name(data)
        for known in [known for known in self.reports if split_name(known)[0] == path]:
            del self.reports[known]
        if data == self.asked:
            self._outdated.add(self.job)
            self._stop()

    def _data_listed(self) -> None:
        """A set that has left the list is read afresh should it come back."""
        listed = set(self.context.state.data)
        for gone in self._listed - listed:
            self.reports.pop(gone, None)
        self._listed = listed

    def _on_progress(self, event: Progress) -> None:
        if event.job in self._jobs():
            self.progressed.emit(event)

    def _on_sample(self, event: DataSampled) -> None:
        if event.job == self.job and self.job:
            self.sampled.emit(event.report)

    def _on_report(self, event: DataReport) -> None:
        if event.job in self._outdated or event.job.startswith(TRIED):
            return
        self.reports[event.data] = event
        if event.data == self.asked and event.job != self.job:  # somebody else has looked meanwhile
            self.context.bridge.send(StopJob(self.job))
        self.reported.emit(event)

    def _on_ended(self, event: Ended) -> None:
        if event.job != self.job or not self.job:
            return
        asked, self.job, self.asked = self.asked, "", ""
        if event.outcome != "ok" and asked not in self.reports:
            self.failed.emit(asked, event)


class InspectionPage(QWidget):
    """How far the inspection has come; `cancel_asked` to stop it."""

    cancel_asked = Signal()

    def __init__(self) -> None:
        super().__init__()
        column = QVBoxLayout(self)
        column.setSpacing(12)
        column.addStretch(2)
        self.title = plain("", wrap=True)
        self.title.setProperty("role", "title")
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setAccessibleName("Progress of the inspection")
        self.note = TextLines(1, "What is being read")
        self.cancel = button("Cancel", self.cancel_asked.emit, "Stop looking; nothing is kept.")
        middle = QVBoxLayout()
        middle.setSpacing(12)
        for widget in (self.title, self.bar, self.note):
            widget.setFixedWidth(420)
            middle.addWidget(widget)
        middle.addWidget(self.cancel, 0, Qt.AlignmentFlag.AlignLeft)
        row = QHBoxLayout()
        row.addStretch(1)
        row.addLayout(middle)
        row.addStretch(1)
        column.addLayout(row)
        column.addStretch(3)

    def begin(self, name: str) -> None:
        self.title.setText(f"Looking into {name}")
        self.note.set_text("Reading.")
        self.bar.setRange(0, 0)
        self.cancel.setEnabled(True)

    def show_progress(self, event: Progress) -> None:
        if event.total:
            self.bar.setRange(0, event.total)
            self.bar.setValue(event.done)
        left = f" · {number(event.seconds_left, 0, 's')} left" if event.seconds_left and event.seconds_left > 1 else ""
        done = f"{count(event.done)} of {things(event.total, event.unit)}" if event.total else things(event.done, event.unit)
        self.note.set_text(f"{done}{left}{' · ' + event.note if event.note else ''}")

    def show_stopping(self) -> None:
        self.cancel.setEnabled(False)
        self.note.set_text("Stopping.")
