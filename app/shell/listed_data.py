"""“Locate…” of a data set whose files are gone: asks where they are now and has that checked by content; the entry says how it goes."""

from __future__ import annotations

import os

from PySide6.QtCore import QObject
from PySide6.QtWidgets import QMenu, QWidget

from app.shell.bridge import Bridge
from app.shell.data_list import DataList
from app.shell.formatting import count
from app.shell.state import State
from app.widgets.export import ask_folder, ask_which
from engine import messages as m
from engine.common.data_names import short_name, split_name

TITLE = "Where the data are now"


class ListedDataController(QObject):
    """One set at a time: a newer place ends what was being checked."""

    def __init__(self, lines: DataList, state: State, bridge: Bridge, window: QWidget) -> None:
        super().__init__(window)
        self.lines, self.state, self.bridge, self.window = lines, state, bridge, window
        self.asked: tuple[str, str] | None = None  # job, data
        lines.locate_chosen.connect(self.ask)
        bridge.on(m.Progress, self._progress)
        bridge.on(m.ListedLocated, self._located)
        bridge.on(m.Ended, self._ended)

    def ask(self, data: str) -> None:
        """Ask for a folder or a file."""
        menu = QMenu(self.window)
        menu.addAction("A folder…", lambda: ask_folder(self.window, TITLE, lambda place: self.try_place(data, place)))
        menu.addAction("A file…", lambda: ask_which(self.window, TITLE, "", lambda places: self.try_place(data, places[0])))
        menu.aboutToHide.connect(menu.deleteLater)
        button = self.lines.lines[data].locate
        menu.popup(button.mapToGlobal(button.rect().bottomLeft()))

    def try_place(self, data: str, place: str) -> None:
        """Check by its content whether a listed set lies there."""
        job = self.bridge.new_job("locate")
        if self.asked is not None and self.asked[1] != data:
            self.lines.show_note(self.asked[1], "")
        self.asked = job, data
        self.lines.show_note(data, f"Checking {os.path.abspath(place)}…", busy=True)
        self.bridge.send(m.LocateListed(job=job, channel="locate listed", data=data, place=place, root=self.state.root))

    def _progress(self, event: m.Progress) -> None:
        if self.asked is not None and event.job == self.asked[0]:
            total = "" if event.total is None else f" of {count(event.total)}"
            self.lines.show_note(self.asked[1], f"{event.note or 'Reading'}: {event.unit} {count(event.done)}{total}", busy=True)

    def _located(self, event: m.ListedLocated) -> None:
        if self.state.selected_data == event.data:
            self.state.select_data(event.now)
        name, place = short_name(event.data), split_name(event.now)[0]
        why = "their content is the same" if event.compared else "their content was never read here, so it could not be compared"
        self.bridge.tell(m.Notice("good" if event.compared else "warning", f"The data of “{name}” are in “{place}”: {why}."))

    def _ended(self, event: m.Ended) -> None:
        if self.asked is not None and event.job == self.asked[0]:
            data, self.asked = self.asked[1], None
            self.lines.show_note(data, event.message if event.outcome == "failed" else "", refused=event.outcome == "failed")
