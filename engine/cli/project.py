"""The verbs `bench` and `test`: what is measured and tested of the program itself, from a clone of the project."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path
from typing import Any

from engine.cli.console import Console
from engine.cli.errors import Failed
from engine.cli.parser import VerbParsers


def add(verbs: VerbParsers) -> None:
    """Their words."""
    bench = verbs.add("bench", measure, "Measure the rows of the README's speed table.")
    bench.add_argument("names", nargs="*", metavar="NAME")
    bench.add_argument("--save", action="store_true", help="keep the figures under benchmarks/results")
    bench.add_argument("--markdown", action="store_true", help="measure nothing, print the README's table from the kept figures")
    test = verbs.add("test", run_tests, "Run the tests.")
    test.add_argument("rest", nargs=argparse.REMAINDER)


def measure(options: argparse.Namespace, console: Console) -> dict[str, Any]:
    """{"rows"}, or {"markdown"}."""
    try:
        import benchmarks
    except ImportError:
        raise Failed("The benchmarks are not installed with the package; run them from a clone of the project.") from None
    if options.markdown:
        table = benchmarks.markdown(options.names)
        console.say(table)
        return {"markdown": table}
    rows = benchmarks.run(options.names, save=options.save, tell=console.say)
    return {**benchmarks.about(), "rows": rows}


def run_tests(options: argparse.Namespace, _console: Console) -> int:
    """The exit code of pytest."""
    project = Path(__file__).resolve().parents[2]
    if not (project / "tests").is_dir():
        raise Failed("The tests are not installed with the package; run them from a clone of the project.")
    return subprocess.call([sys.executable, "-m", "pytest", *options.rest], cwd=project)
