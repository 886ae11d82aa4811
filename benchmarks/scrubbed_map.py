"""The next map while the time cursor moves, 10,000 × 128, against a fresh one of the same features; both in the process that is kept.

Each with its exact neighbours, graph and layout: the next map begins from the former one and is turned towards it, the fresh one
begins from the principal components.
"""

from __future__ import annotations

import numpy as np
import torch

from benchmarks import Row, interleave, main, seconds_of
from benchmarks.fresh_map import WORSE, mixture, trust
from engine.detectors.base import finish
from engine.umap import projection
from engine.umap.process import UmapProcess

ROUNDS = 3
STEP = 0.3  # how far each point moves between two checkpoints, in deviations of its features
MOST = 0.2  # of a fresh map's time


def measure() -> list[Row]:
    former_features = mixture()
    noise = torch.randn(former_features.shape, generator=torch.Generator().manual_seed(1))
    features = former_features + STEP * former_features.std(0) * noise
    process = UmapProcess()
    maps: dict[str, np.ndarray] = {}

    def draw(x: torch.Tensor, former: np.ndarray | None = None) -> np.ndarray:
        near, distances = finish(projection.neighbours(x, 14))
        graph = projection.graph(near.numpy(), distances.numpy())
        begin = projection.beginning(projection.pca(x).project(x.numpy()), 0) if former is None else former
        epochs, alpha = projection.epochs_for(len(begin), former is not None), 1.0 if former is None else projection.WARM_ALPHA
        places = finish(process.lay_out(graph, begin, projection.curve(0.1), epochs, alpha, 0))
        return places if former is None else projection.align(places, former)

    former = draw(former_features)
    a, b, ratio = interleave(
        lambda: seconds_of(lambda: maps.update(ours=draw(features, former))),
        lambda: seconds_of(lambda: maps.update(peer=draw(features))),
        ROUNDS,
    )
    process.close()
    ours, theirs = trust(features, maps["ours"]), trust(features, maps["peer"])
    return [
        Row("next map while scrubbing, 10,000 × 128", a, "s", "a fresh map", b, ratio, f"≤ {MOST}", ratio <= MOST),
        Row(
            "trustworthiness of the next map",
            ours,
            "",
            "a fresh map",
            theirs,
            ours / theirs,
            f"at most {WORSE} lower",
            ours >= theirs - WORSE,
        ),
    ]


if __name__ == "__main__":
    main(measure)
