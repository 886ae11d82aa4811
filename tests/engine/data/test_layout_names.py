"""Classes and splits in the names of files: what many collections are called, and names that say no class at all."""

from __future__ import annotations

import pytest

from engine.data.path_words import class_in_name
from engine.data.recipe import ImportRecipe
from tests.engine.data.test_layout import look
from tests.engine.data.test_layout_splits import read


@pytest.mark.parametrize(
    ("pattern", "classes"),
    [
        ("{0} ({n}).jpg", ("cloudy", "rain")),  # renamed by Windows
        ("{0}-{n}04-{n}.jpeg", ("CNV", "DRUSEN")),  # patient and image
        ("{0}_{n}.JPEG", ("n01440764", "n02102040")),
        ("{n}_{0}.png", ("frog", "airplane")),
        ("{n:04}_{0}.png", ("cat", "dog")),
        ("{0}_1_{n}.jpg", ("cat", "dog")),
        ("{0}-{n:03}-of-012.png", ("tabby-cat", "bull dog")),
        ("deep/er/{0}{n}.jpg", ("cat", "dog")),
    ],
)
def test_that_a_class_in_a_files_name_is_found(pattern: str, classes: tuple[str, ...]) -> None:
    expected = {pattern.format(name, n=n): ("all", name) for place, name in enumerate(classes) for n in range(place * 6, place * 6 + 6)}
    assert read(look(list(expected))) == expected


@pytest.mark.parametrize(
    "pattern",
    [
        "IMG_{n}_{0}{n}.jpg", "{n}.{0}.x.jpg", "KA.{0}{n}.{n}.tiff", "{n:04}_c{n}s1_{n}.jpg", "{0}{n}_1.png", "Screenshot {n} ({n}).png",
        "{n}_img_{n}.png", "{0} {n} x.png",
    ],
)  # fmt: skip
def test_that_other_names_make_no_class(pattern: str) -> None:
    names = [pattern.format(name, n=n) for name in ("AN", "DI") for n in range(6)]
    assert {found for found in read(look(sorted(set(names)))).values()} == {("all", "")}


def test_that_two_views_of_one_thing_are_no_classes_unless_a_person_says_so() -> None:
    paths = [f"{n}_{side}.jpeg" for n in range(12) for side in ("left", "right")]
    assert {label for _, label in read(look(paths)).values()} == {""}
    several = [f"{kind}/{n}_{kind}.png" for n in range(12) for kind in ("cat", "dog")]  # each folder counts for itself
    assert {label for _, label in read(look(several, ImportRecipe(labels="names"))).values()} == {"cat", "dog"}


@pytest.mark.parametrize("tested", ["{n}.jpg", "unknown_{n}.jpg", "img{n}.jpg"])
def test_that_test_images_without_a_class_take_none_from_those_to_train_on(tested: str) -> None:
    """Dogs vs. Cats as it comes: train/cat.0.jpg and test1/1.jpg."""
    train = {f"train/{name}.{n}.jpg": ("train", name) for name in ("cat", "dog") for n in range(8)}
    test = [f"test1/{tested.format(n=n)}" for n in range(30)]
    layout = look([*train, *test])
    assert read(layout) == train and layout.labels_from == "names"
    assert [(some.count, "test" in some.reason) for some in layout.left_out] == [(30, True)]


def test_that_splits_in_names_are_kept() -> None:
    expected = {
        f"{word}_{label}_{n}.jpg": (split, label)
        for word, split in (("train", "train"), ("TEST", "test"), ("val", "valid"))
        for label in ("cat", "dog")
        for n in range(5)
    }
    layout = look(list(expected))
    assert read(layout) == expected and layout.splits_from == "names"
    plain = {f"set/{split}_{n:05}.png": (split, "") for split in ("train", "test") for n in range(6)}
    assert read(look(list(plain))) == plain
    classes = {f"{name}_{n}.png": ("all", name) for name in ("crash_car", "bullet_car") for n in range(5)}
    assert read(look(list(classes))) == classes
    for two in (("train_station", "test_tube"), ("train", "bus")):
        assert set(read(look([f"{name}_{n}.png" for name in two for n in range(5)])).values()) == {("all", "")}
    both = {f"{split}/{split}_{label}_{n}.png": (split, label) for split in ("train", "test") for label in ("a b", "c") for n in range(5)}
    assert read(look(list(both))) == both
    assert {file.split for file in look(list(plain), ImportRecipe(split="none")).files} == {"all"}


@pytest.mark.parametrize(
    ("name", "expected"),
    [("rain (1).jpg", "rain"), ("n01440764_10.JPEG", "n01440764"), ("CNV-101-1.jpeg", "CNV"), ("cat_1_2.jpg", "cat"), ("a b 3.png", "a b"),
     ("2021-05-01.jpg", ""), ("cat.jpg", ""), ("IMG_20210501_101500.jpg", ""), ("x (copy) 2.png", "")],
)  # fmt: skip
def test_that_a_name_has_its_class(name: str, expected: str) -> None:
    assert class_in_name(name) == expected
