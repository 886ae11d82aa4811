"""Mutated files of every kind: each is opened or refused in one sentence, whatever it does to the process that reads it."""

from __future__ import annotations

import gzip
import lzma
from functools import cache, partial
from pathlib import Path

import pytest

from engine.data.confined import read_file
from engine.data.dataset import BadData, Source
from engine.data.recipe import ImportRecipe
from tests.kit import fuzz_seeds
from tests.kit.fuzz_seeds import SEEDS, STL10, TREES
from tests.kit.fuzzing import (
    TIMEOUT,
    changed,
    fuzz,
    generator,
    mutated,
    mutated_tree,
    repacked,
    rezipped,
    tarred,
    zipped,
)
from tests.kit.sentences import look_at

_GZIP = (partial(gzip.compress, mtime=0), gzip.decompress)
REZIPPED, REPACKED = ("npz", "pt", "labels", "zip"), {"idx.gz": _GZIP, "tar.gz": _GZIP, "tar.xz": (lzma.compress, lzma.decompress)}
RECIPES = (
    ImportRecipe(),
    ImportRecipe(pages="all"),
    ImportRecipe(frames="clips"),
    ImportRecipe(labels="names"),
    ImportRecipe(class_level=-1, split="folders"),
    ImportRecipe(split="none", fit="letterbox", leave_out=("*/1*", "[!a]*")),
    ImportRecipe(labels="label", group="folder", scale="robust"),
)  # of trees


@cache
def originals_of(kind: str) -> list[bytes]:
    return SEEDS[kind][2]()


def content(kind: str, number: int) -> bytes:
    originals, rng = originals_of(kind), generator(kind, number)
    original = originals[number % len(originals)]
    if kind in REZIPPED and number % 2:
        return rezipped(original, rng)
    if kind in REPACKED and number % 2:
        return repacked(*REPACKED[kind], original, originals, rng)
    if kind == "parquet within":
        return fuzz_seeds.parquet(change=lambda data: changed(bytearray(data), [data], rng))
    return mutated(originals, rng, number)


def outcome(reader: str, path: Path, recipe: ImportRecipe | None = None) -> str:
    """ "" when it was opened, else the sentence."""
    steps = read_file(reader, path, recipe or ImportRecipe())
    try:
        while True:
            next(steps)
    except StopIteration as end:
        assert isinstance(end.value, Source)
        return ""
    except BadData as error:
        assert "unforeseen" not in str(error), "an exception that the reader does not know"
        return look_at(str(error))


def of_file(kind: str, folder: Path, number: int) -> bool:
    reader, name, _ = SEEDS[kind]
    (folder / name).write_bytes(content(kind, number))
    return outcome(reader, folder if reader in ("cifar", "idx") else folder / name) == ""


def of_stl10(folder: Path, number: int) -> bool:
    rng = generator("stl10", number)
    name = list(STL10)[int(rng.integers(len(STL10)))]
    (folder / name).write_bytes(changed(bytearray(STL10[name]), list(STL10.values()), rng))
    try:
        return outcome("stl10", folder) == ""
    finally:
        (folder / name).write_bytes(STL10[name])


def of_tree(pack: str, folder: Path, number: int) -> bool:
    """Any layout of folders in an archive, some of its files changed or called otherwise."""
    tree = mutated_tree(TREES[number % len(TREES)], generator(f"tree {pack}", number), packed=True)
    file = folder / f"a.{pack}"
    file.write_bytes(zipped(tree) if pack == "zip" else tarred(tree))
    return outcome("packed", file, RECIPES[number // len(TREES) % len(RECIPES)]) == ""


def tried(kind: str, folder: Path, many: bool) -> None:
    if kind == "stl10":
        for name, data in STL10.items():
            (folder / name).write_bytes(data)
        assert outcome("stl10", folder) == "", "a seed must open"
        fuzz(kind, partial(of_stl10, folder), many)
    elif kind.startswith("tree "):
        fuzz(kind, partial(of_tree, kind.removeprefix("tree "), folder), many)
    else:
        reader, name, _ = SEEDS[kind]
        for original in originals_of(kind):
            (folder / name).write_bytes(original)
            assert outcome(reader, folder if reader in ("cifar", "idx") else folder / name) == "", "a seed must open"
        fuzz(kind, partial(of_file, kind, folder), many)


KINDS = (*SEEDS, "stl10", "tree zip", "tree tar")


@pytest.mark.parametrize("kind", KINDS)
def test_that_some_mutated_files_are_opened_or_refused_in_a_sentence(tmp_path, kind):
    tried(kind, tmp_path, many=False)


@pytest.mark.slow
@pytest.mark.timeout(TIMEOUT)
@pytest.mark.parametrize("kind", KINDS)
def test_that_many_mutated_files_are_opened_or_refused_in_a_sentence(tmp_path, kind):
    tried(kind, tmp_path, many=True)


@pytest.mark.parametrize("tree", range(len(TREES)))
def test_that_every_tree_opens_before_it_is_mutated(tmp_path, tree):
    (tmp_path / "a.zip").write_bytes(zipped(TREES[tree]))
    (tmp_path / "a.tar").write_bytes(tarred(TREES[tree]))
    assert outcome("packed", tmp_path / "a.zip") == outcome("packed", tmp_path / "a.tar") == ""


def test_that_every_reader_is_fuzzed():
    """A reader that is added must be, too; folders are in test_fuzz_folders.py."""
    from engine.data.readers import ORDER

    known = {reader for reader, _, _ in SEEDS.values()} | {"stl10", "packed"}
    assert {reader.__name__.rpartition(".")[2] for reader in ORDER} - known == {"folders"}
