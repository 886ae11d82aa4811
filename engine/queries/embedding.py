"""What the Embedding pane asks: maps of a data set's images as a checkpoint sees them, and places for new images.

Here: the maps that are kept, the messages' jobs and answers. Images and features are those of `feature_cache.py`, colors are in
`point_colors.py`, the mathematics is in `umap/projection.py`.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from torch import Tensor

from engine import messages as m
from engine.data import adapt
from engine.detectors.base import aside, finish
from engine.detectors.features import nearest
from engine.evaluation.linear_probe import features_of
from engine.queries.answers import Job, Part, answers
from engine.queries.feature_cache import TELL_SECONDS, BoundedCache, FeatureCache, ImageSubset, SubsetFeatures, finite
from engine.queries.pictures import original_shown, read_picture
from engine.queries.progress import ProgressReporter, reporting
from engine.queries.session import CannotAnswer, QuerySession
from engine.umap import projection
from engine.umap.process import UmapProcess

MAPS_KEPT = 24
MOST_NEIGHBOURS = 200


@dataclass(frozen=True, eq=False)
class KeptMap:
    """A map as it was told, with what new images are placed by."""

    embedded: m.Embedded
    features: SubsetFeatures
    plane: projection.Plane | None  # of a PCA

    def arrays(self) -> list[Any]:
        """Its arrays, for counting bytes."""
        embedded = self.embedded
        return [*self.features.arrays(), embedded.images, embedded.places, embedded.neighbours, embedded.distances, embedded.survived]


class EmbeddingMaps:
    """The maps of one session, and the helper process that lays out UMAPs."""

    def __init__(self, session: QuerySession) -> None:
        self.session = session
        self.feature_cache = session.room(FeatureCache)
        self._maps: BoundedCache[KeptMap] = BoundedCache(MAPS_KEPT, KeptMap.arrays)
        self._own = threading.local()  # the helper process ends with the thread that asks it: a lane that ends leaves none behind

    @property
    def helper(self) -> UmapProcess:
        """This thread's. It begins when the first map is laid out, and is kept."""
        if not hasattr(self._own, "helper"):
            self._own.helper = UmapProcess()
        return self._own.helper

    def close(self) -> None:
        """End this thread's helper process."""
        self.helper.close()

    # -- a map ---------------------------------------------------------------------------------------------------------

    @answers(m.Embed)
    def embed(self, work: m.Embed) -> Job:
        """A map of the images: places float32 [N, 2], with neighbours in feature space and how far the map is to be trusted.

        Raises:
            CannotAnswer: no encoder, features that are not finite, or settings out of range. NoLayout, BadRun, BadData.
        """
        started = time.perf_counter()
        settings = _checked(work.settings)
        model = self.feature_cache.model(work.subset)
        helper, named = self.helper, self.feature_cache.named(model, work.subset)
        if settings.kind == "umap" and all((d.embedded.subset, d.embedded.settings) != (named, settings) for d in self._maps.values()):
            helper.start()  # it imports while the images are encoded
        finished = False
        try:
            features = yield from self.feature_cache.features(model, work.subset, work.job)
            kept = self._maps.get((features.key, settings))
            if kept is None or (kept.embedded.warm and not work.warm):
                kept = yield from self._draw(work, settings, features, helper, started)
            self._maps.keep((features.key, settings), kept)
            finished = True
        finally:
            if not finished and settings.kind == "umap":
                helper.close()
        yield replace(kept.embedded, job=work.job, places=kept.embedded.places.copy(), seconds=time.perf_counter() - started)
        count = len(kept.embedded.places)
        return f"{count:,} image{' is' if count == 1 else 's are'} on the map."

    def _draw(self, work: m.Embed, settings: m.MapSettings, found: SubsetFeatures, helper: UmapProcess, started: float) -> Part[KeptMap]:
        run, features, images = found.subset.run, found.features, found.images
        count = len(features)
        k = min(settings.neighbours, count - 1)
        true, distances = yield from self._neighbours(work, found, k)
        plane = yield from aside(lambda: projection.pca(features))
        places = plane.project(features.numpy())
        former = self._former(found, settings) if work.warm else None
        if settings.kind == "umap" and k:
            places = yield from self._lay_out(work, settings, found, helper, places, former)
        near, survived = true, np.ones(count, np.float32)
        if k:
            near = yield from aside(lambda: projection.neighbours_on_map(places, k))
            survived = yield from aside(lambda: projection.survived(true, near))
        rows = projection.trusted_rows(count)
        checking = ProgressReporter(work.job, run, len(rows), "image", "checking the map", every=TELL_SECONDS)
        trust = yield from reporting(projection.trustworthiness(features, near, rows), checking)
        if found.vote is None and images.vote_labels is not None and k:
            found.vote = yield from reporting(projection.knn_accuracy(features, images.vote_labels, rows), checking)
        answer = m.Embedded(
            job=work.job,
            subset=found.subset,
            settings=settings,
            places=places,
            indices=images.indices,
            labels=images.labels,
            classes=images.classes,
            names=images.names,
            images=images.images,
            neighbours=true.astype(np.int32),
            distances=distances.astype(np.float32),
            survived=survived,
            trustworthiness=trust,
            knn_features=found.vote,
            knn_map=projection.vote_accuracy(near, images.vote_labels) if images.vote_labels is not None and k else None,
            features=features.shape[1],
            warm=former is not None,
            seconds=time.perf_counter() - started,
            explained=plane.explained if settings.kind == "pca" else (),
            note=_note(images, features, rows),
        )
        return KeptMap(answer, found, plane if settings.kind == "pca" else None)

    def _neighbours(self, work: m.Work, found: SubsetFeatures, k: int) -> Part[tuple[np.ndarray, np.ndarray]]:
        if k == 0:
            return np.zeros((1, 0), np.int64), np.zeros((1, 0))
        if k not in found.near:
            progress = ProgressReporter(work.job, found.subset.run, len(found.features), "image", "neighbours", every=TELL_SECONDS)
            places, distances = yield from reporting(projection.neighbours(found.features, k), progress)
            found.near[k] = places.numpy(), distances.numpy()
        return found.near[k]

    def _lay_out(
        self, work: m.Embed, settings: m.MapSettings, found: SubsetFeatures, helper: UmapProcess, plane: np.ndarray, former: KeptMap | None
    ) -> Part[np.ndarray]:
        """A UMAP: from the plane of the principal components, or from a former map and then turned towards it."""
        k = max(1, min(settings.neighbours, len(plane)) - 1)  # umap-learn counts a point among its own neighbours
        true, distances = yield from self._neighbours(work, found, min(settings.neighbours, len(plane) - 1))
        graph, curve = yield from aside(lambda: (projection.graph(true[:, :k], distances[:, :k]), projection.curve(settings.min_dist)))
        if former is None:
            begin, epochs, alpha = projection.beginning(plane, settings.seed), projection.epochs_for(len(plane), False), 1.0
        else:
            begin, epochs, alpha = former.embedded.places, projection.epochs_for(len(plane), True), projection.WARM_ALPHA
        layout = helper.lay_out(graph, begin, curve, epochs, alpha, settings.seed)
        progress = ProgressReporter(work.job, found.subset.run, epochs, "epoch", every=TELL_SECONDS)
        while True:
            try:
                done = next(layout)
            except StopIteration as end:
                return end.value if former is None else projection.align(end.value, former.embedded.places)
            yield progress.at(done, f"map, epoch {done:,} of {epochs:,}")

    def _former(self, found: SubsetFeatures, settings: m.MapSettings) -> KeptMap | None:
        """The newest UMAP of the same images and settings at another step of the run."""
        if settings.kind != "umap":
            return None
        own = found.subset
        for former in reversed(self._maps.values()):
            other = former.embedded.subset
            same_images = replace(other, step=own.step) == own and former.features.images.key == found.images.key
            if same_images and former.embedded.settings == settings and other.step != own.step:
                return former
        return None

    # -- a new image ---------------------------------------------------------------------------------------------------

    @answers(m.PlaceImage)
    def place(self, query: m.PlaceImage) -> m.ImagePlaced:
        """Where a new image lies on a map that is kept, [2], and its neighbours there. Raises: CannotAnswer, BadRun, BadData."""
        settings = _checked(query.settings)
        model = self.feature_cache.model(query.subset)
        subset = self.feature_cache.named(model, query.subset)
        wanted = (subset, settings, model.weights)
        drawn = next((d for d in self._maps.values() if (d.embedded.subset, d.embedded.settings, d.features.key[0]) == wanted), None)
        if drawn is None:
            raise CannotAnswer("This map is not kept any more; run it again, then drop the image.")
        picture = read_picture(self.session, query.picture, model)
        seen, how = adapt(picture, model.spec.shape)
        row = finite(model, finish(features_of(model.method, seen[None]))[""])
        features = drawn.features.features
        distances, found = nearest(row, features, min(settings.neighbours, len(features)))
        near, apart = found[0].numpy(), distances[0].numpy()
        place = projection.place(apart, drawn.embedded.places[near]) if drawn.plane is None else drawn.plane.project(row.numpy())[0]
        own = drawn.embedded.distances
        return m.ImagePlaced(
            stamp=query.stamp,
            channel=query.channel,
            subset=drawn.embedded.subset,
            label=query.picture.label,
            place=place,
            neighbours=near.astype(np.int32),
            distances=apart.astype(np.float32),
            seen=seen,
            original=original_shown(picture),
            usual=float(np.median(own[:, 0])) if own.shape[1] else float("nan"),
            notes=(*picture.notes, *how),
        )


def _checked(settings: m.MapSettings) -> m.MapSettings:
    if settings.kind not in ("umap", "pca"):
        raise CannotAnswer(f"There is no map “{settings.kind}”; choose umap or pca.")
    if not 1 <= settings.neighbours <= MOST_NEIGHBOURS:
        raise CannotAnswer(f"A map counts from 1 to {MOST_NEIGHBOURS} neighbours, not {settings.neighbours}.")
    if not 0 <= settings.min_dist <= 1:
        raise CannotAnswer(f"The least distance of a UMAP lies between 0 and 1, not at {settings.min_dist:g}.")
    return settings


def _note(images: ImageSubset, features: Tensor, rows: np.ndarray) -> str:
    notes = [images.note] if images.note else []
    if len(rows) < len(features):
        notes.append(f"trustworthiness and the vote in feature space were measured on {len(rows):,} of the points, drawn once at random")
    if len(features) > 1 and bool((features == features[0]).all()):
        notes.append("all images have the same features: the encoder has collapsed")
    return "; ".join(notes)
