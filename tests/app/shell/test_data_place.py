"""A run whose data are missing, in the window: the line with “Locate…”, a dropped folder, the progress, and panes that ask anew."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from PySide6.QtCore import QMimeData, QPointF, Qt, QUrl
from PySide6.QtGui import QColor, QDropEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QMenu
from pytestqt.qtbot import QtBot

from app.shell import theme
from app.shell.data_list import DataLine
from app.shell.data_place import DataPlaceCard
from app.shell.main_window import Window
from app.tour.window_driver import WindowDriver
from engine import messages as m
from engine.storage.run_reader import Run
from engine.training.loop import train
from engine.training.plan import Plan
from engine.worker.engine import Engine
from tests.kit.fake_engine import FakeEngine
from tests.kit.import_cases import class_folders

FAULT = "The data of “a” are not at “/old” any more: give their new place with --data, or with “Locate…” in the inspector."


def answer(window: Window, engine: FakeEngine, fault: str) -> None:
    engine.data_fault = fault
    window.inspection.data_place.check()


def missing(window: Window, engine: FakeEngine, qtbot: QtBot) -> DataPlaceCard:
    """The card of a run whose data were looked for in vain."""
    card = window.inspector.data_place
    answer(window, engine, FAULT)
    qtbot.waitUntil(lambda: len(engine.told(m.LocateData)) == 1)
    (search,) = engine.told(m.LocateData)
    assert search.place == "" and "Looking for them by their content" in card.line.text()
    engine.say(m.Ended(search.job, "failed", FAULT))
    qtbot.waitUntil(lambda: card.locate.isVisibleTo(card))
    return card


def test_that_nothing_is_said_where_the_data_are_there(window: Window, engine: FakeEngine, qtbot: QtBot) -> None:
    answer(window, engine, "")
    qtbot.wait(80)
    assert window.inspector.data_place.isHidden() and not engine.told(m.LocateData)


def test_that_missing_data_are_looked_for_and_then_said(window: Window, engine: FakeEngine, qtbot: QtBot) -> None:
    card = missing(window, engine, qtbot)
    assert "not at “/\u200bold” any more" in card.fault.text() and not card.isHidden()
    assert "--data" not in card.fault.text() + card.line.text() and card.fault.text().endswith("with “Locate…”.")  # which stands below it
    window.choose_run("/runs/b")
    qtbot.waitUntil(card.isHidden)


def test_that_a_dropped_folder_is_checked_with_progress_and_can_be_cancelled(window: Window, engine: FakeEngine, qtbot: QtBot) -> None:
    card = missing(window, engine, qtbot)
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile("/new")])
    place = QPointF(card.rect().center())
    card.dropEvent(QDropEvent(place, Qt.DropAction.CopyAction, data, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier))
    qtbot.waitUntil(lambda: engine.told(m.LocateData)[-1].place == "/new")
    work = engine.told(m.LocateData)[-1]
    assert card.cancel.isVisibleTo(card) and not card.locate.isVisibleTo(card)
    engine.say(m.Progress(work.job, "", 1200, 5000, "image", 0.0, None, "Reading"))
    qtbot.waitUntil(lambda: "1\u202f200 of 5\u202f000" in card.line.text())
    card.cancel.click()
    assert engine.told(m.StopJob)[-1].job == work.job
    engine.say(m.Ended(work.job, "stopped", "Stopped."))
    qtbot.waitUntil(lambda: card.locate.isVisibleTo(card))
    assert card.line.text() == "Stopped."


def test_that_other_content_is_said_and_the_line_stays(window: Window, engine: FakeEngine, qtbot: QtBot) -> None:
    card = missing(window, engine, qtbot)
    window.inspection.data_place.try_place("/other")
    engine.say(m.Ended(engine.told(m.LocateData)[-1].job, "failed", "/other is not what a was trained on."))
    qtbot.waitUntil(lambda: "is not what a was trained on" in card.line.text())
    assert not card.isHidden() and card.line.property("role") == "warning"
    window.inspection.data_place.try_place("/next")
    assert card.line.property("role") == "small" and "Checking" in card.line.text()


def test_that_a_place_that_was_taken_is_said(window: Window, engine: FakeEngine, qtbot: QtBot) -> None:
    card = missing(window, engine, qtbot)
    window.message_bar.dismiss()  # the fault was read
    window.inspection.data_place.try_place("/new")
    engine.data_fault = ""
    job = engine.told(m.LocateData)[-1].job
    engine.say(m.DataLocated(job, "/runs/a", "/new"), m.Ended(job, "ok", ""))
    qtbot.waitUntil(card.isHidden)
    qtbot.waitUntil(lambda: window.message_bar.current is not None)
    told = window.message_bar.current
    assert told is not None and told.level == "good" and "are in “/new”" in told.text


def test_that_data_that_lie_nowhere_stay_on_the_list_and_can_be_chosen_nowhere(window: Window, engine: FakeEngine, qtbot: QtBot) -> None:
    window.state.set_data((m.DataInfo("/old", "old", "images", "not found", lost=True), m.DataInfo("/here", "here", "images", "5")))
    assert set(window.left.data_list.lines) == {"/old", "/here"} and set(window.state.data) == {"/here"}


def test_that_data_which_come_back_end_it_and_the_panes_ask_anew(window: Window, engine: FakeEngine, qtbot: QtBot) -> None:
    card = missing(window, engine, qtbot)
    described = len(engine.told(m.Describe))
    answer(window, engine, "")
    qtbot.waitUntil(card.isHidden)
    qtbot.waitUntil(lambda: len(engine.told(m.Describe)) > described)
    assert window.state.run == "/runs/a"


@pytest.mark.slow
def test_that_all_panes_of_a_run_work_again_when_its_data_were_located(tmp_path: Path, qtbot: QtBot) -> None:
    """With the real engine and the real panes."""
    data = str(class_folders(tmp_path / "old", count=24))
    settings = {"network": "mlp", "width": 8, "latent": 2, "batch_size": 8}
    list(train(Plan("vae", data, settings, steps=2, name="run", device="cpu"), tmp_path / "runs"))
    shutil.move(data, tmp_path / "new")
    engine = Engine(tmp_path / "runs")
    with WindowDriver(engine) as driver:
        window = driver.window
        card = window.inspector.data_place
        driver.wait(lambda: not card.isHidden() and card.locate.isVisibleTo(card), "the line stands there", 60)
        driver.show_pane("EmbeddingPane")
        window.inspection.data_place.try_place(str(tmp_path / "new"))
        driver.wait(card.isHidden, "the data were found", 60)
        answers: list[m.Event] = []
        window.bridge.ask("test", m.Encode(run=str(tmp_path / "runs" / "run"), index=0), answers.append, answers.append)
        driver.wait(lambda: bool(answers), "an image of the data was encoded", 60)
        assert isinstance(answers[0], m.Encoded)
        manifest = Run.open(tmp_path / "runs" / "run").manifest
        assert manifest is not None and manifest.data == str(tmp_path / "new")
        assert window.state.runs[str(tmp_path / "runs" / "run")].data == str(tmp_path / "new")


def lost(window: Window, qtbot: QtBot, *more: m.DataInfo) -> DataLine:
    """The line of a listed set whose files are gone."""
    window.state.set_data((m.DataInfo("/old/pets", "pets", "images", "not found", lost=True), *more))
    line = window.left.data_list.lines["/old/pets"]
    qtbot.waitUntil(line.locate.isVisible)
    return line


def test_that_a_lost_entry_offers_to_locate_it_and_says_how_that_goes(window: Window, engine: FakeEngine, qtbot: QtBot) -> None:
    line = lost(window, qtbot, m.DataInfo("/here", "here", "images", "5"))
    lines = window.left.data_list
    assert "not found" in line.told and not lines.lines["/here"].locate.isVisible() and line.rect().contains(line.locate.geometry())
    QTest.mouseClick(line.locate, Qt.MouseButton.LeftButton)
    (menu,) = [one for one in window.findChildren(QMenu) if one.isVisible()]
    assert [action.text() for action in menu.actions()] == ["A folder…", "A file…"]
    menu.close()
    window.state.select_data("/old/pets")
    window.listed_data.try_place("/old/pets", "/new/other")
    asked = engine.told(m.LocateListed)[-1]
    assert (asked.data, asked.place, asked.root) == ("/old/pets", "/new/other", "/runs")
    assert "Checking /new/other" in line.told and not line.locate.isEnabled()
    engine.say(m.Progress(asked.job, "", 3, 24, "image", 0.0, None, "Reading"))
    qtbot.waitUntil(lambda: "image 3 of 24" in line.told)
    sentence = "“/new/other” is another set than “pets”; choose where its files lie now."
    engine.say(m.Ended(asked.job, "failed", sentence))
    qtbot.waitUntil(lambda: line.told == sentence)
    assert line.locate.isEnabled() and line.locate.geometry().bottom() <= line.height() <= lines.widget().height()
    warning = QColor(theme.colors(window.state.theme).warning_text)
    painted = line.grab().toImage()
    assert any(painted.pixelColor(x, y) == warning for x in range(painted.width()) for y in range(painted.height()))
    window.message_bar.dismiss()
    window.listed_data.try_place("/old/pets", "/new/pets")
    job = engine.told(m.LocateListed)[-1].job
    engine.say(m.DataListed((m.DataInfo("/new/pets", "pets", "images", "folder of images"),)))
    engine.say(m.ListedLocated(job, "/old/pets", "/new/pets"), m.Ended(job, "ok", ""))
    qtbot.waitUntil(lambda: set(lines.lines) == {"/new/pets"} and window.message_bar.current is not None)
    told = window.message_bar.current
    assert told is not None and told.level == "good" and "“pets” are in “/new/pets”: their content is the same" in told.text
    assert window.state.selected_data == "/new/pets" and not lines.lines["/new/pets"].locate.isVisible()


def test_that_sets_of_one_name_are_told_apart_in_the_list_and_in_the_form(window: Window, engine: FakeEngine, qtbot: QtBot) -> None:
    curated = '/a/new/pets?{"curation": "1-12345678"}'
    window.state.set_data(
        (
            m.DataInfo("/a/new/pets", "pets", "images", "folder of images"),
            m.DataInfo(curated, "pets", "images", "folder of images · curated: 1 left out", decided="curated: 1 left out"),
            m.DataInfo("/b/old/pets", "pets", "images", "folder of images"),
            m.DataInfo("/c/old/pets", "pets", "images", "folder of images"),
            m.DataInfo("digits", "digits", "images", "1,797", True),
        )
    )
    lines = window.left.data_list.lines
    names = ["/a/new/pets", curated, "/b/old/pets", "/c/old/pets", "digits"]
    said = [lines[data].told for data in names]
    assert said == [
        "in new · folder of images", "in new · folder of images · curated: 1 left out", "in b/old · folder of images",
        "in c/old · folder of images", "1,797",
    ]  # fmt: skip
    box = window.new_run_page.data_box
    texts = [box.itemText(place) for place in range(box.count())]
    assert len(set(texts)) == 5 and texts[1] == "pets   in new · folder of images · curated: 1 left out"
    titles = [window.state.data_title(data) for data in names]
    assert titles == ["pets · in new", "pets · in new · curated: 1 left out", "pets · in b/old", "pets · in c/old", "digits"]
