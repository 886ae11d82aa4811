"""What folders and archives of pictures share: the common shape, the classes and notes of a source, names that can be printed."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np

from engine.common.counting import number_of, was_or_were
from engine.data.dataset import BadData, Source, Step, size_in_words
from engine.data.grouping import number_groups
from engine.data.layout import Layout, PlacedFile
from engine.data.limits import MAX_FILES, USUAL_SIDE
from engine.data.path_words import in_order, stem_of
from engine.data.pictures import network_shape
from engine.data.pixel_facts import PixelFacts, Size, words_of_fit
from engine.data.preprocessing import Preprocessing, as_asked
from engine.data.recipe import ImportRecipe

OF_ONE_FILE = (
    "Values of more than 8 bits were stretched to 0..255.",
    "Their windows became 0..255.",
)  # notes that say nothing where a set has its scale
NO_FILE = "It is a pipe, a socket or a device, no file, and is left out."
_SIZES_LISTED = 30
_PAGED = (".tif", ".tiff", ".gif", ".dcm")

Item = TypeVar("Item")  # what a reader yields
Kept = tuple[list[PlacedFile], list[Size]]  # the good files, and the size of each in its file
Attempt = Callable[[Size, Preprocessing, Source, PixelFacts, Counter[str]], Generator[Item, None, Kept]]


def read_in_agreement(
    attempt: Attempt[Item], shape: Size, source: Source, recipe: ImportRecipe, between: tuple[Item, ...] = ()
) -> Generator[Item, None, list[PlacedFile]]:
    """Fill the source; returns the good files.

    All are decoded once, as a sample of them suggests (`shape`). Where the whole turns out otherwise (another size, values of more than
    8 bits that need one scale, shapes that cannot be seen on white), they are decoded again; then `between` is yielded before.
    """
    how = as_asked(recipe)
    for again in (False, True):
        found, facts, counts = Source(source.name), PixelFacts(), Counter[str]()
        kept, sizes = yield from attempt(shape, how, found, facts, counts)
        if not sizes:
            break
        agreed = common_shape(found, sizes, recipe)
        decided, notes = facts.agreed(recipe, sizes, agreed)
        found.notes += [*notes_of_sizes(sizes, agreed, recipe, decided), *notes]
        found.preprocessing = decided
        if again or (agreed == shape and facts.same_pixels(how, decided)):
            break
        shape, how = agreed, decided
        yield from between
    source.parts, source.sizes, source.preprocessing = found.parts, found.sizes, found.preprocessing
    source.notes += found.notes
    if (seen := facts.deep or facts.bytes) is not None:
        source.values = seen.told()
    for bad in found.bad:
        source.refuse(bad.path, bad.reason)
    source.bad_total += found.bad_total - len(found.bad)
    of_set = source.preprocessing.scale is not None
    source.notes += [
        f"{number_of(count, 'file')}: {note}" for note, count in counts.most_common() if note and not (of_set and note in OF_ONE_FILE)
    ]
    return kept


def every_page(name: str, files: list[PlacedFile], frames: Callable[[PlacedFile], int]) -> Generator[Step, None, list[PlacedFile]]:
    """Every page of a TIFF or an animation as an image of its own. Raises: BadData: too many."""
    every: list[PlacedFile] = []
    for done, file in enumerate(files):
        paged = file.path.lower().endswith(_PAGED) or stem_of(file.path) == file.path  # DICOM files have no ending at times
        count = frames(file) if paged else 1
        every += [file] if count == 1 else [replace(file, page=page) for page in range(count)]
        if len(every) > MAX_FILES:
            raise BadData(f"“{name}” has more than {MAX_FILES:,} pages, the limit; use a part of it.")
        yield Step(done, len(files), "file", "Looking for pages")
    return every


def name_classes(source: Source, layout: Layout, kept: list[PlacedFile], order: Sequence[str] = ()) -> None:
    """Number the classes and groups of the good files, in the order of the source's parts, and say what was understood.

    Classes are in the order of their names, or as `order` lists them.
    """
    if layout.labelled and kept:
        place = {name: n for n, name in enumerate(order)}
        number_classes(source, kept, sorted(in_order({file.label for file in kept}), key=lambda name: place.get(name, len(place))))
    say_layout(source, layout)
    groups = {split: [file.group and shown(file.group) for file in kept if file.split == split] for split in source.parts}
    number_groups(source, shown(layout.grouping.found_in), groups)


def number_classes(source: Source, kept: list[PlacedFile], names: Sequence[str]) -> None:
    """Let the good files have the numbers of their classes, whose names in order are `names`; nothing where there are none."""
    if not names:
        return
    number = {name: place for place, name in enumerate(names)}
    for split, part in source.parts.items():
        part.labels = np.array([number[file.label] for file in kept if file.split == split], np.int64)
    source.classes = tuple(shown(name) for name in names)


def say_layout(source: Source, layout: Layout) -> None:
    """Put what was understood of names and tables, and what is to be said of it, before what is said of the pixels."""
    source.notes = [shown(note) for note in layout.said()] + source.notes
    source.understood = _all_shown(layout.as_json() | {"levels": layout.levels})


def _all_shown(value: Any) -> Any:
    """JSON with all its texts as they can be printed."""
    if isinstance(value, dict):
        return {shown(str(name)): _all_shown(one) for name, one in value.items()}
    return [_all_shown(one) for one in value] if isinstance(value, list) else shown(value) if isinstance(value, str) else value


def say_what_is_bad(source: Source) -> None:
    if source.bad_total:
        first = source.bad[0]
        files = "One file or folder" if source.bad_total == 1 else f"{source.bad_total:,} files or folders"
        source.notes.append(
            f"{files} could not be read and {'was' if source.bad_total == 1 else 'were'} left out, first {first.path}: {first.reason}"
        )


def is_special(entry: os.DirEntry[str]) -> bool:
    """Whether an entry of a folder, or what it links to, is a pipe, a socket or a device, which would be waited for when it is opened."""
    try:
        return not entry.is_file() and not (stat.S_ISREG(mode := entry.stat().st_mode) or stat.S_ISDIR(mode))
    except OSError:
        return False  # a link that leads nowhere


def shown(name: str) -> str:
    """A name as it can be printed and stored anywhere: control characters and bytes that are no UTF-8 become “�”."""
    if name.isascii() and name.isprintable():
        return name
    text = name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return "".join(c if c.isprintable() else "\ufffd" for c in text)


def common_shape(source: Source, shapes: list[Size], recipe: ImportRecipe) -> Size:
    """The shape that all images get: the most common size, in colour as soon as one image is. The source keeps the sizes."""
    counted = Counter(shapes)
    source.sizes = {size_in_words(shape): count for shape, count in counted.most_common(_SIZES_LISTED)}
    channels = 1 if all(channels == 1 for channels, _, _ in counted) else 3
    size = Counter((height, width) for _, height, width in shapes).most_common(1)[0][0]
    return network_shape((channels, *size), recipe.size, recipe.colour or None)


def notes_of_sizes(shapes: list[Size], shape: Size, recipe: ImportRecipe, how: Preprocessing) -> list[str]:
    """What becomes of images of another size or colour than the common one."""
    notes = []
    others = sum(1 for _, height, width in shapes if (height, width) != shape[1:])
    grey = sum(1 for channels, _, _ in shapes if channels == 1)
    if others:
        why = "as asked for" if recipe.size else f"from the most common size, at most {USUAL_SIDE}"
        notes.append(f"{others:,} of {number_of(len(shapes), 'image')} {words_of_fit(how)} {shape[2]}×{shape[1]} pixels ({why}).")
    if 0 < grey < len(shapes) and shape[0] == 3:
        notes.append(
            f"{number_of(grey, 'grey image')} {was_or_were(grey)} repeated in red, green and blue, since the others are in colour."
        )
    if grey < len(shapes) and shape[0] == 1:
        notes.append("Colour was turned into grey, as asked for.")
    return notes


def kind_of(note: str) -> str:
    """A note without the numbers of one file, so that files can be counted; "" for what the size note says already."""
    if note.startswith(("Scaled from", "Colour was turned", "Grey was repeated")):
        return ""
    if note.startswith("The first of "):
        return "The first of several frames or pages is used (pages all takes every one)."
    if note.startswith("It has "):
        return "Larger than 1024 pixels, scaled down in two steps."
    if "the window that the file states" in note:
        return "Their windows became 0..255."
    if note.startswith("Values from "):
        return "Values of more than 8 bits were stretched to 0..255."
    return note


def sentence_of(text: str) -> str:
    return text[:1].upper() + text[1:] + "."
