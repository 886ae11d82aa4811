"""Folders of image files: one folder per class, or flat, optionally below train, valid and test folders."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Generator
from pathlib import Path

import numpy as np

from engine.data.dataset import BadData, Part, Source, Step, size_in_words
from engine.data.decode_pool import DecodedFiles, decode_files
from engine.data.decoder import Undecodable, look, read_table
from engine.data.layout import Layout, PlacedFile, understand
from engine.data.limits import MAX_DEPTH, MAX_FILES, SHAPE_SAMPLE
from engine.data.path_words import in_order, is_litter
from engine.data.pictures import network_shape
from engine.data.recipe import ImportRecipe
from engine.data.storage import room_for

_PICTURES = frozenset(
    (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".tif", ".tiff", ".webp", ".avif", ".ppm", ".pgm", ".pbm", ".pfm", ".ico", ".jp2")
)
_SIZES_LISTED = 30

Size = tuple[int, int, int]  # C, H, W


def recognizes(path: Path) -> bool:
    """Whether it is a folder or an image file."""
    return path.is_dir() or (path.is_file() and path.suffix.lower() in _PICTURES)


def summary(path: Path) -> str:
    """The kind, as the list of data sets shows it."""
    return "folder of images"


def read(path: Path, recipe: ImportRecipe) -> Generator[Step, None, Source]:
    """Every image of the folder at one size; what cannot be read is listed with the reason. Raises BadData when nothing is left."""
    if path.is_file():
        raise BadData(f"“{path.name}” is a single picture; drop it onto a pane, or choose the folder it lies in.")
    source = Source(path.resolve().name)
    layout = yield from _understood(path, recipe, source)
    if not layout.files and not source.bad_total:
        raise BadData(f"“{path.name}” holds no images; choose a folder with image files or one folder per class.")
    kept = yield from _decode(path, layout.files, source, recipe)
    if not kept:
        raise BadData(f"“{path.name}” holds no image that can be read: {source.bad[0].reason}")
    name_classes(source, layout, kept)
    _say_what_is_bad(source)
    return source


def name_classes(source: Source, layout: Layout, kept: list[PlacedFile]) -> None:
    """Number the classes of the good files, in the order of the source's parts, and say what was understood."""
    if layout.labelled and kept:
        source.classes = tuple(in_order({file.label for file in kept}))
        number = {name: place for place, name in enumerate(source.classes)}
        for split, part in source.parts.items():
            part.labels = np.array([number[file.label] for file in kept if file.split == split], np.int64)
        source.classes = tuple(shown(name) for name in source.classes)
    source.notes = [shown(note) for note in layout.said()] + source.notes


def _understood(root: Path, recipe: ImportRecipe, source: Source) -> Generator[Step, None, Layout]:
    paths, litter = yield from _walk(root, source)
    return understand(paths, recipe, lambda path: read_table(os.path.join(root, path)), litter)


def _walk(root: Path, source: Source) -> Generator[Step, None, tuple[list[str], int]]:
    """(the paths of all files below the root, how many were left there by the system).

    A folder that was visited (a link that leads back) is not entered again; linked folders come last, so that a folder is known by
    its own name.
    """
    found: list[str] = []
    visited: set[tuple[int, int]] = set()
    litter = 0
    waiting: list[tuple[str, str]] = [(str(root), "")]
    linked: list[tuple[str, str]] = []
    while waiting or linked:
        folder, trail = waiting.pop() if waiting else linked.pop()
        try:
            status = os.stat(folder)
            if (status.st_dev, status.st_ino) in visited:
                source.refuse(shown(_below(root, folder)), "The folder was read already under another name; this link to it is left out.")
                continue
            visited.add((status.st_dev, status.st_ino))
            if trail.count("/") > MAX_DEPTH:
                source.refuse(shown(_below(root, folder)), f"The folder lies more than {MAX_DEPTH} folders deep; move it up.")
                continue
            with os.scandir(folder) as entries:
                for place, entry in enumerate(entries):
                    if is_litter(entry.name):
                        litter += 1
                    elif _is_folder(entry):
                        (linked if entry.is_symlink() else waiting).append((entry.path, f"{trail}{entry.name}/"))
                    else:
                        found.append(trail + entry.name)
                        if len(found) > MAX_FILES:
                            raise BadData(f"“{root.name}” has more than {MAX_FILES:,} files, the limit; use a part of it.")
                    if place % 256 == 0:
                        yield Step(len(found), None, "file", "Looking for images")
        except OSError as error:
            source.refuse(shown(_below(root, folder)), f"The folder cannot be opened ({error.strerror}); check its permissions.")
    found.sort()
    return found, litter


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False  # a link that leads round in a circle


