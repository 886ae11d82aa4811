"""What panes ask of a checkpoint: decode, encode, interpolate, sample, describe; and pages of a data set.

Read-only: models come from run folders, in full precision and eval mode. One instance belongs to one thread.
"""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable, Generator
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from engine import messages as m
from engine.config import make_config
from engine.data import DataSet, Picture, adapt, open_data, picture_from_array, read_image
from engine.method import DataSpec, Description, Method, skeleton
from engine.methods import method_named
from engine.storage.manifest import Manifest
from engine.storage.run_folders import BadRun
from engine.storage.run_reader import Run

ROOMS = ("embedding", "sampling", "scoring", "probing", "views")  # modules that answer panes, each with an `install(session)`
MODELS_KEPT = 6
DATA_KEPT = 3
ORIGINAL_PIXELS = 512  # the longest side of an original as it is shown


class CannotAnswer(ValueError):
    """One sentence: why this run cannot answer this question, and what can."""


def unloaded(manifest: Manifest) -> Method:
    """A run's method without its weights, as far as its settings and its data's shape say."""
    kind = method_named(manifest.method)
    spec = DataSpec(tuple(manifest.shape), tuple(manifest.classes), manifest.kind, tuple(manifest.symbols), manifest.units)
    return skeleton(kind, make_config(kind.Config, manifest.config), spec)


class Model:
    """A checkpoint, ready to be looked at."""

    def __init__(self, run: Run, step: int | None) -> None:
        manifest = run.manifest
        if manifest is None:
            raise BadRun(run.fault or f"{run.path.name} has no readable manifest.")
        self.method = unloaded(manifest)
        self.spec = self.method.data
        self.run = run
        self.step, arrays, _ = run.load(step)
        tensors = {name: torch.from_numpy(value) for name, value in arrays.items()}
        try:
            self.method.load_state_dict(tensors, assign=True)
        except RuntimeError as error:
            raise BadRun(
                f"The weights of {run.path.name} at step {self.step} do not fit the method {manifest.method} as it is now: "
                f"{str(error).splitlines()[-1].strip()} Train it again."
            ) from None
        self.method.requires_grad_(False).eval()
        self.described: m.Described | None = None  # once somebody has asked

    def can(self, name: str) -> Callable[..., Any]:
        """The method's function of that name.

        Raises:
            CannotAnswer: the method has none.
        """
        function = getattr(self.method, name, None)
        if function is None:
            raise CannotAnswer(f"{self.method.title} cannot {name.replace('_', ' ')}; choose a run of a method that can.")
        return function

    def probe(self) -> Tensor:
        """The fixed held-out examples of the run as its method takes them."""
        kept = self.run.probe()
        return _float(kept["images"]) if self.spec.kind == "images" else torch.from_numpy(np.array(kept["tokens"]))

    def describe(self) -> Description:
        """The checkpoint on the probe; with the classes for a method that wants them."""
        labels = self.run.probe().get("labels") if self.method.wants_labels else None
        given = {} if labels is None else {"y": torch.from_numpy(np.array(labels)).long()}
        return self.method.describe(self.probe(), self.generator(), **given)

    def generator(self, seed: int = 0) -> torch.Generator:
        return torch.Generator().manual_seed(seed)


