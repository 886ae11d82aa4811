"""A first answer about a large set: counts by names and tables alone, pixels from a few images spread over its splits and classes."""

from __future__ import annotations

import time
from bisect import bisect_right
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np

from engine.data.dataset import BadData, Numbered, Part, Sampled, SampleWish, Source, Split, Step
from engine.data.grouping import number_groups
from engine.data.layout import Layout, PlacedFile
from engine.data.path_words import in_order
from engine.data.picture_sets import Attempt, number_classes, read_in_agreement, say_layout, say_what_is_bad, shown
from engine.data.pixel_facts import Size
from engine.data.recipe import ImportRecipe
from engine.data.rows import promised
from engine.data.splits import drawn_from, split

FIRST = 16  # images of the first attempt, which shows how long they take
GROWTH = 4  # times as many in the next
WORTH_SECONDS = 0.4  # of reading the whole; a set that takes less needs no first answer
PARTS = ("train", "valid", "test")

Item = TypeVar("Item")
Result = TypeVar("Result")


def sampled_rows(splits: Mapping[str, Split], images: int) -> dict[str, np.ndarray]:
    """Rows int64 [n] of each split, sorted, together at most `images`: as many of every class and split, spread over its images."""
    groups: list[tuple[str, np.ndarray]] = []  # the rows of one class in one split
    for name, some in splits.items():
        labels = np.zeros(len(some), np.int64) if some.labels is None else np.asarray(some.labels)
        order = np.argsort(labels, kind="stable")
        borders = np.cumsum(np.unique(labels, return_counts=True)[1])[:-1]
        groups += [(name, rows) for rows in np.split(order, borders) if len(rows)]
    sizes = np.array([len(rows) for _, rows in groups], np.int64)
    most = range(int(sizes.max(initial=0)) + 1)
    each = bisect_right(most, images, key=lambda n: int(np.minimum(sizes, n).sum())) - 1
    take = np.minimum(sizes, each)
    larger = np.flatnonzero(sizes > take)
    take[larger[_spread(len(larger), images - int(take.sum()))]] += 1
    chosen = [(name, row) for (name, rows), n in zip(groups, take.tolist(), strict=True) for row in rows[_spread(len(rows), n)].tolist()]
    return {name: np.array(sorted(row for one, row in chosen if one == name), np.int64) for name in splits}


def _spread(count: int, most: int) -> np.ndarray:
    """At most `most` of the places 0 … count - 1 at equal distances, int64 [n], the first and the last among them."""
    return np.linspace(0, count - 1, min(count, most)).astype(np.int64)


class _Plan:
    """Which images are in which split, by the layout alone. Raises: BadData: too few for a split."""

    def __init__(self, name: str, layout: Layout, order: Sequence[str]) -> None:
        self.files: dict[str, list[PlacedFile]] = {}  # of each part
        for file in layout.files:
            self.files.setdefault(file.split, []).append(file)
        place = {one: number for number, one in enumerate(order)}
        found = in_order({file.label for file in layout.files}) if layout.labelled else []
        self.labels = sorted(found, key=lambda one: place.get(one, len(place)))
        number = {one: place for place, one in enumerate(self.labels)}
        source = Source(name, classes=tuple(self.labels))
        for part, files in self.files.items():
            labels = np.array([number[file.label] for file in files], np.int64) if layout.labelled else None
            source.parts[part] = _blank(len(files), labels)
        number_groups(source, layout.grouping.found_in, {part: [file.group for file in files] for part, files in self.files.items()})
        self.told, self.notes = source.understood, source.notes
        self.splits, _ = split(source)
        self.rest = drawn_from(source)

    def sample(self, images: int) -> list[PlacedFile]:
        """Some of the files, each with the split that it will be in."""
        rows = sampled_rows(self.splits, images)
        return [
            replace(self.files[name if name in self.files and name != self.rest else self.rest][row], split=name)
            for name in PARTS
            for row in self.splits[name].index[rows[name]].tolist()
        ]

    @property
    def counts(self) -> dict[str, int]:
        return {name: len(some) for name, some in self.splits.items()}

    @property
    def class_counts(self) -> dict[str, list[int]]:
        return counts_of(self.splits, len(self.labels)) if self.labels else {}


