"""The conditional VAE against enumeration, slow loops in float64 and what must hold whatever the weights."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch import distributions as dist

from engine.config import make_config
from engine.evaluation.bayes import bayes, given_each_class
from engine.losses.likelihoods import image_generators
from engine.method import CannotLearn, DataSpec, StepContext, build
from engine.methods.conditional_vae import ConditionalVAE, Config, told_of_classes
from engine.protocols import ImportanceWeighted, provides
from tests.kit.tensors import first_normals, seeded

F64 = torch.float64
CLASSES = ("a", "b", "c")


def make(**settings: Any) -> ConditionalVAE:
    settings = {"latent": 4, "width": 8, "score_samples": 5} | settings
    made = build(ConditionalVAE, make_config(Config, settings), DataSpec((1, 8, 8), CLASSES), 0).double().eval()
    assert isinstance(made, ConditionalVAE)
    with torch.no_grad():
        for parameter in made.parameters():  # far enough from the start that codes, classes and pixels differ
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=seeded(5), dtype=F64))
    return made


def images(count: int, seed: int = 1) -> Tensor:
    return torch.randint(0, 256, (count, 1, 8, 8), generator=seeded(seed)).double() / 255


def blind(model: ConditionalVAE) -> ConditionalVAE:
    """Neither the encoder nor the decoder is told the class."""
    with torch.no_grad():
        model.class_planes.value.zero_()
        model.decoder.plain.weight[:, -len(CLASSES) :] = 0  # type: ignore[index]
    return model


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian", "discretized_logistic"])
def test_that_a_model_that_ignores_the_class_answers_with_the_prior(likelihood: str):
    prior = torch.tensor([0.7, 0.2, 0.1], dtype=F64)
    seeing = bayes(given_each_class(make(likelihood=likelihood), images(6), 3).log_p, prior.log()).log_posterior.exp()
    found = bayes(given_each_class(blind(make(likelihood=likelihood)), images(6), 3).log_p, prior.log()).log_posterior.exp()
    assert torch.allclose(found, prior.expand(6, -1), atol=1e-12)
    assert not torch.allclose(seeing, prior.expand(6, -1), atol=1e-3)


def test_that_without_a_class_it_is_the_mean_over_the_classes():
    model, x = make(), images(5)
    given = torch.stack([model.log_prob(x, torch.full((5,), label)) for label in range(3)]).exp()
    assert torch.allclose(model.log_prob(x).exp(), given.mean(0), rtol=1e-9)


def test_that_log_p_given_y_is_that_of_a_slow_loop():
    model, x, y = make(likelihood="bernoulli"), images(3), torch.tensor([2, 0, 1])
    got = model.log_prob(x, y, seeded(7))
    own = image_generators(x, 7)
    binary = model.evaluate_target(x, own)
    for i in range(3):
        seen = torch.cat([binary[i], model.class_planes.value[y[i]][None]])[None]
        mean, raw = model.encoder(seen)[0].chunk(2)
        sigma = torch.log1p(raw.exp()) + 1e-4
        noise = torch.randn(5, 4, generator=own[i]).double()
        log_w = []
        for e in noise:
            z = mean + sigma * e
            told = torch.cat([z, torch.eye(3, dtype=F64)[y[i]]])
            maps = model.decoder(told[None])[0] + model.offset.value
            log_p = dist.Bernoulli(logits=maps).log_prob(binary[i]).sum() + dist.Normal(torch.zeros(4, dtype=F64), 1.0).log_prob(z).sum()
            log_w.append(log_p - dist.Normal(mean, sigma).log_prob(z).sum())
        assert got[i].item() == pytest.approx(math.log(sum(math.exp(w.item() - 50) for w in log_w) / 5) + 50, abs=1e-8)


def test_that_the_loss_is_minus_the_bound_of_the_given_class():
    model, x = make(likelihood="bernoulli"), (images(64) > 0.5).double()
    terms = model.loss(x, torch.arange(64) % 3, StepContext(generator=seeded()))
    assert terms["loss"].item() == pytest.approx(-terms["elbo"].item(), abs=1e-10)
    other = model.loss(x, (torch.arange(64) + 1) % 3, StepContext(generator=seeded()))
    assert abs(terms["loss"].item() - other["loss"].item()) > 1e-3
    assert terms["elbo"].item() < model.log_prob(x, torch.arange(64) % 3).mean().item()


def test_that_the_largest_of_the_last_latents_is_the_class_that_is_drawn():
    model = make()
    z = torch.randn(3, 4, generator=seeded(), dtype=F64)
    codes = torch.cat([z, torch.tensor([[0.0, 2.0, 1.0], [-1.0, -2.0, -3.0], [0.0, 0.0, 9.0]], dtype=F64)], 1)
    maps = model._maps(z, torch.tensor([1, 0, 2]))
    assert torch.equal(model.decode(codes), model._mean_images(maps))
    drawn = torch.randn(30_000, 3, generator=seeded(1)).argmax(1).bincount() / 30_000
    assert torch.allclose(drawn, torch.full((3,), 1 / 3), atol=0.012), "a standard normal of the scores makes all classes equally likely"


def test_that_an_image_is_placed_at_the_class_that_bayes_rule_finds():
    model, x = make(score_samples=512), images(8)
    placed = model.posterior(x)
    assert placed.mean.shape == placed.sigma.shape == (8, 7)
    found = placed.mean[:, 4:].argmax(1)
    given = given_each_class(model, x, 3).log_p
    best = given.max(1).values - given.gather(1, found[:, None])[:, 0]
    assert (best < 5).all()  # within what the bound at the mean and the sampled one differ by, of hundreds of nats
    assert torch.equal(placed.sigma[:, 4:], torch.zeros(8, 3, dtype=F64))


def test_that_samples_are_of_the_class_that_is_asked_for_and_share_their_codes():
    model = make()
    z = first_normals(2, 4, seeded(3)).double()
    for label in range(3):
        *_, frame = model.sample(2, torch.full((2,), label), generator=seeded(3))
        assert torch.equal(frame.x, model._mean_images(model._maps(z, torch.full((2,), label))))
    *_, drawn = model.sample(2, generator=seeded(3))
    options = [model._mean_images(model._maps(z, torch.full((2,), label))) for label in range(3)]
    assert all(any(torch.equal(drawn.x[i], option[i]) for option in options) for i in range(2))


def test_that_it_is_no_importance_weighted_density_of_x_alone():
    """Its weights are of p(x|y): whoever asks for those of p(x) goes through the classes."""
    assert not provides(make(), ImportanceWeighted)


def test_that_data_without_classes_are_refused_with_what_to_do():
    with pytest.raises(CannotLearn, match="choose data with classes, or a VAE"):
        build(ConditionalVAE, make_config(Config, {}), DataSpec((1, 8, 8)), 0)
    with pytest.raises(CannotLearn, match="choose a data set with classes"):
        make().loss(images(2), None, StepContext(generator=seeded()))


def test_that_words_tell_whether_the_class_makes_a_difference():
    assert told_of_classes(100, 128, 0.1) == ()
    assert "y is ignored" in told_of_classes(13, 128, 0.1)[0].text
    assert told_of_classes(1, 3, 0.1)[0].level == "muted"
    y = torch.arange(64) % 3
    assert "Bayes accuracy" in [number.name for number in make().describe(images(64), seeded(), y).numbers]
    assert any("y is ignored" in word.text for word in blind(make()).describe(images(128), seeded(), torch.arange(128) % 3).diagnosis)


@pytest.mark.slow
def test_that_it_learns_to_tell_digits_apart_within_a_minute(tmp_path):
    from engine.evaluation.evaluate import evaluate
    from engine.training.loop import train
    from engine.training.plan import Plan

    settings = {"latent": 8, "width": 16, "batch_size": 64}
    list(train(Plan("conditional_vae", "digits", settings, steps=400, name="run", device="cpu"), tmp_path))

    def scored(step: int) -> dict[str, float]:
        job = evaluate(tmp_path / "run", step, limit=200)
        while True:
            try:
                next(job)
            except StopIteration as end:
                return end.value.values

    before, after = scored(0), scored(400)
    assert after["bits_per_dim"] < before["bits_per_dim"] - 0.5
    assert after["bayes_accuracy"] > 0.9
