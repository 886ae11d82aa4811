"""Samples that were drawn, as a tree: what was drawn, which symbols were given, and the branches that began where another one was chosen.

Arrays and words only: no widget, no engine.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from app.panes.sampling.frames import FrameFilm
from app.shell.formatting import number
from engine.messages import FrameDrawn, SamplingBegan, SymbolsDrawn

CHANNELS = ("red", "green", "blue")
SYMBOL_KINDS = ("pixels", "codes", "text")  # drawn symbol after symbol; any other draws all pixels together
POSITIONS = {"pixels": "pixel", "codes": "patch", "text": "character", "whole": "image", "steps": "step"}  # one position of the film


@dataclass(frozen=True)
class SamplingSettings:
    """What a draw depends on besides the model."""

    seed: int = 0
    count: int = 4
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    label: int | None = None
    caption: str = ""  # of a model of captions: what all samples show; empty: anything
    cached: bool = True
    decode: str = "mean"  # of a model with p(x|z): its "mean", or a "sample" of it
    prompt: str = ""
    length: int = 400  # of a text, in symbols
    sampler: tuple[tuple[str, int | float | bool | str], ...] = ()  # the sampler's own settings, where not at their default

    def summary(self) -> str:
        """ "seed 3 · ×4 · T 0.80 · top-k 5"; what is at its default is left out."""
        parts = [f"seed {self.seed}", f"×{self.count}"]
        if self.temperature != 1:
            parts.append(f"T {number(self.temperature, 2)}")
        if self.top_k:
            parts.append(f"top-k {self.top_k}")
        if self.top_p < 1:
            parts.append(f"top-p {number(self.top_p, 2)}")
        if self.caption:
            parts.append(f"“{self.caption}”")
        if self.decode == "sample":
            parts.append("drawn from p(x|z)")
        parts += [f"{name.replace('_', ' ')} {f'{value:g}' if isinstance(value, float) else value}" for name, value in self.sampler]
        return " · ".join(parts)

    def same_noise(self, other: SamplingSettings) -> bool:
        """Whether both draw the same samples from the same noise, so that one can morph into the other."""
        mine = self.seed, self.count, self.prompt, self.length
        return mine == (other.seed, other.count, other.prompt, other.length)


@dataclass(frozen=True, eq=False)
class FinishedSamples:
    """Samples, and what they were drawn with."""

    settings: SamplingSettings
    step: int  # the checkpoint's
    images: np.ndarray  # uint8 [n, C, H, W]
    told: tuple[str, ...] = ()  # the class or caption of each


@dataclass(eq=False)
class SampleNode:
    """n samples side by side. Of a branch only one row is drawn anew; the others are its parent's."""

    kind: str  # "draw" | "completion" | "branch"
    settings: SamplingSettings
    rows: tuple[int, ...]  # that are drawn
    name: str = ""  # of a branch or completion
    parent: SampleNode | None = None
    children: list[SampleNode] = field(default_factory=list)
    given: np.ndarray | None = None  # int32 [n, N], -1 where a symbol is drawn
    start: int = 0  # places before are given in every drawn row
    change: tuple[int, int, int] | None = None  # of a branch: sample, place, symbol
    note: str = ""
    stale: bool = True  # what is there was not drawn with these settings
    began: SamplingBegan | None = None
    tokens: np.ndarray | None = None  # int32 [n, N]
    log_p: np.ndarray | None = None  # float32 [n, N], nats
    images: np.ndarray | None = None  # uint8 [n, C, H, W]
    previous: np.ndarray | None = None  # the images before they were drawn anew
    texts: list[str] = field(default_factory=list)
    places: np.ndarray = field(default_factory=lambda: np.zeros(0, int))  # symbols, or steps of an iterative sampler, that are there [n]
    frames: FrameFilm = field(default_factory=FrameFilm)  # of an iterative sampler
    energies: dict[int, np.ndarray] = field(default_factory=dict)  # of each sample at every frame [n], of chains that walk down one
    notes: dict[int, str] = field(default_factory=dict)  # what it said of its frames, by their number
    finished: FinishedSamples | None = None  # of an iterative sampler, the last ones
    told: dict[int, str] = field(default_factory=dict)  # row -> the class or caption that what is seen of it was drawn from
    seen_step: int | None = None  # the checkpoint's that what is seen was drawn at

    LETTERS: ClassVar[str] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

    def __post_init__(self) -> None:
        self.drawn_with = self.settings  # what the draw was asked for with

    @property
    def count(self) -> int:
        return self.settings.count

    @property
    def step(self) -> int | None:
        return None if self.began is None else self.began.step

    @property
    def length(self) -> int:
        """Positions of the film: symbols of a sample, or steps of an iterative sampler."""
        return 0 if self.began is None else self.began.frames if self.iterative else self.began.length

    @property
    def depth(self) -> int:
        return 1 if self.began is None else self.began.depth

    @property
    def iterative(self) -> bool:
        """Whether whole images become better step by step, as by a diffusion model."""
        return self.began is not None and self.began.kind == "steps"

    @property
    def has_symbols(self) -> bool:
        """Whether the samples are drawn symbol by symbol, as far as is known."""
        return self.began is None or self.began.kind in SYMBOL_KINDS

    @property
    def has_film(self) -> bool:
        """Whether there are states before the last one to be looked at."""
        return self.has_symbols or (self.iterative and (not self.done or len(self.frames) > 1))

    @property
    def reached(self) -> int:
        """How far the rows that are drawn have come."""
        return int(self.places[list(self.rows)].min()) if len(self.places) else 0

    @property
    def done(self) -> bool:
        if self.began is None:
            return False
        return self.images is not None if self.began.kind == "whole" else self.reached >= self.length

    def title(self) -> str:
        return self.name or self.settings.summary()

    def path(self) -> list[SampleNode]:
        """From the root down to this one."""
        return [*(self.parent.path() if self.parent else []), self]

    def descendants(self) -> int:
        return sum(1 + child.descendants() for child in self.children)

    def letter(self, row: int) -> str:
        return self.LETTERS[row] if row < len(self.LETTERS) else str(row + 1)

    def label_of(self, row: int) -> int | None:
        """The class that a sample was drawn from; None without classes."""
        for one in reversed(self.path()):
            if one.began is not None and row in one.rows and len(one.began.labels) == len(one.rows):
                return one.began.labels[one.rows.index(row)]
        return self.settings.label

    def told_of(self, row: int) -> str:
        """The class or caption that a sample was drawn from; "" without one."""
        return next((one.told[row] for one in reversed(self.path()) if row in one.told), "")

    # what the engine sends

    def resize(self, settings: SamplingSettings) -> None:
        """Take other settings; what is there was not drawn with them. Another number of samples begins from nothing."""
        if settings.count != self.count and self.kind != "branch":
            self.rows = tuple(range(settings.count))
            if self.given is not None:
                self.given = np.repeat(self.given[:1], settings.count, axis=0)
            self.tokens = self.log_p = self.images = self.previous = None
            self.texts, self.places = [], np.zeros(0, int)
            self.frames.clear()
            self.told.clear()
            self.energies.clear()
        self.settings, self.stale = settings, True

    def begin(self, event: SamplingBegan, fresh: bool) -> None:
        """A job has begun to draw the rows; `fresh` from their start, otherwise it goes on."""
        same = self.began is not None and (self.began.length, self.began.kind) == (event.length, event.kind)
        if not same or self.tokens is None or len(self.tokens) != self.count:
            self.tokens = np.full((self.count, event.length), -1, np.int32)
            self.log_p = np.full((self.count, event.length), np.nan, np.float32)
            self.images = self.previous = None
            self.texts = [""] * self.count
            self.places = np.zeros(self.count, int)
        self.began, self.stale = event, False
        self.note = event.note or self.note
        if fresh:
            rows = list(self.rows)
            self.start = event.start
            self.previous = None if self.images is None else self.images.copy()
            assert self.log_p is not None
            self.tokens[rows], self.log_p[rows], self.places[rows] = -1, np.nan, 0
            self.frames.clear()
            self.notes.clear()
            self.energies.clear()
            if self.iterative:
                self.images = None  # what was drawn before is no step of these
        if event.kind != "whole":
            self._tell(event)

    def add_symbols(self, event: SymbolsDrawn) -> None:
        """All symbols so far."""
        rows = list(self.rows)
        assert self.tokens is not None and self.log_p is not None and self.began is not None
        self._tell(self.began)
        self.tokens[rows], self.log_p[rows] = event.tokens, event.log_p
        self.places[rows] = event.place
        if event.images is not None:
            self._set_images(event.images)
        for row, text in zip(rows, event.texts, strict=False):
            self.texts[row] = text

    def add_frame(self, event: FrameDrawn) -> None:
        """The next frame of an iterative sampler."""
        self.places[list(self.rows)] = event.frame
        self._set_images(event.images)
        assert self.images is not None
        self.frames.add(event.frame, self.images.copy())
        if event.note:
            self.notes[event.frame] = event.note
        if event.energy is not None:
            self.energies[event.frame] = event.energy
        if event.final:
            told = tuple(self.told_of(row) for row in range(self.count))
            self.finished = FinishedSamples(self.drawn_with, event.step, self.images.copy(), told)

    def _tell(self, event: SamplingBegan) -> None:
        """What is seen of the drawn rows from now on was drawn from these classes or this caption, at this step."""
        self.seen_step = event.step
        if len(event.labels) == len(self.rows) and event.classes:
            self.told = {row: event.classes[label] for row, label in zip(self.rows, event.labels, strict=True)}
        else:
            self.told = dict.fromkeys(self.rows, self.drawn_with.caption) if event.words else {}

    def _set_images(self, images: np.ndarray) -> None:
        """Of the rows that are drawn: uint8 [rows, C, H, W]."""
        if self.images is None or self.images.shape[1:] != images.shape[1:]:
            self.images = np.zeros((self.count, *images.shape[1:]), np.uint8)
        self.images[list(self.rows)] = images

    def prefix(self) -> np.ndarray | None:
        """The symbols that are there or given in the rows to be drawn [rows, N]; None when there are none."""
        rows = list(self.rows)
        if self.tokens is None or not self.reached:
            return None if self.given is None else self.given[rows]
        there = self.tokens[rows].copy()
        there[:, self.reached :] = -1
        return there if self.given is None else np.where(there < 0, self.given[rows], there)

    def branch(self, row: int, place: int, symbol: int) -> SampleNode:
        """The same samples with another symbol at one place; what follows in that row is still to be drawn."""
        assert self.tokens is not None and self.log_p is not None
        given = np.full_like(self.tokens, -1)
        if self.given is not None:
            given[row] = self.given[row]
        given[row, :place] = self.tokens[row, :place]
        given[row, place] = symbol
        return SampleNode(
            "branch",
            self.settings,
            (row,),
            f"{self.letter(row)} · {self.place_words(place)} → {self.symbol_words(symbol)}",
            self,
            given=given,
            start=place + 1,
            change=(row, place, symbol),
            stale=False,
            began=self.began,
            tokens=self.tokens.copy(),
            log_p=self.log_p.copy(),
            images=None if self.images is None else self.images.copy(),
            texts=list(self.texts),
            places=self.places.copy(),
        )

    # what is seen

    def place_words(self, place: int) -> str:
        """ "pixel 12,7": column, then row; with its channel where there are several."""
        if self.began is None or self.began.kind == "text":
            return f"character {place}"
        cell, channel = divmod(place, self.depth)
        row, column = divmod(cell, self.began.columns)
        what = "patch" if self.began.kind == "codes" else "pixel"
        return f"{what} {column},{row}" + (f" {CHANNELS[channel]}" if self.depth == 3 else "")

    def symbol_words(self, symbol: int) -> str:
        if self.began is None or symbol >= len(self.began.values):
            return f"code {symbol}"
        value = self.began.values[symbol]
        return value if self.began.kind == "pixels" else f"“{value}”" if value.isprintable() else repr(value)[1:-1]

    def images_at(self, position: int) -> np.ndarray | None:
        """The images when the film stands at a position: uint8 [n, C, H, W]. Of symbols, `drawn_cells` says which are there."""
        frame = self.frames.at(position) if self.iterative else None
        return self.images if frame is None else frame

    def frame_at(self, position: int) -> int:
        """The frame that is seen when the film stands at a position: an earlier one where not all could be kept."""
        found = self.frames.number_at(position) if self.iterative else None
        return position if found is None else found

    def samples_before(self) -> FinishedSamples | None:
        """The last finished samples of the same noise, while an iterative sampler draws them anew; else None."""
        before = self.finished
        return before if self.iterative and not self.done and before is not None and before.settings.same_noise(self.settings) else None

    def drawn_cells(self, position: int) -> np.ndarray:
        """Which cells are there when the film stands at a position: bool [n, cells]; given ones are always."""
        cells = self.length // self.depth
        limits = np.minimum(self.places, position)
        there = (np.arange(cells) + 1)[None] * self.depth <= limits[:, None]
        return np.asarray(there | self.given_cells())

    def given_cells(self) -> np.ndarray:
        """Cells that were given from the beginning, by a picture or a prompt: bool [n, cells]."""
        root = self.path()[0]
        cells = self.length // self.depth
        if root.given is not None:  # the same in every row
            return np.broadcast_to((root.given[0] >= 0).reshape(cells, self.depth).all(1), (self.count, cells))
        given = np.zeros((self.count, cells), bool)
        given[:, : root.start // self.depth] = True
        return given

    def surprisal(self, position: int) -> np.ndarray:
        """−log₂ p of every cell in bits [n, cells], channels summed; NaN where the cell is not there when the film stands at a position."""
        assert self.log_p is not None
        limits = np.minimum(self.places, position)
        bits = -self.log_p.reshape(self.count, -1, self.depth).sum(2) / np.log(2)
        bits[(np.arange(bits.shape[1]) + 1)[None] * self.depth > limits[:, None]] = np.nan
        return bits

    def log_likelihood(self, row: int) -> float | None:
        """log p of a finished sample, in nats."""
        if self.log_p is None or not self.has_symbols or not self.length or self.places[row] < self.length:
            return None
        return float(self.log_p[row].sum(dtype=np.float64))

    def display_order(self) -> list[int]:
        """Rows as they are shown: finished completions with the likeliest first."""
        if self.kind != "completion" or not self.done:
            return list(range(self.count))
        return sorted(range(self.count), key=lambda row: -(self.log_likelihood(row) or 0.0))


@dataclass(eq=False)
class RunSamples:
    """What was drawn from one run."""

    settings: SamplingSettings = field(default_factory=SamplingSettings)
    roots: list[SampleNode] = field(default_factory=list)
    node: SampleNode | None = None  # that is looked at
    rates: dict[tuple[bool, int], float] = field(default_factory=dict)  # (with cache, samples at once) -> cells per second
