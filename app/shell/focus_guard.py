"""Where the keyboard is: what a person types in, and that no key reaches a button that he did not choose."""

from __future__ import annotations

from PySide6.QtCore import QObject
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractSlider,
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QLineEdit,
    QPlainTextEdit,
    QTextEdit,
    QWidget,
)

from app.shell.centre import Centre

EDITORS = (QLineEdit, QAbstractSpinBox, QComboBox, QAbstractSlider, QTextEdit, QPlainTextEdit)


def attention(window: QWidget, centre: Centre) -> object:
    """What a person looks at and types in now: run, step, data set, page, pane, editor, and how often he has changed a setting.

    None while the panes are loaded: there is nothing yet that he could have turned to.
    """
    state = centre.state
    if not centre.docks.docks and centre.panes_are_seen():
        return None
    focused = window.focusWidget()
    page = centre.docks if centre.panes_are_seen() else centre.pages.currentWidget()
    front = centre.docks.front
    editor = focused if isinstance(focused, EDITORS) and focused.isVisible() else None
    return state.run, state.cursor, state.selected_data, id(page), id(front), id(editor), centre.new_run_page.draft.undo.index()


class FocusGuard(QObject):
    """A page that comes takes the keyboard itself; so does it where what had the keyboard was hidden, and Qt would take the next button."""

    def __init__(self, window: QWidget, centre: Centre) -> None:
        super().__init__(window)
        self.window, self.centre = window, centre
        app = QApplication.instance()
        assert isinstance(app, QApplication)
        self._app = app
        app.focusChanged.connect(self._moved)
        centre.pages.currentChanged.connect(self._page_came)

    def stop(self) -> None:
        """The window closes: the keyboard goes where it likes."""
        self._app.focusChanged.disconnect(self._moved)

    def _page_came(self, _place: int) -> None:
        page = self.centre.pages.currentWidget()
        focused = self.window.focusWidget()
        if page is not None and (focused is None or self.centre.isAncestorOf(focused) or not focused.isVisible()):
            page.setFocus()

    def _moved(self, old: QWidget | None, now: QWidget | None) -> None:
        if old is None or not isinstance(now, QAbstractButton) or now.window() is not self.window or old.window() is not self.window:
            return
        page = self.centre.pages.currentWidget()
        if page is not None and not old.isVisibleTo(self.window):
            page.setFocus()
