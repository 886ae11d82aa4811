"""The Views pane, fed by an engine of paper: what it asks for and when, what it shows, and that a run is never changed by looking."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from PySide6.QtCore import Qt, QTimer
from PySide6.QtGui import QGuiApplication
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QScrollArea
from pytestqt.qtbot import QtBot

from app.panes.views.formatting import pixels
from app.panes.views.pane import BATCH, IN_PAIRS, IN_ROWS, INVARIANCE, PUZZLE, QUEUE, SIMILARITY, ViewsPane
from engine import messages as m
from tests.kit.panes import ANSWERS, Kit, run_info
from tests.kit.paper_views import ANSWERS_OF_VIEWS, OTHER, PAPER, RUN, TRANSFORMS, paper_run


@pytest.fixture
def kit(qapp, monkeypatch: pytest.MonkeyPatch) -> Iterator[Kit]:
    for kind, answer in ANSWERS_OF_VIEWS.items():
        monkeypatch.setitem(ANSWERS, kind, answer)
    made = Kit()
    made.engine.puzzle, made.engine.notes = "rotation", ()  # type: ignore[attr-defined]
    made.state.methods = {**made.state.methods, "paper": PAPER}
    yield made
    made.end()


@pytest.fixture
def pane(kit: Kit) -> ViewsPane:
    made = kit.open(ViewsPane)
    assert isinstance(made, ViewsPane)
    kit.look_at(paper_run(), paper_run(OTHER))
    kit.pump()
    return made


def asked(kit: Kit) -> list[m.ShowBatch]:
    return kit.engine.of(m.ShowBatch)


def live(pane: ViewsPane) -> None:
    """Let the wait between two live checkpoints be over."""
    assert pane._live.isActive()
    pane._live.stop()
    pane.refresh()


# -- the batch ---------------------------------------------------------------------------------------------------------


def test_that_the_next_batch_of_the_checkpoint_is_asked_for_and_shown(kit: Kit, pane: ViewsPane) -> None:
    (query,) = asked(kit)
    assert (query.run, query.step, query.count, query.settings, query.pair) == (RUN, 1024, IN_ROWS, {}, None)
    assert pane.grid.batch is not None and len(pane.grid.batch.originals) == IN_ROWS
    assert "after step 1\u202f024: 16 of the 128 images, bit for bit" in pane.status.text
    assert "mirrored" in pane.grid.words(0, 0) and pane.grid.title(3) == "training image 3 · 3"


def test_that_a_run_on_grey_images_has_no_strengths_of_colour(kit: Kit, pane: ViewsPane) -> None:
    hue = m.FieldInfo("hue", "hue", "float", 0.1, "Colours are turned.", 0.0, 0.5, group="Augmentation", of_colour=True)
    kit.state.methods = {**kit.state.methods, "paper": replace(PAPER, fields=(*PAPER.fields, hue))}
    offered = []
    for shape in ((3, 8, 8), (1, 8, 8)):
        kit.look_at(replace(paper_run(), shape=shape), paper_run(OTHER))
        pane.refresh()
        offered.append({field.name for field in pane.settings.fields})
    assert offered[0] - offered[1] == {"hue"} and offered[1]


def test_that_a_note_of_the_engine_stands_above_the_batch(kit: Kit, pane: ViewsPane) -> None:
    kit.engine.notes = ("The batch is learned from in pieces; this is the first.",)  # type: ignore[attr-defined]
    kit.state.set_cursor(16)
    kit.pump()
    assert pane.status.text.endswith("in pieces; this is the first.")


def test_that_a_hidden_pane_asks_nothing_and_asks_once_when_it_is_seen(kit: Kit, pane: ViewsPane) -> None:
    pane.deactivate()
    kit.state.set_cursor(16)
    kit.pump()
    assert len(asked(kit)) == 1
    pane.activate()
    pane.refresh()
    kit.pump()
    assert [query.step for query in asked(kit)] == [1024, 16]


def test_that_live_checkpoints_are_followed_about_once_a_second_and_chosen_ones_at_once(kit: Kit, pane: ViewsPane) -> None:
    for step in (1030, 1040, 1050):
        kit.state.checkpoint_saved(RUN, step, True)
    kit.pump()
    assert len(asked(kit)) == 1
    live(pane)
    kit.pump()
    assert [query.step for query in asked(kit)] == [1024, 1050]
    kit.state.set_cursor(64)
    kit.pump()
    assert [query.step for query in asked(kit)] == [1024, 1050, 64]


def test_that_a_failure_is_said_and_the_next_step_asks_again(kit: Kit, pane: ViewsPane) -> None:
    kit.engine.answering = False
    kit.state.set_cursor(16)
    kit.engine.fail(kit.engine.open.popleft(), "digits is not what it was trained on; put the old files back.")
    kit.bridge.drain()
    assert pane.status.text.startswith("digits is not") and pane.status.level == "bad"
    kit.engine.answering = True
    pane.refresh()
    kit.pump()
    assert pane.status.level == "" and asked(kit)[-1].step == 16


@pytest.mark.parametrize(
    ("info", "words"),
    [
        (run_info(method="vae", title="VAE"), "VAE makes no views"),
        (run_info(RUN, method="paper", checkpoints=(), capabilities=("views",)), "No checkpoint yet"),
    ],
)
def test_that_a_run_that_cannot_be_looked_at_says_why(kit: Kit, info: m.RunInfo, words: str) -> None:
    pane = kit.open(ViewsPane)
    assert isinstance(pane, ViewsPane)
    kit.look_at(info)
    kit.pump()
    assert pane.stack.currentIndex() == 0 and pane.empty.title.text() == words and "hoose a run" in pane.empty.text.text()
    assert asked(kit) == []


# -- settings ----------------------------------------------------------------------------------------------------------


def test_that_only_the_settings_of_the_augmentation_are_offered(pane: ViewsPane) -> None:
    assert list(pane.settings.rows) == ["brightness", "flip"]


def test_that_a_strength_remakes_the_views_and_shows_what_it_does_to_the_similarity(kit: Kit, pane: ViewsPane) -> None:
    first = pane.grid.batch
    assert first is not None
    pane.settings.rows["flip"].switch.click()  # type: ignore[union-attr]
    kit.pump()
    assert asked(kit)[-1].settings == {"flip": 0.0}
    shown = pane.grid.batch
    assert shown is not None and shown.before is not None
    np.testing.assert_allclose(shown.before, first.cosines[:, 0, 1], atol=1e-6)
    assert "by these settings" in pane.status.text and "differ from the run’s" in pane.settings.note.text
    assert not [message for message in kit.engine.sent if isinstance(message, m.StartRun)]  # the run is as it was
    pane.settings.reset_button.click()
    kit.pump()
    assert asked(kit)[-1].settings == {} and "bit for bit" in pane.status.text


def test_that_a_dragged_slider_asks_one_question_at_a_time_and_the_last_position_counts(kit: Kit, pane: ViewsPane) -> None:
    kit.engine.answering = False
    for position in (100, 120, 140, 160):
        pane.settings.rows["brightness"].slider.setValue(position)
    assert len(kit.engine.open) == 1
    kit.engine.answering = True
    kit.pump()
    assert asked(kit)[-1].settings == {"brightness": 0.8} and len(asked(kit)) == 3


def test_that_settings_belong_to_their_run(kit: Kit, pane: ViewsPane) -> None:
    pane.settings.rows["brightness"].slider.setValue(200)
    kit.pump()
    kit.state.set_run(OTHER)
    kit.pump()
    assert asked(kit)[-1].settings == {} and pane.settings.settings() == {}
    kit.state.set_run(RUN)
    kit.pump()
    assert asked(kit)[-1].settings == {"brightness": 1.0} and pane.settings.rows["brightness"].figure.text() == "1"


def test_that_changed_settings_are_copied_for_the_verb_and_lead_to_the_form(kit: Kit, pane: ViewsPane) -> None:
    pane.settings.rows["brightness"].slider.setValue(200)
    pane.settings.copy_button.click()
    assert QGuiApplication.clipboard().text() == "--set brightness=1.0"
    proposed: list[tuple] = []
    kit.state.run_proposed.connect(lambda *what: proposed.append(what))
    pane.settings.new_button.click()
    info = kit.state.run_info
    assert info is not None
    assert proposed == [(info.method, info.data, {**info.changed, "brightness": 1.0})]


# -- similarity --------------------------------------------------------------------------------------------------------


def test_that_the_matrix_is_asked_for_more_images_when_its_page_is_seen(kit: Kit, pane: ViewsPane) -> None:
    pane.tabs.button(SIMILARITY).click()
    kit.pump()
    assert [query.count for query in asked(kit)] == [IN_ROWS, IN_PAIRS]
    assert pane.pairs.similar is not None and pane.pairs.similar.n == IN_PAIRS
    assert "The same image" in pane.pairs.summary.text and f"of {2 * IN_PAIRS}" in pane.pairs.summary.text
    assert "64 of the 128" in pane.status.text
    pane.tabs.button(BATCH).click()
    kit.pump()
    assert len(asked(kit)) == 2 and "16 of the 128" in pane.status.text


def test_that_the_chosen_image_has_its_pair_and_its_hardest_negatives_beside(kit: Kit, pane: ViewsPane) -> None:
    pane.show_page(SIMILARITY)
    kit.pump()
    chart, similar = pane.pairs.map, pane.pairs.similar
    assert similar is not None
    QTest.mouseClick(chart, Qt.MouseButton.LeftButton, pos=chart.cell(5, 70).center().toPoint())
    assert chart.chosen == (5, 70) and pane.pairs.pair_words.text == chart.said(5, 70)
    shown = similar.shown
    np.testing.assert_array_equal(_gray(pane.pairs.left.image), pixels(shown.views[0].x[5])[0])
    np.testing.assert_array_equal(_gray(pane.pairs.right.image), pixels(shown.views[1].x[6])[0])
    row = {c: float(similar.matrix[5, c]) for c in range(128) if c % 64 != 5}
    best = max(row, key=lambda c: row[c])
    assert pane.pairs.hardest.tips[0] == chart.said(5, best) and pane.pairs.figures[0].text() == f"{row[best]:.2f}"
    pane.pairs.hardest.picked.emit(0)
    assert chart.chosen[0] == 5 and similar.matrix[chart.chosen] == pytest.approx(row[best])


def _gray(image: Any) -> np.ndarray:
    return np.array([[image.pixelColor(x, y).red() for x in range(image.width())] for y in range(image.height())])


def test_that_another_pair_is_asked_for_and_kept(kit: Kit, pane: ViewsPane) -> None:
    pane.show_page(SIMILARITY)
    kit.pump()
    pane.pairs.a.setCurrentIndex(1)
    pane.pairs.a.activated.emit(1)
    kit.pump()
    assert asked(kit)[-1].pair == (1, 1)
    kit.state.set_cursor(16)
    kit.pump()
    assert asked(kit)[-1].pair == (1, 1) and asked(kit)[-1].step == 16


def test_that_an_image_chosen_in_the_batch_is_the_row_of_the_matrix(kit: Kit, pane: ViewsPane) -> None:
    pane.grid.setFocus()
    QTest.keyClick(pane.grid, Qt.Key.Key_Down)
    QTest.keyClick(pane.grid, Qt.Key.Key_Down)
    pane.show_page(SIMILARITY)
    kit.pump()
    assert pane.pairs.map.chosen == (2, 2 + IN_PAIRS)


# -- invariance --------------------------------------------------------------------------------------------------------


def test_that_one_curve_after_the_other_is_asked_for(kit: Kit, pane: ViewsPane) -> None:
    pane.show_page(INVARIANCE)
    kit.pump()
    assert [query.transform for query in kit.engine.of(m.MeasureInvariance)] == ["", "blur", "flip"]
    assert list(pane.curves.curves) == list(TRANSFORMS)
    assert "Other images have 0.20" in pane.curves.said.text


def test_that_a_dropped_image_is_measured(kit: Kit, pane: ViewsPane, tmp_path) -> None:
    path = tmp_path / "photo.png"
    Image.fromarray(np.zeros((40, 60), np.uint8)).save(path)
    assert pane.accept_image(str(path))
    kit.pump()
    assert pane.page == INVARIANCE
    assert {query.picture.path for query in kit.engine.of(m.MeasureInvariance)} == {str(path)}
    assert pane.curves.said.text.startswith("photo.png. Scaled from 40×60.")
    np.testing.assert_array_equal(_gray(pane.curves.picture.image), np.full((8, 8), 9))


def test_that_curves_of_a_former_step_are_neither_drawn_nor_asked_for_any_more(kit: Kit, pane: ViewsPane) -> None:
    kit.engine.answering = False
    pane.show_page(INVARIANCE)
    kit.state.set_cursor(16)
    kit.engine.answering = True
    kit.pump()
    steps = [(query.step, query.transform) for query in kit.engine.of(m.MeasureInvariance)]
    assert steps == [(1024, ""), (16, ""), (16, "blur"), (16, "flip")]
    assert {curve.step for curve in pane.curves.curves.values()} == {16}


def test_that_features_and_another_test_image_can_be_measured(kit: Kit, pane: ViewsPane) -> None:
    pane.show_page(INVARIANCE)
    kit.pump()
    pane.curves.by.setCurrentText("features")
    pane.curves.by.activated.emit(1)
    kit.pump()
    pane.curves.another_asked.emit()
    kit.pump()
    last = kit.engine.of(m.MeasureInvariance)[-1]
    assert (last.by, last.picture.index, last.transform) == ("features", 1, "flip")


# -- puzzles and queue -------------------------------------------------------------------------------------------------


def test_that_pages_which_a_method_has_not_are_not_offered(kit: Kit, pane: ViewsPane) -> None:
    assert not pane.tabs.button(PUZZLE).isHidden() and not pane.tabs.button(QUEUE).isHidden()
    kit.engine.puzzle = ""  # type: ignore[attr-defined]
    pane.show_page(QUEUE)
    kit.pump()
    kit.state.set_run(OTHER)
    kit.pump()
    assert pane.tabs.button(PUZZLE).isHidden() and pane.tabs.button(QUEUE).isHidden() and pane.page == BATCH
    kit.state.set_run(RUN)
    kit.pump()
    assert pane.page == QUEUE  # where the user was


def test_that_the_score_is_kept_for_each_run(kit: Kit, pane: ViewsPane) -> None:
    pane.show_page(PUZZLE)
    kit.pump()
    for turns in (0, 3, 2):  # puzzles 0, 1, 2 are turned by their own number
        pane.puzzle.turn.answer(turns)
        pane.puzzle.next_button.click()
        kit.pump()
    assert pane.puzzle.score_label.text() == "You 2 of 3, the model 3 of 3"
    assert [query.number for query in kit.engine.of(m.PosePuzzle)] == [0, 1, 2, 3]
    kit.state.set_run(OTHER)
    kit.pump()
    assert pane.puzzle.score_label.text() == "Nothing played yet"
    kit.state.set_run(RUN)
    kit.pump()
    assert pane.puzzle.score_label.text() == "You 2 of 3, the model 3 of 3" and pane.puzzle.turn.posed.number == 3  # type: ignore[union-attr]


def test_that_a_live_checkpoint_leaves_the_puzzle_alone_and_a_chosen_one_asks_the_same(kit: Kit, pane: ViewsPane) -> None:
    pane.show_page(PUZZLE)
    kit.pump()
    kit.state.checkpoint_saved(RUN, 1050, True)
    live(pane)
    kit.pump()
    assert len(kit.engine.of(m.PosePuzzle)) == 1
    pane.puzzle.turn.answer(2)
    kit.state.set_cursor(16)
    kit.pump()
    again = kit.engine.of(m.PosePuzzle)[-1]
    assert (again.step, again.number) == (16, 0) and pane.puzzle.turn.yours == 2 and pane.puzzle.score.played == 1


def test_that_a_hidden_part_is_filled_by_the_checkpoint_at_the_cursor(kit: Kit, pane: ViewsPane) -> None:
    kit.engine.puzzle = "mask"  # type: ignore[attr-defined]
    kit.state.set_cursor(16)
    pane.show_page(PUZZLE)
    kit.pump()
    pane.puzzle.fill.middle_button.click()
    pane.puzzle.fill.fill_button.click()
    kit.pump()
    (query,) = kit.engine.of(m.FillMask)
    assert (query.step, query.index, int(query.hidden.sum())) == (16, 0, 16)
    assert pane.puzzle.score_label.text() == "Off by 30.0 of 255 on average over 1 picture, the mean colour by 60.0"


def test_that_the_queue_is_shown_where_there_is_one(kit: Kit, pane: ViewsPane) -> None:
    pane.tabs.button(QUEUE).click()
    kit.pump()
    assert "32 keys" in pane.queue.said.text and pane.queue.chart.counts.tolist() == [8, 8, 8, 8]


# -- files -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", [BATCH, SIMILARITY, INVARIANCE, PUZZLE, QUEUE])
def test_that_every_page_is_saved_as_picture_and_numbers(kit: Kit, pane: ViewsPane, tmp_path, page: int) -> None:
    pane.settings.rows["brightness"].slider.setValue(200)
    pane.show_page(page)
    kit.pump()
    pane.exports.save("png", str(tmp_path / "page.png"))
    pane.exports.save("csv", str(tmp_path / "page.csv"))
    with Image.open(tmp_path / "page.png") as image:
        assert image.width > 100 and image.text["run"] == "paper-digits"  # type: ignore[attr-defined]
        assert json.loads(image.text["settings"]) == {"brightness": 1.0}  # type: ignore[attr-defined]
    lines = (tmp_path / "page.csv").read_text().splitlines()
    assert "# step: 1024" in lines
    table = list(csv.reader(line for line in lines if not line.startswith("#")))
    assert len(table) > 1 and all(len(row) == len(table[0]) for row in table)
    if page == BATCH:
        assert float(table[1][2]) == pytest.approx(float(pane.grid.batch.cosines[0, 0, 1]), abs=1e-5)  # type: ignore[union-attr]


def test_that_a_file_that_cannot_be_written_is_a_sentence(kit: Kit, pane: ViewsPane, tmp_path) -> None:
    pane.exports.save("csv", str(tmp_path / "missing" / "page.csv"))
    assert "could not be written" in pane.status.text and pane.status.level == "bad"


def test_that_closing_in_the_middle_leaves_nothing_awaited(kit: Kit, pane: ViewsPane) -> None:
    kit.engine.answering = False
    pane.show_page(INVARIANCE)
    kit.state.checkpoint_saved(RUN, 1050, True)
    pane.deactivate()
    assert not kit.bridge._waiting and not [timer for timer in pane.findChildren(QTimer) if timer.isActive()]
    kit.engine.answering = True
    pane.activate()
    kit.pump()
    assert list(pane.curves.curves) == list(TRANSFORMS)


def test_that_a_run_without_a_method_known_yet_is_shown_all_the_same(kit: Kit) -> None:
    kit.state.methods = {}
    pane = kit.open(ViewsPane)
    assert isinstance(pane, ViewsPane)
    kit.look_at(replace(paper_run(), config={}))
    kit.pump()
    assert pane.grid.batch is not None and pane.settings.rows == {}


# -- a small window ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("page", "scrolls"), [(BATCH, 0), (SIMILARITY, 0), (INVARIANCE, 70), (PUZZLE, 120), (QUEUE, 0)])
def test_that_a_page_shrinks_with_the_window_before_it_scrolls(kit: Kit, qtbot: QtBot, page: int, scrolls: int) -> None:
    """In a window of 960×560 the pane has 908×354 pixels; a page that nobody sees makes it no higher."""
    area = QScrollArea()
    qtbot.addWidget(area)
    area.setWidgetResizable(True)
    area.setFrameShape(QScrollArea.Shape.NoFrame)
    pane = kit.open(ViewsPane)
    area.setWidget(pane)
    area.resize(908, 354)
    area.show()
    kit.look_at(paper_run())
    kit.pump()
    assert isinstance(pane, ViewsPane)
    pane.show_page(page)
    kit.pump()
    qtbot.waitUntil(lambda: area.verticalScrollBar().maximum() <= scrolls)
    assert area.horizontalScrollBar().maximum() == 0
    area.takeWidget()
