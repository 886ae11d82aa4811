"""Which images of a data set a checkpoint is asked about, what its network sees of them, and its features of them. All is kept a while."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from engine import messages as m
from engine.data import BadData, adapt, lasting, picture_from_array
from engine.data.splits import spread
from engine.detectors.base import FEATURES_AT_ONCE
from engine.evaluation.linear_probe import features_of
from engine.protocols import Encoder
from engine.queries.answers import Part
from engine.queries.pictures import adapted, require_images
from engine.queries.progress import ProgressReporter, reporting
from engine.queries.session import CannotAnswer, Model, QuerySession

SUBSETS_KEPT = 3
FEATURES_KEPT = 8  # of subsets at checkpoints
KEPT_BYTES = 2**30  # of each kind
TELL_SECONDS = 0.1  # between two reports of progress

Value = TypeVar("Value")


@dataclass(frozen=True, eq=False)
class ImageSubset:
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
    def vote_labels(self) -> np.ndarray | None:
        """The labels int64 [N], where there is more than one class to vote for."""
        return self.labels if len(self.classes) > 1 else None


@dataclass(eq=False)
class SubsetFeatures:
    """A checkpoint's features of some images."""

    key: tuple[Any, ...]  # the first is the weights' content
    subset: m.Subset
    images: ImageSubset
    features: Tensor  # float32 [N, D]
    near: dict[int, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)  # k -> exact neighbours int64 [N, k], distances
    vote: float | None = None  # accuracy of the neighbours' vote

    def arrays(self) -> list[Any]:
        """Its arrays, for counting bytes."""
        return [self.features, *(array for pair in self.near.values() for array in pair)]


class BoundedCache(OrderedDict[Any, Value]):
    """The newest `most` of their kind, fewer where the arrays they hold are together larger than KEPT_BYTES; one at least."""

    def __init__(self, most: int, arrays: Callable[[Value], Iterable[Any]]) -> None:
        super().__init__()
        self.most, self.arrays = most, arrays

    @property
    def bytes(self) -> int:
        """An array that several share counts once."""
        return sum({id(array): array.nbytes for value in self.values() for array in self.arrays(value)}.values())

    def keep(self, key: Any, value: Value) -> Value:
        """Put a value in as the newest; the oldest go when there are too many or too many bytes."""
        self[key] = value
        self.move_to_end(key)
        while len(self) > self.most or (len(self) > 1 and self.bytes > KEPT_BYTES):
            self.popitem(last=False)
        return value


class FeatureCache:
    """The images and features that the jobs of one session share."""

    def __init__(self, session: QuerySession) -> None:
        self.session = session
        self._subsets: BoundedCache[ImageSubset] = BoundedCache(SUBSETS_KEPT, lambda subset: [subset.images])
        self._features: BoundedCache[SubsetFeatures] = BoundedCache(FEATURES_KEPT, SubsetFeatures.arrays)

    def model(self, subset: m.Subset) -> Model:
        """Raises: CannotAnswer: it encodes no images. BadRun."""
        model = self.session.model(subset.run, subset.step)
        require_images(model, ", and maps are of images; choose a run that was trained on images.")
        model.require(Encoder, "encode")
        return model

    def named(self, model: Model, subset: m.Subset) -> m.Subset:
        """With the step and the data that are looked at."""
        return replace(subset, step=model.step, data=lasting(subset.data) if subset.data else self.session.own_data(model))

    def images(self, model: Model, asked: m.Subset, job: str) -> Part[tuple[m.Subset, ImageSubset]]:
        """Images of the data set as the network sees them.

        Raises:
            BadData: not of images, or an empty split. BadRun: the run's own data changed.
        """
        subset = self.named(model, asked)
        own = subset.data in (model.manifest.data, self.session.own_data(model))
        loading = self.session.load_run_data(model, job, "; name other data") if own else self.session.load_data(subset.data, job)
        data = yield from loading
        subset = replace(subset, data=data.data)
        if data.kind != "images":
            raise BadData(f"{data.name} is a text; name a data set of images.")
        shape = model.spec.shape
        key = (data.hash, subset.split, subset.limit, shape)
        if key not in self._subsets:
            split = data.splits.get(subset.split)
            if split is None or not len(split):
                raise BadData(f"{data.name} has no images in its split “{subset.split}”; choose train, valid or test.")
            indices = spread(split, max(1, subset.limit))
            images = yield from adapted(np.asarray(split.images[indices]), shape)
            first = np.ascontiguousarray(np.asarray(split.images[indices[0]]).transpose(1, 2, 0))
            found = ImageSubset(
                key=key,
                hash=data.hash,
                images=images,
                indices=indices,
                labels=None if split.labels is None else np.asarray(split.labels[indices], np.int64),
                classes=data.classes,
                names=tuple(split.names[int(i)] for i in indices),
                note="; ".join(adapt(picture_from_array(first), shape)[1]),
            )
            self._subsets.keep(key, found)
        self._subsets.move_to_end(key)
        return subset, self._subsets[key]

    def features(self, model: Model, asked: m.Subset, job: str) -> Part[SubsetFeatures]:
        """Features of the images, kept.

        Raises:
            As `images`. CannotAnswer: features are not finite.
        """
        subset, images = yield from self.images(model, asked, job)
        key = (model.weights, subset, images.key)
        if key not in self._features:
            progress = ProgressReporter(job, subset.run, len(images.images), "image", "encoding", every=TELL_SECONDS)
            found = yield from reporting(features_of(model.method, images.images), progress)
            self._features.keep(key, SubsetFeatures(key, subset, images, finite(model, found[""])))
        self._features.move_to_end(key)
        return self._features[key]


def small_batches(model: Model, images: np.ndarray) -> Iterator[np.ndarray]:
    """Images [N, C, H, W] in pieces whose size follows from the method alone, so that the same images always have the same numbers."""
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
