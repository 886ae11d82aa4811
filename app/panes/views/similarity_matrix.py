"""Cosines between all images of a batch as a map of colours: positives outlined, a cell chosen by mouse or arrow keys."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QEvent, QPoint, QPointF, QRectF, Qt, Signal
from PySide6.QtGui import QColor, QHelpEvent, QImage, QKeyEvent, QMouseEvent, QPainter, QPen

from app.panes.views.formatting import cosine, digits_for
from app.shell.plain_text import show_tip
from app.widgets.chart import MIDDLE, RIGHT, Chart
from app.widgets.heat import viridis
from app.widgets.image_view import to_qimage
from engine.messages import BatchShown

LEGEND = 40  # px below the map
NAMES = 18  # px beside and above it
OUTLINED = 6.0  # px of a cell from which on its outline is drawn


class Similarities:
    """The matrix of an answer with what its cells mean: cell (r, c) is image r % n under one watcher and c % n under another."""

    def __init__(self, shown: BatchShown) -> None:
        self.shown = shown
        self.matrix = shown.matrix
        self.n = len(shown.originals)
        rows, columns = np.arange(self.matrix.shape[0]), np.arange(self.matrix.shape[1])
        row_watcher = np.repeat(shown.rows, self.n)[:, None]
        column_watcher = np.repeat(shown.columns, self.n)[None]
        alike = rows[:, None] % self.n == columns[None] % self.n
        self.itself = alike & (row_watcher == column_watcher)  # a view and itself: says nothing
        if self.itself.sum() == alike.sum():
            self.itself = np.zeros_like(alike)  # there is nothing else to compare
        self.positive = alike & ~self.itself
        self.negative = ~alike
        self.digits = digits_for(self.matrix[~self.itself])

    def watcher(self, place: int, rows: bool) -> int:
        return (self.shown.rows if rows else self.shown.columns)[place // self.n]

    def name(self, place: int, rows: bool) -> str:
        return f"image {place % self.n + 1}, {self.shown.watchers[self.watcher(place, rows)].name}"

    def means(self) -> tuple[float, float]:
        """Of the positives and of the negatives; NaN where there are none."""
        found = [self.matrix[where] for where in (self.positive, self.negative)]
        positive, negative = (float(values.mean()) if values.size else float("nan") for values in found)
        return positive, negative

    def found(self) -> tuple[int, int]:
        """For how many rows the positive is the most similar of all others, and of how many."""
        others = np.where(self.itself, -np.inf, self.matrix)
        return int(self.positive[np.arange(len(others)), others.argmax(1)].sum()), len(others)

    def hardest(self, row: int, count: int) -> list[int]:
        """Columns of the most similar other images, each image once, the most similar first."""
        order = np.argsort(-np.where(self.negative[row], self.matrix[row], -np.inf), kind="stable")
        found: dict[int, int] = {}
        for column in order:
            if self.negative[row, column]:
                found.setdefault(int(column) % self.n, int(column))
        return list(found.values())[:count]


class SimilarityMap(Chart):
    picked = Signal(int, int)  # row, column
    looked_at = Signal(int, int)  # under the mouse

    def __init__(self) -> None:
        self.similar: Similarities | None = None
        self.chosen = (0, 0)
        self.hint = ""
        self._image: QImage | None = None
        super().__init__("Similarity of all images of the batch; arrow keys move from pair to pair")
        self.setMinimumSize(200, 180)
        self.setMouseTracking(True)

    def set_similar(self, similar: Similarities | None) -> None:
        self.similar = similar
        if similar is None:
            self._image = None
            self.update()
            return
        matrix = similar.matrix
        others = matrix[~similar.itself] if not similar.itself.all() else matrix
        low, high = float(np.nanmin(others)), float(np.nanmax(others))
        self.low, self.high = low, high if high > low else low + 1e-6
        colours = viridis((matrix - self.low) / (self.high - self.low))
        colours[similar.itself] = 128
        self._image = to_qimage(colours)
        self.chosen = tuple(min(place, size - 1) for place, size in zip(self.chosen, matrix.shape, strict=True))  # type: ignore[assignment]
        self._describe()
        self.update()

    def choose(self, row: int, column: int) -> None:
        self.chosen = (row, column)
        self._describe()
        self.update()

    def said(self, row: int, column: int) -> str:
        assert self.similar is not None
        s = self.similar
        kind = "the same view" if s.itself[row, column] else "the same image" if s.positive[row, column] else "different images"
        return f"{s.name(row, True)} and {s.name(column, False)}: {cosine(s.matrix[row, column], s.digits)}, {kind}"

    def _describe(self) -> None:
        if self.similar is not None:
            self.setAccessibleDescription(self.said(*self.chosen))

    # where things are

    def plot(self) -> QRectF:
        rows, columns = (1, 1) if self.similar is None else self.similar.matrix.shape
        width, height = self.width() - NAMES - 8, self.height() - NAMES - LEGEND - 4
        cell = max(min(width / columns, height / rows), 0.5)
        return QRectF(NAMES + (width - cell * columns) / 2, NAMES, cell * columns, cell * rows)

    def cell(self, row: int, column: int) -> QRectF:
        assert self.similar is not None
        place, (rows, columns) = self.plot(), self.similar.matrix.shape
        wide, high = place.width() / columns, place.height() / rows
        return QRectF(place.left() + column * wide, place.top() + row * high, wide, high)

    def at(self, point: QPointF | QPoint) -> tuple[int, int] | None:
        if self.similar is None:
            return None
        place, (rows, columns) = self.plot(), self.similar.matrix.shape
        column = int((point.x() - place.left()) // (place.width() / columns))
        row = int((point.y() - place.top()) // (place.height() / rows))
        return (row, column) if 0 <= row < rows and 0 <= column < columns else None

    # drawing

    def draw(self, painter: QPainter) -> None:
        if self.similar is None or self._image is None:
            self.draw_hint(painter, self.hint)
            return
        place = self.plot()
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, False)
        painter.drawImage(place, self._image)
        self._names(painter, place)
        size = self.cell(0, 0).width()
        painter.setBrush(Qt.BrushStyle.NoBrush)
        for row, column in np.argwhere(self.similar.positive):
            cell = self.cell(int(row), int(column))
            if size >= OUTLINED:
                painter.setPen(QPen(QColor("#ffffff"), 1))
                painter.drawRect(cell.adjusted(0.5, 0.5, -0.5, -0.5))
            else:
                painter.fillRect(QRectF(cell.center().x() - 0.5, cell.center().y() - 0.5, 1, 1), QColor("#ffffff"))
        chosen = self.cell(*self.chosen)
        for color, wide in (("#000000", 4), (self._c.accent, 2)):
            painter.setPen(QPen(QColor(color), wide))
            painter.drawRect(chosen.adjusted(-2, -2, 2, 2))
        self._legend(painter, place)

    def _names(self, painter: QPainter, place: QRectF) -> None:
        """Whose views lie along the two sides."""
        assert self.similar is not None
        shown = self.similar.shown
        painter.setFont(self._small)
        painter.setPen(QColor(self._c.muted))
        wide = place.width() / len(shown.columns)
        for index, watcher in enumerate(shown.columns):
            box = QRectF(place.left() + index * wide, 0, wide, NAMES - 2)
            self._name(painter, box, shown.watchers[watcher].name)
        high = place.height() / len(shown.rows)
        for index, watcher in enumerate(shown.rows):
            painter.save()
            painter.translate(place.left() - NAMES, place.top() + (index + 1) * high)
            painter.rotate(-90)
            self._name(painter, QRectF(0, 0, high, NAMES - 2), shown.watchers[watcher].name)
            painter.restore()

    @staticmethod
    def _name(painter: QPainter, box: QRectF, text: str) -> None:
        """A view's name, or what tells it from the others (“90°”), or nothing where neither fits: the pair's words say it."""
        fits = (name for name in (text, text.split(" ")[-1]) if painter.fontMetrics().horizontalAdvance(name) <= box.width())
        painter.drawText(box, Qt.AlignmentFlag.AlignCenter, next(fits, ""))

    def _legend(self, painter: QPainter, place: QRectF) -> None:
        assert self.similar is not None
        top = place.bottom() + 10
        strip = QRectF(place.left(), top, min(160.0, max(place.width() / 2, 112.0)), 8)  # room for its two figures
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        painter.drawImage(strip, to_qimage(viridis(np.linspace(0, 1, 64))[None]))
        painter.setFont(self._small)
        painter.setPen(QColor(self._c.muted))
        painter.drawText(QRectF(strip.left(), top + 9, 60, 16), MIDDLE, cosine(self.low, self.similar.digits))
        painter.drawText(QRectF(strip.right() - 60, top + 9, 60, 16), RIGHT | MIDDLE, cosine(self.high, self.similar.digits))
        rest = QRectF(strip.right() + 12, top - 4, max(self.width() - strip.right() - 12, 40), 34)  # a small map is narrower than its key
        painter.drawText(rest, Qt.AlignmentFlag.AlignTop | Qt.TextFlag.TextWordWrap, "cosine · white: partner · grey: itself")

    # mouse and keyboard

    def mousePressEvent(self, event: QMouseEvent) -> None:
        found = self.at(event.position())
        if found is not None:
            self.choose(*found)
            self.picked.emit(*found)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        found = self.at(event.position())
        if event.buttons() & Qt.MouseButton.LeftButton:
            self.mousePressEvent(event)
        elif found is not None:
            self.looked_at.emit(*found)

    def leaveEvent(self, event: QEvent) -> None:
        if self.similar is not None:
            self.looked_at.emit(*self.chosen)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        moves = {Qt.Key.Key_Left: (0, -1), Qt.Key.Key_Right: (0, 1), Qt.Key.Key_Up: (-1, 0), Qt.Key.Key_Down: (1, 0)}
        key = Qt.Key(event.key())
        if self.similar is None or key not in moves:
            super().keyPressEvent(event)
            return
        sizes = self.similar.matrix.shape
        row, column = (int(np.clip(self.chosen[i] + moves[key][i], 0, sizes[i] - 1)) for i in range(2))
        self.choose(row, column)
        self.picked.emit(row, column)

    def event(self, event: QEvent) -> bool:
        if isinstance(event, QHelpEvent) and event.type() == QEvent.Type.ToolTip:
            found = self.at(event.pos())
            if found is not None:
                show_tip(event.globalPos(), self.said(*found), self)
                return True
        return super().event(event)

    def table(self) -> tuple[list[str], list[list[object]]]:
        """Columns and rows of the CSV."""
        if self.similar is None:
            return [], []
        s = self.similar
        names = [s.name(column, False) for column in range(s.matrix.shape[1])]
        return ["", *names], [[s.name(row, True), *(float(f"{v:.5f}") for v in values)] for row, values in enumerate(s.matrix)]
