"""Asks the engine for what the page of patches shows: attention by a query, what concerns several images by a job."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import QObject, Signal

from app.panes.views.patches_page import ATTENTION, COMPONENTS, PatchesLook, PatchesPage
from app.shell.bridge import Bridge
from app.shell.formatting import count
from app.shell.latest_query import LatestQuery
from engine.messages import (
    AttentionShown,
    ColorPatches,
    CompareToPatch,
    DescribePatches,
    Ended,
    PatchesColored,
    PatchesCompared,
    PatchesDescribed,
    PatchImages,
    Progress,
    QueryFailed,
    ShowAttention,
    StopJob,
    Work,
)

CHANNEL = "views.patches"
Key = tuple[Any, ...]


class PatchesController(QObject):
    """`described` comes once for a run, `came` with every answer, `failed` with a sentence, `said` with progress, and
    `outdated` when a live training has gone on while a job was under way.
    """

    described = Signal()
    came = Signal()
    failed = Signal(str)
    said = Signal()
    outdated = Signal()

    def __init__(self, bridge: Bridge, page: PatchesPage, parent: QObject) -> None:
        super().__init__(parent)
        self.bridge, self.page = bridge, page
        self.network: PatchesDescribed | None = None  # of the run that is looked at
        self.line = ""  # how far the job is
        self._drawn: dict[int, Key] = {}  # mode -> what is shown or asked for
        self._job = ""
        self._job_mode = COMPONENTS
        self._behind = False
        self._describer = LatestQuery(bridge, f"{CHANNEL}.network", self._on_described, self._on_failure)
        self._attention = LatestQuery(bridge, f"{CHANNEL}.attention", self._on_attention, self._on_failure)
        bridge.on(PatchesColored, self._on_images)
        bridge.on(PatchesCompared, self._on_images)
        bridge.on(Progress, self._on_progress)
        bridge.on(Ended, self._on_ended)

    @property
    def why_not(self) -> str:
        """Why the run's network has no patches; empty where it has some, and while that is not known."""
        return "" if self.network is None else self.network.why_not

    @property
    def busy(self) -> bool:
        """Whether an answer for the page is still to come."""
        return bool(self._job) or self._attention.in_flight is not None

    def set_run(self, look: PatchesLook) -> None:
        """Another run is looked at: nothing is known of it."""
        self.forget()
        self.network = None
        self._drawn.clear()
        self.page.set_look(look)

    def forget(self) -> None:
        """What was asked for and has not come is not wanted any more."""
        if self._attention.in_flight is not None:
            self._drawn.pop(ATTENTION, None)
        self._describer.forget()
        self._attention.forget()
        self._end_job()

    def describe(self, run: str, step: int | None) -> None:
        """Ask what network the run has, unless that is known or under way."""
        if self.network is None and self._describer.in_flight is None:
            self._describer.want(DescribePatches(run=run, step=step))

    def refresh(self, run: str, step: int | None, live: bool) -> None:
        """Ask for what the page lacks at this checkpoint. A live training's next one waits for the job of the one before."""
        look = self.page.look
        if self.network is None or self.network.why_not:
            return
        if look.mode == ATTENTION:
            self._end_job()
            query = ShowAttention(run=run, step=step, picture=look.picture, layer=look.layer, patch=look.query)
            key = (run, step, look.picture, look.layer, look.query)
            if self._drawn.get(ATTENTION) != key:
                self._drawn[ATTENTION] = key
                self._attention.want(query)
            return
        special = look.foreground if look.mode == COMPONENTS else look.patch
        key = (run, step, look.picture, special)
        drawn = self._drawn.get(look.mode)
        if drawn == key:
            return
        if live and self._job and self._job_mode == look.mode and drawn is not None and (drawn[0], *drawn[2:]) == (run, *key[2:]):
            self._behind = True
            return
        self._end_job()
        self._drawn[look.mode] = key
        self._begin(look, PatchImages(run, look.picture, step))

    # -- jobs ----------------------------------------------------------------------------------------------------------

    def _begin(self, look: PatchesLook, images: PatchImages) -> None:
        self._behind = False
        self._job, self._job_mode = self.bridge.new_job("patches"), look.mode
        work: Work
        if look.mode == COMPONENTS:
            work = ColorPatches(job=self._job, channel=CHANNEL, images=images, foreground=look.foreground)
        else:
            work = CompareToPatch(job=self._job, channel=CHANNEL, images=images, patch=look.patch)
        self.bridge.send(work)

    def _end_job(self) -> None:
        if self._job:
            self.bridge.send(StopJob(self._job))
            self._drawn.pop(self._job_mode, None)
        self._job = self.line = ""

    def _on_progress(self, event: Progress) -> None:
        if self._job and event.job == self._job:
            total = "" if event.total is None else f" of {count(event.total)}"
            what = event.note or "reading"
            self.line = f"{what[:1].upper()}{what[1:]}: {event.unit} {count(event.done)}{total}"
            self.said.emit()

    def _on_ended(self, event: Ended) -> None:
        if self._job and event.job == self._job:
            self._job = self.line = ""
            if event.outcome == "failed":
                self._drawn.pop(self._job_mode, None)
                self.failed.emit(event.message)
            elif self._behind:
                self._behind = False
                self.outdated.emit()
            else:
                self.came.emit()

    # -- answers -------------------------------------------------------------------------------------------------------

    def _on_described(self, query: DescribePatches, answer: PatchesDescribed) -> None:
        self.network = answer
        self.page.set_network(answer.layers, answer.heads)
        self.described.emit()

    def _on_attention(self, query: ShowAttention, answer: AttentionShown) -> None:
        self.page.show_answer(answer)
        self.came.emit()

    def _on_failure(self, failure: QueryFailed) -> None:
        self._drawn.pop(ATTENTION, None)
        self.failed.emit(failure.message)

    def _on_images(self, event: PatchesColored | PatchesCompared) -> None:
        if self._job and event.job == self._job:
            self.page.show_answer(event)
            self.came.emit()
