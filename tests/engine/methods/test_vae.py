"""The VAE against closed forms, slow loops in float64 and enumeration; on random weights."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch import distributions as dist

from engine.bases.variational import DECODED_AT_ONCE, diagnose
from engine.config import make_config
from engine.losses.likelihoods import image_generators, iwae
from engine.method import DataSpec, StepContext, build
from engine.methods.vae import VAE, Config
from tests.kit.tensors import first_normals, seeded

F64 = torch.float64
LIKELIHOODS = [("bernoulli", "per_pixel"), *itertools.product(("gaussian", "discretized_logistic"), ("per_pixel", "global", "fixed"))]


def make(shape: tuple[int, ...] = (1, 8, 8), seed: int = 0, **settings: Any) -> VAE:
    settings = {"latent": 4, "width": 8, "encoder_blocks": 1} | settings
    made = build(VAE, make_config(Config, settings), DataSpec(shape), seed)
    assert isinstance(made, VAE)
    return made


def eight_bit(count: int, shape: tuple[int, ...] = (1, 8, 8), seed: int = 1) -> Tensor:
    return torch.randint(0, 256, (count, *shape), generator=seeded(seed)).double() / 255


def spread(model: VAE, seed: int = 5) -> VAE:
    """Random weights far enough from their start that codes and pixels differ, in float64."""
    model = model.double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=seeded(seed), dtype=F64))
    return model


class ExactPosterior(nn.Module):
    """The posterior of probabilistic PCA: mean M⁻¹ Wᵀ x, variance σ² M⁻¹ with M = WᵀW + σ² I, diagonal when WᵀW is."""

    def __init__(self, w: Tensor, variance: float) -> None:
        super().__init__()
        self.w, self.m = w, (w * w).sum(0) + variance
        self.sigma = (variance / self.m).sqrt()

    def forward(self, x: Tensor) -> Tensor:
        raw = torch.log(torch.expm1(self.sigma - 1e-4)).expand(len(x), -1)  # what softplus brings back to sigma
        return torch.cat([x.flatten(1) @ self.w / self.m, raw], dim=1)


class Linear(nn.Module):
    def __init__(self, w: Tensor) -> None:
        super().__init__()
        self.w = w

    def forward(self, z: Tensor) -> Tensor:
        return (z @ self.w.T).unflatten(1, (1, 8, 8))


def linear_vae(sigma: float = 0.3) -> tuple[VAE, dist.MultivariateNormal]:
    """A VAE whose p(x) is known exactly, with its exact posterior."""
    model = make(latent=3, likelihood="gaussian", sigma="fixed", sigma_value=sigma).double()
    w = torch.linalg.qr(torch.randn(64, 3, generator=seeded(3), dtype=F64)).Q * torch.tensor([2.0, 1.0, 0.5], dtype=F64)
    model.encoder, model.decoder = ExactPosterior(w, sigma**2), Linear(w)  # type: ignore[assignment]
    return model, dist.MultivariateNormal(torch.zeros(64, dtype=F64), w @ w.T + sigma**2 * torch.eye(64, dtype=F64))


# -- exact oracles ----------------------------------------------------------------------------------------------------


def test_that_a_linear_vae_with_its_exact_posterior_gives_log_p_for_every_k():
    model, exact = linear_vae()
    x = 0.5 * torch.randn(6, 1, 8, 8, generator=seeded(), dtype=F64)
    expected = exact.log_prob(x.flatten(1))
    log_w = model.log_weights(x, model.posterior(x), 50, seeded())
    assert torch.allclose(log_w, expected.expand(50, -1), atol=1e-9)
    assert torch.allclose(model.elbo(x, seeded(), samples=3), expected, atol=1e-9)
    assert torch.allclose(model.log_prob(x), expected, atol=1e-9)
    terms = model.loss(x, None, StepContext(generator=seeded()))
    assert terms["loss"].item() == pytest.approx(-terms["elbo"].item(), abs=1e-10)


def test_that_bounds_stay_below_the_exact_likelihood_and_rise_with_k():
    model, exact = linear_vae()
    model.encoder.sigma = 2 * model.encoder.sigma  # type: ignore[union-attr]  # a wrong posterior
    x = 0.5 * torch.randn(200, 1, 8, 8, generator=seeded(), dtype=F64)
    q = model.posterior(x)
    bounds = [e.log_p.mean().item() for e in iwae(lambda k: model.log_weights(x, q, k, seeded(k)), 64, 64)]
    elbo = model.elbo(x, seeded(64), samples=64).mean().item()
    assert elbo < bounds[-1] < exact.log_prob(x.flatten(1)).mean().item() + 0.05
    assert bounds[-1] - elbo > 0.1


@pytest.mark.parametrize(("likelihood", "sigma"), LIKELIHOODS)
def test_that_log_weights_are_those_of_a_slow_loop(likelihood: str, sigma: str):
    model = spread(make(shape=(3, 8, 9), likelihood=likelihood, sigma=sigma))
    x = model.evaluate_target(eight_bit(3, (3, 8, 9)), seeded(2))
    q = model.posterior(x)
    got = model.log_weights(x, q, 5, seeded(9))
    noise = torch.randn(3, 5, 4, generator=seeded(9)).double()
    for image, k in itertools.product(range(3), range(5)):
        z = q.mean[image] + q.sigma[image] * noise[image, k]
        maps = (model.decoder(z[None]) + model.offset.value)[0]
        log_p = slow_log_likelihood(model, x[image], maps)
        log_p += dist.Normal(torch.zeros(4, dtype=F64), 1.0).log_prob(z).sum().item()
        log_p -= dist.Normal(q.mean[image], q.sigma[image]).log_prob(z).sum().item()
        assert got[k, image].item() == pytest.approx(log_p, abs=1e-8)


def slow_log_likelihood(model: VAE, x: Tensor, maps: Tensor) -> float:
    """Pixel by pixel, from the definitions."""
    c = model.config
    if c.likelihood == "bernoulli":
        return dist.Bernoulli(logits=maps).log_prob(x).sum().item()
    logistic = c.likelihood == "discretized_logistic"
    if c.sigma == "fixed":
        width = torch.full_like(x, c.sigma_value * (2 if logistic else 1))
    else:
        raw = maps[3:] if c.sigma == "per_pixel" else model.log_sigma
        smallest = -7.0 if logistic else math.log(1 / 255)
        width = torch.exp(smallest + torch.log1p(torch.exp(raw - smallest))).expand_as(x)
    mean = maps[:3]
    if not logistic:
        return dist.Normal(mean, width).log_prob(x).sum().item()
    total = 0.0
    for k, m, s in zip((x * 255).round().flatten().tolist(), mean.flatten().tolist(), width.flatten().tolist(), strict=True):
        upper = 1.0 if k == 255 else 1 / (1 + math.exp(-(((2 * k + 1) / 255 - 1) - m) / s))
        lower = 0.0 if k == 0 else 1 / (1 + math.exp(-(((2 * k - 1) / 255 - 1) - m) / s))
        total += math.log(upper - lower)
    return total


def test_that_bernoulli_images_of_a_small_model_sum_to_one_given_z():
    model = spread(make(likelihood="bernoulli"))
    logits = model._maps(torch.randn(1, 4, generator=seeded(), dtype=F64)).flatten()[:8]
    images = torch.cartesian_prod(*[torch.tensor([0.0, 1.0], dtype=F64)] * 8)
    assert dist.Bernoulli(logits=logits).log_prob(images).sum(1).exp().sum().item() == pytest.approx(1.0, abs=1e-12)
    padded = torch.cat([images, torch.zeros(256, 56, dtype=F64)], 1).unflatten(1, (1, 8, 8))
    maps = torch.cat([logits, torch.full((56,), -1e3, dtype=F64)]).reshape(1, 1, 8, 8).expand(256, -1, -1, -1)
    assert model._log_likelihood(padded, maps).exp().sum().item() == pytest.approx(1.0, abs=1e-12)


# -- the loss ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("network", ["conv", "mlp"])
@pytest.mark.parametrize(("likelihood", "sigma"), LIKELIHOODS)
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 13, 33), (1, 28, 28)])
def test_that_losses_are_finite_and_gradients_reach_everything(shape: tuple[int, ...], likelihood: str, sigma: str, network: str):
    model = make(shape, likelihood=likelihood, sigma=sigma, network=network)
    x = eight_bit(3, shape).float()
    model.init_from_data(x)
    terms = model.loss(x, None, StepContext(generator=seeded()))
    terms["loss"].backward()
    assert all(value.isfinite() for value in terms.values())
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all() and parameter.grad.abs().sum() > 0, name
    images = model.decode(model.encode(x))
    assert images.shape == x.shape and images.min() >= 0 and images.max() <= 1


def test_that_the_largest_colour_image_works():
    model = make((3, 64, 64), network="conv")
    x = eight_bit(2, (3, 64, 64)).float()
    assert model.loss(x, None, StepContext(generator=seeded()))["loss"].isfinite()
    assert model.decode(model.encode(x)).shape == x.shape


def test_that_terms_are_nats_summed_over_pixels_and_averaged_over_images():
    model = spread(make(likelihood="gaussian", sigma="fixed"))
    x = eight_bit(5)
    terms = model.loss(x, None, StepContext(generator=seeded(4)))
    q = model.posterior(x)
    z = q.mean + q.sigma * torch.randn(5, 1, 4, generator=seeded(4)).double()[:, 0]
    maps = model.decoder(z) + model.offset.value
    reconstruction = -dist.Normal(maps, 0.1).log_prob(x).sum() / 5
    kl = dist.kl_divergence(dist.Normal(q.mean, q.sigma), dist.Normal(torch.zeros_like(q.mean), 1.0)).sum() / 5
    assert terms["reconstruction"].item() == pytest.approx(reconstruction.item(), abs=1e-9)
    assert terms["kl"].item() == pytest.approx(kl.item(), abs=1e-9)
    assert terms["elbo"].item() == pytest.approx(-(reconstruction + kl).item(), abs=1e-9)


def test_that_beta_weighs_the_kl_but_not_the_reported_bound():
    x = eight_bit(4)
    terms = {beta: spread(make(beta=beta)).loss(x, None, StepContext(generator=seeded())) for beta in (0.0, 1.0, 3.0)}
    kl, reconstruction = terms[1.0]["kl"].item(), terms[1.0]["reconstruction"].item()
    for beta, found in terms.items():
        assert found["loss"].item() == pytest.approx(reconstruction + beta * kl, abs=1e-9)
        assert found["elbo"].item() == pytest.approx(-(reconstruction + kl), abs=1e-9)
        assert found["beta"].item() == beta


def test_that_many_free_bits_switch_the_kl_gradient_off():
    x = eight_bit(4)
    gradients = []
    for settings in ({"free_bits": 10.0}, {"beta": 0.0}, {"free_bits": 0.0, "beta": 1.0}):
        model = spread(make(**settings))
        model.loss(x, None, StepContext(generator=seeded()))["loss"].backward()
        gradients.append(torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None]))
    assert torch.allclose(gradients[0], gradients[1], atol=1e-12)
    assert not torch.allclose(gradients[0], gradients[2])


def test_that_bernoulli_training_draws_black_and_white_anew_each_time():
    model = spread(make(likelihood="bernoulli"))
    seen = []
    model.encoder.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    x, context = eight_bit(4), StepContext(generator=seeded())
    for _ in range(2):
        model.loss(x, None, context)
    assert set(torch.cat(seen).unique().tolist()) == {0.0, 1.0}
    assert not torch.equal(seen[0], seen[1])


def test_that_the_untrained_network_starts_at_the_mean_image():
    x = eight_bit(300) * torch.linspace(0, 1, 64, dtype=F64).reshape(1, 8, 8)
    for likelihood, sigma in LIKELIHOODS:
        model = make(likelihood=likelihood, sigma=sigma).double()
        unprepared = model.loss(x, None, StepContext(generator=seeded()))["loss"]
        model.init_from_data(x)
        assert model.loss(x, None, StepContext(generator=seeded()))["loss"] < unprepared, (likelihood, sigma)
        for parameter in model.decoder.parameters():
            nn.init.zeros_(parameter)  # what is left is where it started
        started = model.decode(torch.zeros(1, 4, dtype=F64))[0]
        assert (started - x.mean(0)).abs().max() < 0.1, (likelihood, sigma)  # a wide logistic at black has its mean above it


@pytest.mark.slow
def test_that_a_short_training_learns_more_than_the_mean_image():
    from sklearn.datasets import load_digits

    x = torch.from_numpy(load_digits().images / 16)[:, None].float().mul(255).round() / 255
    model = make(width=16, latent=8)
    model.init_from_data(x)
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    generator, elbos, variance = seeded(), [], (x - x.mean(0)).square().mean()
    for step in range(250):
        terms = model.loss(x[torch.randint(0, len(x), (64,), generator=generator)], None, StepContext(step, step / 250, generator))
        optimizer.zero_grad()
        terms["loss"].backward()
        optimizer.step()
        elbos.append(terms["elbo"].item())
    assert sum(elbos[-20:]) / 20 > sum(elbos[:5]) / 5 + 15
    with torch.no_grad():
        explained = 1 - (model.decode(model.encode(x)) - x).square().mean() / variance
    assert explained > 0.4


# -- scoring ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian", "discretized_logistic"])
def test_that_log_p_of_an_image_does_not_depend_on_its_batch_mates(likelihood: str):
    model = spread(make(likelihood=likelihood))
    x = eight_bit(6)
    together = model.log_prob(x, generator=seeded(3))
    alone = torch.cat([model.log_prob(image[None], generator=seeded(3)) for image in x])
    assert torch.allclose(together, alone, atol=1e-9)
    order = [4, 0, 5, 2, 1, 3]
    assert torch.allclose(model.log_prob(x[order], generator=seeded(3)), together[order], atol=1e-9)


def test_that_scoring_twice_is_equal_to_the_last_bit_and_follows_the_seed():
    model = make(likelihood="bernoulli")
    x = eight_bit(5).float()
    assert torch.equal(model.log_prob(x, generator=seeded(3)), model.log_prob(x, generator=seeded(3)))
    assert not torch.equal(model.log_prob(x, generator=seeded(3)), model.log_prob(x, generator=seeded(4)))


def test_that_importance_samples_do_not_ask_the_encoder_again():
    model = make(likelihood="bernoulli")
    calls = []
    model.encoder.register_forward_hook(lambda *_: calls.append(1))
    x = model.evaluate_target(eight_bit(2).float(), seeded())
    q = model.posterior(x)
    *_, last = iwae(lambda k: model.log_weights(x, q, k, seeded(k)), 300, 100)
    assert last.k == 300 and len(calls) == 1


def test_that_five_thousand_samples_never_decode_more_than_a_slice_at_once():
    model = make(width=4)
    sizes = []
    model.decoder.register_forward_hook(lambda module, inputs, output: sizes.append(len(inputs[0])))
    x = eight_bit(2).float()
    log_w = model.log_weights(x, model.posterior(x), 5000, seeded())
    assert log_w.shape == (5000, 2)
    assert sum(sizes) == 10_000 and max(sizes) <= DECODED_AT_ONCE["cpu"]


def test_that_noise_per_image_is_the_same_in_any_batch():
    model = spread(make())
    x = eight_bit(3)
    together = model.log_weights(x, model.posterior(x), 8, image_generators(x, 0))
    alone = model.log_weights(x[1:2], model.posterior(x[1:2]), 8, image_generators(x[1:2], 0))
    assert torch.allclose(together[:, 1], alone[:, 0], atol=1e-9)


def test_that_autocast_around_it_changes_no_density_and_no_image():
    model = make(likelihood="bernoulli")
    x, z = eight_bit(3).float(), torch.randn(3, 4, generator=seeded())
    plain = model.log_prob(x), model.decode(z), model.encode(x)
    with torch.autocast("cpu", torch.bfloat16):
        inside = model.log_prob(x), model.decode(z), model.encode(x)
        terms = model.loss(x, None, StepContext(generator=seeded()))
    for before, after in zip(plain, inside, strict=True):
        assert torch.equal(before, after)
    assert {value.dtype for value in terms.values()} == {torch.float32}


def test_that_temperature_scales_the_distance_from_the_prior_mean():
    model = spread(make())
    (cold,) = model.sample(3, temperature=0.0, generator=seeded())
    assert torch.allclose(cold.x, model.decode(torch.zeros(3, 4, dtype=F64)))
    (warm,) = model.sample(3, temperature=1.0, generator=seeded())
    z = first_normals(3, 4, seeded()).double()
    assert torch.allclose(warm.x, model.decode(z))
    (half,) = model.sample(3, temperature=0.5, generator=seeded())
    assert torch.allclose(half.x, model.decode(0.5 * z))


def test_that_only_a_density_gets_eight_more_bits():
    nats = 64 * math.log(2)
    assert make(likelihood="gaussian").bits_per_dim(nats) == pytest.approx(9.0)
    assert make(likelihood="discretized_logistic").bits_per_dim(nats) == pytest.approx(1.0)
    assert make(likelihood="bernoulli").bits_per_dim(nats) == pytest.approx(1.0)


# -- describing a checkpoint ------------------------------------------------------------------------------------------


def test_that_the_numbers_of_a_checkpoint_are_those_of_its_definition():
    model = spread(make(likelihood="gaussian", sigma="fixed"))
    x = eight_bit(40)
    described = model.describe(x, seeded(2))
    numbers = {number.name: number.value for number in described.numbers}
    q = model.posterior(x)
    kl = dist.kl_divergence(dist.Normal(q.mean, q.sigma), dist.Normal(torch.zeros_like(q.mean), 1.0)).mean(0)
    assert described.kl is not None and torch.allclose(described.kl, kl, atol=1e-10)
    assert described.scale is not None and described.scale.tolist() == [1.0] * 4
    assert described.centre is not None and described.centre.tolist() == [0.0] * 4
    terms = model.loss(x, None, StepContext(generator=seeded(2)))
    assert numbers["ELBO"] == pytest.approx(terms["elbo"].item(), abs=1e-9)
    assert numbers["reconstruction"] == pytest.approx(terms["reconstruction"].item(), abs=1e-9)
    assert numbers["KL"] == pytest.approx(terms["kl"].item(), abs=1e-9)
    assert numbers["ELBO, bits/dim"] == pytest.approx(-terms["elbo"].item() / (64 * math.log(2)) + 8, abs=1e-9)
    assert numbers["active dimensions"] == (((q.mean - q.mean.mean(0)) ** 2).mean(0) > 0.01).sum().item()
    assert described.active is not None and described.active.sum().item() == numbers["active dimensions"]
    squared_error = ((model.decode(q.mean) - x) ** 2).mean()
    assert numbers["variance explained"] == pytest.approx(100 * (1 - squared_error / x.var(0, correction=0).mean()).item(), abs=1e-9)


def test_that_dimensions_that_ignore_the_image_are_counted_and_named():
    model = spread(make(latent=4))
    with torch.no_grad():
        out = model.encoder.out
        assert isinstance(out, nn.Linear)
        out.weight[:4] *= 100  # every mean varies
        out.weight[1] = 0.0  # but this one
    said = model.describe(eight_bit(40), seeded())
    assert any("1 of 4 dimensions carries no information" in word.text for word in said.diagnosis)
    with torch.no_grad():
        out.weight[:4] = 0.0
    worst = [word for word in model.describe(eight_bit(40), seeded()).diagnosis if word.level == "bad"]
    assert len(worst) == 1 and "Posterior collapse" in worst[0].text and "beta" in worst[0].text and "free bits" in worst[0].text


@pytest.mark.parametrize(
    ("active", "latent", "weight", "explained", "level", "words"),
    [
        (0, 16, 1.0, 0.0, "bad", "none of the 16 dimensions"),
        (3, 16, 1.0, 0.9, "warning", "13 of 16 dimensions carry no information"),
        (13, 16, 1.0, 0.9, "good", "3 of 16 dimensions carry no information; the other 13 do"),
        (16, 16, 1.0, 0.9, "good", "All 16 dimensions"),
        (16, 16, 0.25, 0.9, "warning", "0.25 of 1"),
        (16, 16, 1.0, 0.3, "warning", "30 % of the pixels' variance"),
    ],
)
def test_that_each_rule_of_the_diagnosis_speaks(active: int, latent: int, weight: float, explained: float, level: str, words: str):
    said = diagnose(active, latent, weight, 1.0, explained)
    assert any(word.level == level and words in word.text for word in said), said


def test_that_a_healthy_checkpoint_hears_no_warning():
    assert {word.level for word in diagnose(14, 16, 1.0, 1.0, 0.9)} == {"good"}
    assert {word.level for word in diagnose(14, 16, 0.7, 0.7, math.nan)} == {"good"}


def test_that_a_checkpoint_remembers_where_its_warm_up_was():
    x = eight_bit(8).float()
    model = make(kl_schedule="linear", kl_span=0.5)
    assert any("still rising: 0 of 1" in word.text for word in model.describe(x, seeded()).diagnosis)
    model.after_step(StepContext(10, 0.25))
    other = make(kl_schedule="linear", kl_span=0.5, seed=1)
    other.load_state_dict(model.state_dict())
    assert any("still rising: 0.5 of 1" in word.text for word in other.describe(x, seeded()).diagnosis)
    other.after_step(StepContext(20, 0.5))
    assert not any("still rising" in word.text for word in other.describe(x, seeded()).diagnosis)
    assert not any("still rising" in word.text for word in make(beta=0.7).describe(x, seeded()).diagnosis)


def test_the_run_list_shows_bits_of_grey_images_and_nats_of_binary_ones():
    terms = {"elbo": -64 * 8 * math.log(2)}
    spec = DataSpec((1, 8, 8))
    assert build(VAE, Config(), spec, 0).headline_words(terms) == "8.00 bits/dim"
    assert build(VAE, Config(likelihood="bernoulli"), spec, 0).headline_words(terms) == "ELBO −354.9 nat"
