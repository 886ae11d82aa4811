"""The verb `sample`: images or texts that a model draws, as a file."""

from __future__ import annotations

import argparse
from typing import Any

from engine.cli.console import Console
from engine.cli.errors import Usage
from engine.cli.out_file import writable
from engine.cli.parser import VerbParsers, pairs, positive, positive_int
from engine.cli.runs import run_path

SHORTCUTS = {"steps": "K", "guidance": "W", "truncation": "PSI"}  # settings of samplers with an option of their own


def add(verbs: VerbParsers) -> None:
    """Its words."""
    sub = verbs.add_of_run("sample", sample_run, "Draw images or write texts from a run's model.")
    sub.add_argument("--n", type=positive_int, default=16, help="how many")
    sub.add_argument("--out", required=True, metavar="F", help="the file to write: .png of images, .txt of texts")
    sub.add_argument("--prompt", default="", metavar="TEXT", help="what each text begins with")
    sub.add_argument("--class", dest="label", type=int, metavar="Y", help="class to draw, for conditional models")
    sub.add_argument("--decode", choices=("mean", "sample"), help="of a model with p(x|z): its mean (when left out), or a sample of it")
    sub.add_argument("--caption", default="", metavar="TEXT", help="what to draw, for models of captions")
    sub.add_argument("--temperature", type=positive, default=1.0)
    sub.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of the sampler")
    for name, value in SHORTCUTS.items():
        sub.add_argument(f"--{name}", metavar=value, help=f"short for --set {name}={value}")


def sample_run(options: argparse.Namespace, console: Console) -> dict[str, Any]:
    """{"file", "n", "step", "seed", "temperature", "step_rule"} and, where there are such, "class", "decode", "sample_settings"."""
    settings = _settings(options)
    from engine.evaluation.sample_grid import sample_file

    o, out = options, writable(options.out, "--out")
    drawn = sample_file(run_path(o), out, o.n, o.seed, o.temperature, o.label, o.step, o.prompt, o.decode, settings, o.caption)
    console.say(f"{o.n} {drawn.what} from step {drawn.step:,} ({drawn.step_rule}) in {o.out}")
    told = {"file": o.out, "n": o.n, "step": drawn.step, "step_rule": drawn.step_rule, "seed": o.seed, "temperature": o.temperature}
    more = {"class": o.label, "caption": o.caption or None, "decode": drawn.decode or None, "sample_settings": drawn.settings or None}
    return told | {name: value for name, value in more.items() if value is not None}


def _settings(options: argparse.Namespace) -> dict[str, str]:
    """The sampler's settings as they were typed. Raises: Usage: one that was given both ways, differently."""
    settings = pairs(options.set)
    for name in SHORTCUTS:
        value = getattr(options, name)
        if value is not None and settings.setdefault(name, value) != value:
            raise Usage(f"--{name} {value} and --set {name}={settings[name]} differ: give one of them.")
    return settings
