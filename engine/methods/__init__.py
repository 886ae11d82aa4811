"""One file here is one method. They are found by folder: there is no list to edit."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache

from engine.method import Method


class UnknownMethod(ValueError):
    """One sentence that names the methods there are."""


@cache
def all_methods() -> dict[str, type[Method]]:
    """Every method by name, in alphabetical order."""
    found = {}
    for module_info in pkgutil.iter_modules(__path__):
        module = importlib.import_module(f"{__name__}.{module_info.name}")
        for value in vars(module).values():
            if isinstance(value, type) and issubclass(value, Method) and value.__module__ == module.__name__:
                value.name = module_info.name
                found[module_info.name] = value
    return found


def method_named(name: str) -> type[Method]:
    """Raises: UnknownMethod."""
    methods = all_methods()
    if name not in methods:
        raise UnknownMethod(f"There is no method “{name}”; there are: {', '.join(methods)}.")
    return methods[name]
