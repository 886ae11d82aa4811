"""The window is closed at a chosen moment of a training: what it leaves is whole, and goes on bit for bit as if nothing had been."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from engine.messages import Progress
from engine.storage.atomic_io import PARTIAL
from engine.storage.run_reader import Run
from engine.storage.run_writer import RunWriter
from engine.training.loop import train
from engine.training.plan import Plan, ResumePlan

ROOT = Path(__file__).resolve().parents[2]
STEPS, HALF = 40, 16
CONFIG = {"network": "mlp", "width": 8, "latent": 4, "batch_size": 32}

# The lane waits at the moment until the order to close has come, so that no machine is too slow or too quick for it.
CLOSE_AT = """
import os, signal, sys, threading, time
from PySide6.QtCore import QTimer
from app import __main__ as program
import app.shell.main_window as w
from engine import messages as m

moment, run, how = sys.argv[1:4]
reached = threading.Event()

class Window(w.Window):
    def _ready(self, event):
        super()._ready(event)
        install(self.bridge.engine)
        self.beat = QTimer(self)
        self.beat.timeout.connect(self.look)
        self.beat.start(5)
        if moment == "resuming":
            self.bridge.send(m.ContinueRun("a", run))
        else:
            config = {CONFIG}
            self.bridge.send(m.StartRun("a", "vae", "digits", config, steps={STEPS}, name="mine", device="cpu"))

    def _job_changed(self, event):
        super()._job_changed(event)
        if moment == "paused" and event.state == "paused":
            reached.set()

    def look(self):
        if reached.is_set():
            self.beat.stop()
            print("reached", moment, flush=True)
            if how == "close":
                self.close()
            else:
                os.kill(os.getpid(), getattr(signal, how))

def install(engine):
    import engine.storage.run_writer as writing
    import engine.training.recorder as recording
    from engine.queries.session import QuerySession
    from engine.storage import atomic_io
    from engine.storage.run_writer import RunWriter
    from engine.training.trainer import Trainer

    def at(owner, name, number, lane, applies=lambda *a: True, then=None):
        real, calls = getattr(owner, name), [0]

        def hooked(*arguments, **more):
            if threading.current_thread() is lane and applies(*arguments):
                calls[0] += 1
                if calls[0] == number and then is not None:
                    then()
                elif calls[0] == number:
                    reached.set()
                    while not lane.closing:
                        time.sleep(0.002)
            return real(*arguments, **more)

        setattr(owner, name, hooked)

    training, queries = engine.training_lane, engine.query_lane
    score = lambda: engine.send(m.ScoreData(job="score", run=run, limit=20, samples=2))
    match moment:
        case "before the first step":
            at(Trainer, "step", 1, training)
        case "in a step":
            at(Trainer, "update_ema", 7, training)
        case "validating":
            at(recording, "as_input", 4, training)
        case "before a checkpoint":
            at(RunWriter, "save_checkpoint", 3, training)
        case "between its files":
            at(atomic_io, "write_file", 3, training, lambda path, *_: path.name == "resume.safetensors")
        case "before its manifest":
            at(RunWriter, "_write_manifest", 6, training)
        case "resuming":
            at(Trainer, "restore", 1, training)
        case "paused":
            at(Trainer, "step", 9, training, then=lambda: engine.send(m.PauseJob("a")))
        case "scoring":
            import engine.detectors.base as base
            at(Trainer, "step", 5, training, then=score)
            at(base.ImageBatch, "__init__", 1, queries)

w.Window = Window
sys.exit(program.main([]))
"""
MOMENTS = [
    "before the first step",
    "in a step",
    "validating",
    "before a checkpoint",
    "between its files",
    "before its manifest",
    "resuming",
    "paused",
    "scoring",
]


def close_at(home: Path, moment: str, how: str = "close") -> str:
    """What the window said on stderr; it must have come to the moment and ended well."""
    home.mkdir(exist_ok=True)
    script = home / "start.py"
    script.write_text(CLOSE_AT.replace("{CONFIG}", repr(CONFIG)).replace("{STEPS}", str(STEPS)))
    known = {"PRIORAMA_CONFIG": str(home / "config"), "PRIORAMA_RUNS": str(home / "runs"), "QT_QPA_PLATFORM": "offscreen"}
    environment = {**os.environ, **known, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(script), moment, str(home / "runs" / "mine"), how]
    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == f"reached {moment}\n", ended.stderr
    return "\n".join(line for line in ended.stderr.splitlines() if line and "This plugin does not support" not in line)


def weights(path: Path) -> tuple[int, dict[str, np.ndarray]]:
    step, arrays, _ = Run.open(path).load()
    return step, arrays


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    """The weights of a training that nobody disturbs."""
    root = tmp_path_factory.mktemp("reference")
    list(train(Plan("vae", "digits", CONFIG, steps=STEPS, name="mine", device="cpu"), root))
    step, arrays = weights(root / "mine")
    assert step == STEPS
    return arrays


def half_way(root: Path) -> None:
    """A run that was paused in its middle."""
    training = train(Plan("vae", "digits", CONFIG, steps=STEPS, name="mine", device="cpu"), root)
    event = next(training)
    with pytest.raises(StopIteration):
        while True:
            event = training.send("pause" if isinstance(event, Progress) and event.unit == "step" and event.done >= HALF else None)


def assert_whole_and_goes_on(path: Path, reference: dict[str, np.ndarray]) -> None:
    run = Run.open(path)
    assert run.fault == "" and run.verify() == [] and not run.elsewhere and run.status == "paused"
    newest = run.newest_resumable()
    assert newest is not None and run.load()[0] == newest and newest < STEPS
    assert [found for found in path.rglob("*") if PARTIAL in found.name] == []
    RunWriter.resume(path).close()  # nobody holds it any more
    list(train(ResumePlan(path), path.parent))
    step, arrays = weights(path)
    assert step == STEPS and set(arrays) == set(reference)
    for name, array in reference.items():
        np.testing.assert_array_equal(arrays[name], array, err_msg=name)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("moment", MOMENTS)
def test_that_a_window_closed_at_this_moment_leaves_a_run_that_goes_on_bit_for_bit(
    tmp_path: Path, moment: str, reference: dict[str, np.ndarray]
) -> None:
    if moment == "resuming":
        half_way(tmp_path / "runs")
    assert close_at(tmp_path, moment) == ""
    assert_whole_and_goes_on(tmp_path / "runs" / "mine", reference)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="a terminal that is closed says so on POSIX only")
@pytest.mark.parametrize("how", ["SIGHUP", "SIGTERM"])
def test_that_a_closed_terminal_closes_the_window_like_a_hand(tmp_path: Path, how: str, reference: dict[str, np.ndarray]) -> None:
    assert close_at(tmp_path, "in a step", how) == ""
    assert_whole_and_goes_on(tmp_path / "runs" / "mine", reference)
