"""The scale of a set is that of its values: wherever they lie in the images, and in whatever order the files come."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.data import BadData, adapt, open_data, read_image
from engine.data.preprocessing import preprocessing_of
from engine.data.values import SAMPLE_OF_SET, Measured, scaling_of_set
from tests.engine.data.test_import_values import assert_dropped_alike, opened, pixels_by_name, said
from tests.kit.import_cases import save


def saturated(images: np.ndarray) -> float:
    """The share of values that are black or white."""
    return float(((images == 0) | (images == 255)).mean())


def test_that_a_quiet_border_does_not_set_the_scale(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    scan = rng.normal(0, 400, (1024, 64, 64)).astype(np.float32).clip(-1000, 2000)
    scan[:, :, :2] = scan[:, :, -2:] = rng.normal(-1000, 2, (1024, 64, 2)).astype(np.float32)
    np.save(tmp_path / "scan.npy", scan)
    assert saturated(open_data(str(tmp_path / "scan.npy")).splits["train"].images[:, :, :, 2:-2]) < 0.02
    for n in range(6):
        photo = rng.integers(500, 9000, (256, 256)).astype(np.uint16)
        photo[:, :3] = rng.integers(500, 520, (256, 3))
        save(tmp_path / "folder" / f"{n}.png", photo)
    assert saturated(opened(tmp_path / "folder", fit="crop").splits["train"].images) < 0.05


def test_that_the_scale_does_not_depend_on_the_order_of_the_files() -> None:
    rng = np.random.default_rng(0)
    bright = [rng.integers(3000, 9000, 4096).astype(np.uint16) for _ in range(100)]
    dark = [rng.integers(100, 400, 4096).astype(np.uint16) for _ in range(100)]
    scales = []
    for order in (bright + dark, dark + bright):
        seen = Measured.of(order[0], most=4096)
        for some in order[1:]:
            seen = seen.joined(Measured.of(some, most=4096))
        assert len(seen.sample) == SAMPLE_OF_SET < 200 * 4096
        assert abs(float((seen.sample < 1000).mean()) - 0.5) < 0.01
        scales.append(scaling_of_set(seen, "robust"))
    assert scales[0] == scales[1]


@pytest.mark.parametrize(("scale", "black", "white"), [("range", 90, 140), ("robust", 100, 130), ("0..120", 0, 120), ("0..1", 0, 1)])
@pytest.mark.parametrize("colour", [False, True])
def test_that_a_scale_that_was_asked_for_holds_for_bytes(tmp_path: Path, scale: str, black: int, white: int, colour: bool) -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(100, 131, (8, 16, 16, 3) if colour else (8, 16, 16), np.uint8)
    pixels[0, 0, 0], pixels[1, 0, 0] = 90, 140
    for n, one in enumerate(pixels):
        save(tmp_path / "folder" / f"{n}.png", one)
    with zipfile.ZipFile(tmp_path / "packed.zip", "w") as archive:
        for n in range(8):
            archive.write(tmp_path / "folder" / f"{n}.png", f"{n}.png")
    np.save(tmp_path / "array.npy", pixels)
    folder = opened(tmp_path / "folder", scale=scale)
    for data in (folder, opened(tmp_path / "packed.zip", scale=scale), opened(tmp_path / "array.npy", scale=scale)):
        low, high = data.preprocessing.scale or (0, 0)
        assert abs(low - black) <= (scale == "robust") >= abs(high - white) and said(data, "scaled to 0..255")
        expected = np.rint(np.clip((pixels.astype(float) - low) / (high - low), 0, 1) * 255).reshape(8, 16, 16, -1).transpose(0, 3, 1, 2)
        for name, image in pixels_by_name(data).items():
            assert np.abs(image - expected[int("".join(c for c in name if c.isdigit()))]).max() <= 1
        assert preprocessing_of(json.loads(json.dumps(data.preprocessing.changed()))) == data.preprocessing
        for n in range(8):
            dropped = adapt(read_image(tmp_path / "folder" / f"{n}.png", how=data.preprocessing), data.shape)[0]
            assert np.abs(dropped - expected[n]).max() <= 1
    assert_dropped_alike(folder, tmp_path / "folder")


@pytest.mark.parametrize("dark", [np.float32, np.float64, np.uint8])
def test_that_parts_of_different_kinds_are_scaled_by_their_own_range(tmp_path: Path, dark: type) -> None:
    rng = np.random.default_rng(0)
    bytes_ = {"train": rng.integers(0, 256, (30, 9, 9), np.uint8), "test": rng.integers(0, 256, (8, 9, 9), np.uint8)}
    fractions = "test" if dark != np.uint8 else "train"
    stored = {f"{split}_images": one / np.float32(255) if split == fractions else one for split, one in bytes_.items()}
    if dark == np.float64:
        stored["test_images"] = stored["test_images"].astype(dark)
    np.savez(tmp_path / "set.npz", train_images=stored["train_images"], test_images=stored["test_images"])
    data = opened(tmp_path / "set.npz")
    assert np.array_equal(data.splits["test"].images[:, 0], bytes_["test"]) and said(data, "numbers of different kinds")
    train = data.splits["train"]
    assert np.array_equal(train.images[:, 0], bytes_["train"][train.index])
    assert data.preprocessing.scale == (None if fractions == "test" else (0, 1))


def test_that_parts_that_reach_differently_far_are_asked_about(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    arrays = {
        "train_images": rng.integers(0, 256, (30, 9, 9), np.uint8),
        "test_images": rng.integers(0, 65_536, (8, 9, 9)).astype(np.uint16),
    }
    np.savez(tmp_path / "set.npz", **arrays)
    with pytest.raises(BadData, match=r"train_images uint8 \d+ to 255 and test_images uint16 \d+ to 65\d{3}.*scale 0..255"):
        opened(tmp_path / "set.npz")
    assert opened(tmp_path / "set.npz", scale="0..255").preprocessing.scale == (0, 255)
    for divisor in (256, 5_000):
        dim = arrays["test_images"] // divisor
        np.savez(tmp_path / f"{divisor}.npz", train_images=arrays["train_images"], test_images=dim)
        data = opened(tmp_path / f"{divisor}.npz")
        assert np.array_equal(data.splits["test"].images[:, 0], dim) and not said(data, "different kinds")


@pytest.mark.parametrize("hole", [np.nan, np.inf])
def test_that_an_array_without_a_single_value_is_refused_and_one_value_is_enough(
    tmp_path: Path, refusal: Callable[[Path], str], hole: float
) -> None:
    images = np.full((50, 8, 8), hole, np.float32)
    np.savez(tmp_path / "a.npz", x=images, y=np.arange(50) % 2)
    assert "“x” of a.npz holds no image: every value is NaN or infinite" in refusal(tmp_path / "a.npz")
    np.savez(tmp_path / "parts.npz", x_train=np.random.default_rng(0).random((50, 8, 8)).astype(np.float32), x_test=images)
    assert "“x_test” of parts.npz" in refusal(tmp_path / "parts.npz")
    images[7, 3, 3] = 0.5
    np.savez(tmp_path / "b.npz", x=images)
    assert sum(opened(tmp_path / "b.npz").report.counts.values()) == 50


def test_that_a_file_without_a_single_value_is_left_out_by_name(tmp_path: Path) -> None:
    for number in range(9):
        values = np.full((8, 8), np.nan, np.float32) if number == 4 else np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8) + number
        Image.fromarray(values).save(tmp_path / f"{number}.tif")
    report = opened(tmp_path).report
    assert [(Path(bad.path).name, bad.reason) for bad in report.bad] == [("4.tif", "Every value is NaN or infinite; save it again.")]
    assert sum(report.counts.values()) == 8
