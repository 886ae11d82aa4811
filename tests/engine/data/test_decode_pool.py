"""Folders of common pictures, which go a short way, mixed with all that does not: the pixels that Pillow gives, and every report."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.data import close, open_data

RNG = np.random.default_rng(12)


@pytest.fixture(autouse=True)
def _ended():
    yield
    close()


def images_by_name(folder: Path) -> dict[str, np.ndarray]:
    data = open_data(str(folder))
    return {split.names[place]: split.images[place] for split in data.splits.values() for place in range(len(split))}


def test_that_plain_files_among_others_become_what_pillow_makes_of_each(tmp_path: Path) -> None:
    expected: dict[str, np.ndarray] = {}
    for number in range(150):
        pixels = RNG.integers(0, 256, (16, 16, 3), np.uint8)
        kind = ("rgb", "rgb", "grey", "palette", "broken", "jpeg")[number % 6]
        name = f"{number:03}.{'jpg' if kind == 'jpeg' else 'png'}"
        image = Image.fromarray(pixels[:, :, 0] if kind == "grey" else pixels)
        image = image.quantize(16) if kind == "palette" else image
        image.save(tmp_path / name)
        if kind == "broken":
            (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:-40])
        else:
            expected[name] = np.asarray(Image.open(tmp_path / name).convert("RGB")).transpose(2, 0, 1)
    found = images_by_name(tmp_path)
    assert found.keys() == expected.keys()
    assert all(np.array_equal(found[name], expected[name]) for name in expected)
    report = open_data(str(tmp_path)).report
    assert report.bad_total == 25 and {bad.path for bad in report.bad} == {f"{number:03}.png" for number in range(4, 150, 6)}
    assert report.sizes == {"16×16 colour": 100, "16×16 grey": 25}
    assert any(note == "25 files: Its palette was turned into colours." for note in report.notes)


@pytest.mark.parametrize("highest", [1, 2])
def test_that_the_highest_value_of_plain_files_is_known(tmp_path: Path, highest: int) -> None:
    """Values 0 and 1 become black and white; one picture with a 2 among a hundred, and they stay as they are."""
    for number in range(100):
        pixels = RNG.integers(0, 2, (8, 8), np.uint8)
        pixels[0, 0] = highest if number == 70 else pixels[0, 0]
        Image.fromarray(pixels).save(tmp_path / f"{number:03}.png")
    found = images_by_name(tmp_path)
    assert max(int(pixels.max()) for pixels in found.values()) == (255 if highest == 1 else 2)