class QuerySession:
    """Answers queries; keeps the models and data sets it looked at last."""

    def __init__(self) -> None:
        self._models: OrderedDict[tuple[str, int, str], Model] = OrderedDict()
        self._data: OrderedDict[str, DataSet] = OrderedDict()
        self._answers: dict[type, Callable[[Any], m.Answer]] = {
            m.Describe: self.describe,
            m.Decode: self.decode,
            m.Encode: self.encode,
            m.Interpolate: self.interpolate,
            m.DecodeGrid: self.decode_grid,
            m.SamplePrior: self.sample_prior,
            m.Reconstruct: self.reconstruct,
            m.BrowseData: self.browse_data,
        }
        self._works: dict[type, Callable[[Any], Generator[m.Event | None, None, str | None]]] = {}
        for room in ROOMS:  # they are built on this module, so they are met here and not above
            import_module(f"engine.queries.{room}").install(self)

    def answer(self, query: m.Query) -> m.Answer:
        """Raises: BadRun, BadData, CannotAnswer, each one sentence."""
        with torch.no_grad():  # not inference mode: some scores need gradients of the same weights
            return self._answers[type(query)](query)

    def work(self, work: m.Work) -> Generator[m.Event | None, None, str | None]:
        """A job for the lane: yields events, or None where it may be interrupted; returns the closing sentence.

        Raises: BadRun, BadData, CannotAnswer, each one sentence.
        """
        job = self._works[type(work)](work)
        while True:
            with torch.no_grad():
                try:
                    item = next(job)
                except StopIteration as end:
                    return end.value
            yield item

    # -- what is kept --------------------------------------------------------------------------------------------------

    def model(self, path: str, step: int | None) -> Model:
        """The checkpoint, kept by its content: a new run of an old name is another one.

        Without a step it is the newest that can be read.
        """
        run = Run.open(Path(path))
        steps = [c.step for c in run.checkpoints() if not c.fault]
        if not steps:
            raise BadRun(f"{run.path.name} has no checkpoint yet; wait for its first step.")
        fault: BadRun | None = None
        for wanted in reversed(steps) if step is None else [step]:
            try:
                return self._model(run, wanted)
            except BadRun as error:
                fault = fault or error
        assert fault is not None
        raise fault

    def _model(self, run: Run, step: int) -> Model:
        key = (str(run.path), step, identity(run, step))
        if key not in self._models:
            self._models[key] = Model(run, step)
            while len(self._models) > MODELS_KEPT:
                self._models.popitem(last=False)
        self._models.move_to_end(key)
        return self._models[key]

    def keep_data(self, data: DataSet) -> None:
        self._data[data.data] = data
        self._data.move_to_end(data.data)
        while len(self._data) > DATA_KEPT:
            self._data.popitem(last=False)

    def has_data(self, name: str) -> bool:
        """Whether `data` would answer at once."""
        return name in self._data

    def data(self, name: str) -> DataSet:
        if name not in self._data:
            self.keep_data(open_data(name))
        self._data.move_to_end(name)
        return self._data[name]

    # -- answers -------------------------------------------------------------------------------------------------------

    def describe(self, query: m.Describe) -> m.Described:
        model = self.model(query.run, query.step)
        if model.described is None:
            found = model.describe()
            latent = 0 if found.scale is None else len(found.scale)
            model.described = m.Described(
                **_head(query, model),
                numbers=found.numbers,
                diagnosis=found.diagnosis,
                latent=latent,
                kl=_array(found.kl),
                scale=_array(found.scale),
                centre=_array(found.centre),
                pictures=None if found.pictures is None else _bytes(found.pictures),
                captions=found.captions,
            )
        return replace(model.described, stamp=query.stamp, channel=query.channel)

    def decode(self, query: m.Decode) -> m.Decoded:
        model = self.model(query.run, query.step)
        started = time.perf_counter()
        z = self._latent(query, model, query.z)
        images = _bytes(model.can("decode")(z))
        milliseconds = 1000 * (time.perf_counter() - started)
        return m.Decoded(
            **_head(query, model),
            images=images,
            log_prior=_log_prior(model, z),
            milliseconds=milliseconds,
        )

    def _latent(self, query: Any, model: Model, z: np.ndarray) -> Tensor:
        """Codes from the window, if they are this run's: [N, D]."""
        latent = self.describe(m.Describe(run=query.run, step=model.step)).latent
        if latent and z.shape[-1] != latent:
            raise CannotAnswer(f"This run has {latent} latent dimensions, not {z.shape[-1]}; encode or sample anew.")
        return torch.from_numpy(np.ascontiguousarray(z, dtype=np.float32))

    def encode(self, query: m.Encode) -> m.Encoded:
        model = self.model(query.run, query.step)
        model.can("posterior")
        picture, label = self._picture(model, query)
        seen, notes = adapt(picture, model.spec.shape)
        x = _float(seen[None])
        latents = model.can("posterior")(x)
        reconstruction = _bytes(model.can("decode")(latents.mean))[0]
        nats = None
        if hasattr(model.method, "elbo"):
            target = model.can("evaluate_target")(x, model.generator())
            nats = -float(model.can("elbo")(target, model.generator(1), 16)[0])
        return m.Encoded(
            **_head(query, model),
            label=label,
            mean=_array(latents.mean[0]),
            sigma=_array(latents.sigma[0]),
            seen=seen,
            original=shown(picture),
            reconstruction=reconstruction,
            notes=(*picture.notes, *notes),
            nats=nats,
        )

    def _picture(self, model: Model, query: m.Encode) -> tuple[Picture, str]:
        if query.path is not None:
            return read_image(query.path), query.label or Path(query.path).name
        if query.image is not None:
            return picture_from_array(query.image), query.label or "pasted image"
        manifest = model.run.manifest
        assert manifest is not None
        data = self.data(manifest.data)
        if data.hash != manifest.data_hash:
            raise BadRun(f"{manifest.data} is not what {model.run.path.name} was trained on (its content changed); drop an image instead.")
        images = data.splits["test"].images
        index = (query.index or 0) % len(images)
        return picture_from_array(images[index].transpose(1, 2, 0)), query.label or f"test image {index}"

    def interpolate(self, query: m.Interpolate) -> m.Interpolated:
        model = self.model(query.run, query.step)
        a, b = (self._latent(query, model, end[None])[0] for end in (query.a, query.b))
        t = torch.linspace(0, 1, query.count)
        straight, round_ = lerp(a, b, t), slerp(a, b, t)
        images = _bytes(model.can("decode")(torch.cat([straight, round_])))
        return m.Interpolated(
            **_head(query, model),
            lerp=images[: query.count],
            slerp=images[query.count :],
            lerp_z=_array(straight),
            slerp_z=_array(round_),
            lerp_log_prior=_log_prior(model, straight),
            slerp_log_prior=_log_prior(model, round_),
        )

    def decode_grid(self, query: m.DecodeGrid) -> m.GridDecoded:
        model = self.model(query.run, query.step)
        z = self._latent(query, model, query.z[None]).repeat(query.count**2, 1)
        described = self.describe(m.Describe(run=query.run, step=query.step))
        if described.centre is None or described.scale is None:
            raise CannotAnswer(f"{model.method.title} has no latent space to lay a plane through.")
        walk = torch.linspace(-query.span, query.span, query.count)
        for dim, values in ((query.x, walk.repeat(query.count)), (query.y, walk.flip(0).repeat_interleave(query.count))):
            if not 0 <= dim < described.latent:
                raise CannotAnswer(f"This run has {described.latent} latent dimensions; choose one from 0 to {described.latent - 1}.")
            z[:, dim] = float(described.centre[dim]) + float(described.scale[dim]) * values
        return m.GridDecoded(
            **_head(query, model),
            images=_bytes(model.can("decode")(z)),
            count=query.count,
        )

    def sample_prior(self, query: m.SamplePrior) -> m.PriorSampled:
        model = self.model(query.run, query.step)
        described = self.describe(m.Describe(run=query.run, step=query.step))
        if described.centre is None or described.scale is None:
            raise CannotAnswer(f"{model.method.title} has no latent space to draw from.")
        noise = torch.randn(query.count, described.latent, generator=model.generator(query.seed)) * query.temperature
        z = torch.from_numpy(described.centre) + torch.from_numpy(described.scale) * noise
        note = ""
        if model.method.sampling == "none":
            note = f"{model.method.title} has no prior: a Gaussian fitted to its codes was decoded; these are no samples of images."
        return m.PriorSampled(
            **_head(query, model),
            z=_array(z),
            images=_bytes(model.can("decode")(z)),
            note=note,
        )

    def reconstruct(self, query: m.Reconstruct) -> m.Reconstructed:
        model = self.model(query.run, query.step)
        model.can("decode")
        images = model.run.probe()["images"][: query.count]
        return m.Reconstructed(
            **_head(query, model),
            originals=images,
            reconstructions=_bytes(model.can("decode")(model.can("encode")(_float(images)))),
        )

    def browse_data(self, query: m.BrowseData) -> m.DataPage:
        data = self.data(query.data)
        head = {name: getattr(query, name) for name in ("stamp", "channel", "data", "split", "offset")}
        if data.kind == "text":
            start, end = data.spans[query.split]
            page = (data.text or b"")[start:end][query.offset : query.offset + query.count]
            no_images = np.zeros((0, 1, 1, 1), np.uint8)
            text = page.decode("utf-8", "replace")
            return m.DataPage(**head, total=end - start, images=no_images, labels=(), names=(), indices=(), text=text)
        split = data.splits[query.split]
        chosen = np.arange(len(split.images))
        if query.label is not None and split.labels is not None:
            chosen = np.flatnonzero(np.asarray(split.labels) == query.label)
        page = chosen[query.offset : query.offset + query.count]
        images = np.asarray(split.images[page])
        notes: tuple[str, ...] = ()
        if query.seen_by is not None:
            manifest = Run.open(Path(query.seen_by)).manifest
            if manifest is None:
                raise BadRun(f"{Path(query.seen_by).name} has no readable manifest; choose another run.")
            if manifest.kind != "images":
                raise CannotAnswer(f"{Path(query.seen_by).name} learns from {manifest.kind} and sees no images; choose another run.")
            adapted = [adapt(picture_from_array(image.transpose(1, 2, 0)), tuple(manifest.shape)) for image in images]
            images = np.stack([image for image, _ in adapted]) if adapted else images
            notes = adapted[0][1] if adapted else ()
        labels = () if split.labels is None else tuple(data.classes[int(split.labels[i])] for i in page)
        return m.DataPage(
            **head,
            total=len(chosen),
            images=images,
            labels=labels,
            names=tuple(split.names[int(i)] for i in page),
            indices=tuple(int(i) for i in page),
            notes=notes,
        )


