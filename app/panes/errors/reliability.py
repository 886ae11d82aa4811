"""The reliability diagram: how often answers of each confidence are right, with intervals and how many there are."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QEvent, QPointF, QRectF, Qt, Signal
from PySide6.QtGui import QColor, QKeyEvent, QMouseEvent, QPainter, QPen

from app.shell.formatting import number, things
from app.shell.theme import CATEGORIES
from app.widgets.chart import Chart
from app.widgets.colors import shade

LOW, HIGH, CONFIDENCE, ACCURACY, ACCURACY_LOW, ACCURACY_HIGH, COUNT = range(7)  # columns of the bins
COUNTS = 0.22  # of the height, for the bars that say how many answers a bin has
NEAR = 14  # pixels
COLUMNS = ("confidence from", "confidence to", "mean confidence", "accuracy", "accuracy low", "accuracy high", "images")


class ReliabilityDiagram(Chart):
    """Call `set_bins`; `looked_at` says a bin in words, empty: none."""

    looked_at = Signal(str)

    def __init__(self) -> None:
        self.bins = np.zeros((0, 7))
        self.hint = ""
        self.near = -1  # the bin that is pointed at
        super().__init__("Reliability diagram: accuracy over confidence; arrow keys move from bin to bin")
        self.setMinimumSize(200, 150)
        self.setMouseTracking(True)

    def set_bins(self, bins: np.ndarray | None) -> None:
        """float64 [B, 7], as `ErrorsFound` has them."""
        self.bins = np.zeros((0, 7)) if bins is None else bins
        self.near = -1
        self.setAccessibleDescription(". ".join(self.said(row) for row in range(len(self.bins))) or self.hint)
        self.update()

    def said(self, row: int) -> str:
        """“confidence 80.0 to 86.7 %: mean 83.4 %, 79.1 % of 43 images right (95 % interval 64.8 to 88.6 %)”."""
        low, high, sure, right, least, most, n = (float(value) for value in self.bins[row])
        among = f"confidence {number(100 * low, 1)} to {number(100 * high, 1, '%')}: mean {number(100 * sure, 1, '%')}"
        images = things(int(n), "image")
        interval = f"95\u202f% interval {number(100 * least, 1)} to {number(100 * most, 1, '%')}"
        return f"{among}, {number(100 * right, 1, '%')} of {images} right ({interval})"

    def point(self, row: int) -> QPointF:
        return QPointF(self.to_x(100 * float(self.bins[row, CONFIDENCE])), self.to_y(float(self.bins[row, ACCURACY])))

    def draw(self, painter: QPainter) -> None:
        if not len(self.bins):
            self.draw_hint(painter, self.hint)
            return
        self.low, self.high, self.bottom, self.top = 0.0, 100.0, 0.0, 1.0
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        self.draw_axes(painter, "confidence, in %  ·  bars: images", "share of right answers")
        place, c = self.plot(), self._c
        ink, bar = shade(CATEGORIES[0], c), QColor(c.muted)
        bar.setAlpha(70)
        most = float(self.bins[:, COUNT].max())
        for low, high, _sure, _right, _least, _most, n in self.bins:
            left, right = self.to_x(100 * low), self.to_x(100 * high)
            high_bar = COUNTS * place.height() * float(n) / most
            painter.fillRect(QRectF(left + 0.5, place.bottom() - high_bar, max(right - left - 1, 1.5), high_bar), bar)
        pen = QPen(QColor(c.muted), 1)
        pen.setDashPattern([3, 3])
        painter.setPen(pen)
        painter.drawLine(QPointF(self.to_x(0), self.to_y(0)), QPointF(self.to_x(100), self.to_y(1)))
        painter.setPen(QPen(ink, 1.5))
        painter.drawPolyline([self.point(row) for row in range(len(self.bins))])
        for row, values in enumerate(self.bins):
            at = self.point(row)
            painter.setPen(QPen(ink, 2 if row == self.near else 1.2))
            painter.drawLine(QPointF(at.x(), self.to_y(values[ACCURACY_LOW])), QPointF(at.x(), self.to_y(values[ACCURACY_HIGH])))
            painter.setBrush(QColor(c.background) if row == self.near else ink)
            painter.drawEllipse(at, 4, 4)

    # mouse and keyboard

    def _look_at(self, row: int) -> None:
        if row != self.near:
            self.near = row
            self.looked_at.emit("" if row < 0 else self.said(row))
            self.update()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        apart = [abs(self.point(row).x() - event.position().x()) for row in range(len(self.bins))]
        self._look_at(int(np.argmin(apart)) if apart and min(apart) < NEAR else -1)

    def leaveEvent(self, event: QEvent) -> None:
        self._look_at(-1)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        step = {Qt.Key.Key_Left: -1, Qt.Key.Key_Right: 1}.get(Qt.Key(event.key()))
        if step is None or not len(self.bins):
            super().keyPressEvent(event)
        else:
            self._look_at(min(max(self.near + step, 0), len(self.bins) - 1))

    def table(self) -> tuple[tuple[str, ...], list[list[object]]]:
        """Columns and rows of the CSV."""
        return COLUMNS, [[*map(float, row[:COUNT]), int(row[COUNT])] for row in self.bins]
