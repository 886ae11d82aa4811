"""Small parts of which panes are made: headings, cards, empty states, and the style they share beyond `app/shell/theme.py`."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Iterable
from typing import Any

from PySide6.QtCore import QRect, Qt
from PySide6.QtGui import QAction, QColor, QFontMetrics, QPainter, QPaintEvent, QResizeEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QMenu, QPushButton, QSizePolicy, QStackedWidget, QVBoxLayout, QWidget

from app.shell.formatting import MINUS, number
from app.shell.plain_text import PlainLabel, set_tip
from app.shell.theme import DARK, Colors, font

WRAPS = Qt.TextFlag.TextWordWrap
ZERO_WIDTH_SPACE = "\u200b"
LONG_WORD = re.compile(r"\S{20,}")
BREAKS = re.compile(r"[/\\_.\-](?=[^/\\_.\-])|[^/\\_.\-]{12}(?=[^/\\_.\-])")  # after a separator, and within what has none


def signed(value: float, digits: int = 2) -> str:
    """0.72 -> "+0.72", with a real minus."""
    return f"{value:+.{digits}f}".replace("-", MINUS)


def short(value: float) -> str:
    """Five significant digits, for readouts whose size is not known beforehand."""
    if value != value:
        return "not a number"
    if value in (float("inf"), float("-inf")):
        return "infinite"
    size = abs(value)
    if size and (size < 1e-3 or size >= 1e7):
        return f"{value:.3e}".replace("-", MINUS)
    return number(value, 1 if size >= 1000 else 2 if size >= 100 else 3 if size >= 1 else 4)


def heading(text: str) -> QLabel:
    """A section's name: small spaced capitals, as over every card."""
    label = PlainLabel(text.upper())
    label.setProperty("role", "heading")
    label.setAccessibleName(text)
    return label


def set_heading(label: QLabel, text: str, tail: str = "") -> None:
    """`tail` keeps its letters: units must not become capitals."""
    label.setText(text.upper() + tail)
    label.setAccessibleName(text + tail)


def muted(text: str = "", wrap: bool = True) -> QLabel:
    label = PlainLabel(text)
    label.setProperty("role", "muted")
    label.setWordWrap(wrap)
    label.setTextFormat(Qt.TextFormat.PlainText)
    return label


def plain(text: str = "", wrap: bool = False) -> QLabel:
    label = PlainLabel(text)
    label.setWordWrap(wrap)
    label.setTextFormat(Qt.TextFormat.PlainText)
    return label


def button(text: str, on_click: Callable[[], object] | None, help: str = "", *, primary: bool = False) -> QPushButton:
    """Without `on_click` it waits for its menu (`offer`)."""
    made = QPushButton(text)
    made.setAccessibleName(text.rstrip("…"))
    if help:
        set_tip(made, help)
    if primary:
        made.setProperty("kind", "primary")
    if on_click is not None:
        made.clicked.connect(lambda _checked=False: on_click())
    return made


def offer(button: QPushButton, actions: Iterable[QAction]) -> None:
    """Let a button open a menu of actions."""
    menu = QMenu(button)
    menu.addActions(list(actions))
    button.setMenu(menu)


class Card(QFrame):
    """A framed area; put the contents into `inside`."""

    def __init__(self, margin: int = 12, spacing: int = 8) -> None:
        super().__init__()
        self.setProperty("role", "card")
        self.inside = QVBoxLayout(self)
        self.inside.setContentsMargins(margin, margin, margin, margin)
        self.inside.setSpacing(spacing)


class ShrinkingPages(QStackedWidget):
    """Pages that take the least size of their parts before anything scrolls.

    A label that wraps makes a scroll area ask for the height that all parts would like to have, not for the least.
    """

    def hasHeightForWidth(self) -> bool:
        return False


class Elided(QLabel):
    """One line for a name that somebody chose: it loses its middle where it does not fit."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setMinimumWidth(24)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setPen(self.palette().color(self.foregroundRole()))
        text = painter.fontMetrics().elidedText(self.text(), Qt.TextElideMode.ElideMiddle, self.width())
        painter.drawText(self.rect(), self.alignment() | Qt.AlignmentFlag.AlignVCenter, text)


def breakable(text: str) -> str:
    """The text with a zero-width space wherever a long word, such as a file's path, may go on in the next line."""
    return LONG_WORD.sub(lambda word: BREAKS.sub(f"\\g<0>{ZERO_WIDTH_SPACE}", word[0]), text)


