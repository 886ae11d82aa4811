"""Where things can be dropped: the window, and every pane, since a torn-off one is a window of its own."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QObject, QTimer
from PySide6.QtGui import QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import QWidget

from app.shell.drop_handler import DropHandler
from app.shell.drop_sign import DropSign
from app.shell.layout import PaneDock


class DropTarget(QObject):
    """Hears the drags over the widgets it watches, says on a sign what would happen, and hands what is let go to the drop handler."""

    def __init__(self, window: QWidget, handler: DropHandler) -> None:
        super().__init__(window)
        self.window, self.handler = window, handler
        self.sign = DropSign(window)
        self.watch(window)

    def watch(self, widget: QWidget) -> None:
        widget.setAcceptDrops(True)
        widget.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        dock = watched if isinstance(watched, PaneDock) else None
        if event.type() == QEvent.Type.DragEnter and isinstance(event, QDragEnterEvent):
            self._enter(event, dock)
        elif event.type() == QEvent.Type.DragLeave:
            self.sign.hide()
        elif event.type() == QEvent.Type.Drop and isinstance(event, QDropEvent):
            self._drop(event, dock)
        else:
            return False
        return True

    def _enter(self, event: QDragEnterEvent, dock: PaneDock | None) -> None:
        """`dock` is the pane that the mouse is over."""
        paths = self.handler.paths_of(event.mimeData())
        if paths:
            event.acceptProposedAction()
            over = dock if dock is not None and dock.isFloating() else self.window
            self.sign.show_for(self.handler.foretell(paths, dock), over)

    def _drop(self, event: QDropEvent, dock: PaneDock | None) -> None:
        self.sign.hide()
        paths = self.handler.paths_of(event.mimeData())
        event.acceptProposedAction()
        QTimer.singleShot(0, self, lambda: self.handler.take(paths, dock=dock))  # the other program waits until this returns
