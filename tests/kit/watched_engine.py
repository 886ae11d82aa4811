"""An engine whose events a test waits for."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from engine import messages as m
from engine.storage.run_reader import Run
from engine.worker.engine import Engine

SMALL = {"network": "mlp", "width": 8, "latent": 4, "batch_size": 64, "warmup": 5}


PATIENCE = 300.0  # seconds; imports of torch on a busy machine


class Watched:
    """An engine whose events are collected; `until` waits for one."""

    def __init__(self, root: Path):
        self.engine = Engine(root)
        self.events: list[m.Event] = []
        self.engine.start()

    def drain(self):
        fresh = self.engine.drain()
        self.events += fresh
        return fresh

    def until(self, wanted, what="the event"):
        deadline = time.monotonic() + PATIENCE
        seen = 0
        while True:
            self.drain()
            for event in self.events[seen:]:
                if wanted(event):
                    return event
            seen = len(self.events)
            assert time.monotonic() < deadline, f"{what} did not come; the last were {str(self.events[-3:])[-600:]}"
            threading.Event().wait(0.005)

    def of(self, kind):
        return [event for event in self.events if isinstance(event, kind)]

    def start(self, job="a", steps=200, **changes):
        settings = {"method": "vae", "data": "digits", "config": SMALL, "device": "cpu", "precision": "fp32", **changes}
        self.engine.send(m.StartRun(job, steps=steps, name=job, **settings))

    def ended(self, job="a"):
        return self.until(lambda e: isinstance(e, m.Ended) and e.job == job, f"the end of {job}")

    def state(self, job, state):
        return self.until(lambda e: isinstance(e, m.JobChanged) and e.job == job and e.state == state, f"{job} {state}")


def weights(path: Path, step: int) -> dict[str, bytes]:
    run = Run.open(path)
    files = {**run.load(step)[1], **run.load(step, "resume.safetensors")[1]}
    return {name: value.tobytes() for name, value in files.items()}
