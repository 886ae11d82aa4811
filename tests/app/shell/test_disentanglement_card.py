"""MIG and DCI in the inspector: offered for encoders of data with factors, and always those of the checkpoint that is looked at."""

from __future__ import annotations

from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from app.shell.main_window import Window
from app.tour.window_driver import WindowDriver
from engine import messages as m
from engine.evaluation import disentanglement as measured
from engine.training.loop import train
from engine.training.plan import Plan
from engine.worker.engine import Engine
from tests.kit.fake_engine import FakeEngine, run

NAMES = ("mig", "dci_disentanglement", "dci_completeness", "dci_informativeness")


def found(job: str, of: str, step: int, mig: float) -> m.DisentanglementMeasured:
    values = dict.fromkeys(NAMES, 0.25) | {f"{name}_se": 0.01 for name in NAMES} | {"mig": mig}
    return m.DisentanglementMeasured(job, of, step, 900, values, (m.FactorFigures("hue", 0.1, 0.2, 0.9, 3),), 32, 20, 10)


def test_that_it_is_offered_for_data_with_factors_only_and_shows_the_checkpoint_that_is_looked_at(
    window: Window, engine: FakeEngine, qtbot: QtBot
) -> None:
    card = window.inspector.disentanglement
    engine.say(m.RunsListed((run("c"), run("s", data="shapes:5000"), run("e", data="shapes", capabilities=("sample",))), "/runs"))
    qtbot.waitUntil(lambda: "/runs/s" in window.state.runs)
    for name, offered in (("c", False), ("e", False), ("s", True)):
        window.choose_run(f"/runs/{name}")
        assert card.isHidden() is not offered, name
    step = window.state.step
    assert step is not None
    card.measure_button.click()
    (asked,) = engine.told(m.MeasureDisentanglement)
    assert (asked.run, asked.step) == ("/runs/s", step) and not card.measure_button.isEnabled()
    engine.say(found(asked.job, "/runs/s", step, 0.3125), m.Ended(asked.job, "ok", "Measured."))
    qtbot.waitUntil(lambda: "MIG: 0.312 ± 0.010" in card.figures.text() or "MIG: 0.313 ± 0.010" in card.figures.text())
    assert "hue: MIG 0.10, told 0.90, most by dimension 3" in card.each.text() and "20 bins for each of 32 codes" in card.each.text()
    assert card.measure_button.isHidden()
    window.state.set_cursor(64)
    assert card.figures.isHidden() and not card.measure_button.isHidden() and card.measure_button.isEnabled()
    window.state.set_cursor(step)
    assert "MIG: 0.31" in card.figures.text()


def test_that_a_refusal_stands_where_it_was_asked(window: Window, engine: FakeEngine, qtbot: QtBot) -> None:
    card = window.inspector.disentanglement
    engine.say(m.RunsListed((run("s", data="shapes"),), "/runs"))
    qtbot.waitUntil(lambda: "/runs/s" in window.state.runs)
    window.choose_run("/runs/s")
    card.measure_button.click()
    (asked,) = engine.told(m.MeasureDisentanglement)
    engine.say(m.Ended(asked.job, "failed", "The data have moved; open them again."))
    qtbot.waitUntil(lambda: card.line.text() == "The data have moved; open them again.")
    assert card.measure_button.isEnabled()


def test_that_the_window_shows_the_figures_of_the_verb(tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch, qapp) -> None:
    import json

    from engine.cli import main

    monkeypatch.setattr(measured, "TREES", 4)
    list(train(Plan("vae", "shapes:1500", {"network": "mlp", "width": 8, "latent": 3}, steps=3, name="s", device="cpu"), tmp_path))
    assert main(["eval", "s", "--disentanglement", "--runs", str(tmp_path), "--json"]) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    with WindowDriver(Engine(tmp_path)) as stage:
        window = stage.window
        stage.wait(lambda: str(tmp_path / "s") in window.state.runs, "the run was listed", 60)
        window.choose_run(str(tmp_path / "s"))
        stage.wait(lambda: not window.inspector.disentanglement.isHidden(), "it is offered", 20)
        window.inspector.disentanglement.measure_button.click()
        stage.wait(lambda: bool(window.inspection.disentanglement.found), "it was measured", 120)
        (shown,) = window.inspection.disentanglement.found.values()
        for name in NAMES:
            assert shown.values[name] == pytest.approx(told[name], rel=1e-4, abs=1e-6)
        assert [one.name for one in shown.factors] == list(told["factors"])
        assert not stage.faults
