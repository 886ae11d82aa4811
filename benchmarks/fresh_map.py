"""A map of 10,000 × 128 features in a fresh process, against umap-learn's defaults in one; and how far each map can be trusted.

Both have run before on this machine, so that what each keeps compiled on the disk is there.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch

from benchmarks import ROOT, Row, interleave, main, seconds_of
from engine.detectors.base import finish
from engine.umap import projection

COUNT, SIZE, GROUPS = 10_000, 128, 20
ROUNDS = 2
WORSE = 0.01  # trustworthiness that may be lost

OURS = """
import sys
import numpy as np
import torch
from engine.umap import projection
from engine.detectors.base import finish
from engine.umap.process import UmapProcess

process = UmapProcess()
process.start()
features = torch.from_numpy(np.load(sys.argv[1]))
near, distances = finish(projection.neighbours(features, 14))
graph = projection.graph(near.numpy(), distances.numpy())
begin = projection.beginning(projection.pca(features).project(features.numpy()), 0)
places = finish(process.lay_out(graph, begin, projection.curve(0.1), projection.epochs_for(len(begin), False), 1.0, 0))
process.close()
np.save(sys.argv[2], places)
"""

PEER = """
import sys
import numpy as np
import umap

np.save(sys.argv[2], umap.UMAP().fit_transform(np.load(sys.argv[1])))
"""


def mixture(seed: int = 0) -> torch.Tensor:
    """Overlapping groups, each wide in some directions and flat in others: float32 [N, D]."""
    generator = torch.Generator().manual_seed(seed)
    centres = torch.randn(GROUPS, SIZE, generator=generator)
    widths = torch.linspace(1.5, 0.1, SIZE)
    return centres[torch.arange(COUNT) % GROUPS] + widths * torch.randn(COUNT, SIZE, generator=generator)


def trust(features: torch.Tensor, places: np.ndarray) -> float:
    return finish(projection.trustworthiness(features, projection.neighbours_on_map(places, 15), projection.trusted_rows(len(places))))


def measure() -> list[Row]:
    features = mixture()
    with tempfile.TemporaryDirectory() as folder:
        asked, few = Path(folder) / "features.npy", Path(folder) / "few.npy"
        np.save(asked, features.numpy())
        np.save(few, features[:500].numpy())

        def draw(script: str, data: Path, out: Path) -> None:
            subprocess.run([sys.executable, "-W", "ignore", "-c", script, str(data), str(out)], cwd=ROOT, check=True)

        maps = {script: Path(folder) / f"{name}.npy" for name, script in (("ours", OURS), ("peer", PEER))}
        for script, out in maps.items():
            draw(script, few, out)
        a, b, ratio = interleave(
            lambda: seconds_of(lambda: draw(OURS, asked, maps[OURS])), lambda: seconds_of(lambda: draw(PEER, asked, maps[PEER])), ROUNDS
        )
        ours, theirs = (trust(features, np.load(maps[script])) for script in (OURS, PEER))
    peer = "umap-learn's defaults"
    return [
        Row("map of 10,000 × 128, fresh process", a, "s", peer, b, 1 / ratio, "≥ 3", 1 / ratio >= 3),
        Row("trustworthiness of that map", ours, "", peer, theirs, ours / theirs, f"at most {WORSE} lower", ours >= theirs - WORSE),
    ]


if __name__ == "__main__":
    main(measure)
