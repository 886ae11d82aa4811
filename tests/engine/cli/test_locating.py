"""Moved data, as a script meets them: `--data NEW` with the verbs that need the run's own data, and the sentence where it is refused."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from engine.cli import main
from engine.storage.run_reader import Run
from tests.kit.import_cases import class_folders, picture, save

SMALL = ["--set", "network=mlp", "--set", "width=8", "--set", "latent=2", "--set", "batch_size=8"]


@pytest.fixture
def moved(tmp_path, capsys):
    """A run whose data were renamed, without their being known under the new name: (the verb's words, the new place)."""
    runs = ["--runs", str(tmp_path / "runs")]
    data = str(class_folders(tmp_path / "old", count=24))
    assert main(["train", "vae", "--data", data, "--steps", "3", *SMALL, *runs, "--name", "run", "--quiet"]) == 0
    shutil.move(data, tmp_path / "new")
    capsys.readouterr()
    return runs, tmp_path / "new"


def test_that_a_resumed_training_takes_the_new_place_and_keeps_the_old_one(moved, tmp_path, capsys):
    runs, new = moved
    again = ["train", "vae", "--data", str(new), "--steps", "5", *SMALL, *runs, "--name", "run", "--resume", "--json", "--quiet"]
    assert main(again) == 0
    told = capsys.readouterr()
    assert json.loads(told.out.splitlines()[-1])["step"] == 5
    assert f"lie in “{new}” now: their content is the same." in told.err
    manifest = Run.open(tmp_path / "runs" / "run").manifest
    assert manifest.data == str(new) and manifest.former_places == (str(tmp_path / "old"),)


@pytest.mark.parametrize("verb", ["eval", "score", "embed", "probe", "ood", "sample", "export"])
def test_that_every_verb_takes_the_new_place(verb, moved, tmp_path, capsys):
    runs, new = moved
    image = str(save(tmp_path / "one.png", picture(np.random.default_rng(5))))
    words = {
        "eval": ["--limit", "4", "--k", "2", "--split", "valid"],
        "score": [image, "--k", "2"],
        "embed": ["--out", str(tmp_path / "map.csv"), "--map", "pca", "--split", "train"],
        "probe": ["--limit", "20"],
        "ood": ["--out", "digits", "--limit", "4", "--k", "2"],
        "sample": ["--out", str(tmp_path / "s.png"), "--n", "2"],
        "export": ["--out", str(tmp_path / "run.zip"), "--with-data"],
    }[verb]
    assert main([verb, "run", *words, *runs, "--data", str(new), "--json", "--quiet"]) == 0, capsys.readouterr().err


def test_that_other_content_is_refused_with_what_to_do(moved, tmp_path, capsys):
    runs, _ = moved
    other = str(class_folders(tmp_path / "other one", count=30))
    for words, code in ((["eval", "run"], 1), (["train", "vae", *SMALL, "--resume", "--name", "run", "--steps", "5"], 2)):
        assert main([*words, *runs, "--data", other]) == code
        sentence = capsys.readouterr().err
        assert "of 60 images" in sentence and "of 48 images" in sentence and "its content changed, or this version finds other" in sentence
        assert len(sentence.strip().splitlines()) == 1


def test_that_a_verb_without_the_place_says_how_to_give_it(moved, capsys):
    runs, _ = moved
    assert main(["eval", "run", *runs]) == 1
    assert "any more: give their new place with --data" in capsys.readouterr().err
