"""Clips of one's own: folders of numbered frames and animations, as images with the four frames before them."""

from __future__ import annotations

import json
import tarfile
import zipfile
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.cli import main
from engine.data import BadData, DataSet, open_data
from engine.training.loop import train
from engine.training.plan import Plan

SIDE = 12


def frame(clip: int, time: int) -> np.ndarray:
    """A bright square that moves by one pixel each time, on a ground that tells the clip; uint8 [12, 12]."""
    pixels = np.full((SIDE, SIDE), 10 * clip + 5, np.uint8)
    left = (time + clip) % (SIDE - 3)
    pixels[clip % 8 : clip % 8 + 3, left : left + 3] = 250
    return pixels


def save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def folders(root: Path, clips: int = 10, frames: int = 12, above: tuple[str, ...] = ("",)) -> Path:
    """Folders of frames whose numbers have no leading zeros, so that 10 sorts before 2 as text."""
    for clip in range(clips):
        for time in range(frames):
            save(root / above[clip % len(above)] / f"clip_{clip:03}" / f"{time + 1}.png", frame(clip, time))
    return root


def animations(root: Path, clips: int = 10, frames: int = 12, above: tuple[str, ...] = ("",), kind: str = "gif") -> Path:
    how = {"gif": {"duration": 40}, "webp": {"duration": 40, "lossless": True}, "tif": {}}[kind]
    for clip in range(clips):
        path = root / above[clip % len(above)] / f"{clip}.{kind}"
        path.parent.mkdir(parents=True, exist_ok=True)
        pages = [Image.fromarray(frame(clip, time)) for time in range(frames)]
        pages[0].save(path, save_all=True, append_images=pages[1:], **how)
    return root


def as_clips(root: Path) -> DataSet:
    return open_data(f'{root}?{{"frames":"clips"}}')


def known(image: np.ndarray) -> tuple[int, int]:
    """(clip, place of the square) of pixels [C, 12, 12]."""
    assert image.shape[1:] == (SIDE, SIDE)
    return int(image[0, -1, -1]) // 10, int((image[0] > 200).any(0).argmax())


@pytest.mark.parametrize("made", [folders, animations])
def test_that_an_image_is_a_frame_with_the_four_before_it_and_a_clip_lies_in_one_split(made, tmp_path: Path) -> None:
    data = as_clips(made(tmp_path / "films"))
    assert sum(data.report.counts.values()) == 10 * (12 - 4)
    assert data.classes == ()
    homes: dict[int, set[str]] = {}
    for name, split in data.splits.items():
        assert split.before is not None and split.before.shape == (len(split), 4, *data.shape)
        for image, before in zip(split.images, split.before, strict=True):
            clip, left = known(image)
            homes.setdefault(clip, set()).add(name)
            assert [known(one) for one in before] == [(clip, (left - back) % (SIDE - 3)) for back in (4, 3, 2, 1)]
    assert set(homes) == set(range(10)) and all(len(some) == 1 for some in homes.values())
    assert any("10 clips were read as 80 images" in note for note in data.report.notes)
    assert any("images of one clip together" in note for note in data.report.notes)


def test_that_folders_above_name_the_class_and_the_split_of_a_clip(tmp_path: Path) -> None:
    data = as_clips(folders(tmp_path / "films", above=("train/walk", "test/run", "train/run", "test/walk")))
    assert data.classes == ("run", "walk")
    test = data.splits["test"]
    assert test.labels is not None
    assert {known(image)[0] for image in test.images} == {1, 3, 5, 7, 9}
    for image, label in zip(test.images, test.labels, strict=True):
        assert data.classes[label] == ("run" if known(image)[0] in (1, 5, 9) else "walk")


def archive(folder: Path, out: Path, order: list[str] | None = None) -> Path:
    """The files of a folder in an archive, by default in the order of a shuffled disk."""
    paths = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    np.random.default_rng(3).shuffle(paths)
    if out.suffix == ".zip":
        with zipfile.ZipFile(out, "w") as packed:
            for path in order or paths:
                packed.write(folder / path, path)
    else:
        with tarfile.open(out, f"w:{out.suffix[1:].removeprefix('tar')}") as packed:
            for path in order or paths:
                packed.add(folder / path, path)
    return out


@pytest.mark.parametrize("made", [folders, animations, partial(animations, kind="tif"), partial(animations, kind="webp")])
@pytest.mark.parametrize("ending", ["zip", "tar", "tar.gz"])
def test_that_an_archive_of_clips_is_read_as_its_folder_is(made, ending: str, tmp_path: Path) -> None:
    root = made(tmp_path / "films", above=("train/walk", "test/run", "train/run", "test/walk"))
    folder, packed = as_clips(root), as_clips(archive(root, tmp_path / f"packed.{ending}"))
    assert packed.hash == folder.hash and packed.classes == folder.classes == ("run", "walk")
    for name, split in folder.splits.items():
        other = packed.splits[name]
        assert split.before is not None and other.before is not None and len(split)
        assert list(other.names) == list(split.names)
        for mine, theirs in ((split.images, other.images), (split.before, other.before), (split.groups, other.groups)):
            assert np.array_equal(mine, theirs)


