"""Near duplicates: copies of a photograph that were recompressed, made brighter or cropped a little are found, other images are not."""

from __future__ import annotations

import io
from collections.abc import Generator
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.fft
from PIL import Image

from engine.data import open_data
from engine.data.dataset import Numbered, Part, Source, Step
from engine.data.fingerprints import lowest_coefficients
from engine.data.near_duplicates import (
    DRAWINGS,
    FEW,
    PHOTOGRAPHS,
    _averaged,
    _candidates,
    _fine,
    bound_groups,
    find_near_duplicates,
    hashes_of,
    near_copies_of,
    rule_for,
)
from engine.data.splits import keep_near_together, split
from engine.data.twins import find_twins
from tests.kit.import_cases import save


def finished(steps: Generator[Step, None, Any]) -> Any:
    """What a generator of steps returns."""
    while True:
        try:
            assert isinstance(next(steps), Step)
        except StopIteration as end:
            return end.value


def photographs(count: int, side: int = 48) -> list[Image.Image]:
    """Unlike pieces of two photographs, none overlapping another."""
    from sklearn.datasets import load_sample_images

    pieces = []
    for pixels in load_sample_images().images:
        for y in range(0, pixels.shape[0] - 63, 64):
            pieces += [pixels[y : y + 64, x : x + 64] for x in range(0, pixels.shape[1] - 63, 64)]
    order = np.random.default_rng(3).permutation(len(pieces))
    strong = [pieces[place] for place in order if pieces[place].std() > 25]
    return [Image.fromarray(piece).resize((side, side), Image.Resampling.BILINEAR) for piece in strong[:count]]


def recompressed(picture: Image.Image) -> Image.Image:
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=85)
    return Image.open(file)


def brighter(picture: Image.Image) -> Image.Image:
    return Image.fromarray(np.clip(np.asarray(picture) * 1.15 + 8, 0, 255).astype(np.uint8))


def darker(picture: Image.Image) -> Image.Image:
    return Image.fromarray((np.asarray(picture) * 0.7).astype(np.uint8))


def cropped(picture: Image.Image) -> Image.Image:
    return picture.resize(picture.size, Image.Resampling.BILINEAR, (1, 1, picture.width, picture.height))


def part_of(pictures: list[Image.Image]) -> Part:
    return Part(np.stack([np.asarray(one).transpose(2, 0, 1) for one in pictures]), None, Numbered("image", np.arange(len(pictures))))


def pairs_of(parts: dict[str, Part]) -> set[tuple[int, int]]:
    near = finished(find_near_duplicates(parts, finished(find_twins(parts))))
    return {(int(a), int(b)) for a, b in np.sort(near.pairs, 1)}


def test_that_the_hash_is_the_median_rule_over_a_cosine_transform() -> None:
    images = np.random.default_rng(0).integers(0, 256, (5, 3, 20, 31), dtype=np.uint8)
    low = lowest_coefficients(images)
    for image, mine in zip(images, low, strict=True):
        wanted = np.asarray(scipy.fft.dctn(image.astype(float).mean(0), norm="ortho"))[:8, :8].reshape(-1)[1:]
        assert np.allclose(mine, wanted, atol=1e-2)
    bits = [[c > np.median(row) for c in row] for row in low]
    hashes = hashes_of(low)
    for one, other in combinations(range(5), 2):
        assert (int(hashes[one]) ^ int(hashes[other])).bit_count() == sum(a != b for a, b in zip(bits[one], bits[other], strict=True))


@pytest.mark.parametrize("most", [0, 3, 4, 7, 10])
def test_that_the_bands_find_the_pairs_that_a_comparison_of_all_finds(most: int) -> None:
    rng = np.random.default_rng(most)
    hashes = rng.integers(0, 2**63, 60, dtype=np.uint64)
    near = [int(one) ^ sum(1 << int(bit) for bit in rng.choice(64, flips, replace=False)) for flips in range(13) for one in hashes[:12]]
    every = np.concatenate([hashes, np.array(near, np.uint64), hashes[:3]])
    wanted = {(a, b) for a, b in combinations(range(len(every)), 2) if (int(every[a]) ^ int(every[b])).bit_count() <= most}
    a, b = finished(_candidates(every, most, []))
    assert list(zip(a.tolist(), b.tolist(), strict=True)) == sorted(wanted) and len(wanted) > 12


