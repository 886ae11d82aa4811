"""The rate-distortion plane in Latent: which runs it asks about, where its lines of equal ELBO lie, and that its points are the verb's."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest

from app.panes.latent.controller import LatentTab
from app.panes.latent.pane import LatentPane
from app.tour.window_driver import WindowDriver
from engine import messages as m
from engine.cli import main
from engine.training.loop import train
from engine.training.plan import Plan
from engine.worker.engine import Engine
from tests.kit.panes import RUN, Kit, run_info

OLD, OTHER_DATA, PLAIN_RUN = "/runs/old", "/runs/other", "/runs/plain"


def infos() -> list[m.RunInfo]:
    made = run_info(created=3.0, config={"beta": 4.0})
    return [
        made,
        replace(made, run=OLD, name="old", created=1.0, config={"beta": 1.0}),
        replace(made, run=OTHER_DATA, name="other", data="elsewhere"),
        replace(made, run=PLAIN_RUN, name="plain", method="rotation"),
    ]


def point(job: str, run: str, step: int, rate: float, distortion: float, likelihood: str = "bernoulli") -> m.RateDistortionMeasured:
    return m.RateDistortionMeasured(job, run, step, rate, 0.5, distortion, 1.5, 1.2, -(rate + distortion), 2.0, 500, ("hash", likelihood))


@pytest.fixture
def pane(kit: Kit) -> LatentPane:
    made = kit.open(LatentPane)
    assert isinstance(made, LatentPane)
    kit.state.methods["vae"] = replace(kit.state.methods["vae"], capabilities=(*kit.state.methods["vae"].capabilities, "rate"))
    kit.look_at(*infos())
    kit.pump()
    return made


def test_that_only_runs_of_the_same_data_with_a_rate_are_asked_and_only_when_the_tab_is_seen(kit: Kit, pane: LatentPane) -> None:
    assert not kit.engine.of(m.MeasureRateDistortion)
    pane.show_tab(LatentTab.RATES)
    (asked,) = kit.engine.of(m.MeasureRateDistortion)
    assert [run for run, _ in asked.runs] == [RUN, OLD] and asked.runs[0][1] == kit.state.step
    steps = dict(asked.runs)
    kit.engine.events += [point(asked.job, RUN, steps[RUN], 10.0, 90.0), point(asked.job, OLD, steps[OLD], 25.0, 70.0)]
    kit.engine.events.append(m.Ended(asked.job, "ok", "Done."))
    kit.bridge.drain()
    chosen, old = pane.rates.chart.points
    assert (chosen.name, chosen.beta, chosen.chosen, chosen.newest) == (infos()[0].name, 4.0, True, True)
    assert (old.name, old.beta, old.chosen, old.newest) == ("old", 1.0, False, False)
    assert "β 1" in pane.rates.chart.accessibleDescription() and "rate 25.0 ± 0.5 nat" in pane.rates.chart.accessibleDescription()
    assert len(kit.engine.of(m.MeasureRateDistortion)) == 1
    pane.show_tab(LatentTab.PLANE)
    pane.show_tab(LatentTab.RATES)
    assert len(kit.engine.of(m.MeasureRateDistortion)) == 1, "what was measured is kept"


def test_that_lines_of_equal_elbo_fall_by_one_nat_for_each_nat(kit: Kit, pane: LatentPane) -> None:
    pane.show_tab(LatentTab.RATES)
    (asked,) = kit.engine.of(m.MeasureRateDistortion)
    for (run, step), (rate, distortion) in zip(asked.runs, ((10.0, 90.0), (25.0, 70.0)), strict=True):
        kit.engine.events.append(point(asked.job, run, step, rate, distortion))
    kit.bridge.drain()
    chart = pane.rates.chart
    chart.grab()
    place = chart.plot()
    assert len(chart.levels()) >= 3
    for level in chart.levels():
        for end in chart.ends_of(level):
            rate = chart.from_x(end.x())
            distortion = chart.bottom + (place.bottom() - end.y()) / place.height() * (chart.top - chart.bottom)
            assert rate + distortion == pytest.approx(level, abs=1e-6)
            assert place.left() - 1e-6 <= end.x() <= place.right() + 1e-6 and place.top() - 1e-6 <= end.y() <= place.bottom() + 1e-6


def test_that_another_likelihood_and_a_refusal_are_no_points_and_said(kit: Kit, pane: LatentPane, tmp_path: Path) -> None:
    pane.show_tab(LatentTab.RATES)
    (asked,) = kit.engine.of(m.MeasureRateDistortion)
    steps = dict(asked.runs)
    kit.engine.events += [point(asked.job, RUN, steps[RUN], 10.0, 90.0), point(asked.job, OLD, steps[OLD], 25.0, 70.0, "gaussian")]
    kit.engine.events.append(m.Ended(asked.job, "ok", "Done."))
    kit.bridge.drain()
    assert [one.name for one in pane.rates.chart.points] == [infos()[0].name] and "1 run with another likelihood" in pane.rates.line.text
    pane.rates.save("csv", str(tmp_path / "points.csv"))
    rows = [line for line in (tmp_path / "points.csv").read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    (row,) = csv.DictReader(rows)
    assert (row["rate_nats"], row["distortion_nats"], row["elbo_nats"], row["beta"]) == ("10.0", "90.0", "-100.0", "4.0")


def test_that_a_failure_is_said_and_a_hidden_pane_asks_nothing(kit: Kit, pane: LatentPane) -> None:
    pane.show_tab(LatentTab.RATES)
    (asked,) = kit.engine.of(m.MeasureRateDistortion)
    kit.engine.events.append(m.Ended(asked.job, "failed", "The disk is gone; plug it in again."))
    kit.bridge.drain()
    assert pane.rates.line.text == "The disk is gone; plug it in again." and pane.rates.line.level == "bad"
    pane.deactivate()
    kit.look_at(*infos()[::-1])
    kit.bridge.drain()
    assert len(kit.engine.of(m.MeasureRateDistortion)) == 1


def test_that_the_window_draws_the_points_of_the_verb(tmp_path: Path, capsys: pytest.CaptureFixture, qapp) -> None:
    small = {"network": "mlp", "width": 8, "latent": 3}
    for name, beta in (("one", 1.0), ("four", 4.0)):
        list(train(Plan("vae", "digits", small | {"beta": beta}, steps=20, name=name, device="cpu"), tmp_path))
    assert main(["eval", "one", "--rate-distortion", "four", "--limit", "500", "--runs", str(tmp_path), "--json"]) == 0
    told = {one["run"]: one for one in json.loads(capsys.readouterr().out.splitlines()[-1])["rate_distortion"]}
    with WindowDriver(Engine(tmp_path)) as stage:
        window = stage.window
        stage.wait(lambda: str(tmp_path / "four") in window.state.runs, "the runs were listed", 60)
        window.choose_run(str(tmp_path / "one"))
        stage.show_pane("LatentPane")
        pane = stage.pane("LatentPane")
        pane.show_tab(LatentTab.RATES)
        stage.wait(lambda: len(pane.rates.chart.points) == 2, "both points were measured", 120)
        stage.settle()
        for one in pane.rates.chart.points:
            verb = told[one.name]
            assert one.point.step == verb["step"] and one.beta == verb["beta"]
            for ours, theirs in (("rate", "rate"), ("distortion", "distortion"), ("elbo", "elbo"), ("rate_se", "rate_se")):
                assert getattr(one.point, ours) == pytest.approx(verb[theirs], rel=1e-5)
        assert not stage.faults
