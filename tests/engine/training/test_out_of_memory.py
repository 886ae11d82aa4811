"""Memory that runs out outside of a step: one sentence, a checkpoint that is whole, and a process that lives on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from engine.storage.run_reader import Run
from engine.training import recorder
from engine.training.loop import train
from engine.training.plan import Plan, ResumePlan, TrainingFailed
from engine.training.trainer import Trainer

ROOT = Path(__file__).resolve().parents[3]
CONFIG = {"network": "mlp", "width": 8, "latent": 4, "batch_size": 32}
PLACES = {
    "validating": (recorder, "as_input", 4),
    "copying weights": (Trainer, "ema_arrays", 3),
    "the optimizer": (torch.optim.AdamW, "step", 5),
    "averaging": (Trainer, "update_ema", 6),
}
ERRORS = [
    MemoryError(),
    RuntimeError("[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB"),
]


def failed(root: Path, place: str, error: Exception, monkeypatch: pytest.MonkeyPatch, again: bool) -> tuple[str, Run]:
    """The sentence and the run of a training in which an error is raised at a place; `again`: at each later one too, like a lost card."""
    owner, name, number = PLACES[place]
    real, calls = getattr(owner, name), [0]

    def short(*arguments, **more):
        calls[0] += 1
        if calls[0] == number or (again and calls[0] > number):
            raise error
        return real(*arguments, **more)

    with monkeypatch.context() as patched:
        patched.setattr(owner, name, short)
        with pytest.raises(TrainingFailed) as caught:
            list(train(Plan("vae", "digits", CONFIG, steps=12, name="mine", device="cpu"), root))
    return str(caught.value), Run.open(root / "mine")


def goes_on(run: Run, said: str) -> None:
    assert run.status == "failed" and run.info().message == said and run.verify() == []
    assert run.newest_resumable() is not None
    list(train(ResumePlan(run.path), run.path.parent))
    assert Run.open(run.path).load()[0] == 12


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("place", PLACES)
def test_that_it_ends_in_a_sentence_with_the_last_checkpoint_kept(
    tmp_path: Path, place: str, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    said, run = failed(tmp_path, place, error, monkeypatch, again=False)
    assert "not enough memory for this training" in said
    goes_on(run, said)


LOST = [
    RuntimeError(
        "CUDA error: an illegal memory access was encountered\nCUDA kernel errors might be asynchronously reported at some other API call, "
        "so the stacktrace below might be incorrect.\nFor debugging consider passing CUDA_LAUNCH_BLOCKING=1\n"
    ),
    RuntimeError("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasSgemm( handle )`"),
    RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR"),
    torch.AcceleratorError("CUDA error: unspecified launch failure\nSearch for `cudaErrorLaunchFailure'"),
]


@pytest.mark.parametrize("error", LOST, ids=lambda error: str(error).split("\n")[0][12:32])
@pytest.mark.parametrize("place", ["copying weights", "the optimizer"])
def test_that_a_gpu_that_fails_ends_in_a_sentence_and_the_run_goes_on_elsewhere(
    tmp_path: Path, place: str, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    said, run = failed(tmp_path, place, error, monkeypatch, again=True)
    assert "The GPU or its driver failed" in said
    assert "\n" not in said and str(error).split("\n")[0] in said and "device cpu" in said
    goes_on(run, said)


def test_that_another_error_stays_what_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: Trainer) -> None:
        raise RuntimeError("shapes cannot be multiplied")

    monkeypatch.setattr(Trainer, "update_ema", broken)
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied") as caught:
        list(train(Plan("vae", "digits", CONFIG, steps=2, name="mine", device="cpu"), tmp_path))
    assert not isinstance(caught.value, TrainingFailed)


LIMITED = """
import json, resource, sys, threading
who, root = sys.argv[1:3]
import torch
import engine.cli.train
from engine import messages as m
from engine.training.trainer import Trainer
real, calls = Trainer.ema_arrays, [0]

def limited(*arguments):
    calls[0] += 1
    if calls[0] == 3:
        size = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (size + 1_000_000, resource.getrlimit(resource.RLIMIT_AS)[1]))
    return real(*arguments)

Trainer.ema_arrays = limited
config = {"network": "mlp", "width": 512, "batch_size": 256}
if who == "verb":
    from engine.cli import main
    words = [word for name, value in config.items() for word in ("--set", f"{name}={value}")]
    words += ["--data", "digits", "--steps", "40", "--runs", root, "--name", "mine", "--device", "cpu", "--quiet"]
    sys.exit(main(["train", "vae", *words]))
from engine.worker.engine import Engine
from pathlib import Path
engine = Engine(Path(root))
engine.start()
engine.send(m.StartRun("a", "vae", "digits", config, steps=40, name="mine", device="cpu"))
ended = None
while ended is None:
    ended = next((event for event in engine.drain() if isinstance(event, m.Ended)), None)
    threading.Event().wait(0.02)
resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
print(ended.message, file=sys.stderr)
engine.close(30)
sys.exit({"failed": 1}.get(ended.outcome, 7))
"""

# glibc gives each freed tensor back at once, so that memory it holds in reserve cannot serve where the limit should refuse
RETURNING = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "0", "MALLOC_ARENA_MAX": "1"}


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the limit of a process's memory is Linux's")
@pytest.mark.parametrize("who", ["verb", "lane"])
def test_that_a_real_limit_of_memory_ends_no_process(tmp_path: Path, who: str) -> None:
    environment = {**os.environ, **RETURNING, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    ended = subprocess.run(
        [sys.executable, "-c", LIMITED, who, str(tmp_path)], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600
    )
    assert (ended.returncode, ended.stderr.count("\n")) == (1, 1), ended.stderr
    assert "not enough memory for this training" in ended.stderr
    run = Run.open(tmp_path / "mine")
    assert run.verify() == [] and run.status == "failed" and (run.newest_resumable() or 0) >= 1