def test_that_too_many_like_hashes_are_compared_in_bounded_time_and_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    like = np.concatenate([np.full(3000, 12345, np.uint64), rng.integers(0, 2**63, 500, dtype=np.uint64)])
    like[-1] = like[-2] ^ np.uint64(1)
    monkeypatch.setattr("engine.data.near_duplicates.COMPARED", 100_000)
    notes: list[str] = []
    a, b = finished(_candidates(like, 10, notes))
    assert (len(like) - 2, len(like) - 1) in set(zip(a.tolist(), b.tolist(), strict=True)) and len(a) < 100_000
    assert len(notes) == 1 and "not all were compared for near duplicates; the validation and test figures may be too good" in notes[0]


@pytest.mark.parametrize("how", [recompressed, brighter, darker, cropped])
def test_that_a_changed_copy_of_a_photograph_is_found_and_no_other(how) -> None:
    originals = photographs(60)
    copies = {60 + n: 3 * n for n in range(20)}
    pairs = pairs_of({"all": part_of([*originals, *(how(originals[n]) for n in copies.values())])})
    wanted = {(n, copy) for copy, n in copies.items()}
    assert pairs <= wanted, "two pieces of a photograph were taken for one"
    assert len(pairs) >= (0.9 if how is not cropped else 0.6) * len(wanted)


def test_that_colours_tell_images_of_one_brightness_apart() -> None:
    rng = np.random.default_rng(0)
    shape = rng.random((12, 12)).repeat(4, 0).repeat(4, 1) > 0.5
    red, green = np.zeros((3, 48, 48), np.uint8), np.zeros((3, 48, 48), np.uint8)
    red[0], green[1] = shape * 200, shape * 200
    assert pairs_of({"all": Part(np.stack([red, green]), None, Numbered("image", np.arange(2)))}) == set()


def test_that_exact_copies_and_empty_images_are_no_near_duplicates() -> None:
    original = np.asarray(photographs(1)[0]).transpose(2, 0, 1)
    grey = np.full_like(original, 128)
    noise = grey + np.random.default_rng(0).integers(0, 3, grey.shape).astype(np.uint8)
    parts = {"all": Part(np.stack([original, original, grey, noise]), None, Numbered("image", np.arange(4)))}
    assert pairs_of(parts) == set()


@pytest.mark.parametrize(("name", "rule"), [("digits", DRAWINGS), ("photo-patches", PHOTOGRAPHS)])
def test_that_unrelated_digits_are_not_chained_into_groups(name: str, rule) -> None:
    data = open_data(name)
    images = np.concatenate([some.images for some in data.splits.values()])[:: 1 if name == "digits" else 40]
    parts = {"all": Part(images, None, Numbered("image", np.arange(len(images))))}
    assert len(images) > FEW and rule_for(hashes_of(lowest_coefficients(images))) is rule
    twins = finished(find_twins(parts))
    near = finished(find_near_duplicates(parts, twins))
    groups = bound_groups(parts, near, twins)
    largest = 1 if groups is None else np.unique(groups["all"], return_counts=True)[1].max()
    assert largest <= 2 and len(near.pairs) <= 0.01 * len(images)


def films(scenes: int, frames: int, strongest: int) -> tuple[Part, np.ndarray]:
    """Images of a camera that stands still before each of some scenes, in a mixed order, and the scene [N] of each."""
    rng = np.random.default_rng(scenes)
    coarse = rng.integers(30, 225, (scenes, 3, 12, 12), dtype=np.uint8)
    clear = [[Image.fromarray(one).resize((32, 32), Image.Resampling.BICUBIC) for one in colours] for colours in coarse]
    of = rng.permutation(np.repeat(np.arange(scenes), frames))
    noise = rng.integers(-strongest, strongest + 1, (len(of), 3, 32, 32))
    images = np.clip(np.array([[np.asarray(one) for one in colours] for colours in clear])[of] + noise, 0, 255).astype(np.uint8)
    return Part(images, None, Numbered("image", np.arange(len(images)))), of


