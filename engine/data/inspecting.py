"""From what the user named to a data set with its report: read, adapt, split, hash, count, look for duplicates."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Generator, Iterator
from dataclasses import replace

import numpy as np

from engine.common.counting import number_of
from engine.common.user_folders import person_path
from engine.data import builtin
from engine.data.confined import summary_of
from engine.data.curating import curate
from engine.data.curation import carried_state
from engine.data.dataset import BadData, DataSet, FirstAnswer, Sampled, SampleWish, Source, Split, Step, size_in_words
from engine.data.fingerprints import chunks, rows_at_once
from engine.data.grouping import torn_groups
from engine.data.import_facts import facts_of, warnings_of
from engine.data.listing import decided_in_words
from engine.data.near_duplicates import NearPairs, bound_groups, find_near_duplicates, near_copies_of
from engine.data.opening import read_source
from engine.data.pictures import Picture, adapt, network_shape, notes_of_cost
from engine.data.pixel_facts import PixelFacts
from engine.data.preprocessing import Preprocessing
from engine.data.readers import reader_for
from engine.data.recipe import ImportRecipe, parted_name, with_recipe
from engine.data.sampled import PARTS, WORTH_SECONDS, thinned
from engine.data.splits import keep_near_together, parts_of_splits, split, text_spans, with_pixels
from engine.data.storage import room_for
from engine.data.twins import copies_of, find_twins, group
from engine.messages import DataInfo, DataReport, DataWarning, Progress

REPORT_SECONDS = 0.015  # between two events of progress
_LOOKED_INTO = ("arrays", "idx")  # readers whose summary takes more than names
SAMPLE_BYTES = 2_000  # of a text, shown in the report
ABSENT_LISTED = 5  # classes without a training image, named in a note


def inspect(
    data: str, job: str = "", *, size: int | None = None, colour: str | None = None, wish: SampleWish | None = None
) -> Iterator[Progress | FirstAnswer | DataSet]:
    """A job: reads a built-in set, a file or a folder; yields progress and, last, the data set.

    Args:
        data: “digits”, “shapes:50000”, a file or a folder.
        size: pixels of both sides that images become; None takes theirs, up to 64.
        colour: “grey” or “colour”; None takes theirs.
        wish: a first answer that is yielded on the way; without a limit of time it is yielded however small the set is.

    Raises:
        BadData: one sentence.
    """
    steps = _data_set(data, size, colour, wish)
    started = reported = time.perf_counter()
    while True:
        try:
            step = next(steps)
        except StopIteration as end:
            yield end.value
            return
        except OSError as error:
            raise BadData(f"“{data}” could not be read ({error.strerror or error}); check the path and its permissions.") from error
        except MemoryError:
            raise BadData(f"“{data}” does not fit into this computer’s memory; use a part of it.") from None
        if isinstance(step, FirstAnswer):
            yield step
            continue
        now = time.perf_counter()
        if now - reported >= REPORT_SECONDS:
            reported = now
            rate = step.done / (now - started)
            left = (step.total - step.done) / rate if step.total and rate else None
            yield Progress(job, "", step.done, step.total, step.unit, rate, left, step.note)


def open_data(data: str, *, size: int | None = None, colour: str | None = None) -> DataSet:
    """The data set at once, without progress. Raises BadData: one sentence."""
    for item in inspect(data, size=size, colour=colour):
        if isinstance(item, DataSet):
            return item
    raise AssertionError("inspect ends with a data set")


def first_answer_of(data: str, images: int) -> Iterator[Progress | FirstAnswer | DataSet]:
    """A job that ends with the first answer, from a sample of so many images; with the data set itself where it is a text.

    Raises:
        BadData: one sentence.
    """
    for item in inspect(data, wish=SampleWish(images)):
        yield item
        if isinstance(item, FirstAnswer):
            return


def lasting(data: str) -> str:
    """A data set's name that holds in every folder: a path becomes absolute, a built-in name stays."""
    path, recipe = parted_name(data)
    return data if builtin.is_built_in(data) else with_recipe(os.path.abspath(os.path.expanduser(path)), recipe)


