"""The verbs `score` and `ood` say what a batch of images is, with the figures that a plain loop over their raw scores gives."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest

from engine.cli import main
from engine.training.loop import train
from engine.training.plan import Plan


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    for method, settings in (("vae", {"network": "mlp", "width": 8, "latent": 4}), ("classifier", {"width": 8})):
        list(train(Plan(method, "digits", settings, steps=8, name=method, device="cpu"), root))
    return root


def told(capsys, *arguments: str) -> dict:
    assert main([*arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def test_that_batches_of_other_data_are_told_from_known_ones(runs, tmp_path, capsys):
    path, words = tmp_path / "raw.csv", ["ood", "vae", "--out", "shapes:60", "--limit", "60", "--k", "4", "--runs", str(runs)]
    result = told(capsys, *words, "--batch", "8", "--scores", str(path))["batch"]
    assert result["size"] == 8 and result["alpha"] == 0.05
    rows = list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))
    assert set(result["results"]["shapes:60"]) == {"iwae", "elbo"}
    for name, found in result["results"]["shapes:60"].items():
        known, unknown = (np.array([float(row[name]) for row in rows if row["side"] == side]) for side in ("in", "out"))
        rng = np.random.default_rng(9)
        ours, theirs = (np.abs(rng.choice(side, (4000, 8)).mean(1) - known.mean()) for side in (known, unknown))
        area = np.mean(theirs[:, None] > ours[None])
        assert found["auroc"] == pytest.approx(area, abs=0.02 + 4 * found["auroc_se"])  # another half may be the reference
        power = np.mean(theirs > np.quantile(ours, 0.95))
        assert found["rejected_out"] == pytest.approx(power, abs=0.05 + 4 * found["rejected_out_se"])
        assert found["rejected_in"] < 0.4 and found["rejected_in_se"] > 0
    assert main([*words, "--batch", "8"]) == 0
    said = capsys.readouterr().out
    assert "Batches of 8 images" in said and "known rejected" in said
    assert "Batches of" not in (main(words) == 0 and capsys.readouterr().out)


def test_that_a_folder_is_judged_as_one_batch_by_its_mean(runs, tmp_path, capsys):
    from PIL import Image

    rng = np.random.default_rng(0)
    for i in range(5):
        Image.fromarray(rng.integers(0, 256, (8, 8)).astype(np.uint8)).save(tmp_path / f"{i}.png")
    result = told(capsys, "score", "vae", str(tmp_path), "--k", "4", "--runs", str(runs))
    nats = [-image["scores"]["iwae"]["value"] for image in result["images"]]
    batch = result["batch"]
    assert batch["detector"] == "iwae" and batch["images"] == 5
    assert batch["mean_nats"] == pytest.approx(np.mean(nats), rel=1e-6)
    assert batch["statistic"] == pytest.approx(abs(np.mean(nats) - batch["held_out_mean_nats"]))
    assert batch["p_value"] == batch["p_floor"] and "less likely" in batch["verdict"]
    assert main(["score", "vae", str(tmp_path), "--k", "4", "--runs", str(runs)]) == 0
    assert "These 5 images as one batch (iwae)" in capsys.readouterr().out
    assert told(capsys, "score", "vae", str(tmp_path / "0.png"), "--k", "4", "--runs", str(runs))["batch"] is None


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["classifier", "--batch", "5"], "gives no log p"),
        (["vae", "--batch", "50"], "at least 100 known images"),
        (["vae", "--batch", "0"], "--batch"),
    ],
)
def test_that_what_cannot_be_a_batch_is_one_sentence(runs, capsys, arguments, says):
    assert main(["ood", *arguments, "--out", "shapes:60", "--limit", "60", "--k", "4", "--runs", str(runs)]) in (1, 2)
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert says in error
