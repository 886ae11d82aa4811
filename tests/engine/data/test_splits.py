"""Which images are trained on, validated with and tested with, and which of them a limited look takes."""

from __future__ import annotations

import numpy as np
import pytest

from engine.data import DataSet, Split
from engine.data.dataset import Numbered
from engine.data.splits import all_images, draw, spread


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
    assert whole.images[:, 0, 0, 0].tolist() == [0, 1, 2, 3, 4, 5, 0, 1, 0, 1, 2]
    assert whole.labels is not None
    assert whole.labels.tolist() == [0, 1, 2, 0, 1, 2, 0, 1, 0, 1, 2]
    assert list(whole.names) == [f"train {i}" for i in range(6)] + ["valid 0", "valid 1", "test 0", "test 1", "test 2"]
    assert list(whole.names[5:8]) == ["train 5", "valid 0", "valid 1"]
    assert whole.names[-1] == "test 2"
    assert whole.groups is not None
