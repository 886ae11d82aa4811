"""The form of a new run, and what is repeated, continued or started again, in the whole window."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from app.shell.inspector_controller import DESCRIBE_MS
from app.shell.main_window import Window
from engine import messages as m
from tests.kit import fake_engine as fake
from tests.kit.fake_engine import FakeEngine, run

OpenWindow = Callable[..., Window]


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
