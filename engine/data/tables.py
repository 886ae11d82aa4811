"""From bare arrays to a source: which array holds images, which labels, which axis the channels. Shared by .npz, .npy and .pt."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, replace
from functools import reduce
from itertools import combinations
from pathlib import Path
from typing import IO

import numpy as np

from engine.common.counting import has_or_have, is_or_are, number_of, was_or_were
from engine.data.array_groups import group_arrays, group_by_array
from engine.data.array_labels import NO_LABEL, ArrayLabels, column_of, could_be_labels, numbered
from engine.data.dataset import BadData, Numbered, Part, Source, Step
from engine.data.limits import MAX_IMAGE_BYTES, MAX_SET_BYTES
from engine.data.path_words import SPLIT_WORDS
from engine.data.preprocessing import GROUNDS, as_asked, looks_transparent
from engine.data.recipe import ImportRecipe
from engine.data.rows import PixelRows, Room, promised
from engine.data.values import Measured, Scaling, scaling_of_set

CHUNK_BYTES = 2 << 20  # read between two steps of progress
SAMPLE_OF_PIECE = 4_096  # values of a whole piece that are kept to find the scale


_COLUMNS_OFFERED = 12  # of one array
_SAME_UNIT = 8  # times as far as the numbers of one kind those of another may reach, for both to count in one unit


@dataclass
class Table:
    """An array of a file that is read in rows, from its first to its last, as often as asked."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype
    rows: Callable[[int], Iterator[np.ndarray]]  # (rows per piece) -> pieces in order


def rows_of_file(path: Path, start: int, shape: tuple[int, ...], dtype: np.dtype) -> Callable[[int], Iterator[np.ndarray]]:
    """The rows of numbers that stand in a file one after the other from byte `start` on. They raise BadData where it ends too early."""

    def rows(piece: int) -> Iterator[np.ndarray]:
        size = math.prod(shape[1:]) * dtype.itemsize
        with path.open("rb") as file:
            file.seek(start)
            for first in range(0, shape[0], piece):
                count = min(piece, shape[0] - first)
                yield np.frombuffer(exactly(file, count * size, path.name), dtype).reshape(count, *shape[1:])

    return rows


def exactly(file: IO[bytes], count: int, name: str) -> bytes:
    """The next `count` bytes. Raises: BadData: there are fewer."""
    data = file.read(count)
    if len(data) < count:
        raise BadData(f"{name} ends too early; save or download it again.")
    return data


_IMAGES = ("images", "image", "x", "data", "imgs", "arr_0", "pixels", "samples")
_LABELS = ("labels", "label", "y", "targets", "target", "classes", "arr_1", "latents_classes")
_SPLITS = {
    **SPLIT_WORDS,
    "tr": "train", "xtrain": "train", "ytrain": "train",
    "te": "test", "xtest": "test", "ytest": "test",
    "xval": "valid", "yval": "valid",
}  # fmt: skip


def read_tables(
    file: str, name: str, tables: list[Table], recipe: ImportRecipe, only: str | None = None
) -> Generator[Step | PixelRows, None, Source]:
    """A source from the arrays of one file. With `only` its first part is all there is, and is called that.

    Names such as x_train, train_images, y_test tell splits and roles; without them the first array that looks like images is taken.
    All parts are scaled by one rule, unless some are whole numbers and others fractions.

    Raises:
        BadData: no array of images, or labels that do not fit.
    """
    source = Source(name)
    images = _image_tables(file, tables, recipe, source)
    if only is not None:
        images = {only: next(iter(images.values()))}
    labels, taken = _labels(file, tables, images, recipe, source, only)
    labels, kept = (None, {}) if labels is None else _kept(labels, source)
    scalings = yield from _scaling(images, file, recipe, source)
    for split, table in images.items():
        shape = yield from _images(table, file, recipe, source, split, scalings[split], kept.get(split))
        rows = kept.get(split)
        numbers = None if labels is None else labels.parts[split] if rows is None else labels.parts[split][rows]
        names = Numbered(f"{'' if split == 'all' else split + ' '}image", np.arange(shape[0]) if rows is None else np.flatnonzero(rows))
        source.parts[split] = Part(promised(*shape), numbers, names)
    source.classes = () if labels is None else labels.classes
    offered = group_arrays([table for table in tables if table not in images.values()], images, taken, lambda name: only or _split_of(name))
    group_by_array(source, recipe.group, offered, kept)
    return source


