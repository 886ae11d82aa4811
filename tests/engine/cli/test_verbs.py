"""The headless verbs as a script sees them: last line JSON, exit codes, one sentence on stderr."""

from __future__ import annotations

import json
import math
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from engine.cli import main
from engine.data import open_data
from engine.data.splits import spread
from engine.queries.session import Model
from engine.storage.run_reader import Run

TRAIN = ["train", "vae", "--data", "digits", "--steps", "6", "--set", "network=mlp", "--set", "width=8", "--set", "latent=4"]


@pytest.fixture
def say(capsys):
    """Run a verb: (exit code, last line as JSON or None, stderr)."""

    def run(*arguments):
        code = main([*arguments, "--json"])
        out = capsys.readouterr()
        lines = out.out.strip().splitlines()
        return code, json.loads(lines[-1]) if lines and code == 0 else None, out.err

    return run


def test_list_names_methods_data_and_detectors(say):
    code, told, _ = say("list")
    assert code == 0
    vae = next(method for method in told["methods"] if method["name"] == "vae")
    assert vae["density"] == "bound" and vae["sampling"] == "direct" and vae["conditional"] is False
    assert {"encode", "decode", "log_prob", "sample"} <= set(vae["capabilities"])
    assert {d["name"] for d in told["data"]} >= {"digits", "shapes", "photo-patches", "pydoc-text"}
    detectors = {detector["name"]: detector for detector in told["detectors"]}
    assert {"log_likelihood", "likelihood_ratio", "msp", "knn"} <= set(detectors)
    assert all(detector["source"] and detector["density"] for detector in detectors.values())


def test_train_eval_and_sample_one_after_the_other(say, tmp_path):
    runs = ["--runs", str(tmp_path)]
    code, trained, _ = say(*TRAIN, *runs, "--name", "first")
    assert code == 0
    assert trained["step"] == 6 and trained["images_per_second"] > 0 and math.isfinite(trained["metrics"]["loss"])
    code, scored, _ = say("eval", "first", *runs, "--limit", "20", "--k", "16")
    assert code == 0
    assert scored["density"] == "bound" and scored["k"] == 16 and scored["step"] == 6
    assert scored["bits_per_dim"] == pytest.approx(scored["nats"] / (64 * math.log(2)))
    assert scored["nats"] <= scored["elbo_nats"]
    assert say("eval", "first", *runs, "--limit", "20", "--k", "16")[1] == scored
    out = tmp_path / "samples.png"
    code, told, _ = say("sample", str(tmp_path / "first"), "--n", "9", "--out", str(out), "--seed", "3")
    assert code == 0 and told["n"] == 9
    with Image.open(out) as image:
        assert image.size == (28, 28)
        assert json.loads(image.text["priorama"])["seed"] == 3
    code, more, _ = say(*TRAIN[:5], "9", *TRAIN[6:], *runs, "--name", "first", "--resume")
    assert code == 0 and more["step"] == 9


