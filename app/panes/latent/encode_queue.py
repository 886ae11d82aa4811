"""Images of the user on their way through the encoder, one after the other."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from PySide6.QtCore import QObject, Signal

from app.shell.bridge import Bridge
from app.shell.state import State
from engine.messages import Encode, Encoded, QueryFailed


class EncodeQueue(QObject):
    """Encodes images in the order they came, and the newest one anew when the time cursor moves."""

    encoded = Signal(object, object)  # Encode, Encoded: an image of the run that is looked at
    encoded_again = Signal(object)  # Encoded: the newest one at another step
    failed = Signal(str)

    def __init__(self, state: State, bridge: Bridge, parent: QObject) -> None:
        super().__init__(parent)
        self.state, self.bridge = state, bridge
        self.waiting: list[Encode] = []  # the first one is under way
        self.query: Encode | None = None  # of the newest image that was encoded
        self.answer: Encoded | None = None

    def add(self, query: Encode) -> None:
        self.waiting.append(query)
        if len(self.waiting) == 1:
            self._next()

    def again(self, step: int) -> None:
        """Encode the newest image at a step that it was not encoded at."""
        if self.query is not None and self.answer is not None and self.answer.step != step:
            query = replace(self.query, step=step)
            self.bridge.ask("latent.again", query, partial(self._encoded_again, query), self._failed_again)

    def forget(self) -> None:
        """Another run is looked at: nothing that was asked is wanted any more."""
        self.waiting.clear()
        self.query = self.answer = None
        for channel in ("latent.image", "latent.again"):
            self.bridge.forget(channel)

    def _next(self) -> None:
        query = self.waiting[0]
        self.bridge.ask("latent.image", query, partial(self._encoded, query), partial(self._failed, query))

    def _done(self, query: Encode) -> None:
        if query in self.waiting:
            self.waiting.remove(query)
        if self.waiting:
            self._next()

    def _encoded(self, query: Encode, answer: Encoded) -> None:
        if query.run == self.state.run:
            self.query, self.answer = query, answer
            self.encoded.emit(query, answer)
        self._done(query)

    def _failed(self, query: Encode, failure: QueryFailed) -> None:
        self.failed.emit(failure.message)
        self._done(query)

    def _encoded_again(self, query: Encode, answer: Encoded) -> None:
        if (query.run, query.step) == (self.state.run, self.state.step):
            self.answer = answer
            self.encoded_again.emit(answer)

    def _failed_again(self, failure: QueryFailed) -> None:
        self.failed.emit(failure.message)
