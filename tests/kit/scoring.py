"""What the tests of scores share: tiny runs to score with, and how they are asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from engine import messages as m
from engine.queries.session import QuerySession
from engine.training.loop import train
from engine.training.plan import Plan

SMALL = {"network": "mlp", "width": 8, "latent": 4, "batch_size": 64}
HELD_OUT = 40
ODD = m.PictureRef(label="odd", image=np.random.default_rng(0).integers(0, 256, (30, 41, 3), dtype=np.uint8))


def train_scored(root: Path) -> Path:
    """The folder with two VAEs of unlike seeds and an autoencoder in it."""
    for name, seed in (("vae", 0), ("twin", 1)):
        list(train(Plan("vae", "digits", SMALL, steps=8, seed=seed, name=name, device="cpu"), root))
    list(train(Plan("autoencoder", "digits", SMALL, steps=4, name="autoencoder", device="cpu"), root))
    return root


def ask(work: m.Work, session: QuerySession | None = None) -> list[m.Event]:
    """What is answered."""
    return [event for event in (session or QuerySession()).work(work) if event is not None]


def only(events: list[m.Event], kind: type) -> list[Any]:
    return [event for event in events if isinstance(event, kind)]


def calibrate(*paths: Path, **more: Any) -> list[Any]:
    work = m.Calibrate(job="c", runs=tuple((str(path), None) for path in paths), limit=HELD_OUT, samples=8, **more)
    return only(ask(work), m.Calibrated)


def judge(path: Path, *pictures: m.PictureRef, session: QuerySession | None = None) -> list[Any]:
    work = m.ScoreImages(job="j", runs=((str(path), None),), pictures=pictures, limit=HELD_OUT, samples=8)
    return only(ask(work, session), m.ImageScored)