def identity(run: Run, step: int) -> str:
    """The content of a checkpoint's weights, as the manifest knows it."""
    entries = [] if run.manifest is None else [entry for entry in run.manifest.checkpoints if entry.step == step]
    return entries[0].files["model.safetensors"].sha256 if entries and "model.safetensors" in entries[0].files else ""


def _head(query: Any, model: Model) -> dict[str, Any]:
    """What every answer about a checkpoint begins with."""
    return {"stamp": query.stamp, "channel": query.channel, "run": query.run, "step": model.step}


# -- plain functions ---------------------------------------------------------------------------------------------------


def lerp(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    """The straight line from a to b: [D], [D], [T] -> [T, D]."""
    return (1 - t)[:, None] * a + t[:, None] * b


def slerp(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    """The arc from a to b at constant angular speed (Shoemake 1985), its length going evenly from |a| to |b|: -> [T, D].

    Where a or b is (nearly) zero or they point the same or opposite ways there is no single arc: the straight line.
    """
    length_a, length_b = a.norm(), b.norm()
    if min(length_a, length_b) < 1e-6:
        return lerp(a, b, t)
    u, v = a / length_a, b / length_b
    omega = torch.acos((u @ v).clamp(-1, 1))
    if omega < 1e-4 or omega > math.pi - 1e-4:
        return lerp(a, b, t)
    direction = (torch.sin((1 - t) * omega)[:, None] * u + torch.sin(t * omega)[:, None] * v) / torch.sin(omega)
    return direction * ((1 - t) * length_a + t * length_b)[:, None]


def log_standard_normal(z: Tensor) -> Tensor:
    """log N(z; 0, I) in nats: [N, D] -> [N]."""
    return -0.5 * (z.double().square().sum(1) + z.shape[1] * math.log(2 * math.pi))


def _log_prior(model: Model, z: Tensor) -> np.ndarray | None:
    return None if model.method.sampling == "none" else _array(log_standard_normal(z))


def _float(images: np.ndarray) -> Tensor:
    """uint8 [N, C, H, W] -> float in [0, 1], as in training."""
    return torch.from_numpy(np.array(images)).float() / 255


def _bytes(images: Tensor) -> np.ndarray:
    """Float in [0, 1] -> uint8 [N, C, H, W], rounded."""
    return (images.clamp(0, 1) * 255).round().to(torch.uint8).numpy().copy()


def _array(tensor: Tensor | None) -> Any:
    return None if tensor is None else tensor.detach().numpy().copy()


def shown(picture: Picture) -> np.ndarray:
    """The original as the window shows it: uint8 [H, W, 3], at most ORIGINAL_PIXELS a side (every n-th pixel beyond that)."""
    pixels = picture.pixels if picture.pixels.shape[2] == 3 else picture.pixels.repeat(3, axis=2)
    every = math.ceil(max(pixels.shape[:2]) / ORIGINAL_PIXELS)
    return np.ascontiguousarray(pixels[::every, ::every])
