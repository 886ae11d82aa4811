"""What a report says of an import: values before and after, warnings, what can be decided; and classes that get other names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine import messages as m
from engine.data import BadData, open_data
from engine.data.recipe import parsed_recipe, recipe_of, with_recipe
from engine.queries.session import QuerySession
from tests.kit.import_cases import class_folders, flat, picture, save, write_csv


def facts(data: str) -> m.ImportFacts:
    found = open_data(data).report.understood
    assert found is not None
    return found


def with_decisions(path: Path, **decisions: object) -> str:
    return with_recipe(str(path), recipe_of(decisions))


def test_that_the_histogram_counts_the_values_of_the_files_and_of_what_the_networks_get(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 4000, (30, 8, 8)).astype(np.uint16)
    images[0, 0, 0], images[0, 0, 1] = 0, 4095
    np.save(tmp_path / "deep.npy", images)
    told = facts(str(tmp_path / "deep.npy"))
    assert (told.low, told.high, told.counted) == (0.0, 4095.0, images.size)
    steps = np.minimum(images.reshape(-1).astype(float) / (4095 / 32), 31).astype(int)
    assert list(told.histogram) == [int((steps == step).sum()) for step in range(32)]
    got = np.concatenate([split.images.reshape(-1) for split in open_data(str(tmp_path / "deep.npy")).splits.values()])
    assert list(told.histogram_after) == [int((got // 8 == step).sum()) for step in range(32)]
    plain = facts("digits")
    assert plain.histogram == () and plain.offered == () and sum(plain.histogram_after) == 1797 * 64


def test_that_what_can_be_decided_is_told(tmp_path: Path) -> None:
    class_folders(tmp_path / "set" / "animals", splits=("train", "test"))
    write_csv(tmp_path / "set" / "meta.csv", "file,colour", (f"animals/train/cats/{n}.png,{'red' if n % 2 else 'blue'}" for n in range(6)))
    told = facts(str(tmp_path / "set"))
    assert {"labels", "class_level", "split", "scale", "fit", "rename", "leave_out", "size"} <= set(told.offered)
    assert told.classes_from == "folders" and told.splits_from == "folders" and told.levels == ("cats, dogs",)
    assert told.columns == ("meta.csv:colour",) and told.class_level == 1 and told.groups_from == "none" and told.array == ""
    np.savez(tmp_path / "a.npz", x=np.zeros((9, 8, 8), np.uint8) + 7, other=np.zeros((9, 8, 8), np.uint8) + 9, y=np.arange(9) % 2)
    told = facts(str(tmp_path / "a.npz"))
    assert told.arrays == ("x", "other") and told.columns == ("y",) and told.classes_from == "array y" and "class_level" not in told.offered
    assert told.array == "x" and told.class_level is None


def test_that_renamed_classes_are_merged_and_keep_their_images(tmp_path: Path) -> None:
    class_folders(tmp_path, names=("cats", "dogs", "hens"))
    plain = open_data(str(tmp_path))
    data = open_data(with_decisions(tmp_path, rename={"cats": "pets", "dogs": "pets", "cows": "x"}))
    assert data.classes == ("pets", "hens") and data.report.understood is not None
    assert data.report.understood.original_classes == ("cats", "dogs", "hens")
    known = {name: plain.classes[int(label)] for s in plain.splits.values() for name, label in zip(s.names, s.labels, strict=True)}  # type: ignore[arg-type]
    for split in data.splits.values():
        assert split.labels is not None
        for name, label in zip(split.names, split.labels, strict=True):
            assert data.classes[int(label)] == {"cats": "pets", "dogs": "pets", "hens": "hens"}[known[name]]
    assert any("made one" in note for note in data.report.notes) and any("“cows”" in note for note in data.report.notes)
    assert parsed_recipe('{"rename": {"a": "b"}}').changed() == {"rename": {"a": "b"}}
    for bad in ({"a": ""}, {"": "a"}, {"a": 3}, ["a", "b"], "ab"):
        with pytest.raises(BadData, match="rename"):
            recipe_of({"rename": bad})


def test_that_leaks_small_uneven_and_unseen_classes_are_warned_of(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for split, name, count in (("train", "many", 40), ("train", "few", 3), ("test", "many", 4), ("test", "few", 2), ("test", "new", 2)):
        for n in range(count):
            save(tmp_path / split / name / f"{n}.png", picture(rng))
    (tmp_path / "test" / "many" / "copy.png").write_bytes((tmp_path / "train" / "many" / "0.png").read_bytes())
    warned = {warning.kind: warning.text for warning in open_data(str(tmp_path)).report.warnings}
    assert set(warned) == {"leak", "few", "imbalance", "test_only"}
    assert "One test image is pixel by pixel" in warned["leak"] and "“new” is in test only" in warned["test_only"]
    assert "“few” has fewer than 5" in warned["few"] and "“many”" in warned["imbalance"]
    assert open_data("digits").report.warnings == ()


def test_that_examples_of_a_class_are_spread_over_it(tmp_path: Path) -> None:
    flat(tmp_path, [f"{'cat' if n % 2 else 'dog'}.{n:03d}.png" for n in range(80)])
    session = QuerySession()
    data = session.data(str(tmp_path))
    rows = (("train", 0), ("test", 1), ("train", -1))
    found = session.answer(m.ClassExamples(data=str(tmp_path), rows=rows, each=4))
    assert isinstance(found, m.ClassExamplesFound) and found.rows == rows and found.counts == (4, 4, 4)
    train, test = data.splits["train"], data.splits["test"]
    assert train.labels is not None and test.labels is not None
    cats, dogs = train.images[train.labels == 0], test.images[test.labels == 1]
    assert np.array_equal(found.images[0], cats[0]) and np.array_equal(found.images[3], cats[-1])
    assert np.array_equal(found.images[7], dogs[-1]) and np.array_equal(found.images[11], train.images[-1])
