"""Texts end to end: windows, the score of a test split against a loop over its symbols, samples as files, and the verbs."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from engine.bases.text import windows
from engine.cli import main
from engine.data import open_data
from engine.evaluation.evaluate import evaluate
from engine.evaluation.sample_grid import sample_file
from engine.messages import Progress
from engine.queries.session import CannotAnswer, Model
from engine.storage.run_reader import Run
from engine.training.batches import tokens_of
from engine.training.loop import train
from engine.training.plan import Plan

SMALL = {"width": 8, "context": 9, "batch_size": 16, "layers": 1}
PIXELS = {"width": 8, "layers": 1, "heads": 2, "batch_size": 16}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("texts")
    generator = np.random.default_rng(0)
    words = ["one ", "two ", "thrée ", "four\n"]
    (root / "text.txt").write_text("".join(generator.choice(words, 400)), encoding="utf-8")
    for name, units in (("text_transformer", "characters"), ("text_rnn", "bytes")):
        config = SMALL | {"units": units} | ({"heads": 2} if name == "text_transformer" else {})
        list(train(Plan(name, str(root / "text.txt"), config, steps=6, name=name, device="cpu"), root))
    list(
        train(Plan("pixel_transformer", "digits", PIXELS | {"conditional": True, "levels": 4}, steps=2, name="pixels", device="cpu"), root)
    )
    return root


def result(job: Any) -> tuple[Any, list[Any]]:
    events = []
    try:
        while True:
            events.append(next(job))
    except StopIteration as end:
        return end.value, events


def test_that_windows_overlap_by_half_and_cover_the_text():
    text = torch.arange(1, 20)[None]
    assert windows(text, 8)[0].tolist() == [
        [1, 2, 3, 4, 5, 6, 7, 8],
        [5, 6, 7, 8, 9, 10, 11, 12],
        [9, 10, 11, 12, 13, 14, 15, 16],
        [13, 14, 15, 16, 17, 18, 19, 0],
    ]


@pytest.mark.parametrize("name", ["text_transformer", "text_rnn"])
@pytest.mark.parametrize("limit", [1, 4, 5, 50, None])
def test_that_every_symbol_of_the_test_split_is_told_once_from_half_a_context_or_more(runs: Path, name: str, limit: int | None):
    """The oracle walks from symbol to symbol and asks for one window at a time; a limited look takes the blocks amid equal parts."""
    told, events = result(evaluate(runs / name, limit=limit))
    model = Model(Run.open(runs / name), None)
    method: Any = model.method
    data = open_data(str(runs / "text.txt"))
    test = tokens_of(data, "test", model.spec).tolist()
    window = tokens_of(data, "valid", model.spec).tolist()[-4:]
    nats = []
    for symbol in test:
        if len(window) == 9:
            window = window[5:]
        assert 4 <= len(window) <= 8
        window.append(symbol)
        nats.append(-method.logits(torch.tensor([window]), None).double().log_softmax(-1)[0, -1, symbol].item())
    if limit is not None:
        blocks = [nats[start : start + 5] for start in range(0, len(nats), 5)]  # a window's new symbols
        parts = -(-limit // 5)
        nats = [one for part in range(parts) for one in blocks[(2 * part + 1) * len(blocks) // (2 * parts)]][:limit]
    assert told.values["tokens"] == len(nats) > 0
    assert told.values["nats_per_token"] == pytest.approx(sum(nats) / len(nats), rel=1e-5)
    assert told.values["bits_per_token"] == pytest.approx(sum(nats) / len(nats) / math.log(2), rel=1e-5)
    assert told.values["density"] == "exact" and told.step == 6
    assert isinstance(events[-1], Progress) and events[-1].done == events[-1].total == len(nats)


def test_that_characters_of_the_test_text_alone_are_unknown_counted_and_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """The vocabulary comes from training and validation text; what else the test text holds costs the one unknown symbol."""
    path = tmp_path / "text.txt"
    path.write_text("ab " * 300 + "abz ß" * 15, encoding="utf-8")  # the last 99 bytes are the test
    config = SMALL | {"heads": 2}
    list(train(Plan("text_transformer", str(path), config, steps=3, name="run", device="cpu"), tmp_path))
    model = Model(Run.open(tmp_path / "run"), None)
    assert "".join(map(chr, model.spec.symbols)) == " ab\ufffd"
    assert main(["eval", "run", "--split", "test", "--runs", str(tmp_path), "--json"]) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    data = open_data(str(path))
    start, end = data.spans["test"]
    test = (data.text or b"")[start:end].decode()
    assert told["unknown_tokens"] == test.count("z") + test.count("ß") == 30 and told["tokens"] == len(test)
    tokens, every = torch.from_numpy(tokens_of(data, "test", model.spec)), range(len(model.spec.symbols))
    log_p: Any = model.method.log_probs(tokens[None, :9])  # type: ignore[operator]
    logits: Any = model.method.logits(tokens[None, :9], None)  # type: ignore[operator]
    assert log_p.shape == (1, 9) and logits.shape[-1] == len(every), "the unknown symbol has its own probability"
    assert torch.allclose(logits.double().softmax(-1).sum(-1), torch.ones(1, 9, dtype=torch.float64))
    assert main(["eval", "run", "--split", "test", "--runs", str(tmp_path)]) == 0
    assert any(row.split() == ["of", "them", "unknown", str(told["unknown_tokens"])] for row in capsys.readouterr().out.splitlines())

    assert (
        main(["train", "text_transformer", "--data", str(path), "--runs", str(tmp_path), "--name", "run", "--resume", "--steps", "4"]) == 0
    )
    everything = tuple(sorted({ord(sign) for sign in (data.text or b"").decode()}))
    monkeypatch.setattr("engine.training.batches.symbols_of", lambda *_: everything)  # as versions before took the vocabulary
    list(train(Plan("text_transformer", str(path), config, steps=3, name="old", device="cpu"), tmp_path))
    monkeypatch.undo()
    old = ["--runs", str(tmp_path)]
    assert main(["train", "text_transformer", "--data", str(path), *old, "--name", "old", "--resume", "--steps", "4"]) == 0
    assert Model(Run.open(tmp_path / "old"), None).spec.symbols == everything
    capsys.readouterr()
    assert main(["eval", "old", "--split", "test", *old, "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["unknown_tokens"] == 0


def test_that_bytes_are_counted_as_bytes_and_characters_as_characters(runs: Path):
    data = open_data(str(runs / "text.txt"))
    start, end = data.spans["test"]
    part = (data.text or b"")[start:end]
    assert result(evaluate(runs / "text_rnn"))[0].values["tokens"] == len(part)
    assert result(evaluate(runs / "text_transformer"))[0].values["tokens"] == len(part.decode("utf-8", "replace")) < len(part)


def test_that_the_headline_names_its_unit(runs: Path):
    units = {name: Run.open(runs / name).info().headline.split(" ")[1] for name in ("text_transformer", "text_rnn")}
    assert units == {"text_transformer": "nat/character", "text_rnn": "nat/byte"}


def test_that_its_description_is_of_the_held_out_windows(runs: Path):
    model = Model(Run.open(runs / "text_transformer"), None)
    x = model.probe()
    numbers = {number.name: number.value for number in model.method.describe(x, model.generator()).numbers}
    nats = -model.method.log_prob(x).mean().item() / 9  # type: ignore[operator]
    assert numbers["nats per character"] == pytest.approx(nats, rel=1e-5)
    assert numbers["bits per character"] == pytest.approx(nats / math.log(2), rel=1e-5)
    assert numbers["perplexity"] == pytest.approx(math.exp(nats), rel=1e-4)


def test_that_a_description_is_of_windows_over_the_whole_of_what_it_is_given(runs: Path, monkeypatch: pytest.MonkeyPatch):
    model = Model(Run.open(runs / "text_transformer"), None)
    x = model.probe()[:9]
    assert len(x) == 9
    monkeypatch.setattr("engine.bases.text.SYMBOLS_DESCRIBED", 3 * x.shape[1])
    numbers = {number.name: number.value for number in model.method.describe(x, model.generator()).numbers}
    nats = -model.method.log_prob(x[[0, 3, 6]]).mean().item() / 9  # type: ignore[operator]
    assert numbers["nats per character"] == pytest.approx(nats, rel=1e-5)


def test_the_verbs_eval_and_sample_of_a_text(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    where = ["--runs", str(runs), "--json"]
    assert main(["eval", "text_transformer", *where, "--limit", "30"]) == 0
    scored = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert scored["tokens"] == 30 and scored["density"] == "exact" and scored["step"] == 6 and "images" not in scored
    one, again, other = (tmp_path / name for name in ("one.txt", "again.txt", "other.txt"))
    for out, seed in ((one, "3"), (again, "3"), (other, "4")):
        assert main(["sample", "text_transformer", *where, "--out", str(out), "--n", "1", "--seed", seed, "--prompt", "thrée four\n"]) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert told["n"] == 1 and told["step"] == 6 and told["file"] == str(other)
    text = one.read_text(encoding="utf-8")
    assert text.startswith("thrée four\n") and len(text) == 11 + 9 + 1
    assert again.read_bytes() == one.read_bytes() != other.read_bytes()
    assert sample_file(runs / "text_rnn", tmp_path / "many.txt", 3)[:2] == (6, "texts")
    assert (tmp_path / "many.txt").read_text(encoding="utf-8").count(" of 3 ──\n") == 3


@pytest.mark.parametrize(
    ("run", "more", "says"),
    [
        ("text_transformer", ["--out", "a.png"], "name a file such as sample.txt"),
        ("text_transformer", ["--out", "a.txt", "--prompt", "Ω"], "“Ω” is not among"),
        ("text_transformer", ["--out", "a.txt", "--class", "1"], "not conditional"),
        ("pixels", ["--out", "a.txt"], "written as .png"),
        ("pixels", ["--out", "a.png", "--prompt", "one"], "leave out --prompt"),
        ("pixels", ["--out", "a.png", "--class", "10"], "knows 0 to 9"),
    ],
)
def test_that_what_does_not_fit_is_refused_in_one_sentence(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, run: str, more: list[str], says: str
):
    monkeypatch.chdir(tmp_path)
    assert main(["sample", run, "--runs", str(runs), *more]) == 1
    said = capsys.readouterr().err
    assert says in said and len(said.strip().splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_that_a_conditional_run_draws_the_class_it_is_asked_for(runs: Path, tmp_path: Path):
    assert sample_file(runs / "pixels", tmp_path / "two.png", 2, label=2)[:2] == (2, "images")
    assert (tmp_path / "two.png").stat().st_size > 0


def test_that_a_method_without_a_distribution_is_refused(runs: Path, tmp_path: Path):
    list(train(Plan("autoencoder", "digits", {"network": "mlp", "width": 8, "latent": 2}, steps=1, name="ae", device="cpu"), tmp_path))
    with pytest.raises(CannotAnswer, match="no distribution"):
        sample_file(tmp_path / "ae", tmp_path / "a.png", 1)
