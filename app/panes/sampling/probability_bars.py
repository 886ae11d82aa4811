"""What could stand at a place: bars over ordered values, or the likeliest symbols as rows with their sign or patch."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QEvent, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QHelpEvent, QImage, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPen, QResizeEvent
from PySide6.QtWidgets import QAbstractScrollArea, QSizePolicy, QWidget

from app.shell.formatting import number
from app.shell.plain_text import show_tip
from app.shell.theme import DARK, Colors, font
from app.widgets.image_view import chw_to_qimage

ROW = 24
MOST_ROWS = 64
SEEN = 2000  # a bar lower than the highest by more than this is not drawn


def percent(p: float) -> str:
    return number(100 * p, 2 if p < 0.0995 else 1, "%") if p >= 5e-5 or p == 0 else "< 0.01 %"


def visible_symbol(symbol: str) -> str:
    """A character so that it can be seen: spaces and line ends have signs of their own."""
    known = {" ": "␣ space", "\n": "⏎ line end", "\t": "⇥ tab", "\r": "␍ return"}
    return known.get(symbol, symbol if symbol.isprintable() else repr(symbol)[1:-1])


class ValueBars(QWidget):
    """A bar for every value, in order: faint what the model says, strong what is drawn from.

    `picked(value)` on click and arrow keys, `taken(value)` on double click and Enter.
    """

    picked = Signal(int)
    taken = Signal(int)

    def __init__(self, name: str) -> None:
        super().__init__()
        self.raw = np.zeros(0)
        self.filtered = np.zeros(0)
        self.values: tuple[str, ...] = ()
        self.there, self.candidate = -1, -1
        self.empty_text = ""
        self.setAccessibleName(name)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumSize(120, 80)
        self.setFont(font(11))
        self.set_colors(DARK)

    def sizeHint(self) -> QSize:
        return QSize(240, 140)

    def set_colors(self, c: Colors) -> None:
        self._c = {name: QColor(getattr(c, name)) for name in ("text", "muted", "accent", "line", "warning_text")}
        self.update()

    def show_distribution(self, raw: np.ndarray | None, filtered: np.ndarray | None, values: tuple[str, ...], there: int) -> None:
        """`there` is the symbol that stands at the place, -1 when there is none yet."""
        known = raw is not None and filtered is not None
        self.raw = np.asarray(raw, np.float64) if known else np.zeros(0)
        self.filtered = np.asarray(filtered, np.float64) if known else np.zeros(0)
        self.values, self.there = values, there
        if self.candidate >= len(self.raw):
            self.candidate = -1
        self.update()

    def choose(self, symbol: int) -> None:
        self.candidate = symbol if 0 <= symbol < len(self.raw) else -1
        self.update()

    def name(self, symbol: int) -> str:
        return self.values[symbol] if symbol < len(self.values) else str(symbol)

    def words(self, symbol: int) -> str:
        return f"{self.name(symbol)} · p {percent(self.raw[symbol])} · drawn with {percent(self.filtered[symbol])}"

    def area(self) -> QRectF:
        return QRectF(4, 16, self.width() - 8, self.height() - 34)

    def symbol_at(self, x: float) -> int:
        area = self.area()
        return int(np.clip((x - area.left()) / area.width() * len(self.raw), 0, len(self.raw) - 1)) if len(self.raw) else -1

    def middle(self, symbol: int) -> float:
        area = self.area()
        return area.left() + (symbol + 0.5) / len(self.raw) * area.width()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        if not len(self.raw):
            painter.setPen(self._c["muted"])
            painter.drawText(self.rect(), Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap, self.empty_text)
            return
        area, count = self.area(), len(self.raw)
        top = max(float(self.raw.max()), float(self.filtered.max()), 1e-9)
        step = area.width() / count
        gap = 1.0 if step >= 4 else 0.0
        for p, color, inset in ((self.raw, faint(self._c["muted"]), 0.0), (self.filtered, self._c["accent"], min(step * 0.2, 2.0))):
            for symbol in np.flatnonzero(p > top / SEEN):
                height = p[symbol] / top * area.height()
                left = area.left() + symbol * step + inset
                painter.fillRect(QRectF(left, area.bottom() - height, max(step - gap - 2 * inset, 1.0), height), color)
        painter.setPen(QPen(self._c["line"], 1))
        painter.drawLine(area.bottomLeft(), area.bottomRight())
        painter.setPen(self._c["muted"])
        below = QRectF(area.left(), area.bottom() + 2, area.width(), 16)
        painter.drawText(below, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, self.name(0))
        painter.drawText(below, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, self.name(count - 1))
        painter.drawText(QRectF(area.left(), 0, area.width(), 14), Qt.AlignmentFlag.AlignRight, percent(top))
        if 0 <= self.there < count:
            self._line(painter, self.there, "text", Qt.PenStyle.SolidLine)
        if 0 <= self.candidate < count and self.candidate != self.there:
            self._line(painter, self.candidate, "warning_text", Qt.PenStyle.DashLine)
        if self.hasFocus():
            painter.setPen(QPen(self._c["accent"], 1))
            painter.drawRect(self.rect().adjusted(0, 0, -1, -1))

    def _line(self, painter: QPainter, symbol: int, color: str, style: Qt.PenStyle) -> None:
        area, x = self.area(), self.middle(symbol)
        painter.setPen(QPen(self._c[color], 1, style))
        painter.drawLine(int(x), int(area.top()) - 2, int(x), int(area.bottom()) + 4)
        wide = 40.0
        if symbol == self.there:  # below, where the numbers at both ends stay free
            if 0 < symbol < len(self.raw) - 1:
                left = min(max(x - wide / 2, area.left() + 28), area.right() - wide - 28)
                painter.drawText(QRectF(left, area.bottom() + 2, wide, 16), Qt.AlignmentFlag.AlignCenter, self.name(symbol))
            return
        left = min(max(x - wide / 2, area.left()), area.right() - wide - 52)  # above, beside the highest probability
        painter.drawText(QRectF(left, 0, wide, 14), Qt.AlignmentFlag.AlignCenter, self.name(symbol))

    def mousePressEvent(self, event: QMouseEvent) -> None:
        symbol = self.symbol_at(event.position().x())
        if symbol >= 0 and event.button() == Qt.MouseButton.LeftButton:
            self.choose(symbol)
            self.picked.emit(symbol)

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        symbol = self.symbol_at(event.position().x())
        if symbol >= 0:
            self.taken.emit(symbol)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        key = Qt.Key(event.key())
        moves = {Qt.Key.Key_Left: -1, Qt.Key.Key_Right: 1, Qt.Key.Key_PageDown: -10, Qt.Key.Key_PageUp: 10}
        at = self.candidate if self.candidate >= 0 else self.there
        if key in moves and len(self.raw):
            symbol = int(np.clip(at + moves[key], 0, len(self.raw) - 1))
            self.choose(symbol)
            self.picked.emit(symbol)
        elif key in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and self.candidate >= 0:
            self.taken.emit(self.candidate)
        else:
            super().keyPressEvent(event)

    def event(self, event: QEvent) -> bool:
        if isinstance(event, QHelpEvent) and event.type() == QEvent.Type.ToolTip and len(self.raw):
            show_tip(event.globalPos(), self.words(self.symbol_at(event.pos().x())), self)
            return True
        return super().event(event)


class SymbolRows(QAbstractScrollArea):
    """The likeliest symbols, best first; signals as of the bars."""

    picked = Signal(int)
    taken = Signal(int)

    def __init__(self, name: str) -> None:
        super().__init__()
        self.raw = np.zeros(0)
        self.filtered = np.zeros(0)
        self.values: tuple[str, ...] = ()
        self.patches: list[QImage] = []
        self.ranked: list[int] = []
        self.there, self.candidate = -1, -1
        self.empty_text = ""
        self.setAccessibleName(name)
        self.setFrameShape(QAbstractScrollArea.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setMinimumSize(120, 3 * ROW)
        self.setFont(font(12))
        self.set_colors(DARK)

    def sizeHint(self) -> QSize:
        return QSize(240, 6 * ROW)

    def set_colors(self, c: Colors) -> None:
        self._c = {name: QColor(getattr(c, name)) for name in ("text", "muted", "accent", "raised", "background")}
        self.viewport().update()

    def show_distribution(
        self, raw: np.ndarray | None, filtered: np.ndarray | None, values: tuple[str, ...], there: int, patches: np.ndarray | None = None
    ) -> None:
        """`patches` uint8 [V, C, h, w] stand in place of signs."""
        known = raw is not None and filtered is not None
        self.raw = np.asarray(raw, np.float64) if known else np.zeros(0)
        self.filtered = np.asarray(filtered, np.float64) if known else np.zeros(0)
        self.values, self.there = values, there
        self.ranked = [int(s) for s in np.argsort(-self.raw, kind="stable")[:MOST_ROWS]]
        if 0 <= there < len(self.raw) and there not in self.ranked:
            self.ranked.append(there)
        self.patches = [] if patches is None else [chw_to_qimage(patch) for patch in patches]
        if self.candidate >= len(self.raw):
            self.candidate = -1
        self._measure()
        self.viewport().update()

    def choose(self, symbol: int) -> None:
        self.candidate = symbol if 0 <= symbol < len(self.raw) else -1
        if symbol in self.ranked:
            top = self.ranked.index(symbol) * ROW
            bar = self.verticalScrollBar()
            bar.setValue(min(max(bar.value(), top + ROW - self.viewport().height()), top))
        self.viewport().update()

    def name(self, symbol: int) -> str:
        return visible_symbol(self.values[symbol]) if symbol < len(self.values) else f"code {symbol}"

    def words(self, symbol: int) -> str:
        return f"{self.name(symbol)} · p {percent(self.raw[symbol])} · drawn with {percent(self.filtered[symbol])}"

    def _measure(self) -> None:
        height = self.viewport().height()
        bar = self.verticalScrollBar()
        bar.setRange(0, max(0, len(self.ranked) * ROW - height))
        bar.setPageStep(max(height, ROW))
        bar.setSingleStep(ROW)

    def resizeEvent(self, event: QResizeEvent) -> None:
        self._measure()

    def row_rect(self, row: int) -> QRectF:
        return QRectF(0, row * ROW - self.verticalScrollBar().value(), self.viewport().width(), ROW)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self.viewport())
        painter.fillRect(self.viewport().rect(), self._c["background"])
        if not self.ranked:
            painter.setPen(self._c["muted"])
            painter.drawText(self.viewport().rect(), Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap, self.empty_text)
            return
        top = max(float(self.raw.max()), float(self.filtered.max()), 1e-9)
        for row, symbol in enumerate(self.ranked):
            rect = self.row_rect(row)
            if rect.bottom() >= 0 and rect.top() <= self.viewport().height():
                self._draw_row(painter, rect, symbol, top)
        if self.hasFocus():
            painter.setPen(QPen(self._c["accent"], 1))
            painter.drawRect(self.viewport().rect().adjusted(0, 0, -1, -1))

    def _draw_row(self, painter: QPainter, rect: QRectF, symbol: int, top: float) -> None:
        if symbol == self.candidate:
            painter.fillRect(rect, self._c["raised"])
        painter.setPen(self._c["text"] if symbol == self.there else self._c["muted"])
        left, bars = 16, 84
        if symbol < len(self.patches):
            painter.drawImage(QRectF(rect.left() + left, rect.top() + 2, ROW - 4, ROW - 4), self.patches[symbol])
        else:
            painter.drawText(rect.adjusted(left, 0, 0, 0), Qt.AlignmentFlag.AlignVCenter, self.name(symbol))
        if symbol == self.there:
            painter.drawText(rect.adjusted(2, 0, 0, 0), Qt.AlignmentFlag.AlignVCenter, "▸")
        wide = rect.width() - bars - 62
        for p, color, inset in ((self.raw[symbol], faint(self._c["muted"]), 7), (self.filtered[symbol], self._c["accent"], 9)):
            painter.fillRect(QRectF(bars, rect.top() + inset, max(p / top * wide, 0.0), ROW - 2 * inset), color)
        painter.setPen(self._c["muted"])
        align = Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignRight
        painter.drawText(rect.adjusted(0, 0, -6, 0), align, percent(self.raw[symbol]))

    def symbol_at(self, y: float) -> int:
        row = int((y + self.verticalScrollBar().value()) // ROW)
        return self.ranked[row] if 0 <= row < len(self.ranked) else -1

    def mousePressEvent(self, event: QMouseEvent) -> None:
        symbol = self.symbol_at(event.position().y())
        if symbol >= 0 and event.button() == Qt.MouseButton.LeftButton:
            self.choose(symbol)
            self.picked.emit(symbol)

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        symbol = self.symbol_at(event.position().y())
        if symbol >= 0:
            self.taken.emit(symbol)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        key = Qt.Key(event.key())
        if key in (Qt.Key.Key_Up, Qt.Key.Key_Down) and self.ranked:
            at = self.ranked.index(self.candidate) if self.candidate in self.ranked else -1
            symbol = self.ranked[int(np.clip(at + (1 if key == Qt.Key.Key_Down else -1), 0, len(self.ranked) - 1))]
            self.choose(symbol)
            self.picked.emit(symbol)
        elif key in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and self.candidate >= 0:
            self.taken.emit(self.candidate)
        else:
            super().keyPressEvent(event)

    def viewportEvent(self, event: QEvent) -> bool:
        if isinstance(event, QHelpEvent) and event.type() == QEvent.Type.ToolTip:
            symbol = self.symbol_at(event.pos().y())
            if symbol >= 0:
                show_tip(event.globalPos(), self.words(symbol), self)
                return True
        return super().viewportEvent(event)


def faint(color: QColor) -> QColor:
    made = QColor(color)
    made.setAlpha(110)
    return made