@pytest.mark.parametrize(("scenes", "frames"), [(150, 8), (60, 12), (20, 25), (4, 60)])
@pytest.mark.parametrize("strongest", [2, 12])
def test_that_however_few_the_scenes_of_a_film_none_is_held_out_and_trained_on(scenes: int, frames: int, strongest: int) -> None:
    part, of = films(scenes, frames, strongest)
    source = Source("mine", {"all": part})
    assert rule_for(hashes_of(lowest_coefficients(part.images))) is PHOTOGRAPHS
    twins = finished(find_twins(source.parts))
    groups = bound_groups(source.parts, finished(find_near_duplicates(source.parts, twins)), twins)
    assert groups is not None
    after, _, _ = keep_near_together(source, split(source)[0], groups)
    held_out = np.concatenate([after[name].index for name in ("valid", "test")])
    assert len(held_out) and np.isin(of[held_out], of[after["train"].index]).mean() <= 0.02


def test_that_of_a_crowd_of_copies_every_one_is_found_and_none_held_out(monkeypatch: pytest.MonkeyPatch) -> None:
    others, _ = films(900, 1, 0)
    base = others.images[0].astype(np.int16)
    noise = np.random.default_rng(0).integers(-1, 2, (1500, *base.shape))
    images = np.concatenate([np.clip(base + noise, 0, 255).astype(np.uint8), others.images])[np.random.default_rng(1).permutation(2400)]
    source = Source("mine", {"all": Part(images, None, Numbered("image", np.arange(2400)))})
    monkeypatch.setattr("engine.data.near_duplicates.COMPARED", 1_000_000)
    monkeypatch.setattr("engine.data.near_duplicates.PAIRS", 5_000)
    twins = finished(find_twins(source.parts))
    near = finished(find_near_duplicates(source.parts, twins))
    before = split(source)[0]
    counted = near_copies_of(source, before, near)
    assert near.notes == [] and counted.count == 1500
    frame = np.abs(images.astype(np.int16) - base).max((1, 2, 3)) <= 1
    assert frame[before["train"].index].any() and counted.across == frame[before["test"].index].sum() > 0
    groups = bound_groups(source.parts, near, twins)
    assert groups is not None
    after, _, _ = keep_near_together(source, before, groups)
    held_out = np.concatenate([after["valid"].index, after["test"].index])
    assert frame[after["train"].index].any() and not frame[held_out].any() and len(held_out) > 50


