"""The training loop, as a generator of events that a lane (or a test, or a script) advances step by step.

What a plan means is in `plan`, the networks and their step in `trainer` and `step`, what is written and told in `recorder`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from engine.common.counting import number_of
from engine.data import DataSet
from engine.device import device_lost, out_of_memory
from engine.messages import DataReport, Notice, Progress
from engine.method import Diverged
from engine.storage.disk import DiskRefuses
from engine.storage.run_data import open_run_data, read_data
from engine.storage.run_folders import RunGone, delete_run, what_stays
from engine.storage.run_reader import Run
from engine.storage.run_writer import RunWriter
from engine.training.plan import NotFinite, Plan, ResumePlan, TrainingFailed, fit, resolve
from engine.training.recorder import Recording, RunRecorder, Verb, begin_run
from engine.training.trainer import Trainer


@dataclass(frozen=True)
class Outcome:
    """How a training ended: `status` as in the manifest (done, stopped, paused)."""

    status: str
    message: str
    run: str
    step: int
    images_per_second: float


Events = Recording[Outcome]

REMEDY = "; put the old files back or start a new run"
NAMED = 3  # files that could not be read, in the notice of them


def train(plan: Plan | ResumePlan, root: Path, job: str = "") -> Events:
    """Train until the plan is fulfilled; yields events (or None between two steps), takes a verb, returns the `Outcome`.

    `list(train(...))` trains in place. A verb may be sent at any yield: it is heeded at the end of the step in hand.
    A new run's folder is made in `root`; a `ResumePlan` goes on with its run exactly.

    Raises:
        TrainingFailed: no memory, or numbers that are not finite any more (the last good checkpoint is kept).
        CannotLearn: what the method says; Diverged, that its numbers ran away (likewise).
        BadData, BadRun, BadSetting, UnknownMethod, NoDevice: each one sentence.
    """
    resolved = resolve(plan)
    old = resolved.resumed
    data = yield from _open(resolved.plan.data, job, old)
    if isinstance(data, str):
        status = {"pause": "paused", "discard": "discarded"}.get(data, "stopped")
        stays = what_stays(old.path, delete_run(old.path)) if old is not None and data == "discard" else ""
        return Outcome(status, f"It had not begun.{stays}", "" if old is None else str(old.path), 0, 0.0)
    resolved = replace(resolved, plan=replace(resolved.plan, data=data.data))
    with _machine_said_plainly():
        trainer = Trainer(fit(resolved, data, root), data)
    writer = (yield from begin_run(trainer, data, root, job)) if old is None else RunWriter.resume(old.path)
    try:
        with _machine_said_plainly():
            return (yield from _run(trainer, writer, data, job, None if old is None else Run.open(writer.path)))
    except GeneratorExit:
        _last_words(writer, "interrupted", "It was left in the middle; go on from its newest checkpoint.")
        raise
    except BaseException as error:
        _last_words(writer, "failed", str(error) or type(error).__name__, diverged=isinstance(error, Diverged | NotFinite))
        raise
    finally:
        writer.close()


def _run(trainer: Trainer, writer: RunWriter, data: DataSet, job: str, old: Run | None) -> Events:
    run = str(writer.path)
    recorder = RunRecorder(trainer, writer, data, job)
    verb: Verb | None = None
    if old is not None:
        verb = yield from recorder.restore(old)
    ends = {"total_steps": trainer.plan.steps, "minutes": trainer.plan.minutes}
    late, _ = yield from recorder.with_room(lambda: writer.set_status("training", step=trainer.step_number, **ends))
    verb = late or verb
    if old is None and verb is None:
        verb = yield from recorder.save(keep=True)
    while verb is None and not trainer.done:
        recorder.tick()
        recorder.add(trainer.step())
        log_spaced = _log_spaced(trainer.step_number)
        if recorder.crossing_due() or log_spaced:
            verb = yield from recorder.cross()
        if verb is None and not trainer.done and (log_spaced or recorder.newest_due()):
            verb = yield from recorder.save(keep=log_spaced)
        recorder.tock()
        verb = (yield None) or verb
    if verb != "discard":
        verb = (yield from recorder.cross()) or verb
        verb = (yield from recorder.save(keep=verb != "pause", verb=verb, last=True)) or verb
    if verb == "discard":
        stays = what_stays(writer.path, writer.discard())
        return Outcome("discarded", f"The run was discarded.{stays}", run, trainer.step_number, recorder.rate)
    status, message = _ending(verb, trainer.step_number, recorder.saved_step)
    with contextlib.suppress(DiskRefuses):  # then the list calls it interrupted, and it can be continued all the same
        writer.set_status(status, "" if status == "done" else message, step=trainer.step_number)
    return Outcome(status, message, run, trainer.step_number, recorder.rate)


def _open(name: str, job: str, old: Run | None) -> Recording[DataSet | Verb]:
    """The data set, that of the run to go on with wherever it lies now, or the verb that came while it was read."""
    reading = read_data(name, job) if old is None else open_run_data(old, job, REMEDY)
    while True:
        try:
            item = next(reading)
        except StopIteration as end:
            data: DataSet = end.value
            verb = (yield Notice("warning", _left_out(data.report))) if data.report.bad_total else None
            return verb or data
        if verb := (yield replace(item, run="" if old is None else str(old.path)) if isinstance(item, Progress) else item):
            return verb


def _left_out(report: DataReport) -> str:
    """Which files are not in the data set, the first of them with the reason."""
    first = "; ".join(f"{bad.path}: {bad.reason}" for bad in report.bad[:NAMED])
    more = f"; and {report.bad_total - NAMED:,} more" if report.bad_total > NAMED else ""
    files = "1 file" if report.bad_total == 1 else f"{report.bad_total:,} files"
    return f"{files} of {report.name} could not be read and {'is' if report.bad_total == 1 else 'are'} left out. {first}{more}"


def _log_spaced(step: int) -> bool:
    """Powers of two: 1, 2, 4, 8, …"""
    return step & (step - 1) == 0


def _ending(verb: Verb | None, step: int, saved: int) -> tuple[str, str]:
    """The status of a training that ended, and the sentence about it; `saved` is the newest step on the disk."""
    if saved < step:
        what = {"pause": "paused", "stop": "stopped"}.get(verb or "", "interrupted")
        return what, f"The disk refused: {what} at step {step:,}, but the newest checkpoint is of step {saved:,}."
    if verb == "pause":
        return "paused", f"Paused at step {step:,}; Resume goes on exactly here."
    if verb == "stop":
        return "stopped", f"Stopped at step {step:,}; what it learned is kept."
    return "done", f"Trained {number_of(step, 'step')}."


@contextlib.contextmanager
def _machine_said_plainly() -> Iterator[None]:
    """Raises: TrainingFailed where memory ran out anywhere but in a step, which would have gone on in smaller pieces, or the GPU failed."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if lost := device_lost(error):
            raise TrainingFailed(
                f"The GPU or its driver failed ({lost}); checkpoints that were saved are kept. Restart the program and go on with the run, "
                "or start a new one on the device cpu."
            ) from error
        if not out_of_memory(error):
            raise
        raise TrainingFailed(
            "This machine has not enough memory for this training; checkpoints that were saved are kept. "
            "Close other programs or lower batch_size or the width of the network, then start again or go on with the run."
        ) from error


def _last_words(writer: RunWriter, status: str, message: str, diverged: bool = False) -> None:
    """Note in the manifest how it ended, if the disk lets us; the reason itself is on its way to the person."""
    with contextlib.suppress(OSError, RunGone, MemoryError):
        writer.set_status(status, message, diverged=diverged or None)
