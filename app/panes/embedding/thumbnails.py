"""Small images in the place of a map's points, where few of them are on screen."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QImage, QPainter, QPen

from app.panes.embedding.raster import Cells, MapViewport
from app.widgets.image_view import chw_to_qimage, fitted

FEW = 150  # points on screen, at which they become images
LINGER = 1.3  # times as many, until images become points again: they do not come and go while the map is moved
KEPT = 8 * FEW
FILLED = 0.16  # how much of the map FEW images cover
LEAST, MOST = 24, 64  # logical pixels of an image's side

Source = Callable[[int], QImage | None] | np.ndarray  # uint8 [N, C, H, W]


class Thumbnails:
    """Say where the images are from (`set_source`), then for every frame `lay_out` and `draw`."""

    def __init__(self) -> None:
        self.shown: list[tuple[int, QRectF]] = []  # later ones lie over earlier ones
        self._source: Source | None = None
        self._images: dict[int, QImage] = {}

    def set_source(self, source: Source | None) -> None:
        """What gives the image of a point may answer None: not yet; then it is asked again."""
        self._source, self._images, self.shown = source, {}, []

    def lay_out(self, view: MapViewport, cells: Cells | None, places: np.ndarray, selected: np.ndarray | None) -> None:
        """Find a place for the image of each point of the view [N, 2], those `selected` on top; for none where they are too many."""
        most = FEW * (LINGER if self.shown else 1.0)
        self.shown = []
        # the cells' count is quick, and too high at the edges of the view
        if self._source is None or cells is None or cells.at_most(*view.bounds) > 50 * most:
            return
        found = cells.within(*view.bounds)
        if len(found) > most:
            return
        if selected is not None:
            found = np.concatenate([found[~selected[found]], found[selected[found]]])
        side = float(np.clip(8 * round(np.sqrt(FILLED * view.width * view.height / FEW) / 8), LEAST, MOST))
        for index, (x, y) in zip(found.tolist(), view.to_screen(places[found]).tolist(), strict=True):
            image = self._image(index)
            if image is not None:
                place = fitted(image.size(), QRectF(x - side / 2, y - side / 2, side, side))
                self.shown.append((index, QRectF(place.toRect())))  # whole pixels: a sharp frame

    def _image(self, index: int) -> QImage | None:
        if index not in self._images:
            assert self._source is not None
            image = chw_to_qimage(self._source[index]) if isinstance(self._source, np.ndarray) else self._source(index)
            if image is None or image.isNull():
                return None
            if len(self._images) >= KEPT:
                self._images.clear()
            self._images[index] = image
        return self._images[index]

    def at(self, point: QPointF) -> int:
        """Whose image is at a point of the widget, −1: none is."""
        return next((index for index, place in reversed(self.shown) if place.contains(point)), -1)

    def place_of(self, index: int) -> QRectF | None:
        return next((place for one, place in self.shown if one == index), None)

    def draw(self, painter: QPainter, color: Callable[[int], QColor], share: Callable[[int], float], ground: QColor) -> None:
        """Every image in a frame of the point's colour, as much of it as the point's share says."""
        painter.setBrush(Qt.BrushStyle.NoBrush)
        for index, place in self.shown:
            painter.fillRect(place, ground)
            painter.setOpacity(share(index))
            image = self._images[index]
            painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, image.width() > place.width())
            painter.drawImage(place, image)
            painter.setOpacity(1.0)
            painter.setPen(QPen(color(index), 1))
            painter.drawRect(place.adjusted(-0.5, -0.5, 0.5, 0.5))
