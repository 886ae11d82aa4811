"""The only meeting point of window and engine: drains events on a timer, hands each to who listens for its type; sends commands.

The engine starts in a thread of its own after the window has been painted, because importing torch takes seconds;
commands sent before wait in its queue.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol, TypeVar

from PySide6.QtCore import QObject, QTimer, Signal

from engine import messages as m

Told = TypeVar("Told", bound=m.Event)

DRAIN_IDLE_MS = 33
DRAIN_ASKED_MS = 4  # while an answer is awaited: a slider must not wait for the next slow tick


class EngineLike(Protocol):
    """What the bridge needs of `engine.worker.engine.Engine`."""

    def start(self) -> None: ...
    def send(self, message: m.Command | m.Query) -> None: ...
    def drain(self, limit: int = 200) -> list[m.Event]: ...
    def close(self, timeout: float = 2.5) -> bool: ...


class _Channel(QObject):
    """Carries the events of one type: a slot that is a method of a QObject is let go with it."""

    came = Signal(object)


class Bridge(QObject):
    def __init__(self, engine: EngineLike, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.engine = engine
        self._stamps = itertools.count(1)
        self._jobs = itertools.count(1)
        self._waiting: dict[tuple[type, str], tuple[int, Callable[[Any], None], Callable[[m.QueryFailed], None] | None]] = {}
        self._channels: dict[type[m.Event], _Channel] = {}
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

    def on(self, kind: type[Told], slot: Callable[[Told], object]) -> None:
        """Call `slot` with every event of this type (answers go to whoever asked; see `ask`)."""
        if kind not in self._channels:
            self._channels[kind] = _Channel(self)
        self._channels[kind].came.connect(slot)

    def tell(self, event: m.Event) -> None:
        """Hand an event to whoever listens for its type."""
        channel = self._channels.get(type(event))
        if channel is not None:
            channel.came.emit(event)

    def ask(
        self,
        channel: str,
        query: m.Query,
        on_answer: Callable[[Any], None],
        on_failure: Callable[[m.QueryFailed], None] | None = None,
    ) -> None:
        """Ask a short question. Per (query type, channel) only the newest is answered; late answers are dropped.

        `channel` is the pane's own name. Without `on_failure` a failure is told to whoever listens for `QueryFailed`.
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
                    self.tell(event)
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
            self.tell(answer)
