"""The Likelihood pane, fed with answers of a paper engine: what it asks, what it draws, what it says and what it writes."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest
from sklearn.metrics import roc_auc_score, roc_curve

from app.panes.likelihood.pane import LikelihoodPane
from app.panes.likelihood.presenter import LikelihoodPresenter
from app.shell.formatting import count
from engine import messages as m
from tests.kit.panes import (
    ANSWERS,
    DETECTORS,
    KNOWN,
    OTHER,
    PLAIN,
    RUN,
    STRANGE,
    WEIGHTS,
    Kit,
    _known,
    digits,
    paper_image,
    paper_scores,
    run_info,
)

SETS = (
    m.DataInfo("digits", "digits", "images", "1 797", True),
    m.DataInfo("shapes", "shapes", "images", "10 000", True),
    m.DataInfo("pydoc-text", "pydoc-text", "text", "bytes", True),
)


@pytest.fixture
def kit(qapp) -> Iterator[Kit]:
    made = Kit()
    made.state.set_data(SETS)
    yield made
    made.end()


@pytest.fixture
def pane(kit: Kit) -> LikelihoodPane:
    made = kit.open(LikelihoodPane)
    assert isinstance(made, LikelihoodPane)
    kit.look_at(run_info(), run_info(OTHER))
    rest(kit, made)
    return made


def rest(kit: Kit, pane: LikelihoodPane) -> None:
    """What the timers would do by and by."""
    if pane._settling.isActive():
        pane._settle()
    kit.pump()
    pane.draw()
    kit.pump()


def texts(pane: LikelihoodPane, row: int) -> list[str]:
    model = pane.page.table.model_
    return [model.data(model.index(row, column)) for column in range(model.columnCount())]


def listed(pane: LikelihoodPane) -> list[tuple[str, str]]:
    model = pane.page.list.model_
    return [(model.data(model.index(row, 0)), model.data(model.index(row, 1))) for row in range(model.rowCount())]


def p_of(score: float, detector: str) -> float:
    return (1 + sum(1 for other in _known(RUN)[detector] if other >= score)) / (KNOWN + 1)


# -- what is asked -------------------------------------------------------------------------------------------------------


def test_that_held_out_images_are_scored_once_before_any_image_is_scored(kit: Kit, pane: LikelihoodPane) -> None:
    assert [work.runs for work in kit.engine.of(m.Calibrate)] == [((RUN, 1024),)]
    assert not kit.engine.of(m.ScoreImages)
    pane.accept_images(["/home/me/seven.png", "/home/me/boot.png"])
    rest(kit, pane)
    (work,) = kit.engine.of(m.ScoreImages)
    assert [picture.path for picture in work.pictures] == ["/home/me/seven.png", "/home/me/boot.png"]
    assert len(kit.engine.of(m.Calibrate)) == 1
    pane.accept_image("/home/me/three.png")
    rest(kit, pane)
    assert [picture.label for picture in kit.engine.of(m.ScoreImages)[-1].pictures] == ["three.png"]


def test_that_a_hidden_pane_asks_nothing(kit: Kit, pane: LikelihoodPane) -> None:
    pane.deactivate()
    kit.engine.sent.clear()
    kit.state.set_cursor(4)
    kit.state.set_run(OTHER)
    pane.accept_image("/home/me/seven.png")
    pane.set_compare("shapes")
    kit.pump()
    assert not [sent for sent in kit.engine.sent if not isinstance(sent, m.StopJob)]
    pane.activate()
    rest(kit, pane)
    assert [work.runs for work in kit.engine.of(m.Calibrate)] == [((OTHER, 1024),)]
    assert [picture.label for picture in kit.engine.of(m.ScoreImages)[0].pictures] == ["seven.png"]
    assert len(kit.engine.of(m.ScoreData)) == 1


def test_that_the_time_cursor_asks_everything_again_once_it_rests(kit: Kit, pane: LikelihoodPane) -> None:
    pane.accept_image("/home/me/seven.png")
    pane.set_compare("shapes")
    rest(kit, pane)
    kit.engine.sent.clear()
    for step in (4, 8, 64):
        kit.state.set_cursor(step)
        assert "…" in texts(pane, 0) and "70 %" not in texts(pane, 0)  # nothing of the old step is left standing
    assert not [sent for sent in kit.engine.sent if not isinstance(sent, m.StopJob)]
    rest(kit, pane)
    assert [work.runs for work in kit.engine.of(m.Calibrate)] == [((RUN, 64),)]
    assert [work.step for work in kit.engine.of(m.ScoreData)] == [64]
    assert [query.step for query in kit.engine.of(m.InspectImage)] == [64]
    assert len(kit.engine.of(m.ScoreImages)) == 1


def test_that_scores_of_a_run_do_not_become_those_of_another_one_in_its_folder(kit: Kit, pane: LikelihoodPane) -> None:
    begun = replace(run_info(), created=100.0)
    kit.look_at(begun)
    kit.pump()
    pane._settle()
    asked = len(kit.engine.of(m.Calibrate))
    kit.state.set_runs((replace(begun, created=200.0),), "/runs")
    assert pane.controller.wanted == ()
    pane._settle()
    kit.pump()
    assert len(kit.engine.of(m.Calibrate)) == asked + 1


def test_that_a_training_does_not_begin_the_scores_anew_with_every_checkpoint(kit: Kit, pane: LikelihoodPane, monkeypatch) -> None:
    clock = [time.monotonic() + 100]
    monkeypatch.setattr("app.shell.job_controller.monotonic", lambda: clock[0])
    kit.engine.answering = False
    kit.state.checkpoint_saved(RUN, 1500, True)  # finds the pane at rest
    rest(kit, pane)
    (slow,) = kit.engine.of(m.Calibrate)[1:]
    assert slow.runs == ((RUN, 1500),)
    for step in (1600, 1700):  # while it is under way
        clock[0] += 30
        kit.state.checkpoint_saved(RUN, step, True)
        rest(kit, pane)
    assert kit.engine.of(m.Calibrate)[-1] is slow and slow.job not in {sent.job for sent in kit.engine.of(m.StopJob)}
    assert f"STEP {count(1500)}" in pane.page.table_heading.text()
    kit.engine.answering = True
    kit.engine.reply(slow)
    kit.bridge.drain()
    assert pane.controller.patience() == pytest.approx(60)  # as long as it took
    assert pane._resting.isActive() and 59_000 < pane._resting.interval() < 61_000
    clock[0] += 61
    pane._settle()  # what the timer does
    rest(kit, pane)
    assert kit.engine.of(m.Calibrate)[-1].runs == ((RUN, 1700),)
    clock[0] += 10  # a rest is over; now with an image, whose judging is short
    kit.engine.answering = False
    kit.state.checkpoint_saved(RUN, 1800, True)
    rest(kit, pane)
    pane.accept_image("/home/me/seven.png")
    for _ in range(3):  # held-out images, then the image, then whatever is still asked
        for work in [open_ for open_ in kit.engine.open if isinstance(open_, m.Work)]:
            clock[0] += 30 if isinstance(work, m.Calibrate) else 1
            kit.engine.open.remove(work)
            kit.engine.reply(work)
        kit.bridge.drain()
    assert not pane.controller.jobs and 25 < pane.controller.patience() <= 32, "all of it counts, not the last part alone"
    clock[0] += 20
    pane.accept_image("/home/me/boot.png")
    for work in [open_ for open_ in kit.engine.open if isinstance(open_, m.ScoreImages)]:
        kit.engine.open.remove(work)
        kit.engine.reply(work)
    kit.bridge.drain()
    assert pane.controller.patience() <= 12, "an image more does not make the rest longer"
    kit.engine.answering = True
    kit.state.set_cursor(64)  # by hand: at once
    rest(kit, pane)
    assert kit.engine.of(m.Calibrate)[-1].runs == ((RUN, 64),)
    kit.state.set_cursor(None)  # and back
    rest(kit, pane)
    assert kit.engine.of(m.Calibrate)[-1].runs == ((RUN, 1800),)


def test_that_the_last_step_is_scored_as_soon_as_the_training_has_ended(kit: Kit, pane: LikelihoodPane) -> None:
    kit.engine.answering = False
    kit.state.checkpoint_saved(RUN, 1500, True)
    rest(kit, pane)
    kit.state.checkpoint_saved(RUN, 1700, True)
    rest(kit, pane)
    (slow,) = kit.engine.of(m.Calibrate)[1:]
    assert slow.runs == ((RUN, 1500),)
    assert f"AT STEP {count(1500)} (THE CURSOR IS AT {count(1700)})" in pane.page.table_heading.text()
    kit.state.set_runs((replace(kit.state.runs[RUN], status="done"),), "/runs")
    rest(kit, pane)
    assert slow.job in {sent.job for sent in kit.engine.of(m.StopJob)}
    assert kit.engine.of(m.Calibrate)[-1].runs == ((RUN, 1700),)
    assert f"AT STEP {count(1700)}" in pane.page.table_heading.text() and "CURSOR" not in pane.page.table_heading.text()


def test_that_what_was_stopped_by_hand_stays_stopped_when_the_training_ends_and_says_of_which_step_it_is(
    kit: Kit, pane: LikelihoodPane
) -> None:
    kit.engine.answering = False
    kit.state.checkpoint_saved(RUN, 1500, True)
    rest(kit, pane)
    pane.controller.stop()
    asked = len(kit.engine.of(m.Calibrate))
    kit.state.checkpoint_saved(RUN, 1700, True)
    kit.state.set_runs((replace(kit.state.runs[RUN], status="done"),), "/runs")
    rest(kit, pane)
    assert len(kit.engine.of(m.Calibrate)) == asked
    assert f"AT STEP {count(1500)} (THE CURSOR IS AT {count(1700)})" in pane.page.table_heading.text()


def test_that_stop_also_holds_for_the_checkpoints_to_come(kit: Kit, pane: LikelihoodPane) -> None:
    kit.engine.answering = False
    kit.engine.open.clear()
    pane.accept_image("/home/me/seven.png")
    pane.controller.stop()
    asked = len(kit.engine.of(m.Calibrate))
    kit.state.checkpoint_saved(RUN, 1500, True)
    rest(kit, pane)
    assert len(kit.engine.of(m.Calibrate)) == asked
    pane.accept_image("/home/me/boot.png")
    assert len(kit.engine.of(m.ScoreImages)) == 2
    pane.controller.stop()
    pane.set_compare("shapes")
    assert kit.engine.of(m.ScoreData) and pane.controller._stopped is False


def test_that_neighbours_that_were_not_ready_are_asked_for_again_once_they_can_be(kit: Kit, pane: LikelihoodPane, monkeypatch) -> None:
    honest = ANSWERS[m.InspectImage]
    none = {"nearest": np.zeros((0, 1, 8, 8), np.uint8), "nearest_labels": (), "nearest_missing": "They follow."}
    monkeypatch.setitem(ANSWERS, m.InspectImage, lambda engine, query: replace(honest(engine, query), **none))
    pane.accept_image("/home/me/seven.png")
    rest(kit, pane)
    assert pane.page.closer.near_line.text == "They follow."
    monkeypatch.setitem(ANSWERS, m.InspectImage, honest)
    pane.controller.calibrated.emit()
    rest(kit, pane)
    assert pane.page.closer.near_line.text == "Nearest training images, by features"
    asked = len(kit.engine.of(m.InspectImage))
    pane.controller.calibrated.emit()
    rest(kit, pane)
    assert len(kit.engine.of(m.InspectImage)) == asked


def test_that_late_answers_of_another_step_are_dropped(kit: Kit, pane: LikelihoodPane) -> None:
    kit.engine.answering = False
    pane.accept_image("/home/me/seven.png")
    late = list(kit.engine.open)
    kit.engine.open.clear()
    kit.state.set_cursor(8)
    for work in late:
        kit.engine.reply(work)
    kit.bridge.drain()
    pane.draw()
    assert pane.selection.image is not None and not pane.selection.image.scores
    assert pane.inspection.result is None
    assert {sent.job for sent in kit.engine.of(m.StopJob)} >= {work.job for work in late if isinstance(work, m.Work)}


def test_that_a_run_that_can_neither_of_the_three_says_why(kit: Kit) -> None:
    pane = kit.open(LikelihoodPane)
    assert isinstance(pane, LikelihoodPane)
    assert pane.empty.title.text() == "No run chosen"
    kit.state.methods["pca"] = m.MethodInfo("pca", "PCA", "", "none", "none", False, ("decode",), "", "", "", ())
    kit.state.methods["text"] = m.MethodInfo("text", "Text net", "", "exact", "iterative", False, ("log_prob",), "", "", "", (), "text")
    kit.look_at(run_info(method="pca"))
    assert "neither p(x) nor classes nor features" in pane.empty.text.text()
    kit.look_at(run_info("/runs/t", method="text"))
    assert "reads text" in pane.empty.title.text() and "trained on images" in pane.empty.text.text()
    kit.look_at(run_info("/runs/r", method="rotation"))  # it encodes
    rest(kit, pane)
    assert pane.stack.currentIndex() == 1 and len(kit.engine.of(m.Calibrate)) == 1
    assert not pane.controller.images.uncalibrated()


def test_that_a_run_that_cannot_be_calibrated_says_why_and_is_not_asked_again_and_again(kit: Kit, pane: LikelihoodPane) -> None:
    kit.engine.answering = False
    kit.engine.open.clear()
    kit.state.set_cursor(16)
    pane._settle()
    work = kit.engine.of(m.Calibrate)[-1]
    kit.engine.events.append(m.Ended(work.job, "failed", "digits is not what it was trained on."))
    kit.engine.open.clear()
    kit.bridge.drain()
    assert pane.page.status.text == "digits is not what it was trained on." and pane.page.status.level == "bad"
    before = len(kit.engine.of(m.Calibrate))
    pane.accept_image("/home/me/seven.png")
    assert len(kit.engine.of(m.Calibrate)) == before
    kit.state.set_cursor(32)
    pane._settle()
    assert len(kit.engine.of(m.Calibrate)) == before + 1


# -- the table -----------------------------------------------------------------------------------------------------------


def test_that_the_table_says_value_unit_density_p_value_and_verdict(kit: Kit, pane: LikelihoodPane) -> None:
    pane.accept_image("/home/me/seven.png")
    rest(kit, pane)
    image = paper_image(m.PictureRef("seven.png", "/home/me/seven.png"))
    score = float(paper_scores(image[None], RUN)["brightness"][0])
    name, density, value, p, area, verdict = texts(pane, 0)
    assert (name, density, area) == ("brightness", "exact", "")
    assert value == f"−{score:.2f} nat ↑"
    assert float(p.removeprefix("≤ ").split("\u202f")[0]) == pytest.approx(100 * p_of(score, "brightness"), abs=0.5)
    assert verdict in ("not unusual", "unusual, p ≤ 5 %", "unusual, p ≤ 1 %")
    assert texts(pane, 1)[2].endswith("b/dim ↑")


def test_that_a_missing_score_is_greyed_with_its_reason_and_one_click_builds_it(kit: Kit, pane: LikelihoodPane) -> None:
    model = pane.page.table.model_
    assert texts(pane, 2)[2] == DETECTORS[2].missing
    assert model.data(model.index(2, 0), Qt.ItemDataRole.ForegroundRole).name() == model.c.muted
    made = pane.page.table.remedy_button("ratio")
    QTest.mouseClick(made, Qt.MouseButton.LeftButton)
    (work,) = kit.engine.of(m.BuildBackground)
    assert work.run == RUN
    rest(kit, pane)
    made = pane.page.table.remedy_button("ratio")
    assert made.text() == "Building…" and not made.isEnabled()
    before = len(kit.engine.of(m.Calibrate))
    kit.engine.events.append(m.Ended(work.job, "ok", "Trained 300 steps."))
    rest(kit, pane)
    assert len(kit.engine.of(m.Calibrate)) == before + 1
    assert pane.page.table.remedy_button("ratio").text() == "Build it"


def test_that_other_runs_score_in_the_same_table(kit: Kit, pane: LikelihoodPane) -> None:
    pane.accept_image("/home/me/seven.png")
    rest(kit, pane)
    pane.runs.fill_menu(pane.page.runs_menu)
    (action,) = pane.page.runs_menu.actions()
    action.trigger()
    rest(kit, pane)
    assert pane.runs.current() == ((RUN, 1024), (OTHER, 1024))
    assert kit.engine.of(m.ScoreImages)[-1].runs == ((RUN, 1024), (OTHER, 1024))
    names = [texts(pane, row)[0] for row in range(8)]
    assert names[0] == "VAE · vae-digits · step 1\u202f024" and names[4] == "VAE · vae-digits-2 · step 1\u202f024"
    assert names[1:4] == names[5:8] == [info.title for info in DETECTORS]
    assert texts(pane, 1)[2] != texts(pane, 5)[2]
    pane.page.table.selectRow(6)
    assert pane.selection.detector == (OTHER, "roughness")
    rest(kit, pane)
    assert kit.engine.of(m.InspectImage)[-1].run == OTHER
    pane.runs.fill_menu(pane.page.runs_menu)
    pane.page.runs_menu.actions()[0].trigger()
    rest(kit, pane)
    assert [texts(pane, row)[0] for row in range(pane.page.table.model_.rowCount())] == [info.title for info in DETECTORS]
    assert pane.selection.detector == (RUN, "roughness")


def test_that_every_run_gets_its_auroc_and_one_that_says_nothing_is_asked_once(kit: Kit, pane: LikelihoodPane) -> None:
    pane.runs.set_added(OTHER, True)
    rest(kit, pane)
    pane.set_compare("shapes")
    rest(kit, pane)
    assert [work.run for work in kit.engine.of(m.ScoreData)] == [RUN, OTHER]
    column = [texts(pane, row)[4] for row in range(8)]
    assert all(column[row] for row in (1, 2, 5, 6)), column
    kit.engine.answering = False
    pane.set_compare("digits")
    for _ in range(3):
        if "compare" in pane.controller.jobs:
            kit.engine.events.append(m.Ended(pane.controller.jobs["compare"], "ok", ""))
        kit.bridge.drain()
    assert len(kit.engine.of(m.ScoreData)) == 3 and "compare" not in pane.controller.jobs


def test_that_one_click_trains_the_other_seeds_that_an_ensemble_lacks(kit: Kit, pane: LikelihoodPane) -> None:
    calibrated = pane.images.detectors[RUN]
    pane.images.detectors[RUN] = tuple(replace(info, remedy="repeat") if info.missing else info for info in calibrated)
    pane.page.table.set_rows([], ("", ""), False)
    pane.draw()
    made = pane.page.table.remedy_button("ratio")
    assert made.text() == "Repeat ×3"
    QTest.mouseClick(made, Qt.MouseButton.LeftButton)
    assert kit.triggered == ["run.repeat"] and not kit.engine.of(m.BuildBackground)


# -- the image up close ----------------------------------------------------------------------------------------------------


def test_that_bits_reconstruction_nearest_images_and_notes_are_drawn(kit: Kit, pane: LikelihoodPane) -> None:
    pane.accept_image("/home/me/seven.png")
    rest(kit, pane)
    page = pane.page
    seen = paper_image(m.PictureRef("seven.png", "/home/me/seven.png"))
    assert page.drop_card.caption.text() == "seven.png"
    heat = page.drop_card.heat
    assert heat.bits is not None and heat.image is not None
    np.testing.assert_array_equal(heat.bits, seen[0] / np.float32(32))
    bright, dark = np.unravel_index(heat.bits.argmax(), (8, 8)), np.unravel_index(heat.bits.argmin(), (8, 8))
    assert heat.image.pixelColor(int(bright[1]), int(bright[0])).name() == "#fde725"  # viridis ends in yellow
    assert heat.image.pixelColor(int(dark[1]), int(dark[0])).name() == "#440154"
    assert page.drop_card.legend.high == pytest.approx(float(heat.bits.max()))
    assert page.drop_card.size_line.text == f"PNG file 141 bytes · raw 64\nmodel {heat.bits.mean():.2f} bit/pixel"
    assert page.closer.rebuilt.image is not None and page.closer.difference.image is not None
    assert page.closer.captions[1].text() == "reconstruction\nmean of p(x|z)"
    assert len(page.closer.near.images) == 6 and "features" in page.closer.near_line.text
    assert page.closer.near.tips[0] == "0 · distance 0.1000"
    assert page.closer.notes.text == "Scaled from 96×96."
    assert heat.at(heat.rect().center() + QPoint(3, 3)) == (4, 4) and heat.at(QPoint(-5, 3)) is None


def test_that_an_unreadable_file_is_listed_with_its_reason_and_the_others_are_scored(kit: Kit, pane: LikelihoodPane) -> None:
    pane.accept_images(["/p/broken.jpg", "/p/seven.png", "/p/broken.png"])
    rest(kit, pane)
    names = dict(listed(pane))
    assert names["broken.jpg"] == names["broken.png"] == "unreadable" and names["seven.png"].endswith("%")
    assert pane.page.status.text == "broken.jpg: It is cut off. Save it again." and pane.page.status.level == "warning"
    assert texts(pane, 0)[2] == "" and pane.page.drop_card.heat.image is None
    pane.page.list.selectRow(1)
    rest(kit, pane)
    assert pane.selection.image is not None and pane.selection.image.label == "seven.png"
    assert pane.page.status.text == "1 image scored · 2 could not be read"
    model = pane.page.list.model_
    assert "It is cut off" in model.data(model.index(0, 0), Qt.ItemDataRole.ToolTipRole)


def test_that_a_picture_is_seen_or_refused_before_the_held_out_images_are_scored(kit: Kit) -> None:
    pane = kit.open(LikelihoodPane)
    assert isinstance(pane, LikelihoodPane)
    kit.engine.answering = False
    kit.look_at()
    pane._settle()
    pane.accept_images(["/home/me/broken.png", "/home/me/seven.png"])
    for _ in range(4):  # questions are answered between the pieces of a job
        for query in [one for one in kit.engine.open if isinstance(one, m.ReadPicture)]:
            kit.engine.open.remove(query)
            kit.engine.reply(query)
        kit.bridge.drain()
    assert any(isinstance(work, m.Calibrate) for work in kit.engine.open) and not kit.engine.of(m.ScoreImages)
    refused, seven = pane.images.entries
    pane.draw()
    assert pane.page.drop_card.original.hint == "It is cut off. Save it again." and listed(pane)[0][1] == "unreadable"
    assert seven.original is not None, "the one that nobody looks at was read, too"
    pane.choose(seven)
    shown = pane.page.drop_card.original.image
    assert shown is not None and shown.pixelColor(3, 3).red() == paper_image(seven.picture)[0, 3, 3]
    kit.engine.answering = True
    rest(kit, pane)
    assert [picture.label for work in kit.engine.of(m.ScoreImages) for picture in work.pictures] == ["seven.png"]
    assert seven.scores and refused.error


def test_that_the_list_says_the_combined_p_value_and_names_it(kit: Kit, pane: LikelihoodPane) -> None:
    """Beside a combined verdict, the p-value of the one chosen score would be another one than what is judged."""
    pane.accept_images(["/p/seven.png"])
    rest(kit, pane)
    entry, model = pane.images.entries[0], pane.page.list.model_
    run, detector = pane.selection.detector
    entry.combined[run] = m.CombinedScore(run, 0.034, "warning", "unusual by all scores together", 0.002, 2, 500, 500)
    entry.scores[run][detector] = replace(entry.scores[run][detector], p_value=0.5, level="plain")
    assert listed(pane) == [("seven.png", "3.4\u202f%")]
    assert model.data(model.index(0, 1), Qt.ItemDataRole.ForegroundRole).name() == model.c.warning_text
    head = pane.page.list.horizontalHeader()
    assert not head.isHidden() and [model.headerData(i, Qt.Orientation.Horizontal) for i in (0, 1)] == ["Image", "p (Holm)"]
    tip = model.data(model.index(0, 1), Qt.ItemDataRole.ToolTipRole)
    assert "All 2 scores together (Holm): unusual by all scores together" in tip
    del entry.combined[run]
    assert listed(pane) == [("seven.png", "–")]


def test_that_hundreds_of_files_become_rows_as_they_come_and_are_drawn_a_few_times_only(
    kit: Kit, pane: LikelihoodPane, monkeypatch
) -> None:
    paths = [f"/many/{index:04d}.png" for index in range(700)]
    drawn = []
    monkeypatch.setattr(LikelihoodPresenter, "show_distribution", lambda self: drawn.append(1))
    pane.accept_images(paths)
    assert [row[1] for row in listed(pane)] == ["…"] * 700
    drawn.clear()
    for _ in range(6):
        kit.bridge.drain()  # at most 200 events each in the real engine; here all of a job
    assert len(drawn) <= 3
    pane.draw()
    rows = listed(pane)
    assert len(rows) == 700 and all(p.endswith("%") for _, p in rows)
    works = kit.engine.of(m.ScoreImages)
    assert [len(work.pictures) for work in works] == [256, 256, 188]
    pane.accept_images(paths)  # once more: nothing is taken twice
    rest(kit, pane)
    assert len(listed(pane)) == 700 and len(kit.engine.of(m.ScoreImages)) == 3


def test_that_test_images_of_the_run_are_taken(kit: Kit, pane: LikelihoodPane) -> None:
    pane.page.test_button.click()
    rest(kit, pane)
    pictures = kit.engine.of(m.ScoreImages)[-1].pictures
    assert len(pictures) == 16 and {picture.data for picture in pictures} == {"digits"}
    assert [picture.index for picture in pictures] == list(range(16))
    assert pictures[3].label == "digits, test image 3"


def test_that_clear_forgets_them_all(kit: Kit, pane: LikelihoodPane) -> None:
    pane.accept_images(["/a.png", "/b.png"])
    rest(kit, pane)
    pane.page.clear_button.click()
    rest(kit, pane)
    assert listed(pane) == [] and pane.selection.image is None
    assert pane.page.drop_card.original.image is None and "Drop" in pane.page.drop_card.caption.text()
    assert not pane.page.csv_button.isEnabled()
    assert len(pane.page.distribution.chart.strange) == 0


def test_that_what_goes_on_is_said_before_what_is_wrong_and_clear_forgets_both(kit: Kit, pane: LikelihoodPane) -> None:
    kit.engine.answering = False
    pane.accept_images(["/p/broken.jpg", "/p/seven.png"])
    job = pane.controller.jobs["score"]
    why = "It is cut off in the middle of its last row of blocks, so the lower half would be grey; save it again from where it came. " * 2
    kit.engine.events.append(m.ImageScored(job, "broken.jpg", "/p/broken.jpg", (), {}, None, (), error=why))
    kit.bridge.drain()
    pane.draw()
    assert pane.page.status.text == "Scoring: 1 image to go" and pane.page.stop_button.isVisible()
    pane.controller.stop()
    assert pane.page.status.text.endswith(why) and pane.page.status.level == "warning"
    status = pane.page.status
    box = status.fontMetrics().boundingRect(0, 0, status.width(), 1000, Qt.TextFlag.TextWordWrap, status.text)
    assert box.height() <= status.height()
    pane.page.clear_button.click()
    kit.bridge.drain()
    assert "cut off" not in pane.page.status.text and pane.page.status.level == "" and not pane.controller.jobs


def test_that_images_unusual_among_all_dropped_ones_are_marked_and_counted(kit: Kit, pane: LikelihoodPane) -> None:
    pane.accept_images([f"/p/{i}.png" for i in range(6)])
    rest(kit, pane)
    entries, run = pane.images.entries, pane.selection.detector[0]
    p = [0.009, 0.3, 0.016, 0.9, 0.026, 0.5]  # 0.016 · 6 / 2 is below 5 %, and so is all before it; 0.026 · 6 / 3 is not
    for entry, value in zip(entries, p, strict=True):
        entry.combined[run] = m.CombinedScore(run, value, "plain", "", 0.002, 1, 500, 500)
    pane.draw()
    assert pane.page.marks_line.text == "● 2 of 6 unusual at a false discovery rate of 5 %"
    assert [said.startswith("●") for _, said in listed(pane)] == [True, False, True, False, False, False]
    for entry, value in zip(entries, p, strict=True):
        entry.combined[run] = m.CombinedScore(run, value, "none", "", 0.08, 8, 99, 99)
    pane.draw()
    assert "Too few held-out images" in pane.page.marks_line.text


def test_that_a_data_set_that_is_dropped_is_compared_with(kit: Kit, pane: LikelihoodPane) -> None:
    assert pane.accept_data("/data/MNIST")
    kit.pump()
    (asked,) = kit.engine.of(m.ScoreData)
    assert asked.data == "/data/MNIST" and asked.run == RUN
    assert pane.page.distribution.compare.currentText() == "vs MNIST"
    assert listed(pane) == []


# -- distribution --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("detector", ["brightness", "roughness"])
def test_that_the_figures_of_a_compared_set_are_those_of_scikit_learn(kit: Kit, pane: LikelihoodPane, detector: str) -> None:
    pane.set_compare("shapes")
    pane.choose_detector(RUN, detector)
    rest(kit, pane)
    known = _known(RUN)[detector]
    strange = paper_scores(255 - digits()[0][:STRANGE], RUN)[detector]
    labels, scores = np.r_[np.zeros(KNOWN), np.ones(STRANGE)], np.r_[known, strange]
    area = roc_auc_score(labels, scores)
    false, true, _ = roc_curve(labels, scores, drop_intermediate=False)
    card = pane.page.distribution
    assert card.figures.text() == f"AUROC {area:.3f} · FPR@95 {100 * false[true >= 0.95].min():.1f}\u202f%"
    row = 0 if detector == "brightness" else 1
    assert texts(pane, row)[4] == f"{area:.3f}"
    assert not pane.page.table.isColumnHidden(4)
    if area < 0.48:
        assert "Below 0.5" in card.words.text and card.words.level == "warning"
    for place in (30.0, 80.0, 140.0):
        card.chart._move_to(place)
        at = card.chart.threshold
        tp, fp = (strange >= at).mean(), (known >= at).mean()
        assert card.rates_line.text == f"true positives {100 * tp:.1f}\u202f% · false positives {100 * fp:.1f}\u202f%"
        assert pane.selection.threshold() == at


def test_that_a_dragged_threshold_shows_the_images_that_flip(kit: Kit, pane: LikelihoodPane) -> None:
    pane.set_compare("shapes")
    rest(kit, pane)
    card, chart = pane.page.distribution, pane.page.distribution.chart
    pane.grab()  # lay it out
    strange = paper_scores(255 - digits()[0][:STRANGE], RUN)["brightness"]
    start = chart.threshold
    assert (np.asarray(_known(RUN)["brightness"]) >= start).mean() <= 0.05
    goal = float(np.sort(strange)[5]) + 0.01
    y = int(chart.plot().center().y())
    QTest.mousePress(chart, Qt.MouseButton.LeftButton, pos=QPoint(round(chart.to_x(start)), y))
    grabbed = chart.threshold
    for share in (0.3, 0.7, 1.0):
        QTest.mouseMove(chart, QPoint(round(chart.to_x(start + share * (goal - start))), y))
    QTest.mouseRelease(chart, Qt.MouseButton.LeftButton, pos=QPoint(round(chart.to_x(goal)), y))
    now = chart.threshold
    assert now == pytest.approx(goal, abs=2 * (chart.high - chart.low) / chart.plot().width())
    expected = {int(i) for i in np.flatnonzero((strange >= start) != (strange >= now))}
    assert abs(grabbed - start) < (chart.high - chart.low) / 50
    assert {int(i) for i in card.flips} == expected and len(card.strip.images) == len(expected) > 0
    assert card.flips_line.text.startswith(f"{len(expected)} image") and "called known now" in card.flips_line.text
    first = card.strip.images[0]
    np.testing.assert_array_equal(
        [first.pixelColor(x, 0).red() for x in range(8)], (255 - digits()[0][:STRANGE])[card.flips[0], 0, 0]
    )  # fmt: skip
    card.strip.picked.emit(0)
    rest(kit, pane)
    assert pane.selection.image is not None and pane.selection.image.picture.index == int(card.flips[0]) * 3


def test_that_the_threshold_moves_by_keyboard(kit: Kit, pane: LikelihoodPane) -> None:
    chart = pane.page.distribution.chart
    before = chart.threshold
    QTest.keyClick(chart, Qt.Key.Key_Left)
    assert chart.threshold == pytest.approx(before - (chart.high - chart.low) / 200)
    QTest.keyClick(chart, Qt.Key.Key_Right, Qt.KeyboardModifier.ShiftModifier)
    assert chart.threshold == pytest.approx(before + 9 * (chart.high - chart.low) / 200)
    QTest.keyClick(chart, Qt.Key.Key_Home)
    assert chart.threshold == chart.low
    assert "threshold" in chart.accessibleDescription()


def test_that_the_threshold_of_each_score_is_kept_until_the_step_changes(kit: Kit, pane: LikelihoodPane) -> None:
    first = pane.selection.threshold()
    pane.page.distribution.chart._move_to(first + 3)
    pane.choose_detector(RUN, "roughness")
    rest(kit, pane)
    pane.choose_detector(RUN, "brightness")
    rest(kit, pane)
    assert pane.page.distribution.chart.threshold == pytest.approx(first + 3)
    kit.state.set_cursor(64)
    rest(kit, pane)
    assert pane.page.distribution.chart.threshold == pytest.approx(first)


def test_that_this_image_is_marked_and_few_dropped_ones_are_not_made_into_a_histogram(kit: Kit, pane: LikelihoodPane) -> None:
    pane.accept_images(["/a/seven.png", "/a/boot.png"])
    rest(kit, pane)
    chart = pane.page.distribution.chart
    assert pane.selection.image is not None
    score = pane.selection.image.score(RUN, "brightness")
    assert score is not None and chart.mark == score.score
    assert len(chart.strange) == 2 and not chart.crowd
    assert "From 2 images only" in pane.page.distribution.words.text
    pane.page.test_button.click()
    pane.accept_images([f"/b/{i}.png" for i in range(12)])
    rest(kit, pane)
    assert chart.crowd and len(chart.strange) == 30


def test_that_only_image_sets_are_offered_and_another_one_can_be_opened(kit: Kit, pane: LikelihoodPane) -> None:
    box = pane.page.distribution.compare
    assert [box.itemText(i) for i in range(box.count())] == ["vs dropped images", "vs digits", "vs shapes", "vs other data…"]
    box.setCurrentIndex(3)
    box.activated.emit(3)
    assert kit.triggered == ["data.open"] and box.currentIndex() == 0
    box.setCurrentIndex(2)
    box.activated.emit(2)
    rest(kit, pane)
    assert [(work.data, work.step) for work in kit.engine.of(m.ScoreData)] == [("shapes", 1024)]
    assert pane.page.distribution.sides is not None and pane.page.distribution.sides.strange_name == "shapes · 120 test images"


# -- corruption ----------------------------------------------------------------------------------------------------------


def test_that_corruption_is_asked_when_it_is_seen_and_every_path_says_where_it_crosses(kit: Kit, pane: LikelihoodPane) -> None:
    pane.accept_image("/a/seven.png")
    rest(kit, pane)
    assert not kit.engine.of(m.Corrupt)
    pane.page.show_right(1)
    rest(kit, pane)
    (work,) = kit.engine.of(m.Corrupt)
    assert (work.kind, work.run, work.step) == ("blur", RUN, 1024)
    card = pane.page.corruption
    paths = {path.name: path for path in card.paths}
    assert set(paths) == {"brightness", "roughness"} and paths["brightness"].chosen
    assert len(paths["brightness"].p_values) == 11
    np.testing.assert_allclose(
        paths["brightness"].p_values[0], p_of(float(pane.selection.image.score(RUN, "brightness").score), "brightness")
    )  # type: ignore[union-attr]
    where = card.chart.crossing(paths["brightness"])
    assert where is not None and 0 < where < 1
    assert card.chart.said(paths["brightness"]) == f"below from {where:.2f}"
    card.slider.setValue(100)
    assert card.picture.image is not None and card.picture.image.pixelColor(3, 3).red() == 255
    assert "p-value 0.5\u202f% at strength 1.00" in card.line.text
    card.kind.setCurrentIndex(2)
    card.kind.activated.emit(2)
    rest(kit, pane)
    assert kit.engine.of(m.Corrupt)[-1].kind == "brightness"
    pane.page.show_right(0)
    pane.accept_image("/a/boot.png")
    rest(kit, pane)
    assert len(kit.engine.of(m.Corrupt)) == 2


# -- files ---------------------------------------------------------------------------------------------------------------


def test_that_the_csv_holds_every_value_with_run_step_and_weights(kit: Kit, pane: LikelihoodPane, tmp_path) -> None:
    pane.accept_images(["/a/seven, or so.png", "/a/broken.jpg"])
    pane.runs.set_added(OTHER, True)
    rest(kit, pane)
    path = tmp_path / "scores.csv"
    pane.exports.save_scores(str(path))
    lines = path.read_text(encoding="utf-8").splitlines()
    assert any(line.startswith("# weights_sha256:") and WEIGHTS in line for line in lines)
    rows = list(csv.DictReader(io.StringIO("\n".join(line for line in lines if not line.startswith("#")))))
    assert [(row["file"], row["run"], row["step"]) for row in rows] == [
        ("/a/seven, or so.png", "vae-digits", "1024"),
        ("/a/seven, or so.png", "vae-digits-2", "1024"),
        ("/a/broken.jpg", "vae-digits", "1024"),
    ]
    assert all(row["weights_sha256"] == WEIGHTS for row in rows)
    for row, run in zip(rows[:2], (RUN, OTHER), strict=True):
        for name, unit in (("brightness", "nat"), ("roughness", "bits/dim")):
            score = pane.images.entries[0].score(run, name)
            assert score is not None
            assert float(row[f"{name} [{unit}]"]) == score.value and float(row[f"{name} p_value"]) == score.p_value
    assert rows[2]["error"] == "It is cut off. Save it again." and rows[2]["brightness [nat]"] == ""
    assert pane.page.status.text == "Saved as scores.csv."
    assert "ratio [nat]" not in rows[0]


def test_that_charts_and_bits_are_saved_with_their_recipe(kit: Kit, pane: LikelihoodPane, tmp_path) -> None:
    pane.accept_image("/a/seven.png")
    pane.set_compare("shapes")
    rest(kit, pane)
    pane.exports.save_chart("csv", str(tmp_path / "d.csv"))
    rows = list(csv.DictReader(line for line in (tmp_path / "d.csv").read_text(encoding="utf-8").splitlines() if not line.startswith("#")))
    assert len(rows) == KNOWN + STRANGE and rows[-1]["label"] == "shapes, test image 357"
    assert float(rows[0]["score"]) == _known(RUN)["brightness"][0]
    pane.exports.save_bits(str(tmp_path / "b.png"))
    pane.exports.save_chart("png", str(tmp_path / "d.png"))
    for name in ("b.png", "d.png"):
        with Image.open(tmp_path / name) as image:
            assert "vae-digits, step 1024" in image.text["runs"]  # type: ignore[attr-defined]
            assert image.size[0] >= 400
    pane.page.show_right(1)
    rest(kit, pane)
    pane.exports.save_chart("csv", str(tmp_path / "c.csv"))
    rows = list(csv.DictReader(line for line in (tmp_path / "c.csv").read_text(encoding="utf-8").splitlines() if not line.startswith("#")))
    assert len(rows) == 2 * 11 and {row["detector"] for row in rows} == {"brightness", "roughness"}
    pane.exports.save_scores(str(tmp_path / "missing" / "s.csv"))
    assert "could not be written" in pane.page.status.text and pane.page.status.level == "bad"


# -- the paradox ---------------------------------------------------------------------------------------------------------


def test_that_the_paradox_explains_trains_and_compares(kit: Kit) -> None:
    pane = kit.open(LikelihoodPane)
    assert isinstance(pane, LikelihoodPane)
    kit.actions["run.paradox"].trigger()
    page = pane.experiment
    assert pane.stack.currentWidget() is page and kit.triggered == ["pane.LikelihoodPane"]
    assert page.choice.checkedId() == 2 and not page.compare.isEnabled() and page.train.isEnabled()
    page.train.click()
    (start,) = kit.engine.of(m.StartRun)
    assert (start.data, start.minutes) == ("digits", 1)
    assert kit.state.methods[start.method].density in ("exact", "bound")
    kit.state.set_runs((run_info(),), "/runs")
    assert page.compare.isEnabled() and "test images of shapes" in page.compare_line.text
    page.compare.click()
    rest(kit, pane)
    assert kit.state.run == RUN and pane.stack.currentIndex() == 1
    assert [(work.run, work.data) for work in kit.engine.of(m.ScoreData)] == [(RUN, "shapes")]
    assert "AUROC" in pane.page.distribution.figures.text()


def test_that_the_paradox_begins_with_the_chosen_run_and_lets_a_classifier_answer_beside_it(kit: Kit) -> None:
    pane = kit.open(LikelihoodPane)
    assert isinstance(pane, LikelihoodPane)
    fashion, mnist = (m.DataInfo(f"/d/{name}", name, "images", "70 000") for name in ("FashionMNIST", "MNIST"))
    kit.state.set_data((*SETS, fashion, mnist))
    encoder = m.FieldInfo("encoder", "encoder", "text", "", "Another run.")  # such a method needs more than images and labels
    learner = replace(PLAIN, title="Classifier", capabilities=("classify", "encode"), fields=())
    kit.state.methods["fine_tuning"] = replace(learner, name="fine_tuning", fields=(encoder,))
    kit.state.methods["perceptron"] = replace(learner, name="perceptron")
    pane.show_experiment()
    page = pane.experiment
    assert page.choice.checkedId() == 0 and page.teach.isEnabled() and page.contrast.currentData() == "new"
    page.teach.click()
    start = kit.engine.of(m.StartRun)[-1]
    assert (start.method, start.data, start.minutes) == ("perceptron", "/d/FashionMNIST", 3)
    newest = run_info(OTHER, created=2e9)
    sure = run_info("/runs/sure", method="perceptron")
    kit.state.set_runs((run_info(), newest, sure), "/runs")
    kit.state.set_run(RUN)
    pane.show_experiment()
    assert page.choice.checkedId() == 2 and page.run.currentData() == RUN  # what is looked at, though another one is newer
    assert page.contrast.currentData() == "/runs/sure" and not page.teach.isEnabled()
    rest(kit, pane)
    pane.runs.set_added(OTHER, True)
    page.compare.click()
    rest(kit, pane)
    assert [run for run, _ in pane.controller.wanted] == [RUN, OTHER, "/runs/sure"]


def test_that_fashion_mnist_is_offered_when_the_window_knows_it_and_asked_for_otherwise(kit: Kit) -> None:
    pane = kit.open(LikelihoodPane)
    assert isinstance(pane, LikelihoodPane)
    pane.show_experiment()
    page = pane.experiment
    page.choice.button(0).click()
    assert page.open_button.isVisible() and not page.train.isEnabled()
    page.open_button.click()
    assert kit.triggered[-1] == "data.open"
    known = m.DataInfo("/d/FashionMNIST", "FashionMNIST", "images", "70 000")
    kit.state.set_data((*SETS, known))
    assert page.sets(0) == (known, None) and not page.compare.isEnabled()  # Fashion-MNIST is not MNIST
    strange = m.DataInfo("/d/MNIST", "MNIST", "images", "70 000")
    kit.state.set_data((*SETS, known, strange))
    assert page.sets(0) == (known, strange) and not page.open_button.isVisible()
    page.train.click()
    assert kit.engine.of(m.StartRun)[-1].data == "/d/FashionMNIST"
    page.back.click()
    assert pane.stack.currentWidget() is pane.empty


# -- life ----------------------------------------------------------------------------------------------------------------


def test_that_closing_ends_what_is_under_way(kit: Kit, pane: LikelihoodPane) -> None:
    kit.engine.answering = False
    pane.accept_image("/a/seven.png")
    job = kit.engine.of(m.ScoreImages)[-1].job
    pane.page.stop_button.click()
    assert [stop.job for stop in kit.engine.of(m.StopJob)][-1] == job
    assert "Stopped" in pane.page.status.text
    pane.draw()
    assert not pane.page.stop_button.isVisible() and len(kit.engine.of(m.ScoreImages)) == 1
    pane.accept_image("/a/boot.png")
    assert len(kit.engine.of(m.ScoreImages)[-1].pictures) == 2
    kit.close(pane)
    assert kit.engine.of(m.StopJob)[-1].job == kit.engine.of(m.ScoreImages)[-1].job
    assert not kit.bridge._waiting and not pane._settling.isActive() and not pane._drawing.isActive()


@pytest.mark.parametrize("theme", ["dark", "light"])
@pytest.mark.parametrize("size", [(760, 560), (1400, 870)])
def test_that_it_draws_in_both_themes_and_sizes(kit: Kit, pane: LikelihoodPane, theme: str, size: tuple[int, int]) -> None:
    from app.shell.theme import colors

    kit.state.set_theme(theme)
    pane.resize(*size)
    pane.accept_images(["/a/seven.png", "/a/broken.png"])
    pane.set_compare("shapes")
    rest(kit, pane)
    for tab in (0, 1):
        pane.page.show_left(tab)
        pane.page.show_right(tab)
        rest(kit, pane)
        image = pane.grab().toImage()
        seen = {image.pixelColor(x, y).name() for x in range(0, image.width(), 2) for y in range(0, image.height(), 2)}
        assert colors(theme).background in seen and len(seen) > 100
    tall = size[1] > 760
    assert pane.page.list_heading.isVisible() == tall
    assert pane.page.table.isColumnHidden(2) == (size[0] < 1000)
