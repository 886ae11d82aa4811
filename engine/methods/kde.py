"""Kernel density estimation with Gaussian kernels (Rosenblatt 1956, Parzen 1962): a small normal distribution around every training image.

p(v) = 1/N Σ_i N(v; c_i, h² I), as scikit-learn's `KernelDensity`, but summed block by block: memory does not grow with the images. v is
the dequantized image (see `engine.bases.dequantized`), the centres c_i are the middles of the training images' bins.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from engine.bases.classical import ClassicalMethod
from engine.bases.dequantized import LEVELS, DequantizedDensity, dequantized, held_out_split, shuffled
from engine.common.counting import number_of
from engine.common.spacing import evenly
from engine.config import setting
from engine.losses import likelihoods
from engine.messages import Diagnosis, Number
from engine.method import CannotLearn, DataSpec, Description, StepContext

BLOCK = 2048  # kernels looked at together
NARROWEST, WIDEST = 1e-3, 4.0  # bandwidths that are tried
TRIED = 32  # on a logarithmic grid, before the best is refined
REFINED = 16  # steps of the golden section


@dataclass(frozen=True)
class Config(ClassicalMethod):
    points: int = setting(
        10_000, "Most training images that carry a kernel; of more, so many are drawn.", low=2, high=100_000, unit="images", log=True
    )
    bandwidth: float = setting(
        0.0,
        "Standard deviation h of a kernel, where black is 0 and white is 1; 0: the likeliest on held-out training images.",
        low=0.0,
        high=10.0,
    )


class KDE(DequantizedDensity):
    """Gaussian kernels of one bandwidth."""

    Config = Config
    title = "Kernel density"
    source = "Parzen, On Estimation of a Probability Density Function and Mode, Ann. Math. Stat. 33, 1962; as in scikit-learn"
    summary = (
        "A small normal distribution around every training image; their mean is the density. Nothing is learned but their common width, "
        "chosen on a tenth of the training images that is held out meanwhile. log p is "
        "that of pixels with uniform noise added within their grey level (dequantization): on average a lower bound on log p of the 8-bit "
        "image."
    )
    formula = "p(v) = 1/N Σ<sub>i</sub> N(v; c<sub>i</sub>, h² I)"

    def __init__(self, config: Config, data: DataSpec) -> None:
        super().__init__(config, data)
        self.register_buffer("points", torch.empty(config.points, data.dims, dtype=torch.uint8))
        self.register_buffer("count", torch.empty((), dtype=torch.int64))  # kernels; 0: not fitted
        self.register_buffer("width", torch.empty(()))  # h
        self.register_buffer("chosen", torch.empty((), dtype=torch.int64))  # -1: h was given, 0: chosen, 1: at the end of what is tried
        self.points: Tensor
        self.count: Tensor
        self.width: Tensor
        self.chosen: Tensor

    def reset(self, generator: torch.Generator) -> None:
        """One wide kernel around grey, before there are images."""
        self.points.fill_(LEVELS // 2)
        self.count.zero_()
        self.width.fill_(1.0)
        self.chosen.fill_(-1)

    @property
    def finished(self) -> bool:
        """Whether the kernels stand."""
        return bool(self.count > 0)

    @torch.no_grad()
    def fit_step(self, x: Tensor, y: Tensor | None, context: StepContext) -> dict[str, Tensor]:
        """Choose h on held-out ones of the training images x [N, C, H, W], then give a kernel to all; the terms are of the held-out ones.

        Raises: CannotLearn: fewer than two images.
        """
        some, held_out = held_out_split(len(x), self.config.points, context.generator)
        v = dequantized(x[held_out.to(x.device)], context.generator)
        self._keep(x[some.to(x.device)])
        squared = [_squared_distances(v, centres) for centres in self._centres()]  # [H, BLOCK] each, together 400 MB at most

        def nats(h: float) -> float:
            parts = [_log_kernels(block, h, self.data.dims).logsumexp(1) for block in squared]  # all kernels at once would take it thrice
            return -torch.stack(parts).logsumexp(0).mean().item() + math.log(len(some))

        if self.config.bandwidth:
            if self.config.bandwidth < NARROWEST / 100:
                raise CannotLearn(f"A bandwidth of {self.config.bandwidth:g} is far below a grey level: set 0, or {NARROWEST} or more.")
            self.width.fill_(self.config.bandwidth)
        else:
            h, at_the_end = best_bandwidth(nats)
            self.width.fill_(h)
            self.chosen.fill_(int(at_the_end))
        found = torch.tensor(nats(float(self.width)) + self.data.dims * math.log(LEVELS), dtype=torch.float64)
        self._keep(x[shuffled(len(x), context.generator)[: self.config.points].to(x.device)])
        return self.terms(found, x)

    def _keep(self, x: Tensor) -> None:
        self.count.fill_(len(x))
        self.points[: len(x)] = (x.flatten(1) * (LEVELS - 1)).round().to(torch.uint8)

    def _centres(self) -> list[Tensor]:
        """The kernels' centres in blocks, uint8 [n, D]."""
        return list(self.points[: max(1, int(self.count))].split(BLOCK))

    def log_density(self, v: Tensor) -> Tensor:
        """log p(v) in nats [B] of dequantized pixels, float64 [B, D]."""
        blocks = self._centres()
        h = float(self.width)
        parts = [_log_kernels(_squared_distances(v, centres), h, self.data.dims).logsumexp(1) for centres in blocks]
        return torch.stack(parts).logsumexp(0) - math.log(sum(len(centres) for centres in blocks))

    def draw(self, n: int, temperature: float, generator: torch.Generator | None) -> Tensor:
        """A training image for each sample, and noise of width h · temperature: float64 [n, D]."""
        own, device = likelihoods.sample_generators(n, generator), self.points.device
        which = likelihoods.integers(max(1, int(self.count)), n, own, device)
        noise = likelihoods.normal(torch.empty(n, self.data.dims, dtype=torch.float64, device=device), 1, own)[:, 0]
        return _middles(self.points[which]) + float(self.width) * temperature * noise

    @torch.no_grad()
    def describe(self, x: Tensor, generator: torch.Generator) -> Description:
        """The bandwidth, the score of held-out images x [N, C, H, W], and how many kernels an image is near to."""
        if not self.finished:
            return Description(diagnosis=(Diagnosis("warning", "It has not begun: the first step does it all."),))
        x = x[torch.from_numpy(evenly(len(x), 64)).to(x.device)]
        v = dequantized(x, likelihoods.image_generators(x, 0))
        h = float(self.width)
        whole = self.log_density(v) + math.log(max(1, int(self.count)))  # [N], log of the sum of all kernels
        entropy = torch.zeros_like(whole)  # of which kernel explains an image
        for centres in self._centres():
            share = _log_kernels(_squared_distances(v, centres), h, self.data.dims) - whole[:, None]
            entropy -= (share.exp() * share).sum(1)
        sharing = float(entropy.exp().median())
        nats = -self._log_p(x, likelihoods.image_generators(x, 0)).mean().item()
        numbers = (
            Number("bandwidth h", h, "", 4, "Standard deviation of a kernel; black is 0, white is 1."),
            Number("kernels", float(self.count), "images", 0, "Training images with a kernel."),
            Number(
                "−log p(x)",
                nats,
                "nat",
                1,
                f"Of {number_of(len(x), 'held-out image')}, each with its own fixed uniform noise within its grey levels.",
            ),
            Number(
                "−log p(x), bits/dim",
                self.bits_per_dim(nats),
                "bits/dim",
                3,
                "An upper bound on the code length; 8 is uniform noise. The nats above / (D ln 2).",
            ),
            Number("kernels that share an image", sharing, "", 1, "exp of the entropy of which kernel explains it; median of images."),
        )
        return Description(numbers, (_diagnosis(int(self.chosen), sharing),))


