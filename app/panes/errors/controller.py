"""What the Errors pane asks of the engine: the figures of a checkpoint as a job, then pages of images. Nothing is drawn here."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import partial

from PySide6.QtCore import QObject, QTimer, Signal

from app.shell.bridge import Bridge
from app.shell.formatting import count
from app.shell.job_controller import JobController
from app.shell.latest_query import LatestQuery
from engine.messages import AnswersOf, BrowseErrors, Ended, ErrorImages, ErrorsFound, FindErrors, Progress, QueryFailed

PURPOSE = "errors"
SETTLE_MS = 150  # so long the time cursor must rest


@dataclass(frozen=True)
class AnswerChoice:
    """Which answers the gallery shows: their kind, the true class and the answer, as `BrowseErrors` has them."""

    kind: str = "wrong"
    true: int | None = None
    predicted: int | None = None


class ErrorsController(JobController):
    """`found_changed` when figures have come or are void, `page_changed` with a page. Figures of an earlier step stand until newer come."""

    name = "errors"
    resume = "Move the time cursor or choose another run to begin again."

    found_changed = Signal()
    page_changed = Signal()

    def __init__(self, bridge: Bridge, parent: QObject) -> None:
        super().__init__(bridge, parent)
        self.wanted: AnswersOf | None = None
        self.found: ErrorsFound | None = None
        self.choice = AnswerChoice()
        self.offset, self.count = 0, 24
        self.page: ErrorImages | None = None
        self._look: AnswersOf | None = None  # what was asked about last
        self._found_for: AnswersOf | None = None
        self._anew = 0  # how often the engine has lost the answers since a page came
        self.query = LatestQuery(bridge, "errors.page", self._on_page, self._on_no_page)
        self._rest = QTimer(self)
        self._rest.setSingleShot(True)
        self._rest.timeout.connect(self._settle)
        self.idle.connect(partial(self._rest.start, SETTLE_MS))
        bridge.on(ErrorsFound, self._on_found)
        bridge.on(Progress, self._on_progress)
        bridge.on(Ended, self._on_ended)

    def want(self, wanted: AnswersOf | None, by_hand: bool = False) -> None:
        """`by_hand`: the step was chosen, so it does not wait for what is under way."""
        before, self.wanted = self.wanted, wanted
        if wanted == before:
            return
        another = wanted is None or before is None or replace(wanted, step=None) != replace(before, step=None)
        if another:
            self.found = self._found_for = self.page = None
            self.offset = 0
            if wanted is None or before is None or wanted.run != before.run:
                self.choice = AnswerChoice()
            self.query.forget()
            self.found_changed.emit()
        if another or by_hand:
            self._look = None
            self.end(PURPOSE)
            self.renew()
        self._rest.start(SETTLE_MS)

    def forget(self) -> None:
        """Another run has the folder: nothing that was found holds."""
        wanted, self.wanted = self.wanted, None
        self.want(None)
        self.want(wanted)

    def set_active(self, active: bool) -> None:
        """Nothing is asked while nobody looks."""
        self.active = active
        if active:
            self._rest.start(SETTLE_MS)
            if self.found is not None and self.page is None:
                self.browse()
        else:
            self._look = self._found_for
            self.end(PURPOSE)
            self.query.forget()
            self._rest.stop()

    def _settle(self) -> None:
        """Look at what is wanted now, unless what was found came with so much work that it stands for a while."""
        patience = self.patience()
        if not self.active or self._look == self.wanted or not math.isfinite(patience):
            return
        if patience:
            self._rest.start(SETTLE_MS + round(1000 * patience))
            return
        self._look = self.wanted
        self._given_up.clear()
        self.go_on()

    def go_on(self) -> None:
        """Ask about what is looked at, unless that is known or under way."""
        look = self._look
        if self.active and look is not None and look != self._found_for:
            self.begin(PURPOSE, lambda job: FindErrors(job=job, channel="errors", of=look))

    # ------------------------------------------------------------------------------------------------ pages

    def choose(self, choice: AnswerChoice) -> None:
        """Show other answers, from their first page."""
        self.choice, self.offset = choice, 0
        self.browse()

    def turn(self, pages: int) -> None:
        """Next or previous page."""
        if self.page is not None:
            target = max(0, self.offset + pages * self.count)
            if target < self.page.total and target != self.offset:
                self.offset = target
                self.browse()

    def browse(self, count: int = 0) -> None:
        """Ask for the page anew, of so many images where that is told."""
        self.count = count or self.count
        found, choice = self.found, self.choice
        if self.active and found is not None:
            asked = BrowseErrors(
                of=found.of, kind=choice.kind, true=choice.true, predicted=choice.predicted, offset=self.offset, count=self.count
            )
            self.query.want(asked)

    def _on_page(self, query: BrowseErrors, page: ErrorImages) -> None:
        choice = AnswerChoice(query.kind, query.true, query.predicted)
        if self.found is not None and query.of == self.found.of and choice == self.choice and query.offset == self.offset:
            if self.offset >= page.total and self.offset:  # a newer step has fewer of them: their last page
                self.offset = max(0, page.total - 1) // self.count * self.count
                if page.total:
                    self.browse()
                    return
            self.page, self._anew = page, 0
            self.page_changed.emit()

    def _on_no_page(self, failure: QueryFailed) -> None:
        """Answers that the engine no longer keeps are found again, once."""
        self.say(failure.message, "bad")
        if self.active and not self._anew and not self.jobs:
            self._anew += 1
            self._found_for = None
            self.go_on()

    # ------------------------------------------------------------------------------------------------ answers

    def _on_found(self, event: ErrorsFound) -> None:
        if self.purpose_of(event.job):
            new_classes = self.found is None or self.found.classes != event.classes
            self.found, self._found_for = event, self._look
            if new_classes:
                self.choice, self.offset = AnswerChoice(), 0
            self.say("")
            self.found_changed.emit()
            self.browse()

    def _on_progress(self, event: Progress) -> None:
        if self.purpose_of(event.job):
            told = f": {count(event.done)} of {count(event.total)}" if event.total and event.unit == "image" else ""
            self.say(f"{event.note or 'Reading the data'}{told}")

    def _on_ended(self, event: Ended) -> None:
        if self.purpose_of(event.job):
            del self.jobs[PURPOSE]
            if event.outcome != "ok":
                self._given_up.add(PURPOSE)
                self.say(event.message, "bad" if event.outcome == "failed" else "")
            self.settled()
