"""STL-10 (Coates et al. 2011) in its binary form: 96×96 colour, stored column by column, labels from 1, classes in class_names.txt."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from engine.data.dataset import BadData, Source, Step
from engine.data.recipe import ImportRecipe
from engine.data.rows import PixelRows
from engine.data.tables import Table, read_tables, rows_of_file

_SIDE = 96
_BYTES = 3 * _SIDE * _SIDE
_LONGEST_NAMES = 10_000  # bytes of the file that lists the classes


def recognizes(path: Path) -> bool:
    """Whether the binary files of STL-10 lie there."""
    return _folder(path) is not None


def summary(path: Path) -> str:
    """Size and kind, as the list of data sets shows them."""
    return "96×96 colour · STL-10"


def read(path: Path, recipe: ImportRecipe) -> Generator[Step | PixelRows, None, Source]:
    """Training and test images with their classes; with `array` “unlabeled” the images without. Raises BadData for a damaged file."""
    folder = _folder(path)
    assert folder is not None
    splits = ("unlabeled",) if recipe.array == "unlabeled" else ("train", "test")
    tables: list[Table] = []
    for split in splits:
        for what, each in (("X", _BYTES), ("y", 1)):
            file = folder / f"{split}_{what}.bin"
            if file.is_file():
                tables.append(_table(file, f"{split} {what.lower()}", each))
    plain = replace(recipe, array="", labels="none") if recipe.array == "unlabeled" else recipe
    source = yield from read_tables(folder.name, "stl-10", tables, plain)
    names = _names(folder)
    first = 0 if "0" in source.classes else 1
    if source.classes and len(names) > max(int(name) for name in source.classes) - first:
        source.classes = tuple(names[int(name) - first] for name in source.classes)
    if splits != ("unlabeled",) and (folder / "unlabeled_X.bin").is_file():
        source.notes.append("The images of unlabeled_X.bin have no class and were left out; array unlabeled takes them instead.")
    return source


def _folder(path: Path) -> Path | None:
    for folder in (path, path / "stl10_binary"):
        if (folder / "train_X.bin").is_file() and (folder / "train_y.bin").is_file():
            return folder
    return None


def _table(file: Path, name: str, each: int) -> Table:
    count, rest = divmod(file.stat().st_size, each)
    if rest or not count:
        raise BadData(f"{file.name} is cut off or no file of STL-10; download it again.")
    if each == 1:
        return Table(name, (count,), np.dtype(np.uint8), rows_of_file(file, 0, (count,), np.dtype(np.uint8)))
    shape = (count, 3, _SIDE, _SIDE)
    return Table(name, shape, np.dtype(np.uint8), _upright(rows_of_file(file, 0, shape, np.dtype(np.uint8))))


def _upright(rows: Callable[[int], Iterator[np.ndarray]]) -> Callable[[int], Iterator[np.ndarray]]:
    def turned(piece: int) -> Iterator[np.ndarray]:
        for some in rows(piece):
            yield some.transpose(0, 1, 3, 2)

    return turned


def _names(folder: Path) -> list[str]:
    try:
        with (folder / "class_names.txt").open("rb") as file:
            return file.read(_LONGEST_NAMES).decode("latin1").split()
    except OSError:
        return []
