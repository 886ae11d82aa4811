"""NT-Xent with its gradient for 8,192 images (16,384 views of 128 numbers): in chunks, against the whole similarity matrix at once.

Memory is measured in a process for each side: the highest mark that the system keeps (Linux) above what was there before the loss.
Both gradients are compared. Times are those of alternating calls in one process.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks import Row, interleave, main, seconds_of
from engine.losses.contrastive import nt_xent

IMAGES, WIDTH, TEMPERATURE = 8192, 128, 0.2
ROUNDS = 3


def projections() -> Tensor:
    return torch.randn(IMAGES, 2, WIDTH, generator=torch.Generator().manual_seed(0))


def chunked(z: Tensor) -> Tensor:
    z = z.requires_grad_()
    z.grad = None
    nt_xent(z, TEMPERATURE)[0].backward()
    assert z.grad is not None
    return z.grad


def dense(z: Tensor) -> Tensor:
    """As it is mostly written: all similarities, the diagonal struck out, cross-entropy."""
    z = z.requires_grad_()
    z.grad = None
    u = F.normalize(torch.cat([z[:, 0], z[:, 1]]), dim=1)
    similar = u @ u.T / TEMPERATURE
    similar = similar.masked_fill(torch.eye(len(u), dtype=torch.bool), -math.inf)
    F.cross_entropy(similar, (torch.arange(len(u)) + IMAGES) % len(u)).backward()
    assert z.grad is not None
    return z.grad


def peak_megabytes(side: str) -> float:
    """What the loss and its gradient need at most, in a fresh process."""
    command = [sys.executable, "-m", "benchmarks.nt_xent", "--peak", side]
    answer = subprocess.run(command, cwd=Path(__file__).resolve().parents[1], capture_output=True, text=True, timeout=300, check=True)
    return json.loads(answer.stdout)


def peak_here(side: str) -> float:
    z = projections()
    work = chunked if side == "chunked" else dense
    work(z[:64].clone())  # libraries take their own memory at the first call
    before = resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the highest mark begins anew
    work(z)
    return (resident("VmHWM") - before) / 1024


def resident(mark: str) -> int:
    """kB of this process in memory, now or at most. Linux."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(text.split()[1]) for text in lines if text.startswith(mark))


def measure() -> list[Row]:
    z = projections()
    apart = float((chunked(z.clone()) - dense(z.clone())).abs().max() * len(z))  # per image, of a loss that is a mean
    ours, peer, ratio = interleave(lambda: seconds_of(lambda: chunked(z)), lambda: seconds_of(lambda: dense(z)), ROUNDS)
    small, large = peak_megabytes("chunked"), peak_megabytes("dense")
    return [
        Row("NT-Xent in chunks: peak memory", small, "MB", "dense version", large, large / small, "≤ 1/20", small <= large / 20),
        Row("NT-Xent in chunks: time with gradient", ours, "s", "dense version", peer, 1 / ratio, "not slower", ratio <= 1),
        Row("NT-Xent in chunks: gradient", apart, "", "largest difference from the dense version", None, None, "≤ 1e-5", apart <= 1e-5),
    ]


if __name__ == "__main__":
    if "--peak" in sys.argv:
        print(json.dumps(peak_here(sys.argv[-1])))
    else:
        main(measure)