@pytest.mark.parametrize("side", [32, 100])
def test_that_each_image_is_averaged_once_however_many_are_like_it(monkeypatch: pytest.MonkeyPatch, side: int) -> None:
    part, of = films(10, 24, 6)
    part.images = part.images.repeat(side // 32, 2).repeat(side // 32, 3)
    averaged: list[int] = []

    def counted(images: np.ndarray) -> np.ndarray:
        averaged.append(len(images))
        return _averaged(images)

    monkeypatch.setattr("engine.data.near_duplicates._averaged", counted)
    parts = {"valid": Part(part.images[:50], None, part.names[:50]), "train": Part(part.images[50:], None, part.names[50:])}
    near = finished(find_near_duplicates(parts, finished(find_twins(parts))))
    assert len(near.pairs) > 2_000 and sum(averaged) <= len(of)
    a, b = near.pairs.T
    assert (of[a] == of[b]).all()
    for one, other in near.pairs[::200]:
        pixels = [part.images[row].astype(float) - part.images[row].mean((1, 2), keepdims=True) for row in (one, other)]
        wanted = (pixels[0] * pixels[1]).sum() / np.linalg.norm(pixels[0]) / np.linalg.norm(pixels[1])
        found = finished(_fine(parts, np.array([one]), np.array([other])))
        assert found == pytest.approx(wanted, abs=1e-4)


def test_that_of_more_pairs_than_are_looked_at_those_are_that_link_all(monkeypatch: pytest.MonkeyPatch) -> None:
    part, of = films(8, 100, 2)
    monkeypatch.setattr("engine.data.near_duplicates.PAIRS", 1_000)
    source = Source("mine", {"all": part})
    twins = finished(find_twins(source.parts))
    near = finished(find_near_duplicates(source.parts, twins))
    groups = bound_groups(source.parts, near, twins)
    assert groups is not None and len(near.pairs) <= 1_000
    assert all(len(np.unique(groups["all"][of == scene])) <= 2 for scene in range(8))
    counted = near_copies_of(source, split(source)[0], near)
    assert any("figures may be too good by others" in leak for leak in counted.leaks) and near.notes[0] in counted.notes


def test_that_copies_among_digits_make_no_photographs_of_them() -> None:
    images = np.concatenate([some.images for some in open_data("digits").splits.values()])
    darker_ones = (images[:300] * 0.8).astype(np.uint8)
    assert rule_for(hashes_of(lowest_coefficients(np.concatenate([images, *[darker_ones] * 4])))) is DRAWINGS


def test_that_near_duplicates_are_drawn_together_and_what_is_held_out_was_held_out_before() -> None:
    originals = photographs(60)
    parts = {"all": part_of([*originals, *(darker(one) for one in originals[:20])])}
    source = Source("mine", parts)
    before, _ = split(source)
    twins = finished(find_twins(parts))
    near = finished(find_near_duplicates(parts, twins))
    groups = bound_groups(parts, near, twins)
    assert groups is not None
    after, notes, redrawn = keep_near_together(source, before, groups)
    where = {int(row): name for name, some in after.items() for row in some.index}
    assert len(where) == 80 and all(where[int(a)] == where[int(b)] for a, b in near.pairs[near.bound]) and near.bound.sum() >= 18
    if redrawn:
        assert "whole groups" in notes[-1]
    else:
        for name in ("valid", "test"):
            assert set(after[name].index) <= set(before[name].index)
        assert "went to training" in notes[0]
    assert near_copies_of(source, after, near).across == 0


def test_that_a_set_of_copies_only_is_drawn_by_whole_groups() -> None:
    originals = photographs(40)
    parts = {"all": part_of([how(one) for one in originals for how in (darker, lambda one: one)])}
    source = Source("mine", parts)
    before, _ = split(source)
    twins = finished(find_twins(parts))
    groups = bound_groups(parts, finished(find_near_duplicates(parts, twins)), twins)
    assert groups is not None
    after, notes, redrawn = keep_near_together(source, before, groups)
    assert redrawn and "whole groups" in notes[-1] and all(len(some) >= 4 for some in after.values())
    assert len(np.intersect1d(groups["all"][after["train"].index], groups["all"][after["test"].index])) == 0


def test_that_a_folder_says_which_images_are_nearly_the_same_within_and_across_its_splits(tmp_path: Path) -> None:
    originals = photographs(30)
    for n, one in enumerate(originals):
        save(tmp_path / ("test" if n >= 20 else "train") / f"{n}.png", np.asarray(one))
    save(tmp_path / "test" / "copy of 3.png", np.asarray(darker(originals[3])))
    save(tmp_path / "train" / "copy of 5.png", np.asarray(darker(originals[5])))
    report = open_data(str(tmp_path)).report
    assert (report.near_duplicates, report.near_across_splits, report.duplicates) == (2, 1, 0)
    assert {frozenset(pair[:2]) for pair in report.near_examples} == {
        frozenset(("train/3.png", "test/copy of 3.png")), frozenset(("train/5.png", "train/copy of 5.png")),
    }  # fmt: skip
    assert "test/copy of 3.png" in report.near_examples[0] and all(0 <= bits <= 10 for *_, bits in report.near_examples)
    assert any("1 test image is nearly the same as one for training" in note for note in report.notes)
