"""The importance-weighted objective and the VampPrior of the VAE against slow loops and torch's own distributions."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch import distributions as dist

from engine.config import make_config
from engine.method import DataSpec, StepContext, build
from engine.methods.vae import VAE, Config
from tests.kit.tensors import seeded

F64 = torch.float64


def make(**settings: Any) -> VAE:
    settings = {"latent": 3, "width": 8, "likelihood": "bernoulli", "pseudo_inputs": 5, "importance_samples": 4} | settings
    made = build(VAE, make_config(Config, settings), DataSpec((1, 8, 8)), 0).double()
    assert isinstance(made, VAE)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=seeded(5), dtype=F64))
    return made


def binary(count: int) -> Tensor:
    return (torch.rand(count, 1, 8, 8, generator=seeded(1)) > 0.5).double()


def mixture(model: VAE) -> dist.MixtureSameFamily:
    """The prior by torch's own distributions."""
    assert model.pseudo_logits is not None
    parts = model.posterior(model.pseudo_logits.sigmoid())
    each = dist.Independent(dist.Normal(parts.mean.detach(), parts.sigma.detach()), 1)
    return dist.MixtureSameFamily(dist.Categorical(torch.ones(len(parts.mean), dtype=F64)), each)


@pytest.mark.parametrize("prior", ["normal", "vamp"])
def test_that_the_importance_weighted_loss_is_that_of_a_slow_loop(prior: str):
    model, x = make(objective="iwae", prior=prior), binary(3)
    drawing = seeded(7)
    terms = model.loss(x, None, StepContext(generator=drawing))
    replay = seeded(7)
    torch.rand(x.shape, generator=replay)  # what binarizing has drawn
    noise = torch.randn(3, 4, 3, generator=replay).double()
    p_z = mixture(model) if prior == "vamp" else dist.Independent(dist.Normal(torch.zeros(3, dtype=F64), 1.0), 1)
    q, bounds, plain = model.posterior(x), [], []
    for i in range(3):
        log_w = []
        for k in range(4):
            z = q.mean[i] + q.sigma[i] * noise[i, k]
            log_p = dist.Bernoulli(logits=model._maps(z[None])[0]).log_prob(x[i]).sum() + p_z.log_prob(z)
            log_w.append((log_p - dist.Normal(q.mean[i], q.sigma[i]).log_prob(z).sum()).item())
        bounds.append(max(log_w) + math.log(sum(math.exp(w - max(log_w)) for w in log_w) / 4))
        plain += log_w
    assert terms["iwae"].item() == pytest.approx(sum(bounds) / 3, abs=1e-8)
    assert terms["loss"].item() == pytest.approx(-sum(bounds) / 3, abs=1e-8)
    assert terms["elbo"].item() == pytest.approx(sum(plain) / 12, abs=1e-8) and terms["elbo"] < terms["iwae"]


def test_that_one_sample_gives_the_evidence_lower_bound():
    terms = make(objective="iwae", importance_samples=1).loss(binary(5), None, StepContext(generator=seeded()))
    assert terms["iwae"].item() == pytest.approx(terms["elbo"].item(), abs=1e-9)


def test_that_the_vamp_prior_is_the_mean_of_the_pseudo_inputs_posteriors():
    model = make(prior="vamp")
    z = torch.randn(20, 3, generator=seeded(2), dtype=F64)
    assert torch.allclose(model.log_prior(z), mixture(model).log_prob(z), atol=1e-9)
    drawn = model.sample_prior(40_000, generator=seeded(3))
    told = model.describe(binary(9), seeded())
    assert told.centre is not None and told.scale is not None
    assert torch.allclose(drawn.mean(0), told.centre, atol=0.03) and torch.allclose(drawn.std(0), told.scale, atol=0.03)
    assert torch.allclose(told.centre, mixture(model).mean, atol=1e-9)


def test_that_pseudo_inputs_start_as_images_of_all_that_lie_class_by_class():
    model = make(prior="vamp", pseudo_inputs=10)
    classes = torch.linspace(0.1, 0.9, 5).double().repeat_interleave(40)
    model.init_from_data(classes[:, None, None, None].expand(-1, *model.data.shape).contiguous())
    assert model.pseudo_logits is not None
    started = model.pseudo_logits.detach().sigmoid().flatten(1)[:, 0]
    assert torch.allclose(started, torch.linspace(0.1, 0.9, 5).double().repeat_interleave(2), atol=1e-6)


def test_that_with_one_pseudo_input_the_kl_is_the_closed_form():
    model, x = make(prior="vamp", pseudo_inputs=1), binary(4)
    assert model.pseudo_logits is not None
    q, prior = model.posterior(x), model.posterior(model.pseudo_logits.sigmoid())
    exact = dist.kl_divergence(dist.Normal(q.mean, q.sigma), dist.Normal(prior.mean, prior.sigma)).sum(1).mean().item()
    found = torch.stack([model.loss(x, None, StepContext(generator=seeded(seed)))["kl"] for seed in range(400)])
    assert found.mean().item() == pytest.approx(exact, abs=4 * found.std().item() / 20)


def test_that_log_weights_are_of_the_vamp_prior():
    model, x = make(prior="vamp"), binary(2)
    q = model.posterior(x)
    got = model.log_weights(x, q, 3, seeded(9))
    noise = torch.randn(2, 3, 3, generator=seeded(9)).double()
    for i in range(2):
        z = q.mean[i] + q.sigma[i] * noise[i]
        log_p = dist.Bernoulli(logits=model._maps(z)).log_prob(x[i]).sum((1, 2, 3)) + mixture(model).log_prob(z)
        assert torch.allclose(got[:, i], log_p - dist.Normal(q.mean[i], q.sigma[i]).log_prob(z).sum(1), atol=1e-8)


def test_that_samples_of_a_normal_prior_are_those_of_its_noise():
    model = make()
    assert torch.equal(model.sample_prior(4, 0.5, seeded(3)), 0.5 * torch.randn(4, 1, 3, generator=seeded(3))[:, 0].double())
    assert torch.allclose(model.log_prior(torch.zeros(1, 3, dtype=F64)), torch.tensor([-1.5 * math.log(2 * math.pi)], dtype=F64))
