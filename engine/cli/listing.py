"""The verb `list`: methods, built-in data sets and detectors; with --runs the runs of a folder."""

from __future__ import annotations

import argparse
import math
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from engine import messages as m
from engine.cli.console import Console
from engine.cli.errors import Failed
from engine.cli.evaluate import TITLES, UNITS
from engine.cli.parser import VerbParsers
from engine.cli.runs import runs_root

METHOD_KEYS = ("name", "family", "density", "sampling", "conditional", "capabilities", "source")
RUN_KEYS = ("name", "run", "method", "title", "data", "data_name", "status", "step", "total_steps", "minutes", "seed", "headline", "fault")
JUDGING = ("nats", "nats_per_token", "accuracy", "linear", "knn")  # of a final figure, the first there is
DETECTOR_KEYS = ("name", "title", "density", "unit", "source", "help")


def add(verbs: VerbParsers) -> None:
    """Its words."""
    sub = verbs.add("list", list_all, "List methods, data sets and detectors, or the runs of a folder.")
    sub.add_argument(
        "--runs", nargs="?", const="", metavar="DIR", help="the runs there, newest first; without DIR those of the usual folder"
    )


def list_all(options: argparse.Namespace, console: Console) -> dict[str, Any]:
    """{"methods", "data", "detectors"}, each a list of rows; or {"folder", "runs"}."""
    if options.runs is not None:
        return list_runs(options, console)
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


def list_runs(options: argparse.Namespace, console: Console) -> dict[str, Any]:
    """{"folder", "runs"}: a row for each run, newest first, damaged ones last. Raises: Failed: there is no such folder."""
    from engine.storage.run_reader import list_runs as runs_in

    root = runs_root(options)
    if options.runs and not root.is_dir():
        raise Failed(f"There is no folder “{root}”; name the one that holds the runs.")
    found = [run.info() for run in runs_in(root)] if root.is_dir() else []
    infos = sorted(found, key=lambda info: (-info.created, info.name))
    console.say(runs_table(infos) if infos else f"There are no runs in {root}.")
    return {"folder": str(root), "runs": [_row(info) for info in infos]}


def _row(info: m.RunInfo) -> dict[str, Any]:
    row: dict[str, Any] = {key: getattr(info, key) for key in RUN_KEYS}
    created = datetime.fromtimestamp(info.created, UTC).isoformat(timespec="seconds") if info.created else None
    figures = {key: None if (figure := getattr(info, key)) is None else asdict(figure) for key in ("best", "newest")}
    return {**row, "created": created, **figures, "final_figures": [asdict(figure) for figure in info.final_figures]}


def runs_table(infos: list[m.RunInfo]) -> str:
    """Name, method, data, steps, status, the best validation number and the newest final figure of each run."""
    rows = [("run", "method", "data", "steps", "status", "best on validation", "final figure on test")]
    for info in infos:
        end = f" of {info.total_steps:,}" if info.total_steps else ""
        final = final_words(info.final_figures[-1]) if info.final_figures else ""
        rows.append((info.name, info.method, info.data_name, f"{info.step:,}{end}", info.status, info.headline, info.fault or final))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
    return "\n".join("  ".join([*(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=False)), row[-1]]).rstrip() for row in rows)


def final_words(figure: m.FinalFigure) -> str:
    """“IWAE, K = 128: 84.01 ± 0.25 nat (step 4,096, 2026-11-27)”: the first of its numbers that judges such a run."""
    values = figure.values
    name = next((name for name in JUDGING if isinstance(values.get(name), float)), "")
    if not name:
        return ""
    value, error, unit = values[name], values.get(f"{name}_se"), UNITS.get(name, "%")
    assert isinstance(value, float)
    percent = 100 if unit == "%" else 1
    beside = f" ± {percent * error:.2f}" if isinstance(error, float) and math.isfinite(error) else ""
    words = f"IWAE, K = {values['k']}" if name == "nats" and "k" in values else TITLES.get(name, name.replace("_", " "))
    return f"{words}: {percent * value:.2f}{beside} {unit} (step {figure.step:,}, {figure.date[:10]})"
