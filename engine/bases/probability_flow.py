"""Samplers of a denoiser and the exact density of its probability-flow ODE (Song et al. 2021), whatever the network is.

dx/dσ = (x - D(x; σ))/σ, with D(x; σ) = E[y | y + σ ε = x]. From the highest level down it makes samples of noise; from the lowest up it
makes noise of an image, and the divergence on the way is the change of log p. All is computed in float64 but the network.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterator, Sequence
from itertools import pairwise

import torch
from torch import Tensor

from engine.losses.diffusion import RHO
from engine.losses.likelihoods import Randomness
from engine.protocols import FlowDensity

Denoise = Callable[[Tensor, float], Tensor]  # x [B, ...] and its level σ -> E[y | x] [B, ...]

SAMPLERS = ("heun", "euler", "ancestral")


# ---------------------------------------------------------------------------------------------------------------------
# Samples
# ---------------------------------------------------------------------------------------------------------------------


def sampled(sampler: str, denoise: Denoise, x: Tensor, times: Sequence[float], generator: Randomness | None = None) -> Iterator[Tensor]:
    """x [n, ...] after each step from one of `times` to the next; it begins as noise of the first level.

    euler: along the tangent of the ODE. heun: the mean of the tangents at both ends (Karras et al. 2022, algorithm 1), but for the last
    step to level 0, which is Euler's. ancestral: the level below from its distribution given x, as if D were the image
    (Ho et al. 2020, eq. 7, for noise that is added): noise is drawn anew in every step but the last.
    """
    for now, then in pairwise(times):
        clean = _denoised(denoise, x, now)
        if sampler == "ancestral":
            kept = (then / now) ** 2
            x = clean + kept * (x - clean)
            if then > 0:
                x = x + then * math.sqrt(1 - kept) * standard_normal(x, generator)
        else:
            slope = (x - clean) / now
            ahead = x + (then - now) * slope
            if sampler == "heun" and then > 0:
                slope = (slope + (ahead - _denoised(denoise, ahead, then)) / then) / 2
                ahead = x + (then - now) * slope
            x = ahead
        yield x


@torch.no_grad()
def _denoised(denoise: Denoise, x: Tensor, sigma: float) -> Tensor:
    return denoise(x, sigma)


def standard_normal(like: Tensor, generator: Randomness | None) -> Tensor:
    """ε ~ N(0, I) shaped like a tensor [B, ...], drawn in float32 where the generator is, or the generators of the rows are."""
    if isinstance(generator, Sequence):
        return torch.stack([torch.randn(like.shape[1:], generator=own) for own in generator]).to(like)
    where = like.device if generator is None else generator.device
    return torch.randn(like.shape, generator=generator, device=where).to(like)


# ---------------------------------------------------------------------------------------------------------------------
# Density
# ---------------------------------------------------------------------------------------------------------------------


def log_density(
    denoise: Denoise,
    x: Tensor,
    centre: Tensor,
    lowest: float,
    highest: float,
    steps: int,
    probes: int,
    generators: Sequence[torch.Generator],
) -> Generator[None, None, FlowDensity]:
    """log p(x) [B] of the distribution that the ODE makes at the lowest level from N(centre, σ² I) at the highest; yields between passes.

    With s = σ^(1/ρ), dx/ds = ρ/s (x - D) and d log p/ds = -ρ/s (dims - tr ∂D/∂x), walked from the lowest level to the highest by the
    classical Runge-Kutta method of order 4 in equal steps of s (ρ = 7 spaces the levels as the sampler does).

    Args:
        x: [B, ...], as noisy as the lowest level, or so little less that it does not matter.
        centre: [...] or one number.
        probes: random signs v per evaluation for tr J ≈ vᵀ J v (Hutchinson 1989; Grathwohl et al. 2019); 0: the exact trace, for the
            price of as many backward passes as an image has numbers. Each evaluation draws its own, so that errors average out.
        generators: one per image: its noise does not depend on its batch mates.
    """
    x = x.double()
    dims = x[0].numel()
    gained = x.new_zeros(max(1, probes), len(x))  # what each probe has found of -∫ d log p
    first, last = lowest ** (1 / RHO), highest ** (1 / RHO)
    step = (last - first) / steps

    def slopes(at: Tensor, s: float) -> tuple[Tensor, Tensor]:
        clean, traces = denoised_and_trace(denoise, at, s**RHO, signs(at, probes, generators) if probes else None)
        return RHO / s * (at - clean), RHO / s * (dims - traces)

    for i in range(steps):
        low, middle, high = (first + (i + part) * step for part in (0.0, 0.5, 1.0))
        x1, g1 = slopes(x, low)
        yield
        x2, g2 = slopes(x + step / 2 * x1, middle)
        yield
        x3, g3 = slopes(x + step / 2 * x2, middle)
        yield
        x4, g4 = slopes(x + step * x3, high)
        x = x + step / 6 * (x1 + 2 * x2 + 2 * x3 + x4)
        gained = gained + step / 6 * (g1 + 2 * g2 + 2 * g3 + g4)
        yield
    at_the_end = -0.5 * ((x - centre) / highest).square().flatten(1).sum(1) - dims * (math.log(highest) + 0.5 * math.log(2 * math.pi))
    error = gained.std(0) / math.sqrt(probes) if probes > 1 else torch.full_like(at_the_end, 0.0 if probes == 0 else math.nan)
    return FlowDensity(at_the_end + gained.mean(0), error)


def signs(x: Tensor, probes: int, generators: Sequence[torch.Generator]) -> Tensor:
    """Random signs (Rademacher) [k, B, ...] shaped like x [B, ...], each image's from its own generator."""
    drawn = [torch.randint(0, 2, (probes, *x.shape[1:]), generator=own, dtype=torch.int8) for own in generators]
    return torch.stack(drawn, 1).to(x) * 2 - 1


def denoised_and_trace(denoise: Denoise, x: Tensor, sigma: float, probes: Tensor | None) -> tuple[Tensor, Tensor]:
    """D(x; σ) [B, ...] and vᵀ ∂D/∂x v [k, B] for probes v [k, B, ...]; without probes the trace itself [1, B].

    Gradients are taken even where those around this do without, in inference mode too.
    """
    with torch.inference_mode(False), torch.enable_grad():
        x = x.detach().clone().requires_grad_()
        clean = denoise(x, sigma)
        if probes is None:
            traces = [_trace(clean, x)]
        else:
            probes = probes.clone()
            pulled = [torch.autograd.grad(clean, x, probe, retain_graph=True)[0] for probe in probes]
            traces = [(back * probe).flatten(1).sum(1) for back, probe in zip(pulled, probes, strict=True)]
        return clean.detach(), torch.stack(traces).detach()


def _trace(clean: Tensor, x: Tensor) -> Tensor:
    """tr ∂D/∂x [B], one number of the image after the other."""
    flat = clean.flatten(1)
    total = torch.zeros_like(flat[:, 0])
    for place in range(flat.shape[1]):
        (back,) = torch.autograd.grad(flat[:, place].sum(), x, retain_graph=True)
        total = total + back.flatten(1)[:, place]
    return total
