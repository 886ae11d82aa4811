"""The real window over the real engine: each score that a click shows is the verb's figure for the same file."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from app.panes.likelihood.score_table import DETECTOR, P_VALUE, VERDICT, value_text
from app.tour.window_driver import WindowDriver
from engine.cli import main
from engine.training.loop import train
from engine.training.plan import Plan
from engine.worker.engine import Engine

REFUSED_BY_CHOICE = {"hopper.dds", "rgb24png.bmp", "rgba32abf.bmp", "drawing.wmf", "hopper.heif", "own_big_11000x9000.png"}
SETTINGS = {
    "vae": {"network": "mlp", "width": 8, "latent": 4},
    "pixel_cnn": {"width": 8, "layers": 1, "cell_layers": 0},
    "classifier": {"width": 8},
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("runs")
    for method, settings in SETTINGS.items():
        list(train(Plan(method, "digits", settings, steps=8, name=method, device="cpu"), root))
    return root


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    rng = np.random.default_rng(0)
    made = {"noise.png": rng.integers(0, 256, (20, 31, 3)), "plain.png": np.full((8, 8), 40), "slope.png": np.arange(64).reshape(8, 8) * 4}
    for name, pixels in made.items():
        Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / name)
    return [str(tmp_path / name) for name in made]


@pytest.mark.parametrize("method", SETTINGS)
def test_that_what_a_click_shows_is_what_the_verb_says(method: str, runs: Path, files: list[str], capsys, qapp) -> None:
    assert main(["score", method, *files, "--runs", str(runs), "--json"]) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    with WindowDriver(Engine(runs)) as stage:
        window = stage.window
        stage.wait(lambda: window.state.engine is not None and str(runs / method) in window.state.runs, "the run was listed", 60)
        window.choose_run(str(runs / method))
        stage.show_pane("LikelihoodPane")
        pane = stage.pane("LikelihoodPane")
        window.take(files)
        stage.wait(lambda: len(pane.images.entries) == len(files) and not pane.images.waiting(), "the files were judged", 120)
        pane.page.show_left(1)
        stage.settle()
        line = pane.page.batch_line
        if told["batch"] is None:
            assert line.isHidden() and line.found is None
        else:
            assert line.isVisible() and line.text.startswith("These 3 images as one batch, by ")
            assert line.found.statistic == pytest.approx(told["batch"]["statistic"], rel=1e-5)
            assert line.found.p_value == told["batch"]["p_value"] and line.found.verdict == told["batch"]["verdict"]
        assert (told["batch"] is None) == (method == "classifier")
        for place, row in enumerate(told["images"]):
            _click(pane.page.list, place, 0)
            stage.wait(lambda place=place: pane.selection.image is pane.images.entries[place], "the click chose the file", 10)
            stage.settle()
            table = pane.page.table.model_
            shown = {line.info.name: (i, line) for i, line in enumerate(table.rows) if line.info is not None and not line.info.missing}
            assert set(shown) == set(row["scores"]) and len(shown) >= 3
            for name, verb in row["scores"].items():
                i, line = shown[name]
                _click(pane.page.table, i, DETECTOR)
                assert pane.selection.detector == (str(runs / method), name)
                assert line.score.value == pytest.approx(verb["value"], rel=1e-5, abs=1e-9)
                assert line.score.p_value == verb["p_value"]
                percent, floor = 100 * verb["p_value"], verb["p_value"] <= verb["p_floor"]
                figure = f"{percent:.1f}\u202f%" if percent < 9.95 else f"{percent:.0f}\u202f%"
                assert table.data(table.index(i, P_VALUE)) == ("≤ " if floor else "") + figure
                words = "unusual, p ≤ 1 %" if percent <= 1 else "unusual, p ≤ 5 %" if percent <= 5 else "not unusual"
                assert table.data(table.index(i, VERDICT)) == words
                assert verb["verdict"] in table.data(table.index(i, DETECTOR), Qt.ItemDataRole.ToolTipRole)
                assert value_text(line.info, verb["value"]) in table.data(table.index(i, DETECTOR), Qt.ItemDataRole.ToolTipRole)


def test_that_a_folder_of_odd_images_is_scored_or_explained_file_by_file(runs: Path, shared_data: Path, qapp) -> None:
    rows = {row["file"]: row for row in csv.DictReader((shared_data / "odd_images.csv").read_text(encoding="utf-8").splitlines())}
    with WindowDriver(Engine(runs)) as stage:
        window = stage.window
        stage.wait(lambda: window.state.engine is not None and str(runs / "vae") in window.state.runs, "the run was listed", 60)
        window.choose_run(str(runs / "vae"))
        stage.show_pane("LikelihoodPane")
        pane = stage.pane("LikelihoodPane")
        window.drop_handler.take([str(shared_data / "odd_images")], dock=window.docks.docks["LikelihoodPane"])
        stage.wait(lambda: len(pane.images.entries) == len(rows) and not pane.images.waiting(), "every file had its answer", 240)
        for entry in pane.images.entries:
            row = rows[entry.label]
            good = row["category"] in ("valid", "unusual") and entry.label not in REFUSED_BY_CHOICE
            if good:
                scores = entry.scores[str(runs / "vae")]
                assert not entry.error and len(scores) >= 5, entry.label
                assert all(np.isfinite(score.score) and 0 < score.p_value <= 1 for score in scores.values()), entry.label
            elif row["what_a_good_app_should_do"].startswith(("skip", "refuse")):
                assert entry.error.endswith(".") and not entry.scores, entry.label
        stage.settle()
        assert "could not be read" in pane.page.status.text or pane.selection.image.error
        window.set_theme("light")  # it lives
        stage.settle()
        assert not stage.faults


def _click(view, row: int, column: int) -> None:
    view.scrollTo(view.model().index(row, column))
    at = view.visualRect(view.model().index(row, column))
    QTest.mouseClick(view.viewport(), Qt.MouseButton.LeftButton, pos=at.center())
