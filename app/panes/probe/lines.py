"""Small lines of the Probe pane: shares of right answers over blocks, labels or steps, and the loss of a fit over its iterations."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from PySide6.QtCore import QPointF, QRectF
from PySide6.QtGui import QColor, QFontMetrics, QPainter, QPen

from app.shell.formatting import number
from app.shell.plain_text import set_tip
from app.widgets.chart import LEFT, MIDDLE, figures, ticks
from app.widgets.line_chart import LineChart
from app.widgets.parts import short

ROOM = 0.08  # of the height, above and below the lines


@dataclass(frozen=True)
class Points:
    """One line: y at x; where there are names of places, x is the place's number."""

    name: str
    xs: tuple[float, ...]
    ys: tuple[float, ...]
    look: int = 0  # colour and marker
    errors: tuple[float, ...] = ()  # of y
    dashed: bool = False


class ProbeLines(LineChart):
    """Call `set_lines`. `percent`: y are shares, written in %."""

    def __init__(self, name: str, below: str, beside: str, hint: str, percent: bool = True) -> None:
        self.lines: list[Points] = []
        self.places: tuple[str, ...] = ()
        self.below, self.beside, self.hint, self.percent = below, beside, hint, percent
        super().__init__(name)
        self.setMinimumHeight(132)

    def set_hint(self, hint: str) -> None:
        """What is written where there is no line yet."""
        if hint != self.hint:
            self.hint = hint
            self.update()

    def set_lines(self, lines: list[Points], places: Sequence[str] = ()) -> None:
        self.lines, self.places = [line for line in lines if line.ys], tuple(places)
        self._lay_out()
        told = [f"{line.name}: {', '.join(self._said(line))}" for line in self.lines]
        self.setAccessibleDescription(". ".join(told))
        self.update()

    def _said(self, line: Points) -> list[str]:
        ends = range(len(line.ys)) if self.places else sorted({0, len(line.ys) - 1})
        return [f"{self._place(line.xs[i])} {self._value(line.ys[i])}" for i in ends]

    def _place(self, x: float) -> str:
        return self.places[round(x)] if self.places else figures([x])[0]

    def _value(self, y: float) -> str:
        return number(100 * y, 1, "%") if self.percent else short(y)

    def _lay_out(self) -> None:
        xs = [x for line in self.lines for x in line.xs]
        ys = [y + side for line in self.lines for y, error in self._with_errors(line) for side in (-error, error) if math.isfinite(y)]
        if not xs or not ys:
            return
        side = 0.35 if self.places else 0.02 * (max(xs) - min(xs)) or 0.5
        self.low, self.high = min(xs) - side, max(xs) + side
        if self.places:
            self.low, self.high = -side, len(self.places) - 1 + side
        room = ROOM * (max(ys) - min(ys)) or 0.02 * abs(max(ys)) or 0.02
        self.bottom, self.top = max(min(ys) - room, 0.0), max(ys) + room
        if self.percent:
            self.top = min(self.top, 1.0 + ROOM / 8)

    @staticmethod
    def _with_errors(line: Points) -> list[tuple[float, float]]:
        return list(zip(line.ys, line.errors or (0.0,) * len(line.ys), strict=True))

    def plot(self) -> QRectF:
        line = QFontMetrics(self._small).height()
        return super().plot().adjusted(0, 18 * len(self._legend_rows()), 0, -line if self._staggered() else 0)

    def _staggered(self) -> bool:
        """Whether the names of places need two lines, so that each has the room of two."""
        metrics, room = QFontMetrics(self._small), super().plot().width() / max(1, len(self.places))
        return any(metrics.horizontalAdvance(name) > room - 4 for name in self.places)

    def _legend_rows(self) -> list[list[Points]]:
        """The lines of the legend, as many beside each other as fit."""
        metrics, rows, used = QFontMetrics(self._small), [[]], 6.0  # type: ignore[var-annotated]
        for line in self.lines:
            wide = metrics.horizontalAdvance(line.name) + 40
            if rows[-1] and used + wide > self.width():
                rows.append([])
                used = 6.0
            rows[-1].append(line)
            used += wide
        return rows

    def draw(self, painter: QPainter) -> None:
        if not self.lines:
            self.draw_hint(painter, self.hint)
            return
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        self._axes(painter)
        for line in self.lines:
            self._line(painter, line)
        self._legend(painter)

    def _axes(self, painter: QPainter) -> None:
        place, c = self.plot(), self._c
        painter.setFont(self._small)
        metrics = painter.fontMetrics()
        height = metrics.height()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
        self.draw_upright_axis(painter, 26, self.percent)
        found = ticks(self.low, self.high, max(2, int(place.width() // 76)))
        across: list[float] = list(map(float, range(len(self.places)))) or [value for value in found if value == round(value)]
        texts = list(self.places) or figures(across)
        staggered = self._staggered()
        for number_of, (value, text) in enumerate(zip(across, texts, strict=True)):
            x = self.to_x(value)
            painter.setPen(QColor(c.line))
            painter.drawLine(QPointF(x, place.bottom()), QPointF(x, place.bottom() + 4))
            painter.setPen(QColor(c.muted))
            wide = metrics.horizontalAdvance(text)
            left = min(max(x - wide / 2, 0), self.width() - wide - 1)
            down = height if staggered and number_of % 2 else 0
            painter.drawText(QRectF(left, place.bottom() + 5 + down, wide + 1, height), LEFT, text)
        self.draw_name_below(painter, self.below)
        set_tip(self, f"{self.name}. Across: {self.below}. Upwards: {self.beside}.")
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)

    def _pen(self, line: Points) -> QPen:
        return self.pen(self.color(line.look), 1.5, (3, 2.5) if line.dashed else None)

    def _line(self, painter: QPainter, line: Points) -> None:
        pen, marker = self._pen(line), self.marker(line.look)
        points = [QPointF(self.to_x(x), self.to_y(y)) for x, y in zip(line.xs, line.ys, strict=True) if math.isfinite(y)]
        self.draw_line(painter, pen, points)
        if line.errors:
            painter.setPen(QPen(pen.color(), 1.1))
            for x, (y, error) in zip(line.xs, self._with_errors(line), strict=True):
                painter.drawLine(QPointF(self.to_x(x), self.to_y(y - error)), QPointF(self.to_x(x), self.to_y(y + error)))
        self.draw_markers(painter, marker, pen.color(), 7, points if len(points) <= 24 else points[-1:])

    def _legend(self, painter: QPainter) -> None:
        painter.setFont(self._small)
        metrics = painter.fontMetrics()
        for row, lines in enumerate(self._legend_rows()):
            x, top = 6.0, 18 * row
            for line in lines:
                self.draw_sample(painter, self._pen(line), QPointF(x, top + 12), self.marker(line.look))
                painter.setPen(QColor(self._c.text))
                wide = metrics.horizontalAdvance(line.name)
                painter.drawText(QRectF(x + 22, top + 3, wide + 2, 18), LEFT | MIDDLE, line.name)
                x += wide + 40

    def table(self) -> tuple[tuple[str, ...], list[tuple[object, ...]]]:
        """What is drawn, as header and rows of a CSV."""
        rows: list[tuple[object, ...]] = []
        for line in self.lines:
            for x, (y, error) in zip(line.xs, self._with_errors(line), strict=True):
                rows.append((line.name, self._place(x) if self.places else repr(x), repr(y), repr(error) if line.errors else ""))
        return ("line", self.below, self.beside, "standard error"), rows
