"""The verbs `score` and `ood`: how likely images are, and how well that tells data sets apart."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from engine.cli.console import Console
from engine.cli.errors import Failed
from engine.cli.out_file import writable
from engine.cli.parser import VerbParsers, positive, positive_int
from engine.cli.runs import add_place_of_data, located_run_path
from engine.cli.text import all_visible
from engine.cli.train import drive


def add(verbs: VerbParsers) -> None:
    """Their words."""
    images = verbs.add_of_run("score", score, "Say how likely images are, by every score the run has.")
    images.add_argument("files", nargs="+", metavar="FILE", help="images, or folders of them")
    images.add_argument("--csv", metavar="F.csv", help="also write the table there")
    sets = verbs.add_of_run("ood", compare, "Measure how well every score tells one data set from others.")
    sets.add_argument("--in", dest="known", metavar="D", help="data to be known; the run's own when left out")
    sets.add_argument("--out", required=True, action="append", nargs="+", metavar="D", help="data to be told from it")
    sets.add_argument("--limit", type=positive_int, default=2000, help="images on each side, spread over the split")
    sets.add_argument(
        "--split", default="valid", choices=("train", "valid", "test"), help="whose images of the known data; of the others test"
    )
    sets.add_argument(
        "--batch",
        type=positive_int,
        metavar="M",
        help="also how well the mean of log p tells batches of M images (typicality): half of the known images calibrate it",
    )
    sets.add_argument("--scores", metavar="F.csv", help="also write the raw scores of every image there")
    for sub in (images, sets):
        add_place_of_data(sub)
        sub.add_argument("--held-out", type=positive_int, default=500, metavar="N", help="held-out images that p-values compare with")
        sub.add_argument("--k", type=positive_int, default=64, help="importance samples per image for bounds")
        sub.add_argument("--background", action="store_true", help="build the background models of the likelihood ratios first, if missing")
        sub.add_argument(
            "--background-steps", type=positive_int, metavar="N", help="their training steps; else the run's own, of the local one 2,000"
        )
        sub.add_argument("--background-minutes", type=positive, metavar="M", help="at most so many minutes of training for each")


def score(options: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Every score of every image."""
    from engine.evaluation.score_report import score_files, table, write_csv

    o = options
    csv = writable(o.csv, "--csv") if o.csv else None
    path = _with_background(o, console)
    result = score_files(path, o.step, o.files, o.held_out, o.k, o.seed, console.follow)
    if csv is not None:
        write_csv(csv, result)
    console.say(table(all_visible(result)))
    if not any("scores" in image for image in result["images"]) and "stopped" not in result:
        result["failed"] = "No image could be scored; the reason stands beside each file."
    return result


def compare(options: argparse.Namespace, console: Console) -> dict[str, Any]:
    """AUROC and false-positive rates of every score, for every other data set."""
    from engine.evaluation.score_report import compare_data, comparison

    o = options
    raw = writable(o.scores, "--scores") if o.scores else None
    path = _with_background(o, console)
    others = [name for names in o.out for name in names]
    _require_data(others)
    result = compare_data(path, o.step, o.known, others, o.limit, o.held_out, o.k, o.split, o.seed, raw, console.follow, o.batch)
    console.say(comparison(all_visible(result)))
    return result


def _require_data(names: list[str]) -> None:
    """Raises: BadData: one of them is nowhere; found before the others are scored."""
    from engine.data import lasting, open_data
    from engine.data.builtin import is_built_in

    for name in names:
        if not is_built_in(name) and not Path(lasting(name)).exists():
            open_data(name)  # says it in its own words


def _with_background(options: argparse.Namespace, console: Console) -> Path:
    """The run's folder; with --background its background models are built first where there are none. Raises: Failed."""
    path = located_run_path(options, console)
    if options.background or options.background_steps or options.background_minutes:
        from engine.detectors.base import background_kinds
        from engine.queries.session import Model
        from engine.storage.run_reader import Run
        from engine.training.background_models import build_background, find_background

        for kind in background_kinds(Model(Run.open(path), options.step).method):
            found, why, buildable = find_background(path, kind)
            if found is not None:
                continue
            if not buildable:
                raise Failed(why)
            ends = options.background_steps, options.background_minutes
            outcome, _ = drive(build_background(path, *ends, kind=kind), console)
            if outcome.status != "done":
                raise Failed(f"The {kind} background model is not ready: {outcome.message}")
    return path
