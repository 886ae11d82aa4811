"""Which images are trained on. The same content always gives the same split."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from engine.common.counting import number_of, was_or_were
from engine.data.dataset import BadData, Chosen, DataSet, JoinedSplits, Part, Source, Split
from engine.data.fingerprints import rows_at_once
from engine.data.limits import MIN_IMAGES
from engine.data.storage import room_for

SPLIT_SEED = 20_260_101
TEST_SHARE = 0.1
VALID_SHARE = 0.1
MOST_VALID = 2_000
DIVISION = 2  # how splits are drawn: 2 keeps near duplicates together; in the key of what is kept of the images of a split
MOST_MOVED = 0.5  # of a drawn split may go to training with their near duplicates; beyond that it is drawn anew


def draw(count: int, take: int, labels: np.ndarray | None) -> np.ndarray:
    """`take` of `count` indices int64 [take], sorted: drawn with a fixed seed, each class of labels [count] by its share (within one
    image).
    """
    order = np.random.default_rng(SPLIT_SEED).permutation(count)
    if labels is not None:
        order = order[np.argsort(labels[order], kind="stable")]
    return np.sort(order[_places(count, take)])


def spread(split: Split | JoinedSplits, take: int | None) -> np.ndarray:
    """Indices int64 [n], sorted, of a limited look at a split: all of it, or `take` images drawn over the whole of it with a fixed seed.

    Each class, and each group within it, comes in by its share (within one image), whatever the order on the disk.
    """
    count = len(split)
    if take is None or take >= count:
        return np.arange(count)
    if split.groups is None or take <= 0:
        return draw(count, max(0, take), split.labels)
    order = np.random.default_rng(SPLIT_SEED).permutation(count)
    _, first, group = np.unique(split.groups[order], return_index=True, return_inverse=True)
    order = order[np.argsort(first[group.reshape(-1)], kind="stable")]  # groups in the order of their first image, each of them together
    if split.labels is not None:
        order = order[np.argsort(split.labels[order], kind="stable")]
    return np.sort(order[_places(count, take)])


def all_images(data: DataSet) -> JoinedSplits:
    """Training, validation and test images of a data set in one, for a model that was trained on none of them."""
    return JoinedSplits([data.splits[name] for name in ("train", "valid", "test")])


def _places(count: int, take: int) -> np.ndarray:
    """`take` of the places 0 … count - 1 at equal distances, int64 [take]."""
    return ((np.arange(take) + 0.5) * count / take).astype(np.int64)


def draw_whole_groups(take: int, labels: np.ndarray | None, groups: np.ndarray) -> np.ndarray:
    """Indices int64 [n], sorted, of about `take` images that part none of `groups` [N]: drawn with a fixed seed, each class of labels [N]
    by its share (within one group). The same as `draw` where that parts none; empty where all images are of one group.
    """
    count = len(groups)
    drawn = draw(count, take, labels)
    if not parted(groups, drawn):
        return drawn
    order = np.random.default_rng(SPLIT_SEED).permutation(count)
    _, first, number, sizes = np.unique(groups[order], return_index=True, return_inverse=True, return_counts=True)
    if len(sizes) == 1:
        return np.zeros(0, np.int64)
    group = np.empty(count, np.int64)
    group[order] = number.reshape(-1)
    kinds = np.zeros(len(sizes), np.int64) if labels is None else labels[order[first]]
    rows = np.lexsort((first, -sizes, kinds))  # class by class, the largest groups first, so that small ones make up for them
    due = np.diff(np.searchsorted(_places(count, take), np.cumsum(sizes[rows])), prepend=0)  # images of each group that `draw` would take
    usual = int(np.median(sizes))
    taken, credit, kind = [], 0, -1
    for row, more in zip(rows.tolist(), due.tolist(), strict=True):
        if kinds[row] != kind:  # what a class of few large groups could not give, another one does not give for it
            kind, credit = kinds[row], min(credit, usual - 1)
        credit += more
        if credit >= sizes[row]:
            taken.append(row)
            credit -= int(sizes[row])
    if not taken:
        most = np.bincount(kinds, weights=sizes)[kinds]
        taken = [int(np.lexsort((first, -most, sizes))[0])]  # a smallest group of the largest class
    return np.flatnonzero(np.isin(group, taken))


def parted(groups: np.ndarray, chosen: np.ndarray) -> bool:
    """Whether some of the images of one of `groups` [N] are among the `chosen` indices and some are not."""
    inside = np.zeros(len(groups), bool)
    inside[chosen] = True
    return len(np.intersect1d(groups[inside], groups[~inside])) > 0


def drawn_from(source: Source) -> str:
    """The name of the part that missing splits are drawn from; the training images are what is left of it."""
    return next(name for name in ("train", "all", "test", "valid") if name in source.parts)


def parts_of_splits(source: Source) -> dict[str, str]:
    """For each split the name of the part that its images are from."""
    rest = drawn_from(source)
    return {name: name if name in source.parts and len(source.parts[name].images) else rest for name in ("train", "valid", "test")}


def split(source: Source, *, parting: bool = False) -> tuple[dict[str, Split], list[str]]:
    """Train, valid and test from the parts of a source, with notes that say how. Which images they hold is told by their `index`; the
    pixels of what was drawn stay where they are until `with_pixels`.

    The source's own test and valid parts are kept; a missing one is drawn from the rest: a tenth, at least one image,
    for valid at most 2,000. No draw parts a group of images, unless it is `parting`, as all were in version 0.2.

    Raises:
        BadData: there are too few images.
    """
    total = sum(len(part.images) for part in source.parts.values())
    if total < MIN_IMAGES:
        have = {0: "no image", 1: "only one image"}.get(total, f"only {number_of(total, 'image')}")
        raise BadData(f"“{source.name}” has {have} that can be used, and a data set needs at least {MIN_IMAGES}; add more images.")
    notes = []
    parts = dict(source.parts)
    rest = parts.pop(drawn_from(source))
    left = np.arange(len(rest.images))
    splits = {name: _take(part, np.arange(len(part.images))) for name, part in parts.items() if len(part.images)}
    for name, share, most in (("test", TEST_SHARE, total), ("valid", VALID_SHARE, MOST_VALID)):
        if name in splits:
            continue
        if len(left) < 2:
            raise BadData(f"“{source.name}” has too few training images to keep some for validation; add more images.")
        take = min(max(1, round(len(left) * share)), most)
        labels = None if rest.labels is None else rest.labels[left]
        groups = None if rest.groups is None or parting else rest.groups[left]
        drawn = draw(len(left), take, labels) if groups is None else draw_whole_groups(take, labels, groups)
        what = "test" if name == "test" else "validation"
        if not len(drawn):
            drawn = draw(len(left), take, labels)
            alone = f"images of one {source.grouped_by}" if source.grouped_by else "copies of one image"
            held = "images that belong to training images" if source.grouped_by else "copies of training images"
            notes.append(f"Only {alone} were left to draw from, so {what} holds {held}: its figures mean little.")
        splits[name] = _take(rest, left[drawn])
        left = np.delete(left, drawn)
        by_class = "" if rest.labels is None else ", each class by its share"
        alike = f"images of one {source.grouped_by} together" if source.grouped_by else "copies of one image together"
        together = "" if groups is None else f", {alike}"
        notes.append(
            f"{number_of(len(drawn), 'image')} {was_or_were(len(drawn))} drawn for {what} with a fixed seed{by_class}{together}; "
            "never trained on."
        )
    splits["train"] = _take(rest, left)
    return {name: splits[name] for name in ("train", "valid", "test")}, notes


def keep_near_together(source: Source, splits: dict[str, Split], groups: dict[str, np.ndarray]) -> tuple[dict[str, Split], list[str], bool]:
    """(The splits with no near duplicate of a training image among what was drawn, notes, whether they had to be drawn anew).

    Held-out images that were drawn go to training where one of their group (of each part int64 [N]) is in another split. So what is held
    out is part of what was held out before, and a run that was trained on the splits as they were has seen none of it.
    """
    name = drawn_from(source)
    drawn = [split for split in ("valid", "test") if split == name or not len(source.parts.get(split, Part(np.zeros(0), None, ())).images)]
    rest, number = source.parts[name], groups[name]
    home = np.zeros(len(rest.images), np.int64)  # 0 train, 1 valid, 2 test
    for place, split_name in enumerate(drawn, 1):
        home[splits[split_name].index] = place
    _, number = np.unique(number, return_inverse=True)
    number = number.reshape(-1)
    lowest, highest = np.full(int(number.max(initial=0)) + 1, 9), np.zeros(int(number.max(initial=0)) + 1, np.int64)
    np.minimum.at(lowest, number, home)
    np.maximum.at(highest, number, home)
    moved = (lowest != highest)[number] & (home > 0)
    if not moved.any():
        return splits, [], False
    if any(moved[splits[one].index].mean() > MOST_MOVED for one in drawn):
        parts = {part: replace(some, groups=groups[part]) for part, some in source.parts.items()}
        anew, notes = split(replace(source, parts=parts))
        return anew, [*notes, "Near duplicates are so many that whole groups of them were drawn."], True
    count = int(moved.sum())
    home[moved] = 0
    result = dict(splits)
    for place, split_name in enumerate(("train", *drawn)):
        result[split_name] = _take(rest, np.flatnonzero(home == place))
    images = "image that was drawn is" if count == 1 else "images that were drawn are"
    return (
        result,
        [f"{count:,} {images} nearly the same as one of another split and went to training."],
        False,
    )


def _take(part: Part, index: np.ndarray) -> Split:
    whole = len(index) == len(part.images)
    images = part.images if whole else np.broadcast_to(np.uint8(0), (len(index), *part.images.shape[1:]))  # without memory
    labels = None if part.labels is None else part.labels[index]
    groups = None if part.groups is None else part.groups[index]
    before = None if part.before is None else part.before[index]
    return Split(images, labels, part.names if whole else Chosen(part.names, index), index, groups, before)


def with_pixels(source: Source, splits: dict[str, Split], in_place: bool) -> dict[str, Split]:
    """The splits with their images. Those of one part stay in its memory, one split after the other, where that may be changed
    (`in_place`): a set takes the memory of its pixels once. The parts of the source are then no longer what they were.
    """
    mine = parts_of_splits(source)
    result = dict(splits)
    for part_name, part in source.parts.items():
        names = [name for name in splits if mine[name] == part_name]
        index = {name: splits[name].index for name in names}
        if len(names) == 1 and len(index[names[0]]) == len(part.images):
            images = {names[0]: part.images}
        elif in_place and part.images.flags.writeable and all((np.diff(rows) > 0).all() for rows in index.values()):
            images = _moved_together(part.images, index)
        else:
            images = {name: _gathered(part.images, rows) for name, rows in index.items()}
        result |= {name: replace(splits[name], images=images[name]) for name in names}
    return result


def _moved_together(images: np.ndarray, index: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The rows `index` (each int64 [n], rising, no row in two) of images [N, C, H, W], each a stretch of the same memory.

    The largest moves towards the beginning, which overwrites nothing of its own that is still to be moved; the others step aside.
    """
    first, *others = sorted(index, key=lambda name: -len(index[name]))
    aside = {name: _gathered(images, index[name]) for name in others}
    found = {first: _gathered(images, index[first], images)}
    place = len(index[first])
    for name, some in aside.items():
        found[name] = images[place : place + len(some)]
        found[name][:] = some
        place += len(some)
    return found


def _gathered(images: np.ndarray, rows: np.ndarray, into: np.ndarray | None = None) -> np.ndarray:
    """Rows int64 [n] of images [N, C, H, W], at the beginning of `into` or in room of their own."""
    room = room_for((len(rows), *images.shape[1:])) if into is None else into[: len(rows)]
    size = rows_at_once(images)
    for start in range(0, len(rows), size):
        room[start : start + size] = images[rows[start : start + size]]
    return room


def text_spans(text: bytes) -> dict[str, tuple[int, int]]:
    """(start, end) in bytes of each split of a text: the last tenth is the test, the twentieth of the rest before it validates.

    No border cuts a character of UTF-8.
    """
    count = len(text)
    test = _whole(text, count - max(1, round(count * TEST_SHARE)))
    valid = _whole(text, test - max(1, round(test * 0.05)))
    return {"train": (0, valid), "valid": (valid, test), "test": (test, count)}


def _whole(text: bytes, border: int) -> int:
    """The border, moved to where a character begins: at most three bytes of UTF-8 go on with one."""
    for _ in range(3):
        if border < len(text) and text[border] & 0xC0 == 0x80:
            border += 1
    return border
