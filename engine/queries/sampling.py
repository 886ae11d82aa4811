"""Sampling symbol by symbol: the noise belongs to the sample, every place can be looked at, any symbol can be given.

`grow` is the plain generator for panes and verbs; below it stands what the Sampling pane asks (`install`). A method that grows defines

    length, symbols: how many symbols one x has, and how many values each can take
    writer(n, y=None, prefix=None, cached=True) -> place, log_probs() -> [n, V], write(symbols [n])
    log_probs(tokens [B, N], y=None) -> [B, N], and to_tokens, to_images for images
    code_patches() -> [V, C, h, w] in [0, 1], where its symbols are codes that can be shown one by one

Methods that only `sample` draw in one go.
"""

from __future__ import annotations

import math
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from engine import messages as m
from engine.bases.autoregressive import choose
from engine.data import adapt, picture_from_array, read_image
from engine.data.tokens import decode, encode
from engine.losses.likelihoods import image_generators
from engine.method import Method
from engine.protocols import Sampler, SymbolSequence, provides
from engine.training.batches import seeded

if TYPE_CHECKING:
    from engine.queries.session import Model, QuerySession

GREEDY = 1e-4  # temperatures below are 0: the most likely symbol
EVENT_SECONDS = 1 / 30
MOST_SAMPLES = 64
MOST_SYMBOLS = 4096  # of a text


class CannotSample(ValueError):
    """One sentence: why this cannot be drawn, and what can."""


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
# Growing
# ---------------------------------------------------------------------------------------------------------------------


