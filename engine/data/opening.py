"""From a path to a source: files by their reader in the confined process, folders of pictures file by file in several of them."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

from engine.data import confined
from engine.data.class_names import rename_classes
from engine.data.dataset import Sampled, SampleWish, Source, Step
from engine.data.readers import folders, reader_for
from engine.data.recipe import ImportRecipe

_BY_ALL = frozenset(("size", "colour", "rename", "curation"))
_OF_ARRAYS = frozenset(("labels", "group", "scale", "array", "bands", "background"))
_OF_PICTURES = frozenset((
    "labels", "class_level", "split", "split_names", "group", "scale", "background", "fit", "bands", "pages", "leave_out", "keep",
))  # fmt: skip
SAMPLING = frozenset(("folders", "packed"))  # readers that give a sample before they have read the whole
_USED = {  # which decisions each reader follows
    "idx": frozenset[str](), "cifar": frozenset(("labels",)), "text": frozenset[str](),
    "pixel_table": frozenset(("labels", "split", "split_names")),
    "stl10": _OF_ARRAYS, "arrays": _OF_ARRAYS,
    "tensors": _OF_ARRAYS, "hdf5": _OF_ARRAYS, "matlab": _OF_ARRAYS, "packed": _OF_PICTURES | {"frames"},
    "folders": _OF_PICTURES | {"frames"},
    "parquet": (_OF_PICTURES | {"array"}) - {"pages", "class_level"},
}  # fmt: skip


def read_source(path: Path, recipe: ImportRecipe, wish: SampleWish | None = None) -> Generator[Step | Sampled, None, Source]:
    """What is in a foreign file or folder; before it a sample that is wished for, where its reader gives one. Raises: BadData: one
    sentence.
    """
    reader = reader_for(path)
    kind = reader.__name__.rpartition(".")[2]
    wish = wish if kind in SAMPLING else None
    steps = folders.read(path, recipe, wish) if reader is folders else confined.read_file(kind, path, recipe, wish)
    try:
        while True:
            step = next(steps)
            yield _decided_sample(step, kind, recipe) if isinstance(step, Sampled) else step
    except StopIteration as end:
        source: Source = end.value
    finally:
        steps.close()
    _decide(source, kind, recipe)
    return source


def _decide(source: Source, kind: str, recipe: ImportRecipe) -> None:
    """Follow the decisions that every reader leaves to be followed here."""
    if recipe.labels == "none":
        source.classes = ()
        for part in source.parts.values():
            part.labels = None
    if recipe.rename and source.classes:
        rename_classes(source, dict(recipe.rename))
    source.understood["offered"] = sorted(_USED[kind] | (frozenset() if kind == "text" else _BY_ALL | {"labels"}))
    if unused := _unused(kind, recipe):
        source.notes.append(f"Decisions that were not used for this kind of data: {', '.join(unused)}.")


def _decided_sample(sampled: Sampled, kind: str, recipe: ImportRecipe) -> Sampled:
    """Classes that become one are counted together."""
    before, source = sampled.source.classes, sampled.source
    _decide(source, kind, recipe)
    if not source.classes:
        return Sampled(source, sampled.counts, {})
    names = dict(recipe.rename)
    number = [source.classes.index(names.get(name, name)) for name in before]
    counts = {}
    for split, some in sampled.class_counts.items():
        counts[split] = [0] * len(source.classes)
        for place, n in zip(number, some, strict=True):
            counts[split][place] += n
    return Sampled(source, sampled.counts, counts)


def _unused(kind: str, recipe: ImportRecipe) -> list[str]:
    """The decisions of a recipe that say nothing to a reader."""
    used = _USED[kind] | (frozenset() if kind == "text" else _BY_ALL)
    unused = [name for name in recipe.changed() if name not in used]
    if recipe.labels in ("folders", "names") and kind not in ("folders", "packed"):
        unused.append("labels")
    elif "labels" not in used and recipe.labels == "none" and kind != "text":
        unused.remove("labels")
    return sorted(set(unused))