def test_eval_equals_a_slow_loop_over_single_images(say, tmp_path):
    """The oracle: one image and one sample at a time, torch.distributions, float64."""
    gaussian = [word for value in ("likelihood=gaussian", "sigma=fixed", "sigma_value=0.3") for word in ("--set", value)]
    say(*TRAIN, "--runs", str(tmp_path), "--name", "run", *gaussian)
    _, scored, _ = say("eval", "run", "--runs", str(tmp_path), "--split", "test", "--limit", "4", "--k", "8")
    method = Model(Run.open(tmp_path / "run"), scored["step"]).method
    held_out = open_data("digits").splits["test"]
    images = torch.from_numpy(np.array(held_out.images[spread(held_out, 4)])).float() / 255
    from engine.losses.likelihoods import image_generators

    total = 0.0
    for x, generator in zip(images, image_generators(images, 0), strict=True):
        q = method.posterior(x[None])
        noise = torch.randn(8, 4, generator=generator)
        weights = []
        for eps in noise:
            z = q.mean + q.sigma * eps
            mean = method._mean_and_width(method._maps(z))[0]
            log_p = torch.distributions.Normal(mean.double(), 0.3).log_prob(x[None].double()).sum()
            log_prior = torch.distributions.Normal(0.0, 1.0).log_prob(z.double()).sum()
            log_q = torch.distributions.Normal(q.mean.double(), q.sigma.double()).log_prob(z.double()).sum()
            weights.append(log_p + log_prior - log_q)
        total -= float(torch.logsumexp(torch.stack(weights), 0) - math.log(8))
    assert scored["nats"] == pytest.approx(total / 4, rel=1e-4)


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["trian"], 2, "invalid choice"),
        (["train", "vae"], 2, "--data"),
        (["train", "gan2", "--data", "digits"], 2, "There is no method “gan2”"),
        (["train", "vae", "--data", "digits", "--set", "latent=0"], 2, "from 1 to 512"),
        (["train", "vae", "--data", "digits", "--set", "latent"], 2, "key=value"),
        (["train", "vae", "--data", "digits", "--steps", "0"], 2, "above zero"),
        (["train", "vae", "--data", "digits", "--device", "tpu"], 2, "auto, cpu, cuda or mps"),
        (["train", "vae", "--data", "digits", "--resume"], 2, "--name"),
        (["train", "vae", "--data", "digits", "--seed", "-1"], 2, "whole number"),
        (["train", "vae", "--data", "digits", "--device", "cuda:99"], 2, "choose"),
        (["train", "vae", "--data", "/no/such/place"], 1, "/no/such/place"),
        (["train", "vae", "--data", "pydoc-text"], 1, "text"),
        (["eval", "nothing"], 1, "There is no run “nothing”"),
        (["probe", "x", "--data", "digits"], 1, "There is no run “x”"),
        (["embed", "x", "--out", "y.csv"], 1, "There is no run “x”"),
        (["embed", "x"], 2, "--out"),
        (["embed", "x", "--out", "y.csv", "--map", "tsne"], 2, "umap"),
        (["score", "x", "y.png"], 1, "There is no run “x”"),
        (["ood", "x", "--in", "a", "--out", "b"], 1, "There is no run “x”"),
    ],
)
def test_every_error_is_one_sentence_and_the_right_exit_code(capsys, arguments, code, says):
    assert main(arguments) == code
    out = capsys.readouterr()
    assert says in out.err
    assert len(out.err.strip().splitlines()) == 1
    assert "Traceback" not in out.err


def test_cuda_that_is_missing_is_said(capsys):
    if torch.cuda.is_available():
        pytest.skip("this machine has a CUDA GPU")
    assert main(["train", "vae", "--data", "digits", "--device", "cuda"]) == 2
    assert "no CUDA GPU" in capsys.readouterr().err


def test_an_autoencoder_has_nothing_to_score_or_sample(capsys, tmp_path):
    assert main(["train", "autoencoder", *TRAIN[2:], "--runs", str(tmp_path), "--name", "ae", "--json"]) == 0
    capsys.readouterr()
    assert main(["eval", "ae", "--runs", str(tmp_path)]) == 1
    assert "no density" in capsys.readouterr().err
    assert main(["sample", "ae", "--runs", str(tmp_path), "--out", str(tmp_path / "a.png")]) == 1
    assert "no distribution to draw from" in capsys.readouterr().err


def test_a_training_leaves_the_signals_as_they_were(capsys, tmp_path):
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    assert main([*TRAIN, "--runs", str(tmp_path), "--name", "run", "--json"]) == 0
    assert main([*TRAIN, "--set", "learning_rate=1", "--data", "no/such", "--runs", str(tmp_path), "--json"]) == 1
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_a_place_that_cannot_be_written_is_named(capsys, tmp_path):
    main([*TRAIN, "--runs", str(tmp_path), "--name", "run", "--json"])
    capsys.readouterr()
    assert main(["sample", "run", "--runs", str(tmp_path), "--out", str(tmp_path / "no" / "a.png")]) == 1
    assert "could not be written" in capsys.readouterr().err


