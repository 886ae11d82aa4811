"""A data set of the list that was moved is taken at its new place when its content is the same; its decisions and its runs follow."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engine.data import BadData, open_data
from engine.data.curation import decided, file_of, keep, read
from engine.data.inspecting import describe_data
from engine.data.listing import decided_in_words, identity
from engine.data.recipe import ImportRecipe, parted_name, with_recipe
from engine.storage.listed_data import content_of, locate_listed
from engine.storage.run_data import opened_run_data, remember_place
from engine.storage.run_reader import Run
from engine.training.loop import train
from engine.training.plan import Plan
from tests.kit.import_cases import class_folders

SMALL = {"network": "mlp", "width": 8, "latent": 2, "batch_size": 8}


def end_of(steps):
    """What a generator returns."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def known(root: Path, data: str) -> str:
    """Read once, as the list does it; its hash."""
    found = open_data(data)
    remember_place(root, data, found.hash)
    return found.hash


def test_that_a_moved_set_is_taken_at_its_new_place_with_its_recipe_decisions_and_runs(tmp_path: Path) -> None:
    root, old, new = tmp_path / "runs", class_folders(tmp_path / "first" / "pets", count=12), tmp_path / "second" / "cats and dogs"
    plain = with_recipe(str(old), ImportRecipe(size=8))
    name = open_data(plain).splits["train"].names[0]
    log = decided(read(file_of(old)), "exclude", [(name, "")])
    keep(old, log)
    curated = with_recipe(str(old), ImportRecipe(size=8, curation=log.carried()))
    before, plain_before = known(root, curated), known(root, plain)
    assert before != plain_before
    list(train(Plan("vae", curated, SMALL, steps=1, name="run", device="cpu"), root))
    new.parent.mkdir()
    shutil.move(old, new)  # without the file of decisions beside it
    now, compared = end_of(locate_listed(root, curated, str(new)))
    assert compared and parted_name(now)[0] == str(new) and parted_name(now)[1].size == 8
    found = open_data(now)
    assert found.hash == before and name not in found.splits["train"].names
    assert read(file_of(new)).steps == log.steps and read(file_of(old)).steps == log.steps  # beside the data again, and nothing was removed
    run = Run.open(root / "run")
    assert run.manifest is not None and run.manifest.data == now and opened_run_data(run).hash == before
    assert content_of(root, now) == before
    now, compared = end_of(locate_listed(root, plain, str(new)))  # the other entry of the same folder
    assert compared and open_data(now).hash == plain_before


def test_that_runs_that_know_the_content_by_its_former_hash_are_moved_with_it(tmp_path: Path) -> None:
    root, old, new = tmp_path / "runs", class_folders(tmp_path / "pets", count=12), tmp_path / "moved"
    former, _ = known(root, str(old)), list(train(Plan("vae", str(old), SMALL, steps=1, name="run", device="cpu"), root))
    shutil.move(old, new)

    def reader(name: str, job: str):
        yield from ()
        return replace(open_data(name), hash="0" * 64, former_hash=former)

    assert end_of(locate_listed(root, str(old), str(new), reader=reader)) == (str(new), True)
    run = Run.open(root / "run")
    assert run.manifest is not None and run.manifest.data == str(new)


def test_that_another_set_is_refused_in_one_sentence_and_nothing_is_noted(tmp_path: Path) -> None:
    root, old = tmp_path / "runs", class_folders(tmp_path / "pets", count=12)
    other = class_folders(tmp_path / "others", count=15)
    hashed = known(root, str(old))
    shutil.rmtree(old)
    with pytest.raises(BadData) as error:
        end_of(locate_listed(root, str(old), str(other)))
    sentence = str(error.value)
    assert f"“{other}” is another set than “pets”" in sentence and hashed[:8] in sentence and "of 30 images" in sentence
    assert sentence.count(". ") == 0 and content_of(root, str(old)) == hashed and content_of(root, str(other)) == ""


def test_that_the_folder_of_its_old_name_within_a_place_is_taken_and_a_set_nobody_read_is_taken_unseen(tmp_path: Path) -> None:
    root, old = tmp_path / "runs", class_folders(tmp_path / "pets", count=12)
    known(root, str(old))
    (tmp_path / "drive").mkdir()
    shutil.move(old, tmp_path / "drive" / "pets")
    assert end_of(locate_listed(root, str(old), str(tmp_path / "drive"))) == (str(tmp_path / "drive" / "pets"), True)
    assert end_of(locate_listed(tmp_path / "other runs", str(tmp_path / "gone"), str(tmp_path / "drive" / "pets")))[1] is False


def test_that_decisions_are_told_in_words_and_two_names_of_one_set_are_one(tmp_path: Path) -> None:
    path = tmp_path / "pets.npz"
    np.savez(path, images=np.zeros((9, 8, 8), np.uint8))
    log = read(file_of(path))
    states = []
    for act, names, value in (("exclude", "a b", ""), ("tag", "c", "blurred"), ("undo", "", ""), ("redo", "", ""), ("relabel", "d", "cat")):
        log = decided(log, act, [(name, "") for name in names.split()], value)
        states.append(log.carried())
    keep(path, log)
    told = [decided_in_words(with_recipe(str(path), ImportRecipe(curation=state))) for state in states]
    assert told == [
        "curated: 2 left out", "curated: 2 left out, 1 tagged", "curated: 2 left out", "curated: 2 left out, 1 tagged",
        "curated: 2 left out, 1 relabelled, 1 tagged",
    ]  # fmt: skip
    names = [with_recipe(str(path), ImportRecipe(curation=state)) for state in states]
    assert [names.index(next(other for other in names if identity(other) == identity(name))) for name in names] == [0, 1, 0, 1, 4]
    recipe = ImportRecipe(labels="dx", leave_out=("drafts/*", "old/*", "x"), rename=(("cat", "kitty"),))
    assert decided_in_words(with_recipe("/p", recipe)) == "labels dx · leave out drafts/*, old/*, … · rename cat → kitty"
    assert identity('/p?{"size": 8, "fit": "crop"}') == identity('/p?{"fit": "crop", "size": 8}') != identity('/p?{"size": 8}')
    info = describe_data(names[1])
    assert info.decided == "curated: 2 left out, 1 tagged" and info.summary.endswith(f"· {info.decided}")
