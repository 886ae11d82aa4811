"""How often a trained model's scores call an image of its own test split unusual: for every α, hardly more often than α.

With PRIORAMA_DATA=FOLDER the folder's data sets MNIST and FashionMNIST are tried too, with 1,000 test images each.
"""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np
import pytest

from engine import messages as m
from engine.queries.calibrated_detectors import DetectorCache
from engine.queries.session import QuerySession
from engine.training.loop import train
from engine.training.plan import Plan

ALPHAS = (0.01, 0.05, 0.1)
METHODS = {
    "vae": ({"network": "mlp", "width": 32, "latent": 8}, 300),
    "pixel_cnn": ({"width": 8, "layers": 2}, 60),
    "classifier": ({"width": 8, "blocks": 1}, 60),
}
BUILT_IN = {"digits": 180, "shapes:3000": 300, "photo-patches": 192}  # data -> test images
FOLDER = os.environ.get("PRIORAMA_DATA", "")
GIVEN = {str(Path(FOLDER, name)): 1000 for name in ("MNIST", "FashionMNIST") if FOLDER and Path(FOLDER, name).is_dir()}


def false_alarms(run: Path, test: int, held_out: int = 500) -> tuple[dict[str, dict[float, float]], int, int]:
    """Share of own test images with p ≤ α, each group of images counted as one, for every detector and for "all together"; and how many
    groups were tested and held out.
    """
    session = QuerySession()
    steps = session.room(DetectorCache).calibrated(str(run), None, "", held_out, 8)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            detectors = end.value
            break
    work = m.ScoreData(job="", run=str(run), split="test", limit=test, samples=8)
    (told,) = [event for event in session.work(work) if isinstance(event, m.DataScored)]
    found: dict[str, list[float]] = {name: [] for name in [*told.scores, "all together"]}
    for i in range(len(told.indices)):
        each, together = detectors.verdicts(str(run), {name: float(values[i]) for name, values in told.scores.items()})
        for score in each:
            found[score.detector].append(score.p_value)
        found["all together"].append(together.p_value)
    groups = np.arange(len(told.indices)) if told.groups is None else told.groups
    pieces = [groups == group for group in np.unique(groups)]
    rates = {
        name: {alpha: float(np.mean([(np.array(p)[piece] <= alpha).mean() for piece in pieces])) for alpha in ALPHAS}
        for name, p in found.items()
    }
    return rates, len(pieces), detectors.group_count


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("data", [*BUILT_IN, *GIVEN], ids=lambda name: Path(name).name)
def test_that_own_test_images_are_called_unusual_no_more_often_than_promised(data, method, tmp_path):
    settings, steps = METHODS[method]
    if data == "photo-patches" and method == "classifier":
        settings = settings | {"width": 4}
    list(train(Plan(method, data, settings | {"batch_size": 64}, steps=steps, name="run", device="cpu"), tmp_path))
    rates, tested, held_out = false_alarms(tmp_path / "run", (BUILT_IN | GIVEN)[data])
    lines, worse = [], []
    for name, by_alpha in rates.items():
        for alpha, rate in by_alpha.items():
            # The rate among the test images is binomial around what this draw of held-out images promises, and that varies around α, too.
            error = math.sqrt(alpha * (1 - alpha) * (1 / tested + 1 / (held_out + 2)))
            lines.append(f"{name} p ≤ {alpha}: {rate:.4f} ± {error:.4f}")
            worse += [lines[-1]] if rate > alpha + 3 * error else []
    print(*lines, sep="\n")
    assert not worse, f"{tested} test and {held_out} held-out groups"
