"""The Errors pane in the real window over the real engine: numbers of the verb, one click from Curves and Probe, images to other panes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from app.tour.window_driver import WindowDriver
from engine.cli import main
from engine.training.loop import train
from engine.training.plan import Plan
from engine.worker.engine import Engine

SETTINGS = {"width": 4, "batch_size": 32, "learning_rate": 0.01, "warmup": 0, "ema": 0.0}


@pytest.mark.slow
def test_that_one_click_leads_from_curves_and_probe_to_the_errors_and_from_there_to_the_map_and_the_scores(
    tmp_path: Path, qapp: object, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = tmp_path / "runs"
    list(train(Plan("classifier", "digits", SETTINGS, steps=60, name="a classifier", seed=5, device="cpu"), runs))
    with WindowDriver(Engine(runs)) as driver:
        window, pane = driver.window, driver.pane("ErrorsPane")
        driver.wait(lambda: bool(window.state.runs) and window.state.engine is not None, "the run was listed")
        window.choose_run(str(runs / "a classifier"))
        driver.wait(lambda: window.state.step is not None, "it was looked at")
        driver.show_pane("CurvesPane")
        curves = driver.pane("CurvesPane")
        driver.wait(lambda: "accuracy" in curves.term_cards.cards, "the terms were there")
        curves.show_term("loss")
        assert not curves.plot_card.errors_link.isVisible()
        curves.show_term("accuracy")
        QTest.mouseClick(curves.plot_card.errors_link, Qt.MouseButton.LeftButton)
        assert window.docks.front.pane is pane
        driver.wait(lambda: pane.controller.page is not None, "the errors were found")
        driver.settle()

        found = pane.controller.found
        assert main(["errors", "a classifier", "--runs", str(runs), "--limit", "5000", "--json"]) == 0
        told = json.loads(capsys.readouterr().out.splitlines()[-1])
        assert told["matrix"] == found.matrix.tolist() and told["step"] == found.of.step == window.state.step
        for name, value in found.figures.items():
            assert told[name] == pytest.approx(value, rel=1e-9), name

        true, answer, images = found.pairs[0]
        place = pane.page.matrix.cell(true, answer).center().toPoint()
        QTest.mouseClick(pane.page.matrix, Qt.MouseButton.LeftButton, pos=place)
        driver.wait(lambda: pane.controller.page.kind == "cell", "the cell was shown")
        assert pane.controller.page.total == images
        QTest.mouseClick(pane.page.gallery, Qt.MouseButton.LeftButton, pos=pane.page.gallery.place(0).center().toPoint())
        index, pixels = int(pane.controller.page.indices[0]), pane.controller.page.images[0]

        QTest.mouseClick(pane.page.mark_button, Qt.MouseButton.LeftButton)
        embedding = driver.pane("EmbeddingPane")
        assert window.docks.front.pane is embedding
        driver.wait(lambda: embedding.points.drawn is not None and embedding.points.pinned >= 0, "its point was marked", 120)
        event = embedding.points.drawn
        assert event.indices[embedding.points.pinned] == index
        assert np.array_equal(event.images[embedding.points.pinned], pixels)

        driver.show_pane("ErrorsPane")
        driver.settle()
        pane.page.gallery.choose(0)
        pane._say_image(0)
        QTest.mouseClick(pane.page.score_button, Qt.MouseButton.LeftButton)
        likelihood = driver.pane("LikelihoodPane")
        assert window.docks.front.pane is likelihood
        (entry,) = likelihood.images.entries
        assert likelihood.selection.image is entry and entry.picture.index == int(pane.controller.page.indices[0])
        driver.wait(lambda: bool(entry.scores), "it was scored", 120)

        driver.show_pane("ProbePane")
        QTest.mouseClick(driver.pane("ProbePane").page.errors_button, Qt.MouseButton.LeftButton)
        assert window.docks.front.pane is pane
        driver.settle()
        assert driver.faults == []


@pytest.mark.slow
def test_that_another_window_says_why_where_nothing_can_be_handed_over(tmp_path: Path, qapp: object) -> None:
    runs = tmp_path / "runs"
    list(train(Plan("pixel_cnn", "digits", {"width": 4, "layers": 1}, steps=1, name="pixels", device="cpu"), runs))
    with WindowDriver(Engine(runs)) as driver:
        window = driver.window
        driver.wait(lambda: bool(window.state.runs) and window.state.engine is not None, "the run was listed")
        window.choose_run(str(runs / "pixels"))
        driver.wait(lambda: window.state.step is not None, "it was looked at")
        front = window.docks.front
        window.state.handed_over.emit("errors", "")
        assert window.docks.front is front
        assert "Errors cannot show that now." in driver.log.records[-1].text
