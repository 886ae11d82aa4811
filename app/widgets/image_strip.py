"""Many small images side by side, in a strip or a grid, painted by one widget; a click or the keyboard takes one."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QEvent, QPoint, QRect, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QContextMenuEvent, QHelpEvent, QImage, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QSizePolicy, QWidget

from app.shell.plain_text import show_tip
from app.shell.theme import DARK, Colors
from app.widgets.image_view import chw_to_qimage

FAINT = 0.3  # opacity of what counts less


class ImageStrip(QWidget):
    """Tiles in `columns` columns (0: as many as fit), all of one size between `least` and `most` pixels.

    `square` tiles keep the images' own shape. Emits `picked(index)` on click, Enter or Space, and `looked_at(index)` when the
    chosen tile moves by keyboard or a menu opens over it.
    """

    picked = Signal(int)
    looked_at = Signal(int)
    menu_asked = Signal(int, QPoint)  # where `has_menu`: about the image under the mouse, or the chosen one; where on the screen

    def __init__(self, name: str, *, columns: int = 0, least: int = 24, most: int = 96, gap: int = 2, rows: int | None = None) -> None:
        super().__init__()
        self.images: list[QImage] = []
        self.tips: list[str] = []
        self.columns, self.least, self.most, self.gap, self.rows = columns, least, most, gap, rows
        self.chosen = -1
        self.has_menu = False
        self.marked: dict[int, str] = {}  # index -> a letter drawn in the corner
        self.faint: frozenset[int] = frozenset()  # tiles that are drawn faintly
        self.set_colors(DARK)
        self.empty_text = ""
        self.setAccessibleName(name)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        policy = QSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        policy.setHeightForWidth(self.hasHeightForWidth())
        self.setSizePolicy(policy)
        self.setMouseTracking(True)
        self.painted = 0

    def set_colors(self, c: Colors) -> None:
        self._accent, self._muted, self._on_accent = QColor(c.accent), QColor(c.muted), QColor(c.on_accent)
        self.update()

    def set_pixels(self, images: np.ndarray | None, tips: tuple[str, ...] | list[str] = ()) -> None:
        """uint8 [N, C, H, W]"""
        count = len(self.images)
        self.images = [] if images is None else [chw_to_qimage(image) for image in images]
        self.tips = list(tips)
        if self.chosen >= len(self.images):
            self.chosen = -1
        if len(self.images) != count:
            self.updateGeometry()
        self.update()

    def choose(self, index: int) -> None:
        self.chosen = index if 0 <= index < len(self.images) else -1
        self.update()

    # where things are

    def _across(self, width: int) -> int:
        if self.columns:
            return self.columns
        return max(1, (width + self.gap) // (self.least + self.gap))

    def tile(self) -> float:
        """Width and height of a tile, gap excluded."""
        across = self._across(self.width())
        side = (self.width() - (across - 1) * self.gap) / across
        if self.rows:
            side = min(side, (self.height() - (self.rows - 1) * self.gap) / self.rows)
        return max(min(side, self.most), 4.0)

    def place(self, index: int) -> QRectF:
        across, side = self._across(self.width()), self.tile()
        return QRectF((index % across) * (side + self.gap), (index // across) * (side + self.gap), side, side)

    def at(self, point: QPoint) -> int:
        """Index of the tile under a point, -1 beside all."""
        across, side = self._across(self.width()), self.tile() + self.gap
        column, row = int(point.x() // side), int(point.y() // side)
        index = row * across + column
        return index if 0 <= column < across and 0 <= index < len(self.images) and point.x() >= 0 and point.y() >= 0 else -1

    def capacity(self) -> int:
        """How many tiles fit into the widget as it is."""
        side = self.tile() + self.gap
        return max(1, self._across(self.width())) * max(1, int((self.height() + self.gap) // side))

    def sizeHint(self) -> QSize:
        across = self.columns or 8
        rows = self.rows or max(1, -(-max(len(self.images), 1) // across))
        side = min(self.most, 48)
        return QSize(across * (side + self.gap), rows * (side + self.gap))

    def minimumSizeHint(self) -> QSize:
        return QSize((self.columns or 1) * (min(self.least, 24) + self.gap), self.least)

    def hasHeightForWidth(self) -> bool:
        return self.columns > 0 and self.rows in (None, 1)

    def heightForWidth(self, width: int) -> int:
        across = self._across(width)
        side = min((width - (across - 1) * self.gap) / across, self.most)
        rows = max(1, -(-max(len(self.images), 1) // across))
        return int(rows * (side + self.gap) - self.gap) + 1

    # drawing

    def paintEvent(self, event: QPaintEvent) -> None:
        self.painted += 1
        painter = QPainter(self)
        if not self.images:
            painter.setPen(self._muted)
            painter.drawText(self.rect(), Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap, self.empty_text)
            return
        for index, image in enumerate(self.images):
            place = self.place(index)
            if not place.intersects(QRectF(event.rect())):
                continue
            painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, image.width() > place.width() * self.devicePixelRatioF())
            painter.setOpacity(FAINT if index in self.faint else 1.0)
            painter.drawImage(place, image)
            painter.setOpacity(1.0)
            if index in self.marked:
                self._mark(painter, place, self.marked[index])
        if 0 <= self.chosen < len(self.images):
            painter.setPen(QPen(self._accent, 2))
            painter.drawRect(self.place(self.chosen).adjusted(1, 1, -1, -1))
        if self.hasFocus() and self.chosen < 0:
            painter.setPen(QPen(self._accent, 1))
            painter.drawRect(self.rect().adjusted(0, 0, -1, -1))

    def _mark(self, painter: QPainter, place: QRectF, letter: str) -> None:
        box = QRectF(place.left(), place.top(), 14, 14)
        painter.fillRect(box, self._accent)
        painter.setPen(self._on_accent)
        painter.drawText(box, Qt.AlignmentFlag.AlignCenter, letter)

    def picture(self, tile: int | None = None) -> QImage:
        """All tiles as one image, each `tile` pixels wide (None: enlarged to at least 64), columns as on screen."""
        if not self.images:
            return QImage()
        own = self.images[0].width()
        side = tile or own * max(1, -(-64 // own))
        across = min(self._across(self.width()), len(self.images))
        rows = -(-len(self.images) // across)
        out = QImage(across * side, rows * side, QImage.Format.Format_RGB32)
        out.fill(QColor("#000000"))
        painter = QPainter(out)
        for index, image in enumerate(self.images):
            painter.drawImage(QRect((index % across) * side, (index // across) * side, side, side), image)
        painter.end()
        return out

    # mouse and keyboard

    def mousePressEvent(self, event: QMouseEvent) -> None:
        index = self.at(event.position().toPoint())
        if index >= 0 and event.button() == Qt.MouseButton.LeftButton:
            self.choose(index)
            self.picked.emit(index)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        over = self.at(event.position().toPoint()) >= 0
        self.setCursor(Qt.CursorShape.PointingHandCursor if over else Qt.CursorShape.ArrowCursor)

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        by_mouse = event.reason() == QContextMenuEvent.Reason.Mouse
        index = self.at(event.pos()) if by_mouse else self.chosen
        if not self.has_menu or index < 0:
            super().contextMenuEvent(event)
            return
        self.choose(index)
        self.looked_at.emit(index)
        self.menu_asked.emit(index, event.globalPos() if by_mouse else self.mapToGlobal(self.place(index).center().toPoint()))

    def event(self, event: QEvent) -> bool:
        if isinstance(event, QHelpEvent) and event.type() == QEvent.Type.ToolTip:
            index = self.at(event.pos())
            if 0 <= index < len(self.tips):
                show_tip(event.globalPos(), self.tips[index], self)
                return True
        return super().event(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        across = self._across(self.width())
        moves = {Qt.Key.Key_Left: -1, Qt.Key.Key_Right: 1, Qt.Key.Key_Up: -across, Qt.Key.Key_Down: across}
        key = Qt.Key(event.key())
        if key in moves and self.images:
            target = 0 if self.chosen < 0 else self.chosen + moves[key]
            if 0 <= target < len(self.images):
                self.choose(target)
                self.looked_at.emit(target)
            return
        if key in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space) and self.chosen >= 0:
            self.picked.emit(self.chosen)
            return
        super().keyPressEvent(event)
