"""What the small painted charts with lines share: looks of the curves, markers, samples for a legend.

`CurvePlot` was tried in their place and is worse here: it takes 17 ms to build one instead of 0.6, has no room for a legend beside its
curves that reads them out, and knows no bands, whiskers or named places.
"""

from __future__ import annotations

from collections.abc import Sequence

from pyqtgraph.graphicsItems.ScatterPlotItem import drawSymbol
from PySide6.QtCore import QPointF, Qt
from PySide6.QtGui import QColor, QPainter, QPen, QPolygonF

from app.shell.theme import CATEGORIES, MARKERS
from app.widgets.chart import Chart
from app.widgets.colors import shade

SAMPLE = 18  # pixels of a line in a legend


class LineChart(Chart):
    def color(self, place: int) -> QColor:
        """Of the curve with this number; more curves than colours begin again."""
        return shade(CATEGORIES[place % len(CATEGORIES)], self._c)

    @staticmethod
    def marker(place: int) -> str:
        return MARKERS[place % len(MARKERS)]

    @staticmethod
    def repeats(place: int) -> bool:
        """Whether a curve has the colour of an earlier one, so that its line is dashed."""
        return place >= len(CATEGORIES)

    @staticmethod
    def pen(color: QColor, width: float, dashes: Sequence[float] | None = None) -> QPen:
        """`dashes` are lengths of stroke and gap, in widths of the line."""
        pen = QPen(color, width)
        if dashes is not None:
            pen.setDashPattern(list(dashes))
        return pen

    def draw_line(self, painter: QPainter, pen: QPen, points: list[QPointF]) -> None:
        painter.setPen(pen)
        painter.drawPolyline(QPolygonF(points))

    def draw_markers(self, painter: QPainter, marker: str, color: QColor, size: int, points: Sequence[QPointF]) -> None:
        for point in points:
            painter.save()
            painter.translate(point)
            drawSymbol(painter, marker, size, QPen(Qt.PenStyle.NoPen), color)
            painter.restore()

    def draw_level(self, painter: QPainter, pen: QPen, value: float) -> None:
        """A horizontal line across the plot."""
        place, y = self.plot(), self.to_y(value)
        painter.setPen(pen)
        painter.drawLine(QPointF(place.left(), y), QPointF(place.right(), y))

    def draw_cursor(self, painter: QPainter, value: float) -> None:
        """A vertical line where a slider stands."""
        place, x = self.plot(), self.to_x(value)
        painter.setPen(QPen(QColor(self._c.accent), 1))
        painter.drawLine(QPointF(x, place.top()), QPointF(x, place.bottom()))

    def draw_sample(self, painter: QPainter, pen: QPen, at: QPointF, marker: str = "") -> None:
        """A short line for a legend that begins at a point, with its marker in the middle."""
        painter.setPen(pen)
        painter.drawLine(at, at + QPointF(SAMPLE, 0))
        if marker:
            self.draw_markers(painter, marker, pen.color(), 7, [at + QPointF(SAMPLE / 2, 0)])
