"""The verb `data`: what an import understood of a folder, an archive or a file, before anything is trained on it."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from engine.cli.console import Console
from engine.cli.import_options import add_import_options, data_named
from engine.cli.parser import VerbParsers, positive_int
from engine.cli.text import all_visible
from engine.common.counting import number_of

if TYPE_CHECKING:
    from engine import messages as m

_CLASSES_SHOWN = 20


def add(verbs: VerbParsers) -> None:
    """Its words."""
    sub = verbs.add("data", describe, "Say what is understood of a data set: classes, splits, scale, what is left out.")
    sub.add_argument("data", metavar="D", help="a built-in name or a path")
    sub.add_argument(
        "--sample",
        type=positive_int,
        metavar="N",
        help="answer at once: counts by names and tables, all else from N images spread over classes and splits",
    )
    add_import_options(sub)


def describe(options: argparse.Namespace, console: Console) -> dict[str, Any]:
    """{"kind", "shape", "classes", "splits", "labels", "scale", "fit", "background", "notes", "left_out", "bad", "recipe", …}"""
    from engine import messages as m
    from engine.data import FirstAnswer, first_answer_of, inspect
    from engine.data.recipe import parted_name

    name = data_named(options.data, options)
    data = None
    for item in inspect(name) if options.sample is None else first_answer_of(name, options.sample):
        if isinstance(item, m.Progress):
            console.show(item)
        else:
            data = item.data if isinstance(item, FirstAnswer) else item
    assert data is not None
    report, how = data.report, data.preprocessing
    result = {
        "data": parted_name(name)[0],
        "name": data.name,
        "kind": data.kind,
        "sampled": report.sampled or None,
        "shape": list(data.shape),
        "classes": list(data.classes),
        "splits": dict(report.counts),
        "labels": {
            "from": data.understood.get("labels", "the data" if data.classes else "none"),
            "columns": data.understood.get("columns", {}),
            "counts": {split: dict(zip(data.classes, counts, strict=True)) for split, counts in report.class_counts.items()},
        },
        "splits_from": data.understood.get("splits", "none"),
        "groups": {
            "from": data.understood.get("groups", "none"),
            "count": data.understood.get("group_count", 0),
            "columns": data.understood.get("group_columns", {}),
        },
        "scale": None if how.scale is None else {"black": how.black, "white": how.white, **data.values},
        "histogram": _histogram(report.understood),
        "fit": how.fit,
        "background": how.background,
        "sizes": report.sizes,
        "notes": list(report.notes),
        "warnings": [{"kind": warning.kind, "text": warning.text} for warning in report.warnings],
        "left_out": data.understood.get("left_out", []),
        "not_needed": data.understood.get("not_needed", []),
        "bad": [{"file": bad.path, "reason": bad.reason} for bad in report.bad],
        "bad_total": report.bad_total,
        **_copies(report),
        "near_examples": [{"images": [one, other], "bits": bits} for one, other, bits in report.near_examples],
        "hash": data.hash or None,
        "recipe": parted_name(name)[1].changed(),
    }
    console.say(_in_words(all_visible(result)))
    return result


def _copies(report: m.DataReport) -> dict[str, int | None]:
    """How many images are as others; None where not all were compared."""
    names = ("duplicates", "across_splits", "near_duplicates", "near_across_splits")
    return {name: None if report.sampled else getattr(report, name) for name in names}


def _in_words(result: dict[str, Any]) -> str:
    """The same for a person."""
    shape = "×".join(str(n) for n in result["shape"]) or "text"
    lines = [f"{result['name']}: {result['kind']}, {shape} (channels×height×width)" if result["shape"] else f"{result['name']}: text"]
    for split, count in result["splits"].items():
        lines.append(f"  {split:<6}{count:>10,}")
        counts = result["labels"]["counts"].get(split, {})
        shown = list(counts.items())[:_CLASSES_SHOWN]
        lines += [f"    {count:>8,}  {name}" for name, count in shown]
        if len(counts) > len(shown):
            lines.append(f"              and {number_of(len(counts) - len(shown), 'more class', 'more classes')}")
    if result["shape"]:
        scale = result["scale"]
        values = "8 bits as they are" if scale is None else f"{scale['black']:g} is black, {scale['white']:g} white"
        lines.append(
            f"  classes from {result['labels']['from']} · splits from {result['splits_from']} · values: {values} · fit {result['fit']}"
        )
    lines += [f"  - {note}" for note in result["notes"]]
    lines += [f"  ! {warning['text']}" for warning in result["warnings"]]
    return "\n".join(lines)


def _histogram(understood: m.ImportFacts | None) -> dict[str, Any] | None:
    """Values in equal steps from "low" to "high" as they are in the files, and of 0..255 as the networks get them; None for a text."""
    if understood is None:
        return None
    before = {"low": understood.low, "high": understood.high, "values": list(understood.histogram), "counted": understood.counted}
    return {
        "before": before if understood.histogram else None,
        "after": {"low": 0, "high": 255, "values": list(understood.histogram_after)},
    }
