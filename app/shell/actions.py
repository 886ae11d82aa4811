"""One registry of actions: menus, shortcuts and the palette are all made from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QAction, QKeySequence

from app.shell.plain_text import set_tip

MENUS = ("File", "Edit", "Run", "View", "Go", "Help")
PANE = "pane."  # how the names of actions begin that bring a pane to the front


@dataclass(frozen=True)
class Entry:
    """Where an action stands: the menu it belongs to and its place in it."""

    name: str  # "run.new"
    menu: str  # "Run"
    action: QAction
    words: str = ""  # by which the palette finds it, beside its name
    hint: str = ""  # a key that is handled by the focused widget and not by the action, for example "Space"

    @property
    def keys(self) -> str:
        """Its shortcuts as the desktop writes them."""
        shown = [sequence.toString(QKeySequence.SequenceFormat.NativeText) for sequence in self.action.shortcuts()]
        return ", ".join(shown) or self.hint


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
        shortcut: QKeySequence | QKeySequence.StandardKey | str | list[str] | None = None,
        help: str = "",
        checkable: bool = False,
        hint: str = "",
        words: str = "",
    ) -> QAction:
        """Register an action; `menu` is "File", "Edit", "Run", "View", "Go" or "Help".

        A shortcut that another action holds already is left out: the first one keeps it.
        """
        if name in self.entries:
            raise ValueError(f"the action {name} is there already")
        action = QAction(text, self)
        action.setObjectName(name)
        action.setCheckable(checkable)
        action.setStatusTip(help or text)
        set_tip(action, help or text)
        action.setShortcuts(self._free(shortcut))
        action.triggered.connect(lambda _checked=False: run())
        self.entries[name] = Entry(name, menu, action, words, hint)
        self.changed.emit()
        return action

    def add_pane(self, name: str, title: str, about: str, show: Callable[[], object]) -> QAction:
        """Bring a pane to the front: the first nine by Ctrl+1 … Ctrl+9, the tenth by Ctrl+0; those after it say that they have no key."""
        number = sum(entry.startswith(PANE) for entry in self.entries) + 1
        help = about or f"Show {title}"
        if number > 10:
            help += " It has no key of its own; Ctrl+Tab and the search lead to it."
        return self.add(PANE + name, title, show, menu="Go", shortcut=f"Ctrl+{number % 10}" if number <= 10 else None, help=help)

    def _free(self, shortcut: QKeySequence | QKeySequence.StandardKey | str | list[str] | None) -> list[QKeySequence]:
        if shortcut is None:
            return []
        if isinstance(shortcut, QKeySequence.StandardKey):
            asked = QKeySequence.keyBindings(shortcut)
        elif isinstance(shortcut, list):
            asked = [QKeySequence(keys) for keys in shortcut]
        else:
            asked = [QKeySequence(shortcut)]
        taken = {sequence.toString() for entry in self.entries.values() for sequence in entry.action.shortcuts()}
        return [sequence for sequence in asked if sequence.toString() and sequence.toString() not in taken]

    def __getitem__(self, name: str) -> QAction:
        return self.entries[name].action

    def __contains__(self, name: str) -> bool:
        return name in self.entries
