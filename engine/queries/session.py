"""What answers the window's questions from checkpoints: the models and data sets that were looked at last.

Read-only: models come from run folders, in full precision and eval mode. One session belongs to one thread. The answers themselves
stand in the files beside this one, by pane; see `answers.py`.
"""

from __future__ import annotations

import os
import time
from collections import OrderedDict
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from engine import messages as m
from engine.common.conditions import PAST_FRAMES
from engine.config import make_config
from engine.data import BadData, DataSet
from engine.method import DataSpec, Description, Method, skeleton
from engine.methods import method_named
from engine.protocols import LatentSpace, provides
from engine.queries.answers import Job, handlers
from engine.queries.arrays import image_tensor
from engine.storage.checkpoint_choice import choose_step, load_chosen
from engine.storage.manifest import MANIFEST, Manifest, moved_data, place_of
from engine.storage.run_data import REMEDY, DataMissing, open_run_data, read_data, why_unreachable
from engine.storage.run_folders import BadRun
from engine.storage.run_reader import Run
from engine.training.batches import PROBE_EXAMPLES, frames_before, held_out

MODELS_KEPT = 6
DATA_KEPT = 3
PATHS_KEPT = 64
YOUNG_SECONDS = 0.1  # a manifest changed within a clock tick can look unchanged

P = TypeVar("P")
Room = TypeVar("Room")
ModelKey = tuple[str, int, str]  # folder, step, content of the weights


class CannotAnswer(ValueError):
    """One sentence: why this run cannot answer this question, and what can."""


def unloaded(manifest: Manifest) -> Method:
    """A run's method without its weights, as far as its settings and its data's shape say."""
    kind = method_named(manifest.method)
    spec = DataSpec(
        tuple(manifest.shape),
        tuple(manifest.classes),
        manifest.kind,
        tuple(manifest.symbols),
        manifest.units,
        tuple(manifest.words),
    )
    return skeleton(kind, make_config(kind.Config, manifest.config), spec)


