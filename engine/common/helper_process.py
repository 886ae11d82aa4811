"""How a helper process of the program is started and ended: it is talked to over its standard input and output."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from typing import IO

from engine.common.isolated_python import ROOT, isolated_command, isolated_environment

if sys.platform == "linux":
    import fcntl


PIPE_BYTES = 1 << 20  # what Linux allows to anyone; the usual 64 KB make the two sides wait for each other at every few images
_SET_SIZE = 1031  # F_SETPIPE_SZ of linux/fcntl.h, which Python knows from 3.10 on, on Linux only


def start_helper(module: str, **environment: str) -> subprocess.Popen[bytes]:
    """A process that runs a module of the program, isolated; what it complains of goes nowhere. Raises: OSError: it cannot be started."""
    child = subprocess.Popen(
        isolated_command(module),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=ROOT,
        env=isolated_environment(**environment),
    )
    _widen(child.stdout)
    return child


def _widen(pipe: IO[bytes] | None) -> None:
    """Let more wait in a pipe than usual, where the system can."""
    if sys.platform == "linux" and pipe is not None:
        with contextlib.suppress(OSError):  # not allowed so much
            fcntl.fcntl(pipe, _SET_SIZE, PIPE_BYTES)


def end_helper(child: subprocess.Popen[bytes]) -> None:
    """Kill it and wait for its end; where it has ended by itself, its own exit code stays. Close its streams with `close_streams`."""
    child.kill()
    child.wait()


def close_streams(child: subprocess.Popen[bytes]) -> None:
    """Close what led to it; the last words to a dead one are lost."""
    for stream in (child.stdin, child.stdout):
        if stream is not None:
            with contextlib.suppress(OSError, ValueError):  # it broke when the child died
                stream.close()
