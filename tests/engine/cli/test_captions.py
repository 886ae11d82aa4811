"""Captions on the command line, `sample --caption` and `eval --captions`: what is answered, written and refused; and going on exactly."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from engine import messages as m
from engine.cli import main
from engine.evaluation import caption_accuracy
from engine.storage.run_reader import Run
from engine.training.loop import train
from engine.training.plan import Plan, ResumePlan

TOLD = {"conditional": True, "condition": "caption"}
DIFFUSION = TOLD | {"width": 4, "batch_size": 8, "warmup": 1}
CAPTION = "a large red square at the top left"


def finish(events: Any) -> Any:
    while True:
        try:
            next(events)
        except StopIteration as end:
            return end.value


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`told` draws from captions, `classes` from classes, `vae` from neither."""
    root = tmp_path_factory.mktemp("runs")
    finish(train(Plan("diffusion", "shapes:60", DIFFUSION, steps=2, name="told", device="cpu"), root))
    plain = {"width": 4, "batch_size": 8, "conditional": True}
    finish(train(Plan("diffusion", "digits", plain, steps=1, name="classes", device="cpu"), root))
    small = {"network": "mlp", "width": 8, "latent": 4}
    finish(train(Plan("vae", "digits", small, steps=1, name="vae", device="cpu"), root))
    return root


def test_that_a_caption_is_drawn_and_stands_in_the_answer_and_the_picture(runs: Path, tmp_path: Path, capsys):
    out = tmp_path / "drawn.png"
    words = ["sample", "told", "--runs", str(runs), "--n", "2", "--steps", "2", "--out", str(out), "--json"]
    assert main([*words, "--caption", CAPTION]) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert told["caption"] == CAPTION and told["n"] == 2
    with Image.open(out) as image:
        assert json.loads(image.text["priorama"])["caption"] == CAPTION  # type: ignore[attr-defined]
        assert image.size[0] > image.size[1] >= 32


@pytest.mark.parametrize(
    ("run", "caption", "says"),
    [
        ("told", "a purple star", "“purple” is in no caption"),
        ("told", "a " * 17, "17 words"),
        ("classes", CAPTION, "was told no captions in this run"),
        ("vae", CAPTION, "was told no captions in this run"),
    ],
)
def test_that_a_caption_that_cannot_be_drawn_is_one_sentence_and_no_file(
    runs: Path, tmp_path: Path, capsys, run: str, caption: str, says: str
):
    out = tmp_path / "drawn.png"
    assert main(["sample", run, "--runs", str(runs), "--out", str(out), "--caption", caption]) == 1
    told = capsys.readouterr()
    assert says in told.err and told.err.count("\n") == 1 and not told.out and not out.exists()


def test_that_typed_captions_are_counted_and_the_judge_says_how_good_it_is(runs: Path, capsys, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(caption_accuracy, "JUDGE_HELD_OUT", 100)
    monkeypatch.setattr(caption_accuracy, "train_judge", partial(caption_accuracy.train_judge, 300))
    words = ["eval", "told", "--runs", str(runs), "--limit", "1", "--captions", "5", "--set", "steps=2", "--json"]
    assert main(words) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert told["captions"] == 5 and told["judge_right"] > 0.5
    for name in ("captions_right", "caption_shape", "caption_colour", "caption_place", "caption_size"):
        low, high = told[f"{name}_interval"]
        assert 0 <= low <= told[name] <= high <= 1, name
    assert told["captions_right"] <= min(told["caption_shape"], told["caption_colour"], told["caption_place"])


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["classes", "--captions", "5", "--limit", "1"], 1, "was told no captions in this run"),
        (["vae", "--captions", "5", "--limit", "1"], 1, "was told no captions in this run"),
        (["told", "--captions", "0"], 2, "--captions"),
        (["told", "--captions", "5", "--final"], 2, "leave out"),
        (["told", "--captions", "5", "--set", "stops=2"], 2, "“stops” is no setting of Diffusion’s sampler; it has steps"),
        (["told", "--captions", "5", "--set", "steps=0"], 2, "Diffusion’s sampler: “0” is no value for steps"),
    ],
)
def test_that_captions_that_cannot_be_judged_are_one_sentence(runs: Path, capsys, words: list[str], code: int, says: str):
    assert main(["eval", *words, "--runs", str(runs)]) == code
    told = capsys.readouterr()
    assert says in told.err and told.err.strip().count("\n") == 0


@pytest.mark.slow
@pytest.mark.parametrize(("method", "more"), [("diffusion", {}), ("pixel_transformer", {"layers": 1, "heads": 2})])
def test_that_two_halves_of_a_run_that_is_told_captions_are_the_whole_bit_for_bit(method: str, more: dict[str, Any], tmp_path: Path):
    config = DIFFUSION | {"width": 8} | more
    finish(train(Plan(method, "shapes:60", config, steps=6, name="whole", device="cpu"), tmp_path))
    events = train(Plan(method, "shapes:60", config, steps=6, name="half", device="cpu"), tmp_path)
    try:
        event = next(events)
        while True:
            event = events.send("pause" if isinstance(event, m.CheckpointSaved) and event.step == 4 else None)
    except StopIteration as end:
        assert end.value.status == "paused"
    finish(train(ResumePlan(tmp_path / "half", steps=6), tmp_path))
    whole, half = (Run.open(tmp_path / name).load(6, "resume.safetensors")[1] for name in ("whole", "half"))
    assert any("captions" in name or "label" in name for name in whole), "the words' encoder learns"
    assert whole.keys() == half.keys() and all(np.array_equal(half[name], value) for name, value in whole.items())
