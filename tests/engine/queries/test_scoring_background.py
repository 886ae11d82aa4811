"""Background models for the likelihood ratio: built beside a run, gone on with, offered where they say something."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from engine import messages as m
from engine.losses.likelihoods import image_generators
from engine.queries.session import Model
from engine.storage.run_folders import BadRun
from engine.storage.run_reader import Run, list_runs
from engine.storage.run_writer import RunWriter
from engine.training.background_models import build_background, find_background
from engine.training.batches import mutated
from engine.training.loop import train
from engine.training.plan import Plan
from engine.worker.engine import Engine
from tests.kit.scoring import ODD, SMALL, calibrate, judge, only


def test_that_mutation_replaces_the_named_share_by_uniform_values():
    images = torch.full((50, 1, 20, 20), 300 % 256, dtype=torch.uint8)
    out = mutated(images, 0.3, 256, torch.Generator().manual_seed(0))
    changed = out != images
    assert float(changed.float().mean()) == pytest.approx(0.3 * 255 / 256, abs=0.01)
    values = out[changed].float()
    assert values.min() < 3 and values.max() > 252 and float(values.mean()) == pytest.approx(127.5, abs=2)
    assert torch.equal(mutated(images, 0.3, 256, torch.Generator().manual_seed(0)), out)


def test_that_a_background_is_built_beside_the_run_and_opens_the_ratio(tmp_path):
    list(train(Plan("vae", "digits", SMALL, steps=6, name="owner", device="cpu"), tmp_path))
    owner = tmp_path / "owner"
    found, why, buildable = find_background(owner)
    assert found is None and buildable and "build it" in why
    (before,) = calibrate(owner)
    info = next(info for info in before.detectors if info.name == "likelihood_ratio")
    assert info.missing == why and info.remedy == "mutated" and "likelihood_ratio" not in before.known
    events = build_background(owner)
    while True:
        try:
            next(events)
        except StopIteration as end:
            assert end.value.status == "done" and end.value.step == 6
            break
    found, why, _ = find_background(owner)
    assert found is not None and not why
    plan = found.load(6, "state.json")[2]["plan"]
    assert plan["mutation"] > 0 and plan["method"] == "vae" and plan["config"] == SMALL
    probe = np.asarray(found.probe()["images"])
    assert np.array_equal(probe, np.asarray(Run.open(owner).probe()["images"])), "what it is looked at with is never mutated"
    assert [r.name for r in list_runs(tmp_path)] == ["owner"]
    assert Run.open(owner).verify() == []
    (after,) = calibrate(owner)
    assert "likelihood_ratio" in after.known
    assert not next(info for info in after.detectors if info.name == "likelihood_ratio").missing


def test_that_an_unfinished_background_says_so_and_is_gone_on_with(tmp_path):
    list(train(Plan("vae", "digits", SMALL, steps=4, name="owner", device="cpu"), tmp_path))
    events = build_background(tmp_path / "owner", steps=12)
    for event in events:
        if isinstance(event, m.CheckpointSaved) and event.step >= 4:
            break
    events.close()
    found, why, buildable = find_background(tmp_path / "owner")
    assert found is None and buildable and "left at step" in why
    list(build_background(tmp_path / "owner", steps=12))
    found, _, _ = find_background(tmp_path / "owner")
    assert found is not None and found.manifest is not None and found.manifest.step == 12


def test_that_a_background_that_diverged_says_so_and_is_neither_removed_nor_trained_again(tmp_path):
    list(train(Plan("vae", "digits", SMALL, steps=2, name="owner", device="cpu"), tmp_path))
    list(build_background(tmp_path / "owner", steps=2))
    path = tmp_path / "owner" / "background"
    with RunWriter.resume(path) as writer:
        writer.set_status("failed", "The loss was not finite at step 3.", diverged=True)
    before = sorted(file.name for file in path.rglob("*"))
    found, why, buildable = find_background(tmp_path / "owner")
    assert found is None and not buildable and "diverged" in why and why.endswith("The loss was not finite at step 3.")
    with pytest.raises(BadRun, match=r"would end there again\. The loss was not finite at step 3\."):
        list(build_background(tmp_path / "owner", steps=4))
    assert sorted(file.name for file in path.rglob("*")) == before


def test_that_a_background_that_waits_when_the_window_closes_waits_again_at_the_next_start(tmp_path):
    list(train(Plan("vae", "digits", SMALL, steps=4, name="owner", device="cpu"), tmp_path))
    first = Engine(tmp_path)
    first.start()
    first.send(m.BuildBackground(job="b", run=str(tmp_path / "owner")))
    assert first.close(timeout=300)
    second = Engine(tmp_path)
    second.start()
    try:
        events: list[m.Event] = []
        deadline = time.monotonic() + 60
        while not (waiting := [e for e in only(events, m.JobChanged) if e.state == "paused"]):
            assert time.monotonic() < deadline
            events += second.drain()
            threading.Event().wait(0.01)
        assert waiting[0].label == "background model of owner"
        second.send(m.ResumeJob(waiting[0].job))
        while not only(events, m.Ended):
            assert time.monotonic() < deadline
            events += second.drain()
            threading.Event().wait(0.01)
        assert only(events, m.Ended)[0].outcome == "ok" and find_background(tmp_path / "owner")[0] is not None
    finally:
        assert second.close(timeout=20)


def test_that_a_local_model_is_a_small_pixelcnn_of_the_same_images(tmp_path):
    settings = {"width": 8, "layers": 2, "cell_layers": 0, "levels": 4}
    list(train(Plan("pixel_cnn", "shapes:200", settings, steps=2, name="owner", device="cpu"), tmp_path))
    (before,) = calibrate(tmp_path / "owner")
    lacking = {info.name: info.remedy for info in before.detectors if info.missing}
    assert lacking["local_ratio"] == "local" and lacking["likelihood_ratio"] == "mutated"
    list(build_background(tmp_path / "owner", steps=3, kind="local"))
    found, why, _ = find_background(tmp_path / "owner", "local")
    assert found is not None and found.manifest is not None, why
    assert (found.manifest.method, found.manifest.changed) == ("pixel_cnn", {"levels": 4, "layers": 1, "cell_layers": 0})
    assert found.load(3, "state.json")[2]["plan"]["mutation"] == 0
    (after,) = calibrate(tmp_path / "owner")
    assert "local_ratio" in after.known and "likelihood_ratio" not in after.known
    (judged,) = judge(tmp_path / "owner", ODD)
    told = {score.detector: score.value for score in judged.scores}
    x = torch.from_numpy(judged.seen[str(tmp_path / "owner")][None]).float() / 255
    with torch.no_grad():
        own, local = (float(Model(Run.open(path), None).method.log_prob(x)) for path in (tmp_path / "owner", found.path))
    assert told["local_ratio"] == pytest.approx(own - local, rel=1e-5, abs=1e-3)


@pytest.mark.parametrize(("data", "likelihood"), [("shapes:200", "gaussian"), ("digits", "bernoulli")], ids=["density", "size"])
def test_that_no_local_model_is_offered_where_it_would_say_nothing(data, likelihood, tmp_path):
    list(train(Plan("vae", data, SMALL | {"likelihood": likelihood}, steps=2, name="owner", device="cpu"), tmp_path))
    (told,) = calibrate(tmp_path / "owner")
    assert "local_ratio" not in {info.name for info in told.detectors}
    with pytest.raises(BadRun, match="no local model"):
        list(build_background(tmp_path / "owner", steps=1, kind="local"))


def test_that_a_local_model_of_a_bernoulli_vae_sees_the_same_black_and_white_images(tmp_path):
    list(train(Plan("vae", "shapes:200", SMALL | {"likelihood": "bernoulli"}, steps=2, name="owner", device="cpu"), tmp_path))
    list(build_background(tmp_path / "owner", steps=2, kind="local"))
    vae, local = (Model(Run.open(tmp_path / name), None).method for name in ("owner", "owner/local"))
    assert local.config.levels == 2
    x = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    theirs = local.to_images(local.to_tokens(x, image_generators(x, 0)))
    assert torch.equal(vae.evaluate_target(x, image_generators(x, 0)), theirs)


def test_that_the_background_of_a_run_that_names_another_finds_it(tmp_path):
    tokens = {"codes": 8, "code_size": 4, "width": 8, "blocks": 1}
    list(train(Plan("vq_vae", "digits", tokens, steps=2, name="tokens", device="cpu"), tmp_path))
    prior = {"tokenizer": "tokens", "width": 8, "layers": 1, "heads": 2}
    list(train(Plan("token_transformer", "digits", prior, steps=2, name="prior", device="cpu"), tmp_path))
    list(build_background(tmp_path / "prior"))
    found, why, _ = find_background(tmp_path / "prior")
    assert found is not None, why


def test_that_the_lanes_build_a_background_and_then_judge_with_it(tmp_path):
    list(train(Plan("vae", "digits", SMALL, steps=4, name="owner", device="cpu"), tmp_path))
    owner = str(tmp_path / "owner")
    engine = Engine(tmp_path)
    engine.start()
    try:

        def until_ended(job: str) -> list[m.Event]:
            events: list[m.Event] = []
            deadline = time.monotonic() + 100
            while not any(isinstance(event, m.Ended) and event.job == job for event in events):
                assert time.monotonic() < deadline, events[-3:]
                events += engine.drain()
                threading.Event().wait(0.01)
            return events

        engine.send(m.BuildBackground(job="b", run=owner))
        events = until_ended("b")
        ended = only(events, m.Ended)
        assert [(end.job, end.outcome, Path(end.run).name) for end in ended] == [("b", "ok", "background")]
        assert only(events, m.RunsListed)[-1].runs[0].name == "owner" and len(only(events, m.RunsListed)[-1].runs) == 1
        engine.send(m.ScoreImages(job="j", runs=((owner, None),), pictures=(ODD,), limit=20, samples=4))
        events = until_ended("j")
        assert only(events, m.Ended)[0].outcome == "ok"
        assert "likelihood_ratio" in {score.detector for score in only(events, m.ImageScored)[0].scores}
    finally:
        assert engine.close(timeout=20)
