"""Folders of image files: one folder per class, or flat, optionally below train, valid and test folders."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engine.data.dataset import BadData, Part, Source, Step, Wish, size_in_words
from engine.data.decode_pool import DecodedFiles, decode_files
from engine.data.decoder import Undecodable, look
from engine.data.limits import MAX_DEPTH, MAX_FILES, SHAPE_SAMPLE
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

Size = tuple[int, int, int]  # C, H, W


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
    kept = yield from _decode(path, files, source, wish)
    if not kept:
        raise BadData(f"“{path.name}” holds no image that can be read ({source.bad[0].reason}); choose another folder.")
    classes = sorted({file.label for file in kept if file.label})
    labelled = bool(classes) and all(file.label for file in kept)
    if classes and not labelled:
        source.notes.append("Some images lie in no class folder, so no image has a class.")
    if labelled:
        number = {name: place for place, name in enumerate(classes)}
        for split, part in source.parts.items():
            part.labels = np.array([number[file.label] for file in kept if file.split == split], np.int64)
        source.classes = tuple(classes)
    _mix_without_split(source)
    _say_what_is_bad(source)
    return source


def _walk(root: Path, source: Source) -> Generator[Step, None, list[Found]]:
    """All files that may be images, sorted by their path.

    A folder that was visited (a link that leads back) is not entered again; linked folders come last, so that a folder is known by
    its own name.
    """
    found: list[Found] = []
    visited: set[tuple[int, int]] = set()
    skipped = 0
    waiting: list[tuple[str, tuple[str, ...]]] = [(str(root), ())]
    linked: list[tuple[str, tuple[str, ...]]] = []
    while waiting or linked:
        folder, trail = waiting.pop() if waiting else linked.pop()
        try:
            status = os.stat(folder)
            if (status.st_dev, status.st_ino) in visited:
                source.refuse(shown(_below(root, folder)), "The folder was read already under another name; this link to it is left out.")
                continue
            visited.add((status.st_dev, status.st_ino))
            if len(trail) > MAX_DEPTH:
                source.refuse(shown(_below(root, folder)), f"The folder lies more than {MAX_DEPTH} folders deep; move it up.")
                continue
            with os.scandir(folder) as entries:
                for place, entry in enumerate(entries):
                    if entry.name.startswith(".") or entry.name in ("__MACOSX", "Thumbs.db"):
                        continue
                    if _is_folder(entry):
                        (linked if entry.is_symlink() else waiting).append((entry.path, (*trail, entry.name)))
                    elif os.path.splitext(entry.name)[1].lower() in _NO_IMAGES:
                        skipped += 1
                    else:
                        found.append(_placed(entry.path, trail))
                        if len(found) > MAX_FILES:
                            raise BadData(f"“{root.name}” has more than {MAX_FILES:,} files, the limit; use a part of it.")
                    if place % 256 == 0:
                        yield Step(len(found), None, "file", "Looking for images")
        except OSError as error:
            source.refuse(shown(_below(root, folder)), f"The folder cannot be opened ({error.strerror}); check its permissions.")
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


def _decode(root: Path, files: list[Found], source: Source, wish: Wish) -> Generator[Step, None, list[Found]]:
    """Fill the source's parts, in the order of the files; returns the good files.

    All are decoded once, to the shape that a sample of them suggests. Where the whole turns out otherwise, they are decoded again.
    """
    shape = yield from _guess(files, wish)
    for again in (False, True):
        source.parts.clear()
        attempt = Source(source.name)
        counts: Counter[str] = Counter()
        kept, shapes = yield from _decoded(root, files, shape, attempt, counts)
        if not shapes:
            break
        agreed = _common_shape(attempt, shapes, wish)
        if agreed == shape or again:
            break
        shape = agreed
    source.parts, source.sizes = attempt.parts, attempt.sizes
    source.notes += attempt.notes
    for bad in attempt.bad:
        source.refuse(bad.path, bad.reason)
    source.bad_total += attempt.bad_total - len(attempt.bad)
    source.notes += [f"{count:,} files: {note}" for note, count in counts.most_common() if note]
    return kept


def _guess(files: list[Found], wish: Wish) -> Generator[Step, None, Size]:
    """The shape that a few headers, spread over the files, suggest."""
    shapes: list[Size] = []
    step = max(1, len(files) // SHAPE_SAMPLE)
    for file in files[::step]:
        try:
            shapes.append(look(file.path))
        except Undecodable:
            continue
        yield Step(0, len(files), "file", "Looking at sizes")
    return _common_shape(Source(""), shapes, wish) if shapes else (3, 32, 32)


def _decoded(
    root: Path, files: list[Found], shape: Size, source: Source, counts: Counter[str]
) -> Generator[Step, None, tuple[list[Found], list[Size]]]:
    kept: list[Found] = []
    shapes: list[Size] = []
    done = 0
    for split in ("all", "train", "valid", "test"):
        mine = [file for file in files if file.split == split]
        if not mine:
            continue
        images = room_for((len(mine), *shape))
        names: list[str] = []
        place = 0
        for batch in decode_files([os.path.abspath(file.path) for file in mine], shape):
            if batch is not None:
                good = _take_over(root, mine[place : place + len(batch.sizes)], batch, source, images, len(names))
                kept += good
                names += [shown(_below(root, file.path)) for file in good]
                shapes += [size for size in batch.sizes if not isinstance(size, str)]
                counts.update(_kind_of(note) for notes in batch.notes for note in notes)
                place += len(batch.sizes)
            yield Step(done + place, len(files), "file", "Reading images")
        done += len(mine)
        source.parts[split] = Part(images[: len(names)], None, names)
    return kept, shapes


def _take_over(root: Path, files: list[Found], batch: DecodedFiles, source: Source, images: np.ndarray, start: int) -> list[Found]:
    """Put the pixels of a batch from row `start` on; the good files."""
    good: list[Found] = []
    for file, size in zip(files, batch.sizes, strict=True):
        if isinstance(size, str):
            source.refuse(shown(_below(root, file.path)), _sentence(size))
        else:
            good.append(file)
    pixels = np.frombuffer(batch.pixels, np.uint8)
    images[start : start + len(good)] = pixels.reshape(len(good), *images.shape[1:])
    return good


def _say_what_is_bad(source: Source) -> None:
    if source.bad_total:
        first = source.bad[0]
        files = "One file or folder" if source.bad_total == 1 else f"{source.bad_total:,} files or folders"
        source.notes.append(
            f"{files} could not be read and {'was' if source.bad_total == 1 else 'were'} left out, first {first.path}: {first.reason}"
        )


def shown(name: str) -> str:
    """A name as it can be printed and stored anywhere: control characters and bytes that are no UTF-8 become “�”."""
    text = name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return "".join(c if c.isprintable() else "\ufffd" for c in text)


def _common_shape(source: Source, shapes: list[Size], wish: Wish) -> Size:
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


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + "."
