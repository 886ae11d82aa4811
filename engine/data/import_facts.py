"""What a report says of how a set was understood: where its classes and splits are from, its values before and after, and warnings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from engine.common.counting import number_of
from engine.data.dataset import Source, Split
from engine.data.limits import LARGEST_SIDE
from engine.data.near_duplicates import NearCopies
from engine.data.recipe import ImportRecipe
from engine.data.twins import Copies
from engine.data.values import histogram_of_bytes
from engine.messages import DataWarning, ImportFacts, LeftOutFiles

HANDFUL = 5  # training images, below which a class can hardly be learned
UNEVEN = 10.0  # times as many images as the smallest class, from which on the largest is warned of
NAMED = 5  # classes in a sentence


def facts_of(source: Source, recipe: ImportRecipe, splits: Mapping[str, Split]) -> ImportFacts:
    """What was understood of a set of images, and which decisions can change it."""
    told, how, values = source.understood, source.preprocessing, source.values
    return ImportFacts(
        decisions=recipe.changed(),
        offered=tuple(told.get("offered", ())),
        classes_from=told.get("labels", "the data" if source.classes else "none") if source.classes else "none",
        splits_from=told.get("splits", "the data" if len(source.parts) > 1 else "none"),
        columns=_columns(told.get("columns", {})),
        group_columns=_columns(told.get("group_columns", {})),
        split_columns=tuple(told.get("split_columns", ())),
        levels=tuple(_words_of_level(level) for level in told.get("levels", ())),
        arrays=tuple(told.get("arrays", ())),
        class_level=told.get("class_level"),
        groups_from=told.get("groups", "none"),
        array=told.get("array", ""),
        original_classes=tuple(told.get("classes", source.classes)),
        left_out=tuple(
            LeftOutFiles(int(some["count"]), tuple(some["examples"]), some["reason"], tuple(some.get("keep", ())))
            for some in told.get("left_out", ())
        ),
        scale=how.scale,
        low=values.get("low"),
        high=values.get("high"),
        histogram=tuple(values.get("histogram", ())),
        counted=int(values.get("counted", 0)),
        histogram_after=tuple(histogram_of_bytes(split.images for split in splits.values())),
        background=how.background,
        fit=how.fit,
        largest_side=LARGEST_SIDE,
    )


def _columns(of: Mapping[str, list[str]]) -> tuple[str, ...]:
    """Table -> columns, or "" -> arrays, as a recipe names them."""
    return tuple(f"{table}:{column}" if table else column for table, some in of.items() for column in some)


def _words_of_level(level: Mapping[str, Any]) -> str:
    names, count = list(level["examples"]), int(level["folders"])
    return ", ".join(names) + (f" and {count - len(names):,} more" if count > len(names) else "")


def warnings_of(
    source: Source, counts: Mapping[str, Sequence[int]], copies: Copies | None = None, near: NearCopies | None = None
) -> tuple[DataWarning, ...]:
    """What a person should know before they train on it; `counts`: of the images of each class in each split, empty without classes."""
    found: list[DataWarning] = []
    if copies is not None and copies.across:
        images = "One test image is" if copies.across == 1 else f"{copies.across:,} test images are"
        found.append(DataWarning("leak", f"{images} pixel by pixel one for training or validation: the test figures will be too good."))
    found += [DataWarning("near_leak", words) for words in (near.leaks if near else ())]
    for words, name, value, offer in source.understood.get("doubts", ()):
        found.append(DataWarning("doubt", words, (name, value), offer))
    if source.understood.get("likely_group") == "folder":
        words = "Images of one folder around the classes may lie in several splits; if it is a patient or a source, "
        found.append(
            DataWarning("ungrouped", f"{words}the test figures would be too good.", ("group", "folder"), "Keep together by folder")
        )
    elif likely := source.understood.get("likely_group"):
        table, _, column = likely.rpartition(":")
        of = f" ({table})" if table else ""
        found.append(
            DataWarning(
                "ungrouped",
                f"Images of one “{column}”{of} may lie in several splits, and the test figures would then be too good.",
                ("group", likely),
                f"Keep together by {column}",
            )
        )
    if source.classes and counts:
        found += _of_classes(source.classes, {name: np.array(some, np.int64) for name, some in counts.items()})
    bands = [bad for bad in source.bad if "four bands" in bad.reason]
    if bands:
        files = "One file has" if len(bands) == 1 else f"{len(bands):,} files have"
        found.append(DataWarning("bands", f"{files} four bands and were left out; say above whether the fourth is transparency."))
    return tuple(found)


def _of_classes(classes: tuple[str, ...], counts: Mapping[str, np.ndarray]) -> list[DataWarning]:
    train, found = counts["train"], []
    absent = [name for name, count in zip(classes, train, strict=True) if not count]
    if absent:
        where = [part for part, word in (("valid", "validation"), ("test", "test")) if any(counts[part][train == 0])]
        parts = " and ".join({"valid": "validation", "test": "test"}[part] for part in where) or "no part"
        found.append(
            DataWarning(
                "test_only",
                f"{_named(absent)} {'is' if len(absent) == 1 else 'are'} in {parts} only: no training image shows {_it(absent)}.",
            )
        )
    few = [name for name, count in zip(classes, train, strict=True) if 0 < count < HANDFUL]
    if few:
        found.append(DataWarning("few", f"{_named(few)} {'has' if len(few) == 1 else 'have'} fewer than {HANDFUL} training images."))
    there = train[train > 0]
    if len(there) > 1 and there.max() >= UNEVEN * there.min():
        most, least = int(train.argmax()), int(np.where(train > 0, train, train.max() + 1).argmin())
        ratio = f"{there.max() / there.min():.0f}"
        found.append(
            DataWarning(
                "imbalance", f"The largest class (“{classes[most]}”) has {ratio} times as many training images as “{classes[least]}”."
            )
        )
    return found


def _named(names: list[str]) -> str:
    words = ", ".join(f"“{name}”" for name in names[:NAMED])
    more = f" and {number_of(len(names) - NAMED, 'more class', 'more classes')}" if len(names) > NAMED else ""
    return f"{words}{more}"


def _it(names: list[str]) -> str:
    return "it" if len(names) == 1 else "them"
