"""The training lane: owns the models in training and advances one training at a time."""

from __future__ import annotations

import inspect
import os
import time
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine import messages as m
from engine.common.counting import number_of
from engine.common.data_names import short_name
from engine.common.importing import IMPORTING
from engine.common.run_names import next_free
from engine.storage.list_file import OwnedList
from engine.worker.lane import Lane
from engine.worker.run_follower import RunFollower
from engine.worker.startup import Startup, give_way

if TYPE_CHECKING:
    from engine.training.loop import Events
    from engine.training.plan import Plan, ResumePlan

TRAINING_NICENESS = 5


@dataclass
class TrainingJob:
    """A training that waits, goes on or is paused."""

    job: str
    plan: Plan | ResumePlan
    run: str = ""  # the folder, once there is one
    resume: bool = False
    beside: str = ""  # the run whose background model this is
    kind: str = ""  # of that background model
    key: str = field(default_factory=lambda: uuid.uuid4().hex)  # no other has it, in no window
    events: Events | None = None
    verb: str | None = None
    state: str = "queued"
    message: str = ""

    @property
    def label(self) -> str:
        """What the window calls it."""
        if self.beside:
            what = "local model" if self.kind == "local" else "background model"
            return f"{what} of {Path(self.beside).name}"
        from engine.training.plan import ResumePlan  # imported already: else there were no plan

        return Path(self.run).name if isinstance(self.plan, ResumePlan) else f"{self.plan.method} · {short_name(self.plan.data)}"

    @property
    def seed(self) -> int | None:
        """Of a new training; None of one that goes on, or of a background model."""
        from engine.training.plan import ResumePlan

        return None if self.beside or isinstance(self.plan, ResumePlan) else self.plan.seed


