"""Which images are trained on, validated with and tested with, and which of them a limited look takes."""

from __future__ import annotations

import tracemalloc
from collections.abc import Generator
from pathlib import Path
from types import SimpleNamespace
from typing import TypeVar

import numpy as np
import pytest

from engine.data import BadData, DataSet, Split, open_data
from engine.data.dataset import Numbered, Part, Source
from engine.data.splits import all_images, draw, draw_whole_groups, split, spread
from engine.data.twins import copies_of, find_twins, group
from engine.storage.run_data import require_same_data
from engine.storage.run_folders import BadRun

Result = TypeVar("Result")


def split_of(labels: np.ndarray | None, groups: np.ndarray | None = None, count: int | None = None) -> Split:
    """A split of images whose first byte is their place."""
    count = len(labels) if labels is not None else count or 0
    images = np.arange(count).astype(np.uint8).reshape(-1, 1, 1, 1).repeat(8, 2).repeat(8, 3)
    return Split(images, labels, Numbered("image", np.arange(count)), np.arange(count), groups)


@pytest.mark.parametrize("take", [1, 2, 7, 50, 99, 128])
def test_that_a_limited_look_at_a_class_sorted_split_takes_each_class_by_its_share(take: int) -> None:
    labels = np.repeat(np.arange(5), [400, 300, 200, 80, 20])
    chosen = spread(split_of(labels), take)
    assert len(np.unique(chosen)) == take
    assert (np.diff(chosen) > 0).all()
    expected = np.array([400, 300, 200, 80, 20]) * take / 1000
    assert (np.abs(np.bincount(labels[chosen], minlength=5) - expected) < 1).all()


@pytest.mark.parametrize("take", [None, 10, 11])
def test_that_a_look_at_no_less_than_a_split_takes_it_whole_and_in_its_order(take: int | None) -> None:
    assert spread(split_of(None, count=10), take).tolist() == list(range(10))


def test_that_a_limited_look_without_groups_is_what_was_always_drawn() -> None:
    labels = np.random.default_rng(0).integers(0, 7, 500)
    assert spread(split_of(labels), 64).tolist() == draw(500, 64, labels).tolist()


def test_that_a_limited_look_takes_pieces_of_as_many_photographs_as_it_can() -> None:
    groups = np.repeat([40, 3, 17, 8, 90, 12], 81)  # six photographs of 81 pieces, their numbers in no order
    labels = np.repeat([0, 1], 3 * 81)
    for take in (6, 12, 30, 100):
        counts = np.bincount(groups[spread(split_of(labels, groups), take)], minlength=91)[[40, 3, 17, 8, 90, 12]]
        assert counts.min() >= take // 6, f"{take}: {counts}"
        assert counts.max() <= take // 6 + 1, f"{take}: {counts}"


def test_that_a_limited_look_at_the_same_split_is_always_the_same() -> None:
    groups = np.random.default_rng(1).integers(0, 30, 200)
    assert spread(split_of(None, groups, 200), 50).tolist() == spread(split_of(None, groups, 200), 50).tolist()


def test_that_nothing_is_taken_when_nothing_is_asked() -> None:
    assert len(spread(split_of(None, count=5), 0)) == 0


def test_that_all_images_of_a_data_set_are_its_three_splits_with_their_names() -> None:
    parts = {name: split_of(np.arange(n) % 3, np.arange(n)) for name, n in (("train", 6), ("valid", 2), ("test", 3))}
    for name, part in parts.items():
        part.names = [f"{name} {i}" for i in range(len(part))]
    data = DataSet("x", "x", "images", (1, 8, 8), (), parts, "", None)
    whole = all_images(data)
    assert len(whole) == 11
    assert whole.take(np.arange(11))[:, 0, 0, 0].tolist() == [0, 1, 2, 3, 4, 5, 0, 1, 0, 1, 2]
    assert whole.take(np.array([10, 0, 7, 6]))[:, 0, 0, 0].tolist() == [2, 0, 1, 0], "in the order asked for"
    assert whole.labels is not None
    assert whole.labels.tolist() == [0, 1, 2, 0, 1, 2, 0, 1, 0, 1, 2]
    assert list(whole.names) == [f"train {i}" for i in range(6)] + ["valid 0", "valid 1", "test 0", "test 1", "test 2"]
    assert list(whole.names[5:8]) == ["train 5", "valid 0", "valid 1"]
    assert whole.names[-1] == "test 2"
    assert whole.groups is not None
    parts["valid"].groups = None
    (groups,) = [all_images(data).groups]
    assert groups is not None and groups[:6].tolist() == list(range(6)) and groups[8:].tolist() == [0, 1, 2]
    assert len({*groups[6:8].tolist()} - {*range(6)}) == 2, "images of a part without groups stand alone"


