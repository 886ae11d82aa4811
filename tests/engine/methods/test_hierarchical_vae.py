"""The hierarchical VAE against a linear-Gaussian model of two levels with a known p(x), torch.distributions, and the plain VAE."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch import distributions as dist

from engine.config import make_config
from engine.evaluation.evaluate import evaluate
from engine.losses.likelihoods import iwae
from engine.method import DataSpec, Latents, StepContext, build
from engine.methods.hierarchical_vae import Config, HierarchicalVAE
from engine.training.loop import train
from engine.training.plan import Plan
from tests.kit.tensors import seeded

F64 = torch.float64
SIGMA, SIGMA1 = 0.3, 0.6  # of x given z1, and of z1 given z2
SIZE1, SIZE2 = 3, 2


def make(**settings: Any) -> HierarchicalVAE:
    settings = {"latent": SIZE1, "top_latent": SIZE2, "width": 4, "network": "mlp", "kl_schedule": "constant"} | settings
    made = build(HierarchicalVAE, make_config(Config, settings), DataSpec((1, 8, 8)), 0)
    assert isinstance(made, HierarchicalVAE)
    return made.double()


def raw(sigma: Tensor, floor: float = 1e-4) -> Tensor:
    """What softplus brings back to sigma."""
    return torch.log(torch.expm1(sigma - floor))


class Constant(nn.Module):
    """A linear map and fixed deviations, side by side as the networks give them."""

    def __init__(self, a: Tensor, sigma: Tensor, image: bool = False) -> None:
        super().__init__()
        self.a, self.sigma, self.image = a, sigma, image

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(1) if self.image else x
        return torch.cat([x @ self.a.T, raw(self.sigma).expand(*x.shape[:-1], -1)], -1)


class Maps(nn.Module):
    def __init__(self, w: Tensor) -> None:
        super().__init__()
        self.w = w

    def forward(self, z: Tensor) -> Tensor:
        return (z @ self.w.T).unflatten(1, (1, 8, 8))


def linear_model(wider: float = 1.0) -> tuple[HierarchicalVAE, dist.MultivariateNormal, dict[str, Tensor]]:
    """x = W z1 + noise, z1 = A z2 + noise. With these W and A both exact posteriors are diagonal; q(z2|x) is `wider` times as wide."""
    model = make(likelihood="gaussian", sigma="fixed", sigma_value=SIGMA)
    w = torch.linalg.qr(torch.randn(64, SIZE1, generator=seeded(3), dtype=F64)).Q * torch.tensor([2.0, 1.0, 0.5], dtype=F64)
    a = torch.tensor([[1.5, 0.0], [0.0, 0.7], [0.0, 0.0]], dtype=F64)
    squares = (w * w).sum(0)
    evidence = SIGMA / squares.sqrt()  # deviations of what x says of z1
    first = (w / squares).T  # x -> the z1 that fits it best
    noise = evidence**2 + SIGMA1**2  # variance of that z1 about A z2
    precision = 1 + (a.T**2 / noise).sum(1)
    top = (a.T / noise) @ first / precision[:, None]
    model.encoder = _Encoder(top, first, wider / precision.sqrt(), evidence)  # type: ignore[assignment]
    model.top_down = Constant(a, torch.full((SIZE1,), SIGMA1, dtype=F64))  # type: ignore[assignment]
    model.decoder = Maps(w)  # type: ignore[assignment]
    covariance = w @ (a @ a.T + SIGMA1**2 * torch.eye(SIZE1, dtype=F64)) @ w.T + SIGMA**2 * torch.eye(64, dtype=F64)
    return model, dist.MultivariateNormal(torch.zeros(64, dtype=F64), covariance), {"w": w, "a": a, "squares": squares}


class _Encoder(nn.Module):
    def __init__(self, top: Tensor, first: Tensor, top_sigma: Tensor, sigma: Tensor) -> None:
        super().__init__()
        self.maps, self.sigma = torch.cat([top, first]), torch.cat([top_sigma, sigma])

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x.flatten(1) @ self.maps.T, raw(self.sigma).expand(len(x), -1)], 1)


def pictures(count: int, seed: int = 0) -> Tensor:
    return 0.5 * torch.randn(count, 1, 8, 8, generator=seeded(seed), dtype=F64)


# -- exact oracles ----------------------------------------------------------------------------------------------------


def test_that_with_exact_posteriors_every_weight_is_log_p_of_both_levels():
    model, exact, _ = linear_model()
    x = pictures(6)
    expected = exact.log_prob(x.flatten(1))
    log_w = model.log_weights(x, model.posterior(x), 40, seeded())
    assert torch.allclose(log_w, expected.expand(40, -1), atol=1e-8)
    assert torch.allclose(model.elbo(x, seeded(), samples=3), expected, atol=1e-8)
    assert torch.allclose(model.log_prob(x), expected, atol=1e-8)


def test_that_the_bound_of_a_wrong_posterior_rises_to_log_p_with_k():
    model, exact, _ = linear_model(wider=2.0)
    x = exact.sample((60,)).view(-1, 1, 8, 8)
    q, expected = model.posterior(x), exact.log_prob(x.flatten(1))
    bounds = [one.log_p.mean().item() for one in iwae(lambda k: model.log_weights(x, q, k, seeded(k)), 4096, 1024)]
    elbo = model.elbo(x, seeded(5), samples=512)
    assert elbo.mean().item() < expected.mean().item() - 0.3
    assert bounds[-1] == pytest.approx(expected.mean().item(), abs=0.01)
    # of the top level alone the gap is known: KL(q(z2|x) ∥ p(z2|x)) of a posterior twice as wide
    gap = SIZE2 * (0.5 * (4 - 1) - math.log(2))
    assert (expected - elbo).mean().item() == pytest.approx(gap, abs=0.05)


def test_that_loss_is_minus_the_bound_and_its_kls_are_those_of_torch():
    model, _, _ = linear_model(wider=1.3)
    x = pictures(300)
    terms = model.loss(x, None, StepContext(generator=seeded()))
    assert terms["loss"].item() == pytest.approx(-terms["elbo"].item(), abs=1e-9)
    assert terms["kl"].item() == pytest.approx(terms["kl_z1"].item() + terms["kl_z2"].item(), abs=1e-9)
    assert terms["elbo"].item() == pytest.approx(model.elbo(x, seeded(1), samples=64).mean().item(), rel=0.01)
    assert model.rate(x, seeded(2), 64).mean().item() == pytest.approx(terms["kl"].item(), rel=0.02)
    seen = model._seen(x)
    top = dist.kl_divergence(dist.Normal(seen.top.mean, seen.top.sigma), dist.Normal(0.0, 1.0)).sum(1).mean().item()
    assert terms["kl_z2"].item() == pytest.approx(top, abs=1e-9)
    prior = model._prior_of_z1(seen.top.mean)
    q = model._combined(seen.evidence, prior)
    theirs = dist.kl_divergence(dist.Normal(q.mean, q.sigma), dist.Normal(prior.mean, prior.sigma))
    assert torch.allclose(model._kl(q, prior), theirs, atol=1e-10)


def test_that_top_down_inference_is_the_normalized_product_of_both_gaussians():
    model = make()
    one, other = Latents(torch.tensor([1.5]), torch.tensor([0.5])), Latents(torch.tensor([-1.0]), torch.tensor([2.0]))
    z = torch.linspace(-10, 10, 200_001, dtype=F64)
    product = torch.exp(dist.Normal(1.5, 0.5).log_prob(z) + dist.Normal(-1.0, 2.0).log_prob(z))
    product = product / product.sum()
    found = model._combined(one, other)
    mean = (product * z).sum()
    assert found.mean.item() == pytest.approx(mean.item(), abs=1e-5)
    assert found.sigma.item() == pytest.approx((product * (z - mean) ** 2).sum().sqrt().item(), abs=1e-5)


def test_that_a_slider_of_z2_moves_the_mean_of_z1_and_samples_have_the_models_covariance():
    model, exact, parts = linear_model()
    u = torch.zeros(1, SIZE2 + SIZE1, dtype=F64)
    u[0, 0] = 0.2
    mean = (parts["w"] @ (parts["a"] @ u[0, :SIZE2])).view(1, 8, 8)
    assert torch.allclose(model.decode(u)[0], mean.clamp(0, 1), atol=1e-10)
    z1 = model._z1(torch.randn(200_000, SIZE2 + SIZE1, generator=seeded(1), dtype=F64))
    expected = parts["a"] @ parts["a"].T + SIGMA1**2 * torch.eye(SIZE1, dtype=F64)
    assert torch.allclose(z1.T.cov(), expected, atol=0.05)
    x = exact.sample((1,)).view(1, 1, 8, 8)
    seen = model._seen(x)
    q = model._combined(seen.evidence, model._prior_of_z1(seen.top.mean))
    assert torch.allclose(model._z1(model.encode(x)), q.mean, atol=1e-10)


def test_that_the_names_say_which_dimensions_are_of_which_level_and_free_bits_hold_for_both():
    model = make(free_bits=0.5)
    described = model.describe(torch.rand(5, 1, 8, 8, generator=seeded()).double(), seeded())
    assert described.names == ("z2.1", "z2.2", "z1.1", "z1.2", "z1.3")
    assert {number.name for number in described.numbers} >= {"KL of z1", "KL of z2"}
    terms = model.loss(torch.rand(5, 1, 8, 8, generator=seeded()).double(), None, StepContext(generator=seeded()))
    assert terms["loss"].item() >= terms["reconstruction"].item() + 0.5 * (SIZE1 + SIZE2) - 1e-9


@pytest.mark.slow
def test_that_it_learns_digits_and_is_no_worse_than_a_plain_vae_at_equal_steps(tmp_path):
    """Both with the warm-up of the KL that the hierarchy has by default. The margin is 3 nat of about 160 per image: what two seeds of one
    method differ in, and some more.
    """
    shared = {"network": "mlp", "width": 24, "latent": 16, "kl_schedule": "linear", "kl_span": 0.3}
    nats = {}
    for method in ("hierarchical_vae", "vae"):
        list(train(Plan(method, "digits", shared, steps=1500, name=method, device="cpu"), tmp_path))
        for step in (0, 1500):
            steps = evaluate(tmp_path / method, step, k=64, split="valid")
            while True:
                try:
                    next(steps)
                except StopIteration as end:
                    nats[method, step] = end.value.values["nats"]
                    break
    assert np.isfinite(list(nats.values())).all()
    assert nats["hierarchical_vae", 1500] < nats["hierarchical_vae", 0] - 40
    assert nats["hierarchical_vae", 1500] < nats["vae", 1500] + 3.0
