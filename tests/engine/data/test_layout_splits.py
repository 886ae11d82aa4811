"""Trees in which a careless reading trains on test images: the splits are kept, and what lies beside them is named.

Each tree is built from a list of what is in it; the list is what must come out.
"""

from __future__ import annotations

import pytest

from engine.data.layout import Layout
from engine.data.path_words import split_and_rest, split_word
from engine.data.recipe import ImportRecipe
from tests.engine.data.test_layout import look

Found = dict[str, tuple[str, str]]  # path -> (split, class)


def read(layout: Layout) -> Found:
    return {file.path: (file.split, file.label) for file in layout.files}


def built(place: str, splits: dict[str, str], classes: tuple[str, ...], count: int = 6) -> Found:
    """place: a pattern such as “{split}/{label}/{n}.png”; splits: the word in it -> what it means."""
    return {
        place.format(split=word, label=label, n=n): (split, label)
        for word, split in splits.items()
        for label in classes
        for n in range(count)
    }


TWO = {"train": "train", "test": "test"}


@pytest.mark.parametrize("outside", [1, 3, 14, 200])
@pytest.mark.parametrize("place", ["set/{split}/{label}/{n}.png", "set/{label}/{split}/{n}.png"])
def test_that_splits_below_are_kept_however_many_images_lie_beside_them(place: str, outside: int) -> None:
    inside = built(place, TWO, ("a", "b"))
    beside = [f"extra/{n}.png" for n in range(outside)]
    layout = look([*inside, *beside])
    assert read(layout) == inside
    ((count, reason),) = [(some.count, some.reason) for some in layout.left_out]
    assert count == outside and "beside" in reason


def test_that_a_class_without_splits_beside_those_with_is_left_out_and_named() -> None:
    inside = built("{label}/{split}/{n}.png", TWO, ("cats", "dogs"))
    layout = look([*inside, *(f"birds/{n}.png" for n in range(12))])
    assert read(layout) == inside and any("birds/0.png" in note for note in layout.said())


@pytest.mark.parametrize(
    "place", ["{split}_{label}/{n}.png", "{label}_{split}/{n}.png", "set/{label}-{split}/{n}.png", "pets_{split}_{label}/{n}.png"]
)
def test_that_folders_that_name_a_split_and_a_class_are_both(place: str) -> None:
    inside = built(place, {"train": "train", "Test": "test", "val": "valid"}, ("cats", "great dogs"))
    if place.startswith("pets"):
        inside = {path: (split, f"pets_{label}") for path, (split, label) in inside.items()}
    assert read(look(list(inside))) == inside
    assert read(look([*inside, *(f"{path.rpartition('/')[0].rpartition('/')[0]}/extra/0.png".lstrip("/") for path in inside)])) == inside


def test_that_letters_behind_a_split_are_classes_and_that_one_that_is_not_trained_on_stays_apart() -> None:
    inside = built("{split}{label}/{n}.jpg", TWO, ("A", "B"))  # as CycleGAN's sets come
    assert read(look(list(inside))) == inside
    alone = {f"test_birds/{n}.jpg": ("test", "birds") for n in range(6)}
    inside = built("{split}_{label}/{n}.jpg", TWO, ("cats", "dogs")) | alone
    assert read(look(list(inside))) == inside


def test_that_names_that_share_nothing_but_a_split_word_are_classes() -> None:
    for names in (("train_station", "test_tube"), ("negative_test", "positive_test"), ("train", "test_tube", "bus")):
        inside = {f"{name}/{n}.png": ("all", name) for name in names for n in range(6)}
        assert read(look(list(inside))) == inside
    assert read(look(list(built("cars_{split}/{n}.png", TWO, ("",))))) == built("cars_{split}/{n}.png", TWO, ("",))


def test_that_splits_within_the_folder_to_train_on_are_splits() -> None:
    inner = built("train/{split}/{label}/{n}.png", {"train": "train", "val": "valid"}, ("a", "b"))
    inside = inner | built("{split}/{label}/{n}.png", {"test": "test"}, ("a", "b"))
    assert read(look(list(inside))) == inside
    packed = {f"train/{path}": found for path, found in built("{split}/{label}/{n}.png", {"train": "train"}, ("a", "b")).items()}
    packed |= {f"test/{path}": found for path, found in built("{split}/{label}/{n}.png", {"test": "test"}, ("a", "b")).items()}
    assert read(look(list(packed))) == packed  # a folder packed in one of its own name
    railway = {f"{split}/{label}/{n}.png": (split, label) for split in TWO for label in ("train", "bus", "car") for n in range(6)}
    assert read(look(list(railway))) == railway


@pytest.mark.parametrize(
    ("word", "split"),
    [
        ("Prüfung", "test"), ("Trainingsdaten", "train"), ("Validierung", "valid"), ("entrenamiento", "train"), ("validación", "valid"),
        ("entraînement", "train"), ("treino", "train"), ("eval", "test"), ("hold-out", ""), ("holdout_set", "test"), ("Prüfstand", ""),
    ],
)  # fmt: skip
def test_that_splits_are_known_in_other_words(word: str, split: str) -> None:
    assert split_word(word) == split
    assert split_and_rest("cars_train_small") == ("train", "cars_small") and split_and_rest("trainA") == ("train", "A")
    assert split_and_rest("Äpfel-test") == ("test", "Äpfel") and split_and_rest("train_test") == ("", "train_test")


def test_that_a_person_may_still_say_that_there_are_no_splits() -> None:
    inside = built("set/{split}/{label}/{n}.png", TWO, ("a", "b"))
    layout = look(list(inside), ImportRecipe(split="none"))
    assert {file.split for file in layout.files} == {"all"} and len(layout.files) == len(inside)
