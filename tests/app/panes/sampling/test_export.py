"""Samples out of the window: every file says how it was made."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from PIL import Image

from app.panes.sampling.pane import SamplingPane
from tests.kit.panes import Kit, level_value
from tests.kit.sampling_pane import branch_at, tokens_of


@pytest.mark.parametrize("factor", [1, 8])
def test_that_a_png_carries_its_recipe(kit: Kit, pane: SamplingPane, tmp_path, factor: int) -> None:
    value = branch_at(kit, pane, 1, 20)
    pane.exports.scale_factor = factor
    pane.exports.save_png(str(tmp_path / "out.png"))
    with Image.open(tmp_path / "out.png") as image:
        text, size = image.text, image.size  # type: ignore[attr-defined]
        pixels = np.asarray(image.convert("L"))
    assert size == (17 * factor, 17 * factor)  # two by two, a line between them
    assert (text["run"], text["step"], text["sample_seed"], text["temperature"]) == ("pixel-cnn-digits", "1024", "0", "1.0")
    assert json.loads(text["choices"]) == [[1, 20, value]]
    np.testing.assert_array_equal(pixels[: 8 * factor : factor, 9 * factor :: factor], level_value(tokens_of(pane)[1]).reshape(8, 8))


def test_that_the_gif_is_the_growth(kit: Kit, pane: SamplingPane, tmp_path) -> None:
    pane.exports.save_gif(str(tmp_path / "out.gif"))
    with Image.open(io.BytesIO((tmp_path / "out.gif").read_bytes())) as film:
        frames = getattr(film, "n_frames", 1)
        comment = json.loads(film.info["comment"])
        factor = film.width // 17
        film.seek(frames - 1)
        last = np.asarray(film.convert("RGB"))[::factor, ::factor]
        film.seek(0)
        first = np.asarray(film.convert("RGB"))[::factor, ::factor]
    assert frames > 20 and comment["run"] == "pixel-cnn-digits"
    assert np.abs(last[:8, :8, 0].astype(int) - level_value(tokens_of(pane)[0]).reshape(8, 8)).max() <= 8  # 256 colours
    assert len(np.unique(first[:8, :8].reshape(-1, 3), axis=0)) == 1
    assert pane.film.position == 64 and len(pane.view.canvas.drawn) == 4


def test_that_a_folder_that_cannot_be_written_is_said(pane: SamplingPane, tmp_path) -> None:
    pane.exports.save_png(str(tmp_path / "missing" / "out.png"))
    assert "could not be written" in pane.status.text and pane.status.level == "bad"
