"""Memory of an hour's training with panes open, told in half a minute: 14,400 batches of points for six curves, a checkpoint
to look at every ten seconds of that hour, a slider that keeps moving."""

from __future__ import annotations

import gc
import tempfile
from pathlib import Path

import numpy as np
import psutil

from app.tour.window_driver import WindowDriver
from benchmarks import Row, main
from engine import messages as m
from engine.training.loop import train
from engine.training.plan import Plan
from engine.worker.engine import Engine

CROSSINGS = 4 * 3600  # four a second for an hour
STEPS_PER_CROSSING = 15
CHECKPOINT_EVERY = 40  # crossings
AT_ONCE = 10
TERMS = ("loss", "reconstruction", "kl", "elbo", "beta", "gradient norm")
WARM_UP = CROSSINGS // 20


def measure() -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        *_, _ = train(Plan("vae", "digits", steps=64, name="hour"), Path(folder))
        engine = Engine(Path(folder))
        with WindowDriver(engine) as stage:
            window = stage.window
            stage.wait(lambda: bool(window.state.engine and window.state.runs), "the engine was ready")
            run = next(iter(window.state.runs))
            window.choose_run(run)
            stage.show_pane("CurvesPane")
            stage.show_pane("LatentPane")
            window.docks.beside()
            stage.settle()
            start = 0.0
            for crossing in range(0, CROSSINGS, AT_ONCE):
                for number in range(crossing, crossing + AT_ONCE):
                    tell(engine, run, number)
                if crossing % CHECKPOINT_EVERY == 0:
                    look_around(stage, crossing // CHECKPOINT_EVERY)
                stage.run_for(0.012)
                if crossing == WARM_UP:
                    start = resident()
            stage.settle()
            growth = resident() - start
    return [Row("memory growth over an hour of training, panes open", growth, "MB", "", None, None, "≤ 50 MB", growth <= 50)]


def tell(engine: Engine, run: str, crossing: int) -> None:
    """What the training lane publishes four times a second."""
    first = 65 + crossing * STEPS_PER_CROSSING
    steps = np.arange(first, first + STEPS_PER_CROSSING)
    values = (1000 / np.sqrt(steps) + np.sin(steps)).astype(np.float32)
    engine.runs.publish_metrics(m.Metrics(run, {name: (steps.copy(), values * (k + 1)) for k, name in enumerate(TERMS)}))
    engine.publish(m.Progress("train-1", run, int(steps[-1]), 1_000_000, "step", 7000.0, 100.0))


def look_around(stage: WindowDriver, number: int) -> None:
    """Another checkpoint, another place."""
    state = stage.window.state
    checkpoints = state.checkpoints
    state.set_cursor(checkpoints[number % len(checkpoints)].step)
    sliders = stage.pane("LatentPane").slider_list.sliders
    sliders[number % len(sliders)].setValue((31 * number) % 400 - 200)


def resident() -> float:
    """Resident memory in MB."""
    gc.collect()
    return psutil.Process().memory_info().rss / 2**20


if __name__ == "__main__":
    main(measure)
