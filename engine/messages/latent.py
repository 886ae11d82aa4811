"""Messages of the Latent pane: from latents to images and back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.messages.base import DecodedAnswer, Query

if TYPE_CHECKING:
    import numpy as np

__all__ = [
    "Decode",
    "DecodeGrid",
    "Decoded",
    "Encode",
    "Encoded",
    "GridDecoded",
    "Interpolate",
    "Interpolated",
    "PriorSampled",
    "Reconstruct",
    "Reconstructed",
    "SamplePrior",
]


@dataclass(frozen=True, eq=False, kw_only=True)
class Decode(Query):
    """-> `Decoded`"""

    run: str
    step: int | None = None
    z: np.ndarray = None  # type: ignore[assignment]  # [N, D]
    label: int | None = None  # class, of a decoder that knows classes (`Described.classes`)


@dataclass(frozen=True, eq=False, kw_only=True)
class Encode(Query):
    """Read an image as the run's network sees it, encode it, reconstruct it -> `Encoded`. Give one of `path`, `image`, `index`."""

    run: str
    step: int | None = None
    path: str | None = None
    image: np.ndarray | None = None  # uint8 [H, W] | [H, W, 3]
    index: int | None = None  # of the run's validation split
    label: str = ""  # how to call it in the window


@dataclass(frozen=True, eq=False, kw_only=True)
class Interpolate(Query):
    """`count` pictures from a to b, on the straight line and on the sphere -> `Interpolated`."""

    run: str
    step: int | None = None
    a: np.ndarray = None  # type: ignore[assignment]  # [D]
    b: np.ndarray = None  # type: ignore[assignment]  # [D]
    count: int = 9
    label: int | None = None  # class, of a decoder that knows classes (`Described.classes`)


@dataclass(frozen=True, eq=False, kw_only=True)
class DecodeGrid(Query):
    """A plane through z: dimensions `x` and `y` (indices of z) walked from -span to +span slider units -> `GridDecoded`."""

    run: str
    step: int | None = None
    z: np.ndarray = None  # type: ignore[assignment]  # [D]
    x: int = 0
    y: int = 1
    span: float = 3.0
    count: int = 9  # per side
    label: int | None = None  # class, of a decoder that knows classes (`Described.classes`)


@dataclass(frozen=True, eq=False, kw_only=True)
class SamplePrior(Query):
    """-> `PriorSampled`"""

    run: str
    step: int | None = None
    count: int = 16
    seed: int = 0
    temperature: float = 1.0
    label: int | None = None  # class, of a decoder that knows classes (`Described.classes`)


@dataclass(frozen=True, eq=False, kw_only=True)
class Reconstruct(Query):
    """The fixed probe images beside their reconstructions at this checkpoint -> `Reconstructed`."""

    run: str
    step: int | None = None
    count: int = 8


@dataclass(frozen=True, eq=False, kw_only=True)
class Decoded(DecodedAnswer):
    """Images decoded from latents."""

    run: str
    step: int
    images: np.ndarray  # [N, C, H, W]
    log_prior: np.ndarray | None  # nats [N]; None when there is no prior
    milliseconds: float


@dataclass(frozen=True, eq=False, kw_only=True)
class Encoded(DecodedAnswer):
    """The latents of an image."""

    run: str
    step: int
    label: str
    mean: np.ndarray  # [D]
    sigma: np.ndarray  # [D], zeros for a deterministic encoder
    seen: np.ndarray  # what the network really saw [C, H, W]
    original: np.ndarray  # uint8 [H, W, 3], at most 512 px
    reconstruction: np.ndarray  # [C, H, W]
    notes: tuple[str, ...]  # how it was adapted, in words
    nats: float | None  # -ELBO; None when the method has no density


@dataclass(frozen=True, eq=False, kw_only=True)
class Interpolated(DecodedAnswer):
    """Images decoded along a path between two latents."""

    run: str
    step: int
    lerp: np.ndarray  # [count, C, H, W]
    slerp: np.ndarray  # [count, C, H, W]
    lerp_z: np.ndarray  # [count, D]
    slerp_z: np.ndarray  # [count, D]
    lerp_log_prior: np.ndarray | None  # nats [count]
    slerp_log_prior: np.ndarray | None


@dataclass(frozen=True, eq=False, kw_only=True)
class GridDecoded(DecodedAnswer):
    """Images decoded on a grid of two latent dimensions."""

    run: str
    step: int
    images: np.ndarray  # [count * count, C, H, W], row by row, y downwards from +span
    count: int


@dataclass(frozen=True, eq=False, kw_only=True)
class PriorSampled(DecodedAnswer):
    """Images decoded from samples of the prior."""

    run: str
    step: int
    z: np.ndarray  # [N, D]
    images: np.ndarray  # [N, C, H, W]
    note: str = ""  # says so when there is no prior to draw from


@dataclass(frozen=True, eq=False, kw_only=True)
class Reconstructed(DecodedAnswer):
    """Images beside their reconstructions."""

    run: str
    step: int
    originals: np.ndarray
    reconstructions: np.ndarray