def describe_data(data: str) -> DataInfo:
    """What the list of data sets says; cheap, and it never raises."""
    if builtin.is_built_in(data):
        info = next(info for info in builtin.built_in() if info.data == data.split(":")[0])
        number = data.partition(":")[2]
        summary = f"{number} · {info.summary.partition(' · ')[2]}"
        return DataInfo(data, data, info.kind, summary, True, has=info.has, grey=info.grey) if number else info
    try:
        where, _ = parted_name(data)
        path = person_path(where)
    except BadData as error:
        return DataInfo(data, data, "images", f"cannot be read: {error}")
    name = path.name or where
    try:
        reader = reader_for(path)
        which = reader.__name__.rpartition(".")[2]
        words = summary_of(which, path) if which in _LOOKED_INTO else reader.summary(path)
        decided = decided_in_words(data)
        kind = "text" if which == "text" else "images"
        return DataInfo(data, name, kind, " · ".join(filter(None, (words, decided))), decided=decided)
    except (BadData, OSError) as error:
        return DataInfo(data, name, "images", f"cannot be read: {error}")


def _data_set(data: str, size: int | None, colour: str | None, wish: SampleWish | None) -> Generator[Step | FirstAnswer, None, DataSet]:
    started = time.perf_counter()
    path, recipe = parted_name(data)
    recipe = replace(recipe, size=size or recipe.size, colour=colour or recipe.colour)
    steps, wanted = _source(path, recipe, wish), wish
    try:
        while True:
            step = next(steps)
            if isinstance(step, Sampled):
                wanted = None
                yield from _first_answer(data, step, recipe, started)
            else:
                yield step
    except StopIteration as end:
        source: Source = end.value
    finally:
        steps.close()
    if source.text is not None:
        return _text_set(data, source, started)
    if wanted is not None and (wanted.seconds is None or time.perf_counter() - started > WORTH_SECONDS):
        yield from _first_answer(data, thinned(source, wanted.images), recipe, started)
    shape = yield from _fit(source, recipe)
    curated = None
    if recipe.curation:
        curated = curate(source, carried_state(path, recipe.curation), shape)
        yield Step(0, None, "image")
    source.notes += notes_of_cost(shape, sum(len(part.images) for part in source.parts.values()))
    twins = yield from find_twins(source.parts)
    torn = torn_groups(source, None if curated is None else curated.kept)
    group(source.parts, twins)
    splits, notes = split(source)
    yield Step(0, None, "image")
    digest = yield from _hash(source, splits, shape)
    former = ""
    if any(part.groups is not None for part in source.parts.values()):
        before, _ = split(source, parting=True)
        if any(not np.array_equal(before[name].index, splits[name].index) for name in splits):
            former = yield from _hash(source, before, shape)
    near = NearPairs() if builtin.is_built_in(path) else (yield from find_near_duplicates(source.parts, twins))
    if near_groups := bound_groups(source.parts, near, twins):
        splits, said, redrawn = keep_near_together(source, splits, near_groups)
        notes = said if redrawn else notes + said
        if redrawn:
            former, digest = digest, (yield from _hash(source, splits, shape))
    if curated is not None:
        splits = curated.of(source, splits)
        former, digest = "", (yield from _hash(source, splits, shape))
    splits = with_pixels(source, splits, in_place=not builtin.is_built_in(path))
    copies, near_copies = copies_of(source, splits, twins), near_copies_of(source, splits, near)
    notes += torn + copies.notes + near_copies.notes + _absent(splits["train"], source.classes)
    class_counts = {name: _class_counts(some, len(source.classes)) for name, some in splits.items() if source.classes}
    labelled = {} if splits["train"].labels is None else class_counts
    report = DataReport(
        job="",
        data=data,
        name=source.name,
        kind="images",
        shape=shape,
        counts={name: len(some) for name, some in splits.items()},
        classes=source.classes,
        class_counts=class_counts,
        sizes=source.sizes,
        bad=tuple(source.bad),
        bad_total=source.bad_total,
        duplicates=copies.count,
        duplicate_examples=copies.examples,
        across_splits=copies.across,
        near_duplicates=near_copies.count,
        near_examples=near_copies.examples,
        near_across_splits=near_copies.across,
        notes=(*source.notes, *notes),
        hash=digest,
        seconds=time.perf_counter() - started,
        understood=facts_of(source, recipe, splits),
        warnings=(*warnings_of(source, labelled, copies, near_copies), *(DataWarning("leak", words) for words in torn)),
    )
    return DataSet(
        data,
        source.name,
        "images",
        shape,
        source.classes,
        splits,
        digest,
        report,
        source.factors,
        former_hash=former,
        captioned=source.captioned,
        preprocessing=source.preprocessing,
        values=source.values,
        understood=source.understood,
    )