class Model:
    """A checkpoint, ready to be looked at: its weights in float32, eval mode, without gradients.

    `step` is one of the run's, "best", "newest" or None, as `choose_step` takes it; `step_rule` says in words which was taken.
    `examples` gives held-out examples and their labels anew where the run's own cannot be read; `probe_fault` then says so.

    Raises:
        BadRun: the folder or the checkpoint cannot be read, or its weights do not fit the method as it is now.
    """

    def __init__(self, run: Run, step: int | str | None, examples: Callable[[Model], dict[str, np.ndarray]] | None = None) -> None:
        manifest = run.manifest
        if manifest is None:
            raise BadRun(run.fault or f"{run.path.name} has no readable manifest.")
        self.method = unloaded(manifest)
        self.spec = self.method.data
        self.run = run
        self.manifest = manifest
        choice, arrays, _ = load_chosen(run, step)
        self.step, self.step_rule = choice.step, choice.rule
        tensors = {name: torch.from_numpy(value) for name, value in arrays.items()}
        try:
            self.method.load_state_dict(tensors, assign=True)
        except RuntimeError as error:
            raise BadRun(
                f"The weights of {run.path.name} at step {self.step} do not fit the method {manifest.method} as it is now: "
                f"{str(error).splitlines()[-1].strip()} Train it again."
            ) from None
        self.method.requires_grad_(False).eval()
        self._description: Description | None = None
        self._examples = examples
        self._kept: dict[str, np.ndarray] | None = None
        self.probe_fault = ""  # one sentence, once `probe` was asked for

    @property
    def weights(self) -> str:
        """SHA-256 of the weights; empty where the manifest does not know it."""
        return identity(self.run, self.step)

    def require(self, protocol: type[P], verb: str) -> P:
        """The method, if it has the protocol.

        Raises:
            CannotAnswer: it “cannot `verb`”.
        """
        if provides(self.method, protocol):
            return self.method
        raise CannotAnswer(f"{self.method.title} cannot {verb}; choose a run of a method that can.")

    def probe(self) -> Tensor:
        """The fixed held-out examples of the run as its method takes them: images float32 [N, C, H, W], or tokens int64 [N, T].

        Raises: BadRun: they cannot be read, nor taken anew from the data.
        """
        kept = self._probe()
        return image_tensor(kept["images"]) if self.spec.kind == "images" else torch.from_numpy(np.array(kept["tokens"])).long()

    def _probe(self) -> dict[str, np.ndarray]:
        """Images uint8 [N, C, H, W] or tokens int64 [N, T], and where there are any labels int64 [N] and the frames before each image
        uint8 [N, 4, C, H, W]. Read once. Raises: BadRun.
        """
        if self._kept is None:
            try:
                self._kept = self._usable(self.run.probe())
            except BadRun as error:
                if self._examples is None:
                    raise
                try:
                    kept = self._examples(self)
                except (BadData, BadRun) as why:
                    raise BadRun(f"{error} They cannot be taken from the data either: {why}") from None
                self.probe_fault = f"{error} The same number of held-out examples was taken from the data instead."
                self._kept = kept
        return self._kept

    def _usable(self, kept: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """What was read, if the method can take it. Raises: BadRun."""
        images = self.spec.kind == "images"
        name = "images" if images else "tokens"
        if name not in kept:
            raise BadRun(f"“{self.run.name}” keeps no fixed {name}: they cannot be shown, all else can.")
        values, labels = kept[name], kept.get("labels")
        fits = len(values) > 0 and (
            values.dtype == np.uint8 and values.shape[1:] == self.spec.shape
            if images
            else values.dtype.kind == "i" and values.ndim == 2 and values.min() >= 0 and values.max() < len(self.spec.symbols)
        )
        before = kept.get("before")
        if fits and before is not None:
            fits = before.dtype == np.uint8 and before.shape == (len(values), PAST_FRAMES, *self.spec.shape)
        if fits and labels is not None:
            fits = labels.dtype.kind in "iu" and labels.shape == values.shape[:1] and labels.max() < max(1, len(self.spec.classes))
        if not fits:
            raise BadRun(f"The fixed {name} of “{self.run.name}” are not such as it was trained on: they cannot be shown, all else can.")
        return kept

    def describe(self) -> Description:
        """The checkpoint in numbers, on the probe, with the classes for a method that wants them. Computed once.

        Without a probe there are no numbers (`probe_fault` says why), and the sliders of a latent space are in units of N(0, I).
        """
        if self._description is None:
            self._description = self._describe()
        return self._description

    def _describe(self) -> Description:
        try:
            examples = self.probe()
        except BadRun as error:
            size = self.method.latent_size if provides(self.method, LatentSpace) else 0
            self.probe_fault = str(error) + (" One unit of a slider is one of N(0, I)." if size else "")
            return Description(scale=torch.ones(size), centre=torch.zeros(size)) if size else Description()
        frames, kept = self.method.condition == "frames", self._probe()
        told = kept.get("before") if frames else kept.get("labels") if self.method.wants_labels else None
        given = {} if told is None else {"y": torch.from_numpy(np.array(told, told.dtype if frames else np.int64))}
        return self.method.describe(examples, self.generator(), **given)

    def generator(self, seed: int = 0) -> torch.Generator:
        """A new CPU generator, seeded."""
        return torch.Generator().manual_seed(seed)


class QuerySession:
    """Answers queries and works on jobs; keeps the models and data sets it looked at last, and what the answers keep for each other."""

    def __init__(self) -> None:
        self.handlers = dict(handlers())
        self._rooms: dict[type, Any] = {}
        self._models: OrderedDict[ModelKey, Model] = OrderedDict()
        self._looked_up: OrderedDict[tuple[str, int | str | None], tuple[tuple[int, ...], ModelKey]] = OrderedDict()
        self._data: OrderedDict[str, DataSet] = OrderedDict()
        self.sample: DataSet | None = None  # the newest first answer about a set, of a few of its images
        self._lost: dict[tuple[str, str], BadData | BadRun] = {}  # (name, content) of a run's data -> why they could not be opened
        self.notices: list[m.Notice] = []  # what an answer brought to light beside itself

    def answer(self, query: m.Query) -> m.Answer:
        """Raises: BadRun, BadData, CannotAnswer, each one sentence."""
        with torch.no_grad():  # not inference mode: some scores need gradients of the same weights
            return self._call(query)

    def work(self, work: m.Work) -> Job:
        """A job for the lane: yields events, or None where it may be interrupted; returns the closing sentence.

        Raises: BadRun, BadData, CannotAnswer, each one sentence.
        """
        job = self._call(work)
        while True:
            with torch.no_grad():
                try:
                    item = next(job)
                except StopIteration as end:
                    return end.value
            yield item

    def _call(self, message: m.Query | m.Work) -> Any:
        handler = self.handlers[type(message)]
        return handler.function(self if handler.room is None else self.room(handler.room), message)

    def room(self, kind: type[Room]) -> Room:
        """The one instance of a class that keeps something for several answers, built as `kind(session)` when it is first asked for."""
        if kind not in self._rooms:
            self._rooms[kind] = kind(self)  # type: ignore[call-arg]
        return self._rooms[kind]

    # -- models --------------------------------------------------------------------------------------------------------

    def model(self, path: str, step: int | str | None) -> Model:
        """The checkpoint, kept by its content: a new run of an old name is another one.

        `step` is what `choose_step` takes. The folder is opened again only when its manifest is another file than before.

        Raises:
            BadRun: one sentence.
        """
        now = _signature(path)
        seen = self._looked_up.get((path, step))
        if seen is not None and now is not None and seen[0] == now and seen[1] in self._models:
            self._models.move_to_end(seen[1])
            return self._models[seen[1]]
        model = self._open(path, step)
        self._looked_up.pop((path, step), None)
        if now is not None:
            self._looked_up[path, step] = now, _key(model.run, model.step)
            while len(self._looked_up) > PATHS_KEPT:
                self._looked_up.popitem(last=False)
        return model

    def _open(self, path: str, step: int | str | None) -> Model:
        run = Run.open(Path(path))
        key = _key(run, choose_step(run, step).step)
        if key in self._models and run.manifest is not None:
            self._models[key].run, self._models[key].manifest = run, run.manifest  # its data may lie elsewhere now
        return self._kept(key, Model(run, step, self._held_out) if key not in self._models else self._models[key])

    def _held_out(self, model: Model) -> dict[str, np.ndarray]:
        """What a run keeps as its probe, taken anew from its data. Raises: BadData, BadRun."""
        data = self.run_data(model)
        examples, labels = held_out(data, model.spec, model.method.config.context, PROBE_EXAMPLES, "cpu")
        name = "images" if model.spec.kind == "images" else "tokens"
        kept = {name: examples.numpy()} | ({} if labels is None else {"labels": labels.numpy()})
        return kept | frames_before(data, model.spec, model.method.condition)

    def _kept(self, key: ModelKey, model: Model) -> Model:
        """Keep a model as the newest; the oldest is forgotten beyond `MODELS_KEPT`."""
        if model.step != key[1]:  # the one that was chosen is damaged
            key = _key(model.run, model.step)
        self._models[key] = model
        self._models.move_to_end(key)
        while len(self._models) > MODELS_KEPT:
            self._models.popitem(last=False)
        return model

    # -- data ----------------------------------------------------------------------------------------------------------

    def keep_data(self, data: DataSet) -> None:
        """Keep a data set as the newest; the oldest is forgotten beyond `DATA_KEPT`. What was looked for there is there again."""
        self._lost.pop((data.data, data.hash), None)
        self._data[data.data] = data
        self._data.move_to_end(data.data)
        while len(self._data) > DATA_KEPT:
            self._data.popitem(last=False)

    def has_data(self, name: str) -> bool:
        """Whether `data` would answer at once."""
        return name in self._data

    def data(self, name: str) -> DataSet:
        """Raises: BadData."""
        return self._at_once(self.load_data(name, ""))

    def load_data(self, name: str, job: str) -> Generator[m.Event, None, DataSet]:
        """The same as a part of a job, which tells how far it is.

        Raises: BadData.
        """
        if name not in self._data:
            name = moved_data(name)
        if name not in self._data:
            return (yield from self.load_data_anew(name, job))
        self._data.move_to_end(name)
        return self._data[name]

    def load_data_anew(self, name: str, job: str) -> Generator[m.Event, None, DataSet]:
        """The same as it lies there now, whatever was read before. Raises: BadData."""
        data = yield from read_data(name, job)
        self.keep_data(data)
        return data

    def own_data(self, model: Model) -> str:
        """Under which name the data are opened that the run was trained on."""
        return place_of(model.manifest)

    def has_run_data(self, model: Model) -> bool:
        """Whether `run_data` would answer at once."""
        return self.has_data(self.own_data(model))

    def run_data(self, model: Model, remedy: str = REMEDY) -> DataSet:
        """What the run was trained on; where it lies elsewhere now, it is found by its content as far as that is known.

        Raises:
            BadData: it cannot be opened. BadRun: its content is another one; `remedy` ends the sentence.
        """
        return self._at_once(self.load_run_data(model, "", remedy))

    def load_run_data(self, model: Model, job: str, remedy: str = REMEDY) -> Generator[m.Event, None, DataSet]:
        """The same as a part of a job. Raises: as `run_data`."""
        kept = self._data.get(self.own_data(model))
        if kept is not None and kept.hash == model.manifest.data_hash:
            self.keep_data(kept)
            return kept
        key = self.own_data(model), model.manifest.data_hash
        try:
            data = yield from open_run_data(model.run, job, remedy, self.load_data)
        except (BadData, BadRun) as error:
            self._lost[key] = error
            raise
        self._lost.pop(key, None)
        return data

    def why_no_data(self, manifest: Manifest, run: str) -> str:
        """Why `run_data` failed when it was asked last, empty where it did not, or where what failed then is there again."""
        name = place_of(manifest)
        error = self._lost.get((name, manifest.data_hash))
        if isinstance(error, DataMissing) and not why_unreachable(name, run):
            return ""
        return "" if error is None else str(error)

    def _at_once(self, steps: Generator[m.Event, None, DataSet]) -> DataSet:
        while True:
            try:
                event = next(steps)
            except StopIteration as end:
                return end.value
            if isinstance(event, m.Notice):
                self.notices.append(event)


def identity(run: Run, step: int) -> str:
    """SHA-256 of a checkpoint's weights, as the manifest knows it."""
    entries = [] if run.manifest is None else [entry for entry in run.manifest.checkpoints if entry.step == step]
    return entries[0].files["model.safetensors"].sha256 if entries and "model.safetensors" in entries[0].files else ""


def _key(run: Run, step: int) -> ModelKey:
    return str(run.path), step, identity(run, step)


def _signature(path: str) -> tuple[int, ...] | None:
    """What a run's manifest differs in from any other file that was there before it; None where that cannot be said."""
    try:
        found = os.stat(os.path.join(path, MANIFEST))
    except OSError:
        return None
    if abs(time.time() - found.st_mtime) <= YOUNG_SECONDS:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def answer_head(query: Any, model: Model) -> dict[str, Any]:
    """What every answer about a checkpoint begins with."""
    return {"stamp": query.stamp, "channel": query.channel, "run": query.run, "step": model.step}
