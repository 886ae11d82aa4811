"""A batch row by row: each image with its crops drawn on it, its views, what was done in words, and how similar they are found."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QEvent, QPoint, QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QFontMetrics, QHelpEvent, QImage, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QSizePolicy, QWidget

from app.panes.views.formatting import cosine, pixels, said
from app.shell.plain_text import show_tip
from app.shell.theme import CATEGORIES, DARK, Colors, font
from app.widgets.colors import shade
from app.widgets.image_view import chw_to_qimage
from app.widgets.parts import signed
from engine.messages import BatchShown

GAP = 8
EDGE = 12
LEAST, MOST = 40, 120  # px of a tile
WORDS = 132  # px beside the pictures for name and similarity
LINE = 15  # px
HEAD = 40
LOCAL = 0.75  # of the side of the largest view: what is smaller is a local crop
MOST_TOLD = 4  # views whose changes are told in words; the others have a tooltip
LEFT = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter


def is_local(batch: BatchShown, view: int) -> bool:
    """Whether a view is much smaller than the largest one."""
    return batch.views[view].x.shape[2] < LOCAL * max(one.x.shape[2] for one in batch.views)


class ViewGrid(QWidget):
    """Rows are chosen by click or arrow keys; `picked(row)`. Small views (local crops) stand two above each other."""

    picked = Signal(int)

    def __init__(self) -> None:
        super().__init__()
        self.batch: BatchShown | None = None
        self.chosen = 0
        self.painted = 0
        self._originals: list[QImage] = []
        self._views: list[list[QImage]] = []  # [view][image]
        self._told_known: tuple[int, list[int]] = (-1, [])  # width -> lines of each view that is told of
        self._crop_lines = 0  # beside the pictures, for how similar local crops are found
        self._small, self._large = font(11), font(15, bold=True)
        self.setFont(font(12))
        self.setAccessibleName("Images of the next batch with their views; arrow keys move from image to image")
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setMouseTracking(True)
        self.set_colors(DARK)

    def set_colors(self, c: Colors) -> None:
        self._c = c
        self._inks = [shade(color, c) for color in CATEGORIES]
        self.update()

    def set_batch(self, batch: BatchShown | None) -> None:
        self._told_known = (-1, [])
        self.batch = batch
        self._originals = [] if batch is None else [chw_to_qimage(image) for image in batch.originals]
        self._views = [] if batch is None else [[chw_to_qimage(image) for image in pixels(view.x)] for view in batch.views]
        self.chosen = min(self.chosen, max(0, len(self._originals) - 1))
        self.setFixedHeight(self.needed())
        self._describe()
        self.update()

    def choose(self, row: int) -> None:
        if self.batch is not None and 0 <= row < len(self._originals) and row != self.chosen:
            self.chosen = row
            self._describe()
            self.update()

    def _describe(self) -> None:
        batch = self.batch
        if batch is None:
            self.setAccessibleDescription("")
            return
        told = [f"{self.title(self.chosen)}: similarity {cosine(self.similarity(self.chosen))}"]
        told += [f"{view.name}: {self.words(index, self.chosen)}" for index, view in enumerate(batch.views) if view.drawn]
        self.setAccessibleDescription("; ".join(told))

    # what is said

    def title(self, row: int) -> str:
        assert self.batch is not None
        name = f"training image {int(self.batch.indices[row])}"
        return f"{name} · {self.batch.labels[row]}" if self.batch.labels else name

    def similarity(self, row: int) -> float:
        assert self.batch is not None
        a, b = self.batch.pair
        return float(self.batch.cosines[row, a, b])

    def words(self, view: int, row: int) -> str:
        """What was done to a view."""
        assert self.batch is not None
        drawn = self.batch.views[view].drawn
        height, width = self.batch.originals.shape[2:]
        return said(drawn[row], (width, height)) if drawn else "as it is"

    def _change(self, view: int, row: int) -> str:
        """What was done to a view besides the crop, which is drawn."""
        assert self.batch is not None
        told = said(self.batch.views[view].drawn[row])
        return "only cropped" if told == "unchanged" and self.words(view, row) != told else told

    def crops_words(self, row: int) -> str:
        """How similar the small views are found to what the pair begins with."""
        assert self.batch is not None
        a = self.batch.pair[0]
        small = [place for place, watcher in enumerate(self.batch.watchers) if watcher.view >= 0 and self.small(watcher.view)]
        told = " · ".join(cosine(self.batch.cosines[row, a, place]) for place in small if place != a)
        return f"{self.batch.views[self.batch.watchers[small[0]].view].name.split(' ')[0]} crops: {told}" if told else ""

    # where things are

    def small(self, view: int) -> bool:
        """A view much smaller than the others: a local crop."""
        assert self.batch is not None
        return is_local(self.batch, view)

    def columns(self) -> list[list[int]]:
        """The views of each column: one large, or two small ones above each other."""
        assert self.batch is not None
        found: list[list[int]] = []
        for view in range(len(self.batch.views)):
            if self.small(view) and found and len(found[-1]) == 1 and self.small(found[-1][0]):
                found[-1].append(view)
            else:
                found.append([view])
        return found

    def tile(self) -> float:
        """Side of a large tile."""
        if self.batch is None:
            return MOST
        shares = [0.5 if self.small(column[0]) else 1.0 for column in self.columns()]
        run_views = self.width() - 2 * EDGE - WORDS - GAP * (len(shares) + 1)
        return float(np.clip(run_views / (1 + sum(shares)), LEAST, MOST))

    def row_height(self) -> float:
        """The pictures, or what stands beside them, and below a line for what was done to each large view."""
        if self.batch is None:
            return MOST
        told = self._told_lines()
        return max(self.tile(), (4 + self._crop_lines) * LINE) + 4 + told * LINE + 2 * GAP

    def _told_lines(self) -> int:
        """How many lines say what was done, the same in every row."""
        if self._told_known[0] != self.width():
            assert self.batch is not None
            width = self.width() - 2 * EDGE - (0 if self._shared() else 20)
            told = [view for view in range(len(self._views)) if self.batch.views[view].drawn and not self.small(view)]
            rows = range(len(self._originals))
            each = [max((len(self._wrapped(self._change(v, row), width)) for row in rows), default=1) for v in told[:MOST_TOLD]]
            self._told_known = (self.width(), each[:1] if self._shared() else each)
            self._crop_lines = max((len(self._wrapped(text, WORDS - EDGE)) for text in map(self.crops_words, rows) if text), default=0)
        return sum(self._told_known[1])

    def _wrapped(self, text: str, width: float) -> list[str]:
        """What was done, in lines that end between two changes."""
        metrics, lines = QFontMetrics(self._small), [""]
        for part in text.split(" · "):
            longer = f"{lines[-1]} · {part}" if lines[-1] else part
            if lines[-1] and metrics.horizontalAdvance(longer) > width:
                lines.append(part)
            else:
                lines[-1] = longer
        return lines

    def _shared(self) -> bool:
        """Whether all views come from one draw, as the four turns of an image do."""
        assert self.batch is not None
        draws = [view.drawn for view in self.batch.views]
        return len(draws) > 1 and all(drawn == draws[0] for drawn in draws)

    def needed(self) -> int:
        return 0 if self.batch is None else int(HEAD + len(self._originals) * self.row_height() + EDGE)

    def sizeHint(self) -> QSize:
        return QSize(480, max(self.needed(), 120))

    def top(self, row: int) -> float:
        return HEAD + row * self.row_height()

    def places(self, row: int) -> list[QRectF]:
        """Of the original and of every view of a row."""
        tile, top = self.tile(), self.top(row)
        found = [QRectF(EDGE, top, tile, tile)]
        for column in self.columns():
            left = found[-1].right() + GAP
            side = tile if not self.small(column[0]) else (tile - 2) / 2
            found += [QRectF(left, top + place * (side + 2), side, side) for place in range(len(column))]
        return found

    def row_at(self, y: float) -> int:
        row = int((y - HEAD) // self.row_height())
        return row if y >= HEAD and 0 <= row < len(self._originals) else -1

    # drawing

    def resizeEvent(self, event: object) -> None:
        if self.batch is not None and self.height() != self.needed():
            self.setFixedHeight(self.needed())

    def paintEvent(self, event: QPaintEvent) -> None:
        self.painted += 1
        painter = QPainter(self)
        if self.batch is None:
            return
        self._head(painter)
        for row in range(len(self._originals)):
            if self.top(row + 1) >= event.rect().top() and self.top(row) <= event.rect().bottom():
                self._row(painter, row)

    def _head(self, painter: QPainter) -> None:
        assert self.batch is not None
        painter.setFont(self._small)
        painter.setPen(QColor(self._c.muted))
        places = self.places(0)
        self._line(painter, places[0].left(), 16, places[0].width(), "original")
        small_named = False
        for column in self.columns():
            view, place = self.batch.views[column[0]], places[1 + column[0]]
            small = self.small(column[0])
            if small and small_named:
                continue  # one name for all of them
            small_named = small_named or small
            name = view.name.split(" ")[0] if small else view.name
            width = max(place.width(), places[0].width()) + GAP - 2
            if painter.fontMetrics().horizontalAdvance(name) >= int(width):
                name = name.split(" ")[-1]  # what tells it from the others: "90°"
            lines = (name, "both" if " and " in view.role else view.role) if view.role else ("", name)
            for line, text in enumerate(lines):
                self._line(painter, place.left(), 2 + 14 * line, width, text)

    @staticmethod
    def _line(painter: QPainter, left: float, top: float, width: float, text: str) -> None:
        text = painter.fontMetrics().elidedText(text, Qt.TextElideMode.ElideRight, int(width))
        painter.drawText(QRectF(left, top, width, 16), LEFT, text)

    def _row(self, painter: QPainter, row: int) -> None:
        assert self.batch is not None
        places = self.places(row)
        for place, image in zip(places, [self._originals[row], *(view[row] for view in self._views)], strict=True):
            painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, image.width() > place.width() * self.devicePixelRatioF())
            painter.drawImage(place, image)
        self._crops(painter, places[0], row)
        if not self._shared():
            for view, place in enumerate(places[1:]):
                if self.batch.views[view].drawn:
                    painter.setPen(self._pen(view))
                    painter.drawRect(place.adjusted(0.5, 0.5, -0.5, -0.5))
        if row == self.chosen:
            painter.setPen(QPen(QColor(self._c.accent), 2 if self.hasFocus() else 1))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            box = QRectF(EDGE - 6, self.top(row) - 6, self.width() - 2 * EDGE + 12, self.row_height() - 4)
            painter.drawRoundedRect(box, 6, 6)
        self._words(painter, max(place.right() for place in places) + EDGE, row)

    def _pen(self, view: int) -> QPen:
        pen = QPen(self._inks[view % len(self._inks)], 1.5)
        if view % 2:
            pen.setDashPattern([3, 2])
        return pen

    def _crops(self, painter: QPainter, place: QRectF, row: int) -> None:
        """The boxes that the views were cut from."""
        assert self.batch is not None
        height, width = self.batch.originals.shape[2:]
        across, down = place.width() / width, place.height() / height
        painter.setBrush(Qt.BrushStyle.NoBrush)
        done = set()
        for view, shown in enumerate(self.batch.views):
            box = shown.drawn[row].box if shown.drawn else (0, 0, width, height)
            if box == (0, 0, width, height) or box in done:
                continue
            done.add(box)
            left, top, wide, high = box
            outline = QRectF(place.left() + left * across, place.top() + top * down, wide * across, high * down)
            painter.setPen(QPen(QColor(0, 0, 0, 150), 3))  # to be seen on any picture
            painter.drawRect(outline.adjusted(0.5, 0.5, -0.5, -0.5))
            painter.setPen(self._pen(view))
            painter.drawRect(outline.adjusted(0.5, 0.5, -0.5, -0.5))

    def _words(self, painter: QPainter, left: float, row: int) -> None:
        """Beside the pictures what it is and how similar its views are found."""
        assert self.batch is not None
        width, top = self.width() - EDGE - left, self.top(row)
        painter.setFont(self._small)
        painter.setPen(QColor(self._c.muted))
        for line, text in enumerate(self.title(row).split(" · ")[::-1]):
            self._line(painter, left, top + line * LINE, width, text)
        painter.setFont(self._large)
        painter.setPen(QColor(self._c.text))
        figure = cosine(self.similarity(row))
        painter.drawText(QRectF(left, top + 2 * LINE, width, 24), LEFT, figure)
        after = left + painter.fontMetrics().horizontalAdvance(figure) + 8
        painter.setFont(self._small)
        painter.setPen(QColor(self._c.muted))
        told = "similar"
        if self.batch.before is not None:
            told = f"similar, {signed(self.similarity(row) - float(self.batch.before[row]))}"
        self._line(painter, after, top + 2 * LINE + 5, self.width() - EDGE - after, told)
        if crops := self.crops_words(row):
            for place, part in enumerate(self._wrapped(crops, WORDS - EDGE)):
                self._line(painter, left, top + (4 + place) * LINE, width, part)
        self._changes(painter, row)

    def _changes(self, painter: QPainter, row: int) -> None:
        """Below the pictures what was done to each large view."""
        assert self.batch is not None
        shared, width = self._shared(), self.width() - 2 * EDGE
        line = self.top(row) + self.row_height() - 2 * GAP - self._told_lines() * LINE
        told = [view for view in range(len(self._views)) if self.batch.views[view].drawn and not self.small(view)]
        for view, lines in zip(told[: 1 if shared else MOST_TOLD], self._told_known[1], strict=True):
            indent = 0 if shared else 20
            if not shared:
                painter.setPen(self._pen(view))
                painter.drawLine(QPointF(EDGE, line + LINE / 2), QPointF(EDGE + 14, line + LINE / 2))
            painter.setPen(QColor(self._c.text))
            for place, part in enumerate(self._wrapped(self._change(view, row), width - indent)):
                self._line(painter, EDGE + indent, line + place * LINE, width - indent, part)
            line += lines * LINE

    # mouse and keyboard

    def mousePressEvent(self, event: QMouseEvent) -> None:
        row = self.row_at(event.position().y())
        if event.button() == Qt.MouseButton.LeftButton and row >= 0:
            self.choose(row)
            self.picked.emit(row)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        key = event.key()
        moves = {Qt.Key.Key_Up: -1, Qt.Key.Key_Down: 1, Qt.Key.Key_PageUp: -5, Qt.Key.Key_PageDown: 5}
        if Qt.Key(key) in moves and self._originals:
            self.choose(int(np.clip(self.chosen + moves[Qt.Key(key)], 0, len(self._originals) - 1)))
            self.picked.emit(self.chosen)
        else:
            super().keyPressEvent(event)

    def tip(self, point: QPoint) -> str:
        row = self.row_at(point.y())
        if self.batch is None or row < 0:
            return ""
        for index, place in enumerate(self.places(row)):
            if place.contains(point):
                if index == 0:
                    return self.title(row)
                view = self.batch.views[index - 1]
                return f"{view.name}{f' ({view.role})' if view.role else ''}: {self.words(index - 1, row)}"
        told = [f"{view.name}: {self.words(index, row)}" for index, view in enumerate(self.batch.views) if view.drawn]
        return "\n".join([self.title(row), *told])

    def event(self, event: QEvent) -> bool:
        if isinstance(event, QHelpEvent) and event.type() == QEvent.Type.ToolTip:
            text = self.tip(event.pos())
            if text:
                show_tip(event.globalPos(), text, self)
                return True
        return super().event(event)

    def table(self) -> tuple[list[str], list[list[object]]]:
        """Columns and rows of the CSV."""
        batch = self.batch
        if batch is None:
            return [], []
        columns = ["index", "label", "cosine", *(view.name for view in batch.views)]
        rows: list[list[object]] = []
        for row in range(len(batch.originals)):
            label = batch.labels[row] if batch.labels else ""
            told = [self.words(view, row) for view in range(len(batch.views))]
            rows.append([int(batch.indices[row]), label, float(f"{self.similarity(row):.5f}"), *told])
        return columns, rows
