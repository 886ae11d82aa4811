"""The built-in sets, the splits and the report."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from engine.data import DataSet, built_in, describe_data, inspect, open_data, shapes
from engine.data.splits import draw, text_spans
from engine.messages import Progress


def test_that_digits_are_the_digits_of_scikit_learn():
    from sklearn.datasets import load_digits

    data = open_data("digits")
    bunch = load_digits()
    assert data.shape == (1, 8, 8) and data.classes == tuple("0123456789")
    for split in data.splits.values():
        expected = np.floor(bunch.images[split.index] * 255 / 16 + 0.5)
        assert np.array_equal(split.images[:, 0], expected)
        assert np.array_equal(split.labels, bunch.target[split.index])


def test_that_splits_are_disjoint_complete_and_stratified():
    data = open_data("digits")
    index = np.concatenate([split.index for split in data.splits.values()])
    assert np.array_equal(np.sort(index), np.arange(1797))
    assert data.report.counts == {"train": 1455, "valid": 162, "test": 180}
    whole = np.sum([data.report.class_counts[name] for name in data.splits], axis=0)
    assert np.abs(np.array(data.report.class_counts["test"]) - whole * 180 / 1797).max() <= 1


def test_that_the_same_content_gives_the_same_split_and_hash():
    first, second = open_data("digits"), open_data("digits")
    assert first.hash == second.hash and len(first.hash) == 64
    assert all(np.array_equal(first.splits[name].index, second.splits[name].index) for name in first.splits)
    assert open_data("shapes:40").hash != open_data("shapes:41").hash


@pytest.mark.parametrize("count", [2, 10, 101])
def test_that_a_draw_has_the_asked_number_without_repeats(count):
    drawn = draw(count, max(1, count // 10), None)
    assert len(set(drawn.tolist())) == max(1, count // 10) and drawn.max() < count


def test_that_image_i_of_shapes_depends_on_seed_and_i_only():
    few, many = open_data("shapes:30"), open_data("shapes:90")

    def in_order(data: DataSet) -> np.ndarray:
        images = np.concatenate([split.images for split in data.splits.values()])
        return images[np.argsort(np.concatenate([split.index for split in data.splits.values()]))]

    assert np.array_equal(in_order(few), in_order(many)[:30])
    assert not np.array_equal(shapes.factors_of(0, np.arange(9))["hue"], shapes.factors_of(1, np.arange(9))["hue"])


def test_that_the_factors_of_shapes_are_uniform_and_independent():
    factors = shapes.factors_of(0, np.arange(20_000))
    lows = {"hue": 0, "size": 4, "x": 8.5, "y": 8.5}
    highs = {"hue": 360, "size": 8, "x": 23.5, "y": 23.5}
    unit = np.stack([(factors[name] - lows[name]) / (highs[name] - lows[name]) for name in lows])
    assert unit.min() >= 0 and unit.max() < 1
    assert np.abs(np.histogram(unit[0], 10, (0, 1))[0] - 2000).max() < 6 * math.sqrt(1800)
    assert np.abs(np.corrcoef(np.vstack([unit, factors["shape"]])) - np.eye(5)).max() < 0.03


@pytest.mark.parametrize("kind", range(len(shapes.KINDS)))
def test_that_a_shape_covers_the_area_it_should_and_has_soft_edges(kind):
    """The area by supersampling with matplotlib-free geometry: each shape's exact area formula."""
    size = 8.0
    arm, tip = 0.32, math.sqrt(1 - 0.32**2)
    exact = {
        "square": 2 * size**2,
        "triangle": 3 * math.sqrt(3) / 4 * size**2,
        "ellipse": math.pi * size * size / 2,
        "cross": (4 * 2 * arm * (tip - arm) + (2 * arm) ** 2) * size**2,
        "star": 10 * 0.5 * 0.45 * math.sin(math.radians(36)) * size**2,
    }[shapes.KINDS[kind]]
    for angle in (0.0, 17.0, 40.0):
        values = {"shape": kind, "hue": 0.0, "size": size, "x": 16.3, "y": 15.6, "angle": angle}
        image = shapes.draw({name: np.array([value]) for name, value in values.items()})[0]
        share = (image[0].astype(float) - shapes.BACKGROUND) / (255 - shapes.BACKGROUND)
        assert share.sum() == pytest.approx(exact, rel=0.03)
        assert 10 < ((share > 0.02) & (share < 0.98)).sum() < 120
        ys, xs = np.mgrid[:32, :32] + 0.5
        if kind in (0, 2, 3):  # symmetric about their centre
            assert (share * xs).sum() / share.sum() == pytest.approx(16.3, abs=0.05)
            assert (share * ys).sum() / share.sum() == pytest.approx(15.6, abs=0.05)


