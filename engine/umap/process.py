"""The program's side of the process that lays out UMAPs (child.py): started once and kept, ended at once when it is stopped.

A process of its own because its compiled code keeps Python's lock: a thread would freeze the window.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
import threading
import weakref
from collections.abc import Generator
from functools import cache
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import IO, Any

import numpy as np

from engine.common.helper_process import close_streams, end_helper, start_helper
from engine.common.user_folders import user_folder
from engine.data.frames import receive, send
from engine.detectors.base import aside
from engine.umap.projection import Graph

WAIT_SECONDS = 0.005  # for an answer, between two yields
START_SECONDS = 120.0  # a cold disk, a busy machine, nothing compiled yet

ChildMessage = tuple[dict[str, Any], bytes]  # a head in JSON, and the bytes of arrays


class NoLayout(Exception):
    """One sentence: why a map could not be laid out, and what to do."""


class UmapProcess:
    """One helper process, by and by. It ends with `close`, with this object, and with the program."""

    def __init__(self) -> None:
        self._child: subprocess.Popen[bytes] | None = None
        self._end: Any = None
        self._answers: SimpleQueue[ChildMessage | None] = SimpleQueue()
        self._ready = False

    @property
    def pid(self) -> int | None:
        """The number of the process while it lives."""
        return self._child.pid if self._child is not None and self._child.poll() is None else None

    def start(self) -> None:
        """Let it begin to import; it takes a second or two. Does nothing while it lives. Raises: NoLayout: it cannot be started."""
        if self.pid is not None:
            return
        self.close()
        try:
            child = start_helper("engine.umap.child", NUMBA_CACHE_DIR=str(compiled_folder()))
        except OSError as error:  # no memory, too many open files
            sentence = f"The process that draws UMAPs cannot be started ({error.strerror or error}); close other programs, or draw a PCA."
            raise NoLayout(sentence) from None
        answers: SimpleQueue[ChildMessage | None] = SimpleQueue()
        ended = threading.Event()
        threading.Thread(target=_read_messages, args=(child.stdout, answers, ended), name="umap answers", daemon=True).start()
        self._child, self._answers, self._ready = child, answers, False
        self._end = weakref.finalize(self, _stop, child, ended)  # also at the end of the program

    def lay_out(
        self, graph: Graph, begin: np.ndarray, curve: tuple[float, float], epochs: int, alpha: float, seed: int
    ) -> Generator[Any, None, np.ndarray]:
        """Places float32 [N, 2], from `begin`; yields the epochs done, often. Closing the generator ends the process at once.

        Raises:
            NoLayout: the process does not start, or died.
        """
        self.start()
        finished = False
        try:
            yield from self._until_ready()
            head = {
                "count": len(begin),
                "edges": len(graph.head),
                "epochs": epochs,
                "alpha": alpha,
                "seed": seed,
                "a": curve[0],
                "b": curve[1],
            }
            parts = (graph.head.astype(np.int32), graph.tail.astype(np.int32), graph.weight.astype(np.float32), begin.astype(np.float32))
            payload = b"".join(part.tobytes() for part in parts)
            asking = aside(lambda: self._send(head, payload))
            for _ in asking:
                yield 0
            done = 0
            while True:
                frame = self._next_message()
                if frame is not None:
                    reply, places = frame
                    if "done" in reply:
                        finished = True
                        return np.frombuffer(places, np.float32).reshape(-1, 2).copy()
                    done = reply["epochs"]
                yield done
        finally:
            if not finished:
                self.close()

    def close(self) -> None:
        """End the process and wait for its end, a few milliseconds."""
        self._child = None
        if self._end is not None:
            self._end()
            self._end = None

    def _until_ready(self) -> Generator[int, None, None]:
        waited = 0.0
        while not self._ready:
            if self._next_message() is not None:
                self._ready = True
            elif (waited := waited + WAIT_SECONDS) > START_SECONDS:
                raise NoLayout("The process that draws UMAPs did not become ready; draw the map as PCA, or restart the program.")
            yield 0

    def _next_message(self) -> ChildMessage | None:
        """The next answer, if there is one soon. Raises: NoLayout."""
        try:
            frame = self._answers.get(timeout=WAIT_SECONDS)
        except Empty:
            return None
        if frame is None and not self._ready:
            raise NoLayout("The process that draws UMAPs does not start; set the program up again with “python3 run.py”, or draw a PCA.")
        if frame is None:
            raise NoLayout("The process that draws UMAPs ended by itself, perhaps for want of memory; draw fewer images.")
        return frame

    def _send(self, head: dict[str, Any], payload: bytes) -> None:
        """A large graph does not fit into the pipe: this waits until it is read."""
        child = self._child
        if child is not None and child.stdin is not None:
            with contextlib.suppress(OSError, ValueError):  # it was stopped, or died: then its answers end
                send(child.stdin, head, payload)


def _read_messages(stream: IO[bytes], answers: SimpleQueue[ChildMessage | None], ended: threading.Event) -> None:
    with contextlib.suppress(OSError, ValueError):
        while (frame := receive(stream)) is not None:
            answers.put(frame)
    answers.put(None)
    ended.set()


def _stop(child: subprocess.Popen[bytes], ended: threading.Event) -> None:
    """Also called while a thread ends, which may not join another any more."""
    end_helper(child)
    ended.wait(1.0)  # nobody reads from the stream that is closed now
    close_streams(child)


def compiled_folder() -> Path:
    """Where compiled code is kept: a folder that can be written to, or numba refuses to compile."""
    if named := os.environ.get("NUMBA_CACHE_DIR"):
        return Path(named)
    named = os.environ.get("PRIORAMA_CACHE")
    wanted = (Path(named) if named else user_folder("cache")) / "compiled"
    with contextlib.suppress(OSError):
        wanted.mkdir(parents=True, exist_ok=True)
        if os.access(wanted, os.W_OK):
            return wanted
    return Path(_temporary().name)


@cache
def _temporary() -> tempfile.TemporaryDirectory[str]:
    """Ours alone, and gone with the program."""
    return tempfile.TemporaryDirectory(prefix="priorama-compiled-")
