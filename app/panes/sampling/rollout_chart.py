"""−log p of each frame of a film that is rolled out, of the drawn frames and of the true ones."""

from __future__ import annotations

from PySide6.QtCore import QPointF, QRectF
from PySide6.QtGui import QColor, QPainter

from app.widgets.chart import LEFT
from app.widgets.line_chart import SAMPLE, LineChart

NAMES = ("true", "drawn")
ROOM = 0.08  # of the height, above and below the lines
LEGEND = 18  # pixels


class RolloutChart(LineChart):
    """Call `show_film`. Emits nothing: the slider above says which frame is seen."""

    def __init__(self) -> None:
        self.curves: tuple[list[float], ...] = ([], [])  # bits/dim by frame
        self.frame = 0  # that is seen, from 1; below 1 a given one
        super().__init__("Likelihood of each frame")
        self.setMinimumHeight(100)

    def show_film(self, true: list[float], drawn: list[float], frame: int) -> None:
        """−log p of the frames in bits/dim, and which one is seen."""
        self.curves, self.frame = (true, drawn), frame
        values = [value for curve in self.curves for value in curve]
        self.low, self.high = 0.5, max(2.5, *(len(curve) + 0.5 for curve in self.curves))
        room = (ROOM * (max(values) - min(values)) or 0.1) if values else 0.1
        self.bottom, self.top = (min(values) - room, max(values) + room) if values else (0.0, 1.0)
        told = [f"{name}: {', '.join(f'{value:.3f}' for value in curve)}" for name, curve in zip(NAMES, self.curves, strict=True) if curve]
        self.setAccessibleDescription(". ".join(told))
        self.update()

    def plot(self) -> QRectF:
        return super().plot().adjusted(0, LEGEND, 0, 0)

    def draw(self, painter: QPainter) -> None:
        if not any(self.curves):
            self.draw_hint(painter, "−log p of each frame, drawn and true.")
            return
        self.draw_axes(painter, "frame", "−log p in bits/dim, given the four frames before", percent=False)
        if self.frame >= 1:
            self.draw_cursor(painter, self.frame)
        x = self.plot().left()
        for place, (name, curve) in enumerate(zip(NAMES, self.curves, strict=True)):
            color = self.color(place)
            points = [QPointF(self.to_x(frame), self.to_y(value)) for frame, value in enumerate(curve, 1)]
            self.draw_line(painter, self.pen(color, 1.5), points)
            self.draw_markers(painter, self.marker(place), color, 6, points)
            self.draw_sample(painter, self.pen(color, 1.5), QPointF(x, 10), self.marker(place))
            painter.setPen(QColor(self._c.text))
            wide = painter.fontMetrics().horizontalAdvance(name)
            painter.drawText(QRectF(x + SAMPLE + 5, 2, wide + 1, LEGEND), LEFT, name)
            x += SAMPLE + wide + 18
        painter.setPen(QColor(self._c.muted))
        painter.drawText(QRectF(x, 2, max(self.width() - x, 0), LEGEND), LEFT, "bits/dim")
