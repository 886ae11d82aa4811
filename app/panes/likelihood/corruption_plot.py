"""Every score on its way through ever stronger corruption, as p-values on one scale, until it crosses the threshold's level."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PySide6.QtCore import QPointF, QRectF, Qt, Signal
from PySide6.QtGui import QColor, QFontMetrics, QKeyEvent, QMouseEvent, QPainter, QPen, QResizeEvent

from app.panes.likelihood import separation
from app.shell.formatting import number
from app.widgets.chart import LEFT, MIDDLE, RIGHT
from app.widgets.line_chart import LineChart
from engine.common import ood_metrics

LEAST_PLOT = 220  # pixels of the plot beside its legend; where there are fewer the legend stands below


@dataclass(frozen=True, eq=False)
class ScorePath:
    name: str
    strengths: np.ndarray  # [k]
    p_values: np.ndarray  # [k]
    chosen: bool = False


class CorruptionPlot(LineChart):
    """`strength` is where the slider stands; a click or the arrow keys move it along the strengths that are there."""

    strength_moved = Signal(float)

    def __init__(self) -> None:
        self.paths: list[ScorePath] = []
        self.level = separation.KNOWN_LOST
        self.strength = 0.0
        self.kind = ""
        self.hint = ""
        super().__init__("Scores of the image as it is corrupted")
        self.low, self.high, self.top = 0.0, 1.0, 1.0

    def set_paths(self, paths: list[ScorePath], level: float, kind: str) -> None:
        self.paths, self.level, self.kind = paths, level, kind
        found = [f"{path.name}: {self.said(path)}" for path in paths]
        self.setAccessibleDescription(", ".join(found))
        self._fit()
        self.update()

    def _row(self) -> int:
        """Height of a line of the legend."""
        return QFontMetrics(self._small).height() + 3

    def _legend_width(self) -> int:
        """For the longest name with its strength."""
        metrics = QFontMetrics(self._small)
        widths = [24 + metrics.horizontalAdvance(f"{path.name}  {self.shortly(path)}") for path in self.paths]
        return max([metrics.horizontalAdvance(self._below()), *widths]) + 14

    def _below(self) -> str:
        return f"below {number(100 * self.level, 1, '%')} from"

    def _beside(self) -> bool:
        """Whether the legend has room beside the plot."""
        return super().plot().width() - self._legend_width() - 14 >= LEAST_PLOT

    def _fit(self) -> None:
        """High enough for the legend, wherever it stands."""
        legend = (len(self.paths) + 1) * self._row() + 8 if self.paths else 0
        self.setMinimumHeight(max(130, legend) if self._beside() else 130 + legend)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._fit()

    def set_strength(self, strength: float) -> None:
        self.strength = strength
        self.update()

    def crossing(self, path: ScorePath) -> float | None:
        return ood_metrics.crossing(path.strengths, path.p_values, self.level)

    def shortly(self, path: ScorePath) -> str:
        """`said` for the legend."""
        where = self.crossing(path)
        return "never" if where is None else "at once" if where <= 0 else f"{where:.2f}"

    def said(self, path: ScorePath) -> str:
        where = self.crossing(path)
        if where is None:
            return "stays above"
        return "below from the start" if where <= 0 else f"below from {where:.2f}"

    def plot(self) -> QRectF:
        place = super().plot()
        if self._beside():
            return place.adjusted(0, 0, -self._legend_width() - 14, 0)
        return place.adjusted(0, (len(self.paths) + 1) * self._row() + 8, 0, 0)

    def draw(self, painter: QPainter) -> None:
        if not self.paths:
            self.draw_hint(painter, self.hint)
            return
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        self.draw_axes(painter, f"strength of the {self.kind}, 0 to 1", "p-value against held-out images, in %")
        self.draw_level(painter, self.pen(QColor(self._c.text), 1.2, (3, 3)), self.level)
        self.draw_cursor(painter, self.strength)
        for number_of, path in enumerate(self.paths):
            self._path(painter, path, number_of)
        self._legend(painter)

    def _pen(self, number_of: int, dashes: tuple[float, float]) -> QPen:
        width = 2.4 if self.paths[number_of].chosen else 1.3
        return self.pen(self.color(number_of), width, dashes if self.repeats(number_of) else None)

    def _path(self, painter: QPainter, path: ScorePath, number_of: int) -> None:
        good = np.isfinite(path.p_values)
        points = [QPointF(self.to_x(s), self.to_y(p)) for s, p in zip(path.strengths[good], path.p_values[good], strict=True)]
        pen = self._pen(number_of, (4, 3))
        self.draw_line(painter, pen, points)
        self.draw_markers(painter, self.marker(number_of), pen.color(), 6, points)
        where = self.crossing(path)
        if where is not None and where > 0:
            painter.setPen(QPen(QColor(self._c.text), 1.4))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawEllipse(QPointF(self.to_x(where), self.to_y(self.level)), 5, 5)

    def _legend(self, painter: QPainter) -> None:
        painter.setFont(self._small)
        left = self.plot().right() + 14 if self._beside() else 8
        width = min(self.width() - left - 8, self._legend_width())
        row = self._row()
        painter.setPen(QColor(self._c.muted))
        painter.drawText(QRectF(left, 4, width, row), RIGHT | MIDDLE, self._below())
        for place, path in enumerate(self.paths):
            top = 4 + (place + 1) * row
            self.draw_sample(painter, self._pen(place, (3, 2)), QPointF(left, top + row / 2), self.marker(place))
            said = self.shortly(path)
            painter.setPen(QColor(self._c.text))
            painter.drawText(QRectF(left + 24, top, width - 24, row), LEFT | MIDDLE, path.name)
            painter.setPen(QColor(self._c.muted))
            painter.drawText(QRectF(left, top, width, row), RIGHT | MIDDLE, said)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        self._take(event)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if event.buttons() & Qt.MouseButton.LeftButton:
            self._take(event)

    def _take(self, event: QMouseEvent) -> None:
        if self.paths:
            self.strength_moved.emit(min(max(self.from_x(event.position().x()), 0.0), 1.0))

    def keyPressEvent(self, event: QKeyEvent) -> None:
        steps = {Qt.Key.Key_Left: -0.1, Qt.Key.Key_Right: 0.1}
        key = Qt.Key(event.key())
        if self.paths and key in steps:
            self.strength_moved.emit(min(max(self.strength + steps[key], 0.0), 1.0))
        else:
            super().keyPressEvent(event)
