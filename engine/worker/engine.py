"""The engine's two lanes. The training lane advances one training at a time; the exploring lane answers panes from checkpoints.

They share nothing but the run folders, so there are no locks around models and no slider can change a training.
This module imports quickly: torch comes with the lanes, after the window has been painted.
"""

from __future__ import annotations

import bisect
import contextlib
import inspect
import json
import os
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine import messages as m

if TYPE_CHECKING:
    from engine.queries.session import QuerySession
    from engine.training.loop import Events
    from engine.training.plan import Plan

LIST_SECONDS = 1.0  # how often the run folders are looked at
FOLLOW_SECONDS = 0.25  # how often the metrics of runs that other processes write are read
TRAINING_NICENESS = 5
SLICE_SECONDS = 0.02  # an exploring job yields to queries at least this often
SHORT_SLICE_SECONDS = 0.004  # while questions wait


def share_the_cores() -> None:
    """Before torch is imported in a process with a window: threads of a training that wait for each other spin for some tens of
    microseconds, then leave the core. Spinning longer starves the window; not spinning costs a quarter of the training's speed."""
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")


def give_way(niceness: int) -> None:
    """Let this thread, and those it starts, wait for the window's when there are more threads than cores. Only Linux has it per thread."""
    if sys.platform.startswith("linux"):
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), niceness)


class Engine:
    """Commands and queries in (`send`), events out (`drain`). Start and close it once.

    Every job that was started gets exactly one `Ended`; a paused job has not ended.
    Without a `root` runs live in the user's data folder (`engine.storage.run_folders.default_root`).
    """

    def __init__(self, root: Path | str | None = None) -> None:
        self._root = None if root is None else Path(root).absolute()
        self._events: deque[m.Event] = deque()
        self.started = time.perf_counter()
        self.torch_is_here = threading.Event()  # or it failed to come
        self.works = False  # it came, and the methods with it
        self.threads = 1  # of the training lane; what torch finds right for this machine, once it is here
        self._metrics_lock = threading.Lock()
        self._last_steps: dict[str, dict[str, int]] = {}
        self.training = _TrainingLane(self)
        self.exploring = _ExploringLane(self)

    @property
    def root(self) -> Path:
        if self._root is None:
            from engine.storage.run_folders import default_root

            self._root = default_root()
        return self._root

    def start(self) -> None:
        share_the_cores()
        self.started = time.perf_counter()
        self.exploring.start()
        self.training.start()

    def send(self, message: m.Command | m.Query) -> None:
        training = (m.StartRun, m.ContinueRun, m.BuildBackground, m.PauseJob, m.ResumeJob, m.StopJob, m.DiscardJob, m.MoveJob)
        lane = self.training if isinstance(message, training) else self.exploring
        if isinstance(message, (m.StopJob, m.DiscardJob)) and self.exploring.owns(message.job):
            lane = self.exploring
        lane.put(message)

    def drain(self, limit: int = 200) -> list[m.Event]:
        """The oldest waiting events, at most `limit`."""
        out: list[m.Event] = []
        with contextlib.suppress(IndexError):
            while len(out) < limit:
                out.append(self._events.popleft())
        return out

    def publish(self, event: m.Event) -> None:
        self._events.append(event)

    # Curves reach the window from two lanes: a history read from the file, and new points from the training. The lock and
    # the last step of every curve see to it that no point comes twice and none is lost.

    def publish_metrics(self, event: m.Metrics) -> None:
        """Publish new points of a run, without those that a history has already brought."""
        with self._metrics_lock:
            last = self._last_steps.setdefault(event.run, {})
            points = {}
            for name, (steps, values) in event.points.items():
                new = steps > last.get(name, -1)
                if new.any():
                    points[name] = (steps[new], values[new])
                    last[name] = int(steps[-1])
            if points:
                self.publish(m.Metrics(event.run, points))

    def forget_curves(self, run: str) -> None:
        """A run begins: what another one of the same name had told is void."""
        with self._metrics_lock:
            self._last_steps.pop(run, None)

    def send_history(self, run: str, only_if_followed: bool = False) -> None:
        """Publish all points of a run that are in its folder.

        Raises:
            BadRun: the folder cannot be read.
        """
        from engine.storage.run_reader import Run

        if only_if_followed and run not in self.exploring.followed:
            return
        whole = Run.open(Path(run))
        rows, offset = whole.metrics()  # the bulk, while the training goes on
        with self._metrics_lock:
            rest, offset = whole.metrics(offset)
            points = history_points([*rows, *rest])
            self._last_steps[run] = {name: int(steps[-1]) for name, (steps, _) in points.items() if len(steps)}
            self.exploring.offsets[run] = offset
            self.publish(m.Metrics(run, points, history=True))

    def close(self, timeout: float = 2.5) -> bool:
        """Save what is running and end both lanes. Returns whether they ended in time."""
        deadline = time.perf_counter() + timeout
        for lane in (self.training, self.exploring):
            lane.finish()
        for lane in (self.training, self.exploring):
            if lane.ident is not None:
                lane.join(max(0.0, deadline - time.perf_counter()))
        return not (self.training.is_alive() or self.exploring.is_alive())


