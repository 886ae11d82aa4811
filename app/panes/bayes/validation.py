"""Asks what Bayes' rule and the classifier say of validation images: a job in the background, anew for another run or step."""

from __future__ import annotations

import math
from functools import partial
from typing import NamedTuple

from PySide6.QtCore import QObject, QTimer, Signal

from app.panes.bayes.comparison import Comparison
from app.shell.bridge import Bridge
from app.shell.formatting import count
from app.shell.job_controller import JobController
from engine.messages import ClassifiersCompared, CompareClassifiers, Ended, Progress

PURPOSE = "validation images"
SETTLE_MS = 150  # so long the time cursor must rest


class ComparedSteps(NamedTuple):
    """Which runs are compared, each at its step."""

    run: str
    step: int
    beside: str  # empty: no classifier
    beside_step: int | None


class ValidationImages(JobController):
    """`changed` when figures have come or are void. Those of an earlier step stand until the newer ones are there."""

    name = "bayes"
    resume = "Move the time cursor or choose another run to begin again."

    changed = Signal()

    def __init__(self, bridge: Bridge, parent: QObject) -> None:
        super().__init__(bridge, parent)
        self.wanted: ComparedSteps | None = None
        self.found: Comparison | None = None
        self.found_for: ComparedSteps | None = None
        self.look: ComparedSteps | None = None  # what was asked about last
        self._rest = QTimer(self)
        self._rest.setSingleShot(True)
        self._rest.timeout.connect(self._settle)
        self.idle.connect(partial(self._rest.start, SETTLE_MS))
        bridge.on(ClassifiersCompared, self._on_compared)
        bridge.on(Progress, self._on_progress)
        bridge.on(Ended, self._on_ended)

    def want(self, wanted: ComparedSteps | None, by_hand: bool = False) -> None:
        """`by_hand`: the step was chosen, so it does not wait for what is under way."""
        before, self.wanted = self.wanted, wanted
        if wanted == before:
            return
        another = wanted is None or before is None or (wanted.run, wanted.beside) != (before.run, before.beside)
        if another:
            self.found = self.found_for = None
            self.changed.emit()
        if another or by_hand:
            self.look = None
            self.end(PURPOSE)
            self.renew()
        self._rest.start(SETTLE_MS)

    def set_active(self, active: bool) -> None:
        """Nothing is asked while nobody looks."""
        self.active = active
        if active:
            self._rest.start(SETTLE_MS)
        else:
            self.look = self.found_for
            self.end(PURPOSE)
            self._rest.stop()

    def _settle(self) -> None:
        """Look at what is wanted now, unless what was found came with so much work that it stands for a while."""
        patience = self.patience()
        if not self.active or self.look == self.wanted or not math.isfinite(patience):
            return
        if patience:
            self._rest.start(SETTLE_MS + round(1000 * patience))
            return
        self.look = self.wanted
        self._given_up.clear()
        self.go_on()

    def go_on(self) -> None:
        """Ask about what is looked at, unless that is known or under way."""
        if self.active and self.look is not None and self.look != self.found_for:
            self.begin(PURPOSE, partial(self._work, self.look))

    @staticmethod
    def _work(wanted: ComparedSteps, job: str) -> CompareClassifiers:
        return CompareClassifiers(job=job, channel="bayes", **wanted._asdict())

    def _on_compared(self, event: ClassifiersCompared) -> None:
        if self.purpose_of(event.job):
            self.found, self.found_for = Comparison(event), self.look
            self.changed.emit()

    def _on_progress(self, event: Progress) -> None:
        if self.purpose_of(event.job) and event.unit == "image":
            self.say(f"Scoring validation images: {count(event.done)} of {count(event.total or 0)}.")

    def _on_ended(self, event: Ended) -> None:
        if self.purpose_of(event.job):
            del self.jobs[PURPOSE]
            failed = event.outcome == "failed"
            if failed:
                self._given_up.add(PURPOSE)
            self.say(event.message if failed else "", "bad" if failed else "")
            self.settled()
