"""One row of a list at the left: chosen by mouse and keyboard, framed while the mouse is over it, it has the focus or is chosen."""

from __future__ import annotations

from typing import Any, Protocol

from PySide6.QtCore import QPoint, QRectF, Qt
from PySide6.QtGui import QColor, QContextMenuEvent, QKeyEvent, QMouseEvent, QPainter, QPen
from PySide6.QtWidgets import QSizePolicy, QWidget

from app.shell import theme

MENU_AT = QPoint(16, -8)  # px from the lower left corner, where the key opens the menu


class RowOwner(Protocol):
    """The list that a row stands in."""

    colors: theme.Colors

    def ensureWidgetVisible(self, widget: QWidget, x: int, y: int, /) -> None: ...  # Qt's
    def walk(self, row: Any, by: int, /) -> None: ...
    def menu(self, row: Any, at: QPoint, /) -> None: ...


class ListRow(QWidget):
    """`pick` by a click or Enter is each row's own; up and down, the menu and what stays in sight are the owner's.

    `first_height`: pixels of what is painted above widgets of its own.
    """

    def __init__(self, owner: RowOwner, first_height: int) -> None:
        super().__init__()
        self.list, self.first_height = owner, first_height
        self.selected = False
        self._hovered = False
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def pick(self) -> None:
        raise NotImplementedError

    def set_selected(self, selected: bool) -> None:
        if selected != self.selected:
            self.selected = selected
            self.update()

    def begin_painting(self) -> QPainter:
        """A painter, after the frame."""
        c = self.list.colors
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if self.selected or self._hovered or self.hasFocus():
            painter.setBrush(QColor(c.raised if self.selected else c.panel))
            painter.setPen(QPen(QColor(c.accent if self.hasFocus() else c.line), 1))
            painter.drawRoundedRect(QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5), 8, 8)
        return painter

    # mouse and keyboard

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() == Qt.MouseButton.LeftButton:
            self.pick()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        match event.key():
            case Qt.Key.Key_Return | Qt.Key.Key_Enter:
                self.pick()
            case Qt.Key.Key_Up:
                self.list.walk(self, -1)
            case Qt.Key.Key_Down:
                self.list.walk(self, 1)
            case Qt.Key.Key_Menu:
                self.list.menu(self, self.mapToGlobal(QPoint(0, self.first_height) + MENU_AT))
            case _:
                super().keyPressEvent(event)

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        self.list.menu(self, event.globalPos())

    def _hover(self, over: bool) -> None:
        self._hovered = over
        self.update()

    def enterEvent(self, event: object) -> None:
        self._hover(True)

    def leaveEvent(self, event: object) -> None:
        self._hover(False)

    def focusInEvent(self, event: object) -> None:
        self.list.ensureWidgetVisible(self, 0, 8)
        self.update()

    def focusOutEvent(self, event: object) -> None:
        self.update()