def counts_of(splits: Mapping[str, Split], classes: int) -> dict[str, list[int]]:
    """Images of each class in each split."""
    return {
        name: [0] * classes if some.labels is None else np.bincount(some.labels, minlength=classes).tolist()
        for name, some in splits.items()
    }


def _blank(count: int, labels: np.ndarray | None) -> Part:
    """A part whose pixels nobody needs."""
    return Part(promised(count, 1, 1, 1), labels, Numbered("", np.arange(count)))


def first_answer(
    name: str,
    layout: Layout,
    recipe: ImportRecipe,
    wish: SampleWish,
    shape_of: Callable[[list[PlacedFile]], Generator[Item, None, Size]],
    attempt: Callable[[list[PlacedFile]], Attempt[Item]],
    between: tuple[Item, ...] = (),
    order: Sequence[str] = (),
) -> Generator[Item | Sampled | Step, None, None]:
    """Yields what a reader yields on its way, and at last a `Sampled` of the pictures of a layout; none where the whole is as quick.

    Args:
        shape_of, attempt: for some of the files, as `read_in_agreement` takes them for all.
        between: as there; also yielded behind the sample.
        order: of the classes, as `name_classes` takes it.
    """
    if recipe.frames == "clips":  # which images there are is known once all frames were looked at
        return
    try:
        plan = _Plan(name, layout, order)
    except BadData:
        return  # the reading of the whole will say so
    total = len(layout.files)
    size = min(FIRST, wish.images)
    started = time.perf_counter()
    while True:
        files = plan.sample(size)
        source = Source(name)
        shape = yield from _quietly(shape_of(files))
        kept = yield from _quietly(read_in_agreement(attempt(files), shape, source, recipe, between))
        spent = time.perf_counter() - started
        if wish.seconds is not None and spent / len(files) * total < WORTH_SECONDS:
            kept = []
        if not kept or size >= min(wish.images, total) or (wish.seconds is not None and spent * (1 + GROWTH) > wish.seconds):
            break
        size = min(size * GROWTH, wish.images)
        yield from between
    if kept:
        number_classes(source, kept, plan.labels)
        say_layout(source, layout)
        source.notes += [shown(note) for note in plan.notes]
        source.understood |= plan.told
        say_what_is_bad(source)
        yield Sampled(source, plan.counts, plan.class_counts)
    yield from between


def _quietly(steps: Generator[Item, None, Result]) -> Generator[Item | Step, None, Result]:
    """The same without its progress, which is not that of the whole."""
    try:
        while True:
            item = next(steps)
            yield Step(0, None, "image", "Reading a sample") if isinstance(item, Step) else item
    except StopIteration as end:
        return end.value
    finally:
        steps.close()


def thinned(source: Source, images: int) -> Sampled:
    """The same of a source that was read, where a reader gives no sample. Raises: BadData: too few images for a split."""
    bare = {name: replace(_blank(len(part.images), part.labels), groups=part.groups) for name, part in source.parts.items()}
    splits, _ = split(replace(source, parts=bare))
    rest = drawn_from(source)
    rows = sampled_rows(splits, images)
    parts = {}
    for name, some in splits.items():
        part = source.parts[name if name != rest and name in source.parts and len(source.parts[name].images) else rest]
        places = some.index[rows[name]]
        labels = None if some.labels is None else some.labels[rows[name]]
        parts[name] = Part(np.asarray(part.images[places]), labels, [part.names[int(place)] for place in places])
    understood = {"splits": "the data" if len(source.parts) > 1 else "none"} | source.understood
    few = replace(source, parts=parts, sizes=dict(source.sizes), notes=list(source.notes), understood=understood)
    counts = {name: len(some) for name, some in splits.items()}
    return Sampled(few, counts, counts_of(splits, len(source.classes)) if source.classes else {})
