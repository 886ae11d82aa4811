"""One scale, one ground and one fit for all files of a set, and the same for a picture that is dropped later."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.data import BadData, DataSet, adapt, open_data, read_image
from engine.data.preprocessing import Preprocessing, preprocessing_of
from engine.data.recipe import recipe_of, with_recipe
from tests.kit.import_cases import save

RNG = np.random.default_rng(5)


def opened(path: Path, **decisions: object) -> DataSet:
    """The data set at a path, read as decided."""
    return open_data(with_recipe(str(path), recipe_of(decisions)))


def said(data: DataSet, words: str) -> bool:
    return any(words in note for note in data.report.notes)


def pixels_by_name(data: DataSet) -> dict[str, np.ndarray]:
    return {name: image for split in data.splits.values() for image, name in zip(split.images, split.names, strict=True)}


def assert_dropped_alike(data: DataSet, folder: Path) -> None:
    """Every file of the set, read as a single picture by the decisions that the run keeps (as JSON), is the image of the set."""
    how = preprocessing_of(json.loads(json.dumps(data.preprocessing.changed())))
    assert how == data.preprocessing
    for name, image in pixels_by_name(data).items():
        assert np.array_equal(adapt(read_image(folder / name, how=how), data.shape)[0], image)


@pytest.mark.parametrize(
    ("dtype", "top", "ending", "white"),
    [(np.uint16, 60_000, ".png", 65_535), (np.uint16, 4_000, ".tif", 4_095), (np.float32, 0.95, ".tif", 1), (np.float32, 1.3, ".tif", 1.3)],
)
def test_that_files_of_more_than_8_bits_have_one_scale(tmp_path: Path, dtype: type, top: float, ending: str, white: float) -> None:
    values = {}
    for name, share in (("dim", 0.1), ("bright", 1.0)):
        for n in range(6):
            values[f"{name}/{n}{ending}"] = (RNG.random((16, 16)) * top * share).astype(dtype)
            values[f"{name}/{n}{ending}"][0, 0] = top * share
            save(tmp_path / f"{name}/{n}{ending}", values[f"{name}/{n}{ending}"])
    data = opened(tmp_path)
    for name, image in pixels_by_name(data).items():
        assert np.abs(image[0] - values[name].astype(float) / white * 255).max() <= 0.51
    assert data.preprocessing.scale == pytest.approx((0, white), rel=1e-4) and said(data, "one rule for the whole set")
    assert_dropped_alike(data, tmp_path)


def test_that_a_dim_set_of_16_bits_is_stretched_as_a_whole(tmp_path: Path) -> None:
    for n in range(8):
        save(tmp_path / f"{n}.png", RNG.integers(100 * (n + 1), 100 * (n + 1) + 100, (16, 16)).astype(np.uint16))
    data = opened(tmp_path)
    means = [float(image.mean()) for _, image in sorted(pixels_by_name(data).items())]
    assert means == sorted(means) and means[-1] - means[0] > 150
    assert_dropped_alike(data, tmp_path)
    assert opened(tmp_path, scale="0..1000").preprocessing.scale == (0.0, 1000.0)


def test_that_drawings_of_0_and_1_are_black_and_white(tmp_path: Path) -> None:
    for n in range(6):
        save(tmp_path / f"{n}.png", RNG.integers(0, 2, (16, 16), np.uint8))
    data = opened(tmp_path)
    assert set(np.unique(data.splits["train"].images).tolist()) == {0, 255} and said(data, "0 or 1")
    assert_dropped_alike(data, tmp_path)
    ordinary = save(tmp_path / "photo" / "x.png", RNG.integers(0, 256, (16, 16), np.uint8))
    assert np.array_equal(read_image(ordinary, how=data.preprocessing).pixels, read_image(ordinary).pixels)


@pytest.mark.parametrize(("colour", "ground"), [((255, 255, 255), "black"), ((0, 0, 0), "white"), ((200, 30, 30), "white")])
def test_that_shapes_can_be_told_from_the_ground_under_them(tmp_path: Path, colour: tuple[int, ...], ground: str) -> None:
    for n in range(6):
        pixels = np.zeros((16, 16, 4), np.uint8)
        pixels[4:12, 4:12] = (*colour, 255)
        pixels[4 + n] = (*colour, 255)
        save(tmp_path / f"{n}.png", pixels)
    data = opened(tmp_path)
    assert data.preprocessing.background == ground and said(data, f"on {ground}")
    assert len({image.tobytes() for image in pixels_by_name(data).values()}) == 6
    assert_dropped_alike(data, tmp_path)
    assert opened(tmp_path, background="grey").splits["train"].images[0, 0, 0, 0] == 128


def test_that_a_fourth_band_is_asked_about_and_transparency_is_not(tmp_path: Path) -> None:
    bands = RNG.integers(0, 256, (16, 16, 4), np.uint8)
    for n in range(4):
        save(tmp_path / "bands" / f"{n}.tif", np.roll(bands, n, 0))
        clear = np.roll(bands, n, 0).copy()
        clear[..., 3] = np.where(clear[..., 3] > 60, 255, 0)
        save(tmp_path / "clear" / f"{n}.tif", clear)
    with pytest.raises(BadData, match="four bands"):
        opened(tmp_path / "bands")
    assert np.array_equal(pixels_by_name(opened(tmp_path / "bands", bands="rgb"))["0.tif"], bands[:, :, :3].transpose(2, 0, 1))
    assert said(opened(tmp_path / "bands", bands="alpha"), "Transparent parts") and said(opened(tmp_path / "clear"), "Transparent parts")


def test_that_strips_are_kept_whole_and_the_fit_can_be_chosen(tmp_path: Path) -> None:
    for n in range(6):
        strip = np.zeros((50, 200), np.uint8)
        strip[10:40, 30 * n : 30 * n + 20] = 255
        save(tmp_path / f"{n}.png", strip)
    data = opened(tmp_path)
    assert data.preprocessing.fit == "letterbox" and said(data, "whole")
    for name, image in pixels_by_name(data).items():
        marks = image[0].sum(0)
        assert abs(float((marks * np.arange(48)).sum() / marks.sum()) / 48 - (30 * int(name[0]) + 10) / 200) < 0.02
    assert_dropped_alike(data, tmp_path)
    squeezed = opened(tmp_path, fit="squeeze")
    assert said(squeezed, "squeezed") and (squeezed.splits["train"].images.sum((1, 2, 3)) > 3 * data.splits["train"].images[0].sum()).all()
    assert_dropped_alike(squeezed, tmp_path)
    assert not opened(tmp_path, fit="crop").splits["train"].images.any((1, 2, 3)).all()


def test_that_every_page_is_an_image_where_it_is_asked_for(tmp_path: Path) -> None:
    pages = [Image.fromarray(RNG.integers(0, 256, (12, 12), np.uint8)) for _ in range(20)]
    for n in range(2):
        pages[10 * n].save(tmp_path / f"{n}.tif", save_all=True, append_images=pages[10 * n + 1 : 10 * n + 10])
    with pytest.raises(BadData, match="only 2 images"):
        opened(tmp_path)
    data = opened(tmp_path, pages="all")
    found = pixels_by_name(data)
    assert len(found) == 20 and all(
        np.array_equal(found[f"{n // 10}.tif page {n % 10 + 1}"][0], np.asarray(page)) for n, page in enumerate(pages)
    )


def test_that_what_a_manifest_may_hold_never_breaks_a_picture() -> None:
    for odd in (None, 3, {"fit": 5}, {"black": 4, "white": 1}, {"black": True, "white": "x"}, {"pad": "pink", "bands": None}):
        assert preprocessing_of(odd) == Preprocessing()