@cache
def _threads_of_machine() -> int:
    """As torch finds them when it comes. Asked once: a thread that asks later is told what was set last, in whatever thread."""
    import torch

    return torch.get_num_threads()


class _Lane(threading.Thread):
    """A thread with an inbox."""

    def __init__(self, engine: Engine, name: str) -> None:
        super().__init__(name=name, daemon=True)
        self.engine = engine
        self.closing = False
        self._inbox: deque[Any] = deque()
        self._wake = threading.Event()

    def put(self, message: Any) -> None:
        self._inbox.append(message)
        self._wake.set()

    def finish(self) -> None:
        self.closing = True
        self._wake.set()

    def wait(self, seconds: float | None) -> None:
        """Sleep until a message comes, at most so long."""
        if not self.closing:
            self._wake.wait(seconds)

    def messages(self) -> list[Any]:
        self._wake.clear()
        if self.closing:
            self._wake.set()  # closing must not be slept through
        out = []
        with contextlib.suppress(IndexError):
            while True:
                out.append(self._inbox.popleft())
        return out

    def publish(self, event: m.Event) -> None:
        self.engine.publish(event)

    def report(self, error: BaseException) -> tuple[str, str]:
        """An error as one sentence and as a traceback."""
        sentence = str(error).strip() or type(error).__name__
        if not _is_sentence(error):
            sentence = f"Something went wrong that Priorama did not expect: {type(error).__name__}: {sentence}"
        return sentence, "".join(traceback.format_exception(error))


def _is_sentence(error: BaseException) -> bool:
    """Whether the error is one of ours, whose text is written for people."""
    return type(error).__module__.split(".")[0] == "engine"


# ---------------------------------------------------------------------------------------------------------------------


@dataclass
class _TrainingJob:
    job: str
    plan: Plan
    run: str = ""  # the folder, once there is one
    resume: bool = False
    beside: str = ""  # the run whose background model this is
    kind: str = ""  # of that background model
    events: Events | None = None
    verb: str | None = None
    state: str = "queued"
    message: str = ""

    @property
    def label(self) -> str:
        if self.beside:
            what = "local model" if self.kind == "local" else "background model"
            return f"{what} of {Path(self.beside).name}"
        return f"{self.plan.method} · {Path(self.plan.data).name}" if self.plan.method else Path(self.run).name


