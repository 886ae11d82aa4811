"""What the panes share: run, time cursor, runs, methods, data, jobs, theme. Every change is a signal; nothing here draws."""

from __future__ import annotations

from dataclasses import replace

from PySide6.QtCore import QObject, Signal

from app.shell.data_titles import told_apart
from engine.messages import CheckpointInfo, DataInfo, JobChanged, MethodInfo, Progress, Ready, RunInfo

VALID = "valid "  # what the name of a validation term begins with
NEWEST, BEST = "newest", "best"  # what the time cursor can follow
ENDED = ("done", "stopped", "failed")  # a run of this status is looked at where it was best, as the engine does
RULES = {NEWEST: "newest", BEST: "best on validation", "": "chosen by hand"}


def judged_terms(info: RunInfo | None) -> tuple[str, ...]:
    """The terms that tell how well a run does, the best one first: the loss, or what its checkpoints are judged by."""
    if info is None or info.newest is None or info.newest.term == "loss":
        return ("loss", VALID + "loss")
    return ("loss", info.newest.term, VALID + info.newest.term)


class State(QObject):
    """One per window.

    `run` is the run that all panes look at (its folder) or None; `cursor` is the step chosen by hand, None where one is followed.
    `step` is the checkpoint they draw: the last one at or before the cursor, else the newest or the best as `follows` says, None
    without one.
    """

    runs_changed = Signal()
    run_replaced = Signal(str)  # another run has the folder of a former one: what was known of it is void
    run_gone = Signal(str)  # a run is listed no longer: what was kept for it alone can go
    run_changed = Signal()
    step_changed = Signal()  # the checkpoint to draw changed (another run, cursor moved, live moved on)
    cursor_changed = Signal()
    methods_changed = Signal()
    data_changed = Signal()  # the list of data sets
    selected_data_changed = Signal()
    data_used = Signal(str)  # a set was chosen for the next run
    data_opened = Signal(str)  # a set was opened by hand: what was known of it is out of date
    data_page_wanted = Signal()  # and it should be seen
    jobs_changed = Signal()
    progress_changed = Signal(str)  # job
    theme_changed = Signal()
    run_proposed = Signal(str, str, object)  # method, data, settings by name: a pane would have the form filled in so
    handed_over = Signal(str, object)  # purpose, what: a pane would have another one show it, see `Pane.takes_over`

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.runs: dict[str, RunInfo] = {}
        self._created: dict[str, float] = {}  # run -> when it was begun, also of runs that are gone
        self.root = ""
        self.methods: dict[str, MethodInfo] = {}
        self.engine: Ready | None = None
        self.data: dict[str, DataInfo] = {}
        self.lost_data: dict[str, DataInfo] = {}  # stay on the list, and can be chosen nowhere
        self._titles: dict[str, str] = {}  # data set -> its name with what tells it apart from others
        self.selected_data: str | None = None
        self.jobs: dict[str, JobChanged] = {}
        self.progress: dict[str, Progress] = {}
        self.theme = "dark"  # what is drawn now: "dark" | "light"
        self.run: str | None = None
        self.cursor: int | None = None
        self._step: int | None = None
        self._followed: dict[str, str] = {}  # run -> what was chosen to be followed

    @property
    def run_info(self) -> RunInfo | None:
        return self.runs.get(self.run) if self.run else None

    @property
    def method_info(self) -> MethodInfo | None:
        info = self.run_info
        return self.methods.get(info.method) if info else None

    @property
    def checkpoints(self) -> tuple[CheckpointInfo, ...]:
        info = self.run_info
        return tuple(c for c in info.checkpoints if not c.fault) if info else ()

    @property
    def step(self) -> int | None:
        return self._step

    @property
    def follows(self) -> str:
        """What moves the time cursor: "newest", "best", or "" where a step was chosen by hand.

        Unless somebody says otherwise it is the newest while a run trains, and the best when it is done.
        """
        return "" if self.cursor is not None else self._following(self.run_info)

    @property
    def step_rule(self) -> str:
        """By which rule the step was taken, in words."""
        return RULES[self.follows]

    @property
    def best_step(self) -> int | None:
        """The checkpoint of the chosen run that did best on validation images; None where none was judged or it cannot be read."""
        return next((c.step for c in self.checkpoints if c.best), None)

    def step_of(self, run: str) -> int | None:
        """The step at which another run is looked at: what it is followed by, best or newest."""
        info = self.runs.get(run)
        steps = [c for c in info.checkpoints if not c.fault] if info else []
        best = [c.step for c in steps if c.best] if self._following(info) == BEST else []
        return best[0] if best else steps[-1].step if steps else None

    def _following(self, info: RunInfo | None) -> str:
        if info is None or not any(c.best and not c.fault for c in info.checkpoints):
            return NEWEST
        return self._followed.get(info.run, BEST if info.status in ENDED else NEWEST)

    @property
    def steps_planned(self) -> int | None:
        """Where the chosen run ends: at its planned steps, or where it was done before them; None where that is not known."""
        info = self.run_info
        if info is None:
            return None
        ended = info.status == "done" and self.job_of(info.run) is None
        return self.steps_done if ended else info.total_steps

    @property
    def steps_done(self) -> int:
        """Optimizer steps of the chosen run, as far as the engine has told; 0 without a run."""
        info, job = self.run_info, self.job_of(self.run)
        progress = self.progress.get(job.job) if job else None
        return max(info.step if info else 0, progress.done if progress and progress.unit == "step" else 0)

    def set_runs(self, runs: tuple[RunInfo, ...], root: str) -> None:
        former, self.runs = self.runs, {info.run: info for info in runs}
        self.root = root
        known = {run: info.created for run, info in self.runs.items() if info.created}
        replaced = [run for run, created in known.items() if self._created.get(run, created) != created]
        self._created |= known
        self.runs_changed.emit()
        if self.run is not None and self.run not in self.runs:
            self.set_run(None)
        self._settle()
        for run in replaced:
            self.run_replaced.emit(run)
        for run in former.keys() - self.runs.keys():
            self.run_gone.emit(run)

    def set_run(self, run: str | None) -> None:
        """Look at another run, where it is best or newest."""
        if run == self.run:
            return
        self.run = run
        self._step = None
        moved = self.cursor is not None
        self.cursor = None
        self.run_changed.emit()
        if moved:
            self.cursor_changed.emit()
        self._settle(force=True)

    def look_again(self) -> None:
        """What is known of the chosen run is out of date: every pane asks anew, at the same step."""
        run, cursor = self.run, self.cursor
        if run is not None:
            self.run_replaced.emit(run)
            self.set_run(None)
            self.set_run(run)
            if cursor is not None:
                self.set_cursor(cursor)

    def set_cursor(self, step: int | None) -> None:
        """Move the time cursor; None follows the newest or the best again."""
        if step == self.cursor:
            return
        self.cursor = step
        self.cursor_changed.emit()
        self._settle()

    def set_follow(self, what: str) -> None:
        """Let the time cursor of the chosen run follow its "newest" or its "best" checkpoint."""
        if self.run is None or what == self.follows:
            return
        self._followed[self.run] = what
        self.cursor = None
        self.cursor_changed.emit()
        self._settle()

    def checkpoint_saved(self, run: str, step: int, resumable: bool) -> None:
        """A checkpoint has landed; the full list follows with the next `RunsListed`."""
        info = self.runs.get(run)
        if info is None:
            return
        others = tuple(c for c in info.checkpoints if c.step != step)
        known = tuple(sorted((*others, CheckpointInfo(step, resumable)), key=lambda c: c.step))
        self.runs[run] = replace(info, checkpoints=known, step=max(info.step, step))
        self.runs_changed.emit()
        if run == self.run:
            self._settle()

    def set_engine(self, ready: Ready) -> None:
        self.engine = ready
        self.methods = {info.name: info for info in ready.methods}
        self.methods_changed.emit()

    def set_data(self, data: tuple[DataInfo, ...]) -> None:
        told, self._titles = told_apart(data)
        self.data = {info.data: info for info in told if not info.lost}
        self.lost_data = {info.data: info for info in told if info.lost}
        self.data_changed.emit()

    def data_title(self, data: str) -> str:
        """What a set of the list is called where no other is called so."""
        return self._titles.get(data, data)

    def select_data(self, data: str | None) -> None:
        if data != self.selected_data:
            self.selected_data = data
            self.selected_data_changed.emit()

    def open_data(self, data: str) -> None:
        """Look at a set that was opened by hand, and look afresh."""
        self.data_opened.emit(data)
        if data == self.selected_data:
            self.selected_data_changed.emit()
        else:
            self.select_data(data)
        self.data_page_wanted.emit()

    def set_job(self, job: JobChanged) -> None:
        if job.state == "queued" and job.kind == "train":
            for other in list(self.jobs.values()):  # what stood at its place in the queue has left it, or is told its own next
                if other.job != job.job and other.kind == "train" and (other.state, other.place) == ("queued", job.place):
                    self.jobs[other.job] = replace(other, place=-1)
        self.jobs[job.job] = job
        self.jobs_changed.emit()

    def set_progress(self, progress: Progress) -> None:
        self.progress[progress.job] = progress
        self.progress_changed.emit(progress.job)

    def end_job(self, job: str) -> None:
        self.jobs.pop(job, None)
        self.progress.pop(job, None)
        self.jobs_changed.emit()

    def job_of(self, run: str | None) -> JobChanged | None:
        """The training job that writes this run now, if there is one in this window."""
        return next((job for job in self.jobs.values() if run and job.run == run and job.kind == "train"), None)

    def set_theme(self, theme: str) -> None:
        if theme != self.theme:
            self.theme = theme
            self.theme_changed.emit()

    def _settle(self, force: bool = False) -> None:
        steps = [c.step for c in self.checkpoints]
        if not steps:
            step = None
        elif self.cursor is None:
            best = self.best_step if self.follows == BEST else None
            step = steps[-1] if best is None else best
        else:
            step = max((s for s in steps if s <= self.cursor), default=steps[0])
        if force or step != self._step:
            self._step = step
            self.step_changed.emit()
