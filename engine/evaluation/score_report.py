"""The verbs `score` and `ood`: the Likelihood pane's own jobs, run to their end, as plain dictionaries and tables of text."""

from __future__ import annotations

import csv
import io
import math
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from engine import messages as m
from engine.common import ood_metrics, significance
from engine.common.batch_typicality import ALPHA
from engine.common.counting import number_of
from engine.evaluation.batch_report import as_one_batch, batch_line, batch_lines, compare_as_batches, require_batches
from engine.queries.session import QuerySession
from engine.storage.atomic_io import write_file

DENSITIES = ("exact", "bound")  # all else says nothing about p(x): "none"
Follow = Callable[[Any], Iterable[Any]]  # a job -> its events; one that ends early keeps what has come until then
DIRECTION = "high score = unlike training; of the value as the direction of its detector says"


class BadTable(Exception):
    """One sentence: why a table could not be written."""


def score_files(
    run: Path, step: int | str | None, files: list[str], held_out: int = 500, k: int = 64, seed: int = 0, follow: Follow = iter
) -> dict[str, Any]:
    """Every score of every image, those in folders included; what cannot be read is listed with the reason.

    The result's "scored" and "unreadable" count images: where nothing could be scored, a verb has failed.

    Raises:
        BadRun, BadData, CannotAnswer: one sentence each.
    """
    session = QuerySession()
    calibrated = _calibrated(session, run, step, held_out, k, seed, follow)
    infos = {info.name: info for info in calibrated.detectors}
    found = [part for name in files for part in _files(name)]
    pictures = tuple(m.PictureRef(label=file, path=file) for file, why in found if not why)
    work = m.ScoreImages(job="", runs=((str(run), calibrated.step),), pictures=pictures, limit=held_out, samples=k, seed=seed)
    events = [event for event in follow(session.work(work)) if isinstance(event, m.ImageScored)]
    images = [_row(event, infos) for event in events] + [{"file": file, "error": why} for file, why in found if why]
    _mark(images)
    scored = sum("scores" in image for image in images)
    marked = sum("scores" in image and image["combined"]["marked"] for image in images)
    groups = significance.count_groups(_count(calibrated), calibrated.groups)
    return {
        **_head(session, run, calibrated, seed, k),
        "held_out": {
            "split": calibrated.split,
            "images": _count(calibrated),
            "groups": groups,
            "limit": held_out,
            "missing": calibrated.missing or None,
        },
        "false_discoveries": significance.FALSE_DISCOVERIES,
        "marked": marked,
        "summary": significance.marked_sentence(marked, scored, significance.p_floor(groups, len(calibrated.known))),
        "batch": as_one_batch(calibrated, events),
        "scored": scored,
        "unreadable": len(images) - scored,
        "images": images,
        **_stopped(len(events), len(pictures), "images"),
    }


