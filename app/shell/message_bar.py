"""One line over the panes for what the program has to say: four levels, at most one button, never in the way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from PySide6.QtCore import Qt, QTimer
from PySide6.QtGui import QColor, QPainter, QPaintEvent
from PySide6.QtWidgets import QHBoxLayout, QLabel, QPushButton, QToolButton, QWidget

from app.shell import theme

STAYS_MS = {"info": 6000, "good": 6000, "warning": 15000, "bad": 0}  # 0: until it is closed
MOST_WAITING = 20


@dataclass(frozen=True)
class Message:
    level: str  # "info" | "good" | "warning" | "bad"
    text: str
    button: str = ""
    act: Callable[[], object] | None = None

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
    """Shows one message at a time. A worse one comes first, equal ones replace each other; what was said stays in the log."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("message_bar")
        self.colors = theme.DARK
        self.current: Message | None = None
        self._waiting: list[Message] = []
        self.dot = Dot()
        self.label = QLabel()
        self.label.setWordWrap(True)
        self.label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.label.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.button = QPushButton()
        self.button.setAccessibleName("Details")
        self.button.clicked.connect(self._press)
        self.shut = QToolButton()
        self.shut.setText("×")
        self.shut.setAccessibleName("Close this message")
        self.shut.setToolTip("Close this message (it stays in the log)")
        self.shut.clicked.connect(self.dismiss)
        row = QHBoxLayout(self)
        row.setContentsMargins(16, 4, 8, 4)
        row.setSpacing(8)
        row.addWidget(self.dot)
        row.addWidget(self.label, 1)
        row.addWidget(self.button)
        row.addWidget(self.shut)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self.dismiss)
        self.hide()

    def say(self, level: str, text: str, button: str = "", act: Callable[[], object] | None = None) -> None:
        message = Message(level, text, button, act)
        if self.current is not None and self.current.weight > message.weight:
            self._wait(message)
            return
        if self.current is not None and message.weight > self.current.weight > 0:
            self._wait(self.current)
        self._show(message)

    def _wait(self, message: Message) -> None:
        if all(waiting.text != message.text for waiting in self._waiting):
            self._waiting = [*self._waiting, message][-MOST_WAITING:]

    def _show(self, message: Message) -> None:
        self.current = message
        self.dot.set_color(self._color(message.level))
        self.label.setText(message.text)
        self.label.setAccessibleName(message.text)
        self.button.setText(message.button)
        self.button.setAccessibleName(message.button or "Details")
        self.button.setVisible(bool(message.button))
        self.show()
        self._timer.stop()
        if STAYS_MS[message.level]:
            self._timer.start(STAYS_MS[message.level])

    def _press(self) -> None:
        message = self.current
        self.dismiss()
        if message is not None and message.act is not None:
            message.act()

    def dismiss(self) -> None:
        self._timer.stop()
        self.current = None
        if self._waiting:
            worst = max(self._waiting, key=lambda message: message.weight)  # of equal ones the oldest
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
