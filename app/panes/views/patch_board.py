"""Patches drawn on images: one large image with its map, and beside it a tile for every head or every other image.

What is drawn is a `PatchPicture`; the board knows where things are, what is chosen, and the mouse and the keys that choose.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from PySide6.QtCore import QEvent, QPoint, QPointF, QRectF, Qt, Signal
from PySide6.QtGui import QColor, QFontMetrics, QHelpEvent, QImage, QKeyEvent, QMouseEvent, QPainter, QPen

from app.shell.plain_text import show_tip
from app.widgets.chart import MIDDLE, RIGHT, Chart
from app.widgets.heat import viridis
from app.widgets.image_view import chw_to_qimage, fitted, to_qimage

GAP = 6  # px between tiles
BETWEEN = 16  # px between the large image and the tiles
LEGEND = 40  # px below the images
LEAST_TILE, GOOD_TILE, MOST_TILE = 28, 56, 128  # px
SHARES = (0.75, 0.7, 0.65, 0.6, 0.55, 0.5)  # of the board that the large image takes; the first that leaves the tiles their size
MARK = 16  # px of a tile's number
SMALL_PATCH = 14  # px of a patch below which its outline lies around it


@dataclass(frozen=True, eq=False)
class PatchPicture:
    """What a page of patches shows. `colors[k]` lies over image k; of attention all lie over the same one.

    Patches that are left out have the alpha 0.
    """

    images: list[np.ndarray]  # uint8 [C, H, W] of the large image and each tile
    colors: list[np.ndarray]  # uint8 [h, w, 4] of the same
    area: tuple[float, float, float, float]  # top, left, height, width of the grid, in pixels of an image
    marks: list[str]  # in the corner of each tile, [tiles]
    tips: list[str]  # of the large image and each tile
    chosen_tile: int = -1
    outlined: tuple[tuple[int, int, int], ...] = ()  # (image, row, column) of matches, the best first
    low: str = ""  # ends of the scale of colours; empty: these are no numbers along viridis
    high: str = ""
    legend: str = ""  # what the colours mean
    keys: tuple[tuple[str, str], ...] = ()  # (colour, words): in place of the scale

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of patches."""
        return self.colors[0].shape[0], self.colors[0].shape[1]