def compare_data(
    run: Path,
    step: int | str | None,
    known: str | None,
    others: list[str],
    limit: int = 2000,
    held_out: int = 500,
    k: int = 64,
    split: str = "valid",
    seed: int = 0,
    scores: Path | None = None,
    follow: Follow = iter,
    batch: int | None = None,
) -> dict[str, Any]:
    """How well every score tells images of `known` (the run's own data when None) from those of each other data set.

    High score = OOD, OOD is the positive class, nothing is flipped. Of the known data `split` is scored; of the others their own test
    images, or all where they have no test part of their own, since the model was trained on none of them. `limit` images of each at
    most, spread over the split. `held_out` is not used: no p-value is asked for.

    Args:
        scores: a CSV to write the raw scores to, anew after each data set, so that they are kept when a later one fails.
        batch: also how well the mean of log p tells batches of so many images (`engine.common.batch_typicality`).

    Raises:
        BadRun, BadData, CannotAnswer, BadScores, BadTable: one sentence each.
    """
    session = QuerySession()
    found: list[m.DataScored] = []

    def ask(data: str, split: str) -> m.DataScored:
        work = m.ScoreData(job="", run=str(run), step=step, data=data, split=split, limit=limit, samples=k, seed=seed)  # type: ignore[arg-type]
        found.append(_first(m.DataScored, follow(session.work(work))))
        if scores is not None:
            write_raw_scores(scores, found, _of_weights(session, run, step) | {"seed": seed})
        return found[-1]

    ours = ask(known or "", split)
    if batch is not None:
        require_batches(ours, batch)
    results, batches = {}, {}
    for other in others:
        try:
            theirs = ask(other, "")
        except KeyboardInterrupt:
            if not results:
                raise
            break
        ood_metrics.require_scores(*ours.scores.values(), *theirs.scores.values())
        if batch is not None:
            batches[other] = compare_as_batches(ours, theirs, batch, seed)
        results[other] = {name: _figures(ours, theirs, name) for name in ours.scores}
    calibrated = _calibrated(session, run, step, 0, k, seed, iter)  # known by now
    return {
        **_head(session, run, calibrated, seed, k),
        "in": known or calibrated.data,
        "split": ours.split,
        "limit": limit,
        "fpr95": ood_metrics.FPR95,
        "fpr95_in_positive": ood_metrics.FPR95_OTHER,
        "aupr": "average precision, OOD positive; it depends on the share of OOD images, which is what chance reaches",
        "interval": "bootstrap, 95 %, by groups of images that belong together",
        "data": {one.data or calibrated.data: _about(one) for one in found},
        "results": results,
        **({} if batch is None else {"batch": {"size": batch, "alpha": ALPHA, "results": batches}}),
        **_stopped(len(results), len(others), "data sets"),
    }


def _figures(ours: m.DataScored, theirs: m.DataScored, name: str) -> dict[str, Any]:
    known, unknown = ours.scores[name], theirs.scores[name]
    low, high = ood_metrics.auroc_interval(known, unknown, ours.groups, theirs.groups)
    return {
        "auroc": ood_metrics.auroc(known, unknown),
        "auroc_low": _number(low),
        "auroc_high": _number(high),
        "fpr95": ood_metrics.fpr_at(known, unknown),
        "fpr95_in_positive": ood_metrics.missed_at(known, unknown),
        "aupr": ood_metrics.average_precision(known, unknown),
        "aupr_of_chance": len(unknown) / (len(known) + len(unknown)),
        "n_in": len(known),
        "n_out": len(unknown),
    }


def _about(scored: m.DataScored) -> dict[str, Any]:
    """What was looked at of a data set."""
    images, groups = len(scored.indices), significance.count_groups(len(scored.indices), scored.groups)
    about = {"split": scored.split, "images": images, "of": scored.total, "groups": groups}
    return {**about, "notes": list(scored.notes), "data_hash": scored.data_hash}


def _number(value: float) -> float | None:
    """JSON knows no NaN."""
    return value if math.isfinite(value) else None


def _calibrated(session: QuerySession, run: Path, step: int | str | None, held_out: int, k: int, seed: int, follow: Follow) -> m.Calibrated:
    work = m.Calibrate(job="", runs=((str(run), step),), limit=held_out, samples=k, seed=seed)  # type: ignore[arg-type]
    return _first(m.Calibrated, follow(session.work(work)))


def _first(kind: type[Any], events: Iterable[Any]) -> Any:
    """The event of a kind. Raises: KeyboardInterrupt: the job was stopped before it came."""
    for event in events:
        if isinstance(event, kind):
            return event
    raise KeyboardInterrupt("It was stopped before there was anything to keep.")


def _stopped(done: int, total: int, unit: str) -> dict[str, str]:
    """A note where a job was stopped before its end."""
    return {"stopped": f"Stopped after {done:,} of {total:,} {unit}; those are kept."} if done < total else {}


def _of_weights(session: QuerySession, run: Path, step: int | str | None) -> dict[str, Any]:
    """Which weights made the scores."""
    model = session.model(str(run), step)
    return {"run": str(run), "step": model.step, "step_rule": model.step_rule, "weights": model.weights}


def _count(calibrated: m.Calibrated) -> int:
    """Held-out images that were scored."""
    return min((len(scores) for scores in calibrated.known.values()), default=0)