def test_that_captions_say_what_is_drawn():
    one = {"shape": 4, "hue": 235.0, "size": 7.9, "x": 9.0, "y": 23.0, "angle": 0.0}
    assert shapes.captions({name: np.array([value]) for name, value in one.items()})[0] == "a large blue star at the bottom left"


def test_that_factors_belong_to_their_images():
    data = open_data("shapes:60")
    split = data.splits["test"]
    assert data.factors is not None
    again = shapes.draw({name: values[split.index] for name, values in data.factors.items()})
    assert np.array_equal(split.images, again)
    assert np.array_equal(split.labels, data.factors["shape"][split.index])
    assert split.names[0].startswith("a ")


def test_that_patches_never_overlap_across_splits():
    data = open_data("photo-patches")
    covered: dict[str, dict[str, np.ndarray]] = {}
    for name, split in data.splits.items():
        covered[name] = {photo: np.zeros((427, 640), bool) for photo in data.classes}
        for text in split.names:
            photo, _, place = text.partition(" at ")
            x, y = map(int, place.split(", "))
            covered[name][photo][y : y + 32, x : x + 32] = True
    for photo in data.classes:
        assert not (covered["train"][photo] & covered["test"][photo]).any()
        assert not (covered["train"][photo] & covered["valid"][photo]).any()
        assert not (covered["valid"][photo] & covered["test"][photo]).any()


def test_that_a_patch_is_cut_where_its_name_says():
    from sklearn.datasets import load_sample_image

    split = open_data("photo-patches").splits["test"]
    photo, _, place = split.names[-1].partition(" at ")
    x, y = map(int, place.split(", "))
    expected = load_sample_image(f"{photo}.jpg")[y : y + 32, x : x + 32]
    assert np.array_equal(split.images[-1].transpose(1, 2, 0), expected)


def test_that_pydoc_text_is_text_with_three_spans():
    data = open_data("pydoc-text")
    assert data.kind == "text" and data.text is not None and b"lambda" in data.text
    assert data.spans["test"][1] == len(data.text) == sum(data.report.counts.values())
    assert data.report.text_sample


def test_that_text_spans_are_the_last_tenth_and_the_twentieth_before():
    assert text_spans(b"a" * 1000) == {"train": (0, 855), "valid": (855, 900), "test": (900, 1000)}


def test_that_inspect_ends_with_the_data_set_and_reports_on_the_way():
    *progress, last = inspect("shapes:3000", "job-7")
    assert isinstance(last, DataSet)
    assert progress and all(isinstance(item, Progress) and item.job == "job-7" for item in progress)


@pytest.mark.parametrize("data", ["shapes:0", "shapes:x", "shapes:-4", "shapes:99999999999", "digits:5", "", "/nowhere/at/all", "a\0b"])
def test_that_a_wrong_name_is_refused_in_one_sentence(data, refusal):
    refusal(data)


def test_that_every_built_in_set_is_described_and_can_be_had():
    for info in built_in():
        assert info.built_in and describe_data(info.data) == info
        assert open_data(info.data).kind == info.kind
    assert describe_data("/nowhere").summary.startswith("cannot be read")


def test_that_no_data_set_needs_torch_or_scikit_learn_to_be_imported():
    script = "import sys; from engine.data import open_data; [open_data(d) for d in ('digits', 'photo-patches', 'shapes:9')]; "
    script += "assert not {'torch', 'sklearn', 'scipy'} & set(sys.modules), sorted(sys.modules)"
    subprocess.run([sys.executable, "-c", script], cwd=Path(__file__).parents[3], check=True, timeout=300)
