"""What is painted over the points of a map: links, rings, and images that fly to their place and stay there."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QImage, QPainter, QPen

from app.shell.theme import Colors
from app.widgets.image_view import fitted

FLIGHT_SECONDS = 0.7
FLOWN_SIDE = 40  # logical pixels


@dataclass(eq=False)
class Flight:
    """An image on its way to its place, where it stays."""

    image: QImage
    start: QPointF  # in the widget
    place: np.ndarray  # of the map, [2]
    begun: float
    share: float = 0.0  # of the way


class Flights:
    def __init__(self) -> None:
        self.all: list[Flight] = []

    def add(self, image: QImage, start: QPointF, place: np.ndarray) -> None:
        self.all.append(Flight(image, start, place, time.perf_counter()))

    def clear(self) -> None:
        self.all.clear()

    def advance(self, now: float) -> None:
        """To where they are at this time of `time.perf_counter`."""
        for flight in self.all:
            flight.share = min((now - flight.begun) / FLIGHT_SECONDS, 1.0)

    @property
    def arrived(self) -> bool:
        return all(flight.share >= 1 for flight in self.all)

    def arrive(self) -> None:
        for flight in self.all:
            flight.share = 1.0

    def draw(self, painter: QPainter, to_screen: Callable[[np.ndarray], QPointF], c: Colors) -> None:
        for flight in self.all:
            eased = 1 - (1 - flight.share) ** 3
            at = flight.start + (to_screen(flight.place) - flight.start) * eased
            side = FLOWN_SIDE * (2 - eased)  # it comes down
            place = fitted(flight.image.size(), QRectF(at.x() - side / 2, at.y() - side / 2, side, side))
            painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, flight.image.width() > place.width())
            painter.drawImage(place, flight.image)
            painter.setBrush(Qt.BrushStyle.NoBrush)
            for pen in (QPen(QColor(c.background), 5), QPen(QColor(c.accent), 2)):
                painter.setPen(pen)
                painter.drawRoundedRect(place.adjusted(-2, -2, 2, 2), 4, 4)


def draw_links(painter: QPainter, head: QPointF, ends: list[QPointF], radius: float, color: QColor) -> None:
    """Lines from a point to others, each of which gets a circle."""
    line = QColor(color)
    line.setAlpha(150)
    painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.setPen(QPen(line, 1))
    for end in ends:
        painter.drawLine(head, end)
    for end in ends:
        painter.drawEllipse(end, radius, radius)


def draw_ring(painter: QPainter, around: QPointF | QRectF, radius: float, pen: QPen, ground: QColor) -> None:
    """A circle around a point, or a frame around a thumbnail."""
    painter.setBrush(Qt.BrushStyle.NoBrush)
    halo = QPen(ground, pen.widthF() + 3)  # keeps the ring apart from points of its own colour
    for one in (halo, pen):
        painter.setPen(one)
        if isinstance(around, QRectF):
            painter.drawRect(around.adjusted(-2, -2, 2, 2))
        else:
            painter.drawEllipse(around, radius, radius)
