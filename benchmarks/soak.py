"""Half an hour of everything in one window without a screen: runs that start, stop and are deleted, panes, sliders, the time cursor,
themes and dropped images. Threads, open files, timers, widgets and memory are sampled, and must be flat.

`PRIORAMA_SOAK_MINUTES` gives another length.
"""

from __future__ import annotations

import contextlib
import gc
import math
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil
from PIL import Image
from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QWidget

from app.tour.window_driver import TooLate, WindowDriver
from benchmarks import Row, main
from engine import messages as m
from engine.worker.engine import Engine

MINUTES = 30.0
WARM_UP = 0.2  # share of the rounds in which caches fill
WARM_UP_ROUNDS = 30  # at least, where twice as many are run: until the 24 maps and 500 moves that are kept are there
BLOCKS = 12  # neighbouring samples resemble each other, so the trend is looked for in the medians of so many stretches
SIGNIFICANT = 0.01
MOST_GROWTH = 30.0  # MB
RUNS_KEPT = 2
THEMES = ("light", "dark")
SMALL = {"network": "mlp", "width": 16, "latent": 4}
COUNTS = ("threads", "files", "timers", "widgets")  # not every QObject: to ask for those inside a label makes wrappers that stay


@dataclass
class Samples:
    """What was counted at the end of each round: resident memory in MB, and how many of each kind there were."""

    memory: list[float] = field(default_factory=list)
    counts: dict[str, list[int]] = field(default_factory=lambda: {name: [] for name in COUNTS})

    def take(self, driver: WindowDriver) -> None:
        """Count now."""
        gc.collect()
        process, window = psutil.Process(), driver.window
        self.memory.append(process.memory_info().rss / 2**20)
        now = {
            "threads": threading.active_count(),
            "files": process.num_fds() if hasattr(process, "num_fds") else 0,
            "timers": len(window.findChildren(QTimer)),
            "widgets": len(window.findChildren(QWidget)),
        }
        for name, count in now.items():
            self.counts[name].append(count)

    def steady(self) -> Samples:
        """Those after the warm-up."""
        rounds = len(self.memory)
        start = max(int(WARM_UP * rounds), min(WARM_UP_ROUNDS, rounds // 2))
        return Samples(self.memory[start:], {name: counts[start:] for name, counts in self.counts.items()})


def growth(values: Sequence[float]) -> float:
    """Median of the last quarter less that of the first."""
    part = max(1, len(values) // 4)
    return statistics.median(values[-part:]) - statistics.median(values[:part])


def rising(values: Sequence[float], blocks: int = BLOCKS) -> float:
    """One-sided p-value of a rise: Mann's test (1945) on medians of consecutive blocks, with Kendall's variance (normal approximation)."""
    medians = [statistics.median(part) for part in np.array_split(np.asarray(values, float), min(blocks, len(values)))]
    n = len(medians)
    if n < 4:
        return 1.0
    score = sum(np.sign(medians[j] - medians[i]) for i in range(n) for j in range(i + 1, n))
    spread = math.sqrt(n * (n - 1) * (2 * n + 5) / 18)
    return 0.5 * math.erfc((score - np.sign(score)) / spread / math.sqrt(2))


def measure() -> list[Row]:
    """Rows of memory, and of whatever else is counted."""
    samples = soak(60 * float(os.environ.get("PRIORAMA_SOAK_MINUTES", MINUTES))).steady()
    grown, p = growth(samples.memory), rising(samples.memory)
    flat = p > SIGNIFICANT
    words = f"p of a rise {p:.2g}, {len(samples.memory)} rounds"
    rows = [
        Row("soak: growth of memory after the warm-up", grown, "MB", words, None, None, "≤ 30 MB, no rise", grown <= MOST_GROWTH and flat)
    ]
    for name, counts in samples.counts.items():
        more = growth(counts)
        rows.append(Row(f"soak: growth of {name}", more, "", f"of {counts[0] if counts else 0}", None, None, "≤ 0", more <= 0))
    return rows


def soak(seconds: float) -> Samples:
    """Rounds of a few seconds each until the time is over."""
    samples = Samples()
    with tempfile.TemporaryDirectory() as folder, WindowDriver(Engine(Path(folder) / "runs")) as driver:
        driver.wait(lambda: driver.window.state.engine is not None, "the engine was ready", 120)
        files = draw_pictures(Path(folder))
        until = time.monotonic() + seconds
        number = 0
        while time.monotonic() < until or number < 2:
            for _ in a_round(driver, number, files[number % len(files)]):
                driver.run_for(0.05)
            driver.settle(120)
            samples.take(driver)
            number += 1
    return samples


def a_round(driver: WindowDriver, number: int, picture: Path) -> Iterator[None]:
    """A run is started and looked at in every pane while it trains, then stopped; an old one is deleted."""
    window, state = driver.window, driver.window.state
    name, job = f"soak-{number}", f"soak-{number}"
    window.bridge.send(m.StartRun(job, "vae", "digits", config=dict(SMALL), steps=1_000_000, name=name))
    driver.wait(lambda: any(Path(run).name == name for run in state.runs), "the run was listed", 120)
    run = next(run for run in state.runs if Path(run).name == name)
    window.choose_run(run)
    driver.wait(lambda: len(state.checkpoints) > 5, "there were checkpoints", 120)
    for place, pane in enumerate(window.docks.docks):
        driver.show_pane(pane)
        yield
        steps = [checkpoint.step for checkpoint in state.checkpoints]
        state.set_cursor(steps[(number + place) % len(steps)])
        yield
    driver.show_pane("LatentPane")
    driver.wait(lambda: bool(driver.pane("LatentPane").slider_list.sliders), "there were sliders", 120)
    for slider in driver.pane("LatentPane").slider_list.sliders:
        for value in range(-200, 201, 100):
            slider.setValue(value)
            yield
    for pane in ("LatentPane", "EmbeddingPane"):
        driver.show_pane(pane)
        window.take([str(picture)])
        yield
    window.set_theme(THEMES[number % 2])
    yield
    window.bridge.send(m.StopJob(job))
    driver.wait(lambda: job not in state.jobs, "the training stopped", 120)
    for old in sorted(state.runs, key=lambda run: int(run.rpartition("-")[2]))[:-RUNS_KEPT]:
        window.bridge.send(m.DeleteRun(old))
        with contextlib.suppress(TooLate):  # a run that is still looked at stays until the next round
            driver.wait(lambda old=old: old not in state.runs, "the old run was gone", 10)


def draw_pictures(folder: Path) -> list[Path]:
    """A few files to be dropped."""
    rng = np.random.default_rng(0)
    paths = [folder / f"picture-{number}.png" for number in range(4)]
    for path in paths:
        Image.fromarray(rng.integers(0, 256, (40, 30), np.uint8)).save(path)
    return paths


if __name__ == "__main__":
    main(measure)
