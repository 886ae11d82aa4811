"""What the Sampling pane asks: samples as they are drawn, what could stand at a place, and an image as symbols.

An autoregressive method is drawn symbol by symbol, another iterative sampler frame by frame, all others in one pass.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from engine import messages as m
from engine.config import BadSetting, fields_of, make_config
from engine.data import BadData, adapt
from engine.data.captions import encode_captions
from engine.data.tokens import decode, encode
from engine.losses.likelihoods import image_generators
from engine.method import DataSpec, Method
from engine.protocols import ConfigurableSampler, Frame, ObservationSampler, Sampler, SymbolSequence, provides
from engine.queries.answers import Job, answers
from engine.queries.arrays import array, image_array, image_tensor
from engine.queries.autoregressive_sampling import (
    BadSampleSetting,
    CannotSample,
    PartialSamples,
    draw_symbols,
    filtered,
    labels_of,
    noise_of,
)
from engine.queries.pictures import read_picture
from engine.queries.session import Model, QuerySession, answer_head

EVENT_SECONDS = 1 / 30
MOST_SAMPLES = 64
MOST_SYMBOLS = 4096  # of a text


@dataclass(frozen=True)
class SymbolLayout:
    """How the symbols of one sample lie: in raster order, the channels of a pixel after each other."""

    kind: str  # "pixels" | "codes" | "text" | "steps" | "whole"
    rows: int
    columns: int
    depth: int
    values: tuple[str, ...]

    @property
    def length(self) -> int:
        """Symbols of one sample."""
        return self.rows * self.columns * self.depth


STEPS = SymbolLayout("steps", 1, 1, 1, ())  # no symbols: a frame after the other
WHOLE = SymbolLayout("whole", 1, 1, 1, ())  # no symbols: in one pass


def layout_of(method: SymbolSequence, data: DataSpec, length: int = 0) -> SymbolLayout:
    """`length`: of a text, 0 for as much as the model sees at once."""
    if method.symbol_kind == "text":
        signs = tuple(_sign(symbol, data.units) for symbol in data.symbols)
        return SymbolLayout("text", 1, length or method.length, 1, signs)
    rows, columns, depth = method.layout
    if method.symbol_kind == "codes":
        return SymbolLayout("codes", rows, columns, depth, ())
    levels = torch.arange(method.symbols)[:, None].expand(-1, method.length)
    grey = image_array(method.to_images(levels))[:, 0, 0, 0]  # what each level is worth, from 0 to 255
    return SymbolLayout("pixels", rows, columns, depth, tuple(str(value) for value in grey))


def _sign(symbol: int, units: str) -> str:
    """A symbol of a text as one sign."""
    return chr(symbol) if units == "characters" or symbol < 128 else f"\\x{symbol:02x}"


# ---------------------------------------------------------------------------------------------------------------------
# Samples
# ---------------------------------------------------------------------------------------------------------------------


@answers(m.DrawSamples)
def draw_samples(session: QuerySession, work: m.DrawSamples) -> Job:
    """Raises: CannotSample, BadRun, BadData."""
    model = session.model(work.run, work.step)
    method = sampler_of(model)
    if not 0 < len(work.samples) <= MOST_SAMPLES:
        raise CannotSample(f"{len(work.samples)} samples cannot be drawn at once; choose 1 to {MOST_SAMPLES}.")
    if work.length > MOST_SYMBOLS:
        raise CannotSample(f"A text of {work.length:,} symbols is longer than what can be drawn here; choose at most {MOST_SYMBOLS:,}.")
    y = _labels(model, work)
    if provides(method, SymbolSequence):
        return (yield from _by_symbols(work, model, method, y))
    frames = _frames(work, model, method, y)
    if model.method.sampling == "iterative":
        return (yield from _by_steps(work, model, frames, y))
    return (yield from _in_one_pass(work, model, frames, y))


def sampler_of(model: Model) -> Sampler:
    """The method, if new examples can be drawn from it. Raises: CannotSample."""
    method = model.method
    if method.sampling == "none" or not provides(method, Sampler):
        raise CannotSample(f"{method.title} has no distribution to draw from; choose a run of a generative method.")
    return method


def finished_samples(model: Model, work: m.DrawSamples) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """What `draw_samples` ends with, drawn at a stretch: images uint8 [n, C, H, W], or texts. As many and as long as one likes.

    Raises: CannotSample, BadData.
    """
    method = sampler_of(model)
    y = _labels(model, work)
    with torch.no_grad():
        if provides(method, SymbolSequence):
            drawing = _symbol_drawing(work, model, method, y)
            *_, samples = drawing.parts
            return _shown(model, method, samples, drawing.given)
        *_, frame = _frames(work, model, method, y)
        return image_array(frame.x), ()


def film_of_samples(model: Model, work: m.DrawSamples) -> Iterator[tuple[int, int, np.ndarray]]:
    """How `finished_samples` come about: (steps or rows of symbols done, of how many, images uint8 [n, C, H, W]), the
    finished ones last.

    Raises: CannotSample: texts, or a sampler that draws in one pass. BadData.
    """
    method = sampler_of(model)
    text = model.spec.kind == "text"
    if text or not (provides(method, SymbolSequence) or model.method.sampling == "iterative"):
        ending = ".txt" if text else ".png"
        raise CannotSample(f"{model.method.title} makes no film of its samples; name a file that ends in {ending}.")
    y = _labels(model, work)
    if not provides(method, SymbolSequence):
        for frame in _frames(work, model, method, y):
            yield frame.step, frame.count, image_array(frame.x)
        return
    drawing = _symbol_drawing(work, model, method, y)
    length, per_row = drawing.layout.length, drawing.layout.columns * drawing.layout.depth
    for samples in drawing.parts:
        if samples.place % per_row == 0:
            images, _ = _shown(model, method, samples, drawing.given)
            assert images is not None, "what learns from images draws images"
            yield samples.place // per_row, length // per_row, images


def _head(work: m.DrawSamples, model: Model, layout: SymbolLayout, y: Tensor | None) -> dict[str, Any]:
    """What `SamplingBegan` says of every kind."""
    method = model.method
    return {
        "job": work.job,
        "run": work.run,
        "step": model.step,
        "kind": layout.kind,
        "length": 0 if layout in (STEPS, WHOLE) else layout.length,
        "rows": layout.rows,
        "columns": layout.columns,
        "depth": layout.depth,
        "symbols": method.symbols if provides(method, SymbolSequence) else 0,
        "values": layout.values,
        "classes": model.spec.classes if method.conditional else (),
        "labels": tuple(y.tolist()) if y is not None and method.conditional else (),
        "words": model.spec.words,
    }


def _labels(model: Model, work: m.DrawSamples) -> Tensor | None:
    """The class of each sample int64 [n] or its caption int64 [n, L], or None where the model knows neither or none is asked for."""
    classes = len(model.spec.classes)
    if (captions := caption_tokens(model, work.caption, len(work.samples))) is not None:
        return captions
    if not model.method.conditional or not classes:
        return None
    if work.label is None:
        return labels_of(work.seed, work.samples, classes)
    return torch.full((len(work.samples),), check_label(work.label, classes))


def caption_tokens(model: Model, caption: str, n: int) -> Tensor | None:
    """The words of a caption for each of n samples int64 [n, L]; None where there is none.

    Raises: CannotSample: the model was told no captions, or does not know a word.
    """
    if not caption.strip():
        return None
    if model.method.condition != "caption":
        raise CannotSample(f"{model.method.title} was told no captions in this run; train it with conditional = true, condition = caption.")
    try:
        return torch.from_numpy(encode_captions([caption], model.spec.words)).expand(n, -1)
    except BadData as error:
        raise CannotSample(str(error)) from None


def check_label(label: int, classes: int) -> int:
    """Raises: CannotSample."""
    if not 0 <= label < classes:
        raise CannotSample(f"There is no class {label}; choose one from 0 to {classes - 1}.")
    return label


# -- symbol by symbol --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class SymbolDrawing:
    """Symbols that are about to be drawn."""

    layout: SymbolLayout
    given: Tensor  # int64 [n, N], -1 where a symbol is drawn
    start: int  # places that are given at the front
    note: str
    parts: Iterator[PartialSamples]


def _symbol_drawing(work: m.DrawSamples, model: Model, method: SymbolSequence, y: Tensor | None) -> SymbolDrawing:
    sampler_settings(method, dict(work.settings))
    layout = layout_of(method, model.spec, work.length or (0 if work.tokens is None else work.tokens.shape[1]))
    tokens, note = _given(work, model, layout)
    start = work.start if work.tokens is not None else int((tokens[0] >= 0).sum())
    parts = draw_symbols(
        method,
        len(work.samples),
        noise_of(work.seed, work.samples, layout.length),
        y=y,
        fixed=tokens,
        start=start,
        temperature=work.temperature,
        top_k=work.top_k,
        top_p=work.top_p,
        cached=work.cached,
    )
    return SymbolDrawing(layout, tokens, start, note, parts)


def _by_symbols(work: m.DrawSamples, model: Model, method: SymbolSequence, y: Tensor | None) -> Job:
    drawing = _symbol_drawing(work, model, method, y)
    layout, start = drawing.layout, drawing.start
    yield m.SamplingBegan(**_head(work, model, layout, y), start=start, note=drawing.note)
    until = layout.length if work.until is None else min(work.until, layout.length)
    row = layout.columns * layout.depth
    busy, sent_at = 0.0, -math.inf
    while True:
        started = time.perf_counter()
        samples = next(drawing.parts)
        now = time.perf_counter()
        if samples.place > start:  # taking in what was given does not count
            busy += now - started
        final = samples.place >= until
        row_is_full = layout.kind != "text" and samples.place % row == 0
        if not (final or row_is_full or samples.place == start or now - sent_at >= EVENT_SECONDS):
            yield None
            continue
        sent_at = now
        cells = (samples.place - start) * len(work.samples) / layout.depth
        images, texts = _shown(model, method, samples, drawing.given)
        yield m.SymbolsDrawn(
            work.job,
            work.run,
            model.step,
            samples.place,
            samples.tokens.numpy().astype(np.int32),
            array(samples.log_p),
            images,
            texts,
            cells / busy if busy > 0 else 0.0,
            final,
        )
        if final:
            return ""


def _given(work: m.DrawSamples, model: Model, layout: SymbolLayout) -> tuple[Tensor, str]:
    """The given symbols int64 [n, N], -1 elsewhere; and what of the prompt was left out, in words."""
    n, length = len(work.samples), layout.length
    if work.tokens is not None:
        if work.tokens.shape != (n, length):
            raise CannotSample(f"This run writes {length} symbols, not {work.tokens.shape[-1]}; draw anew.")
        return torch.from_numpy(np.array(work.tokens, np.int64)), ""
    tokens = torch.full((n, length), -1)
    if not work.prompt or layout.kind != "text":
        return tokens, ""
    prompt = encode(work.prompt.encode(), model.spec.symbols, model.spec.units)
    note = ""
    if len(prompt) >= length:
        note = f"Only the last {length // 2} of the prompt's {len(prompt)} {model.spec.units} were taken, for a text of {length}."
        prompt = prompt[-(length // 2) :]
    tokens[:, : len(prompt)] = torch.from_numpy(prompt)
    return tokens, note


def _shown(model: Model, method: SymbolSequence, samples: PartialSamples, given: Tensor) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """What is there so far, as images uint8 [n, C, H, W] or as texts."""
    if method.symbol_kind == "text":
        written = samples.tokens[:, : samples.place].numpy()
        return None, tuple(decode(row, model.spec.symbols, model.spec.units) for row in written)
    there = torch.where(samples.tokens < 0, given, samples.tokens)  # what is given is seen from the beginning
    if method.symbol_kind == "pixels":
        there = there.clamp(min=0)  # black; a model of codes leaves the patch out by itself
    return image_array(method.to_images(there)), ()


# -- whole images ------------------------------------------------------------------------------------------------------


def _frames(work: m.DrawSamples, model: Model, method: Sampler, y: Tensor | None) -> Iterator[Frame]:
    """The sampler's frames with the samples that are asked for only. The sampler counts its samples from 0, so all up to the last one are
    drawn: sample k depends on the seed and k only, not on which others are drawn beside it."""
    everyone = max(work.samples) + 1
    if y is not None and everyone > len(work.samples):
        every = tuple(range(everyone))
        if y.ndim == 1:
            y = labels_of(work.seed, every, len(model.spec.classes)) if work.label is None else torch.full((everyone,), work.label)
        else:
            y = y[:1].expand(everyone, -1)
    frames, _ = drawn_frames(method, everyone, y, work.temperature, model.generator(work.seed), work.decode, dict(work.settings))
    for frame in frames:
        rows = list(work.samples)
        yield replace(frame, x=frame.x[rows], energy=None if frame.energy is None else frame.energy[rows])


def _by_steps(work: m.DrawSamples, model: Model, frames: Iterator[Frame], y: Tensor | None) -> Job:
    """An iterative sampler: every frame is told."""
    started = time.perf_counter()
    for number, frame in enumerate(frames, 1):
        if number == 1:
            note = f"{model.method.title} draws all pixels at once, better with every step: there is no pixel to choose."
            yield m.SamplingBegan(**_head(work, model, STEPS, y), start=0, note=note, frames=frame.count)
        rate = number / max(time.perf_counter() - started, 1e-9)
        images, final = image_array(frame.x), frame.step >= frame.count
        energy = None if frame.energy is None else array(frame.energy.float())
        yield m.FrameDrawn(work.job, work.run, model.step, frame.step, frame.count, images, rate, final, frame.note, energy)
    return ""


def sampler_settings(method: object, settings: Mapping[str, Any]) -> Any:
    """A sampler's settings, checked, from those that are not at their default, values or what was typed; None of one without any.

    Raises: BadSampleSetting: there is no such setting, or no such value of it.
    """
    known = _named(method) if provides(method, ConfigurableSampler) else ()
    if unknown := [name for name in settings if name not in known]:
        named = " and ".join(f"“{name}”" for name in unknown)
        has = f"it has {', '.join(known)}" if known else "it has no settings"
        raise BadSampleSetting(f"{named} {'is' if len(unknown) == 1 else 'are'} no setting of {_title(method)}’s sampler; {has}.")
    if not provides(method, ConfigurableSampler):
        return None
    try:
        return make_config(method.SampleSettings, settings)
    except BadSetting as error:
        raise _bad(method, error) from None


def _bad(method: object, error: BadSetting) -> BadSampleSetting:
    return BadSampleSetting(f"{_title(method)}’s sampler: {error}")


def _said_plainly(method: object, frames: Iterator[Frame]) -> Iterator[Frame]:
    """The frames; a setting that the sampler refuses only as it begins is said like one that it refuses at once."""
    try:
        yield from frames
    except BadSetting as error:
        raise _bad(method, error) from None


def _title(method: object) -> str:
    return method.title if isinstance(method, Method) else "This method"


def _named(method: ConfigurableSampler) -> tuple[str, ...]:
    return tuple(field.name for field in fields_of(method.SampleSettings))


def drawn_frames(
    method: Sampler,
    n: int,
    y: Tensor | None,
    temperature: float,
    generator: torch.Generator,
    decode: str,
    settings: Mapping[str, Any] | None = None,
) -> tuple[Iterator[Frame], str]:
    """The frames of n samples, and what they are: "mean" of p(x|z) or "sample" of it, as `decode` asks; "" where there is no such choice.

    `settings`: of a sampler that has some, those that are not at their default, values or what was typed.

    Raises: CannotSample: `decode` is neither. BadSampleSetting: the sampler has no such settings, or no temperature.
    """
    if decode not in ("mean", "sample"):
        raise CannotSample(f"Samples are drawn as “mean” or “sample” of p(x|z), not as “{decode}”.")
    chosen = sampler_settings(method, settings or {})
    if provides(method, ConfigurableSampler):
        if temperature != 1:
            raise BadSampleSetting(f"{_title(method)}’s sampler has no temperature; it has {', '.join(_named(method))}.")
        try:
            return _said_plainly(method, method.sample_with(n, y, chosen, generator)), ""
        except BadSetting as error:
            raise _bad(method, error) from None
    if not provides(method, ObservationSampler):
        return method.sample(n, y, temperature, generator), ""
    draw = method.sample_observations if decode == "sample" else method.sample
    return draw(n, y, temperature, generator), decode


def _in_one_pass(work: m.DrawSamples, model: Model, frames: Iterator[Frame], y: Tensor | None) -> Job:
    """A direct sampler: partial results as they come, where there are any, the last one final."""
    n = len(work.samples)
    note = f"{model.method.title} draws all pixels at once: there is no order to watch, and no pixel to choose."
    decode = work.decode if provides(model.method, ObservationSampler) else ""
    if decode:
        note += " These are means of p(x|z), smoother than what it draws." if decode == "mean" else " These are drawn from p(x|z)."
    yield m.SamplingBegan(**_head(work, model, WHOLE, y), start=0, note=note, decode=decode)
    nothing = np.zeros((n, 0), np.int32), np.zeros((n, 0), np.float32)
    started = time.perf_counter()
    for frame in frames:
        final = frame.step >= frame.count
        rate = n * frame.x.shape[-1] * frame.x.shape[-2] / max(time.perf_counter() - started, 1e-9) if final else 0.0
        yield m.SymbolsDrawn(work.job, work.run, model.step, 0, *nothing, image_array(frame.x), (), rate, final)
    return ""


# ---------------------------------------------------------------------------------------------------------------------
# Queries
# ---------------------------------------------------------------------------------------------------------------------


@answers(m.SymbolDistribution)
def symbol_distribution(session: QuerySession, query: m.SymbolDistribution) -> m.SymbolDistributed:
    """Probabilities float32 [V] of the next symbol after those given, the model's own and those drawn from. Raises: CannotSample: no
    symbols, or not this run's.
    """
    model = session.model(query.run, query.step)
    method = model.method
    if not provides(method, SymbolSequence):
        raise CannotSample(f"{method.title} draws all pixels at once: no pixel has a distribution of its own.")
    tokens = torch.from_numpy(np.array(query.tokens, np.int64))[None]
    too_long = tokens.shape[1] >= method.length and method.symbol_kind != "text"
    if too_long or (tokens.numel() and not 0 <= int(tokens.min()) <= int(tokens.max()) < method.symbols):
        raise CannotSample(f"These symbols are not this run's: it writes {method.length} of {method.symbols} kinds; draw anew.")
    writer = method.writer(1, _asked_condition(model, query), prefix=tokens if tokens.numel() else None)
    log_p = writer.log_probs().float()
    patches = method.code_patches()
    return m.SymbolDistributed(
        **answer_head(query, model),
        raw=array(log_p[0].exp()),
        filtered=array(filtered(log_p, query.temperature, query.top_k, query.top_p)[0].float()),
        patches=None if patches is None else image_array(patches),
    )


@answers(m.ReadSymbols)
def read_symbols(session: QuerySession, query: m.ReadSymbols) -> m.SymbolsRead:
    """An image as symbols int32 [N], with log p of each in nats. Raises: CannotSample: no picture, or the method writes no images."""
    model = session.model(query.run, query.step)
    method, asked = model.method, query.picture
    if not provides(method, SymbolSequence) or method.symbol_kind == "text":
        raise CannotSample(f"{method.title} cannot complete a picture; choose a run that draws images symbol by symbol.")
    if asked.path is None and asked.image is None and asked.index is None:
        raise CannotSample("There is no picture to complete; drop one.")
    layout = layout_of(method, model.spec)
    picture = read_picture(session, asked, model)
    seen, notes = adapt(picture, model.spec.shape)
    x = image_tensor(seen[None])
    tokens = method.to_tokens(x, image_generators(x, 0))
    return m.SymbolsRead(
        **answer_head(query, model),
        label=asked.label,
        tokens=tokens[0].numpy().astype(np.int32),
        log_p=array(method.log_probs(tokens, _asked_condition(model, query))[0].float()),
        seen=seen,
        image=image_array(method.to_images(tokens))[0],
        kind=layout.kind,
        rows=layout.rows,
        columns=layout.columns,
        depth=layout.depth,
        notes=(*picture.notes, *notes),
    )


def _asked_condition(model: Model, query: m.SymbolDistribution | m.ReadSymbols) -> Tensor | None:
    """The class [1] or the caption [1, L] that is asked about; None where it is none, or the model is told neither."""
    captions = caption_tokens(model, query.caption, 1)
    if captions is not None or query.label is None or not model.method.conditional:
        return captions
    return torch.tensor([check_label(query.label, len(model.spec.classes))])
