"""First answers about large sets: counts of the whole by names, pixels of a few images spread over splits and classes."""

from __future__ import annotations

import json
import tarfile
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine import messages as m
from engine.cli import main
from engine.data import DataSet, FirstAnswer, SampleWish, first_answer_of, inspect
from engine.data.dataset import BadData, Split
from engine.data.decode_pool import Files
from engine.data.readers import folders
from engine.data.recipe import recipe_of, with_recipe
from engine.data.sampled import sampled_rows

SIZES = {("train", "cat"): 900, ("train", "dog"): 600, ("train", "eel"): 7, ("test", "cat"): 300, ("test", "dog"): 2}


def grey(path: Path, value: int, side: int = 8) -> None:
    Image.fromarray(np.full((side, side), value, np.uint8)).save(path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """1,809 tiny files, sorted by class; every class has grey levels of its own."""
    root = tmp_path_factory.mktemp("many") / "set"
    for (split, name), n in SIZES.items():
        place = root / split / name
        place.mkdir(parents=True)
        for number in range(n):
            grey(place / f"{number:04}.png", 80 * ("cat", "dog", "eel").index(name) + number % 60)
    (root / "readme.txt").write_text("about")
    return root


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The paths of all pictures that were given to a decoder, in order."""
    found: list[str] = []
    decode = folders.decode_files

    def counting(files: Files, *rest: object) -> object:
        found.extend(files.root + name for name in files.names)
        return decode(files, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(folders, "decode_files", counting)
    yield found


def sample(data: str, images: int) -> m.DataReport:
    *_, last = first_answer_of(data, images)
    assert isinstance(last, FirstAnswer)
    return last.data.report


def test_that_a_sample_opens_few_files_and_counts_all(folder: Path, opened: list[str]) -> None:
    *_, answer = first_answer_of(str(folder), 60)
    assert isinstance(answer, FirstAnswer)
    report = answer.data.report
    assert report.sampled == 60 and len(opened) <= 16 + 60 and len(set(opened)) <= 76
    there = Counter((path.parts[-3], path.parts[-2]) for path in folder.rglob("*.png"))
    assert report.classes == ("cat", "dog", "eel") and report.counts["test"] == sum(n for (split, _), n in there.items() if split == "test")
    assert report.counts["train"] + report.counts["valid"] == sum(n for (split, _), n in there.items() if split == "train")
    for place, name in enumerate(report.classes):
        assert report.class_counts["test"][place] == there["test", name]
        assert report.class_counts["train"][place] + report.class_counts["valid"][place] == there["train", name]
    assert report.hash == "" and report.duplicates == 0
    assert report.notes[0] == (
        "From a sample of 60 images of 1,809; their number and classes are told from names and tables, where files that cannot be read "
        "still count."
    )
    assert report.understood is not None and sum(report.understood.histogram_after) == 60 * 64


def test_that_every_class_of_every_split_has_images_of_its_own_spread_over_it(folder: Path) -> None:
    *_, answer = first_answer_of(str(folder), 60)
    assert isinstance(answer, FirstAnswer)
    data = answer.data
    for split, some in data.splits.items():
        assert some.labels is not None
        for place, n in enumerate(data.report.class_counts[split]):
            mine = some.images[some.labels == place]
            assert len(mine) >= min(n, 2), (split, place)
            assert all(80 * place <= int(image.mean()) < 80 * place + 60 for image in mine)
    labels = data.splits["train"].labels
    assert labels is not None
    names = [name for name, label in zip(data.splits["train"].names, labels, strict=True) if label == 0]
    numbers = sorted(int(name[-8:-4]) for name in names)
    assert numbers[0] < 90 and numbers[-1] > 810  # not the head of a class


def test_that_the_splits_of_a_sample_are_those_of_the_whole(tmp_path: Path) -> None:
    root = tmp_path / "flat"
    for name in ("a", "b"):
        (root / name).mkdir(parents=True)
        for number in range(60):
            pixels = np.random.default_rng(number + 100 * (name == "b")).integers(0, 255, (12, 12, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(root / name / f"{number}.png")
    *_, answer = first_answer_of(str(root), 40)
    *_, whole = inspect(str(root))
    assert isinstance(answer, FirstAnswer) and isinstance(whole, DataSet)
    assert answer.data.report.counts == whole.report.counts and answer.data.report.class_counts == whole.report.class_counts
    for split, some in answer.data.splits.items():
        of_whole = dict(zip(whole.splits[split].names, whole.splits[split].images, strict=True))
        assert len(some) and all((of_whole[name] == image).all() for name, image in zip(some.names, some.images, strict=True))


def test_that_a_small_set_needs_no_first_answer_unless_one_is_asked_for(tmp_path: Path, folder: Path) -> None:
    for number in range(12):
        (tmp_path / "few" / "ab"[number % 2]).mkdir(parents=True, exist_ok=True)
        grey(tmp_path / "few" / "ab"[number % 2] / f"{number}.png", number)
    found = [type(item) for item in inspect(str(tmp_path / "few"), wish=SampleWish(8, 100.0))]
    assert DataSet in found
    report = sample(str(tmp_path / "few"), 8)
    assert report.sampled == 8 and sum(report.counts.values()) == 12


def test_that_slow_pictures_are_looked_at_no_longer_than_was_allowed(
    folder: Path, opened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr("engine.data.sampled.time.perf_counter", lambda: now[0])
    attempt = folders._decoded

    def slow(root: Path, files: list[object], *rest: object) -> object:
        now[0] += 0.05 * len(files)
        return attempt(root, files, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(folders, "_decoded", slow)
    for item in inspect(str(folder), wish=SampleWish(256, 0.6)):
        if isinstance(item, FirstAnswer):
            assert item.data.report.sampled == 16
            assert sum(len(some) for some in item.data.splits.values()) == 16
            break
    else:
        raise AssertionError("there was no first answer")
    assert len(opened) <= 32


def test_that_the_whole_follows_and_is_as_without_a_sample(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.data.sampled.WORTH_SECONDS", 0.0)
    found = [item for item in inspect(str(folder), wish=SampleWish(64, 100.0)) if not isinstance(item, m.Progress)]
    (plain,) = [item for item in inspect(str(folder)) if isinstance(item, DataSet)]
    first, whole = found
    assert isinstance(first, FirstAnswer) and isinstance(whole, DataSet) and first.data.report.sampled == 64
    assert whole.hash == plain.hash and whole.report.notes == plain.report.notes and whole.report.sampled == 0


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_that_an_archive_gives_the_same_first_answer(folder: Path, tmp_path: Path, kind: str) -> None:
    packed = tmp_path / f"set.{kind}"
    files = sorted(folder.rglob("*.*"))
    if kind == "zip":
        with zipfile.ZipFile(packed, "w") as archive:
            for file in files:
                archive.write(file, str(file.relative_to(folder)))
    else:
        with tarfile.open(packed, "w") as archive:
            for file in files:
                archive.add(file, str(file.relative_to(folder)))
    ours, theirs = sample(str(packed), 60), sample(str(folder), 60)
    assert (ours.sampled, ours.counts, ours.class_counts, ours.classes) == (60, theirs.counts, theirs.class_counts, theirs.classes)
    assert ours.understood is not None and theirs.understood is not None
    assert ours.understood.histogram_after == theirs.understood.histogram_after
    assert ours.understood.offered and ours.understood.levels == theirs.understood.levels


def test_that_arrays_are_thinned_after_they_were_read(tmp_path: Path) -> None:
    labels = np.repeat([0, 1, 2], [500, 300, 11])
    pixels = np.random.default_rng(0).integers(0, 255, (len(labels), 8, 8)).astype(np.uint8)
    np.savez(tmp_path / "a.npz", x=pixels, y=labels)
    report = sample(str(tmp_path / "a.npz"), 50)
    (whole,) = [item for item in inspect(str(tmp_path / "a.npz")) if isinstance(item, DataSet)]
    assert report.sampled == 50 and report.counts == whole.report.counts and report.class_counts == whole.report.class_counts
    assert report.understood is not None and whole.report.understood is not None
    assert report.understood.splits_from == whole.report.understood.splits_from


@pytest.mark.parametrize(
    ("decisions", "classes"),
    [({"labels": "none"}, ()), ({"rename": {"dog": "cat"}}, ("cat", "eel")), ({"leave_out": ["*eel*"]}, ("cat", "dog"))],
)
def test_that_decisions_count_in_a_sample(folder: Path, decisions: dict[str, object], classes: tuple[str, ...]) -> None:
    name = with_recipe(str(folder), recipe_of(decisions))
    report = sample(name, 40)
    (whole,) = [item for item in inspect(name) if isinstance(item, DataSet)]
    assert report.classes == whole.report.classes == classes
    assert report.understood is not None and report.understood.decisions == decisions
    assert sum(report.counts.values()) == sum(whole.report.counts.values())
    for counts in zip(*report.class_counts.values(), strict=True):
        assert sum(counts) > 0
    totals = [[sum(n) for n in zip(*told.class_counts.values(), strict=True)] for told in (report, whole.report)]
    assert totals[0] == totals[1]


def test_that_what_cannot_be_read_at_all_is_refused_by_the_whole(tmp_path: Path) -> None:
    for number in range(40):
        (tmp_path / f"{number}.png").write_bytes(b"no picture")
    with pytest.raises(BadData, match="no image that can be read"):
        list(inspect(str(tmp_path), wish=SampleWish(20)))


def test_that_rows_are_as_even_as_the_classes_allow_and_never_too_many() -> None:
    labels = np.repeat(np.arange(300), 40)
    split = Split(np.zeros((len(labels), 1, 1, 1), np.uint8), labels, (), np.arange(len(labels)))
    rows = sampled_rows({"train": split}, 256)["train"]
    assert len(rows) == 256 == len(np.unique(labels[rows]))  # a class each, while they last
    assert labels[rows].min() == 0 and labels[rows].max() == 299
    few = np.repeat([0, 1], [1000, 3])
    split = Split(np.zeros((len(few), 1, 1, 1), np.uint8), few, (), np.arange(len(few)))
    rows = sampled_rows({"train": split}, 100)["train"]
    assert len(rows) == 100 and (few[rows] == 1).sum() == 3
    empty = Split(np.zeros((0, 1, 1, 1), np.uint8), None, (), np.arange(0))
    assert len(sampled_rows({"train": empty}, 100)["train"]) == 0


def test_that_the_verb_gives_it(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", str(folder), "--sample", "40", "--json"]) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert told["sampled"] == 40 and sum(told["splits"].values()) == sum(SIZES.values())
    assert told["duplicates"] is None and told["hash"] is None
    assert main(["data", str(folder), "--sample", "0"]) == 2
