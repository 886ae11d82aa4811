"""What the tests of run folders share: small runs, and layers that record, fail or kill at a chosen call."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from engine.storage import atomic_io
from engine.storage.final_readings import FinalReading
from engine.storage.manifest import RunMetadata
from engine.storage.run_reader import Run
from engine.storage.run_writer import RunWriter


def new_run(root: Path, name: str | None = None, **changes: Any) -> RunWriter:
    about: dict[str, Any] = {
        "method": "vae",
        "title": "VAE",
        "config": {"latent": 8, "beta": 1.0, "network": "mlp"},
        "changed": {"latent": 8},
        "data": "digits",
        "data_name": "digits",
        "data_hash": "ab" * 32,
        "shape": (1, 8, 8),
        "classes": ("0", "1"),
        "seed": 3,
        "total_steps": 100,
        "minutes": None,
        "device": "CPU",
        "precision": "fp32",
        "capabilities": ("encode", "decode"),
        "versions": {"torch": "2.13.0"},
    }
    return RunWriter.create(root, RunMetadata(**{**about, **changes}), name)


def steps(run: Run) -> list[int]:
    """Those of its checkpoints."""
    return [checkpoint.step for checkpoint in run.checkpoints()]


def files_at(step: int, size: int = 64) -> dict[str, dict[str, np.ndarray]]:
    """Weights from which the step can be read again."""
    return {
        "model.safetensors": {"layer.weight": np.full((size,), step, np.float32), "layer.bias": np.array(step, np.float32)},
        "resume.safetensors": {"optimizer.0": np.full((size,), step + 0.5, np.float64), "random": np.arange(16, dtype=np.uint8)},
    }


def save(writer: RunWriter, step: int, *, keep: bool = False, best: bool = False, resumable: bool = True, size: int = 64) -> None:
    files = files_at(step, size)
    if not resumable:
        del files["resume.safetensors"]
    writer.save_checkpoint(step, files, {"step": step}, resumable=resumable, keep=keep, best=best)


def row_at(step: int) -> dict[str, Any]:
    return {"t": step / 10, "steps": [step], "values": {"loss": [float(step)]}}


def reading_at(step: int, value: float = 84.25) -> FinalReading:
    """Final figures of a checkpoint, each on a day of its own."""
    return FinalReading(
        split="test",
        step=step,
        step_rule="best on validation",
        images=180,
        settings={"k": 128},
        values={"nats": value, "nats_se": 0.5},
        date=f"2026-01-0{step}T10:00:00+00:00",
    )


def assert_holds(step: int, arrays: dict[str, np.ndarray], state: dict[str, Any]) -> None:
    """The checkpoint of this step and of no other."""
    np.testing.assert_array_equal(arrays["layer.weight"], files_at(step, len(arrays["layer.weight"]))["model.safetensors"]["layer.weight"])
    assert state == {"step": step}


def partials(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if atomic_io.PARTIAL in path.name]


@contextmanager
def using(layer: atomic_io.Layer) -> Iterator[None]:
    """Let all writing go through `layer`."""
    before, atomic_io.layer = atomic_io.layer, layer
    try:
        yield
    finally:
        atomic_io.layer = before


CHANGING = (
    "make_folder",
    "create",
    "open_append",
    "open_lock",
    "write",
    "truncate",
    "sync",
    "close",
    "replace",
    "remove",
    "remove_folder",
    "sync_folder",
)


class AtCall(atomic_io.Layer):
    """Does something else at the n-th call, or at several calls from it on. `calls` counts them all."""

    def __init__(self, number: int, instead: Callable[[str, tuple], Any], names: tuple[str, ...] = CHANGING, in_a_row: int = 1) -> None:
        self.number, self.instead, self.calls = number, instead, 0
        self.numbers = range(number, number + in_a_row)
        for name in names:
            setattr(self, name, self._wrap(name))

    def _wrap(self, name: str) -> Callable[..., Any]:
        real = getattr(atomic_io.Layer, name)

        def call(*arguments: Any) -> Any:
            self.calls += 1
            if self.calls - 1 in self.numbers:
                return self.instead(name, arguments)
            return real(self, *arguments)

        return call

    @property
    def reached(self) -> bool:
        return self.calls > self.number


def kill_after_half(name: str, arguments: tuple) -> None:
    """The process dies in the middle of this call: half of a write has arrived, nothing of all else."""
    if name == "write":
        handle, data = arguments
        os.write(handle, data[: len(data) // 2])
    os.kill(os.getpid(), signal.SIGKILL)


class FullDisk(atomic_io.Layer):
    """Room for so many bytes from now on, whatever the file; then ENOSPC after a short write, as Linux does it."""

    def __init__(self, room: int) -> None:
        self.room = room

    def write(self, handle: int, data: memoryview) -> int:
        if data and self.room == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written = os.write(handle, data[: self.room])
        self.room -= written
        return written
