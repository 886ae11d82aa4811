"""Messages of the Sampling pane: x grows symbol after symbol, and any symbol could have been another one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.messages.base import Answer, Event, PictureRef, Query, Work

if TYPE_CHECKING:
    import numpy as np

__all__ = [
    "DrawSamples",
    "FrameDrawn",
    "ReadSymbols",
    "SamplingBegan",
    "SymbolDistributed",
    "SymbolDistribution",
    "SymbolsDrawn",
    "SymbolsRead",
]


@dataclass(frozen=True, eq=False, kw_only=True)
class DrawSamples(Work):
    """Draw samples symbol by symbol -> `SamplingBegan`, then `SymbolsDrawn` again and again; of an iterative sampler without symbols
    `FrameDrawn` for every frame. A method without an order draws in one pass: one `SymbolsDrawn`.

    The noise of a sample depends on `seed` and its index only: other settings with the same seed change the sample as little as they must.
    """

    run: str
    step: int | None = None
    seed: int = 0
    samples: tuple[int, ...] = (0,)  # which samples of this seed
    temperature: float = 1.0  # 0: always the most likely symbol
    top_k: int = 0  # only the k most likely symbols; 0: all
    top_p: float = 1.0  # only the most likely symbols that together have this probability
    label: int | None = None  # class, of a conditional model; None: drawn with the sample's noise
    caption: str = ""  # of a model of captions: what all samples show; empty: anything
    cached: bool = True  # False: the whole network again for every symbol
    tokens: np.ndarray | None = None  # int [n, N]: symbols that are given, -1 where one is to be drawn
    start: int = 0  # every place before has a given symbol
    until: int | None = None  # stop before this place
    prompt: str = ""  # of a text: how it begins
    length: int = 0  # of a text: how many symbols, the prompt included; 0: as many as the model sees at once
    decode: str = "mean"  # of a model with p(x|z): its "mean", or a "sample" of it
    settings: tuple[
        tuple[str, int | float | bool | str], ...
    ] = ()  # of the sampler (`MethodInfo.sample_fields`), where not at their default


@dataclass(frozen=True, eq=False)
class SamplingBegan(Event):
    """What grows: `length` = rows · columns · depth symbols per sample, in raster order, the channels of a pixel after each other."""

    job: str
    run: str
    step: int
    kind: str  # "pixels" | "codes" | "text" | "steps" (whole images, better step by step) | "whole" (in one pass: no places)
    length: int  # N; 0 of kinds "steps" and "whole"
    rows: int
    columns: int
    depth: int  # symbols per cell: the channels of a pixel
    symbols: int  # V
    values: tuple[str, ...]  # the symbols as people read them: "0" … "255", characters; empty for codes
    classes: tuple[str, ...]  # of a conditional model, else empty
    labels: tuple[int, ...]  # class of each sample, of a conditional model
    start: int  # places that were given at the front
    note: str = ""
    frames: int = 0  # of kind "steps": the `frames` of every `FrameDrawn` to come
    words: tuple[str, ...] = ()  # of a model of captions: those it knows
    decode: str = ""  # what is drawn of p(x|z): "mean" | "sample"; "" where there is no such choice


@dataclass(frozen=True, eq=False)
class SymbolsDrawn(Event):
    """So far. `log_p` is what the unfiltered model gives each symbol: nats, NaN where there is none yet."""

    job: str
    run: str
    step: int
    place: int  # symbols that are there
    tokens: np.ndarray  # int32 [n, N], -1: not there yet
    log_p: np.ndarray  # float32 [n, N]
    images: np.ndarray | None  # uint8 [n, C, H, W]; what is not there yet is to be hidden
    texts: tuple[str, ...]
    rate: float  # cells (pixels, patches, characters) per second of computing, all samples together; 0: not known yet
    final: bool = False


@dataclass(frozen=True, eq=False)
class FrameDrawn(Event):
    """One frame of an iterative sampler (kind "steps"): all samples after `frame` of `frames` steps. Every frame is told, in order."""

    job: str
    run: str
    step: int  # the checkpoint's
    frame: int  # steps of the sampler that are done, 0 <= frame <= frames; 0 is what it began from
    frames: int  # steps in all
    images: np.ndarray  # uint8 [n, C, H, W]
    rate: float  # frames per second of computing; 0: not known yet
    final: bool = False  # the last one, with frame == frames
    note: str = ""  # what the sampler says of this frame: "σ 2.30"
    energy: np.ndarray | None = None  # float32 [n], of chains that walk down an energy


@dataclass(frozen=True, eq=False, kw_only=True)
class SymbolDistribution(Query):
    """What could stand at a place after these symbols -> `SymbolDistributed`."""

    run: str
    step: int | None = None
    tokens: np.ndarray  # int [place]: all that stands before it
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    label: int | None = None
    caption: str = ""  # of a model of captions: what the sample shows; empty: anything


@dataclass(frozen=True, eq=False, kw_only=True)
class ReadSymbols(Query):
    """An image as the method's symbols -> `SymbolsRead`."""

    run: str
    step: int | None = None
    picture: PictureRef
    label: int | None = None
    caption: str = ""


@dataclass(frozen=True, eq=False, kw_only=True)
class SymbolDistributed(Answer):
    """The distribution of one symbol given those before it."""

    run: str
    step: int
    raw: np.ndarray  # float32 [V]: the model's own probabilities
    filtered: np.ndarray  # float32 [V]: what is drawn from, after temperature, top-k and top-p
    patches: np.ndarray | None = None  # uint8 [V, C, h, w]: what each code looks like by itself, where the method can tell


@dataclass(frozen=True, eq=False, kw_only=True)
class SymbolsRead(Answer):
    """A dropped picture as symbols."""

    run: str
    step: int
    label: str
    tokens: np.ndarray  # int32 [N]
    log_p: np.ndarray  # float32 [N], nats
    seen: np.ndarray  # what the network really saw, uint8 [C, H, W]
    image: np.ndarray  # what the symbols stand for: fewer grey levels, codes; uint8 [C, H, W]
    kind: str
    rows: int
    columns: int
    depth: int
    notes: tuple[str, ...]
