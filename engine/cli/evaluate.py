"""The verb `eval`: held-out likelihood or accuracy of a checkpoint, and distances of its samples."""

from __future__ import annotations

import argparse
from typing import Any

from engine.cli.console import Console
from engine.cli.errors import Usage
from engine.cli.parser import VerbParsers, positive_int
from engine.cli.runs import run_path


def add(verbs: VerbParsers) -> None:
    """Its words."""
    sub = verbs.add_of_run("eval", evaluate_run, "Score a run on its test or validation split.")
    sub.add_argument("--limit", type=positive_int, help="how many images, spread over the split; of a text, symbols")
    sub.add_argument("--split", default="test", choices=("test", "valid", "train"), help="whose images")
    sub.add_argument(
        "--final",
        action="store_true",
        help="the run's final figures: its best checkpoint on all test images, kept in the run with the date; read them once",
    )
    sub.add_argument("--k", type=positive_int, default=128, help="importance samples per image for bounds")
    sub.add_argument(
        "--prior",
        default="uniform",
        metavar="P",
        help="of Bayes' rule on p(x|y): uniform, data (the classes' shares of the training images), or a probability for each class, "
        "with commas between",
    )
    sub.add_argument(
        "--features", metavar="RUN", help="also the Fréchet and the kernel distance of samples, in the features of this run's encoder"
    )
    sub.add_argument("--samples", type=positive_int, default=1000, metavar="N", help="how many samples those are of")


def evaluate_run(options: argparse.Namespace, console: Console) -> dict[str, Any]:
    """What the method can be measured by; see `engine.evaluation.evaluate`."""
    from engine.evaluation.bayes import BadPrior
    from engine.evaluation.evaluate import evaluate
    from engine.queries.session import CannotAnswer, Model
    from engine.storage.run_reader import Run

    path = run_path(options)
    if options.final:
        return _final(options, console)
    encoder = run_path(options, options.features) if options.features else None
    try:
        result = console.run(evaluate(path, options.step, options.limit, options.k, options.seed, split=options.split, prior=options.prior))
        values: dict[str, Any] = {"step": result.step, "step_rule": result.step_rule, "split": options.split}
        values |= {**({"images": result.images} if result.images else {}), **result.values}
    except BadPrior as error:
        raise Usage(str(error)) from None
    except CannotAnswer:
        if encoder is None:
            raise
        model = Model(Run.open(path), options.step)
        values = {"step": model.step, "step_rule": model.step_rule}  # samples can be compared where nothing else can be scored
    if encoder is not None:
        from engine.evaluation.fid import fidelity

        values |= console.run(fidelity(path, encoder, options.samples, values["step"], options.seed, split=options.split))
    _say(values, console)
    return values


def _final(options: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Read the final figures and say which reading it was. Raises: Usage: words that would make it another measurement."""
    from engine.evaluation.final_figures import final_figures

    if options.limit or options.step is not None or options.split != "test" or options.features or options.prior != "uniform":
        raise Usage("--final takes the best checkpoint and all test images: leave out --limit, --step, --split, --prior and --features.")
    reading, count = console.run(final_figures(run_path(options), options.k, options.seed))
    values: dict[str, Any] = {"step": reading.step, "step_rule": reading.step_rule, "split": reading.split, "images": reading.images}
    values |= {**reading.values, "date": reading.date, "reading": count}
    _say(values, console)
    if count > 1:
        console.note(
            f"The test images were read {count} times for this run: what was chosen by an earlier reading makes this one look too good."
        )
    return values


def _say(values: dict[str, Any], console: Console) -> None:
    rows = ((name.replace("_", " "), f"{value:.4f}" if isinstance(value, float) else value) for name, value in values.items())
    console.say("\n".join(f"{name:<19} {value}" for name, value in rows))
