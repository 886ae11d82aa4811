"""Scores of p(x): against closed forms of Gaussians, and against each other where they must agree."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from engine.config import make_config
from engine.detectors.base import ImageBatch, ScoredModel, TrainingImages, all_detectors, finish, of
from engine.detectors.code_length import code_bits
from engine.detectors.corrected import InputComplexity, LikelihoodRatio, LocalRatio
from engine.detectors.likelihood import Elbo, Iwae, LogLikelihood
from engine.detectors.ode_likelihood import OdeLikelihood
from engine.detectors.regret import LikelihoodRegret, matched_noise
from engine.detectors.typicality import Typicality, Waic
from engine.method import DataSpec, build, skeleton
from engine.methods import all_methods, method_named
from engine.training.background_models import NEARBY
from tests.kit.detectors import Gaussian, LinearVAE, images, vae


def exact_nats(pixels: np.ndarray, mean: float) -> np.ndarray:
    """-log N(x; mean, 1) of 16 pixels, written out."""
    x = pixels.reshape(len(pixels), -1) / 255
    return 0.5 * ((x - mean) ** 2).sum(1) + 8 * math.log(2 * math.pi)


def test_that_raw_likelihood_is_minus_log_p_and_shown_in_bits_per_dim():
    pixels = images(5)
    detector = of(LogLikelihood, Gaussian())
    scores = detector.score(ImageBatch(detector.method, pixels)).numpy()
    assert scores == pytest.approx(exact_nats(pixels, 0.5), abs=1e-5)
    assert detector.value(scores[0]) == pytest.approx(scores[0] / (16 * math.log(2)))


def test_that_identical_models_have_the_ratio_zero_and_others_the_difference():
    pixels = images(6)
    same = of(LikelihoodRatio, Gaussian(), backgrounds={"mutated": Gaussian()})
    assert same.score(ImageBatch(same.method, pixels)).tolist() == [0.0] * 6
    other = of(LikelihoodRatio, Gaussian(0.5), backgrounds={"mutated": Gaussian(0.0)})
    found = other.score(ImageBatch(other.method, pixels)).numpy()
    assert found == pytest.approx(exact_nats(pixels, 0.5) - exact_nats(pixels, 0.0), abs=1e-5)
    assert other.value(2.5) == -2.5


def test_that_two_identical_vaes_have_the_ratio_zero():
    """Both get the same noise for an image, so that no sampling error is left between them."""
    model = vae()
    detector = of(LikelihoodRatio, model, backgrounds={"mutated": vae()})
    assert detector.score(ImageBatch(model, images(4, shape=(1, 8, 8)))).tolist() == [0.0] * 4


def test_that_the_local_ratio_compares_with_the_local_model_only():
    pixels, method = images(6), Gaussian(0.5)
    assert not LocalRatio.suits(ScoredModel(method))
    method.pixel_levels = 256
    assert not LocalRatio.suits(ScoredModel(method)), "the window would be the whole image"
    method.data = DataSpec((1, 28, 28))
    assert LocalRatio.suits(ScoredModel(method))
    detector = of(LocalRatio, method, backgrounds={"mutated": Gaussian(0.3), "local": Gaussian(0.0)})
    found = detector.score(ImageBatch(method, pixels)).numpy()
    assert found == pytest.approx(exact_nats(pixels, 0.5) - exact_nats(pixels, 0.0), abs=1e-5)
    assert of(LocalRatio, method, backgrounds={"mutated": Gaussian()}).info().remedy == "local"


def test_that_a_local_model_sees_five_rows_four_columns_and_six_pixels():
    kind = method_named("pixel_cnn")
    method = build(kind, make_config(kind.Config, {**NEARBY, "width": 6, "levels": 4}), DataSpec((1, 20, 20)), 0).double()
    with torch.no_grad():
        for parameter in method.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64))
    image = torch.randint(0, 4, (1, 400), generator=torch.Generator().manual_seed(0))
    plain = method.logits(image, None)[0, 10 * 20 + 10]  # of the pixel in row 10, column 10
    seen = set()
    for row in range(11):
        for column in range(20):
            changed = image.clone()
            changed[0, row * 20 + column] = (changed[0, row * 20 + column] + 2) % 4
            if not torch.equal(method.logits(changed, None)[0, 10 * 20 + 10], plain):
                seen.add((10 - row, column - 10))
    above = {(up, aside) for up in range(1, 6) for aside in range(-4, 5)}
    left = {(0, -back) for back in range(1, 7)}
    # the kernels are stacked, so the corners far away need not be reached; but nothing beyond is
    assert seen <= above | left and left <= seen
    assert {up for up, _ in seen} == set(range(6)) and {abs(aside) for up, aside in seen if up} == set(range(5))


def test_that_a_ratio_without_a_background_says_what_to_do():
    detector = of(LikelihoodRatio, Gaussian())
    assert "build it" in detector.missing()
    assert detector.info().missing


def test_that_complexity_takes_bits_from_bits():
    pixels = images(3)
    detector = of(InputComplexity, Gaussian())
    expected = exact_nats(pixels, 0.5) / math.log(2) - code_bits(pixels)
    assert detector.score(ImageBatch(detector.method, pixels)).numpy() * 16 == pytest.approx(expected, abs=1e-4)


def test_that_complexity_measures_the_image_the_model_means():
    """A model of black and white: the code is that of the black-or-white image its likelihood is about."""
    model = vae(likelihood="bernoulli")
    coded, levels = ImageBatch(model, images(4, shape=(1, 8, 8))).coded
    assert set(np.unique(coded)) == {0, 1} and levels == 2
    assert (code_bits(coded, levels) <= 64).all(), "one bit a pixel is enough for anybody who knows that it is black and white"
    assert ImageBatch(vae(), images(4, shape=(1, 8, 8))).coded[0].tolist() == images(4, shape=(1, 8, 8)).tolist()


def test_that_typicality_is_zero_at_the_mean_of_training_images_and_grows_both_ways():
    trained = images(50)
    detector = of(Typicality, Gaussian())
    list(detector.fit(TrainingImages(trained, None)))
    mean = exact_nats(trained, 0.5).mean()
    assert detector.fitted["mean"][0] == pytest.approx(mean, abs=1e-5)
    asked = images(9, seed=1)
    assert detector.score(ImageBatch(detector.method, asked)).numpy() == pytest.approx(np.abs(exact_nats(asked, 0.5) - mean), abs=1e-5)
    detector.fitted = {"mean": np.array([exact_nats(trained[:1], 0.5)[0]])}
    assert detector.score(ImageBatch(detector.method, trained[:1]))[0] == pytest.approx(0, abs=1e-5)


def test_that_typicality_rejects_the_likeliest_point_of_a_wide_gaussian():
    """N(0, I) in 784 dimensions: 0 has the highest density and is nothing like its samples."""

    class Standard(Gaussian):
        def log_prob(self, x, y=None, generator=None):
            return super().log_prob(12 * (x - 0.5))  # grey 127.5 is zero

    model = Standard(0.0)
    samples = np.clip(np.rint(255 * (np.random.default_rng(0).normal(size=(200, 1, 28, 28)) / 12 + 0.5)), 0, 255).astype(np.uint8)
    centre = np.full((1, 1, 28, 28), 128, np.uint8)
    likelihood, typicality = of(LogLikelihood, model), of(Typicality, model)
    known = ImageBatch(model, samples)
    list(typicality.fit(TrainingImages(samples, None)))
    assert likelihood.score(ImageBatch(model, centre))[0] == pytest.approx(720.5, abs=1)
    assert likelihood.score(ImageBatch(model, centre))[0] < likelihood.score(known).min() - 200
    assert typicality.score(ImageBatch(model, centre))[0] > typicality.score(known).max() + 200


def test_that_waic_of_identical_models_is_log_p_and_disagreement_costs_its_variance():
    pixels = images(5)
    same = of(Waic, Gaussian(), others=(Gaussian(), Gaussian()), others_are="three of a kind")
    assert same.score(ImageBatch(same.method, pixels)).numpy() == pytest.approx(exact_nats(pixels, 0.5), abs=1e-5)
    different = of(Waic, Gaussian(0.5), others=(Gaussian(0.0), Gaussian(1.0)))
    log_p = -np.stack([exact_nats(pixels, mean) for mean in (0.5, 0.0, 1.0)])
    assert -different.score(ImageBatch(different.method, pixels)).numpy() == pytest.approx(log_p.mean(0) - log_p.var(0), abs=1e-4)
    assert "three of a kind" in same.about()
    assert of(Waic, Gaussian(), others_missing="It needs others.").info().missing == "It needs others."
    assert of(Waic, Gaussian(), others_missing="It needs others.").info().remedy == "repeat"


def test_that_only_what_bears_on_p_of_x_is_called_so():
    """A difference of two densities is none, whatever they are by themselves: of bounds not even a bound of the difference."""
    more = {"backgrounds": {"mutated": Gaussian(), "local": Gaussian()}, "others": (Gaussian(),)}
    told = {kind.name: [of(kind, model, **more).info().density for model in (Gaussian(), LinearVAE())] for kind in all_detectors().values()}
    assert told["elbo"][1] == told["iwae"][1] == "bound" and told["log_likelihood"][0] == "exact"
    for name in ("likelihood_ratio", "local_ratio", "input_complexity", "typicality"):
        assert told[name] == ["none", "none"], name
    assert told["waic"] == ["none", "none"] and told["likelihood_regret"][1] == "none"


@pytest.mark.parametrize("name", [name for name, kind in all_methods().items() if kind.density != "none" and kind.accepts == "images"])
def test_that_every_density_has_one_likelihood_that_calls_it_what_it_is(name: str):
    """Uniform dequantization makes a lower bound, of whatever density; then log p is no ELBO, which has a posterior."""
    kind = all_methods()[name]
    subject = ScoredModel(skeleton(kind, make_config(kind.Config, {}), DataSpec((1, 8, 8), ("a", "b"), words=("red",))))
    views = {LogLikelihood: LogLikelihood.suits(subject), Elbo: Elbo.suits(subject), OdeLikelihood: OdeLikelihood.suits(subject)}
    (detector,) = (view for view, suits in views.items() if suits)
    wanted = {"kde": LogLikelihood, "gmm": LogLikelihood, "pixel_cnn": LogLikelihood, "vae": Elbo, "diffusion": OdeLikelihood}
    assert detector is wanted.get(name, detector)
    told = of(detector, subject.method).info()
    assert told.density == kind.density and told.help.endswith(".")
    dequantized = name in ("kde", "gmm") or detector is OdeLikelihood
    assert ("dequantization" in told.help) == dequantized and (told.density == "bound" or not dequantized)


def test_that_the_direction_of_a_value_is_that_of_its_score():
    for kind in all_detectors().values():
        detector = of(kind, Gaussian())
        lower, higher = detector.value(1.0), detector.value(2.0)
        assert detector.direction == ("higher" if higher > lower else "lower"), kind.name


@pytest.mark.parametrize("name", ["iwae", "likelihood_regret", "likelihood_ratio"])
def test_that_the_seed_is_that_of_the_noise(name):
    model, pixels = vae(likelihood="bernoulli"), images(3, shape=(1, 8, 8))
    detector = of(all_detectors()[name], model, backgrounds={"mutated": vae(likelihood="bernoulli", latent=2)})
    one, same, other = (finish(detector.steps(ImageBatch(model, pixels, 8, seed))) for seed in (5, 5, 6))
    assert torch.equal(one, same) and not torch.equal(one, other)


def test_that_bounds_meet_log_p_at_the_exact_posterior():
    model = LinearVAE()
    look = ImageBatch(model, images(6), samples=8)
    exact = model.log_prob(look.x)
    assert torch.allclose(-of(Elbo, model, samples=8).score(look), exact)
    assert torch.allclose(-of(Iwae, model, samples=8).score(look), exact)


def test_that_the_weighted_bound_is_closer_than_the_plain_one():
    model = LinearVAE(shift=0.3, widen=1.4)
    look = ImageBatch(model, images(6), samples=512)
    elbo, iwae = (-of(kind, model, samples=512).score(look) for kind in (Elbo, Iwae))
    assert (elbo < iwae - 0.05).all()
    assert torch.allclose(iwae, model.log_prob(look.x), atol=0.3)


def test_that_nothing_is_regretted_at_the_exact_posterior():
    detector = of(LikelihoodRegret, LinearVAE())
    regret = detector.score(ImageBatch(detector.method, images(6)))
    assert (regret >= 0).all()
    assert regret.max() < 0.01


def test_that_what_is_regretted_is_the_gap_to_the_best_code():
    """Where q(z|x) is wrong by a known amount, the regret is KL(q | exact posterior): the best ELBO is log p(x) itself."""
    model = LinearVAE(shift=1.5, widen=1.3)
    look = ImageBatch(model, images(6))
    q, best = model.posterior(look.x.double()), LinearVAE().posterior(look.x.double())
    normal = torch.distributions.Normal
    gap = torch.distributions.kl_divergence(normal(q.mean, q.sigma), normal(best.mean, best.sigma)).sum(1)
    detector = of(LikelihoodRegret, model)
    assert detector.score(look).numpy() == pytest.approx(gap.numpy(), rel=0.01)


def test_that_matched_noise_has_the_moments_of_a_standard_normal():
    raw = torch.randn(5, 8, 20, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    noise = matched_noise(raw)
    assert noise.shape == (5, 16, 20)
    assert noise.mean(1).abs().max() < 1e-12 and (noise.square().mean(1) - 1).abs().max() < 1e-12
    second = torch.einsum("bnd,bne->bde", noise, noise) / 16
    for start in (0, 8, 16):
        block = second[:, start : start + 8, start : start + 8]
        assert torch.allclose(block, torch.eye(block.shape[1], dtype=torch.float64).expand_as(block), atol=1e-12)
    many = matched_noise(torch.randn(4000, 8, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)).flatten(0, 1)
    assert many.square().mean(0) == pytest.approx([1, 1, 1]) and float((many[:, 0] * many[:, 1]).mean()) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(("dims", "most"), [(6, 0.01), (20, 0.35)])
def test_that_regret_of_a_linear_model_hardly_depends_on_its_noise(dims: int, most: float):
    """The gap to the best (μ, σ) is the same for every image of such a model: any spread is the noise's."""

    class Wide(LinearVAE):
        def __init__(self) -> None:
            super().__init__()
            self.w = 0.4 * torch.randn(16, dims, generator=torch.Generator().manual_seed(3), dtype=torch.float64)

        def posterior(self, x):  # the best independent one: σ² of the diagonal of the precision
            precision = torch.eye(dims, dtype=torch.float64) + self.w.T @ self.w / self.s**2
            mean = (x.flatten(1) - 0.5) @ self.w / self.s**2 @ torch.linalg.inv(precision)
            return type(super().posterior(x[:, :, :, :0].new_zeros(1, 1, 4, 4)))(mean + 0.3, precision.diagonal().rsqrt().expand_as(mean))

    detector = of(LikelihoodRegret, Wide())
    detector.optimisation_steps = 200
    precision = torch.eye(dims, dtype=torch.float64) + Wide().w.T @ Wide().w / 0.49
    exact = 0.5 * 0.09 * float(precision.sum())  # half of δᵀ Λ δ
    found = torch.cat([detector.score(ImageBatch(detector.method, images(8), seed=seed)) for seed in range(4)])
    assert float(found.std()) <= most * exact and float(found.mean()) == pytest.approx(exact, rel=max(0.02, most / 2))


def test_that_regret_is_never_negative_and_one_image_does_not_feel_another():
    model = vae()
    pixels = images(9, shape=(1, 8, 8))
    detector = of(LikelihoodRegret, model)
    together = detector.score(ImageBatch(model, pixels))
    alone = torch.cat([detector.score(ImageBatch(model, pixels[i : i + 1])) for i in range(9)])
    assert (together >= 0).all() and together.max() > 0
    assert torch.allclose(together, alone, rtol=1e-3, atol=1e-2)


@pytest.mark.parametrize("name", ["elbo", "iwae", "input_complexity", "likelihood_ratio"])
def test_that_the_noise_in_a_score_belongs_to_the_image(name):
    model, pixels = vae(), images(5, shape=(1, 8, 8))
    detector = of(all_detectors()[name], model, backgrounds={"mutated": vae(latent=2)})
    together = detector.score(ImageBatch(model, pixels[::-1]))
    alone = torch.cat([finish(detector.steps(ImageBatch(model, pixels[i : i + 1]))) for i in range(5)])
    assert torch.allclose(together.flip(0), alone, rtol=1e-5, atol=1e-3)
