"""What a person does with runs: choose, start, open, continue, and the verbs of a training. The engine's answers come as events."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace

from PySide6.QtCore import QObject, QUrl
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import QWidget

from app.shell.bridge import Bridge
from app.shell.job_verbs import JobVerbs
from app.shell.run_standing import WAITING
from app.shell.state import State
from app.widgets.export import ask_where
from engine import messages as m
from engine.common.run_names import next_free


class RunActions(QObject):
    """Sends the commands, and chooses the run that was started or opened here as soon as the engine lists it, unless the user has
    turned to something else meanwhile.

    `tell` says one sentence in the message bar. `last_run` is the folder that was looked at in the last session. `attention` is what
    the user looks at and types in now; two answers are equal while he has turned to nothing else.
    """

    def __init__(
        self,
        state: State,
        bridge: Bridge,
        verbs: JobVerbs,
        tell: Callable[[str, str], object],
        last_run: str,
        attention: Callable[[], object],
        window: QWidget,
    ) -> None:
        super().__init__(window)
        self.window, self.attention = window, attention
        self.state, self.bridge, self.verbs, self.tell = state, bridge, verbs, tell
        self._last_run = last_run
        self._first_list = True
        self._followed: str | None = None
        self._opened = ""  # a run folder that waits to be listed
        self._asked: tuple[str, object] | None = None  # the last order, a job or a folder, and where the attention was then
        self._asked_seeds: dict[str, set[int]] = {}  # run -> seeds that were queued for it
        self._own_jobs: set[str] = set()  # no pane asked for them, so the window says how they end
        self._started: dict[str, str] = {}  # job -> run folder once known

    # What a person wants ----------------------------------------------------------------------------------------------

    def choose(self, run: str) -> None:
        if run.startswith(WAITING):
            self.tell("info", "This training has not begun, so there is nothing to look at yet. Right-click it for its place in the queue.")
        else:
            self._asked = None  # whatever was awaited is not what is wanted now
            self.state.set_run(run)

    def open(self, path: str) -> None:
        """Have a run folder listed, wherever it lies, and look at it then."""
        self._list(path)
        self._asked = self._opened, self.attention()

    def _list(self, path: str) -> None:
        self._opened = os.path.abspath(path)
        self.bridge.send(m.OpenRun(self._opened))

    def start(self, request: m.StartRun) -> None:
        job = self.bridge.new_job("train")
        self._asked = job, self.attention()
        self._started[job] = ""
        self.bridge.send(replace(request, job=job))
        self.tell("info", "The run is queued; it appears at the left with its first step.")

    def repeat(self, run: str) -> None:
        """Queue two more runs of the same settings, each with a seed of its own: three tell what depends on chance."""
        info = self.state.runs.get(run)
        if info is None:
            return
        seeds = {other.seed for other in self.state.runs.values() if self._same(info, other)} | set(self._asked_seeds.get(run, ()))
        fresh = [seed for seed in range(info.seed + 1, info.seed + 4 + len(seeds)) if seed not in seeds][:2]
        self._asked_seeds.setdefault(run, set()).update(fresh)
        for seed in fresh:
            self._send_again(info, seed, f"{info.name[:90]}-seed{seed}")
        self.tell("info", f"{info.name} is trained twice more, with seeds {fresh[0]} and {fresh[1]}; both wait in the queue.")

    def read_final_figures(self, run: str) -> None:
        """Score the run's best checkpoint on all its test images, and keep the figures in the run."""
        if run in self.state.runs:
            job = self.bridge.new_job("final")
            self._own_jobs.add(job)
            self.bridge.send(m.FinalFigures(job=job, channel="final", run=run))
            self.tell("info", "The best checkpoint is scored on the test images; the figures will stand at the right.")

    def ask_export(self, run: str, with_data: bool, without_resume: bool = False) -> None:
        """Ask for a file, and write the run into it, with its data if they are the user's own."""
        info = self.state.runs.get(run)
        if info is not None:
            title = f"Export {info.name} with its data" if with_data else f"Export {info.name}"
            ask_where(self.window, title, info.name, "zip", lambda path: self.export(run, path, with_data, without_resume))

    def export(self, run: str, out: str, with_data: bool = False, without_resume: bool = False) -> None:
        job = self.bridge.new_job("export")
        self._own_jobs.add(job)
        what = {"with_data": with_data, "without_resume": without_resume}
        self.bridge.send(m.ExportRun(job=job, channel="export", run=run, out=out, **what))
        self.tell("info", "The run is being packed into one file.")

    def take_in(self, file: str) -> None:
        """Put the run of a bundle among the runs, and look at it then."""
        job = self.bridge.new_job("import")
        self._asked = job, self.attention()
        self._own_jobs.add(job)
        self.bridge.send(m.ImportRun(job=job, channel="import", file=os.path.abspath(file), root=self.state.root))
        self.tell("info", f"{os.path.basename(file)} is being unpacked; its run appears at the left.")

    def imported(self, event: m.RunImported) -> None:
        wanted = self._still_wanted(event.job)
        self._list(event.run)
        if wanted:
            self._asked = self._opened, self.attention()

    def start_again(self, run: str) -> None:
        """Queue a run that ended before its first checkpoint once more, with the same settings."""
        info = self.state.runs.get(run)
        if info is not None:
            self._send_again(info, info.seed, info.name)
            self.tell("info", f"{info.name} is started again from its first step, under a name of its own.")

    def _send_again(self, info: m.RunInfo, seed: int, name: str) -> None:
        name = next_free(name, [other.name for other in self.state.runs.values()])
        job = self.bridge.new_job("train")
        ends = {"steps": info.total_steps, "minutes": info.minutes}
        self.bridge.send(m.StartRun(job, info.method, info.data, dict(info.changed), seed, **ends, name=name))

    @staticmethod
    def _same(a: m.RunInfo, b: m.RunInfo) -> bool:
        return (a.method, a.data, a.config) == (b.method, b.data, b.config)

    def do(self, verb: str, run: str | None) -> None:
        """One of the verbs of `JobVerbs` and `RunList` on a run."""
        if run is None:
            return
        job = self.state.jobs.get(run.removeprefix(WAITING)) if run.startswith(WAITING) else self.state.job_of(run)
        if run == self.state.run:
            self.verbs.acknowledge(verb)
        if verb == "delete":
            self.bridge.send(m.DeleteRun(run))
        elif job is None:
            return
        elif verb in ("first", "earlier", "later"):
            place = {"first": 0, "earlier": max(0, job.place - 1), "later": job.place + 1}[verb]
            self.bridge.send(m.MoveJob(job.job, place))
        else:
            command = {"pause": m.PauseJob, "resume": m.ResumeJob, "stop": m.StopJob, "discard": m.DiscardJob}[verb]
            self.bridge.send(command(job.job))

    def do_to_chosen(self, verb: str) -> None:
        self.do(verb, self.state.run)

    def pause_or_resume(self) -> None:
        job = self.state.job_of(self.state.run)
        if job is not None:
            self.do_to_chosen("resume" if job.state == "paused" else "pause")

    def ask_continue(self, run: str) -> None:
        """Choose the run and ask how much further."""
        self.state.set_run(run)
        self.verbs.ask_continue()

    def continue_to(self, steps: int) -> None:
        """Train the chosen run further, until it has made so many steps in all."""
        if self.state.run is not None:
            self.bridge.send(m.ContinueRun(self.bridge.new_job("train"), self.state.run, steps=steps))

    def show_folder(self, run: str | None = None) -> None:
        """Open a run's folder, that of the chosen run by default, in the desktop's own program."""
        run = run or self.state.run
        if run is not None:
            QDesktopServices.openUrl(QUrl.fromLocalFile(run))

    # What the engine says ---------------------------------------------------------------------------------------------

    def listed(self, event: m.RunsListed) -> None:
        wanted = self._asked is not None and self._still_wanted(self._asked[0])
        self.state.set_runs(event.runs, event.root)
        if self._first_list:
            self._first_list = False
            if self.state.run is None and self._last_run in self.state.runs:
                self.state.set_run(self._last_run)
            elif self.state.run is None and self._is_run(self._last_run):  # it lies outside the folder of the list
                self._list(self._last_run)
                wanted, self._asked = True, self._asked or (self._opened, None)
            elif self.state.run is None and event.runs:
                self.state.set_run(event.runs[0].run)
        if wanted and self._asked is not None:
            self._asked = self._asked[0], self.attention()  # what the list itself has changed was not the user
        self._choose_awaited()

    def job_changed(self, event: m.JobChanged) -> None:
        if event.job in self._started and event.run:
            self._started[event.job] = event.run
        self.state.set_job(event)
        self._choose_awaited()

    def ended(self, event: m.Ended) -> m.JobChanged | None:
        """Forget the job; returns what was known of it, unless nobody else says how it ended."""
        self._started.pop(event.job, None)
        job = self.state.jobs.get(event.job)
        self.state.end_job(event.job)
        if event.job in self._own_jobs:
            self._own_jobs.discard(event.job)
            return None
        return job

    def follow_chosen(self) -> None:
        """Have the curves of the chosen run told, and no longer those of the one before."""
        if self._followed is not None:
            self.bridge.send(m.UnfollowRun(self._followed))
        self._followed = self.state.run
        if self._followed is not None:
            self.bridge.send(m.FollowRun(self._followed))

    @staticmethod
    def _is_run(path: str) -> bool:
        return os.path.isfile(os.path.join(path, "manifest.json"))

    def _still_wanted(self, order: str) -> bool:
        """Whether it was the user's last order, and he has turned to nothing else since."""
        return self._asked is not None and self._asked == (order, self.attention())

    def _choose_awaited(self) -> None:
        """Look at the run that was started or opened here, as soon as it is listed; or say that it is there."""
        if self._opened in self.state.runs:
            opened, self._opened = self._opened, ""
            self._look_at(opened, opened, "stands at the left now")
        for job, run in list(self._started.items()):
            if run and run in self.state.runs:
                del self._started[job]
                self._look_at(job, run, "has begun; it stands at the left")

    def _look_at(self, order: str, run: str, news: str) -> None:
        if run == self.state.run:
            return
        if self._still_wanted(order):
            self._asked = None
            self.state.set_run(run)
        else:
            self.tell("info", f"{self.state.runs[run].name} {news}.")
