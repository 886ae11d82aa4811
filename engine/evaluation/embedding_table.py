"""The verb `embed`: the Embedding pane's own map, run to its end, as a table of places."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

from engine import messages as m
from engine.evaluation.sample_grid import CannotWrite
from engine.queries.embedding import EmbeddingMaps
from engine.queries.session import QuerySession
from engine.storage.atomic_io import write_file


def map_file(
    run: Path,
    out: Path,
    data: str = "",
    kind: str = "umap",
    seed: int = 0,
    limit: int = 2000,
    step: int | None = None,
    split: str = "test",
) -> dict[str, Any]:
    """Draw a map and write a line for each image: its place in the split, its class (empty without classes), x and y.

    Raises:
        BadRun, BadData, CannotAnswer, NoLayout, CannotWrite: one sentence each.
    """
    session = QuerySession()
    maps = session.room(EmbeddingMaps)
    work = m.Embed(job="", subset=m.Subset(str(run), step, data, split, limit), settings=m.MapSettings(kind, seed=seed), warm=False)
    try:
        embedded = next(event for event in session.work(work) if isinstance(event, m.Embedded))
    finally:
        maps.close()
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["index", "label", "x", "y"])
    for point, (x, y) in enumerate(embedded.places):
        label = "" if embedded.labels is None or not embedded.classes else embedded.classes[int(embedded.labels[point])]
        writer.writerow([int(embedded.indices[point]), label, float(x), float(y)])
    try:
        write_file(out.absolute(), text.getvalue().encode("utf-8"))
    except OSError as error:
        raise CannotWrite(f"The map could not be written to “{out}” ({error.strerror or error}); name another file with --out.") from None
    return {
        "file": str(out),
        "n": len(embedded.places),
        "step": embedded.subset.step,
        "map": kind,
        "seed": seed,
        "split": split,
        "trustworthiness": None if embedded.trustworthiness != embedded.trustworthiness else embedded.trustworthiness,
        "knn": embedded.knn_map,
        "knn_features": embedded.knn_features,
        "seconds": round(embedded.seconds, 2),
    }