def test_that_no_image_of_a_whole_set_is_copied_before_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three splits of 3 GB each, mapped to nothing: to copy them would take 9 GB."""
    huge = np.broadcast_to(np.uint8(7), (1_000_000, 3, 32, 32))
    parts = {name: Split(huge, None, Numbered(name, np.arange(len(huge))), np.arange(len(huge))) for name in ("train", "valid", "test")}
    whole = all_images(DataSet("x", "x", "images", (3, 32, 32), (), parts, "", None))  # type: ignore[arg-type]
    tracemalloc.start()
    try:
        taken = whole.take(spread(whole, 50))
        assert tracemalloc.get_traced_memory()[1] < 200 << 20
    finally:
        tracemalloc.stop()
    assert taken.shape == (50, 3, 32, 32) and (taken == 7).all() and len(whole) == 3_000_000


# -- drawn splits --------------------------------------------------------------------------------------------------------------


def saved(path: Path, images: np.ndarray, labels: np.ndarray | None = None) -> DataSet:
    """The data set that a file with these images [N, H, W] is read as."""
    if labels is None:
        np.save(path / "images.npy", images)
        return open_data(str(path / "images.npy"))
    np.savez(path / "images.npz", images=images, labels=labels)
    return open_data(str(path / "images.npz"))


def noise(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 8, 8), dtype=np.uint8)


def shared_by_brute_force(data: DataSet) -> dict[tuple[str, str], int]:
    """For each two splits, how many images of the second are the same as one of the first."""
    found = {}
    for a, b in (("train", "valid"), ("train", "test"), ("valid", "test")):
        first, second = (data.splits[name].images.reshape(len(data.splits[name]), -1).astype(int) for name in (a, b))
        found[a, b] = sum(bool((np.abs(first - image).sum(1) == 0).any()) for image in second)
    return found


NONE_SHARED = {("train", "valid"): 0, ("train", "test"): 0, ("valid", "test"): 0}


def test_that_no_twin_lies_across_the_splits_when_every_picture_is_there_twice(tmp_path: Path) -> None:
    labels = np.repeat(np.arange(4), 100)
    images = np.concatenate([noise(400), noise(400)])
    data = saved(tmp_path, images, np.concatenate([labels, labels]))
    assert shared_by_brute_force(data) == NONE_SHARED
    assert data.report.duplicates == 400
    assert data.report.across_splits == 0
    for name, wanted in (("test", 20), ("valid", 18)):  # of each class
        found = data.splits[name].labels
        assert found is not None
        assert (np.abs(np.bincount(found, minlength=4) - wanted) <= 2).all(), np.bincount(found)
    assert sum(map(len, data.splits.values())) == 800


def test_that_twins_stay_together_among_many_single_images_and_large_groups_do_not_swamp_a_split(tmp_path: Path) -> None:
    images = np.concatenate([noise(500), np.repeat(noise(3, seed=1), [300, 40, 7], axis=0)])
    labels = np.concatenate([np.arange(500) % 2, np.full(347, 2)])
    mixed = np.random.default_rng(2).permutation(len(images))
    data = saved(tmp_path, images[mixed], labels[mixed])
    assert shared_by_brute_force(data) == NONE_SHARED
    for name, wanted in (("test", 25), ("valid", 23)):
        found = data.splits[name].labels
        assert found is not None
        assert (np.abs(np.bincount(found, minlength=3)[:2] - wanted) <= 1).all()
        assert np.bincount(found, minlength=3)[2] <= 47


def test_that_twins_which_the_draw_parts_not_change_nothing() -> None:
    labels = np.arange(300) % 3
    drawn = draw(300, 30, labels)
    inside, outside = drawn[:2], np.setdiff1d(np.arange(300), drawn)[:2]
    groups = np.arange(300)
    groups[inside[1]], groups[outside[1]] = groups[inside[0]], groups[outside[0]]
    assert draw_whole_groups(30, labels, groups).tolist() == drawn.tolist()
    groups[outside[0]] = groups[inside[0]]  # now it parts them
    chosen = draw_whole_groups(30, labels, groups)
    assert not set(groups[chosen]) & set(np.delete(groups, chosen))


@pytest.mark.parametrize("count", range(3, 31))
@pytest.mark.parametrize("copies", [1, 2, 3])
def test_that_tiny_sets_are_split_with_something_in_each_part(count: int, copies: int, tmp_path: Path) -> None:
    images = np.repeat(noise(-(-count // copies)), copies, axis=0)[:count]
    data = saved(tmp_path, images, np.arange(count) // copies % 2)
    assert sum(map(len, data.splits.values())) == count
    assert min(map(len, data.splits.values())) >= 1
    if -(-count // copies) >= 3:
        assert shared_by_brute_force(data) == NONE_SHARED
    else:
        assert any("figures mean little" in note for note in data.report.notes)


def test_that_copies_of_one_image_are_split_with_a_word_about_it(tmp_path: Path) -> None:
    data = saved(tmp_path, np.zeros((20, 8, 8), np.uint8))
    assert [len(data.splits[name]) for name in ("train", "valid", "test")] == [16, 2, 2]
    assert sum("figures mean little" in note for note in data.report.notes) == 2
    assert data.report.across_splits == 2


def test_that_two_images_are_refused_in_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(BadData, match="at least 3"):
        saved(tmp_path, noise(2))


def test_that_a_class_sorted_set_keeps_its_shares_and_names_classes_that_are_not_trained_on(tmp_path: Path) -> None:
    labels = np.repeat(np.arange(3), [150, 50, 1])
    data = saved(tmp_path, noise(201), labels)
    for name, wanted in (("test", [15, 5, 0.1]), ("valid", [13.5, 4.5, 0.1])):
        found = data.splits[name].labels
        assert found is not None
        assert (np.abs(np.bincount(found, minlength=3) - wanted) <= 1).all()
    seen = data.splits["train"].labels
    assert seen is not None
    assert (2 in seen) != any("No training image shows “2”" in note for note in data.report.notes)


def test_that_all_images_of_one_class_are_split_as_without_classes(tmp_path: Path) -> None:
    data = saved(tmp_path, noise(50), np.zeros(50, np.int64))
    assert [len(data.splits[name]) for name in ("train", "valid", "test")] == [41, 4, 5]


def test_that_twins_across_a_sources_own_splits_are_told_and_stay_where_they_are() -> None:
    images = noise(30)[:, None]
    parts = {
        "train": Part(images[:20], None, Numbered("train", np.arange(20))),
        "test": Part(images[15:], None, Numbered("test", np.arange(15))),
    }
    source = Source("own", parts)
    twins = _finished(find_twins(source.parts))
    group(source.parts, twins)
    splits, _ = split(source)
    told = copies_of(source, splits, twins)
    assert len(splits["test"]) == 15
    assert (told.count, told.across) == (5, 5)
    assert any("5 test images are the same" in note for note in told.notes)
    assert told.examples[0][1].startswith("test")


def test_that_what_a_reader_groups_and_what_is_equal_make_up_groups_together() -> None:
    images = noise(8)[:, None]
    images[5] = images[2]  # ties group 1 to group 3
    part = Part(images, None, Numbered("image", np.arange(8)), np.array([0, 0, 1, 1, 2, 3, 3, 4]))
    parts = {"all": part}
    group(parts, _finished(find_twins(parts)))
    assert part.groups is not None
    same = part.groups[:, None] == part.groups[None]
    wanted = np.zeros((8, 8), bool)
    for members in ([0, 1], [2, 3, 5, 6], [4], [7]):
        wanted[np.ix_(members, members)] = True
    assert np.array_equal(same, wanted)


def test_that_a_set_without_twins_has_no_groups_and_is_split_as_in_version_0_2(tmp_path: Path) -> None:
    data = saved(tmp_path, noise(100), np.arange(100) % 3)
    assert all(some.groups is None for some in data.splits.values())
    assert data.former_hash == ""
    expected = draw(100, 10, np.arange(100) % 3)
    assert data.splits["test"].index.tolist() == expected.tolist()


def test_that_a_run_trained_before_twins_were_kept_together_is_told_so(tmp_path: Path) -> None:
    data = saved(tmp_path, np.concatenate([noise(60), noise(60)]))
    assert data.former_hash not in ("", data.hash)
    manifest = SimpleNamespace(data=data.data, data_hash=data.former_hash, counts={}, kind="images")
    with pytest.raises(BadRun, match="divided differently"):
        require_same_data(manifest, "old", data.hash, former_hash=data.former_hash)
    manifest.data_hash = "something else"
    with pytest.raises(BadRun, match="content changed"):
        require_same_data(manifest, "old", data.hash, former_hash=data.former_hash)


def test_that_patches_of_a_tile_lie_in_one_split_and_the_report_says_how_many_tiles_there_are() -> None:
    data = open_data("photo-patches")
    tiles = {name: set(some.groups.tolist()) for name, some in data.splits.items() if some.groups is not None}
    assert {name: len(some) for name, some in tiles.items()} == {"train": 72, "valid": 24, "test": 24}
    assert not tiles["train"] & tiles["valid"] | tiles["train"] & tiles["test"] | tiles["valid"] & tiles["test"]
    assert any("24 for validation" in note for note in data.report.notes)
    for some in data.splits.values():
        assert some.groups is not None
        corner = [(name.partition(" at ")[0], *(int(v) // 64 for v in name.partition(" at ")[2].split(", "))) for name in some.names]
        by_name = {place: number for number, place in enumerate(dict.fromkeys(corner))}
        same_tile = np.array([by_name[place] for place in corner])
        assert len(np.unique(np.stack([same_tile, some.groups]), axis=1)[0]) == len(by_name)
    look = spread(data.splits["valid"], 48)
    groups = data.splits["valid"].groups
    assert groups is not None
    assert np.bincount(groups[look])[np.unique(groups)].tolist() == [2] * 24


def _finished(steps: Generator[object, None, Result]) -> Result:
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value
