"""What `precision=auto` brings in training: images/s against a plain fp32 loop, for the VAE and a small residual network,
and whether the VAE ends where fp32 ends, measured against the spread over seeds."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks import Row, interleave, main
from engine import precision
from engine.config import make_config
from engine.data import open_data
from engine.method import DataSpec, StepContext, build
from engine.methods import method_named

BATCH = 128
SECONDS = 1.5
ROUNDS = 5
SEEDS = 3
QUALITY_STEPS = 100


class Block(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.body(x))


def residual_network() -> nn.Module:
    """Eight convolutions and a linear layer for 32×32 colour images."""
    layers: list[nn.Module] = [nn.Conv2d(3, 32, 3, padding=1), nn.ReLU(), Block(32)]
    for channels in (32, 64):
        layers += [nn.Conv2d(channels, 2 * channels, 3, stride=2, padding=1), nn.ReLU(), Block(2 * channels)]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(128, 10))


def measure() -> list[Row]:
    chosen = precision.best("cpu")
    images = torch.from_numpy(np.ascontiguousarray(open_data("shapes").splits["train"].images[:4096]))
    rows = []
    for network, make in (("VAE", vae_step), ("small ResNet", residual_step)):
        half, plain = make(images, "bf16"), make(images, "fp32")
        half()
        plain()
        a, b, ratio = interleave(lambda step=half: rate(step), lambda step=plain: rate(step), ROUNDS)
        if chosen == "bf16":
            name, target, holds = f"training with precision=auto (bf16), {network}", "≥ 1.7", ratio >= 1.7
        else:
            name, target, holds = f"training in bf16 where auto chose fp32, {network}", "< 1.7, or auto errs", ratio < 1.7
        rows.append(Row(name, a, "images/s", "plain fp32 loop", b, ratio, target, holds))
    return rows if chosen == "fp32" else [*rows, quality(images, chosen)]


def rate(step: Callable[[], object]) -> float:
    """Images per second over a stretch of time."""
    steps, started = 0, time.perf_counter()
    while time.perf_counter() - started < SECONDS:
        step()
        steps += 1
    return steps * BATCH / (time.perf_counter() - started)


def vae_step(images: Tensor, number_format: str, seed: int = 0) -> Callable[[], Tensor]:
    """One optimizer step of the VAE on the next batch; returns -ELBO."""
    kind = method_named("vae")
    method = build(kind, make_config(kind.Config, {}), DataSpec(tuple(images.shape[1:])), seed)
    method.init_from_data(images[:1024].float() / 255)
    optimizer = torch.optim.AdamW(method.parameters(), lr=1e-3, fused=True)
    generator = torch.Generator().manual_seed(seed)

    def step() -> Tensor:
        x = images[torch.randint(len(images), (BATCH,), generator=generator)].float() / 255
        with precision.autocast(number_format, "cpu"):
            loss = method.loss(x, None, StepContext(generator=generator))["loss"]
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(method.parameters(), 100.0)
        optimizer.step()
        return loss.detach()

    return step


def residual_step(images: Tensor, number_format: str) -> Callable[[], Tensor]:
    torch.manual_seed(0)
    network = residual_network()
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3, fused=True)
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(10, (len(images),), generator=generator)

    def step() -> Tensor:
        index = torch.randint(len(images), (BATCH,), generator=generator)
        with precision.autocast(number_format, "cpu"):
            logits = network(images[index].float() / 255)
        loss = F.cross_entropy(logits.float(), labels[index])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step


def quality(images: Tensor, chosen: str) -> Row:
    """-ELBO of the last steps, the same seeds in both formats."""
    ends = {number_format: [end(images, number_format, seed) for seed in range(SEEDS)] for number_format in ("fp32", chosen)}
    ours, plain = statistics.mean(ends[chosen]), statistics.mean(ends["fp32"])
    spread = max(ends["fp32"]) - min(ends["fp32"])
    name = f"-ELBO after {QUALITY_STEPS} steps with precision=auto ({chosen}), mean of {SEEDS} seeds"
    return Row(name, ours, "nats", f"fp32, spread {spread:.0f}", plain, ours / plain, "within the spread", abs(ours - plain) <= spread)


def end(images: Tensor, number_format: str, seed: int) -> float:
    step = vae_step(images, number_format, seed)
    losses = [float(step()) for _ in range(QUALITY_STEPS)]
    return statistics.mean(losses[-20:])


if __name__ == "__main__":
    main(measure)
