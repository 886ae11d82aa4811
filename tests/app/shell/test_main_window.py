"""The shell as a whole, on an engine that replays events: what it shows, what it says, how it begins and ends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from PySide6.QtCore import QObject, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QMessageBox
from pytestqt.qtbot import QtBot

from app.shell import theme
from app.shell.main_window import Window
from app.shell.settings import Settings, load
from engine import messages as m
from tests.kit import fake_engine as fake
from tests.kit.fake_engine import FakeEngine, run

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


# Time


def test_space_plays_through_the_checkpoints_and_ends_live(window: Window, qtbot: QtBot) -> None:
    seen: list[int | None] = []
    window.state.step_changed.connect(lambda: seen.append(window.state.step))
    window.playback.timer.setInterval(1)
    QTest.keyClick(window, Qt.Key.Key_Space)
    qtbot.waitUntil(lambda: not window.playback.timer.isActive())
    assert seen == list(fake.STEPS)
    assert window.state.cursor is None


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
