"""How a helper process of the program is started and ended: it is talked to over its standard input and output."""

from __future__ import annotations

import contextlib
import subprocess

from engine.common.isolated_python import ROOT, isolated_command, isolated_environment


def start_helper(module: str, **environment: str) -> subprocess.Popen[bytes]:
    """A process that runs a module of the program, isolated; what it complains of goes nowhere. Raises: OSError: it cannot be started."""
    return subprocess.Popen(
        isolated_command(module),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=ROOT,
        env=isolated_environment(**environment),
    )


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
