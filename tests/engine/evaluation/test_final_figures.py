"""Final figures: which images and checkpoint they are of, that they stay in the run, and that a second reading says so."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from engine import cli
from engine import messages as m
from engine.data import open_data
from engine.evaluation.final_figures import final_figures
from engine.queries.session import CannotAnswer, QuerySession
from engine.storage.run_folders import BadRun
from engine.storage.run_reader import Run
from engine.storage.run_writer import RunWriter
from engine.training.loop import train
from engine.training.plan import Plan

CONFIG = {"network": "mlp", "width": 8, "latent": 4, "batch_size": 64}


@pytest.fixture
def vae(tmp_path: Path) -> Path:
    list(train(Plan("vae", "digits", CONFIG, steps=4, name="run", device="cpu"), tmp_path))
    return tmp_path / "run"


def test_that_they_are_of_the_best_checkpoint_on_all_test_images_and_stay(vae: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert Run.open(vae).manifest.final_figures == ()  # type: ignore[union-attr]
    best = next(c.step for c in Run.open(vae).checkpoints() if c.best)
    assert cli.main(["eval", str(vae), "--final", "--k", "4", "--json"]) == 0
    out = capsys.readouterr()
    told = json.loads(out.out)
    assert (told["step"], told["step_rule"], told["split"], told["reading"]) == (best, "best on validation", "test", 1)
    assert told["images"] == len(open_data("digits").splits["test"]) and "times" not in out.err
    run = Run.open(vae)
    assert run.manifest is not None and run.verify() == [] and run.fault == "" and run.status == "done"
    (kept,) = run.manifest.final_figures
    assert kept.values["nats"] == told["nats"] and math.isfinite(kept.values["nats_se"]) and kept.date == told["date"]
    assert kept.settings == {"k": 4, "seed": 0, "limit": None} and "torch" in kept.versions

    assert cli.main(["eval", str(vae), "--split", "test", "--k", "4", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["nats"] == kept.values["nats"]
    assert len(Run.open(vae).manifest.final_figures) == 1, "a plain eval is no final figure"  # type: ignore[union-attr]

    assert cli.main(["eval", str(vae), "--final", "--k", "4"]) == 0
    out = capsys.readouterr()
    assert "read 2 times" in out.err and ["reading", "2"] in [row.split() for row in out.out.splitlines()]
    first, second = Run.open(vae).manifest.final_figures  # type: ignore[union-attr]
    assert first == kept and second.values == kept.values


def test_that_words_which_make_it_another_measurement_are_refused(vae: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["--limit", "5"], ["--step", "newest"], ["--split", "valid"]):
        assert cli.main(["eval", str(vae), "--final", *words]) == 2
        assert "all test images" in capsys.readouterr().err
    assert Run.open(vae).manifest.final_figures == ()  # type: ignore[union-attr]


def test_that_they_wait_for_the_end_of_the_training(vae: Path) -> None:
    with RunWriter.resume(vae), pytest.raises(BadRun, match="is being trained"):
        next(final_figures(vae))


def test_that_an_encoder_without_density_is_probed(tmp_path: Path) -> None:
    list(train(Plan("autoencoder", "digits", CONFIG, steps=2, name="ae", device="cpu"), tmp_path))
    job = final_figures(tmp_path / "ae")
    try:
        while True:
            next(job)
    except StopIteration as end:
        reading, count = end.value
    assert count == 1 and reading.images == 180 and 0 < reading.values["linear"] <= 1 and reading.values["linear_se"] > 0
    assert Run.open(tmp_path / "ae").manifest.final_figures == (reading,)  # type: ignore[union-attr]


@pytest.mark.parametrize("words", [["--limit", "50"], ["--limit", "50", "--labels", "0.03"]])
def test_that_probe_final_asks_every_test_image_and_keeps_what_it_was_told(
    vae: Path, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["probe", str(vae), "--final", "--json", *words]) == 0
    told = json.loads(capsys.readouterr().out)
    best = next(c.step for c in Run.open(vae).checkpoints() if c.best)
    assert (told["step"], told["step_rule"], told["split"], told["reading"]) == (best, "best on validation", "test", 1)
    assert told["images"] == told["n_test"] == len(open_data("digits").splits["test"]), "all test images, whatever --limit says"
    assert told["n_train"] == 50 and told["settings"]["train_limit"] == 50
    (kept,) = Run.open(vae).manifest.final_figures  # type: ignore[union-attr]
    assert kept.values["linear"] == told["linear"] and kept.date == told["date"]
    for name in ("linear", "knn", "random_init_linear", "pixels_knn"):
        assert kept.values[f"{name}_se"] == pytest.approx((told[name] * (1 - told[name]) / told["images"]) ** 0.5)
    assert ("0.03" in kept.values.get("labels", {})) == ("--labels" in words)

    assert cli.main(["probe", str(vae), "--final", *words]) == 0
    out = capsys.readouterr()
    assert "read 2 times" in out.err and "all" not in out.err.split() and f"asked about {told['images']} test images" in out.out


def test_that_probe_final_refuses_words_which_make_it_another_measurement(vae: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["--data", "shapes"], ["--step", "newest"], ["--split", "valid"]):
        assert cli.main(["probe", str(vae), "--final", *words]) == 2
        assert "all test images" in capsys.readouterr().err
    assert Run.open(vae).manifest.final_figures == ()  # type: ignore[union-attr]


def test_that_what_cannot_be_measured_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_args: object, **_more: object):
        raise CannotAnswer("Nothing.")
        yield

    list(train(Plan("vae", "digits", CONFIG, steps=1, name="run", device="cpu"), tmp_path))
    for name in ("evaluate", "report"):
        monkeypatch.setattr(f"engine.evaluation.final_figures.{name}", refuse)
    with pytest.raises(CannotAnswer):
        list(final_figures(tmp_path / "run"))
    assert Run.open(tmp_path / "run").manifest.final_figures == ()  # type: ignore[union-attr]


def test_that_the_window_is_told_what_is_kept(vae: Path) -> None:
    events = [event for event in QuerySession().work(m.FinalFigures(job="f", run=str(vae))) if event is not None]
    (kept,) = Run.open(vae).manifest.final_figures  # type: ignore[union-attr]
    told = events[-1]
    assert isinstance(told, m.FinalFiguresFound) and isinstance(events[0], m.Progress) and events[0].job == "f"
    assert (told.job, told.run, told.step, told.values, told.date, told.reading) == ("f", str(vae), kept.step, kept.values, kept.date, 1)


def test_that_test_images_are_not_read_where_the_figures_could_not_be_kept(vae: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from engine.evaluation import final_figures as module

    def refused(_path: Path) -> RunWriter:
        raise BadRun("It may not be written.")

    monkeypatch.setattr(module.RunWriter, "resume", refused)
    monkeypatch.setattr(module, "evaluate", lambda *_: pytest.fail("the test images were read"))
    with pytest.raises(BadRun, match="may not be written"):
        list(module.final_figures(vae))
