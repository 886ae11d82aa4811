"""A picture whose tiles lie in another order: you swap them until it is whole, then the model's order appears beside yours."""

from __future__ import annotations

import math

import numpy as np
from PySide6.QtCore import QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QImage, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QHBoxLayout, QSizePolicy, QVBoxLayout, QWidget

from app.shell.formatting import count, number
from app.shell.theme import DARK, Colors
from app.widgets.image_view import ImageView, chw_to_qimage
from app.widgets.parts import Card, TextLines, button, muted
from engine.messages import PuzzlePosed

GAP = 3


def cut(picture: np.ndarray, side: int) -> list[np.ndarray]:
    """The tiles of a picture [C, h, w], row by row."""
    height, width = picture.shape[1] // side, picture.shape[2] // side
    rows = [picture[:, row * height : (row + 1) * height] for row in range(side)]
    return [row[:, :, column * width : (column + 1) * width] for row in rows for column in range(side)]


def laid(tiles: list[np.ndarray], order: list[int], side: int) -> np.ndarray:
    """A picture with tile order[i] at place i."""
    rows = [np.concatenate([tiles[order[row * side + column]] for column in range(side)], 2) for row in range(side)]
    return np.concatenate(rows, 1)


def solving(permutation: np.ndarray) -> list[int]:
    """The order that undoes a permutation: tile i of the shuffled picture belongs at place permutation[i]."""
    return [int(place) for place in np.argsort(permutation)]


