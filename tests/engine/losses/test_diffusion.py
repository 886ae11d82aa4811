"""Preconditioning, targets and times against the papers' own numbers and closed forms."""

from __future__ import annotations

import math

import pytest
import torch

from engine.losses import diffusion
from tests.kit.tensors import seeded

F64 = torch.float64
SIGMA = torch.tensor([0.004, 0.05, 0.6, 1.0, 7.0, 160.0], dtype=F64)


def test_that_the_times_of_18_steps_are_those_of_edm():
    times = diffusion.times(18, 0.002, 80.0)
    assert len(times) == 19 and times[-1] == 0.0
    assert times[:3] == pytest.approx([80.0, 57.58598472, 40.7855738], rel=1e-8)
    assert times[16:18] == pytest.approx([0.00752802, 0.002], rel=1e-6)
    assert diffusion.times(1, 0.002, 80.0) == pytest.approx([80.0, 0.0])


def test_that_the_levels_of_cifar_are_edms_in_units_of_its_deviation():
    assert [0.5 * level for level in diffusion.level_range(3072)] == pytest.approx([0.002, 80.0])
    assert diffusion.level_range(3072 // 4)[1] == pytest.approx(diffusion.level_range(3072)[1] / 2)


def test_that_edms_factors_keep_what_they_promise():
    c = diffusion.precondition("edm", SIGMA)
    assert torch.allclose(c.c_in.square() * (SIGMA.square() + 1), torch.ones_like(SIGMA), atol=1e-12)
    assert torch.allclose(diffusion.weight(SIGMA) * c.c_out.square(), torch.ones_like(SIGMA), atol=1e-12)
    sigma_data, sigma = 0.5, 0.5 * SIGMA  # table 1 in the paper's own units
    assert torch.allclose(c.c_skip, sigma_data**2 / (sigma**2 + sigma_data**2))
    assert torch.allclose(sigma_data * c.c_out, sigma * sigma_data / (sigma**2 + sigma_data**2).sqrt())
    assert torch.allclose(c.c_in / sigma_data, 1 / (sigma**2 + sigma_data**2).sqrt())


@pytest.mark.parametrize("objective", diffusion.OBJECTIVES)
def test_that_a_network_that_hits_its_target_gives_the_image(objective: str):
    y, noise = torch.randn(2, 6, 5, generator=seeded(), dtype=F64)
    sigma = SIGMA[:, None]
    c = diffusion.precondition(objective, sigma)
    found = c.c_skip * (y + sigma * noise) + c.c_out * diffusion.target(objective, y, noise, sigma)
    assert torch.allclose(found, y, atol=1e-10)


def test_that_flow_matching_predicts_the_velocity_of_the_straight_line():
    """x_t = t y + (1 - t) ε is c_in x, and its derivative in t is the target."""
    y, noise = torch.randn(2, 6, 5, generator=seeded(), dtype=F64)
    sigma = SIGMA[:, None]
    t = 1 / (1 + sigma)
    assert torch.allclose(diffusion.precondition("flow", sigma).c_in * (y + sigma * noise), t * y + (1 - t) * noise)
    a = 1e-6
    assert torch.allclose(
        ((t + a) * y + (1 - t - a) * noise - (t * y + (1 - t) * noise)) / a, diffusion.target("flow", y, noise, sigma), atol=1e-6
    )


@pytest.mark.parametrize("sigma", SIGMA.tolist())
def test_that_a_network_that_says_nothing_has_a_loss_of_one_at_every_level_of_edm(sigma: float):
    y, noise = torch.randn(2, 200_000, generator=seeded(), dtype=F64)
    for scaled in (y, torch.sign(y)):  # of any distribution with mean 0 and deviation 1
        loss = diffusion.target("edm", scaled, noise, torch.tensor(sigma, dtype=F64)).square().mean().item()
        assert loss == pytest.approx(1.0, abs=0.02)


def test_that_flow_matching_between_two_normals_has_the_losses_of_the_closed_form():
    """v* = (2t - 1) x_t/(t² + (1 - t)²): π/2 per dimension on average over t, and 2 for a network that says nothing."""
    count = 400_000
    t = torch.rand(count, generator=seeded(1), dtype=F64)
    sigma = (1 - t) / t
    y, noise = torch.randn(2, count, generator=seeded(2), dtype=F64)
    wanted = diffusion.target("flow", y, noise, sigma)
    x_t = diffusion.precondition("flow", sigma).c_in * (y + sigma * noise)
    best = (2 * t - 1) * x_t / (t**2 + (1 - t) ** 2)
    assert wanted.square().mean().item() == pytest.approx(2.0, abs=0.02)
    assert (best - wanted).square().mean().item() == pytest.approx(math.pi / 2, abs=0.02)


def test_that_training_levels_have_the_papers_distributions():
    u = (torch.arange(100_000, dtype=F64) + 0.5) / 100_000
    log_sigma = (0.5 * diffusion.training_levels("edm", u)).log()  # in EDM's units
    assert (log_sigma.mean().item(), log_sigma.std().item()) == pytest.approx((-1.2, 1.2), abs=2e-3)
    log_sigma = (0.5 * diffusion.training_levels("edm", u, 0.3, 0.7)).log()
    assert (log_sigma.mean().item(), log_sigma.std().item()) == pytest.approx((0.3, 0.7), abs=2e-3)
    sigma = diffusion.training_levels("flow", u)
    assert (1 / (1 + sigma)).median().item() == pytest.approx(0.5, abs=1e-4)
    assert (1 / (1 + sigma)).var().item() == pytest.approx(1 / 12, abs=1e-4)
    for objective in diffusion.OBJECTIVES:
        edges = diffusion.training_levels(objective, torch.tensor([0.0, 1.0]))
        assert edges.isfinite().all() and (edges > 0).all()


def test_that_stratified_numbers_are_one_in_every_stratum():
    numbers = diffusion.stratified(8, torch.tensor(0.97))
    assert torch.equal((numbers * 8).floor().sort().values, torch.arange(8.0))