def heat_colors(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Values [h, w] from low to high along viridis, uint8 [h, w, 4]."""
    colored = viridis((values - low) / (high - low if high > low else 1.0))
    return np.concatenate([colored, np.full((*values.shape, 1), 255, np.uint8)], 2)


def rgba_image(colors: np.ndarray) -> QImage:
    """uint8 [h, w, 4] -> a QImage that owns its pixels."""
    pixels = np.ascontiguousarray(colors)
    return QImage(pixels.data, pixels.shape[1], pixels.shape[0], pixels.strides[0], QImage.Format.Format_RGBA8888).copy()


def tiles_in(room: QRectF, tiles: int, shape: float) -> list[QRectF]:
    """Places of tiles in rows, as large as they can be; of fewer tiles where they would be too small. `shape`: height over width."""

    def side(across: int) -> float:
        rows = math.ceil(tiles / across)
        return min((room.width() + GAP) / across - GAP, ((room.height() + GAP) / rows - GAP) / shape, MOST_TILE)

    across = max(range(1, tiles + 1), key=side)
    wide = max(side(across), float(LEAST_TILE))
    high = wide * shape
    if wide == LEAST_TILE:
        across = max(1, int((room.width() + GAP) // (wide + GAP)))
        tiles = min(tiles, across * max(1, int((room.height() + GAP) // (high + GAP))))
    return [QRectF(room.left() + k % across * (wide + GAP), room.top() + k // across * (high + GAP), wide, high) for k in range(tiles)]


class PatchBoard(Chart):
    """`picked(image, row, column)`: a patch was clicked, of the large image (0) or of a tile (from 1); -1 beside the grid of patches.

    Arrow keys move from patch to patch of the large image, Page Up and Page Down ask for the tile before or after (`stepped`), Escape
    for no patch (`dropped`).
    """

    picked = Signal(int, int, int)
    stepped = Signal(int)  # -1 | 1
    dropped = Signal()

    def __init__(self) -> None:
        self.picture: PatchPicture | None = None
        self.patch: tuple[int, int] | None = None
        self.opacity = 0.7
        self.hint = ""
        self._images: list[QImage] = []
        self._colors: list[QImage] = []
        super().__init__("Patches of the image; arrow keys move from patch to patch, Page Up and Page Down from tile to tile")
        self.setMinimumSize(240, 180)
        self.setMouseTracking(True)

    def set_picture(self, picture: PatchPicture | None, patch: tuple[int, int] | None = None) -> None:
        """Show this, with `patch` of the large image outlined."""
        self.picture, self.patch = picture, patch
        self._images = [] if picture is None else [chw_to_qimage(image) for image in picture.images]
        self._colors = [] if picture is None else [rgba_image(colors) for colors in picture.colors]
        self.setAccessibleDescription("" if picture is None else picture.tips[0])
        self.update()

    def set_opacity(self, opacity: float) -> None:
        """How much of the image the colours hide, 0 to 1."""
        self.opacity = opacity
        self.update()

    # where things are

    def place(self) -> QRectF:
        """Of the large image: as large as it can be beside or above tiles that are large enough to be seen."""
        return self._places()[0]

    def tile_places(self) -> list[QRectF]:
        """Of the tiles that there is room for."""
        return self._places()[1]

    def _places(self) -> tuple[QRectF, list[QRectF]]:
        width, height = float(self.width()), float(self.height() - LEGEND)
        tiles = len(self._images) - 1
        if not self._images:
            return QRectF(0, 0, width, height), []
        size = self._images[0].size()
        if tiles <= 0:
            return QRectF(QPointF(0, 0), fitted(size, QRectF(0, 0, width, height)).size()), []
        beside = width >= height
        for share in SHARES:
            box = QRectF(0, 0, share * width, height) if beside else QRectF(0, 0, width, share * height)
            large = QRectF(QPointF(0, 0), fitted(size, box).size())
            room = QRectF(large.right() + BETWEEN, 0, width - large.right() - BETWEEN, height)
            if not beside:
                room = QRectF(0, large.bottom() + LEGEND, width, height - large.bottom())
            found = tiles_in(room, tiles, size.height() / max(size.width(), 1))
            if found[0].width() >= GOOD_TILE:
                break
        return large, found

    def grid_place(self, place: QRectF) -> QRectF:
        """Where the patches lie of an image that is drawn at a place."""
        assert self.picture is not None
        top, left, height, width = self.picture.area
        size = self._images[0].size()
        across, down = place.width() / size.width(), place.height() / size.height()
        return QRectF(place.left() + left * across, place.top() + top * down, width * across, height * down)

    def patch_place(self, place: QRectF, row: int, column: int) -> QRectF:
        """A patch of an image that is drawn at a place."""
        assert self.picture is not None
        grid, (rows, columns) = self.grid_place(place), self.picture.grid
        wide, high = grid.width() / columns, grid.height() / rows
        return QRectF(grid.left() + column * wide, grid.top() + row * high, wide, high).intersected(place)

    def at(self, point: QPointF | QPoint) -> tuple[int, int, int] | None:
        """(image, row, column) under a point; row and column are -1 where an image has no patch there."""
        if self.picture is None:
            return None
        point = QPointF(point)
        for image, place in enumerate([self.place(), *self.tile_places()]):
            if place.contains(point):
                grid, (rows, columns) = self.grid_place(place), self.picture.grid
                column, row = (
                    math.floor((point.x() - grid.left()) / grid.width() * columns),
                    math.floor((point.y() - grid.top()) / grid.height() * rows),
                )
                return (image, row, column) if 0 <= row < rows and 0 <= column < columns else (image, -1, -1)
        return None

    # drawing

    def draw(self, painter: QPainter) -> None:
        if self.picture is None:
            self.draw_hint(painter, self.hint)
            return
        large = self.place()
        self._image(painter, large, 0)
        if self.patch is not None:
            self._outline(painter, self.patch_place(large, *self.patch), self._c.accent, 2)
        for tile, place in enumerate(self.tile_places()):
            self._image(painter, place, tile + 1)
            self._mark(painter, place, self.picture.marks[tile])
            if tile == self.picture.chosen_tile:
                painter.setPen(QPen(QColor(self._c.accent), 2))
                painter.setBrush(Qt.BrushStyle.NoBrush)
                painter.drawRect(place.adjusted(1, 1, -1, -1))
        beside = [place.bottom() for place in self.tile_places() if place.top() < large.bottom()]
        self._legend(painter, max([large.bottom(), *beside]) + 10)

    def _image(self, painter: QPainter, place: QRectF, image: int) -> None:
        assert self.picture is not None
        painter.save()
        painter.setClipRect(place)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, self._images[image].width() > place.width())
        painter.drawImage(place, self._images[image])
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, False)
        painter.setOpacity(self.opacity)
        painter.drawImage(self.grid_place(place), self._colors[image])
        painter.restore()
        for match, row, column in self.picture.outlined:
            if match == image:
                self._outline(painter, self.patch_place(place, row, column), "#ffffff", 1 if image else 2)

    @staticmethod
    def _outline(painter: QPainter, place: QRectF, color: str, wide: float) -> None:
        painter.setBrush(Qt.BrushStyle.NoBrush)
        inward = 1 if place.width() >= SMALL_PATCH else -1
        inside = place.adjusted(inward, inward, -inward, -inward)
        for ink, width in (("#000000", wide + 2), (color, wide)):  # to be seen on any picture
            painter.setPen(QPen(QColor(ink), width))
            painter.drawRect(inside)

    def _mark(self, painter: QPainter, place: QRectF, text: str) -> None:
        if not text:
            return
        painter.setFont(self._small)
        wide = painter.fontMetrics().horizontalAdvance(text) + 6
        box = QRectF(place.left(), place.top(), max(wide, MARK), MARK)
        painter.fillRect(box, QColor(self._c.panel))
        painter.setPen(QColor(self._c.text))
        painter.drawText(box, Qt.AlignmentFlag.AlignCenter, text)

    def _legend(self, painter: QPainter, top: float) -> None:
        assert self.picture is not None
        painter.setFont(self._small)
        metrics, width = painter.fontMetrics(), float(self.width())
        if self.picture.keys:
            self._keys(painter, metrics, top)
            return
        strip = QRectF(0, top, 112, 8)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        painter.drawImage(strip, to_qimage(viridis(np.linspace(0, 1, 64))[None]))
        painter.setPen(QColor(self._c.muted))
        painter.drawText(QRectF(strip.left(), top + 10, 56, 18), MIDDLE, self.picture.low)
        painter.drawText(QRectF(strip.right() - 56, top + 10, 56, 18), RIGHT | MIDDLE, self.picture.high)
        rest = QRectF(strip.right() + 12, top - 4, max(width - strip.right() - 12, 40), 34)
        painter.drawText(rest, Qt.AlignmentFlag.AlignTop | Qt.TextFlag.TextWordWrap, self.picture.legend)

    def _keys(self, painter: QPainter, metrics: QFontMetrics, top: float) -> None:
        """Colours with their words, on a second line where the first is full."""
        assert self.picture is not None
        x, y = 0.0, top - 4
        for color, words in self.picture.keys:
            wide = 16 + metrics.horizontalAdvance(words) + 1
            if x and x + wide > self.width():
                x, y = 0.0, y + 16
            painter.fillRect(QRectF(x, y + 4, 10, 10), QColor(color))
            painter.setPen(QColor(self._c.muted))
            painter.drawText(QRectF(x + 16, y, wide, 18), MIDDLE, words)
            x += wide + 12

    # mouse and keyboard

    def mousePressEvent(self, event: QMouseEvent) -> None:
        found = self.at(event.position())
        if found is not None and event.button() == Qt.MouseButton.LeftButton:
            self.picked.emit(*found)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        over = self.at(event.position()) is not None
        self.setCursor(Qt.CursorShape.PointingHandCursor if over else Qt.CursorShape.ArrowCursor)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        moves = {Qt.Key.Key_Left: (0, -1), Qt.Key.Key_Right: (0, 1), Qt.Key.Key_Up: (-1, 0), Qt.Key.Key_Down: (1, 0)}
        steps = {Qt.Key.Key_PageUp: -1, Qt.Key.Key_PageDown: 1}
        key = Qt.Key(event.key())
        if self.picture is not None and key in moves:
            rows, columns = self.picture.grid
            if self.patch is None:
                self.picked.emit(0, rows // 2, columns // 2)
            else:
                (row, column), (down, across) = self.patch, moves[key]
                self.picked.emit(0, min(max(row + down, 0), rows - 1), min(max(column + across, 0), columns - 1))
        elif self.picture is not None and key in steps:
            self.stepped.emit(steps[key])
        elif self.patch is not None and key == Qt.Key.Key_Escape:
            self.dropped.emit()
        else:
            super().keyPressEvent(event)

    def event(self, event: QEvent) -> bool:
        if isinstance(event, QHelpEvent) and event.type() == QEvent.Type.ToolTip and self.picture is not None:
            found = self.at(event.pos())
            if found is not None:
                show_tip(event.globalPos(), self.picture.tips[found[0]], self)
                return True
        return super().event(event)