class _TrainingLane(_Lane):
    """Owns the models in training. One job runs, others wait in the queue or are paused (which frees the device)."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine, "training lane")
        self.current: _TrainingJob | None = None
        self.queue: list[_TrainingJob] = []
        self.paused: list[_TrainingJob] = []
        self.restored = False  # the queue of the last time has been read
        self.retry_at = 0.0

    def run(self) -> None:
        self.engine.torch_is_here.wait()
        if self.engine.works:
            self._take_threads()
            self._restore_queue()
        while not self.closing:
            try:
                self._turn()
            except Exception as error:  # the lane must outlive whatever it was asked
                sentence, details = self.report(error)
                self.publish(m.Notice("bad", sentence, details))
        self._leave()

    def _turn(self) -> None:
        """Heed what came, then one step of the running job, or sleep."""
        for message in self.messages():
            self._obey(message)
        if self.current is None and self.queue:
            self._begin(self.queue.pop(0))
        if self.current is None:
            self.wait(None)
        elif time.perf_counter() < self.retry_at and self.current.verb is None:
            self.wait(self.retry_at - time.perf_counter())
        else:
            self._advance(self.current)

    def _take_threads(self) -> None:
        import torch

        give_way(TRAINING_NICENESS)  # before the first parallel region: torch's own threads inherit it
        torch.set_num_threads(self.engine.threads)
        torch.get_num_threads()

    def _obey(self, message: m.Command) -> None:
        from engine.training.plan import Plan

        match message:
            case m.StartRun(job=job):
                values = {f: getattr(message, f) for f in Plan.__dataclass_fields__ if hasattr(message, f)}
                self._enqueue(_TrainingJob(job, Plan(**values)))
            case m.BuildBackground(job=job, run=run, kind=kind):
                plan = Plan(method="", data="", steps=message.steps, minutes=message.minutes)
                self._enqueue(_TrainingJob(job, plan, beside=run, kind=kind))
            case m.ContinueRun(job=job, run=run):
                plan = Plan(method="", data="", steps=message.steps, minutes=message.minutes)
                self._enqueue(_TrainingJob(job, plan, run=run, resume=True))
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

    def _enqueue(self, job: _TrainingJob, place: int | None = None) -> None:
        job.state, job.message, job.verb, job.events = "queued", "", None, None
        self.queue.insert(len(self.queue) if place is None else place, job)
        self._tell_queue()

    def _tell(self, job: _TrainingJob, state: str, message: str = "", place: int = -1) -> None:
        job.state, job.message = state, message
        self.publish(m.JobChanged(job.job, "train", state, job.run, job.label, message, place))

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

    def _end_waiting(self, job: _TrainingJob, verb: str) -> None:
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
        from engine.storage.run_folders import BadRun, delete_run

        try:
            delete_run(Path(run))
        except (BadRun, OSError) as error:
            return self.report(error)[0]
        self.engine.exploring.look_now()
        return "The run was discarded."

    def _set_status(self, run: str, status: str) -> None:
        from engine.storage.run_folders import BadRun
        from engine.storage.run_writer import RunWriter

        try:
            writer = RunWriter.resume(Path(run))
            writer.set_status(status)
            writer.close()
        except (BadRun, OSError) as error:
            self.publish(m.Notice("warning", self.report(error)[0]))
        self.engine.exploring.look_now()

    def _begin(self, job: _TrainingJob) -> None:
        from engine.training.background_models import build_background
        from engine.training.loop import train
        from engine.training.plan import ResumePlan

        self._tell_queue()
        if job.beside:
            job.events = build_background(Path(job.beside), job.plan.steps, job.plan.minutes, job.job, kind=job.kind)
        else:
            plan = ResumePlan(Path(job.run), job.plan.steps, job.plan.minutes, job.plan.device) if job.resume else job.plan
            job.events = train(plan, self.engine.root, job.job)
        self.current = job
        self.retry_at = 0.0
        self._tell(job, "running")

    def _advance(self, job: _TrainingJob) -> None:
        assert job.events is not None
        try:
            begun = inspect.getgeneratorstate(job.events) != inspect.GEN_CREATED
            event = job.events.send(job.verb if begun else None)
        except StopIteration as end:
            self.current = None
            self._ended(job, end.value)
        except Exception as error:  # the single handler of every training
            self.current = None
            sentence, details = self.report(error)
            self.engine.exploring.look_now()
            self.publish(m.Ended(job.job, "failed", sentence, job.run, details))
        else:
            if event is not None:
                self._pass_on(job, event)

    def _pass_on(self, job: _TrainingJob, event: m.Event) -> None:
        run = getattr(event, "run", "")
        if run and run != job.run:
            job.run = run
            self.engine.forget_curves(run)
            self._tell(job, "running")
            self.engine.exploring.look_now()
        match event:
            case m.Stalled():
                self.retry_at = time.perf_counter() + event.retry_seconds
                self._tell(job, "waiting", event.message)
            case m.CheckpointSaved() | m.Metrics() if job.state == "waiting":
                self._tell(job, "running")
            case m.CheckpointSaved():
                self.engine.exploring.look_now()
            case m.Notice() if job.resume:
                self.engine.send_history(job.run, only_if_followed=True)  # what lay past the checkpoint is gone
        if isinstance(event, m.Metrics):
            self.engine.publish_metrics(event)
        else:
            self.publish(event)

    def _ended(self, job: _TrainingJob, outcome: Any) -> None:
        from engine import device

        device.release(device.choose("auto"))
        self.engine.exploring.look_now()
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
            if self.engine.works:
                self._obey(message)
            elif isinstance(message, (m.StartRun, m.ContinueRun, m.BuildBackground)):
                self.publish(m.Ended(message.job, "failed", "The engine could not start, so neither could this run.", ""))
        self._store_queue()
        job = self.current
        while job is not None and self.current is job:
            job.verb = job.verb or "pause"
            self._advance(job)
        for job in (*self.queue, *self.paused):
            self.publish(m.Ended(job.job, "stopped", "The window was closed; it goes on when you say so.", job.run))

    # -- the queue survives a restart ----------------------------------------------------------------------------------

    @property
    def _queue_file(self) -> Path:
        return self.engine.root / "queue.json"

    def _store_queue(self) -> None:
        """Every job, waiting or paused, that is not found by its folder in the list of runs: it has none, or one within another run's."""
        if not self.restored:
            return  # what is in the file has not been read yet
        rows = [
            {**asdict(job.plan), "beside": job.beside, "kind": job.kind} for job in (*self.queue, *self.paused) if not job.run or job.beside
        ]
        with contextlib.suppress(OSError):
            if rows:
                self._queue_file.parent.mkdir(parents=True, exist_ok=True)
                partial = self._queue_file.with_suffix(".partial")
                partial.write_text(json.dumps(rows), encoding="utf-8")
                partial.replace(self._queue_file)
            else:
                self._queue_file.unlink(missing_ok=True)

    def _restore_queue(self) -> None:
        """What waited when the window was closed comes back paused: nothing starts by itself."""
        from engine.training.plan import Plan

        self.restored = True
        try:
            rows = json.loads(self._queue_file.read_text(encoding="utf-8"))
            waiting = []
            for row in rows:
                beside, kind = (str(row.pop(key, "")) for key in ("beside", "kind"))
                plan = Plan(**{**row, "method": str(row["method"]), "data": str(row["data"])})
                waiting.append(_TrainingJob(f"waiting-{len(waiting)}", plan, beside=beside, kind=kind))
        except FileNotFoundError:
            return
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            self.publish(m.Notice("warning", f"The list of waiting runs ({self._queue_file.name}) could not be read and was left out."))
            return
        for job in waiting:
            self.paused.append(job)
            self._tell(job, "paused", "It waited in the queue when the window was closed; Resume starts it.")


