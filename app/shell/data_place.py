"""Where the chosen run's data are, in the inspector: a line where they are missing, and “Locate…”, which checks a new place by content."""

from __future__ import annotations

import os
from collections.abc import Callable

from PySide6.QtCore import QObject, QTimer, Signal
from PySide6.QtGui import QAction, QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QVBoxLayout, QWidget

from app.shell import theme
from app.shell.bridge import Bridge
from app.shell.formatting import count
from app.shell.latest_query import LatestQuery
from app.shell.plain_text import PlainLabel
from app.shell.state import State
from app.widgets.export import ask_folder, ask_which
from app.widgets.parts import button, heading, offer
from engine import messages as m
from engine.common.remedies import BUTTON_LOCATE, LOCATE, WINDOW_LOCATE

LOOK_MS = 3000  # between two looks whether missing data have come back, with their drive for example
HELP = "Choose where the data are now. They are taken when their content is the same; the run keeps its settings and numbers."
NEEDLESS = "Latents, samples, curves and scores of dropped images need no data and go on."
BREAK = "\u200b"  # where a long path may go on in the next line


class DataPlaceCard(QFrame):
    """Why the data cannot be used, and what is being done about it; a file or folder that is dropped on it is tried."""

    dropped = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        theme.role(self, "card")
        self.setAcceptDrops(True)
        self.fault, self.line = PlainLabel(), theme.role(PlainLabel(), "small")
        for label in (self.fault, self.line):
            label.setWordWrap(True)
        self.locate = button("Locate…", None, HELP)
        self.cancel = button("Cancel", None, "Stop looking; nothing is changed.")
        row = QHBoxLayout()
        row.addWidget(self.locate)
        row.addWidget(self.cancel)
        row.addStretch(1)
        column = QVBoxLayout(self)
        column.setContentsMargins(12, 10, 12, 12)
        column.setSpacing(8)
        column.addWidget(heading("Data not found"))
        column.addWidget(self.fault)
        column.addWidget(self.line)
        column.addLayout(row)
        self.setAccessibleName("Data of the run: not found")
        self.hide()

    def show_fault(self, fault: str, line: str = "", busy: bool = False, refused: bool = False) -> None:
        """`fault` empty hides it all; `busy`: a place is being checked; `refused`: the line says why one was not taken."""
        role = "warning" if refused else "small"
        if self.line.property("role") != role:
            self.line.setProperty("role", role)
            theme.restyle(self.line)
        fault = fault.replace(LOCATE, BUTTON_LOCATE).replace(WINDOW_LOCATE, BUTTON_LOCATE)
        self.fault.setText(fault.replace("/", f"/{BREAK}").replace("\\", f"\\{BREAK}"))
        self.line.setText((line or NEEDLESS).replace("/", f"/{BREAK}"))
        self.locate.setVisible(not busy)
        self.cancel.setVisible(busy)
        self.setVisible(bool(fault))

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if any(url.isLocalFile() for url in event.mimeData().urls()):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        paths = [url.toLocalFile() for url in event.mimeData().urls() if url.isLocalFile()]
        event.acceptProposedAction()
        if paths:
            QTimer.singleShot(0, self, lambda: self.dropped.emit(paths[0]))  # the other program waits until this returns


