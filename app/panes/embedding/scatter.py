"""A map of up to a million points: one raster of them, with thumbnails when near, links, rings, and images that fly to their place.

How pixels come about is `raster`, how a point looks `point_style`; what it means, and the card beside the mouse, is the owner's business.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from PySide6.QtCore import QPointF, QRectF, QSize, QTimer
from PySide6.QtGui import QColor, QImage, QPainter, QPen

from app.panes.embedding.map_marks import Flights, draw_links, draw_ring
from app.panes.embedding.map_view import MapView
from app.panes.embedding.point_style import PointStyle
from app.panes.embedding.raster import MARGIN, Cells, MapViewport, Raster, inside
from app.panes.embedding.thumbnails import Source, Thumbnails
from app.shell.formatting import count, things
from app.shell.theme import Colors
from app.widgets.figure import FINE, Figure

MORPH_POINTS = 200_000  # with more of them a map jumps
FRAME_MS = 16
PICK_RADIUS = 10  # logical pixels
LARGEST = 6  # logical pixels of a point
FILLED = 0.25  # how much of the widget the points may cover before they become smaller
FEW_MARKERS, MARKER_SIZE = 3000, 8


@dataclass(frozen=True, eq=False)
class Morph:
    old: np.ndarray  # float32 [N, 2]
    new: np.ndarray
    begun: float
    seconds: float
    views: tuple[MapViewport, MapViewport] | None  # None: the view stays


class Scatter(MapView):
    """Call `set_points`, then what else is known of the points: `set_inks`, `set_opacity`, `set_selected`, `set_hidden`, `set_markers`.
    The theme comes by `set_colors`, as everywhere.
    """

    def __init__(self, name: str = "Map of the points", hint: str = "") -> None:
        self.hint = hint
        self.size_of_points, self.shaped = 1, False
        self.thumbnails = Thumbnails()
        self.flights = Flights()
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
        self.point_style = PointStyle()
        self.hidden: np.ndarray | None = None  # bool [N]
        self.links: tuple[int, np.ndarray] = (-1, np.zeros(0, np.int64))
        self.chosen = self.under_mouse = -1
        self.thumbnails.set_source(None)

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
        self.point_style.inks = None if rgb is None else self._check(np.asarray(rgb, np.uint8), "colours", (3,))
        self._ink()

    def set_opacity(self, opacity: np.ndarray | None) -> None:
        """How much is to be seen of each point, [N] from 0 to 1. Even at 0 a trace is left; what is no number counts as 0."""
        self.point_style.opacity = None if opacity is None else self._check(np.asarray(opacity, np.float32), "opacities")
        self._ink()

    def set_selected(self, selected: np.ndarray | None) -> None:
        """Bool [N]: the others are dimmed and lie below; None: all are alike."""
        self.point_style.selected = None if selected is None else self._check(np.asarray(selected, bool), "selected points")
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
        self.point_style.markers = None if categories is None else self._check(np.asarray(categories, np.int64), "markers")
        self.view_scaled()
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
        self.view_scaled()
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

    def _tell(self) -> None:
        """What a screen reader says."""
        parts = [things(len(self.places), "point")] if len(self.places) else [self.hint]
        parts += [f"{count(self.missing)} without a place"] if self.missing else []
        parts += [f"{count(int(self.point_style.selected.sum()))} selected"] if self.point_style.selected is not None else []
        self.setAccessibleDescription(", ".join(parts))

    # the view

    def _fitted(self, places: np.ndarray) -> MapViewport:
        return MapViewport.whole(places[:, 0], places[:, 1], self.width(), self.height(), self.devicePixelRatioF())

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
        """Larger points where fewer are shown. Moving the map changes nothing, so that they do not flicker."""
        cells = self._raster.cells
        if self.view is None or cells is None:
            return
        shown = max(cells.at_most(*self.view.bounds), 1)
        self.shaped = self.point_style.markers is not None and shown <= FEW_MARKERS
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
        self.flights.add(image, start, np.asarray(place, np.float64))
        if self.isVisible():
            self._timer.start()
        else:
            self.flights.arrive()
        self.update()

    def remove_flights(self) -> None:
        self.flights.clear()
        self.update()

    def _go_on(self) -> None:
        """One frame of everything that moves; the last one stops the timer."""
        now = time.perf_counter()
        self.flights.advance(now)
        if self._morph is not None:
            self._advance(self._morph, min((now - self._morph.begun) / self._morph.seconds, 1.0))
        if self._morph is None and self.flights.arrived:
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
        self.flights.arrive()
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

    def figure(self, fine: int = FINE) -> Figure:
        """The map as it stands, without what the mouse is doing; its points `fine` times as fine as on screen."""
        if self.view is None:
            return super().figure()
        view = replace(self.view, ratio=float(fine))

        def draw(painter: QPainter) -> None:
            painter.setFont(self.font())
            self._mix_ink()
            self._draw_map(painter, self._raster.twin(), view, live=False)

        return Figure(self.width(), self.height(), self._c.background, draw)

    def _mix_ink(self) -> None:
        """Hand the raster every point's colour as it is drawn, unless it has them."""
        if self._old_ink:
            ink, ground = self.point_style.ink(len(self.places), self._c), QColor(self._c.background).rgb()
            self._raster.set_ink(ink, ground, self.point_style.selected, self.point_style.shapes())
            self._old_ink = False

    def _draw_map(self, painter: QPainter, raster: Raster, view: MapViewport, live: bool = True) -> None:
        self._mix_ink()
        pixels = raster.draw(view, max(1, round(self.size_of_points * view.ratio)), self.shaped)
        rows, columns = pixels.shape
        image = QImage(pixels.data, columns, rows, 4 * columns, QImage.Format.Format_RGB32)
        image.setDevicePixelRatio(view.ratio)
        painter.drawImage(0, 0, image)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        self._draw_links(painter)
        self.thumbnails.lay_out(view, raster.cells, self.places, self.point_style.selected)
        self.thumbnails.draw(
            painter, lambda index: QColor.fromRgb(int(self._raster.ink[index])), self.point_style.share_of, QColor(self._c.background)
        )
        if live and self.under_mouse != self.chosen:
            self._ring(painter, self.under_mouse, QColor(self._c.text), 1.4)
        self._ring(painter, self.chosen, QColor(self._c.accent), 2)
        self.flights.draw(painter, self.to_screen, self._c)
        if live:
            self.draw_lasso(painter)

    def _draw_links(self, painter: QPainter) -> None:
        index, neighbours = self.links
        if index >= 0 and self._has_place(index):
            ends = [self.to_screen(self.places[one]) for one in neighbours if self._has_place(one)]
            draw_links(painter, self.to_screen(self.places[index]), ends, self.size_of_points / 2 + 2.5, QColor(self._c.text))

    def _ring(self, painter: QPainter, index: int, color: QColor, width: float) -> None:
        """Around a point or its thumbnail; −1: around nothing."""
        if index >= 0 and self._has_place(index):
            framed = self.thumbnails.place_of(index)
            around = self.to_screen(self.places[index]) if framed is None else framed
            draw_ring(painter, around, self.size_of_points / 2 + 4, QPen(color, width), QColor(self._c.background))

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
