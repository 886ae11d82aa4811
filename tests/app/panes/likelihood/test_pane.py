"""The Likelihood pane, fed with answers of a paper engine: what it asks, what its table says, how it begins and ends."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from app.panes.likelihood.pane import LikelihoodPane
from app.shell.formatting import count
from engine import messages as m
from tests.kit.likelihood_pane import p_of, rest, texts
from tests.kit.panes import (
    ANSWERS,
    DETECTORS,
    OTHER,
    RUN,
    Kit,
    paper_image,
    paper_scores,
    run_info,
)

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
