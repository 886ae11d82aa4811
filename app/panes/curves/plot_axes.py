"""What the one plot of curves stands in: axes with the window's own numbers, and a view box whose left button moves the time cursor."""

from __future__ import annotations

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QPainter, QPen, QPixmap

from app.shell.formatting import MINUS, number
from app.shell.theme import font


def wider(pen: QPen, times: float) -> QPen:
    """A cosmetic pen is as wide in a fine picture as on screen: it has to be told to grow with the picture."""
    made = QPen(pen)
    made.setWidthF((pen.widthF() or 1.0) * times)
    return made


class FigureAxis(pg.AxisItem):
    """Ticks as the window writes numbers: 2 000, not 2000 and not 2·10³. What it drew is kept as pixels: text is dear to draw."""

    def __init__(self, side: str) -> None:
        super().__init__(side)
        self.tick_font = font(11)
        self.setStyle(tickFont=self.tick_font, tickLength=4, tickTextOffset=6, hideOverlappingLabels=True)

    def paint(self, painter: QPainter, *_: object) -> None:
        if self._exportOpts is not False:  # letters, not pixels
            self.picture = None
            painter.setFont(self.tick_font)
            specs = self.generateDrawSpecs(painter)
            if specs is not None:
                fine = painter.device().devicePixelRatioF()
                axis, ticks, texts = specs
                ticks = [(wider(pen, fine), *ends) for pen, *ends in ticks]
                self.drawPicture(painter, (wider(axis[0], fine), *axis[1:]), ticks, texts)
            return
        bounds, ratio = self.boundingRect(), painter.device().devicePixelRatioF()
        size = (bounds.size() * ratio).toSize()
        if size.isEmpty():
            return
        if self.picture is None or self.picture.size() != size:
            drawn = QPixmap(size)
            drawn.setDevicePixelRatio(ratio)
            drawn.fill(Qt.GlobalColor.transparent)
            inner = QPainter(drawn)
            inner.translate(-bounds.topLeft())
            inner.setFont(self.tick_font)
            specs = self.generateDrawSpecs(inner)  # may forget `self.picture`, so that holds the finished one only
            if specs is not None:
                self.drawPicture(inner, *specs)
            inner.end()
            self.picture = drawn
        painter.drawPixmap(bounds.topLeft(), self.picture)

    def wheelEvent(self, event) -> None:
        if event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            super().wheelEvent(event)
        else:
            event.ignore()

    def tickStrings(self, values, scale, spacing) -> list[str]:
        if self.logMode:
            return self.logTickStrings(values, scale, spacing)
        digits = max(0, int(np.ceil(-np.log10(spacing) - 1e-9))) if spacing > 0 else 0
        if digits > 5 or any(abs(value) >= 1e7 for value in values):
            return [f"{value:.3g}".replace("-", MINUS) for value in values]
        return [number(value, digits) for value in values]

    def logTickStrings(self, values, scale, spacing) -> list[str]:
        out = []
        for value in values:
            size = 10.0 ** float(value)
            out.append(number(size, 0) if 1 <= size < 1e6 else f"{size:.3g}")
        return out


class TimeBox(pg.ViewBox):
    """Left button: the time cursor. Ctrl and wheel: zoom steps. Middle or Shift-drag: pan. Right drag: zoom. Double click: everything."""

    pointed = Signal(float)
    whole_asked = Signal()

    def __init__(self) -> None:
        super().__init__(enableMenu=False)
        self.setMouseEnabled(x=True, y=True)
        self.setLimits(xMin=0.0)  # there is no step before the first one, and its logarithm is that of step 1

    def mouseClickEvent(self, event) -> None:
        if event.button() == Qt.MouseButton.LeftButton:
            event.accept()
            if event.double():
                self.whole_asked.emit()
            else:
                self.pointed.emit(self.mapSceneToView(event.scenePos()).x())

    def mouseDragEvent(self, event, axis=None) -> None:
        if event.button() == Qt.MouseButton.LeftButton and not event.modifiers() & Qt.KeyboardModifier.ShiftModifier and axis is None:
            event.accept()
            self.pointed.emit(self.mapSceneToView(event.scenePos()).x())
        elif event.button() == Qt.MouseButton.LeftButton and axis is None:
            event.accept()
            move = self.mapToView(event.lastPos()) - self.mapToView(event.pos())
            self.sigRangeChangedManually.emit([True, False])
            self.translateBy(x=move.x())
        else:
            super().mouseDragEvent(event, axis)

    def wheelEvent(self, event, axis=None) -> None:
        if not event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            event.ignore()  # the pane scrolls
            return
        self.sigRangeChangedManually.emit([True, False])  # before it moves, or what follows the curves would take it back
        super().wheelEvent(event, 0 if axis is None else axis)