def _head(session: QuerySession, run: Path, calibrated: m.Calibrated, seed: int, k: int) -> dict[str, Any]:
    detectors = {
        info.name: {
            "title": info.title,
            "unit": info.unit,
            "score_unit": info.score_unit or info.unit,
            "density": _density(info),
            "direction": f"{info.direction} values are more unusual",
            "help": info.help,
        }
        for info in calibrated.detectors
        if not info.missing
    }
    return {
        "run": str(run),
        "step": calibrated.step,
        "step_rule": session.model(str(run), calibrated.step).step_rule,
        "weights": calibrated.weights,
        "run_data": calibrated.data,
        "data_hash": calibrated.data_hash,
        "seed": seed,
        "samples": k,
        "convention": DIRECTION,
        "detectors": detectors,
        "missing": {info.name: info.missing for info in calibrated.detectors if info.missing},
    }


def _density(info: m.DetectorInfo) -> str:
    return info.density if info.density in DENSITIES else "none"


def _row(scored: m.ImageScored, infos: dict[str, m.DetectorInfo]) -> dict[str, Any]:
    if scored.error:
        return {"file": scored.label, "error": scored.error}
    scores = {}
    for score in scored.scores:
        info = infos[score.detector]
        scores[score.detector] = {
            "value": _number(score.value),
            **({} if score.error is None else {"error": _number(score.error)}),
            "unit": info.unit,
            "density": _density(info),
            "direction": info.direction,
            "score": _number(score.score),
            "p_value": _number(score.p_value),
            "p_floor": score.p_floor,
            "calibration_images": score.calibration_images,
            "calibration_groups": score.calibration_groups,
            "verdict": score.verdict,
        }
    together = scored.combined[0]
    combined = {"p_value": _number(together.p_value), "p_floor": together.p_floor, "scores": together.scores, "verdict": together.verdict}
    return {"file": scored.label, "scores": scores, "combined": combined, "notes": list(scored.notes)}


def _mark(images: list[dict[str, Any]]) -> None:
    """Benjamini and Hochberg over the combined p-values of all images that were scored."""
    scored = [image for image in images if "scores" in image]
    p = [image["combined"]["p_value"] for image in scored]
    adjusted = significance.benjamini_hochberg(np.array([math.nan if one is None else one for one in p]))
    for image, q in zip(scored, adjusted, strict=True):
        image["combined"] |= {"p_value_in_folder": _number(float(q)), "marked": bool(q <= significance.FALSE_DISCOVERIES)}


def _files(name: str) -> list[tuple[str, str]]:
    """A file, or all files of a folder and the folders in it, by name, hidden ones left out; a folder that cannot be read, or that holds no
    file, with the reason.
    """
    path = os.path.expanduser(name)
    if not os.path.isdir(path):
        return [(name, "")]
    found: list[tuple[str, str]] = []

    def refused(error: OSError) -> None:
        found.append((error.filename or path, f"The folder cannot be read ({error.strerror or error}); check its permissions."))

    for folder, folders, files in os.walk(path, onerror=refused):
        folders[:] = sorted(f for f in folders if not f.startswith("."))
        found += [(os.path.join(folder, file), "") for file in sorted(files) if not file.startswith(".")]
    return found or [(name, "There is no file in this folder; name one that holds images.")]


# ---------------------------------------------------------------------------------------------------------------------
# As text
# ---------------------------------------------------------------------------------------------------------------------


