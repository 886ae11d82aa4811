"""A surface that shows part of a map: moved, zoomed and lassoed by mouse and keyboard. What lies on the map is the business of who
derives from it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from PySide6.QtCore import QEvent, QPointF, QRectF, Qt, Signal
from PySide6.QtGui import QColor, QHideEvent, QKeyEvent, QMouseEvent, QPainter, QPen, QPolygonF, QResizeEvent, QWheelEvent
from PySide6.QtWidgets import QApplication

from app.panes.embedding.raster import FURTHEST, MARGIN, NEAREST, MapViewport
from app.widgets.chart import Chart

STEP = 1.25  # of the scale, for one notch of the wheel or one key


class MapView(Chart):
    """The left button moves the map, with Shift (or after `set_lasso`) it draws a lasso; the wheel zooms at the mouse; a double click
    or Home shows all; arrows move, + and − zoom, Escape clears.

    Who derives from it says what is found (`pick`, `within`), what all is (`show_whole`) and what goes away (`clear`).
    """

    hovered = Signal(int, QPointF)  # what is under the mouse, and where that is; −1: nothing any longer
    clicked = Signal(int)
    lassoed = Signal(object)  # what lies within, int64 in its order
    cleared = Signal()  # the user wants no selection; it is gone already

    def __init__(self, name: str) -> None:
        self.view: MapViewport | None = None  # None: there is nothing to see
        self.under_mouse = self.chosen = -1
        self.lasso_mode = False
        self.full_scale = 1.0  # at which the whole map fits
        self.whole = True  # the whole map is shown, and stays so when the widget's size changes
        self._lasso: list[QPointF] = []
        self._pressed: QPointF | None = None
        self._dragging = False
        super().__init__(name)
        self.setMouseTracking(True)
        self.setMinimumSize(160, 120)

    def pick(self, at: QPointF) -> int:
        """What is at a point of the widget, −1: nothing."""
        raise NotImplementedError

    def within(self, polygon: Sequence[QPointF]) -> np.ndarray:
        """What lies in a polygon of the widget, int64 in its order."""
        raise NotImplementedError

    def show_whole(self) -> None:
        """All there is, as large as it fits."""
        raise NotImplementedError

    def clear(self) -> None:
        """Nothing is selected any longer."""
        raise NotImplementedError

    def arrive(self) -> None:
        """What moves by itself is at its end at once: the user takes over."""

    def view_scaled(self) -> None:
        """More or less of the map is shown than before."""

    # the view

    def look(self, view: MapViewport) -> None:
        """Show another part of the map."""
        scaled = self.view is None or (self.view.scale, self.view.width, self.view.height) != (view.scale, view.width, view.height)
        self.view = view
        self.hover(-1)
        if scaled:
            self.view_scaled()
        self.update()

    def pan(self, right: float, down: float) -> None:
        """Shift the map by logical pixels."""
        if self.view is not None:
            self.whole = False
            self.look(self.view.moved(right, down))

    def zoom(self, factor: float, at: QPointF | None = None) -> None:
        """The place at a point of the widget (its middle) stays where it is."""
        if self.view is not None:
            at = QRectF(self.rect()).center() if at is None else at
            scale = float(np.clip(self.view.scale * factor, FURTHEST * self.full_scale, NEAREST * self.full_scale))
            self.whole = False
            self.look(self.view.zoomed(scale, (at.x(), at.y())))

    def to_screen(self, place: np.ndarray) -> QPointF:
        """A place of the map [2] -> a point of the widget."""
        assert self.view is not None
        x, y = self.view.to_screen(place)
        return QPointF(float(x), float(y))

    def to_map(self, point: QPointF) -> np.ndarray:
        """A point of the widget -> a place of the map, float64 [2]."""
        assert self.view is not None
        return self.view.to_map(np.array([point.x(), point.y()]))

    def plot(self) -> QRectF:
        return QRectF(self.rect()).adjusted(MARGIN, MARGIN, -MARGIN, -MARGIN)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self.arrive()
        if self.whole:
            self.show_whole()
        elif self.view is not None:
            self.look(replace(self.view, width=self.width(), height=self.height()))

    def hideEvent(self, event: QHideEvent) -> None:
        self.arrive()
        self.hover(-1)
        self._lasso, self._pressed, self._dragging = [], None, False
        super().hideEvent(event)

    # mouse and keyboard

    def set_lasso(self, on: bool) -> None:
        """Whether the left button draws a lasso without Shift."""
        self.lasso_mode = on
        self.setCursor(Qt.CursorShape.CrossCursor if on else Qt.CursorShape.ArrowCursor)

    def hover(self, index: int, at: QPointF | None = None) -> None:
        """Something (or with −1 nothing) is under the mouse now."""
        if index != self.under_mouse:
            self.under_mouse = index
            self.hovered.emit(index, QPointF() if at is None else at)
            self.update()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() != Qt.MouseButton.LeftButton or self.view is None:
            return
        self.arrive()
        if self.lasso_mode or event.modifiers() & Qt.KeyboardModifier.ShiftModifier:
            self._lasso = [event.position()]
            self.hover(-1)
        else:
            self._pressed, self._dragging = event.position(), False

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        at = event.position()
        if self._lasso:
            if (at - self._lasso[-1]).manhattanLength() >= 2:
                self._lasso.append(at)
                self.update()
        elif self._pressed is not None:
            way = at - self._pressed
            if not self._dragging and way.manhattanLength() < QApplication.startDragDistance():
                return
            if not self._dragging:
                self._dragging = True
                self.setCursor(Qt.CursorShape.ClosedHandCursor)
            self._pressed = at
            self.pan(way.x(), way.y())
        else:
            self.hover(self.pick(at), at)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        if event.button() != Qt.MouseButton.LeftButton:
            return
        if self._lasso:
            polygon, self._lasso = self._lasso, []
            self.update()
            if len(polygon) >= 3:
                self.lassoed.emit(self.within(polygon))
        elif self._pressed is not None:
            self._pressed = None
            if self._dragging:
                self._dragging = False
                self.set_lasso(self.lasso_mode)  # its cursor again
            elif (index := self.pick(event.position())) >= 0:
                self.chosen = index
                self.update()
                self.clicked.emit(index)

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        if event.button() == Qt.MouseButton.LeftButton:
            self.show_whole()

    def leaveEvent(self, event: QEvent) -> None:
        self.hover(-1)
        super().leaveEvent(event)

    def wheelEvent(self, event: QWheelEvent) -> None:
        steps = event.angleDelta().y() / 120
        if steps and self.view is not None:
            self.arrive()
            self.zoom(STEP**steps, event.position())
            event.accept()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Arrows move by an eighth of what is shown, + and − zoom, Home shows all, Escape clears."""
        key = Qt.Key(event.key())
        ways = {Qt.Key.Key_Left: (1, 0), Qt.Key.Key_Right: (-1, 0), Qt.Key.Key_Up: (0, 1), Qt.Key.Key_Down: (0, -1)}
        if self.view is None:
            super().keyPressEvent(event)
            return
        if key in ways:
            self.arrive()
            self.pan(ways[key][0] * self.width() / 8, ways[key][1] * self.height() / 8)
        elif key in (Qt.Key.Key_Plus, Qt.Key.Key_Equal, Qt.Key.Key_Minus):
            self.arrive()
            self.zoom(1 / STEP if key == Qt.Key.Key_Minus else STEP)
        elif key == Qt.Key.Key_Home:
            self.arrive()
            self.show_whole()
        elif key == Qt.Key.Key_Escape and self._lasso:
            self._lasso = []
            self.update()
        elif key == Qt.Key.Key_Escape:
            self.clear()
        else:
            super().keyPressEvent(event)

    def draw_lasso(self, painter: QPainter) -> None:
        if not self._lasso:
            return
        fill = QColor(self._c.accent)
        fill.setAlpha(36)
        painter.setBrush(fill)
        painter.setPen(QPen(QColor(self._c.accent), 1.4))
        painter.drawPolygon(QPolygonF(self._lasso))