@pytest.mark.parametrize("ending", ["zip", "tar.gz"])
def test_that_no_drawn_split_parts_a_clip_of_an_archive(ending: str, tmp_path: Path) -> None:
    data = as_clips(archive(folders(tmp_path / "films"), tmp_path / f"packed.{ending}"))
    homes: dict[int, set[str]] = {}
    for name, split in data.splits.items():
        assert split.before is not None and split.before.shape == (len(split), 4, *data.shape)
        for image, before in zip(split.images, split.before, strict=True):
            clip, left = known(image)
            homes.setdefault(clip, set()).add(name)
            assert [known(one) for one in before] == [(clip, (left - back) % (SIDE - 3)) for back in (4, 3, 2, 1)]
    assert set(homes) == set(range(10)) and all(len(some) == 1 for some in homes.values())


def test_that_a_gap_in_an_archive_is_no_bridge_and_a_short_clip_is_said(tmp_path: Path) -> None:
    root = folders(tmp_path / "films", clips=6)
    for time in range(4):
        save(root / "short" / f"{time}.png", frame(7, time))
    (root / "clip_002" / "6.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    data = as_clips(archive(root, tmp_path / "films.zip"))
    assert any(note == "1 clip of fewer than 5 frames was left out: short." for note in data.report.notes)
    assert sum(data.report.counts.values()) == 5 * 8 + 1 + 2 and data.report.bad_total == 1
    with pytest.raises(BadData, match=r"has no clip of at least 5 frames \(the longest has 4\)"):
        as_clips(archive(folders(tmp_path / "brief", clips=3, frames=4), tmp_path / "brief.tar"))


def test_that_a_folder_of_frames_called_like_a_text_is_a_clip_too(tmp_path: Path) -> None:
    root = folders(tmp_path / "films", clips=4)
    (root / "clip_001").rename(root / "walk.txt")
    for data in (as_clips(root), as_clips(archive(root, tmp_path / "films.zip"))):
        assert sum(data.report.counts.values()) == 4 * 8


def test_that_without_being_asked_they_are_single_images(tmp_path: Path) -> None:
    data = open_data(str(folders(tmp_path / "films", clips=3)))
    assert sum(data.report.counts.values()) == 36 and all(split.before is None for split in data.splits.values())


def test_that_short_clips_and_a_gap_are_said_and_no_frame_follows_over_the_gap(tmp_path: Path) -> None:
    root = folders(tmp_path / "films", clips=6)
    for time in range(4):
        save(root / "short" / f"{time}.png", frame(7, time))
    (root / "clip_002" / "6.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    data = as_clips(root)
    assert any(note == "1 clip of fewer than 5 frames was left out: short." for note in data.report.notes)
    assert sum(data.report.counts.values()) == 5 * 8 + 1 + 2  # of clip_002: frame 5, then 11 and 12
    assert data.report.bad_total == 1


def test_that_frames_of_unequal_size_are_said(tmp_path: Path) -> None:
    root = folders(tmp_path / "films", clips=4)
    for time in range(12):
        save(root / "large" / f"{time}.png", np.kron(frame(5, time), np.ones((2, 2), np.uint8)))
    assert any(note.startswith("Frames differ in size") for note in as_clips(root).report.notes)


def test_that_a_folder_without_a_long_enough_clip_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(BadData, match=r"has no clip of at least 5 frames \(the longest has 4\)"):
        as_clips(folders(tmp_path / "films", clips=3, frames=4))


@pytest.mark.slow
def test_that_next_frame_trains_on_them_and_a_film_is_rolled_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    named = f'{animations(tmp_path / "films")}?{{"frames":"clips"}}'
    settings = {"width": 4, "layers": 1, "encoder_layers": 1, "batch_size": 16}
    list(train(Plan("next_frame", named, settings, steps=2, name="film", device="cpu"), tmp_path / "runs"))
    out = tmp_path / "film.png"
    words = ["sample", "film", "--rollout", "3", "--runs", str(tmp_path / "runs"), "--out", str(out), "--json"]
    assert main(words) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["frames"] == 3
    with Image.open(out) as picture:
        assert picture.size[0] > picture.size[1]


def test_that_the_verb_reads_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = folders(tmp_path / "films", clips=4)
    assert main(["data", str(root), "--frames", "clips", "--json"]) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert told["recipe"] == {"frames": "clips"} and sum(told["splits"].values()) == 32
