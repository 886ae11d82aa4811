"""Every table and answer says whose images it is of and which weights made it, and test images are read on demand only."""

from __future__ import annotations

import csv
import hashlib
import json
from pathlib import Path

import pytest

from engine.cli import main

SMALL = ["--set", "network=mlp", "--set", "width=8", "--set", "latent=4"]


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """A trained VAE."""
    folder = tmp_path_factory.mktemp("runs")
    assert main(["train", "vae", "--data", "digits", "--steps", "4", *SMALL, "--runs", str(folder), "--name", "run", "--json"]) == 0
    return folder / "run"


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def weights_of(run: Path, step: int) -> str:
    """The hash of the file itself."""
    (file,) = [path for path in run.rglob("model.safetensors") if int(path.parent.name.lstrip("step-") or 0) == step]
    return hashlib.sha256(file.read_bytes()).hexdigest()


def test_that_a_map_names_split_step_and_weights(run: Path, tmp_path: Path, capsys) -> None:
    out = tmp_path / "map.csv"
    assert main(["embed", str(run), "--out", str(out), "--map", "pca", "--limit", "20", "--step", "newest"]) == 0
    said = capsys.readouterr().out
    assert "20 validation images at step 4 (" in said
    for row in rows_of(out):
        assert (row["run"], row["step"], row["split"], row["data"]) == (str(run), "4", "valid", "digits")
        assert row["weights"] == weights_of(run, 4) and float(row["x"]) == float(row["x"])


def test_that_raw_scores_name_step_weights_and_data_and_the_text_what_a_value_is(run: Path, tmp_path: Path, capsys) -> None:
    raw = tmp_path / "raw.csv"
    assert main(["ood", str(run), "--out", "shapes:100", "--limit", "8", "--k", "2", "--step", "4", "--scores", str(raw)]) == 0
    said = capsys.readouterr().out
    rows = rows_of(raw)
    assert len(rows) == 16 and {row["weights"] for row in rows} == {weights_of(run, 4)} and {row["step"] for row in rows} == {"4"}
    assert len({(row["data"], row["data_hash"]) for row in rows}) == 2 and all(row["data_hash"] for row in rows)
    line = next(line for line in said.splitlines() if line.startswith("elbo") and ";" in line)
    assert "nat" in line or "bits/dim" in line
    assert "bound" in line and "values are more unusual" in line


def test_that_eval_reads_validation_images_and_warns_of_test_images(run: Path, capsys) -> None:
    def told(*words: str) -> tuple[dict, str]:
        assert main(["eval", str(run), "--limit", "6", "--k", "2", "--json", *words]) == 0
        out = capsys.readouterr()
        return json.loads(out.out.splitlines()[-1]), out.err

    plain, noted = told()
    assert plain["split"] == "valid" and "test images" not in noted
    asked, noted = told("--split", "test")
    assert asked["split"] == "test" and "choose nothing by their figures" in noted and asked["nats"] != plain["nats"]
    assert main(["eval", str(run), "--final", "--decode", "sample"]) == 2
    assert "--decode" in capsys.readouterr().err
