"""What is measured of a training beside its loss: learning rate, speed, memory. Nothing here changes what is learned."""

from __future__ import annotations

from pathlib import Path

import torch

from engine.common.training_metrics import DEVICE_MEMORY, LEARNING_RATE, MEMORY, SPEED
from engine.training.trainer import Trainer

STATM = Path("/proc/self/statm")  # in pages: size, resident, …
MB = 1e6


def gauges(trainer: Trainer, steps: int, seconds: float) -> dict[str, float]:
    """The figures of now: rate of the newest step, examples per second over so many steps in so many seconds, MB of memory.

    What a machine or a method has no figure for is left out.
    """
    figures = {}
    phases = trainer.method.phases
    for phase in phases:
        if (optimizer := trainer.optimizers.get(phase.optimizer)) is not None:
            name = LEARNING_RATE if len(phases) == 1 else f"{LEARNING_RATE} of {phase.term}"
            figures[name] = float(optimizer.algorithm.param_groups[0]["lr"])
    if steps and seconds > 0:
        figures[SPEED[trainer.spec.kind]] = steps * trainer.batch / seconds
    if (resident := resident_bytes()) is not None:
        figures[MEMORY] = resident / MB
    if torch.device(trainer.device).type == "cuda":
        figures[DEVICE_MEMORY] = torch.cuda.memory_allocated(trainer.device) / MB
    return figures


def resident_bytes() -> int | None:
    """Memory of this process that lies in RAM; None where the system does not tell (it is read as Linux tells it)."""
    try:
        import resource

        return int(STATM.read_text().split()[1]) * resource.getpagesize()
    except (OSError, ImportError, IndexError, ValueError):
        return None
