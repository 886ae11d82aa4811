"""What the Likelihood pane writes, fed with answers of a paper engine."""

from __future__ import annotations

import csv
import io
from dataclasses import replace

from PIL import Image

from app.panes.likelihood.pane import LikelihoodPane
from tests.kit.likelihood_pane import rest
from tests.kit.panes import (
    KNOWN,
    OTHER,
    RUN,
    STRANGE,
    WEIGHTS,
    Kit,
    _known,
)


def test_that_the_csv_holds_every_value_with_run_step_and_weights(kit: Kit, pane: LikelihoodPane, tmp_path) -> None:
    pane.accept_images(["/a/seven, or so.png", "/a/broken.jpg"])
    pane.runs.set_added(OTHER, True)
    rest(kit, pane)
    path = tmp_path / "scores.csv"
    pane.exports.save_scores(str(path))
    lines = path.read_text(encoding="utf-8").splitlines()
    assert any(line.startswith("# weights_sha256:") and WEIGHTS in line for line in lines)
    rows = list(csv.DictReader(io.StringIO("\n".join(line for line in lines if not line.startswith("#")))))
    assert [(row["file"], row["run"], row["step"]) for row in rows] == [
        ("/a/seven, or so.png", "vae-digits", "1024"),
        ("/a/seven, or so.png", "vae-digits-2", "1024"),
        ("/a/broken.jpg", "vae-digits", "1024"),
    ]
    assert all(row["weights_sha256"] == WEIGHTS for row in rows)
    for row, run in zip(rows[:2], (RUN, OTHER), strict=True):
        for name, unit in (("brightness", "nat"), ("roughness", "bits/dim")):
            score = pane.images.entries[0].score(run, name)
            assert score is not None
            assert float(row[f"{name} [{unit}]"]) == score.value and float(row[f"{name} p_value"]) == score.p_value
    assert rows[2]["error"] == "It is cut off. Save it again." and rows[2]["brightness [nat]"] == ""
    assert pane.page.status.text == "Saved as scores.csv."
    assert "ratio [nat]" not in rows[0]


def test_that_the_csv_has_a_column_of_errors_where_a_value_has_one(kit: Kit, pane: LikelihoodPane, tmp_path) -> None:
    pane.accept_images(["/a/seven.png", "/a/eight.png"])
    rest(kit, pane)
    scores = pane.images.entries[0].scores[RUN]
    scores["roughness"] = replace(scores["roughness"], error=0.25)
    pane.exports.save_scores(str(tmp_path / "scores.csv"))
    lines = [line for line in (tmp_path / "scores.csv").read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    first, second = csv.DictReader(lines)
    assert first["roughness error [bits/dim]"] == "0.25" and second["roughness error [bits/dim]"] == ""
    for row, entry in zip((first, second), pane.images.entries, strict=True):
        for name, unit in (("brightness", "nat"), ("roughness", "bits/dim")):
            score = entry.score(RUN, name)
            assert score is not None
            assert (float(row[f"{name} [{unit}]"]), float(row[f"{name} p_value"])) == (score.value, score.p_value)
    assert "brightness error [nat]" not in first


def test_that_charts_and_bits_are_saved_with_their_recipe(kit: Kit, pane: LikelihoodPane, tmp_path) -> None:
    pane.accept_image("/a/seven.png")
    pane.set_compare("shapes")
    rest(kit, pane)
    pane.exports.save_chart("csv", str(tmp_path / "d.csv"))
    rows = list(csv.DictReader(line for line in (tmp_path / "d.csv").read_text(encoding="utf-8").splitlines() if not line.startswith("#")))
    assert len(rows) == KNOWN + STRANGE and rows[-1]["label"] == "shapes, test image 357"
    assert float(rows[0]["score"]) == _known(RUN)["brightness"][0]
    pane.exports.save_bits(str(tmp_path / "b.png"))
    pane.exports.save_chart("png", str(tmp_path / "d.png"))
    for name in ("b.png", "d.png"):
        with Image.open(tmp_path / name) as image:
            assert "vae-digits, step 1024" in image.text["runs"]  # type: ignore[attr-defined]
            assert image.size[0] >= 400
    pane.page.show_right(1)
    rest(kit, pane)
    pane.exports.save_chart("csv", str(tmp_path / "c.csv"))
    rows = list(csv.DictReader(line for line in (tmp_path / "c.csv").read_text(encoding="utf-8").splitlines() if not line.startswith("#")))
    assert len(rows) == 2 * 11 and {row["detector"] for row in rows} == {"brightness", "roughness"}
    pane.exports.save_scores(str(tmp_path / "missing" / "s.csv"))
    assert "could not be written" in pane.page.status.text and pane.page.status.level == "bad"
