"""What the rows about training beside a window share: the real window with a training in its lane, and the same step in a bare loop."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from app.tour.window_driver import WindowDriver
from benchmarks import Row
from engine import messages as m
from engine.data import open_data
from engine.training.plan import Plan, resolve
from engine.training.trainer import Trainer
from engine.worker.engine import Engine

DATA = "shapes"
SECONDS = 3.0
ROUNDS = 6


class Training:
    """A VAE that trains in the lane of an open window, and can be held while something else is measured."""

    def __init__(self, stage: WindowDriver, engine: Engine) -> None:
        self.stage, self.engine, self.job = stage, engine, "bench"
        self.marks: list[tuple[float, int]] = []  # (seconds, step) as the lane tells them
        self.pictures = 0  # decoded for the window so far
        self.batch = 0
        self._publish = engine.publish
        engine.publish = self._notice  # type: ignore[method-assign]
        stage.wait(lambda: stage.window.state.engine is not None, "the engine was ready", 60)
        stage.window.bridge.send(m.StartRun(self.job, "vae", DATA, steps=1_000_000, name="bench"))
        self.wait_for_steps(300)  # behind us: the dense first checkpoints
        stage.wait(lambda: bool(stage.window.state.runs), "the run was listed", 30)
        stage.window.choose_run(next(iter(stage.window.state.runs)))

    def _notice(self, event: m.Event) -> None:
        if isinstance(event, m.Progress) and event.unit == "step":
            self.marks.append((time.perf_counter(), event.done))
        self.pictures += isinstance(event, m.Decoded)
        self._publish(event)

    def wait_for_steps(self, steps: int) -> None:
        begin = self.marks[-1][1] if self.marks else 0
        self.stage.wait(lambda: bool(self.marks) and self.marks[-1][1] >= begin + steps, f"the training took {steps} steps", 120)

    def images_per_second(self, seconds: float = SECONDS) -> float:
        """Of the training in the lane while the window lives."""
        self.wait_for_steps(1)
        del self.marks[:-1]
        self.stage.run_for(seconds)
        (t0, s0), (t1, s1) = self.marks[0], self.marks[-1]
        return (s1 - s0) * self.batch / (t1 - t0)

    @contextmanager
    def held(self) -> Iterator[None]:
        """The training is paused inside."""
        state = self.stage.window.state
        self.stage.window.bridge.send(m.PauseJob(self.job))
        self.stage.wait(lambda: state.jobs[self.job].state == "paused", "the training paused", 30)
        try:
            yield
        finally:
            self.stage.window.bridge.send(m.ResumeJob(self.job))
            self.wait_for_steps(20)


@contextmanager
def training_window() -> Iterator[Training]:
    with tempfile.TemporaryDirectory() as folder:
        engine = Engine(Path(folder))
        with WindowDriver(engine) as stage:
            yield Training(stage, engine)


class BareLoop:
    """The same step, alone: no window, no lane, no events, no checkpoints."""

    def __init__(self) -> None:
        self.trainer = Trainer(resolve(Plan("vae", DATA, steps=1_000_000)), open_data(DATA))
        for _ in range(20):
            self.trainer.step()

    def images_per_second(self, seconds: float = SECONDS) -> float:
        steps, started = 0, time.perf_counter()
        while time.perf_counter() - started < seconds:
            self.trainer.step()
            steps += 1
        return steps * self.trainer.batch / (time.perf_counter() - started)


def show_nothing(training: Training) -> None:
    """Only the start page, which listens to nothing."""
    training.stage.show_pane("StartPane")


def show_curves_and_latent(training: Training) -> None:
    """Both side by side."""
    training.stage.show_pane("CurvesPane")
    training.stage.show_pane("LatentPane")
    training.stage.window.docks.beside()
    training.stage.show_pane("CurvesPane")
    training.stage.settle()
    docks = training.stage.window.docks.docks
    assert all(docks[name].pane.isVisible() for name in ("CurvesPane", "LatentPane")), "both panes must be seen"


def beside_bare_loop(name: str, target: float, arrange: Callable[[Training], object], pictures: float = 0.0) -> Row:
    """The lane's images per second over the bare loop's: in turns (who begins alternates), medians of each, median of the ratios.

    `pictures` is how many per second the window must have had decoded meanwhile for the row to mean what it says.
    """
    bare = BareLoop()
    lane_rates: list[float] = []
    bare_rates: list[float] = []
    shown: list[float] = []
    with training_window() as training:
        training.batch = bare.trainer.batch
        arrange(training)

        def lane() -> None:
            before = training.pictures
            lane_rates.append(training.images_per_second())
            shown.append((training.pictures - before) / SECONDS)

        def alone() -> None:
            with training.held():
                bare_rates.append(bare.images_per_second())

        for number in range(ROUNDS):
            for measure in (lane, alone)[:: 1 if number % 2 == 0 else -1]:
                measure()
    rate = statistics.median(shown)
    assert rate >= pictures, f"only {rate:.0f} pictures a second were decoded, so nothing was measured"
    ratio = statistics.median(a / b for a, b in zip(lane_rates, bare_rates, strict=True))
    ours, theirs = statistics.median(lane_rates), statistics.median(bare_rates)
    peer = "the same step in a bare loop" + (f", without the {rate:.0f} pictures/s" if pictures else "")
    return Row(name, ours, "images/s", peer, theirs, ratio, f"≥ {target}", ratio >= target)
