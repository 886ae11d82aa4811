"""Watches every first import of a process: which thread executes which module, slowed down so that threads would meet.

Used in a subprocess, before anything else is imported: `install()`, and at the end `met()`.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import sys
import threading
import time
import types
from collections.abc import Callable, Sequence

SLOW = ("pydantic", "engine", "app")
SECONDS = 0.004

_lock = threading.Lock()
_executing: dict[str, list[str]] = {}  # thread -> the modules that it is executing, the outermost first
_met: list[str] = []
_first: dict[str, set[str]] = {}  # thread -> top-level packages of which it was the first to import a module


class _Watch(importlib.abc.MetaPathFinder):
    def find_spec(
        self, name: str, path: Sequence[str] | None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        for finder in sys.meta_path:
            spec = None if finder is self else finder.find_spec(name, path, target)
            if spec is not None:
                if isinstance(spec.loader, importlib.machinery.SourceFileLoader):
                    spec.loader.exec_module = _watched(name, spec.loader.exec_module)  # type: ignore[method-assign]
                return spec
        return None


def _watched(name: str, execute: Callable[[types.ModuleType], None]) -> Callable[[types.ModuleType], None]:
    def exec_module(module: types.ModuleType) -> None:
        me = threading.current_thread().name
        package = name.partition(".")[0]
        with _lock:
            for thread, modules in _executing.items():
                if thread != me and modules:
                    _met.append(f"{me} begins {name} while {thread} is in {modules[-1]}")
            mine = _executing.setdefault(me, [])
            mine.append(name)
            _first.setdefault(me, set()).add(package)
        try:
            if package in SLOW:
                time.sleep(SECONDS)
            execute(module)
        finally:
            mine.remove(name)

    return exec_module


def install() -> None:
    sys.meta_path.insert(0, _Watch())


def met() -> list[str]:
    """Every time that a thread began to execute a module while another was executing one."""
    return list(_met)


def packages(thread: str) -> set[str]:
    """Top-level packages of which this thread imported a module."""
    return set(_first.get(thread, ()))
