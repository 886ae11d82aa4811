"""The palette: one field that finds actions, runs, panes and data by a few letters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from PySide6.QtCore import QEvent, QObject, Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QFrame, QLineEdit, QListWidget, QListWidgetItem, QVBoxLayout, QWidget

from app.shell import theme
from app.shell.plain_text import set_tip

MOST = 60


@dataclass(frozen=True)
class Item:
    text: str
    kind: str  # "action" | "run" | "pane" | "data"
    act: Callable[[], object]
    hint: str = ""  # shortcut or a word of detail
    words: str = ""  # by which it is found too
    enabled: bool = True


def score(wanted: str, text: str) -> float | None:
    """How well `text` fits the letters of `wanted`, in order; None when they are not all in it. Higher is better.

    Letters that begin a word or follow each other count more; the shorter text wins a tie.
    """
    needle, hay = wanted.lower().replace(" ", ""), text.lower()
    ends: dict[int, float] = {-1: 0.0}  # place of the last letter -> best score so far
    for letter in needle:
        reached: dict[int, float] = {}
        best = None
        for i, sign in enumerate(hay):
            if i - 1 in ends:
                best = ends[i - 1] if best is None else max(best, ends[i - 1])
            if sign != letter or best is None:
                continue
            begins = 2.0 if i == 0 or not hay[i - 1].isalnum() else 0.5
            follows = ends[i - 1] + 3.0 if i > 0 and i - 1 in ends else 0.0
            reached[i] = max(best + begins, follows)
        if not reached:
            return None
        ends = reached
    return max(ends.values()) - 0.01 * len(hay)


class Palette(QFrame):
    """Lies over the window while it is open. `closed` says that it went away."""

    closed = Signal()

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.over = parent
        self.setObjectName("palette")
        self.items: list[Item] = []
        self.field = QLineEdit()
        self.field.setPlaceholderText("Search runs, panes, actions…")
        self.field.setAccessibleName("Search runs, panes, actions")
        self.field.textChanged.connect(self._filter)
        self.field.installEventFilter(self)
        self.list = QListWidget()
        self.list.setAccessibleName("Found")
        self.list.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.itemClicked.connect(lambda _item: self._take())
        column = QVBoxLayout(self)
        column.setContentsMargins(8, 8, 8, 8)
        column.addWidget(self.field)
        column.addWidget(self.list)
        self.hide()

    def open(self, items: list[Item]) -> None:
        self.items = items
        self.field.clear()
        self._filter("")
        self.place()
        self.show()
        self.raise_()
        self.field.setFocus(Qt.FocusReason.ShortcutFocusReason)

    def place(self) -> None:
        """In the upper middle of the window."""
        width = min(600, self.over.width() - 64)
        self.setGeometry((self.over.width() - width) // 2, theme.TOP_HEIGHT + 8, width, min(440, self.over.height() - 160))

    def _filter(self, text: str) -> None:
        scored = [(self._score(text, item), i) for i, item in enumerate(self.items)]
        found = sorted(((value, i) for value, i in scored if value is not None), key=lambda pair: (-pair[0], pair[1]))[:MOST]
        self.list.clear()
        for _, i in found:
            item = self.items[i]
            row = QListWidgetItem(f"{item.text}    {item.hint}" if item.hint else item.text)
            row.setData(Qt.ItemDataRole.UserRole, i)
            set_tip(row, item.kind)
            if not item.enabled:
                row.setFlags(Qt.ItemFlag.NoItemFlags)
            self.list.addItem(row)
        if not found:
            row = QListWidgetItem("Nothing is called like that. Try fewer letters.")
            row.setFlags(Qt.ItemFlag.NoItemFlags)
            self.list.addItem(row)
        self.list.setCurrentRow(0)

    @staticmethod
    def _score(text: str, item: Item) -> float | None:
        """By what it is called, or less well by its other words."""
        named = score(text, f"{item.text} {item.hint}" if item.kind == "run" else item.text)
        other = score(text, item.words) if item.words else None
        return named if other is None else max(other - 1.0, other if named is None else named)

    def _take(self) -> None:
        row = self.list.currentItem()
        chosen = row.data(Qt.ItemDataRole.UserRole) if row is not None else None
        if chosen is None or not row.flags() & Qt.ItemFlag.ItemIsEnabled:
            return
        self.shut()
        self.items[chosen].act()

    def shut(self) -> None:
        if self.isVisible():
            self.hide()
            self.closed.emit()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.KeyPress and isinstance(event, QKeyEvent):
            rows = self.list.count()
            step = {Qt.Key.Key_Down: 1, Qt.Key.Key_Up: -1, Qt.Key.Key_PageDown: 8, Qt.Key.Key_PageUp: -8}.get(Qt.Key(event.key()))
            if step is not None:
                self.list.setCurrentRow(max(0, min(rows - 1, self.list.currentRow() + step)))
                return True
            if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
                self._take()
                return True
            if event.key() == Qt.Key.Key_Escape:
                self.shut()
                return True
        elif event.type() == QEvent.Type.FocusOut:
            self.shut()
        return False
