"""The controls of the film: where it stands, play and pause, one position further, one row further."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QHBoxLayout, QSlider, QVBoxLayout, QWidget

from app.panes.sampling.film import SampleFilm
from app.panes.sampling.sample_tree import POSITIONS
from app.shell.formatting import count
from app.shell.plain_text import set_tip
from app.widgets.parts import button, muted


class FilmBar(QWidget):
    """`play_asked`, `step_asked(cells)` (0: to the end of the row), and `wound(position)` when the slider is moved by the user."""

    play_asked = Signal()
    step_asked = Signal(int)
    wound = Signal(int)
    stop_asked = Signal()

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
        set_tip(self.slider, "Wind back and forth through the growth.")
        self.slider.valueChanged.connect(self._moved)
        row.addWidget(self.slider, 1)
        self.label = muted("", wrap=False)
        self.label.setMinimumWidth(96)
        self.label.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        row.addWidget(self.label)
        column.addWidget(self.film_row)
        row = QHBoxLayout()
        row.setSpacing(6)
        self.play_button = button("Pause", self.play_asked.emit)
        self.play_button.setFixedWidth(88)
        self.step_button = button("+1 pixel", lambda: self.step_asked.emit(1), "Go on by one, then stay.")
        self.row_button = button("+1 row", lambda: self.step_asked.emit(0), "Go on to the end of the row, then stay.")
        self.stop_button = button("Stop", self.stop_asked.emit, "End it here: the steps that were taken stay.")
        for made in (self.play_button, self.step_button, self.row_button, self.stop_button):
            row.addWidget(made)
        row.addStretch(1)
        column.addLayout(row)

    def _moved(self, position: int) -> None:
        if not self._ours:
            self.wound.emit(position)

    def show_film(self, film: SampleFilm, *, drawing: bool, before: bool = False) -> None:
        """`before`: what is seen are not the steps of this draw but the samples that were finished before it."""
        node = film.node
        kind = "pixels" if node is None or node.began is None else node.began.kind
        length, depth = (0, 1) if node is None else (node.length, node.depth)
        winds = node is None or node.has_film
        self._ours = True
        self.slider.setRange(0, max(length, 1))
        self.slider.setSingleStep(depth)
        self.slider.setValue(film.position)
        self._ours = False
        self.slider.setEnabled(length > 0)
        self.film_row.setVisible(winds)
        self.step_button.setText(f"+1 {POSITIONS[kind]}")
        self.step_button.setVisible(winds)
        self.row_button.setVisible(kind in ("pixels", "codes"))
        for made in (self.step_button, self.row_button):
            made.setEnabled(length > 0 and (drawing or film.position < length))
        self.stop_button.setVisible(node is not None and node.iterative and drawing)
        self.label.setText(self._where(film, before))
        text, tip = self._verb(film, drawing)
        self.play_button.setText(text)
        self.play_button.setAccessibleName(text)
        set_tip(self.play_button, tip)

    @staticmethod
    def _where(film: SampleFilm, before: bool) -> str:
        """“12 of 64”; of an iterative sampler “step 7 of 18, σ 2.30” where it says more of its frames."""
        node = film.node
        if node is None or not node.length:
            return ""
        shown = node.frame_at(film.position)
        text = f"{count(shown // node.depth)} of {count(node.length // node.depth)}"
        if not node.iterative:
            return text
        if before:
            return f"drawing step {text}"  # they are not what is seen
        note = node.notes.get(shown, "")
        return f"step {text}{f', {note}' if note else ''}"

    def _verb(self, film: SampleFilm, drawing: bool) -> tuple[str, str]:
        """What the play button does, and its tooltip."""
        node = film.node
        if (drawing and not film.held) or film.playing:
            return "Pause", "Stay where it is."
        if node is None or not node.has_film or node.began is None:
            return "Draw", "Draw these samples."
        if film.position < node.reached:
            return "Play", "Show the film from here on."
        if node.done:
            return "Replay", "Show once more how the samples grew."
        if node.iterative and not drawing:
            return "Draw", "Draw these samples: the same noise, the same samples."  # its steps cannot be gone on with
        return "Go on", "Grow on from here: the same noise, the same samples."
