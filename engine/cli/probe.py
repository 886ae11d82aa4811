"""The verb `probe`: what frozen features are worth to a linear classifier and to a vote of neighbours."""

from __future__ import annotations

import argparse
from typing import Any

from engine.cli.console import Console
from engine.cli.parser import VerbParsers, positive_int, shares
from engine.cli.runs import run_path


def add(verbs: VerbParsers) -> None:
    """Its words."""
    sub = verbs.add_of_run("probe", probe_run, "Measure what a run's features are worth beside a random encoder and raw pixels.")
    sub.add_argument("--data", default="", metavar="D", help="data with classes; the run's own when left out")
    sub.add_argument("--limit", type=positive_int, default=10_000, metavar="N", help="training images, and at most as many of the split")
    sub.add_argument("--split", default="valid", choices=("valid", "test"), help="whose images are asked about")
    sub.add_argument("--blocks", action="store_true", help="also after every block of the encoder")
    sub.add_argument("--labels", type=shares, default=(), metavar="S,S", help="also with these shares of the labels, as in 0.01,0.1,1")


def probe_run(options: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Shares of right answers, all on the same images."""
    from engine.queries.probing import report

    o = options
    values = console.run(report(run_path(o), o.data, o.step, o.limit, o.split, o.blocks, o.labels))
    lines = []
    for name, value in values.items():
        rows = [(f"{name}, {key}", figures) for key, figures in value.items()] if isinstance(value, dict) else [(name, {"": value})]
        for words, figures in rows:
            parts = (f"{key} {n:.4g}" if isinstance(n, float) else f"{key} {n}" for key, n in figures.items())
            lines.append(f"{words:<32}{'   '.join(one.strip() for one in parts)}".replace("_", " "))
    console.say("\n".join(lines))
    return values
