"""The hand that moves the map of points in its tests, and the eye that looks at it."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QEvent, QPoint, QPointF, Qt
from PySide6.QtGui import QColor, QMouseEvent, QWheelEvent
from PySide6.QtWidgets import QApplication

from app.panes.embedding.scatter import Scatter
from app.shell.theme import Colors
from app.widgets.animation import pixels

LEFT, NONE = Qt.MouseButton.LeftButton, Qt.MouseButton.NoButton


PLAIN, SHIFT = Qt.KeyboardModifier.NoModifier, Qt.KeyboardModifier.ShiftModifier


def cloud(points: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(points, 2)).astype(np.float32)


def seen(widget: Scatter) -> np.ndarray:
    """uint8 [H, W, 3]"""
    return pixels(widget.grab().toImage())


def color_at(widget: Scatter, place: np.ndarray) -> tuple[int, ...]:
    at = widget.to_screen(place)
    return tuple(int(part) for part in seen(widget)[int(at.y()), int(at.x())])


def ground(c: Colors) -> np.ndarray:
    return np.array(QColor(c.background).getRgb()[:3])  # type: ignore[index]


def mouse(
    widget: Scatter, kind: QEvent.Type, at: QPointF, button: Qt.MouseButton = LEFT, keys: Qt.KeyboardModifier = PLAIN, held: bool = True
) -> None:
    buttons = button if held else NONE
    event = QMouseEvent(kind, at, widget.mapToGlobal(at), NONE if kind == QEvent.Type.MouseMove else button, buttons, keys)
    QApplication.sendEvent(widget, event)


def press(widget: Scatter, at: QPointF, keys: Qt.KeyboardModifier = PLAIN) -> None:
    mouse(widget, QEvent.Type.MouseButtonPress, at, keys=keys)


def drag(widget: Scatter, at: QPointF) -> None:
    mouse(widget, QEvent.Type.MouseMove, at)


def let_go(widget: Scatter, at: QPointF) -> None:
    mouse(widget, QEvent.Type.MouseButtonRelease, at, held=False)


def over(widget: Scatter, at: QPointF) -> None:
    mouse(widget, QEvent.Type.MouseMove, at, NONE, held=False)


def wheel(widget: Scatter, at: QPointF, notches: float) -> None:
    turned = QPoint(0, round(120 * notches))
    event = QWheelEvent(at, widget.mapToGlobal(at), QPoint(), turned, NONE, PLAIN, Qt.ScrollPhase.NoScrollPhase, False)
    QApplication.sendEvent(widget, event)


RED, GREEN, BLUE = (220, 30, 30), (30, 200, 60), (40, 70, 230)
