"""The page of an import while only a sample of a large set was read: what it shows, that only the whole is used, and which answer wins."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QLabel
from pytestqt.qtbot import QtBot

from app.panes.data.import_page import ImportPage
from app.panes.data.pane import DataPane
from engine import messages as m
from engine.data.recipe import parted_name
from tests.kit.panes import Kit, report

OFFERED = ("labels", "class_level", "split", "scale", "background", "fit", "size", "colour", "rename")


def facts(**changes: Any) -> m.ImportFacts:
    given: dict[str, Any] = {
        "decisions": {}, "offered": OFFERED, "classes_from": "folders", "splits_from": "folders", "histogram_after": (9,) * 32,
        "original_classes": tuple(str(n) for n in range(10)),
    }  # fmt: skip
    return m.ImportFacts(**(given | changes))


@pytest.fixture
def folder(tmp_path: Any) -> str:
    return str(tmp_path)


@pytest.fixture
def pane(kit: Kit, folder: str) -> DataPane:
    """A large folder that was dropped, of which a sample was read."""
    made = kit.open(DataPane)
    assert isinstance(made, DataPane)
    kit.state.open_data(folder)
    assert kit.engine.of(m.OpenData)[-1].sample > 0
    kit.bridge.tell(m.Progress(made.job, "", 0, None, "file", None, None, "Looking for images"))
    say_sample(kit, made.job, folder)
    kit.pump()
    return made


@pytest.fixture
def page(pane: DataPane) -> ImportPage:
    return pane.import_page


def told(job: str, data: str, **changes: Any) -> m.DataReport:
    return report(job, data=data, understood=facts(decisions=parted_name(data)[1].changed()), **changes)


def say_sample(kit: Kit, job: str, data: str, **changes: Any) -> m.DataReport:
    made = told(job, data, hash="", sampled=256, **changes)
    kit.bridge.tell(m.DataSampled(job, made))
    return made


def say_whole(kit: Kit, job: str, data: str, **changes: Any) -> m.DataReport:
    made = told(job, data, **changes)
    kit.bridge.tell(made)
    kit.bridge.tell(m.Ended(job, "ok", ""))
    kit.pump()
    return made


def newest(kit: Kit, qtbot: QtBot, page: ImportPage) -> m.OpenData:
    """What is read by the newest decision."""
    qtbot.waitUntil(lambda: page.preview.busy and not page._later.isActive())
    sent: m.OpenData = kit.engine.of(m.OpenData)[-1]
    assert sent.job == page.preview.job and not sent.listed and sent.sample > 0
    return sent


def words(page: ImportPage) -> str:
    return "\n".join([page.status.text, *(label.text() for label in page.findChildren(QLabel) if label.isVisible())])


def test_that_a_sample_is_shown_as_one_until_the_whole_replaces_it(kit: Kit, pane: DataPane, page: ImportPage, folder: str) -> None:
    job = pane.job
    assert pane.stack.currentWidget() is page and page.cancel.isVisible()
    assert "from a sample of 256 images" in page.status.text and "VALUES · FROM A SAMPLE OF 256 IMAGES" in words(page)
    assert not page.use_button.isEnabled() and not page.images_button.isEnabled()
    kit.bridge.tell(m.Progress(job, "", 1000, 100_000, "image", 900.0, 110.0, ""))
    assert page.status.text.startswith("Reading all of it: 1\u202f000 of 100\u202f000 images · 110 s left.")
    page.grab()
    QTest.qWait(20)
    kit.pump()
    assert {asked.sample for asked in kit.engine.of(m.ClassExamples)} == {True}
    made = say_whole(kit, job, folder)
    assert page.report is made and pane.inspection.reports[folder] is made
    assert page.use_button.isEnabled() and page.images_button.isEnabled() and not page.cancel.isVisible()
    assert "a sample" not in words(page).lower() and "all of them read in" in page.status.text
    page.grab()
    QTest.qWait(20)
    kit.pump()
    assert not kit.engine.of(m.ClassExamples)[-1].sample


def test_that_a_decision_gives_up_the_reading_and_the_newest_answer_wins(
    kit: Kit, pane: DataPane, page: ImportPage, folder: str, qtbot: QtBot
) -> None:
    first = pane.job
    page.decide("fit", "squeeze")
    sent = newest(kit, qtbot, page)
    assert kit.engine.of(m.StopJob)[-1].job == first
    kit.bridge.tell(m.Ended(first, "stopped", "Stopped."))
    assert pane.stack.currentWidget() is page and page.recipe == {"fit": "squeeze"} and not page.use_button.isEnabled()
    assert [one.data for one in kit.engine.of(m.ListData)] == [folder]  # it was opened, and is not lost
    sample = say_sample(kit, sent.job, sent.data)
    assert page.report is sample and not page.use_button.isEnabled()
    page.decide("colour", "grey")
    again = newest(kit, qtbot, page)
    assert kit.engine.of(m.StopJob)[-1].job == sent.job
    say_sample(kit, sent.job, sent.data)
    say_whole(kit, sent.job, sent.data)
    assert page.report is sample and not page.use_button.isEnabled()  # of the decisions before, too late
    assert "of the decisions before" in page._what_is_shown()
    say_sample(kit, again.job, again.data)
    assert "from a sample" in page._what_is_shown()
    made = say_whole(kit, again.job, again.data)
    assert page.report is made and page.use_button.isEnabled()
    QTest.mouseClick(page.use_button, Qt.MouseButton.LeftButton)
    assert kit.state.selected_data == again.data and pane.inspection.reports[again.data] is made


def test_that_a_decision_on_the_way_of_the_last_report_is_not_lost(
    kit: Kit, pane: DataPane, page: ImportPage, folder: str, qtbot: QtBot
) -> None:
    job = pane.job
    page.decide("fit", "squeeze")
    say_whole(kit, job, folder)
    assert page.recipe == {"fit": "squeeze"}
    assert parted_name(newest(kit, qtbot, page).data)[1].changed() == {"fit": "squeeze"}


def test_that_cancel_keeps_the_sample_and_never_makes_it_a_set(
    kit: Kit, pane: DataPane, page: ImportPage, folder: str, qtbot: QtBot
) -> None:
    job, shown = pane.job, page.report
    QTest.mouseClick(page.cancel, Qt.MouseButton.LeftButton)
    assert kit.engine.of(m.StopJob)[-1].job == job
    kit.bridge.tell(m.Ended(job, "stopped", "Stopped."))
    kit.pump()
    assert pane.stack.currentWidget() is page and page.report is shown and not page.use_button.isEnabled()
    assert page.status.text == "Stopped. What is shown is from a sample of 256 images." and page.again.isVisible()
    asked = len(kit.engine.of(m.OpenData))
    pane.deactivate()
    pane.activate()
    assert pane.stack.currentWidget() is page and len(kit.engine.of(m.OpenData)) == asked
    QTest.mouseClick(page.again, Qt.MouseButton.LeftButton)
    sent = newest(kit, qtbot, page)
    made = say_whole(kit, sent.job, sent.data)
    assert page.report is made and page.use_button.isEnabled() and not page.again.isVisible()


def test_that_undo_goes_back_to_the_whole_that_is_known(kit: Kit, pane: DataPane, page: ImportPage, folder: str, qtbot: QtBot) -> None:
    made = say_whole(kit, pane.job, folder)
    page.decide("fit", "squeeze")
    sent = newest(kit, qtbot, page)
    sample = say_sample(kit, sent.job, sent.data)
    assert page.report is sample
    asked = len(kit.engine.of(m.OpenData))
    kit.undo.undo()
    qtbot.waitUntil(lambda: not page._later.isActive())
    assert page.report is made and page.use_button.isEnabled() and len(kit.engine.of(m.OpenData)) == asked
    assert kit.engine.of(m.StopJob)[-1].job == sent.job and "a sample" not in page.status.text


def test_that_what_fails_after_the_sample_says_so_and_is_not_used(kit: Kit, pane: DataPane, page: ImportPage, folder: str) -> None:
    kit.bridge.tell(m.Ended(pane.job, "failed", "It does not fit into memory; use a part of it."))
    assert pane.stack.currentWidget() is page and page.status.text.startswith("It does not fit") and page.status.level == "bad"
    assert not page.use_button.isEnabled() and page.again.isVisible()


def test_that_another_set_is_looked_at_meanwhile_and_the_reading_goes_on(kit: Kit, pane: DataPane, page: ImportPage, folder: str) -> None:
    job = pane.job
    stopped = len(kit.engine.of(m.StopJob))
    pane.inspection.reports["digits"] = report(understood=facts(offered=()))
    kit.state.select_data("digits")
    assert pane.stack.currentIndex() == 2 and len(kit.engine.of(m.StopJob)) == stopped
    kit.state.select_data(folder)
    assert pane.stack.currentIndex() == 1  # it is still being looked into
    made = say_whole(kit, job, folder)
    assert pane.stack.currentWidget() is page and page.report is made


def test_that_the_folds_of_the_tree_stay_when_the_whole_comes(
    kit: Kit, pane: DataPane, page: ImportPage, folder: str, request: pytest.FixtureRequest
) -> None:
    tree = page.summary.tree
    fold: Callable[[int], Any] = lambda place: tree.tree_model.index(place, 0)  # noqa: E731
    tree.collapse(fold(0))
    tree.expand(fold(2))
    say_whole(kit, pane.job, folder)
    assert not tree.isExpanded(fold(0)) and tree.isExpanded(fold(2))