def grow(
    method: Any,
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
        CannotGrow: shapes or symbols do not fit the method.
    """
    length = noise.shape[1]
    most = length if method.data.kind == "text" else method.length
    if noise.shape != (n, length) or length > most:
        raise CannotSample(f"Noise of shape {list(noise.shape)} is not for {n} samples of at most {most} symbols.")
    given = torch.full((n, length), -1) if fixed is None else fixed
    if given.shape != (n, length) or int(given.max()) >= method.symbols:
        raise CannotSample(f"The given symbols must be {n} × {length} numbers below {method.symbols}; start anew.")
    if not 0 <= start <= length or bool((given[:, :start] < 0).any()):
        raise CannotSample("Symbols are missing before the place where the growth begins; let it begin earlier.")
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


def prefix_log_probs(method: Any, prefix: Tensor, y: Tensor | None) -> Tensor:
    """log p of each given symbol after those before it [n, P], in one pass: what follows cannot change it."""
    whole = prefix.new_zeros(len(prefix), max(method.length, prefix.shape[1]))
    whole[:, : prefix.shape[1]] = prefix
    return method.log_probs(whole, y)[:, : prefix.shape[1]].float()


# ---------------------------------------------------------------------------------------------------------------------
# What the Sampling pane asks
# ---------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Shape:
    """How the symbols of one sample lie."""

    kind: str  # "pixels" | "codes" | "text" | "whole"
    rows: int
    columns: int
    depth: int
    values: tuple[str, ...]

    @property
    def length(self) -> int:
        return self.rows * self.columns * self.depth


def shape_of(method: Method, length: int = 0) -> Shape:
    """`length`: of a text, 0 for as much as the model sees at once."""
    if not provides(method, SymbolSequence):
        return Shape("whole", 1, 1, 1, ())
    if method.symbol_kind == "text":
        return Shape("text", 1, length or method.length, 1, tuple(shown(symbol, method.data.units) for symbol in method.data.symbols))
    rows, columns, depth = method.layout
    if method.symbol_kind == "codes":
        return Shape("codes", rows, columns, depth, ())
    levels = torch.arange(method.symbols)[:, None].expand(-1, method.length)
    grey = _bytes(method.to_images(levels))[:, 0, 0, 0]  # what each level is worth, from 0 to 255
    return Shape("pixels", rows, columns, depth, tuple(str(value) for value in grey))


def shown(symbol: int, units: str) -> str:
    """A symbol of a text as one sign."""
    return chr(symbol) if units == "characters" or symbol < 128 else f"\\x{symbol:02x}"


class Questions:
    """Answers of the Sampling pane, from the models of an explorer."""

    def __init__(self, session: QuerySession) -> None:
        self.session = session

    def grow(self, work: m.DrawSamples) -> Generator[m.Event | None, None, str | None]:
        model = self.session.model(work.run, work.step)
        method = model.method
        if method.sampling == "none" or not provides(method, Sampler):
            raise CannotSample(f"{method.title} has no distribution to draw from; choose a run of a generative method.")
        if not 0 < len(work.samples) <= MOST_SAMPLES:
            raise CannotSample(f"{len(work.samples)} samples cannot be drawn at once; choose 1 to {MOST_SAMPLES}.")
        if work.length > MOST_SYMBOLS:
            raise CannotSample(f"A text of {work.length:,} symbols is longer than what can be drawn here; choose at most {MOST_SYMBOLS:,}.")
        shape = shape_of(method, work.length or (0 if work.tokens is None else work.tokens.shape[1]))
        y = self._labels(model, work)
        if shape.kind == "whole":
            return (yield from self._whole(work, model, y))
        tokens, note = self._given(work, model, shape)
        began = m.SamplingBegan(
            **self._head(work, model, shape, y),
            start=work.start if work.tokens is not None else int((tokens[0] >= 0).sum()),
            note=note,
        )
        yield began
        return (yield from self._symbols(work, model, shape, y, tokens, began.start))

    def _head(self, work: m.DrawSamples, model: Model, shape: Shape, y: Tensor | None) -> dict[str, Any]:
        return {
            "job": work.job,
            "run": work.run,
            "step": model.step,
            "kind": shape.kind,
            "length": shape.length if shape.kind != "whole" else 0,
            "rows": shape.rows,
            "columns": shape.columns,
            "depth": shape.depth,
            "symbols": model.method.symbols if provides(model.method, SymbolSequence) else 0,
            "values": shape.values,
            "classes": model.spec.classes if is_conditional(model.method) else (),
            "labels": () if y is None else tuple(y.tolist()),
        }

    def _labels(self, model: Model, work: m.DrawSamples) -> Tensor | None:
        """The class of each sample [n], or None where the model knows none."""
        classes = len(model.spec.classes)
        if not is_conditional(model.method) or not classes:
            return None
        if work.label is None:
            return labels_of(work.seed, work.samples, classes)
        return torch.full((len(work.samples),), check_label(work.label, classes))

    def _given(self, work: m.DrawSamples, model: Model, shape: Shape) -> tuple[Tensor, str]:
        """The given symbols [n, N], -1 elsewhere."""
        n, length = len(work.samples), shape.length
        if work.tokens is not None:
            if work.tokens.shape != (n, length):
                raise CannotSample(f"This run writes {length} symbols, not {work.tokens.shape[-1]}; grow anew.")
            return torch.from_numpy(np.array(work.tokens, np.int64)), ""
        tokens = torch.full((n, length), -1)
        if not work.prompt or shape.kind != "text":
            return tokens, ""
        prompt = encode(work.prompt.encode(), model.spec.symbols, model.spec.units)
        note = ""
        if len(prompt) >= length:
            note = f"Only the last {length // 2} of the prompt's {len(prompt)} {model.spec.units} were taken, for a text of {length}."
            prompt = prompt[-(length // 2) :]
        tokens[:, : len(prompt)] = torch.from_numpy(prompt)
        return tokens, note

    def _symbols(
        self, work: m.DrawSamples, model: Model, shape: Shape, y: Tensor | None, tokens: Tensor, start: int
    ) -> Generator[m.Event | None, None, str | None]:
        until = shape.length if work.until is None else min(work.until, shape.length)
        row = shape.columns * shape.depth
        growing = grow(
            model.method,
            len(work.samples),
            noise_of(work.seed, work.samples, shape.length),
            y=y,
            fixed=tokens,
            start=start,
            temperature=work.temperature,
            top_k=work.top_k,
            top_p=work.top_p,
            cached=work.cached,
        )
        busy, told = 0.0, -math.inf
        while True:
            started = time.perf_counter()
            growth = next(growing)
            now = time.perf_counter()
            if growth.place > start:  # taking in what was given does not count
                busy += now - started
            final = growth.place >= until
            row_is_full = shape.kind != "text" and growth.place % row == 0
            if not (final or row_is_full or growth.place == start or now - told >= EVENT_SECONDS):
                yield None
                continue
            told = now
            cells = (growth.place - start) * len(work.samples) / shape.depth
            yield self._event(work, model, shape, growth, tokens, cells / busy if busy > 0 else 0.0, final)
            if final:
                return ""

    def _event(
        self, work: m.DrawSamples, model: Model, shape: Shape, growth: PartialSamples, given: Tensor, rate: float, final: bool
    ) -> m.SymbolsDrawn:
        images, texts = None, ()
        if shape.kind == "text":
            written = growth.tokens[:, : growth.place].numpy()
            texts = tuple(decode(row, model.spec.symbols, model.spec.units) for row in written)
        else:
            there = torch.where(growth.tokens < 0, given, growth.tokens)  # what is given is seen from the beginning
            if shape.kind == "pixels":
                there = there.clamp(min=0)  # black; a model of codes leaves the patch out by itself
            images = _bytes(model.method.to_images(there))  # type: ignore[operator]
        return m.SymbolsDrawn(
            work.job,
            work.run,
            model.step,
            growth.place,
            growth.tokens.numpy().astype(np.int32),
            growth.log_p.numpy().copy(),
            images,
            texts,
            rate,
            final,
        )

    def _whole(self, work: m.DrawSamples, model: Model, y: Tensor | None) -> Generator[m.Event | None, None, str | None]:
        """A method without an order: its partial results as they come, the last one final."""
        method: Any = model.method
        n = len(work.samples)
        title = method.title
        note = f"{title} draws all pixels at once: there is no order to watch, and no pixel to choose."
        yield m.SamplingBegan(**self._head(work, model, Shape("whole", 1, 1, 1, ()), y), start=0, note=note)
        nothing = np.zeros((n, 0), np.int32), np.zeros((n, 0), np.float32)
        everyone = max(work.samples) + 1  # so that a sample is the same whoever is drawn beside it
        if y is not None and everyone > n:
            every = tuple(range(everyone))
            y = labels_of(work.seed, every, len(model.spec.classes)) if work.label is None else torch.full((everyone,), work.label)
        started = time.perf_counter()
        before: Tensor | None = None
        for frame in method.sample(everyone, y, work.temperature, model.generator(work.seed)):
            if before is not None:
                yield m.SymbolsDrawn(work.job, work.run, model.step, 0, *nothing, _bytes(before), (), 0.0)
            before = frame.x[list(work.samples)]
        seconds = time.perf_counter() - started
        if before is not None:
            rate = n * before.shape[-1] * before.shape[-2] / max(seconds, 1e-9)
            yield m.SymbolsDrawn(work.job, work.run, model.step, 0, *nothing, _bytes(before), (), rate, True)
        return ""

    # -- queries -------------------------------------------------------------------------------------------------------

    def distribution(self, query: m.SymbolDistribution) -> m.SymbolDistributed:
        model = self.session.model(query.run, query.step)
        method = model.method
        if not provides(method, SymbolSequence):
            raise CannotSample(f"{method.title} draws all pixels at once: no pixel has a distribution of its own.")
        tokens = torch.from_numpy(np.array(query.tokens, np.int64))[None]
        too_long = tokens.shape[1] >= method.length and method.data.kind != "text"
        if too_long or (tokens.numel() and not 0 <= int(tokens.min()) <= int(tokens.max()) < method.symbols):
            raise CannotSample(f"These symbols are not this run's: it writes {method.length} of {method.symbols} kinds; grow anew.")
        y = None
        if is_conditional(method) and query.label is not None:
            y = torch.tensor([check_label(query.label, len(model.spec.classes))])
        writer = method.writer(1, y, prefix=tokens if tokens.numel() else None)
        log_p = writer.log_probs().float()
        patches = method.code_patches()
        return m.SymbolDistributed(
            stamp=query.stamp,
            channel=query.channel,
            run=query.run,
            step=model.step,
            raw=log_p[0].exp().numpy().copy(),
            filtered=filtered(log_p, query.temperature, query.top_k, query.top_p)[0].float().numpy().copy(),
            patches=None if patches is None else _bytes(patches),
        )

    def read_symbols(self, query: m.ReadSymbols) -> m.SymbolsRead:
        model = self.session.model(query.run, query.step)
        method: Any = model.method
        shape = shape_of(method)
        if shape.kind in ("text", "whole"):
            raise CannotSample(f"{method.title} cannot complete a picture; choose a run that draws images symbol by symbol.")
        picture, name = query.picture, query.picture.label
        pixels = read_image(picture.path) if picture.path is not None else None
        if pixels is None:
            if picture.image is None:
                raise CannotSample("There is no picture to complete; drop one.")
            pixels = picture_from_array(picture.image)
        seen, notes = adapt(pixels, model.spec.shape)
        x = torch.from_numpy(np.array(seen))[None].float() / 255
        tokens = method.to_tokens(x, image_generators(x, 0))
        y = None
        if is_conditional(method) and query.label is not None:
            y = torch.tensor([check_label(query.label, len(model.spec.classes))])
        return m.SymbolsRead(
            stamp=query.stamp,
            channel=query.channel,
            run=query.run,
            step=model.step,
            label=name,
            tokens=tokens[0].numpy().astype(np.int32),
            log_p=method.log_probs(tokens, y)[0].float().numpy().copy(),
            seen=seen,
            image=_bytes(method.to_images(tokens))[0],
            kind=shape.kind,
            rows=shape.rows,
            columns=shape.columns,
            depth=shape.depth,
            notes=(*pixels.notes, *notes),
        )


def is_conditional(method: Any) -> bool:
    return bool(method.conditional)


def check_label(label: int, classes: int) -> int:
    """Raises: CannotGrow."""
    if not 0 <= label < classes:
        raise CannotSample(f"There is no class {label}; choose one from 0 to {classes - 1}.")
    return label


def _bytes(images: Tensor) -> np.ndarray:
    """Float in [0, 1] -> uint8 [N, C, H, W], rounded."""
    return (images.clamp(0, 1) * 255).round().to(torch.uint8).numpy().copy()


def install(session: QuerySession) -> None:
    """Let an explorer answer what the Sampling pane asks."""
    questions = Questions(session)
    session._works[m.DrawSamples] = questions.grow
    session._answers[m.SymbolDistribution] = questions.distribution
    session._answers[m.ReadSymbols] = questions.read_symbols
