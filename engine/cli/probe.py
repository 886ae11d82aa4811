"""The verb `probe`: what frozen features are worth to a linear classifier and to a vote of neighbours."""

from __future__ import annotations

import argparse
import math
from typing import Any

from engine.cli.console import Console
from engine.cli.errors import Usage
from engine.cli.evaluate import note_readings
from engine.cli.parser import SPLITS, VerbParsers, positive_int, shares
from engine.cli.runs import run_path
from engine.common.counting import number_of

ROWS = (("", "this checkpoint"), ("random_init_", "random encoder"), ("pixels_", "raw pixels"))


def add(verbs: VerbParsers) -> None:
    """Its words."""
    sub = verbs.add_of_run("probe", probe_run, "Measure what a run's features are worth beside a random encoder and raw pixels.")
    sub.add_argument("--data", default="", metavar="D", help="data with classes; the run's own when left out")
    sub.add_argument("--limit", type=positive_int, default=10_000, metavar="N", help="training images, and at most as many of the split")
    sub.add_argument("--split", choices=("valid", "test"), help="whose images are asked about; valid when left out")
    sub.add_argument(
        "--final",
        action="store_true",
        help="the run's final figures: its best checkpoint on all test images, kept in the run with the date; read them once",
    )
    sub.add_argument("--blocks", action="store_true", help="also after every block of the encoder")
    sub.add_argument("--labels", type=shares, default=(), metavar="S,S", help="also with these shares of the labels, as in 0.01,0.1,1")


def probe_run(options: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Shares of right answers with their standard errors, all on the same images. Raises: Usage: words that --final settles."""
    from engine.queries.probing import report

    o = options
    if o.final:
        return _final(o, console)
    values = console.run(report(run_path(o), o.data, o.step, o.limit, o.split or "valid", o.blocks, o.labels))
    console.say(table(values))
    return values


def _final(options: argparse.Namespace, console: Console) -> dict[str, Any]:
    from engine.evaluation.final_figures import final_probe

    o = options
    if o.step is not None or o.split not in (None, "test") or o.data:
        raise Usage("--final takes the best checkpoint and all test images of the run's own data: leave out --step, --split and --data.")
    reading, count = console.run(final_probe(run_path(o), o.limit, o.blocks, o.labels))
    values: dict[str, Any] = {"step": reading.step, "step_rule": reading.step_rule, "split": reading.split, "images": reading.images}
    values |= {**reading.values, "settings": reading.settings, "date": reading.date, "reading": count}
    console.say(f"{table(values)}\nKept in the run as its final figures, {reading.date}.")
    note_readings(count, console)
    return values


def table(values: dict[str, Any]) -> str:
    """What was measured in one line, then a row for each subject: accuracy ± standard error in per cent."""
    rows = [(words, values, prefix) for prefix, words in ROWS]
    for share, figures in values.get("labels", {}).items():
        labels = f"{100 * float(share):g} % of the labels ({number_of(figures['n_train'], 'image')})"
        rows += [(f"{words}, {labels}", figures, prefix) for prefix, words in ROWS]
    for kind, words in (("blocks", "this checkpoint"), ("random_init_blocks", "random encoder")):
        rows += [(f"{words}, {block}", figures, "") for block, figures in values.get(kind, {}).items()]
    cells = [(words, _share(figures, f"{prefix}linear"), _share(figures, f"{prefix}knn")) for words, figures, prefix in rows]
    width = max(len(words) for words, *_ in cells)
    head = (
        f"{values['data']}, step {values['step']:,} ({values['step_rule']}), {number_of(values['features'], 'feature')}: fitted on "
        f"{number_of(values['n_train'], 'training image')}, asked about {number_of(values['n_test'], SPLITS[values['split']] + ' image')}"
    )
    lines = [head, "", f"{'':<{width}}  {'linear probe':>14}  {str(values['k']) + ' neighbours':>14}"]
    lines += [f"{words:<{width}}  {linear:>14}  {near:>14}" for words, linear, near in cells]
    lines.append("Accuracy ± its standard error.")
    return "\n".join(lines + ([values["note"]] if "note" in values else []))


def _share(figures: dict[str, Any], name: str) -> str:
    """“61.3 ± 0.5 %”; a dash where it was not measured."""
    value, error = figures.get(name), figures.get(f"{name}_se")
    if value is None:
        return "–"
    return f"{100 * value:.1f} %" if error is None or not math.isfinite(error) else f"{100 * value:.1f} ± {100 * error:.1f} %"
