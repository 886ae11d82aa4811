"""Folders of images: classes, splits, sizes, what cannot be read, and large ones."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
from PIL import Image

from engine.data import adapt, inspect, open_data, picture_from_array, read_image
from engine.data.readers import folders

RNG = np.random.default_rng(4)


def save(path: Path, pixels: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def noise(*shape: int) -> np.ndarray:
    return RNG.integers(0, 256, shape, dtype=np.uint8)


def test_that_a_folder_per_class_gives_the_classes(tmp_path):
    for name, count in (("cats", 12), ("dogs", 8)):
        for n in range(count):
            save(tmp_path / name / f"{n}.png", noise(16, 16, 3))
    data = open_data(str(tmp_path))
    assert data.classes == ("cats", "dogs") and data.shape == (3, 16, 16)
    assert np.sum([data.report.class_counts[name] for name in data.splits], axis=0).tolist() == [12, 8]
    for split in data.splits.values():
        for image, label, name in zip(split.images, split.labels, split.names, strict=True):
            assert name.startswith(data.classes[label])
            assert np.array_equal(image.transpose(1, 2, 0), np.asarray(Image.open(tmp_path / name)))


def test_that_train_and_test_folders_are_the_splits(tmp_path):
    for split, count in (("train", 10), ("test", 4), ("val", 3)):
        for n in range(count):
            save(tmp_path / split / ("a" if n % 2 else "b") / f"{n}.png", noise(8, 8))
    save(tmp_path / "stray.png", noise(8, 8))
    data = open_data(str(tmp_path))
    assert data.report.counts == {"train": 10, "valid": 3, "test": 4} and data.shape == (1, 8, 8)
    assert any("1 image that lies beside" in note for note in data.report.notes)


def test_that_a_flat_folder_has_no_classes_and_mixed_colours_become_colour(tmp_path):
    for n in range(6):
        save(tmp_path / f"{n}.png", noise(10, 12) if n < 2 else noise(10, 12, 3))
    data = open_data(str(tmp_path))
    assert data.classes == () and data.splits["train"].labels is None and data.shape == (3, 10, 12)
    assert data.report.sizes == {"12×10 colour": 4, "12×10 grey": 2}
    assert any("2 grey images" in note for note in data.report.notes)


def test_that_the_most_common_size_wins_and_an_explicit_one_more(tmp_path):
    for n in range(5):
        save(tmp_path / f"{n}.png", noise(20, 20, 3) if n else noise(300, 200, 3))
    data = open_data(str(tmp_path))
    assert data.shape == (3, 20, 20) and any("1 of 5 images" in note for note in data.report.notes)
    assert open_data(str(tmp_path), size=12, colour="grey").shape == (1, 12, 12)


def test_that_a_folder_and_a_dropped_image_are_adapted_alike(tmp_path):
    for n in range(4):
        save(tmp_path / f"{n}.png", noise(90 + n, 130, 3))
    data = open_data(str(tmp_path))
    for split in data.splits.values():
        for image, name in zip(split.images, split.names, strict=True):
            dropped, _ = adapt(read_image(tmp_path / name), data.shape)
            assert np.array_equal(image, dropped)
            assert np.array_equal(image, adapt(picture_from_array(np.asarray(Image.open(tmp_path / name))), data.shape)[0])


def test_that_bad_files_are_listed_and_the_others_read(tmp_path):
    for n in range(5):
        save(tmp_path / f"{n}.png", noise(9, 9))
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnonsense")
    cut = (tmp_path / "0.png").read_bytes()[:-30]
    (tmp_path / "cut.png").write_bytes(cut)
    (tmp_path / "dangling.png").symlink_to(tmp_path / "nothing")
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / ".hidden.png").write_bytes(b"")
    report = open_data(str(tmp_path)).report
    assert report.bad_total == 3 and {bad.path for bad in report.bad} == {"broken.png", "cut.png", "dangling.png"}
    assert all(bad.reason.endswith(".") and bad.reason[0].isupper() for bad in report.bad)
    assert sum(report.counts.values()) == 5 and any("Not needed: words about the set (notes.txt)." in note for note in report.notes)


def test_that_the_list_of_bad_files_is_capped_and_the_total_exact(tmp_path, monkeypatch):
    monkeypatch.setattr("engine.data.limits.BAD_LISTED", 4)
    for n in range(3):
        save(tmp_path / f"{n}.png", noise(9, 9))
    for n in range(9):
        (tmp_path / f"bad{n}.png").touch()
    report = open_data(str(tmp_path)).report
    assert len(report.bad) == 4 and report.bad_total == 9


def test_that_links_that_lead_in_circles_end(tmp_path):
    for n in range(4):
        save(tmp_path / "a" / f"{n}.png", noise(9, 9))
    (tmp_path / "a" / "up").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "self").symlink_to(tmp_path / "self")
    data = open_data(str(tmp_path))
    assert sum(data.report.counts.values()) == 4


def test_that_an_unreadable_folder_is_listed(tmp_path, monkeypatch):
    """Root may open anything, so the system call refuses instead."""
    for n in range(4):
        save(tmp_path / "good" / f"{n}.png", noise(9, 9))
    (tmp_path / "secret").mkdir()
    real = os.scandir

    def scandir(path):
        if str(path).endswith("secret"):
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(folders.os, "scandir", scandir)
    report = open_data(str(tmp_path)).report
    assert report.bad_total == 1 and "Permission denied" in report.bad[0].reason


def test_that_duplicates_are_counted_within_and_across_splits(tmp_path):
    same = noise(9, 9)
    for n in range(6):
        save(tmp_path / "train" / f"{n}.png", same if n < 3 else noise(9, 9))
        save(tmp_path / "test" / f"{n}.png", same if n < 2 else noise(9, 9))
    report = open_data(str(tmp_path)).report
    assert report.duplicates == 4 and report.across_splits == 2
    assert len(report.duplicate_examples) == 4 and all("png" in name for pair in report.duplicate_examples for name in pair)


def test_that_folders_without_enough_images_are_refused(tmp_path, refusal):
    assert "no images" in refusal(tmp_path)
    one = save(tmp_path / "one.png", noise(9, 9))
    assert "only one image" in refusal(tmp_path)
    assert "single picture" in refusal(one)
    save(tmp_path / "two.png", noise(9, 9))
    assert "only 2 images" in refusal(tmp_path)
    save(tmp_path / "three.png", noise(9, 9))
    assert open_data(str(tmp_path)).report.counts == {"train": 1, "valid": 1, "test": 1}
    for name in ("one", "two", "three"):
        (tmp_path / f"{name}.png").write_bytes(b"")
    assert "can be read" in refusal(tmp_path)


def test_that_large_sets_are_mapped_from_a_file_that_leaves_nothing_behind(tmp_path, monkeypatch):
    monkeypatch.setattr("engine.data.storage.IN_MEMORY_BYTES", 100)
    monkeypatch.setenv("PRIORAMA_CACHE", str(tmp_path / "cache"))
    for n in range(6):
        save(tmp_path / "set" / f"{n}.png", noise(16, 16, 3))
    data = open_data(str(tmp_path / "set"))
    monkeypatch.undo()
    again = open_data(str(tmp_path / "set"))
    assert data.hash == again.hash and np.array_equal(data.splits["train"].images, again.splits["train"].images)
    assert list((tmp_path / "cache").iterdir()) == []


def test_that_a_folder_yields_often_and_says_how_far_it_is(tmp_path):
    first = save(tmp_path / "0.png", noise(16, 16, 3))
    for n in range(1, 1000):
        os.link(first, tmp_path / f"{n}.png")
    gaps, last = [], time.perf_counter()
    progress = []
    for item in inspect(str(tmp_path), "job"):
        gaps.append(time.perf_counter() - last)
        last = time.perf_counter()
        progress.append(item)
    assert float(np.median(gaps)) < 0.1
    *steps, data = progress
    assert steps[-1].job == "job" and data.report.duplicates == 999
    assert any(step.total == 1000 and step.unit == "file" for step in steps)


def test_that_a_single_file_says_whether_it_is_a_picture(tmp_path, refusal):
    (tmp_path / "words.png").write_text("No picture at all.\n")
    assert refusal(tmp_path / "words.png") == "“words.png” cannot be read: it holds text, not an image; choose an image file."
    save(tmp_path / "one.png", np.zeros((8, 8), np.uint8))
    assert "“one.png” is a single picture" in refusal(tmp_path / "one.png")
