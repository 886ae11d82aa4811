"""Messages of the Embedding pane: features of a data set's images at a checkpoint, and maps of them.

A *place* is a point of a map, float32 [2]. Points are numbered as they come in `Embedded`: point i shows image `indices[i]` of the split.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from engine.messages.base import Answer, Event, PictureRef, Query, Work

if TYPE_CHECKING:
    import numpy as np

__all__ = ["ColorPoints", "Embed", "Embedded", "ImagePlaced", "MapSettings", "PlaceImage", "PointsColored", "Subset"]


@dataclass(frozen=True)
class Subset:
    """Which images a checkpoint's features are computed of: all questions about one map name the same."""

    run: str
    step: int | None = None
    data: str = ""  # empty: the run's own
    split: str = "valid"  # "train" | "valid" | "test"
    limit: int = 2000  # images, evenly spread over the split


@dataclass(frozen=True)
class MapSettings:
    """How a map is drawn from features. The same settings and seed give the same map."""

    kind: str = "umap"  # "umap" | "pca"
    neighbours: int = 15  # of UMAP, and those that trust is counted on
    min_dist: float = 0.1  # of UMAP: how close points may lie
    seed: int = 0


@dataclass(frozen=True, eq=False, kw_only=True)
class Embed(Work):
    """Encode, find the true neighbours, draw the map -> `Progress`, then `Embedded`.

    With `warm` a UMAP begins from the newest map of the same images and settings at another step, and is turned towards it.
    `StopJob` ends the helper process at once.
    """

    subset: Subset
    settings: MapSettings = field(default_factory=MapSettings)
    warm: bool = True


@dataclass(frozen=True, eq=False)
class Embedded(Event):
    """A map of points, with its measures."""

    job: str
    subset: Subset  # with the data, split and step that were looked at
    settings: MapSettings
    places: np.ndarray  # float32 [N, 2]
    indices: np.ndarray  # int64 [N]: places in the split
    labels: np.ndarray | None  # int64 [N]
    classes: tuple[str, ...]
    names: tuple[str, ...]  # of the images
    images: np.ndarray  # uint8 [N, C, H, W]: what the network saw
    neighbours: np.ndarray  # int32 [N, k]: the true nearest points in feature space, nearest first
    distances: np.ndarray  # float32 [N, k]: how far
    survived: np.ndarray  # float32 [N]: share of the true neighbours that are among the k nearest on the map
    trustworthiness: float  # of the map (Venna and Kaski 2001), 1 is best
    knn_features: float | None  # share right of k nearest neighbours' vote in feature space, each point left out; None without classes
    knn_map: float | None  # the same on the map
    features: int  # D
    warm: bool  # it began from another map
    seconds: float
    explained: tuple[float, ...] = ()  # of PCA: share of the variance along each axis
    note: str = ""  # how images were adapted, in words


@dataclass(frozen=True, eq=False, kw_only=True)
class ColorPoints(Work):
    """A number or a class for every point of a map -> `Progress`, then `PointsColored`."""

    subset: Subset
    by: str = "clusters"  # "prediction" | "loss" | "clusters" | a detector's name | "direction"
    clusters: int = 10
    seed: int = 0
    a: np.ndarray | None = None  # int64: points of the first lasso, for "direction"
    b: np.ndarray | None = None  # int64: points of the second


@dataclass(frozen=True, eq=False)
class PointsColored(Event):
    """A value or class for every point of a map."""

    job: str
    subset: Subset
    by: str
    values: np.ndarray  # float32 [N]; class numbers where `classes` are given
    classes: tuple[str, ...] = ()  # categories; empty: a quantity
    unit: str = ""
    note: str = ""  # in words: NMI and accuracy of clusters, how well a direction separates two lassos
    images: np.ndarray | None = None  # uint8 [n, C, H, W]: decoded on the way from a to b, where the method decodes


@dataclass(frozen=True, eq=False, kw_only=True)
class PlaceImage(Query):
    """Where an image belongs on a map that was drawn before -> `ImagePlaced`."""

    subset: Subset
    settings: MapSettings = field(default_factory=MapSettings)
    picture: PictureRef


@dataclass(frozen=True, eq=False, kw_only=True)
class ImagePlaced(Answer):
    """Where a dropped image comes to lie on a map."""

    subset: Subset
    label: str
    place: np.ndarray  # float32 [2]
    neighbours: np.ndarray  # int32 [k]: the nearest points in feature space
    distances: np.ndarray  # float32 [k]
    seen: np.ndarray  # what the network saw, uint8 [C, H, W]
    original: np.ndarray  # uint8 [H, W, 3]
    usual: float  # distance of the map's own points to their nearest neighbour, median
    notes: tuple[str, ...] = ()
