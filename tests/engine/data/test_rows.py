"""A source crosses from the reading process; an answer that does not fit itself is refused, whatever in it is wrong."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

from engine.data.dataset import BadData, Part, Source
from engine.data.rows import source_frame, source_from_frame

IMAGES = np.zeros((6, 1, 4, 4), np.uint8)
PAST = np.array([[0, 1, 2, 3, 4], [1, 2, 3, 4, 5]])


def crossed(part: Part, change: Any = None) -> Part:
    source = Source("clips", classes=("a", "b"))
    source.parts["all"] = part
    head, payload = source_frame(source)
    head = copy.deepcopy(head)["source"]
    if change is not None:
        change(head["parts"]["all"])
    return source_from_frame(head, payload, {"all": IMAGES}, {"all": len(IMAGES)}).parts["all"]


def test_that_clips_and_labels_cross_whole() -> None:
    part = crossed(Part(IMAGES, np.array([0, 1]), ["x", "y"], past=PAST))
    assert part.past is not None and np.array_equal(part.past, PAST) and part.labels is not None and part.labels.tolist() == [0, 1]


@pytest.mark.parametrize("label", [-2, 2])
def test_that_a_label_of_no_class_is_damage(label: int) -> None:
    with pytest.raises(BadData, match="damaged answer"):
        crossed(Part(IMAGES, np.array([0, 1, 0, 1, 0, label]), list("abcdef")))


def test_that_an_image_without_a_class_crosses() -> None:
    labels = crossed(Part(IMAGES, np.array([0, 1, 0, 1, 0, -1]), list("abcdef"))).labels
    assert labels is not None and labels.tolist() == [0, 1, 0, 1, 0, -1]


def test_that_frames_without_what_went_before_and_clips_of_another_length_are_damage() -> None:
    with pytest.raises(BadData, match="damaged answer"):  # six rows came, and four are told of
        crossed(Part(IMAGES[:4], None, list("abcd")), lambda about: about.update(frames=6))
    with pytest.raises(BadData, match="damaged answer"):
        crossed(Part(IMAGES, None, ["x", "y"], past=PAST[:, :4]))
    with pytest.raises(BadData, match="damaged answer"):
        crossed(Part(IMAGES, None, ["x", "y"], past=PAST), lambda about: about.pop("frames"))
