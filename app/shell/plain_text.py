"""Words from files are shown as they stand. Qt takes what looks like HTML for HTML, and then reads the pictures it names:
every label, tooltip and axis whose words may come from a name, a manifest or a data set is made here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QPoint, Qt
from PySide6.QtWidgets import QLabel, QListWidgetItem, QToolTip, QWidget

if TYPE_CHECKING:
    from PySide6.QtGui import QAction

NO_TAG = "\u200c"  # a zero-width non-joiner: no tag or entity has one in its name


def without_markup(text: str) -> str:
    """The text, to be seen unchanged, such that Qt finds no tag and no entity in it."""
    return text.replace("<", f"<{NO_TAG}").replace("&lt;", f"&{NO_TAG}lt;")


def set_tip(target: QWidget | QAction | QListWidgetItem, text: str) -> None:
    """Give a widget, an action or an item of a list its tooltip, in plain text."""
    target.setToolTip(without_markup(text))


def show_tip(place: QPoint, text: str, widget: QWidget) -> None:
    """Show a tooltip at a place of the screen, in plain text."""
    QToolTip.showText(place, without_markup(text), widget)


class PlainLabel(QLabel):
    """A label whose text is never taken for HTML."""

    def __init__(self, text: str = "", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setText(text)
