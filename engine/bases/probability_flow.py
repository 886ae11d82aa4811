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

from engine.losses.likelihoods import Randomness
from engine.protocols import FlowDensity

Denoise = Callable[[Tensor, float], Tensor]  # x [B, ...] and its level σ -> E[y | x] [B, ...]

SAMPLERS = ("heun", "euler", "ancestral")
ORDER = 4  # of the method that walks the ODE for a density


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

    It is walked twice, in N steps and in half as many; what the two disagree by tells the error of the finer one, which is taken off
    (Richardson extrapolation of order 4).

    Args:
        x: [B, ...], as noisy as the lowest level, or so little less that it does not matter.
        centre: [...] or one number.
        steps: N. With one step there is no coarser walk, so its error is not known (NaN).
        probes: random signs v per evaluation for tr J ≈ vᵀ J v (Hutchinson 1989; Grathwohl et al. 2019); 0: the exact trace, for the
            price of as many backward passes as an image has numbers. Each evaluation draws its own, so that errors average out.
        generators: one per image: its noise does not depend on its batch mates.
    """
    fine, error = yield from _walked(denoise, x.double(), centre, (lowest, highest), steps, probes, generators)
    if steps < 2:
        return FlowDensity(fine, error, torch.full_like(fine, math.nan))
    coarse, _ = yield from _walked(denoise, x.double(), centre, (lowest, highest), steps // 2, probes, generators)
    apart = (fine - coarse) / ((steps / (steps // 2)) ** ORDER - 1)
    return FlowDensity(fine + apart, error, apart.abs())


def _walked(
    denoise: Denoise,
    x: Tensor,
    centre: Tensor,
    levels: tuple[float, float],
    steps: int,
    probes: int,
    generators: Sequence[torch.Generator],
) -> Generator[None, None, tuple[Tensor, Tensor]]:
    """log p(x) [B] by one walk, and the standard error [B] that random signs leave.

    With t = ln σ and u = (x - centre)/√(1 + σ²), whose flow stands still where the data are N(centre, I),

        du/dt = (x - D - q (x - centre))/√(1 + σ²), and d log p/dt = -(dims - tr ∂D/∂x), q = σ²/(1 + σ²),

    walked from the lowest level to the highest by the classical Runge-Kutta method of order 4 in equal steps of ln σ: of pixels of
    deviation d the flow changes around σ = d, within about one unit of ln σ whatever d is, so equal steps serve the narrowest as well.
    """
    dims = x[0].numel()
    lowest, highest = levels
    scale = math.sqrt(1 + lowest**2)
    u = (x - centre) / scale
    step = math.log(highest / lowest) / steps
    gained = x.new_zeros(max(1, probes), len(x))  # what each probe has found of -∫ d log p, less what N(centre, I) gives
    variance = x.new_zeros(len(x))  # of a single probe's, by what two of one level disagree
    former: Tensor | None = None

    def slopes(at: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
        scale, share = math.sqrt(1 + sigma**2), sigma**2 / (1 + sigma**2)
        there = centre + scale * at
        clean, traces = denoised_and_trace(denoise, there, sigma, signs(at, probes, generators) if probes else None)
        return (there - clean) / scale - share * at, dims * (1 - share) - traces

    for i in range(steps):
        low, middle, high = (lowest * math.exp((i + part) * step) for part in (0.0, 0.5, 1.0))
        u1, g1 = slopes(u, low)
        yield
        u2, g2 = slopes(u + step / 2 * u1, middle)
        yield
        u3, g3 = slopes(u + step / 2 * u2, middle)
        yield
        u4, g4 = slopes(u + step * u3, high)
        u = u + step / 6 * (u1 + 2 * u2 + 2 * u3 + u4)
        gained = gained + step / 6 * (g1 + 2 * g2 + 2 * g3 + g4)
        variance = variance + (step / 6) ** 2 * (4 * (g3 - g2).square() + (0 if former is None else (g1 - former).square())).mean(0)
        former = g4
        yield
    at_the_end = -0.5 * ((1 + highest**2) / highest**2 * u.square()).flatten(1).sum(1)
    at_the_end = at_the_end - dims * (math.log(highest) + 0.5 * math.log(2 * math.pi))
    change = dims / 2 * math.log((1 + highest**2) / (1 + lowest**2))  # ∫ q dims dt
    among = gained.std(0) / math.sqrt(probes) if probes > 1 else variance.sqrt()
    return at_the_end + change + gained.mean(0), among if probes else torch.zeros_like(among)


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
