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
    sub.add_argument("--temperature", type=positive, default=1.0)
    sub.add_argument("--decode", default="mean", choices=("mean", "sample"), help="of a model with p(x|z): its mean, or a draw of it")
    sub.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of the sampler")
    for name, value in SHORTCUTS.items():
        sub.add_argument(f"--{name}", metavar=value, help=f"short for --set {name}={value}")


def sample_run(options: argparse.Namespace, console: Console) -> dict[str, Any]:
    """{"file", "n", "step", "seed", "temperature", "class", "decode", "sample_settings"}."""
    settings = _settings(options)
    from engine.evaluation.sample_grid import sample_file
    from engine.messages import DrawSamples

    o, out = options, writable(options.out, "--out")
    asked = DrawSamples(
        job="",
        run="",
        seed=o.seed,
        temperature=o.temperature,
        label=o.label,
        prompt=o.prompt,
        decode=o.decode,
        settings=tuple(settings.items()),
    )
    drawn = sample_file(run_path(o), out, o.n, asked, o.step)
    console.say(f"{o.n} {drawn.what} from step {drawn.step:,} in {o.out}")
    return {"file": o.out} | {name: value for name, value in drawn.recipe.items() if name != "run"}


def _settings(options: argparse.Namespace) -> dict[str, str]:
    """The sampler's settings as they were typed. Raises: Usage: one that was given both ways, differently."""
    settings = pairs(options.set)
    for name in SHORTCUTS:
        value = getattr(options, name)
        if value is not None and settings.setdefault(name, value) != value:
            raise Usage(f"--{name} {value} and --set {name}={settings[name]} differ: give one of them.")
    return settings
