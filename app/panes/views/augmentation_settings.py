"""How views are made, in place: a switch and a strength for every setting of a method's augmentation. The run keeps its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QCheckBox, QComboBox, QFrame, QGridLayout, QHBoxLayout, QScrollArea, QSlider, QVBoxLayout, QWidget

from app.shell.plain_text import PlainLabel, set_tip
from app.shell.theme import Colors, restyle, role
from app.widgets.forms import shown
from app.widgets.parts import Card, TextLines, button
from engine.messages import FieldInfo

STEPS = 200  # positions of a slider, where the range is no smaller whole number
OFF_AT_ONE = ("crop_least",)  # the whole picture is kept
TRIED = 0.5  # share of the range that a switch turns on, where neither the run nor the person said a strength


def neutral(field: FieldInfo) -> float | None:
    """The strength that does nothing; None where there is none."""
    if field.name in OFF_AT_ONE:
        return field.high
    return 0.0 if field.kind == "float" and field.low == 0 else None


class StrengthRow:
    """Switch, slider and figure of one number."""

    def __init__(self, field: FieldInfo, moved: Callable[[], None]) -> None:
        assert field.low is not None and field.high is not None
        self.field, self.moved = field, moved
        self.off = neutral(field)
        self.trained = self.last = float(field.default)  # type: ignore[arg-type]
        self.value = self.trained
        self._ours = False
        self.switch: QCheckBox | None = QCheckBox(field.label) if self.off is not None else None
        self.name: QWidget = self.switch or PlainLabel(field.label)
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setRange(0, int(field.high - field.low) if field.kind == "int" else STEPS)
        self.slider.setAccessibleName(f"{field.label}, strength")
        self.figure = PlainLabel()
        self.figure.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        for widget in (self.name, self.slider, self.figure):
            set_tip(widget, f"{field.help}{f' In {field.unit}.' if field.unit else ''}")
        if self.switch is not None:
            self.switch.setAccessibleName(f"{field.label}, on or off")
            self.switch.toggled.connect(self._switched)
        self.slider.valueChanged.connect(self._slid)

    def set_value(self, value: float) -> None:
        """Show a value without telling anyone."""
        assert self.field.low is not None and self.field.high is not None
        self.value = float(value)
        self._ours = True
        share = (self.value - self.field.low) / (self.field.high - self.field.low)
        self.slider.setValue(round(share * self.slider.maximum()))
        if self.switch is not None:
            self.switch.setChecked(self.value != self.off)
        self.slider.setEnabled(self.switch is None or self.switch.isChecked())
        self.figure.setText(shown(self.field, int(self.value) if self.field.kind == "int" else round(self.value, 3)))
        role(self.figure, "mark" if self.value != self.trained else "muted")
        restyle(self.figure)
        self._ours = False

    def set_trained(self, value: float) -> None:
        self.trained = float(value)
        assert self.field.low is not None and self.field.high is not None
        tried = self.field.low + TRIED * (self.field.high - self.field.low)
        self.last = self.trained if self.trained != self.off else tried

    def _slid(self, position: int) -> None:
        if self._ours:
            return
        assert self.field.low is not None and self.field.high is not None
        at_run = abs(self.trained - self.field.low - position / self.slider.maximum() * (self.field.high - self.field.low))
        value = self.field.low + position / self.slider.maximum() * (self.field.high - self.field.low)
        if at_run < 0.5 / self.slider.maximum() * (self.field.high - self.field.low):
            value = self.trained  # the nearest position stands for it
        if self.off is None or value != self.off:
            self.last = value
        self.set_value(value)
        self.moved()

    def _switched(self, on: bool) -> None:
        if self._ours:
            return
        self.set_value(self.last if on else self.off or 0.0)
        self.moved()


class ViewSettings(QWidget):
    """`changed(settings)` comes for changes by the user only: those that differ from the run's."""

    changed = Signal(object)
    copy_asked = Signal()
    new_run_asked = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.fields: tuple[FieldInfo, ...] = ()
        self.trained: dict[str, Any] = {}
        self.rows: dict[str, StrengthRow] = {}
        self.others: dict[str, QCheckBox | QComboBox] = {}
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(8)
        card = Card(12, 8)
        self.area = QScrollArea()
        self.area.setWidgetResizable(True)
        self.area.setFrameShape(QFrame.Shape.NoFrame)
        self.area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.area.setAccessibleName("Strength of each transform")
        card.inside.addWidget(self.area)
        column.addWidget(card, 1)
        self.note = TextLines(3, "Whether this is how the run is trained", small=True)
        column.addWidget(self.note)
        row = QHBoxLayout()
        row.setSpacing(8)
        self.reset_button = button("As trained", self.reset, "Put every setting back to what the run is trained with.")
        self.copy_button = button("Copy settings", self.copy_asked.emit, "Copy the changed settings as --set arguments of “train”.")
        for made in (self.reset_button, self.copy_button):
            row.addWidget(made)
        row.addStretch(1)
        column.addLayout(row)
        self.new_button = button("New run…", self.new_run_asked.emit, "Open the form of a new run.")
        self.new_button.setProperty("kind", "link")
        column.addWidget(self.new_button, 0, Qt.AlignmentFlag.AlignLeft)
        self._show_note()

    def set_colors(self, c: Colors) -> None:
        self.note.set_colors(c)

    def set_fields(self, fields: tuple[FieldInfo, ...], trained: Mapping[str, Any]) -> None:
        """The settings that there are, and those of the run."""
        values = {field.name: trained.get(field.name, field.default) for field in fields}
        if fields == self.fields and values == self.trained:
            return
        self.fields, self.trained = fields, values
        self.rows, self.others = {}, {}
        body = QWidget()
        body.setObjectName("contents")
        grid = QGridLayout(body)
        grid.setContentsMargins(0, 0, 4, 0)
        grid.setHorizontalSpacing(8)
        grid.setVerticalSpacing(4)
        for place, field in enumerate(fields):
            if field.kind in ("float", "int") and field.low is not None and field.high is not None:
                row = self.rows[field.name] = StrengthRow(field, self._moved)
                row.set_trained(values[field.name])
                grid.addWidget(row.name, place, 0)
                grid.addWidget(row.slider, place, 1)
                grid.addWidget(row.figure, place, 2)
            else:
                self._add_other(field, grid, place)
        grid.setColumnMinimumWidth(2, 36)
        grid.setColumnStretch(1, 1)
        grid.setRowStretch(len(fields), 1)
        self.area.setWidget(body)
        self.show_settings({})

    def _add_other(self, field: FieldInfo, grid: QGridLayout, place: int) -> None:
        if field.kind == "bool":
            box = QCheckBox(field.label)
            box.toggled.connect(partial(self._other_moved, field.name))
            grid.addWidget(box, place, 0, 1, 3)
            self.others[field.name] = box
        elif field.kind == "choice":
            choice = QComboBox()
            for one in field.choices:
                choice.addItem(shown(field, one), one)
            choice.activated.connect(partial(self._other_moved, field.name))
            grid.addWidget(PlainLabel(field.label), place, 0)
            grid.addWidget(choice, place, 1, 1, 2)
            self.others[field.name] = choice
        else:
            return
        self.others[field.name].setAccessibleName(field.label)
        set_tip(self.others[field.name], field.help)

    def _other_moved(self, _name: str, _value: object) -> None:
        self._moved()

    def settings(self) -> dict[str, Any]:
        """Those that differ from the run's."""
        found: dict[str, Any] = {}
        for name, row in self.rows.items():
            found[name] = int(row.value) if row.field.kind == "int" else round(row.value, 4) if row.value != row.trained else row.value
        for name, box in self.others.items():
            found[name] = box.isChecked() if isinstance(box, QCheckBox) else box.currentData()
        return {name: value for name, value in found.items() if value != self.trained[name]}

    def show_settings(self, settings: Mapping[str, Any]) -> None:
        """Show these, and the run's for all others, without telling anyone."""
        for name, row in self.rows.items():
            row.set_value(float(settings.get(name, self.trained[name])))
        for name, box in self.others.items():
            value = settings.get(name, self.trained[name])
            box.blockSignals(True)
            if isinstance(box, QCheckBox):
                box.setChecked(bool(value))
            else:
                box.setCurrentIndex(box.findData(value))
            box.blockSignals(False)
        self._show_note()

    def reset(self) -> None:
        self.show_settings({})
        self.changed.emit({})

    def _moved(self) -> None:
        self._show_note()
        self.changed.emit(self.settings())

    def _show_note(self) -> None:
        differs = bool(self.settings())
        told = "These settings differ from the run’s; start a new run with them. The run keeps its own."
        alike = "As the run is trained. Change a strength to see the same draws under it; the run keeps its own."
        self.note.set_text(told if differs else alike if self.fields else "This method changes its images in no way that has a strength.")
        for made in (self.reset_button, self.copy_button, self.new_button):
            made.setEnabled(differs)

    def as_arguments(self) -> str:
        """The changed settings as the verb “train” takes them."""
        return " ".join(f"--set {name}={value}" for name, value in self.settings().items())
