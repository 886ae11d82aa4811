"""The record of a training: numbers that cross from the device, validation, checkpoints, speed; and waiting while the disk is full.

Nothing here changes what is learned.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Generator
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from engine import device as devices
from engine.config import changed
from engine.data import DataSet
from engine.data.recipe import parted_name
from engine.messages import CheckpointSaved, Event, Metrics, Notice, Progress, RunFigure, Stalled
from engine.method import StepContext, capabilities
from engine.storage.atomic_io import NonFinite
from engine.storage.disk import DiskRefuses
from engine.storage.manifest import RunMetadata
from engine.storage.run_folders import BadRun
from engine.storage.run_reader import Run
from engine.storage.run_writer import RunWriter
from engine.training.batches import PROBE_EXAMPLES, as_input, frames_before, held_out
from engine.training.gauges import gauges
from engine.training.plan import NotFinite, TrainingFailed
from engine.training.resume_state import ResumeState, checked, unusable
from engine.training.trainer import Trainer

CROSSING_SECONDS = 0.25  # how often numbers cross from the device
NEWEST_SECONDS = 10.0  # how often the newest checkpoint is written, if that costs less than 2 % of the time
RETRY_SECONDS = 2.0
LAST_LOOK_SECONDS = 1.0  # a training that was told to end looks at held-out examples only where that takes no longer

Verb = str  # "pause" | "stop" | "discard", sent into the generator between two steps
Result = TypeVar("Result")
Recording = Generator[Event | None, Verb | None, Result]


class RunRecorder:
    """Keeps the record of one training: numbers that cross from the device, checkpoints, speed; waits while the disk is full."""

    def __init__(self, trainer: Trainer, writer: RunWriter, data: DataSet, job: str) -> None:
        self.trainer, self.writer, self.job = trainer, writer, job
        self.run = str(writer.path)
        examples, told = trainer.method.valid_examples, trainer.method.condition
        self.valid, self.valid_labels = held_out(data, trainer.spec, trainer.context_length, examples, trainer.device, told)
        self.pending: list[dict[str, Tensor]] = []
        self.best: RunFigure | None = None  # of the best checkpoint
        self.first_step, self.first_seconds = trainer.step_number, trainer.seconds
        self.crossed_at = self.saved_at = time.perf_counter()
        self.saved_step = 0
        self.save_cost = 0.0
        self._looked: tuple[int, dict[str, float]] | None = None  # step, terms of the last whole look at held-out examples
        self._slice_seconds: float | None = None  # of a slice of them
        self._started = 0.0
        self._stepping = 0.0  # seconds of the waiting numbers' steps, without validation and checkpoints

    # -- time ----------------------------------------------------------------------------------------------------------

    def tick(self) -> None:
        """Start the clock of a stretch of training."""
        self._started = time.perf_counter()

    def tock(self) -> None:
        """Add the stretch since `tick` to the training's seconds."""
        self.trainer.seconds += time.perf_counter() - self._started

    @property
    def rate(self) -> float:
        """Images per second since this session of the run began; checkpoints and validation included."""
        seconds = self.trainer.seconds - self.first_seconds
        return (self.trainer.step_number - self.first_step) * self.trainer.batch / seconds if seconds > 0 else 0.0

    def seconds_left(self) -> float | None:
        """Estimated seconds to the end; None where there is no end or no rate yet."""
        trainer = self.trainer
        by_time = math.inf if not trainer.plan.minutes else 60 * trainer.plan.minutes - trainer.seconds
        if trainer.plan.steps and self.rate:
            by_time = min(by_time, (trainer.plan.steps - trainer.step_number) * trainer.batch / self.rate)
        return by_time if math.isfinite(by_time) else None

    def crossing_due(self) -> bool:
        """Whether it is time to read the metrics off the device."""
        return time.perf_counter() - self.crossed_at > CROSSING_SECONDS

    def newest_due(self) -> bool:
        """Whether it is time to save the newest checkpoint."""
        return self.writer.moved or time.perf_counter() - self.saved_at > max(NEWEST_SECONDS, 50 * self.save_cost)

    # -- numbers -------------------------------------------------------------------------------------------------------

    def add(self, terms: dict[str, Tensor]) -> None:
        """Note a step's terms, scalars [] that stay on the device."""
        self.pending.append(terms)
        self._stepping += time.perf_counter() - self._started

    def cross(self) -> Recording[Verb | None]:
        """Bring the waiting numbers over, look whether they are finite, write them, tell them."""
        self.crossed_at = time.perf_counter()
        if not self.pending:
            return None
        last = self.trainer.step_number
        steps = np.arange(last - len(self.pending) + 1, last + 1)
        values = {name: torch.stack([t[name].detach().float() for t in self.pending]).cpu().numpy() for name in self.pending[0]}
        self.pending = []
        self._stepping += time.perf_counter() - self.crossed_at  # a device may have been busy with the steps until now
        self._require_finite(steps, values)
        verb = yield from self._write(steps, values)
        trainer = self.trainer
        figures = gauges(trainer, len(steps), self._stepping)
        self._stepping = 0.0
        measured = {name: np.array([value], np.float32) for name, value in figures.items()}
        verb = (yield from self._write(steps[-1:], measured)) or verb
        return (yield Progress(self.job, self.run, last, trainer.plan.steps, "step", self.rate, self.seconds_left())) or verb

    def _write(self, steps: np.ndarray, values: dict[str, np.ndarray]) -> Recording[Verb | None]:
        numbers = {name: [_short(v) for v in series.tolist()] for name, series in values.items()}
        row = {"t": round(self.trainer.seconds, 3), "steps": steps.tolist(), "values": numbers}
        verb, _ = yield from self.with_room(lambda: self.writer.append_metrics(row))
        return (yield Metrics(self.run, {name: (steps.astype(np.int64), series) for name, series in values.items()})) or verb

    def _require_finite(self, steps: np.ndarray, values: dict[str, np.ndarray]) -> None:
        bad = [(int(steps[np.argmin(np.isfinite(series))]), name) for name, series in values.items() if not np.isfinite(series).all()]
        if not bad:
            return
        step, name = min(bad)
        tensor = self._not_finite()
        where = f"; the first weights that are not finite are {tensor}" if tensor else ""
        raise NotFinite(
            f"“{name}” stopped being a finite number at step {step}{where}. The last good checkpoint is kept; "
            f"start a new run with a lower {self._rate_behind(name)} or clip."
        )

    def _not_finite(self) -> str | None:
        """The name of the first weights that are not all finite."""
        return next((name for name, weights in self.trainer.method.named_parameters() if not torch.isfinite(weights).all()), None)

    def _rate_behind(self, term: str = "") -> str:
        """The setting that says how far the optimizer goes which a loss term or its gradient's norm belongs to, and its value; where it
        is of no phase, of the optimizer that moves the first weights that are not finite.
        """
        trainer = self.trainer
        of = term.removeprefix("valid ").removeprefix("gradient norm of ")
        named = next((phase.optimizer for phase in trainer.method.phases if phase.term == of), None)
        weights = dict(trainer.method.named_parameters()).get(self._not_finite() or "")
        moving = (name for name, one in trainer.optimizers.items() if any(p is weights for p in one.parameters))
        optimizer = trainer.optimizers.get(named or next(moving, ""))
        if optimizer is None:
            return f"learning_rate (this one has {trainer.config.learning_rate:g})"
        return f"{optimizer.rate_setting} (this one has {optimizer.peak:g})"

    @torch.no_grad()
    def validate(self, verb: Verb | None = None) -> Recording[tuple[dict[str, float], Verb | None]]:
        """The loss terms of the averaged weights on held-out examples, in full precision, always with the same noise.

        Once there is a verb the look is given up, and no terms are returned, where the rest of it would take long.
        """
        trainer = self.trainer
        if self._looked is not None and self._looked[0] == trainer.step_number:
            return self._looked[1], verb
        context = StepContext(step=trainer.step_number, progress=1.0, generator=torch.Generator(trainer.device).manual_seed(0))
        totals: dict[str, float] = {}
        trainer.ema.eval()
        length, count = trainer.method.valid_slice, len(self.valid)
        if (trainer.method.even_slices or not trainer.method.batch_splits) and count > length:
            count -= count % length  # a loss over the whole batch is another quantity on a smaller one: fewer negatives make it easier
        for start in range(0, count, length):
            if verb and self._too_long(math.ceil((count - start) / length), verb):
                trainer.ema.train()
                return {}, verb
            began = time.perf_counter()
            piece = self.valid[start : min(start + length, count)]
            y = None if self.valid_labels is None else self.valid_labels[start : start + len(piece)]
            terms = trainer.ema.loss(as_input(piece), y, context)
            for name, value in terms.items():
                totals[name] = totals.get(name, 0.0) + float(value) * len(piece) / count
            self._slice_seconds = time.perf_counter() - began
            verb = (yield None) or verb
        trainer.ema.train()
        self._looked = trainer.step_number, totals
        return totals, verb

    def _too_long(self, slices: int, verb: Verb) -> bool:
        """Whether so many slices of held-out examples are not worth their time to somebody who waits for the end."""
        return verb == "discard" or (self._slice_seconds is not None and slices * self._slice_seconds > LAST_LOOK_SECONDS)

    # -- checkpoints ---------------------------------------------------------------------------------------------------

    def save(self, keep: bool, verb: Verb | None = None, last: bool = False) -> Recording[Verb | None]:
        """Validate, then write a resumable checkpoint; it stays for good when `keep`, otherwise until newer ones have come.

        Where somebody waits for the end (`verb`, before validation or within it) and validation would take long, the `last` one is
        written without a number of its own. Any other one is not written then: the last one follows.

        Raises: NotFinite: a weight is no finite number.
        """
        started = time.perf_counter()
        trainer = self.trainer
        again = self._looked is not None and self._looked[0] == trainer.step_number
        terms, verb = yield from self.validate(verb)
        if not terms:
            return (yield from self._save_unjudged(keep)) or verb if last and verb != "discard" else verb
        steps = np.array([trainer.step_number])
        values = {f"valid {name}": np.array([value], dtype=np.float32) for name, value in terms.items()}
        self._require_finite(steps, values)
        if not again:
            verb = (yield from self._write(steps, values)) or verb
        term, unit, bigger = trainer.method.headline
        figure = RunFigure(term, terms[term], unit, bigger, trainer.step_number)
        # of equal ones the later, which has learned longer; one that cannot be compared yet gives way to any later one
        is_best = self.best is None or self.best.step < trainer.method.comparable_from or _score(figure) >= _score(self.best)
        best = figure if is_best or self.best is None else self.best
        about = {"keep": keep, "best": is_best, "figure": figure, "headline": trainer.method.headline_words(terms)}
        late, written = yield from self._checkpoint(best, terms, about)
        if not written:
            return late or verb
        self.best = best
        self.save_cost = self.saved_at - started
        return (yield CheckpointSaved(self.run, trainer.step_number, True, keep or is_best)) or late or verb

    def _save_unjudged(self, keep: bool) -> Recording[Verb | None]:
        """Write a resumable checkpoint that no held-out examples have judged; the best one stays what it was."""
        late, written = yield from self._checkpoint(self.best, {}, {"keep": keep})
        return ((yield CheckpointSaved(self.run, self.trainer.step_number, True, keep)) or late) if written else late

    def _checkpoint(self, best: RunFigure | None, terms: dict[str, float], about: dict[str, Any]) -> Recording[tuple[Verb | None, bool]]:
        """Write the weights and all that resuming needs: (verb, whether it was written). Raises: NotFinite."""
        trainer = self.trainer
        files = {"model.safetensors": trainer.ema_arrays(), "resume.safetensors": trainer.resume_arrays()}
        judged = {} if best is None else {"best": _score(best), "best_step": best.step}
        state = {**trainer.numbers(), **judged, "valid": terms}
        save = partial(self.writer.save_checkpoint, trainer.step_number, files, state, resumable=True, **about)
        try:
            late, written = yield from self.with_room(save)
        except NonFinite as error:
            raise NotFinite(f"{error} The last good checkpoint is kept; start a new run with a lower {self._rate_behind()}.") from None
        if written:
            self.saved_step = trainer.step_number
            self.saved_at = time.perf_counter()
        return late, written

    def restore(self, old: Run) -> Recording[Verb | None]:
        """Go back to the newest resumable checkpoint of a run. Raises: TrainingFailed: it has none. BadRun."""
        step = old.newest_resumable()
        if step is None:
            raise TrainingFailed(f"{old.path.name} has no checkpoint that training could go on from; start a new run.")
        _, ema, _ = old.load(step)
        _, resume, numbers = old.load(step, "resume.safetensors")
        state = checked(numbers, old.path.name, step)
        try:
            self.trainer.restore(ema, resume, state)
        except ValueError as error:
            raise unusable(old.path.name, step, str(error)) from None
        self.first_step, self.first_seconds = self.trainer.step_number, self.trainer.seconds
        self.best = self._best_until(old, step, state)
        row = {"t": round(self.trainer.seconds, 3), "resumed": step}  # points past it are void
        verb, _ = yield from self.with_room(lambda: self.writer.append_metrics(row))
        verb = (yield from self._tell_best(old)) or verb
        self.saved_step = step
        exactly = "" if self.trainer.exact else " It was begun on another kind of device, so it goes on with other noise, not bit for bit."
        return (yield Notice("info", f"{old.path.name} goes on from step {step}.{exactly}")) or verb

    def _best_until(self, old: Run, step: int, state: ResumeState) -> RunFigure | None:
        """The number of the best checkpoint when that of `step` was written; its place stands elsewhere in version 0.1.0."""
        if state.best is None:
            return None
        term, unit, bigger = self.trainer.method.headline
        place = max((c.step for c in old.checkpoints() if c.best and c.step <= step), default=step)
        return RunFigure(term, state.best if bigger else -state.best, unit, bigger, place if state.best_step is None else state.best_step)

    def _tell_best(self, old: Run) -> Recording[Verb | None]:
        """Let the manifest say which is the best checkpoint, where it says another one or, of version 0.1.0, none."""
        if self.best is None or old.manifest is None or old.manifest.best == self.best:
            return None
        words = None
        with contextlib.suppress(BadRun, KeyError, TypeError, ValueError, ArithmeticError):  # of another version, or of no training
            words = self.trainer.method.headline_words(old.load(self.best.step, "state.json")[2]["valid"])
        return (yield from self.with_room(lambda: self.writer.set_status("training", best=self.best, headline=words)))[0]

    def with_room(self, write: Callable[[], object]) -> Recording[tuple[Verb | None, bool]]:
        """Write; while the disk is full, say so and try again. A verb ends the waiting: (verb, whether it was written)."""
        waiting = time.perf_counter()
        verb, written = yield from with_room(write, self.job, self.run)
        self._started += time.perf_counter() - waiting  # waiting is no training
        return verb, written


