"""A card of settings, row by row: boxes of choices, whole numbers, sliders that a double click sets back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from PySide6.QtGui import QIntValidator
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QLineEdit, QWidget

from app.shell.theme import Colors
from app.widgets.latent_slider import LatentSlider
from app.widgets.parts import Card


class SettingsCard(Card):
    """Subclasses build their rows with these, and say in `_moved` what a change by the user means."""

    def __init__(self) -> None:
        super().__init__(12, 6)
        self.sliders: list[LatentSlider] = []

    def _moved(self, *_: object) -> None:
        """The user has changed a control."""
        raise NotImplementedError

    def _begin_gesture(self) -> None:
        """A slider is taken, let go or set back."""

    def row(self, *parts: QWidget | None, wide: QWidget | None = None) -> QWidget:
        """Parts beside each other, None where the room between them goes; `wide`: the part that takes it."""
        holder = QWidget()
        across = QHBoxLayout(holder)
        across.setContentsMargins(0, 0, 0, 0)
        across.setSpacing(6)
        for part in parts:
            if part is None:
                across.addStretch(1)
            else:
                across.addWidget(part, int(part is wide))
        self.inside.addWidget(holder)
        return holder

    def box(self, name: str, entries: Mapping[Any, str], chosen: object = None) -> QComboBox:
        """A box of choices by what they stand for; the first one is chosen where `chosen` is none of them."""
        made = QComboBox()
        made.setAccessibleName(name)
        for value, title in entries.items():
            made.addItem(title, value)
        made.setCurrentIndex(max(0, made.findData(chosen)))
        made.activated.connect(self._moved)
        return made

    def whole_number(self, name: str, most: int, width: int, *, live: bool = True) -> QLineEdit:
        """`live`: every digit counts at once, else when it is entered."""
        made = QLineEdit()
        made.setValidator(QIntValidator(0, most, self))
        made.setFixedWidth(width)
        made.setAccessibleName(name)
        (made.textChanged if live else made.editingFinished).connect(self._moved)
        return made

    def slider(self, name: str, low: float, high: float, start: float, tip: str, digits: int = 2) -> LatentSlider:
        """A row of its own; a double click sets it back to `start`."""
        made = LatentSlider(low, high, value_width=44)
        made.with_sign, made.unit, made.digits = False, "", digits
        made.describe(name, "", tip=tip)
        made.set_exact(start)
        made.moved.connect(self._moved)
        for taken_or_left in (made.sliderPressed, made.sliderReleased):
            taken_or_left.connect(self._begin_gesture)
        made.reset_asked.connect(partial(self._reset, made, start))
        self.sliders.append(made)
        self.inside.addWidget(made)
        return made

    def _reset(self, slider: LatentSlider, value: float) -> None:
        self._begin_gesture()
        slider.set_exact(value)
        self._moved()

    def next_of(self, seed: QLineEdit) -> Callable[[], None]:
        """What a button “Next” beside a seed does."""

        def take() -> None:
            self._begin_gesture()
            seed.setText(str(int(seed.text() or 0) + 1))

        return take

    def set_colors(self, c: Colors) -> None:
        for slider in self.sliders:
            slider.set_colors(c)
