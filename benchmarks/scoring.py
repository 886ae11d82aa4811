"""Scoring a test set as `eval` does (progress, one noise generator per image, streamed bound) against the bare forward pass.

Bare: encoder, one batch of noise, decoder, likelihood, log-sum; the same number of samples per image and the same batches.
"""

from __future__ import annotations

import tempfile
import time
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
IMAGES = 512


def measure() -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        *_, _ = train(Plan("vae", "shapes", steps=2, name="scored"), Path(folder))
        path = Path(folder) / "scored"
        model = Model(Run.open(path), None)
        images = np.ascontiguousarray(open_data("shapes").splits["test"].images[:IMAGES])

        def ours() -> float:
            """Without loading the run and its first, cold batch."""
            marks = [(time.perf_counter(), progress.done) for progress in evaluate(path, limit=IMAGES, k=SAMPLES)]
            (t0, n0), (t1, n1) = marks[0], marks[-1]
            return (n1 - n0) / (t1 - t0)

        def bare() -> float:
            """Likewise without the first batch."""
            forward(model, images[:BATCH])
            return len(images[BATCH:]) / seconds_of(lambda: forward(model, images[BATCH:]))

        with torch.inference_mode():
            a, b, ratio = interleave(ours, bare, rounds=5)
    return [Row(f"scoring a test set, {SAMPLES} samples per image", a, "images/s", "bare forward pass", b, ratio, "≥ 0.95", ratio >= 0.95)]


def forward(model: Model, images: np.ndarray) -> float:
    """-log p of all images, summed."""
    method: torch.nn.Module = model.method
    total = 0.0
    for start in range(0, len(images), BATCH):
        x = torch.from_numpy(images[start : start + BATCH]).float() / 255
        q = method.posterior(x)  # type: ignore[operator]
        noise = torch.randn(len(x), SAMPLES, q.mean.shape[1])
        z = q.mean[:, None] + q.sigma[:, None] * noise
        maps = method._maps(z.flatten(0, 1))  # type: ignore[operator]
        nats = method._log_likelihood(x.repeat_interleave(SAMPLES, 0), maps).reshape(len(x), SAMPLES)  # type: ignore[operator]
        log_w = nats + log_normal(z) - log_normal(z, q.mean[:, None], q.sigma[:, None])
        total -= float(log_w.logsumexp(1).sum())
    return total


if __name__ == "__main__":
    main(measure)
