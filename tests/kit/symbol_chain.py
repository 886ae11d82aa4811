"""A chain of symbols whose probabilities are known, to draw samples from."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from engine import messages as m
from engine.method import DataSpec
from engine.queries.autoregressive_sampling import PartialSamples, draw_symbols
from engine.queries.sampling import draw_samples

V, HEIGHT, WIDTH = 5, 3, 4
N = HEIGHT * WIDTH


class Chain:
    """p(t_i | t_<i) depends on the symbol before only (for a class, on the class too)."""

    title, sampling, conditional = "Chain", "iterative", False
    symbols: int
    length: int
    symbol_kind: str
    layout = (HEIGHT, WIDTH, 1)

    def __init__(self, kind: str = "images", classes: int = 0) -> None:
        rng = np.random.default_rng(0)
        self.first = torch.tensor(rng.dirichlet(np.ones(V), 1 + classes))  # [classes + 1, V]
        self.table = torch.tensor(rng.dirichlet(np.ones(V), (1 + classes, V)))  # [classes + 1, V, V]
        self.symbols, self.length = V, N
        names = tuple(str(c) for c in range(classes))
        self.data = DataSpec((1, HEIGHT, WIDTH), names) if kind == "images" else DataSpec((), (), "text", tuple(range(97, 97 + V)))
        self.config = SimpleNamespace(conditional=classes > 0)
        self.symbol_kind = "text" if kind == "text" else "pixels"
        self.conditional = classes > 0
        self.written = 0

    def _class(self, n: int, y: Tensor | None) -> Tensor:
        return torch.zeros(n, dtype=torch.long) if y is None else y + 1

    def writer(self, n: int, y: Tensor | None = None, prefix: Tensor | None = None, cached: bool = True) -> Pen:
        return Pen(self, self._class(n, y), prefix)

    def log_probs(self, tokens: Tensor, y: Tensor | None = None) -> Tensor:
        c = self._class(len(tokens), y)
        rest = self.table[c[:, None], tokens[:, :-1], tokens[:, 1:]]
        return torch.cat([self.first[c, tokens[:, 0]][:, None], rest], 1).log().float()

    def to_tokens(self, x: Tensor, generator: object = None) -> Tensor:
        return (x.flatten(1) * (V - 1)).round().long()

    def to_images(self, tokens: Tensor) -> Tensor:
        return (tokens / (V - 1)).reshape(-1, 1, HEIGHT, WIDTH)

    def code_patches(self) -> None:
        return None

    def sample(self) -> None: ...

    def log_prob(self) -> None: ...

    def write_out(self) -> None: ...


class Pen:
    def __init__(self, chain: Chain, c: Tensor, prefix: Tensor | None) -> None:
        self.chain, self.c = chain, c
        self.last = None if prefix is None else prefix[:, -1]
        self.place = 0 if prefix is None else prefix.shape[1]

    def log_probs(self) -> Tensor:
        return (self.chain.first[self.c] if self.last is None else self.chain.table[self.c, self.last]).log().float()

    def write(self, symbols: Tensor) -> None:
        self.chain.written += 1
        self.last = symbols.clone()
        self.place += 1


class Room:
    """An explorer with one model in it."""

    def __init__(self, chain: Any) -> None:
        self.found = SimpleNamespace(method=chain, spec=chain.data, step=7, generator=lambda seed: torch.Generator().manual_seed(seed))

    def model(self, run: str, step: int | None) -> SimpleNamespace:
        return self.found


def final(*arguments, **settings) -> PartialSamples:
    *_, last = draw_symbols(*arguments, **settings)
    return last


def run_job(chain: Any, **settings) -> list:
    settings.setdefault("samples", (0, 1))
    return [e for e in draw_samples(Room(chain), m.DrawSamples(job="j", run="/r", **settings)) if e is not None]  # type: ignore[arg-type]


def slow_filter(log_p: list[float], temperature: float, top_k: int, top_p: float) -> list[float]:
    """The definition, symbol by symbol, in Python's own numbers."""
    weights = [math.exp(value / temperature - max(log_p) / temperature) for value in log_p]
    p = [w / sum(weights) for w in weights]
    ranked = sorted(range(len(p)), key=lambda s: (-p[s], s))
    kept = ranked[: top_k or None]
    whole = sum(p[s] for s in kept)
    nucleus, mass = [], 0.0
    for s in kept:
        nucleus.append(s)
        mass += p[s] / whole
        if mass >= top_p - 1e-12:
            break
    whole = sum(p[s] for s in nucleus)
    return [p[s] / whole if s in nucleus else 0.0 for s in range(len(p))]
