"""The settings that a method's sampler declares, each as the control it asks for: steps, guidance, truncation.

Sliders for numbers with a range, by factors where the setting says so; boxes for choices, switches, and lines for all else.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from functools import partial
from typing import Any

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QCheckBox, QComboBox, QHBoxLayout, QLineEdit, QVBoxLayout, QWidget

from app.shell.plain_text import set_tip
from app.shell.theme import Colors
from app.widgets.forms import BadValue, parse, shown
from app.widgets.latent_slider import STEPS, LatentSlider
from app.widgets.parts import muted
from engine.messages import FieldInfo

POSITIONS = 200  # of a slider, about
Value = int | float | bool | str


def positions(field: FieldInfo) -> tuple[float, ...]:
    """The values a slider can take, ascending: evenly spaced or by equal factors, whole where the setting is; its default is one."""
    assert field.low is not None and field.high is not None
    low, high = field.low, field.high
    if field.kind == "int" and not field.log and high - low <= POSITIONS:
        return tuple(float(value) for value in range(round(low), round(high) + 1))
    if field.log and low > 0:
        values = [low * (high / low) ** (i / POSITIONS) for i in range(POSITIONS + 1)]
        values = [float(f"{value:.3g}") for value in values[1:-1]]
    else:
        values = [low + (high - low) * i / POSITIONS for i in range(1, POSITIONS)]
        values = [float(f"{value:.6g}") for value in values]
    if field.kind == "int":
        values = [float(round(value)) for value in values]
    return tuple(sorted({low, *values, high, float(field.default)}))


class FieldSlider(LatentSlider):
    """A slider along the values of one numeric setting."""

    def __init__(self, field: FieldInfo) -> None:
        self.values = positions(field)
        super().__init__(0.0, (len(self.values) - 1) / STEPS, value_width=52)
        self.setRange(0, len(self.values) - 1)
        self.setSingleStep(1)
        self.setPageStep(max(1, len(self.values) // 20))
        self.with_sign, self.unit = False, ""
        gap = min(b - a for a, b in zip(self.values, self.values[1:], strict=False)) if len(self.values) > 1 else 1.0
        self.digits = 0 if field.kind == "int" else 1 if gap >= 0.1 and all(round(v, 1) == v for v in self.values) else 2
        if field.kind == "float" and gap < 0.005:
            self.digits = 3

    def _clipped(self, value: float) -> int:
        """The position nearest to a value."""
        right = min(bisect_left(self.values, value), len(self.values) - 1)
        left = max(right - 1, 0)
        return left if value - self.values[left] < self.values[right] - value else right

    def _value_changed(self, position: int) -> None:
        if self._ours:
            return
        self.exact = self.values[position]
        self.update()
        self.moved.emit(self.exact)


class SamplerControls(QWidget):
    """`moved` comes for changes by the user; `gesture_changed` when a drag begins or ends, or a value is set back."""

    moved = Signal()
    gesture_changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.fields: tuple[FieldInfo, ...] = ()
        self.sliders: dict[str, FieldSlider] = {}
        self._read: dict[str, Callable[[], Value]] = {}
        self._show: dict[str, Callable[[Any], None]] = {}
        self.controls: dict[str, QWidget] = {}
        self._colors: Colors | None = None
        self._rows: list[QWidget] = []
        self.inside = QVBoxLayout(self)
        self.inside.setContentsMargins(0, 0, 0, 0)
        self.inside.setSpacing(6)

    @property
    def dragging(self) -> bool:
        return any(slider.isSliderDown() for slider in self.sliders.values())

    def set_colors(self, c: Colors) -> None:
        self._colors = c
        for slider in self.sliders.values():
            slider.set_colors(c)

    def set_fields(self, fields: tuple[FieldInfo, ...]) -> None:
        """Offer these settings; nothing happens where they are offered already."""
        if fields == self.fields:
            return
        for row in self._rows:
            self.inside.removeWidget(row)
            row.hide()
            row.deleteLater()
        self.fields = fields
        for kept in (self.sliders, self._read, self._show, self.controls):
            kept.clear()
        self._rows = [self._add(field) for field in fields]
        self.setVisible(bool(fields))
        if self._colors is not None:
            self.set_colors(self._colors)

    def _add(self, field: FieldInfo) -> QWidget:
        tip = f"{field.help}{f' In {field.unit}.' if field.unit else ''}"
        if field.kind in ("int", "float") and field.low is not None and field.high is not None:
            made: QWidget = self._slider(field, f"{tip} The noise stays. Double click: {shown(field, field.default)}.")
            self.inside.addWidget(made)
            return made
        made = self._box(field) if field.kind == "choice" else self._switch(field) if field.kind == "bool" else self._line(field)
        made.setAccessibleName(field.label)
        set_tip(made, tip)
        self.controls[field.name] = made
        row = QWidget()
        across = QHBoxLayout(row)
        across.setContentsMargins(0, 0, 0, 0)
        across.setSpacing(6)
        if field.kind != "bool":
            across.addWidget(muted(field.label, wrap=False))
        across.addWidget(made)
        across.addStretch(1)
        self.inside.addWidget(row)
        return row

    def _slider(self, field: FieldInfo, tip: str) -> FieldSlider:
        slider = FieldSlider(field)
        slider.describe(field.label, "", tip=tip)
        slider.set_exact(float(field.default))
        slider.moved.connect(self._moved)
        for taken_or_left in (slider.sliderPressed, slider.sliderReleased):
            taken_or_left.connect(self.gesture_changed)
        slider.reset_asked.connect(partial(self._reset, slider, float(field.default)))
        self.sliders[field.name] = slider
        self.controls[field.name] = slider

        def show(value: float) -> None:
            if not slider.isSliderDown():
                slider.set_exact(float(value))

        self._show[field.name] = show
        self._read[field.name] = lambda: round(slider.exact) if field.kind == "int" else slider.exact
        return slider

    def _box(self, field: FieldInfo) -> QComboBox:
        box = QComboBox()
        for choice in field.choices:
            box.addItem(choice, choice)
        box.activated.connect(self._moved)
        self._show[field.name] = lambda value: box.setCurrentIndex(max(0, box.findData(value)))
        self._read[field.name] = box.currentData
        return box

    def _switch(self, field: FieldInfo) -> QCheckBox:
        switch = QCheckBox(field.label)
        switch.clicked.connect(self._moved)
        self._show[field.name] = switch.setChecked
        self._read[field.name] = switch.isChecked
        return switch

    def _line(self, field: FieldInfo) -> QLineEdit:
        line = QLineEdit()
        value = [field.default]

        def show(given: Value) -> None:
            value[0] = given
            line.setText(shown(field, given))

        def typed() -> None:
            try:
                found = parse(field, line.text())
            except BadValue:
                found = value[0]  # what cannot be is not taken
            changes = found != value[0]
            show(found)
            if changes:
                self._moved()

        line.editingFinished.connect(typed)
        self._show[field.name] = show
        self._read[field.name] = lambda: value[0]
        return line

    def _moved(self, *_: object) -> None:
        self.moved.emit()

    def _reset(self, slider: FieldSlider, value: float) -> None:
        self.gesture_changed.emit()
        slider.set_exact(value)
        self.moved.emit()

    def values(self) -> tuple[tuple[str, Value], ...]:
        """What the controls say where it is not the default."""
        said = ((field, self._read[field.name]()) for field in self.fields)
        return tuple((field.name, value) for field, value in said if value != field.default)

    def show_values(self, values: tuple[tuple[str, Value], ...]) -> None:
        """Show settings without telling anyone; those that are not named are at their default."""
        named = dict(values)
        for field in self.fields:
            self._show[field.name](named.get(field.name, field.default))