def with_room(write: Callable[[], object], job: str, run: str) -> Recording[tuple[Verb | None, bool]]:
    """Write, and wait as long as the disk refuses or until a verb comes."""
    while True:
        try:
            write()
            return None, True
        except DiskRefuses as error:
            cause = f"{error.cause[:1].lower()}{error.cause[1:]}"
            message = f"Paused: {cause}. {error.remedy[:1].upper()}{error.remedy[1:]}, and training goes on by itself."
        if verb := (yield Stalled(job, run, message, RETRY_SECONDS)):
            return verb, False


def begin_run(trainer: Trainer, data: DataSet, root: Path, job: str) -> Recording[RunWriter]:
    """A new run's folder with its manifest and probe; waits while the disk is full.

    Raises:
        TrainingFailed: a verb ended the waiting. BadRun: the name is taken or cannot be a folder's.
    """
    plan, kind = trainer.plan, type(trainer.method)
    examples, y = held_out(data, trainer.spec, trainer.context_length, PROBE_EXAMPLES, "cpu")
    noise = torch.randn(64, 256, generator=torch.Generator().manual_seed(plan.seed)).numpy()
    probe = {"tokens" if data.kind == "text" else "images": examples.numpy(), "noise": noise}
    if y is not None:
        probe["labels"] = y.numpy()
    probe |= frames_before(data, trainer.spec, trainer.method.condition)
    metadata = RunMetadata(
        method=plan.method,
        title=kind.title,
        config=asdict(trainer.config),
        changed=changed(trainer.config),
        data=plan.data,
        data_name=data.name,
        data_hash=data.hash,
        counts=dict(data.report.counts),
        recipe=parted_name(plan.data)[1].changed(),
        preprocessing=data.preprocessing.changed(),
        shape=data.shape,
        classes=data.classes,
        kind=trainer.spec.kind,
        symbols=trainer.spec.symbols,
        units=trainer.spec.units,
        words=trainer.spec.words,
        seed=plan.seed,
        total_steps=plan.steps,
        minutes=plan.minutes,
        device=devices.describe(trainer.device),
        precision=trainer.precision,
        capabilities=capabilities(kind),
        versions=versions(),
    )
    made: list[RunWriter] = []

    def create() -> None:
        writer = RunWriter.create(root, metadata, plan.name)
        try:
            writer.save_probe(probe)
        except BaseException:
            writer.discard()  # nothing half-made stays, and nobody keeps its lock
            raise
        made.append(writer)

    yield from with_room(create, job, "")
    if not made:
        raise TrainingFailed("The disk refused, so the run could not begin; free some room, or choose another folder, and start it again.")
    return made[0]


def versions() -> dict[str, str]:
    """The libraries whose numbers a run depends on."""
    import platform

    return {"python": platform.python_version(), "torch": str(torch.__version__), "numpy": np.__version__}


def _score(figure: RunFigure) -> float:
    """Bigger is better."""
    return figure.value if figure.bigger_is_better else -figure.value


def _short(value: float) -> float:
    """Seven digits say all that float32 holds."""
    return float(f"{value:.7g}")
