"""A picture of which you hide a part, block by block; the model paints what it thinks is there, and its error stands beside."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QHBoxLayout, QSizePolicy, QVBoxLayout, QWidget

from app.shell.formatting import number
from app.shell.theme import DARK, Colors
from app.widgets.image_view import ImageView, chw_to_qimage, fitted
from app.widgets.parts import Card, TextLines, button
from engine.messages import MaskFilled, PuzzlePosed

BLOCKS = 8  # along a side


class BlockPicker(QWidget):
    """The picture under a grid of blocks: dragging hides them, dragging from a hidden one shows them again. Arrow keys and Space too."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.picture: np.ndarray | None = None
        self.blocks = np.zeros((BLOCKS, BLOCKS), bool)
        self.at = (BLOCKS // 2, BLOCKS // 2)
        self._hides: bool | None = None  # what the drag in hand does
        self.setAccessibleName("Blocks of the picture; arrow keys move, Space hides or shows a block")
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumSize(160, 160)
        self.set_colors(DARK)

    def sizeHint(self) -> QSize:
        return QSize(280, 280)

    def set_colors(self, c: Colors) -> None:
        self._c = c
        self.update()

    def set_picture(self, picture: np.ndarray | None) -> None:
        """uint8 [C, H, W]"""
        self.picture = picture
        self.update()

    def set_blocks(self, blocks: np.ndarray) -> None:
        self.blocks = blocks.astype(bool)
        self._changed()

    def hidden(self) -> np.ndarray:
        """The hidden pixels, bool [H, W]."""
        assert self.picture is not None
        height, width = self.picture.shape[1:]
        rows, columns = (np.arange(size) * BLOCKS // size for size in (height, width))
        return self.blocks[rows][:, columns]

    def _changed(self) -> None:
        state = "hidden" if self.blocks[self.at] else "shown"
        self.setAccessibleDescription(f"row {self.at[0] + 1}, column {self.at[1] + 1}, {state}; {int(self.blocks.sum())} blocks are hidden")
        self.update()
        self.changed.emit()

    def place(self) -> QRectF:
        size = QSize(1, 1) if self.picture is None else QSize(self.picture.shape[2], self.picture.shape[1])
        return fitted(size, QRectF(self.rect()).adjusted(1, 1, -1, -1))

    def edges(self, count: int, start: float, length: float) -> list[float]:
        """Where the blocks begin and end along an axis of `count` pixels: at pixels' edges."""
        firsts = [-(-block * count // BLOCKS) for block in range(BLOCKS + 1)]
        return [start + first / count * length for first in firsts]

    def block_at(self, point: QPointF) -> tuple[int, int] | None:
        place = self.place()
        if self.picture is None or not place.contains(point):
            return None
        height, width = self.picture.shape[1:]
        row = int((point.y() - place.top()) / place.height() * height) * BLOCKS // height
        column = int((point.x() - place.left()) / place.width() * width) * BLOCKS // width
        return min(row, BLOCKS - 1), min(column, BLOCKS - 1)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        if self.picture is None:
            return
        place = self.place()
        painter.drawImage(place, chw_to_qimage(self.picture))
        down = self.edges(self.picture.shape[1], place.top(), place.height())
        across = self.edges(self.picture.shape[2], place.left(), place.width())
        for row, column in np.argwhere(self.blocks):
            box = QRectF(QPointF(across[column], down[row]), QPointF(across[column + 1], down[row + 1]))
            painter.fillRect(box, QColor(self._c.raised))
            painter.fillRect(box, Qt.BrushStyle.BDiagPattern)
        line = QColor(self._c.muted)
        line.setAlpha(70)
        painter.setPen(QPen(line, 1))
        for x in across:
            painter.drawLine(QPointF(x, place.top()), QPointF(x, place.bottom()))
        for y in down:
            painter.drawLine(QPointF(place.left(), y), QPointF(place.right(), y))
        if self.hasFocus():
            row, column = self.at
            painter.setPen(QPen(QColor(self._c.accent), 2))
            painter.drawRect(QRectF(QPointF(across[column], down[row]), QPointF(across[column + 1], down[row + 1])))

    # mouse and keyboard

    def mousePressEvent(self, event: QMouseEvent) -> None:
        found = self.block_at(event.position())
        if found is not None and event.button() == Qt.MouseButton.LeftButton:
            self._hides = not self.blocks[found]
            self._paint(found)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        found = self.block_at(event.position())
        if found is not None and self._hides is not None:
            self._paint(found)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        self._hides = None

    def _paint(self, block: tuple[int, int]) -> None:
        self.at = block
        if self.blocks[block] != self._hides:
            self.blocks[block] = bool(self._hides)
            self._changed()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        moves = {Qt.Key.Key_Left: (0, -1), Qt.Key.Key_Right: (0, 1), Qt.Key.Key_Up: (-1, 0), Qt.Key.Key_Down: (1, 0)}
        key = Qt.Key(event.key())
        if key in moves:
            row, column = (int(np.clip(self.at[i] + moves[key][i], 0, BLOCKS - 1)) for i in range(2))
            self.at = (row, column)
            self.update()
        elif key in (Qt.Key.Key_Space, Qt.Key.Key_Return, Qt.Key.Key_Enter) and self.picture is not None:
            self.blocks[self.at] = not self.blocks[self.at]
            self._changed()
        else:
            super().keyPressEvent(event)


class MaskPuzzleBoard(QWidget):
    """`fill_asked(hidden)`; `filled(error, plain)` when the answer to a new question has come."""

    kind = "mask"  # of `PuzzlePosed`
    fill_asked = Signal(object)
    filled = Signal(float, float)

    def __init__(self) -> None:
        super().__init__()
        self.posed: PuzzlePosed | None = None
        self.answer: MaskFilled | None = None
        self.waiting = False  # for an answer that counts
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(8)
        self.task = TextLines(1, "The task")
        self.task.set_text("Drag over the picture to hide blocks; the model sees only what is left.")
        column.addWidget(self.task)
        pictures = QHBoxLayout()
        pictures.setSpacing(16)
        self.picker = BlockPicker()
        self.result = ImageView("What the model fills in", "Hide some blocks at the left, then let the model fill them in.")
        for view in (self.picker, self.result):
            card = Card(12, 8)
            card.inside.addWidget(view, 1)
            pictures.addWidget(card, 1)
        column.addLayout(pictures, 1)
        row = QHBoxLayout()
        row.setSpacing(8)
        self.fill_button = button("Fill in", self.ask, "Let the model paint what is hidden.", primary=True)
        self.middle_button = button("Hide the middle", self.hide_middle, "Hide the sixteen blocks in the middle.")
        self.clear_button = button("Show all", self.clear, "Hide nothing.")
        for made in (self.fill_button, self.middle_button, self.clear_button):
            row.addWidget(made)
        row.addStretch(1)
        column.addLayout(row)
        self.verdict = TextLines(2, "How far off the model is")
        column.addWidget(self.verdict)
        self.picker.changed.connect(self._blocks_changed)
        self._show()

    def set_colors(self, c: Colors) -> None:
        for widget in (self.picker, self.result, self.verdict, self.task):
            widget.set_colors(c)

    def show_posed(self, posed: PuzzlePosed | None) -> None:
        """A new picture, or the same one at another checkpoint: then the blocks stay hidden and are filled in anew."""
        same = posed is not None and self.posed is not None and (posed.run, posed.number) == (self.posed.run, self.posed.number)
        self.posed = posed
        self.picker.set_picture(None if posed is None else posed.original)
        if not same:
            self.answer, self.waiting = None, False
            self.picker.set_blocks(np.zeros((BLOCKS, BLOCKS), bool))
        elif self.answer is not None and posed is not None:
            self.fill_asked.emit(self.answer.hidden)
        self._show()

    def ask(self) -> None:
        if self.posed is not None and self.picker.blocks.any():
            self.waiting = True
            self.fill_asked.emit(self.picker.hidden())

    def take(self, answer: MaskFilled) -> None:
        self.answer = answer
        self._show()
        if self.waiting:
            self.waiting = False
            self.filled.emit(answer.error, answer.plain)

    def hide_middle(self) -> None:
        blocks = np.zeros((BLOCKS, BLOCKS), bool)
        blocks[BLOCKS // 4 : -BLOCKS // 4, BLOCKS // 4 : -BLOCKS // 4] = True
        self.picker.set_blocks(blocks)

    def clear(self) -> None:
        self.picker.set_blocks(np.zeros((BLOCKS, BLOCKS), bool))

    def _blocks_changed(self) -> None:
        self._show()

    def _show(self) -> None:
        hidden = int(self.picker.blocks.sum())
        usable = self.posed is not None
        self.fill_button.setEnabled(usable and 0 < hidden < BLOCKS * BLOCKS)
        self.middle_button.setEnabled(usable)
        self.clear_button.setEnabled(usable and hidden > 0)
        answer = self.answer
        self.result.set_pixels(None if answer is None else answer.filled)
        if answer is None:
            self.verdict.set_text("")
            return
        share = number(100 * float(answer.hidden.mean()), 0, "%")
        better = "closer than" if answer.error < answer.plain else "no closer than"
        self.verdict.set_text(
            f"{share} hidden. The model is off by {number(answer.error, 1)} of 255 (root mean square), {better} the mean colour of what "
            f"is left, which is off by {number(answer.plain, 1)}."
        )
