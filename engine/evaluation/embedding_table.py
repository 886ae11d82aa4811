"""The verb `embed`: the Embedding pane's own map, run to its end, as a table of places."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Generator, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from engine import messages as m
from engine.evaluation.sample_grid import CannotWrite
from engine.queries.embedding import EmbeddingMaps
from engine.queries.feature_cache import FeatureCache, SubsetFeatures
from engine.queries.session import QuerySession
from engine.storage.atomic_io import write_file


def map_file(
    run: Path,
    out: Path,
    data: str = "",
    kind: str = "umap",
    seed: int = 0,
    limit: int = 2000,
    step: int | str | None = None,
    split: str = "valid",
    features: Path | None = None,
    follow: Callable[[Any], Iterable[Any]] = iter,
) -> dict[str, Any]:
    """Draw a map and write a line for each image: its place in the split, its class (empty without classes), x and y; then run, step, how
    it was chosen, the weights' hash, data and split.

    Args:
        features: an .npz to write first: features float32 [N, D], index int64 [N], names [N], and labels int64 [N] with classes [K].
        follow: runs a job and hands on its events; where it ends early, what was written stays.

    Raises:
        BadRun, BadData, CannotAnswer, NoLayout, CannotWrite: one sentence each.
    """
    session = QuerySession()
    maps = session.room(EmbeddingMaps)
    subset = m.Subset(str(run), step, data, split, limit)  # type: ignore[arg-type]
    if features is not None:
        cache = session.room(FeatureCache)
        found: list[SubsetFeatures] = []

        def encode() -> Generator[m.Event | None, None, None]:
            found.append((yield from cache.features(cache.model(subset), subset, "")))

        for _ in follow(encode()):
            pass
        if not found:
            raise KeyboardInterrupt("It was stopped before there were features to keep.")
        _write(features, _features_file(found[0]), "The features", "--features")
    work = m.Embed(job="", subset=subset, settings=m.MapSettings(kind, seed=seed), warm=False)
    try:
        embedded = next((event for event in follow(session.work(work)) if isinstance(event, m.Embedded)), None)
    finally:
        maps.close()
    if embedded is None:
        if features is None:
            raise KeyboardInterrupt("It was stopped before the map was drawn.")
        return {"features": str(features), "stopped": "Stopped before the map was drawn; the features are kept."}
    model = session.model(str(run), step)
    facts = {
        "run": str(run),
        "step": model.step,
        "step_rule": model.step_rule,
        "weights": model.weights,
        "data": data or model.manifest.data,
        "split": split,
    }
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["index", "label", "x", "y", *facts])
    for point, (x, y) in enumerate(embedded.places):
        label = "" if embedded.labels is None or not embedded.classes else embedded.classes[int(embedded.labels[point])]
        writer.writerow([int(embedded.indices[point]), label, float(x), float(y), *facts.values()])
    _write(out, text.getvalue().encode("utf-8"), "The map", "--out")
    return {
        "file": str(out),
        "n": len(embedded.places),
        "step": embedded.subset.step,
        "step_rule": model.step_rule,
        **({"features": str(features)} if features is not None else {}),
        "map": kind,
        "seed": seed,
        "split": split,
        "trustworthiness": None if embedded.trustworthiness != embedded.trustworthiness else embedded.trustworthiness,
        "knn": embedded.knn_map,
        "knn_features": embedded.knn_features,
        "seconds": round(embedded.seconds, 2),
    }


def _features_file(found: SubsetFeatures) -> bytes:
    """What --features holds."""
    images, file = found.images, io.BytesIO()
    arrays = {"features": found.features.numpy(), "index": images.indices, "names": np.array(images.names, dtype=np.str_)}
    if images.labels is not None:
        arrays |= {"labels": images.labels, "classes": np.array(images.classes, dtype=np.str_)}
    np.savez(file, **arrays)
    return file.getvalue()


def _write(out: Path, content: bytes, what: str, option: str) -> None:
    try:
        write_file(out.absolute(), content)
    except OSError as error:
        raise CannotWrite(f"{what} could not be written to “{out}” ({error.strerror or error}); name another file with {option}.") from None
