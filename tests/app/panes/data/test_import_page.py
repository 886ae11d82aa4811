"""The page of an import on an engine of paper: what it shows, every decision by mouse and keyboard, undo, cancel, and late answers."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import QPoint, QRect, Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QComboBox, QLabel, QLineEdit, QPushButton, QStyle, QStyleOptionComboBox
from pytestqt.qtbot import QtBot

from app.panes.data.decisions import command_for, fields_for, words_of_choice
from app.panes.data.import_page import ImportPage
from app.panes.data.pane import DataPane
from app.panes.data.split_tree import ROW
from engine import messages as m
from engine.cli import import_options, train
from engine.cli.parser import VerbParsers
from engine.common.data_names import name_with
from engine.data.recipe import parted_name, recipe_of, with_recipe
from tests.kit.panes import Kit, report

OFFERED = (
    "labels", "class_level", "split", "scale", "background", "fit", "bands", "pages", "frames", "leave_out", "size", "colour", "rename",
    "array", "group", "keep",
)  # fmt: skip


def facts(**changes: Any) -> m.ImportFacts:
    given: dict[str, Any] = {
        "decisions": {},
        "offered": OFFERED,
        "classes_from": "folders",
        "splits_from": "folders",
        "columns": ("meta.csv:dx", "meta.csv:sex"),
        "levels": ("north, south", "cat, dog"),
        "group_columns": ("meta.csv:patient",),
        "arrays": ("x", "other"),
        "original_classes": tuple(str(n) for n in range(10)),
        "left_out": (m.LeftOutFiles(3, ("a.txt", "b.txt"), "files that are no images by their name were left out"),),
        "scale": (0.0, 4095.0),
        "low": 2.0,
        "high": 4000.0,
        "histogram": (5,) * 32,
        "counted": 160,
        "histogram_after": (9,) * 32,
    }
    return m.ImportFacts(**(given | changes))


@pytest.fixture
def folder(tmp_path: Path) -> str:
    return str(tmp_path)


@pytest.fixture
def pane(kit: Kit, folder: str) -> Iterator[DataPane]:
    """A folder that was dropped, with its report."""
    made = kit.open(DataPane)
    assert isinstance(made, DataPane)
    kit.state.open_data(folder)
    kit.bridge.tell(report(made.job, data=folder, understood=facts()))
    kit.bridge.tell(m.Ended(made.job, "ok", ""))
    kit.pump()
    yield made


@pytest.fixture
def page(pane: DataPane) -> ImportPage:
    return pane.import_page


@pytest.fixture
def tried(kit: Kit, qtbot: QtBot, page: ImportPage) -> Callable[[], dict[str, Any]]:
    """Waits for what is asked next of the engine; returns its decisions."""

    def next_one() -> dict[str, Any]:
        qtbot.waitUntil(lambda: page.preview.busy and not page._later.isActive())
        sent = kit.engine.of(m.OpenData)[-1]
        assert not sent.listed and sent.job == page.preview.job
        return parted_name(sent.data)[1].changed()

    return next_one


def answer(kit: Kit, page: ImportPage, job: str = "", **changes: Any) -> m.DataReport:
    """The report of what was asked for last, or of another job."""
    sent = next(sent for sent in reversed(kit.engine.of(m.OpenData)) if sent.job == (job or page.preview.job))
    made = report(sent.job, data=sent.data, understood=facts(decisions=parted_name(sent.data)[1].changed()), **changes)
    kit.bridge.tell(made)
    kit.bridge.tell(m.Ended(sent.job, "ok", ""))
    kit.pump()
    return made


def words(page: ImportPage) -> str:
    return "\n".join(label.text() for label in page.findChildren(QLabel) if label.isVisible())


def click(box: QComboBox, value: str) -> None:
    """Choose in a box with the mouse. (A release soon after the press that opened it would be ignored, so it is opened by a key.)"""
    box.setFocus()
    QTest.keyClick(box, Qt.Key.Key_F4)
    view = box.view()
    QTest.mouseClick(view.viewport(), Qt.MouseButton.LeftButton, pos=view.visualRect(view.model().index(box.findData(value), 0)).center())


def test_that_a_dropped_folder_leads_to_its_import_and_a_chosen_one_to_its_images(kit: Kit, pane: DataPane, folder: str) -> None:
    assert pane.stack.currentWidget() is pane.import_page
    QTest.mouseClick(pane.import_page.images_button, Qt.MouseButton.LeftButton)
    kit.pump()
    assert pane.stack.currentIndex() == 2 and pane.browser.page is not None
    QTest.mouseClick(pane.report_column.import_button, Qt.MouseButton.LeftButton)
    assert pane.stack.currentWidget() is pane.import_page
    kit.state.select_data("digits")
    kit.bridge.tell(report(pane.job, understood=facts(offered=())))
    assert pane.stack.currentIndex() == 2
    pane.show_import()
    assert pane.stack.currentWidget() is pane.import_page and not pane.import_page.form.isVisible()  # nothing to decide
    assert not pane.import_page.undo_button.isVisible() and pane.import_page.summary.tree.isVisible()
    assert not kit.engine.of(m.ListData)


def test_that_a_used_set_offers_the_next_step_at_once(kit: Kit, pane: DataPane, page: ImportPage, folder: str) -> None:
    used: list[str] = []
    asked: list[bool] = []
    kit.state.data_used.connect(used.append)
    kit.context.actions["run.new"].triggered.connect(lambda: asked.append(True))
    QTest.mouseClick(page.use_button, Qt.MouseButton.LeftButton)
    kit.pump()
    train = pane.report_column.train_button
    assert train.isVisible() and train.text() == "Train on it…" and train.property("kind") == "primary"
    QTest.mouseClick(train, Qt.MouseButton.LeftButton)
    assert used[-1] == folder and asked == [True]


def test_that_a_curated_set_stands_with_its_own_figures_and_keeps_its_curation(kit: Kit, pane: DataPane, folder: str, tried) -> None:
    curation = {"curation": "2-01234567"}
    curated = name_with(folder, curation)
    page = pane.import_page
    asked = len(kit.engine.of(m.OpenData))
    kit.state.open_data(curated)
    told = report(pane.job, data=curated, counts={"train": 170}, understood=facts(decisions=curation))
    kit.bridge.tell(told)
    kit.bridge.tell(m.Ended(pane.job, "ok", ""))
    kit.pump()
    assert len(kit.engine.of(m.OpenData)) == asked + 1 and not page.preview.busy, "nothing is read again without the curation"
    assert page.report is told and page.use_button.isEnabled() and "170 images" in page.status.text and "as curated" in page.status.text
    page.decide("size", "32")
    assert tried() == {**curation, "size": 32}


def test_that_images_of_before_a_changed_decision_are_said_to_be_so(kit: Kit, pane: DataPane, page: ImportPage) -> None:
    pane.show_images()
    kit.pump()
    assert "before the changed" not in pane.browser.line.text
    pane.show_import()
    page.decide("size", "32")
    pane.show_images()
    kit.pump()
    assert "as it was before the changed decisions" in pane.browser.line.text
    kit.context.undo.undo()
    pane.show_import()
    pane.show_images()
    kit.pump()
    assert "before the changed" not in pane.browser.line.text


def test_that_a_text_stays_as_it_was(kit: Kit, pane: DataPane) -> None:
    kit.state.open_data("/texts/a.txt")
    kit.bridge.tell(report(pane.job, data="/texts/a.txt", kind="text", shape=(), classes=(), class_counts={}, text_sample="abc"))
    assert pane.stack.currentIndex() == 2 and not pane.report_column.import_button.isVisible()


def test_that_the_page_says_what_was_understood(kit: Kit, page: ImportPage, folder: str, pane: DataPane) -> None:
    kit.state.open_data(folder)
    notes = ("3 files that are no images by their name were left out: a.txt, b.txt, ….", "Another note.")
    warning = m.DataWarning("leak", "4 images are in training and in test.")
    told = report(
        pane.job,
        data=folder,
        understood=facts(classes_from="meta.csv:dx"),
        warnings=(warning,),
        notes=notes,
        duplicates=2,
        near_duplicates=3,
        near_examples=(("a.png", "b.png", 2),),
    )
    kit.bridge.tell(told)
    kit.pump()
    said = words(page)
    for part in (
        "the column “dx” of meta.csv",
        "4 images are in training and in test.",
        "LEFT OUT · 3 FILES",
        "all classes have about as many training images",
        "a.txt, b.txt, …",
        "3: “a.png” ≈ “b.png”",
    ):
        assert part in said
    assert "0 is black, 4\u202f095 is white" in said
    assert said.count("no images by their name") == 1 and "Another note." in said
    tree, model = page.summary.tree, page.summary.tree.tree_model
    assert [model.data(model.index(place, 0)) for place in range(3)] == ["training", "validation", "test"]
    first = model.index(0, 0)
    assert model.rowCount(first) == 10 and model.data(model.index(7, 1, first)) == str(told.class_counts["train"][7])
    page.grab()  # painting asks for the images that are in sight
    QTest.qWait(20)
    kit.pump()
    assert len(tree.images_of(("train", 3))) == 5
    assert page.summary.before.borders == (0.0, 4095.0) and page.summary.before.table()[1][0] == (2.0, 2.0 + 3998 / 32, 5)


def test_that_an_open_decision_says_what_was_found_also_after_another_was_taken(kit: Kit, page: ImportPage, tried: Any) -> None:
    def open_one(name: str) -> str:
        box = page.form.editor(name)
        assert isinstance(box, QComboBox)
        return box.itemText(box.findData("as found"))

    expected = {
        "labels": "folders", "split": "folders", "group": "none", "scale": "0..4095", "background": "white", "fit": "crop", "size": "8",
        "colour": "grey", "pages": "first",
    }  # fmt: skip
    assert {name: open_one(name) for name in expected} == {name: f"as found: {words}" for name, words in expected.items()}
    for name in expected:
        shown = page.form.editor(name)
        assert isinstance(shown, QComboBox)
        option = QStyleOptionComboBox()
        shown.initStyleOption(option)
        part = QStyle.SubControl.SC_ComboBoxEditField
        room = shown.style().subControlRect(QStyle.ComplexControl.CC_ComboBox, option, part, shown).width()
        assert shown.fontMetrics().horizontalAdvance("as found: letterbox") <= room
    box = page.form.editor("fit")
    assert isinstance(box, QComboBox)
    click(box, "squeeze")
    tried()
    job = page.preview.job
    kit.bridge.tell(report(job, data=kit.engine.of(m.OpenData)[-1].data, understood=facts(decisions={"fit": "squeeze"}, fit="squeeze")))
    assert page.report is not None and page.report.understood is not None and page.report.understood.fit == "squeeze"
    assert open_one("fit") == "as found: crop" and box.currentText() == "squeeze"


@pytest.mark.parametrize(
    ("name", "value", "decided"),
    [
        ("labels", "meta.csv:sex", "meta.csv:sex"),
        ("labels", "none", "none"),
        ("class_level", "2", 2),
        ("class_level", "-1", -1),
        ("split", "none", "none"),
        ("group", "meta.csv:patient", "meta.csv:patient"),
        ("group", "folder", "folder"),
        ("scale", "robust", "robust"),
        ("background", "black", "black"),
        ("fit", "squeeze", "squeeze"),
        ("size", "32", 32),
        ("colour", "grey", "grey"),
        ("bands", "rgb", "rgb"),
        ("pages", "all", "all"),
        ("frames", "clips", "clips"),
        ("array", "other", "other"),
    ],
)
def test_that_every_choice_reads_the_set_again_by_it(page: ImportPage, tried: Any, name: str, value: str, decided: object) -> None:
    box = page.form.editor(name)
    assert isinstance(box, QComboBox)
    click(box, value)
    assert tried() == {name: decided} and json.loads(page.form.recipe.toPlainText()) == {name: decided}
    assert not page.use_button.isEnabled()


def test_that_the_keyboard_chooses_too(page: ImportPage, tried: Any) -> None:
    box = page.form.editor("fit")
    box.setFocus()
    QTest.keyClick(box, Qt.Key.Key_Down)
    assert tried() == {"fit": "crop"}
    QTest.keyClick(box, Qt.Key.Key_Down)
    assert page._later.isActive() and tried() == {"fit": "letterbox"}


def typed(line: object, text: str) -> None:
    assert isinstance(line, QLineEdit)
    line.setFocus()
    QTest.keyClicks(line, text)
    QTest.keyClick(line, Qt.Key.Key_Return)


def test_that_patterns_and_numbers_are_typed(page: ImportPage, tried: Any, qtbot: QtBot) -> None:
    typed(page.form.editor("leave_out"), "drafts/*, *.tif")
    assert tried() == {"leave_out": ["drafts/*", "*.tif"]}
    assert not page.form.editor("numbers").isVisible()
    box = page.form.editor("scale")
    assert isinstance(box, QComboBox)
    click(box, "numbers")
    assert page.form.editor("numbers").isVisible()
    typed(page.form.editor("numbers"), "0..5000")
    qtbot.waitUntil(lambda: not page._later.isActive())
    assert tried() == {"leave_out": ["drafts/*", "*.tif"], "scale": "0..5000"}


def test_that_files_that_a_rule_left_out_are_taken_back_by_a_click(kit: Kit, page: ImportPage, tried: Any) -> None:
    ruled = (
        m.LeftOutFiles(3, ("masks/0.png",), "images are masks of others and were left out", ("masks/*",)),
        m.LeftOutFiles(2, ("extra/0.png",), "images that lie beside the train and test folders were left out", ("extra/*", "*_x.*")),
        m.LeftOutFiles(1, ("a.txt",), "files that are no images by their name were left out"),
    )
    page.summary.show_report(report(), facts(left_out=ruled))

    def offered() -> list[QPushButton]:
        kit.pump()
        card = page.summary.left_out_card
        return [one for one in card.findChildren(QPushButton) if one.text() == "Use them" and one.isVisibleTo(card)]

    buttons = offered()
    assert len(buttons) == 2 and all(one.accessibleName().startswith("Use ") for one in buttons)
    buttons[0].click()
    assert tried() == {"keep": ["masks/*"]}
    buttons[1].click()
    buttons[1].click()
    assert tried() == {"keep": ["masks/*", "extra/*", "*_x.*"]}
    typed(page.form.editor("keep"), ", b/*")
    assert tried()["keep"][-1] == "b/*"
    page.summary.show_report(report(), facts(left_out=ruled, offered=()))
    assert not offered()


def rename(page: ImportPage, label: int, text: str) -> None:
    """As a person does: a double click on the class in the tree, then its new name."""
    tree = page.summary.tree
    index = tree.tree_model.index(label, 0, tree.tree_model.index(0, 0))
    tree.scrollTo(index)
    place: QRect = tree.visualRect(index)
    at = QPoint(place.left() + 6, place.top() + ROW // 2)
    QTest.mouseClick(tree.viewport(), Qt.MouseButton.LeftButton, pos=at)
    QTest.mouseDClick(tree.viewport(), Qt.MouseButton.LeftButton, pos=at)
    line = tree.findChild(QLineEdit)
    assert line is not None
    line.selectAll()
    QTest.keyClicks(line, text)
    QTest.keyClick(line, Qt.Key.Key_Return)


def test_that_classes_are_renamed_merged_and_named_back_in_the_tree(kit: Kit, page: ImportPage, tried: Any) -> None:
    rename(page, 3, "three")
    assert tried() == {"rename": {"3": "three"}}
    answer(kit, page, classes=("0", "1", "2", "three", *"456789"))
    rename(page, 1, "three")
    assert tried() == {"rename": {"1": "three", "3": "three"}}
    classes = ("0", "three", "2", *"456789")
    answer(kit, page, classes=classes, class_counts={split: (1,) * 9 for split in ("train", "valid", "test")})
    rename(page, 1, "odd")
    assert tried() == {"rename": {"1": "odd", "3": "odd"}}


def test_that_undo_and_redo_take_decisions_back_and_a_reset_is_one_step(kit: Kit, page: ImportPage, tried: Any, qtbot: QtBot) -> None:
    assert not page.undo_button.isEnabled() and not page.reset_button.isEnabled()
    for name, value in (("fit", "squeeze"), ("colour", "grey")):
        box = page.form.editor(name)
        assert isinstance(box, QComboBox)
        click(box, value)
        tried()
        answer(kit, page)
    QTest.mouseClick(page.undo_button, Qt.MouseButton.LeftButton)
    assert tried() == {"fit": "squeeze"} and box.currentData() == "as found"
    QTest.mouseClick(page.redo_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: not page._later.isActive())
    assert not page.preview.busy and page.use_button.isEnabled()  # it is what is shown: nothing is read
    QTest.mouseClick(page.reset_button, Qt.MouseButton.LeftButton)
    assert tried() == {} and page.recipe == {}
    answer(kit, page)
    kit.undo.undo()
    assert tried() == {"fit": "squeeze", "colour": "grey"}
    assert page.undo_button.isEnabled() and page.redo_button.isEnabled()


def test_that_an_old_answer_never_overwrites_a_newer_one(kit: Kit, page: ImportPage, tried: Any) -> None:
    page.decide("fit", "squeeze")
    tried()
    first = page.preview.job
    page.decide("colour", "grey")
    assert tried() == {"fit": "squeeze", "colour": "grey"}
    assert [sent.job for sent in kit.engine.of(m.StopJob)] == [first]
    before = page.report
    kit.bridge.tell(m.Progress(first, "", 1, 2, "image", 1.0, 1.0, ""))
    assert "1 of 2" not in page.status.text
    answer(kit, page, first, name="old")
    assert page.report is before and page.preview.busy
    newest = page.preview.job
    made = answer(kit, page, name="new")
    assert page.report is made
    answer(kit, page, first, name="old again")
    kit.bridge.tell(m.Ended(first, "failed", "Too late."))
    assert page.report is made and "Too late" not in page.status.text and newest != first
    assert page.use_button.isEnabled()


def test_that_progress_is_shown_and_cancel_keeps_the_decisions(kit: Kit, page: ImportPage, tried: Any) -> None:
    page.decide("fit", "squeeze")
    tried()
    kit.bridge.tell(m.Progress(page.preview.job, "", 420, 1800, "image", 900.0, 12.0, ""))
    assert "420 of 1\u202f800 images · 12 s left" in page.status.text and page.cancel.isVisible()
    job, before = page.preview.job, page.report
    QTest.mouseClick(page.cancel, Qt.MouseButton.LeftButton)
    assert kit.engine.of(m.StopJob)[-1].job == job
    kit.bridge.tell(m.Ended(job, "stopped", "Stopped."))
    assert page.recipe == {"fit": "squeeze"} and page.report is before
    assert not page.use_button.isEnabled() and page.again.isVisible() and not page.cancel.isVisible()
    QTest.mouseClick(page.again, Qt.MouseButton.LeftButton)
    assert tried() == {"fit": "squeeze"}
    answer(kit, page)
    assert page.use_button.isEnabled() and not page.again.isVisible()


def test_that_a_decision_that_fails_says_why_and_what_was_shown_stays(kit: Kit, page: ImportPage, tried: Any) -> None:
    before = page.report
    page.decide("scale", "range")
    tried()
    kit.bridge.tell(m.Ended(page.preview.job, "failed", "There is no such scale; choose (scale 0..255)."))
    assert page.status.text.startswith("There is no such scale") and page.status.level == "bad"
    assert page.report is before and page.summary.isVisible() and not page.use_button.isEnabled()
    assert page.form._rows()["scale"].label.property("role") == "warning"
    kit.undo.undo()
    assert tried() == {}
    answer(kit, page)
    assert page.use_button.isEnabled() and page.status.level == ""


def test_that_a_set_that_cannot_be_read_is_asked_about(kit: Kit, tmp_path: Path, qtbot: QtBot) -> None:
    pane = kit.open(DataPane)
    assert isinstance(pane, DataPane)
    kit.state.open_data(str(tmp_path))
    kit.bridge.tell(m.Ended(pane.job, "failed", "It has four bands; say whether it is (bands alpha) or is left out (bands rgb)."))
    page = pane.import_page
    assert pane.stack.currentWidget() is page and "four bands" in page.status.text and not page.use_button.isEnabled()
    assert page.form._rows()["bands"].label.property("role") == "warning"
    pane.deactivate()
    pane.activate()
    assert pane.stack.currentWidget() is page and len(kit.engine.of(m.OpenData)) == 1
    box = page.form.editor("bands")
    assert isinstance(box, QComboBox)
    click(box, "rgb")
    qtbot.waitUntil(lambda: page.preview.busy)
    made = answer(kit, page)
    assert page.report is made and page.summary.isVisible() and page.use_button.isEnabled()
    QTest.mouseClick(page.use_button, Qt.MouseButton.LeftButton)
    assert kit.state.selected_data == made.data == with_recipe(str(tmp_path), recipe_of({"bands": "rgb"}))


def test_that_a_warning_that_a_decision_mends_has_its_button_and_another_has_none(kit: Kit, pane: DataPane, page: ImportPage) -> None:
    def shown(**changes: Any) -> list[QPushButton]:
        page.decide("fit", changes.pop("fit"))
        QTest.qWait(20)
        answer(kit, page, warnings=(m.DataWarning("leak", "Others."), m.DataWarning("ungrouped", "Torn.", **changes)))
        return page.summary.warnings_card.findChildren(QPushButton)

    assert shown(fit="squeeze") == []
    assert shown(fit="crop", decision=("unknown", "x"), offer="No such decision") == []
    (mend,) = shown(fit="letterbox", decision=("group", "meta.csv:patient"), offer="Keep together by patient")
    assert mend.text() == "Keep together by patient" and mend.isVisible()
    QTest.mouseClick(mend, Qt.MouseButton.LeftButton)
    assert page.recipe == {"fit": "letterbox", "group": "meta.csv:patient"}
    box = page.form.editor("group")
    assert isinstance(box, QComboBox) and box.currentData() == "meta.csv:patient"
    kit.undo.undo()
    assert page.recipe == {"fit": "letterbox"}


def test_that_another_set_is_shown_from_its_top(kit: Kit, pane: DataPane, page: ImportPage, tmp_path: Path) -> None:
    pane.resize(700, 260)
    kit.pump()
    bars = [page.form.verticalScrollBar(), page.summary.verticalScrollBar()]
    for bar in bars:
        bar.setValue(bar.maximum())
    assert all(bar.value() > 0 for bar in bars)
    page.decide("fit", "squeeze")
    QTest.qWait(20)
    answer(kit, page)
    assert all(bar.value() > 0 for bar in bars)  # the same set stays where it was
    other = tmp_path / "other"
    other.mkdir()
    kit.state.open_data(str(other))
    kit.bridge.tell(report(pane.job, data=str(other), understood=facts()))
    kit.pump()
    assert [bar.value() for bar in bars] == [0, 0]


def test_that_a_single_file_is_asked_about_only_where_a_decision_can_help(kit: Kit, tmp_path: Path) -> None:
    pane = kit.open(DataPane)
    assert isinstance(pane, DataPane)
    said = "“words.png” cannot be read: it holds text, not an image; choose an image file."
    for name, refusal, helps in (
        ("words.png", said, False),
        ("a.npz", "“x” of a.npz is [9, 8, 4]: say so by its name (array x).", True),
        ("b.zip", "“b.zip” holds no image that can be read, so choose another.", True),
    ):
        (tmp_path / name).write_text("x")
        kit.state.open_data(str(tmp_path / name))
        kit.bridge.tell(m.Ended(pane.job, "failed", refusal))
        assert (pane.stack.currentWidget() is pane.import_page) == helps
        if not helps:
            assert pane.empty.isVisible() and said in [label.text() for label in pane.empty.findChildren(QLabel)]


def test_that_use_puts_it_on_the_list_and_chooses_it_without_reading_it_again(
    kit: Kit, pane: DataPane, page: ImportPage, tried: Any, folder: str
) -> None:
    used: list[str] = []
    kit.state.data_used.connect(used.append)
    page.decide("labels", "meta.csv:dx")
    tried()
    made = answer(kit, page)
    asked = len(kit.engine.of(m.OpenData))
    QTest.mouseClick(page.use_button, Qt.MouseButton.LeftButton)
    name = with_recipe(folder, recipe_of({"labels": "meta.csv:dx"}))
    assert [sent.data for sent in kit.engine.of(m.ListData)] == used == [name] and made.data == name
    assert kit.state.selected_data == name and pane.stack.currentIndex() == 2 and pane.browser.report is made
    assert len(kit.engine.of(m.OpenData)) == asked
    pane.show_import()
    assert page.recipe == {"labels": "meta.csv:dx"} and not page.preview.busy  # the form holds what the name says
    kit.undo.undo()
    assert tried() == {}


def test_that_a_set_in_use_offers_a_run_on_it(kit: Kit, pane: DataPane, page: ImportPage, tried: Any) -> None:
    used: list[str] = []
    page.decide("fit", "squeeze")
    tried()
    made = answer(kit, page)
    QTest.mouseClick(page.use_button, Qt.MouseButton.LeftButton)
    kit.state.data_used.connect(used.append)
    train, read = pane.report_column.train_button, pane.report_column.import_button
    assert train.isVisible() and not train.geometry().intersects(read.geometry())
    assert train.width() >= train.sizeHint().width() and read.width() >= read.sizeHint().width()
    QTest.mouseClick(train, Qt.MouseButton.LeftButton)
    assert used == [made.data] and kit.triggered == ["run.new"]


def test_that_undo_of_a_decision_about_another_set_leads_to_it(kit: Kit, pane: DataPane, page: ImportPage, tried: Any, folder: str) -> None:
    page.decide("fit", "squeeze")
    tried()
    page.decide("colour", "grey")
    tried()
    kit.state.select_data("digits")
    kit.bridge.tell(report(pane.job, understood=facts(offered=())))
    assert not page.preview.busy and pane.stack.currentIndex() == 2
    kit.undo.undo()
    assert kit.state.selected_data == folder and pane.stack.currentWidget() is page
    assert tried() == {"fit": "squeeze"}


@pytest.mark.parametrize(
    "decisions",
    [
        {},
        {"labels": "meta.csv:a column", "class_level": -1, "split": "none", "size": 32, "colour": "grey"},
        {"scale": "-1..1", "leave_out": ["-x/*", "it's *.png"], "rename": {"a b": "c", "-d": "e=f"}, "fit": "squeeze", "pages": "all"},
    ],
)
def test_that_the_copied_command_makes_the_same_decisions(page: ImportPage, folder: str, decisions: dict[str, Any]) -> None:
    name = with_recipe(f"{folder}/my pictures", recipe_of(decisions))
    command = shlex.split(command_for(f"{folder}/my pictures", decisions, "vae"))
    verbs = VerbParsers()
    train.add(verbs)
    assert command[0] == "priorama"
    options = verbs.parser.parse_args(command[1:])
    assert options.method == "vae" and import_options.data_named(options.data, options) == name
    page.decide("background", "grey")
    QTest.mouseClick(page.form.copy_command, Qt.MouseButton.LeftButton)
    assert QGuiApplication.clipboard().text() == f"priorama train vae --data {shlex.quote(folder)} --background grey"
    QTest.mouseClick(page.form.copy_recipe, Qt.MouseButton.LeftButton)
    assert json.loads(QGuiApplication.clipboard().text()) == {"background": "grey"}


def test_that_decisions_outlast_a_look_elsewhere(kit: Kit, pane: DataPane, page: ImportPage, tried: Any, folder: str) -> None:
    page.decide("fit", "squeeze")
    tried()
    made = answer(kit, page)
    pane.deactivate()
    pane.activate()
    assert page.report is made and page.recipe == {"fit": "squeeze"} and page.use_button.isEnabled()
    QTest.mouseClick(page.images_button, Qt.MouseButton.LeftButton)
    assert pane.stack.currentIndex() == 2 and pane.browser.report is not made  # the list has it without the decision
    pane.show_import()
    assert page.report is made and page.recipe == {"fit": "squeeze"} and page.use_button.isEnabled()
    page.decide("colour", "grey")
    tried()
    kit.state.select_data("digits")
    kit.bridge.tell(report(pane.job))  # what is being read is given up, and can be read later
    kit.state.select_data(folder)
    pane.show_import()
    assert page.recipe == {"fit": "squeeze", "colour": "grey"} and page.again.isVisible() and not page.preview.busy


def test_that_the_column_of_splits_and_their_words_can_be_decided(page: ImportPage, tried: Callable[[], dict[str, Any]]) -> None:
    offered = facts(offered=(*OFFERED, "split_names"), split_columns=("meta.csv:fold", "test1.txt"))
    (split,) = [field for field in fields_for(offered) if field.name == "split"]
    assert split.choices == ("as found", "folders", "none", "meta.csv:fold", "test1.txt")
    page.decide("split", "meta.csv:fold")
    page.decide("split_names", "Prüfung=test, dev = valid, odd, a=b")
    decided = tried()
    assert decided == {"split": "meta.csv:fold", "split_names": {"Prüfung": "test", "dev": "valid"}}
    assert recipe_of(decided).changed() == decided and "--split-names Prüfung=test" in command_for("x", decided, "vae").replace("'", "")


def test_that_a_file_of_arrays_offers_each_array_of_groups_and_no_folder() -> None:
    """And no row at all where no array has one value for each image."""
    offered = ("labels", "group", "scale", "array", "size", "colour", "rename")
    shown = facts(offered=offered, levels=(), columns=("y",), group_columns=("patient", "site"))
    (group,) = [field for field in fields_for(shown) if field.name == "group"]
    assert group.choices == ("as found", "patient", "site") and words_of_choice("group", "patient", shown) == "patient"
    assert not [field for field in fields_for(facts(offered=offered, levels=(), group_columns=())) if field.name == "group"]
