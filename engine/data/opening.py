"""From a path to a source: files by their reader in the confined process, folders of pictures file by file in several of them."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

from engine.data import confined
from engine.data.class_names import rename_classes
from engine.data.dataset import Source, Step
from engine.data.readers import folders, reader_for
from engine.data.recipe import ImportRecipe

_BY_ALL = frozenset(("size", "colour", "rename", "curation"))
_OF_ARRAYS = frozenset(("labels", "scale", "array", "bands", "background"))
_OF_PICTURES = frozenset(
    ("labels", "class_level", "split", "split_names", "group", "scale", "background", "fit", "bands", "pages", "leave_out")
)
_USED = {  # which decisions each reader follows
    "idx": frozenset[str](), "cifar": frozenset(("labels",)), "text": frozenset[str](),
    "pixel_table": frozenset(("labels", "split", "split_names")),
    "stl10": _OF_ARRAYS, "arrays": _OF_ARRAYS,
    "tensors": _OF_ARRAYS, "hdf5": _OF_ARRAYS, "matlab": _OF_ARRAYS, "packed": _OF_PICTURES, "folders": _OF_PICTURES | {"frames"},
    "parquet": (_OF_PICTURES | {"array"}) - {"pages", "class_level"},
}  # fmt: skip


def read_source(path: Path, recipe: ImportRecipe) -> Generator[Step, None, Source]:
    """What is in a foreign file or folder. Raises: BadData: one sentence."""
    reader = reader_for(path)
    kind = reader.__name__.rpartition(".")[2]
    if reader is folders:
        source = yield from folders.read(path, recipe)
    else:
        source = yield from confined.read_file(kind, path, recipe)
    if recipe.labels == "none":
        source.classes = ()
        for part in source.parts.values():
            part.labels = None
    if recipe.rename and source.classes:
        rename_classes(source, dict(recipe.rename))
    source.understood["offered"] = sorted(_USED[kind] | (frozenset() if kind == "text" else _BY_ALL | {"labels"}))
    if unused := _unused(kind, recipe):
        source.notes.append(f"Decisions that were not used for this kind of data: {', '.join(unused)}.")
    return source


def _unused(kind: str, recipe: ImportRecipe) -> list[str]:
    """The decisions of a recipe that say nothing to a reader."""
    used = _USED[kind] | (frozenset() if kind == "text" else _BY_ALL)
    unused = [name for name in recipe.changed() if name not in used]
    if recipe.labels in ("folders", "names") and kind not in ("folders", "packed"):
        unused.append("labels")
    elif "labels" not in used and recipe.labels == "none" and kind != "text":
        unused.remove("labels")
    return sorted(set(unused))
