"""What a person looks at stays where he looks, and his keys reach only what he chose."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QAbstractButton, QApplication
from pytestqt.qtbot import QtBot

from app.shell.main_window import Window
from engine import messages as m
from tests.kit.fake_engine import FakeEngine, run


def order(window: Window, engine: FakeEngine) -> m.StartRun:
    window.new_run()
    window.new_run_page.start.setFocus()
    window.new_run_page.start.click()
    return engine.told(m.StartRun)[-1]


def begin(window: Window, engine: FakeEngine, qtbot: QtBot, sent: m.StartRun) -> None:
    engine.say(m.JobChanged(sent.job, "train", "running", "/runs/new"))
    engine.say(m.RunsListed((run("new", status="training", steps=()), *window.state.runs.values()), "/runs"))
    qtbot.waitUntil(lambda: "/runs/new" in window.state.runs)


TURNS: dict[str, Callable[[Window], object]] = {
    "chose another run": lambda window: window.choose_run("/runs/c"),
    "came back to the run": lambda window: [window.choose_run("/runs/c"), window.choose_run("/runs/a")],
    "fills in the next run": lambda window: window.new_run(),
    "looks at another pane": lambda window: window.show_pane("NeedsSampling"),
    "looks at an earlier step": lambda window: window.state.set_cursor(64),
    "looks at data": lambda window: window.state.select_data("shapes"),
}


@pytest.mark.parametrize("turn", list(TURNS))
def test_that_a_run_that_begins_takes_nobody_away_from_what_he_turned_to(
    window: Window, engine: FakeEngine, qtbot: QtBot, turn: str
) -> None:
    sent = order(window, engine)
    TURNS[turn](window)
    seen, page, focused = window.state.run, window.pages.currentWidget(), window.focusWidget()
    begin(window, engine, qtbot, sent)
    assert (window.state.run, window.pages.currentWidget(), window.focusWidget()) == (seen, page, focused)
    assert window.message_bar.label.text() == "new has begun; it stands at the left."


def test_that_an_opened_or_imported_run_is_chosen_only_where_that_was_the_last_wish(
    window: Window, engine: FakeEngine, qtbot: QtBot
) -> None:
    window.runs.take_in("/tmp/some.zip")
    job = engine.told(m.ImportRun)[-1].job
    window.choose_run("/runs/c")
    engine.say(m.RunImported(job, "/runs/new"))
    engine.say(m.RunsListed((run("new"), *window.state.runs.values()), "/runs"))
    qtbot.waitUntil(lambda: "/runs/new" in window.state.runs)
    assert window.state.run == "/runs/c" and window.message_bar.label.text() == "new stands at the left now."
    window.runs.open("/elsewhere/other")
    engine.say(m.RunsListed((run("other", run="/elsewhere/other"), *window.state.runs.values()), "/runs"))
    qtbot.waitUntil(lambda: window.state.run == "/elsewhere/other")


def test_that_an_imported_run_is_chosen_where_nothing_else_was_wanted(window: Window, engine: FakeEngine, qtbot: QtBot) -> None:
    window.runs.take_in("/tmp/some.zip")
    engine.say(m.RunImported(engine.told(m.ImportRun)[-1].job, "/runs/new"))
    engine.say(m.RunsListed((run("new"), *window.state.runs.values()), "/runs"))
    qtbot.waitUntil(lambda: window.state.run == "/runs/new")


def test_that_no_key_presses_a_button_of_a_page_that_was_left(window: Window, engine: FakeEngine, qtbot: QtBot) -> None:
    qtbot.waitUntil(lambda: QApplication.activeWindow() is window)
    sent = order(window, engine)
    assert window.focusWidget() is window.docks
    begin(window, engine, qtbot, sent)
    assert window.state.run == "/runs/new" and not isinstance(window.focusWidget(), QAbstractButton)
    for key in (Qt.Key.Key_Space, Qt.Key.Key_Space):
        QTest.keyClick(window.focusWidget() or window, key)
    assert len(engine.told(m.StartRun)) == 1 and not engine.told(m.StopJob)
    window.centre.new_run_page.wanted.emit()  # a setting was undone
    assert window.focusWidget() is window.new_run_page


def test_that_a_button_that_vanishes_hands_the_keyboard_to_no_other_button(window: Window, engine: FakeEngine, qtbot: QtBot) -> None:
    qtbot.waitUntil(lambda: QApplication.activeWindow() is window)
    pause = window.verbs.buttons[0]
    pause.setFocus()
    assert window.focusWidget() is pause
    window.choose_run("/runs/c")
    assert pause.isHidden() and window.focusWidget() is window.docks
