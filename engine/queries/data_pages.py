"""What the Data pane asks: pages of a data set."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from engine import messages as m
from engine.data import DataSet, adapt, picture_from_array
from engine.queries.answers import answers
from engine.queries.session import CannotAnswer, QuerySession
from engine.storage.run_folders import BadRun
from engine.storage.run_reader import Run


@answers(m.BrowseData)
def browse_data(session: QuerySession, query: m.BrowseData) -> m.DataPage:
    """Some images uint8 [n, C, H, W] of a split, or some bytes of a text. Raises: BadData, BadRun, CannotAnswer."""
    data = session.data(query.data)
    head = {name: getattr(query, name) for name in ("stamp", "channel", "data", "split", "offset")}
    if data.kind == "text":
        start, end = data.spans[query.split]
        page = (data.text or b"")[start:end][query.offset : query.offset + query.count]
        no_images = np.zeros((0, 1, 1, 1), np.uint8)
        text = page.decode("utf-8", "replace")
        return m.DataPage(**head, total=end - start, images=no_images, labels=(), names=(), indices=(), text=text)
    places, total = _page(data, query)
    split = data.splits[query.split]
    images = np.asarray(split.images[places])
    notes: tuple[str, ...] = ()
    if query.seen_by is not None:
        images, notes = _seen_by(query.seen_by, images)
    return m.DataPage(
        **head,
        total=total,
        images=images,
        labels=() if split.labels is None else tuple(data.classes[int(split.labels[i])] for i in places),
        names=tuple(split.names[int(i)] for i in places),
        indices=tuple(int(i) for i in places),
        notes=notes,
    )


@answers(m.ClassExamples)
def class_examples(session: QuerySession, query: m.ClassExamples) -> m.ClassExamplesFound:
    """Images uint8 [n, C, H, W], at most `each` of every row. Raises: BadData, CannotAnswer."""
    data = _sample(session, query.data) if query.sample else session.data(query.data)
    found, counts = [np.zeros((0, *(data.shape or (1, 1, 1))), np.uint8)], []
    for split_name, label in query.rows:
        split = data.splits[split_name]
        places = np.arange(len(split)) if label < 0 or split.labels is None else np.flatnonzero(np.asarray(split.labels) == label)
        spread = np.unique(np.linspace(0, len(places) - 1, min(len(places), query.each)).astype(np.int64)) if len(places) else places
        found.append(split.take(places[spread]))
        counts.append(len(spread))
    return m.ClassExamplesFound(
        stamp=query.stamp, channel=query.channel, data=query.data, rows=query.rows, counts=tuple(counts), images=np.concatenate(found)
    )


def _sample(session: QuerySession, name: str) -> DataSet:
    """The newest first answer. Raises: CannotAnswer: it was of another set."""
    if session.sample is None or session.sample.data != name:
        raise CannotAnswer("The sample is not there any more; read the set again.")
    return session.sample


def _page(data: DataSet, query: m.BrowseData) -> tuple[np.ndarray, int]:
    """Places of the page's images in their split, and how many there are on all pages."""
    split = data.splits[query.split]
    places = np.arange(len(split.images))
    if query.label is not None and split.labels is not None:
        places = np.flatnonzero(np.asarray(split.labels) == query.label)
    return places[query.offset : query.offset + query.count], len(places)


def _seen_by(path: str, images: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
    """Images uint8 [n, C, H, W] as a run's network sees them, and how they were adapted. No weights are needed, so none are loaded.

    Raises:
        BadRun, CannotAnswer: one sentence.
    """
    run = Run.open(Path(path))
    manifest = run.manifest
    if manifest is None:
        raise BadRun(f"{run.name} has no readable manifest; choose another run.")
    if manifest.kind != "images":
        raise CannotAnswer(f"{run.name} learns from {manifest.kind} and sees no images; choose another run.")
    found = [adapt(picture_from_array(image.transpose(1, 2, 0)), tuple(manifest.shape)) for image in images]
    return (np.stack([image for image, _ in found]), found[0][1]) if found else (images, ())
