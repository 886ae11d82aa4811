"""The shell as a whole, on an engine that replays events."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from PySide6.QtCore import QMimeData, QObject, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QAction, QDragEnterEvent, QDropEvent, QImage, QKeySequence
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QFileDialog, QMenu, QMessageBox, QPushButton, QTabBar, QWidget
from pytestqt.qtbot import QtBot

from app.panes.data.pane import DataPane
from app.shell import theme
from app.shell.drop_handler import MOST_DROPPED
from app.shell.inspector_controller import DESCRIBE_MS
from app.shell.main_window import Window
from app.shell.settings import Settings, load
from engine import messages as m
from tests.kit import fake_engine as fake
from tests.kit.fake_engine import FakeEngine, NeedsSampling, run
from tests.kit.panes import ACTIONS, report

OpenWindow = Callable[..., Window]
PANES = Path(theme.__file__).parents[1] / "panes"


# Showing what the engine says


def test_the_window_shows_the_run_that_trains_and_follows_it(window: Window, engine: FakeEngine, qtbot: QtBot) -> None:
    qtbot.waitUntil(lambda: bool(window.timeline.curve.steps))
    assert window.state.run == "/runs/a"
    assert m.FollowRun("/runs/a") in engine.sent
    assert window.top.runs.text() == "VAE · fashion-mnist ▾"
    assert window.top.step.text() == "step 4\u202f180 of 12\u202f000"
    assert window.top.device.text() == "CPU · 2 cores · bf16"
    assert window.verbs.status.text() == "3\u202f130 img/s · 2 min 14 s left"
    assert list(window.run_list.cards) == ["/runs/a", "/runs/b", "/runs/c", "/runs/d", "/runs/e"]
    assert list(window.data_list.lines) == ["/data/FashionMNIST", "digits", "shapes"]


def test_the_inspector_shows_the_numbers_of_the_step_that_is_looked_at(window: Window, engine: FakeEngine, qtbot: QtBot) -> None:
    qtbot.waitUntil(lambda: len(window.inspector.rows) == 4)
    assert window.inspector.rows[0].value.text() == "−1\u202f893.2 nat"
    assert (
        "on the run’s validation images" in window.inspector.choice.toolTip()
        and "fixed held-out images" in window.inspector.choice.toolTip()
    )
    window.state.set_cursor(1500)
    assert window.inspector.numbers_heading.accessibleName().endswith("step 4\u202f180, 1\u202f024 follows")
    qtbot.waitUntil(lambda: window.inspector.numbers_heading.accessibleName().endswith("step 1\u202f024"))
    assert engine.told(m.Describe)[-1].step == 1024


def test_that_numbers_keep_coming_where_checkpoints_come_faster_than_they_are_described(
    window: Window, engine: FakeEngine, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    qtbot.waitUntil(lambda: len(window.inspector.rows) == 4)
    send = engine.send
    monkeypatch.setattr(engine, "send", engine.sent.append)  # the engine is busy
    window.state.checkpoint_saved("/runs/a", 4300, True)
    qtbot.waitUntil(lambda: engine.told(m.Describe)[-1].step == 4300)
    asked = engine.told(m.Describe)[-1]
    for step in (4400, 4500):
        window.state.checkpoint_saved("/runs/a", step, True)
        window.inspection.describe()
    assert engine.told(m.Describe)[-1] is asked, "one question at a time"
    engine.say(replace(fake.described(asked.run, asked.step), stamp=asked.stamp, channel=asked.channel))
    qtbot.waitUntil(lambda: window.inspector.numbers_heading.accessibleName().endswith("step 4\u202f300, 4\u202f500 follows"))
    monkeypatch.setattr(engine, "send", send)
    qtbot.waitUntil(lambda: engine.told(m.Describe)[-1].step == 4500)
    latest = engine.told(m.Describe)[-1]
    engine.say(replace(fake.described(latest.run, latest.step), stamp=latest.stamp, channel=latest.channel))
    qtbot.waitUntil(lambda: window.inspector.numbers_heading.accessibleName().endswith("step 4\u202f500"))
    assert [query.step for query in engine.told(m.Describe) if query.channel == "inspector"][-2:] == [4300, 4500]


def test_moving_the_cursor_fast_asks_for_few_descriptions(window: Window, engine: FakeEngine, qtbot: QtBot) -> None:
    qtbot.waitUntil(lambda: len(window.inspector.rows) == 4)
    before = len([q for q in engine.told(m.Describe) if q.channel == "inspector"])
    for _ in range(20):
        for step in fake.STEPS[:-1]:
            window.state.set_cursor(step)
    qtbot.waitUntil(lambda: engine.told(m.Describe)[-1].step == fake.STEPS[-2])
    assert len([q for q in engine.told(m.Describe) if q.channel == "inspector"]) - before <= 3


def test_another_run_is_followed_in_place_of_the_first(window: Window, engine: FakeEngine) -> None:
    window.choose_run("/runs/b")
    assert m.UnfollowRun("/runs/a") in engine.sent
    assert m.FollowRun("/runs/b") in engine.sent
    assert window.inspector.formula.text() == fake.AUTOENCODER.formula


def test_points_of_other_runs_do_not_reach_the_time_cursor(window: Window, engine: FakeEngine, qtbot: QtBot) -> None:
    qtbot.waitUntil(lambda: bool(window.timeline.curve.steps))
    known = list(window.timeline.curve.values)
    engine.say(replace(fake.curve(50), run="/runs/c", history=False))
    qtbot.waitUntil(lambda: not engine.events)
    assert window.timeline.curve.values == known


def test_a_new_checkpoint_moves_the_live_cursor_on(window: Window, engine: FakeEngine, qtbot: QtBot) -> None:
    engine.say(m.CheckpointSaved("/runs/a", 5000, True, False))
    qtbot.waitUntil(lambda: window.state.step == 5000)
    assert window.timeline.checkpoints[-1] == 5000


# Verbs


def test_every_verb_is_answered_in_the_window_at_once_and_sent(window: Window, engine: FakeEngine) -> None:
    pause, stop, discard = window.verbs.buttons
    started = time.perf_counter()
    pause.click()
    assert pause.text() == "Pausing…"
    assert time.perf_counter() - started < 0.1
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


# New run


def test_a_description_that_comes_late_is_not_drawn_beside_the_form(window: Window, engine: FakeEngine, qtbot: QtBot) -> None:
    qtbot.waitUntil(lambda: len(window.inspector.rows) == 4)
    window.state.set_cursor(8)
    window.inspection.describe()
    window.new_run()
    qtbot.waitUntil(lambda: window.bridge.idle)
    assert window.inspector.rows == []
    engine.say(m.CheckpointSaved("/runs/a", 5000, True, False))
    window.state.set_cursor(None)
    qtbot.waitUntil(lambda: window.state.step == 5000)
    qtbot.wait(2 * DESCRIBE_MS)
    assert window.inspector.rows == []
    window.centre.show_panes()
    qtbot.waitUntil(lambda: len(window.inspector.rows) == 4)
    assert "5\u202f000" in window.inspector.numbers_heading.text()


def test_a_description_of_another_step_is_not_drawn(window: Window, engine: FakeEngine, qtbot: QtBot) -> None:
    qtbot.waitUntil(lambda: len(window.inspector.rows) == 4)
    window.state.set_cursor(8)
    window.inspection.describe()
    window.state.set_cursor(1024)
    qtbot.waitUntil(lambda: window.bridge.idle)
    assert "STEP 8" not in window.inspector.numbers_heading.text()
    qtbot.waitUntil(lambda: "1\u202f024" in window.inspector.numbers_heading.accessibleName())


def test_undoing_a_setting_shows_the_form(window: Window) -> None:
    window.new_run()
    page = window.new_run_page
    row = next(group.rows["latent"] for group in page.groups if "latent" in group.rows)
    page.draft.set("vae", row.field, 8)
    window.centre.show_panes()
    window.registry["edit.undo"].trigger()
    assert window.pages.currentWidget() is page
    assert page.request().config == {}


def test_that_a_run_that_a_pane_proposes_is_filled_in_and_can_be_undone(window: Window) -> None:
    window.state.run_proposed.emit("vae", "digits", {"latent": 5, "unheard of": 1})
    page = window.new_run_page
    assert window.pages.currentWidget() is page
    assert (page.request().method, page.request().data, page.request().config) == ("vae", "digits", {"latent": 5})
    window.registry["edit.undo"].trigger()
    assert page.request().config == {}


@pytest.mark.parametrize("cover", ["run.new", "help.shortcuts"])
@pytest.mark.parametrize("action", ["pane.NeedsSampling", "go.next_pane", "go.previous_pane"])
def test_panes_come_to_the_front_whatever_lies_over_them(window: Window, qtbot: QtBot, cover: str, action: str) -> None:
    window.registry[cover].trigger()
    assert window.pages.currentWidget() is not window.docks
    window.registry[action].trigger()
    assert window.pages.currentWidget() is window.docks
    qtbot.waitUntil(lambda: window.docks.front is window.docks.docks["NeedsSampling"])


def test_a_pane_found_in_the_palette_comes_to_the_front_over_the_form(window: Window, qtbot: QtBot) -> None:
    window.new_run()
    next(item for item in window.findable() if item.text == "Needs sampling").act()
    assert window.pages.currentWidget() is window.docks
    qtbot.waitUntil(lambda: window.docks.front is window.docks.docks["NeedsSampling"])


def test_a_new_run_is_chosen_as_soon_as_it_is_listed(window: Window, engine: FakeEngine, qtbot: QtBot) -> None:
    window.registry["run.new"].trigger()
    assert window.pages.currentWidget() is window.new_run_page
    window.new_run_page.start.click()
    sent = engine.told(m.StartRun)[0]
    assert (sent.method, sent.data, sent.steps) == ("vae", "digits", 4000)
    assert window.pages.currentWidget() is window.docks
    engine.say(m.JobChanged(sent.job, "train", "running", "/runs/new"))
    engine.say(m.RunsListed((run("new", status="training", steps=()), *window.state.runs.values()), "/runs"))
    qtbot.waitUntil(lambda: window.state.run == "/runs/new")


def test_a_data_set_that_was_opened_is_what_the_form_starts_with(window: Window) -> None:
    window.state.open_data("shapes")
    window.new_run()
    assert window.new_run_page.data_box.currentData() == "shapes"


def test_escape_leads_from_the_form_back_to_the_panes(window: Window, qtbot: QtBot) -> None:
    window.new_run()
    QTest.keyClick(window.new_run_page, Qt.Key.Key_Escape)
    assert window.pages.currentWidget() is window.docks


# Time


def test_space_plays_through_the_checkpoints_and_ends_live(window: Window, qtbot: QtBot) -> None:
    seen: list[int | None] = []
    window.state.step_changed.connect(lambda: seen.append(window.state.step))
    window.playback.timer.setInterval(1)
    QTest.keyClick(window, Qt.Key.Key_Space)
    qtbot.waitUntil(lambda: not window.playback.timer.isActive())
    assert seen == list(fake.STEPS)
    assert window.state.cursor is None


# Actions


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


# Panes


def test_every_dock_has_a_name_of_its_own(real_panes: None, window: Window) -> None:
    names = [dock.objectName() for dock in window.docks.docks.values()]
    assert len(names) == len(set(names)) > 0


def test_a_pane_that_the_method_cannot_serve_says_why(window: Window) -> None:
    dock = window.docks.docks["NeedsSampling"]
    assert dock.why == ""
    window.choose_run("/runs/b")
    assert dock.why.startswith("Autoencoder cannot draw samples")
    assert dock.stack.currentWidget() is dock.availability
    assert f"{dock.availability.title.text()}. {dock.availability.text.text()}" == dock.why
    window.choose_run("/runs/a")
    assert dock.why == ""


def test_panes_are_told_when_they_are_seen(window: Window, qtbot: QtBot) -> None:
    docks = window.docks
    pane = docks.docks["NeedsSampling"].pane
    assert isinstance(pane, NeedsSampling)
    assert pane.calls == []
    docks.show_pane("NeedsSampling")
    qtbot.waitUntil(lambda: pane.calls == ["activate"])
    window.choose_run("/runs/b")
    assert pane.calls == ["activate", "deactivate"]
    window.choose_run("/runs/a")
    docks.show_pane("Plain")
    qtbot.waitUntil(lambda: pane.calls == ["activate", "deactivate"] * 2)


def test_a_pane_can_be_torn_off_tiled_and_put_back(window: Window, qtbot: QtBot) -> None:
    docks = window.docks
    docks.show_pane("NeedsSampling")
    qtbot.waitUntil(lambda: docks.front is docks.docks["NeedsSampling"])
    dock = docks.docks["NeedsSampling"]
    window.centre.tear_off()
    assert dock.isFloating()
    qtbot.waitUntil(lambda: dock.titleBarWidget() is dock.title)
    docks.together()
    qtbot.waitUntil(lambda: not dock.isFloating() and docks.tabifiedDockWidgets(dock) != [])
    docks.beside()
    qtbot.waitUntil(lambda: docks.tabifiedDockWidgets(dock) == [] and dock.in_front and docks.docks["Plain"].in_front)
    assert dock.titleBarWidget() is dock.title


def test_the_front_pane_stands_beside_another_one_when_all_of_them_float(window: Window, qtbot: QtBot) -> None:
    docks = window.docks
    for dock in docks.docks.values():
        dock.setFloating(True)
    docks.beside()
    qtbot.waitUntil(lambda: not any(dock.isFloating() for dock in docks.docks.values()))
    assert all(docks.tabifiedDockWidgets(dock) == [] for dock in docks.docks.values())


def strongest_ink(bar: QTabBar, title: str, ground: str) -> str:
    """The colour on a tab that stands out most from the ground: that of the letters."""
    at = next(i for i in range(bar.count()) if bar.tabText(i) == title)
    image = bar.grab(bar.tabRect(at).adjusted(6, 8, -6, -8)).toImage()
    inks = {image.pixelColor(x, y).name() for x in range(image.width()) for y in range(image.height())}
    return max(inks, key=lambda ink: theme.contrast(ink, ground))


@pytest.mark.parametrize("name", ["light", "dark"])
def test_the_tab_of_a_pane_that_cannot_be_used_is_weaker_and_can_be_read(window: Window, name: str) -> None:
    window.set_theme("dark" if name == "light" else "light")
    ground = theme.colors(name).background
    bar = next(iter(window.docks._bars))
    inks = []
    for run_of in ("/runs/a", "/runs/b"):  # the second one cannot draw samples
        window.choose_run(run_of)
        window.set_theme(name)
        inks.append(theme.contrast(strongest_ink(bar, "Needs sampling", ground), ground))
    assert 4 < inks[1] < inks[0] - 2


# Dropping and pasting


def drop(window: Window, *paths: Path) -> None:
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
    at = QPoint(600, 400)
    enter = QDragEnterEvent(at, Qt.DropAction.CopyAction, data, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier)
    enter.ignore()
    QApplication.sendEvent(window, enter)
    assert enter.isAccepted()
    assert window.drop_target.sign.isVisible() and window.drop_target.sign.label.text()
    let_go = QDropEvent(QPointF(at), Qt.DropAction.CopyAction, data, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier)
    QApplication.sendEvent(window, let_go)
    assert not window.drop_target.sign.isVisible()


def test_dropped_images_go_to_the_front_pane_in_order(window: Window, tmp_path: Path, qtbot: QtBot) -> None:
    paths = [tmp_path / "b.png", tmp_path / "a.png"]
    for path in paths:
        path.write_bytes(b"x")
    drop(window, *paths)
    pane = window.docks.docks["Plain"].pane
    qtbot.waitUntil(lambda: getattr(pane, "taken", []) == [str(path) for path in paths])


def test_a_torn_off_pane_takes_what_is_dropped_on_it(window: Window, tmp_path: Path, qtbot: QtBot) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"x")
    dock = window.docks.docks["Plain"]
    dock.setFloating(True)
    window.docks.show_pane("NeedsSampling")
    qtbot.waitUntil(lambda: window.docks.front is window.docks.docks["NeedsSampling"])
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path))])
    copy, left, none = Qt.DropAction.CopyAction, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    enter = QDragEnterEvent(QPoint(20, 40), copy, data, left, none)
    enter.ignore()
    assert dock.acceptDrops()
    QApplication.sendEvent(dock, enter)
    assert enter.isAccepted()
    assert window.drop_target.sign.isVisible() and window.drop_target.sign.window() is dock
    QApplication.sendEvent(dock, QDropEvent(QPointF(20, 40), copy, data, left, none))
    assert not window.drop_target.sign.isVisible()
    qtbot.waitUntil(lambda: getattr(dock.pane, "taken", []) == [str(path)])


def test_more_files_than_are_taken_is_said(window: Window, tmp_path: Path) -> None:
    paths = [tmp_path / f"{i}.png" for i in range(MOST_DROPPED + 6)]
    for path in paths:
        path.write_bytes(b"x")
    window.drop_handler.take([str(path) for path in paths])
    assert len(getattr(window.docks.docks["Plain"].pane, "taken", [])) == MOST_DROPPED
    assert window.message_bar.label.text().startswith(f"The first {MOST_DROPPED} of {MOST_DROPPED + 6} files were taken.")


@pytest.mark.parametrize(
    ("action", "told"),
    [("data.open", m.OpenData), ("data.open_file", m.OpenData), ("file.open_run", m.OpenRun), ("file.open_image", None)],
)
def test_a_file_dialog_lets_the_window_go_on(
    window: Window, engine: FakeEngine, tmp_path: Path, action: str, told: type | None, qtbot: QtBot
) -> None:
    window.registry[action].trigger()  # returns while the dialog is open
    dialog = window.findChildren(QFileDialog)[-1]
    assert dialog.isVisible()
    chosen = tmp_path / "chosen.png"
    chosen.write_bytes(b"x")
    dialog.fileSelected.emit(str(chosen))
    dialog.filesSelected.emit([str(chosen)])
    if told is None:
        assert getattr(window.docks.docks["Plain"].pane, "taken", []) == [str(chosen)]
    else:
        assert len(engine.told(told)) == 1
    dialog.reject()
    qtbot.waitUntil(lambda: not window.findChildren(QFileDialog))


def test_other_data_offers_a_folder_and_a_file(window: Window) -> None:
    entries = window.new_run_page.other.menu().actions()
    assert entries == [window.registry["data.open"], window.registry["data.open_file"]]


def test_a_folder_that_is_opened_again_is_read_again(
    real_panes: None, window: Window, engine: FakeEngine, tmp_path: Path, qtbot: QtBot
) -> None:
    folder = str(tmp_path)
    pane = window.docks.docks["DataPane"].pane
    assert isinstance(pane, DataPane)
    window.drop_handler.take([folder])
    qtbot.waitUntil(lambda: pane.asked == folder)
    engine.say(report(pane.job, data=folder), m.Ended(pane.job, "ok", "Ready."))
    qtbot.waitUntil(lambda: pane.asked == "" and pane.stack.currentIndex() == 2)
    window.drop_handler.take([folder])
    assert len([sent for sent in engine.told(m.OpenData) if sent.data == folder]) == 2


def test_a_dropped_folder_becomes_data_and_a_run_folder_opens(window: Window, engine: FakeEngine, tmp_path: Path, qtbot: QtBot) -> None:
    images, old_run, table = tmp_path / "images", tmp_path / "old", tmp_path / "set.npz"
    images.mkdir()
    old_run.mkdir()
    (old_run / "manifest.json").write_text("{}")
    table.write_bytes(b"x")
    drop(window, images, old_run, table)
    qtbot.waitUntil(lambda: len(engine.told(m.OpenData)) == 2)
    assert [sent.data for sent in engine.told(m.OpenData)] == [str(images), str(table)]
    assert engine.told(m.OpenRun) == [m.OpenRun(str(old_run))]
    assert window.state.selected_data == str(table)
    assert window.settings.recent[0] == str(table)
    engine.say(m.RunsListed((*window.state.runs.values(), replace(run("old"), run=str(old_run))), "/runs"))
    qtbot.waitUntil(lambda: window.state.run == str(old_run))


def test_what_is_gone_or_unwanted_is_said(window: Window, tmp_path: Path) -> None:
    window.drop_handler.take([str(tmp_path / "gone.png")])
    assert "not there any more" in window.message_bar.label.text()


def test_a_pasted_image_reaches_the_front_pane(window: Window) -> None:
    image = QImage(4, 4, QImage.Format.Format_RGB32)
    image.fill(Qt.GlobalColor.red)
    QApplication.clipboard().setImage(image)
    window.registry["edit.paste"].trigger()
    pane = window.docks.docks["Plain"].pane
    (path,) = getattr(pane, "taken", [])
    assert QImage(path).pixelColor(1, 1).name() == "#ff0000"
    window.close()
    assert not Path(path).exists()


# Faults and messages


def test_a_fault_stands_in_the_message_bar_with_its_details_one_click_away(window: Window, engine: FakeEngine, qtbot: QtBot) -> None:
    engine.say(m.Ended("train-1", "failed", "The disk is full; free 40 MB and continue.", "/runs/a", "Traceback: ENOSPC"))
    qtbot.waitUntil(lambda: window.message_bar.isVisible())
    assert window.message_bar.label.text() == "The disk is full; free 40 MB and continue."
    window.message_bar.button.click()
    assert "ENOSPC" in window.centre.log_pane.details.toPlainText()
    assert not [w for w in QApplication.topLevelWidgets() if isinstance(w, QMessageBox)]


def test_small_words_do_not_cover_a_fault(window: Window) -> None:
    window.say("bad", "First.")
    window.say("info", "Second.")
    assert window.message_bar.label.text() == "First."
    window.message_bar.dismiss()
    assert window.message_bar.label.text() == "Second."
    window.message_bar.dismiss()
    assert not window.message_bar.isVisible()


def test_the_worst_message_that_waits_comes_first(window: Window) -> None:
    for level, text in (("bad", "First fault."), ("info", "Small words."), ("warning", "Take care."), ("bad", "Second fault.")):
        window.say(level, text)
    seen = []
    while window.message_bar.current is not None:
        seen.append(window.message_bar.current.text)
        window.message_bar.dismiss()
    assert seen == ["Second fault.", "First fault.", "Take care.", "Small words."]


def test_a_warning_comes_back_after_the_fault_that_covered_it(window: Window) -> None:
    window.say("warning", "Take care.")
    window.say("bad", "It broke.")
    assert window.message_bar.label.text() == "It broke."
    window.message_bar.dismiss()
    assert window.message_bar.label.text() == "Take care."


def test_a_query_that_fails_for_nobody_is_said(window: Window) -> None:
    window.bridge.tell(m.QueryFailed(stamp=1, kind="Decode", message="The file is damaged; choose another step."))
    assert "damaged" in window.message_bar.label.text()


# Life


def test_layout_theme_and_run_come_back(real_panes: None, open_window: OpenWindow, tmp_path: Path, qtbot: QtBot) -> None:
    path = tmp_path / "settings.json"
    first = open_window(path=path)
    qtbot.waitUntil(lambda: first.state.run is not None)
    first.set_theme("light")
    first.choose_run("/runs/c")
    first.registry["view.right"].trigger()
    last = list(first.docks.docks)[-1]
    first.docks.show_pane(last)
    qtbot.waitUntil(lambda: first.docks.front is first.docks.docks[last])
    first.close()
    kept, note = load(path)
    assert note == ""
    second = open_window(settings=kept, path=path)
    qtbot.waitUntil(lambda: second.state.run == "/runs/c")
    assert second.state.theme == "light"
    second.resize(1280, 800)  # a screen of tests is small
    qtbot.waitUntil(lambda: second.right.isHidden() and not second.left.isHidden())
    qtbot.waitUntil(lambda: second.docks.front is second.docks.docks[last])


@pytest.mark.parametrize("layout", ["AAAA", "not base64 at all", "/////wAAAAA="])
def test_a_layout_that_cannot_be_used_starts_as_new(open_window: OpenWindow, layout: str) -> None:
    window = open_window(settings=Settings(layout=layout, geometry=layout, pane="Nothing", last_run="/gone"))
    assert window.docks.docks
    assert "stand as new" in window.message_bar.label.text()


def test_the_last_run_is_opened_again_when_it_lies_outside_the_folder_of_runs(
    open_window: OpenWindow, tmp_path: Path, qtbot: QtBot
) -> None:
    old = tmp_path / "elsewhere"
    old.mkdir()
    (old / "manifest.json").write_text("{}")
    window = open_window(settings=Settings(last_run=str(old)))
    engine = window.bridge.engine
    assert isinstance(engine, FakeEngine)
    qtbot.waitUntil(lambda: engine.told(m.OpenRun) == [m.OpenRun(str(old))])
    engine.say(m.RunsListed((*window.state.runs.values(), replace(run("elsewhere"), run=str(old))), "/runs"))
    qtbot.waitUntil(lambda: window.state.run == str(old))


def test_a_last_run_that_is_gone_is_not_opened(open_window: OpenWindow, tmp_path: Path, qtbot: QtBot) -> None:
    window = open_window(settings=Settings(last_run=str(tmp_path / "gone")))
    qtbot.waitUntil(lambda: window.state.run == "/runs/a")
    assert isinstance(window.bridge.engine, FakeEngine)
    assert window.bridge.engine.told(m.OpenRun) == []


def test_closing_ends_the_engine_once(open_window: OpenWindow) -> None:
    window = open_window(ends=False)
    window.close()
    window.finish()
    assert isinstance(window.bridge.engine, FakeEngine) and window.bridge.engine.closed
    assert window.ended_in_time is False


def test_the_theme_follows_the_system_until_it_is_chosen(window: Window, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.shell.theme.system_theme", lambda: "light")
    window.set_theme("system")
    assert window.state.theme == "light"
    monkeypatch.setattr("app.shell.theme.system_theme", lambda: "dark")
    window.themes.system_changed()
    assert window.state.theme == "dark"
    window.registry["view.theme"].trigger()
    assert window.state.theme == "light"
    window.themes.system_changed()
    assert window.state.theme == "light"


@pytest.mark.slow
def test_a_storm_of_themes_sizes_docks_and_events_leaves_nothing_behind(
    real_panes: None, window: Window, engine: FakeEngine, qtbot: QtBot
) -> None:
    # Fault 10 of the list: the frame fails this test on any Qt warning.
    def one_round(i: int) -> None:
        if i % 10 in (1, 6):  # the costly part: every widget is styled anew
            window.themes.toggle()
        window.resize(960 + 37 * (i % 9), 600 + 23 * (i % 7))
        if i % 3 == 0:
            window.centre.walk(1)
        if i % 10 == 4:
            window.centre.tear_off()
        if i % 10 == 7:
            window.docks.together()
        if i % 10 == 8:
            window.find()
        if i % 10 == 9:
            window.finder.shut()
        for k in range(8):
            step = 4200 + 8 * i + k
            engine.say(m.Progress("train-1", "/runs/a", step, 12000, "step", 3000.0 + k, 100.0))
            engine.say(replace(fake.curve(1), history=False, run="/runs/a"))
        engine.say(m.CheckpointSaved("/runs/a", 4200 + 8 * i, True, False))
        window.state.set_cursor(fake.STEPS[i % len(fake.STEPS)] if i % 2 else None)
        qtbot.wait(5)

    def alive() -> int:
        QApplication.sendPostedEvents(None, 0)
        # Qt keeps a hidden separator for every pane that was ever torn off; those are its own.
        return sum(o.objectName() != "qt_qmainwindow_extended_splitter" for o in window.findChildren(QObject))

    for i in range(30):
        one_round(i)
    before = alive()
    for i in range(30):  # a multiple of every rhythm above, so that both counts see the same panes
        one_round(30 + i)
    assert alive() - before <= 4


# Names, copies, what is left, what is not known yet


def test_the_form_refuses_a_name_that_is_taken_and_proposes_the_next_one_after_a_start(window: Window, engine: FakeEngine) -> None:
    window.new_run()
    page = window.new_run_page
    field = next(row.field for row in page.groups[0].rows.values() if row.field.name == "name")
    for name in ("a", "A"):
        page.draft.put("run", field, name)
        assert not page.start.isEnabled() and "There is already a run “a”" in page.summary.text()
    page.draft.put("run", field, "new/er")
    assert not page.start.isEnabled() and "leave out /" in page.summary.text()
    page.draft.put("run", field, "newer")
    assert page.start.isEnabled()
    page.start.click()
    assert engine.told(m.StartRun)[-1].name == "newer"
    window.new_run()
    assert page.start.isEnabled() and page.request().name == "newer-2"


def test_the_form_says_all_settings_are_at_their_defaults_only_when_they_are(window: Window) -> None:
    window.new_run()
    page = window.new_run_page
    fields = {row.field.name: row.field for row in page.groups[0].rows.values()}
    assert "all settings at their defaults" in page.summary.text()
    page.draft.put("run", fields["seed"], 3)
    assert "seed" in page.summary.text() and "defaults" not in page.summary.text()
    page.draft.put("run", fields["seed"], 0)
    page.draft.put("run", fields["length"], "minutes")
    assert "minutes" in page.summary.text() and "defaults" not in page.summary.text()


def test_that_a_run_is_repeated_with_two_seeds_more_and_never_the_same_ones(window: Window, engine: FakeEngine) -> None:
    window.runs.repeat("/runs/a")
    window.runs.repeat("/runs/a")
    sent = engine.told(m.StartRun)
    assert [message.seed for message in sent] == [1, 2, 3, 4]
    assert [message.name for message in sent] == ["a-seed1", "a-seed2", "a-seed3", "a-seed4"]
    info = window.state.runs["/runs/a"]
    for message in sent:
        assert (message.method, message.data, message.config) == (info.method, info.data, info.changed)
        assert (message.steps, message.minutes) == (info.total_steps, None)


def test_that_a_run_without_a_checkpoint_is_started_again_with_its_settings(open_window: OpenWindow, qtbot: QtBot) -> None:
    dead = run("dead", steps=(), status="interrupted", seed=5, total_steps=None, minutes=2.5)
    window = open_window((fake.READY, m.RunsListed((dead,), "/runs")))
    qtbot.waitUntil(lambda: "/runs/dead" in window.state.runs)
    window.runs.start_again("/runs/dead")
    engine = window.bridge.engine
    assert isinstance(engine, FakeEngine)
    (sent,) = engine.told(m.StartRun)
    assert (sent.seed, sent.steps, sent.minutes, sent.name, sent.config) == (5, None, 2.5, "dead-2", dead.changed)


def test_that_continuing_offers_what_is_left_and_enter_begins_it(open_window: OpenWindow, qtbot: QtBot) -> None:
    points = (m.CheckpointInfo(1776, True),)
    paused = run("p", status="paused", step=1776, total_steps=4000, checkpoints=points, config={"schedule": "cosine"})
    done = replace(paused, run="/runs/q", name="q", status="done", step=4000, checkpoints=(m.CheckpointInfo(4000, True),))
    window = open_window((fake.READY, m.RunsListed((paused, done), "/runs")))
    qtbot.waitUntil(lambda: len(window.state.runs) == 2)
    window.choose_run("/runs/p")
    window.verbs.press("continue")
    assert window.verbs.more.value() == 2224 and "rate" not in window.verbs.status.text()
    QTest.keyClick(window.verbs.more, Qt.Key.Key_Return)
    engine = window.bridge.engine
    assert isinstance(engine, FakeEngine)
    assert [message.steps for message in engine.told(m.ContinueRun)] == [4000]
    window.choose_run("/runs/q")
    window.verbs.press("continue")
    assert "jumps up" in window.verbs.status.text() and window.verbs.more.value() == 4000


def test_that_a_starting_run_stands_once_in_the_list_with_its_true_state(window: Window, engine: FakeEngine, qtbot: QtBot) -> None:
    engine.say(m.JobChanged("train-9", "train", "running", "", "vae · digits"))
    qtbot.waitUntil(lambda: "job:train-9" in window.run_list.cards)
    fresh = run("fresh", status="training", steps=(), step=0)
    others = tuple(info for info in window.state.runs.values() if info.status != "training")
    engine.say(m.RunsListed((*others, fresh), "/runs"))
    qtbot.waitUntil(lambda: "/runs/fresh" in window.run_list.cards)
    assert "job:train-9" not in window.run_list.cards
    assert window.run_list.cards["/runs/fresh"].standing.word == "training"
    engine.say(m.Ended("train-9", "failed", "It failed."))
    qtbot.waitUntil(lambda: "train-9" not in window.state.jobs)
    assert window.run_list.cards["/runs/fresh"].standing.word == "starting…"  # and never "closed unexpectedly"


def test_that_nothing_is_said_to_be_missing_before_the_engine_has_told(open_window: OpenWindow, qtbot: QtBot) -> None:
    window = open_window(())
    assert window.run_list.empty.text() == "Loading your runs…"
    assert "engine is starting" in window.inspector.summary.text()
    window.bridge.tell(m.RunsListed((), "/runs"))
    assert window.run_list.empty.text().startswith("No runs yet")
    window.bridge.tell(m.RunsListed((run("old", method=replace(fake.VAE, name="gone", title="Gone")),), "/runs"))
    window.choose_run("/runs/old")
    assert "not known" not in window.inspector.summary.text()  # the methods are not told yet
    window.bridge.tell(fake.READY)
    assert "not known" in window.inspector.summary.text()


def test_that_starting_is_said_only_until_the_first_step(window: Window) -> None:
    verbs, job = window.verbs, m.JobChanged("train-9", "train", "running", "/runs/fresh")
    fresh = fake.run("fresh", status="training", step=0)
    verbs.show_run(fresh, job, None)
    assert verbs.status.text() == "starting…"
    verbs.show_run(replace(fresh, step=4), job, None)
    assert verbs.status.text() == "training", "its checkpoints say that it goes on, though no speed was told yet"
    verbs.show_run(replace(fresh, step=4), job, m.Progress("train-9", "/runs/fresh", 4, 100, "step", 0.0, None))
    assert verbs.status.text() == "training"
    verbs.show_run(replace(fresh, step=4), job, m.Progress("train-9", "/runs/fresh", 8, 100, "step", 900.0, None))
    assert verbs.status.text() == "900 img/s"
    again = replace(job, job="train-10")  # continued from where it was
    verbs.show_run(replace(fresh, step=100), again, None)
    assert verbs.status.text() == "starting…"
    verbs.show_run(replace(fresh, step=100), again, m.Progress("train-10", "/runs/fresh", 0, None, "", 0.0, None, "reading the images"))
    assert verbs.status.text() == "reading the images"
