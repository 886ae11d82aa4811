"""Texts that are being drawn, in letters of equal width: each character on the colour of its surprisal, any of them can be chosen."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from PySide6.QtCore import QEvent, QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import (
    QColor,
    QFont,
    QFontDatabase,
    QFontMetricsF,
    QHelpEvent,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QResizeEvent,
)
from PySide6.QtWidgets import QAbstractScrollArea, QSizePolicy

from app.panes.sampling.probability_bars import visible_symbol
from app.shell.formatting import number
from app.shell.plain_text import show_tip
from app.shell.theme import DARK, MONOSPACE, Colors, font
from app.widgets.heat import viridis

MARGIN = 8


@cache
def fixed_font() -> QFont:
    installed = set(QFontDatabase.families())
    name = next((name for name in MONOSPACE if name in installed), QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont).family())
    made = QFont(name)
    made.setPixelSize(13)
    return made


@dataclass(eq=False)
class Texts:
    """What is to be drawn."""

    tokens: np.ndarray  # int [n, N]
    places: np.ndarray  # int [n]: characters that are there
    values: tuple[str, ...]  # the symbols
    bits: np.ndarray | None = None  # [n, N], NaN where unknown: drawn behind the characters
    max_bits: float = 1.0  # that are the brightest
    given: np.ndarray | None = None  # bool [n, N]
    captions: tuple[str, ...] = ()


class TextCanvas(QAbstractScrollArea):
    """Emits `picked(sample, place)` on a click, and when the mark moves by keyboard."""

    picked = Signal(int, int)

    def __init__(self, name: str) -> None:
        super().__init__()
        self.texts: Texts | None = None
        self.mark: tuple[int, int] | None = None
        self.lines: list[tuple[int, int, int]] = []  # (sample, first place, end); first -1: a caption
        self.empty_text = ""
        self.painted = 0
        self.setAccessibleName(name)
        self.setFrameShape(QAbstractScrollArea.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumSize(160, 120)
        metrics = QFontMetricsF(fixed_font())
        self.cell = QSize(round(metrics.horizontalAdvance("0")), round(metrics.height()) + 2)
        self.set_colors(DARK)

    def sizeHint(self) -> QSize:
        return QSize(400, 400)

    def set_colors(self, c: Colors) -> None:
        self._c = {name: QColor(getattr(c, name)) for name in ("text", "muted", "accent", "background")}
        self.viewport().update()

    def show_texts(self, texts: Texts | None) -> None:
        self.texts = texts
        if self.mark is not None and (texts is None or self.mark[0] >= len(texts.tokens) or self.mark[1] >= texts.places[self.mark[0]]):
            self.mark = None
        self._lay()
        self.viewport().update()

    def set_mark(self, mark: tuple[int, int] | None) -> None:
        self.mark = mark
        self.viewport().update()

    def across(self) -> int:
        """Characters in a line."""
        return max(8, (self.viewport().width() - 2 * MARGIN) // self.cell.width())

    def _lay(self) -> None:
        """Break every text at its line ends and where the width is used up."""
        self.lines = []
        texts = self.texts
        if texts is not None:
            across = self.across()
            ends = {index for index, value in enumerate(texts.values) if value == "\n"}
            for sample, (row, place) in enumerate(zip(texts.tokens, texts.places, strict=True)):
                if sample < len(texts.captions):
                    self.lines.append((sample, -1, -1))
                first = 0
                for at in range(int(place)):
                    if at - first == across - 1 or int(row[at]) in ends:
                        self.lines.append((sample, first, at + 1))
                        first = at + 1
                self.lines.append((sample, first, int(place)))
        height = len(self.lines) * self.cell.height() + 2 * MARGIN
        bar = self.verticalScrollBar()
        bar.setRange(0, max(0, height - self.viewport().height()))
        bar.setPageStep(max(1, self.viewport().height()))
        bar.setSingleStep(self.cell.height())

    def resizeEvent(self, event: QResizeEvent) -> None:
        self._lay()

    def rect_of(self, sample: int, place: int) -> QRectF:
        """Where a character is drawn, in the viewport; empty when it is not there."""
        for index, (own, first, end) in enumerate(self.lines):
            if own == sample and first <= place < end:
                return self._rect(index, place - first)
        return QRectF()

    def _rect(self, line: int, column: int) -> QRectF:
        top = MARGIN + line * self.cell.height() - self.verticalScrollBar().value()
        return QRectF(MARGIN + column * self.cell.width(), top, self.cell.width(), self.cell.height())

    def at(self, point: QPointF) -> tuple[int, int] | None:
        line = int((point.y() + self.verticalScrollBar().value() - MARGIN) // self.cell.height())
        column = int((point.x() - MARGIN) // self.cell.width())
        if not 0 <= line < len(self.lines) or column < 0:
            return None
        sample, first, end = self.lines[line]
        return (sample, first + column) if first >= 0 and first + column < end else None

    def paintEvent(self, event: QPaintEvent) -> None:
        self.painted += 1
        painter = QPainter(self.viewport())
        painter.fillRect(self.viewport().rect(), self._c["background"])
        texts = self.texts
        if texts is None:
            painter.setPen(self._c["muted"])
            painter.drawText(self.viewport().rect(), Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap, self.empty_text)
            return
        for index, (sample, first, end) in enumerate(self.lines):
            top = self._rect(index, 0)
            if top.bottom() < 0 or top.top() > self.viewport().height():
                continue
            if first < 0:
                painter.setFont(font(11))
                painter.setPen(self._c["muted"])
                painter.drawText(
                    QRectF(MARGIN, top.top(), self.viewport().width(), top.height()), Qt.AlignmentFlag.AlignVCenter, texts.captions[sample]
                )
                continue
            painter.setFont(fixed_font())
            shares = None if texts.bits is None else texts.bits[sample, first:end] / texts.max_bits
            heat = None if shares is None else viridis(shares)
            for column in range(end - first):
                place = first + column
                rect = self._rect(index, column)
                ink = self._c["muted"] if texts.given is not None and texts.given[sample, place] else self._c["text"]
                if heat is not None and shares is not None and np.isfinite(shares[column]):
                    color = QColor(*(int(part) for part in heat[column]))
                    painter.fillRect(rect, color)
                    ink = QColor("#ffffff" if shares[column] < 0.45 else "#000000")  # either way at least 4.4 : 1
                painter.setPen(ink)
                value = texts.values[int(texts.tokens[sample, place])]
                shown = {"\n": "⏎", "\t": "⇥", " ": " "}.get(value, value if len(value) == 1 and value.isprintable() else "·")
                if shown == "⏎" and heat is None:
                    painter.setPen(self._c["muted"])
                painter.drawText(rect, Qt.AlignmentFlag.AlignCenter, shown)
        if self.mark is not None:
            painter.setPen(QPen(self._c["accent"], 2))
            painter.drawRect(self.rect_of(*self.mark).adjusted(0, 0, 0, -1))
        elif self.hasFocus():
            painter.setPen(QPen(self._c["accent"], 1))
            painter.drawRect(self.viewport().rect().adjusted(0, 0, -1, -1))

    def tip(self, sample: int, place: int) -> str:
        texts = self.texts
        if texts is None:
            return ""
        parts = [visible_symbol(texts.values[int(texts.tokens[sample, place])]), f"character {place}"]
        if texts.bits is not None and np.isfinite(texts.bits[sample, place]):
            parts.append(number(float(texts.bits[sample, place]), 2, "bits"))
        if texts.given is not None and texts.given[sample, place]:
            parts.append("given")
        return " · ".join(parts)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        found = self.at(event.position())
        if found is not None and event.button() == Qt.MouseButton.LeftButton:
            self.set_mark(found)
            self.picked.emit(*found)

    def viewportEvent(self, event: QEvent) -> bool:
        if isinstance(event, QHelpEvent) and event.type() == QEvent.Type.ToolTip:
            found = self.at(QPointF(event.pos()))
            if found is not None:
                show_tip(event.globalPos(), self.tip(*found), self)
                return True
        return super().viewportEvent(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        moves = {Qt.Key.Key_Left: -1, Qt.Key.Key_Right: 1}
        key = Qt.Key(event.key())
        if key not in moves or self.texts is None or not len(self.texts.tokens):
            super().keyPressEvent(event)
            return
        sample, place = self.mark or (0, -1)
        place = int(np.clip(place + moves[key], 0, int(self.texts.places[sample]) - 1))
        if place >= 0:
            self.set_mark((sample, place))
            self.picked.emit(sample, place)
