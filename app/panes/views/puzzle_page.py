"""The puzzles that a method learns from, played by hand on validation images, and the score of this session."""

from __future__ import annotations

from dataclasses import dataclass, field

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from app.panes.views.puzzle_mask import MaskPuzzleBoard
from app.panes.views.puzzle_tiles import TilePuzzleBoard
from app.panes.views.puzzle_turn import TurnPuzzleBoard
from app.shell.formatting import number
from app.shell.theme import Colors
from app.widgets.page_stack import PageStack
from app.widgets.parts import button, plain
from engine.messages import MaskFilled, PuzzlePosed


@dataclass
class PuzzleScore:
    """Of one run in this session."""

    number: int = 0  # of the puzzle that is next or under way
    played: int = 0
    you: int = 0
    model: int = 0
    errors: list[tuple[float, float]] = field(default_factory=list)  # of filled pictures: the model's, the mean colour's

    def words(self) -> str:
        if self.errors:
            count = len(self.errors)
            model, mean = (sum(values) / count for values in zip(*self.errors, strict=True))
            times = "1 picture" if count == 1 else f"{count} pictures"
            return f"Off by {number(model, 1)} of 255 on average over {times}, the mean colour by {number(mean, 1)}"
        if not self.played:
            return "Nothing played yet"
        return f"You {self.you} of {self.played}, the model {self.model} of {self.played}"


class PuzzlePage(QWidget):
    next_asked = Signal()
    fill_asked = Signal(object)  # bool [H, W]

    def __init__(self) -> None:
        super().__init__()
        self.score = PuzzleScore()
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(8)
        row = QHBoxLayout()
        row.setSpacing(12)
        self.score_label = plain("")
        self.score_label.setAccessibleName("Score of this session")
        row.addWidget(self.score_label)
        row.addStretch(1)
        self.next_button = button("Next puzzle", self.next_asked.emit, "Another validation image.")
        row.addWidget(self.next_button)
        column.addLayout(row)
        self.turn, self.tiles, self.fill = TurnPuzzleBoard(), TilePuzzleBoard(), MaskPuzzleBoard()
        self.kinds = {widget.kind: widget for widget in (self.turn, self.tiles, self.fill)}  # as methods declare them
        self.stack = PageStack()
        for widget in self.kinds.values():
            self.stack.addWidget(widget)
        column.addWidget(self.stack, 1)
        self.turn.answered.connect(self._answered)
        self.tiles.answered.connect(self._answered)
        self.fill.filled.connect(self._filled)
        self.fill.fill_asked.connect(self.fill_asked)
        self.show_score(self.score)

    def set_colors(self, c: Colors) -> None:
        for widget in self.kinds.values():
            widget.set_colors(c)

    def show_score(self, score: PuzzleScore) -> None:
        self.score = score
        self.score_label.setText(score.words())

    def show_posed(self, posed: PuzzlePosed) -> None:
        widget = self.kinds[posed.kind]
        self.stack.setCurrentWidget(widget)
        widget.show_posed(posed)

    def step_of(self, posed: PuzzlePosed) -> int:
        """The checkpoint whose answer is seen: a picture that was filled in stays until it is filled in anew."""
        filled = self.fill.answer if posed.kind == self.fill.kind else None
        return posed.step if filled is None else filled.step

    def clear(self) -> None:
        for widget in self.kinds.values():
            widget.show_posed(None)

    def take(self, answer: MaskFilled) -> None:
        self.fill.take(answer)

    def _answered(self, you: bool, model: bool) -> None:
        self.score.played += 1
        self.score.you += you
        self.score.model += model
        self.show_score(self.score)

    def _filled(self, error: float, plain_error: float) -> None:
        self.score.errors.append((error, plain_error))
        self.show_score(self.score)

    def table(self) -> tuple[list[str], list[list[object]]]:
        """Columns and rows of the CSV."""
        if self.score.errors:
            return ["error", "mean_colour_error"], [[float(f"{value:.4f}") for value in pair] for pair in self.score.errors]
        return ["played", "you", "model"], [[self.score.played, self.score.you, self.score.model]]
