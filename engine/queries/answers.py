"""Who answers which message: `@answers(m.Decode)` on a function or a method in a file of this folder. Nothing else lists them.

A query (`m.Query`) is answered by returning an `m.Answer`. A job (`m.Work`) is a generator of events that yields None where it may be
interrupted and returns its closing sentence. A function is called with (session, message). A method belongs to a class that keeps what
several answers share; the session builds it once, as `Class(session)`.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import Any, TypeVar

from engine import messages as m

Result = TypeVar("Result")
Job = Generator[m.Event | None, None, str | None]  # of the query lane
Part = Generator[m.Event | None, None, Result]  # of such a job
Function = TypeVar("Function", bound=Callable[..., Any])

_KIND = "_answered_kind"


@dataclass(frozen=True)
class Handler:
    """What answers one kind of message."""

    function: Callable[..., Any]
    room: type | None = None  # the class whose method it is


def answers(kind: type[m.Query] | type[m.Work]) -> Callable[[Function], Function]:
    """Declare that a function or a method answers this kind of message."""

    def declare(function: Function) -> Function:
        setattr(function, _KIND, kind)
        return function

    return declare


@cache
def handlers() -> dict[type, Handler]:
    """What is declared in this folder, by kind of message.

    Raises:
        TypeError: two answers to one kind.
    """
    import engine.queries

    found: dict[type, Handler] = {}
    for info in pkgutil.iter_modules(engine.queries.__path__):
        for kind, handler in _declared(importlib.import_module(f"engine.queries.{info.name}")):
            if kind in found:
                places = " and ".join(f"{h.function.__module__}.{h.function.__qualname__}" for h in (found[kind], handler))
                raise TypeError(f"{kind.__name__} is answered twice, by {places}.")
            found[kind] = handler
    return found


def _declared(module: ModuleType) -> Iterator[tuple[type, Handler]]:
    for value in vars(module).values():
        if getattr(value, "__module__", None) != module.__name__:
            continue  # imported
        room = value if isinstance(value, type) else None
        for function in vars(value).values() if room else [value]:
            kind = getattr(function, _KIND, None)
            if isinstance(kind, type):
                yield kind, Handler(function, room)
