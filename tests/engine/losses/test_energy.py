"""The contrastive loss of energies on a model of two states, whose normalizing constant is a sum (oracle 40)."""

from __future__ import annotations

import pytest
import torch

from engine.losses.energy import contrastive_energy


def test_that_the_gradient_is_that_of_the_likelihood_where_samples_come_from_the_model():
    """Energies (0, ln 3): p = (3/4, 1/4), so three samples of the first state and one of the second are exact."""
    energies = torch.tensor([0.0, torch.log(torch.tensor(3.0, dtype=torch.float64))], dtype=torch.float64, requires_grad=True)
    data = torch.tensor([0, 1, 1, 1, 1])
    exact = -(-energies[data] - torch.logsumexp(-energies, 0)).mean()  # Z enumerated
    (wanted,) = torch.autograd.grad(exact, energies)
    difference, magnitude = contrastive_energy(energies[data], energies[torch.tensor([0, 0, 0, 1])], alpha=0.0)
    (ours,) = torch.autograd.grad(difference, energies)
    assert torch.allclose(ours, wanted, atol=1e-12)
    assert magnitude == 0


def test_that_there_is_no_gradient_where_the_data_are_like_the_samples():
    energies = torch.tensor([0.2, -1.0], dtype=torch.float64, requires_grad=True)
    difference, _ = contrastive_energy(energies[[0, 1, 1]], energies[[1, 0, 1]], alpha=0.0)
    (gradient,) = torch.autograd.grad(difference, energies)
    assert torch.equal(gradient, torch.zeros(2, dtype=torch.float64))


def test_that_the_second_part_is_the_weighted_mean_square_of_energies():
    _, magnitude = contrastive_energy(torch.tensor([1.0, 3.0]), torch.tensor([2.0]), alpha=0.5)
    assert magnitude.item() == pytest.approx(0.5 * (5 + 4))
