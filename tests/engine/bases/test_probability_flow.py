"""Samplers and the ODE's density against Gaussians, whose denoiser, flow and density are known."""

from __future__ import annotations

import math
from collections.abc import Generator

import pytest
import torch
from torch import Tensor
from torch.distributions import MultivariateNormal, Normal

from engine.bases.denoising import Denoiser
from engine.bases.probability_flow import Denoise, denoised_and_trace, log_density, sampled
from engine.losses.diffusion import level_range, times
from engine.protocols import FlowDensity
from tests.kit.tensors import seeded

F64 = torch.float64
LOWEST, HIGHEST = 0.004, 40.0
CENTRE = torch.tensor(0.7, dtype=F64)


def gaussian(mean: Tensor, covariance: Tensor) -> Denoise:
    """E[y | y + σ ε = x] of y ~ N(m, Σ): m + Σ (Σ + σ² I)⁻¹ (x - m)."""

    def denoise(x: Tensor, sigma: float) -> Tensor:
        gain = covariance @ torch.linalg.inv(covariance + sigma**2 * torch.eye(len(covariance), dtype=F64))
        return mean + (x - mean) @ gain.T

    return denoise


def line(deviation: float, mean: float = 0.0) -> Denoise:
    return gaussian(torch.tensor([mean], dtype=F64), torch.tensor([[deviation**2]], dtype=F64))


def walked(sampler: str, denoise: Denoise, x: Tensor, steps: int, generator: torch.Generator | None = None) -> list[Tensor]:
    return list(sampled(sampler, denoise, x, times(steps, LOWEST, HIGHEST), generator))


def finished(steps: Generator[None, None, FlowDensity]) -> tuple[FlowDensity, int]:
    """What a generator returns, and how often it yielded."""
    count = 0
    while True:
        try:
            next(steps)
            count += 1
        except StopIteration as end:
            return end.value, count


@pytest.mark.parametrize(("sampler", "ratio"), [("euler", 2.0), ("heun", 4.0)])
def test_that_twice_the_steps_divide_the_error_as_the_solvers_order_says(sampler: str, ratio: float):
    """x(σ) - m = (x(σ_max) - m) √(s² + σ²)/√(s² + σ_max²)."""
    deviation, mean = 0.8, 0.3
    x = torch.tensor([[HIGHEST]], dtype=F64)
    exact = mean + (HIGHEST - mean) * math.sqrt((deviation**2 + LOWEST**2) / (deviation**2 + HIGHEST**2))
    errors = [abs(walked(sampler, line(deviation, mean), x, steps)[-2].item() - exact) for steps in (64, 128, 256)]
    assert errors[0] / errors[1] == pytest.approx(ratio, rel=0.1)
    assert errors[1] / errors[2] == pytest.approx(ratio, rel=0.05)


@pytest.mark.parametrize("sampler", ["euler", "heun", "ancestral"])
def test_that_a_point_is_found_in_one_step(sampler: str):
    point = torch.tensor([0.2, -0.7], dtype=F64)
    x = HIGHEST * torch.randn(3, 2, generator=seeded(), dtype=F64)
    (found,) = walked(sampler, lambda x, sigma: point.expand_as(x), x, 1, seeded())
    assert torch.allclose(found, point.expand(3, 2), atol=1e-12)


@pytest.mark.parametrize("sampler", ["heun", "ancestral"])
def test_that_samples_of_a_gaussian_have_its_moments(sampler: str):
    deviation, mean, count = 0.7, -0.4, 40_000
    noise = HIGHEST * torch.randn(count, 1, generator=seeded(), dtype=F64)
    found = walked(sampler, line(deviation, mean), noise, 300, seeded(1))[-1]
    assert found.mean().item() == pytest.approx(mean, abs=4 * deviation / math.sqrt(count) + 0.01)
    assert found.var().item() == pytest.approx(deviation**2, rel=4 * math.sqrt(2 / count) + 0.02)


def test_that_an_ancestral_step_draws_from_bayes_rule():
    """x at a lower level given x at a higher and y: the conditional of a joint Gaussian with covariance [[a², a²], [a², b²]]."""
    a, b, y = 0.9, 2.0, 0.5
    x = torch.full((200_000, 1), 1.7, dtype=F64)
    found = next(sampled("ancestral", lambda x, sigma: torch.full_like(x, y), x, [b, a, 0.0], seeded()))
    assert found.mean().item() == pytest.approx(y + a**2 / b**2 * (1.7 - y), abs=0.01)
    assert found.var().item() == pytest.approx(a**2 - a**4 / b**2, rel=0.02)


def test_that_heun_and_euler_draw_no_noise_and_ancestral_its_own():
    x = HIGHEST * torch.randn(2, 1, generator=seeded(), dtype=F64)
    for sampler in ("euler", "heun"):
        assert torch.equal(walked(sampler, line(1.0), x, 5, seeded(1))[-1], walked(sampler, line(1.0), x, 5, seeded(2))[-1])
    ancestral = [walked("ancestral", line(1.0), x, 5, seeded(seed))[-1] for seed in (1, 1, 2)]
    assert torch.equal(ancestral[0], ancestral[1]) and not torch.equal(ancestral[0], ancestral[2])


# -- density ----------------------------------------------------------------------------------------------------------


