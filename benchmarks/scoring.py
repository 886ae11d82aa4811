"""Scoring a test set as `eval` does (progress, one noise generator per image, streamed bound) against the bare forward pass.

Bare: encoder, one batch of noise, decoder, likelihood, log-sum; the same number of samples per image and the same batches.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from benchmarks import Row, interleave, main, seconds_of
from engine.data import open_data
from engine.evaluation.evaluate import BATCH, evaluate
from engine.losses.likelihoods import log_normal
from engine.queries.session import Model
from engine.storage.run_reader import Run
from engine.training.loop import train
from engine.training.plan import Plan

SAMPLES = 16
BATCHES = 6  # of one pass, after the cold one
ROUNDS = 18  # a batch of each side in turn: a busy moment of the machine hits both


def measure() -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        *_, _ = train(Plan("vae", "shapes", steps=2, name="scored"), Path(folder))
        path = Path(folder) / "scored"
        model = Model(Run.open(path), None)
        images = np.ascontiguousarray(open_data("shapes").splits["test"].images[:BATCH])
        scored = seconds_of_batches(path)
        with torch.inference_mode():
            forward(model, images)
            a, b, ratio = interleave(lambda: BATCH / next(scored), lambda: BATCH / seconds_of(lambda: forward(model, images)), ROUNDS)
    return [Row(f"scoring a test set, {SAMPLES} samples per image", a, "images/s", "bare forward pass", b, ratio, "≥ 0.95", ratio >= 0.95)]


def seconds_of_batches(path: Path) -> Iterator[float]:
    """Of each batch of `evaluate` but the first of a pass, which loads the run and the data and is cold."""
    while True:
        scoring = evaluate(path, limit=(BATCHES + 1) * BATCH, k=SAMPLES)
        next(scoring)
        for _ in range(BATCHES):
            yield seconds_of(lambda scoring=scoring: next(scoring))


def forward(model: Model, images: np.ndarray) -> float:
    """-log p of a batch of images, summed."""
    method: torch.nn.Module = model.method
    x = torch.from_numpy(images).float() / 255
    q = method.posterior(x)  # type: ignore[operator]
    noise = torch.randn(len(x), SAMPLES, q.mean.shape[1])
    z = q.mean[:, None] + q.sigma[:, None] * noise
    maps = method._maps(z.flatten(0, 1))  # type: ignore[operator]
    nats = method._log_likelihood(x.repeat_interleave(SAMPLES, 0), maps).reshape(len(x), SAMPLES)  # type: ignore[operator]
    log_w = nats + log_normal(z) - log_normal(z, q.mean[:, None], q.sigma[:, None])
    return -float(log_w.logsumexp(1).sum())


if __name__ == "__main__":
    main(measure)
