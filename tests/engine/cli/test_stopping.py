"""Signals while a verb works, files that cannot be written, and what is kept."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.cli import main
from engine.cli.errors import Failed, Interrupted
from engine.cli.out_file import writable
from engine.cli.signals import SIGNALS, StopSignals
from engine.data import open_data

ROOT = Path(__file__).resolve().parents[3]
SMALL = ["--set", "network=mlp", "--set", "width=8", "--set", "latent=4"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    """A folder with a trained VAE."""
    folder = tmp_path_factory.mktemp("runs")
    assert main(["train", "vae", "--data", "digits", "--steps", "6", *SMALL, "--runs", str(folder), "--name", "run", "--json"]) == 0
    return folder


@pytest.fixture
def pictures(tmp_path) -> Path:
    """A folder with forty digits."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number, image in enumerate(open_data("digits").splits["test"].images[:40]):
        Image.fromarray(np.asarray(image[0])).save(folder / f"{number:02}.png")
    return folder


@pytest.fixture
def signal_at(monkeypatch):
    """Send this process a signal when so many pictures have been read."""

    def arrange(number: int, after: int) -> None:
        from engine.queries import scoring

        read, count = scoring.read_picture, [0]

        def counted(*arguments, **more):
            count[0] += 1
            if count[0] == after:
                os.kill(os.getpid(), number)
            return read(*arguments, **more)

        monkeypatch.setattr(scoring, "read_picture", counted)

    return arrange


@pytest.mark.parametrize("number", SIGNALS)
def test_that_a_signal_raises_where_nothing_is_kept_and_is_remembered_where_something_is(number):
    if signal.getsignal(number) is signal.SIG_IGN:
        pytest.skip("started by nohup, which has this signal ignored; so do the verbs")
    before = [signal.getsignal(each) for each in SIGNALS]
    with pytest.raises(Interrupted), StopSignals():
        os.kill(os.getpid(), number)
        signal.pause()
    with StopSignals() as signals, signals.gently():
        os.kill(os.getpid(), number)
        assert signals.heard
        assert signal.getsignal(signal.SIGINT) is signal.SIG_DFL  # the second one ends the process
    assert [signal.getsignal(each) for each in SIGNALS] == before


def test_that_nohup_stays_in_force():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with StopSignals() as signals, signals.gently():
            os.kill(os.getpid(), signal.SIGHUP)
            assert signals.heard == ""
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_that_score_keeps_the_scores_so_far(runs, pictures, tmp_path, capsys, signal_at, number):
    signal_at(number, 17)
    table = tmp_path / "scores.csv"
    asked = ["score", str(runs / "run"), str(pictures), "--k", "2", "--held-out", "20", "--csv", str(table), "--json"]
    assert main(asked) == 1
    out = capsys.readouterr()
    told = json.loads(out.out.splitlines()[-1])
    assert out.err.strip() == told["stopped"] and told["stopped"].startswith("Stopped after ") and " of 40 images" in told["stopped"]
    scored = [image for image in told["images"] if "scores" in image]
    assert 0 < len(scored) < 40
    with table.open(encoding="utf-8", newline="") as file:
        assert [row["file"] for row in csv.DictReader(file)] == [image["file"] for image in scored]


def test_that_ood_keeps_the_data_sets_that_are_done(runs, tmp_path, capsys, monkeypatch):
    from engine.queries import scoring

    adapted, count = scoring.adapted, [0]

    def counted(*arguments):
        count[0] += 1
        if count[0] == 3:  # the known data, the first of the others, the second
            os.kill(os.getpid(), signal.SIGTERM)
        return adapted(*arguments)

    monkeypatch.setattr(scoring, "adapted", counted)
    raw = tmp_path / "raw.csv"
    sets = ["shapes:300", "photo-patches"]
    assert main(["ood", str(runs / "run"), "--out", *sets, "--limit", "12", "--k", "2", "--scores", str(raw), "--json"]) == 1
    out = capsys.readouterr()
    told = json.loads(out.out.splitlines()[-1])
    assert out.err.strip() == told["stopped"] == "Stopped after 1 of 2 data sets; those are kept."
    assert list(told["results"]) == ["shapes:300"] and told["split"] == "valid"
    with raw.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [sum(row["side"] == side for row in rows) for side in ("in", "out")] == [12, 12]


