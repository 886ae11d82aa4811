"""Mutated folders of pictures, and mutated pictures alone: each is read, or refused in one sentence."""

from __future__ import annotations

import shutil
from functools import cache, partial
from pathlib import Path

import numpy as np
import pytest

from engine.data import BadData, read_image
from engine.data.dataset import Source
from engine.data.limits import LONGEST_SIDE
from engine.data.readers import folders
from engine.data.recipe import ImportRecipe
from tests.kit import fuzz_seeds
from tests.kit.fuzz_seeds import PHOTO, TREES
from tests.kit.fuzzing import TIMEOUT, fuzz, generator, mutated, mutated_tree
from tests.kit.sentences import look_at

RECIPES = (
    ImportRecipe(),
    ImportRecipe(pages="all"),
    ImportRecipe(frames="clips"),
    ImportRecipe(labels="names"),
    ImportRecipe(class_level=-1, split="folders"),
    ImportRecipe(labels="label", group="folder", scale="robust"),
)


def read(folder: Path, recipe: ImportRecipe) -> Source:
    steps = folders.read(folder, recipe)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def of_folder(root: Path, number: int) -> bool:
    folder = root / "set"
    shutil.rmtree(folder, ignore_errors=True)
    for name, data in mutated_tree(TREES[number % len(TREES)], generator("folder", number), packed=False).items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    try:
        source = read(folder, RECIPES[number // len(TREES) % len(RECIPES)])
    except BadData as error:
        look_at(str(error))
        return False
    for part in source.parts.values():
        assert part.images.dtype == np.uint8 and len(part.images) == len(part.names)
        assert part.labels is None or (len(part.labels) == len(part.images) and part.labels.max(initial=-1) < len(source.classes))
    return True


def test_that_some_mutated_folders_are_read_or_refused_in_a_sentence(tmp_path):
    fuzz("folder", partial(of_folder, tmp_path), many=False)


@pytest.mark.slow
@pytest.mark.timeout(TIMEOUT)
def test_that_many_mutated_folders_are_read_or_refused_in_a_sentence(tmp_path):
    fuzz("folder", partial(of_folder, tmp_path), many=True)


# -- single pictures -----------------------------------------------------------------------------------------------------

PICTURES = {
    "picture": fuzz_seeds.pictures,
    "heif": fuzz_seeds.heif,
    "avif": fuzz_seeds.avif,
    "dicom": lambda: [fuzz_seeds.dicom(0), fuzz_seeds.dicom(1, 3), fuzz_seeds.dicom(2, colour=True)],
}


@cache
def pictures_of(kind: str) -> list[bytes]:
    return PICTURES[kind]()


def of_picture(kind: str, number: int) -> bool:
    try:
        picture = read_image(mutated(pictures_of(kind), generator(kind, number), number))
    except BadData as error:
        assert "took longer" not in look_at(str(error))
        return False
    assert picture.pixels.dtype == np.uint8 and max(picture.pixels.shape) <= LONGEST_SIDE
    return True


@pytest.mark.parametrize("kind", PICTURES)
def test_that_some_mutated_pictures_give_a_picture_or_a_sentence(kind):
    for original in pictures_of(kind):
        read_image(original)
    fuzz(kind, partial(of_picture, kind), many=False)


@pytest.mark.slow
@pytest.mark.timeout(TIMEOUT)
@pytest.mark.parametrize("kind", PICTURES)
def test_that_many_mutated_pictures_give_a_picture_or_a_sentence(kind):
    fuzz(kind, partial(of_picture, kind), many=True)
    if kind == "picture":
        assert np.array_equal(read_image(pictures_of(kind)[0]).pixels, PHOTO)
