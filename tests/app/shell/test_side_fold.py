"""The columns beside the panes: folded in a small window, back in a wide one, and always as the person wants them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from app.shell.main_window import Window
from app.shell.settings import load

SMALL, WIDE = (960, 560), (1280, 800)


def is_open(window: Window) -> tuple[bool, bool]:
    return window.left.isVisible(), window.right.isVisible()


def resized(window: Window, size: tuple[int, int], qtbot: QtBot) -> None:
    window.resize(*size)
    qtbot.waitUntil(lambda: (window.width(), window.height()) == size)


@pytest.fixture
def window(open_window: Callable[..., Window], tmp_path: Path, qtbot: QtBot) -> Window:
    made = open_window(path=tmp_path / "settings.json")
    resized(made, WIDE, qtbot)
    return made


def press(strip: object) -> None:
    QTest.mouseClick(strip, Qt.MouseButton.LeftButton)  # type: ignore[call-overload]


def test_that_both_fold_in_a_small_window_and_come_back_with_the_room(window: Window, qtbot: QtBot) -> None:
    assert is_open(window) == (True, True)
    assert window.left_fold.strip.isHidden() and window.right_fold.strip.isHidden()
    resized(window, SMALL, qtbot)
    assert is_open(window) == (False, False)
    assert window.left_fold.strip.isVisible() and window.right_fold.strip.isVisible()
    assert window.centre.width() > 0.9 * window.width()
    resized(window, WIDE, qtbot)
    assert is_open(window) == (True, True)


def test_that_a_click_unfolds_and_folds_again(window: Window, qtbot: QtBot) -> None:
    resized(window, SMALL, qtbot)
    press(window.left_fold.strip)
    assert is_open(window) == (True, False)
    press(window.left_fold.strip)
    assert is_open(window) == (False, False)
    window.right_fold.strip.setFocus()
    QTest.keyClick(window.right_fold.strip, Qt.Key.Key_Space)
    assert is_open(window) == (False, True)


def test_that_each_kind_of_window_keeps_its_own_choice(window: Window, qtbot: QtBot) -> None:
    window.registry["view.right"].trigger()
    assert is_open(window) == (True, False)
    assert window.right_fold.strip.isVisible()  # the way back
    resized(window, SMALL, qtbot)
    press(window.left_fold.strip)
    assert is_open(window) == (True, False)
    resized(window, WIDE, qtbot)
    assert is_open(window) == (True, False)
    press(window.right_fold.strip)
    assert is_open(window) == (True, True)
    resized(window, SMALL, qtbot)
    assert is_open(window) == (True, False)


def test_that_the_choices_come_back_after_a_restart(window: Window, open_window: Callable[..., Window], qtbot: QtBot) -> None:
    path = window.settings_path
    assert path is not None
    window.registry["view.left"].trigger()
    resized(window, SMALL, qtbot)
    press(window.right_fold.strip)
    window.close()
    kept, note = load(path)
    assert note == ""
    again = open_window(settings=kept, path=path)
    resized(again, SMALL, qtbot)
    assert is_open(again) == (False, True)
    resized(again, WIDE, qtbot)
    assert is_open(again) == (False, True)
    press(again.left_fold.strip)
    assert is_open(again) == (True, True)