def test_that_eval_keeps_what_it_has_scored_and_says_of_how_many(runs, capsys, monkeypatch):
    """A signal in the second of four batches: the figures are the means over the images of two, not of the first ones."""
    from engine.evaluation import evaluate

    real, seen = evaluate._scores, []

    def counted(model, x, *more):
        found = real(model, x, *more)
        seen.append((x.clone(), found["nats"]))
        if len(seen) == 2:
            os.kill(os.getpid(), signal.SIGINT)
        return found

    monkeypatch.setattr(evaluate, "_scores", counted)
    monkeypatch.setattr(evaluate, "BATCH", 40)
    assert main(["eval", str(runs / "run"), "--k", "2", "--limit", "160", "--json"]) == 1
    out = capsys.readouterr()
    told = json.loads(out.out.splitlines()[-1])
    assert len(seen) == 2 and told["images"] == 80
    assert out.err.strip() == told["stopped"] == "Stopped after 80 of 160 images; the figures are of those."
    assert told["nats"] == pytest.approx(float(np.concatenate([nats for _, nats in seen]).mean()))
    first = open_data("digits").splits["valid"].images[:40]
    assert all((x * 255).round().byte().numpy().tolist() != first.tolist() for x, _ in seen)


def test_that_a_place_that_takes_no_file_is_said_before_anything_is_computed(runs, tmp_path, capsys, monkeypatch):
    def never(*_arguments, **_more):
        raise AssertionError("computed")

    from engine.evaluation import embedding_table, sample_grid, score_report

    for module, name in (
        (score_report, "score_files"),
        (score_report, "compare_data"),
        (embedding_table, "map_file"),
        (sample_grid, "sample_file"),
    ):
        monkeypatch.setattr(module, name, never)
    run, folder = str(runs / "run"), tmp_path / "folder"
    folder.mkdir()
    for place in (tmp_path / "no" / "f.x", folder, "/dev/null"):
        for words in (
            ["score", run, "a.png", "--csv"],
            ["ood", run, "--out", "shapes", "--scores"],
            ["embed", run, "--out"],
            ["embed", run, "--out", str(tmp_path / "good.csv"), "--features"],
            ["sample", run, "--out"],
        ):
            assert main([*words, str(place)]) == 1, words
            said = capsys.readouterr().err
            assert "could not be written" in said and f"another file with {words[-1]}" in said and len(said.splitlines()) == 1
    assert not list(tmp_path.glob(".priorama*"))


def test_that_a_trial_leaves_nothing_and_follows_a_link(tmp_path):
    real = tmp_path / "real.csv"
    real.write_text("old")
    (tmp_path / "link.csv").symlink_to(real)
    assert writable(str(tmp_path / "link.csv"), "--csv") == real.resolve()
    assert real.read_text() == "old" and sorted(path.name for path in tmp_path.iterdir()) == ["link.csv", "real.csv"]
    with pytest.raises(Failed, match="--csv"):
        writable(str(tmp_path / ("n" * 300)), "--csv")


def test_that_features_are_written_with_their_labels_places_and_names(runs, tmp_path, capsys):
    features, table = tmp_path / "f.npz", tmp_path / "map.csv"
    asked = [
        "embed",
        str(runs / "run"),
        "--out",
        str(table),
        "--features",
        str(features),
        "--map",
        "pca",
        "--limit",
        "30",
        "--step",
        "newest",
    ]
    assert main([*asked, "--json"]) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert told["step_rule"] == "newest" and told["split"] == "valid"
    kept = np.load(features)
    split = open_data("digits").splits["valid"]
    assert kept["features"].shape == (30, 4) and kept["features"].dtype == np.float32 and np.isfinite(kept["features"]).all()
    assert (kept["labels"] == split.labels[kept["index"]]).all() and list(kept["names"]) == [split.names[int(i)] for i in kept["index"]]


