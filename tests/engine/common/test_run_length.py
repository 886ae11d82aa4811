"""The length of a training where nobody says: worked by hand, and told to the form by the data that are built in."""

from __future__ import annotations

import pytest

from engine.common.run_length import default_steps
from engine.data import built_in, open_data

LENGTHS = [(1455, 128, 512), (100, 128, 500), (54_000, 128, 4000), (6000, 100, 2700), (None, 128, 4000)]


@pytest.mark.parametrize(("images", "batch", "steps"), LENGTHS)
def test_that_it_is_45_epochs_within_bounds(images: int | None, batch: int, steps: int) -> None:
    assert default_steps(images, batch) == steps


def test_that_the_training_images_that_are_told_are_those_that_are_there() -> None:
    told = {info.data: info.training_images for info in built_in() if info.training_images is not None}
    assert told
    for data, count in told.items():
        assert len(open_data(data).splits["train"]) == count
