"""Long questions of a pane: several jobs, each for one purpose, begun when they are wanted and given up when they lead to nothing.

A subclass says what is to be begun next, in `go_on`. What was found stands as long as it took to find before something newer
of a training is asked for: a slow model would otherwise begin anew with every checkpoint and never come to an end.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from time import monotonic
from typing import ClassVar

from PySide6.QtCore import QObject, Signal

from app.shell.bridge import Bridge
from engine.messages import StopJob, Work


class JobController(QObject):
    name: ClassVar[str]  # of its jobs
    resume: ClassVar[str]  # how to go on after a stop, as a sentence

    said = Signal()  # `line` changed, or there is something to stop, or nothing any more
    idle = Signal()  # all that was wanted is there

    def __init__(self, bridge: Bridge, parent: QObject) -> None:
        super().__init__(parent)
        self.bridge = bridge
        self.active = False
        self.jobs: dict[str, str] = {}  # what for -> job
        self.line, self.level = "", ""
        self._given_up: set[str] = set()  # what is not tried again by itself
        self._stopped = False  # by the user, who has wanted nothing new since
        self._busy_since: float | None = None  # on the monotonic clock, without a break
        self._rests_until = 0.0

    def go_on(self) -> None:
        """Begin whatever is to be done next; nothing while the pane is hidden."""
        raise NotImplementedError

    def set_active(self, active: bool) -> None:
        self.active = active
        if active:
            self.go_on()

    @property
    def stopped(self) -> bool:
        """Whether the user has stopped it and wanted nothing new since."""
        return self._stopped

    def patience(self) -> float:
        """Seconds for which a newer checkpoint of a training should wait: endless while something is under way or was stopped."""
        return math.inf if self.jobs or self._stopped else max(0.0, self._rests_until - monotonic())

    def renew(self) -> None:
        """Something new is wanted: everything may be tried again, at once."""
        self._given_up.clear()
        self._stopped, self._rests_until = False, 0.0
        self.say("")

    # -- jobs --------------------------------------------------------------------------------------------------------------

    def begin(self, purpose: str, work: Callable[[str], Work]) -> bool:
        """Unless it is under way or was given up."""
        if purpose in self.jobs or purpose in self._given_up:
            return False
        if self._busy_since is None:
            self._busy_since = monotonic()
        self.jobs[purpose] = self.bridge.new_job(self.name)
        self.bridge.send(work(self.jobs[purpose]))
        self.said.emit()
        return True

    def end(self, purpose: str) -> None:
        """It is not wanted any more."""
        job = self.jobs.pop(purpose, None)
        if job is not None:
            self.bridge.send(StopJob(job))
            if not self.jobs:
                self._busy_since = None
                self.said.emit()
                self.idle.emit()

    def purpose_of(self, job: str) -> str:
        """Empty for a job of someone else."""
        return next((purpose for purpose, mine in self.jobs.items() if mine == job), "")

    def stop_jobs(self) -> None:
        for job in self.jobs.values():
            self.bridge.send(StopJob(job))
        self.jobs.clear()
        self._busy_since = None

    def stop(self) -> None:
        """The user has had enough: nothing of this is begun again until something new is wanted."""
        self._given_up |= set(self.jobs)
        self._stopped = True
        self.stop_jobs()
        self.say(f"Stopped. {self.resume}")
        self.said.emit()  # also where the line stays: there is nothing to stop any more

    def settled(self) -> None:
        """A job has ended and was taken off `jobs`: go on, or rest as long as all of it took."""
        self.said.emit()
        self.go_on()
        if not self.jobs:
            now = monotonic()
            if self._busy_since is not None:
                self._rests_until = max(self._rests_until, 2 * now - self._busy_since)
            self._busy_since = None
            self.idle.emit()

    def say(self, line: str, level: str = "") -> None:
        if (line, level) != (self.line, self.level):
            self.line, self.level = line, level
            self.said.emit()
