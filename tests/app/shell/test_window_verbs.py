"""Starting, stopping, queueing and removing runs from the window, on an engine that replays events."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from PySide6.QtCore import QPoint
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QMenu
from pytestqt.qtbot import QtBot

from app.shell.main_window import Window
from engine import messages as m
from tests.kit import fake_engine as fake
from tests.kit.fake_engine import FakeEngine, run

OpenWindow = Callable[..., Window]


def test_every_verb_is_answered_in_the_window_at_once_and_sent(window: Window, engine: FakeEngine) -> None:
    pause, stop, discard = window.verbs.buttons
    pause.click()
    assert pause.text() == "Pausing…"  # before the event loop has run
    assert engine.sent[-1] == m.PauseJob("train-1")
    assert not stop.isEnabled() and not discard.isEnabled()


def test_the_verbs_follow_the_engine(window: Window, engine: FakeEngine, qtbot: QtBot) -> None:
    window.verbs.buttons[0].click()
    engine.say(m.JobChanged("train-1", "train", "paused", "/runs/a"))
    qtbot.waitUntil(lambda: window.verbs.buttons[0].text() == "Resume")
    window.verbs.buttons[0].click()
    assert engine.sent[-1] == m.ResumeJob("train-1")
    engine.say(m.JobChanged("train-1", "train", "running", "/runs/a"))
    qtbot.waitUntil(lambda: window.verbs.buttons[0].text() == "Pause")
    window.verbs.buttons[1].click()
    assert engine.sent[-1] == m.StopJob("train-1")
    assert window.verbs.buttons[1].text() == "Stopping…"
    engine.say(m.Ended("train-1", "stopped", "Stopped at step 4200 and kept.", "/runs/a"))
    qtbot.waitUntil(lambda: window.verbs.verbs == ["", "", ""])  # until the list says how the run stands
    stopped = [replace(info, status="stopped") if info.run == "/runs/a" else info for info in window.state.runs.values()]
    engine.say(m.RunsListed(tuple(stopped), "/runs"))
    qtbot.waitUntil(lambda: window.verbs.verbs[1] == "continue")


def test_discarding_needs_a_second_press(window: Window, engine: FakeEngine) -> None:
    discard = window.verbs.buttons[2]
    discard.click()
    assert discard.text() == "Really discard?"
    assert not engine.told(m.DiscardJob)
    discard.click()
    assert engine.told(m.DiscardJob) == [m.DiscardJob("train-1")]


def test_every_button_says_its_consequence(window: Window) -> None:
    for button in window.verbs.buttons:
        assert button.toolTip().endswith(".")
    assert "cannot be undone" in window.verbs.buttons[2].toolTip()


def test_a_finished_run_is_continued_by_some_steps(window: Window, engine: FakeEngine) -> None:
    window.choose_run("/runs/c")
    window.verbs.press("continue")
    window.verbs.more.setValue(1000)
    window.verbs.go.click()
    sent = engine.sent[-1]
    assert isinstance(sent, m.ContinueRun)
    assert (sent.run, sent.steps) == ("/runs/c", 5180)


def test_a_run_that_another_process_writes_is_only_watched(open_window: OpenWindow, qtbot: QtBot) -> None:
    window = open_window((fake.READY, m.RunsListed((run("a", elsewhere=True, status="training"),), "/runs")))
    qtbot.waitUntil(lambda: window.state.run is not None)
    assert window.verbs.verbs == ["", "", ""]
    assert "Another process" in window.verbs.status.text()


def test_deleting_asks_inside_the_card(window: Window, engine: FakeEngine) -> None:
    card = window.run_list.cards["/runs/c"]
    card.ask("delete")
    assert "cannot be brought back" in card.reason.text()
    card.no.click()
    assert not engine.told(m.DeleteRun)
    card.ask("delete")
    card.yes.click()
    assert engine.told(m.DeleteRun) == [m.DeleteRun("/runs/c")]


def menu_of(window: Window, run: str) -> dict[str, QAction]:
    """The menu of a card as a right click opens it, by the words of its entries."""
    window.run_list.menu(window.run_list.cards[run], QPoint(0, 0))
    menu = window.run_list.findChildren(QMenu)[-1]
    entries = {action.text(): action for action in menu.actions() if action.text()}
    menu.hide()
    return entries


def test_discard_in_the_menu_of_a_training_asks_inside_its_card(window: Window, engine: FakeEngine, qtbot: QtBot) -> None:
    card = window.run_list.cards["/runs/a"]
    menu_of(window, "/runs/a")["Discard…"].trigger()
    assert "cannot be brought back" in card.reason.text()
    assert not engine.told(m.DiscardJob)
    card.no.click()
    assert not engine.told(m.DiscardJob)
    menu_of(window, "/runs/a")["Discard…"].trigger()
    card.yes.click()
    assert engine.told(m.DiscardJob) == [m.DiscardJob("train-1")]


def test_a_queued_run_with_a_folder_is_asked_about_and_one_without_is_taken_out_at_once(
    window: Window, engine: FakeEngine, qtbot: QtBot
) -> None:
    engine.say(
        m.JobChanged("train-2", "train", "queued", "/runs/b", place=0),
        m.JobChanged("train-3", "train", "queued", "", "vae · digits", place=1),
    )
    qtbot.waitUntil(lambda: len(window.state.jobs) == 3)
    window.run_list.cards["/runs/b"].no.click()
    assert not engine.told(m.DiscardJob)
    assert "all its files" in window.run_list.cards["/runs/b"].reason.text()
    menu_of(window, "job:train-3")["Remove from the queue"].trigger()
    assert engine.told(m.DiscardJob) == [m.DiscardJob("train-3")]


def test_a_question_goes_away_when_the_training_ends_meanwhile(window: Window, engine: FakeEngine, qtbot: QtBot) -> None:
    card = window.run_list.cards["/runs/a"]
    card.ask("discard")
    engine.say(m.Ended("train-1", "ok", "Done.", "/runs/a"))
    qtbot.waitUntil(lambda: not window.state.jobs)
    assert "Discard this" not in card.reason.text()


def test_the_order_of_the_queue_can_be_changed(window: Window, engine: FakeEngine, qtbot: QtBot) -> None:
    engine.say(
        m.JobChanged("train-2", "train", "queued", "/runs/b", place=0), m.JobChanged("train-3", "train", "queued", "/runs/c", place=1)
    )
    qtbot.waitUntil(lambda: len(window.state.jobs) == 3)
    assert window.run_list.cards["/runs/b"].standing.word == "queued, next"
    assert window.run_list.cards["/runs/c"].standing.word == "queued, 2nd"
    window.run_list.verb_chosen.emit("/runs/c", "first")
    assert engine.sent[-1] == m.MoveJob("train-3", 0)
    window.run_list.verb_chosen.emit("/runs/b", "later")
    assert engine.sent[-1] == m.MoveJob("train-2", 1)


def test_a_training_that_waits_without_a_folder_has_a_card_of_its_own(window: Window, engine: FakeEngine, qtbot: QtBot) -> None:
    engine.say(
        m.JobChanged("train-2", "train", "queued", "", "vae · shapes", place=0),
        m.JobChanged("train-3", "train", "queued", "", "vae · digits", place=1),
    )
    qtbot.waitUntil(lambda: len(window.run_list.cards) == 7)
    second = window.run_list.cards["job:train-3"]
    assert (second.title, second.standing.word) == ("VAE · digits", "queued, 2nd")
    second.yes.click()
    assert engine.sent[-1] == m.MoveJob("train-3", 0)
    second.no.click()
    assert engine.sent[-1] == m.DiscardJob("train-3")
    window.run_list.chosen.emit("job:train-3")
    assert window.state.run == "/runs/a"
    engine.say(m.Ended("train-3", "stopped", "It was taken from the queue before it began."))
    qtbot.waitUntil(lambda: len(window.run_list.cards) == 6)


def test_what_waited_when_the_window_was_closed_can_be_resumed(window: Window, engine: FakeEngine, qtbot: QtBot) -> None:
    engine.say(m.JobChanged("waiting-0", "train", "paused", "", "vae · shapes", "It waited in the queue; Resume starts it."))
    qtbot.waitUntil(lambda: "job:waiting-0" in window.run_list.cards)
    card = window.run_list.cards["job:waiting-0"]
    assert card.reason.text() == "It waited in the queue; Resume starts it."
    card.yes.click()
    assert engine.sent[-1] == m.ResumeJob("waiting-0")


def test_runs_that_need_help_say_what_and_how(window: Window, engine: FakeEngine) -> None:
    interrupted = window.run_list.cards["/runs/d"]
    assert interrupted.standing.word == "interrupted"
    assert interrupted.reason.text() == "Closed unexpectedly at step 4\u202f180."
    assert interrupted.yes.text() == "Continue"
    interrupted.yes.click()
    assert window.state.run == "/runs/d"
    assert not window.verbs.more.isHidden()
    assert "learning rate" in window.run_list.cards["/runs/e"].reason.text()


def test_a_damaged_run_is_listed_with_the_reason(open_window: OpenWindow, qtbot: QtBot) -> None:
    fault = "manifest.json is damaged at byte 12; delete the run or restore the file."
    window = open_window((fake.READY, m.RunsListed((run("x", steps=(), fault=fault, status="damaged"), run("y")), "/runs")))
    qtbot.waitUntil(lambda: len(window.run_list.cards) == 2)
    assert window.run_list.cards["/runs/x"].standing.word == "damaged"
    assert window.run_list.cards["/runs/x"].reason.text() == fault
    window.choose_run("/runs/x")
    assert window.inspector.waiting.text() == fault


def test_a_verb_that_only_moves_in_the_queue_frees_the_buttons_again(window: Window, engine: FakeEngine, qtbot: QtBot) -> None:
    engine.say(
        m.JobChanged("train-2", "train", "queued", "/runs/b", place=0), m.JobChanged("train-3", "train", "queued", "/runs/c", place=1)
    )
    qtbot.waitUntil(lambda: len(window.state.jobs) == 3)
    window.choose_run("/runs/c")
    window.verbs.press("first")
    assert not window.verbs.buttons[2].isEnabled()
    engine.say(m.JobChanged("train-3", "train", "queued", "/runs/c", place=0))
    qtbot.waitUntil(lambda: window.verbs.buttons[2].isEnabled())


def test_buttons_can_be_pressed_again_when_the_engine_never_answers(window: Window, engine: FakeEngine, qtbot: QtBot) -> None:
    window.verbs._patience.setInterval(1)
    window.verbs.press("pause")
    assert not window.verbs.buttons[1].isEnabled()
    qtbot.waitUntil(lambda: window.verbs.buttons[1].isEnabled())
    assert window.verbs.buttons[0].text() == "Pause"


def test_closing_stops_the_waiting_for_an_answer(window: Window) -> None:
    window.verbs.press("pause")
    assert window.verbs._patience.isActive()
    window.close()
    assert not window.verbs._patience.isActive()