class TileBoard(QWidget):
    """Click one tile, then another, and they change places; or drag. Arrow keys move, Space takes and swaps."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.tiles: list[QImage] = []
        self.order: list[int] = []
        self.side = 1
        self.at = 0  # where the keyboard is
        self.taken: int | None = None
        self._dragged: QPointF | None = None
        self.setAccessibleName("Tiles; arrow keys move, Space takes a tile and swaps it with another")
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumSize(160, 160)
        self.set_colors(DARK)

    def sizeHint(self) -> QSize:
        return QSize(320, 320)

    def set_colors(self, c: Colors) -> None:
        self._c = c
        self.update()

    def set_tiles(self, tiles: list[np.ndarray], side: int) -> None:
        self.tiles = [chw_to_qimage(tile) for tile in tiles]
        self.side, self.order = side, list(range(len(tiles)))
        self.at, self.taken = 0, None
        self._describe()
        self.update()

    def swap(self, a: int, b: int) -> None:
        self.order[a], self.order[b] = self.order[b], self.order[a]
        self.taken = None
        self._describe()
        self.update()
        if a != b:
            self.changed.emit()

    def _describe(self) -> None:
        taken = "" if self.taken is None else f"; tile {self.taken + 1} is taken"
        self.setAccessibleDescription(f"place {self.at + 1} of {len(self.order)}{taken}")

    def place(self, index: int) -> QRectF:
        size = min(self.width(), self.height())
        cell = (size - GAP * (self.side - 1)) / self.side
        left, top = (self.width() - size) / 2, (self.height() - size) / 2
        row, column = divmod(index, self.side)
        return QRectF(left + column * (cell + GAP), top + row * (cell + GAP), cell, cell)

    def index_at(self, point: QPointF) -> int | None:
        return next((index for index in range(len(self.order)) if self.place(index).contains(point)), None)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        for index, tile in enumerate(self.order):
            painter.drawImage(self.place(index), self.tiles[tile])
        painter.setBrush(Qt.BrushStyle.NoBrush)
        if self.taken is not None:
            painter.setPen(QPen(QColor(self._c.warning), 3))
            painter.drawRect(self.place(self.taken).adjusted(1, 1, -1, -1))
        if self.hasFocus() and self.order:
            painter.setPen(QPen(QColor(self._c.accent), 2))
            painter.drawRect(self.place(self.at).adjusted(1, 1, -1, -1))

    # mouse and keyboard

    def take(self, index: int) -> None:
        """Take a tile, or swap the taken one with it."""
        self.at = index
        if self.taken is None:
            self.taken = index
            self._describe()
            self.update()
        else:
            self.swap(self.taken, index)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        index = self.index_at(event.position())
        if self.isEnabled() and index is not None and event.button() == Qt.MouseButton.LeftButton:
            self._dragged = event.position() if self.taken is None else None
            self.take(index)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        index = self.index_at(event.position())
        if self._dragged is not None and self.taken is not None and index is not None and index != self.taken:
            self.take(index)
        self._dragged = None

    def keyPressEvent(self, event: QKeyEvent) -> None:
        moves = {Qt.Key.Key_Left: -1, Qt.Key.Key_Right: 1, Qt.Key.Key_Up: -self.side, Qt.Key.Key_Down: self.side}
        key = Qt.Key(event.key())
        if key in moves and 0 <= self.at + moves[key] < len(self.order):
            self.at += moves[key]
            self._describe()
            self.update()
        elif key in (Qt.Key.Key_Space, Qt.Key.Key_Return, Qt.Key.Key_Enter) and self.order:
            self.take(self.at)
        elif key == Qt.Key.Key_Escape and self.taken is not None:
            self.taken = None
            self.update()
        else:
            super().keyPressEvent(event)


class TilePuzzleBoard(QWidget):
    """`answered(you, model)`: whether each was right."""

    kind = "jigsaw"  # of `PuzzlePosed`
    answered = Signal(bool, bool)

    def __init__(self) -> None:
        super().__init__()
        self.posed: PuzzlePosed | None = None
        self.checked = False
        columns = QHBoxLayout(self)
        columns.setContentsMargins(0, 0, 0, 0)
        columns.setSpacing(16)
        card = Card(12, 8)
        self.board = TileBoard()
        card.inside.addWidget(self.board, 1)
        columns.addWidget(card, 1)
        side = QVBoxLayout()
        side.setSpacing(8)
        self.task = TextLines(3, "The task")
        side.addWidget(self.task)
        row = QHBoxLayout()
        self.check_button = button("Check", self.check, "Say that every tile is in its place.", primary=True)
        row.addWidget(self.check_button)
        row.addStretch(1)
        side.addLayout(row)
        self.verdict = TextLines(5, "Your order and the model's")
        side.addWidget(self.verdict)
        pictures = QHBoxLayout()
        pictures.setSpacing(12)
        self.models, self.whole = (ImageView(name, hint) for name, hint in (
            ("The model's order", "The model’s order, once you have checked yours"), ("The picture as it was", "The whole picture")
        ))  # fmt: skip
        for view, name in ((self.models, "the model’s order"), (self.whole, "as it was")):
            view.setMinimumSize(96, 96)
            view.setMaximumSize(144, 144)
            column = QVBoxLayout()
            column.setSpacing(4)
            column.addWidget(view)
            column.addWidget(muted(name, wrap=False))
            pictures.addLayout(column)
        pictures.addStretch(1)
        side.addLayout(pictures)
        side.addStretch(1)
        holder = QWidget()
        holder.setLayout(side)
        side.setContentsMargins(0, 0, 0, 0)
        holder.setFixedWidth(320)
        columns.addWidget(holder)

    def set_colors(self, c: Colors) -> None:
        for widget in (self.board, self.models, self.whole, self.verdict, self.task):
            widget.set_colors(c)

    def show_posed(self, posed: PuzzlePosed | None) -> None:
        """A new puzzle, or the same one at another checkpoint: then the board stays as it is."""
        same = posed is not None and self.posed is not None and (posed.run, posed.number) == (self.posed.run, self.posed.number)
        self.posed = posed
        if posed is None or posed.permutations is None:
            self.board.set_tiles([], 1)
            self.task.set_text("The puzzle appears here.")
        elif not same:
            self.board.set_tiles(cut(posed.picture, posed.side), posed.side)
            orders, all_of_them = len(posed.permutations), math.factorial(posed.side**2)
            fewer = f"The model knows that it is one of {count(orders)} orders; for you there are {count(all_of_them)}."
            choice = fewer if orders < all_of_them else f"Any of the {count(all_of_them)} orders is possible, for you as for the model."
            self.task.set_text(f"Click two tiles to swap them, or drag one onto another, until the picture is whole. {choice}")
        if not same:
            self.checked = False
        self._show()

    def right(self) -> int:
        """How many tiles you have in their place; one that looks exactly like another may lie in its place."""
        return self._placed(self.board.order)

    def _model_right(self, posed: PuzzlePosed) -> int:
        """The same of the model's likeliest order."""
        assert posed.permutations is not None and posed.probabilities is not None
        return self._placed(solving(posed.permutations[int(posed.probabilities.argmax())]))

    def _placed(self, order: list[int]) -> int:
        posed = self.posed
        if posed is None or posed.permutations is None:
            return 0
        tiles, home = cut(posed.picture, posed.side), solving(posed.permutations[posed.answer])
        return sum(np.array_equal(tiles[tile], tiles[home[place]]) for place, tile in enumerate(order))

    def check(self) -> None:
        posed = self.posed
        if posed is None or self.checked or posed.probabilities is None:
            return
        self.checked = True
        self._show()
        total = len(self.board.order)
        self.answered.emit(self.right() == total, self._model_right(posed) == total)

    def _show(self) -> None:
        posed = self.posed
        self.check_button.setEnabled(posed is not None and not self.checked)
        self.board.setEnabled(not self.checked)
        if posed is None or not self.checked or posed.probabilities is None or posed.permutations is None:
            self.verdict.set_text("")
            self.models.set_pixels(None)
            self.whole.set_pixels(None)
            return
        model = int(posed.probabilities.argmax())
        self.models.set_pixels(laid(cut(posed.picture, posed.side), solving(posed.permutations[model]), posed.side))
        self.whole.set_pixels(posed.original)
        total = len(self.board.order)
        placed = self._model_right(posed)
        sure = number(100 * float(posed.probabilities[model]), 0, "%")
        truth = number(100 * float(posed.probabilities[posed.answer]), 0, "%")
        it = f"The model is right, {sure} sure." if placed == total else (
            f"The model is wrong: {placed} of {total} in their place, {sure} sure of its order, {truth} of the right one."
        )  # fmt: skip
        you = "You are right." if self.right() == total else f"You have {self.right()} of {total} tiles in their place."
        name = f"It is {posed.label}, validation image {posed.index}." if posed.label else f"It is validation image {posed.index}."
        self.verdict.set_text(f"{you} {it} {name}")