def _image_tables(file: str, tables: list[Table], recipe: ImportRecipe, source: Source) -> dict[str, Table]:
    """split -> its array of images. Raises: BadData: there is none."""
    fitting = [table for table in tables if _channels_at(table.shape) is not None and table.dtype.kind in "uifb"]
    source.understood["arrays"] = [table.name for table in fitting]
    if recipe.array:
        fitting = [table for table in fitting if table.name == recipe.array]
        if not fitting:
            names = ", ".join(table.name for table in tables[:20])
            raise BadData(f"{file} has no array of images called “{recipe.array}”; it has {names}.")
    else:  # one colour picture, or a pile of strips three or four wide: only the second if that array was asked for
        pictures = [table for table in fitting if len(table.shape) == 3 and table.shape[2] in (3, 4)]
        fitting = [table for table in fitting if table not in pictures]
        if pictures and not fitting:
            one = pictures[0]
            raise BadData(
                f"“{one.name}” of {file} is {list(one.shape)}: if it is one colour picture, stack several to [N, H, W, {one.shape[2]}]; if "
                f"it is {number_of(one.shape[0], 'grey image')}, say so by its name (array {one.name})."
            )
    images: dict[str, Table] = {}
    for table in sorted(fitting, key=lambda t: _rank(t.name, _IMAGES)):
        images.setdefault(_split_of(table.name), table)
    if not images:
        shapes = ", ".join(f"{table.name} {list(table.shape)}" for table in tables[:4]) or "nothing"
        raise BadData(f"{file} has no array of images ({shapes}); it must be [N, H, W], [N, H, W, C] or [N, C, H, W] with 1 or 3 channels.")
    if any(split != "all" for split in images):
        images.pop("all", None)
    source.notes += [words for table in images.values() if (words := _perhaps_turned(table))]
    source.understood["array"] = ", ".join(table.name for table in images.values())
    if len(images) > 1:
        source.understood["splits"] = f"arrays {', '.join(table.name for table in images.values())}"
    others = [table.name for table in fitting if table not in images.values()]
    if others:
        taken = ", ".join(table.name for table in images.values())
        source.notes.append(f"The images are the array {taken}; {', '.join(others[:10])} could be images too and can be chosen instead.")
    return images


def _perhaps_turned(table: Table) -> str:
    """A sentence where an array [H, W, N] may be read as [N, H, W]: its first two sides are the same, and the last is longer."""
    if len(table.shape) != 3 or not 1 < table.shape[0] == table.shape[1] < table.shape[2]:
        return ""
    count, height, width = table.shape
    as_read, turned = number_of(count, "image"), number_of(width, "image")
    return (
        f"“{table.name}” {list(table.shape)} is read as {as_read} of {height}×{width} pixels; if it holds {turned} of "
        f"{count}×{height}, put their number first ([N, H, W], numpy.moveaxis(x, -1, 0)) and save it again."
    )


