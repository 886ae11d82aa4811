"""Reads dropped pictures before anything scores them, so that each is seen, or refused, as soon as its file is read."""

from __future__ import annotations

from functools import partial

from PySide6.QtCore import QObject, Signal

from app.panes.likelihood.controller import LikelihoodController
from app.panes.likelihood.scored_images import Dropped
from app.shell.bridge import Bridge
from engine.messages import PictureRead, QueryFailed, ReadPicture

CHANNEL = "likelihood.read"


class PictureReader(QObject):
    """One picture at a time, the one in front first. All of them while held-out images are scored; later only the one in front, since
    what scores the others reads them too.
    """

    read = Signal(object)  # Dropped

    def __init__(self, bridge: Bridge, controller: LikelihoodController, parent: QObject) -> None:
        super().__init__(parent)
        self._bridge, self._controller = bridge, controller
        self._asked: Dropped | None = None
        self._tried: set[int] = set()  # ids of entries that were asked about

    def go_on(self) -> None:
        """Ask about the next picture, unless one is being read."""
        controller = self._controller
        if self._asked is not None or not controller.active or not controller.wanted:
            return
        entry = self._next()
        if entry is not None:
            self._asked = entry
            self._tried.add(id(entry))
            run, step = controller.wanted[0]
            query = ReadPicture(run=run, step=step, picture=entry.picture)
            self._bridge.ask(CHANNEL, query, partial(self._on_read, entry), self._on_failure)

    def _next(self) -> Dropped | None:
        controller, images = self._controller, self._controller.images
        front = [] if controller.front is None else [controller.front]
        order = [*front, *(images.entries if images.uncalibrated() else ())]
        return next((one for one in order if one.original is None and not one.error and id(one) not in self._tried), None)

    def forget(self) -> None:
        """Nothing more is wanted; what could not be read by another run is asked again."""
        self._asked = None
        self._tried.clear()
        self._bridge.forget(CHANNEL)

    def _on_read(self, entry: Dropped, answer: PictureRead) -> None:
        self._asked = None
        if entry.original is None and not entry.error and any(entry is one for one in self._controller.images.entries):
            entry.original, entry.notes, entry.error = answer.original, answer.notes, answer.error
            self.read.emit(entry)
        self.go_on()

    def _on_failure(self, _failure: QueryFailed) -> None:
        """Why is said by the job that scores."""
        self._asked = None
        self.go_on()
