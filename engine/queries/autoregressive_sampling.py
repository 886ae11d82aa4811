"""Sampling an autoregressive model symbol by symbol.

The noise belongs to the sample, every place can be looked at, and any symbol can be given. Plain functions of a method and tensors; what
the Sampling pane asks is in `sampling.py`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from engine.bases.autoregressive import choose
from engine.protocols import SymbolSequence
from engine.training.batches import seeded

GREEDY = 1e-4  # temperatures below are 0: the most likely symbol


class CannotSample(ValueError):
    """One sentence: why this cannot be drawn, and what can."""


class BadSampleSetting(CannotSample):
    """One sentence: which setting of which sampler is wrong, and what it may be."""


@dataclass(frozen=True)
class PartialSamples:
    """So far. The tensors are those being written to; copy what is to be kept."""

    place: int  # symbols that are there
    tokens: Tensor  # int64 [n, N], -1: not yet
    log_p: Tensor  # float32 [n, N]: log p of each symbol given those before, in nats and before any filter; NaN: not yet


# ---------------------------------------------------------------------------------------------------------------------
# Drawing one symbol
# ---------------------------------------------------------------------------------------------------------------------


def filtered(log_p: Tensor, temperature: float = 1.0, top_k: int = 0, top_p: float = 1.0) -> Tensor:
    """What is drawn from: log-probabilities [n, V] -> probabilities [n, V], float64.

    First p^(1/temperature), then the `top_k` most likely symbols (0: all), then the smallest set of most likely ones that
    together reach `top_p` (nucleus sampling, Holtzman et al. 2020, section 3.1), each time renormalized. Of equally likely
    symbols the earlier ones come first; at least one always stays.
    """
    log_p = log_p.double()
    if temperature < GREEDY:
        top_k, temperature = 1, 1.0
    p = torch.softmax(log_p / temperature, dim=-1)
    v = p.shape[-1]
    if not (0 < top_k < v or top_p < 1):
        return p
    sorted_p, order = p.sort(dim=-1, descending=True, stable=True)
    if 0 < top_k < v:
        sorted_p[..., top_k:] = 0
        sorted_p /= sorted_p.sum(-1, keepdim=True)
    if top_p < 1:
        before = sorted_p.cumsum(-1) - sorted_p  # what the more likely ones have already
        keep = before < top_p - 1e-12
        keep[..., 0] = True
        sorted_p = torch.where(keep, sorted_p, 0.0)
        sorted_p /= sorted_p.sum(-1, keepdim=True)
    return torch.zeros_like(p).scatter_(-1, order, sorted_p)


def noise_of(seed: int, samples: tuple[int, ...], length: int) -> Tensor:
    """The uniforms of samples [n, length], float64: each depends on the seed and its own index only."""
    return torch.stack(
        [torch.rand(length, generator=torch.Generator().manual_seed(seeded(seed, index)), dtype=torch.float64) for index in samples]
    )


def labels_of(seed: int, samples: tuple[int, ...], classes: int) -> Tensor:
    """A class for each sample [n], every class as likely as another; like the noise it depends on the seed and the index only."""
    own = (torch.Generator().manual_seed(seeded(seeded(seed, index), 1)) for index in samples)
    return torch.stack([torch.randint(classes, (), generator=generator) for generator in own])


# ---------------------------------------------------------------------------------------------------------------------
# Drawing whole samples
# ---------------------------------------------------------------------------------------------------------------------


def draw_symbols(
    method: SymbolSequence,
    n: int,
    noise: Tensor,
    *,
    y: Tensor | None = None,
    fixed: Tensor | None = None,
    start: int = 0,
    temperature: float = 1.0,
    top_k: int = 0,
    top_p: float = 1.0,
    cached: bool = True,
) -> Iterator[PartialSamples]:
    """Write n samples symbol after symbol, yielding before the first and after each.

    Args:
        noise: uniforms [n, N]; the symbol at a place is the inverse distribution function at its own noise.
        y: classes [n] of a conditional model.
        fixed: given symbols int64 [n, N], -1 where one is drawn. A given symbol that comes late does not change what was drawn
            before it; it is conditioned on by what follows.
        start: the places before are given for every sample, and are taken in at once.
        cached: False computes the whole network anew for every symbol.

    Raises:
        CannotSample: shapes or symbols do not fit the method.
    """
    length = noise.shape[1]
    most = length if method.symbol_kind == "text" else method.length
    if noise.shape != (n, length) or length > most:
        raise CannotSample(f"Noise of shape {list(noise.shape)} is not for {n} samples of at most {most} symbols.")
    given = torch.full((n, length), -1) if fixed is None else fixed
    if given.shape != (n, length) or int(given.max()) >= method.symbols:
        raise CannotSample(f"The given symbols must be {n} × {length} numbers below {method.symbols}; start anew.")
    if not 0 <= start <= length or bool((given[:, :start] < 0).any()):
        raise CannotSample("Symbols are missing before the place where drawing begins; let it begin earlier.")
    tokens = torch.full((n, length), -1)
    log_p = torch.full((n, length), math.nan)
    prefix = None
    if start:
        prefix = tokens[:, :start] = given[:, :start]
        log_p[:, :start] = prefix_log_probs(method, prefix, y)
    yield PartialSamples(start, tokens, log_p)
    if start == length:
        return
    writer = method.writer(n, y, prefix=prefix, cached=cached)
    rows = torch.arange(n)
    for place in range(start, length):
        log_probs = writer.log_probs().float()  # [n, V]
        wanted = given[:, place]
        symbols = wanted
        if bool((wanted < 0).any()):
            drawn = choose(filtered(log_probs, temperature, top_k, top_p), noise[:, place])
            symbols = torch.where(wanted < 0, drawn, wanted)
        tokens[:, place] = symbols
        log_p[:, place] = log_probs[rows, symbols]
        if place + 1 < length:
            writer.write(symbols)
        yield PartialSamples(place + 1, tokens, log_p)


def prefix_log_probs(method: SymbolSequence, prefix: Tensor, y: Tensor | None) -> Tensor:
    """log p of each given symbol after those before it [n, P], in one pass: what follows cannot change it."""
    whole = prefix.new_zeros(len(prefix), max(method.length, prefix.shape[1]))
    whole[:, : prefix.shape[1]] = prefix
    return method.log_probs(whole, y)[:, : prefix.shape[1]].float()
