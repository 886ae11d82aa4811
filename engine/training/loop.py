"""Training: the only loop there is. A generator of events that a lane (or a test, or a script) advances step by step.

What is here: batches, the one conversion to float, the optimizer, the averaged weights, checkpoints, and what happens
when something goes wrong. What is not: any loss (methods), any file format (runs), any thread (worker).
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Generator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from engine import device as devices
from engine import precision as precisions
from engine.config import changed, make_config
from engine.data import DataSet, inspect, lasting
from engine.messages import CheckpointSaved, Event, Metrics, Notice, Progress, Stalled
from engine.method import StepContext, build, capabilities, cuts
from engine.methods import method_named
from engine.storage.pretrained_folder import Pretrained, open_pretrained
from engine.storage.run_reader import BadRun, NonFinite, NoSpace, Run, RunWriter, delete_run, is_run
from engine.training.batches import NOISE, batches_of, held_out, noise_seed, seeded, spec_of

CROSSING_SECONDS = 0.25  # how often numbers cross from the device
NEWEST_SECONDS = 10.0  # how often the newest checkpoint is written, if that costs less than 2 % of the time
DEFAULT_STEPS = 4000
PREPARE_IMAGES = 4096
PROBE_EXAMPLES = 256
RETRY_SECONDS = 2.0
HALVINGS = 3


class TrainingFailed(RuntimeError):
    """One sentence: what went wrong, at which step, and what to change."""


@dataclass(frozen=True)
class Plan:
    """What a person asked for. JSON-able."""

    method: str
    data: str
    config: dict[str, Any] = field(default_factory=dict)  # changed settings only
    seed: int = 0
    steps: int | None = None  # in total
    minutes: float | None = None  # of training time, in total
    device: str = "auto"
    precision: str = "auto"
    name: str | None = None
    mutation: float = 0.0  # share of the numbers of every training batch that are replaced by random ones: a background model's data

    def bounded(self) -> Plan:
        """With an end: DEFAULT_STEPS where none was named."""
        return self if self.steps or self.minutes else replace(self, steps=DEFAULT_STEPS)


@dataclass(frozen=True)
class Outcome:
    """How a training ended: `status` as in the manifest (done, stopped, paused)."""

    status: str
    message: str
    run: str
    step: int
    images_per_second: float


@dataclass(frozen=True)
class Parent:
    """A run that a method builds on: which setting names it, how it was configured, its newest weights."""

    setting: str
    method: str
    config: dict[str, Any]
    arrays: dict[str, np.ndarray]


Verb = str  # "pause" | "stop" | "discard", sent into the generator between two steps
Events = Generator[Event | None, Verb | None, Outcome]


class Trainer:
    """Everything that changes while training, and how to take one step."""

    def __init__(self, plan: Plan, data: DataSet) -> None:
        kind = method_named(plan.method)
        self.plan = plan
        self.device = devices.choose(plan.device)
        self.precision = precisions.resolve(plan.precision, self.device)
        self.config = make_config(kind.Config, plan.config)
        self.spec = spec_of(data, getattr(self.config, "units", "characters"))
        self.context: int = getattr(self.config, "context", 0)  # symbols in a window of a text
        self.batches = batches_of(data, self.spec, self.config, plan.seed, self.device, kind.full_batch)
        self.order = self.batches.order
        self.batch = self.order.batch
        self.micro = min(self.batch, getattr(self.config, "micro_batch_size", 0) or self.batch)  # images at once
        self.step_number = 0
        self.seconds = 0.0
        self.exact = True  # a resumed training goes on bit for bit
        self.noise = torch.Generator(self.device).manual_seed(seeded(plan.seed, NOISE))
        self.method = build(kind, self.config, self.spec, plan.seed, self.device)
        with torch.no_grad():
            self.method.init_from_data(as_input(self.batches.first(PREPARE_IMAGES)))
        self.shown = self.method
        if self.config.ema:
            self.shown = build(kind, self.config, self.spec, plan.seed, self.device)
            self.shown.load_state_dict(self.method.state_dict())
            self.shown.requires_grad_(False)
        for one in {self.method, self.shown}:
            one.on_train_start(self.order.count, torch.Generator().manual_seed(seeded(plan.seed, NOISE)))
        self.parameters = [p for p in self.method.parameters() if p.requires_grad]  # what is frozen from the start is no parameter
        self.optimizer = self._optimizer()

    def init_from_run(self, parent: Parent) -> None:
        """Begin with the weights of another run where the method builds on one."""
        arrays = {name: torch.from_numpy(value.copy()) for name, value in parent.arrays.items()}
        self.method.init_from_run(parent.setting, parent.config, arrays)
        if self.shown is not self.method:
            self.shown.load_state_dict(self.method.state_dict())

    def take(self, found: Pretrained) -> None:
        """Begin with weights that others have trained."""
        self.method.load_pretrained({name: torch.from_numpy(value) for name, value in found.arrays.items()})
        if self.shown is not self.method:
            self.shown.load_state_dict(self.method.state_dict())

    def _optimizer(self) -> torch.optim.Optimizer | None:
        """None for a method that learns without gradients."""
        if not self.parameters:
            return None
        decayed = [p for p in self.parameters if p.ndim > 1]
        others = [p for p in self.parameters if p.ndim <= 1]
        groups = [{"params": decayed, "weight_decay": self.config.weight_decay}, {"params": others, "weight_decay": 0.0}]
        fused = self.device == "cpu" or self.device.startswith("cuda")
        return torch.optim.AdamW([g for g in groups if g["params"]], lr=self.config.learning_rate, fused=fused)

    @property
    def progress(self) -> float:
        """How much of the planned training is behind us, 0 to 1."""
        parts = [0.0]
        if self.plan.steps:
            parts.append(self.step_number / self.plan.steps)
        if self.plan.minutes:
            parts.append(self.seconds / (60 * self.plan.minutes))
        return min(1.0, max(parts))

    @property
    def done(self) -> bool:
        return self.progress >= 1.0 or self.method.finished

    def learning_rate(self) -> float:
        c = self.config
        warm = min(1.0, (self.step_number + 1) / max(1, c.warmup))
        fall = 0.5 * (1 + math.cos(math.pi * self.progress)) if c.schedule == "cosine" else 1.0
        return c.learning_rate * warm * fall

    def step(self) -> dict[str, Tensor]:
        """One step; its terms stay on the device. Too little memory leads to smaller pieces of the same batch."""
        indices = self.order.next()
        examples, labels = self.batches.take(indices)
        self.noise.manual_seed(noise_seed(self.plan.seed, self.step_number))
        if self.plan.mutation:
            values = 256 if self.spec.kind == "images" else len(self.spec.symbols)
            examples = mutated(examples, self.plan.mutation, values, self.noise)
        if self.optimizer is None:
            terms = self._learned(examples, labels, indices)
        else:
            terms = self._descended(self.optimizer, examples, labels, indices)
        self.step_number += 1
        self.method.after_step(self._context())
        self._average()
        return terms

    @torch.no_grad()
    def _learned(self, examples: Tensor, labels: Tensor | None, indices: Tensor) -> dict[str, Tensor]:
        """A step of a method that learns without gradients."""
        method: Any = self.method
        return method.learn(as_input(examples), labels, self._context(indices))

    def _descended(self, optimizer: torch.optim.Optimizer, examples: Tensor, labels: Tensor | None, indices: Tensor) -> dict[str, Tensor]:
        """A step down the gradient of the batch."""
        before = self.noise.get_state()
        smallest = max(1, self.micro // 2**HALVINGS)
        while (terms := self._gradients(examples, labels, indices)) is None:
            if self.micro <= smallest:
                raise TrainingFailed(
                    f"There is not enough memory on {devices.describe(self.device)} even for pieces of {self.micro} images; "
                    "lower batch_size or the width of the network, then start again."
                )
            self._smaller(before)
        for group in optimizer.param_groups:
            group["lr"] = self.learning_rate()
        limit = self.config.clip or math.inf
        terms["gradient norm"] = torch.nn.utils.clip_grad_norm_(self.parameters, limit)
        optimizer.step()
        return terms

    def _context(self, indices: Tensor | None = None) -> StepContext:
        return StepContext(step=self.step_number, progress=self.progress, generator=self.noise, indices=indices)

    def _gradients(self, examples: Tensor, labels: Tensor | None, indices: Tensor) -> dict[str, Tensor] | None:
        """Terms averaged over the batch, with gradients of all of it; None when memory ran out."""
        self.method.zero_grad(set_to_none=True)
        total: dict[str, Tensor] = {}
        try:
            if self.micro < len(examples) and cuts(self.method):
                total = self._cached(examples)
            else:
                total = self._accumulated(examples, labels, indices)
        except (RuntimeError, MemoryError) as error:
            if not devices.out_of_memory(error):
                raise
            total = {}
        return total or None  # outside of `except`: the traceback would keep the tensors alive

    def _accumulated(self, examples: Tensor, labels: Tensor | None, indices: Tensor) -> dict[str, Tensor]:
        """The mean over the pieces' losses."""
        total: dict[str, Tensor] = {}
        for start in range(0, len(examples), self.micro):
            piece = slice(start, start + self.micro)
            x = as_input(examples[piece])
            share = len(x) / len(examples)
            y = None if labels is None else labels[piece]
            with precisions.autocast(self.precision, self.device):
                terms = self.method.loss(x, y, self._context(indices[piece]))
            (terms["loss"] * share).backward()
            for name, value in terms.items():
                total[name] = total.get(name, 0) + value.detach() * share
        return total

    def _cached(self, examples: Tensor) -> dict[str, Tensor]:
        """Gradients of a loss over the whole batch with one piece's activations in memory at a time (Gao et al. 2021, GradCache).

        First all projections without gradients, then the loss and its gradient with respect to them, then each piece once more,
        with the same noise, and on from there. Exact where the network has no batch statistics; where it has, they are each piece's own,
        and both passes move the running ones.
        """
        method: Any = self.method
        pieces = examples.split(self.micro)
        noises, projections = [], []
        with torch.no_grad(), precisions.autocast(self.precision, self.device):
            for piece in pieces:
                noises.append(self.noise.get_state())
                projections.append(method.project(as_input(piece), self._context()))
        z = torch.cat(projections).requires_grad_()
        terms: dict[str, Tensor] = method.contrast(z, self._context())
        terms["loss"].backward()
        assert z.grad is not None
        for piece, noise, gradient in zip(pieces, noises, z.grad.split(self.micro), strict=True):
            self.noise.set_state(noise)
            with precisions.autocast(self.precision, self.device):
                again = method.project(as_input(piece), self._context())
            again.backward(gradient)
        return {name: value.detach() for name, value in terms.items()}

    def _smaller(self, noise_state: Tensor) -> None:
        if not self.method.batch_splits and not cuts(self.method):
            raise TrainingFailed(
                f"There is not enough memory on {devices.describe(self.device)} for a batch of {self.batch}, which this method cannot take "
                "in pieces; lower batch_size, then start again."
            )
        self.method.zero_grad(set_to_none=True)
        self.method.forget_batch()
        devices.release(self.device)
        self.noise.set_state(noise_state)
        self.micro = max(1, self.micro // 2)

    @torch.no_grad()
    def _average(self) -> None:
        """Move the shown weights towards the trained ones, faster in the first steps than later; what is frozen is the same in both."""
        if self.shown is self.method:
            return
        decay = min(self.config.ema, self.step_number / (self.step_number + 10))
        for ours, theirs in zip(self.shown.parameters(), self.method.parameters(), strict=True):
            ours.lerp_(theirs, 1 - decay) if theirs.requires_grad else ours.copy_(theirs)
        for ours, theirs in zip(self.shown.buffers(), self.method.buffers(), strict=True):
            ours.copy_(theirs)

    # -- saving and restoring ------------------------------------------------------------------------------------------

    def shown_arrays(self) -> dict[str, np.ndarray]:
        return {name: _array(value) for name, value in self.shown.state_dict().items()}

    def resume_arrays(self) -> dict[str, np.ndarray]:
        arrays = {f"weights/{name}": _array(value) for name, value in self.method.state_dict().items()}
        for name in self.method.training_only_buffers:
            arrays[f"working/{name}"] = _array(self.method.get_buffer(name))
        state = {} if self.optimizer is None else self.optimizer.state
        for name, parameter in self.method.named_parameters():
            for key, value in state.get(parameter, {}).items():
                arrays[f"optimizer/{key}/{name}"] = _array(value)
        arrays["random/noise"] = self.noise.get_state().cpu().numpy().copy()
        return arrays

    def numbers(self) -> dict[str, Any]:
        """What a resumable checkpoint must know besides tensors."""
        order = {"epoch": self.order.epoch, "index": self.order.index}
        return {"step": self.step_number, "seconds": self.seconds, "micro": self.micro, "order": order, "plan": asdict(self.plan)}

    def restore(self, shown: dict[str, np.ndarray], resume: dict[str, np.ndarray], numbers: dict[str, Any]) -> None:
        tensors = {name: torch.from_numpy(value.copy()) for name, value in resume.items()}
        weights = {name.removeprefix("weights/"): t for name, t in tensors.items() if name.startswith("weights/")}
        self.method.load_state_dict(weights)
        if self.shown is not self.method:
            self.shown.load_state_dict({name: torch.from_numpy(value.copy()) for name, value in shown.items()})
        for name in self.method.training_only_buffers:
            for one in {self.method, self.shown}:
                one.get_buffer(name).copy_(tensors[f"working/{name}"])
        for name, parameter in self.method.named_parameters():
            keys = [key.split("/")[1] for key in tensors if key.startswith("optimizer/") and key.split("/", 2)[2] == name]
            state = {key: tensors[f"optimizer/{key}/{name}"].to(self.device) for key in keys}
            if state and self.optimizer is not None:
                self.optimizer.state[parameter] = state
        self.step_number, self.seconds, self.micro = numbers["step"], numbers["seconds"], numbers["micro"]
        state = tensors["random/noise"]
        self.exact = state.numel() == self.noise.get_state().numel()
        if self.exact:
            self.noise.set_state(state)
        else:  # written on another kind of device, whose generator is another one
            self.noise.manual_seed(seeded(self.plan.seed, self.step_number))
        self.order.go_to(numbers["order"]["epoch"], numbers["order"]["index"])


def as_input(examples: Tensor) -> Tensor:
    """The one conversion to float: uint8 images become k/255; tokens stay what they are."""
    return examples.float() / 255 if examples.dtype == torch.uint8 else examples


def mutated(examples: Tensor, share: float, values: int, generator: torch.Generator) -> Tensor:
    """Training examples in which each number is replaced, with probability `share`, by one of `values` at random (Ren et al. 2019).

    What is learned from them still knows the plain statistics of the data, but little of what makes an object.
    """
    chance = torch.rand(examples.shape, generator=generator, device=examples.device)
    random = torch.randint(values, examples.shape, generator=generator, device=examples.device, dtype=examples.dtype)
    return torch.where(chance < share, random, examples)


def train(plan: Plan, root: Path, job: str = "", resume: Path | None = None) -> Events:
    """Train until the plan is fulfilled; yields events (or None between two steps), takes a verb, returns the `Outcome`.

    `list(train(...))` trains in place. A verb may be sent at any yield: it is heeded at the end of the step in hand.

    `resume` is the folder of a run to go on with exactly; of `plan` only `steps`, `minutes` and `device` then count.

    Raises:
        TrainingFailed: no memory, or numbers that are not finite any more (the last good checkpoint is kept).
        BadData, BadRun, BadSetting, UnknownMethod, NoDevice: each one sentence.
    """
    old = Run.open(resume) if resume else None
    plan = replace(plan, data=lasting(plan.data)) if old is None else _plan_of(old, plan)
    plan = plan.bounded()
    method_named(plan.method)
    devices.choose(plan.device)
    make_config(method_named(plan.method).Config, plan.config)
    data = yield from _open(plan, job, "" if resume is None else str(resume))
    if isinstance(data, str):
        status = {"pause": "paused", "discard": "discarded"}.get(data, "stopped")
        if old is not None and data == "discard":
            delete_run(old.path)
        return Outcome(status, "It had not begun.", "" if old is None else str(old.path), 0, 0.0)
    _check(plan, data, old)
    parents = _parents(plan, root, data) if old is None else []  # a resumed run has their weights in its own checkpoint
    for parent in parents:
        told = method_named(plan.method).settings_from(parent.setting, parent.method, parent.config)
        plan = replace(plan, config={**plan.config, **told})
    foreign = _foreign(plan) if old is None else None
    if foreign is not None:
        plan = replace(plan, config={**plan.config, **method_named(plan.method).settings_from_pretrained(foreign)})
    trainer = Trainer(plan, data)
    for parent in parents:
        trainer.init_from_run(parent)
    if foreign is not None:
        trainer.take(foreign)
    writer = (yield from _new_run(plan, root, data, trainer, job)) if old is None else RunWriter.resume(old.path)
    try:
        return (yield from _run(trainer, writer, data, job, None if old is None else Run.open(writer.path)))
    except GeneratorExit:
        _last_words(writer, "interrupted", "It was left in the middle; go on from its newest checkpoint.")
        raise
    except BaseException as error:
        _last_words(writer, "failed", str(error) or type(error).__name__)
        raise
    finally:
        writer.close()


def _run(trainer: Trainer, writer: RunWriter, data: DataSet, job: str, old: Run | None) -> Events:
    run = str(writer.path)
    book = RunRecorder(trainer, writer, data, job)
    verb: Verb | None = None
    if old is not None:
        verb = yield from book.restore(old)
    ends = {"total_steps": trainer.plan.steps, "minutes": trainer.plan.minutes}
    late, _ = yield from book._with_room(lambda: writer.set_status("training", step=trainer.step_number, **ends))
    verb = late or verb
    if old is None and verb is None:
        verb = yield from book.save(keep=True)
    while verb is None and not trainer.done:
        book.tick()
        book.add(trainer.step())
        log_spaced = _log_spaced(trainer.step_number)
        if book.crossing_due() or log_spaced:
            verb = yield from book.cross()
        if verb is None and not trainer.done and (log_spaced or book.newest_due()):
            verb = yield from book.save(keep=log_spaced)
        book.tock()
        verb = (yield None) or verb
    if verb != "discard":
        verb = (yield from book.cross()) or verb
        verb = (yield from book.save(keep=verb != "pause")) or verb
    if verb == "discard":
        writer.discard()
        return Outcome("discarded", "The run was discarded.", run, trainer.step_number, book.rate)
    status, message = _ending(verb, trainer.step_number, book.saved_step)
    with contextlib.suppress(NoSpace):  # then the list calls it interrupted, and it can be continued all the same
        writer.set_status(status, "" if status == "done" else message, step=trainer.step_number)
    return Outcome(status, message, run, trainer.step_number, book.rate)


class RunRecorder:
    """Keeps the record of one training: numbers that cross from the device, checkpoints, speed; waits while the disk is full."""

    def __init__(self, trainer: Trainer, writer: RunWriter, data: DataSet, job: str) -> None:
        self.trainer, self.writer, self.job = trainer, writer, job
        self.run = str(writer.path)
        self.valid, self.valid_labels = held_out(data, trainer.spec, trainer.context, trainer.method.valid_examples, trainer.device)
        self.pending: list[dict[str, Tensor]] = []
        self.best: float | None = None
        self.first_step, self.first_seconds = trainer.step_number, trainer.seconds
        self.crossed_at = self.saved_at = time.perf_counter()
        self.saved_step = 0
        self.save_cost = 0.0
        self._started = 0.0

    # -- time ----------------------------------------------------------------------------------------------------------

    def tick(self) -> None:
        self._started = time.perf_counter()

    def tock(self) -> None:
        self.trainer.seconds += time.perf_counter() - self._started

    @property
    def rate(self) -> float:
        """Images per second since this session of the run began; checkpoints and validation included."""
        seconds = self.trainer.seconds - self.first_seconds
        return (self.trainer.step_number - self.first_step) * self.trainer.batch / seconds if seconds > 0 else 0.0

    def seconds_left(self) -> float | None:
        trainer = self.trainer
        by_time = math.inf if not trainer.plan.minutes else 60 * trainer.plan.minutes - trainer.seconds
        if trainer.plan.steps and self.rate:
            by_time = min(by_time, (trainer.plan.steps - trainer.step_number) * trainer.batch / self.rate)
        return by_time if math.isfinite(by_time) else None

    def crossing_due(self) -> bool:
        return time.perf_counter() - self.crossed_at > CROSSING_SECONDS

    def newest_due(self) -> bool:
        return time.perf_counter() - self.saved_at > max(NEWEST_SECONDS, 50 * self.save_cost)

    # -- numbers -------------------------------------------------------------------------------------------------------

    def add(self, terms: dict[str, Tensor]) -> None:
        self.pending.append(terms)

    def cross(self) -> Generator[Event | None, Verb | None, Verb | None]:
        """Bring the waiting numbers over, look whether they are finite, write them, tell them."""
        self.crossed_at = time.perf_counter()
        if not self.pending:
            return None
        last = self.trainer.step_number
        steps = np.arange(last - len(self.pending) + 1, last + 1)
        values = {name: torch.stack([t[name].detach().float() for t in self.pending]).cpu().numpy() for name in self.pending[0]}
        self.pending = []
        self._require_finite(steps, values)
        verb = yield from self._write(steps, values)
        trainer = self.trainer
        return (yield Progress(self.job, self.run, last, trainer.plan.steps, "step", self.rate, self.seconds_left())) or verb

    def _write(self, steps: np.ndarray, values: dict[str, np.ndarray]) -> Generator[Event | None, Verb | None, Verb | None]:
        numbers = {name: [_short(v) for v in series.tolist()] for name, series in values.items()}
        row = {"t": round(self.trainer.seconds, 3), "steps": steps.tolist(), "values": numbers}
        verb, _ = yield from self._with_room(lambda: self.writer.append_metrics(row))
        return (yield Metrics(self.run, {name: (steps.astype(np.int64), series) for name, series in values.items()})) or verb

    def _require_finite(self, steps: np.ndarray, values: dict[str, np.ndarray]) -> None:
        bad = [(int(steps[np.argmin(np.isfinite(series))]), name) for name, series in values.items() if not np.isfinite(series).all()]
        if not bad:
            return
        step, name = min(bad)
        tensor = next((n for n, p in self.trainer.method.named_parameters() if not torch.isfinite(p).all()), None)
        where = f"; the first weights that are not finite are {tensor}" if tensor else ""
        raise TrainingFailed(
            f"“{name}” stopped being a finite number at step {step}{where}. The last good checkpoint is kept; "
            f"start a new run with a lower learning_rate (this one has {self.trainer.config.learning_rate:g}) or clip."
        )

    @torch.no_grad()
    def validate(self) -> Generator[Event | None, Verb | None, tuple[dict[str, float], Verb | None]]:
        """The loss terms of the shown weights on held-out images, in full precision, always with the same noise."""
        trainer, verb = self.trainer, None
        context = StepContext(step=trainer.step_number, progress=1.0, generator=torch.Generator(trainer.device).manual_seed(0))
        totals: dict[str, float] = {}
        trainer.shown.eval()
        for start in range(0, len(self.valid), trainer.method.valid_slice):
            piece = self.valid[start : start + trainer.method.valid_slice]
            y = None if self.valid_labels is None else self.valid_labels[start : start + trainer.method.valid_slice]
            terms = trainer.shown.loss(as_input(piece), y, context)
            for name, value in terms.items():
                totals[name] = totals.get(name, 0.0) + float(value) * len(piece) / len(self.valid)
            verb = (yield None) or verb
        trainer.shown.train()
        return totals, verb

    # -- checkpoints ---------------------------------------------------------------------------------------------------

    def save(self, keep: bool) -> Generator[Event | None, Verb | None, Verb | None]:
        """Validate, then write a resumable checkpoint; it stays for good when `keep`, otherwise until newer ones have come."""
        started = time.perf_counter()
        trainer = self.trainer
        terms, verb = yield from self.validate()
        steps = np.array([trainer.step_number])
        values = {f"valid {name}": np.array([value], dtype=np.float32) for name, value in terms.items()}
        self._require_finite(steps, values)
        verb = (yield from self._write(steps, values)) or verb
        name, _, bigger = trainer.method.headline
        score = terms[name] if bigger else -terms[name]
        best = self.best is None or score > self.best
        files = {"model.safetensors": trainer.shown_arrays(), "resume.safetensors": trainer.resume_arrays()}
        state = {**trainer.numbers(), "best": score if best else self.best, "valid": terms}

        options = {"resumable": True, "keep": keep, "best": best, "headline": trainer.method.headline_words(terms)}
        try:
            late, written = yield from self._with_room(lambda: self.writer.save_checkpoint(trainer.step_number, files, state, **options))
        except NonFinite as error:
            raise TrainingFailed(f"{error} The last good checkpoint is kept; start a new run with a lower learning_rate.") from None
        if not written:
            return late or verb
        self.best = max(score, self.best) if self.best is not None else score
        self.saved_step = trainer.step_number
        self.saved_at = time.perf_counter()
        self.save_cost = self.saved_at - started
        return (yield CheckpointSaved(self.run, trainer.step_number, True, keep or best)) or late or verb

    def restore(self, old: Run) -> Generator[Event | None, Verb | None, Verb | None]:
        step = old.newest_resumable()
        if step is None:
            raise TrainingFailed(f"{old.path.name} has no checkpoint that training could go on from; start a new run.")
        _, shown, _ = old.load(step)
        _, resume, state = old.load(step, "resume.safetensors")
        self.trainer.restore(shown, resume, state)
        self.first_step, self.first_seconds = self.trainer.step_number, self.trainer.seconds
        self.best = state["best"]
        row = {"t": round(self.trainer.seconds, 3), "resumed": step}  # points past it are void
        verb, _ = yield from self._with_room(lambda: self.writer.append_metrics(row))
        self.saved_step = step
        exactly = "" if self.trainer.exact else " It was begun on another kind of device, so it goes on with other noise, not bit for bit."
        return (yield Notice("info", f"{old.path.name} goes on from step {step}.{exactly}")) or verb

    def _with_room(self, write: Callable[[], object]) -> Generator[Event | None, Verb | None, tuple[Verb | None, bool]]:
        """Write; while the disk is full, say so and try again. A verb ends the waiting: (verb, whether it was written)."""
        waiting = time.perf_counter()
        verb, written = yield from with_room(write, self.job, self.run)
        self._started += time.perf_counter() - waiting  # waiting is no training
        return verb, written


def with_room(write: Callable[[], object], job: str, run: str) -> Generator[Event | None, Verb | None, tuple[Verb | None, bool]]:
    """Write, and wait as long as the disk is full or until a verb comes."""
    while True:
        try:
            write()
            return None, True
        except NoSpace as error:
            message = f"Paused: the disk is full ({error}). Free some room and training goes on by itself."
        if verb := (yield Stalled(job, run, message, RETRY_SECONDS)):
            return verb, False


# ---------------------------------------------------------------------------------------------------------------------


def _open(plan: Plan, job: str, run: str) -> Generator[Event | None, Verb | None, DataSet | Verb]:
    """The data set, or the verb that came while it was read."""
    for item in inspect(plan.data, job):
        if isinstance(item, DataSet):
            return item
        if verb := (yield replace(item, run=run)):
            return verb
    raise AssertionError("inspect ends with a data set")


def _check(plan: Plan, data: DataSet, old: Run | None) -> None:
    wanted = method_named(plan.method).accepts
    if data.kind != wanted:
        choose = "text" if wanted == "text" else "data set of images"
        raise TrainingFailed(f"{plan.method} learns from {wanted} and {data.name} is {data.kind}; choose a {choose}.")
    if old is not None and old.manifest is not None and old.manifest.data_hash != data.hash:
        raise TrainingFailed(
            f"{plan.data} is not the data this run was trained on (its content changed); put the old files back or start a new run."
        )


def _parents(plan: Plan, root: Path, data: DataSet) -> list[Parent]:
    """The runs that a method builds on: its settings name them, by a name in `root` (or beside the run that `root` is) or by a folder.

    Raises:
        TrainingFailed: it is no run, one of another method, or of images of another shape.
        BadRun: it cannot be read.
    """
    kind = method_named(plan.method)
    config = make_config(kind.Config, plan.config)
    found = []
    for setting, wanted in kind.parents.items():
        name = getattr(config, setting)
        if not name:
            continue
        shelf = root.parent if is_run(root) else root  # a background model is a run within a run
        path = next((path for path in (shelf / name, Path(name).expanduser()) if is_run(path)), None)
        if path is None:
            kinds = wanted or "a method with an encoder"
            raise TrainingFailed(f"There is no run “{name}” in {shelf}, nor a run's folder “{name}”; name a run of {kinds} as {setting}.")
        run = Run.open(path)
        manifest = run.manifest
        if manifest is None:
            raise BadRun(run.fault)
        if not wanted and "encode" not in manifest.capabilities:
            raise TrainingFailed(f"{path.name} is a run of {manifest.method}, which has no encoder; name another run as {setting}.")
        if wanted and manifest.method != wanted:
            raise TrainingFailed(f"{path.name} is a run of {manifest.method}; name a run of {wanted} as {setting}.")
        if tuple(manifest.shape) != tuple(data.shape):
            theirs, ours = ("×".join(map(str, shape)) for shape in (manifest.shape, data.shape))
            raise TrainingFailed(f"{path.name} takes images of {theirs}, {data.name} has {ours}; name a run of that shape as {setting}.")
        found.append(Parent(setting, manifest.method, dict(manifest.config), run.load()[1]))
    return found


def _foreign(plan: Plan) -> Pretrained | None:
    """The folder of foreign weights that the plan names, if it names one. Raises: BadBackbone."""
    kind = method_named(plan.method)
    folder = getattr(make_config(kind.Config, plan.config), kind.pretrained_setting) if kind.pretrained_setting else ""
    return open_pretrained(folder) if folder else None


def _plan_of(old: Run, wish: Plan) -> Plan:
    """The plan a run was started with, with the new end and device."""
    step = old.newest_resumable()
    if step is None:
        raise TrainingFailed(f"{old.path.name} has no checkpoint that training could go on from; start a new run.")
    assert old.manifest is not None
    stored = old.load(step, "state.json")[2]["plan"]
    plan = Plan(**stored | {"config": dict(old.manifest.config)})  # defaults as they were when it began
    steps, minutes = (wish.steps, wish.minutes) if wish.steps or wish.minutes else (plan.steps, plan.minutes)
    device = plan.device if wish.device == "auto" else wish.device
    return replace(plan, steps=steps, minutes=minutes, device=device)


def _new_run(plan: Plan, root: Path, data: DataSet, trainer: Trainer, job: str) -> Generator[Event | None, Verb | None, RunWriter]:
    """The run's folder with its manifest and probe; waits while the disk is full.

    Raises:
        TrainingFailed: a verb ended the waiting.
    """
    kind = type(trainer.method)
    examples, y = held_out(data, trainer.spec, trainer.context, PROBE_EXAMPLES, "cpu")
    noise = torch.randn(64, 256, generator=torch.Generator().manual_seed(plan.seed)).numpy()
    probe = {"tokens" if data.kind == "text" else "images": examples.numpy(), "noise": noise}
    if y is not None:
        probe["labels"] = y.numpy()
    made: list[RunWriter] = []

    def create() -> None:
        writer = RunWriter.create(
            root,
            plan.name,
            method=plan.method,
            title=kind.title,
            config=asdict(trainer.config),
            changed=changed(trainer.config),
            data=plan.data,
            data_name=data.name,
            data_hash=data.hash,
            shape=data.shape,
            classes=data.classes,
            kind=trainer.spec.kind,
            symbols=trainer.spec.symbols,
            units=trainer.spec.units,
            seed=plan.seed,
            total_steps=plan.steps,
            minutes=plan.minutes,
            device=devices.describe(trainer.device),
            precision=trainer.precision,
            capabilities=capabilities(kind),
            versions=versions(),
        )
        try:
            writer.save_probe(probe)
        except BaseException:
            writer.discard()  # nothing half-made stays, and nobody keeps its lock
            raise
        made.append(writer)

    yield from with_room(create, job, "")
    if not made:
        raise TrainingFailed("The disk is full, so the run could not begin; free some room and start it again.")
    return made[0]


def versions() -> dict[str, str]:
    """The libraries whose numbers a run depends on."""
    import platform

    return {"python": platform.python_version(), "torch": str(torch.__version__), "numpy": np.__version__}


def _log_spaced(step: int) -> bool:
    """Powers of two: 1, 2, 4, 8, …"""
    return step & (step - 1) == 0


def _ending(verb: Verb | None, step: int, saved: int) -> tuple[str, str]:
    """The status of a training that ended, and the sentence about it; `saved` is the newest step on the disk."""
    if saved < step:
        what = {"pause": "paused", "stop": "stopped"}.get(verb or "", "interrupted")
        return what, f"The disk is full: {what} at step {step:,}, but the newest checkpoint is of step {saved:,}."
    if verb == "pause":
        return "paused", f"Paused at step {step:,}; Resume goes on exactly here."
    if verb == "stop":
        return "stopped", f"Stopped at step {step:,}; what it learned is kept."
    return "done", f"Trained {step:,} steps."


def _last_words(writer: RunWriter, status: str, message: str) -> None:
    """Note in the manifest how it ended, if the disk lets us; the reason itself is on its way to the person."""
    with contextlib.suppress(OSError):
        writer.set_status(status, message)


def _short(value: float) -> float:
    """Seven digits say all that float32 holds."""
    return float(f"{value:.7g}")


def _array(value: Tensor) -> np.ndarray:
    return value.detach().cpu().numpy().copy()
