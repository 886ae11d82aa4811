"""Denoising as plain functions of tensors: noise levels, preconditioning and target of EDM and of flow matching, times of a sampler.

Data have mean 0 and deviation 1 here, so a noise level σ is in units of the data's own deviation; EDM's constants, which are for
σ_data = 0.5, are doubled. A noisy image is x = y + σ ε with ε ~ N(0, I), and D(x; σ) estimates E[y | x].
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

SIGMA_DATA = 0.5  # of the data that EDM's constants are for (Karras et al. 2022, table 1)
P_MEAN, P_STD = -1.2, 1.2  # of EDM's training levels: ln σ is normal
SMALLEST_SIGMA, LARGEST_SIGMA = 0.002 / SIGMA_DATA, 80 / SIGMA_DATA  # of the sampler, for images of EDM_DIMS numbers
EDM_DIMS = 3072
RHO = 7.0  # how much denser the times lie at small levels
OBJECTIVES = ("edm", "flow")
EDGE = 1e-5  # uniform numbers keep so far from 0 and 1, where a level would be 0 or infinite


class Preconditioning(NamedTuple):
    """D(x; σ) = c_skip x + c_out F(c_in x; c_noise) (Karras et al. 2022, eq. 7); each is shaped like σ."""

    c_skip: Tensor
    c_out: Tensor
    c_in: Tensor
    c_noise: Tensor


def precondition(objective: str, sigma: Tensor) -> Preconditioning:
    """What stands around the network F at levels σ [...].

    edm: as Karras et al. 2022, table 1. flow: the network gives the velocity v of x_t = t y + (1 - t) ε at t = 1/(1 + σ), so that
    x_t = t x and E[y | x] = x_t + (1 - t) v (Lipman et al. 2023, linear path from noise to data).
    """
    c_noise = sigma.log() / 4
    if objective == "flow":
        t = 1 / (1 + sigma)
        return Preconditioning(t, sigma * t, t, c_noise)
    c_in = (1 + sigma.square()).rsqrt()
    return Preconditioning(c_in.square(), sigma * c_in, c_in, c_noise)


def target(objective: str, y: Tensor, noise: Tensor, sigma: Tensor) -> Tensor:
    """What F should be: (y - c_skip x)/c_out, without the cancellation. y, noise ε [B, ...], σ to be broadcast -> [B, ...].

    edm: (σ y - ε)/√(1 + σ²). flow: y - ε. Then |F - target|² is EDM's weighted loss λ(σ) |D - y|² with λ = 1/c_out², and the
    squared error of flow matching.
    """
    if objective == "flow":
        return y - noise
    return (sigma * y - noise) * (1 + sigma.square()).rsqrt()


def training_levels(objective: str, u: Tensor, mean: float = P_MEAN, deviation: float = P_STD) -> Tensor:
    """Levels σ [B] from uniform numbers u [B]: ln σ normal (edm), or t = u uniform in σ = (1 - t)/t (flow).

    Args:
        mean, deviation: of ln σ for data of deviation `SIGMA_DATA` (Karras et al. 2022, table 1: P_mean and P_std); of edm alone.
    """
    u = u.clamp(EDGE, 1 - EDGE)
    if objective == "flow":
        return (1 - u) / u
    return (mean - math.log(SIGMA_DATA) + deviation * torch.special.ndtri(u)).exp()


def stratified(count: int, start: Tensor) -> Tensor:
    """(i/B + start) mod 1 [B]: each number is uniform where `start` [] is, and together they are spread evenly, so that the loss of a
    batch varies less (Kingma et al. 2021, appendix I.1)."""
    return (torch.arange(count, device=start.device, dtype=start.dtype) / count + start) % 1


def weight(sigma: Tensor) -> Tensor:
    """λ(σ) = (1 + σ²)/σ², EDM's weight of |D - y|²: the best that scaling alone reaches, D = x/(1 + σ²), then costs 1 at every level.

    There EDM's network stands when it gives 0. Flow matching's, with a velocity of 0, has D = x/(1 + σ), which costs 2 (1 + σ²)/(1 + σ)²,
    from 1 at σ = 1 to 2.
    """
    return 1 + sigma.pow(-2)


def level_range(dims: int) -> tuple[float, float]:
    """The lowest and the highest level of a sampler, for images of so many numbers.

    The lowest is EDM's. The highest is as far beyond the data as EDM's 80 is for 3,072 numbers: the distance of an image from their
    mean is √D deviations, and noise 2.9 times as far away hides all of it.
    """
    return SMALLEST_SIGMA, LARGEST_SIGMA * math.sqrt(dims / EDM_DIMS)


def times(steps: int, lowest: float, highest: float, rho: float = RHO) -> list[float]:
    """The levels σ_0 > … > σ_N = 0 of N steps, in float64 (Karras et al. 2022, eq. 5); the last step goes from the lowest to 0."""
    first, last = highest ** (1 / rho), lowest ** (1 / rho)
    return [(first + i / max(1, steps - 1) * (last - first)) ** rho for i in range(steps)] + [0.0]
