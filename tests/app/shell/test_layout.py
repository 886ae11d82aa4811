"""No arrangement hides a pane: the real panes in a real window, moved about at random, at every size and after a restart."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QGuiApplication
from pytestqt.qtbot import QtBot

from app.shell.layout import LEAST, Docks
from app.shell.main_window import Window
from app.shell.settings import Settings
from tests.kit.fake_engine import FakeEngine

SIZES = ((960, 560), (1280, 800), (1024, 700), (1900, 1000))


def hidden(docks: Docks) -> list[str]:
    """Panes that cannot be brought to where they are seen: each is brought to the front and looked for on the screen."""
    lost = []
    whole = docks.rect()
    for name, dock in docks.docks.items():
        docks.show_pane(name)
        QGuiApplication.processEvents()
        place = dock.geometry()
        if dock.isFloating():
            seen = any(screen.availableGeometry().intersected(dock.frameGeometry()).width() >= 100 for screen in QGuiApplication.screens())
        else:
            seen = whole.adjusted(-2, -2, 2, 2).contains(place) and place.width() >= LEAST.width() and place.height() >= LEAST.height()
        if not (seen and dock.isVisible()):
            lost.append(f"{name} at {place}")
    return lost


def settle(window: Window, qtbot: QtBot) -> None:
    qtbot.wait(20)
    qtbot.waitUntil(lambda: not window.docks._wanted.isActive())
    qtbot.wait(20)


@pytest.mark.slow
def test_that_every_pane_is_in_reach_whatever_is_done_to_the_layout(
    real_panes: None, open_window: Callable[..., Window], qtbot: QtBot
) -> None:
    chance = random.Random(7)
    window = open_window()
    docks = window.docks
    names = list(docks.docks)

    def beside() -> None:
        window.show_pane(chance.choice(names))
        qtbot.wait(5)
        docks.beside()

    def tear() -> None:
        docks.docks[chance.choice(names)].toggle_floating()

    def stray() -> None:
        dock = docks.docks[chance.choice(names)]
        dock.setFloating(True)
        dock.move(QPoint(chance.choice((-5000, 9000)), chance.choice((-3000, 100, 7000))))
        docks.keep_in_reach()

    def squeeze() -> None:
        dock = docks.docks[chance.choice(names)]
        docks.resizeDocks([dock], [chance.choice((1, 10, 5000))], Qt.Orientation.Horizontal)

    def vanish() -> None:
        docks.docks[chance.choice(names)].hide()
        docks.keep_in_reach()

    def resize() -> None:
        window.resize(*chance.choice(SIZES))

    def again() -> None:
        assert docks.restore_layout(docks.layout_state())

    acts = (beside, beside, beside, tear, stray, squeeze, vanish, resize, again, docks.together)
    done = []
    for _ in range(40):
        act = chance.choice(acts)
        done.append(act.__name__)
        act()
        settle(window, qtbot)
        assert hidden(docks) == [], done[-6:]


@pytest.mark.parametrize("size", SIZES)
def test_that_panes_beside_each_other_are_seen_also_after_a_restart(
    real_panes: None, open_window: Callable[..., Window], qtbot: QtBot, size: tuple[int, int]
) -> None:
    window = open_window()
    window.resize(*size)
    for name in ("LatentPane", "DataPane"):
        window.show_pane(name)
        settle(window, qtbot)
        window.docks.beside()
        settle(window, qtbot)
        assert window.docks.tabifiedDockWidgets(window.docks.docks[name]) == []
        assert hidden(window.docks) == []
    layout = window.docks.layout_state()
    other = open_window((), Settings(layout=layout))
    other.resize(960, 560)
    settle(other, qtbot)
    assert hidden(other.docks) == []
    assert isinstance(other.bridge.engine, FakeEngine)
