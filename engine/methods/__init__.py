"""One file here is one method. They are found by folder: there is no list to edit."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache

from engine.method import Method

broken: dict[str, Exception] = {}  # files that could not be imported, by name


class UnknownMethod(ValueError):
    """One sentence that names the methods there are."""


@cache
def all_methods() -> dict[str, type[Method]]:
    """Every method by name, in alphabetical order. A file that cannot be imported is left out; `broken` names it."""
    found = {}
    for module_info in pkgutil.iter_modules(__path__):
        try:
            module = importlib.import_module(f"{__name__}.{module_info.name}")
        except Exception as error:  # somebody's method in the making must not take the others along
            broken[module_info.name] = error
            continue
        for value in vars(module).values():
            if isinstance(value, type) and issubclass(value, Method) and value.__module__ == module.__name__:
                value.name = module_info.name
                found[module_info.name] = value
    return found


def method_named(name: str) -> type[Method]:
    """Raises: UnknownMethod."""
    methods = all_methods()
    if name in broken:
        raise UnknownMethod(f"The method “{name}” cannot be used: its file fails with “{broken[name]}”; mend engine/methods/{name}.py.")
    if name not in methods:
        raise UnknownMethod(f"There is no method “{name}”; there are: {', '.join(methods)}.")
    return methods[name]
