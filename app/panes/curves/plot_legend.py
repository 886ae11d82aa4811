"""The legend of the one plot of curves: lines with colour, dash and marker, in the corner where it covers least."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyqtgraph as pg
from pyqtgraph.graphicsItems.ScatterPlotItem import drawSymbol
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QFontMetrics, QPainter, QPen

from app.shell.plain_text import without_markup
from app.shell.theme import Colors, font

CORNERS = {(1, 0): (-8, 8), (0, 0): (8, 8), (1, 1): (-8, -8), (0, 1): (8, -8)}  # where the legend may stand -> its distance from there
PROBES = 200  # places along the plot at which the legend looks for curves below it


class LegendSample(pg.ItemSample):
    """A line of the legend: colour, dash and marker."""

    def __init__(self, pen: QPen, marker: str) -> None:
        super().__init__(None)
        self.pen, self.marker = pen, marker

    def paint(self, painter: QPainter, *_: object) -> None:
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(self.pen)
        painter.drawLine(0, 11, 22, 11)
        painter.translate(11, 11)
        size = 8 if self.pen.style() == Qt.PenStyle.SolidLine else 5  # the dashes must be seen beside it
        if self.marker:
            drawSymbol(painter, self.marker, size, pg.mkPen(None), pg.mkBrush(self.pen.color()))

    def mouseClickEvent(self, event) -> None:
        event.ignore()


class CornerLegend(pg.LegendItem):
    """A legend that stands in the corner of its view box where it covers least of the curves."""

    def __init__(self, box: pg.ViewBox) -> None:
        super().__init__(offset=CORNERS[1, 0], verSpacing=-4, sampleType=LegendSample)
        self.box = box
        self.corner = (1, 0)
        self.names: list[str] = []  # as they are, whole
        self.setParentItem(box)

    def set_colors(self, c: Colors) -> None:
        self.setLabelTextColor(QColor(c.text))
        self.setLabelTextSize(f"{font(11).pixelSize()}px")
        ground = QColor(c.background)
        ground.setAlpha(150)  # what runs below the legend can still be followed
        self.setBrush(pg.mkBrush(ground))

    def addItem(self, item: pg.ItemSample, name: str) -> None:
        super().addItem(item, name)
        self.names.append(name)

    def clear(self) -> None:
        super().clear()
        self.names = []

    def fit(self) -> None:
        """Names lose their middle where they are wider than half the plot. More rows than the plot is high are not shown at all: the
        list of runs beside it says the same."""
        metrics, room = QFontMetrics(font(11)), max(int(self.box.width() / 2) - 48, 24)
        changed = False
        for (_, label), name in zip(self.items, self.names, strict=True):
            shown = metrics.elidedText(name, Qt.TextElideMode.ElideMiddle, room)
            if label.text != without_markup(shown):
                label.setText(without_markup(shown), **label.opts)
                changed = True
        if changed:
            layout: Any = self.layout
            layout.invalidate()
            self.setGeometry(QRectF(QPointF(0, 0), layout.effectiveSizeHint(Qt.SizeHint.MinimumSize)))
            layout.activate()
            self.updateSize()
            self.anchor(self.corner, self.corner, CORNERS[self.corner])  # which the new size has moved
        self.setVisible(bool(self.names) and self.height() <= self.box.height() - 16)

    def avoid(self, curves: list[tuple[np.ndarray, np.ndarray]]) -> None:
        """Move to the corner that covers least of these (x [n], y [n]) of the view; only where that hides clearly less."""
        (left, right), (bottom, top) = self.box.viewRange()
        width, height = self.box.width(), self.box.height()
        if not curves or min(width, height) < 1 or right <= left or top <= bottom:
            return
        across, down = (self.width() + 8) / width, (self.height() + 8) / height  # shares of the plot
        place = np.linspace(0, 1, PROBES)
        covered = dict.fromkeys(CORNERS, 0)
        for x, y in curves:
            finite = np.isfinite(y)
            if not finite.any():
                continue
            value = np.interp(left + place * (right - left), x[finite], y[finite], left=np.nan, right=np.nan)
            depth = (top - value) / (top - bottom)  # 0 at the top, 1 at the bottom
            for side, end in CORNERS:
                beside = place >= 1 - across if side else place <= across
                behind = depth >= 1 - down if end else depth <= down
                covered[side, end] += int(np.sum(beside & behind))
        best = min(CORNERS, key=lambda corner: covered[corner])
        if covered[self.corner] > covered[best] + PROBES // 50:
            self.corner = best
            self.anchor(best, best, CORNERS[best])
