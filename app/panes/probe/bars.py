"""What features are worth, as pairs of bars: the linear probe and the neighbours' vote, with their standard errors."""

from __future__ import annotations

import math
from dataclasses import dataclass

from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QBrush, QColor, QFontMetrics, QPainter, QPen

from app.panes.probe.results import NEIGHBOURS, figure
from app.shell.formatting import number
from app.shell.theme import CATEGORIES
from app.widgets.chart import LEFT, MIDDLE, RIGHT, Chart, figures, ticks
from app.widgets.colors import shade

ROW = 36  # pixels of a pair of bars
FOOT = 34  # below them: the axis and its name
HEAD = 22  # above them: what the colours mean
NAMES = 250  # pixels, at most a third of the width
SUPERVISED = "trained with labels (its best checkpoint, validation images)"


@dataclass(frozen=True)
class Bars:
    name: str
    linear: float | None
    knn: float | None = None
    linear_error: float = math.nan  # standard errors; NaN: not known
    knn_error: float = math.nan
    supervised: bool = False
    note: str = ""


class ProbeBars(Chart):
    """Call `set_bars`. One row for each kind of features; supervised runs have one bar of a third colour."""

    def __init__(self) -> None:
        self.bars: list[Bars] = []
        self.chance: float | None = None
        self.hint = ""
        self.neighbours = NEIGHBOURS
        super().__init__("What the features are worth")

    def set_bars(self, bars: list[Bars], chance: float | None, hint: str = "", neighbours: int = NEIGHBOURS) -> None:
        """`chance`: the share right by guessing; `hint`: while there are no bars; `neighbours`: k, how many vote."""
        self.neighbours = neighbours
        self.bars, self.chance, self.hint = bars, chance, hint
        self.setMinimumHeight(HEAD + FOOT + ROW * max(3, len(bars)))
        self.updateGeometry()
        self.setAccessibleDescription(". ".join(self.said(bar) for bar in bars))
        self.update()

    @staticmethod
    def said(bar: Bars) -> str:
        told = [] if bar.linear is None else [f"{'right' if bar.supervised else 'linear'} {number(100 * bar.linear, 1, '%')}"]
        told += [] if bar.knn is None else [f"kNN {number(100 * bar.knn, 1, '%')}"]
        return f"{bar.name}: {', '.join(told) or bar.note}"

    def sizeHint(self) -> QSize:
        return QSize(420, HEAD + FOOT + ROW * max(3, len(self.bars)))

    def plot(self) -> QRectF:
        left, head = min(NAMES, round(0.3 * self.width())), self._head()
        return QRectF(left, head, max(self.width() - left - 96, 40), max(self.height() - head - FOOT, 40))

    def _legend_names(self) -> list[str]:
        names = ["linear probe", f"kNN, k = {self.neighbours}"]
        return [*names, SUPERVISED] if any(bar.supervised for bar in self.bars) else names

    def _legend_places(self) -> list[QPointF]:
        """Where each part of the legend begins: beside the one before, or below it where there is no room."""
        metrics, places = QFontMetrics(self._small), []
        begin = at = min(NAMES, round(0.3 * self.width()))
        if any(begin + metrics.horizontalAdvance(name) + 22 > self.width() for name in self._legend_names()):
            begin = at = 4
        top = 2
        for name in self._legend_names():
            wide = metrics.horizontalAdvance(name) + 22
            if at > begin and at + wide > self.width():
                at, top = begin, top + 18
            places.append(QPointF(at, top))
            at += wide + 12
        return places

    def _head(self) -> float:
        """Height of the legend."""
        return max(place.y() for place in self._legend_places()) + HEAD - 2

    def inks(self) -> tuple[QColor, QColor, QColor]:
        """Of linear probes, of neighbours, and of supervised runs."""
        blue, orange, green = (shade(color, self._c) for color in CATEGORIES[:3])
        return blue, orange, green

    def draw(self, painter: QPainter) -> None:
        if not self.bars:
            self.draw_hint(painter, self.hint)
            return
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        self._axis(painter)
        place = self.plot()
        height = min(place.height() / len(self.bars), 48.0)
        for row, bar in enumerate(self.bars):
            self._row(painter, bar, place.top() + row * height, height)
        self._legend(painter)

    def _axis(self, painter: QPainter) -> None:
        place, c = self.plot(), self._c
        painter.setFont(self._small)
        metrics = painter.fontMetrics()
        across = ticks(0, 1, max(2, int(place.width() // 64)))
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
        for value, text in zip(across, figures([100 * value for value in across]), strict=True):
            x = self.to_x(value)
            painter.setPen(QColor(c.line))
            painter.drawLine(QPointF(x, place.top()), QPointF(x, place.bottom() + 3))
            painter.setPen(QColor(c.muted))
            wide = metrics.horizontalAdvance(text)
            painter.drawText(QRectF(x - wide / 2, place.bottom() + 3, wide + 1, metrics.height()), LEFT, text)
        whole = "right answers, in %  ·  whiskers: ± 1 standard error  ·  dashes: guessing"
        self.draw_name_below(painter, whole if metrics.horizontalAdvance(whole) < self.width() else "right answers, in %")
        if self.chance is not None:
            pen = QPen(QColor(c.muted), 1)
            pen.setDashPattern([3, 3])
            painter.setPen(pen)
            x = self.to_x(self.chance)
            painter.drawLine(QPointF(x, place.top()), QPointF(x, place.bottom()))
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)

    def _row(self, painter: QPainter, bar: Bars, top: float, height: float) -> None:
        place = self.plot()
        linear, knn, green = self.inks()
        painter.setFont(self.font())
        painter.setPen(QColor(self._c.text))
        room = QRectF(0, top, place.left() - 10, height)
        needed = painter.fontMetrics().boundingRect(room.toRect(), Qt.TextFlag.TextWordWrap.value, bar.name)
        fits = needed.width() <= room.width() and needed.height() <= height
        name = bar.name if fits else painter.fontMetrics().elidedText(bar.name, Qt.TextElideMode.ElideMiddle, int(room.width()))
        painter.drawText(room, LEFT | MIDDLE | Qt.TextFlag.TextWordWrap, name)
        shown = [(bar.linear, bar.linear_error, green if bar.supervised else linear, Qt.BrushStyle.SolidPattern)]
        if not bar.supervised:
            shown.append((bar.knn, bar.knn_error, knn, Qt.BrushStyle.BDiagPattern))
        thick = min((height - 8) / 2, 13.0)
        begins = top + (height - thick * len(shown)) / 2
        painter.setFont(self._small)
        for at, (value, error, ink, pattern) in enumerate(shown):
            line = QRectF(place.left(), begins + at * thick, place.width(), thick)
            if value is None:
                painter.setPen(QColor(self._c.muted))
                painter.drawText(line.adjusted(4, 0, 0, 0), LEFT | MIDDLE, bar.note or "…")
            else:
                self._bar(painter, line, value, error, ink, pattern)

    def _bar(self, painter: QPainter, line: QRectF, value: float, error: float, ink: QColor, pattern: Qt.BrushStyle) -> None:
        end, middle = self.to_x(value), line.center().y()
        body = QRectF(line.left(), line.top() + 1, end - line.left(), line.height() - 2)
        fill = QColor(ink)
        fill.setAlpha(150 if pattern == Qt.BrushStyle.SolidPattern else 220)
        painter.fillRect(body, QBrush(fill, pattern))
        painter.setPen(QPen(ink, 1))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawRect(body)
        if math.isfinite(error):
            low, high = self.to_x(max(value - error, 0)), self.to_x(min(value + error, 1))
            painter.setPen(QPen(QColor(self._c.text), 1.2))
            painter.drawLine(QPointF(low, middle), QPointF(high, middle))
            for x in (low, high):
                painter.drawLine(QPointF(x, middle - 3), QPointF(x, middle + 3))
        painter.setPen(QColor(self._c.text))
        text = figure(value, error)
        painter.drawText(QRectF(self.plot().right() + 4, line.top() - 1, 92, line.height() + 2), RIGHT | MIDDLE, text)

    def _legend(self, painter: QPainter) -> None:
        linear, knn, green = self.inks()
        looks = ((linear, Qt.BrushStyle.SolidPattern), (knn, Qt.BrushStyle.BDiagPattern), (green, Qt.BrushStyle.SolidPattern))
        painter.setFont(self._small)
        metrics = painter.fontMetrics()
        for (ink, pattern), name, place in zip(looks, self._legend_names(), self._legend_places(), strict=False):
            x, top = place.x(), place.y()
            fill = QColor(ink)
            fill.setAlpha(150 if pattern == Qt.BrushStyle.SolidPattern else 220)
            painter.fillRect(QRectF(x, top + 4, 12, 9), QBrush(fill, pattern))
            painter.setPen(QPen(ink, 1))
            painter.drawRect(QRectF(x, top + 4, 12, 9))
            painter.setPen(QColor(self._c.text))
            wide = metrics.horizontalAdvance(name)
            painter.drawText(QRectF(x + 17, top, wide + 4, 17), LEFT | MIDDLE, name)