def some_gaussian(dims: int = 5) -> tuple[Denoise, MultivariateNormal]:
    """A denoiser, and the distribution that its ODE makes at the lowest level from N(centre, σ² I) at the highest, exactly.

    Along each axis of the covariance λ a point comes nearer to 0 by √((λ + σ_min²)/(λ + σ_max²)).
    """
    factor = torch.randn(dims, dims, generator=seeded(4), dtype=F64) / 2
    covariance = factor @ factor.T + 0.01 * torch.eye(dims, dtype=F64)
    variances, axes = torch.linalg.eigh(covariance)
    shrunk = axes @ torch.diag(((variances + LOWEST**2) / (variances + HIGHEST**2)).sqrt()) @ axes.T
    exact = MultivariateNormal(shrunk @ CENTRE.expand(dims), HIGHEST**2 * shrunk @ shrunk)
    return gaussian(torch.zeros(dims, dtype=F64), covariance), exact


def test_that_the_error_of_a_gaussians_density_falls_with_the_steps_and_is_told():
    """The walk is of order 4; the difference of two takes that error off, so 16 times at least with twice the steps."""
    denoise, exact = some_gaussian()
    x = torch.randn(3, 5, generator=seeded(), dtype=F64) / 2
    wanted = exact.log_prob(x)
    errors = []
    for steps in (16, 32, 64):
        found, _ = finished(log_density(denoise, x, CENTRE, LOWEST, HIGHEST, steps, 0, []))
        assert torch.equal(found.probe_error, torch.zeros(3, dtype=F64)) and torch.equal(found.error, found.solver_error)
        errors.append((found.log_p - wanted).abs().max().item())
        told = found.solver_error.max().item()
        assert errors[-1] < 1.5 * told < 30 * errors[-1]
    assert errors[2] < 1e-6 and errors[0] > 16 * errors[1] and errors[1] > 16 * errors[2]
    assert finished(log_density(denoise, x, CENTRE, LOWEST, HIGHEST, 1, 0, []))[0].solver_error.isnan().all()


def test_that_pixels_that_hardly_vary_are_scored_as_their_narrow_gaussian_says():
    """784 pixels whose deviation is that of dequantization alone, and wider ones; the closed form of `some_gaussian`, axis by axis."""
    low, high = level_range(784)
    for deviation in (0.002, 0.005, 0.01, 0.03, 0.1, 0.5, 2.0):

        def denoise(x: Tensor, sigma: float, variance: float = deviation**2) -> Tensor:
            return variance / (variance + sigma**2) * x

        x = deviation * torch.randn(4, 784, generator=seeded(), dtype=F64)
        shrunk = math.sqrt((deviation**2 + low**2) / (deviation**2 + high**2))
        wanted = Normal(0.0, high * shrunk).log_prob(x).sum(1)
        own = [seeded(i) for i in range(4)]  # one sign an evaluation finds the trace of a diagonal exactly
        found, _ = finished(log_density(denoise, x, torch.zeros(784, dtype=F64), low, high, Denoiser.ODE_STEPS, 1, own))
        assert (found.log_p - wanted).abs().max() < 0.6, deviation
        assert ((found.log_p - wanted).abs() < 1.5 * found.error + 1e-6).all(), deviation


def test_that_random_signs_find_the_trace_of_a_diagonal_jacobian_exactly():
    x = torch.randn(4, 3, generator=seeded(), dtype=F64)
    denoise = gaussian(torch.zeros(3, dtype=F64), torch.diag(torch.tensor([0.1, 1.0, 2.0], dtype=F64)))
    generators = [seeded(i) for i in range(4)]
    guessed, _ = finished(log_density(denoise, x, CENTRE, LOWEST, HIGHEST, 20, 2, generators))
    exact, _ = finished(log_density(denoise, x, CENTRE, LOWEST, HIGHEST, 20, 0, []))
    assert torch.allclose(guessed.log_p, exact.log_p, atol=1e-9)
    assert torch.allclose(guessed.probe_error, torch.zeros(4, dtype=F64), atol=1e-9)


@pytest.mark.parametrize("probes", [1, 4])
def test_that_the_estimate_is_without_bias_and_knows_its_error(probes: int):
    denoise, _ = some_gaussian()
    count = 400
    x = (torch.randn(1, 5, generator=seeded(), dtype=F64) / 2).expand(count, 5)
    exact = finished(log_density(denoise, x[:1], CENTRE, LOWEST, HIGHEST, 20, 0, []))[0].log_p.item()
    found, _ = finished(log_density(denoise, x, CENTRE, LOWEST, HIGHEST, 20, probes, [seeded(i) for i in range(count)]))
    spread = found.log_p.std().item()
    assert spread > 0.01
    assert found.log_p.mean().item() == pytest.approx(exact, abs=4 * spread / math.sqrt(count))
    assert found.error.square().mean().sqrt().item() == pytest.approx(spread, rel=0.2)


def test_that_the_walk_can_be_left_between_any_two_passes():
    passes = 0

    def counted(x: Tensor, sigma: float) -> Tensor:
        nonlocal passes
        passes += 1
        return x / (1 + sigma**2)

    x = torch.randn(2, 3, generator=seeded(), dtype=F64)
    walk = log_density(counted, x, CENTRE, LOWEST, HIGHEST, 7, 1, [seeded(), seeded()])
    for number in range(1, 6):
        next(walk)
        assert passes == number
    walk.close()
    assert passes == 5
    walk = log_density(counted, x, CENTRE, LOWEST, HIGHEST, 7, 1, [seeded(), seeded()])
    assert finished(walk)[1] == 4 * (7 + 3), "and once more in half the steps"


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_that_the_trace_is_found_where_no_gradients_are_kept(mode: type):
    weight = torch.randn(3, 3, generator=seeded(), dtype=F64)
    with mode():
        x = torch.randn(2, 3, generator=seeded(1), dtype=F64)
        clean, traces = denoised_and_trace(lambda x, sigma: x @ weight.T, x, 1.0, None)
    assert torch.allclose(traces, weight.trace().expand(1, 2))
    assert not clean.requires_grad and not traces.requires_grad
