"""A thread with an inbox: what both lanes are made of."""

from __future__ import annotations

import contextlib
import threading
import traceback
from collections import deque
from collections.abc import Callable
from typing import Any

from engine import messages as m
from engine.common.remedies import for_window


class Lane(threading.Thread):
    """A thread with an inbox. `publish` hands an event to the window."""

    def __init__(self, name: str, publish: Callable[[m.Event], None]) -> None:
        super().__init__(name=name, daemon=True)
        self.publish = publish
        self.closing = False
        self._inbox: deque[Any] = deque()
        self._wake = threading.Event()

    def put(self, message: Any) -> None:
        """Hand the lane a message and wake it; from any thread."""
        self._inbox.append(message)
        self._wake.set()

    def wake_up(self) -> None:
        """End `wait`, though no message has come."""
        self._wake.set()

    def finish(self) -> None:
        """Ask the lane to end."""
        self.closing = True
        self._wake.set()

    def wait(self, seconds: float | None) -> None:
        """Sleep until a message comes, at most so long."""
        if not self.closing:
            self._wake.wait(seconds)

    def messages(self) -> list[Any]:
        """All messages that have come in."""
        self._wake.clear()
        if self.closing:
            self._wake.set()  # closing must not be slept through
        out = []
        with contextlib.suppress(IndexError):
            while True:
                out.append(self._inbox.popleft())
        return out

    def guarded(self, work: Callable[[], None]) -> None:
        """The lane must outlive whatever it is asked: an error becomes a notice."""
        try:
            work()
        except BaseException as error:
            self.publish(m.Notice("bad", *self.report(error)))

    def report(self, error: BaseException) -> tuple[str, str]:
        """An error as one sentence and as a traceback."""
        sentence = str(error).strip() or type(error).__name__
        if not _is_sentence(error):
            sentence = f"Something went wrong that Priorama did not expect: {type(error).__name__}: {sentence}"
        return for_window(sentence), "".join(traceback.format_exception(error))


def _is_sentence(error: BaseException) -> bool:
    """Whether the error is one of ours, whose text is written for people."""
    return type(error).__module__.split(".")[0] == "engine"