def test_the_engine_runs_without_qt_as_a_module(tmp_path):
    program = (
        "import runpy, sys; sys.modules['PySide6'] = None; sys.argv = ['engine', 'list', '--json'];"
        "runpy.run_module('engine', run_name='__main__')"
    )
    child = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert child.returncode == 0, child.stderr
    assert json.loads(child.stdout.strip().splitlines()[-1])["methods"]


def test_a_run_goes_on_as_it_was_begun_or_not_at_all(capsys, tmp_path):
    runs = ["--runs", str(tmp_path), "--name", "run"]
    assert main([*TRAIN, *runs, "--json"]) == 0
    capsys.readouterr()
    others = ["train", "autoencoder", *TRAIN[2:]], [*TRAIN, "--set", "beta=2"], [*TRAIN, "--seed", "5"], [*TRAIN[:3], "shapes", *TRAIN[4:]]
    for other in others:
        assert main([*other, *runs, "--resume"]) == 2
        told = capsys.readouterr().err
        assert "was begun with" in told or "is not what run was trained on" in told


def test_a_name_that_leads_to_another_folders_run_does_not_go_on_with_it(capsys, tmp_path):
    assert main([*TRAIN, "--runs", str(tmp_path / "others"), "--name", "run"]) == 0
    before = {path: path.read_bytes() for path in (tmp_path / "others").rglob("*") if path.is_file()}
    (tmp_path / "runs").mkdir()
    capsys.readouterr()
    for name in ("../others/run", "../../x", str(tmp_path / "others" / "run")):
        assert main([*TRAIN, "--runs", str(tmp_path / "runs"), "--name", name, "--resume"]) == 1
        said = capsys.readouterr().err.strip()
        assert said.endswith(".") and "\n" not in said and "Traceback" not in said
    assert {path: path.read_bytes() for path in (tmp_path / "others").rglob("*") if path.is_file()} == before


def test_embed_writes_a_table_of_places_and_says_how_far_to_trust_them(say, tmp_path):
    runs, out = ["--runs", str(tmp_path)], tmp_path / "map.csv"
    say(*TRAIN, *runs, "--name", "run")
    asked = ["embed", "run", *runs, "--data", "digits", "--out", str(out), "--map", "pca", "--limit", "50"]
    code, told, _ = say(*asked, "--step", "4")
    assert code == 0
    assert (told["file"], told["n"], told["step"], told["map"], told["seed"], told["split"]) == (str(out), 50, 4, "pca", 0, "valid")
    assert 0 < told["trustworthiness"] <= 1 and 0 < told["knn"] <= 1 and told["seconds"] > 0
    lines = out.read_text(encoding="utf-8").splitlines()
    assert lines[0] == "index,label,x,y,run,step,step_rule,weights,data,split" and len(lines) == 51
    index, label, x, y = lines[1].split(",")[:4]
    split = open_data("digits").splits["valid"]
    first = int(spread(split, 50)[0])
    assert (int(index), label) == (first, str(split.labels[first])) and math.isfinite(float(x)) and math.isfinite(float(y))
    code, _, error = say(*asked[:7], "/no/such/folder/map.csv", *asked[8:])
    assert code == 1 and "name another file with --out" in error


@pytest.mark.parametrize(
    ("words", "code"),
    [(["eval", "nowhere"], 1), (["train", "vae"], 2), (["train", "vae", "--data", "nowhere", "--steps", "1"], 1), (["frobnicate"], 2)],
)
def test_that_a_failing_verb_prints_its_sentence_as_json_too(words, code, capsys, tmp_path):
    assert main([*words, "--json"]) == code
    told = capsys.readouterr()
    (line,) = told.out.splitlines()
    (sentence,) = told.err.splitlines()
    assert json.loads(line) == {"error": sentence}
    assert main(words) == code
    assert capsys.readouterr().out == ""
