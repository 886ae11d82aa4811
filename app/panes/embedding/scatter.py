"""A map of up to a million points: one raster of them, with thumbnails when near, links, rings, and images that fly to their place.

How pixels come about is `app/raster.py`; what the points mean, and the card beside the mouse, is the owner's business.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from PySide6.QtCore import QPointF, QRectF, QSize, Qt, QTimer
from PySide6.QtGui import QColor, QImage, QPainter, QPen

from app.panes.embedding.map_view import MapView
from app.panes.embedding.raster import MARGIN, Cells, Raster, View, inside, mixed, packed, shape_of
from app.panes.embedding.thumbnails import Source, Thumbnails
from app.shell.formatting import count
from app.shell.theme import CATEGORIES, Colors
from app.widgets.colors import shade
from app.widgets.image_view import fitted

MORPH_POINTS = 200_000  # with more of them a map jumps
FRAME_MS = 16
PICK_RADIUS = 10  # logical pixels
LARGEST = 6  # logical pixels of a point
FILLED = 0.25  # how much of the widget the points may cover before they become smaller
FEW_MARKERS, MARKER_SIZE = 3000, 8
DIMMED = 0.22  # of the colour of a point that is not selected
FAINTEST = 0.15  # of the colour of a point without any trust: it can still be found
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


@dataclass(frozen=True, eq=False)
class Morph:
    old: np.ndarray  # float32 [N, 2]
    new: np.ndarray
    begun: float
    seconds: float
    views: tuple[View, View] | None  # None: the view stays


class Scatter(MapView):
    """Call `set_points`, then what else is known of the points: `set_inks`, `set_opacity`, `set_selected`, `set_hidden`, `set_markers`.
    The theme comes by `set_colors`, as everywhere.
    """

    def __init__(self, name: str = "Map of the points", hint: str = "") -> None:
        self.hint = hint
        self.size_of_points, self.shaped = 1, False
        self.thumbnails = Thumbnails()
        self.flights: list[Flight] = []
        self._raster = Raster()
        self._morph: Morph | None = None
        self._old_ink = True
        super().__init__(name)
        self._forget(0)
        self._timer = QTimer(self)
        self._timer.setInterval(FRAME_MS)
        self._timer.timeout.connect(self._go_on)
        self._tell()

    def sizeHint(self) -> QSize:
        return QSize(720, 480)

    def _forget(self, points: int) -> None:
        """Other points: nothing is known of them."""
        self.places = np.zeros((points, 2), np.float32)
        self.inks: np.ndarray | None = None  # uint8 [N, 3]
        self.opacity: np.ndarray | None = None  # float32 [N]
        self.selected: np.ndarray | None = None  # bool [N]
        self.hidden: np.ndarray | None = None  # bool [N]
        self.markers: np.ndarray | None = None  # int [N]
        self.links: tuple[int, np.ndarray] = (-1, np.zeros(0, np.int64))
        self.chosen = self.under_mouse = -1
        self.thumbnails.set_source(None)

    def set_hint(self, text: str) -> None:
        """What is said while there are no points."""
        self.hint = text
        self._tell()
        self.update()

    # the points

    def set_points(self, places: np.ndarray, *, keep_view: bool = False) -> None:
        """Float32 [N, 2], y upwards; a point without a finite place is not drawn. What was known of the points is forgotten if there are
        more or fewer than before.

        Raises:
            ValueError: places of another shape.
        """
        places = _places(places)
        self._morph = None
        self.hover(-1)
        if len(places) != len(self.places):
            self._forget(len(places))
        self.places = places
        self._place()
        if self.view is None or not keep_view or self.missing == len(places):
            self.show_whole()

    def move_to(self, places: np.ndarray, milliseconds: int = 400) -> None:
        """The same points at new places: they travel, or jump where there are too many, or nobody looks.

        Raises:
            ValueError: places of another shape, or of another number of points.
        """
        places = _places(places)
        self._check(places, "places")
        if milliseconds <= 0 or len(places) > MORPH_POINTS or self.view is None or not self.isVisible():
            self.set_points(places, keep_view=not self.whole)
            return
        views = (self.view, self._fitted(places)) if self.whole else None
        self.hover(-1)
        self._morph = Morph(self.places, places, time.perf_counter(), milliseconds / 1000, views)
        self._timer.start()

    @property
    def missing(self) -> int:
        """How many points have no finite place."""
        return int(np.isnan(self.places[:, 0]).sum())

    def set_inks(self, rgb: np.ndarray | None) -> None:
        """The points' colours, uint8 [N, 3]."""
        self.inks = None if rgb is None else self._check(np.asarray(rgb, np.uint8), "colours", (3,))
        self._ink()

    def set_opacity(self, opacity: np.ndarray | None) -> None:
        """How much is to be seen of each point, [N] from 0 to 1. Even at 0 a trace is left; what is no number counts as 0."""
        self.opacity = None if opacity is None else self._check(np.asarray(opacity, np.float32), "opacities")
        self._ink()

    def set_selected(self, selected: np.ndarray | None) -> None:
        """Bool [N]: the others are dimmed and lie below; None: all are alike."""
        self.selected = None if selected is None else self._check(np.asarray(selected, bool), "selected points")
        self._ink()
        self._tell()

    def set_hidden(self, hidden: np.ndarray | None) -> None:
        """Bool [N]: what is neither drawn nor found."""
        self.arrive()
        self.hidden = None if hidden is None else self._check(np.asarray(hidden, bool), "hidden points")
        self._place()
        self.hover(-1)

    def set_markers(self, categories: np.ndarray | None) -> None:
        """Int [N]: where few points are shown, each category has a shape of its own beside its colour (`raster.shape_of`)."""
        self.markers = None if categories is None else self._check(np.asarray(categories, np.int64), "markers")
        self._fit_size()
        self._ink()

    def set_thumbnails(self, source: Source | None) -> None:
        """Images of the points, uint8 [N, C, H, W], or what gives the image of a point (or None: not yet; then it is asked again)."""
        self.thumbnails.set_source(source)
        self.update()

    def set_chosen(self, index: int) -> None:
        """The point with a ring; −1: none."""
        self.chosen = index
        self.update()

    def set_links(self, index: int, neighbours: Sequence[int] | np.ndarray = ()) -> None:
        """Lines from a point to others; −1: none."""
        self.links = (index, np.asarray(neighbours, np.int64))
        self.update()

    def _check(self, values: np.ndarray, what: str, each: tuple[int, ...] = ()) -> np.ndarray:
        if len(values) != len(self.places) or (each and values.shape[1:] != each):
            shape = "".join(f", {length}" for length in each)
            raise ValueError(f"There are {len(self.places)} points, so the {what} must be an array [{len(self.places)}{shape}].")
        return values

    def _place(self) -> None:
        """Hand places to the raster, sorted into cells."""
        x, y = self._axes()
        self._raster.set_places(x, y, Cells(x, y))
        self.full_scale = self._fitted(self.places).scale
        self._old_ink = self._old_ink or len(self._raster.ink) != len(x)
        self._fit_size()
        self._tell()
        self.update()

    def _axes(self) -> tuple[np.ndarray, np.ndarray]:
        """x and y [N] as the raster wants them: what is not to be seen is infinitely far away."""
        x, y = self.places[:, 0].copy(), self.places[:, 1].copy()
        absent = np.isnan(x) if self.hidden is None else np.isnan(x) | self.hidden
        x[absent] = y[absent] = np.inf
        return x, y

    def _ink(self) -> None:
        self._old_ink = True
        self.update()

    def set_colors(self, c: Colors) -> None:
        """The theme's; the points' own colours come by `set_inks`."""
        super().set_colors(c)
        self._ink()

    def _mix(self) -> None:
        """The colour of every point as it is drawn: what is dimmed or distrusted is mixed with the ground."""
        ground = QColor(self._c.background).rgb()
        if self.inks is None:
            plain = shade(CATEGORIES[0], self._c)
            ink = np.full(len(self.places), plain.rgb(), np.uint32)
        else:
            ink = packed(self.inks[:, 0], self.inks[:, 1], self.inks[:, 2])
        share = self._shares(slice(None))
        if share is not None:
            ink = mixed(ink, ground, share)
        self._raster.set_ink(ink, ground, self.selected, None if self.markers is None else shape_of(self.markers, len(CATEGORIES)))
        self._old_ink = False

    def _shares(self, take: slice | int) -> np.ndarray | None:
        """How much is seen of the points' colours; None: all."""
        share = None
        if self.opacity is not None:
            share = FAINTEST + (1 - FAINTEST) * np.clip(np.nan_to_num(self.opacity[take], nan=0.0), 0, 1)
        if self.selected is not None:
            dimmed = np.where(self.selected[take], np.float32(1), np.float32(DIMMED))
            share = dimmed if share is None else share * dimmed
        return share

    def _tell(self) -> None:
        """What a screen reader says."""
        parts = [f"{count(len(self.places))} points"] if len(self.places) else [self.hint]
        parts += [f"{count(self.missing)} without a place"] if self.missing else []
        parts += [f"{count(int(self.selected.sum()))} selected"] if self.selected is not None else []
        self.setAccessibleDescription(", ".join(parts))

    # the view

    def _fitted(self, places: np.ndarray) -> View:
        return View.whole(places[:, 0], places[:, 1], self.width(), self.height(), self.devicePixelRatioF())

    def show_whole(self) -> None:
        """All points, as large as they fit."""
        self.whole = True
        if self.missing == len(self.places):
            self.view = None
            self.update()
            return
        view = self._fitted(self.places)
        self.full_scale = view.scale
        self.look(view)

    def _has_place(self, index: int) -> bool:
        return not np.isnan(self.places[index, 0])

    def reveal(self, index: int) -> None:
        """Bring a point into the middle unless it is on screen already."""
        if self.view is not None and self._has_place(index):
            at = self.to_screen(self.places[index])
            if not QRectF(self.rect()).adjusted(MARGIN, MARGIN, -MARGIN, -MARGIN).contains(at):
                middle = QRectF(self.rect()).center()
                self.pan(middle.x() - at.x(), middle.y() - at.y())

    def view_scaled(self) -> None:
        self._fit_size()

    def _fit_size(self) -> None:
        """Larger points where fewer are shown. Moving the map changes nothing, so that they do not flicker."""
        cells = self._raster.cells
        if self.view is None or cells is None:
            return
        shown = max(cells.at_most(*self.view.bounds), 1)
        self.shaped = self.markers is not None and shown <= FEW_MARKERS
        room = FILLED * self.view.width * self.view.height / shown
        self.size_of_points = MARKER_SIZE if self.shaped else round(float(np.clip(np.sqrt(room), 1, LARGEST)))

    # finding points

    def pick(self, at: QPointF) -> int:
        """The point at a point of the widget, −1: none."""
        framed = self.thumbnails.at(at)
        if framed >= 0:
            return framed
        cells = self._raster.cells
        if self.view is None or cells is None:
            return -1
        x, y = self.to_map(at)
        return cells.nearest(float(x), float(y), PICK_RADIUS / self.view.scale)

    def within(self, polygon: Sequence[QPointF]) -> np.ndarray:
        """The points in a polygon of the widget, int64 in their order."""
        cells = self._raster.cells
        if self.view is None or cells is None or len(polygon) < 3:
            return np.zeros(0, np.int64)
        corners = self.view.to_map(np.array([(point.x(), point.y()) for point in polygon]))
        found = cells.within(*(float(end) for end in (*corners.min(axis=0), *corners.max(axis=0))))
        return found[inside(corners, self.places[found])]

    # what moves by itself

    def fly(self, image: QImage, start: QPointF, place: np.ndarray) -> None:
        """An image flies from a point of the widget to its place on the map [2] and stays there, with a ring."""
        flight = Flight(image, start, np.asarray(place, np.float64), time.perf_counter())
        self.flights.append(flight)
        if self.isVisible():
            self._timer.start()
        else:
            flight.share = 1.0
        self.update()

    def remove_flights(self) -> None:
        self.flights = []
        self.update()

    def _go_on(self) -> None:
        """One frame of everything that moves; the last one stops the timer."""
        now = time.perf_counter()
        for flight in self.flights:
            flight.share = min((now - flight.begun) / FLIGHT_SECONDS, 1.0)
        if self._morph is not None:
            self._advance(self._morph, min((now - self._morph.begun) / self._morph.seconds, 1.0))
        if self._morph is None and all(flight.share >= 1 for flight in self.flights):
            self._timer.stop()
        self.update()

    def _advance(self, morph: Morph, share: float) -> None:
        if share >= 1:
            self._morph = None
            self.places = morph.new
            self._place()
            if morph.views is not None:
                self.show_whole()
            return
        eased = share * share * (3 - 2 * share)
        self.places = morph.old + (morph.new - morph.old) * np.float32(eased)
        self._raster.set_places(*self._axes(), None)
        if morph.views is not None and self.view is not None:
            old, new = morph.views
            middle = (old.x + (new.x - old.x) * eased, old.y + (new.y - old.y) * eased)
            self.view = replace(self.view, x=middle[0], y=middle[1], scale=old.scale * (new.scale / old.scale) ** eased)

    def arrive(self) -> None:
        """Everything that moves arrives."""
        self._timer.stop()
        for flight in self.flights:
            flight.share = 1.0
        if self._morph is not None:
            self._advance(self._morph, 1.0)

    # drawing

    def draw(self, painter: QPainter) -> None:
        if self.view is None:
            self.draw_hint(painter, self.hint)
            return
        if self.view.ratio != self.devicePixelRatioF():  # another screen
            self.view = replace(self.view, ratio=self.devicePixelRatioF())
        self._draw_map(painter, self._raster, self.view)

    def picture(self, factor: int = 2) -> QImage:
        """The map as it stands, `factor` times as fine, without what the mouse is doing."""
        if self.view is None:
            return super().picture(factor)
        image = QImage(self.size() * factor, QImage.Format.Format_RGB32)
        view = replace(self.view, ratio=float(factor))
        painter = QPainter(image)
        painter.scale(factor, factor)
        painter.setFont(self.font())
        self._mix_if_old()
        self._draw_map(painter, self._raster.twin(), view, live=False)
        painter.end()
        return image

    def _mix_if_old(self) -> None:
        if self._old_ink:
            self._mix()

    def _draw_map(self, painter: QPainter, raster: Raster, view: View, live: bool = True) -> None:
        self._mix_if_old()
        pixels = raster.draw(view, max(1, round(self.size_of_points * view.ratio)), self.shaped)
        rows, columns = pixels.shape
        image = QImage(pixels.data, columns, rows, 4 * columns, QImage.Format.Format_RGB32)
        image.setDevicePixelRatio(view.ratio)
        painter.drawImage(0, 0, image)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        self._draw_links(painter)
        self.thumbnails.lay_out(view, raster.cells, self.places, self.selected)
        self.thumbnails.draw(painter, self._color_of, self._share_of, QColor(self._c.background))
        if live and self.under_mouse >= 0 and self.under_mouse != self.chosen:
            self._ring(painter, self.under_mouse, QColor(self._c.text), 1.4)
        if self.chosen >= 0:
            self._ring(painter, self.chosen, QColor(self._c.accent), 2)
        for flight in self.flights:
            self._draw_flight(painter, flight)
        if live:
            self.draw_lasso(painter)

    def _color_of(self, index: int) -> QColor:
        return QColor.fromRgb(int(self._raster.ink[index]))

    def _share_of(self, index: int) -> float:
        share = self._shares(index)
        return 1.0 if share is None else max(float(share), DIMMED)

    def _draw_links(self, painter: QPainter) -> None:
        index, neighbours = self.links
        if index < 0 or not self._has_place(index):
            return
        line, head = QColor(self._c.text), self.to_screen(self.places[index])
        line.setAlpha(150)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setPen(QPen(line, 1))
        ends = [self.to_screen(self.places[one]) for one in neighbours if self._has_place(one)]
        for end in ends:
            painter.drawLine(head, end)
        for end in ends:
            painter.drawEllipse(end, self.size_of_points / 2 + 2.5, self.size_of_points / 2 + 2.5)

    def _ring(self, painter: QPainter, index: int, color: QColor, width: float) -> None:
        if not self._has_place(index):
            return
        painter.setBrush(Qt.BrushStyle.NoBrush)
        framed = self.thumbnails.place_of(index)
        halo = QPen(QColor(self._c.background), width + 3)  # keeps the ring apart from points of its own colour
        for pen in (halo, QPen(color, width)):
            painter.setPen(pen)
            if framed is not None:
                painter.drawRect(framed.adjusted(-2, -2, 2, 2))
            else:
                radius = self.size_of_points / 2 + 4
                painter.drawEllipse(self.to_screen(self.places[index]), radius, radius)

    def _draw_flight(self, painter: QPainter, flight: Flight) -> None:
        eased = 1 - (1 - flight.share) ** 3
        target = self.to_screen(flight.place)
        at = flight.start + (target - flight.start) * eased
        side = FLOWN_SIDE * (2 - eased)  # it comes down
        place = fitted(flight.image.size(), QRectF(at.x() - side / 2, at.y() - side / 2, side, side))
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, flight.image.width() > place.width())
        painter.drawImage(place, flight.image)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        for pen in (QPen(QColor(self._c.background), 5), QPen(QColor(self._c.accent), 2)):
            painter.setPen(pen)
            painter.drawRoundedRect(place.adjusted(-2, -2, 2, 2), 4, 4)

    def clear(self) -> None:
        """No selection, no chosen point, no links."""
        self.chosen = -1
        self.set_links(-1)
        self.set_selected(None)
        self.cleared.emit()


def _places(places: np.ndarray) -> np.ndarray:
    """Float32 [N, 2], a copy that is ours; half a place is none, and what is infinite is not a number."""
    with np.errstate(over="ignore"):
        made = np.array(places, np.float32)
    if made.ndim != 2 or made.shape[1] != 2:
        raise ValueError(f"The places of points must be an array [N, 2], not {list(made.shape)}.")
    made[~np.isfinite(made).all(axis=1)] = np.nan
    return made
