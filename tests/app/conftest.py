"""A window on a fake engine for the tests of the shell."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from app.shell.application import prepare
from app.shell.main_window import Window
from app.shell.settings import Settings
from engine import messages as m
from tests.kit.fake_engine import FakeEngine, NeedsSampling, Plain, example


@pytest.fixture
def open_window(request: pytest.FixtureRequest, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Window]]:
    """Opens windows whose engine replays events; closes and deletes them at the end.

    They hold two small panes, or the real ones in tests that ask for `real_panes`.
    """
    if "real_panes" not in request.fixturenames:
        monkeypatch.setattr("app.shell.main_window.find_panes", lambda: [Plain, NeedsSampling])
    app = QApplication.instance()
    assert isinstance(app, QApplication)
    prepare(app)
    opened: list[Window] = []

    def open_one(
        events: tuple[m.Event, ...] | None = None, settings: Settings | None = None, path: Path | None = None, ends: bool = True
    ) -> Window:
        window = Window(FakeEngine(example() if events is None else events, ends=ends), settings, path)
        opened.append(window)
        window.show()
        qtbot.waitUntil(lambda: window.built, timeout=20_000)
        return window

    yield open_one
    for window in opened:
        window.close()
        window.deleteLater()
    app.setStyleSheet("")
    qtbot.wait(1)


@pytest.fixture
def real_panes() -> None:
    """Ask for this to have the window built from `app/panes/`."""


@pytest.fixture
def window(open_window: Callable[..., Window], qtbot: QtBot) -> Window:
    """A window that shows the example of the design pictures."""
    made = open_window()
    qtbot.waitUntil(lambda: made.state.run is not None and made.state.data != {})
    return made


@pytest.fixture
def engine(window: Window) -> FakeEngine:
    made = window.bridge.engine
    assert isinstance(made, FakeEngine)
    return made
