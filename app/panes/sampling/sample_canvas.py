"""Widgets that draw a sample grid: what is not there yet is left open, any cell can be chosen, surprisal can be shown as heat."""

from __future__ import annotations

import math

import numpy as np
from PySide6.QtCore import QEvent, QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QHelpEvent, QImage, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QSizePolicy, QWidget

from app.panes.sampling.sample_grid import SampleGrid
from app.shell.formatting import number
from app.shell.plain_text import show_tip
from app.shell.theme import DARK, Colors, font
from app.widgets.heat import viridis
from app.widgets.image_view import to_qimage

CAPTION = 18  # px under each image
CAPTION_LINE = 14  # px more where one line is too short for a caption
GAP = 8
PREVIOUS_OPACITY = 0.3  # of the previous picture where nothing is yet


class SampleCanvas(QWidget):
    """Emits `picked(sample, cell)` on a click, and when the mark moves by keyboard."""

    picked = Signal(int, int)

    def __init__(self, name: str) -> None:
        super().__init__()
        self.grid: SampleGrid | None = None
        self.drawn: list[QImage] = []
        self.mark: tuple[int, int] | None = None  # sample, cell
        self.empty_text = ""
        self.painted = 0
        self._laid: tuple[QSize, int, float, int] | None = None  # size of the widget -> images in a row, pixels per pixel, px of a caption
        self.setAccessibleName(name)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumSize(160, 160)
        self.setMouseTracking(True)
        self.setFont(font(11))
        self.set_colors(DARK)

    def sizeHint(self) -> QSize:
        return QSize(400, 400)

    def set_colors(self, c: Colors) -> None:
        self._accent, self._muted, self._line = QColor(c.accent), QColor(c.muted), QColor(c.line)
        self._open = np.array(QColor(c.raised).getRgb()[:3], np.float64)  # type: ignore[index]
        self.show_grid(self.grid)

    def show_grid(self, grid: SampleGrid | None) -> None:
        self.grid = grid
        self.drawn = [] if grid is None else [to_qimage(self.pixels(index, grid)) for index in range(len(grid.images))]
        if self.mark is not None and (grid is None or self.mark[0] >= len(grid.images) or self.mark[1] >= grid.rows * grid.columns):
            self.mark = None
        self._laid = None
        self.update()

    def pixels(self, index: int, grid: SampleGrid) -> np.ndarray:
        """One image as it is drawn: uint8 [H, W, 3]."""
        image = np.broadcast_to(grid.images[index].transpose(1, 2, 0), (*grid.images.shape[2:], 3)).astype(np.float64)
        if not grid.rows:
            return image.astype(np.uint8)
        height, width = image.shape[:2]
        if grid.bits is not None:
            image = spread(viridis(grid.bits[index] / grid.max_bits), height, width).astype(np.float64)
        if grid.hidden is not None and grid.hidden[index].any():
            behind = self._open
            if grid.previous is not None and grid.previous.shape == grid.images.shape and grid.bits is None:
                behind = PREVIOUS_OPACITY * grid.previous[index].transpose(1, 2, 0) + (1 - PREVIOUS_OPACITY) * self._open
            image = np.where(spread(grid.hidden[index], height, width)[..., None], behind, image)
        return image.round().astype(np.uint8)

    def set_mark(self, mark: tuple[int, int] | None) -> None:
        self.mark = mark
        self.update()

    # where things are

    def _layout(self) -> tuple[int, float, int]:
        """Images in a row, so that they are as large as can be; how large their pixels are; and px of a caption."""
        if self._laid is None or self._laid[0] != self.size():
            captions = () if self.grid is None else self.grid.captions
            across, factor = self._best(CAPTION if captions else 0)
            caption = CAPTION if captions else 0
            metrics = self.fontMetrics()
            longest = max((metrics.horizontalAdvance(text) for text in captions), default=0)
            if self.drawn and longest > self.drawn[0].width() * factor + GAP:
                caption += CAPTION_LINE
                across, factor = self._best(caption)
            self._laid = self.size(), across, factor, caption
        return self._laid[1:]

    def _best(self, caption: int) -> tuple[int, float]:
        """Images in a row, and pixels per pixel; of rows that are as good the one that is nearest to a square."""
        count = len(self.drawn)
        if not count:
            return 1, 1.0
        found, square = (0.0, 0.0, 1), math.sqrt(count)
        for across in range(1, count + 1):
            down = math.ceil(count / across)
            wide = (self.width() - (across - 1) * GAP) / across
            high = (self.height() - (down - 1) * GAP) / down - caption
            factor = max(min(wide / self.drawn[0].width(), high / self.drawn[0].height()), 0.1)
            if factor > 2:
                factor = math.floor(factor)  # pixels of equal size
            found = max(found, (factor, -abs(across - square), across))
        return found[2], found[0]

    def across(self) -> int:
        """Images in a row."""
        return self._layout()[0]

    def place(self, index: int) -> QRectF:
        """Where an image is drawn, its caption excluded."""
        image = self.drawn[index]
        across, factor, caption = self._layout()
        down = max(1, math.ceil(len(self.drawn) / across))
        w, h = image.width() * factor, image.height() * factor
        left = (self.width() - across * w - (across - 1) * GAP) / 2
        top = (self.height() - down * (h + caption) - (down - 1) * GAP) / 2
        return QRectF(round(left + (index % across) * (w + GAP)), round(top + (index // across) * (h + caption + GAP)), w, h)

    def cell_rect(self, sample: int, cell: int) -> QRectF:
        assert self.grid is not None
        place, columns, rows = self.place(sample), self.grid.columns, self.grid.rows
        w, h = place.width() / columns, place.height() / rows
        return QRectF(place.left() + (cell % columns) * w, place.top() + (cell // columns) * h, w, h)

    def at(self, point: QPointF) -> tuple[int, int] | None:
        """The sample and cell under a point; cell 0 where images have no cells."""
        for index in range(len(self.drawn)):
            place = self.place(index)
            if self.grid is not None and place.contains(point):
                if not self.grid.rows:
                    return index, 0
                column = min(int((point.x() - place.left()) / place.width() * self.grid.columns), self.grid.columns - 1)
                row = min(int((point.y() - place.top()) / place.height() * self.grid.rows), self.grid.rows - 1)
                return index, row * self.grid.columns + column
        return None

    # drawing

    def paintEvent(self, event: QPaintEvent) -> None:
        self.painted += 1
        painter = QPainter(self)
        if not self.drawn or self.grid is None:
            painter.setPen(self._muted)
            painter.drawText(self.rect(), Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap, self.empty_text)
            return
        for index, image in enumerate(self.drawn):
            place = self.place(index)
            painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, image.width() > place.width() * self.devicePixelRatioF())
            painter.drawImage(place, image)
            if index < len(self.grid.captions):
                painter.setPen(self._muted)
                line = QRectF(place.left(), place.bottom(), place.width() + GAP, self._layout()[2])
                lines = 1 + (line.height() > CAPTION)
                room = int(line.width() * (lines - 0.3 * (lines - 1)))  # a line that is broken between words is not full
                text = painter.fontMetrics().elidedText(self.grid.captions[index], Qt.TextElideMode.ElideRight, room)
                wraps = Qt.TextFlag.TextWordWrap if lines > 1 else Qt.TextFlag.TextSingleLine
                painter.drawText(line, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft | wraps, text)
        if self.mark is not None and self.grid.rows:
            rect = self.cell_rect(*self.mark)
            rect = rect.adjusted(-1, -1, 1, 1) if rect.width() < 6 else rect
            painter.setPen(QPen(self._accent, 2))
            painter.drawRect(rect)
        elif self.hasFocus():
            painter.setPen(QPen(self._accent, 1))
            painter.drawRect(self.rect().adjusted(0, 0, -1, -1))

    def picture(self, factor: int, grid: SampleGrid | None = None) -> QImage:
        """All images as on screen (or of another grid), without captions and mark, every pixel `factor` pixels wide."""
        images = self.drawn if grid is None else [to_qimage(self.pixels(index, grid)) for index in range(len(grid.images))]
        if not images:
            return QImage()
        across, (w, h) = math.ceil(math.sqrt(len(images))), (images[0].width(), images[0].height())
        down = math.ceil(len(images) / across)
        out = QImage((across * (w + 1) - 1) * factor, (down * (h + 1) - 1) * factor, QImage.Format.Format_RGB32)
        out.fill(self._line)
        painter = QPainter(out)
        for index, image in enumerate(images):
            left, top = (index % across) * (w + 1) * factor, (index // across) * (h + 1) * factor
            painter.drawImage(QRectF(left, top, w * factor, h * factor), image)
        painter.end()
        return out

    # mouse and keyboard

    def mousePressEvent(self, event: QMouseEvent) -> None:
        found = self.at(event.position())
        if found is not None and event.button() == Qt.MouseButton.LeftButton:
            self._pick(*found)

    def _pick(self, sample: int, cell: int) -> None:
        if self.grid is not None and self.grid.rows:
            self.set_mark((sample, cell))
            self.picked.emit(sample, cell)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        over = self.at(event.position()) is not None and self.grid is not None and self.grid.rows > 0
        self.setCursor(Qt.CursorShape.CrossCursor if over else Qt.CursorShape.ArrowCursor)

    def tip(self, sample: int, cell: int) -> str:
        grid = self.grid
        if grid is None:
            return ""
        if not grid.rows:
            return (grid.captions[sample : sample + 1] or ("",))[0]
        row, column = divmod(cell, grid.columns)
        parts = [*grid.names[sample : sample + 1], f"column {column}, row {row}"]
        if grid.hidden is not None and grid.hidden[sample, row, column]:
            parts.append("not there yet")
        elif grid.bits is not None and np.isfinite(grid.bits[sample, row, column]):
            parts.append(number(float(grid.bits[sample, row, column]), 2, "bits"))
        if grid.given is not None and grid.given[sample, row, column]:
            parts.append("given")
        return " · ".join(parts)

    def event(self, event: QEvent) -> bool:
        if isinstance(event, QHelpEvent) and event.type() == QEvent.Type.ToolTip:
            found = self.at(QPointF(event.pos()))
            text = "" if found is None else self.tip(*found)
            if text:
                show_tip(event.globalPos(), text, self)
                return True
        return super().event(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        grid, key = self.grid, Qt.Key(event.key())
        moves = {Qt.Key.Key_Left: (-1, 0), Qt.Key.Key_Right: (1, 0), Qt.Key.Key_Up: (0, -1), Qt.Key.Key_Down: (0, 1)}
        if grid is None or not grid.rows or not self.drawn or key not in moves:
            super().keyPressEvent(event)
            return
        if self.mark is None:
            self._pick(0, 0)
            return
        sample, cell = self.mark
        column, row = cell % grid.columns + moves[key][0], cell // grid.columns + moves[key][1]
        if 0 <= column < grid.columns and 0 <= row < grid.rows:
            self._pick(sample, row * grid.columns + column)


def spread(cells: np.ndarray, height: int, width: int) -> np.ndarray:
    """[rows, columns, ...] -> [height, width, ...]: every cell over its own pixels."""
    rows = np.arange(height) * cells.shape[0] // height
    columns = np.arange(width) * cells.shape[1] // width
    return cells[rows[:, None], columns[None, :]]


class MaskPainter(SampleCanvas):
    """One image, cells of which are taken out with the left button and brought back with the right; Space turns the marked cell."""

    painted_over = Signal()

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.known = np.ones((1, 1), bool)  # [rows, columns]
        self.brush = 1  # cells to each side
        self.setMinimumSize(96, 96)

    def sizeHint(self) -> QSize:
        return QSize(180, 180)

    def show_image(self, image: np.ndarray | None, rows: int = 0, columns: int = 0, known: np.ndarray | None = None) -> None:
        """uint8 [C, H, W]"""
        if image is None:
            self.show_grid(None)
            return
        self.known = np.ones((rows, columns), bool) if known is None else known
        self.show_grid(SampleGrid(image[None], rows, columns, hidden=~self.known[None], previous=image[None]))

    def set_known(self, known: np.ndarray) -> None:
        if self.grid is not None:
            self.show_image(self.grid.images[0], known.shape[0], known.shape[1], known)
            self.painted_over.emit()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        self._paint(event)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        super().mouseMoveEvent(event)
        if event.buttons() & (Qt.MouseButton.LeftButton | Qt.MouseButton.RightButton):
            self._paint(event)

    def _paint(self, event: QMouseEvent) -> None:
        found = self.at(event.position())
        if found is None or self.grid is None:
            return
        row, column = divmod(found[1], self.grid.columns)
        known = self.known.copy()
        back = bool(event.buttons() & Qt.MouseButton.RightButton) or event.button() == Qt.MouseButton.RightButton
        reach = self.brush - 1
        known[max(row - reach, 0) : row + reach + 1, max(column - reach, 0) : column + reach + 1] = back
        if not np.array_equal(known, self.known):
            self.set_known(known)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Space and self.mark is not None and self.grid is not None:
            known = self.known.copy()
            at = divmod(self.mark[1], self.grid.columns)
            known[at] = not known[at]
            self.set_known(known)
            return
        super().keyPressEvent(event)
