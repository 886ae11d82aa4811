"""The confusion matrix as a map of colours: counts or shares of a row, a cell chosen by mouse or keyboard."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QEvent, QPoint, QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QFontMetrics, QHelpEvent, QKeyEvent, QMouseEvent, QPainter, QPen

from app.shell.formatting import count, number, things
from app.shell.plain_text import show_tip
from app.shell.theme import CATEGORIES, contrast
from app.widgets.chart import MIDDLE, RIGHT, Chart
from app.widgets.colors import shade
from app.widgets.image_view import to_qimage
from engine.common.intervals import share_interval

LEAST_CELL = 7  # pixels; a matrix of more classes than have room scrolls
MOST_CELL = 44
NAMED = 15  # pixels of a cell from which on its class has a name
NAMES = 140.0  # pixels that names have at most
NAMES_LEAST = 64.0  # pixels that long names have where the cells need the rest
BARE = 8.0  # pixels where there are none
HEAD = 18  # pixels above the cells: what rows and columns are
MOST_SHOWN = 20  # classes, where only the most confused are
MOVES = {Qt.Key.Key_Left: (0, -1), Qt.Key.Key_Right: (0, 1), Qt.Key.Key_Up: (-1, 0), Qt.Key.Key_Down: (1, 0)}


class Confusion:
    """Counts int64 [K, K] of images by true class and answer, with the names of the classes."""

    def __init__(self, matrix: np.ndarray, names: tuple[str, ...]) -> None:
        self.matrix, self.names = matrix, names
        self.totals = matrix.sum(1)
        self.shares = matrix / np.maximum(self.totals, 1)[:, None]

    def most_confused(self) -> np.ndarray:
        """The classes int64 [k ≤ MOST_SHOWN] with the most errors from or to them, in the order of all classes."""
        wrong = self.matrix - np.diag(np.diag(self.matrix))
        by_errors = np.argsort(-(wrong.sum(0) + wrong.sum(1)), kind="stable")
        return np.sort(by_errors[:MOST_SHOWN])

    def said(self, true: int, answer: int) -> str:
        """“8 taken for 1: 9 images, 56.2 % of its 16 (95 % interval 33.2 to 76.9 %)”."""
        n, total = int(self.matrix[true, answer]), int(self.totals[true])
        pair = f"{self.names[true]} found" if true == answer else f"{self.names[true]} taken for {self.names[answer]}"
        if not total:
            return f"{self.names[true]}: no image of this class was asked about"
        low, high = (100 * border for border in share_interval(n, total))
        images = "1 image" if n == 1 else f"{count(n)} images"
        interval = f"95\u202f% interval {number(low, 1)} to {number(high, 1, '%')}"
        return f"{pair}: {images}, {number(100 * n / total, 1, '%')} of its {count(total)} ({interval})"


class ConfusionMatrix(Chart):
    """Call `set_confusion`. `picked(true, answer)` on a click, Enter or Space; −1 stands for all: of a row's or a column's name."""

    picked = Signal(int, int)
    looked_at = Signal(str)  # a cell in words; empty: none

    def __init__(self) -> None:
        self.confusion: Confusion | None = None
        self.classes: np.ndarray = np.zeros(0, np.int64)  # that are shown
        self.few = False  # only the most confused classes
        self.in_shares = False
        self.focused = (0, 0)  # places of the cell that the keyboard is at
        self.chosen: tuple[int, int] | None = None  # classes
        self.hint = ""
        super().__init__("Confusion matrix; arrow keys move from cell to cell, Enter shows its images")
        self.setMinimumSize(180, 160)
        self.setMouseTracking(True)

    def set_confusion(self, confusion: Confusion | None) -> None:
        self.confusion = confusion
        self._lay_out()

    def show_few(self, few: bool) -> None:
        """Only the classes with the most errors, or all."""
        self.few = few
        self._lay_out()

    def show_shares(self, shares: bool) -> None:
        self.in_shares = shares
        self.update()

    def choose(self, chosen: tuple[int, int] | None) -> None:
        """Mark a cell (true class, answer), a row (class, −1) or a column (−1, class)."""
        self.chosen = chosen
        self.update()

    def _lay_out(self) -> None:
        c = self.confusion
        self.classes = np.zeros(0, np.int64) if c is None else c.most_confused() if self.few else np.arange(len(c.names))
        size = len(self.classes)
        self.focused = (min(self.focused[0], max(size - 1, 0)), min(self.focused[1], max(size - 1, 0)))
        self.setMinimumSize(max(180, round(BARE + size * LEAST_CELL) + 4), max(160, round(HEAD + BARE + size * LEAST_CELL) + 4))
        self._describe()
        self.updateGeometry()
        self.update()

    def sizeHint(self) -> QSize:
        return self.minimumSize()

    # where things are

    def _numbered(self, cell: float) -> bool:
        """Whether some name is wider than a column: the columns then have numbers, which stand before the rows' names."""
        assert self.confusion is not None
        metrics = QFontMetrics(self._small)
        return any(metrics.horizontalAdvance(self.confusion.names[k]) > cell - 2 for k in self.classes)

    def row_name(self, k: int, cell: float) -> str:
        assert self.confusion is not None
        return f"{k}  {self.confusion.names[k]}" if self._numbered(cell) else self.confusion.names[k]

    def _names_room(self, cell: float) -> float:
        """Pixels of the longest name beside the rows."""
        if self.confusion is None or cell < NAMED:
            return BARE
        metrics, left = QFontMetrics(self._small), self.width() - 4 - NAMED * len(self.classes)
        widest = max((metrics.horizontalAdvance(self.row_name(int(k), cell)) for k in self.classes), default=0) + 8.0
        return min(widest, NAMES, max(left, NAMES_LEAST))

    def side(self) -> float:
        """Pixels of a cell."""
        named = self._fitting(self._names_room(NAMED))
        return named if named >= NAMED else min(max(self._fitting(BARE), LEAST_CELL), NAMED - 1)

    def _fitting(self, names: float) -> float:
        """Pixels of a cell where the names have so much room."""
        size, below = max(len(self.classes), 1), BARE if names == BARE else QFontMetrics(self._small).height() + 2
        return min((self.width() - names - 4) / size, (self.height() - HEAD - below - 2) / size, MOST_CELL)

    def plot(self) -> QRectF:
        cell = self.side()
        return QRectF(self._names_room(cell), HEAD, cell * len(self.classes), cell * len(self.classes))

    def cell(self, row: int, column: int) -> QRectF:
        """By places among the classes shown."""
        place, cell = self.plot(), self.side()
        return QRectF(place.left() + column * cell, place.top() + row * cell, cell, cell)

    def at(self, point: QPointF | QPoint) -> tuple[int, int] | None:
        """Places of the cell under a point; −1 for the column beside a row's name, and for the row below which a column's name stands."""
        if not len(self.classes):
            return None
        place, cell, size = self.plot(), self.side(), len(self.classes)
        row, column = int((point.y() - place.top()) // cell), int((point.x() - place.left()) // cell)
        if 0 <= row < size and 0 <= column < size:
            return row, column
        if 0 <= row < size and column < 0:
            return row, -1
        return (-1, column) if 0 <= column < size and row >= size else None

    def _classes_of(self, found: tuple[int, int]) -> tuple[int, int]:
        """Classes of places; −1 stays."""
        row, column = (-1 if place < 0 else int(self.classes[place]) for place in found)
        return row, column

    def said(self, found: tuple[int, int]) -> str:
        """What lies at these places, in words."""
        return self.said_of(self._classes_of(found))

    def said_of(self, chosen: tuple[int, int]) -> str:
        """The same of classes; −1: all."""
        c, (true, answer) = self.confusion, chosen
        if c is None:
            return ""
        if true >= 0 and answer >= 0:
            return c.said(true, answer)
        if true >= 0:
            return (
                f"{c.names[true]}: {things(int(c.totals[true] - c.matrix[true, true]), 'error')} on {things(int(c.totals[true]), 'image')}"
            )
        wrong = int(c.matrix[:, answer].sum() - c.matrix[answer, answer])
        return f"{c.names[answer]} answered {things(int(c.matrix[:, answer].sum()), 'time')}, {count(wrong)} of them wrongly"

    def _describe(self) -> None:
        self.setAccessibleDescription(self.said(self.focused) if len(self.classes) else self.hint)

    # drawing

    def inks(self) -> tuple[QColor, QColor]:
        """Of right answers and of errors."""
        return shade(CATEGORIES[0], self._c), shade(CATEGORIES[5], self._c)

    def colors(self) -> np.ndarray:
        """uint8 [k, k, 3]: the farther from the background the larger its share of the row; the root of it, so that few errors are seen."""
        assert self.confusion is not None
        shares = self.confusion.shares[np.ix_(self.classes, self.classes)]
        inks = (QColor(self._c.background), *self.inks())
        ground, right, wrong = (np.array([ink.red(), ink.green(), ink.blue()], np.float64) for ink in inks)
        part = np.where(shares > 0, 0.12 + 0.78 * np.sqrt(shares), 0.0)[..., None]
        ink = np.where(self.classes[:, None, None] == self.classes[None, :, None], right, wrong)
        return (ground + (ink - ground) * part).round().astype(np.uint8)

    def draw(self, painter: QPainter) -> None:
        if self.confusion is None or not len(self.classes):
            self.draw_hint(painter, self.hint)
            return
        painter.setFont(self._small)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
        place, cell, size = self.plot(), self.side(), len(self.classes)
        colors = self.colors()
        painter.drawImage(place, to_qimage(colors))
        if cell >= NAMED:
            painter.setPen(QPen(QColor(self._c.line), 1))
            for line in range(size + 1):
                painter.drawLine(QPointF(place.left() + line * cell, place.top()), QPointF(place.left() + line * cell, place.bottom()))
                painter.drawLine(QPointF(place.left(), place.top() + line * cell), QPointF(place.right(), place.top() + line * cell))
            self._names(painter, place, cell)
            self._figures(painter, colors)
        else:
            painter.setPen(QPen(QColor(self._c.line), 1))
            painter.drawRect(place)
        painter.setPen(QColor(self._c.muted))
        words = "rows: true class · columns: answer"
        painter.drawText(QRectF(0, 0, self.width(), HEAD - 2), MIDDLE, words)
        self._marks(painter, place)

    def _names(self, painter: QPainter, place: QRectF, cell: float) -> None:
        assert self.confusion is not None
        metrics, room, numbered = painter.fontMetrics(), place.left() - 6, self._numbered(cell)
        painter.setPen(QColor(self._c.text))
        for at, k in enumerate(self.classes):
            name = metrics.elidedText(self.row_name(int(k), cell), Qt.TextElideMode.ElideMiddle, int(room))
            painter.drawText(QRectF(0, place.top() + at * cell, room, cell), RIGHT | MIDDLE, name)
            below = str(k) if numbered else self.confusion.names[k]
            box = QRectF(place.left() + at * cell - 4, place.bottom() + 2, cell + 8, metrics.height())
            if metrics.horizontalAdvance(below) < cell or at % 2 == 0:  # numbers of three digits stand below every other column
                painter.drawText(box, Qt.AlignmentFlag.AlignCenter, below)

    def _figures(self, painter: QPainter, colors: np.ndarray) -> None:
        """Counts, or shares of the row in %, where every one has room."""
        assert self.confusion is not None
        c, metrics = self.confusion, painter.fontMetrics()
        texts = {}
        for row, true in enumerate(self.classes):
            for column, answer in enumerate(self.classes):
                if c.matrix[true, answer]:
                    share = 100 * float(c.shares[true, answer])
                    texts[row, column] = (
                        (number(share, 0) if share >= 1 else "<1") if self.in_shares else count(int(c.matrix[true, answer]))
                    )
        if any(metrics.horizontalAdvance(text) > self.side() - 3 for text in texts.values()) or self.side() < metrics.height():
            return
        for (row, column), text in texts.items():
            ground = QColor(*map(int, colors[row, column])).name()
            painter.setPen(QColor(max(("#000000", "#ffffff"), key=lambda ink: contrast(ink, ground))))
            painter.drawText(self.cell(row, column), Qt.AlignmentFlag.AlignCenter, text)

    def _marks(self, painter: QPainter, place: QRectF) -> None:
        """What is chosen, and where the keyboard is."""
        painter.setBrush(Qt.BrushStyle.NoBrush)
        if self.chosen is not None:
            places = {int(k): at for at, k in enumerate(self.classes)}
            row, column = (places.get(k, -2) if k >= 0 else -1 for k in self.chosen)
            if -2 not in (row, column):
                box = self.cell(max(row, 0), max(column, 0))
                box = QRectF(place.left(), box.top(), place.width(), box.height()) if column < 0 else box
                box = QRectF(box.left(), place.top(), box.width(), place.height()) if row < 0 else box
                for ink, wide in ((self._c.background, 5), (self._c.text, 2)):
                    painter.setPen(QPen(QColor(ink), wide))
                    painter.drawRect(box)
        if self.hasFocus():
            painter.setPen(QPen(QColor(self._c.accent), 2, Qt.PenStyle.DashLine))
            painter.drawRect(self.cell(*self.focused).adjusted(1, 1, -1, -1))

    # mouse and keyboard

    def _pick(self, found: tuple[int, int]) -> None:
        self.focused = (max(found[0], 0), max(found[1], 0))
        self._describe()
        classes = self._classes_of(found)
        self.choose(classes)
        self.picked.emit(*classes)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        found = self.at(event.position())
        if found is not None and event.button() == Qt.MouseButton.LeftButton:
            self._pick(found)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        found = self.at(event.position())
        self.setCursor(Qt.CursorShape.ArrowCursor if found is None else Qt.CursorShape.PointingHandCursor)
        self.looked_at.emit("" if found is None else self.said(found))

    def leaveEvent(self, event: QEvent) -> None:
        self.looked_at.emit("")

    def keyPressEvent(self, event: QKeyEvent) -> None:
        key, size = Qt.Key(event.key()), len(self.classes)
        if size and key in MOVES:
            row, column = (min(max(self.focused[i] + MOVES[key][i], 0), size - 1) for i in range(2))
            self.focused = (row, column)
            self._describe()
            self.looked_at.emit(self.said(self.focused))
            self.update()
        elif size and key in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space):
            self._pick(self.focused)
        else:
            super().keyPressEvent(event)

    def event(self, event: QEvent) -> bool:
        if isinstance(event, QHelpEvent) and event.type() == QEvent.Type.ToolTip:
            found = self.at(event.pos())
            if found is not None:
                show_tip(event.globalPos(), self.said(found), self)
                return True
        return super().event(event)

    def table(self) -> tuple[list[str], list[list[object]]]:
        """Columns and rows of the CSV: counts of all classes, whichever are shown."""
        c = self.confusion
        if c is None:
            return [], []
        return ["true \\ answer", *c.names], [[name, *map(int, row)] for name, row in zip(c.names, c.matrix, strict=True)]
