"""The Likelihood pane's distributions, thresholds, corruptions and paradox, fed with answers of a paper engine."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest
from sklearn.metrics import roc_auc_score, roc_curve

from app.panes.likelihood.pane import LikelihoodPane
from engine import messages as m
from tests.kit.likelihood_pane import SETS, p_of, rest, texts
from tests.kit.panes import (
    KNOWN,
    OTHER,
    PLAIN,
    RUN,
    STRANGE,
    Kit,
    _known,
    digits,
    paper_scores,
    run_info,
)


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