class DataPlaceController(QObject):
    """Asks where the data of the chosen run are; looks for them at the places that are known, then at those that a person names."""

    def __init__(self, card: DataPlaceCard, state: State, bridge: Bridge, form_is_open: Callable[[], bool], parent: QWidget) -> None:
        super().__init__(parent)
        self.card, self.state, self.bridge, self.form_is_open, self.window = card, state, bridge, form_is_open, parent
        self.fault = ""
        self.asked: tuple[str, str, str] | None = None  # job, run, place
        self.line = ""
        self.refused = False  # the line says why a place was not taken
        self._searched: set[tuple[str, str]] = set()  # (run, what was wrong) that was looked for at all known places
        self._query = LatestQuery(bridge, "data place", self._checked, lambda _failure: None)
        self.timer = QTimer(self)
        self.timer.setInterval(LOOK_MS)
        self.timer.timeout.connect(self.check)
        folder, file = QAction("A folder…", self), QAction("A file…", self)
        folder.triggered.connect(lambda: ask_folder(self.window, "Where the data are now", self.try_place))
        file.triggered.connect(lambda: ask_which(self.window, "Where the data are now", "", lambda paths: self.try_place(paths[0])))
        offer(card.locate, (folder, file))
        card.cancel.clicked.connect(self.cancel)
        card.dropped.connect(self.try_place)
        state.run_changed.connect(self._run_changed)
        bridge.on(m.Progress, self._progress)
        bridge.on(m.DataLocated, self._located)
        bridge.on(m.Ended, self._ended)

    def check(self) -> None:
        """Ask whether the chosen run's data are there."""
        info = self.state.run_info
        if info is not None and not info.fault:
            self._query.want(m.CheckData(run=info.run))

    def look(self) -> None:
        """Show what is known."""
        busy = self.asked is not None
        self.card.show_fault("" if self.form_is_open() else self.fault, self.line, busy, self.refused)
        (self.timer.start if self.fault and not busy else self.timer.stop)()

    def try_place(self, place: str) -> None:
        """Check by its content whether the run's data are there; an empty place stands for all that are known."""
        if self.state.run is None:
            return
        job = self.bridge.new_job("locate")
        self.asked = job, self.state.run, place
        self.refused = False
        self.line = f"Checking {os.path.abspath(place)}…" if place else "Looking for them by their content where data were opened before…"
        self.bridge.send(m.LocateData(job=job, channel="locate", run=self.state.run, place=place))
        self.look()

    def cancel(self) -> None:
        if self.asked is not None:
            self.bridge.send(m.StopJob(self.asked[0]))

    def stop(self) -> None:
        """The window closes."""
        self.timer.stop()
        self._query.forget()

    def _run_changed(self) -> None:
        if self.asked is not None and self.asked[1] != self.state.run:
            self.cancel()
            self.asked = None
        self.fault = self.line = ""
        self.refused = False
        self._query.forget()
        self.look()
        self.check()

    def _checked(self, query: m.CheckData, answer: m.DataChecked) -> None:
        if query.run != self.state.run:
            return
        came_back = bool(self.fault) and not answer.fault
        self.fault = answer.fault
        if came_back and self.asked is None:
            self.line = ""
            self.state.look_again()
        elif answer.fault and self.asked is None and (query.run, answer.fault) not in self._searched:
            self._searched.add((query.run, answer.fault))
            self.try_place("")
        self.look()

    def _progress(self, event: m.Progress) -> None:
        if self.asked is not None and event.job == self.asked[0]:
            total = "" if event.total is None else f" of {count(event.total)}"
            self.line = f"{event.note or 'Reading'}: {event.unit} {count(event.done)}{total}"
            self.look()

    def _located(self, event: m.DataLocated) -> None:
        if event.run == self.state.run:
            given = self.asked is not None and bool(self.asked[2])
            self.fault = self.line = ""
            self.asked = None
            self.look()
            self.state.look_again()
            if given:  # where they were found without being asked, the engine says so
                name = self.state.runs[event.run].name if event.run in self.state.runs else event.run
                self.bridge.tell(m.Notice("good", f"The data of “{name}” are in “{event.data}”: their content is the same."))

    def _ended(self, event: m.Ended) -> None:
        if self.asked is not None and event.job == self.asked[0]:
            place, self.asked = self.asked[2], None
            self.line = "" if event.outcome == "ok" or not place else event.message
            self.refused = event.outcome == "failed" and bool(place)
            self.look()
        elif event.outcome == "failed":
            self.check()  # it may have failed because the data are not what they were