def _diagnosis(chosen: int, sharing: float) -> Diagnosis:
    if chosen == 1:
        return Diagnosis("warning", f"The best bandwidth lies at the end of what is tried, {NARROWEST:g} to {WIDEST:g}: set one by hand.")
    if sharing < 2:
        words = "Nearly every held-out image is explained by its nearest training image alone: there are too few images for so many pixels."
        return Diagnosis("warning", words)
    return Diagnosis("good", f"A held-out image is explained by about {number_of(round(sharing), 'training image')} together.")


def best_bandwidth(nats: Callable[[float], float]) -> tuple[float, bool]:
    """The h with the least `nats(h)`, by a logarithmic grid and a golden section; and whether it is at an end of the grid."""
    grid = torch.linspace(math.log(NARROWEST), math.log(WIDEST), TRIED, dtype=torch.float64).tolist()
    scores = [nats(math.exp(at)) for at in grid]
    best = min(range(TRIED), key=scores.__getitem__)
    low, high = grid[max(best - 1, 0)], grid[min(best + 1, TRIED - 1)]
    share = (math.sqrt(5) - 1) / 2
    for _ in range(REFINED):
        left, right = high - share * (high - low), low + share * (high - low)
        low, high = (low, right) if nats(math.exp(left)) < nats(math.exp(right)) else (left, high)
    return math.exp((low + high) / 2), best in (0, TRIED - 1)


def _middles(levels: Tensor) -> Tensor:
    """The middle of each grey level's bin, float64."""
    return (levels.double() + 0.5) / LEVELS


def _squared_distances(v: Tensor, levels: Tensor) -> Tensor:
    """|v - c|² of v [B, D] to the middles of levels uint8 [n, D]: float64 [B, n]."""
    centres = _middles(levels)
    squared = v.square().sum(1, keepdim=True) - 2 * v @ centres.T + centres.square().sum(1)
    return squared.clamp(min=0)


def _log_kernels(squared: Tensor, h: float, dims: int) -> Tensor:
    """log N(v; c, h² I) in nats of squared distances [...]."""
    return -squared / (2 * h * h) - dims * (0.5 * math.log(2 * math.pi) + math.log(h))
