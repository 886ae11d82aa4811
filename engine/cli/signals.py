"""Ctrl-C, a request to end and a terminal that is closed, while a verb works."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

from engine.cli.errors import Interrupted

WORDS = {"SIGINT": "Interrupted", "SIGTERM": "Told to end", "SIGHUP": "The terminal was closed"}
SIGNALS = tuple(number for name in WORDS if (number := getattr(signal, name, None)) is not None)  # Windows has no SIGHUP


class StopSignals:
    """In a `with`: the first signal raises `Interrupted`, or within `gently` is only remembered in `heard`; a second one ends the process.

    A verb that was started with `nohup` goes on when its terminal is closed.
    """

    def __init__(self) -> None:
        self.heard = ""  # the signal's meaning in words
        self._gentle = 0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> StopSignals:
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                if number != getattr(signal, "SIGHUP", None) or signal.getsignal(number) is not signal.SIG_IGN:
                    self._before[number] = signal.signal(number, self._hear)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    def _hear(self, number: int, _frame: FrameType | None) -> None:
        self.heard = WORDS[signal.Signals(number).name]
        for each in self._before:
            signal.signal(each, signal.SIG_DFL)
        if not self._gentle:
            raise Interrupted(f"{self.heard}.")

    @contextlib.contextmanager
    def gently(self) -> Iterator[None]:
        """Where what there is so far can be kept: whoever works asks for `heard` between two steps."""
        self._gentle += 1
        try:
            yield
        finally:
            self._gentle -= 1
