"""The verb `sample`: images or texts that a model draws, as a file."""

from __future__ import annotations

import argparse
from typing import Any

from engine.cli.console import Console
from engine.cli.errors import Usage
from engine.cli.out_file import writable
from engine.cli.parser import VerbParsers, pairs, positive, positive_int, share
from engine.cli.runs import add_place_of_data, located_run_path
from engine.common.counting import number_of

SHORTCUTS = {"steps": "K", "guidance": "W", "truncation": "PSI"}  # settings of samplers with an option of their own


def add(verbs: VerbParsers) -> None:
    """Its words."""
    sub = verbs.add_of_run("sample", sample_run, "Draw images or write texts from a run's model.")
    add_place_of_data(sub)
    sub.add_argument("--n", type=positive_int, default=16, help="how many")
    sub.add_argument(
        "--out",
        required=True,
        metavar="F",
        help="the file to write: .png of images or .gif, .webp, .apng of how they come about, .txt of texts",
    )
    sub.add_argument("--prompt", default="", metavar="TEXT", help="what each text begins with")
    sub.add_argument("--class", dest="label", type=int, metavar="Y", help="class to draw, for conditional models")
    sub.add_argument("--decode", choices=("mean", "sample"), help="of a model with p(x|z): its mean (when left out), or a sample of it")
    sub.add_argument("--caption", default="", metavar="TEXT", help="what to draw, for models of captions")
    sub.add_argument("--temperature", type=positive, default=1.0)
    sub.add_argument("--top-k", type=positive_int, metavar="K", help="draw each symbol among the K likeliest, for autoregressive models")
    sub.add_argument(
        "--top-p", type=share, metavar="P", help="draw each symbol among the likeliest that have P of the probability together"
    )
    sub.add_argument(
        "--rollout", type=positive_int, metavar="N", help="of a model of the next frame: N frames after the first four of a held-out clip"
    )
    sub.add_argument("--clip", type=positive_int, metavar="K", help="of --rollout: which held-out clip, from 1; the first when left out")
    sub.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of the sampler")
    for name, value in SHORTCUTS.items():
        sub.add_argument(f"--{name}", metavar=value, help=f"short for --set {name}={value}")


def sample_run(options: argparse.Namespace, console: Console) -> dict[str, Any]:
    """{"file", "n", "step", "seed", "temperature", "step_rule"} and, where there are such, "class", "decode", "sample_settings"."""
    if options.rollout or options.clip:
        return _roll_out(options, console)
    settings = _settings(options)
    from engine.evaluation.sample_grid import sample_file

    o, out = options, writable(options.out, "--out")
    drawn = sample_file(
        located_run_path(o, console),
        out,
        o.n,
        o.seed,
        o.temperature,
        o.label,
        o.step,
        o.prompt,
        o.decode,
        settings,
        o.caption,
        o.top_k or 0,
        o.top_p or 1.0,
    )
    console.say(f"{o.n} {drawn.what} from step {drawn.step:,} ({drawn.step_rule}) in {o.out}")
    told = {"file": o.out, "n": o.n, "step": drawn.step, "step_rule": drawn.step_rule, "seed": o.seed, "temperature": o.temperature}
    more = {
        "top_k": o.top_k,
        "top_p": o.top_p,
        "class": o.label,
        "caption": o.caption or None,
        "decode": drawn.decode or None,
        "sample_settings": drawn.settings or None,
    }
    return told | {name: value for name, value in more.items() if value is not None}


def _roll_out(options: argparse.Namespace, console: Console) -> dict[str, Any]:
    """{"file", "seed"} and what `engine.evaluation.rollout_film.rollout_file` tells. Raises: Usage: words of other samples."""
    o = options
    if not o.rollout:
        raise Usage("--clip says with which clip a film begins: say how many frames follow with --rollout N.")
    others = [
        o.top_k,
        o.top_p,
        o.prompt,
        o.label is not None,
        o.decode,
        o.caption,
        o.set,
        o.temperature != 1,
        *(getattr(o, name) for name in SHORTCUTS),
    ]
    if any(others):
        raise Usage("--rollout draws the next frames of a clip: leave out all but --clip, --seed, --step and --out.")
    from engine.evaluation.rollout_film import rollout_file

    told = console.run(rollout_file(located_run_path(o, console), writable(o.out, "--out"), (o.clip or 1) - 1, o.rollout, o.seed, o.step))
    console.say(
        f"{number_of(told['frames'], 'frame')} after the first four of held-out clip "
        f"{told['clip']} from step {told['step']:,} ({told['step_rule']}) in "
        f"{o.out}: {told['bits_per_dim']:.3f} bits/dim, the true ones {told['true_bits_per_dim']:.3f}"
    )
    return {"file": o.out, "seed": o.seed, **told}


def _settings(options: argparse.Namespace) -> dict[str, str]:
    """The sampler's settings as they were typed. Raises: Usage: one that was given both ways, differently."""
    settings = pairs(options.set)
    for name in SHORTCUTS:
        value = getattr(options, name)
        if value is not None and settings.setdefault(name, value) != value:
            raise Usage(f"--{name} {value} and --set {name}={settings[name]} differ: give one of them.")
    return settings
