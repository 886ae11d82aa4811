"""What the Probe pane and the verb `probe` are told, from tiny runs; against the functions of `linear_probe` asked directly."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from engine import messages as m
from engine.cli import main
from engine.data import BadData, open_data
from engine.data.splits import draw
from engine.detectors.base import finish
from engine.evaluation.linear_probe import features_of, fit, knn, untrained
from engine.queries.probing import report
from engine.queries.session import CannotAnswer, Model, QuerySession
from engine.storage.run_folders import BadRun
from engine.storage.run_reader import Run
from engine.training.batches import first_look, shared
from engine.training.loop import train
from engine.training.plan import Plan
from engine.worker.engine import Engine

LIMIT = 90
SMALL = {"width": 4, "batch_size": 32}


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("runs")
    list(train(Plan("simclr", "digits", SMALL, steps=2, name="simclr", seed=5, device="cpu"), root))
    vae = {"network": "mlp", "width": 8, "latent": 4}
    list(train(Plan("vae", "digits", vae, steps=2, name="vae", device="cpu"), root))
    list(train(Plan("pixel_cnn", "digits", {"width": 4, "layers": 1}, steps=1, name="pixels", device="cpu"), root))
    return root


def ask(path: Path, session: QuerySession | None = None, **changes) -> list[m.Event]:
    work = replace(m.Probe(job="p", run=str(path), limit=LIMIT, shares=(), blocks=False), **changes)
    return [event for event in (session or QuerySession()).work(work) if event is not None]


def measured(events: list[m.Event]) -> dict[m.ProbeSubject, m.ProbeMeasured]:
    return {event.subject: event for event in events if isinstance(event, m.ProbeMeasured)}


def sides() -> tuple[np.ndarray, torch.Tensor, np.ndarray, torch.Tensor]:
    """Images and labels that everything is measured on."""
    out: list = []
    for name in ("train", "valid"):
        split = open_data("digits").splits[name]
        rows = draw(len(split.images), min(LIMIT, len(split.images)), split.labels)
        out += [split.images[rows], torch.from_numpy(split.labels[rows]).long()]
    return tuple(out)


def directly(features, known: np.ndarray, y: torch.Tensor, asked: np.ndarray, answers: torch.Tensor) -> tuple[float, float]:
    f, g = features(known), features(asked)
    *_, end = fit(f, y, 10)
    return end.linear.right(g, answers).mean(), (finish(knn(f, y, g, 10)) == answers).double().mean().item()


def test_that_every_figure_is_that_of_the_functions_asked_directly(runs):
    told = measured(ask(runs / "simclr"))
    method = Model(Run.open(runs / "simclr"), 2).method
    fresh = untrained(type(method), method.config, method.data, 5, sides()[0])
    ways = {
        "checkpoint": lambda images: finish(features_of(method, images))[""],
        "random": lambda images: finish(features_of(fresh, images))[""],
        "pixels": lambda images: torch.from_numpy(images).flatten(1).float() / 255,
    }
    for of, features in ways.items():
        event = told[m.ProbeSubject(of)]
        assert (event.linear, event.knn) == pytest.approx(directly(features, *sides())), of
        assert (event.n_train, event.n_test, event.classes, event.step) == (LIMIT, LIMIT, 10, 2)
        assert event.converged and event.data_name == "digits"
    assert told[m.ProbeSubject("pixels")].features == 64


@pytest.fixture(scope="module")
def class_by_class(tmp_path_factory) -> str:
    """Digits whose images lie class by class, as those of a folder of classes do."""
    split = open_data("digits").splits["train"]
    order = np.argsort(split.labels, kind="stable")
    place = tmp_path_factory.mktemp("data") / "sorted.npz"
    np.savez(place, images=np.asarray(split.images)[order], labels=np.asarray(split.labels)[order])
    return str(place)


@pytest.mark.parametrize(
    ("method", "settings"),
    [
        ("simclr", SMALL),
        ("vq_vae", {"width": 4, "codes": 8}),
        ("vae", {"network": "mlp", "width": 8, "latent": 4, "prior": "vamp", "pseudo_inputs": 10}),
        ("autoencoder", {"network": "mlp", "width": 8, "latent": 4}),
        ("inpainting", {"width": 4}),
    ],
)
def test_that_the_random_encoder_is_step_zero_of_the_run(tmp_path: Path, class_by_class: str, method: str, settings: dict):
    list(train(Plan(method, class_by_class, settings, steps=1, name="run", seed=3, device="cpu"), tmp_path))
    told = measured(ask(tmp_path / "run", step=0, pixels=False))
    own, random = told[m.ProbeSubject("checkpoint")], told[m.ProbeSubject("random")]
    assert (own.linear, own.knn) == (random.linear, random.knn)
    method_ = Model(Run.open(tmp_path / "run"), 0).method
    images = first_look(open_data(class_by_class))
    fresh = untrained(type(method_), method_.config, method_.data, 3, images).state_dict()
    assert all(torch.equal(value, fresh[name]) for name, value in method_.state_dict().items())


def test_that_the_fit_is_told_while_it_goes_on_and_ends_at_the_figure(runs):
    events = ask(runs / "simclr", random=False, pixels=False)
    fits = [event for event in events if isinstance(event, m.ProbeFitting)]
    assert fits[-1].losses[0] == pytest.approx(np.log(10)) and (np.diff(fits[-1].losses) < 0).all()
    (figure,) = measured(events).values()
    assert fits[-1].right[-1] == figure.linear and len(fits[-1].losses) == figure.iterations + 1
    assert events.index(fits[-1]) < events.index(figure)
    notes = " ".join(event.note for event in events if isinstance(event, m.Progress))
    assert "Encoding at step 2" in notes and "Nearest neighbours of this checkpoint" in notes


def test_that_blocks_and_fewer_labels_have_their_own_figures(runs):
    told = measured(ask(runs / "simclr", blocks=True, shares=(0.02, 0.05, 0.9)))
    blocks = [subject.block for subject in told if subject.of == "checkpoint" and subject.block]
    assert blocks == ["stem", "block 1", "block 2", "block 3", "block 4", "features"]
    assert told[m.ProbeSubject("checkpoint", "features")].linear == told[m.ProbeSubject("checkpoint")].linear
    assert {subject.share for subject in told} == {1.0, 0.02, 0.05}, "nine tenths are more than the limit"
    count = len(open_data("digits").splits["train"].images)
    assert [told[m.ProbeSubject("pixels", share=share)].n_train for share in (0.02, 0.05)] == [round(0.02 * count), round(0.05 * count)]


def test_that_shares_that_are_not_measured_are_named(runs, capsys):
    command = f"probe vae --limit {LIMIT} --labels 0.02,0.9 --json".split()
    assert main([*command, "--runs", str(runs)]) == 0
    told = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
    assert list(told["labels"]) == ["0.02"] and told["note"].startswith("Not with 90 % of the labels")


def test_that_a_share_of_labels_is_the_one_that_a_training_takes(runs):
    told = measured(ask(runs / "simclr", shares=(0.03,)))
    images, labels = shared(open_data("digits"), 0.03)
    assert labels is not None
    _, _, asked, answers = sides()
    pixels = lambda some: torch.from_numpy(np.array(some)).flatten(1).float() / 255  # noqa: E731
    event = told[m.ProbeSubject("pixels", share=0.03)]
    assert (event.linear, event.knn) == pytest.approx(directly(pixels, images, torch.from_numpy(labels).long(), asked, answers))


def test_that_baselines_are_not_measured_again_for_another_step(runs, monkeypatch):
    session = QuerySession()
    first = measured(ask(runs / "simclr", session))
    monkeypatch.setattr("engine.queries.probing.untrained", lambda *_: pytest.fail("it built the random encoder again"))
    second = measured(ask(runs / "simclr", session, step=0))
    assert set(second) == set(first)
    for of in ("random", "pixels"):
        assert second[m.ProbeSubject(of)].linear == first[m.ProbeSubject(of)].linear
        assert second[m.ProbeSubject(of)].step == 0


def test_that_other_data_are_seen_as_the_network_sees_them(runs):
    told = measured(ask(runs / "simclr", data="shapes", limit=40, random=False))
    assert told[m.ProbeSubject("checkpoint")].data_name == "shapes"
    assert told[m.ProbeSubject("pixels")].features == 64, "raw pixels of what the network sees, 8×8"


def test_that_too_many_features_have_no_linear_probe_and_say_so(runs, monkeypatch):
    monkeypatch.setattr("engine.queries.probing.MOST_FEATURES", 50)
    told = measured(ask(runs / "simclr", random=False))
    pixels = told[m.ProbeSubject("pixels")]
    assert pixels.linear is None and "64" in pixels.note and pixels.knn > 0
    assert told[m.ProbeSubject("checkpoint")].linear is not None


def test_that_what_cannot_be_probed_is_one_sentence(runs, tmp_path):
    np.save(tmp_path / "plain.npy", np.random.default_rng(0).integers(0, 256, (40, 8, 8), dtype=np.uint8))
    with pytest.raises(CannotAnswer, match="cannot encode"):
        ask(runs / "pixels")
    with pytest.raises(CannotAnswer, match="no classes"):
        ask(runs / "simclr", data=str(tmp_path / "plain.npy"))
    with pytest.raises(BadData, match="is a text"):
        ask(runs / "simclr", data="pydoc-text")
    with pytest.raises(BadRun, match="step"):
        ask(runs / "simclr", step=77)


def test_that_features_that_are_no_numbers_are_said(runs, monkeypatch):
    monkeypatch.setattr("engine.methods.vae.VAE.encode", lambda self, x: torch.full((len(x), 4), torch.nan))
    with pytest.raises(CannotAnswer, match="not all finite"):
        ask(runs / "vae")


def test_that_files_of_the_run_are_not_touched(runs):
    def state():
        return {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in (runs / "simclr").rglob("*") if path.is_file()}

    before = state()
    ask(runs / "simclr")
    assert state() == before


def test_that_a_job_in_the_window_can_be_stopped_and_ends_once(runs):
    engine = Engine(runs)
    engine.start()
    try:
        events: list[m.Event] = []

        def until(met) -> None:
            deadline = time.monotonic() + 60
            while not any(met(event) for event in events):
                assert time.monotonic() < deadline
                events.extend(engine.drain())
                time.sleep(0.002)

        until(lambda event: isinstance(event, m.Ready))
        engine.send(m.Probe(job="long", channel="probe", run=str(runs / "simclr"), limit=1400, blocks=True))
        until(lambda event: isinstance(event, m.Progress))
        engine.send(m.StopJob("long"))
        until(lambda event: isinstance(event, m.Ended))
        engine.send(m.Probe(job="short", channel="probe", run=str(runs / "vae"), limit=60, shares=(), random=False, pixels=False))
        until(lambda event: isinstance(event, m.Ended) and event.job == "short")
        ended = [(event.job, event.outcome) for event in events if isinstance(event, m.Ended)]
        assert ended == [("long", "stopped"), ("short", "ok")]
    finally:
        assert engine.close(10)


# -- the verb ------------------------------------------------------------------------------------------------------------


def test_that_the_verb_answers_as_the_contract_names_it(runs, capsys):
    command = f"probe simclr --data digits --limit {LIMIT} --split {m.Probe.split} --blocks --labels 0.02,1 --json".split()
    assert main([*command, "--runs", str(runs)]) == 0
    told = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
    figures = measured(ask(runs / "simclr", blocks=True, shares=(0.02,)))
    own, random, pixels = (figures[m.ProbeSubject(of)] for of in ("checkpoint", "random", "pixels"))
    assert (told["knn"], told["linear"]) == (own.knn, own.linear)
    assert (told["random_init_knn"], told["random_init_linear"]) == (random.knn, random.linear)
    assert (told["pixels_knn"], told["pixels_linear"]) == (pixels.knn, pixels.linear)
    assert (told["step"], told["n_train"], told["n_test"], told["k"]) == (2, LIMIT, LIMIT, LIMIT)
    block = figures[m.ProbeSubject("checkpoint", "block 2")]
    assert told["blocks"]["block 2"] == {"linear": block.linear, "linear_se": block.linear_se, "knn": block.knn, "knn_se": block.knn_se}
    for name in ("linear", "knn", "random_init_knn", "pixels_linear"):
        assert told[f"{name}_se"] == pytest.approx((told[name] * (1 - told[name]) / LIMIT) ** 0.5), "binomial: digits have no groups"
    assert told["step_rule"]
    assert told["labels"]["1"]["linear"] == own.linear
    assert told["labels"]["0.02"]["linear"] == figures[m.ProbeSubject("checkpoint", share=0.02)].linear
    assert told["labels"]["0.02"]["n_train"] == figures[m.ProbeSubject("checkpoint", share=0.02)].n_train


def test_that_without_json_there_is_a_table_for_people(runs, capsys):
    assert main(["probe", "vae", "--runs", str(runs), "--limit", "60", "--step", "0", "--labels", "0.02"]) == 0
    text = capsys.readouterr().out
    head, _, columns, *rows = text.splitlines()
    assert "step 0 (" in head and "fitted on 60 training images, asked about 60 validation images" in head
    assert columns.split() == ["linear", "probe", "60", "neighbours"]
    known = finish(report(runs / "vae", step=0, limit=60, shares=(0.02,)))  # type: ignore[arg-type]
    for start, name in (("this checkpoint", ""), ("random encoder", "random_init_"), ("raw pixels", "pixels_")):
        both = [f"{100 * known[name + m]:.1f} ± {100 * known[name + m + '_se']:.1f} %" for m in ("linear", "knn")]
        row = next(row for row in rows if row.startswith(start + " "))
        assert all(cell in row for cell in both), row
    assert any(row.startswith("raw pixels, 2 % of the labels (29 images)") for row in rows)
    for hidden in ("gradient", "iterations", "temperature", "\nC "):
        assert hidden not in text


def test_that_the_standard_error_knows_that_copies_of_an_image_are_one_piece_of_evidence(tmp_path):
    noise = np.random.default_rng(0)
    images = np.repeat(noise.integers(0, 256, (120, 1, 8, 8), np.uint8), 3, axis=0)  # each three times, classes at random
    np.savez(tmp_path / "copies.npz", images=images, labels=np.repeat(noise.integers(0, 2, 120), 3))
    config = {"network": "mlp", "width": 8, "latent": 4}
    list(train(Plan("autoencoder", str(tmp_path / "copies.npz"), config, steps=1, name="run", device="cpu"), tmp_path / "runs"))
    told = finish(report(tmp_path / "runs" / "run", limit=36, whole_split=True))  # type: ignore[arg-type]
    groups = told["n_test"] / 3
    assert told["n_test"] % 3 == 0 and told["n_test"] > 0 and told["n_train"] == 36
    for name in ("linear", "knn", "pixels_linear"):
        p = told[name]
        assert 0 < p < 1, "else this shows nothing"
        assert told[f"{name}_se"] == pytest.approx((p * (1 - p) / (groups - 1)) ** 0.5), name


@pytest.mark.parametrize("labels", ["0", "2", "a", "0.1,"])
def test_that_a_share_that_is_none_is_wrong_usage(labels, capsys):
    assert main(["probe", "x", "--labels", labels]) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_that_the_verb_is_the_same_every_time(runs):
    def once() -> dict:
        return finish(report(runs / "simclr", limit=40))  # type: ignore[arg-type]

    assert once() == once()
