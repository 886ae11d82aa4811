"""The handed example sets, from their files to the data set: classes, counts and splits as written beside each, and what is said.

What is expected is told from the folders that the maker wrote (which file lies where), never from the report.
"""

from __future__ import annotations

import json
import runpy
import sys
import unicodedata
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from engine.data import BadData, DataSet, open_data
from tests.engine.data.test_import_cases import opened

Counts = dict[str, int]


@dataclass(frozen=True)
class Expected:
    """What must come of a set: images per class over all splits ("" where they have none), the splits that are given, words of a note."""

    classes: Counts = field(default_factory=dict)
    given: dict[str, Counts] = field(default_factory=dict)  # split -> images per class; what validates may be drawn from train
    says: tuple[str, ...] = ()
    refused: str = ""  # words of the refusal


def each(names: str | tuple[str, ...], count: int) -> Counts:
    return dict.fromkeys(names, count)


TWO = each(("cats", "dogs"), 6)
CASES = {
    "classes_named_like_splits": Expected(each(("invalid", "valid"), 6)),
    "class_named_test": Expected(each(("control", "test"), 6)),
    "wrapped": Expected(TWO, says=("animals",)),
    "wrapped_split": Expected(each(("cats", "dogs"), 12), {"train": TWO, "test": TWO}, ("animals",)),
    "stray_picture": Expected(TWO, says=("cover.png",)),
    "case_differs": Expected(
        each(("Cat", "Dog"), 12), {"train": each(("Cat", "Dog"), 6), "test": each(("Cat", "Dog"), 6)}, ("“Cat” = “cat”",)
    ),
    "unicode_forms": Expected(
        each(("Birnen", "Äpfel"), 12), {"train": each(("Birnen", "Äpfel"), 6), "test": each(("Birnen", "Äpfel"), 6)}
    ),
    "labels_csv": Expected(each(("cat", "dog"), 4), says=("“label” of labels.csv",)),
    "metadata_jsonl": Expected(each(("cat", "dog"), 4), says=("“label” of metadata.jsonl",)),
    "class_in_the_name": Expected(each(("cat", "dog"), 4), says=("files’ names",)),
    "sorted_classes": Expected({f"class{k}": 100 for k in range(5)}),
    "twins": Expected(each("ab", 40), says=("copies of one image together",)),
    "name_not_utf8": Expected({"": 6}),
    "labels_float.npz": Expected(each("0123", 10)),
    "labels_onehot.npz": Expected(each("0123", 10)),
    "labels_text.npz": Expected(each(("cat", "dog"), 20)),
    "labels_minus_one.npz": Expected({"": 40}, says=("20 of 40 images have no label",)),
    "labels_sparse.npz": Expected(each(("7", "1234"), 20)),
    "train_test_arrays.npz": Expected(each("012", 17), {"train": each("012", 10), "valid": each("012", 3), "test": each("012", 4)}),
    "zero_one.npz": Expected({"": 50}, says=("0 or 1; they were made black and white",)),
    "bit16": Expected(each(("bright", "dim"), 6)),
    "float_tiff": Expected(each(("hi", "lo"), 6)),
    "float_outlier.npy": Expected({"": 40}, says=("3",)),
    "white_on_transparent": Expected({"": 6}, says=("black",)),
    "four_bands": Expected(refused="four bands"),
    "stack": Expected({"": 4}, says=("pages all",)),
    "wide": Expected({"": 6}),
    "lfs_pointers": Expected(refused="git lfs pull"),
    "emnist": Expected(
        each("ABCDEFGHIJKLMNOPQRSTUVWXYZ", 3),
        {"train": each("ABCDEFGHIJKLMNOPQRSTUVWXYZ", 2), "test": each("ABCDEFGHIJKLMNOPQRSTUVWXYZ", 1)},
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory, shared_data: Path) -> Iterator[Path]:
    maker = shared_data.parent / "cases" / "make_import_cases.py"
    if not maker.is_file():
        pytest.skip("needs ../shared/cases/make_import_cases.py, which is not there")
    root = tmp_path_factory.mktemp("cases")
    before = sys.argv
    sys.argv = [str(maker), str(root)]
    try:
        runpy.run_path(str(maker), run_name="__main__")
    finally:
        sys.argv = before
    yield root


def per_class(data: DataSet, *splits: str) -> Counts:
    found: Counter[str] = Counter()
    for name in splits:
        split = data.splits[name]
        labels = [""] * len(split) if split.labels is None else [data.classes[n] for n in split.labels]
        found.update(unicodedata.normalize("NFC", label) for label in labels)
    return dict(found)


def names(data: DataSet, *splits: str) -> list[str]:
    return sorted(str(name) for split in splits for name in data.splits[split].names)


def test_that_every_case_has_an_expectation(cases: Path) -> None:
    assert set(json.loads((cases / "expect.json").read_text())) == set(CASES)


@pytest.mark.parametrize("name", CASES)
def test_that_a_handed_case_is_understood(cases: Path, name: str) -> None:
    expected = CASES[name]
    if expected.refused:
        with pytest.raises(BadData, match=expected.refused):
            open_data(str(cases / name))
        return
    data = open_data(str(cases / name))
    assert per_class(data, *data.splits) == expected.classes, data.report.notes
    for words in expected.says:
        assert any(words in note for note in data.report.notes), (words, data.report.notes)
    for split, counts in expected.given.items():
        parts = (split, "valid") if split == "train" and "valid" not in expected.given else (split,)
        assert per_class(data, *parts) == counts, split
    every = names(data, *data.splits)
    assert len(set(every)) == len(every)
    if (cases / name).is_dir() and name != "emnist":
        files = [path.relative_to(cases / name).as_posix() for path in (cases / name).rglob("*.*")]
        pictures = sorted(path for path in files if path.endswith((".png", ".tif")) and path != "cover.png")
        assert len(every) == len(pictures)
        if expected.given:
            tested = [path for path in pictures if "test" in path.split("/")]
            assert sorted(map(nfc, names(data, "test"))) == sorted(map(nfc, tested))
            assert sorted(map(nfc, names(data, "train", "valid"))) == sorted(map(nfc, set(pictures) - set(tested)))


def nfc(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def means(data: DataSet) -> dict[str, float]:
    """Mean value of the images of each class."""
    pixels: dict[str, list[float]] = {}
    for split in data.splits.values():
        assert split.labels is not None
        for image, label in zip(split.images, split.labels, strict=True):
            pixels.setdefault(data.classes[label], []).append(float(image.mean()))
    return {name: float(np.mean(some)) for name, some in pixels.items()}


def test_that_the_values_of_the_handed_cases_have_one_scale(cases: Path) -> None:
    found = means(open_data(str(cases / "bit16")))
    assert found["bright"] == pytest.approx(10 * found["dim"], rel=0.1)
    found = means(open_data(str(cases / "float_tiff")))
    assert found["hi"] > found["lo"] > 20
    black_and_white = open_data(str(cases / "zero_one.npz"))
    assert {int(value) for split in black_and_white.splits.values() for value in np.unique(split.images)} == {0, 255}
    outlier = open_data(str(cases / "float_outlier.npy"))
    assert np.mean([split.images.mean() for split in outlier.splits.values()]) > 30


def test_that_the_shapes_of_the_handed_cases_can_be_told_apart(cases: Path) -> None:
    for name in ("white_on_transparent", "wide"):
        data = open_data(str(cases / name))
        images = {image.tobytes() for split in data.splits.values() for image in split.images}
        assert len(images) == 6, name
    upright = open_data(str(cases / "emnist")).splits["train"].images[0, 0]
    assert upright[:, 8].mean() > 150 and upright.sum(0).argmax() == 8


def test_that_looks_at_sorted_classes_see_all_and_twins_stay_together(cases: Path) -> None:
    data = open_data(str(cases / "sorted_classes"))
    assert all(set(per_class(data, split)) == set(CASES["sorted_classes"].classes) for split in data.splits)
    data = open_data(str(cases / "twins"))
    where = {name: split for split in data.splits for name in names(data, split)}
    assert all(where[f"a/{n:03}.png"] == where[f"b/{n:03}.png"] for n in range(40))
    assert sum(opened(cases / "stack", pages="all").report.counts.values()) == 40
    assert sum(opened(cases / "labels_minus_one.npz", labels="none").report.counts.values()) == 40