def _labels(
    file: str, tables: list[Table], images: dict[str, Table], recipe: ImportRecipe, source: Source, only: str | None
) -> tuple[ArrayLabels | None, list[str]]:
    """(The classes of all parts, or None; the arrays they are from.) Raises: BadData: an array called labels that does not fit."""
    fitting = [table for table in tables if could_be_labels(table.shape, table.dtype.kind) and table not in images.values()]
    source.understood["columns"] = {"": [name for table in fitting for name in _columns_of(table)]} if fitting else {}
    if recipe.labels == "none":
        return None, []
    asked, _, place = recipe.labels.partition(":")
    column = int(place) if place.isascii() and place.isdigit() else None
    if asked not in ("", "folders", "names"):
        fitting = [table for table in fitting if table.name == asked and (column is None or table.shape[-1] > column)]
    found: dict[str, np.ndarray] = {}
    taken: list[str] = []
    unused: list[str] = []
    for table in sorted(fitting, key=lambda t: _rank(t.name, _LABELS)):
        split = only or _split_of(table.name)
        named = _rank(table.name, _LABELS) < len(_LABELS)
        if split not in images or not (named or table.shape[0] == images[split].shape[0]):
            continue
        one_column = table.shape[1:] in ((), (1,))
        if split in found:
            unused.append(table.name)
        elif table.shape[0] != images[split].shape[0]:
            if one_column:  # a length that does not fit is reported, not overlooked
                counts = f"{number_of(table.shape[0], 'label')} (“{table.name}”) for {number_of(images[split].shape[0], 'image')}"
                raise BadData(f"{file} has {counts}; save as many labels as images.")
        else:
            values = column_of(table.rows(1 << 16), column)
            if values is None:
                unused.append(f"{table.name}:0 … {table.name}:{table.shape[-1] - 1}")
            elif not one_column or named or asked or len(np.unique(values)) <= max(2, len(values) // 2):
                found[split] = values
                taken.append(table.name if column is None else f"{table.name}:{column}")
    if unused:
        source.notes.append(f"Other arrays could be the class and can be chosen: {', '.join(unused[:10])}.")
    missing = [split for split in images if split not in found]
    if found and missing and "train" in found and "all" not in missing:
        _leave_out_bare(missing, images, source)
    elif not found or missing:
        if found:
            source.notes.append(f"There are no labels for {', '.join(missing)}, so no image has a class.")
        return None, []
    labels = numbered(found)
    if isinstance(labels, str):
        raise BadData(f"The labels of {file} {labels}.")
    source.notes += labels.notes
    if labels.classes:
        source.understood["labels"] = f"{'array' if len(taken) == 1 else 'arrays'} {', '.join(taken)}"
    return (labels, [one.partition(":")[0] for one in taken]) if labels.classes else (None, [])


def _leave_out_bare(missing: list[str], images: dict[str, Table], source: Source) -> None:
    """Only the parts with labels, as with folders: classes are not given up because nobody knows those of the test images."""
    for split in missing:
        table = images.pop(split)
        source.notes.append(
            f"{number_of(table.shape[0], 'image')} of {split} ({table.name}) {has_or_have(table.shape[0])} no class and "
            f"{was_or_were(table.shape[0])} left out; {split} is drawn from the others. Without classes (labels none) they stay."
        )
    source.understood["array"] = ", ".join(table.name for table in images.values())
    source.understood["splits"] = f"arrays {source.understood['array']}" if len(images) > 1 else "none"


def _columns_of(table: Table) -> list[str]:
    """What `labels` may say to take the classes from an array: its name, or a column of it."""
    width = math.prod(table.shape[1:])
    return [table.name] if width == 1 else [table.name, *(f"{table.name}:{place}" for place in range(min(width, _COLUMNS_OFFERED)))]


def _kept(labels: ArrayLabels, source: Source) -> tuple[ArrayLabels | None, dict[str, np.ndarray]]:
    """The labels, and split -> which rows to keep bool [N] where some images have no label; without two classes all stay, and none has a
    class.
    """
    bare = {split: numbers == NO_LABEL for split, numbers in labels.parts.items()}
    count = sum(int(some.sum()) for some in bare.values())
    if not count:
        return labels, {}
    if len(labels.classes) < 2:
        total = sum(map(len, bare.values()))
        only = f"{total - count:,} {is_or_are(total - count)} of class {', '.join(labels.classes)}"
        source.notes.append(
            f"{count:,} of {number_of(total, 'image')} {has_or_have(count)} no label (−1) and {only}: "
            "no classes to tell apart, so no image has one."
        )
        return None, {}
    source.notes.append(
        f"{number_of(count, 'image')} {has_or_have(count)} no label (−1) and {was_or_were(count)} left out; "
        "without classes (labels none) they stay."
    )
    return labels, {split: ~some for split, some in bare.items() if some.any()}


def _words(name: str) -> list[str]:
    return [word for word in re.split(r"[^a-z0-9]+", name.lower()) if word]


def _split_of(name: str) -> str:
    return next((_SPLITS[word] for word in _words(name) if word in _SPLITS), "all")


def _rank(name: str, known: tuple[str, ...]) -> int:
    words = {*_words(name), name.lower()}
    return next((place for place, word in enumerate(known) if word in words), len(known))


def _channels_at(shape: tuple[int, ...]) -> int | None:
    """Where the channels are: 0 none, 1 before, 3 behind height and width; None: no images."""
    if len(shape) == 3 and min(shape[1:]) >= 2:
        return 0
    if len(shape) == 4:
        if shape[3] in (1, 3, 4) and min(shape[1:3]) >= 2:
            return 3
        if shape[1] in (1, 3, 4) and min(shape[2:]) >= 2:
            return 1
    return None


def _scaling(images: dict[str, Table], file: str, recipe: ImportRecipe, source: Source) -> Generator[Step, None, dict[str, Scaling]]:
    """The rule for the values of each part: one for all, unless some are stored as numbers of another kind that plainly mean the same."""
    seen: dict[np.dtype, Measured] = {}
    longest = max((table.shape[0] for table in images.values()), default=1)
    for table in images.values():
        _check_size(table, file)
        done, holes, piece = 0, 0, min(_piece(table), longest)
        for rows in table.rows(piece):
            some = Measured.of(rows, most=-(-SAMPLE_OF_PIECE * len(rows) // piece))  # few rows at the end count for few
            seen[table.dtype] = seen[table.dtype].joined(some) if table.dtype in seen else some
            done, holes = done + len(rows), holes + some.range.holes
            if table.dtype == np.uint8 and not recipe.scale and seen[table.dtype].range.high > 1:
                break  # ordinary bytes; no more is asked of them
            yield Step(done, table.shape[0], "image", f"Looking at the values of {file}")
        if holes and holes == math.prod(table.shape):
            raise BadData(f"“{table.name}” of {file} holds no image: every value is NaN or infinite; make the file again.")
    if _meant_alike(seen, recipe):
        scaling = _common_scaling(set(seen), reduce(Measured.joined, seen.values()), recipe, source)
        return dict.fromkeys(images, scaling)
    _refuse_unlike(images, seen, file)
    first = images.get("train") or next(iter(images.values()))
    scalings: dict[np.dtype, Scaling] = {}
    for dtype in sorted(seen, key=lambda dtype: dtype == first.dtype):  # the training images last: what is dropped later becomes as they do
        source.preprocessing = as_asked(recipe)
        scalings[dtype] = _common_scaling({dtype}, seen[dtype], recipe, source)
    ranges = "; ".join(f"{split} {_range_in_words(table, seen)}" for split, table in images.items())
    source.notes.append(f"The parts hold numbers of different kinds, so each kind was scaled to 0..255 by its own range: {ranges}.")
    return {split: scalings[table.dtype] for split, table in images.items()}


def _common_scaling(kinds: set[np.dtype], seen: Measured, recipe: ImportRecipe, source: Source) -> Scaling:
    given = recipe.given_range()
    if kinds <= {np.dtype(np.uint8), np.dtype(np.bool_)} and not recipe.scale and (seen.range.high > 1 or kinds == {np.dtype(np.bool_)}):
        return Scaling(0.0, 255.0, ())
    scaling = scaling_of_set(seen, "" if given else recipe.scale, given)
    source.notes += scaling.notes
    of_bytes = kinds == {np.dtype(np.uint8)}
    source.preprocessing = replace(as_asked(recipe), black=scaling.black, white=scaling.white, of_bytes=of_bytes)
    source.values = seen.told()
    return scaling


def _meant_alike(seen: dict[np.dtype, Measured], recipe: ImportRecipe) -> bool:
    """Whether numbers of all kinds count in the same unit: they reach about as far, or whole numbers less far than their kind could."""
    reach = [(max(abs(some.range.low), abs(some.range.high)), dtype) for dtype, some in seen.items() if dtype.kind != "b"]

    def alike(low: tuple[float, np.dtype], high: tuple[float, np.dtype]) -> bool:
        whole = "f" not in (low[1].kind, high[1].kind)
        return high[0] <= _SAME_UNIT * low[0] or (whole and high[1].itemsize < low[1].itemsize)

    reach.sort(key=lambda one: one[0])
    return bool(recipe.given_range()) or all(alike(low, high) for low, high in combinations(reach, 2))


def _refuse_unlike(images: dict[str, Table], seen: dict[np.dtype, Measured], file: str) -> None:
    """Raises: BadData: parts of different kinds that neither reach as far nor are whole numbers beside fractions of −1..1."""
    unlike = {dtype: some for dtype, some in seen.items() if not (dtype.kind == "f" and max(-some.range.low, some.range.high) <= 1 + 1e-3)}
    if not _meant_alike(unlike, ImportRecipe()):
        ranges = " and ".join(f"{table.name} {_range_in_words(table, seen)}" for table in images.values())
        raise BadData(
            f"The parts of {file} differ too much in their numbers to be one set ({ranges}); save them in one kind of number, or say "
            "which values become black and white (scale 0..255)."
        )


def _range_in_words(table: Table, seen: dict[np.dtype, Measured]) -> str:
    of = seen[table.dtype].range
    return f"{table.dtype.name} {of.low:g} to {of.high:g}"


def _check_size(table: Table, file: str) -> None:
    """Raises: BadData."""
    count, each = next(iter(table.shape), 0), math.prod(table.shape[1:])
    if count == 0:
        raise BadData(f"The array “{table.name}” of {file} has no images; save it with some.")
    if count * each > MAX_SET_BYTES:
        raise BadData(f"The images of {file} take more than {MAX_SET_BYTES >> 30} GB, the limit; use a part of them.")
    if each * table.dtype.itemsize > MAX_IMAGE_BYTES:
        raise BadData(f"An image in the array “{table.name}” of {file} is larger than any picture; scale the images down first.")


def _piece(table: Table) -> int:
    """Rows that are read at once."""
    return max(1, CHUNK_BYTES // max(1, math.prod(table.shape[1:]) * table.dtype.itemsize))


def _images(
    table: Table, file: str, recipe: ImportRecipe, source: Source, part: str, scaling: Scaling, kept: np.ndarray | None
) -> Generator[Step | PixelRows, None, Room]:
    """Yields the pixels of the rows to keep as bytes 0..255, a piece at a time; returns their shape."""
    place = _channels_at(table.shape)
    height_width = table.shape[2:4] if place == 1 else table.shape[1:3]
    channels = 1 if place == 0 else table.shape[1] if place == 1 else table.shape[3]
    count = table.shape[0] if kept is None else int(kept.sum())
    room: Room = (count, 3 if channels == 4 else channels, *height_width)  # type: ignore[assignment]
    done = 0
    for rows in table.rows(_piece(table)):
        pixels = scaling.to_bytes(rows if kept is None else rows[kept[done : done + len(rows)]])
        if place == 0:
            pixels = pixels[:, None]
        elif place == 3:
            pixels = pixels.transpose(0, 3, 1, 2)
        if channels == 4:
            pixels = _three_bands(pixels, table.name, file, recipe, source)
        done += len(rows)
        if len(pixels):
            yield PixelRows(part, room, pixels)
        yield Step(done, table.shape[0], "image", f"Reading {file}")
    return room


def _three_bands(pixels: np.ndarray, name: str, file: str, recipe: ImportRecipe, source: Source) -> np.ndarray:
    """Of four channels uint8 [n, 4, H, W] three: over white where the fourth is transparency. Raises: BadData: it is plainly none."""
    if recipe.bands == "rgb":
        note = "The fourth channel was left out, as asked for."
    elif recipe.bands == "alpha" or looks_transparent(pixels[:, 3]):
        alpha, ground = pixels[:, 3:].astype(np.uint32), GROUNDS[recipe.background or "white"]
        pixels = ((pixels[:, :3] * alpha + ground * (255 - alpha) + 127) // 255).astype(np.uint8)
        note = f"Transparent parts are shown on {recipe.background or 'white'}."
    else:
        raise BadData(
            f"The array “{name}” of {file} has four channels and the fourth does not look like transparency; say whether it is "
            "(bands alpha) or is to be left out (bands rgb)."
        )
    if note not in source.notes:
        source.notes.append(note)
    return pixels[:, :3]
