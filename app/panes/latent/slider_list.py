"""The dimensions of z as a list of sliders in units of sigma, the most informative one first."""

from __future__ import annotations

from functools import partial

import numpy as np
from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QHBoxLayout, QScrollArea, QVBoxLayout, QWidget

from app.panes.latent.axes import SPAN, LatentAxes
from app.panes.latent.position import CENTRE_NAME, LatentPosition, PositionHistory
from app.shell.formatting import number
from app.shell.plain_text import set_tip
from app.shell.theme import Colors
from app.widgets.latent_slider import LatentSlider
from app.widgets.parts import Card, button, heading, plain, set_heading
from engine.common.active_dimensions import DEFINITION

LABEL_WIDTH = 84  # pixels of “z01 3.90 nat”; longer names and notes get what they need
SHARES = (
    "The directions of z by how much they change the decoded image: eigenvectors of E[JᵀJ], J the derivative of the image by z. "
    "The share is the eigenvalue's, of their sum."
)


class SliderList(QWidget):
    """One slider for each dimension; they rest until the run has said what they stand for."""

    reordered = Signal()  # the axes have another order or unit

    def __init__(self, history: PositionHistory, colors: Colors) -> None:
        super().__init__()
        self.history = history
        self.axes: LatentAxes | None = None
        self.sliders: list[LatentSlider] = []
        self._newest: LatentAxes | None = None  # comes into force when no knob is held
        self._colors = colors
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(8)
        row = QHBoxLayout()
        self.heading = heading("Latent dimensions, ordered by KL")
        self.active_label = plain("", wrap=True)
        self.active_label.setProperty("role", "small")
        row.addWidget(self.heading)
        row.addStretch(1)
        self.reset_button = button("Reset", self.reset, "Put every slider back to 0 σ.")
        self.reset_button.setProperty("kind", "link")
        row.addWidget(self.reset_button)
        column.addLayout(row)
        column.addWidget(self.active_label)
        card = Card(0, 0)
        card.inside.setContentsMargins(1, 8, 1, 8)
        self.scroll_area = scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        contents = QWidget()
        contents.setObjectName("contents")
        self.rows = QVBoxLayout(contents)
        self.rows.setContentsMargins(12, 4, 12, 4)
        self.rows.setSpacing(0)
        scroll.setWidget(contents)
        card.inside.addWidget(scroll)
        card.setMinimumHeight(120)
        column.addWidget(card, 1)

    def forget(self) -> None:
        """Another run: nothing is known about its dimensions yet."""
        self.axes = self._newest = None
        for slider in self.sliders:
            slider.setSliderDown(False)
            slider.setEnabled(False)

    def describe(self, axes: LatentAxes) -> None:
        """What the dimensions are at this step. Under a held knob only the units change, never the order."""
        self._newest = axes
        if self.axes is not None and self.is_held() and len(axes.order) == len(self.axes.order):
            self.axes = axes.reordered(self.axes.order)
        else:
            self._take(axes)

    def is_held(self) -> bool:
        return any(slider.isSliderDown() for slider in self.sliders)

    def _take(self, axes: LatentAxes) -> None:
        self.axes = axes
        while len(self.sliders) < len(axes.order):
            self._add_slider()
        while len(self.sliders) > len(axes.order):
            gone = self.sliders.pop()
            gone.hide()
            gone.deleteLater()
        for rank, slider in enumerate(self.sliders):
            slider.setEnabled(True)
            slider.describe(axes.label(rank), axes.note(rank), dead=axes.is_dead(rank), tip=axes.explanation(rank))
        wide = max([LABEL_WIDTH, *(slider.needed_label_width() for slider in self.sliders)])
        for slider in self.sliders:
            slider.set_label_width(wide)
        if axes.kl is None and axes.share is not None:
            set_heading(self.heading, "Principal directions of z")
            self.active_label.setText("ordered by their share of the image’s variance, to first order")
            set_tip(self.active_label, SHARES)
        elif axes.kl is None:
            set_heading(self.heading, "Latent dimensions, ordered by spread")
            self.active_label.setText("" if axes.has_prior else "no prior to draw from")
            set_tip(self.active_label, "")
        else:
            set_heading(self.heading, f"Latent dimensions{' by level' if axes.names else ''}, ordered by KL")
            total = f"{number(float(np.sum(axes.kl[: axes.free])), 1, 'nat')} in all"
            active = "" if axes.active is None else f"{int(np.sum(axes.active[: axes.free]))} active · "
            last = f" · the last {len(axes.class_names)}: scores of the classes" if axes.class_names else ""
            self.active_label.setText(active + total + last)
            set_tip(self.active_label, "" if axes.active is None else DEFINITION)

    def _add_slider(self) -> None:
        slider = LatentSlider(-SPAN, SPAN)
        slider.set_colors(self._colors)
        rank = len(self.sliders)
        slider.moved.connect(partial(self._slider_moved, rank))
        slider.reset_asked.connect(partial(self._slider_reset, rank))
        slider.sliderPressed.connect(self.history.end_gesture)
        slider.sliderReleased.connect(self._slider_released)
        self.sliders.append(slider)
        self.rows.addWidget(slider)

    def _slider_moved(self, rank: int, value: float) -> None:
        self.set_dimension(rank, value, self.history.gesture(str(rank), self.sliders[rank].isSliderDown()))

    def _slider_reset(self, rank: int) -> None:
        self.set_dimension(rank, 0.0)

    def _slider_released(self) -> None:
        self.history.end_gesture()
        if self._newest is not None and not self.is_held():
            self._take(self._newest)
            self.reordered.emit()

    def set_dimension(self, rank: int, sigmas: float, gesture: str = "") -> None:
        """Move one coordinate, named by its rank, to a value in sigma."""
        position, axes = self.history.current, self.axes
        if position is None or axes is None or rank >= len(axes.order):
            return  # what the sliders stand for is not known yet
        z = axes.with_sigmas(position.z, axes.order[rank], sigmas)
        self.history.move(position.moved_to(z), f"move of {axes.label(rank)}", gesture)

    def reset(self) -> None:
        """Every slider back to 0 sigma."""
        position = self.history.current
        if position is not None and self.axes is not None:
            self.history.move(position.moved_to(self.axes.middle(), CENTRE_NAME), "reset of z")

    def show_position(self, position: LatentPosition) -> None:
        if self.axes is None or len(self.axes.order) != len(position.z):
            return
        for slider, dim in zip(self.sliders, self.axes.order, strict=True):
            slider.set_exact(self.axes.sigmas(position.z, dim))

    def set_colors(self, c: Colors) -> None:
        self._colors = c
        for slider in self.sliders:
            slider.set_colors(c)