class TextLines(QWidget):
    """Text that changes often: painted in a place of fixed height, so that nothing is laid out anew.

    What needs more than its `lines` makes the place higher; it stays so until it is emptied or gets another width. One that does not
    grow, where what stands above it must not move under the mouse, ends in “…”, and its tip says the whole.
    """

    side = Qt.AlignmentFlag.AlignLeft

    def __init__(self, lines: int, name: str, *, centred: bool = False, small: bool = False, grows: bool = True) -> None:
        super().__init__()
        self.centred = centred  # in its height
        self.lines = lines
        self.grows = grows
        self._fitted_width = 0
        self.text, self.level = "", ""
        self.setFont(font(11 if small else 13))
        self.setAccessibleName(name)
        self.setFixedHeight(self._least_height())
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.set_colors(DARK)

    def set_colors(self, c: Colors) -> None:
        self._inks = {"": QColor(c.muted), "good": QColor(c.good_text), "warning": QColor(c.warning_text), "bad": QColor(c.bad)}
        self.update()

    def set_text(self, text: str, level: str = "") -> None:
        if (text, level) != (self.text, self.level):
            self.text, self.level = text, level
            self.setAccessibleDescription(text)
            set_tip(self, text)
            self._fit()
            self.update()

    def _least_height(self) -> int:
        return self.lines * QFontMetrics(self.font()).lineSpacing() + 4

    def _needed(self, text: str) -> int:
        """Pixels of height that a text needs at this width."""
        around = QRect(0, 0, max(self.width(), 1), 10_000)
        return QFontMetrics(self.font()).boundingRect(around, WRAPS.value, breakable(text)).height() + 4

    def painted(self) -> str:
        """As much of the text as has room."""
        if self.grows or self._needed(self.text) <= self.height():
            return self.text
        kept = bisect_left(range(len(self.text)), True, key=lambda n: self._needed(f"{self.text[:n]}…") > self.height())
        return f"{self.text[: max(kept - 1, 0)].rstrip()}…"

    def _fit(self) -> None:
        """High enough for the text at this width."""
        same = self.width() == self._fitted_width and bool(self.text)
        self._fitted_width = self.width()
        if not self.grows:
            return
        needed = self._needed(self.text) if self.text else 0
        height = max(self._least_height(), needed, self.height() if same else 0)
        if height != self.height():
            self.setFixedHeight(height)

    def resizeEvent(self, event: QResizeEvent) -> None:
        if self.width() != self._fitted_width:
            self._fit()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setPen(self._inks[self.level])
        align = Qt.AlignmentFlag.AlignVCenter if self.lines == 1 or self.centred else Qt.AlignmentFlag.AlignTop
        painter.drawText(self.rect(), align | self.side | WRAPS, breakable(self.painted()))


class EmptyState(QWidget):
    """What a pane without contents shows: what it is for, and the next step as a button."""

    def __init__(self, title: str, text: str, actions: tuple[tuple[str, Callable[[], object] | None], ...] = ()) -> None:
        super().__init__()
        self.title = plain(title, wrap=True)
        self.title.setProperty("role", "title")
        self.text = muted(text)
        self.text.setFixedWidth(420)
        column = QVBoxLayout(self)
        column.setContentsMargins(32, 32, 32, 32)
        column.setSpacing(12)
        column.addStretch(2)
        self.title.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        column.addWidget(self.title)
        self.text.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        middle = QHBoxLayout()
        middle.addStretch(1)
        middle.addWidget(self.text)
        middle.addStretch(1)
        column.addLayout(middle)
        row = QHBoxLayout()
        row.addStretch(1)
        self.buttons = []
        for place, (name, run) in enumerate(actions):
            made = button(name, run, primary=place == 0)
            self.buttons.append(made)
            row.addWidget(made)
        row.addStretch(1)
        column.addLayout(row)
        column.addStretch(3)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)

    def say(self, title: str, text: str) -> None:
        self.title.setText(title)
        self.text.setText(text)


def clear(layout: Any) -> None:
    """Empty a layout and delete its widgets."""
    while layout.count():
        item = layout.takeAt(0)
        if item.widget() is not None:
            item.widget().hide()
            item.widget().deleteLater()
        elif item.layout() is not None:
            clear(item.layout())
