"""From a path to a source: files by their reader in the confined process, folders of pictures file by file in several of them."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

from engine.data import confined
from engine.data.dataset import Source, Step
from engine.data.readers import folders, reader_for
from engine.data.recipe import ImportRecipe


def read_source(path: Path, recipe: ImportRecipe) -> Generator[Step, None, Source]:
    """What is in a foreign file or folder. Raises: BadData: one sentence."""
    reader = reader_for(path)
    if reader is folders:
        return (yield from folders.read(path, recipe))
    return (yield from confined.read_file(reader.__name__.rpartition(".")[2], path, recipe))
