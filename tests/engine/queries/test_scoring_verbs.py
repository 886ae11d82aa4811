"""The verbs `score` and `ood` say what the Likelihood pane is told."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine import messages as m
from engine.cli import main
from engine.common import ood_metrics
from engine.data import open_data
from tests.kit.scoring import HELD_OUT, ODD, ask, judge, only, train_scored


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    return train_scored(tmp_path_factory.mktemp("runs"))


@pytest.fixture
def say(capsys):
    def run(*arguments: str):
        code = main([*arguments, "--json"])
        out = capsys.readouterr()
        return code, json.loads(out.out.strip().splitlines()[-1]) if code == 0 else None, out.err

    return run


def test_that_the_verb_says_what_the_pane_is_told(runs, say, tmp_path):
    folder = tmp_path / "files"
    folder.mkdir()
    Image.fromarray(ODD.image).save(folder / "odd.png")
    (folder / "text.txt").write_text("no image")
    table = tmp_path / "table.csv"
    asked = ["score", "vae", "--runs", str(runs), "--held-out", str(HELD_OUT), "--k", "8", "--csv", str(table)]
    code, told, _ = say(*asked, str(folder), str(tmp_path / "gone.png"))
    assert code == 0
    assert [Path(image["file"]).name for image in told["images"]] == ["odd.png", "text.txt", "gone.png"]
    assert [sorted(image) for image in told["images"]] == [["combined", "file", "notes", "scores"], ["error", "file"], ["error", "file"]]
    (pane,) = judge(runs / "vae", ODD)
    for score in pane.scores:
        cell = told["images"][0]["scores"][score.detector]
        assert cell["value"] == pytest.approx(score.value, rel=1e-6)
        assert (cell["p_floor"], cell["calibration_images"], cell["verdict"]) == (score.p_floor, HELD_OUT, score.verdict)
        assert cell["direction"] in ("higher", "lower") and cell["score"] == pytest.approx(score.score, rel=1e-6)
        assert cell["p_value"] == score.p_value and cell["density"] in ("exact", "bound", "none")
    assert told["step"] == 8 and len(told["weights"]) == 64 and told["step_rule"]
    assert told["held_out"] == {"split": "valid", "images": HELD_OUT, "groups": HELD_OUT, "limit": HELD_OUT, "missing": None}
    assert told["data_hash"] == open_data("digits").hash and (told["scored"], told["unreadable"]) == (1, 2)
    assert told["images"][0]["notes"] == list(pane.notes) and told["images"][0]["combined"]["p_value"] == pane.combined[0].p_value
    assert not told["images"][0]["combined"]["marked"]
    assert told["marked"] == 0 and told["summary"].startswith("Too few held-out images to mark any of 1 ")
    assert "likelihood_ratio" in told["missing"]
    rows = list(csv.DictReader(table.read_text(encoding="utf-8").splitlines()))
    assert float(rows[0]["iwae"]) == told["images"][0]["scores"]["iwae"]["value"]
    assert rows[0]["held_out_images"] == str(HELD_OUT) and rows[0]["step_rule"] and "iwae: lower values" in rows[0]["directions"]
    assert rows[1]["error"] and rows[0]["weights"] == told["weights"] and rows[0]["step"] == "8"


def test_that_ood_reports_every_detector_as_it_is(runs, say, tmp_path):
    copies = str(tmp_path / "copies.npy")
    np.save(copies, np.random.default_rng(0).integers(0, 256, (6, 8, 8), np.uint8).repeat(5, 0))
    asked = ["ood", "vae", "--runs", str(runs), "--in", "digits", "--out", "shapes:60", "photo-patches", copies, "--limit", "20"]
    code, told, _ = say(*asked, "--held-out", str(HELD_OUT), "--k", "8")
    assert code == 0
    assert set(told["results"]) == {"shapes:60", "photo-patches", copies}
    cell = told["results"]["photo-patches"]["elbo"]
    assert set(cell) == {"auroc", "auroc_low", "auroc_high", "fpr95", "fpr95_in_positive", "aupr", "aupr_of_chance", "n_in", "n_out"}
    assert cell["aupr_of_chance"] == 0.5 and 0 < cell["aupr"] <= 1
    assert (cell["n_in"], cell["n_out"]) == (20, 20) and cell["auroc_low"] <= cell["auroc"] <= cell["auroc_high"]
    assert told["split"] == "valid" and "OOD positive" in told["fpr95"] and told["limit"] == 20
    assert told["data"]["shapes:60"] | {"data_hash": "", "notes": []} == {
        "split": "all", "images": 20, "of": 60, "groups": 20, "notes": [], "data_hash": "",
    }  # fmt: skip
    assert told["data"]["photo-patches"]["split"] == "test" and told["data"]["photo-patches"]["groups"] <= 20
    judged = {}
    for data in ("digits", copies):
        split = "valid" if data == "digits" else ""
        work = m.ScoreData(job="d", run=str(runs / "vae"), data=data, split=split, limit=20, samples=8)
        judged[data] = only(ask(work), m.DataScored)[0]
    known, unknown = judged["digits"], judged[copies]
    assert unknown.groups is not None and len(set(unknown.groups.tolist())) == 6
    for name, cell in told["results"][copies].items():
        sides = known.scores[name], unknown.scores[name]
        assert cell["auroc"] == ood_metrics.auroc(*sides), name
        assert (cell["auroc_low"], cell["auroc_high"]) == ood_metrics.auroc_interval(*sides, known.groups, unknown.groups), "whole groups"


def test_that_raw_scores_are_written_as_they_are_found(runs, tmp_path):
    from engine.evaluation.score_report import compare_data, score_files

    path = tmp_path / "raw.csv"
    told = compare_data(runs / "vae", None, None, ["shapes:60"], limit=15, k=8, scores=path, seed=3)
    rows = list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))
    assert len(rows) == 30 and {row["side"] for row in rows} == {"in", "out"} and told["seed"] == 3
    sides = [np.array([float(row["elbo"]) for row in rows if row["side"] == side]) for side in ("in", "out")]
    assert told["results"]["shapes:60"]["elbo"]["auroc"] == ood_metrics.auroc(*sides)
    with pytest.raises(Exception, match="no_such"):
        compare_data(runs / "vae", None, None, ["no_such"], limit=15, k=8, scores=path)
    assert len(path.read_text(encoding="utf-8").splitlines()) == 16, "what was found before is kept"
    (tmp_path / "empty").mkdir()
    nothing = score_files(runs / "vae", None, [str(tmp_path / "empty")], HELD_OUT, 8)
    assert (nothing["scored"], nothing["unreadable"]) == (0, 1) and "no file in this folder" in nothing["images"][0]["error"]
    odd = tmp_path / "odd.png"
    Image.fromarray(ODD.image).save(odd)
    values = [score_files(runs / "vae", None, [str(odd)], HELD_OUT, 8, seed)["images"][0]["scores"]["iwae"]["value"] for seed in (0, 0, 1)]
    assert values[0] == values[1] != values[2]


def test_that_ood_builds_the_background_when_asked(say, tmp_path):
    say(
        "train",
        "vae",
        "--data",
        "digits",
        "--steps",
        "3",
        "--set",
        "network=mlp",
        "--set",
        "width=8",
        "--runs",
        str(tmp_path),
        "--name",
        "r",
    )
    asked = ["ood", "r", "--runs", str(tmp_path), "--out", "shapes:60", "--limit", "6", "--held-out", "10", "--k", "4"]
    code, told, _ = say(*asked, "--background-steps", "2")
    assert code == 0
    assert "likelihood_ratio" in told["results"]["shapes:60"] and set(told["missing"]) == {"waic"}


def test_that_the_tables_are_readable(runs, capsys, tmp_path):
    Image.fromarray(ODD.image).save(tmp_path / "odd.png")
    more = ["--runs", str(runs), "--held-out", str(HELD_OUT), "--k", "8"]
    assert main(["score", "vae", str(tmp_path / "odd.png"), *more]) == 0
    out = capsys.readouterr().out
    assert "input_complexity" in out and "bits/dim" in out and "likelihood_ratio is left out" in out
    assert main(["ood", "vae", "--out", "shapes:60", "--limit", "20", *more]) == 0
    assert "AUROC" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["score", "nothing", "x.png"], 1, "There is no run “nothing”"),
        (["score", "vae"], 2, "FILE"),
        (["ood", "vae", "--in", "digits"], 2, "--out"),
        (["ood", "vae", "--out", "/no/such/place"], 1, "/no/such/place"),
        (["ood", "vae", "--out", "pydoc-text"], 1, "text"),
        (["score", "vae", "x.png", "--step", "5"], 1, "no checkpoint at step 5"),
    ],
)
def test_that_every_error_is_one_sentence(runs, capsys, arguments, code, says):
    assert main([*arguments, "--runs", str(runs), "--held-out", str(HELD_OUT), "--k", "8", "--quiet"]) == code
    err = capsys.readouterr().err
    assert says in err and len(err.strip().splitlines()) == 1