def _first_answer(data: str, sampled: Sampled, recipe: ImportRecipe, started: float) -> Generator[Step | FirstAnswer, None, None]:
    """A sample as a data set, with the counts of the whole in its report."""
    source = sampled.source
    shape = yield from _fit(source, recipe)
    empty = np.zeros((0, *shape), np.uint8)
    splits = {name: Split(empty, None if not source.classes else np.zeros(0, np.int64), (), np.arange(0)) for name in PARTS}
    for name, part in source.parts.items():
        splits[name] = Split(part.images, part.labels, part.names, np.arange(len(part.images)))
    images, total = sum(len(some) for some in splits.values()), sum(sampled.counts.values())
    said = f"From a sample of {number_of(images, 'image')} of {total:,}; their number and classes are told from names and tables, "
    said += "where files that cannot be read still count."
    later = ["What was decided about single images is followed when all are read."] if recipe.curation else []
    pages = ["Pages are counted when all are read."] if recipe.pages == "all" else []
    report = DataReport(
        job="",
        data=data,
        name=source.name,
        kind="images",
        shape=shape,
        counts=sampled.counts,
        classes=source.classes,
        class_counts={name: tuple(some) for name, some in sampled.class_counts.items()},
        sizes=source.sizes,
        bad=tuple(source.bad),
        bad_total=source.bad_total,
        duplicates=0,
        duplicate_examples=(),
        across_splits=0,
        notes=(said, *source.notes, *later, *pages),
        hash="",
        seconds=time.perf_counter() - started,
        understood=facts_of(source, recipe, splits),
        warnings=warnings_of(source, sampled.class_counts),
        sampled=images,
    )
    yield FirstAnswer(
        DataSet(
            data,
            source.name,
            "images",
            shape,
            source.classes,
            splits,
            "",
            report,
            preprocessing=source.preprocessing,
            values=source.values,
            understood=source.understood,
        )
    )


def _source(data: str, recipe: ImportRecipe, wish: SampleWish | None) -> Generator[Step | Sampled, None, Source]:
    if builtin.is_built_in(data):
        return (yield from builtin.read(data))
    if not data.strip() or "\0" in data:
        raise BadData("No data set was named; give a built-in one such as “digits”, or the path of a file or folder.")
    path = person_path(data)
    if not path.exists():
        names = ", ".join(info.data for info in builtin.built_in())
        raise BadData(f"There is no file or folder “{data}”; check the path, or use a built-in data set ({names}).")
    return (yield from read_source(path, recipe, wish))


def _text_set(data: str, source: Source, started: float) -> DataSet:
    text = source.text or b""
    spans = text_spans(text)
    digest = hashlib.sha256(text).hexdigest()
    note = "The last tenth of the text is the test, the twentieth before it validates; both are never trained on."
    report = DataReport(
        job="",
        data=data,
        name=source.name,
        kind="text",
        shape=(),
        counts={name: end - start for name, (start, end) in spans.items()},
        classes=(),
        class_counts={},
        sizes={},
        bad=(),
        bad_total=0,
        duplicates=0,
        duplicate_examples=(),
        across_splits=0,
        notes=(*source.notes, note),
        hash=digest,
        text_sample=text[:SAMPLE_BYTES].decode("utf-8", "replace"),
        seconds=time.perf_counter() - started,
    )
    return DataSet(data, source.name, "text", (), (), {}, digest, report, text=text, spans=spans)


