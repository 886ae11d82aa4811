"""Lies over the window while something is dragged over it and says what will happen when it is let go."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFrame, QVBoxLayout, QWidget

from app.shell import theme
from app.shell.plain_text import PlainLabel


class DropSign(QFrame):
    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setObjectName("drop")
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.label = theme.role(PlainLabel(), "title")
        self.label.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.label.setWordWrap(True)
        QVBoxLayout(self).addWidget(self.label)
        self.hide()

    def show_for(self, text: str, over: QWidget) -> None:
        """`over` is the window, or a pane that stands in a window of its own."""
        if self.parentWidget() is not over:
            self.setParent(over)
        width, height = min(480, over.width() - 64), 96
        self.setGeometry((over.width() - width) // 2, (over.height() - height) // 2, width, height)
        self.label.setText(text)
        self.show()
        self.raise_()
