"""One of the latest runs as a card of the start page."""

from __future__ import annotations

import datetime
from pathlib import Path

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFontMetrics, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QAbstractButton, QSizePolicy

from app.shell import formatting, theme
from app.shell.plain_text import set_tip
from engine.messages import RunInfo

HEIGHT = 110
LEAST_WIDTH = 176
STATUS_WORDS = {"training": "training", "queued": "waiting", "paused": "paused", "done": "done", "stopped": "stopped", "failed": "failed"}


def date_of(created: float) -> str:
    """Seconds since the epoch as a date; empty where a file says something that no calendar has."""
    try:
        return datetime.datetime.fromtimestamp(created).strftime("%d %b %Y, %H:%M") if created else ""
    except (OverflowError, ValueError, OSError):
        return ""


class RecentRunCard(QAbstractButton):
    """One run: name, state, best number; pressing it looks at the run."""

    def __init__(self, info: RunInfo) -> None:
        super().__init__()
        self.info = info
        self._c = theme.DARK
        self._bold, self._plain, self._small = theme.font(13, bold=True), theme.font(12), theme.font(11)
        self.setFixedHeight(HEIGHT)
        self.setMinimumWidth(LEAST_WIDTH)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.show_info(info)

    def sizeHint(self) -> QSize:
        return QSize(220, HEIGHT)

    def set_colors(self, c: theme.Colors) -> None:
        self._c = c
        self.update()

    def show_info(self, info: RunInfo) -> None:
        self.info = info
        self.setAccessibleName(f"Look at {info.name}, {info.status}")
        when = date_of(info.created)
        set_tip(self, "\n".join(part for part in (info.name, when, info.fault or info.message) if part))
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        c, info = self._c, self.info
        painter.setPen(QPen(QColor(c.accent if self.hasFocus() or self.underMouse() else c.line), 1))
        painter.setBrush(QColor(c.background))
        painter.drawRoundedRect(QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5), 10, 10)
        inside = QRectF(self.rect()).adjusted(12, 10, -12, -10)

        def write(font, color: str, top: float, text: str, left: float = 0) -> None:
            painter.setFont(font)
            painter.setPen(QColor(color))
            painter.drawText(inside.adjusted(left, top, 0, 0), Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignTop, text)

        def fits(text: str) -> bool:
            return QFontMetrics(self._small).horizontalAdvance(text) <= inside.width()

        name = QFontMetrics(self._bold).elidedText(info.name or Path(info.run).name, Qt.TextElideMode.ElideMiddle, int(inside.width()))
        what = f"{info.title or info.method} · {info.data_name}"
        write(self._bold, c.text, 0, name)
        write(self._plain, c.muted, 18, QFontMetrics(self._plain).elidedText(what, Qt.TextElideMode.ElideMiddle, int(inside.width())))
        write(self._small, c.muted, 36, formatting.settings(info.changed, fits) or "default settings")
        dot = {"training": c.good, "paused": c.warning, "queued": c.warning, "failed": c.bad, "damaged": c.bad}.get(info.status, c.accent)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(dot))
        painter.drawEllipse(QRectF(inside.left(), inside.top() + 59, 7, 7))
        word = STATUS_WORDS.get(info.status, info.status)
        both = f"{word} · {info.headline}" if info.headline else word
        beside = QFontMetrics(self._plain).horizontalAdvance(both) + 14 <= inside.width()
        write(self._plain, c.muted, 54, both if beside else word, left=14)
        if not beside:
            write(self._plain, c.muted, 72, info.headline)
