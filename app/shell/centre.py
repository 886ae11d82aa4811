"""The centre: the panes and what can lie over them, the form for a new run and the sheet of shortcuts; the log below.

The line for messages is made here and stands under the top line of the window.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from PySide6.QtCore import Qt, QUrl
from PySide6.QtGui import QDesktopServices, QGuiApplication, QUndoStack
from PySide6.QtWidgets import QStackedLayout, QVBoxLayout, QWidget

from app.shell import theme
from app.shell.actions import Actions
from app.shell.layout import Docks
from app.shell.log_pane import LogPane
from app.shell.message_bar import MessageBar
from app.shell.new_run_page import NewRunPage
from app.shell.plain_text import PlainLabel
from app.shell.session_log import Log, Record
from app.shell.shortcuts_page import ShortcutsPage
from app.shell.state import State


class Centre(QWidget):
    """`pages` holds the docks of the panes, the form and the shortcuts; one of them is seen."""

    def __init__(self, state: State, registry: Actions, undo: QUndoStack, log: Log) -> None:
        super().__init__()
        self.state, self.log = state, log
        self.docks = Docks()
        self.new_run_page = NewRunPage(undo)
        self.shortcuts_page = ShortcutsPage(registry)
        self.log_pane = LogPane(log)
        self.log_pane.hide()
        self.message_bar = MessageBar(self)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        self.pages = QStackedLayout()
        self.loading = theme.role(PlainLabel("Loading the panes…"), "muted")
        self.loading.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.pages.addWidget(self.loading)
        for page in (self.docks, self.new_run_page, self.shortcuts_page):
            self.pages.addWidget(page)
        column.addLayout(self.pages, 1)
        column.addWidget(self.log_pane)
        self.new_run_page.cancelled.connect(self.show_panes)
        self.new_run_page.wanted.connect(lambda: self.pages.setCurrentWidget(self.new_run_page))
        self.shortcuts_page.closed.connect(self.show_panes)
        self.log_pane.closed.connect(self.log_pane.hide)
        self.log_pane.copied.connect(lambda text: QGuiApplication.clipboard().setText(text))
        self.log_pane.folder_wanted.connect(self._open_log_folder)

    def set_colors(self, colors: theme.Colors) -> None:
        for part in (self.message_bar, self.docks, self.log_pane):
            part.set_colors(colors)

    # Pages ----------------------------------------------------------------------------------------------------------

    def form_is_open(self) -> bool:
        return self.pages.currentWidget() is self.new_run_page

    def panes_are_seen(self) -> bool:
        return self.pages.currentWidget() in (self.docks, self.loading)

    def end_loading(self) -> None:
        """The panes come to stand where it was said that they are being loaded."""
        if self.pages.currentWidget() is self.loading:
            self.pages.setCurrentWidget(self.docks)
        self.pages.removeWidget(self.loading)

    def show_panes(self) -> None:
        """Back from the form or the shortcuts to the panes."""
        self.pages.setCurrentWidget(self.docks if self.pages.indexOf(self.loading) < 0 else self.loading)

    def show_pane(self, name: str) -> None:
        """Bring a pane to the front, by its class name, whatever lies over the panes now."""
        self.show_panes()
        self.docks.show_pane(name)

    def hand_over(self, purpose: str, what: object) -> None:
        """Give what one pane hands over to the first one that takes it, and bring that to the front; say why where none does."""
        docks = [dock for dock in self.docks.in_order() if purpose in dock.pane.takes_over]
        for dock in docks:
            if not dock.why and dock.pane.take_over(purpose, what):
                self.show_pane(type(dock.pane).__name__)
                return
        if docks:
            title = docks[0].pane.title
            self.say("warning", f"{title} cannot show that now. {docks[0].why or 'Choose a run with a checkpoint first.'}")

    def show_data(self, data: str) -> None:
        """Look at a data set, in the pane for it."""
        self.state.select_data(data)
        self.show_pane(self.docks.data_page())

    def walk(self, by: int) -> None:
        """The next or the previous pane."""
        self.show_pane(self.docks.neighbour(by))

    def tear_off(self) -> None:
        self.show_panes()
        if self.docks.front is not None:
            self.docks.front.toggle_floating()

    def new_run(self, method: str | None = None, data: str | None = None, settings: Mapping[str, Any] | None = None) -> None:
        """Show the form, for a method, a data set and settings when they are given; else for the data that were chosen in it last, or those
        of the chosen run.
        """
        page, methods = self.new_run_page, self.state.methods
        if data:
            page.wish_data(data)
        info = self.state.run_info
        data = data or page.wished_data or (info.data if info is not None else None)
        if method:
            page.choose_method(method)
        if method in methods and settings:
            for field in methods[method].fields:
                if field.name in settings:
                    page.draft.set(method, field, settings[field.name])
        if data:
            page.choose_data(data)
        self.pages.setCurrentWidget(page)
        page.method.setFocus()

    def show_shortcuts(self) -> None:
        self.shortcuts_page.fill()
        self.pages.setCurrentWidget(self.shortcuts_page)
        self.shortcuts_page.setFocus()

    # Saying ---------------------------------------------------------------------------------------------------------

    def say(self, level: str, text: str, details: str = "", about: frozenset[str] = frozenset()) -> None:
        """One sentence in the message bar and in the log; details are one click away. `about`: see `MessageBar.settle`."""
        record = self.log.add(level, text, details)
        self.message_bar.say(level, text, "Details" if details else "", partial(self.log_pane.show_record, record), about)

    def show_record(self, record: Record) -> None:
        """What is in the log already, such as an exception that nobody caught."""
        self.message_bar.say(record.level, record.text, "Details", partial(self.log_pane.show_record, record))

    def copy(self, text: str) -> None:
        QGuiApplication.clipboard().setText(text)
        self.message_bar.say("info", f"Copied {text}")

    def toggle_log(self) -> None:
        if self.log_pane.isVisible():
            self.log_pane.hide()
        else:
            self.log_pane.show_newest()

    def _open_log_folder(self) -> None:
        if self.log.path is not None:
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(self.log.path.parent)))
