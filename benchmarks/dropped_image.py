"""From dropping an image of 28×28 pixels to its full table by three open runs at once: a VAE and a PixelCNN, each with both
background models, and a classifier. The models are loaded and their held-out images scored, as when a person drops a second image.

The runs are hardly trained, which changes their scores but not the work; the pictures have the size of Fashion-MNIST's, and
as many training images are searched for neighbours as there.
"""

from __future__ import annotations

import struct
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks import Row, main
from engine import messages as m
from engine.data import shapes
from engine.detectors.base import LOCAL, MUTATED, all_detectors
from engine.queries.calibrated_detectors import FIT_IMAGES
from engine.worker.engine import Engine

METHODS = ("vae", "pixel_cnn", "classifier")
HELD_OUT = 24
DROPS = 12
SECONDS = 1.0


def measure() -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "pictures"
        train, test = _pictures(FIT_IMAGES + 2000), _pictures(100, FIT_IMAGES + 2000)
        _write_idx(data, train, test)
        engine = Engine(Path(folder) / "runs")
        engine.start()
        try:
            for method in METHODS:
                _done(engine, m.StartRun(method, method, str(data), steps=2, name=method))
            runs = tuple((str(engine.runs.root / method), None) for method in METHODS)
            for run, _ in runs[:2]:
                for kind in (MUTATED, LOCAL):
                    _done(engine, m.BuildBackground(f"{kind} {run}", run, steps=2, kind=kind))
            _done(engine, m.Calibrate(job="known", runs=runs, limit=HELD_OUT))
            seconds, scores = [], 0
            for number, image in enumerate(test[0][:DROPS]):
                picture = m.PictureRef(label=str(number), image=image)
                started = time.perf_counter()
                events = _done(engine, m.ScoreImages(job=f"drop {number}", runs=runs, pictures=(picture,), limit=HELD_OUT))
                seconds.append(time.perf_counter() - started)
                (judged,) = (event for event in events if isinstance(event, m.ImageScored))
                scores = len(judged.scores)
                assert {score.detector for score in judged.scores} == set(all_detectors()), "some detector is missing"
        finally:
            engine.close()
    slowest = max(seconds)
    name = f"dropped image, 28×28, every score of three runs, slowest of {DROPS}"
    limit = f"a fixed limit for {scores} scores"
    return [Row(name, slowest, "s", limit, SECONDS, slowest / SECONDS, f"≤ {SECONDS:g} s", slowest <= SECONDS)]


def _done(engine: Engine, command: m.StartRun | m.BuildBackground | m.Work, patience: float = 300.0) -> list[m.Event]:
    """Send it and wait for its end; all events until then."""
    engine.send(command)
    events: list[m.Event] = []
    deadline = time.perf_counter() + patience
    while not any(isinstance(event, m.Ended) and event.job == command.job for event in events):
        assert time.perf_counter() < deadline, f"{command.job} did not end"
        events += engine.drain()
        time.sleep(0.001)
    (end,) = (event for event in events if isinstance(event, m.Ended) and event.job == command.job)
    assert end.outcome == "ok", end.message
    return events


def _pictures(count: int, first: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Grey shapes, uint8 [N, 28, 28], and which shape each is."""
    factors = shapes.factors_of(0, np.arange(first, first + count))
    drawn = np.concatenate([shapes.draw({name: values[i : i + 500] for name, values in factors.items()}) for i in range(0, count, 500)])
    return drawn[:, :, 2:30, 2:30].max(1), factors["shape"]


def _write_idx(folder: Path, train: tuple[np.ndarray, np.ndarray], test: tuple[np.ndarray, np.ndarray]) -> None:
    """The four files that MNIST comes in."""
    folder.mkdir()
    for part, (images, labels) in (("train", train), ("t10k", test)):
        for kind, values in (("images-idx3", images), ("labels-idx1", labels)):
            head = struct.pack(f">HBB{values.ndim}I", 0, 8, values.ndim, *values.shape)
            (folder / f"{part}-{kind}-ubyte").write_bytes(head + values.astype(np.uint8).tobytes())


if __name__ == "__main__":
    main(measure)
