"""One registry of actions: menus, shortcuts and the palette are all made from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QAction, QKeySequence


@dataclass(frozen=True)
class Entry:
    """Where an action stands: the menu it belongs to and its place in it."""

    name: str  # "run.new"
    menu: str  # "Run"
    action: QAction


class Actions(QObject):
    """All actions of one window, by dotted name."""

    changed = Signal()

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self.entries: dict[str, Entry] = {}

    def add(
        self,
        name: str,
        text: str,
        run: Callable[[], object],
        *,
        menu: str,
        shortcut: QKeySequence | QKeySequence.StandardKey | str | None = None,
        help: str = "",
        checkable: bool = False,
    ) -> QAction:
        """Register an action; `menu` is "File", "Edit", "Run", "View", "Go" or "Help"."""
        if name in self.entries:
            raise ValueError(f"the action {name} is there already")
        action = QAction(text, self)
        action.setObjectName(name)
        action.setCheckable(checkable)
        action.setStatusTip(help or text)
        action.setToolTip(help or text)
        if shortcut is not None:
            action.setShortcut(QKeySequence(shortcut))
        action.triggered.connect(lambda _checked=False: run())
        self.entries[name] = Entry(name, menu, action)
        self.changed.emit()
        return action

    def __getitem__(self, name: str) -> QAction:
        return self.entries[name].action
