"""Where a verb speaks: its result on stdout, how far it is on stderr, and how it hears that it should end."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import sys
import time
from collections.abc import Callable, Generator, Iterator
from typing import Any, TextIO, TypeVar

from engine import messages as m
from engine.cli.errors import Failed
from engine.cli.signals import StopSignals
from engine.cli.text import json_line, visible
from engine.common.remedies import for_verbs

Result = TypeVar("Result")

REWRITE_SECONDS = 0.1  # between two looks of the line of progress on a terminal
FIRST_LINE_SECONDS = 3.0  # of work, without a terminal: what is over sooner needs no line
LINE_SECONDS = 5.0  # between two lines


class Console:
    """Speaks for one verb. `json`: words are left out, the result is one JSON object. `quiet`: no progress."""

    def __init__(self, json: bool, quiet: bool, signals: StopSignals, clock: Callable[[], float] = time.monotonic) -> None:
        self.json, self.quiet, self.signals, self.clock = json, quiet, signals, clock
        self._rewritten_at = -REWRITE_SECONDS
        self._line_at: float | None = None  # when the last line was written; set so that the first one waits
        self._width = 0  # of the line of progress that stands there now

    # -- stdout --------------------------------------------------------------------------------------------------------

    def say(self, text: str) -> None:
        """Words for a person, left out with `json`."""
        if not self.json:
            self._out("\n".join(visible(line) for line in text.split("\n")))

    def result(self, value: dict[str, Any]) -> None:
        """The JSON object, where it is asked for."""
        if self.json:
            self._out(json_line(value))

    def _out(self, text: str) -> None:
        """Raises: BrokenPipeError: nobody reads. Failed: stdout cannot be written."""
        self.clear()
        write_stdout(text)

    # -- stderr --------------------------------------------------------------------------------------------------------

    def note(self, text: str) -> None:
        """One line on stderr: something a person should know, whatever the result."""
        self.clear()
        self._err(visible(" ".join(text.split())) + "\n")

    def show(self, event: m.Progress, more: str = "") -> None:
        """How far the work is: one line that is written anew on a terminal, a line now and then elsewhere."""
        if self.quiet:
            return
        now = self.clock()
        if _is_terminal(sys.stderr):
            if now - self._rewritten_at >= REWRITE_SECONDS:
                self._rewritten_at = now
                line = visible(in_words(event, more))[: shutil.get_terminal_size().columns - 1]
                self._err("\r" + line.ljust(self._width))
                self._width = len(line)
        elif self._line_at is None:
            self._line_at = now + FIRST_LINE_SECONDS - LINE_SECONDS
        elif now - self._line_at >= LINE_SECONDS:
            self._line_at = now
            self._err(visible(in_words(event, more)) + "\n")

    def clear(self) -> None:
        """Take the line of progress away."""
        if self._width:
            self._err("\r" + " " * self._width + "\r")
            self._width = 0

    def _err(self, text: str) -> None:
        write_stderr(text)

    # -- work ----------------------------------------------------------------------------------------------------------

    @property
    def stopped(self) -> bool:
        """Whether a signal asked for the end."""
        return bool(self.signals.heard)

    def run(self, job: Generator[Any, Any, Result]) -> Result:
        """Run a job to its end with its progress shown.

        Raises:
            Interrupted: a signal came; the job is closed where it was.
        """
        try:
            while True:
                event = next(job)
                if isinstance(event, m.Progress):
                    self.show(event)
                elif isinstance(event, m.Notice):
                    self.note(event.text)
        except StopIteration as end:
            return end.value

    def follow(self, job: Generator[m.Event | None, Any, Any]) -> Iterator[m.Event]:
        """A job's events with its progress shown, up to its end or to a signal: what has come until then is kept."""
        with self.signals.gently(), contextlib.closing(job):
            for event in job:
                if isinstance(event, m.Progress):
                    self.show(event)
                elif isinstance(event, m.Notice):
                    self.note(event.text)
                elif event is not None:
                    yield event
                if self.stopped:
                    return


def in_words(event: m.Progress, more: str = "") -> str:
    """“Scoring held-out images · 120 of 500 images · 5 s left”."""
    count = f"{event.done:,}" if event.total is None else f"{event.done:,} of {event.total:,}"
    parts = [event.note, f"{count} {event.unit}{'' if event.done == 1 and event.total is None else 's'}", more]
    if event.seconds_left is not None:
        parts.append(f"{event.seconds_left:,.0f} s left")
    return " · ".join(part for part in parts if part)


def write_stdout(text: str) -> None:
    """Lines on stdout. Raises: BrokenPipeError: nobody reads. Failed: stdout cannot be written."""
    stream = sys.stdout
    if stream is None:
        return
    try:
        stream.write(_writable(for_verbs(text) + "\n", stream))
        stream.flush()
    except BrokenPipeError:
        _give_up(stream)
        raise
    except OSError as error:
        _give_up(stream)
        raise Failed(f"The result could not be printed ({error.strerror or error}); send it elsewhere.") from None


def write_stderr(text: str) -> None:
    """To stderr as far as there is one: a verb does not fail because nobody can hear how far it is."""
    stream = sys.stderr
    if stream is None:
        return
    try:
        stream.write(_writable(for_verbs(text), stream))
        stream.flush()
    except (OSError, ValueError):
        _give_up(stream)


def _writable(text: str, stream: TextIO) -> str:
    """With a backslash escape in place of what the stream's encoding has no sign for."""
    encoding = stream.encoding or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


def _is_terminal(stream: TextIO | None) -> bool:
    try:
        return stream is not None and stream.isatty() and os.environ.get("TERM") != "dumb"
    except ValueError:
        return False


def _give_up(stream: TextIO) -> None:
    """Send what the stream still holds, and all that comes, nowhere: else Python complains of it while it ends."""
    with contextlib.suppress(OSError, ValueError, io.UnsupportedOperation):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
        stream.flush()
