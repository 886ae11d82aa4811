"""One writer at a time: a lock file that names its holder (process, computer, start time) and is also locked by the system.

The system's lock decides between writers and ends with the process that held it. The names tell readers, who never take the
lock, whether the writer still lives.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import stat
import sys
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from engine.storage import atomic_io
from engine.storage.disk import NO_FOLLOW, said_plainly

try:
    import fcntl
except ImportError:
    fcntl = None

_FAR = 1 << 30  # Windows locks bytes, and locked bytes cannot be read: lock one where nothing is written


class Held(Exception):
    """One sentence: who is writing."""


@dataclass(frozen=True)
class Holder:
    """The process that wrote a lock file."""

    pid: int
    host: str
    start: str  # tells two processes with the same number apart; "" where the system does not say

    @property
    def is_me(self) -> bool:
        """Whether this process holds the lock."""
        return self == me()


def me() -> Holder:
    """This process as a holder of locks."""
    return Holder(os.getpid(), platform.node(), process_start(os.getpid()) or "")


def holder(path: Path) -> Holder | None:
    """The living process that holds this lock, None when nobody does."""
    try:
        found = os.lstat(path)
        if not stat.S_ISREG(found.st_mode) or found.st_size == 0:
            return None
        named = _parse(atomic_io.read_file(path, limit=4096))
    except (OSError, atomic_io.Damaged):
        return None
    if named is not None and named.host == platform.node() and sys.platform == "linux":
        return named if process_start(named.pid) == named.start else None
    return (named or Holder(0, "", "")) if _is_locked(path) else None


class Lock:
    """Held from `Lock(path)` to `release()`, or until the process dies."""

    def __init__(self, path: Path, at: int | None = None) -> None:
        """`at` is the handle of the folder that `path` lies in. Raises: Held, DiskRefuses, Linked."""
        self.path = path
        with said_plainly(path.parent, 4096):
            self._handle = atomic_io.layer.open_lock(path, at)
        try:
            self._take()
        except BaseException:
            os.close(self._handle)
            raise

    def _take(self) -> None:
        other = holder(self.path)
        if not _lock_handle(self._handle) or (fcntl is None and other and not other.is_me):
            raise Held(_sentence(other))
        try:
            os.ftruncate(self._handle, 0)
            os.write(self._handle, json.dumps(vars(me())).encode())
        except OSError:
            if fcntl is None:  # there the name in the file is the lock
                raise
            # The system's lock holds without a name, so a run can be deleted to make room on a full disk.

    def release(self) -> None:
        """The file stays, empty: removing it would let two others lock two different files of the same name."""
        if self._handle < 0:
            return
        with contextlib.suppress(OSError):
            os.ftruncate(self._handle, 0)
        with contextlib.suppress(OSError):
            os.close(self._handle)
        self._handle = -1


def process_start(pid: int) -> str | None:
    """When a process started, as the system counts it; None when there is no such process (or the system does not tell)."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return None
    if len(fields) < 20 or fields[0] in (b"Z", b"X"):
        return None
    return f"{_boot()} {fields[19].decode()}"


@cache
def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def _parse(data: bytes) -> Holder | None:
    try:
        content = atomic_io.read_json(data)
        return Holder(int(content["pid"]), str(content["host"]), str(content["start"]))
    except (atomic_io.Damaged, KeyError, TypeError, ValueError):
        return None


def _sentence(other: Holder | None) -> str:
    who = f"process {other.pid} on “{other.host}”" if other and other.pid else "another process"
    return f"This run is being written by {who}: stop it there first, or only look at the run here."


def _lock_handle(handle: int) -> bool:
    """A reader may hold the lock for an instant while it looks, so a refusal is asked again a few times."""
    for last in (False,) * 4 + (True,):
        if _try_lock(handle):
            return True
        if not last:
            time.sleep(0.02)
    return False


def _try_lock(handle: int) -> bool:
    try:
        if fcntl is not None:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        else:
            import msvcrt

            os.lseek(handle, _FAR, os.SEEK_SET)
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)  # pyright: ignore[reportAttributeAccessIssue]
            os.lseek(handle, 0, os.SEEK_SET)
    except (BlockingIOError, PermissionError):
        return False
    except OSError:
        return True  # a file system without locks: the holder's name has to do
    return True


def _is_locked(path: Path) -> bool:
    try:
        handle = os.open(path, os.O_RDWR | NO_FOLLOW)
    except OSError:
        return False
    try:
        return not _try_lock(handle)
    finally:
        os.close(handle)
