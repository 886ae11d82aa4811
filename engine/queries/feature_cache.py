"""Which images of a data set a checkpoint is asked about, what its network sees of them, and its features of them. All is kept a while."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from engine import messages as m
from engine.data import BadData, DataSet, adapt, lasting, picture_from_array
from engine.detectors.base import FEATURES_AT_ONCE
from engine.evaluation.linear_probe import features_of
from engine.queries.scoring import Scoring, adapted, spread
from engine.queries.session import CannotAnswer, Model, QuerySession, identity
from engine.storage.run_folders import BadRun

CHOSEN_KEPT = 3  # sets of images
SEEN_KEPT = 8  # their features at checkpoints
KEPT_BYTES = 2**30  # of each kind
TELL_SECONDS = 0.1  # between two reports of progress

Job = Generator[m.Event | None, None, str | None]
Result = TypeVar("Result")
Part = Generator[m.Event | None, None, Result]


@dataclass(frozen=True, eq=False)
class Chosen:
    """Images of a data set, as networks of one shape see them. Point i is image `indices[i]` of the split."""

    key: tuple[Any, ...]
    hash: str  # of the data set
    images: np.ndarray  # uint8 [N, C, H, W]
    indices: np.ndarray  # int64 [N]
    labels: np.ndarray | None  # int64 [N]
    classes: tuple[str, ...]
    names: tuple[str, ...]
    note: str  # how they were adapted

    @property
    def judged(self) -> np.ndarray | None:
        """The labels, where there is more than one class."""
        return self.labels if len(self.classes) > 1 else None


@dataclass(eq=False)
class Seen:
    """A checkpoint's features of chosen images."""

    key: tuple[Any, ...]  # the first is the weights' content
    subset: m.Subset
    chosen: Chosen
    features: Tensor  # float32 [N, D]
    near: dict[int, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)  # k -> exact neighbours int64 [N, k], distances
    vote: float | None = None  # accuracy of the neighbours' vote

    def arrays(self) -> list[Any]:
        return [self.features, *(array for pair in self.near.values() for array in pair)]


class Kept(OrderedDict[Any, Result]):
    """The newest `most` of their kind, fewer where the arrays they hold are together larger than KEPT_BYTES; one at least."""

    def __init__(self, most: int, arrays: Callable[[Result], Iterable[Any]]) -> None:
        super().__init__()
        self.most, self.arrays = most, arrays

    @property
    def bytes(self) -> int:
        """An array that several share counts once."""
        return sum({id(array): array.nbytes for value in self.values() for array in self.arrays(value)}.values())

    def keep(self, key: Any, value: Result) -> Result:
        self[key] = value
        self.move_to_end(key)
        while len(self) > self.most or (len(self) > 1 and self.bytes > KEPT_BYTES):
            self.popitem(last=False)
        return value


class Stage:
    """Progress of one stage of a job, a few times per second."""

    def __init__(self, work: m.Work, run: str, total: int, unit: str, note: str) -> None:
        self.job, self.run, self.total, self.unit, self.note = work.job, run, total, unit, note
        self.started, self.told = time.perf_counter(), 0.0

    def __call__(self, done: int, note: str = "") -> m.Progress | None:
        now = time.perf_counter()
        if now - self.told < TELL_SECONDS:
            return None
        self.told = now
        rate = done / max(1e-9, now - self.started)
        left = (self.total - done) / rate if done else None
        return m.Progress(self.job, self.run, done, self.total, self.unit, rate, left, note or self.note)


def telling(part: Generator[int, None, Result], stage: Stage) -> Part[Result]:
    """Run a part of a job; what it yields is how much is done."""
    while True:
        try:
            done = next(part)
        except StopIteration as end:
            return end.value
        yield stage(done)


class FeatureCache:
    """The images and features that the jobs of one explorer share."""

    def __init__(self, session: QuerySession) -> None:
        self.session = session
        self.scoring = Scoring(session)
        self._chosen: Kept[Chosen] = Kept(CHOSEN_KEPT, lambda chosen: [chosen.images])
        self._seen: Kept[Seen] = Kept(SEEN_KEPT, Seen.arrays)

    def model(self, subset: m.Subset) -> Model:
        model = self.session.model(subset.run, subset.step)
        if model.spec.kind != "images":
            raise CannotAnswer(
                f"{model.run.path.name} is a model of text, and maps are of images; choose a run that was trained on images."
            )
        model.can("encode")
        return model

    def named(self, model: Model, subset: m.Subset) -> m.Subset:
        """With the step and the data that are looked at."""
        manifest = model.run.manifest
        assert manifest is not None
        return replace(subset, step=model.step, data=lasting(subset.data) if subset.data else manifest.data)

    def choose(self, model: Model, work: Any) -> Part[tuple[m.Subset, Chosen]]:
        """Images of the data set as the network sees them."""
        subset = self.named(model, work.subset)
        data: DataSet = yield from self.scoring._data(subset.data, work.job)
        if data.kind != "images":
            raise BadData(f"{data.name} is a text; name a data set of images.")
        manifest = model.run.manifest
        assert manifest is not None
        if subset.data == manifest.data and data.hash != manifest.data_hash:
            raise BadRun(f"{manifest.data} is not what {model.run.path.name} was trained on (its content changed); name other data.")
        shape = model.spec.shape
        key = (data.hash, subset.split, subset.limit, shape)
        if key not in self._chosen:
            split = data.splits.get(subset.split)
            if split is None or not len(split):
                raise BadData(f"{data.name} has no images in its split “{subset.split}”; choose train, valid or test.")
            indices = spread(len(split), max(1, subset.limit))
            images = yield from adapted(np.asarray(split.images[indices]), shape)
            first = np.ascontiguousarray(np.asarray(split.images[indices[0]]).transpose(1, 2, 0))
            chosen = Chosen(
                key=key,
                hash=data.hash,
                images=images,
                indices=indices,
                labels=None if split.labels is None else np.asarray(split.labels[indices], np.int64),
                classes=data.classes,
                names=tuple(split.names[int(i)] for i in indices),
                note="; ".join(adapt(picture_from_array(first), shape)[1]),
            )
            self._chosen.keep(key, chosen)
        self._chosen.move_to_end(key)
        return subset, self._chosen[key]

    def look(self, model: Model, work: Any) -> Part[Seen]:
        """Features of the images, kept."""
        subset, chosen = yield from self.choose(model, work)
        key = (identity(model.run, model.step), subset, chosen.key)
        if key not in self._seen:
            stage = Stage(work, subset.run, len(chosen.images), "image", "encoding")
            found = yield from telling(features_of(model.method, chosen.images), stage)
            self._seen.keep(key, Seen(key, subset, chosen, finite(model, found[""])))
        self._seen.move_to_end(key)
        return self._seen[key]


def small_batches(model: Model, images: np.ndarray) -> Iterator[np.ndarray]:
    """Their size follows from the method alone, so that the same images always have the same numbers."""
    size = min(model.method.valid_slice, FEATURES_AT_ONCE)
    return (images[start : start + size] for start in range(0, len(images), size))


def finite(model: Model, features: Tensor) -> Tensor:
    """The same features [B, D]. Raises: CannotAnswer: they are no numbers."""
    if not bool(torch.isfinite(features.square().sum(1)).all()):
        raise CannotAnswer(
            f"{model.run.path.name} at step {model.step:,} gives features that are not finite numbers, so they have no place on a map; "
            "choose an earlier step."
        )
    return features
