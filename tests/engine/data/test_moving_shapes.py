"""Clips of a moving shape: the motion is what arithmetic says, and no clip is in two splits."""

from __future__ import annotations

import math

import numpy as np
import pytest

from engine.data import open_data
from engine.data.dataset import Part, Source
from engine.data.splits import split, with_pixels

CLIPS, FRAMES, PAST, SIDE = 90, 20, 4, 16


@pytest.fixture(scope="module")
def data():
    return open_data(f"moving-shapes:{CLIPS}")


def centres(frames: np.ndarray) -> np.ndarray:
    """Of what is brighter than the background: x and y in pixels [..., 2], frames [..., 1, H, W]."""
    light = frames[..., 0, :, :].astype(float) - 24
    places = np.arange(SIDE) + 0.5
    total = light.sum((-1, -2))
    return np.stack([(light.sum(-2) * places).sum(-1) / total, (light.sum(-1) * places).sum(-1) / total], -1)


def test_that_a_shape_goes_straight_on_and_bounces_where_it_meets_the_border(data):
    """Followed frame by frame: a step, and where it leads out of the room the way back."""
    factors = {name: values.reshape(CLIPS, FRAMES - PAST) for name, values in data.factors.items()}
    bounces = 0
    for clip in range(CLIPS):
        low = math.ceil(factors["size"][clip, 0] + 0.5)
        high = SIDE - low
        for axis in ("x", "y"):
            place, velocity = factors[axis][clip, 0], factors[f"v{axis}"][clip, 0]
            for frame in range(1, FRAMES - PAST):
                place += velocity
                if velocity and (place <= low or place >= high):
                    place = 2 * low - place if place <= low else 2 * high - place
                    velocity = -velocity
                    bounces += 1
                assert factors[axis][clip, frame] == place and factors[f"v{axis}"][clip, frame] == velocity
    assert bounces > CLIPS  # nearly every clip has some
    speeds = np.abs(np.stack([factors["vx"], factors["vy"]]))
    assert (speeds == speeds[:, :, :1]).all() and set(np.unique(speeds)) == {0, 1, 2} and (speeds.max(0) > 0).all()


def test_that_a_frame_is_the_one_before_moved_by_whole_pixels(data):
    some = data.splits["train"]
    for row in range(0, len(some), 7):
        last = some.before[row, -1, 0]
        moved = [np.roll(last, (down, right), (0, 1)) for right in range(-2, 3) for down in range(-2, 3)]
        assert sum(np.array_equal(some.images[row, 0], one) for one in moved) == 1


def test_that_the_pixels_show_the_shape_where_its_factors_say(data):
    for some in data.splits.values():
        told = np.stack([data.factors[name][some.index] for name in "xy"], -1)
        assert np.abs(centres(some.images) - told).max() < 0.3
        brightest = some.images.reshape(len(some), -1).max(1)
        assert (brightest <= np.rint(data.factors["brightness"][some.index])).all()
        assert np.array_equal(some.labels, data.factors["shape"][some.index])


def test_that_the_frames_before_are_those_of_the_same_clip(data):
    for some in data.splits.values():
        assert some.before is not None and some.before.shape == (len(some), PAST, 1, SIDE, SIDE)
        for row in range(len(some)):
            clip, frame = (int(part.split()[1]) for part in some.names[row].split(", "))
            assert clip - 1 == some.index[row] // (FRAMES - PAST) and frame - PAST - 1 == some.index[row] % (FRAMES - PAST)
            if frame > PAST + 1:  # the image before it is the last of the frames before
                assert np.array_equal(some.before[row, -1], some.images[row - 1])
                assert np.array_equal(some.before[row, :-1], some.before[row - 1, 1:])


def test_that_frames_of_one_clip_never_cross_splits_and_each_split_has_whole_clips(data):
    clips = {name: np.unique(some.index // (FRAMES - PAST), return_counts=True) for name, some in data.splits.items()}
    seen = np.concatenate([found for found, _ in clips.values()])
    assert np.array_equal(np.sort(seen), np.arange(CLIPS))  # each once
    assert all((counts == FRAMES - PAST).all() for _, counts in clips.values())
    assert all(len(clips[name][0]) >= 6 for name in ("valid", "test"))
    for some in data.splits.values():
        assert some.groups is not None and len(np.unique(some.groups)) == len(np.unique(some.index // (FRAMES - PAST)))


def test_that_fewer_clips_are_the_first_of_more_and_the_same_every_time(data):
    few = open_data("moving-shapes:30")
    assert open_data("moving-shapes:30").hash == few.hash != data.hash
    assert few.factors is not None
    for name, values in few.factors.items():
        assert np.array_equal(values, data.factors[name][: len(values)])


def test_that_the_content_hash_knows_the_frames_before(data):
    again = open_data(f"moving-shapes:{CLIPS}")
    assert again.hash == data.hash
    from engine.data.inspecting import _hash

    whole = np.empty((sum(map(len, again.splits.values())), *data.shape), np.uint8)
    for some in again.splits.values():
        whole[some.index] = some.images
    source = Source("x", {"all": Part(whole, None, ())})

    def digest(splits: dict) -> str:
        steps = _hash(source, splits, data.shape)
        while True:
            try:
                next(steps)
            except StopIteration as end:
                return end.value

    assert digest(again.splits) == data.hash
    before = again.splits["train"].before
    assert before is not None
    before[3, 0, 0, 5, 5] ^= 1
    assert digest(again.splits) != data.hash


def test_that_frames_of_another_size_have_frames_before_of_that_size():
    data = open_data("moving-shapes:12", size=8)
    for some in data.splits.values():
        assert some.before is not None and some.images.shape[1:] == some.before.shape[2:] == (1, 8, 8)
        follows = np.flatnonzero(np.diff(some.index) == 1)
        same_clip = follows[some.index[follows] // (FRAMES - PAST) == some.index[follows + 1] // (FRAMES - PAST)]
        assert np.array_equal(some.before[same_clip + 1, -1], some.images[same_clip])


def test_that_a_split_takes_the_frames_before_along():
    images = np.arange(40, dtype=np.uint8)[:, None, None, None] * np.ones((1, 1, 8, 8), np.uint8)
    before = (images[:, None] + np.arange(4, dtype=np.uint8)[None, :, None, None, None]).astype(np.uint8)
    part = Part(images, None, [str(i) for i in range(40)], np.arange(40) // 4, before)
    source = Source("x", {"all": part})
    splits = with_pixels(source, split(source)[0], in_place=True)
    for some in splits.values():
        assert some.before is not None
        assert np.array_equal(some.before[:, 0], some.images)


@pytest.mark.parametrize("data", ["moving-shapes:0", "moving-shapes:2", "moving-shapes:x", "moving-shapes:9999999"])
def test_that_a_wrong_number_of_clips_is_refused_in_one_sentence(data, refusal):
    refusal(data)
