"""The card where one image is corrupted more and more: what it looks like then, and each score's path until it is called strange."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QSlider, QVBoxLayout

from app.panes.likelihood.corruption_plot import CorruptionPlot, ScorePath
from app.shell.formatting import number
from app.shell.theme import Colors
from app.widgets.image_view import ImageView
from app.widgets.parts import Card, TextLines, muted
from engine.messages import Corrupted

KINDS = ("blur", "noise", "brightness", "rotation")
SCALE = 100  # positions of the slider


class CorruptionCard(Card):
    kind_chosen = Signal(str)

    def __init__(self) -> None:
        super().__init__(10, 6)
        self.event: Corrupted | None = None
        self.paths: list[ScorePath] = []
        row = QHBoxLayout()
        row.setSpacing(8)
        self.kind = QComboBox()
        self.kind.addItems(list(KINDS))
        self.kind.setAccessibleName("Kind of corruption")
        self.kind.activated.connect(lambda _index: self.kind_chosen.emit(self.kind.currentText()))
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setRange(0, SCALE)
        self.slider.setSingleStep(SCALE // 10)
        self.slider.setPageStep(SCALE // 5)
        self.slider.setAccessibleName("Strength of the corruption")
        self.slider.valueChanged.connect(self._slid)
        self.figure = muted("0.00", wrap=False)
        self.figure.setFixedWidth(40)
        self.figure.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        row.addWidget(self.kind)
        row.addWidget(muted("strength", wrap=False))
        row.addWidget(self.slider, 1)
        row.addWidget(self.figure)
        self.inside.addLayout(row)
        body = QHBoxLayout()
        body.setSpacing(10)
        side = QVBoxLayout()
        self.picture = ImageView("The corrupted image")
        self.picture.setFixedSize(88, 88)
        side.addWidget(self.picture)
        side.addStretch(1)
        body.addLayout(side)
        self.chart = CorruptionPlot()
        self.chart.strength_moved.connect(lambda strength: self.slider.setValue(round(SCALE * strength)))
        body.addWidget(self.chart, 1)
        self.inside.addLayout(body, 1)
        self.line = TextLines(1, "The chosen score at this strength", small=True)
        self.inside.addWidget(self.line)

    def set_colors(self, c: Colors) -> None:
        for widget in (self.picture, self.chart, self.line):
            widget.set_colors(c)

    def show_event(self, event: Corrupted | None, paths: list[ScorePath], level: float, hint: str = "") -> None:
        """`paths` are the event's scores as p-values; `level` is the p-value below which an image is called strange."""
        self.event, self.paths = event, paths
        self.chart.hint = hint
        self.picture.hint = ""
        self.chart.set_paths(paths, level, event.kind if event is not None else self.kind.currentText())
        self._slid()

    def table(self) -> tuple[tuple[str, ...], list[tuple[object, ...]]]:
        """What is drawn, as header and rows of a CSV."""
        rows: list[tuple[object, ...]] = [
            (path.name, repr(float(strength)), repr(float(p)))
            for path in self.paths
            for strength, p in zip(path.strengths, path.p_values, strict=True)
        ]
        return ("detector", "strength", "p_value"), rows

    def _slid(self, *_: object) -> None:
        strength = self.slider.value() / SCALE
        self.figure.setText(f"{strength:.2f}")
        self.chart.set_strength(strength)
        event = self.event
        if event is None or not len(event.strengths):
            self.picture.set_pixels(None)
            self.line.set_text("")
            return
        nearest = int(np.argmin(np.abs(event.strengths - strength)))
        self.picture.set_pixels(event.images[nearest])
        chosen = next((path for path in self.paths if path.chosen), None)
        if chosen is None or nearest >= len(chosen.p_values):
            self.line.set_text("")
            return
        p = number(100 * float(chosen.p_values[nearest]), 1, "%")
        self.line.set_text(f"{chosen.name}: p-value {p} at strength {event.strengths[nearest]:.2f} · {self.chart.said(chosen)}")