def _fit(source: Source, recipe: ImportRecipe) -> Generator[Step, None, tuple[int, int, int]]:
    """Bring all parts to one shape that networks take; what was done goes into the notes."""
    if not source.sizes:
        for part in source.parts.values():
            words = size_in_words(part.images.shape[1:])
            source.sizes[words] = source.sizes.get(words, 0) + len(part.images)
    first = next((part.images for part in source.parts.values() if len(part.images)), None)
    if first is None:
        return 1, 0, 0
    shape = network_shape(first.shape[1:], recipe.size, recipe.colour or None)
    if first.shape[1:] != shape:
        fits, _ = PixelFacts().agreed(recipe, [first.shape[1:]], shape)
        source.preprocessing = replace(source.preprocessing, fit=fits.fit, pad=fits.pad)
    for part in source.parts.values():
        if part.images.shape[1:] != shape and len(part.images):
            if part.before is not None:
                flat, _ = yield from _adapted(part.before.reshape(-1, *part.images.shape[1:]), shape, source.preprocessing)
                part.before = flat.reshape(*part.before.shape[:2], *shape)
            part.images, notes = yield from _adapted(part.images, shape, source.preprocessing)
            source.notes += [f"All images: {note}" for note in notes if f"All images: {note}" not in source.notes]
    return shape


def _adapted(
    originals: np.ndarray, shape: tuple[int, int, int], how: Preprocessing
) -> Generator[Step, None, tuple[np.ndarray, tuple[str, ...]]]:
    count = len(originals)
    images = room_for((count, *shape))
    notes: tuple[str, ...] = ()
    for i, pixels in enumerate(originals):
        images[i], notes = adapt(Picture(np.ascontiguousarray(pixels.transpose(1, 2, 0)), (), how), shape)
        if i % 16 == 0:
            yield Step(i, count, "image", "Scaling")
    return images, notes


def _hash(source: Source, splits: dict[str, Split], shape: tuple[int, ...]) -> Generator[Step, None, str]:
    """SHA-256 over shape, split sizes, pixels, the frames before them and labels. The pixels are those of the source's parts."""
    digest = hashlib.sha256(repr(shape).encode())
    total = sum(len(some) for some in splits.values())
    done = 0
    parts = parts_of_splits(source)
    for name, some in splits.items():
        digest.update(f"{name} {len(some)}".encode())
        images = source.parts[parts[name]].images
        size = rows_at_once(images)
        for start in range(0, len(some), size):
            chunk = np.ascontiguousarray(images[some.index[start : start + size]])
            digest.update(chunk)
            done += len(chunk)
            yield Step(done, total, "image", "Hashing")
        if some.before is not None:
            for chunk in chunks(some.before):
                digest.update(chunk)
                yield Step(done, total, "image", "Hashing")
        if some.labels is not None:
            digest.update(np.ascontiguousarray(some.labels, dtype="<i8"))
    return digest.hexdigest()


def _absent(train: Split, classes: tuple[str, ...]) -> list[str]:
    """A note where the only images of a class are in validation or test."""
    counts = _class_counts(train, len(classes)) if classes and train.labels is not None else ()
    absent = [f"“{name}”" for name, count in zip(classes, counts, strict=False) if count == 0]
    if not absent:
        return []
    more = f" and {len(absent) - ABSENT_LISTED:,} more" if len(absent) > ABSENT_LISTED else ""
    return [f"No training image shows {', '.join(absent[:ABSENT_LISTED])}{more}: the few there are were kept for validation or test."]


def _class_counts(some: Split, classes: int) -> tuple[int, ...]:
    labels = np.zeros(0, np.int64) if some.labels is None else some.labels
    return tuple(int(n) for n in np.bincount(labels, minlength=classes))
