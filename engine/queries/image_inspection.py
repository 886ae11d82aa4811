"""What a closer look at one image shows: bits per pixel, its reconstruction, and the training images next to it."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from engine import messages as m
from engine.data import BadData, DataSet, adapt, lasting
from engine.data.splits import spread
from engine.detectors.base import FIT_IMAGES, ImageBatch, ScoredModel
from engine.detectors.features import Knn, nearest, unit_length
from engine.protocols import DensityMap, Encoder, LatentVariable, provides
from engine.queries.answers import answers
from engine.queries.arrays import array, image_array, image_tensor
from engine.queries.calibrated_detectors import CalibratedDetectors, DetectorCache
from engine.queries.latent import decoded_as
from engine.queries.pictures import original_shown, read_picture, require_images
from engine.queries.session import Model, QuerySession, answer_head
from engine.storage.run_folders import BadRun

NEAREST_IMAGES = 60_000  # training images whose pixels are compared with
PIXELS_AT_ONCE = 2048  # images compared pixel by pixel


class NotReady(Exception):
    """Nobody has opened the training images, or computed their features, yet. An answer has no time to do it: a job does."""


@answers(m.ReadPicture)
def read_one_picture(session: QuerySession, query: m.ReadPicture) -> m.PictureRead:
    """The picture as it was given, uint8 [H, W, 3], or why it cannot be read.

    Raises:
        CannotAnswer: a run of texts. BadRun.
    """
    model, asked = session.model(query.run, query.step), query.picture
    require_images(model, "; these scores are of images, so choose a run that was trained on images.")
    head = answer_head(query, model)
    data = session.own_data(model) if asked.data is None else lasting(asked.data)
    if asked.path is None and asked.image is None and not session.has_data(data):
        return m.PictureRead(**head)  # to open a data set is the work of a job
    try:
        picture = read_picture(session, asked, model)
    except (BadData, BadRun) as error:
        return m.PictureRead(**head, error=str(error))
    return m.PictureRead(**head, original=original_shown(picture), notes=tuple(picture.notes))


@answers(m.InspectImage)
def inspect_image(session: QuerySession, query: m.InspectImage) -> m.ImageInspected:
    """Bits per pixel [H, W], the reconstruction [C, H, W] and k nearest training images, each where the method has it.

    Raises:
        CannotAnswer: a run of texts. BadRun, BadData.
    """
    model = session.model(query.run, query.step)
    require_images(model, "; these scores are of images, so choose a run that was trained on images.")
    picture = read_picture(session, query.picture, model)
    seen, how = adapt(picture, model.spec.shape)
    method = model.method
    x = image_tensor(seen[None])
    bits = reconstruction = difference = None
    if provides(method, DensityMap):
        bits = array((-method.log_prob_map(x, None, model.generator())[0].double() / math.log(2)).float())
    if provides(method, LatentVariable):
        reconstruction = image_array(method.decode(method.posterior(x).mean))[0]
        difference = np.abs(seen.astype(np.int16) - reconstruction).astype(np.uint8)
    images, labels, distances, missing = np.zeros((0, *seen.shape), np.uint8), (), np.zeros(0), ""
    pending = False
    try:
        if not session.has_run_data(model):
            if why := session.why_no_data(model.manifest, model.run.name):
                raise BadRun(why)
            raise NotReady("The nearest training images follow as soon as the run’s data are open.")
        images, labels, distances = _nearest(session, model, session.run_data(model), seen, query.nearest)
    except (BadRun, BadData) as error:
        missing = f"No nearest training images: {error}"
    except NotReady as error:
        missing, pending = str(error), True
    return m.ImageInspected(
        **answer_head(query, model),
        seen=seen,
        bits=bits,
        nearest=images,
        nearest_labels=labels,
        nearest_distances=distances,
        nearest_by="features" if provides(method, Encoder) else "pixels",
        reconstruction=reconstruction,
        difference=difference,
        decode="" if reconstruction is None else decoded_as(model),
        notes=(*picture.notes, *how),
        nearest_missing=missing,
        nearest_pending=pending,
    )


def _nearest(
    session: QuerySession, model: Model, data: DataSet, seen: np.ndarray, count: int
) -> tuple[np.ndarray, tuple[str, ...], np.ndarray]:
    """Training images uint8 [k, C, H, W] next to this one, their labels and distances [k]: by features of length one as the detector `knn`
    sees them, or by pixels in [0, 1].

    Raises:
        NotReady.
    """
    split = data.splits["train"]
    if provides(model.method, Encoder):
        places = spread(split, FIT_IMAGES)
        bank = torch.from_numpy(_bank(session, model))
        row = unit_length(ImageBatch(model.method, seen[None]).features)
        distances, found = nearest(row, bank, min(count, len(bank)))
    else:
        places = spread(split, NEAREST_IMAGES)
        distances, found = nearest_pixels(seen, split.images, places, count)
    chosen = places[found[0].numpy()]
    classes = None if split.labels is None else split.labels[chosen]
    labels = tuple(split.names[int(i)] for i in chosen) if classes is None else tuple(data.classes[int(c)] for c in classes)
    return np.asarray(split.images[chosen]), labels, distances[0].numpy()


def _bank(session: QuerySession, model: Model) -> np.ndarray:
    """Features of training images [N, D]: from detectors that have them, or from the run's folder. An answer has no time to compute them.

    Raises:
        NotReady: there are none yet.
    """
    for detectors in session.room(DetectorCache).kept_of(model):
        if Knn.name in detectors.detectors and "bank" in detectors.detectors[Knn.name].fitted:
            return detectors.detectors[Knn.name].fitted["bank"]
    detectors = CalibratedDetectors(model, ScoredModel(model.method), 0)
    detector = detectors.detectors[Knn.name]
    if detector in detectors.restore_fits():
        raise NotReady("The nearest training images follow as soon as the held-out images are scored.")
    return detector.fitted["bank"]


def nearest_pixels(
    seen: np.ndarray, images: np.ndarray, places: np.ndarray, count: int, chunk: int = PIXELS_AT_ONCE
) -> tuple[Tensor, Tensor]:
    """Euclidean distances in [0, 1] and places among `places`: [1, k] each. Integers throughout, so exact.

    Args:
        seen: uint8 [C, H, W].
        images: uint8 [N, C, H, W].
        places: int64 [M], of the images that are compared.
    """
    own = torch.from_numpy(np.array(seen.reshape(1, -1))).int()
    squared = []
    for start in range(0, len(places), chunk):
        part = torch.from_numpy(np.asarray(images[places[start : start + chunk]]).reshape(-1, own.shape[1]))
        squared.append((part.int() - own).square().sum(1))
    best = torch.cat(squared).topk(min(count, len(places)), largest=False)
    return best.values[None].double().sqrt() / 255, best.indices[None]
