"""From the window on the screen to a falling curve in it: the start page's button on the built-in digits, a fresh run folder."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from app.tour.window_driver import WindowDriver
from benchmarks import Row, main
from engine import messages as m
from engine.worker.engine import Engine

SECONDS = 10.0
POINTS = 20  # of the loss; the last five of them must lie below the first five on average


def measure() -> list[Row]:
    losses: list[float] = []

    def notice(event: m.Metrics) -> None:
        if "loss" in event.points:
            losses.extend(event.points["loss"][1].tolist())

    def falling() -> bool:
        return len(losses) >= POINTS and sum(losses[-5:]) < sum(losses[:5])

    with tempfile.TemporaryDirectory() as folder:
        stage = WindowDriver(Engine(Path(folder)))
        stage.window.bridge.on(m.Metrics, notice)
        started = time.perf_counter()
        with stage:
            stage.show_pane("StartPane")
            stage.pane("StartPane").train_digits()  # what its button does; commands wait for the engine
            stage.wait(falling, "the loss fell", 60)
            seconds = time.perf_counter() - started
    return [Row("window to a falling curve on digits", seconds, "s", "", None, None, f"≤ {SECONDS:g} s", seconds <= SECONDS)]


if __name__ == "__main__":
    main(measure)
