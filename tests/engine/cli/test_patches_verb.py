"""The verb `patches`: the numbers of the window, a picture of them, and sentences for what cannot be drawn."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from engine import cli
from engine import messages as m
from engine.common.viridis import viridis
from engine.evaluation.patches_picture import patch_rows
from engine.queries.session import QuerySession
from engine.training.loop import train
from engine.training.plan import Plan


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("runs")
    settings = {"width": 16, "blocks": 1, "decoder_width": 16, "batch_size": 16}
    list(train(Plan("mae", "digits", settings, seed=3, steps=2, name="mae", device="cpu"), root))
    return root


def told(capsys, root: Path, *words: str) -> dict[str, Any]:
    assert cli.main(["patches", "mae", "--runs", str(root), "--json", "--quiet", *words]) == 0
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        assert json.loads(image.text["priorama"])["run"] == "mae"  # type: ignore[attr-defined]
        return np.asarray(image)


def test_that_attention_is_that_of_the_window_and_is_drawn_head_by_head(root: Path, tmp_path: Path, capsys) -> None:
    out = tmp_path / "a.png"
    values = told(capsys, root, "--out", str(out), "--layer", "3", "--index", "5", "--patch", "1,2", "--step", "2")
    ref = m.PictureRef("x", index=5)
    shown = QuerySession().answer(m.ShowAttention(run=str(root / "mae"), step=2, picture=ref, layer=3, patch=(1, 2)))
    assert isinstance(shown, m.AttentionShown)
    assert [row["head"] for row in values["heads"]] == ["1", "2", "mean"] and values["layer"] == 3 and values["step"] == 2
    for place, row in enumerate(values["heads"]):
        np.testing.assert_allclose(row["map"], shown.maps[place], atol=1e-7)
        assert row["no_patch"] == pytest.approx(shown.rest[place]) and row["entropy"] == pytest.approx(shown.entropies[place])
        assert row["distance"] == pytest.approx(shown.distances[place])
    sheet = pixels(out)
    assert sheet.shape == (128, 4 * 130 - 2, 3)
    np.testing.assert_array_equal(sheet[:, :128, 0], shown.seen[0].repeat(16, 0).repeat(16, 1))
    mean = shown.maps[2]
    expected = 0.3 * shown.seen[0, 7, 1] + 0.7 * viridis(mean[3, 0] / mean.max())
    assert np.abs(sheet[7 * 16 + 3, 130 + 16 + 3] - expected).max() <= 1


def test_that_components_are_those_of_the_window(root: Path, tmp_path: Path, capsys) -> None:
    out = tmp_path / "a.png"
    values = told(capsys, root, "--out", str(out), "--mode", "pca", "--foreground", "above", "--limit", "5", "--index", "2", "--step", "2")
    images = m.PatchImages(str(root / "mae"), m.PictureRef("valid image 2", index=2), 2, others=4)
    work = m.ColorPatches(job="", images=images, foreground="above")
    (shown,) = [event for event in QuerySession().work(work) if isinstance(event, m.PatchesColored)]
    assert values["explained"] == pytest.approx(shown.explained) and values["kept"] == shown.kept.sum() and values["patches"] == 80
    assert [one["index"] for one in values["images"]] == shown.indices.tolist() and values["data"] == "digits"
    sheet = pixels(out)
    for image in (0, 3):
        for row, column in np.ndindex(4, 4):
            x, y = image * 130 + column * 32 + 5, row * 32 + 5
            bare = shown.seen[image, 0, 2 * row, 2 * column]
            expected = 0.3 * bare + 0.7 * shown.colors[image, row, column] if shown.kept[image, row, column] else np.full(3, bare)
            assert np.abs(sheet[y, x] - expected).max() <= 1


def test_that_matches_are_those_of_the_window_and_outlined(root: Path, tmp_path: Path, capsys) -> None:
    out = tmp_path / "a.png"
    values = told(capsys, root, "--out", str(out), "--mode", "similarity", "--patch", "0,3", "--limit", "3", "--step", "2")
    images = m.PatchImages(str(root / "mae"), m.PictureRef("valid image 0", index=0), 2, others=2)
    (shown,) = [
        event
        for event in QuerySession().work(m.CompareToPatch(job="", images=images, patch=(0, 3)))
        if isinstance(event, m.PatchesCompared)
    ]
    found = [(one["image"], one["row"], one["column"], pytest.approx(one["cosine"])) for one in values["matches"]]
    assert [(match.image, match.row, match.column, match.cosine) for match in shown.matches] == found and values["patch"] == [0, 3]
    sheet = pixels(out)
    for image, row, column in [(0, 0, 3), *((match.image, match.row, match.column) for match in shown.matches)]:
        corner = sheet[row * 32, image * 130 + column * 32 : image * 130 + column * 32 + 32]
        assert (corner == 255).all()


def test_that_other_data_and_a_file_of_ones_own_can_be_looked_at(root: Path, tmp_path: Path, capsys) -> None:
    more = ("--data", "shapes:100", "--split", "train", "--limit", "4")
    values = told(capsys, root, "--out", str(tmp_path / "a.png"), "--mode", "pca", *more)
    assert values["data"] == "shapes:100" and values["split"] == "train" and values["images"][0]["index"] == 0
    Image.fromarray(np.full((40, 30, 3), 200, np.uint8)).save(tmp_path / "own.png")
    values = told(capsys, root, "--out", str(tmp_path / "b.png"), "--image", str(tmp_path / "own.png"))
    assert values["image"].endswith("own.png") and values["notes"]


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["--out", "a.jpg"], 1, "Patches are drawn as .png"),
        (["--out", "a.png", "--layer", "9"], 1, "There is no layer 9"),
        (["--out", "a.png", "--patch", "9,9"], 1, "no patch in row 9, column 9"),
        (["--out", "a.png", "--patch", "1"], 2, "not a row and a column"),
        (["--out", "a.png", "--mode", "pca", "--layer", "1"], 2, "--layer goes with --mode attention"),
        (["--out", "a.png", "--mode", "pca", "--patch", "1,1"], 2, "--patch goes with --mode attention or similarity"),
        (["--out", "a.png", "--foreground", "above"], 2, "--foreground goes with --mode pca"),
        (["--out", "a.png", "--index", "-1"], 2, "not a whole number"),
    ],
)
def test_that_what_cannot_be_drawn_is_one_sentence(
    root: Path, tmp_path: Path, capsys, monkeypatch, words, code: int, sentence: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(["patches", "mae", "--runs", str(root), "--quiet", *words]) == code
    said = capsys.readouterr().err
    assert sentence in said and len(said.splitlines()) == 1 and not (tmp_path / "a.png").exists()


def test_that_pixels_outside_the_grid_lie_in_no_patch() -> None:
    rows, columns = patch_rows((8, 16), (4, 8), (2, 2), (0.0, 2.0, 4.0, 4.0))  # a centre crop of a wide image
    assert rows.tolist() == [0] * 4 + [1] * 4
    assert columns.tolist() == [-1] * 4 + [0] * 4 + [1] * 4 + [-1] * 4
