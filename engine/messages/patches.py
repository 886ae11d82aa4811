"""Messages about the patches of a vision transformer: what it looks at, its patch features as colours, and how alike patches are.

A *patch* is named by its (row, column) in the grid [h, w] that the network cuts an image into.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.messages.base import Answer, Event, PictureRef, Query, Work

if TYPE_CHECKING:
    import numpy as np

__all__ = [
    "AttentionShown",
    "ColorPatches",
    "CompareToPatch",
    "DescribePatches",
    "PatchImages",
    "PatchMatch",
    "PatchesColored",
    "PatchesCompared",
    "PatchesDescribed",
    "ShowAttention",
]


@dataclass(frozen=True, eq=False, kw_only=True)
class DescribePatches(Query):
    """Whether a checkpoint's network is a vision transformer -> `PatchesDescribed`."""

    run: str
    step: int | None = None


@dataclass(frozen=True, eq=False, kw_only=True)
class PatchesDescribed(Answer):
    """The transformer of a run, or in one sentence why there is none."""

    run: str
    step: int
    layers: int = 0  # 0: no transformer
    heads: int = 0
    why_not: str = ""


@dataclass(frozen=True, eq=False, kw_only=True)
class ShowAttention(Query):
    """Attention maps of an image -> `AttentionShown`."""

    run: str
    step: int | None = None
    picture: PictureRef
    layer: int = 0  # from 1; 0: the last
    patch: tuple[int, int] | None = None  # whose attention; None: the class token's, or where there is none the mean over all patches


@dataclass(frozen=True, eq=False, kw_only=True)
class AttentionShown(Answer):
    """What each head of a layer looks at. The last of the maps, `rest`, `entropies` and `distances` is of the mean over heads."""

    run: str
    step: int
    label: str
    seen: np.ndarray  # uint8 [C, H, W]: the image as the run's networks are given it
    area: tuple[float, float, float, float]  # top, left, height, width of the grid, in pixels of `seen`
    layer: int  # from 1
    layers: int
    patch: tuple[int, int] | None
    query: str  # whose attention it is, in words: "the class token", "patch (3, 4)", "all patches on average"
    maps: np.ndarray  # float32 [heads + 1, h, w]: shares of the attention; with `rest` they sum to 1
    rest: np.ndarray  # float32 [heads + 1]: the share on tokens that are no patches
    rest_name: str  # which tokens those are, in words; empty: there are none
    entropies: np.ndarray  # float32 [heads + 1]: of the shares among patches, in nats; at most log(h w)
    distances: np.ndarray  # float32 [heads + 1]: mean attention distance (Dosovitskiy et al. 2021) between patches, in patches
    even_distance: float  # the same of a head that looks at all patches alike
    notes: tuple[str, ...] = ()  # how the image was adapted, in words


@dataclass(frozen=True)
class PatchImages:
    """The image that is looked at, and others of a data set evenly spread over a split: the same ones at every step."""

    run: str
    picture: PictureRef
    step: int | None = None
    data: str = ""  # of the others; empty: the run's own
    split: str = "valid"
    others: int = 11


@dataclass(frozen=True, eq=False, kw_only=True)
class ColorPatches(Work):
    """The first three principal components of the patch features of several images as colours -> `Progress`, then `PatchesColored`.

    With a foreground only patches whose first component is above or below 0 are kept, and the components are computed anew from these
    (Oquab et al. 2023, DINOv2, section 7.5).
    """

    images: PatchImages
    foreground: str = ""  # "": all patches | "above" | "below"


@dataclass(frozen=True, eq=False)
class PatchesColored(Event):
    """Patch features as colours. Image 0 is the one that was asked for."""

    job: str
    images: PatchImages  # with the step and the data that were looked at
    foreground: str
    seen: np.ndarray  # uint8 [N, C, H, W]
    area: tuple[float, float, float, float]  # top, left, height, width of the grid, in pixels of `seen`
    labels: tuple[str, ...]  # [N]: the image's name, its class or file
    indices: np.ndarray  # int64 [N]: places in the split; -1: no image of it
    colors: np.ndarray  # uint8 [N, h, w, 3]: red, green and blue are components 1, 2 and 3
    kept: np.ndarray  # bool [N, h, w]: the foreground
    components: np.ndarray  # float32 [N, h, w, 3]: the scores themselves; NaN where a patch is left out
    explained: tuple[float, ...]  # share of the variance of the kept patches along each component
    first_explained: float  # of all patches along the component that parts the foreground
    features: int  # D
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False, kw_only=True)
class CompareToPatch(Work):
    """Cosine similarity of a patch's features to those of all patches of several images -> `Progress`, then `PatchesCompared`."""

    images: PatchImages
    patch: tuple[int, int] | None = None  # of the image that is looked at; None: the middle one
    best: int = 8  # matches to name


@dataclass(frozen=True)
class PatchMatch:
    """One of the most similar patches."""

    image: int  # among those that were compared
    row: int
    column: int
    cosine: float


@dataclass(frozen=True, eq=False)
class PatchesCompared(Event):
    """How alike patches are to one of them. Image 0 is the one that was asked for."""

    job: str
    images: PatchImages  # with the step and the data that were looked at
    patch: tuple[int, int]
    seen: np.ndarray  # uint8 [N, C, H, W]
    area: tuple[float, float, float, float]
    labels: tuple[str, ...]
    indices: np.ndarray  # int64 [N]
    cosines: np.ndarray  # float32 [N, h, w]
    matches: tuple[PatchMatch, ...]  # the most similar first; the patch itself left out
    features: int  # D
    notes: tuple[str, ...] = ()
