"""The verbs `score` and `ood`: the Likelihood pane's own jobs, run to their end, as plain dictionaries and tables of text."""

from __future__ import annotations

import csv
import io
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from engine import messages as m
from engine.common import ood_metrics
from engine.queries.session import QuerySession
from engine.storage.atomic_io import write_file

DENSITIES = ("exact", "bound")  # all else says nothing about p(x): "none"


class BadTable(Exception):
    """One sentence: why a table could not be written."""


def score_files(run: Path, step: int | None, files: list[str], held_out: int = 500, k: int = 64) -> dict[str, Any]:
    """Every score of every image, those in folders included; what cannot be read is listed with the reason.

    Raises:
        BadRun, BadData, CannotAnswer: one sentence each.
    """
    session = QuerySession()
    calibrated = _calibrated(session, run, step, held_out, k)
    infos = {info.name: info for info in calibrated.detectors}
    pictures = tuple(m.PictureRef(label=file, path=file) for name in files for file in _files(name))
    work = m.ScoreImages(job="", runs=((str(run), calibrated.step),), pictures=pictures, limit=held_out, samples=k)
    images = [_row(event, infos) for event in session.work(work) if isinstance(event, m.ImageScored)]
    return {**_head(run, calibrated), "images": images}


def compare_data(
    run: Path, step: int | None, known: str | None, others: list[str], limit: int = 2000, held_out: int = 500, k: int = 64
) -> dict[str, Any]:
    """How well every score tells the test images of `known` (the run's own data when None) from those of each other data set.

    High score = OOD, OOD is the positive class, nothing is flipped.

    Raises:
        BadRun, BadData, CannotAnswer, BadScores: one sentence each.
    """
    session = QuerySession()
    calibrated = _calibrated(session, run, step, held_out, k)

    def scores(data: str) -> dict[str, Any]:
        work = m.ScoreData(job="", run=str(run), step=calibrated.step, data=data, limit=limit, held_out=held_out, samples=k)
        return next(event.scores for event in session.work(work) if isinstance(event, m.DataScored))

    ours = scores(known or "")
    results = {}
    for other in others:
        theirs = scores(other)
        ood_metrics.require_scores(*ours.values(), *theirs.values())
        results[other] = {
            name: {
                "auroc": ood_metrics.auroc(ours[name], theirs[name]),
                "fpr95": ood_metrics.fpr_at(ours[name], theirs[name]),
                "n_in": len(ours[name]),
                "n_out": len(theirs[name]),
            }
            for name in ours
        }
    return {**_head(run, calibrated), "in": known or calibrated.data, "results": results}


def _calibrated(session: QuerySession, run: Path, step: int | None, held_out: int, k: int) -> m.Calibrated:
    work = m.Calibrate(job="", runs=((str(run), step),), limit=held_out, samples=k)
    return next(event for event in session.work(work) if isinstance(event, m.Calibrated))


def _head(run: Path, calibrated: m.Calibrated) -> dict[str, Any]:
    missing = {info.name: info.missing for info in calibrated.detectors if info.missing}
    return {"run": str(run), "step": calibrated.step, "weights": calibrated.weights, "missing": missing}


def _row(scored: m.ImageScored, infos: dict[str, m.DetectorInfo]) -> dict[str, Any]:
    if scored.error:
        return {"file": scored.label, "error": scored.error}
    scores = {}
    for score in scored.scores:
        info = infos[score.detector]
        density = info.density if info.density in DENSITIES else "none"
        value = score.value if math.isfinite(score.value) else None
        scores[score.detector] = {"value": value, "unit": info.unit, "density": density, "p_value": score.p_value}
    return {"file": scored.label, "scores": scores}


def _files(name: str) -> Iterator[str]:
    """A file, or all files of a folder and the folders in it, by name; hidden ones are left out."""
    path = os.path.expanduser(name)
    if not os.path.isdir(path):
        yield name
        return
    for folder, folders, files in os.walk(path):
        folders[:] = sorted(f for f in folders if not f.startswith("."))
        yield from (os.path.join(folder, file) for file in sorted(files) if not file.startswith("."))


# ---------------------------------------------------------------------------------------------------------------------
# As text
# ---------------------------------------------------------------------------------------------------------------------


def table(result: dict[str, Any]) -> str:
    """What `score_files` found, an image after the other."""
    lines = [f"{Path(result['run']).name} at step {result['step']:,}, weights {result['weights'][:12]}"]
    for image in result["images"]:
        lines += ["", image["file"]]
        if "error" in image:
            lines.append(f"  {image['error']}")
        for name, score in image.get("scores", {}).items():
            value = "no number" if score["value"] is None else f"{score['value']:.4f} {score['unit']}".rstrip()
            words = ood_metrics.verdict(score["p_value"])[1]
            lines.append(f"  {name:<20}{value:>22}   p {score['p_value']:.4f}   {words}")
    return "\n".join([*lines, *_missing(result)])


def comparison(result: dict[str, Any]) -> str:
    """What `compare_data` found: a row for every detector, a column pair for every data set."""
    outs = list(result["results"])
    lines = [
        f"{Path(result['run']).name} at step {result['step']:,}, weights {result['weights'][:12]}; known: {result['in']}",
        "AUROC and FPR at 95 % of the others caught; high score = unlike training, never flipped",
        f"{'':<20}" + "".join(f"{Path(out).name[:24]:>26}" for out in outs),
    ]
    names = list(result["results"][outs[0]]) if outs else []
    for name in names:
        cells = [result["results"][out][name] for out in outs]
        lines.append(f"{name:<20}" + "".join(f"{cell['auroc']:>15.4f}{cell['fpr95']:>11.4f}" for cell in cells))
    return "\n".join([*lines, *_missing(result)])


def _missing(result: dict[str, Any]) -> list[str]:
    return ["", *(f"{name} is left out: {why}" for name, why in result["missing"].items())] if result["missing"] else []


def write_csv(path: Path, result: dict[str, Any]) -> None:
    """One line per image: its file, each score's value and p-value, then run, step, hash of the weights, and the reason if unreadable.

    Raises:
        BadTable: the file cannot be written.
    """
    names = list(next((image["scores"] for image in result["images"] if "scores" in image), {}))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["file", *(column for name in names for column in (name, f"{name}_p")), "run", "step", "weights", "error"])
    for image in result["images"]:
        scores = image.get("scores", {})
        cells = [scores[name][key] if scores else "" for name in names for key in ("value", "p_value")]
        file = image["file"].encode("utf-8", "replace").decode()
        writer.writerow([file, *cells, result["run"], result["step"], result["weights"], image.get("error", "")])
    try:
        write_file(path.absolute(), text.getvalue().encode("utf-8"))
    except OSError as error:
        raise BadTable(f"The table could not be written to “{path}” ({error.strerror or error}); name another file with --csv.") from None
