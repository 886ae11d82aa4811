"""For tests of panes: an engine of paper that answers with pictures of real digits, and a window's worth of context around one pane.

Its decoder is a principal component analysis, so pictures change with z as they do with a trained network.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
from PySide6.QtCore import QCoreApplication, QObject, Qt
from PySide6.QtGui import QUndoStack

from app.panes import Context, Pane
from app.shell.actions import Actions
from app.shell.bridge import Bridge
from app.shell.state import State
from engine import messages as m
from engine.common import significance
from engine.common.data_names import name_with, path_and_decisions
from engine.data import moving_shapes
from engine.data.curation import Curation, decided

# The actions that panes trigger; a test of the window sees that it has them all.
ACTIONS = (
    "run.new",
    "run.repeat",
    "data.open",
    "data.open_file",
    "pane.CurvesPane",
    "pane.ViewsPane",
    "pane.EmbeddingPane",
    "pane.ProbePane",
    "pane.LatentPane",
    "pane.DataPane",
    "pane.SamplingPane",
    "pane.LikelihoodPane",
    "pane.BayesPane",
    "pane.ChainsPane",
    "pane.ErrorsPane",
)
LATENT = 12
KL = np.array([0.3, 3.9, 0.0, 1.9, 2.8, 0.004, 3.2, 1.1, 2.5, 0.7, 1.4, 0.0], np.float32)
ACTIVE = KL > 0.5  # fewer than carry 0.01 nat, as the variance of the means is another measure
RUN = "/runs/vae-digits"
OTHER = "/runs/vae-digits-2"


@cache
def digits() -> tuple[np.ndarray, np.ndarray]:
    """uint8 [1797, 1, 8, 8] and labels."""
    from sklearn.datasets import load_digits

    data = load_digits()
    return (data.images * 15.9375).astype(np.uint8)[:, None], data.target.astype(np.int64)


@cache
def components() -> tuple[np.ndarray, np.ndarray]:
    """Mean [64] and LATENT scaled directions [LATENT, 64] of the digits, in the order of KL."""
    flat = digits()[0].reshape(-1, 64).astype(np.float64)
    mean = flat.mean(0)
    _, sizes, directions = np.linalg.svd(flat - mean, full_matrices=False)
    scaled = directions[:LATENT] * (sizes[:LATENT, None] / np.sqrt(len(flat)))
    by_dimension = np.empty_like(scaled)
    by_dimension[np.argsort(-KL, kind="stable")] = scaled
    by_dimension[KL < 0.01] = 0
    return mean, by_dimension


def decoded(z: np.ndarray) -> np.ndarray:
    """[N, D] -> uint8 [N, 1, 8, 8]"""
    mean, directions = components()
    return np.clip(mean + np.asarray(z, np.float64) @ directions, 0, 255).astype(np.uint8).reshape(-1, 1, 8, 8)


def encoded(image: np.ndarray) -> np.ndarray:
    """uint8 with 64 pixels -> [D]"""
    mean, directions = components()
    lengths = np.maximum((directions**2).sum(1), 1e-9)
    return ((image.reshape(64) - mean) @ directions.T / lengths).astype(np.float32)


def log_prior(z: np.ndarray) -> np.ndarray:
    z = np.atleast_2d(np.asarray(z, np.float64))
    return (-0.5 * (z**2).sum(1) - 0.5 * z.shape[1] * np.log(2 * np.pi)).astype(np.float32)


VAE = m.MethodInfo(
    "vae", "VAE", "Explicit density · bound", "bound", "direct", False,
    ("encode", "decode", "latents", "posterior", "log_prob", "sample"), "Kingma 2014",
    "Encodes and decodes.", "ELBO", (),
)  # fmt: skip
GAN = replace(  # a generator: a prior and a decoder, no encoder
    VAE, name="gan", title="GAN", family="Implicit density", density="none", capabilities=("decode", "latents", "sample")
)
KMEANS = replace(VAE, name="kmeans", title="k-means", density="none", sampling="none", capabilities=("encode", "decode"))
GAN_RUN = "/runs/gan-digits"
PLAIN = replace(VAE, name="rotation", title="Rotation", capabilities=("encode",), density="none")


def run_info(run: str = RUN, method: str = "vae", **changes: Any) -> m.RunInfo:
    steps = (0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
    info = m.RunInfo(
        run=run, name=run.rsplit("/", 1)[-1], method=method, title=("VAE" if method == "vae" else "Rotation"),
        data="digits", data_name="digits",
        status="training", step=1100, total_steps=4000, checkpoints=tuple(m.CheckpointInfo(step, False) for step in steps),
        config={"latent": LATENT, "beta": 1.0}, changed={"latent": LATENT}, headline="17.3 nat", seed=3, shape=(1, 8, 8),
        capabilities=("encode", "decode", "latents", "posterior"), device="CPU", precision="fp32",
    )  # fmt: skip
    return replace(info, **changes)


class FakeEngine:
    """Keeps what was sent; answers queries on `drain` when `answering`, or one by one through `reply`."""

    def __init__(self) -> None:
        self.sent: list[Any] = []
        self.open: deque[Any] = deque()
        self.events: deque[Any] = deque()
        self.answering = True
        self.prior_note = ""
        self.curation = Curation()  # decisions about the images of any data set

    def start(self) -> None: ...

    def send(self, message: Any) -> None:
        self.sent.append(message)
        if isinstance(message, (m.Query, *WORKS)):
            self.open.append(message)
        elif isinstance(message, m.StopJob):
            waiting = [work for work in self.open if getattr(work, "job", None) == message.job]
            for work in waiting:
                self.open.remove(work)
            self.events += [m.Ended(message.job, "stopped", "Stopped.")] * len(waiting)

    def drain(self, limit: int = 200) -> list[Any]:
        if self.answering:
            while self.open:
                self.reply(self.open.popleft())
        out = list(self.events)
        self.events.clear()
        return out

    def close(self, timeout: float = 2.5) -> bool:
        return True

    def of(self, kind: type) -> list[Any]:
        return [message for message in self.sent if isinstance(message, kind)]

    def reply(self, query: Any) -> None:
        if type(query) in WORKS:
            self.events += [*WORKS[type(query)](self, query), m.Ended(query.job, "ok", "Done.")]
        else:
            self.events.append(ANSWERS[type(query)](self, query))

    def fail(self, query: Any, message: str) -> None:
        self.events.append(m.QueryFailed(stamp=query.stamp, channel=query.channel, kind=type(query).__name__, message=message))


def _curate(engine: FakeEngine, q: m.Curate) -> m.Answer:
    if q.data == "digits":
        return m.QueryFailed(stamp=q.stamp, channel=q.channel, kind="Curate", message="“digits” comes with the program and stays as it is.")
    log = engine.curation
    if q.act != "look":
        log = engine.curation = decided(log, q.act, [(name, "") for name in q.names], q.value)
    known, (path, recipe) = log.known(), path_and_decisions(q.data)
    plain = {name: value for name, value in recipe.items() if name != "curation"}
    tags = Counter(tag for one in known.values() for tag in one.tags)
    undo, redo = log.next_undone("undo"), log.next_undone("redo")
    return m.Curated(
        stamp=q.stamp, channel=q.channel, data=q.data, plain=name_with(path, plain),
        curated=name_with(path, plain | ({"curation": log.carried()} if known else {})),
        decisions=len(log.in_force()), images=tuple(m.CuratedImage(name, one.excluded, one.label, one.tags) for name, one in known.items()),
        excluded=sum(one.excluded for one in known.values()), relabelled=sum(bool(one.label) for one in known.values()),
        tags=tuple(tags.items()), classes=("cats", "dogs"), undo=undo.act if undo else "", redo=redo.act if redo else "",
        undo_sign=log.sign_of_next("undo"), redo_sign=log.sign_of_next("redo"), file="/p.curation.json",
    )  # fmt: skip


def _step(query: Any) -> int:
    return 1024 if query.step is None else query.step


def _describe(engine: FakeEngine, q: m.Describe) -> m.Described:
    return m.Described(
        stamp=q.stamp, channel=q.channel, run=q.run, step=_step(q), numbers=(), diagnosis=(), latent=LATENT,
        kl=None if q.run == GAN_RUN else KL, scale=np.ones(LATENT, np.float32), centre=np.zeros(LATENT, np.float32),
        active=None if q.run == GAN_RUN else ACTIVE,
    )  # fmt: skip


def _decode(engine: FakeEngine, q: m.Decode) -> m.Decoded:
    return m.Decoded(
        stamp=q.stamp, channel=q.channel, run=q.run, step=_step(q), images=decoded(q.z), log_prior=log_prior(q.z), milliseconds=2.1
    )


def _encode(engine: FakeEngine, q: m.Encode) -> m.Encoded:
    image = digits()[0][17, 0] if q.image is None else q.image
    mean = encoded(image)
    return m.Encoded(
        stamp=q.stamp, channel=q.channel, run=q.run, step=_step(q), label=q.label, mean=mean, sigma=np.full(LATENT, 0.2, np.float32),
        seen=image[None], original=np.repeat(image[..., None], 3, axis=2), reconstruction=decoded(mean[None])[0],
        notes=("resized from 128×128", "grey") if q.path else (), nats=98.2,
    )  # fmt: skip


def _interpolate(engine: FakeEngine, q: m.Interpolate) -> m.Interpolated:
    t = np.linspace(0, 1, q.count)[:, None]
    line = ((1 - t) * q.a + t * q.b).astype(np.float32)
    lengths = (1 - t) * np.linalg.norm(q.a) + t * np.linalg.norm(q.b)
    sphere = (line / np.maximum(np.linalg.norm(line, axis=1, keepdims=True), 1e-9) * lengths).astype(np.float32)
    return m.Interpolated(
        stamp=q.stamp, channel=q.channel, run=q.run, step=_step(q), lerp=decoded(line), slerp=decoded(sphere), lerp_z=line, slerp_z=sphere,
        lerp_log_prior=log_prior(line), slerp_log_prior=log_prior(sphere),
    )  # fmt: skip


def _grid(engine: FakeEngine, q: m.DecodeGrid) -> m.GridDecoded:
    walk = np.linspace(-q.span, q.span, q.count)
    z = np.repeat(np.asarray(q.z)[None], q.count * q.count, axis=0)
    z[:, q.y] = np.repeat(walk[::-1], q.count)
    z[:, q.x] = np.tile(walk, q.count)
    return m.GridDecoded(stamp=q.stamp, channel=q.channel, run=q.run, step=_step(q), images=decoded(z), count=q.count)


def _prior(engine: FakeEngine, q: m.SamplePrior) -> m.PriorSampled:
    z = np.random.default_rng(q.seed).standard_normal((q.count, LATENT)).astype(np.float32)
    return m.PriorSampled(stamp=q.stamp, channel=q.channel, run=q.run, step=_step(q), z=z, images=decoded(z), note=engine.prior_note)


def _reconstruct(engine: FakeEngine, q: m.Reconstruct) -> m.Reconstructed:
    originals = digits()[0][: q.count]
    z = np.stack([encoded(image) for image in originals])
    return m.Reconstructed(stamp=q.stamp, channel=q.channel, run=q.run, step=_step(q), originals=originals, reconstructions=decoded(z))


def _page(engine: FakeEngine, q: m.BrowseData) -> m.DataPage:
    images, labels = digits()
    indices = np.arange(len(images)) if q.label is None else np.flatnonzero(labels == q.label)
    part = indices[q.offset : q.offset + q.count]
    return m.DataPage(
        stamp=q.stamp, channel=q.channel, data=q.data, split=q.split, offset=q.offset, total=len(indices), images=images[part],
        labels=tuple(str(labels[i]) for i in part), names=tuple(f"digit {i}" for i in part), indices=tuple(int(i) for i in part),
        notes=("shown as the network sees them: 8×8, grey",) if q.seen_by else (),
    )  # fmt: skip


def _examples(engine: FakeEngine, q: m.ClassExamples) -> m.ClassExamplesFound:
    images, labels = digits()
    found = [images if label < 0 else images[labels == label] for _, label in q.rows]
    return m.ClassExamplesFound(
        stamp=q.stamp, channel=q.channel, data=q.data, rows=q.rows, counts=(q.each,) * len(q.rows),
        images=np.concatenate([some[: q.each] for some in found]),
    )  # fmt: skip


ANSWERS: dict[type, Callable[[FakeEngine, Any], Any]] = {
    m.Curate: _curate,
    m.Describe: _describe, m.Decode: _decode, m.Encode: _encode, m.Interpolate: _interpolate, m.DecodeGrid: _grid,
    m.SamplePrior: _prior, m.Reconstruct: _reconstruct, m.BrowseData: _page, m.ClassExamples: _examples,
}  # fmt: skip


# The detectors of paper: how bright the image is, how much its pixels differ, and one that lacks its background model.
DETECTORS = (
    m.DetectorInfo("brightness", "brightness", "exact", "nat", "Paper 2020", "How bright it is."),
    m.DetectorInfo("roughness", "roughness", "bound", "bits/dim", "Paper 2021", "How much neighbours differ."),
    m.DetectorInfo("ratio", "likelihood ratio", "bound", "nat", "Paper 2022", "It compares.", "It needs a background model.", "mutated"),
)  # fmt: skip
KNOWN = 200  # held-out images
STRANGE = 120  # test images of any data set to compare with
WEIGHTS = "c0ffee" * 10 + "beef"
UNREADABLE = "broken"  # what is in the name of a file that cannot be read


def paper_scores(images: np.ndarray, run: str) -> dict[str, np.ndarray]:
    """uint8 [N, 1, 8, 8] -> detector -> [N]; a little different for every run."""
    x = images.reshape(len(images), 8, 8).astype(np.float64)
    shift = sum(map(ord, run)) % 7
    return {"brightness": x.mean((1, 2)) + shift, "roughness": np.abs(np.diff(x, axis=2)).mean((1, 2)) + shift}


def paper_image(picture: m.PictureRef) -> np.ndarray:
    """A digit for every picture: uint8 [1, 8, 8]."""
    if picture.image is not None:
        return picture.image[None]
    place = picture.index if picture.index is not None else sum(map(ord, picture.path or picture.label))
    return digits()[0][place % 1797]


def _known(run: str) -> dict[str, np.ndarray]:
    return paper_scores(digits()[0][-KNOWN:], run)


def _calibrate(engine: FakeEngine, w: m.Calibrate) -> list[Any]:
    return [m.Calibrated(w.job, run, 1024 if step is None else step, WEIGHTS, DETECTORS, _known(run), "digits") for run, step in w.runs]


def _judge(engine: FakeEngine, w: m.ScoreImages) -> list[Any]:
    out = []
    for picture in w.pictures:
        if UNREADABLE in (picture.path or ""):
            out.append(m.ImageScored(w.job, picture.label, picture.path, (), {}, None, (), error="It is cut off. Save it again."))
            continue
        image = paper_image(picture)
        scores, combined = [], []
        for run, _ in w.runs:
            known = _known(run)
            for name, value in paper_scores(image[None], run).items():
                p = (1 + sum(1 for other in known[name] if other >= value[0])) / (KNOWN + 1)
                told = significance.verdict(p, KNOWN)
                floor = significance.p_floor(KNOWN)
                scores.append(m.DetectorScore(run, name, float(-value[0]), float(value[0]), p, told.level, told.words, floor, KNOWN, KNOWN))
            mine = [score.p_value for score in scores if score.run == run]
            together = min(1.0, min(mine) * len(mine))  # Holm's smallest
            told = significance.verdict(together, KNOWN, len(mine))
            floor = significance.p_floor(KNOWN, len(mine))
            combined.append(m.CombinedScore(run, together, told.level, told.words, floor, len(mine), KNOWN, KNOWN))
        seen = {run: image for run, _ in w.runs}
        original = np.repeat(image[0][..., None], 3, axis=2)
        out.append(
            m.ImageScored(
                w.job, picture.label, picture.path, tuple(scores), seen, original, ("Scaled from 96×96.",), 141, combined=tuple(combined)
            )
        )
    return out


def _judge_data(engine: FakeEngine, w: m.ScoreData) -> list[Any]:
    images = 255 - digits()[0][:STRANGE]
    at = 1024 if w.step is None else w.step
    return [
        m.Progress(w.job, w.run, 60, STRANGE, "image", 100.0, 1.0, "Scoring shapes"),
        m.DataScored(w.job, w.run, at, w.data, paper_scores(images, w.run), np.arange(STRANGE) * 3, images),
    ]


def _corrupt(engine: FakeEngine, w: m.Corrupt) -> list[Any]:
    strengths = np.linspace(0, 1, w.count)
    image = paper_image(w.picture).astype(np.float64)
    images = np.stack([(image + (255 - image) * s).astype(np.uint8) for s in strengths])
    scores = paper_scores(images, w.run)
    return [
        m.Corrupted(w.job, w.run, w.kind, strengths[:k], {name: values[:k] for name, values in scores.items()}, images[:k])
        for k in range(1, w.count + 1)
    ]


def _look_closer(engine: FakeEngine, q: m.InspectImage) -> m.ImageInspected:
    seen = paper_image(q.picture)
    bits = seen[0].astype(np.float32) / 32
    return m.ImageInspected(
        stamp=q.stamp, channel=q.channel, run=q.run, step=_step(q), seen=seen, bits=bits, nearest=digits()[0][: q.nearest],
        nearest_labels=tuple(str(label) for label in digits()[1][: q.nearest]), nearest_distances=np.linspace(0.1, 0.6, q.nearest),
        nearest_by="features", reconstruction=255 - seen, difference=seen // 2, decode="mean",
    )  # fmt: skip


WORKS: dict[type, Callable[[FakeEngine, Any], list[Any]]] = {
    m.ReadTrainingImages: lambda engine, w: [],
    m.Calibrate: _calibrate, m.ScoreImages: _judge, m.ScoreData: _judge_data, m.Corrupt: _corrupt,
}  # fmt: skip
ANSWERS[m.InspectImage] = _look_closer


def _read_picture(engine: FakeEngine, q: m.ReadPicture) -> m.PictureRead:
    head: dict[str, Any] = {"stamp": q.stamp, "channel": q.channel, "run": q.run, "step": _step(q)}
    if UNREADABLE in (q.picture.path or ""):
        return m.PictureRead(**head, error="It is cut off. Save it again.")
    return m.PictureRead(**head, original=np.repeat(paper_image(q.picture)[0][..., None], 3, axis=2))


ANSWERS[m.ReadPicture] = _read_picture


# The sampler of paper writes digits pixel by pixel: how often a value follows the one before it, at every place. 17 levels.
LEVELS = 17
PIXELS = replace(
    VAE, name="pixel_cnn", title="PixelCNN", family="Explicit density · exact", density="exact", sampling="iterative", accepts="images",
    capabilities=("log_prob", "sample", "symbols"),
)  # fmt: skip
PIXEL_RUN = "/runs/pixel-cnn-digits"


def level_value(tokens: np.ndarray) -> np.ndarray:
    return np.minimum(np.maximum(tokens, 0) * 16, 255).astype(np.uint8)


@cache
def transitions() -> np.ndarray:
    """p(value | value before) at every place [64, LEVELS, LEVELS]; the first place comes after value 0."""
    flat = np.round(digits()[0].reshape(-1, 64) / 15.9375).astype(int)
    before = np.concatenate([np.zeros((len(flat), 1), int), flat[:, :-1]], axis=1)
    counts = np.full((64, LEVELS, LEVELS), 0.02)
    for place in range(64):
        np.add.at(counts[place], (before[:, place], flat[:, place]), 1.0)
    return counts / counts.sum(2, keepdims=True)


def paper_odds(tokens: np.ndarray, temperature: float = 1.0, top_k: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """What could follow: the raw and the filtered probabilities [LEVELS]."""
    raw = transitions()[len(tokens), tokens[-1] if len(tokens) else 0]
    warm = raw ** (1 / max(temperature, 1e-3))
    if top_k:
        warm = np.where(warm >= np.sort(warm)[-min(top_k, LEVELS)], warm, 0)
    return raw, warm / warm.sum()


def _grow(engine: FakeEngine, q: m.DrawSamples) -> list[m.Event]:
    n, step = len(q.samples), _step(q)
    if q.run != PIXEL_RUN:  # a method without an order
        z = np.stack([np.random.default_rng((q.seed, i)).standard_normal(LATENT) for i in q.samples]) * q.temperature
        began = m.SamplingBegan(q.job, q.run, step, "whole", 0, 1, 1, 1, 0, (), (), (), 0, "There is no order to watch.")
        nothing = np.zeros((n, 0), np.int32), np.zeros((n, 0), np.float32)
        return [began, m.SymbolsDrawn(q.job, q.run, step, 0, *nothing, decoded(z), (), 900.0, True)]
    given = np.full((n, 64), -1, np.int32) if q.tokens is None else q.tokens
    tokens, log_p = np.full((n, 64), -1, np.int32), np.full((n, 64), np.nan, np.float32)
    values = tuple(str(value) for value in level_value(np.arange(LEVELS)))
    until = 64 if q.until is None else q.until
    events: list[m.Event] = [m.SamplingBegan(q.job, q.run, step, "pixels", 64, 8, 8, 1, LEVELS, values, (), (), q.start)]
    for place in range(until + 1):
        if place >= q.start and (place % 8 == 0 or place == until or place == q.start):
            images = level_value(np.where(tokens < 0, given, tokens)).reshape(n, 1, 8, 8)
            rate = 3000.0 if q.cached else 100.0
            events.append(m.SymbolsDrawn(q.job, q.run, step, place, tokens.copy(), log_p.copy(), images, (), rate, place == until))
        if place == until:
            break
        for row, index in enumerate(q.samples):
            raw, filtered = paper_odds(tokens[row, :place], q.temperature, q.top_k)
            noise = np.random.default_rng((q.seed, index, place)).random()
            drawn = min(int(np.searchsorted(filtered.cumsum(), noise, side="right")), LEVELS - 1)
            tokens[row, place] = drawn if given[row, place] < 0 else given[row, place]
            log_p[row, place] = np.log(raw[tokens[row, place]])
    return events


def _symbol(engine: FakeEngine, q: m.SymbolDistribution) -> m.SymbolDistributed:
    raw, filtered = paper_odds(q.tokens, q.temperature, q.top_k)
    return m.SymbolDistributed(stamp=q.stamp, channel=q.channel, run=q.run, step=_step(q), raw=raw, filtered=filtered)


def _read_symbols(engine: FakeEngine, q: m.ReadSymbols) -> m.SymbolsRead:
    image = digits()[0][17] if q.picture.image is None else q.picture.image[None]
    tokens = np.round(image.reshape(64) / 15.9375).astype(np.int32)
    log_p = np.log([paper_odds(tokens[:place])[0][tokens[place]] for place in range(64)]).astype(np.float32)
    return m.SymbolsRead(
        stamp=q.stamp, channel=q.channel, run=q.run, step=_step(q), label=q.picture.label, tokens=tokens, log_p=log_p, seen=image,
        image=level_value(tokens).reshape(1, 8, 8), kind="pixels", rows=8, columns=8, depth=1, notes=("grey",),
    )  # fmt: skip


ANSWERS |= {m.SymbolDistribution: _symbol, m.ReadSymbols: _read_symbols}
WORKS[m.DrawSamples] = _grow


# Films of paper: a moving shape goes on as it truly does, one frame late.
NEXT_FRAME = replace(PIXELS, name="next_frame", title="Next frame", capabilities=("log_prob", "sample", "symbols", "next_frame"))
CLIPS, CLIP_FRAMES = 5, 20


@cache
def clips() -> np.ndarray:
    """uint8 [CLIPS, CLIP_FRAMES, 1, 16, 16]"""
    factors = moving_shapes.moved(moving_shapes.clips_of(0, np.arange(CLIPS)), np.arange(CLIP_FRAMES))
    return moving_shapes.draw({name: values.reshape(-1) for name, values in factors.items()}).reshape(CLIPS, CLIP_FRAMES, 1, 16, 16)


def _roll_out(engine: FakeEngine, q: m.RollOut) -> list[m.Event]:
    number = q.clip % CLIPS
    clip, step = clips()[number], _step(q)
    truth = clip[4 : 4 + q.frames]
    nats = -90.0 - 5.0 * np.arange(len(truth)) % 17
    began = m.RolloutBegan(q.job, q.run, step, number, CLIPS, f"clip {number + 1}, frame 5", q.frames, clip[:4], truth, nats)
    drawn = [clip[min(2 + frame, CLIP_FRAMES - 1)] for frame in range(1, q.frames + 1)]
    frames = [
        m.FrameRolledOut(q.job, q.run, step, frame, q.frames, image, -100.0 - 7.0 * frame - q.seed, frame == q.frames)
        for frame, image in enumerate(drawn, 1)
    ]
    return [began, *frames]


WORKS[m.RollOut] = _roll_out


def report(job: str = "", **changes: Any) -> m.DataReport:
    labels = digits()[1]
    counts = tuple(int(n) for n in np.bincount(labels))
    train = tuple(round(n * 0.81) for n in counts)
    made = m.DataReport(
        job=job, data="digits", name="digits", kind="images", shape=(1, 8, 8), counts={"train": sum(train), "valid": 162, "test": 180},
        classes=tuple(str(n) for n in range(10)), class_counts={"train": train, "valid": (16,) * 10, "test": (18,) * 10},
        sizes={"8×8 grey": 1797}, bad=(), bad_total=0, duplicates=0, duplicate_examples=(), across_splits=0,
        notes=("17 grey levels, spread to 0–255.", "10 % of the images are kept for testing, 10 % of the rest for validation."),
        hash="5f3a" * 16, seconds=0.2,
    )  # fmt: skip
    return replace(made, **changes)


class Kit(QObject):
    """A context with its engine; `put` puts a pane on screen, `pump` delivers what the engine has to say."""

    def __init__(self) -> None:
        super().__init__()
        self.engine = FakeEngine()
        self.state = State(self)
        self.state.root = "/runs"  # the engine has told that there is no run
        self.bridge = Bridge(self.engine, self)
        self.actions = Actions(self)
        self.undo = QUndoStack(self)
        self.context = Context(self.state, self.bridge, self.actions, self.undo)
        self.triggered: list[str] = []
        self.opened: list[Pane] = []
        for name in ACTIONS:
            self.actions.add(name, name, lambda name=name: self.triggered.append(name), menu="Run")
        self.state.methods = {"vae": VAE, "rotation": PLAIN, "pixel_cnn": PIXELS, "next_frame": NEXT_FRAME}

    def look_at(self, info: m.RunInfo | None = None, *others: m.RunInfo) -> None:
        info = info or run_info()
        self.state.set_runs((info, *others), "/runs")
        self.state.set_run(info.run)

    def pump(self) -> None:
        """Deliver answers until none is asked for any more."""
        for _ in range(50):
            self.bridge.drain()
            QCoreApplication.sendPostedEvents()  # new widgets appear
            if not (self.engine.answering and self.engine.open) and not self.engine.events:
                return
        raise AssertionError("the pane never stops asking")

    def open(self, kind: type[Pane], width: int = 832, height: int = 690) -> Pane:
        """A pane on no screen, visible and active."""
        pane = kind(self.context)
        pane.setAttribute(Qt.WidgetAttribute.WA_DontShowOnScreen)
        pane.resize(width, height)
        pane.show()
        pane.activate()
        self.opened.append(pane)
        return pane

    def end(self) -> None:
        for pane in list(self.opened):
            self.close(pane)
        self.deleteLater()

    def close(self, pane: Pane) -> None:
        self.opened.remove(pane)
        pane.deactivate()
        pane.close()
        pane.deleteLater()
