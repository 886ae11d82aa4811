"""What an engine says while it measures what features are worth."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from engine import messages as m

BLOCKS = ("stem", "block 1", "block 2", "features")
RIGHT = {"checkpoint": (0.849, 0.812), "random": (0.79, 0.701), "pixels": (0.802, 0.81)}


def worth(work: m.Probe, of: str, block: str = "", share: float = 1.0, **changes: Any) -> m.ProbeMeasured:
    linear, knn = RIGHT[of]
    lost = 0.05 * (1 - share) + (0.02 * (len(BLOCKS) - BLOCKS.index(block)) if block else 0.0)
    made = m.ProbeMeasured(
        work.job, work.run, work.step or 0, work.data, "digits", work.limit, work.split, m.ProbeSubject(of, block, share),
        knn - lost, linear - lost, 256, round(1000 * share), 2500, 10, 41, 3e-7, True, "", 5000,
    )  # fmt: skip
    errors = {"knn_se": error_of(made.knn), "linear_se": None if made.linear is None else error_of(made.linear)}
    return replace(made, **errors | changes)


def error_of(share: float, images: int = 2500) -> float:
    """The standard error of a share of independent images."""
    return math.sqrt(share * (1 - share) / images)


def fitting(work: m.Probe, subject: m.ProbeSubject, iterations: int = 30) -> m.ProbeFitting:
    losses = 0.4 + 1.9 * np.exp(-np.arange(iterations) / 6)
    return m.ProbeFitting(work.job, work.run, work.step or 0, subject, losses, np.linspace(0.1, 0.849, iterations))


def everything(work: m.Probe) -> list[m.Event]:
    """What an engine would say to a whole measurement."""
    out: list[m.Event] = [m.Progress(work.job, work.run, 0, 17, "figure", 0.0, None, "Encoding at step 1,024: 32 of 1,000 images")]
    for of in RIGHT:
        out += [fitting(work, m.ProbeSubject(of)), worth(work, of)]
        out += [worth(work, of, share=share) for share in work.shares]
        out += [worth(work, of, block) for block in BLOCKS if of != "pixels" and work.blocks]
    return [*out, m.Ended(work.job, "ok", "Measured.")]
