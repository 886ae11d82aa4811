"""The verb `list`: methods, built-in data sets and detectors."""

from __future__ import annotations

import argparse
from typing import Any

from engine.cli.console import Console
from engine.cli.parser import VerbParsers

METHOD_KEYS = ("name", "family", "density", "sampling", "conditional", "capabilities", "source")
DETECTOR_KEYS = ("name", "title", "density", "unit", "source", "help")


def add(verbs: VerbParsers) -> None:
    """Its words."""
    verbs.add("list", list_all, "List methods, data sets and detectors.")


def list_all(_options: argparse.Namespace, console: Console) -> dict[str, Any]:
    """{"methods", "data", "detectors"}, each a list of rows."""
    from engine.data import built_in
    from engine.detectors.base import all_detectors, list_info
    from engine.method import info
    from engine.methods import all_methods

    detectors = [list_info(kind) for kind in all_detectors().values()]
    methods = [info(method) for method in all_methods().values()]
    data = [{"name": d.data, "kind": d.kind, "summary": d.summary} for d in built_in()]
    console.say(
        "\n".join(
            [
                "Methods",
                *(f"  {method.name:<20}{method.title} · {method.family} · {method.source}" for method in methods),
                "Data (or a path to images, arrays or text)",
                *(f"  {row['name']:<20}{row['summary']}" for row in data),
                "Detectors",
                *(f"  {detector.name:<20}{detector.title} · {detector.density} · {detector.source}" for detector in detectors),
            ]
        )
    )
    return {
        "methods": [{key: getattr(method, key) for key in METHOD_KEYS} for method in methods],
        "data": data,
        "detectors": [{key: getattr(detector, key) for key in DETECTOR_KEYS} for detector in detectors],
    }
