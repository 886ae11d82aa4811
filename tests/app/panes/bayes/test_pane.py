"""The Bayes pane, fed with answers of a paper engine: what it asks, what it draws and what a moved prior does."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from app.panes.bayes.pane import BayesPane
from engine import messages as m
from tests.kit.panes import OTHER, VAE, Kit, digits, run_info

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
    assert f"{-log_p:.1f}" in pane.status.text and "≥" in pane.status.text and "a b" in pane.status.text
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
    assert "# prior" in text and rows[1][0] == "a" and float(rows[2][1]) == -2
    pane.save("png", str(tmp_path / "bayes.png"))
    assert (tmp_path / "bayes.png").stat().st_size > 1000
