"""Samples that were grown, as a tree: what was drawn, which symbols were given, and the branches that began where another one was chosen.

Arrays and words only: no widget, no engine.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from app.shell.formatting import number
from engine.messages import SamplingBegan, SymbolsDrawn

CHANNELS = ("red", "green", "blue")
NAMES = {"pixels": "pixel", "codes": "patch", "text": "character", "whole": "image"}  # one cell


@dataclass(frozen=True)
class Settings:
    """What a draw depends on besides the model."""

    seed: int = 0
    count: int = 4
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    label: int | None = None
    cached: bool = True
    prompt: str = ""
    length: int = 400  # of a text, in symbols

    def words(self) -> str:
        """ "seed 3 · ×4 · T 0.80 · top-k 5"; what is at its default is left out."""
        parts = [f"seed {self.seed}", f"×{self.count}"]
        if self.temperature != 1:
            parts.append(f"T {number(self.temperature, 2)}")
        if self.top_k:
            parts.append(f"top-k {self.top_k}")
        if self.top_p < 1:
            parts.append(f"top-p {number(self.top_p, 2)}")
        return " · ".join(parts)


@dataclass(eq=False)
class Node:
    """n samples side by side. Of a branch only one row was grown anew; the others are its parent's."""

    kind: str  # "draw" | "completion" | "branch"
    settings: Settings
    rows: tuple[int, ...]  # that are grown
    name: str = ""  # of a branch or completion
    parent: Node | None = None
    children: list[Node] = field(default_factory=list)
    given: np.ndarray | None = None  # int32 [n, N], -1 where a symbol is drawn
    start: int = 0  # places before are given in every grown row
    change: tuple[int, int, int] | None = None  # of a branch: sample, place, symbol
    note: str = ""
    stale: bool = True  # what is there was not grown with these settings
    began: SamplingBegan | None = None
    tokens: np.ndarray | None = None  # int32 [n, N]
    log_p: np.ndarray | None = None  # float32 [n, N], nats
    images: np.ndarray | None = None  # uint8 [n, C, H, W]
    ghost: np.ndarray | None = None  # the images before they were grown anew
    texts: list[str] = field(default_factory=list)
    places: np.ndarray = field(default_factory=lambda: np.zeros(0, int))  # symbols that are there [n]

    LETTERS: ClassVar[str] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

    @property
    def count(self) -> int:
        return self.settings.count

    @property
    def step(self) -> int | None:
        return None if self.began is None else self.began.step

    @property
    def length(self) -> int:
        return 0 if self.began is None else self.began.length

    @property
    def depth(self) -> int:
        return 1 if self.began is None else self.began.depth

    @property
    def whole(self) -> bool:
        return self.began is not None and self.began.kind == "whole"

    @property
    def head(self) -> int:
        """How far the rows that are grown have come."""
        return int(self.places[list(self.rows)].min()) if len(self.places) else 0

    @property
    def done(self) -> bool:
        if self.whole:
            return self.images is not None
        return self.began is not None and self.head >= self.length

    def title(self) -> str:
        return self.name or self.settings.words()

    def family(self) -> list[Node]:
        """From the root down to this one."""
        return [*(self.parent.family() if self.parent else []), self]

    def descendants(self) -> int:
        return sum(1 + child.descendants() for child in self.children)

    def letter(self, row: int) -> str:
        return self.LETTERS[row] if row < len(self.LETTERS) else str(row + 1)

    # growing

    def resize(self, settings: Settings) -> None:
        """Take other settings; what is there was not grown with them. Another number of samples begins from nothing."""
        if settings.count != self.count and self.kind != "branch":
            self.rows = tuple(range(settings.count))
            if self.given is not None:
                self.given = np.repeat(self.given[:1], settings.count, axis=0)
            self.tokens = self.log_p = self.images = self.ghost = None
            self.texts, self.places = [], np.zeros(0, int)
        self.settings, self.stale = settings, True

    def begin(self, event: SamplingBegan, fresh: bool) -> None:
        """A job has begun to grow the rows; `fresh` from their start, otherwise it goes on."""
        same = self.began is not None and (self.began.length, self.began.kind) == (event.length, event.kind)
        if not same or self.tokens is None or len(self.tokens) != self.count:
            self.tokens = np.full((self.count, event.length), -1, np.int32)
            self.log_p = np.full((self.count, event.length), np.nan, np.float32)
            self.images = self.ghost = None
            self.texts = [""] * self.count
            self.places = np.zeros(self.count, int)
        self.began, self.stale = event, False
        self.note = event.note or self.note
        if fresh:
            rows = list(self.rows)
            self.start = event.start
            self.ghost = None if self.images is None else self.images.copy()
            assert self.log_p is not None
            self.tokens[rows], self.log_p[rows], self.places[rows] = -1, np.nan, 0

    def take(self, event: SymbolsDrawn) -> None:
        rows = list(self.rows)
        assert self.tokens is not None and self.log_p is not None
        self.tokens[rows], self.log_p[rows] = event.tokens, event.log_p
        self.places[rows] = event.place
        if event.images is not None:
            if self.images is None or self.images.shape[1:] != event.images.shape[1:]:
                self.images = np.zeros((self.count, *event.images.shape[1:]), np.uint8)
            self.images[rows] = event.images
        for row, text in zip(rows, event.texts, strict=False):
            self.texts[row] = text

    def going_on(self) -> np.ndarray | None:
        """The symbols that are there or given in the rows to be grown [rows, N]; None when there are none."""
        rows = list(self.rows)
        if self.tokens is None or not self.head:
            return None if self.given is None else self.given[rows]
        there = self.tokens[rows].copy()
        there[:, self.head :] = -1
        return there if self.given is None else np.where(there < 0, self.given[rows], there)

    def branch(self, row: int, place: int, symbol: int) -> Node:
        """The same samples with another symbol at one place; what follows in that row is still to be grown."""
        assert self.tokens is not None and self.log_p is not None
        given = np.full_like(self.tokens, -1)
        if self.given is not None:
            given[row] = self.given[row]
        given[row, :place] = self.tokens[row, :place]
        given[row, place] = symbol
        name = f"{self.letter(row)} · {self.place_words(place)} → {self.symbol_words(symbol)}"
        return Node(
            "branch",
            self.settings,
            (row,),
            name,
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

    def there(self, film: int) -> np.ndarray:
        """Which cells are there when the film stands at a place: bool [n, cells]; given ones are always."""
        cells = self.length // self.depth
        limits = np.minimum(self.places, film)
        there = (np.arange(cells) + 1)[None] * self.depth <= limits[:, None]
        return np.asarray(there | self.known())

    def known(self) -> np.ndarray:
        """Cells that were given from the beginning, by a picture or a prompt: bool [n, cells]."""
        root = self.family()[0]
        cells = self.length // self.depth
        if root.given is not None:  # the same in every row
            return np.broadcast_to((root.given[0] >= 0).reshape(cells, self.depth).all(1), (self.count, cells))
        known = np.zeros((self.count, cells), bool)
        known[:, : root.start // self.depth] = True
        return known

    def bits(self, film: int) -> np.ndarray:
        """Surprise of every cell in bits [n, cells], channels summed; NaN where it is not there."""
        assert self.log_p is not None
        limits = np.minimum(self.places, film)
        bits = -self.log_p.reshape(self.count, -1, self.depth).sum(2) / np.log(2)
        bits[(np.arange(bits.shape[1]) + 1)[None] * self.depth > limits[:, None]] = np.nan
        return bits

    def nats(self, row: int) -> float | None:
        """log p of a finished sample."""
        if self.log_p is None or self.whole or not self.length or self.places[row] < self.length:
            return None
        return float(self.log_p[row].sum(dtype=np.float64))

    def order(self) -> list[int]:
        """Rows as they are shown: finished completions with the likeliest first."""
        if self.kind != "completion" or not self.done:
            return list(range(self.count))
        return sorted(range(self.count), key=lambda row: -(self.nats(row) or 0.0))