# ---------------------------------------------------------------------------------------------------------------------


class _ExploringLane(_Lane):
    """Answers queries from read-only models, lists and follows runs, inspects data. Newest query first, then a slice of a job."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine, "exploring lane")
        self.queries: dict[tuple[type, str], m.Query] = {}
        self.jobs: dict[str, Any] = {}  # name -> generator; the first one advances, then goes to the end of the line
        self.channels: dict[str, str] = {}  # channel -> the newest work on it
        self.followed: dict[str, int] = {}  # run -> how many follow it
        self.offsets: dict[str, int] = {}  # run -> bytes of its metrics read so far
        self.opened: list[Path] = []  # run folders from elsewhere
        self.remembered: list[str] = []  # data sets from files
        self.listed: tuple[m.RunInfo, ...] | None = None
        self.look_at = 0.0
        self.follow_at = 0.0
        self.session: QuerySession | None = None
        self._owned: set[str] = set()

    def owns(self, job: str) -> bool:
        return job in self._owned

    def put(self, message: Any) -> None:
        if isinstance(message, (m.OpenData, m.Work)):
            self._owned.add(message.job)
        super().put(message)

    def look_now(self) -> None:
        self.look_at = 0.0
        self._wake.set()

    def run(self) -> None:
        for first in (self._remember, self._list_runs, self._list_data, self._import_torch):
            self._guarded(first)
        self.engine.torch_is_here.set()
        while not self.closing:
            self._guarded(self._turn)
        for message in self.messages():
            if isinstance(message, (m.OpenData, m.Work)):
                self.publish(m.Ended(message.job, "stopped", "The window was closed."))
        for job in list(self.jobs):
            self.jobs[job].close()
            self._end(job, "stopped", "The window was closed.")

    def _guarded(self, work: Callable[[], None]) -> None:
        """The lane must outlive whatever it meets."""
        try:
            work()
        except Exception as error:
            sentence, details = self.report(error)
            self.publish(m.Notice("bad", sentence, details))

    def _turn(self) -> None:
        """One question, then what is due of listing and following, then a slice of a job; sleep when there is nothing."""
        for message in self.messages():
            self._obey(message)
        if self.queries:
            key = next(iter(self.queries))
            self._answer(self.queries.pop(key))
        now = time.perf_counter()
        if now >= self.look_at:
            self.look_at = now + LIST_SECONDS
            self._list_runs()
        if now >= self.follow_at:
            self.follow_at = now + FOLLOW_SECONDS
            self._follow()
        if self.jobs:
            self._advance_job()
        elif not self.queries:
            self.wait(max(0.0, min(self.look_at, self.follow_at) - time.perf_counter()))

    def _import_torch(self) -> None:
        import torch

        from engine import device, precision
        from engine.method import info
        from engine.methods import all_methods, broken
        from engine.queries.session import QuerySession
        from engine.training.recorder import versions

        # The number of threads holds per calling thread, but a thread that has not asked yet takes the newest one set anywhere:
        # so this lane asks at once, and the training lane sets its own afterwards.
        self.engine.threads = _threads_of_machine()
        torch.set_num_threads(1)  # a small decode must not wait for the training's threads
        torch.get_num_threads()
        self.session = QuerySession()
        methods = tuple(info(method) for method in all_methods().values())
        for name, error in broken.items():
            details = "".join(traceback.format_exception(error))
            self.publish(m.Notice("warning", f"The method “{name}” was left out: its file fails with “{error}”.", details))
        best = device.choose("auto")
        self.publish(
            m.Ready(
                methods=methods,
                device=device.describe(best),
                devices=device.available(),
                cores=device.cores(),
                precision=precision.best(best),
                versions=versions(),
                seconds=time.perf_counter() - self.engine.started,
            )
        )
        self.engine.works = True

    def _obey(self, message: Any) -> None:
        from engine.storage.run_reader import Run

        try:
            match message:
                case m.Query():
                    key = (type(message), message.channel)
                    self.queries.pop(key, None)  # the newest of a kind goes to the end of the line
                    self.queries[key] = message
                case m.OpenRun(path=path):
                    run = Run.open(Path(path))
                    if run.path.parent != self.engine.root and run.path not in self.opened:
                        self.opened.append(run.path)
                    self.look_now()
                case m.DeleteRun(run=path):
                    self._remove_run(Path(path))
                case m.FollowRun(run=path):
                    self.followed[path] = self.followed.get(path, 0) + 1
                    self.engine.send_history(path)
                case m.UnfollowRun(run=path):
                    self.followed[path] = self.followed.get(path, 0) - 1
                    if self.followed[path] <= 0:
                        self.followed.pop(path)
                        self.offsets.pop(path, None)
                case m.OpenData(job=job, data=data):
                    self._open_data(job, data)
                case m.Work():
                    self._begin_work(message)
                case m.ForgetData(data=data):
                    self.remembered = [d for d in self.remembered if d != data]
                    self._store_remembered()
                    self._list_data()
                case m.StopJob(job=job) | m.DiscardJob(job=job) if job in self.jobs:
                    self.jobs[job].close()
                    self._end(job, "stopped", "Stopped.")
        except Exception as error:
            sentence, details = self.report(error)
            self.publish(m.Notice("bad", sentence, details))

    # -- queries -------------------------------------------------------------------------------------------------------

    def _answer(self, query: m.Query) -> None:
        assert self.session is not None
        try:
            answer = self.session.answer(query)
        except Exception as error:
            sentence, details = self.report(error)
            answer = m.QueryFailed(stamp=query.stamp, channel=query.channel, kind=type(query).__name__, message=sentence, details=details)
        self.publish(answer)

    # -- runs ----------------------------------------------------------------------------------------------------------

    def _list_runs(self) -> None:
        from engine.storage.run_folders import BadRun
        from engine.storage.run_reader import Run, list_runs

        runs = list_runs(self.engine.root)
        for path in list(self.opened):
            try:
                runs.append(Run.open(path))
            except BadRun as error:
                self.opened.remove(path)
                self.publish(m.Notice("warning", str(error)))
        listed = tuple(run.info() for run in runs)
        if listed != self.listed:
            self.listed = listed
            self.publish(m.RunsListed(listed, str(self.engine.root)))

    def _remove_run(self, path: Path) -> None:
        from engine.storage.run_folders import delete_run

        delete_run(path)
        self.opened = [p for p in self.opened if p != path]
        self.publish(m.Notice("info", f"{path.name} was deleted."))
        self.look_now()

    def _follow(self) -> None:
        """New points of followed runs that no lane of ours is writing."""
        from engine.storage.run_folders import BadRun
        from engine.storage.run_reader import Run

        ours = self.engine.training.current
        for run in list(self.followed):
            if ours is not None and ours.run == run:
                self.offsets.pop(run, None)
                continue
            try:
                if run not in self.offsets:
                    self.engine.send_history(run)
                    continue
                rows, offset = Run.open(Path(run)).metrics(self.offsets[run])
                if any("resumed" in row for row in rows):  # points past the checkpoint it went on from are void
                    self.engine.send_history(run)
                elif rows:
                    self.offsets[run] = offset
                    self.engine.publish_metrics(m.Metrics(run, history_points(rows)))
            except (BadRun, KeyError, ValueError, TypeError):
                self.followed.pop(run, None)  # the run list names the fault

    # -- jobs ----------------------------------------------------------------------------------------------------------

    def _begin_work(self, work: m.Work) -> None:
        """Work of a pane; the newest on a channel replaces what was going on there."""
        former = self.channels.get(work.channel) if work.channel else None
        if former in self.jobs:
            self.jobs[former].close()
            self._end(former, "stopped", "Something newer was asked for.")
        self.channels[work.channel] = work.job
        if self.session is None:
            self._end(work.job, "failed", "The engine could not start, so it cannot answer; restart the program.")
            return
        self.jobs[work.job] = self.session.work(work)
        self.publish(m.JobChanged(work.job, "work", "running"))

    def _open_data(self, job: str, data: str) -> None:
        from engine.data import inspect, lasting

        self.jobs[job] = inspect(lasting(data), job)
        self.publish(m.JobChanged(job, "data", "running", label=Path(data).name))

    def _advance_job(self) -> None:
        job = next(iter(self.jobs))
        self.jobs[job] = self.jobs.pop(job)
        until = time.perf_counter() + (SHORT_SLICE_SECONDS if self.queries else SLICE_SECONDS)
        try:
            while time.perf_counter() < until:
                item = next(self.jobs[job])
                if item is None:
                    continue
                if isinstance(item, m.Event):
                    self.publish(item)
                else:
                    self._data_is_here(job, item)
                    self._end(job, "ok", f"{item.name} is ready.")
                    return
        except StopIteration as end:
            self._end(job, "ok", end.value or "")
        except Exception as error:
            sentence, details = self.report(error)
            self._end(job, "failed", sentence, details)

    def _data_is_here(self, job: str, data: Any) -> None:
        assert self.session is not None
        self.session.keep_data(data)
        self.publish(replace(data.report, job=job))
        from engine.data import built_in

        if data.data not in self.remembered and data.data not in {d.data for d in built_in()}:
            self.remembered.append(data.data)
            self._store_remembered()
            self._list_data()

    def _end(self, job: str, outcome: str, message: str, details: str = "") -> None:
        self.jobs.pop(job, None)
        self._owned.discard(job)
        self.publish(m.Ended(job, outcome, message, details=details))

    @property
    def _data_file(self) -> Path:
        return self.engine.root / "data.json"

    def _remember(self) -> None:
        try:
            self.remembered = [str(data) for data in json.loads(self._data_file.read_text(encoding="utf-8"))]
        except (OSError, ValueError, TypeError):
            self.remembered = []

    def _store_remembered(self) -> None:
        with contextlib.suppress(OSError):
            self.engine.root.mkdir(parents=True, exist_ok=True)
            partial = self._data_file.with_suffix(".partial")
            partial.write_text(json.dumps(self.remembered), encoding="utf-8")
            partial.replace(self._data_file)

    def _list_data(self) -> None:
        from engine.data import built_in, describe_data

        self.publish(m.DataListed((*built_in(), *(describe_data(d) for d in self.remembered if os.path.exists(d)))))


def history_points(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Rows of metrics.jsonl as curves: name -> (steps int64 [n], values float32 [n]).

    What a killed training had written past the checkpoint that it later went on from is left out.
    """
    import numpy as np

    steps: dict[str, list[int]] = {}
    values: dict[str, list[float]] = {}
    for row in rows:
        if "resumed" in row:
            for name in steps:
                keep = bisect.bisect_right(steps[name], row["resumed"])
                del steps[name][keep:], values[name][keep:]
            continue
        for name, series in row.get("values", {}).items():
            steps.setdefault(name, []).extend(row.get("steps", [])[: len(series)])
            values.setdefault(name, []).extend(series)
    return {name: (np.asarray(steps[name], np.int64), np.asarray(values[name], np.float32)) for name in steps}
