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
    sub.add_argument("--decode", choices=("mean", "sample"), help="of a model with p(x|z): its mean (when left out), or a sample of it")
    sub.add_argument("--temperature", type=positive, default=1.0)


def sample_run(options: argparse.Namespace, console: Console) -> dict[str, Any]:
    """{"file", "n", "step", "seed", "temperature", "step_rule"} and, of a model with p(x|z), "decode"."""
    from engine.evaluation.sample_grid import sample_file

    o, out = options, writable(options.out, "--out")
    drawn = sample_file(run_path(o), out, o.n, o.seed, o.temperature, o.label, o.step, o.prompt, o.decode)
    console.say(f"{o.n} {drawn.what} from step {drawn.step:,} ({drawn.step_rule}) in {o.out}")
    told = {"file": o.out, "n": o.n, "step": drawn.step, "step_rule": drawn.step_rule, "seed": o.seed, "temperature": o.temperature}
    return told | ({"decode": drawn.decode} if drawn.decode else {})
