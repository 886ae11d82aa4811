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
