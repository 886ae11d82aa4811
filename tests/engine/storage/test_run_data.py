"""A run finds its data again by their content: moved, renamed, behind a dead link, closed to the reader, or other than they were."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from engine import messages as m
from engine.data import BadData
from engine.data.curation import read
from engine.data.recipe import ImportRecipe, parted_name, with_recipe
from engine.queries.session import QuerySession
from engine.storage.manifest import place_of
from engine.storage.run_data import DataMissing, locate, open_run_data, path_of, remember_place, why_unreachable
from engine.storage.run_folders import BadRun
from engine.storage.run_reader import Run
from engine.storage.run_writer import RunWriter
from engine.training.loop import train
from engine.training.plan import Plan, ResumePlan
from tests.kit.import_cases import class_folders

SMALL = {"network": "mlp", "width": 8, "latent": 2, "batch_size": 8, "schedule": "constant"}


def images(folder: Path, count: int = 24) -> str:
    """A folder of pictures in two classes."""
    return str(class_folders(folder, count=count))


def trained(root: Path, data: str, name: str = "run", steps: int = 3) -> Run:
    list(train(Plan("vae", data, SMALL, steps=steps, name=name, device="cpu"), root))
    return Run.open(root / name)


def end_of(steps):
    """What a generator yields, and what it returns."""
    events = []
    while True:
        try:
            events.append(next(steps))
        except StopIteration as end:
            return events, end.value


def weights(run: Run) -> dict[str, np.ndarray]:
    return Run.open(run.path).load(Run.open(run.path).newest_resumable(), "resume.safetensors")[1]


def test_that_a_run_goes_on_bit_for_bit_with_data_that_were_moved(tmp_path):
    data = images(tmp_path / "old")
    whole = trained(tmp_path / "runs", data, "whole", steps=8)
    half = trained(tmp_path / "runs", data, "half", steps=4)
    shutil.move(data, tmp_path / "new")
    end_of(locate(half, str(tmp_path / "new")))
    end_of(train(ResumePlan(half.path, steps=8, device="cpu"), tmp_path / "runs"))
    ours, theirs = weights(half), weights(whole)
    assert ours.keys() == theirs.keys() and all(np.array_equal(ours[name], theirs[name]) for name in theirs)
    manifest = Run.open(half.path).manifest
    assert manifest.data == str(tmp_path / "new") and manifest.former_places == (data,)
    assert Run.open(half.path).load(8, "state.json")[2]["plan"]["data"] == str(tmp_path / "new")


def test_that_other_content_is_refused_with_both_hashes_and_counts(tmp_path):
    data = images(tmp_path / "old")
    run = trained(tmp_path / "runs", data)
    other = images(tmp_path / "other one", count=30)
    shutil.rmtree(data)
    with pytest.raises(BadRun) as error:
        end_of(locate(run, other))
    sentence = str(error.value)
    assert f"SHA-256 {run.manifest.data_hash[:8]}… of 48 images" in sentence and "… of 60 images" in sentence
    assert other in sentence and "train a new run" in sentence and sentence.count(". ") == 0
    assert Run.open(run.path).manifest.data == data


def test_that_the_place_is_found_by_its_content_before_anything_is_refused(tmp_path):
    data, root = images(tmp_path / "old"), tmp_path / "runs"
    run = trained(root, data)
    shutil.move(data, tmp_path / "new")
    with pytest.raises(DataMissing, match=r"not at “.*old” any more: give their new place with --data, or with “Locate…”"):
        end_of(open_run_data(run))
    remember_place(root, str(tmp_path / "new"), run.manifest.data_hash)  # as the list of opened sets does
    events, found = end_of(open_run_data(run))
    assert found.hash == run.manifest.data_hash and found.data == str(tmp_path / "new")
    assert [event.text for event in events if isinstance(event, m.Notice)] == [
        f"The data of “run” were found by their content: they lie in “{tmp_path / 'new'}” now."
    ]
    assert place_of(run.manifest) == str(tmp_path / "new")  # also for who still holds the old manifest


def test_that_another_run_of_the_same_content_tells_where_it_lies(tmp_path):
    data, root = images(tmp_path / "old"), tmp_path / "runs"
    run = trained(root, data)
    shutil.move(data, tmp_path / "new")
    trained(root, str(tmp_path / "new"), "later")
    assert end_of(open_run_data(run))[1].data == str(tmp_path / "new")


def test_that_a_content_that_only_was_there_is_not_taken(tmp_path):
    data, root = images(tmp_path / "old"), tmp_path / "runs"
    run = trained(root, data)
    shutil.rmtree(data)
    remember_place(root, images(tmp_path / "fake", count=25), run.manifest.data_hash)
    with pytest.raises(DataMissing):
        end_of(open_run_data(run))


def test_that_the_recipe_is_kept_and_only_the_path_changes(tmp_path):
    data = f'{images(tmp_path / "old")}?{{"size": 8}}'
    run = trained(tmp_path / "runs", data)
    assert run.manifest.shape[1:] == (8, 8)
    shutil.move(tmp_path / "old", tmp_path / "new")
    end_of(locate(run, str(tmp_path / "new")))
    assert Run.open(run.path).manifest.data == f'{tmp_path / "new"}?{{"size": 8}}'
    assert path_of(Run.open(run.path).manifest.data) == str(tmp_path / "new")


@pytest.mark.parametrize("log", ["stays behind", "comes along", "is in the program's folder", "is named"])
def test_that_a_curated_set_that_was_moved_is_found_with_its_decisions(tmp_path, monkeypatch, log):
    data = images(tmp_path / "before" / "set")
    monkeypatch.setattr("engine.data.curation.user_folder", lambda kind: tmp_path / "own" / kind)
    if log == "is in the program's folder":
        allowed = os.access
        monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK and allowed(path, mode))
    told = QuerySession().answer(m.Curate(data=data, act="exclude", names=("cats/1.png", "dogs/2.png")))
    monkeypatch.undo()
    monkeypatch.setattr("engine.data.curation.user_folder", lambda kind: tmp_path / "own" / kind)
    curated, file = told.curated, Path(told.file)
    if log == "is named":
        state = parted_name(curated)[1].curation
        file = file.rename(tmp_path / "mine.json")
        curated = with_recipe(data, ImportRecipe(curation=f"{file}#{state}"))
    run = trained(tmp_path / "runs", curated)
    new = tmp_path / "after" / "set"
    shutil.move(data, new)
    if log == "comes along":
        file = file.rename(new.with_name(file.name))
    _, found = end_of(locate(run, str(new)))
    assert found.hash == run.manifest.data_hash and "cats/1.png" not in {name for split in found.splits.values() for name in split.names}
    path, recipe = parted_name(Run.open(run.path).manifest.data)
    steps = f"1-{read(file).check()}"
    assert path == str(new) and recipe.curation == (steps if log == "comes along" else f"{file}#{steps}")

    last = tmp_path / "last" / "set"  # and once more, found by its content where it was seen
    shutil.move(new, last)
    if log == "comes along":
        file.rename(last.with_name(file.name))
    remember_place(tmp_path / "runs", str(last), run.manifest.data_hash)
    assert end_of(open_run_data(Run.open(run.path)))[1].hash == run.manifest.data_hash


def test_that_the_folder_around_the_moved_one_will_do(tmp_path):
    run = trained(tmp_path / "runs", images(tmp_path / "old"))
    images(tmp_path / "disk" / "others", count=9)
    shutil.move(tmp_path / "old", tmp_path / "disk" / "old")
    end_of(locate(run, str(tmp_path / "disk")))
    assert Run.open(run.path).manifest.data == str(tmp_path / "disk" / "old")


def test_that_data_that_came_back_are_found_again(tmp_path):
    data = images(tmp_path / "old")
    run = trained(tmp_path / "runs", data)
    shutil.copytree(data, tmp_path / "new")
    end_of(locate(run, str(tmp_path / "new")))
    shutil.rmtree(tmp_path / "new")
    assert end_of(open_run_data(Run.open(run.path)))[1].data == data


def test_that_a_run_that_is_being_written_is_read_from_the_new_place_all_the_same(tmp_path):
    data = images(tmp_path / "old")
    run = trained(tmp_path / "runs", data)
    shutil.move(data, tmp_path / "new")
    with RunWriter.resume(run.path):
        end_of(locate(run, str(tmp_path / "new")))
        assert Run.open(run.path).manifest.data == data
        assert Run.open(run.path).info().data == str(tmp_path / "new")
        assert end_of(open_run_data(run))[1].hash == run.manifest.data_hash


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="needs permissions that hold for this user")
def test_that_a_closed_folder_is_said_with_what_to_change(tmp_path):
    data = images(tmp_path / "old")
    run = trained(tmp_path / "runs", data)
    os.chmod(data, 0)
    try:
        with pytest.raises(BadData, match=r"may not be read: give yourself the right to read that folder \(its mode is 0\)\.$"):
            end_of(open_run_data(run))
    finally:
        os.chmod(data, 0o700)


def test_that_what_the_system_forbids_is_said_with_what_to_change(tmp_path, monkeypatch):
    data = images(tmp_path / "old")
    monkeypatch.setattr("engine.storage.run_data.os.access", lambda path, mode: False)
    assert "may not be read: give yourself the right to read that folder" in why_unreachable(data, "run")
    refusals = {
        PermissionError(13, "Permission denied"): "closed to you",
        OSError(107, "Transport endpoint is not connected"): "connect the drive",
    }
    for error, words in refusals.items():

        def refuse(path: object, error: OSError = error) -> None:
            raise error

        monkeypatch.setattr("engine.storage.run_data.os.stat", refuse)
        assert words in why_unreachable(data, "run")
        monkeypatch.undo()


def test_that_a_dead_link_and_a_vanished_drive_are_called_what_they_are(tmp_path):
    real = images(tmp_path / "real")
    (tmp_path / "link").symlink_to(real)
    run = trained(tmp_path / "runs", str(tmp_path / "link"))
    shutil.move(real, tmp_path / "elsewhere")
    with pytest.raises(DataMissing, match=r"lie behind the link “.*link”, which leads to “.*real”, and that is not there: give"):
        end_of(open_run_data(run))
    assert "connect the drive if they lie on one" in why_unreachable(str(tmp_path / "drive" / "photos"), "run")
    for data in ("digits", "shapes:200", str(tmp_path / "elsewhere")):
        assert why_unreachable(data, "run") == ""
