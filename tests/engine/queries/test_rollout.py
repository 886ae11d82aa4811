"""Films that are rolled out: each frame's likelihood is that of `log_prob`, window and verb draw the same, clips are held out."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from engine import messages as m
from engine.cli import main
from engine.data import open_data
from engine.queries.rollout import clip_starts
from engine.queries.session import QuerySession
from engine.training.loop import train
from engine.training.plan import Plan

DATA, PAST, LATER, SIDE = "moving-shapes:30", 4, 16, 16
SMALL = {"width": 4, "layers": 1, "encoder_layers": 1, "batch_size": 8, "learning_rate": 5e-3, "schedule": "constant", "warmup": 0}


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("runs")
    list(train(Plan("next_frame", DATA, SMALL, steps=12, name="film", device="cpu", precision="fp32"), root))
    small = {key: value for key, value in SMALL.items() if key != "encoder_layers"}
    list(train(Plan("pixel_cnn", DATA, small, steps=1, name="single", device="cpu"), root))
    return root


def rolled(runs: Path, run: str = "film", **asked: object) -> tuple[m.RolloutBegan, list[m.FrameRolledOut]]:
    work = m.RollOut(job="j", run=str(runs / run), **asked)  # type: ignore[arg-type]
    events = [event for event in QuerySession().work(work) if event is not None and not isinstance(event, m.Progress)]
    began, *frames = events
    assert isinstance(began, m.RolloutBegan) and all(isinstance(frame, m.FrameRolledOut) for frame in frames)
    return began, frames  # type: ignore[return-value]


def test_that_each_frame_has_the_likelihood_that_log_prob_gives_it_after_the_four_before(runs):
    began, frames = rolled(runs, clip=1, frames=6, seed=3)
    method = QuerySession().model(str(runs / "film"), None).method
    film = list(began.before) + [frame.image for frame in frames]
    for number, frame in enumerate(frames):
        x = torch.from_numpy(film[number + PAST])[None].float() / 255
        past = torch.from_numpy(np.stack(film[number : number + PAST]))[None]
        assert frame.log_p == pytest.approx(method.log_prob(x, past).item(), rel=1e-5)  # type: ignore[operator]
        assert (frame.frame, frame.frames, frame.final) == (number + 1, 6, number == 5)
    truth = [*began.before, *began.truth]
    for number, log_p in enumerate(began.truth_log_p):
        x = torch.from_numpy(truth[number + PAST])[None].float() / 255
        past = torch.from_numpy(np.stack(truth[number : number + PAST]))[None]
        assert log_p == pytest.approx(method.log_prob(x, past).item(), rel=1e-5)  # type: ignore[operator]


def test_that_the_clip_is_a_held_out_one_from_its_beginning_and_the_truth_ends_with_it(runs):
    valid = open_data(DATA).splits["valid"]
    assert valid.before is not None
    assert np.array_equal(clip_starts(valid), np.arange(0, len(valid), LATER))
    clips = len(valid) // LATER
    for clip, frames in ((0, 3), (clips - 1, 20), (clips + 1, 1)):
        began, drawn = rolled(runs, clip=clip, frames=frames)
        row = clip % clips * LATER
        assert (began.clip, began.clips, began.name) == (clip % clips, clips, valid.names[row])
        assert np.array_equal(began.before, valid.before[row])
        assert np.array_equal(began.truth, valid.images[row : row + min(frames, LATER)])
        assert len(drawn) == frames and began.truth_log_p.shape == (min(frames, LATER),)


def test_that_a_seed_draws_the_same_frames_and_more_frames_begin_with_fewer(runs):
    _, three = rolled(runs, frames=3, seed=5)
    _, four = rolled(runs, frames=4, seed=5)
    _, other = rolled(runs, frames=3, seed=6)
    assert all(np.array_equal(a.image, b.image) and a.log_p == b.log_p for a, b in zip(three, four, strict=False))
    assert not np.array_equal(three[0].image, other[0].image)


def test_that_the_verb_writes_the_frames_that_the_window_shows(runs, tmp_path, capsys):
    began, drawn = rolled(runs, clip=1, frames=3, seed=2)
    for name in ("film.png", "film.gif"):
        said = ["sample", "film", "--runs", str(runs), "--rollout", "3", "--clip", "2", "--seed", "2", "--out", str(tmp_path / name)]
        assert main([*said, "--json", "--quiet"]) == 0
        told = json.loads(capsys.readouterr().out.splitlines()[-1])
        assert told["log_p"] == [frame.log_p for frame in drawn] and told["clip"] == 2
        assert told["true_log_p"] == began.truth_log_p.tolist()
        dims = SIDE * SIDE * math.log(2)
        assert told["bits_per_dim"] == pytest.approx(-sum(told["log_p"]) / 3 / dims)
        assert told["true_bits_per_dim"] == pytest.approx(-sum(told["true_log_p"]) / 3 / dims)
    rows = [[*began.before, *began.truth], [*began.before, *(frame.image for frame in drawn)]]
    with Image.open(tmp_path / "film.png") as picture:
        sheet = np.asarray(picture)
        assert json.loads(picture.text["priorama"])["clip"] == 2  # type: ignore[attr-defined]
    for y, row in enumerate(rows):
        for x, frame in enumerate(row):
            seen = sheet[y * 66 : y * 66 + 64 : 4, x * 66 : x * 66 + 64 : 4]
            assert np.array_equal(seen, frame[0])
    with Image.open(tmp_path / "film.gif") as film:
        assert film.n_frames == PAST + 3  # type: ignore[attr-defined]
        for number in range(PAST + 3):
            film.seek(number)
            seen = np.asarray(film.convert("L"))
            assert np.array_equal(seen[:64:4, :64:4], rows[0][number][0]) and np.array_equal(seen[:64:4, 66::4], rows[1][number][0])


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["single", "--rollout", "3", "--out", "a.png"], "next frame of a clip"),
        (["film", "--rollout", "65", "--out", "a.png"], "choose 1 to 64"),
        (["film", "--rollout", "3", "--out", "a.txt"], "name a file such as film.gif"),
        (["film", "--rollout", "3", "--class", "1", "--out", "a.png"], "leave out all but"),
        (["film", "--clip", "3", "--out", "a.png"], "--rollout N"),
    ],
)
def test_that_what_cannot_be_rolled_out_is_said_in_one_sentence(runs, tmp_path, capsys, monkeypatch, words, sentence):
    monkeypatch.chdir(tmp_path)
    assert main(["sample", *words, "--runs", str(runs), "--quiet"]) != 0
    said = capsys.readouterr().err.strip()
    assert sentence in said and "\n" not in said
    assert not list(tmp_path.glob("a.*"))


def test_that_eval_says_what_the_frames_before_save_with_an_error_over_clips(runs, capsys):
    assert main(["eval", "film", "--runs", str(runs), "--split", "valid", "--json", "--quiet"]) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    valid = open_data(DATA).splits["valid"]
    assert valid.before is not None
    method = QuerySession().model(str(runs / "film"), None).method
    x = torch.from_numpy(valid.images).float() / 255
    for name, past in (("nats", None), ("next_frame_nats", torch.from_numpy(valid.before))):
        nats = -method.log_prob(x, past).double().numpy()  # type: ignore[operator]
        clips = nats.reshape(-1, LATER).mean(1)
        assert told[name] == pytest.approx(nats.mean(), rel=1e-5)
        assert told[f"{name}_se"] == pytest.approx(clips.std(ddof=1) / math.sqrt(len(clips)), rel=1e-4)
    dims = SIDE * SIDE * math.log(2)
    assert told["next_frame_bits_per_dim"] == pytest.approx(told["next_frame_nats"] / dims)
    assert told["next_frame_bits_per_dim_se"] == pytest.approx(told["next_frame_nats_se"] / dims)
