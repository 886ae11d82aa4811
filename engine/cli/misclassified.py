"""The verb `errors`: a classifier's confusion matrix, its most confused classes and its calibration, and a table of its errors."""

from __future__ import annotations

import argparse
import csv
import io
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.cli.console import Console
from engine.cli.errors import Failed
from engine.cli.out_file import writable
from engine.cli.parser import SPLITS, VerbParsers, positive_int
from engine.cli.runs import add_place_of_data, located_run_path
from engine.common.counting import number_of

if TYPE_CHECKING:
    from engine.messages import ErrorImages, ErrorsFound

WAYS = ("classifier", "bayes", "probe", "knn")
COLUMNS = ("index", "file", "true", "answer", "confidence", "p_true", "second", "p_second")
PAIRS_SHOWN = 8


def add(verbs: VerbParsers) -> None:
    """Its words."""
    sub = verbs.add_of_run("errors", errors_run, "Find where a classifier is wrong, and whether its confidence can be believed.")
    sub.add_argument("--split", default="valid", choices=tuple(SPLITS), help="whose images; valid when left out")
    sub.add_argument("--limit", type=positive_int, metavar="N", help="how many images, spread over the split; all when left out")
    sub.add_argument(
        "--through",
        default="",
        choices=WAYS,
        help="what answers: the classifier, Bayes' rule on p(x|y), a linear probe of the features or their nearest "
        "neighbours; when left out the first that it has",
    )
    sub.add_argument("--csv", metavar="F.csv", help="write every wrong answer there, the surest first")
    sub.add_argument("--matrix", metavar="F.csv", help="write the confusion matrix there, a row for each true class")
    sub.add_argument("--out", metavar="F.png", help="write the confusion matrix and the reliability diagram there as a picture")
    add_place_of_data(sub)


def errors_run(options: argparse.Namespace, console: Console) -> dict[str, Any]:
    """The figures of `engine.messages.ErrorsFound` by name. Raises: Failed: a file cannot be written."""
    from engine.queries.classifier_errors import errors_of

    o = options
    places = {option: writable(text, f"--{option}") for option in ("csv", "matrix", "out") if (text := getattr(o, option))}
    found, page, rule = console.run(errors_of(located_run_path(o, console), o.step, o.split, o.limit, o.through))
    values = _values(found, rule)
    if "csv" in places:
        _write(places["csv"], _csv(COLUMNS, _rows(found, page)))
    if "matrix" in places:
        rows = [[name, *map(int, row)] for name, row in zip(found.classes, found.matrix, strict=True)]
        _write(places["matrix"], _csv(("true \\ answer", *found.classes), rows))
    if "out" in places:
        from engine.evaluation.errors_picture import errors_picture

        _write(places["out"], errors_picture(found, _head(values)))
    values |= {"files": {option: str(path) for option, path in places.items()}} if places else {}
    console.say(table(values))
    return values


def _values(found: ErrorsFound, rule: str) -> dict[str, Any]:
    """What --json prints; a share that nothing is known of is null."""
    classes, of = found.classes, found.of
    known = [None if math.isnan(row[0]) else [float(value) for value in row] for row in found.recall]
    right = [None if math.isnan(row[0]) else [float(value) for value in row] for row in found.precision]
    return {
        "run": Path(of.run).name,
        "step": of.step,
        "step_rule": rule,
        "split": of.split,
        "through": of.through,
        "images": found.images,
        "split_images": found.total,
        "errors": int(found.matrix.sum() - found.matrix.trace()),
        **found.figures,
        "accuracy_low": found.accuracy[1],
        "accuracy_high": found.accuracy[2],
        "classes": list(classes),
        "matrix": found.matrix.tolist(),
        "recall": known,
        "precision": right,
        "pairs": [{"true": classes[i], "answer": classes[j], "images": n} for i, j, n in found.pairs],
        "reliability": [_bin(row) for row in found.bins],
        "reliability_equal_mass": [_bin(row) for row in found.mass_bins],
        **({"note": found.note} if found.note else {}),
    }


def _bin(row: Any) -> dict[str, float]:
    names = ("low", "high", "confidence", "accuracy", "accuracy_low", "accuracy_high")
    return dict(zip(names, map(float, row), strict=False)) | {"images": int(row[6])}


def _rows(found: ErrorsFound, page: ErrorImages) -> list[list[object]]:
    """A row for each wrong answer, columns as COLUMNS."""
    names = found.classes
    return [
        [
            int(page.indices[i]), page.names[i], names[page.labels[i]], names[page.answers[i]], float(page.confidence[i]),
            float(page.p_true[i]), names[page.second[i]], float(page.p_second[i]),
        ]
        for i in range(len(page.indices))
    ]  # fmt: skip


def _csv(head: tuple[str, ...], rows: list[list[object]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([head, *rows])
    return text.getvalue().encode("utf-8", "surrogateescape")  # a file of another encoding keeps its name


def _write(path: Path, data: bytes) -> None:
    """Raises: Failed."""
    from engine.storage.atomic_io import write_file

    try:
        write_file(path.absolute(), data)
    except OSError as error:
        raise Failed(f"{path} could not be written ({error.strerror or error}); choose another place.") from None


def _head(values: dict[str, Any]) -> str:
    whole = "all" if values["images"] == values["split_images"] else f"{values['images']:,} of"
    images = f"{whole} {number_of(values['split_images'], SPLITS[values['split']] + ' image')}"
    return f"{values['run']}, step {values['step']:,} ({values['step_rule']}): {number_of(values['errors'], 'error')} on {images}"


def table(values: dict[str, Any]) -> str:
    """What was asked about in one line, the figures, the most confused classes."""
    v = values
    rows = [
        ("accuracy", f"{100 * v['accuracy']:.2f} %, 95 % interval {100 * v['accuracy_low']:.2f} to {100 * v['accuracy_high']:.2f} %"),
        ("log loss", f"{v['log_loss']:.4f} nat" + _beside(v["log_loss_se"], 4)),
        ("Brier score", f"{v['brier']:.4f}" + _beside(v["brier_se"], 4)),
        ("ECE, 15 bins", f"{100 * v['calibration']:.2f} %" + _beside(100 * v["calibration_se"], 2)),
        ("", f"a calibrated classifier stays below {100 * v['calibration_limit']:.2f} % in 95 % of samples"),
    ]
    lines = [_head(v), *([v["note"]] if "note" in v else []), "", *(f"{name:<14}{text}" for name, text in rows)]
    if v["pairs"]:
        lines += ["", "Most often taken for each other"]
        lines += [f"{pair['images']:>6,}  {pair['true']} → {pair['answer']}" for pair in v["pairs"][:PAIRS_SHOWN]]
    return "\n".join(lines)


def _beside(error: float, digits: int) -> str:
    return f" ± {error:.{digits}f}" if math.isfinite(error) else ""
