"""Actions, shortcuts and the palette of the whole window, and the names that everything in it has."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QKeySequence
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QPushButton, QWidget
from pytestqt.qtbot import QtBot

from app.shell import theme
from app.shell.main_window import Window
from tests.kit.panes import ACTIONS

PANES = Path(theme.__file__).parents[1] / "panes"


def test_no_two_actions_share_a_shortcut_and_each_explains_itself(real_panes: None, window: Window) -> None:
    keys = [sequence.toString() for entry in window.registry.entries.values() for sequence in entry.action.shortcuts()]
    assert len(keys) == len(set(keys))
    for entry in window.registry.entries.values():
        assert entry.action.text() and entry.action.statusTip(), entry.name


def test_every_action_is_in_a_menu_and_in_the_palette(window: Window) -> None:
    in_menus = {action for menu in window.menus.values() for action in menu.actions()}
    found = {item.text for item in window.findable()}
    for entry in window.registry.entries.values():
        assert entry.action in in_menus, entry.name
        assert entry.action.text().replace("&&", "&") in found, entry.name


def test_the_palette_finds_and_does(window: Window, qtbot: QtBot) -> None:
    window.activateWindow()
    window.find()
    QTest.keyClicks(window.finder.field, "autoenc")
    assert "Autoencoder" in window.finder.list.currentItem().text()
    QTest.keyClick(window.finder.field, Qt.Key.Key_Return)
    assert window.state.run == "/runs/b"
    assert not window.finder.isVisible()
    window.find()
    QTest.keyClicks(window.finder.field, "zzzzqq")
    QTest.keyClick(window.finder.field, Qt.Key.Key_Return)
    QTest.keyClick(window.finder.field, Qt.Key.Key_Escape)
    assert not window.finder.isVisible()


@pytest.mark.parametrize("word", ["theme", "dark", "light"])
def test_that_the_palette_finds_the_three_themes_by_each_word_for_them(window: Window, word: str) -> None:
    window.find()
    QTest.keyClicks(window.finder.field, word)
    rows = [window.finder.list.item(row).text().partition("    ")[0] for row in range(window.finder.list.count())]
    themes = {"Dark theme": "dark", "Light theme": "light"}
    assert set(rows[:4]) == {*themes, "Theme of the system", "Light or dark"}
    if rows[0] in themes:
        QTest.keyClick(window.finder.field, Qt.Key.Key_Return)
        assert window.settings.theme == window.state.theme == themes[rows[0]]
    window.finder.shut()


def test_standard_shortcuts_are_those_of_the_platform(window: Window) -> None:
    assert window.registry["edit.undo"].shortcuts() == QKeySequence.keyBindings(QKeySequence.StandardKey.Undo)
    assert window.registry["file.open_run"].shortcuts() == QKeySequence.keyBindings(QKeySequence.StandardKey.Open)


def test_the_sheet_of_shortcuts_names_every_action(window: Window) -> None:
    window.centre.show_shortcuts()
    from PySide6.QtWidgets import QLabel

    shown = {label.text() for label in window.centre.shortcuts_page.findChildren(QLabel)}
    for entry in window.registry.entries.values():
        assert entry.action.text().replace("&&", "&") in shown
    QTest.keyClick(window, Qt.Key.Key_Escape)
    assert window.pages.currentWidget() is window.docks


def test_the_window_has_every_action_that_its_panes_trigger(real_panes: None, window: Window) -> None:
    menus = {name.split(".")[0] for name in window.registry.entries}
    pattern = re.compile(rf'"((?:{"|".join(menus)})\.\w+)"')
    named = {name for path in PANES.rglob("*.py") for name in pattern.findall(path.read_text(encoding="utf-8"))}
    assert {"run.new", "data.open"} <= named
    assert named | set(ACTIONS) <= set(window.registry.entries)


# Accessibility


def test_everything_that_can_have_the_focus_has_a_name(window: Window) -> None:
    window.new_run()
    window.centre.show_shortcuts()
    window.centre.log_pane.show_newest()
    window.centre.show_panes()
    nameless = []
    for widget in window.findChildren(QWidget):
        if widget.focusPolicy() == Qt.FocusPolicy.NoFocus or widget.objectName().startswith("qt_") or widget.focusProxy() is not None:
            continue
        said = widget.accessibleName() or (widget.text() if isinstance(widget, QPushButton) else "")
        if not said and _is_ours(widget):
            nameless.append(f"{type(widget).__name__} in {type(widget.parentWidget()).__name__}")
    assert nameless == [], nameless


def _is_ours(widget: QWidget) -> bool:
    """Not a piece that Qt builds inside a compound widget, nor the list of a box that drops down."""
    if widget.window().windowType() == Qt.WindowType.Popup:
        return False
    parent = type(widget.parentWidget()).__name__
    return parent not in ("QSpinBox", "QComboBox", "QComboBoxPrivateContainer", "Choice") and type(widget).__name__ not in (
        "QMenu",
        "QLabel",
        "QMainWindow",
    )
