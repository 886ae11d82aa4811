"""The verb `sample`: images or texts that a model draws, as a file."""

from __future__ import annotations

import argparse
from typing import Any

from engine.cli.console import Console
from engine.cli.out_file import writable
from engine.cli.parser import VerbParsers, positive, positive_int
from engine.cli.runs import run_path


def add(verbs: VerbParsers) -> None:
    """Its words."""
    sub = verbs.add_of_run("sample", sample_run, "Draw images or write texts from a run's model.")
    sub.add_argument("--n", type=positive_int, default=16, help="how many")
    sub.add_argument("--out", required=True, metavar="F", help="the file to write: .png of images, .txt of texts")
    sub.add_argument("--prompt", default="", metavar="TEXT", help="what each text begins with")
    sub.add_argument("--class", dest="label", type=int, metavar="Y", help="class to draw, for conditional models")
    sub.add_argument("--temperature", type=positive, default=1.0)


def sample_run(options: argparse.Namespace, console: Console) -> dict[str, Any]:
    """{"file", "n", "step", "seed", "temperature"}."""
    from engine.evaluation.sample_grid import sample_file

    o, out = options, writable(options.out, "--out")
    step, what = sample_file(run_path(o), out, o.n, o.seed, o.temperature, o.label, o.step, o.prompt)
    console.say(f"{o.n} {what} from step {step:,} in {o.out}")
    return {"file": o.out, "n": o.n, "step": step, "seed": o.seed, "temperature": o.temperature}