def table(result: dict[str, Any]) -> str:
    """What `score_files` found, an image after the other."""
    held_out = result["held_out"]
    groups = "" if held_out["groups"] == held_out["images"] else f" in {number_of(held_out['groups'], 'group')}"
    against = (
        f"no p-values: {held_out['missing']}"
        if held_out["missing"] and not held_out["images"]
        else f"p-values against {number_of(held_out['images'], 'held-out image')} "
        f"({held_out['split']}{groups}, limit {held_out['limit']:,}) of "
        f"{result['run_data']}"
    )
    lines = [_first_line(result), f"{against.rstrip('.')}; ↑ higher values are more unusual, ↓ lower ones"]
    for image in result["images"]:
        lines += ["", image["file"]]
        if "error" in image:
            lines.append(f"  {image['error']}")
            continue
        lines += [f"  {note}" for note in image["notes"]]
        for name, score in image["scores"].items():
            value = "no number" if score["value"] is None else f"{score['value']:.4f}{_error(score)} {score['unit']}".rstrip()
            arrow = "↑" if score["direction"] == "higher" else "↓"
            lines.append(f"  {name:<20}{value:>22} {arrow}  {_p(score)}   {_verdict(score, result)}".rstrip())
        combined = image["combined"]
        marked = f"; marked among {number_of(result['scored'], 'image')}" if combined["marked"] and result["scored"] > 1 else ""
        lines.append(f"  {'all together (Holm)':<20}{'':>22}    {_p(combined)}   {_verdict(combined, result)}{marked}".rstrip())
    if result["scored"] > 1:
        lines += ["", f"{result['summary']} (Benjamini–Hochberg, all scores together)."]
    if result["batch"] is not None:
        lines.append(batch_line(result["batch"]))
    return "\n".join([*lines, *_missing(result)])


def _error(score: dict[str, Any]) -> str:
    """ " ± 0.0012" where the error of a value is known."""
    return "" if score.get("error") is None else f" ± {score['error']:.4f}"


def _p(score: dict[str, Any]) -> str:
    """A p-value; at its floor it can only be said to be no larger."""
    if score["p_value"] is None:
        return "p   –     "
    return f"p {'≤' if score['p_value'] <= score['p_floor'] else ' '} {score['p_value']:.4f}"


def _verdict(about: dict[str, Any], result: dict[str, Any]) -> str:
    """The verdict on a p-value; nothing where there is none for the reason that stands above all images."""
    why = result["held_out"]["missing"]
    return "" if why and why in about["verdict"] else about["verdict"]


def _first_line(result: dict[str, Any]) -> str:
    rule = f"{result['step']:,} ({result['step_rule']})"
    return f"{Path(result['run']).name} at step {rule}, weights {result['weights'][:12]}, seed of noise {result['seed']}"


def comparison(result: dict[str, Any]) -> str:
    """What `compare_data` found: a row for every detector, a column pair for every data set."""
    outs = list(result["results"])
    lines = [_first_line(result)]
    for name, about in result["data"].items():
        groups = "" if about["groups"] == about["images"] else f" in {number_of(about['groups'], 'group')}"
        notes = f". {' '.join(about['notes'])}" if about["notes"] else ""
        kind = "known" if name == result["in"] else "OOD"
        lines.append(f"{kind}: {name}, {about['images']:,} of {number_of(about['of'], 'image')}{groups} ({about['split']}){notes}")
    lines += [
        "AUROC with its bootstrap interval of 95 %, and FPR@95; high score = unlike training, never flipped",
        f"FPR@95: {result['fpr95']}",
        f"{'':<20}" + "".join(f"{Path(out).name[:28]:>34}" for out in outs),
    ]
    for name in result["results"][outs[0]] if outs else []:
        cells = [result["results"][out][name] for out in outs]
        lines.append(f"{name:<20}" + "".join(f"{cell['auroc']:>12.4f} {_interval(cell)}{cell['fpr95']:>9.4f}" for cell in cells))
    lines += batch_lines(result["batch"]) if "batch" in result else []
    if outs:
        lines += ["", f"{'':<20}unit; density; direction of the value"]
        about = result["detectors"]
        lines += [
            f"{name:<20}{one['unit'] or 'no unit'}; {one['density']}; {one['direction']}"
            for name, one in about.items()
            if name in result["results"][outs[0]]
        ]
    return "\n".join([*lines, *_missing(result)])


def _interval(cell: dict[str, Any]) -> str:
    if cell["auroc_low"] is None:
        return " " * 12
    return f"{cell['auroc_low']:.3f}–{cell['auroc_high']:.3f}".rjust(12)