class TrainingLane(Lane):
    """Owns the models in training. One job runs, others wait in the queue or are paused (which frees the device)."""

    def __init__(self, publish: Callable[[m.Event], None], startup: Startup, runs: RunFollower) -> None:
        super().__init__("training lane", publish)
        self.startup = startup
        self.runs = runs
        self.current: TrainingJob | None = None
        self.queue: list[TrainingJob] = []
        self.paused: list[TrainingJob] = []
        self.retry_at = 0.0
        self._file = OwnedList(lambda: runs.root, "queue")

    @property
    def writes(self) -> str:
        """The run folder of the running job; empty without one."""
        job = self.current
        return job.run if job is not None else ""

    def run(self) -> None:
        """The thread: restore the queue, then train until it is closed."""
        self.startup.over.wait()
        if self.startup.works:
            for first in (self._take_threads, self._restore_queue):
                self.guarded(first)
        while not self.closing:
            self.guarded(self._turn)
        self._leave()

    def _turn(self) -> None:
        """Heed what came, then one step of the running job, or sleep."""
        for message in self.messages():
            self.guarded(partial(self._obey, message))
        if self.current is None and self.queue:
            job = self.queue.pop(0)
            try:
                self._begin(job)
            except Exception as error:
                self.current = None
                sentence, details = self.report(error)
                self.publish(m.Ended(job.job, "failed", sentence, job.run, details))
        if self.current is None:
            self.wait(None)
        elif time.perf_counter() < self.retry_at and self.current.verb is None:
            self.wait(self.retry_at - time.perf_counter())
        else:
            self._advance(self.current)

    def _take_threads(self) -> None:
        import torch

        give_way(TRAINING_NICENESS)  # before the first parallel region: torch's own threads inherit it
        torch.set_num_threads(self.startup.threads)
        torch.get_num_threads()

    def _obey(self, message: m.Command) -> None:
        from engine.training.plan import Plan, ResumePlan

        match message:
            case m.StartRun(job=job):
                values = {f: getattr(message, f) for f in Plan.__dataclass_fields__ if hasattr(message, f)}
                self._enqueue(TrainingJob(job, Plan(**values)))
            case m.BuildBackground(job=job, run=run, kind=kind):
                plan = Plan(method="", data="", steps=message.steps, minutes=message.minutes)
                self._enqueue(TrainingJob(job, plan, beside=run, kind=kind))
            case m.ContinueRun(job=job, run=run):
                self._enqueue(TrainingJob(job, ResumePlan(Path(run), message.steps, message.minutes), run=run, resume=True))
            case m.PauseJob(job=job) | m.StopJob(job=job) | m.DiscardJob(job=job):
                verb = {m.PauseJob: "pause", m.StopJob: "stop", m.DiscardJob: "discard"}[type(message)]
                self._verb(job, verb)
            case m.ResumeJob(job=job):
                for paused in [j for j in self.paused if j.job == job]:
                    self.paused.remove(paused)
                    self._enqueue(paused, place=0)
            case m.MoveJob(job=job, place=place):
                for moved in [j for j in self.queue if j.job == job]:
                    self.queue.remove(moved)
                    self.queue.insert(place, moved)
                    self._tell_queue()

    def _enqueue(self, job: TrainingJob, place: int | None = None) -> None:
        job.state, job.message, job.verb, job.events = "queued", "", None, None
        self.queue.insert(len(self.queue) if place is None else place, job)
        self._tell_queue()

    def _tell(self, job: TrainingJob, state: str, message: str = "", place: int = -1) -> None:
        job.state, job.message = state, message
        self.publish(m.JobChanged(job.job, "train", state, job.run, job.label, message, place, job.seed))

    def _tell_queue(self) -> None:
        for place, job in enumerate(self.queue):
            self._tell(job, "queued", place=place)
        self._store_queue()

    def _verb(self, name: str, verb: str) -> None:
        if self.current is not None and self.current.job == name:
            words = {"pause": "pausing", "stop": "stopping", "discard": "discarding"}
            self.current.verb = verb
            self._tell(self.current, words[verb])
            return
        waiting = next((job for job in (*self.queue, *self.paused) if job.job == name), None)
        if waiting is not None:
            (self.queue if waiting in self.queue else self.paused).remove(waiting)
            self._end_waiting(waiting, verb)
        self._tell_queue()

    def _end_waiting(self, job: TrainingJob, verb: str) -> None:
        """A verb for a job that is not running: queued or paused."""
        if verb == "pause":
            self.paused.append(job)
            self._tell(job, "paused")
            return
        message = "It was taken from the queue before it began."
        if job.run:
            message = "It stays at the checkpoint where it was paused."
            if verb == "discard":
                message = self._discard_folder(job.run)
            else:
                self._set_status(job.run, "stopped")
        self.publish(m.Ended(job.job, "stopped", message, job.run))

    def _discard_folder(self, run: str) -> str:
        from engine.storage.run_folders import BadRun, delete_run, what_stays

        try:
            foreign = delete_run(Path(run))
        except (BadRun, OSError) as error:
            return self.report(error)[0]
        self.runs.look_now()
        return f"The run was discarded.{what_stays(Path(run), foreign)}"

    def _set_status(self, run: str, status: str) -> None:
        from engine.storage.run_folders import BadRun
        from engine.storage.run_writer import RunWriter

        try:
            writer = RunWriter.resume(Path(run))
            writer.set_status(status)
            writer.close()
        except (BadRun, OSError) as error:
            self.publish(m.Notice("warning", self.report(error)[0]))
        self.runs.look_now()

    def _begin(self, job: TrainingJob) -> None:
        from engine.training.background_models import build_background
        from engine.training.loop import train
        from engine.training.plan import Plan, ResumePlan

        with IMPORTING:  # the first optimizer would, in the middle of a training; it takes most of a second
            import torch._dynamo  # noqa: F401
        self.current = job
        self._tell_queue()
        if job.beside:
            job.events = build_background(Path(job.beside), job.plan.steps, job.plan.minutes, job.job, kind=job.kind)
        else:
            plan = self._with_free_name(job.plan) if isinstance(job.plan, Plan) else job.plan
            plan = ResumePlan(Path(job.run), plan.steps, plan.minutes, plan.device) if job.resume else plan
            job.events = train(plan, self.runs.root, job.job)
        self.retry_at = 0.0
        self._tell(job, "running")

    def _with_free_name(self, plan: Plan) -> Plan:
        """While it waited another run may have taken its name: then it gets the next free one, and is not lost."""
        if plan.name is None:
            return plan
        name = next_free(plan.name, os.listdir(self.runs.root) if self.runs.root.is_dir() else [])
        if name == plan.name:
            return plan
        self.publish(m.Notice("info", f"There is a “{plan.name}” in the folder of runs already, so this one is called “{name}”."))
        return replace(plan, name=name)

    def _advance(self, job: TrainingJob) -> None:
        assert job.events is not None
        try:
            begun = inspect.getgeneratorstate(job.events) != inspect.GEN_CREATED
            event = job.events.send(job.verb if begun else None)
        except StopIteration as end:
            self.current = None
            self._ended(job, end.value)
        except BaseException as error:  # the single handler of every training; nothing may end the lane in silence
            self.current = None
            sentence, details = self.report(error)
            self.runs.look_now()
            self.publish(m.Ended(job.job, "failed", sentence, job.run, details))
        else:
            if event is not None:
                self._pass_on(job, event)

    def _pass_on(self, job: TrainingJob, event: m.Event) -> None:
        run = getattr(event, "run", "")
        if run and run != job.run:
            job.run = run
            self._store_queue()
            self.runs.forget_curves(run)
            self._tell(job, "running")
            self.runs.look_now()
        match event:
            case m.Stalled():
                self.retry_at = time.perf_counter() + event.retry_seconds
                self._tell(job, "waiting", event.message)
            case m.CheckpointSaved() | m.Metrics() if job.state == "waiting":
                self._tell(job, "running")
            case m.CheckpointSaved():
                self.runs.look_now()
            case m.Notice() if job.resume:
                self.runs.send_history(job.run, only_if_followed=True)  # what lay past the checkpoint is gone
        if isinstance(event, m.Metrics):
            self.runs.publish_metrics(event)
        else:
            self.publish(event)

    def _ended(self, job: TrainingJob, outcome: Any) -> None:
        from engine import device

        device.release(device.choose("auto"))
        self.runs.look_now()
        if outcome.status == "paused":
            job.run, job.resume = outcome.run, bool(outcome.run)
            self.paused.append(job)
            self._tell(job, "paused", outcome.message)
        else:
            kind = "ok" if outcome.status == "done" else "stopped"
            self.publish(m.Ended(job.job, kind, outcome.message, outcome.run))

    def _leave(self) -> None:
        """The window closes: the running training is paused (saved), the queue is kept for the next start."""
        for message in self.messages():
            if self.startup.works:
                self._obey(message)
            elif isinstance(message, (m.StartRun, m.ContinueRun, m.BuildBackground)):
                self.publish(m.Ended(message.job, "failed", "The engine could not start, so neither could this run.", ""))
        self._store_queue()
        job = self.current
        while job is not None and self.current is job:
            job.verb = job.verb or "pause"
            self._advance(job)
        self._file.release()
        for job in (*self.queue, *self.paused):
            self.publish(m.Ended(job.job, "stopped", "The window was closed; it goes on when you say so.", job.run))

    # -- the queue survives a restart ----------------------------------------------------------------------------------

    def _store_queue(self) -> None:
        """Every job, waiting or paused, that is not found by its folder in the list of runs: it has none, or one within another run's."""
        begins = [] if self.current is None else [self.current]  # until it has a folder, nothing else knows of it
        waiting = [job for job in (*begins, *self.queue, *self.paused) if not job.run or job.beside]
        self._file.write([{**asdict(job.plan), "beside": job.beside, "kind": job.kind, "id": job.key} for job in waiting])

    def _restore_queue(self) -> None:
        """What waited when the window was closed comes back paused: nothing starts by itself."""
        from engine.storage.old_names import settings_today
        from engine.training.plan import Plan

        waiting, bad, rows = [], 0, []
        try:
            rows = self._file.read()
        except OSError as error:
            self.publish(m.Notice("warning", f"The list of waiting runs ({self._file.name}) could not be read: {error}."))
        for row in rows:
            try:
                beside, kind, key = (str(row.pop(name, "")) for name in ("beside", "kind", "id"))
                method = str(row["method"])
                settings = settings_today(method, row.get("config", {}))
                plan = Plan(**{**row, "method": method, "data": str(row["data"]), "config": settings})
                waiting.append(TrainingJob(f"waiting-{len(waiting)}", plan, beside=beside, kind=kind, key=key or uuid.uuid4().hex))
            except (ValueError, TypeError, KeyError, AttributeError):
                bad += 1
        fault = self._file.fault
        if bad:
            fault = f"{bad} of its {number_of(bad + len(waiting), 'run')} cannot be used; all are kept in {self._file.keep_copy()}"
        if fault:
            self.publish(m.Notice("warning", f"The list of waiting runs ({self._file.name}) could not be read: {fault}."))
        for job in waiting:
            self.paused.append(job)
            self._tell(job, "paused", "It waited in the queue when the window was closed; Resume starts it.")
