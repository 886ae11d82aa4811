"""The program's side of the decoding process: starts it when needed, gives it two seconds a file, starts it anew when it dies."""

from __future__ import annotations

import atexit
import math
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np

from engine.data.dataset import BadData
from engine.data.frames import receive, send
from engine.data.limits import DECODE_SECONDS, LONGEST_SIDE, MAX_FILE_BYTES, MIB, UNPICKLE_SECONDS
from engine.data.pictures import Picture

START_SECONDS = 60.0  # a cold disk, a busy machine


class Undecodable(Exception):
    """Why a file gives no picture: a clause with cause and next step, without the file's name."""


class _Late(Exception):
    """The child took too long and was ended."""


class _Dead(Exception):
    """The child ended by itself amid a file."""


class Decoder:
    """One child process that decodes foreign images. Usable from several threads; they take turns."""

    def __init__(self, seconds: float = DECODE_SECONDS) -> None:
        self.seconds = seconds
        self._child: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    def decode(self, source: str | bytes, shape: tuple[int, ...] | None = None) -> Picture:
        """The first frame of a file (a path or its bytes), or with `shape` what `adapt` makes of it: then pixels are [C, H, W].

        Raises:
            Undecodable: no picture, and why.
        """
        answer, payload = self._ask("decode", source, shape)
        size = answer["shape"]
        if math.prod(size) != len(payload) or len(size) != 3 or (shape is None and max(size) > LONGEST_SIDE):
            raise Undecodable("the decoder gave a damaged answer for it; save it again as PNG")
        return Picture(np.frombuffer(payload, np.uint8).reshape(size), tuple(answer["notes"]))

    def look(self, source: str | bytes) -> tuple[int, int, int]:
        """(C, H, W) of the upright picture as its header says.

        Raises:
            Undecodable: no picture, and why.
        """
        channels, height, width = self._ask("look", source, None)[0]["shape"]
        return channels, height, width

    def unpickle(self, source: str | bytes, count: int) -> tuple[dict[str, Any], bytes]:
        """The first `count` pickles of a file (a path or its bytes): their values as plain JSON and the numbers of their arrays.

        Raises:
            Undecodable: what in it is not allowed, as the end of a sentence that begins “it ”.
        """
        data = source if isinstance(source, bytes) else b""
        path = None if isinstance(source, bytes) else os.path.abspath(source)
        with self._lock:
            try:
                answer = self._exchange({"op": "unpickle", "path": path, "count": count}, data, max(self.seconds, UNPICKLE_SECONDS))
            except _Late:
                raise Undecodable("takes longer to be read than any table of images") from None
            except _Dead:
                raise Undecodable("made the process end that reads it") from None
        if "bad" in answer[0]:
            raise Undecodable(answer[0]["bad"])
        return answer

    def close(self) -> None:
        """End the child. The next question starts a new one."""
        with self._lock:
            self._stop()

    def _ask(self, op: str, source: str | bytes, shape: tuple[int, ...] | None) -> tuple[dict[str, Any], bytes]:
        data = source if isinstance(source, bytes) else b""
        if len(data) > MAX_FILE_BYTES:
            raise Undecodable(f"it has {len(data) / MIB:,.0f} MB and the limit is {MAX_FILE_BYTES // MIB} MB; save it smaller")
        path = None if isinstance(source, bytes) else os.path.abspath(source)
        request = {"op": op, "path": path, "shape": None if shape is None else list(shape)}
        with self._lock:
            try:
                answer = self._exchange(request, data, self.seconds)
            except _Late:
                raise Undecodable(f"decoding it took longer than {self.seconds:g} seconds; save it again as a smaller PNG") from None
            except _Dead:
                raise Undecodable("its content made the decoder end; save it again as PNG") from None
        if "bad" in answer[0]:
            raise Undecodable(answer[0]["bad"])
        return answer

    def _exchange(self, request: dict[str, Any], data: bytes, seconds: float) -> tuple[dict[str, Any], bytes]:
        """The child's answer. Raises: _Late, _Dead."""
        child = self._running()
        late = threading.Event()

        def end() -> None:
            late.set()
            child.kill()

        timer = threading.Timer(seconds, end)
        timer.start()
        try:
            assert child.stdin is not None and child.stdout is not None
            send(child.stdin, request, data)
            answer = receive(child.stdout)
        except (OSError, ValueError):
            answer = None
        finally:
            timer.cancel()
            timer.join()
        if answer is None or late.is_set():
            self._stop()
            raise _Late if late.is_set() else _Dead
        return answer

    def _running(self) -> subprocess.Popen[bytes]:
        if self._child is not None and self._child.poll() is None:
            return self._child
        self._stop()
        root = str(Path(__file__).resolve().parents[2])
        search = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH", ""))))
        child = subprocess.Popen(
            [sys.executable, "-P", "-W", "ignore", "-m", "engine.data.decode_worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": search, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
        )
        self._child = child
        timer = threading.Timer(START_SECONDS, child.kill)
        timer.start()
        try:
            assert child.stdout is not None
            ready = receive(child.stdout)
        finally:
            timer.cancel()
            timer.join()
        if ready is None:
            self._stop()
            raise Undecodable("the decoding process does not start; set the program up again with “python3 run.py”")
        return child

    def _stop(self) -> None:
        child, self._child = self._child, None
        if child is None:
            return
        for stream in (child.stdin, child.stdout):
            if stream is not None:
                try:
                    stream.close()
                except OSError:
                    continue  # it broke when the child died
        try:
            child.wait(0.2)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


_decoder = Decoder()


def the_decoder() -> Decoder:
    """The one that the program shares."""
    return _decoder


def close() -> None:
    """End the decoding process now; the next picture starts a new one."""
    _decoder.close()


atexit.register(close)


def read_image(source: str | Path | bytes, name: str = "") -> Picture:
    """A picture from a file of any common kind, or from the bytes of one; decoded outside this process.

    Pixels are uint8 [H, W, 1 or 3], upright, at most 1024 pixels a side, the first frame of an animation, transparency on white.
    `notes` says what was changed.

    Raises:
        BadData: one sentence that names the file, the cause and the next step.
    """
    name = name or ("The dropped image" if isinstance(source, bytes) else f"“{Path(source).name}”")
    try:
        return the_decoder().decode(source if isinstance(source, bytes) else str(source))
    except Undecodable as why:
        raise BadData(f"{name} cannot be shown: {why}.") from None
