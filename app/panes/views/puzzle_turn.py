"""A picture that lies on its side: you say by how much it was turned, then the model's answer appears beside yours."""

from __future__ import annotations

from functools import partial

import numpy as np
from PySide6.QtCore import QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QKeyEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QHBoxLayout, QSizePolicy, QVBoxLayout, QWidget

from app.shell.formatting import number
from app.shell.theme import CATEGORIES, DARK, Colors, font
from app.widgets.colors import shade
from app.widgets.image_view import ImageView
from app.widgets.parts import Card, TextLines, button
from engine.messages import PuzzlePosed

TURNS = ("0°, upright", "90°", "180°", "270°")
LEFT = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
RIGHT = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter


class AnswerBars(QWidget):
    """A bar for the probability that the model gives to each answer; which one is right, and which was yours, stands beside it."""

    ROW = 26

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[tuple[str, float, str]] = []  # answer, probability, remarks
        self.setFont(font(12))
        self.setAccessibleName("The model's answers")
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setFixedHeight(len(TURNS) * self.ROW)
        self.set_colors(DARK)

    def sizeHint(self) -> QSize:
        return QSize(300, len(TURNS) * self.ROW)

    def set_colors(self, c: Colors) -> None:
        self._c = c
        self.update()

    def set_rows(self, rows: list[tuple[str, float, str]]) -> None:
        self.rows = rows
        self.setAccessibleDescription(", ".join(f"{name} {number(100 * p, 0, '%')} {remark}".strip() for name, p, remark in rows))
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        track = QRectF(84, 0, max(self.width() - 84 - 160, 20), 10)
        for place, (name, probability, remark) in enumerate(self.rows):
            middle = (place + 0.5) * self.ROW
            painter.setPen(QColor(self._c.text))
            painter.drawText(QRectF(0, middle - 10, 80, 20), LEFT, name)
            bar = track.translated(0, middle - 5)
            painter.fillRect(bar, QColor(self._c.line))
            painter.fillRect(QRectF(bar.left(), bar.top(), bar.width() * probability, bar.height()), shade(CATEGORIES[0], self._c))
            painter.drawText(QRectF(bar.right(), middle - 10, 46, 20), RIGHT, number(100 * probability, 0, "%"))
            painter.setPen(QColor(self._c.muted))
            painter.drawText(QRectF(bar.right() + 54, middle - 10, 106, 20), LEFT, remark)


class TurnPuzzleBoard(QWidget):
    """`answered(you, model)`: whether each was right. Keys 1 to 4 answer too."""

    kind = "rotation"  # of `PuzzlePosed`
    answered = Signal(bool, bool)

    def __init__(self) -> None:
        super().__init__()
        self.posed: PuzzlePosed | None = None
        self.yours = -1
        columns = QHBoxLayout(self)
        columns.setContentsMargins(0, 0, 0, 0)
        columns.setSpacing(16)
        card = Card(12, 8)
        self.picture = ImageView("The turned picture", "The puzzle appears here.")
        card.inside.addWidget(self.picture, 1)
        columns.addWidget(card, 1)
        side = QVBoxLayout()
        side.setSpacing(8)
        self.task = TextLines(1, "The task")
        self.task.set_text("How far was this picture turned, counter-clockwise?")
        side.addWidget(self.task)
        row = QHBoxLayout()
        row.setSpacing(8)
        self.buttons = []
        for turns, name in enumerate(TURNS):
            made = button(name, partial(self.answer, turns), f"The key {turns + 1} says the same.")
            made.setCheckable(True)
            self.buttons.append(made)
            row.addWidget(made)
        row.addStretch(1)
        side.addLayout(row)
        self.verdict = TextLines(3, "Your answer and the model's")
        side.addWidget(self.verdict)
        self.bars = AnswerBars()
        side.addWidget(self.bars)
        self.upright = ImageView("The picture as it was", "It is shown upright once you have answered.")
        self.upright.setMinimumSize(96, 96)
        self.upright.setMaximumSize(160, 160)
        side.addWidget(self.upright)
        side.addStretch(1)
        holder = QWidget()
        holder.setLayout(side)
        side.setContentsMargins(0, 0, 0, 0)
        holder.setFixedWidth(392)
        columns.addWidget(holder)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAccessibleName("Puzzle of the turned picture; the keys 1 to 4 answer")

    def set_colors(self, c: Colors) -> None:
        for widget in (self.picture, self.upright, self.bars, self.verdict, self.task):
            widget.set_colors(c)

    def show_posed(self, posed: PuzzlePosed | None) -> None:
        """A new puzzle, or the same one at another checkpoint: then your answer stands."""
        same = posed is not None and self.posed is not None and (posed.run, posed.number) == (self.posed.run, self.posed.number)
        self.posed = posed
        if not same:
            self.yours = -1
        self.picture.set_pixels(None if posed is None else posed.picture)
        self._show()

    def _show(self) -> None:
        posed, done = self.posed, self.yours >= 0
        for turns, made in enumerate(self.buttons):
            made.setChecked(turns == self.yours)
            made.setEnabled(posed is not None and not done)
        self.upright.set_pixels(posed.original if posed is not None and done else None)
        if posed is None or not done or posed.probabilities is None:
            self.bars.set_rows([])
            self.verdict.set_text("")
            return
        model = int(posed.probabilities.argmax())
        rows = []
        for turns, name in enumerate(TURNS):
            marks = (("right", posed.answer), ("you", self.yours), ("model", model))
            remarks = [word for word, where in marks if where == turns]
            rows.append((name, float(posed.probabilities[turns]), ", ".join(remarks)))
        self.bars.set_rows(rows)
        you = "You are right" if self.yours == posed.answer else f"It was turned by {90 * posed.answer}°"
        it = "is wrong" if model != posed.answer else "is right, too" if self.yours == model else "is right"
        name = f" It is {posed.label}, validation image {posed.index}." if posed.label else f" It is validation image {posed.index}."
        self.verdict.set_text(f"{you}; the model {it}, {number(100 * float(posed.probabilities[model]), 0, '%')} sure.{name}")

    def answer(self, turns: int) -> None:
        posed = self.posed
        if posed is None or self.yours >= 0 or posed.probabilities is None:
            return
        self.yours = turns
        self._show()
        self.answered.emit(turns == posed.answer, int(np.argmax(posed.probabilities)) == posed.answer)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.text() in ("1", "2", "3", "4"):
            self.answer(int(event.text()) - 1)
        else:
            super().keyPressEvent(event)
