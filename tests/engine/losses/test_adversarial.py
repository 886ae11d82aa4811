"""Losses of a GAN where they are known in closed form, and its penalties on linear networks."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from engine.losses.adversarial import OBJECTIVES, discriminator_loss, generator_loss, squared_gradient
from tests.kit.tensors import seeded

ZERO = torch.zeros(5, dtype=torch.float64)


@pytest.mark.parametrize(
    ("objective", "discriminator", "generator"),
    [("non_saturating", 2 * math.log(2), math.log(2)), ("hinge", 2.0, 0.0), ("relativistic", math.log(2), math.log(2))],
)
def test_that_a_discriminator_without_an_opinion_costs_what_it_must(objective: str, discriminator: float, generator: float):
    assert discriminator_loss(objective, ZERO, ZERO).item() == pytest.approx(discriminator, abs=1e-12)
    assert generator_loss(objective, ZERO, ZERO).item() == pytest.approx(generator, abs=1e-12)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_that_losses_are_slow_sums_of_their_formulas(objective: str):
    real, fake = (torch.randn(7, generator=seeded(i), dtype=torch.float64) * 3 for i in range(2))

    def sigma(t: float) -> float:
        return 1 / (1 + math.exp(-t))

    pairs = list(zip(real.tolist(), fake.tolist(), strict=True))
    wanted = {
        "non_saturating": ([-math.log(sigma(r)) - math.log(1 - sigma(f)) for r, f in pairs], [-math.log(sigma(f)) for _, f in pairs]),
        "hinge": ([max(0, 1 - r) + max(0, 1 + f) for r, f in pairs], [-f for _, f in pairs]),
        "relativistic": ([-math.log(sigma(r - f)) for r, f in pairs], [-math.log(sigma(f - r)) for r, f in pairs]),
    }[objective]
    assert discriminator_loss(objective, real, fake).item() == pytest.approx(np.mean(wanted[0]))
    assert generator_loss(objective, real, fake).item() == pytest.approx(np.mean(wanted[1]))


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_that_each_network_wants_what_the_other_does_not(objective: str):
    real, fake = ZERO.clone().requires_grad_(), ZERO.clone().requires_grad_()
    discriminator_loss(objective, real, fake).backward()
    assert (real.grad < 0).all() and (fake.grad > 0).all()
    fake.grad = None
    generator_loss(objective, real, fake).backward()
    assert (fake.grad < 0).all()


def test_that_the_penalty_of_a_linear_discriminator_is_the_square_of_its_weights_and_pulls_them_to_zero():
    w = torch.tensor([3.0, -4.0, 0.5], dtype=torch.float64, requires_grad=True)
    x = torch.randn(6, 3, generator=seeded(), dtype=torch.float64, requires_grad=True)
    penalty = squared_gradient(x @ w + 7, x)
    assert penalty.item() == pytest.approx(25.25, abs=1e-12)
    penalty.backward()
    torch.testing.assert_close(w.grad, 2 * w.detach())


def test_that_the_penalty_of_a_square_is_four_times_the_mean_square():
    x = torch.randn(4, 1, 2, 2, generator=seeded(), dtype=torch.float64, requires_grad=True)
    assert squared_gradient(x.square().flatten(1).sum(1), x).item() == pytest.approx(4 * x.square().sum().item() / 4)


@pytest.mark.parametrize("objective", ["non_saturating", "relativistic"])
def test_that_the_best_discriminator_of_two_gaussians_is_their_log_ratio(objective: str):
    """log p(x) - log q(x) of N(0, 1) and N(1, 1.5²) is a quadratic: fitted to the loss on a fine grid of quantiles, it is found."""
    quantiles = torch.distributions.Normal(0, 1).icdf((torch.arange(4000, dtype=torch.float64) + 0.5) / 4000)
    real, fake = quantiles, 1 + 1.5 * quantiles
    fake_pairs = fake[torch.randperm(4000, generator=seeded())]  # the relativistic loss pairs independent draws
    c = torch.zeros(3, dtype=torch.float64, requires_grad=True)

    def logits(x: Tensor) -> Tensor:
        return c[0] + c[1] * x + c[2] * x.square()

    optimizer = torch.optim.LBFGS([c], max_iter=200, tolerance_grad=1e-10, tolerance_change=1e-14, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = discriminator_loss(objective, logits(real), logits(fake_pairs))
        loss.backward()
        return loss

    optimizer.step(closure)
    constant, linear, square = math.log(1.5) + 1 / (2 * 1.5**2), -1 / 1.5**2, -0.5 + 0.5 / 1.5**2
    found = c.detach().tolist()
    assert found[1] == pytest.approx(linear, abs=0.03) and found[2] == pytest.approx(square, abs=0.03)
    if objective == "non_saturating":  # of differences the constant is anything
        assert found[0] == pytest.approx(constant, abs=0.03)


def test_that_penalties_can_be_descended_through_the_discriminators_own_layers():
    """Finite differences of R1 in a weight of a small network, in float64."""
    net = nn.Sequential(nn.Linear(3, 4), nn.Softplus(), nn.Linear(4, 1)).double()
    with torch.no_grad():
        for p in net.parameters():
            p.copy_(torch.randn(p.shape, generator=seeded(p.numel()), dtype=torch.float64))
    x = torch.randn(5, 3, generator=seeded(9), dtype=torch.float64)

    def r1() -> Tensor:
        inputs = x.clone().requires_grad_()
        return squared_gradient(net(inputs)[:, 0], inputs)

    weight = net[0].weight
    r1().backward(inputs=[weight])
    told = weight.grad[1, 2].item()
    found = []
    for change in (1e-5, -1e-5):
        with torch.no_grad():
            weight[1, 2] += change
        found.append(r1().item())
        with torch.no_grad():
            weight[1, 2] -= change
    assert told == pytest.approx((found[0] - found[1]) / 2e-5, rel=1e-6)
