"""Folders of image files: one folder per class, or flat, optionally below train, valid and test folders."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engine.data.dataset import BadData, Part, Source, Step, Wish, size_in_words
from engine.data.decoder import Undecodable, the_decoder
from engine.data.limits import MAX_DEPTH, MAX_FILES
from engine.data.pictures import network_shape
from engine.data.storage import room_for

_SPLITS = {
    "train": "train",
    "training": "train",
    "test": "test",
    "testing": "test",
    "valid": "valid",
    "val": "valid",
    "validation": "valid",
}
_NO_IMAGES = frozenset(
    (".txt", ".md", ".csv", ".tsv", ".json", ".jsonl", ".xml", ".yaml", ".yml", ".html", ".pdf", ".py", ".ipynb", ".db", ".ini", ".log")
)
_PICTURES = frozenset(
    (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".tif", ".tiff", ".webp", ".avif", ".ppm", ".pgm", ".pbm", ".pfm", ".ico", ".jp2")
)
_SIZES_LISTED = 30


@dataclass
class Found:
    """A file that may be an image."""

    path: str
    split: str  # "all" when the folder has no splits
    label: str  # "" when it lies in no class folder


def recognizes(path: Path) -> bool:
    """Whether it is a folder or an image file."""
    return path.is_dir() or (path.is_file() and path.suffix.lower() in _PICTURES)


def summary(path: Path) -> str:
    """The kind, as the list of data sets shows it."""
    return "folder of images"


def read(path: Path, wish: Wish) -> Generator[Step, None, Source]:
    """Every image of the folder at one size; what cannot be read is listed with the reason. Raises BadData when nothing is left."""
    if path.is_file():
        raise BadData(f"“{path.name}” is a single picture; drop it onto a pane, or choose the folder it lies in.")
    source = Source(path.resolve().name)
    files = yield from _walk(path, source)
    if not files and not source.bad_total:
        raise BadData(f"“{path.name}” holds no images; choose a folder with image files or one folder per class.")
    files, shapes = yield from _look(path, files, source)
    if not files:
        raise BadData(f"“{path.name}” holds no image that can be read ({source.bad[0].reason}); choose another folder.")
    shape = _common_shape(source, shapes, wish)
    classes = sorted({file.label for file in files if file.label})
    labelled = bool(classes) and all(file.label for file in files)
    if classes and not labelled:
        source.notes.append("Some images lie in no class folder, so no image has a class.")
    yield from _decode(path, files, shape, source, classes if labelled else [])
    return source


def _walk(root: Path, source: Source) -> Generator[Step, None, list[Found]]:
    """All files that may be images, sorted. A folder that was visited (a link that leads back) is not entered again."""
    found: list[Found] = []
    visited: set[tuple[int, int]] = set()
    skipped = 0
    waiting: list[tuple[str, tuple[str, ...]]] = [(str(root), ())]
    while waiting:
        folder, trail = waiting.pop()
        try:
            status = os.stat(folder)
            if (status.st_dev, status.st_ino) in visited:
                continue
            visited.add((status.st_dev, status.st_ino))
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError as error:
            source.refuse(_below(root, folder), f"The folder cannot be opened ({error.strerror}); check its permissions.")
            continue
        for place, entry in enumerate(entries):
            if entry.name.startswith(".") or entry.name in ("__MACOSX", "Thumbs.db"):
                continue
            if _is_folder(entry):
                if len(trail) < MAX_DEPTH:
                    waiting.append((entry.path, (*trail, entry.name)))
            elif os.path.splitext(entry.name)[1].lower() in _NO_IMAGES:
                skipped += 1
            else:
                found.append(_placed(entry.path, trail))
                if len(found) > MAX_FILES:
                    raise BadData(f"“{root.name}” has more than {MAX_FILES:,} files, the limit; use a part of it.")
            if place % 256 == 0:
                yield Step(len(found), None, "file", "Looking for images")
    if skipped:
        source.notes.append(f"{skipped:,} files that are no images by their name were left out.")
    found.sort(key=lambda file: file.path)
    return found


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False  # a link that leads round in a circle


def _placed(path: str, trail: tuple[str, ...]) -> Found:
    split = _SPLITS.get(trail[0].lower(), "all") if trail else "all"
    inner = trail if split == "all" else trail[1:]
    return Found(path, split, inner[0] if inner else "")


def _look(root: Path, files: list[Found], source: Source) -> Generator[Step, None, tuple[list[Found], list[tuple[int, int, int]]]]:
    """The files whose header can be read, and their (C, H, W)."""
    decoder = the_decoder()
    kept: list[Found] = []
    shapes: list[tuple[int, int, int]] = []
    for done, file in enumerate(files):
        try:
            shapes.append(decoder.look(file.path))
            kept.append(file)
        except Undecodable as why:
            source.refuse(_below(root, file.path), _sentence(why))
        yield Step(done + 1, 2 * len(files), "file", "Looking at sizes")
    return kept, shapes


def _common_shape(source: Source, shapes: list[tuple[int, int, int]], wish: Wish) -> tuple[int, int, int]:
    """The shape that all images get: the most common size, in colour as soon as one image is."""
    counted = Counter(shapes)
    source.sizes = {size_in_words(shape): count for shape, count in counted.most_common(_SIZES_LISTED)}
    grey = sum(count for (channels, _, _), count in counted.items() if channels == 1)
    channels = 1 if grey == len(shapes) else 3
    size = Counter((height, width) for _, height, width in shapes).most_common(1)[0][0]
    shape = network_shape((channels, *size), wish.size, wish.colour)
    others = sum(1 for _, height, width in shapes if (height, width) != shape[1:])
    if others:
        source.notes.append(
            f"{others:,} of {len(shapes):,} images were cut to the centre and scaled to {shape[2]}×{shape[1]} pixels"
            f" ({'as asked for' if wish.size else 'from the most common size, at most 64'})."
        )
    if channels == 3 and grey and shape[0] == 3:
        source.notes.append(f"{grey:,} grey images were repeated in red, green and blue, since the others are in colour.")
    if channels == 3 and shape[0] == 1:
        source.notes.append("Colour was turned into grey, as asked for.")
    return shape


def _decode(root: Path, files: list[Found], shape: tuple[int, int, int], source: Source, classes: list[str]) -> Iterator[Step]:
    """Fill the source's parts, in the order of the files."""
    decoder = the_decoder()
    counts: Counter[str] = Counter()
    done = 0
    for split in ("all", "train", "valid", "test"):
        mine = [file for file in files if file.split == split]
        if not mine:
            continue
        images = room_for((len(mine), *shape))
        names: list[str] = []
        labels: list[int] = []
        for file in mine:
            try:
                picture = decoder.decode(file.path, shape)
                images[len(names)] = picture.pixels
                names.append(_below(root, file.path))
                labels.append(classes.index(file.label) if classes else 0)
                counts.update(_kind_of(note) for note in picture.notes)
            except Undecodable as why:
                source.refuse(_below(root, file.path), _sentence(why))
            done += 1
            yield Step(len(files) + done, 2 * len(files), "file", "Reading images")
        source.parts[split] = Part(images[: len(names)], np.array(labels, np.int64) if classes else None, names)
    source.classes = tuple(classes)
    _mix_without_split(source)
    source.notes += [f"{count:,} files: {note}" for note, count in counts.most_common() if note]


def _mix_without_split(source: Source) -> None:
    """Images beside a train folder belong to no split; they are trained on when there is nothing else, and left out otherwise."""
    if "all" not in source.parts or len(source.parts) == 1:
        return
    stray = source.parts.pop("all")
    if "train" not in source.parts:
        source.parts["train"] = stray
    elif len(stray.images):
        source.notes.append(f"{len(stray.images):,} images that lie beside the train and test folders were left out.")


def _kind_of(note: str) -> str:
    """A note without the numbers of one file, so that files can be counted; "" for what the size note says already."""
    if note.startswith(("Scaled from", "Colour was turned", "Grey was repeated")):
        return ""
    if note.startswith("The first of "):
        return "The first of several frames is used."
    if note.startswith("It has "):
        return "Larger than 1024 pixels, scaled down in two steps."
    if note.startswith("Values from "):
        return "Values of more than 8 bits were stretched to 0..255."
    return note


def _below(root: Path, path: str) -> str:
    return os.path.relpath(path, root)


def _sentence(why: Undecodable) -> str:
    text = str(why)
    return text[:1].upper() + text[1:] + "."
