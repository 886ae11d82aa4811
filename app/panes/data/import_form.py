"""The decisions of an import as a form, and as the recipe and the command that repeat them."""

from __future__ import annotations

import json
from typing import Any

from PySide6.QtCore import Signal
from PySide6.QtGui import QFont
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QPlainTextEdit, QVBoxLayout, QWidget

from app.panes.data.decisions import FOUND, NAMED, fields_for, found_of, words_of_choice
from app.shell import theme
from app.widgets.forms import Draft, Group, Row
from app.widgets.parts import Card, button, heading
from app.widgets.scrolled_column import ScrolledColumn
from engine.messages import DataReport, FieldInfo, ImportFacts

WIDTH = 344
LABELS = 92  # px


class ImportForm(ScrolledColumn):
    """The left side of the page. `copy_asked("recipe" | "command")`."""

    copy_asked = Signal(str)

    def __init__(self, draft: Draft) -> None:
        super().__init__()
        self.draft = draft
        self.scope = ""
        self.group: Group | None = None
        self._fields: tuple[FieldInfo, ...] = ()
        self._found: dict[str, str] = {}  # what each decision came to when it was last left open
        self.setAccessibleName("Decisions of the import")
        self.setFixedWidth(WIDTH)
        self.column = QVBoxLayout(self.contents)
        self.column.setContentsMargins(0, 0, 4, 0)
        self.column.setSpacing(8)
        self.column.addWidget(heading("As a recipe"))
        card = Card(12, 8)
        self.recipe = QPlainTextEdit()
        self.recipe.setReadOnly(True)
        self.recipe.setAccessibleName("The decisions as JSON")
        made = QFont(list(theme.MONOSPACE))
        made.setPixelSize(12)
        self.recipe.setFont(made)
        self.recipe.setFixedHeight(84)
        self.recipe.setTabChangesFocus(True)
        card.inside.addWidget(self.recipe)
        row = QHBoxLayout()
        row.setSpacing(8)
        self.copy_recipe = button("Copy recipe", lambda: self.copy_asked.emit("recipe"), "Copy the JSON that `--recipe FILE` takes.")
        self.copy_command = button(
            "Copy as command", lambda: self.copy_asked.emit("command"), "Copy a command that trains on the data read so."
        )
        row.addWidget(self.copy_recipe)
        row.addWidget(self.copy_command)
        row.addStretch(1)
        card.inside.addLayout(row)
        self.column.addWidget(card)
        self.column.addStretch(1)

    def show_set(self, scope: str, report: DataReport | None) -> None:
        """The rows that make sense for a set; they are left as they are where nothing about them has changed."""
        facts = None if report is None else report.understood
        fields = fields_for(facts)
        if scope != self.scope:
            self._found = {}
        if (scope, fields) != (self.scope, self._fields):
            self.scope, self._fields = scope, fields
            self._rebuild(facts)
        if report is not None and facts is not None:
            self._found |= found_of(report, facts)
        for name, row in self._rows().items():
            if isinstance(row.editor, QComboBox):
                row.editor.setItemText(row.editor.findData(FOUND), words_of_choice(name, FOUND, facts, self._found.get(name, "")))
        self.show_values()

    def _rebuild(self, facts: ImportFacts | None) -> None:
        focused = next((name for name, row in self._rows().items() if row.editor.hasFocus()), "")
        if self.group is not None:
            self.column.removeWidget(self.group)
            self.group.hide()
            self.group.deleteLater()
        self.group = Group("Decisions", self.scope, self._fields, self.draft)
        self.group.grid.setColumnMinimumWidth(1, LABELS)
        for name, row in self.group.rows.items():
            row.hint.hide()  # it is in the tooltip, and the rows would fill two screens
            self.group.grid.setRowMinimumHeight(3 * list(self.group.rows).index(name) + 2, 2)
            if name == "numbers":
                policy = row.reset.sizePolicy()
                policy.setRetainSizeWhenHidden(False)  # no gap where it is not asked for
                row.reset.setSizePolicy(policy)
            if isinstance(row.editor, QComboBox):
                for place in range(row.editor.count()):
                    row.editor.setItemText(place, words_of_choice(name, str(row.editor.itemData(place)), facts))
        self.column.insertWidget(0, self.group)
        if focused in self.group.rows:
            self.group.rows[focused].editor.setFocus()

    def _rows(self) -> dict[str, Row]:
        return self.group.rows if self.group is not None else {}

    def editor(self, name: str) -> QWidget:
        """Where a decision is made."""
        return self._rows()[name].editor

    def show_values(self) -> None:
        """The two numbers of a scale are asked for only where it is given in numbers."""
        rows = self._rows()
        if "numbers" in rows:
            rows["numbers"].set_visible(self.draft.values.get((self.scope, "scale")) == "numbers")
            rows["numbers"].hint.hide()

    def show_recipe(self, recipe: dict[str, Any]) -> None:
        text = json.dumps(recipe, indent=1, ensure_ascii=False) if recipe else "{}"
        if self.recipe.toPlainText() != text:
            self.recipe.setPlainText(text)

    def point_at(self, sentence: str) -> None:
        """Mark the decisions that a sentence of the engine asks for."""
        asked = set(NAMED.findall(sentence))
        for name, row in self._rows().items():
            theme.role(row.label, "warning" if name in asked else "")
            theme.restyle(row.label)
            row.label.setAccessibleDescription("This is asked about." if name in asked else "")
            if name in asked:
                self.ensureWidgetVisible(row.editor)
