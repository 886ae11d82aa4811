"""The Bayes pane, fed with answers of a paper engine: what it asks, what it draws and what a moved prior does."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from PySide6.QtCore import QCoreApplication, QPoint

from app.panes.bayes.chart import HEAD, NO_CLASSIFIER, ROW
from app.panes.bayes.pane import BayesPane
from app.shell import theme
from engine import messages as m
from tests.kit.panes import OTHER, VAE, Kit, digits, run_info
from tests.kit.text_fit import exceeds, listening

GIVEN = np.array([-100.0, -102.0, -130.0])
CONDITIONAL = replace(VAE, name="conditional", title="Conditional", conditional=True, capabilities=("log_prob", "conditional"))


@pytest.fixture
def kit(qapp) -> Iterator[Kit]:
    made = Kit()
    made.engine.answering = False
    made.state.methods = {**made.state.methods, "conditional": CONDITIONAL}
    yield made
    made.end()


def open_pane(kit: Kit, classifier: bool = True) -> BayesPane:
    other = run_info(OTHER, capabilities=("classify",), best=m.RunFigure("accuracy", 0.9, "", True, 1024))
    kit.look_at(run_info(method="conditional", title="Conditional", config={}), *((other,) if classifier else ()))
    made = kit.open(BayesPane)
    assert isinstance(made, BayesPane)
    return made


def answer(kit: Kit, **changes: object) -> None:
    asked = kit.engine.of(m.AskBayes)[-1]
    made = m.BayesAnswered(
        stamp=asked.stamp, channel=asked.channel, run=asked.run, step=asked.step, label=asked.picture.label, classes=("a", "b", "c"),
        given=GIVEN, shares=np.array([0.5, 0.25, 0.25]), seen=digits()[0][17], notes=(), bits=(8.0, 0.02), density="bound", true_class="b",
        classifier=np.array([0.1, 0.9, 0.0]),
    )  # fmt: skip
    kit.engine.events.append(replace(made, **changes))
    kit.pump()


def test_that_it_asks_about_one_picture_beside_the_classifier_of_the_same_data(kit: Kit) -> None:
    open_pane(kit)
    asked = kit.engine.of(m.AskBayes)
    assert len(asked) == 1 and asked[0].picture.index == 0 and asked[0].beside == OTHER and asked[0].beside_step == 1024


def test_that_the_posterior_is_bayes_rule_and_stands_beside_the_classifier(kit: Kit) -> None:
    pane = open_pane(kit)
    answer(kit)
    below, rule, beside = (values for _, values in pane.bars.columns)
    assert below.tolist() == [0, -2, -30] and beside.tolist() == [0.1, 0.9, 0]
    assert rule[0] == pytest.approx(1 / (1 + math.exp(-2)), abs=1e-9)
    log_p = -100 + math.log((1 + math.exp(-2) + math.exp(-30)) / 3)
    assert f"{-log_p:.1f}" in pane.status.text and "≥" in pane.status.text and "class b" in pane.status.text
    assert not pane.grab().isNull()


def test_that_a_dragged_prior_moves_the_posterior_without_another_question(kit: Kit) -> None:
    pane = open_pane(kit)
    answer(kit)
    pane.sliders[1].setValue(80)
    assert pane.prior == pytest.approx([0.1, 0.8, 0.1]) and pane.sliders[0].exact == pytest.approx(0.1)
    rule = pane.bars.columns[1][1]
    assert math.log(rule[1] / rule[0]) == pytest.approx(-2 + math.log(8))
    pane.data_prior.click()
    assert pane.prior == pytest.approx([0.5, 0.25, 0.25])
    assert len(kit.engine.of(m.AskBayes)) == 1


def test_that_every_prior_stands_beside_the_bars_of_its_class(kit: Kit, qapp) -> None:
    theme.apply_theme(qapp, "dark")
    pane = open_pane(kit)
    answer(kit)
    for _ in range(3):
        QCoreApplication.processEvents()
    for row, slider in enumerate(pane.sliders):
        middle = pane.bars.mapTo(pane, QPoint(0, HEAD + ROW * row + ROW // 2)).y()
        assert abs(slider.mapTo(pane, slider.rect().center()).y() - middle) <= 1
    qapp.setStyleSheet("")


def test_that_dropped_pictures_and_noise_are_asked_about_and_late_answers_dropped(kit: Kit) -> None:
    pane = open_pane(kit, classifier=False)
    assert pane.accept_image("/pictures/cat.png")
    answer(kit)
    assert pane.answer is None, "the answer was about another picture"
    assert kit.engine.of(m.AskBayes)[-1].picture.path == "/pictures/cat.png"
    answer(kit, classifier=None, true_class="")
    assert pane.answer is not None and "cat.png" in pane.status.text
    pane.use_noise()
    noise = kit.engine.of(m.AskBayes)[-1].picture.image
    assert noise.shape == (8, 8) and noise.std() > 50


def test_that_a_density_trained_without_classes_is_told_so(kit: Kit) -> None:
    kit.look_at(run_info(method="conditional", config={"conditional": False}))
    pane = kit.open(BayesPane)
    assert isinstance(pane, BayesPane)
    kit.pump()
    assert "without classes" in pane.empty.title.text() and not kit.engine.of(m.AskBayes)


def test_that_the_bars_are_saved_with_the_prior(kit: Kit, tmp_path) -> None:
    pane = open_pane(kit)
    answer(kit)
    pane.save("csv", str(tmp_path / "bayes.csv"))
    text = (tmp_path / "bayes.csv").read_text(encoding="utf-8")
    rows = list(csv.reader(io.StringIO("\n".join(line for line in text.splitlines() if not line.startswith("#")))))
    assert "# prior" in text and rows[1][0] == "a" and [float(figure) for figure in rows[2][1:3]] == [-102, -2]
    pane.save("png", str(tmp_path / "bayes.png"))
    assert (tmp_path / "bayes.png").stat().st_size > 1000


def compare(kit: Kit, given: np.ndarray, labels: np.ndarray, classifier: np.ndarray | None) -> None:
    asked = kit.engine.of(m.CompareClassifiers)[-1]
    kit.engine.events += [
        m.ClassifiersCompared(asked.job, asked.run, asked.step, given, labels, None, classifier, 900),
        m.Ended(asked.job, "ok", "Done."),
    ]
    kit.pump()


def settled(kit: Kit, pane: BayesPane) -> None:
    """The time cursor has rested."""
    pane.validation._rest.stop()
    pane.validation._settle()
    kit.pump()


def test_that_both_classifiers_are_compared_on_validation_images_under_the_prior_of_now(kit: Kit) -> None:
    pane = open_pane(kit)
    settled(kit, pane)
    answer(kit)
    (asked,) = kit.engine.of(m.CompareClassifiers)
    assert (asked.run, asked.step, asked.beside, asked.beside_step) == (kit.state.run, 1024, OTHER, 1024)
    given = np.tile([-90.0, -90.5, -140.0], (100, 1)) - np.arange(100)[:, None] / 10
    labels = np.repeat([0, 1], [70, 30])
    compare(kit, given, labels, np.tile([0.2, 0.7, 0.1], (100, 1)))
    (_, right, error, unusual), (_, others, other_error, unsure) = ([cell.text() for cell in row] for row in pane.comparison.cells)
    assert "100 of 900" in pane.compared_heading.accessibleName()
    assert right.startswith("70.0 ± 4.6") and others.startswith("30.0 ± 4.6"), "√(.7 · .3 / 100) is 4.6 %"
    assert error.startswith(f"{100 * abs(0.7 - 1 / (1 + math.exp(-0.5))):.1f}"), "one bin: the distance of confidence and accuracy"
    assert other_error.startswith("40.0")
    assert "p = 0.010" in unusual and "unusual by this score" in unusual, "(1 + 0) / (100 + 1): no validation image is less likely"
    assert "lower than for 0" in unsure and "p = 1.000" in unsure and "not unusual" in unsure, "it is surer of this picture than of any"
    pane.set_prior(np.array([0.0, 1.0, 0.0]))
    assert pane.comparison.cells[0][1].text().startswith("30.0"), "of a class without doubt, every answer is that class"
    assert len(kit.engine.of(m.CompareClassifiers)) == 1


def test_that_too_few_validation_images_give_no_verdict_and_no_classifier_is_said(kit: Kit) -> None:
    pane = open_pane(kit, classifier=False)
    settled(kit, pane)
    answer(kit, classifier=None)
    compare(kit, np.tile(GIVEN, (12, 1)), np.zeros(12, np.int64), None)
    assert "too few held-out images" in pane.comparison.cells[0][3].text()
    assert "Train a classifier" in pane.comparison.cells[1][3].text()


def test_that_it_says_what_it_is_waiting_for_and_which_step_is_still_seen(kit: Kit) -> None:
    pane = open_pane(kit)
    assert "validation image 0" in pane.busy.text
    answer(kit)
    assert pane.busy.text == ""
    settled(kit, pane)
    kit.bridge.tell(m.Progress(kit.engine.of(m.CompareClassifiers)[-1].job, "", 120, 500, "image", 0.0, None))
    assert "120 of 500" in pane.busy.text
    kit.state.set_cursor(64)
    kit.pump()
    assert "Still step 1\u202f024" in pane.busy.text and "step 64" in pane.busy.text
    answer(kit)
    assert "Still" not in pane.busy.text and pane.answer is not None and pane.answer.step == 64


def test_that_an_image_that_cannot_be_read_is_one_sentence_and_the_former_one_stays(kit: Kit) -> None:
    pane = open_pane(kit)
    answer(kit)
    pane.accept_image("/pictures/torn.png")
    kit.engine.fail(kit.engine.of(m.AskBayes)[-1], "torn.png is damaged: it ends too early.")
    kit.pump()
    assert pane.busy.text == "torn.png is damaged: it ends too early. Still shown: validation image 0." and pane.busy.level == "bad"
    kit.state.runs_changed.emit()
    kit.pump()
    assert "torn.png" in pane.busy.text and len(kit.engine.of(m.AskBayes)) == 2, "the list of runs is no reason to ask again"
    kit.state.set_cursor(64)
    kit.pump()
    assert kit.engine.of(m.AskBayes)[-1].picture.index == 0
    answer(kit)
    assert pane.busy.level != "bad"


def test_that_nothing_of_another_run_stays_on_screen(kit: Kit) -> None:
    pane = open_pane(kit)
    settled(kit, pane)
    answer(kit)
    third = run_info("/runs/third", method="conditional", title="Conditional", config={})
    kit.state.set_runs((*kit.state.runs.values(), third), "/runs")
    kit.state.set_run(third.run)
    kit.pump()
    assert pane.answer is None and pane.bars.columns == [] and pane.seen.image is None
    assert [message.job for message in kit.engine.of(m.StopJob)] == [kit.engine.of(m.CompareClassifiers)[0].job]


def test_that_names_have_room_and_a_missing_classifier_is_said_in_whole_words(kit: Kit) -> None:
    pane = open_pane(kit, classifier=False)
    names = ("grandfather clocks", "dogs", "wwwwwwwwwwww")
    answer(kit, classes=names, classifier=None, true_class="dogs")
    pane.bars.resize(430, pane.bars.height())
    with listening() as heard:
        pane.bars.grab()
    assert {text for _, _, _, text, _ in heard.texts} >= {*names, NO_CLASSIFIER}
    for _, wanted, room, text, _ in heard.texts:
        if text in (*names, NO_CLASSIFIER):
            assert not exceeds(wanted, room), text
    assert pane.bars.names_width() <= pane.bars.width() / 3
    pane.bars.set_answer(("a" * 90, "b"), GIVEN[:2], np.array([0.5, 0.5]), None)
    assert pane.bars.names_width() <= pane.bars.width() / 3


def test_that_a_dropped_file_is_named_where_the_number_of_a_validation_image_stood(kit: Kit) -> None:
    pane = open_pane(kit)
    answer(kit)
    assert pane.index.text() == "0" and pane.source.text() == ""
    pane.accept_image("/home/me/D1.PNG")
    assert pane.index.text() == "–" and pane.source.text() == "Seen: D1.PNG"
    pane.index.stepUp()
    assert pane.index.text() == "0" and pane.source.text() == "" and kit.engine.of(m.AskBayes)
    pane.index.stepDown()
    assert pane.index.text() == "0" and pane.picture.index == 0
