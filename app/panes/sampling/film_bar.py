"""The film of a growth: where it stands, play and pause, one step, one row."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QHBoxLayout, QSlider, QVBoxLayout, QWidget

from app.panes.sampling.sample_tree import NAMES, Node
from app.shell.formatting import count
from app.widgets.parts import button, muted


class FilmBar(QWidget):
    """`played`, `stepped(cells)` (0: to the end of the row), and `wound(place)` when the slider is moved by the user."""

    played = Signal()
    stepped = Signal(int)
    wound = Signal(int)

    def __init__(self) -> None:
        super().__init__()
        self._ours = False
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(6)
        self.film_row = QWidget()
        row = QHBoxLayout(self.film_row)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(6)
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setAccessibleName("Film: how far the samples have grown")
        self.slider.setToolTip("Wind back and forth through the growth.")
        self.slider.valueChanged.connect(self._moved)
        row.addWidget(self.slider, 1)
        self.label = muted("", wrap=False)
        self.label.setFixedWidth(96)
        self.label.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        row.addWidget(self.label)
        column.addWidget(self.film_row)
        row = QHBoxLayout()
        row.setSpacing(6)
        self.play_button = button("Pause", self.played.emit)
        self.play_button.setFixedWidth(88)
        self.step_button = button("+1 pixel", lambda: self.stepped.emit(1), "Go on by one, then stay.")
        self.row_button = button("+1 row", lambda: self.stepped.emit(0), "Go on to the end of the row, then stay.")
        for made in (self.play_button, self.step_button, self.row_button):
            row.addWidget(made)
        row.addStretch(1)
        column.addLayout(row)

    def _moved(self, place: int) -> None:
        if not self._ours:
            self.wound.emit(place)

    def show_film(self, node: Node | None, film: int, *, growing: bool, playing: bool) -> None:
        kind = "pixels" if node is None or node.began is None else node.began.kind
        length, depth = (0, 1) if node is None else (node.length, node.depth)
        self._ours = True
        self.slider.setRange(0, max(length, 1))
        self.slider.setSingleStep(depth)
        self.slider.setValue(film)
        self._ours = False
        self.slider.setEnabled(length > 0)
        self.film_row.setVisible(kind != "whole")
        self.step_button.setText(f"+1 {NAMES[kind]}")
        self.step_button.setVisible(kind != "whole")
        self.row_button.setVisible(kind in ("pixels", "codes"))
        for made in (self.step_button, self.row_button):
            made.setEnabled(length > 0 and (growing or film < length))
        self.label.setText(f"{count(film // depth)} of {count(length // depth)}" if length else "")
        text, tip = self._verb(node, film, growing or playing)
        self.play_button.setText(text)
        self.play_button.setAccessibleName(text)
        self.play_button.setToolTip(tip)

    def _verb(self, node: Node | None, film: int, moves: bool) -> tuple[str, str]:
        if moves:
            return "Pause", "Stay where it is."
        if node is None or node.whole or node.began is None:
            return "Draw", "Draw these samples."
        if film < node.head:
            return "Play", "Show the film from here on."
        if not node.done:
            return "Go on", "Grow on from here: the same noise, the same samples."
        return "Replay", "Show once more how the samples grew."
