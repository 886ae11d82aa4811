"""The one reader of pictures for queries: which images somebody asks about, and what a network sees of them."""

from __future__ import annotations

import math
from collections.abc import Generator

import numpy as np
import torch
from torch import Tensor

from engine import messages as m
from engine.common.spacing import evenly
from engine.data import BadData, Picture, adapt, lasting, picture_from_array, read_image
from engine.data.preprocessing import preprocessing_of
from engine.queries.session import CannotAnswer, Model, QuerySession

ORIGINAL_PIXELS = 512  # the longest side of an original as it is shown


def read_picture(session: QuerySession, asked: m.PictureRef, model: Model | None, remedy: str = "; put the old files back") -> Picture:
    """The picture at its own size: a file, pixels, or an image of a data set, by default a validation image of the run's own.

    Args:
        model: whose data are meant where none are named.
        remedy: how the sentence ends that the run's data are not what they were.

    Raises:
        BadData: the file cannot be read, or nothing is named. BadRun: the run's own data changed.
    """
    if asked.path is not None:
        return read_image(asked.path, how=None if model is None else preprocessing_of(model.manifest.preprocessing))
    if asked.image is not None:
        return picture_from_array(asked.image)
    if asked.data is not None:
        data = session.data(lasting(asked.data))
    elif model is not None:
        data = session.run_data(model, remedy)
    else:
        raise BadData("No image was named; give a file, pixels or a place in a data set.")
    if data.kind != "images":
        raise BadData(f"{data.name} is a text; name a data set of images.")
    index, names = asked.index or 0, ("train", "valid", "test") if asked.split == "all" else (asked.split,)
    parts = [data.splits[name].images for name in names]
    index %= sum(map(len, parts))
    for images in parts:
        if index < len(images):
            break
        index -= len(images)
    return picture_from_array(np.ascontiguousarray(np.asarray(images[index]).transpose(1, 2, 0)))


def original_shown(picture: Picture) -> np.ndarray:
    """The original as the window shows it: uint8 [H, W, 3], at most ORIGINAL_PIXELS a side (every n-th pixel beyond that)."""
    pixels = picture.pixels if picture.pixels.shape[2] == 3 else picture.pixels.repeat(3, axis=2)
    every = math.ceil(max(pixels.shape[:2]) / ORIGINAL_PIXELS)
    return np.ascontiguousarray(pixels[::every, ::every])


def adapted(images: np.ndarray, shape: tuple[int, ...]) -> Generator[None, None, np.ndarray]:
    """Images of a data set uint8 [N, C, H, W] as a network of `shape` sees them, each exactly as if it had been dropped."""
    if images.shape[1:] == shape:
        return np.ascontiguousarray(images)
    out = np.empty((len(images), *shape), np.uint8)
    for i, image in enumerate(images):
        out[i], _ = adapt(picture_from_array(np.ascontiguousarray(image.transpose(1, 2, 0))), shape)
        if i % 64 == 63:
            yield
    return out


def some_of(images: Tensor, count: int) -> Tensor:
    """At most `count` of images [N, ...], at equal distances: held-out images may lie class by class."""
    return images[torch.from_numpy(evenly(len(images), count)).to(images.device)]


def require_images(model: Model, why: str) -> None:
    """Raises: CannotAnswer: the run is of texts; `why` ends the sentence."""
    if model.spec.kind != "images":
        raise CannotAnswer(f"{model.run.path.name} is a model of text{why}")
