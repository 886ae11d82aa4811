"""The one way a job of the query lane tells how far it is."""

from __future__ import annotations

import time
from collections.abc import Generator

from engine import messages as m
from engine.queries.answers import Part, Result


class ProgressReporter:
    """Makes `Progress` of how much of one stage of a job is done: with its speed, and not too often.

    Args:
        total: how much there is to do, in `unit`s; None where that is not known yet.
        every: seconds from one report to the next at least; what comes sooner is None.
        timed: False where the units take too different times to speak of a speed.
    """

    def __init__(self, job: str, run: str, total: int | None, unit: str, note: str = "", *, every: float = 0.0, timed: bool = True) -> None:
        self.job, self.run, self.total, self.unit, self.note = job, run, total, unit, note
        self.every, self.timed = every, timed
        self.done = 0
        self._started, self._sent_at = time.perf_counter(), 0.0

    def add(self, more: int) -> m.Progress | None:
        """So much more is done."""
        return self.at(self.done + more)

    def at(self, done: int, note: str = "") -> m.Progress | None:
        """So much is done in all; `note` in place of the stage's own."""
        self.done = done
        now = time.perf_counter()
        if self.every and now - self._sent_at < self.every:
            return None
        self._sent_at = now
        return self._event(now, note or self.note)

    def say(self, note: str) -> m.Progress:
        """What is being done now, at any time."""
        return self._event(time.perf_counter(), note)

    def _event(self, now: float, note: str) -> m.Progress:
        rate, left = 0.0, None
        if self.timed:
            rate = self.done / max(1e-9, now - self._started)
            left = (self.total - self.done) / rate if self.done and self.total is not None else None
        return m.Progress(self.job, self.run, self.done, self.total, self.unit, rate, left, note)


def reporting(part: Generator[int, None, Result], progress: ProgressReporter) -> Part[Result]:
    """Run a part of a job that yields how much is done."""
    while True:
        try:
            done = next(part)
        except StopIteration as end:
            return end.value
        yield progress.at(done)


def counted(steps: Generator[tuple[int, int], None, Result], job: str, run: str, unit: str, note: str) -> Part[Result]:
    """Work that yields (units done, units), with its progress."""
    progress = ProgressReporter(job, run, None, unit, note, every=0.1, timed=False)
    while True:
        try:
            done, progress.total = next(steps)
        except StopIteration as end:
            return end.value
        yield progress.at(done)
