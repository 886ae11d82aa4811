"""Decisions about single images from the window: the menu, undo by Ctrl+Z, the line that counts them, and the images that are left out."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QAction, QContextMenuEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from app.panes.data.pane import DataPane
from app.panes.embedding.lasso_page import LassoPage, Selected
from app.widgets.curation_menu import CurationMenu
from engine import messages as m
from engine.common.data_names import name_with, path_and_decisions
from tests.kit.panes import Kit, digits, report

PETS = "/pictures/pets"


@pytest.fixture
def pane(kit: Kit) -> Iterator[DataPane]:
    made = kit.open(DataPane)
    assert isinstance(made, DataPane)
    made.inspection.reports[PETS] = report("", data=PETS, classes=("cats", "dogs"), class_counts={})
    kit.state.select_data(PETS)
    kit.pump()
    yield made


def names_of(pane: DataPane) -> tuple[str, ...]:
    assert pane.browser.page is not None
    return pane.browser.page.names


def menu_of(kit: Kit, *names: str, data: str = PETS, over: DataPane | None = None) -> CurationMenu:
    menu = CurationMenu(kit.context, data, names, over)
    kit.pump()
    return menu


def action(menu: CurationMenu, start: str) -> QAction:
    """The one action of the menu or of one within it whose text begins so."""
    every = [*menu.actions(), *(one for sub in menu.actions() if sub.menu() is not None for one in sub.menu().actions())]  # type: ignore[union-attr]
    found = [one for one in every if one.text().startswith(start)]
    assert len(found) == 1, [one.text() for one in every]
    return found[0]


def acts(kit: Kit) -> list[tuple[str, tuple[str, ...], str]]:
    return [(one.act, one.names, one.value) for one in kit.engine.of(m.Curate) if one.act != "look"]


def test_that_an_image_of_the_browser_is_left_out_shown_as_such_and_brought_back_by_undo(kit: Kit, pane: DataPane) -> None:
    name = names_of(pane)[2]
    line = pane.browser.curation
    assert line.isVisible() and "Right-click an image" in line.words.text  # where nothing was decided it says how to
    assert not line.undo_button.isVisible() and not line.use_button.isVisible()
    action(menu_of(kit, name, over=pane), "Leave this image out").trigger()
    kit.pump()
    assert acts(kit) == [("exclude", (name,), "")]
    assert pane.browser.grid.marked == {2: "×"} and pane.browser.grid.faint == {2} and pane.browser.curation.isVisible()
    assert pane.browser.curation.words.text == "One decision: 1 left out (×)"
    pane.browser.grid.choose(2)
    pane.browser._say_image(2)
    assert "left out" in pane.browser.line.text
    assert kit.context.undo.undoText() == "Leave this image out"
    kit.context.undo.undo()
    kit.pump()
    assert pane.browser.grid.marked == {} and "Right-click an image" in line.words.text
    kit.context.undo.redo()
    kit.pump()
    assert pane.browser.grid.marked == {2: "×"} and [act for act, *_ in acts(kit)] == ["exclude", "undo", "redo"]


def test_that_the_class_an_image_has_is_ticked_and_choosing_it_decides_nothing(kit: Kit, pane: DataPane) -> None:
    name, last = names_of(pane)[2:4]
    own, other = "cats", "dogs"

    def opened(*names: str, classes: tuple[str, ...]) -> CurationMenu:
        menu = CurationMenu(kit.context, PETS, names, pane, classes)
        kit.pump()
        return menu

    menu = opened(name, classes=(own,))
    assert action(menu, own).isChecked() and not action(menu, other).isChecked()
    action(menu, own).trigger()
    kit.pump()
    assert acts(kit) == [] and not kit.context.undo.canUndo()
    action(menu, other).trigger()
    kit.pump()
    assert acts(kit) == [("relabel", (name,), other)]
    menu = opened(name, classes=(own,))  # it has the other now
    assert action(menu, other).isChecked() and not action(menu, own).isChecked()
    two = opened(name, last, classes=(own, own))  # of different classes by now
    assert not action(two, own).isChecked() and not action(two, other).isChecked()


def test_that_classes_and_tags_are_given_from_the_menu(kit: Kit, pane: DataPane) -> None:
    one, other = names_of(pane)[:2]
    action(menu_of(kit, one, other, over=pane), "dogs").trigger()
    kit.pump()
    menu = menu_of(kit, one, over=pane)
    assert menu.tag_line is not None
    menu.tag_line.setText("  blurred & dark ")
    QTest.keyClick(menu.tag_line, Qt.Key.Key_Return)
    kit.pump()
    assert acts(kit) == [("relabel", (one, other), "dogs"), ("tag", (one,), "blurred & dark")]
    assert pane.browser.curation.words.text == "2 decisions: 2 relabelled (→), 1 tagged (#)"
    action(menu_of(kit, one, over=pane), "Take “blurred && dark” off").trigger()
    menu = menu_of(kit, one, over=pane)
    assert action(menu, "Undo: untag").isEnabled()
    action(menu, "Undo: untag").trigger()
    kit.pump()
    assert action(menu_of(kit, one, over=pane), "Redo: untag").isEnabled() and acts(kit)[-1][0] == "undo"
    kit.context.undo.undo()  # what the menu undid comes again
    assert acts(kit)[-1][0] == "redo"


def test_that_each_kind_of_decision_marks_its_image_and_stands_in_its_caption(kit: Kit, pane: DataPane) -> None:
    names = names_of(pane)
    for name, act, value in ((names[0], "relabel", "dogs"), (names[1], "tag", "blurred"), (names[2], "exclude", "")):
        CurationMenu(kit.context, PETS, (name,), pane).decide(act, value, act)
    kit.pump()
    grid = pane.browser.grid
    assert grid.marked == {0: "→", 1: "#", 2: "×"} and grid.faint == {2}
    for place, words in ((0, "given the class dogs"), (1, "tag blurred"), (2, "left out")):
        QTest.mouseClick(grid, Qt.MouseButton.LeftButton, pos=grid.place(place).center().toPoint())
        assert words in pane.browser.line.text and words in grid.tips[place] and names[place] in grid.tips[place]
    assert "given" not in grid.tips[3]
    before = grid.grab().toImage()
    grid.marked = {}
    after = grid.grab().toImage()
    corner = grid.place(1).toRect().topLeft()
    assert before.pixelColor(corner.x() + 2, corner.y() + 2) != after.pixelColor(corner.x() + 2, corner.y() + 2)  # the sign is painted


def test_that_the_line_takes_the_last_decision_back_as_ctrl_z_would(kit: Kit, pane: DataPane) -> None:
    name = names_of(pane)[0]
    CurationMenu(kit.context, PETS, (name,), pane).decide("exclude", "", "Leave it out")
    kit.pump()
    line = pane.browser.curation
    QTest.mouseClick(line.undo_button, Qt.MouseButton.LeftButton)
    kit.pump()
    assert pane.browser.grid.marked == {} and kit.context.undo.index() == 0 and kit.context.undo.canRedo()
    kit.context.undo.redo()
    kit.pump()
    kit.context.undo.clear()  # another window decided
    QTest.mouseClick(line.undo_button, Qt.MouseButton.LeftButton)
    kit.pump()
    assert pane.browser.grid.marked == {} and [act for act, *_ in acts(kit)] == ["exclude", "undo", "redo", "undo"]


def test_that_undo_names_the_decision_that_it_takes_back(kit: Kit, pane: DataPane) -> None:
    for name in names_of(pane)[:2]:
        CurationMenu(kit.context, PETS, (name,), pane).decide("exclude", "", "Leave it out")
    kit.pump()
    kit.context.undo.undo()
    kit.pump()
    kit.context.undo.undo()
    kit.pump()
    kit.context.undo.redo()
    kit.pump()
    signs = [f"{place}-{kit.engine.curation.check(place + 1)}" for place in range(2)]
    assert [(one.act, one.of) for one in kit.engine.of(m.Curate)[-3:]] == [("undo", signs[1]), ("undo", signs[0]), ("redo", signs[0])]
    action(menu_of(kit, names_of(pane)[0], over=pane), "Undo: exclude").trigger()
    assert kit.engine.of(m.Curate)[-1].of == signs[0]


def test_that_undo_before_the_answer_names_the_channel_of_the_decision(kit: Kit, pane: DataPane) -> None:
    kit.engine.answering = False
    for name in names_of(pane)[:2]:
        CurationMenu(kit.context, PETS, (name,), pane).decide("exclude", "", "Leave it out")
    kit.context.undo.undo()
    kit.context.undo.undo()
    channels = [one.channel for one in kit.engine.of(m.Curate) if one.act == "exclude"]
    assert [one.of for one in kit.engine.of(m.Curate) if one.act == "undo"] == channels[::-1]


def test_that_quick_decisions_are_all_asked(kit: Kit, pane: DataPane) -> None:
    kit.engine.answering = False
    for name in names_of(pane)[:5]:
        CurationMenu(kit.context, PETS, (name,), pane).decide("exclude", "", "Leave it out")
    assert len({one.channel for one in kit.engine.of(m.Curate) if one.act == "exclude"}) == 5


def test_that_a_decision_that_fails_is_said_and_not_undone(kit: Kit, pane: DataPane) -> None:
    kit.engine.answering = False
    said: list[m.Notice] = []
    kit.bridge.on(m.Notice, said.append)
    CurationMenu(kit.context, PETS, (names_of(pane)[0],), pane).decide("exclude", "", "Leave it out")
    query = next(one for one in kit.engine.of(m.Curate) if one.act == "exclude")
    kit.engine.open.clear()
    kit.engine.fail(query, "No room on the disk; make some.")
    kit.pump()
    assert [(one.level, one.text) for one in said] == [("bad", "No room on the disk; make some.")]
    kit.context.undo.undo()
    assert [act for act, *_ in acts(kit)] == ["exclude"]


def test_that_data_of_the_program_say_why_they_stay_as_they_are(kit: Kit) -> None:
    menu = menu_of(kit, "digit 1", data="digits")
    assert [(one.text(), one.isEnabled()) for one in menu.actions()] == [("“digits” comes with the program and stays as it is.", False)]


def test_that_the_curated_set_is_chosen_and_left_by_one_click(kit: Kit, pane: DataPane) -> None:
    CurationMenu(kit.context, PETS, (names_of(pane)[0],), pane).decide("exclude", "", "Leave it out")
    kit.pump()
    line = pane.browser.curation
    assert line.use_button.text() == "Use the curated set" and line.told is not None
    note = pane.report_column.train_note
    assert note.isVisible() and "without the one decision" in note.text()
    curated = line.told.curated
    line.use_button.click()
    assert kit.state.selected_data == curated and kit.engine.of(m.OpenData)[-1].data == curated
    line.show_data(curated)
    kit.pump()
    assert line.isVisibleTo(pane.browser) and line.use_button.text() == "Use the whole set"
    assert pane.report_column.train_note.isHidden() and pane.report_column.train_note.text() == ""


def test_that_a_decision_about_the_set_at_another_size_leads_to_the_shown_set_curated(kit: Kit, pane: DataPane) -> None:
    CurationMenu(kit.context, name_with(PETS, {"size": 32}), (names_of(pane)[0],), pane).decide("exclude", "", "Leave it out")
    kit.pump()
    line = pane.browser.curation
    assert line.isVisibleTo(pane.browser) and line.told is not None and line.told.plain == PETS
    line.use_button.click()
    path, recipe = path_and_decisions(kit.engine.of(m.OpenData)[-1].data)
    assert path == PETS and list(recipe) == ["curation"]


def test_that_the_menu_opens_by_mouse_and_by_key(kit: Kit, pane: DataPane) -> None:
    asked: list[int] = []
    pane.browser.grid.menu_asked.disconnect()
    pane.browser.grid.menu_asked.connect(lambda index, place: asked.append(index))
    grid = pane.browser.grid
    at = grid.place(3).center().toPoint()
    for reason, place in ((QContextMenuEvent.Reason.Mouse, at), (QContextMenuEvent.Reason.Keyboard, QPoint(0, 0))):
        QApplication.sendEvent(grid, QContextMenuEvent(reason, place, grid.mapToGlobal(place)))
        assert names_of(pane)[3] in pane.browser.line.text  # what the menu is about is named below
        pane.browser.line.set_text("")
    assert asked == [3, 3]


def test_that_the_lasso_page_offers_to_curate_what_is_selected(kit: Kit) -> None:
    page = LassoPage()
    asked: list[bool] = []
    page.curate_asked.connect(lambda: asked.append(True))
    assert not page.curate_button.isEnabled()
    page.show_selected(Selected(digits()[0][:4], ("a",) * 4, 4, (("cats", 4),)))
    page.curate_button.click()
    assert asked == [True]
    page.deleteLater()