def _missing(result: dict[str, Any]) -> list[str]:
    """The scores that a run lacks, together where the reason is the same, and without it where it stands above all images."""
    above = result.get("held_out", {}).get("missing")
    by_reason: dict[str, list[str]] = {}
    for name, why in result["missing"].items():
        by_reason.setdefault(why, []).append(name)
    lines = [
        f"{', '.join(names)} {'is' if len(names) == 1 else 'are'} left out" + (" for the same reason." if why == above else f": {why}")
        for why, names in by_reason.items()
    ]
    return ["", *lines] if lines else []


def write_csv(path: Path, result: dict[str, Any]) -> None:
    """One line per image: its file, what each score says of it, with its error where that is known, the combined p-value, how it was
    adapted, then run, step, hashes, split, held-out images and limit; and the reason if unreadable.

    Raises:
        BadTable: the file cannot be written.
    """
    names = list(result["detectors"])
    keys = {"value": "", "score": "_score", "p_value": "_p", "verdict": "_verdict"}
    about = result["detectors"]
    known = [name for name in names if any(image.get("scores", {}).get(name, {}).get("error") is not None for image in result["images"])]
    columns = [(name, key, name + end) for name in names for key, end in [*keys.items(), *([("error", "_error")] if name in known else [])]]
    header = ["file", *(column for _, _, column in columns), "combined_p", "combined_verdict", "marked", "notes"]
    facts = {
        "run": result["run"],
        "step": result["step"],
        "step_rule": result["step_rule"],
        "weights": result["weights"],
        "data_hash": result["data_hash"],
        "seed": result["seed"],
        "held_out_split": result["held_out"]["split"],
        "held_out_images": result["held_out"]["images"],
        "held_out_groups": result["held_out"]["groups"],
        "held_out_limit": result["held_out"]["limit"],
        "p_floor": significance.p_floor(result["held_out"]["groups"]),
        "units": "; ".join(f"{name} {one['unit'] or 'no unit'}" for name, one in about.items()),
        "densities": "; ".join(f"{name} {one['density']}" for name, one in about.items()),
        "directions": "; ".join(f"{name}: {one['direction']}" for name, one in about.items()),
    }
    rows: list[list[Any]] = []
    for image in result["images"]:
        scores, combined = image.get("scores", {}), image.get("combined", {})
        cells = [scores[name].get(key, "") if scores else "" for name, key, _ in columns]
        together = [combined.get(key, "") for key in ("p_value", "verdict", "marked")]
        file = image["file"].encode("utf-8", "backslashreplace").decode()
        rows.append([file, *cells, *together, " ".join(image.get("notes", ())), *facts.values(), image.get("error", "")])
    _write_table(path, [*header, *facts, "error"], rows, "--csv")


def write_raw_scores(path: Path, found: list[m.DataScored], facts: dict[str, Any]) -> None:
    """One line per image of every data set: set, split, index, name, group, the raw score of every detector, high = unlike training, then
    `facts` and the hash of the data.

    Raises:
        BadTable: the file cannot be written.
    """
    names = list(found[0].scores)
    rows: list[list[Any]] = []
    for place, one in enumerate(found):
        for row, index in enumerate(one.indices):
            group = "" if one.groups is None else int(one.groups[row])
            name = one.names[row].encode("utf-8", "backslashreplace").decode()
            values = [repr(float(one.scores[detector][row])) for detector in names]
            rows.append(
                [
                    "in" if place == 0 else "out",
                    one.data or one.name,
                    one.split,
                    int(index),
                    name,
                    group,
                    *values,
                    *facts.values(),
                    one.data_hash,
                ]
            )
    header = ["side", "data", "split", "index", "name", "group", *names, *facts, "data_hash"]
    _write_table(path, header, rows, "--scores")


def _write_table(path: Path, header: list[str], rows: list[list[Any]], option: str) -> None:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([header, *rows])
    try:
        write_file(path.absolute(), text.getvalue().encode("utf-8"))
    except OSError as error:
        why = error.strerror or error
        raise BadTable(f"The table could not be written to “{path}” ({why}); name another file with {option}.") from None
