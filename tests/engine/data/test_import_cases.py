"""Data as people really have them, from the files to the data set: classes, splits, values, and what is said about them."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from engine.data import BadData, DataSet, open_data
from tests.kit.import_cases import LEVELS, class_folders, flat, picture, save, write_csv, write_jsonl

CATS_AND_DOGS = ("cats", "dogs")


def opened(path: Path, **decisions: object) -> DataSet:
    """The data set at a path, read as decided."""
    from engine.data.recipe import recipe_of, with_recipe

    return open_data(with_recipe(str(path), recipe_of(decisions)))


def said(data: DataSet, words: str) -> bool:
    """Whether a note of the report holds the words."""
    return any(words in note for note in data.report.notes)


def assert_labels_fit_pixels(data: DataSet, names: tuple[str, ...] = CATS_AND_DOGS) -> None:
    """Every picture has the class that its own grey tells."""
    assert tuple(name.lower() for name in data.classes) == names
    for split in data.splits.values():
        assert split.labels is not None
        for image, label in zip(split.images, split.labels, strict=True):
            grey = LEVELS[names[label]]
            assert abs(float(image.mean()) - grey) < 20


# -- folders -------------------------------------------------------------------------------------------------------------


def test_that_a_wrapped_split_with_litter_and_a_stray_keeps_its_test_images_apart(tmp_path: Path) -> None:
    class_folders(tmp_path / "animals", splits=("Train", "test"))
    (tmp_path / "__MACOSX").mkdir()
    (tmp_path / "__MACOSX" / "._0.png").write_bytes(b"nothing")
    (tmp_path / ".DS_Store").write_bytes(b"nothing")
    save(tmp_path / "cover.png", picture(np.random.default_rng(0)))
    data = opened(tmp_path)
    assert_labels_fit_pixels(data)
    assert data.report.counts == {"train": 11, "valid": 1, "test": 12} and data.report.bad_total == 0
    assert all(name.startswith("animals/test/") for name in data.splits["test"].names)
    assert all(name.startswith("animals/Train/") for split in ("train", "valid") for name in data.splits[split].names)
    assert said(data, "cover.png") and said(data, "“animals”") and said(data, "2 files or folders of the system")


@pytest.mark.parametrize("names", [("invalid", "valid"), ("control", "test")])
def test_that_classes_may_be_called_like_splits(tmp_path: Path, names: tuple[str, str]) -> None:
    data = opened(class_folders(tmp_path / "set", names))
    assert data.classes == names and np.sum(list(data.report.class_counts.values()), 0).tolist() == [6, 6]


def test_that_writings_of_one_class_meet(tmp_path: Path) -> None:
    class_folders(tmp_path / "case", ("Cats", "Dogs"), ("train",))
    class_folders(tmp_path / "case", ("cats", "dogs"), ("test",))
    data = opened(tmp_path / "case")
    assert_labels_fit_pixels(data)
    assert said(data, "“Cats” = “cats”")
    class_folders(tmp_path / "form", ("Äpfel", "Birnen"), ("train",), form="NFC")
    class_folders(tmp_path / "form", ("Äpfel", "Birnen"), ("test",), form="NFD")
    assert len(opened(tmp_path / "form").classes) == 2


def test_that_tables_and_names_give_classes_and_a_decision_changes_them(tmp_path: Path) -> None:
    files = [f"{n}.png" for n in range(8)]
    kinds = ["cats" if n % 2 else "dogs" for n in range(8)]
    flat(tmp_path / "csv", files)
    write_csv(
        tmp_path / "csv" / "labels.csv",
        "file,label,year",
        (f"{f},{k},{1990 + n // 4}" for n, (f, k) in enumerate(zip(files, kinds, strict=True))),
    )
    flat(tmp_path / "jsonl", files)
    write_jsonl(tmp_path / "jsonl" / "metadata.jsonl", ({"file_name": f, "label": k} for f, k in zip(files, kinds, strict=True)))
    flat(tmp_path / "names", [f"{k}.{n}.png" for n, k in enumerate(kinds)])
    for name in ("csv", "jsonl", "names"):
        assert_labels_fit_pixels(opened(tmp_path / name))
    assert said(opened(tmp_path / "csv"), "“year”")
    assert opened(tmp_path / "csv", labels="year").classes == ("1990", "1991")
    assert opened(tmp_path / "csv", labels="none").classes == ()


def test_that_a_name_that_is_no_text_and_pointers_get_a_line(tmp_path: Path) -> None:
    flat(tmp_path / "set", [f"{n}.png" for n in range(6)])
    os.replace(tmp_path / "set" / "0.png", os.fsencode(str(tmp_path / "set")) + b"/caf\xe9.png")
    names = [name for split in opened(tmp_path / "set").splits.values() for name in split.names]
    assert len(names) == 6 and all(name.encode("utf-8") for name in names) and "caf�.png" in names
    (tmp_path / "lfs").mkdir()
    for n in range(4):
        (tmp_path / "lfs" / f"{n}.png").write_text(f"version https://git-lfs.github.com/spec/v1\noid sha256:{'a' * 64}\nsize 12345\n")
    with pytest.raises(BadData, match="git lfs pull"):
        opened(tmp_path / "lfs")


def test_that_a_wrong_decision_is_refused_in_a_sentence(tmp_path: Path) -> None:
    flat(tmp_path, [f"{n}.png" for n in range(4)])
    for wrong in (
        '{"fit": "stretch"}',
        '{"colour": 3}',
        '{"form": "x"}',
        '{"scale": "9..1"}',
        '{"size": 5000}',
        '{"class_level": 0}',
        "{no}",
    ):
        with pytest.raises(BadData):
            open_data(f"{tmp_path}?{wrong}")


# -- arrays --------------------------------------------------------------------------------------------------------------


def noise(count: int = 40, *shape: int) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (count, *(shape or (12, 12))), np.uint8)


KINDS = np.arange(40) % 4


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        (KINDS * 1.0, ("0", "1", "2", "3")),
        (KINDS[:, None], ("0", "1", "2", "3")),
        (np.eye(4, dtype=np.int64)[KINDS], ("0", "1", "2", "3")),
        (np.eye(4)[KINDS], ("0", "1", "2", "3")),
        (np.array(["ant", "bee", "cow", "dog"])[KINDS], ("ant", "bee", "cow", "dog")),
        (np.array([b"ant", b"bee", b"cow", b"dog"])[KINDS], ("ant", "bee", "cow", "dog")),
        (np.array([7, 1234, 12, 100_000])[KINDS], ("7", "12", "1234", "100000")),
        (KINDS + 1, ("1", "2", "3", "4")),
        (KINDS > 1, ("0", "1")),
        (np.where(KINDS > 1, 1, -1), ("-1", "1")),
        (np.array([-5, -1, 5, 6])[KINDS], ("-5", "5", "6")),
    ],
)
def test_that_labels_of_every_kind_name_their_classes_and_no_other(tmp_path: Path, labels: np.ndarray, classes: tuple[str, ...]) -> None:
    images = noise()
    np.savez(tmp_path / "set.npz", x=images, y=labels)
    data = opened(tmp_path / "set.npz")
    assert data.classes == classes
    flat_labels = labels.argmax(1) if labels.ndim == 2 and labels.shape[1] > 1 else labels.reshape(-1)
    for split in data.splits.values():
        assert split.labels is not None
        for image, label, name in zip(split.images, split.labels, split.names, strict=True):
            row = int(name.rpartition(" ")[2])
            assert np.array_equal(image[0], images[row])
            value = flat_labels[row]
            assert data.classes[label] == (
                value.decode() if isinstance(value, bytes) else value if isinstance(value, str) else str(int(value))
            )


def test_that_images_without_a_label_are_left_out_with_a_word_or_stay_without_classes(tmp_path: Path) -> None:
    np.savez(tmp_path / "some.npz", x=noise(), y=np.where(KINDS == 3, -1, KINDS))
    data = opened(tmp_path / "some.npz")
    assert data.classes == ("0", "1", "2") and sum(data.report.counts.values()) == 30 and said(data, "10 images have no label (−1)")
    assert sum(opened(tmp_path / "some.npz", labels="none").report.counts.values()) == 40
    np.savez(tmp_path / "one.npz", x=noise(), y=np.where(KINDS % 2, -1, 3))
    data = opened(tmp_path / "one.npz")
    assert data.classes == () and sum(data.report.counts.values()) == 40 and said(data, "20 of 40 images have no label (−1)")


def test_that_splits_share_their_classes_and_their_scale(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    parts = {
        f"{s}_images": rng.integers(0, top, (n, 9, 9)).astype(np.uint16)
        for s, n, top in (("train", 30, 60_000), ("val", 9, 30_000), ("test", 12, 200))
    }
    np.savez(
        tmp_path / "set.npz",
        **parts,
        **{f"{s}_labels": (np.arange(n) % k)[:, None] for s, n, k in (("train", 30, 3), ("val", 9, 2), ("test", 12, 2))},
    )
    data = opened(tmp_path / "set.npz")
    assert data.report.counts == {"train": 30, "valid": 9, "test": 12} and data.classes == ("0", "1", "2")
    for split, name in (("train", "train"), ("valid", "val"), ("test", "test")):
        wanted = parts[f"{name}_images"].astype(float) / 65_535 * 255
        assert np.abs(data.splits[split].images[:, 0] - wanted).max() <= 0.51
    assert data.preprocessing.scale == (0.0, 65_535.0)


def test_that_arrays_that_cannot_be_read_or_could_be_taken_are_named(tmp_path: Path) -> None:
    images, others = noise(), noise(40, 16, 16, 3)
    np.savez(
        tmp_path / "set.npz",
        imgs=images,
        thumbnails=others,
        latents_classes=np.stack([KINDS, KINDS // 2], 1),
        metadata=np.array({"a": 1}, object),
    )
    data = opened(tmp_path / "set.npz")
    assert (
        data.shape == (1, 12, 12)
        and data.classes == ()
        and said(data, "metadata.npy")
        and said(data, "thumbnails")
        and said(data, "latents_classes:0")
    )
    assert opened(tmp_path / "set.npz", array="thumbnails").shape == (3, 16, 16)
    assert opened(tmp_path / "set.npz", labels="latents_classes:1").classes == ("0", "1")
    letters = np.array(["cat", "dog"])[KINDS % 2]
    letters.view(np.uint32)[0] = 0x7FFFFFFF
    np.savez(tmp_path / "letters.npz", x=images, y=letters)
    with pytest.raises(BadData, match="impossible letters"):
        opened(tmp_path / "letters.npz")
    np.savez(tmp_path / "objects.npz", x=np.array([images], object), y=KINDS)
    with pytest.raises(BadData, match="Python objects"):
        opened(tmp_path / "objects.npz")


@pytest.mark.parametrize(
    ("values", "black", "white", "words"),
    [
        (np.array([0, 1], np.uint8), 0, 1, "0 or 1"),
        (np.array([0, 1], np.int64), 0, 1, "0 or 1"),
        (np.array([0.0, 1.0], np.float32), 0, 1, "0 or 1"),
        (np.array([0, 4000], np.uint16), 0, 4095, "12 bits"),
        (np.array([0, 40_000], np.int32), 0, 65_535, "16 bits"),
        (np.array([0, 0.9], np.float32), 0, 1, "0..1"),
        (np.array([-1, 0.9], np.float64), -1, 1, "−1..1"),
        (np.array([0, 1.3], np.float32), 0, 1.3, "from 0 to 1.3"),
        (np.array([0, 16.0]), 0, 16, "from 0 to 16"),
        (np.array([0, 250.5]), 0, 255, "whole numbers"),
    ],
)
def test_that_values_of_a_set_are_scaled_by_one_rule_that_is_said(
    tmp_path: Path, values: np.ndarray, black: float, white: float, words: str
) -> None:
    array = values[np.random.default_rng(0).integers(0, 2, (30, 9, 9))]
    np.save(tmp_path / "set.npy", array)
    data = opened(tmp_path / "set.npy")
    wanted = np.rint((array.astype(float) - black) / (white - black) * 255)
    for split in data.splits.values():
        assert np.abs(split.images[:, 0] - wanted[split.index]).max() <= 1
    assert said(data, words) and np.allclose(data.preprocessing.scale or (), (black, white))


def test_that_one_outlier_does_not_make_a_set_black_and_is_named(tmp_path: Path) -> None:
    array = np.random.default_rng(0).random((40, 16, 16)).astype(np.float32)
    array[0, 0, 0], array[1, 0, 0] = 3.0, np.nan
    np.save(tmp_path / "set.npy", array)
    data = opened(tmp_path / "set.npy")
    assert said(data, "and 3;") and said(data, "1 value that is no number") and data.preprocessing.scale == (0.0, 1.0)
    assert opened(tmp_path / "set.npy", scale="range").preprocessing.white == 3.0
    assert opened(tmp_path / "set.npy", scale="0..2").preprocessing.scale == (0.0, 2.0)
    black, white = opened(tmp_path / "set.npy", scale="robust").preprocessing.scale or (0, 0)
    assert 0 < black < 0.02 and 0.98 < white < 1


def test_that_a_fourth_channel_is_no_transparency_unless_it_looks_so_or_is_said_to_be(tmp_path: Path) -> None:
    np.save(tmp_path / "bands.npy", noise(20, 12, 12, 4))
    with pytest.raises(BadData, match="four channels"):
        opened(tmp_path / "bands.npy")
    assert opened(tmp_path / "bands.npy", bands="rgb").shape == (3, 12, 12)
    clear = noise(20, 12, 12, 4)
    clear[..., 3] = np.where(clear[..., 3] > 100, 255, 0)
    np.save(tmp_path / "clear.npy", clear)
    assert said(opened(tmp_path / "clear.npy"), "shown on white")


# -- what is easily overlooked ---------------------------------------------------------------------------------------------


def test_that_hidden_and_empty_folders_and_targa_files_get_a_line(tmp_path: Path) -> None:
    root = class_folders(tmp_path / "set")
    class_folders(root / ".hidden")
    (root / "birds").mkdir()
    for colour in (0, 1):
        kind = 1 if colour else 2
        (root / "cats" / f"targa{kind}.tga").write_bytes(
            bytes((0, colour, kind, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 4, 0, 24, 0)) + bytes(range(48))
        )
    data = opened(root)
    assert data.classes == CATS_AND_DOGS and sum(data.report.counts.values()) == 12
    assert said(data, "1 hidden file or folder was left out, with what is in it: .hidden") and said(data, "No image lies in “birds”")
    assert data.report.bad_total == 2 and all("Targa" in bad.reason for bad in data.report.bad)
