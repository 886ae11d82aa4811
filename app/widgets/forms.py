"""From the settings of a method to a form: one row for each, with range, unit, help, a reset and a mark when it differs from the default.

`Draft` holds the values; rows only show and edit it, so undo and redo work whatever is on screen. Wrong input is refused in
the row with a sentence and never reaches the draft.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from PySide6.QtCore import QEvent, QObject, Signal
from PySide6.QtGui import QDragEnterEvent, QDropEvent, QKeyEvent, QKeySequence, QUndoCommand, QUndoStack, QWheelEvent
from PySide6.QtWidgets import QCheckBox, QComboBox, QFrame, QGridLayout, QLineEdit, QPushButton, QToolButton, QVBoxLayout, QWidget

from app.shell import formatting, theme
from app.shell.plain_text import PlainLabel, set_tip
from app.widgets.export import ask_folder
from engine.messages import FieldInfo

WORDS = ("text", "name")  # kinds of settings that are typed as they are
THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}(?:,\d{3})+(\.\d*)?")  # 10,000 or 1,234.5


class BadValue(ValueError):
    """One sentence: what is wrong and what is allowed."""


def allowed(field: FieldInfo) -> str:
    """What a setting may be, in words."""
    if field.kind == "choice":
        return "one of " + ", ".join(shown(field, choice) for choice in field.choices)
    if field.kind == "bool":
        return "on or off"
    if field.kind in WORDS:
        return "any text" if field.kind == "text" else "a folder's name"
    kind = "a whole number" if field.kind == "int" else "a number"
    unit = f" {field.unit}" if field.unit else ""
    if field.low is not None and field.high is not None:
        return f"{kind} from {field.low:,g} to {field.high:,g}{unit}".replace(",", formatting.THIN)
    if field.low is not None:
        return f"{kind} of at least {field.low:g}{unit}"
    return kind + unit


def parse(field: FieldInfo, text: str) -> Any:
    """What was typed, as a value. Spaces or commas between thousands and a decimal comma are understood.

    A single comma before three figures separates thousands in a whole number and is the decimal comma otherwise.

    Raises: BadValue.
    """
    if field.kind == "text":
        return text.strip()
    if field.kind == "name":
        if any(sign in text for sign in '/\\:*?"<>|') or text.strip().startswith("."):
            raise BadValue('A name becomes a folder, so it may not hold / \\ : * ? " < > | nor start with a dot.')
        return text.strip()
    cleaned = text.strip()
    for space in (formatting.THIN, "\u2009", "\u00a0", " ", "_"):
        cleaned = cleaned.replace(space, "")
    cleaned = cleaned.replace(formatting.MINUS, "-")
    groups = THOUSANDS.fullmatch(cleaned)
    thousands = groups is not None and (field.kind == "int" or cleaned.count(",") > 1 or bool(groups[1]))
    cleaned = cleaned.replace(",", "" if thousands else ".")
    try:
        number = float(cleaned)
    except ValueError:
        raise BadValue(f"“{text.strip()}” is no number; {field.label} is {allowed(field)}.") from None
    too_low = field.low is not None and number < field.low
    too_high = field.high is not None and number > field.high
    if number != number or too_low or too_high or number in (float("inf"), float("-inf")):
        raise BadValue(f"{text.strip()} is out of range; {field.label} is {allowed(field)}.")
    if field.kind == "int":
        if number != int(number):
            raise BadValue(f"{text.strip()} is not whole; {field.label} is {allowed(field)}.")
        return int(number)
    return number


def shown(field: FieldInfo, value: Any) -> str:
    """A value as its field writes it; a choice in words, "non saturating" for non_saturating."""
    if field.kind == "choice":
        return str(value).replace("_", " ")
    if isinstance(value, float):
        return f"{value:g}" if abs(value - float(f"{value:g}")) <= 1e-12 * abs(value) else repr(value)
    return str(value)


class Draft(QObject):
    """Values by (scope, name): the scope is "run" or a method's name. Only what differs from the default is kept."""

    changed = Signal(str, str)
    called_back = Signal(str)  # a change in this scope was undone or done again

    def __init__(self, undo: QUndoStack, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.undo = undo
        self.values: dict[tuple[str, str], Any] = {}

    def get(self, scope: str, field: FieldInfo) -> Any:
        return self.values.get((scope, field.name), field.default)

    def set(self, scope: str, field: FieldInfo, value: Any) -> None:
        """Change a value; can be undone."""
        before = self.get(scope, field)
        if value != before or type(value) is not type(before):
            self.undo.push(_Change(self, scope, field, before, value))

    def put(self, scope: str, field: FieldInfo, value: Any) -> None:
        """Change a value without a trace in the undo stack."""
        if value == field.default:
            self.values.pop((scope, field.name), None)
        else:
            self.values[(scope, field.name)] = value
        self.changed.emit(scope, field.name)

    def differing(self, scope: str) -> dict[str, Any]:
        """The settings of a scope that differ from their defaults."""
        return {name: value for (where, name), value in self.values.items() if where == scope}


class _Change(QUndoCommand):
    """One setting changed. Every change is undone by itself."""

    def __init__(self, draft: Draft, scope: str, field: FieldInfo, before: Any, after: Any) -> None:
        super().__init__(f"{field.label} {shown(field, after)}")
        self.draft, self.scope, self.field, self.before, self.after = draft, scope, field, before, after
        self._done = False  # the first redo is the change itself

    def redo(self) -> None:
        self.draft.put(self.scope, self.field, self.after)
        if self._done:
            self.draft.called_back.emit(self.scope)
        self._done = True

    def undo(self) -> None:
        self.draft.put(self.scope, self.field, self.before)
        self.draft.called_back.emit(self.scope)


class Choice(QComboBox):
    """A box that the mouse wheel scrolls past instead of changing."""

    def wheelEvent(self, event: QWheelEvent) -> None:
        event.ignore()


class TypedLine(QLineEdit):
    """A field whose Ctrl+Z takes back what is being typed, and once that is taken over, leaves undo to the window."""

    def __init__(self, row: Row) -> None:
        super().__init__()
        self.row = row

    def event(self, event: QEvent) -> bool:
        if event.type() == QEvent.Type.ShortcutOverride and isinstance(event, QKeyEvent):
            undo = event.matches(QKeySequence.StandardKey.Undo) or event.matches(QKeySequence.StandardKey.Redo)
            if undo and self.text() == shown(self.row.field, self.row.value):
                event.ignore()
                return False
        return super().event(event)


class FolderLine(TypedLine):
    """A field that names a folder: one may be dropped on it. `dropped(path)`."""

    dropped = Signal(str)

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if local_path(event) is not None:
            event.acceptProposedAction()
        else:
            super().dragEnterEvent(event)

    def dropEvent(self, event: QDropEvent) -> None:
        path = local_path(event)
        if path is None:
            super().dropEvent(event)
        else:
            event.acceptProposedAction()
            self.dropped.emit(path)


def local_path(event: QDropEvent) -> str | None:
    """Of the first file or folder that is dragged; None where there is none."""
    return next((url.toLocalFile() for url in event.mimeData().urls() if url.isLocalFile()), None)


class Row(QObject):
    """Label, editor, unit, reset, and below them the help or what is wrong.

    `folder_named(kind, path)`: a folder was named that somebody should look into; the answer comes by `note_folder`.
    """

    validity_changed = Signal()
    folder_named = Signal(str, str)

    def __init__(self, scope: str, field: FieldInfo, draft: Draft, parent: QObject) -> None:
        super().__init__(parent)
        self.scope, self.field, self.draft = scope, field, draft
        self.error = ""
        self.mark = theme.role(PlainLabel(), "mark")
        self.mark.setFixedWidth(6)
        self.label = PlainLabel(field.label)
        set_tip(self.label, field.help)
        self.editor = self._make_editor()
        self.editor.setAccessibleName(f"{field.label}, {allowed(field)}" if field.kind not in WORDS else field.label)
        self.editor.setAccessibleDescription(field.help)
        set_tip(self.editor, f"{field.help}\n{allowed(field).capitalize()}." if field.kind not in WORDS else field.help)
        self.label.setBuddy(self.editor)
        self.unit: QWidget = theme.role(PlainLabel(field.unit), "small")
        self._faults: dict[str, str] = {}  # what is wrong with folders that were looked into
        if field.folder:
            self.unit = self._make_browse()
        self.reset = QToolButton()
        self.reset.setText("↺")
        self.reset.setAccessibleName(f"Reset {field.label}")
        set_tip(self.reset, f"Back to {shown(field, field.default) or 'empty'}")
        self.reset.clicked.connect(self._reset)
        policy = self.reset.sizePolicy()
        policy.setRetainSizeWhenHidden(True)
        self.reset.setSizePolicy(policy)
        self.hint = theme.role(PlainLabel(field.help), "small")
        self.hint.setWordWrap(True)
        draft.changed.connect(self._draft_changed)
        self.refresh()

    @property
    def widgets(self) -> tuple[QWidget, ...]:
        return (self.mark, self.label, self.editor, self.unit, self.reset, self.hint)

    @property
    def value(self) -> Any:
        """As the draft has it."""
        return self.draft.get(self.scope, self.field)

    def _make_editor(self) -> QWidget:
        if self.field.kind == "choice":
            box = Choice()
            box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
            box.setMinimumContentsLength(4)  # a long choice must not push the card over the edge
            for choice in self.field.choices:
                box.addItem(shown(self.field, choice), choice)
            box.activated.connect(lambda i: self.draft.set(self.scope, self.field, box.itemData(i)))
            return box
        if self.field.kind == "bool":
            check = QCheckBox()
            check.clicked.connect(lambda on: self.draft.set(self.scope, self.field, bool(on)))
            return check
        line = FolderLine(self) if self.field.folder else TypedLine(self)
        if isinstance(line, FolderLine):
            line.dropped.connect(self.take_folder)
        line.setMaxLength(1000 if self.field.kind == "text" else 120)
        line.textEdited.connect(self._typed)
        line.editingFinished.connect(self._finished)
        if self.field.kind in WORDS:
            line.setPlaceholderText("none" if self.field.kind == "text" else "by itself")
        return line

    def _make_browse(self) -> QPushButton:
        browse = QPushButton("Browse…")
        browse.setAccessibleName(f"Browse for {self.field.label}")
        set_tip(browse, "Choose the folder; it can be dropped on the field, too.")
        browse.clicked.connect(lambda _checked=False: ask_folder(self.editor, f"Choose: {self.field.label}", self.take_folder))
        return browse

    def take_folder(self, path: str) -> None:
        """The folder that was chosen or dropped."""
        self.draft.set(self.scope, self.field, path)
        self.refresh()
        self.look_into_folder()

    def look_into_folder(self) -> None:
        """Have the folder looked into that the draft names, if it names one."""
        if self.field.folder and self.value:
            self.folder_named.emit(self.field.folder, self.value)

    def note_folder(self, path: str, fault: str) -> None:
        """What was found in a folder: one sentence; empty: it can be used."""
        self._faults[path] = fault
        if self.field.folder and path == self.value:
            self._say(fault)

    def _typed(self, text: str) -> None:
        try:
            parse(self.field, text)
        except BadValue as wrong:
            self._say(str(wrong))
        else:
            self._say("")

    def _finished(self) -> None:
        assert isinstance(self.editor, QLineEdit)
        try:
            value = parse(self.field, self.editor.text())
        except BadValue as wrong:
            self._say(str(wrong))
        else:
            self._say(self._faults.get(value, "") if self.field.folder else "")
            self.draft.set(self.scope, self.field, value)
            self.refresh()
            self.look_into_folder()

    def _say(self, error: str) -> None:
        if error == self.error:
            return
        self.error = error
        self.hint.setText(error or self.field.help)
        theme.role(self.hint, "error" if error else "small")
        theme.restyle(self.hint)
        self.editor.setProperty("invalid", bool(error))
        theme.restyle(self.editor)
        self.validity_changed.emit()

    def _reset(self) -> None:
        self._say("")
        self.draft.set(self.scope, self.field, self.field.default)
        self.refresh()

    def _draft_changed(self, scope: str, name: str) -> None:
        if (scope, name) == (self.scope, self.field.name):
            self._say("")
            self.refresh()
            if self.field.folder:
                self._say(self._faults.get(self.value, ""))

    def refresh(self) -> None:
        """Show the draft's value, and whether it differs from the default."""
        value = self.draft.get(self.scope, self.field)
        if isinstance(self.editor, QComboBox):
            self.editor.setCurrentIndex(self.editor.findData(value))
        elif isinstance(self.editor, QCheckBox):
            self.editor.setChecked(bool(value))
        elif isinstance(self.editor, QLineEdit) and (not self.error or self.field.folder):
            text = shown(self.field, value)
            if self.editor.text() != text:
                self.editor.setText(text)
        changed = value != self.field.default
        self.mark.setText("•" if changed else "")
        set_tip(self.mark, "Changed from the default" if changed else "")
        self.label.setAccessibleName(f"{self.field.label}, changed from the default" if changed else self.field.label)
        self.reset.setEnabled(changed or bool(self.error))
        self.reset.setVisible(changed)

    def set_visible(self, visible: bool) -> None:
        for widget in self.widgets:
            widget.setVisible(visible and (widget is not self.reset or bool(self.mark.text())))


class Group(QFrame):
    """The rows of one heading, on a card."""

    validity_changed = Signal()
    folder_named = Signal(str, str)

    def __init__(self, title: str, scope: str, fields: Iterable[FieldInfo], draft: Draft) -> None:
        super().__init__()
        theme.role(self, "card")
        self.rows: dict[str, Row] = {}
        column = QVBoxLayout(self)
        column.setContentsMargins(8, 12, 6, 10)
        column.setSpacing(10)
        self.title = theme.role(PlainLabel(title.upper()), "heading")
        self.title.setContentsMargins(10, 0, 0, 0)
        column.addWidget(self.title)
        self.grid = QGridLayout()
        self.grid.setHorizontalSpacing(4)
        self.grid.setVerticalSpacing(2)
        self.grid.setColumnMinimumWidth(1, 104)
        self.grid.setColumnMinimumWidth(3, 64)
        self.grid.setColumnStretch(2, 1)
        column.addLayout(self.grid)
        for field in fields:
            self.add(Row(scope, field, draft, self))

    def add(self, row: Row) -> None:
        at = 3 * len(self.rows)
        self.grid.addWidget(row.mark, at, 0)
        self.grid.addWidget(row.label, at, 1)
        wide = not row.field.unit and not row.field.folder and row.field.kind != "bool"  # no unit stands behind it
        self.grid.addWidget(row.unit, at, 3)
        self.grid.addWidget(row.editor, at, 2, 1, 2 if wide else 1)
        self.grid.addWidget(row.reset, at, 4)
        self.grid.addWidget(row.hint, at + 1, 2, 1, 3)
        self.grid.setRowMinimumHeight(at + 2, 8)
        self.rows[row.field.name] = row
        row.validity_changed.connect(self.validity_changed)
        row.folder_named.connect(self.folder_named)

    @property
    def errors(self) -> list[str]:
        return [row.error for row in self.rows.values() if row.error and not row.editor.isHidden()]


def groups_of(method: str, fields: Iterable[FieldInfo], draft: Draft) -> list[Group]:
    """A card for each heading, in the order the method names them."""
    by_title: dict[str, list[FieldInfo]] = {}
    for field in fields:
        by_title.setdefault(field.group, []).append(field)
    return [Group(title, method, members, draft) for title, members in by_title.items()]
