"""The only meeting point of window and engine: drains events on a timer, one Qt signal per event type; sends commands.

The engine starts in a thread of its own after the window has been painted, because importing torch takes seconds;
commands sent before wait in its queue.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol

from PySide6.QtCore import QObject, QTimer, Signal

from engine import messages as m

DRAIN_IDLE_MS = 33
DRAIN_ASKED_MS = 4  # while an answer is awaited: a slider must not wait for the next slow tick


class EngineLike(Protocol):
    """What the bridge needs of `engine.worker.Engine`."""

    def start(self) -> None: ...
    def send(self, message: m.Command | m.Query) -> None: ...
    def drain(self, limit: int = 200) -> list[m.Event]: ...
    def close(self, timeout: float = 2.5) -> bool: ...


class Bridge(QObject):
    ready = Signal(object)
    runs_listed = Signal(object)
    data_listed = Signal(object)
    job_changed = Signal(object)
    progress = Signal(object)
    metrics = Signal(object)
    checkpoint_saved = Signal(object)
    stalled = Signal(object)
    ended = Signal(object)
    notice = Signal(object)
    data_report = Signal(object)
    growth_began = Signal(object)
    grown = Signal(object)
    calibrated = Signal(object)
    judged = Signal(object)
    data_judged = Signal(object)
    corrupted = Signal(object)
    embedded = Signal(object)
    points_coloured = Signal(object)
    probe_fitting = Signal(object)
    probe_measured = Signal(object)
    query_failed = Signal(object)

    def __init__(self, engine: EngineLike, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.engine = engine
        self._stamps = itertools.count(1)
        self._jobs = itertools.count(1)
        self._waiting: dict[tuple[type, str], tuple[int, Callable[[Any], None], Callable[[m.QueryFailed], None] | None]] = {}
        self._signals = {
            m.Ready: self.ready,
            m.RunsListed: self.runs_listed,
            m.DataListed: self.data_listed,
            m.JobChanged: self.job_changed,
            m.Progress: self.progress,
            m.Metrics: self.metrics,
            m.CheckpointSaved: self.checkpoint_saved,
            m.Stalled: self.stalled,
            m.Ended: self.ended,
            m.Notice: self.notice,
            m.DataReport: self.data_report,
            m.GrowthBegan: self.growth_began,
            m.Grown: self.grown,
            m.Calibrated: self.calibrated,
            m.Judged: self.judged,
            m.DataJudged: self.data_judged,
            m.Corrupted: self.corrupted,
            m.ProbeFitting: self.probe_fitting,
            m.ProbeMeasured: self.probe_measured,
            m.Embedded: self.embedded,
            m.PointsColoured: self.points_coloured,
        }
        self._timer = QTimer(self)
        self._timer.setInterval(DRAIN_IDLE_MS)
        self._timer.timeout.connect(self.drain)

    def start(self) -> None:
        self.engine.start()
        self._timer.start()

    def close(self) -> bool:
        """Stop listening and end the engine. Returns whether its threads have ended in time."""
        self._timer.stop()
        self._waiting.clear()
        return self.engine.close()

    @property
    def idle(self) -> bool:
        """Whether every question has had its answer."""
        return not self._waiting

    def new_job(self, kind: str) -> str:
        return f"{kind}-{next(self._jobs)}"

    def send(self, command: m.Command) -> None:
        self.engine.send(command)

    def ask(
        self,
        channel: str,
        query: m.Query,
        on_answer: Callable[[Any], None],
        on_failure: Callable[[m.QueryFailed], None] | None = None,
    ) -> None:
        """Ask a short question. Per (query type, channel) only the newest is answered; late answers are dropped.

        `channel` is the pane's own name. Without `on_failure` a failure goes to the `query_failed` signal.
        """
        stamp = next(self._stamps)
        self._waiting[(type(query), channel)] = (stamp, on_answer, on_failure)
        self.engine.send(replace(query, stamp=stamp, channel=channel))
        self._timer.setInterval(DRAIN_ASKED_MS)

    def forget(self, channel: str) -> None:
        """The asker is gone: drop what would still come for it."""
        for key in [key for key in self._waiting if key[1] == channel]:
            del self._waiting[key]

    def drain(self) -> None:
        for event in self.engine.drain():
            try:
                if isinstance(event, m.Answer):
                    self._deliver(event)
                else:
                    self._signals[type(event)].emit(event)
            except Exception as error:  # a fault of one listener must not cost the others what came after it
                sys.excepthook(type(error), error, error.__traceback__)
        interval = DRAIN_ASKED_MS if self._waiting else DRAIN_IDLE_MS
        if self._timer.interval() != interval:
            self._timer.setInterval(interval)

    def _deliver(self, answer: m.Answer) -> None:
        key = next((key for key, value in self._waiting.items() if value[0] == answer.stamp), None)
        if key is None:
            return  # superseded
        _, on_answer, on_failure = self._waiting.pop(key)
        if not isinstance(answer, m.QueryFailed):
            on_answer(answer)
        elif on_failure is not None:
            on_failure(answer)
        else:
            self.query_failed.emit(answer)
