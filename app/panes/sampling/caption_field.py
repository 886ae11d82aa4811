"""What is typed for a model of captions: words are suggested while one types, and a word that it does not know is said at once."""

from __future__ import annotations

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QStringListModel, Qt, Signal
from PySide6.QtWidgets import QCompleter, QLineEdit, QVBoxLayout, QWidget

from app.shell import theme
from app.shell.plain_text import set_tip
from app.widgets.parts import muted
from engine.common.conditions import caption_fault


class WordCompleter(QCompleter):
    """Suggests the word that is being typed, not the whole line."""

    def __init__(self, line: QLineEdit) -> None:
        super().__init__(line)
        self.line = line
        self.setModel(QStringListModel(self))
        self.setCaseSensitivity(Qt.CaseSensitivity.CaseInsensitive)

    def set_words(self, words: tuple[str, ...]) -> None:
        model = self.model()
        assert isinstance(model, QStringListModel)
        model.setStringList(list(words))

    def splitPath(self, path: str) -> list[str]:
        return [path.rpartition(" ")[2]]

    def pathFromIndex(self, index: QModelIndex | QPersistentModelIndex) -> str:
        before, space, _ = self.line.text().rpartition(" ")
        return f"{before}{space}{index.data()}"


class CaptionField(QWidget):
    """`changed` comes when another caption that the model understands was entered by the user."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.words: tuple[str, ...] = ()
        self.caption = ""  # the last one that can be drawn
        self.line = QLineEdit()
        self.line.setPlaceholderText("empty: anything")
        self.line.setAccessibleName("Caption")
        self.line.setMaxLength(400)
        set_tip(self.line, "What every sample shows, in words that the run was trained on. Press Enter to draw it; empty: anything.")
        self.completer = WordCompleter(self.line)
        self.line.setCompleter(self.completer)
        self.line.textEdited.connect(self._edited)
        self.line.editingFinished.connect(self._finished)
        self.fault = muted()
        theme.role(self.fault, "error")
        self.fault.hide()
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addWidget(self.line)
        column.addWidget(self.fault)

    def show_caption(self, caption: str, words: tuple[str, ...]) -> None:
        """Show what is drawn; what is typed and cannot be drawn stays."""
        if words != self.words:
            self.words = words
            self.completer.set_words(words)
        if caption != self.caption or not self.fault.text():
            self.caption = caption
            self._say("")
            if self.line.text() != caption:
                self.line.setText(caption)

    def _edited(self, text: str) -> None:
        if self.fault.text():
            self._say(caption_fault(text, self.words))

    def _finished(self) -> None:
        text = " ".join(self.line.text().split())
        fault = caption_fault(text, self.words)
        self._say(fault)
        if not fault and text != self.caption:
            self.caption = text
            self.changed.emit()

    def _say(self, fault: str) -> None:
        self.fault.setText(fault)
        self.fault.setVisible(bool(fault))
