"""One line under the top line for what the program has to say: four levels, at most one button.

Its place is kept while there is nothing to say, so that no message moves what is about to be clicked.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from PySide6.QtCore import Qt, QTimer
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QResizeEvent
from PySide6.QtWidgets import QHBoxLayout, QPushButton, QSizePolicy, QToolButton, QWidget

from app.shell import theme
from app.shell.formatting import things
from app.shell.plain_text import PlainLabel, set_tip
from app.widgets.parts import Elided

STAYS_MS = {"info": 6000, "good": 6000, "warning": 15000, "bad": 60_000}  # a fault only while somebody is at the window
SEEN_MS = 8000  # then a fault gives way to what comes after it; it stays in the log
MOST_WAITING = 20
HEIGHT = 30  # px, whether there is a message or not


@dataclass(frozen=True)
class Message:
    level: str  # "info" | "good" | "warning" | "bad"
    text: str
    button: str = ""
    act: Callable[[], object] | None = None
    about: frozenset[str] = frozenset()  # what it is about: a run, a data set, or a kind of job that names neither

    @property
    def weight(self) -> int:
        return {"bad": 2, "warning": 1}.get(self.level, 0)


class Dot(QWidget):
    """A coloured dot; what it means always stands beside it in words."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setFixedSize(8, 8)
        self.color = QColor("#888888")

    def set_color(self, color: str) -> None:
        self.color = QColor(color)
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(self.color)
        painter.drawEllipse(self.rect())


class MessageBar(QWidget):
    """Shows one message at a time, the worst first, of equal ones the newest; "+2" says that two more wait. All stay in the log.

    A fault goes when it is closed, when its cause is gone or the same was done with success (`settle`), when it was read and something
    else is to be said, and after a minute.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("message_bar")
        self.colors = theme.DARK
        self.current: Message | None = None
        self._waiting: list[Message] = []
        self.dot = Dot()
        self.label = Elided("")
        self.more = theme.role(PlainLabel(), "muted")
        self.button = QPushButton()
        self.button.setProperty("kind", "link")
        self.button.setAccessibleName("Details")
        self.button.clicked.connect(self._press)
        self.shut = QToolButton()
        self.shut.setText("×")
        self.shut.setAccessibleName("Close this message")
        set_tip(self.shut, "Close this message (it stays in the log)")
        self.shut.clicked.connect(self.dismiss)
        row = QHBoxLayout(self)
        row.setContentsMargins(16, 0, 8, 1)
        row.setSpacing(8)
        row.addWidget(self.dot)
        row.addWidget(self.label, 1)
        row.addWidget(self.more)
        row.addWidget(self.button)
        row.addWidget(self.shut)
        self.setFixedHeight(HEIGHT)
        keeps = QSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)  # nor does a long message widen the window
        keeps.setRetainSizeWhenHidden(True)
        self.setSizePolicy(keeps)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._leave)
        self._seen = False  # the message has stood long enough to be read
        self._reading = QTimer(self)
        self._reading.setSingleShot(True)
        self._reading.timeout.connect(self._was_read)
        self.hide()

    def _was_read(self) -> None:
        """Whatever waits has its turn; else the message stands until something comes."""
        self._seen = True
        if self._waiting:
            self.dismiss()

    def _leave(self) -> None:
        """Its time is over; a fault that nobody can have seen stays."""
        if self.current is not None and self.current.weight == 2 and not self.window().isActiveWindow():
            self._timer.start(STAYS_MS[self.current.level])
        else:
            self.dismiss()

    def settle(self, *about: str) -> None:
        """What was wrong with a run, a data set or a kind of job is so no longer: faults about them go, also those that wait."""
        gone = frozenset(about) - {""}
        self._waiting = [message for message in self._waiting if not (message.weight and message.about & gone)]
        if self.current is not None and self.current.weight and self.current.about & gone:
            self.dismiss()
        else:
            self._count()

    def say(
        self, level: str, text: str, button: str = "", act: Callable[[], object] | None = None, about: frozenset[str] = frozenset()
    ) -> None:
        """`act` is what the button does; without words for it, it is offered where the line is too short for the text."""
        message = Message(level, text, button, act, about - {""})
        if self.current is not None and self.current.weight > message.weight and not self._seen:
            self._wait(message)
            self._count()
            return
        if self.current is not None and self.current.weight > 0 and self.current.text != text and not self._seen:
            self._wait(self.current)
        self._show(message)

    def _wait(self, message: Message) -> None:
        if all(waiting.text != message.text for waiting in self._waiting):
            self._waiting = [*self._waiting, message][-MOST_WAITING:]

    def _show(self, message: Message) -> None:
        self.current = message
        self.dot.set_color(self._color(message.level))
        self.label.setText(message.text.replace("\n", " "))
        set_tip(self.label, message.text)
        self.label.setAccessibleName(message.text)
        self._count()
        self.show()
        self._offer()
        self._seen = False
        self._reading.start(SEEN_MS)
        self._timer.stop()
        if STAYS_MS[message.level]:
            self._timer.start(STAYS_MS[message.level])

    def _count(self) -> None:
        """How many messages wait for this one to be closed."""
        n = len(self._waiting)
        self.more.setText(f"+{n}" if n else "")
        set_tip(self.more, f"{things(n, 'more message')}: close this one to read the next" if n else "")
        self.more.setVisible(n > 0)

    def _offer(self) -> None:
        """The button: what the message asks for, or the way to the whole text where the line is too short for it."""
        if self.current is None:
            return
        room = self.width() - 100  # px beside the text: dot, count, ×, margins
        cut = self.label.fontMetrics().horizontalAdvance(self.label.text()) > room
        words = self.current.button or ("Read it all" if cut and self.current.act is not None else "")
        self.button.setText(words)
        self.button.setAccessibleName(words or "Details")
        self.button.setVisible(bool(words))

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._offer()

    def _press(self) -> None:
        message = self.current
        self.dismiss()
        if message is not None and message.act is not None:
            message.act()

    def dismiss(self) -> None:
        self._timer.stop()
        self._reading.stop()
        self.current = None
        if self._waiting:
            worst = max(reversed(self._waiting), key=lambda message: message.weight)  # of equal ones the newest
            self._waiting.remove(worst)
            self._show(worst)
        else:
            self.hide()

    def set_colors(self, colors: theme.Colors) -> None:
        self.colors = colors
        if self.current is not None:
            self.dot.set_color(self._color(self.current.level))
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.fillRect(self.rect(), QColor(self.colors.raised))
        painter.fillRect(0, self.height() - 1, self.width(), 1, QColor(self.colors.line))

    def _color(self, level: str) -> str:
        return {"good": self.colors.good, "warning": self.colors.warning, "bad": self.colors.bad}.get(level, self.colors.accent)
