"""Densities and bounds against closed forms, enumeration and torch.distributions."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch import distributions as dist

from engine.losses import likelihoods as L
from tests.kit.tensors import seeded

F64 = torch.float64


def t(*values: float) -> Tensor:
    return torch.tensor(values, dtype=F64)


# -- KL ---------------------------------------------------------------------------------------------------------------


def test_that_kl_matches_the_closed_forms_per_dimension():
    kl = L.kl_to_standard_normal(t(1, 0, 1, 0), t(1, 2, 0.5, 1))
    assert kl.tolist() == pytest.approx([0.5, 0.806852819, 0.818147181, 0.0], abs=1e-9)


def test_that_kl_is_the_mean_of_log_q_minus_log_p():
    mean, sigma = torch.randn(6, generator=seeded(), dtype=F64), torch.rand(6, generator=seeded(1), dtype=F64) + 0.2
    q = dist.Normal(mean, sigma)
    z = mean + sigma * torch.randn(20_000, 6, generator=seeded(2), dtype=F64)
    differences = (q.log_prob(z) - dist.Normal(0.0, 1.0).log_prob(z)).sum(1)
    error = differences.std() / math.sqrt(len(differences))
    assert abs(differences.mean() - L.kl_to_standard_normal(mean, sigma).sum()) < 4 * error


def test_that_log_normal_is_the_density_of_a_diagonal_gaussian():
    z, mean, sigma = torch.randn(5, 3, dtype=F64), torch.randn(5, 3, dtype=F64), torch.rand(5, 3, dtype=F64) + 0.1
    assert torch.allclose(L.log_normal(z, mean, sigma), dist.Normal(mean, sigma).log_prob(z).sum(1), atol=1e-12)
    assert torch.allclose(L.log_normal(z), dist.Normal(0.0, 1.0).log_prob(z).sum(1), atol=1e-12)


def test_that_free_bits_take_the_mean_before_the_maximum():
    kl = torch.tensor([[0.0, 3.0], [0.4, 1.0]], dtype=F64, requires_grad=True)
    assert L.free_bits(kl, 0.0).item() == pytest.approx(kl.mean(0).sum().item(), abs=1e-12)
    assert L.free_bits(kl, 0.25).item() == pytest.approx(0.25 + 2.0, abs=1e-12)  # per image it would be 0.325 + 2
    L.free_bits(kl, 100.0).backward()
    assert kl.grad is not None and not kl.grad.any()


# -- schedules --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("schedule", "progress", "expected"),
    [
        ("constant", 0.0, 2.0),
        ("linear", 0.0, 0.0),
        ("linear", 0.1, 1.0),
        ("linear", 0.2, 2.0),
        ("linear", 1.0, 2.0),
        ("cyclical", 0.0, 0.0),
        ("cyclical", 0.0625, 1.0),
        ("cyclical", 0.125, 2.0),
        ("cyclical", 0.2499, 2.0),
        ("cyclical", 0.25, 0.0),
        ("cyclical", 0.9999, 2.0),
        ("cyclical", 1.0, 2.0),
    ],
)
def test_that_the_kl_weight_follows_its_schedule(schedule: str, progress: float, expected: float):
    assert L.kl_weight(schedule, progress, beta=2.0, span=0.2, cycles=4) == pytest.approx(expected, abs=1e-9)


def test_that_a_linear_rise_over_nothing_is_constant():
    assert L.kl_weight("linear", 0.0, beta=3.0, span=0.0, cycles=1) == 3.0


# -- Bernoulli --------------------------------------------------------------------------------------------------------


def test_that_bernoulli_probabilities_of_all_images_sum_to_one():
    logits = 3 * torch.randn(10, generator=seeded(), dtype=F64)
    images = torch.cartesian_prod(*[t(0, 1)] * 10)
    assert len(images) == 1024
    assert L.bernoulli(images, logits).sum(1).exp().sum().item() == pytest.approx(1.0, abs=1e-12)


def test_that_zero_logits_cost_ln_2_per_pixel():
    assert -L.bernoulli(torch.ones(784, dtype=F64), torch.zeros(784, dtype=F64)).sum().item() == pytest.approx(543.427389559, abs=1e-9)


def test_that_bernoulli_is_finite_for_huge_logits():
    x, logits = torch.tensor([0.0, 1.0, 0.0, 1.0]), torch.tensor([1e4, 1e4, -1e4, -1e4])
    assert L.bernoulli(x, logits).tolist() == [-1e4, 0.0, 0.0, -1e4]


def test_that_binarization_is_a_draw_with_the_grey_value_as_its_probability():
    x = torch.full((20_000,), 0.3)[:, None]
    drawn = L.binarize(x, seeded())
    assert set(drawn.unique().tolist()) == {0.0, 1.0}
    assert drawn.mean().item() == pytest.approx(0.3, abs=4 * math.sqrt(0.21 / 20_000))
    assert torch.equal(L.binarize(torch.tensor([[0.0, 1.0]] * 500), seeded()), torch.tensor([[0.0, 1.0]] * 500))


# -- Gaussian ---------------------------------------------------------------------------------------------------------


def test_that_the_gaussian_keeps_every_constant():
    x, mean, log_sigma = torch.randn(3, 7, dtype=F64), torch.randn(7, dtype=F64), torch.randn(7, dtype=F64)
    assert torch.allclose(L.gaussian(x, mean, log_sigma), dist.Normal(mean, log_sigma.exp()).log_prob(x), atol=1e-12)


def test_that_the_best_global_sigma_is_the_root_mean_squared_error():
    error = torch.randn(50, generator=seeded(), dtype=F64)
    mse = error.square().mean()

    def cost(log_sigma: Tensor) -> Tensor:
        return -L.gaussian(error, torch.zeros((), dtype=F64), log_sigma).sum()

    best = 0.5 * mse.log()
    assert cost(best).item() == pytest.approx(25 * (math.log(2 * math.pi * mse.item()) + 1), abs=1e-10)
    assert cost(best) < cost(best + 0.01) and cost(best) < cost(best - 0.01)


def test_that_the_linear_gaussian_fixture_has_its_exact_likelihood_and_bounds():
    """Probabilistic PCA with W = (2, 1, 0), s² = 1/2, x = (1, -1, 1/2) (Tipping and Bishop 1999)."""
    w, x, log_s = t(2, 1, 0), t(1, -1, 0.5), torch.tensor(0.5 * math.log(0.5), dtype=F64)
    covariance = torch.outer(w, w) + 0.5 * torch.eye(3, dtype=F64)
    exact = dist.MultivariateNormal(t(0, 0, 0), covariance).log_prob(x).item()
    assert exact == pytest.approx(-4.984224283, abs=1e-9)

    variance = 1 / (1 + (w @ w).item() / 0.5)
    mean = variance * (w @ x).item() / 0.5
    assert (mean, variance) == (pytest.approx(2 / 11), pytest.approx(1 / 11))
    noise = torch.randn(200, 1, generator=seeded(), dtype=F64)
    z = mean + math.sqrt(variance) * noise
    log_w = L.gaussian(x, z * w, log_s).sum(1) + L.log_normal(z) - L.log_normal(noise) + 0.5 * math.log(variance)
    assert torch.allclose(log_w, torch.full_like(log_w, exact), atol=1e-12)  # with the exact posterior every weight is p(x)
    for k in (1, 7, 200):
        *_, last = L.iwae(lambda n: log_w[:n, None], k, 3)
        assert last.log_p.item() == pytest.approx(exact, abs=1e-12)
        assert last.effective.item() == pytest.approx(k)

    kl = L.kl_to_standard_normal(t(mean), t(math.sqrt(variance))).item()
    assert kl == pytest.approx(0.760931107, abs=1e-9)
    assert exact + kl == pytest.approx(-4.223293176, abs=1e-9)


# -- discretized logistic ---------------------------------------------------------------------------------------------

GRID = torch.arange(256, dtype=F64) / 255


def mass(mean: float, scale: float) -> Tensor:
    return L.discretized_logistic(GRID, torch.tensor(mean, dtype=F64), torch.tensor(scale, dtype=F64).log()).exp()


@pytest.mark.parametrize("mean", [-3.0, -1.0, -0.4, 0.0, 0.77, 1.0, 2.0])
@pytest.mark.parametrize("scale", [0.001, 0.01, 0.1, 0.5, 5.0, 50.0])
def test_that_the_256_masses_sum_to_one(mean: float, scale: float):
    assert mass(mean, scale).sum().item() == pytest.approx(1.0, abs=1e-12)


def test_that_without_open_outer_bins_mass_would_be_missing():
    def cdf(v: Tensor) -> Tensor:
        return torch.sigmoid(v / 0.5)

    closed = cdf(2 * GRID - 1 + 1 / 255) - cdf(2 * GRID - 1 - 1 / 255)
    assert closed.sum().item() == pytest.approx(0.763236, abs=1e-6)
    assert torch.allclose(mass(0.0, 0.5)[1:-1], closed[1:-1], atol=1e-14)  # the inner bins are the same
    assert mass(0.0, 0.5)[0].item() == pytest.approx(cdf(t(-1 + 1 / 255)).item(), abs=1e-14)


def test_the_known_values_and_limits_of_the_discretized_logistic():
    assert mass(0.0, 0.1)[128].item() == pytest.approx(0.0195979, abs=2e-7)
    assert -math.log2(mass(0.0, 0.1)[128].item()) == pytest.approx(5.673, abs=1e-3)
    assert mass(0.0, 50.0)[0].item() == pytest.approx(0.49502, abs=1e-5)  # a wide one is not uniform: its tails are at the ends
    assert mass(0.0, 1e6)[[0, 255]].tolist() == pytest.approx([0.5, 0.5], abs=1e-5)
    for k in (0, 1, 100, 255):
        assert mass(2 * k / 255 - 1, math.exp(-7))[k].item() > 0.97


def test_that_far_tails_keep_their_logarithm_and_their_gradient_in_float32():
    mean = torch.tensor([-1.0, 1.0, 0.0, 0.0], requires_grad=True)
    log_scale = torch.full((4,), -7.0, requires_grad=True)
    x = torch.tensor([1.0, 0.0, 127 / 255, 1.0])
    log_p = L.discretized_logistic(x, mean, log_scale)
    exact = L.discretized_logistic(x.double(), mean.detach().double(), log_scale.detach().double())
    assert exact.min() < -1000  # far beyond what a difference of two sigmoids can hold
    assert torch.allclose(log_p.double(), exact, rtol=1e-4)
    log_p.sum().backward()
    for gradient in (mean.grad, log_scale.grad):
        assert gradient is not None and gradient.isfinite().all()


def test_that_the_mean_image_is_the_expectation_over_the_256_values():
    for mean, scale in [(-1.2, 0.05), (-1.0, 0.3), (-0.2, 0.02), (0.3, 0.2), (0.9, 0.5), (1.5, 0.1)]:
        expected = (mass(mean, scale) * GRID).sum().item()
        got = L.clipped_logistic_mean(torch.tensor(mean, dtype=F64), torch.tensor(scale, dtype=F64).log()).item()
        assert got == pytest.approx(expected, abs=0.25 / 255)


# -- bits per dimension -----------------------------------------------------------------------------------------------


def test_that_every_uniform_model_of_8_bit_images_has_8_bits_per_dimension():
    assert L.bits_per_dim(3072 * math.log(256), 3072) == pytest.approx(8.0, abs=1e-12)  # probability 1/256 each
    assert L.bits_per_dim(0.0, 3072, continuous=True) == 8.0  # density 1 on [0, 1]


def test_that_a_change_of_scale_by_256_is_8_bits_per_dimension():
    u = torch.rand(100, generator=seeded(), dtype=F64)
    on_unit = -dist.Normal(t(0.5), t(0.3)).log_prob(u).sum().item()
    on_grey_values = -dist.Normal(t(128), t(0.3 * 256)).log_prob(256 * u).sum().item()
    assert L.bits_per_dim(on_unit, 100, continuous=True) == pytest.approx(L.bits_per_dim(on_grey_values, 100), abs=1e-10)


# -- streamed estimates -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("chunk", [1, 3, 50, 1000])
def test_that_the_streamed_estimate_is_the_direct_one(chunk: int):
    log_w = 30 * torch.randn(500, 4, generator=seeded(), dtype=F64) - 3000  # far outside of what exp can hold
    place = 0

    def take(k: int) -> Tensor:
        nonlocal place
        place += k
        return log_w[place - k : place]

    estimates = list(L.iwae(take, 500, chunk))
    assert place == 500
    assert [e.k for e in estimates] == [*range(chunk, 500, chunk), 500]
    assert torch.allclose(estimates[-1].log_p, log_w.logsumexp(0) - math.log(500), atol=1e-10)
    assert torch.allclose(estimates[-1].elbo, log_w.mean(0), atol=1e-10)
    weights = log_w.softmax(0)
    assert torch.allclose(estimates[-1].effective, 1 / weights.square().sum(0), atol=1e-8)


def test_that_more_samples_tighten_the_bound():
    """p(z) = N(0, 1), p(x|z) = N(z, 1), x = 2, q = the prior: log p(2) = -2.265512123, E[L_1] = -3.418938533."""
    z = torch.randn(200_000, 100, generator=seeded())
    log_w = dist.Normal(z, 1.0).log_prob(torch.tensor(2.0)).double()
    bounds, errors = [], []
    for k in (1, 2, 5, 10, 100):
        *_, last = L.iwae(lambda n, k=k: log_w[:, :k].T, k, k)
        bounds.append(last.log_p.mean().item())
        errors.append(4 * last.log_p.std().item() / math.sqrt(200_000))
    assert bounds[0] == pytest.approx(-3.418938533, abs=errors[0])
    assert bounds[1:] == pytest.approx([-2.754, -2.423, -2.337, -2.270], abs=0.015)
    assert bounds == sorted(bounds)
    assert bounds[-1] < dist.Normal(0.0, math.sqrt(2.0)).log_prob(torch.tensor(2.0)).item()


# -- randomness -------------------------------------------------------------------------------------------------------


def test_that_the_noise_of_an_image_does_not_depend_on_its_place():
    x = torch.rand(5, 1, 8, 8, generator=seeded())
    order = [3, 0, 4, 1, 2]
    straight = L.uniform(x, L.image_generators(x, 7))
    assert torch.equal(L.uniform(x[order], L.image_generators(x[order], 7)), straight[order])
    assert torch.equal(L.uniform(x[2:3], L.image_generators(x[2:3], 7))[0], straight[2])
    assert not torch.equal(L.uniform(x, L.image_generators(x, 8)), straight)
    assert not torch.equal(straight[0], straight[1])


def test_that_drawing_leaves_the_global_random_state_alone():
    before = torch.get_rng_state()
    x = torch.rand(2, 1, 8, 8, generator=seeded())
    L.normal(x.flatten(1), 3, seeded())
    L.binarize(x, L.image_generators(x, 0))
    assert torch.equal(torch.get_rng_state(), before)
