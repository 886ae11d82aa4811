"""The one place where the engine's heavy imports happen: one thread does them all, and whoever needs them waits.

Two threads that import the same package for the first time may each be given the other's half-made module, because Python
breaks the deadlock of their import locks that way. This module itself imports quickly.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING

from engine import messages as m

if TYPE_CHECKING:
    from engine.queries.session import QuerySession


def share_the_cores() -> None:
    """Before torch is imported in a process with a window: threads of a training that wait for each other spin for some tens of
    microseconds, then leave the core. Spinning longer starves the window; not spinning costs a quarter of the training's speed."""
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")


def give_way(niceness: int) -> None:
    """Let this thread, and those it starts, wait for the window's when there are more threads than cores. Only Linux has it per thread."""
    if sys.platform.startswith("linux"):
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), niceness)


@cache
def threads_of_machine() -> int:
    """As torch finds them when it comes. Asked once: a thread that asks later is told what was set last, in whatever thread."""
    import torch

    return torch.get_num_threads()


class Startup:
    """What the lanes have to know about the start: the query lane imports everything, the training lane waits until it is `over`."""

    def __init__(self) -> None:
        self.began = time.perf_counter()
        self.over = threading.Event()  # torch is here, or failed to come
        self.works = False  # it came, and the methods with it
        self.threads = 1  # of the training lane; what torch finds right for this machine, once it is here

    def open_session(self, publish: Callable[[m.Event], None]) -> QuerySession:
        """Import torch, the methods and all that either lane uses, and tell the window what there is -> the query lane's models."""
        import PIL.Image
        import PIL.ImageFilter  # noqa: F401
        import platformdirs  # noqa: F401
        import torch

        from engine import device, precision
        from engine.method import info
        from engine.methods import all_methods, broken
        from engine.queries.session import QuerySession
        from engine.training.background_models import build_background  # noqa: F401  (the training lane must find it imported)
        from engine.training.recorder import versions

        # The number of threads holds per calling thread, but a thread that has not asked yet takes the newest one set anywhere:
        # so this lane asks at once, and the training lane sets its own afterwards.
        self.threads = threads_of_machine()
        torch.set_num_threads(1)  # a small decode must not wait for the training's threads
        torch.get_num_threads()
        session = QuerySession()
        methods = tuple(info(method) for method in all_methods().values())
        for name, error in broken.items():
            details = "".join(traceback.format_exception(error))
            publish(m.Notice("warning", f"The method “{name}” was left out: its file fails with “{error}”.", details))
        best = device.choose("auto")
        publish(
            m.Ready(
                methods=methods,
                device=device.describe(best),
                devices=device.available(),
                cores=device.cores(),
                precision=precision.best(best),
                versions=versions(),
                seconds=time.perf_counter() - self.began,
            )
        )
        self.works = True
        return session
