"""What the Latent pane saves: pictures, films and tables of z."""

from __future__ import annotations

import csv
import io
import json

import numpy as np
import pytest
from PIL import Image

from app.panes.latent.pane import LatentPane
from tests.kit.panes import LATENT, Kit, decoded


@pytest.mark.parametrize("what", ["picture", "interpolation", "samples", "grid"])
@pytest.mark.parametrize("factor", [1, 4])
def test_that_a_saved_picture_carries_run_step_and_z(kit: Kit, pane: LatentPane, tmp_path, what: str, factor: int) -> None:
    pane.accept_image("/a.png")
    pane.accept_image("/b.png")
    pane.show_tab(2)
    pane.show_tab(1)
    kit.pump()
    pane.show_tab(2)
    kit.pump()
    pane.slider_list.set_dimension(0, -1.25)
    kit.pump()
    pane.export.scale = factor
    path = tmp_path / "out.png"
    pane.export.save_png(what, str(path))
    with Image.open(path) as image:
        text, size = image.text, image.size  # type: ignore[attr-defined]
    assert (text["run"], text["step"], text["Software"]) == ("vae-digits", "1024", "Priorama")
    assert pane.position is not None
    np.testing.assert_allclose(json.loads(text["z"]), pane.position.z, atol=1e-6)
    assert json.loads(text["config"])["latent"] == LATENT
    assert size[0] % (8 * factor) == 0
    if what == "picture":
        assert size == (256 * factor, 256 * factor)
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("L"))
        np.testing.assert_array_equal(pixels[16 * factor :: 32 * factor, 16 * factor :: 32 * factor], decoded(pane.position.z[None])[0, 0])


@pytest.mark.parametrize("path", ["lerp", "slerp"])
def test_that_the_way_from_a_to_b_and_back_is_saved_as_a_film(kit: Kit, pane: LatentPane, tmp_path, path: str) -> None:
    pane.export.save_film(str(tmp_path / "early.gif"))
    assert "Nothing to save" in pane.decoded_image.status.text and not (tmp_path / "early.gif").exists()
    for end, sigmas in (("a", -2.0), ("b", 2.0)):
        pane.slider_list.set_dimension(0, sigmas)
        pane.interpolation.set_end(end)
    kit.pump()
    pane.interpolation.paths.button(("lerp", "slerp").index(path)).click()
    kit.pump()
    pane.export.save_film(str(tmp_path / "way.webp"))
    answer = pane.interpolation.interpolated
    assert answer is not None
    images = answer.lerp if path == "lerp" else answer.slerp
    wanted = [*images, *images[-2:0:-1]]
    with Image.open(tmp_path / "way.webp") as film:
        told, factor = json.loads(film.getexif()[0x010E]), film.width // 8
        assert told["run"] == "vae-digits" and "a_name" in told and "decode" in told and film.info["loop"] == 0
        shown = []
        for place in range(getattr(film, "n_frames", 1)):
            film.seek(place)
            shown.append(np.asarray(film.convert("L"))[::factor, ::factor])
    different = [one for place, one in enumerate(wanted) if place == 0 or (one != wanted[place - 1]).any()]
    assert len(shown) == len(different), "equal frames that follow each other are one that stays longer"
    assert all(np.array_equal(one, other[0]) for one, other in zip(shown, different, strict=True))


def test_that_the_csv_holds_z_to_the_last_bit(kit: Kit, pane: LatentPane, tmp_path) -> None:
    pane.decoded_image.prior_button.click()
    kit.pump()
    path = tmp_path / "z.csv"
    pane.export.save_csv(str(path))
    lines = path.read_text().splitlines()
    assert "# run: vae-digits" in lines and "# step: 1024" in lines
    rows = list(csv.DictReader(io.StringIO("\n".join(line for line in lines if not line.startswith("#")))))
    assert pane.position is not None and len(rows) == LATENT
    for row in rows:
        assert np.float32(row["z"]) == pane.position.z[int(row["dimension"])]
    assert [int(row["rank"]) for row in rows] == list(range(1, LATENT + 1))


def test_that_a_folder_that_cannot_be_written_is_said(pane: LatentPane, tmp_path) -> None:
    pane.export.save_csv(str(tmp_path / "missing" / "z.csv"))
    assert "could not be written" in pane.decoded_image.status.text and pane.decoded_image.status.level == "bad"