def _decode(root: Path, files: list[PlacedFile], source: Source, recipe: ImportRecipe) -> Generator[Step, None, list[PlacedFile]]:
    """Fill the source's parts, in the order of the files; returns the good files.

    All are decoded once, to the shape that a sample of them suggests. Where the whole turns out otherwise, they are decoded again.
    """
    shape = yield from _guess(root, files, recipe)
    for again in (False, True):
        source.parts.clear()
        attempt = Source(source.name)
        counts: Counter[str] = Counter()
        kept, shapes = yield from _decoded(root, files, shape, attempt, counts)
        if not shapes:
            break
        agreed = _common_shape(attempt, shapes, recipe)
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


def _guess(root: Path, files: list[PlacedFile], recipe: ImportRecipe) -> Generator[Step, None, Size]:
    """The shape that a few headers, spread over the files, suggest."""
    shapes: list[Size] = []
    step = max(1, len(files) // SHAPE_SAMPLE)
    for file in files[::step]:
        try:
            shapes.append(look(os.path.join(root, file.path)))
        except Undecodable:
            continue
        yield Step(0, len(files), "file", "Looking at sizes")
    return _common_shape(Source(""), shapes, recipe) if shapes else (3, 32, 32)


def _decoded(
    root: Path, files: list[PlacedFile], shape: Size, source: Source, counts: Counter[str]
) -> Generator[Step, None, tuple[list[PlacedFile], list[Size]]]:
    kept: list[PlacedFile] = []
    shapes: list[Size] = []
    done = 0
    for split in ("all", "train", "valid", "test"):
        mine = [file for file in files if file.split == split]
        if not mine:
            continue
        images = room_for((len(mine), *shape))
        names: list[str] = []
        place = 0
        for batch in decode_files([os.path.abspath(os.path.join(root, file.path)) for file in mine], shape):
            if batch is not None:
                good = _take_over(mine[place : place + len(batch.sizes)], batch, source, images, len(names))
                kept += good
                names += [shown(file.path) for file in good]
                shapes += [size for size in batch.sizes if not isinstance(size, str)]
                counts.update(_kind_of(note) for notes in batch.notes for note in notes)
                place += len(batch.sizes)
            yield Step(done + place, len(files), "file", "Reading images")
        done += len(mine)
        source.parts[split] = Part(images[: len(names)], None, names)
    return kept, shapes


def _take_over(files: list[PlacedFile], batch: DecodedFiles, source: Source, images: np.ndarray, start: int) -> list[PlacedFile]:
    """Put the pixels of a batch from row `start` on; the good files."""
    good: list[PlacedFile] = []
    for file, size in zip(files, batch.sizes, strict=True):
        if isinstance(size, str):
            source.refuse(shown(file.path), _sentence(size))
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


def _common_shape(source: Source, shapes: list[Size], recipe: ImportRecipe) -> Size:
    """The shape that all images get: the most common size, in colour as soon as one image is."""
    counted = Counter(shapes)
    source.sizes = {size_in_words(shape): count for shape, count in counted.most_common(_SIZES_LISTED)}
    grey = sum(count for (channels, _, _), count in counted.items() if channels == 1)
    channels = 1 if grey == len(shapes) else 3
    size = Counter((height, width) for _, height, width in shapes).most_common(1)[0][0]
    shape = network_shape((channels, *size), recipe.size, recipe.colour or None)
    others = sum(1 for _, height, width in shapes if (height, width) != shape[1:])
    if others:
        source.notes.append(
            f"{others:,} of {len(shapes):,} images were cut to the centre and scaled to {shape[2]}×{shape[1]} pixels"
            f" ({'as asked for' if recipe.size else 'from the most common size, at most 64'})."
        )
    if channels == 3 and grey and shape[0] == 3:
        source.notes.append(f"{grey:,} grey images were repeated in red, green and blue, since the others are in colour.")
    if channels == 3 and shape[0] == 1:
        source.notes.append("Colour was turned into grey, as asked for.")
    return shape


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
