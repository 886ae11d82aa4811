"""Images of one patient, lesion or tile by an array beside the images: they stay in one split, and a leak of given splits is said."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from engine.cli import main
from engine.data import open_data
from engine.data.recipe import ImportRecipe, recipe_of, with_recipe
from tests.engine.data.test_import_cases import opened, said

RNG = np.random.default_rng(3)
COUNT = 120
IMAGES = RNG.integers(0, 256, (COUNT, 10, 10), np.uint8)
LABELS = np.arange(COUNT) % 2
PATIENTS = np.arange(COUNT) // 2 % 20 + 7  # of both classes, three rows apart each; no number of an image


def write(root: Path, kind: str, **arrays: np.ndarray) -> Path:
    path = root / f"set.{kind}"
    if kind == "npz":
        np.savez(path, **arrays)
    elif kind == "mat":
        from scipy.io import savemat

        savemat(path, {name: some.transpose(1, 2, 0) if some.ndim == 3 else some[None] for name, some in arrays.items()})
    elif kind == "pt":
        import torch

        torch.save({name: torch.from_numpy(some) for name, some in arrays.items()}, path)
    else:
        h5py = pytest.importorskip("h5py")
        with h5py.File(path, "w") as file:
            for name, some in arrays.items():
                file[name] = some
    return path


@pytest.mark.parametrize("kind", ["npz", "mat", "h5", "pt"])
def test_that_images_of_one_value_of_an_array_are_in_one_split(tmp_path: Path, kind: str) -> None:
    path = write(tmp_path, kind, images=IMAGES, labels=LABELS, patient=PATIENTS, weight=np.linspace(0, 1, COUNT))
    plain = opened(path)
    facts = plain.report.understood
    assert facts is not None and "group" in facts.offered and set(facts.group_columns) == {"patient", "weight"}
    assert all(split.groups is None for split in plain.splits.values()) and facts.groups_from == "none"
    torn = {p for p in PATIENTS for some in plain.splits.values() if 0 < (PATIENTS[some.index] == p).sum() < (p == PATIENTS).sum()}
    assert torn, "the set does not test what it should"
    (warning,) = [one for one in plain.report.warnings if one.kind == "ungrouped"]
    assert warning.decision == ("group", "patient") and "“patient” may lie" in warning.text
    data = opened(path, **dict([warning.decision]))
    seen: dict[int, str] = {}
    for name, split in data.splits.items():
        assert len(split) and split.groups is not None
        for image, row, group, label in zip(split.images, split.index, split.groups, split.labels, strict=True):
            assert np.array_equal(image[0], IMAGES[row]) and data.classes[label] == str(LABELS[row])
            assert seen.setdefault(int(PATIENTS[row]), name) == name  # no patient in two splits
            assert len({int(PATIENTS[one]) for one in split.index[split.groups == group]}) == 1
    assert len(seen) == 20 and said(data, "Images of one “patient” stay together in one split: 20 groups.")
    assert data.report.understood is not None and data.report.understood.groups_from == "patient"
    assert not [one for one in data.report.warnings if one.kind == "ungrouped"]


@pytest.mark.parametrize(
    ("values", "alone"),
    [
        (np.array([f"P{n:02}" for n in PATIENTS]), 0),
        (np.array([f"P{n:02}".encode() for n in PATIENTS]), 0),
        (PATIENTS.astype(np.float64), 0),
        (np.where(PATIENTS == 7, np.nan, PATIENTS), 6),
        (np.where(PATIENTS == 7, -1, PATIENTS), 6),
        (PATIENTS.reshape(-1, 1), 0),
    ],
)
def test_that_groups_are_texts_numbers_or_a_column_and_what_has_none_stands_alone(tmp_path: Path, values: np.ndarray, alone: int) -> None:
    data = opened(write(tmp_path, "npz", images=IMAGES, labels=LABELS, lesion_id=values), group="lesion_id")
    groups = np.concatenate([split.groups for split in data.splits.values()])  # type: ignore[misc]
    whole = 20 - bool(alone)
    assert len(np.unique(groups)) == whole + alone and said(data, f"{whole} groups")
    assert said(data, f"{alone} images have none and stand alone") == bool(alone)


def test_that_a_torn_group_of_given_splits_is_said_and_the_validation_images_are_drawn_by_groups(tmp_path: Path) -> None:
    patients = np.repeat(np.arange(20), 6)
    cut = 90
    path = write(
        tmp_path, "npz", train_images=IMAGES[:cut], train_labels=LABELS[:cut], train_patient=patients[:cut], test_images=IMAGES[cut:],
        test_labels=LABELS[cut:], test_patient=np.where(patients[cut:] == 15, 3, patients[cut:]),
    )  # fmt: skip
    data = opened(path, group="patient")
    assert data.report.understood is not None and data.report.understood.group_columns == ("patient",)
    assert said(data, "Leak: 6 test images are of one “patient” with images of another split (1 group: 3)")
    train, valid = ({int(patients[row]) for row in data.splits[name].index} for name in ("train", "valid"))
    assert valid and not train & valid and len(train | valid) == 15


def test_that_images_without_a_label_take_their_groups_with_them(tmp_path: Path) -> None:
    labels = np.where(np.arange(COUNT) % 5 == 0, -1, LABELS)
    data = opened(write(tmp_path, "npz", images=IMAGES, labels=labels, patient=PATIENTS), group="patient")
    of: dict[int, set[int]] = {}
    for split in data.splits.values():
        for image, group in zip(split.images, split.groups, strict=True):  # type: ignore[arg-type]
            row = int(np.flatnonzero((image[0] == IMAGES).all((1, 2)))[0])
            of.setdefault(int(group), set()).add(int(PATIENTS[row]))
    assert sum(data.report.counts.values()) == (labels >= 0).sum() and all(len(patients) == 1 for patients in of.values())


def test_that_what_cannot_be_a_group_gets_one_sentence_and_nothing_is_grouped(tmp_path: Path) -> None:
    path = write(tmp_path, "npz", images=IMAGES, labels=LABELS, weight=np.linspace(0, 1, COUNT), short=PATIENTS[:50])
    for asked, words in (
        ("weight", "The values of the array “weight” have decimals, as measures and no groups have, so images are not grouped."),
        ("short", "No array “short” has one value for each image, so images are not grouped; there are: “weight”."),
        ("folder", "No array “folder”"),
        ("labels", "No array “labels”"),
    ):
        data = opened(path, group=asked)
        assert said(data, words) and all(split.groups is None for split in data.splits.values()), asked
        assert sum(data.report.counts.values()) == COUNT
    alone = opened(write(tmp_path, "npz", images=IMAGES, labels=LABELS, patient=np.arange(COUNT)))  # each image its own: nothing to warn of
    assert not [one for one in alone.report.warnings if one.kind == "ungrouped"]
    of_classes = opened(write(tmp_path, "npz", images=IMAGES, labels=LABELS, site=LABELS + 4), group="site")
    assert said(of_classes, "Every class is one “site”") and all(split.groups is None for split in of_classes.splits.values())


def test_that_the_verb_tells_the_groups_and_its_recipe_repeats_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path, "npz", images=IMAGES, labels=LABELS, patient=PATIENTS)
    assert main(["data", str(path), "--group", "patient", "--json"]) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert told["recipe"] == {"group": "patient"} and told["groups"]["from"] == "patient" and told["groups"]["count"] == 20
    again = open_data(with_recipe(str(path), recipe_of(told["recipe"])))
    assert again.hash == opened(path, group="patient").hash and recipe_of(told["recipe"]) == ImportRecipe(group="patient")
