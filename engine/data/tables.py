"""From bare arrays to a source: which array holds images, which labels, which axis the channels. Shared by .npz, .npy and .pt."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from engine.data.dataset import BadData, Numbered, Part, Source, Step
from engine.data.limits import MAX_IMAGE_BYTES, MAX_SET_BYTES
from engine.data.rows import PixelRows, Room, promised
from engine.data.values import Range, scaling_for

CHUNK_BYTES = 2 << 20  # read between two steps of progress


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
_SPLITS = {"train": "train", "training": "train", "test": "test", "valid": "valid", "val": "valid", "validation": "valid"}


def read_tables(file: str, name: str, tables: list[Table], only: str | None = None) -> Generator[Step | PixelRows, None, Source]:
    """A source from the arrays of one file. With `only` its first part is all there is, and is called that.

    Names such as x_train, train_images, y_test tell splits and roles; without them the first array that looks like images is taken.

    Raises:
        BadData: no array of images, or labels that do not fit.
    """
    images, labels = _roles(tables)
    if not images:
        shapes = ", ".join(f"{table.name} {list(table.shape)}" for table in tables[:4]) or "nothing"
        raise BadData(f"{file} has no array of images ({shapes}); it must be [N, H, W], [N, H, W, C] or [N, C, H, W] with 1 or 3 channels.")
    if only is not None:
        first = next(iter(images))
        images, labels = {only: images[first]}, {only: labels[first]} if first in labels else {}
    source = Source(name)
    highest = -1
    for split, table in images.items():
        shape = yield from _images(table, file, source, split)
        numbers = None
        if split in labels:
            numbers = _numbers(labels[split], shape[0], file)
            highest = max(highest, int(numbers.max(initial=-1)))
        names = Numbered(f"{'' if split == 'all' else split + ' '}image", np.arange(shape[0]))
        source.parts[split] = Part(promised(*shape), numbers, names)
    if any(part.labels is None for part in source.parts.values()):
        for part in source.parts.values():
            part.labels = None
    elif highest >= 0:
        source.classes = tuple(str(n) for n in range(highest + 1))
    return source


def _roles(tables: list[Table]) -> tuple[dict[str, Table], dict[str, Table]]:
    """split -> images, split -> labels"""
    images: dict[str, Table] = {}
    labels: dict[str, Table] = {}
    for table in sorted(tables, key=lambda t: _rank(t.name, _IMAGES)):
        if _channels_at(table.shape) is not None and table.dtype.kind in "uifb":
            images.setdefault(_split_of(table.name), table)
    for table in sorted(tables, key=lambda t: _rank(t.name, _LABELS)):
        split = _split_of(table.name)
        one_column = len(table.shape) == 1 or (len(table.shape) == 2 and table.shape[1] == 1)
        if one_column and table.dtype.kind in "ui" and split in images and table.shape[0] == images[split].shape[0]:
            labels.setdefault(split, table)
        elif one_column and split in images and _rank(table.name, _LABELS) < len(_LABELS) and table.dtype.kind in "ui":
            labels.setdefault(split, table)  # a length that does not fit is reported, not overlooked
    if any(split != "all" for split in images):
        images.pop("all", None)
    return images, labels


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


def _images(table: Table, file: str, source: Source, part: str) -> Generator[Step | PixelRows, None, Room]:
    """Yields the pixels as bytes 0..255, a piece at a time; returns their shape."""
    count = table.shape[0]
    place = _channels_at(table.shape)
    if count == 0:
        raise BadData(f"The array “{table.name}” of {file} has no images; save it with some.")
    each = math.prod(table.shape[1:])
    if count * each > MAX_SET_BYTES:
        raise BadData(f"The images of {file} take more than {MAX_SET_BYTES >> 30} GB, the limit; use a part of them.")
    if each * table.dtype.itemsize > MAX_IMAGE_BYTES:
        raise BadData(f"An image in the array “{table.name}” of {file} is larger than any picture; scale the images down first.")
    piece = max(1, CHUNK_BYTES // max(1, each * table.dtype.itemsize))
    seen: Range | None = None
    if table.dtype != np.uint8:
        done = 0
        for rows in table.rows(piece):
            seen = Range.of(rows) if seen is None else seen.joined(Range.of(rows))
            done += len(rows)
            yield Step(done, count, "image", f"Looking at the values of {file}")
    scaling = scaling_for(table.dtype, seen or Range(0, 255))
    source.notes += [note for note in scaling.notes if note not in source.notes]
    height_width = table.shape[2:4] if place == 1 else table.shape[1:3]
    channels = 1 if place == 0 else table.shape[1] if place == 1 else table.shape[3]
    kept = 3 if channels == 4 else channels
    room: Room = (count, kept, *height_width)  # type: ignore[assignment]
    if channels == 4 and "Transparent parts are shown on white." not in source.notes:
        source.notes.append("Transparent parts are shown on white.")
    done = 0
    for rows in table.rows(piece):
        pixels = scaling.to_bytes(rows)
        if place == 0:
            pixels = pixels[:, None]
        elif place == 3:
            pixels = pixels.transpose(0, 3, 1, 2)
        if channels == 4:
            alpha = pixels[:, 3:].astype(np.uint32)
            pixels = ((pixels[:, :3] * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)
        done += len(pixels)
        yield PixelRows(part, room, pixels)
        yield Step(done, count, "image", f"Reading {file}")
    return room


def _numbers(table: Table, count: int, file: str) -> np.ndarray:
    if table.shape[0] != count:
        raise BadData(f"{file} has {table.shape[0]:,} labels (“{table.name}”) for {count:,} images; save as many labels as images.")
    numbers = np.concatenate([rows.reshape(-1) for rows in table.rows(1 << 16)]).astype(np.int64)
    if numbers.min(initial=0) < 0 or numbers.max(initial=0) > 65_535:
        raise BadData(f"The labels “{table.name}” of {file} are no class numbers from 0 on; number the classes from 0.")
    return numbers
