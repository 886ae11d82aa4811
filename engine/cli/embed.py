"""The verb `embed`: a map of images as an encoder sees them, as a table of places."""

from __future__ import annotations

import argparse
from typing import Any

from engine.cli.console import Console
from engine.cli.out_file import writable
from engine.cli.parser import SPLITS, VerbParsers, positive_int
from engine.cli.runs import run_path
from engine.common.counting import number_of


def add(verbs: VerbParsers) -> None:
    """Its words."""
    sub = verbs.add_of_run("embed", embed_run, "Draw a map of images as a run's encoder sees them, and write it as a table.")
    sub.add_argument("--data", default="", metavar="D", help="data whose images are mapped; the run's own when left out")
    sub.add_argument("--out", required=True, metavar="F.csv", help="the table to write: index, label, x, y")
    sub.add_argument("--map", default="umap", choices=("umap", "pca"), help="how features become places")
    sub.add_argument("--limit", type=positive_int, default=2000, metavar="N", help="how many images, evenly spread over the split")
    sub.add_argument("--split", default="valid", choices=("train", "valid", "test"), help="whose images")
    sub.add_argument("--features", metavar="F.npz", help="also write the features themselves there, with labels, places and file names")


def embed_run(options: argparse.Namespace, console: Console) -> dict[str, Any]:
    """{"file", "n", "step", "map", …}, and how far the map is to be trusted."""
    from engine.evaluation.embedding_table import map_file

    o = options
    out, features = writable(o.out, "--out"), writable(o.features, "--features") if o.features else None
    result = map_file(run_path(o), out, o.data, o.map, o.seed, o.limit, o.step, o.split, features, console.follow)
    if "stopped" in result:
        return result
    trust = "" if result["trustworthiness"] is None else f" · trustworthiness {result['trustworthiness']:.3f}"
    knn = "" if result["knn"] is None else f" · kNN on the map {result['knn']:.1%}"
    images = number_of(result["n"], f"{SPLITS[result['split']]} image")
    console.say(f"{images} at step {result['step']:,} ({result['step_rule']}) in {result['file']}{trust}{knn}")
    return result
