"""The program's side of a process that reads foreign files (reader_child.py): starts it, talks to it, ends it when it takes too long.

A few idle processes are kept, because starting one takes a third of a second.
"""

from __future__ import annotations

import atexit
import contextlib
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from typing import IO, Any

from engine.common.helper_process import close_streams, end_helper, start_helper
from engine.data.frames import Room, receive, send
from engine.data.limits import IDLE_READERS

START_SECONDS = 60.0  # a cold disk, a busy machine

Frame = tuple[dict[str, Any], bytes]


class ReaderLate(Exception):
    """The process took too long and was ended."""


class ReaderDead(Exception):
    """The process ended by itself amid a file."""


class ReaderMissing(Exception):
    """The process does not start: a clause with the next step."""


class ReaderProcess:
    """One child process. For one thread at a time; `end` may be called from any."""

    def __init__(self) -> None:
        self._child: subprocess.Popen[bytes] | None = None
        self._ending = threading.Lock()

    @classmethod
    def borrow(cls) -> ReaderProcess:
        """An idle one where there is one, for `give_back` later."""
        with _lock:
            return _idle.pop() if _idle else cls()

    @property
    def pid(self) -> int | None:
        """The number of the process while it lives."""
        return self._child.pid if self._child is not None and self._child.poll() is None else None

    def exchange(self, request: dict[str, Any], data: bytes, seconds: float, room: Room | None = None) -> Frame:
        """The first frame that answers a request, without what `room` took of it.

        Raises: ReaderLate, ReaderDead, ReaderMissing; the process is then gone.
        """
        child = self._running()
        with self._limited(seconds) as late:
            try:
                assert child.stdin is not None and child.stdout is not None
                send(child.stdin, request, data)
                answer = _received(child.stdout, room)
            except (OSError, ValueError):
                answer = None
        return self._checked(answer, late)

    def start(self) -> None:
        """Start it where it does not run. Raises: ReaderMissing."""
        self._running()

    def more(self, seconds: float) -> Frame:
        """The next frame of an answer that has several. Raises: ReaderLate, ReaderDead."""
        child = self._child
        if child is None or child.stdout is None:
            raise ReaderDead
        with self._limited(seconds) as late:
            answer = _received(child.stdout)
        return self._checked(answer, late)

    def end(self) -> None:
        """End the process now; the next question starts a new one."""
        with self._ending:
            child, self._child = self._child, None
        if child is not None:
            end_helper(child)
            close_streams(child)

    def kill(self) -> None:
        """End the process while another thread waits for its answer: that thread hears ReaderDead."""
        child = self._child
        if child is not None:
            child.kill()

    def _checked(self, answer: Frame | None, late: threading.Event) -> Frame:
        if answer is None or late.is_set():
            child = self._child
            self.end()
            over = child is not None and child.returncode == -getattr(signal, "SIGPROF", 0)  # it has set itself a limit
            raise ReaderLate if late.is_set() or over else ReaderDead
        return answer

    @contextlib.contextmanager
    def _limited(self, seconds: float) -> Iterator[threading.Event]:
        """Kills the process when what is inside takes longer; the event says whether it did."""
        late = threading.Event()
        child = self._child

        def end() -> None:
            late.set()
            if child is not None:
                child.kill()

        timer = threading.Timer(seconds, end)
        timer.start()
        try:
            yield late
        finally:
            timer.cancel()
            timer.join()

    def _running(self) -> subprocess.Popen[bytes]:
        if self._child is not None and self._child.poll() is None:
            return self._child
        self.end()
        try:
            child = start_helper("engine.data.reader_child")
        except OSError as error:  # no memory, too many open files: not the fault of what is to be read
            raise ReaderMissing(f"the reading process cannot be started ({error.strerror or error}); close other programs") from None
        self._child = child
        with self._limited(START_SECONDS):
            ready = _received(child.stdout)
        if ready is None:
            self.end()
            raise ReaderMissing("the reading process does not start; set the program up again with “python3 run.py”")
        return child


def _received(stream: IO[bytes] | None, room: Room | None = None) -> Frame | None:
    """None when the stream ends, or holds no frame."""
    try:
        return None if stream is None else receive(stream, room)
    except (OSError, ValueError, KeyError, TypeError, MemoryError):
        return None


_idle: list[ReaderProcess] = []
_lock = threading.Lock()


@contextlib.contextmanager
def borrowed() -> Iterator[ReaderProcess]:
    """A process for one job. After an exception it is ended, since nobody knows what it is amid of; else it is kept for the next."""
    process = ReaderProcess.borrow()
    try:
        yield process
    except BaseException:
        process.end()
        raise
    give_back(process)


@contextlib.contextmanager
def made_ready(count: int) -> Iterator[Callable[[float], bool]]:
    """Starts up to `count` processes while what is inside goes on, for those who borrow them afterwards. Gives a function that waits
    that many seconds at most and says whether all have started; those that have not are ended on leaving.
    """
    with _lock:
        missing = min(count, IDLE_READERS) - len(_idle)
    given_up = threading.Event()

    def start(process: ReaderProcess) -> None:
        with contextlib.suppress(ReaderMissing):  # whoever needs it says so
            if not given_up.is_set():
                process.start()

    processes = [ReaderProcess() for _ in range(missing)]
    threads = [threading.Thread(target=start, args=(one,), name="starting a reading process", daemon=True) for one in processes]
    for thread in threads:
        thread.start()

    def started(seconds: float) -> bool:
        for thread in threads:
            if thread.is_alive():
                thread.join(seconds)
                break
        return not any(thread.is_alive() for thread in threads)

    try:
        yield started
    finally:
        given_up.set()
        for process, thread in zip(processes, threads, strict=True):
            while thread.is_alive():
                process.kill()
                thread.join(0.02)
            give_back(process)


def give_back(process: ReaderProcess) -> None:
    """Keep an idle process for the next job, or end it where there are enough."""
    with _lock:
        if process.pid is not None and len(_idle) < IDLE_READERS:
            _idle.append(process)
            return
    process.end()


def close() -> None:
    """End the idle processes now; the next file starts a new one."""
    with _lock:
        idle, _idle[:] = list(_idle), []
    for process in idle:
        process.end()


atexit.register(close)