def test_that_a_folder_without_a_readable_image_fails_and_is_listed(runs, tmp_path, capsys):
    folder = tmp_path / "odd"
    folder.mkdir()
    name = os.fsdecode(b"caf\xe9\x1b[2J\n.png")
    (folder / name).write_bytes(b"no picture")
    asked = ["score", str(runs / "run"), str(folder), "--k", "2", "--held-out", "20"]
    assert main([*asked, "--json"]) == 1
    out = capsys.readouterr()
    (image,) = json.loads(out.out.splitlines()[-1])["images"]
    assert image["file"] == str(folder / name) and image["error"] and "No image could be scored" in out.err
    assert main(asked) == 1
    assert "\x1b" not in (words := capsys.readouterr().out) and "caf\\xe9\\x1b[2J\\n.png" in words


def test_that_train_names_the_files_it_could_not_read(pictures, tmp_path, capsys):
    for number in range(5):
        (pictures / f"bad{number}.png").write_bytes(b"no picture")
    asked = ["train", "vae", "--data", str(pictures), "--steps", "1", *SMALL, "--runs", str(tmp_path / "runs"), "--json"]
    assert main(asked) == 0
    said = capsys.readouterr().err
    assert "5 files of pictures could not be read" in said and "bad0.png" in said and "and 2 more" in said


@pytest.mark.parametrize("name", ["../../x", "a/b", "..", "con"])
def test_that_a_name_does_not_lead_out_of_the_folder_of_runs(tmp_path, capsys, name):
    for more in ([], ["--resume"]):
        words = ["train", "vae", "--data", "digits", "--steps", "1", "--runs", str(tmp_path / "a" / "runs"), "--name", name, *more]
        assert main(words) == 1
        assert "cannot be a run's name" in capsys.readouterr().err


# -- as processes ------------------------------------------------------------------------------------------------------


def process(*words: str, **more) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([sys.executable, "-m", "engine", *words], cwd=ROOT, capture_output=True, check=False, **more)


@pytest.mark.parametrize("encoding", ["ascii:strict", "cp1252:strict"])
def test_that_list_passes_a_strict_stdout(encoding):
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    for words in (["list"], ["list", "--json"], ["--help"]):
        answer = process(*words, env=environment)
        assert answer.returncode == 0 and answer.stdout and answer.stderr == b""


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_that_a_full_stdout_and_a_reader_that_left_end_without_a_traceback():
    with open("/dev/full", "wb") as full:
        answer = subprocess.run(
            [sys.executable, "-m", "engine", "list", "--json"], cwd=ROOT, stdout=full, stderr=subprocess.PIPE, check=False
        )
    assert (
        answer.returncode == 1 and answer.stderr.decode().startswith("The result could not be printed") and answer.stderr.count(b"\n") == 1
    )
    child = subprocess.Popen([sys.executable, "-m", "engine", "list"], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    child.stdout.close()
    said = child.stderr.read()
    child.stderr.close()
    assert child.wait() == 1 and said == b""


def test_that_a_training_is_kept_when_its_terminal_is_closed(tmp_path):
    words = ["train", "vae", "--data", "digits", "--steps", "1000000", *SMALL, "--runs", str(tmp_path), "--name", "run", "--json"]
    child = subprocess.Popen([sys.executable, "-m", "engine", *words], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        while b"step" not in (line := child.stderr.readline()):
            assert line or child.poll() is None
        child.send_signal(signal.SIGHUP)
        out, err = child.communicate(timeout=120)
    finally:
        child.kill()
    told = json.loads(out.splitlines()[-1])
    assert told["status"] == "stopped" and told["step"] > 0 and b"Traceback" not in err
    assert json.loads((tmp_path / "run" / "manifest.json").read_text())["status"] == "stopped"


def test_that_the_runs_of_a_user_without_a_home_folder_lie_in_the_current_one(monkeypatch, capsys, tmp_path):
    import platformdirs

    def homeless(*_arguments, **_more):
        raise RuntimeError("could not determine the home directory")

    monkeypatch.delenv("PRIORAMA_RUNS")
    monkeypatch.setattr(platformdirs, "user_data_path", homeless)
    monkeypatch.chdir(tmp_path)
    assert main(["eval", "run"]) == 1
    assert f"{tmp_path / 'priorama' / 'data'}" in capsys.readouterr().err
