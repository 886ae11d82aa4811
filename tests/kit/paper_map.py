"""An engine of paper that draws maps of the real digits: true neighbours and trust are counted, only the places are made up."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from sklearn.manifold import trustworthiness

from engine import messages as m
from tests.kit.panes import FakeEngine, _step, digits

NAMES = tuple(str(i) for i in range(10))
MOST = 400  # points of any map
DETECTORS = (
    m.DetectorInfo("knn", "kNN feature distance", "features", "", "Paper 2022", "How far the neighbours are."),
    m.DetectorInfo("ratio", "likelihood ratio", "bound", "nat", "Paper 2022", "It compares.", "It needs a background model.", "mutated"),
)


@cache
def drawn(kind: str, step: int, k: int, n: int) -> dict[str, np.ndarray]:
    """Places, true neighbours with distances, and how many of them survived, of the first n digits."""
    images, labels = digits()
    flat = images[:n].reshape(n, 64).astype(np.float64) / 16
    labels = labels[:n]
    centred = flat - flat.mean(0)
    _, sizes, ways = np.linalg.svd(centred, full_matrices=False)
    places = centred @ ways[:2].T
    if kind == "umap":
        turn = 2 * np.pi * np.arange(10) / 10 + 0.001 * step
        centres = np.stack([np.cos(turn), np.sin(turn)], 1) * (4 + 3 * (np.arange(10) % 2))[:, None]
        within = np.stack([flat[labels == label].mean(0) for label in range(10)])[labels]
        places = centres[np.where(np.arange(n) % 31 == 0, (labels + 1) % 10, labels)] + 0.05 * ((flat - within) @ ways[:2].T)
    near, distances = nearest(flat, k)
    there, _ = nearest(places, k)
    survived = np.array([len(np.intersect1d(a, b)) / k for a, b in zip(near, there, strict=True)])
    return {
        "places": places.astype(np.float32),
        "neighbours": near.astype(np.int32),
        "distances": distances.astype(np.float32),
        "survived": survived.astype(np.float32),
        "trust": np.array(trustworthiness(flat, places, n_neighbors=k)),
        "explained": (sizes**2 / (sizes**2).sum())[:2],
    }


def nearest(x: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """[N, k] of each point's nearest others, and how far they are."""
    apart = np.sqrt(np.maximum(((x[:, None] - x[None]) ** 2).sum(2), 0))
    np.fill_diagonal(apart, np.inf)
    order = np.argsort(apart, axis=1, kind="stable")[:, :k]
    return order, np.take_along_axis(apart, order, axis=1)


def at(subset: m.Subset) -> m.Subset:
    return m.Subset(subset.run, _step(subset), subset.data or "digits", subset.split, subset.limit)


def embedded(job: str, subset: m.Subset, settings: m.MapSettings, warm: bool = False, **changes: Any) -> m.Embedded:
    n = min(subset.limit, MOST)
    images, labels = digits()
    at_step = at(subset)
    found = drawn(settings.kind, at_step.step or 0, settings.neighbours, n)
    made: dict[str, Any] = {
        "job": job, "subset": at_step, "settings": settings, "places": found["places"], "indices": np.arange(n) * 3, "labels": labels[:n],
        "classes": NAMES, "names": tuple(f"digit-{3 * i:04d}.png" for i in range(n)), "images": images[:n],
        "neighbours": found["neighbours"], "distances": found["distances"], "survived": found["survived"],
        "trustworthiness": float(found["trust"]), "knn_features": 0.942, "knn_map": 0.91, "features": 12, "warm": warm, "seconds": 2.3,
        "explained": tuple(float(share) for share in found["explained"]) if settings.kind == "pca" else (),
    }  # fmt: skip
    return m.Embedded(**(made | changes))


def embed(engine: FakeEngine, work: m.Embed) -> list[Any]:
    before = [old for old in engine.of(m.Embed) if old is not work and old.settings == work.settings]
    warm = work.warm and bool(before) and work.settings.kind == "umap"
    return [
        m.Progress(work.job, work.subset.run, 200, MOST, "image", 900.0, 0.2, "Encoding"),
        embedded(work.job, work.subset, work.settings, warm),
    ]


def colour(engine: FakeEngine, work: m.ColorPoints) -> list[Any]:
    n = min(work.subset.limit, MOST)
    images, labels = digits()
    flat = images[:n].reshape(n, 64).astype(np.float64)
    common: dict[str, Any] = {"job": work.job, "subset": work.subset, "by": work.by}
    if work.by == "clusters":
        values, note = labels[:n] % work.clusters, "NMI with the classes 0.74."
        names = tuple(f"cluster {i + 1}" for i in range(work.clusters))
        return [m.PointsColored(**common, values=values.astype(np.float32), classes=names, note=note)]
    if work.by == "prediction":
        return [m.PointsColored(**common, values=((labels[:n] + (np.arange(n) % 17 == 0)) % 10).astype(np.float32), classes=NAMES)]
    if work.by == "direction":
        assert work.a is not None and work.b is not None
        way = flat[work.b].mean(0) - flat[work.a].mean(0)
        steps = flat[work.a].mean(0) + np.linspace(0, 1, 6)[:, None] * way
        decoded = np.clip(steps, 0, 255).astype(np.uint8).reshape(6, 1, 8, 8)
        note = "It tells A from B in 97 % of their images."
        return [m.PointsColored(**common, values=(flat @ way / np.linalg.norm(way)).astype(np.float32), note=note, images=decoded)]
    return [m.PointsColored(**common, values=np.linspace(0.1, 3.4, n).astype(np.float32), unit="nat" if work.by == "loss" else "")]


def place(engine: FakeEngine, query: m.PlaceImage) -> Any:
    if "broken" in (query.picture.path or ""):
        return m.QueryFailed(stamp=query.stamp, channel=query.channel, kind="PlaceImage", message="broken.png is cut off. Save it again.")
    n = min(query.subset.limit, MOST)
    found = drawn(query.settings.kind, _step(query.subset), query.settings.neighbours, n)
    far = "strange" in (query.picture.path or "")
    i = 17
    image = digits()[0][i]
    usual = float(np.median(found["distances"][:, 0]))
    return m.ImagePlaced(
        stamp=query.stamp, channel=query.channel, subset=query.subset, label=query.picture.label, place=found["places"][i] + 0.2,
        neighbours=found["neighbours"][i], distances=found["distances"][i] / found["distances"][i, 0] * usual * (3.1 if far else 0.9),
        seen=image, original=np.repeat(image[0][..., None], 3, axis=2), usual=usual, notes=("Scaled from 96×96",),
    )  # fmt: skip


def calibrate(engine: FakeEngine, work: m.Calibrate) -> list[Any]:
    return [m.Calibrated(work.job, run, 1024 if step is None else step, "beef" * 16, DETECTORS, {}, "digits") for run, step in work.runs]
