"""`list --runs`: the runs of a folder, newest first, from manifests alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine import messages as m
from engine.cli import main
from engine.cli.listing import runs_table
from engine.evaluation.final_figures import final_figures
from engine.training.loop import train
from engine.training.plan import Plan
from tests.kit.fake_engine import run

FIGURE = m.FinalFigure(
    "test", 4096, "best on validation", 10_000, {"nats": 84.0123, "nats_se": 0.2519, "k": 128}, "2026-11-27T07:00:00Z"
)  # fmt: skip


def test_that_runs_are_listed_newest_first_with_their_numbers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small = {"network": "mlp", "width": 8, "latent": 4}
    for name in ("b-first", "a-second"):
        list(train(Plan("vae", "digits", small, steps=2, name=name, device="cpu"), tmp_path))
    list(final_figures(tmp_path / "b-first", k=2))
    (tmp_path / "broken" / "checkpoints").mkdir(parents=True)
    (tmp_path / "broken" / "manifest.json").write_text("{")
    (tmp_path / "notes").mkdir()
    assert main(["list", "--runs", str(tmp_path), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["folder"] == str(tmp_path) and [row["name"] for row in told["runs"]] == ["a-second", "b-first", "broken"]
    second, first, broken = told["runs"]
    assert (first["method"], first["data"], first["status"], first["step"], first["total_steps"]) == ("vae", "digits", "done", 2, 2)
    assert first["best"]["unit"] == "nat" and first["headline"] and first["created"] <= second["created"]
    (final,) = first["final_figures"]
    assert final["split"] == "test" and final["values"]["nats_se"] > 0 and second["final_figures"] == []
    assert broken["status"] == "damaged" and "manifest.json" in broken["fault"]
    assert main(["list", "--runs", str(tmp_path)]) == 0
    head, *rows = capsys.readouterr().out.splitlines()
    assert head.split()[:5] == ["run", "method", "data", "steps", "status"]
    assert [row.split()[0] for row in rows] == ["a-second", "b-first", "broken"] and "IWAE, K = 2:" in rows[1]


def test_that_a_table_names_steps_status_and_the_final_figure() -> None:
    text = runs_table([run("one", status="done", final_figures=(FIGURE,)), run("two", status="failed")])
    assert "IWAE, K = 128: 84.01 ± 0.25 nat (step 4,096, 2026-11-27)" in text and "failed" in text.splitlines()[2]


def test_that_no_runs_and_no_folder_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("PRIORAMA_RUNS", str(tmp_path / "none-yet"))
    assert main(["list", "--runs"]) == 0 and "There are no runs in" in capsys.readouterr().out
    assert main(["list", "--runs", "--json"]) == 0 and json.loads(capsys.readouterr().out)["runs"] == []
    assert main(["list", "--runs", str(tmp_path / "nowhere")]) == 1 and "There is no folder" in capsys.readouterr().err
