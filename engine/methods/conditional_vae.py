"""Conditional variational autoencoder (Sohn et al. 2015; M2 of Kingma et al. 2014): p(x|y), with an encoder and a decoder that know y.

The prior is N(0, I) for every class. A learned Gaussian prior p(z|y), as Sohn et al. have it, would be no other model here: with
z = μ_y + σ_y ε it is a N(0, I) prior of ε and a decoder that knows y. Every number is in nats, summed over the dimensions of an image
and averaged over images.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from engine.bases.variational import DECODED_AT_ONCE, VariationalAutoencoder, VariationalSettings
from engine.common.counting import number_of
from engine.common.intervals import share_interval
from engine.config import setting
from engine.losses import likelihoods
from engine.losses.likelihoods import Randomness
from engine.messages import Diagnosis, Number
from engine.method import CannotLearn, DataSpec, Description, Frame, Latents, StepContext
from engine.nets import images as nets
from engine.precision import full

CLASS_SCORE = 2.0  # of the class that an image is placed at, in the last K latent dimensions; the others have 0


@dataclass(frozen=True)
class Config(VariationalSettings):
    score_samples: int = setting(
        16,
        "Importance samples per image and class of log p(x|y), when it is asked for: more are closer to it, and slower.",
        low=1,
        high=1024,
        unit="samples",
        log=True,
    )


class ConditionalVAE(VariationalAutoencoder):
    """Variational autoencoder whose encoder and decoder are told the class."""

    Config = Config
    title = "Conditional VAE"
    family = "Conditional P(x|y)"
    conditional = True
    wants_labels = True
    needs = "classes"
    source = (
        "Sohn, Lee and Yan, Learning Structured Output Representation using Deep Conditional Generative Models, NeurIPS 2015; "
        "Kingma et al., Semi-supervised Learning with Deep Generative Models, NeurIPS 2014 (arXiv 1406.5298)"
    )
    summary = (
        "A VAE that is told the class of every image: the code z is left with what the class does not say, such as slant and stroke. "
        "The same z is drawn as any class. With a prior over classes, Bayes’ rule turns p(x|y) into a classifier p(y|x). "
        "In its latent space the last dimensions stand for the classes: the largest of them is the class that is drawn."
    )
    formula = "log p(x|y) ≥ E<sub>q(z|x,y)</sub>[log p(x|z,y)] − KL(q(z|x,y) ∥ p(z)), &nbsp; p(y|x) ∝ p(x|y) p(y)"

    def __init__(self, config: Config, data: DataSpec) -> None:
        if not data.classes:
            raise CannotLearn("A conditional VAE learns p(x|y), and these images have no classes; choose data with classes, or a VAE.")
        super().__init__(config, data, given=len(data.classes))
        self.class_planes = nets.Offset((len(data.classes), *data.shape[1:]))  # what the encoder sees of the class: one channel

    @property
    def latent_size(self) -> int:
        """D + K: the size of z and the number of classes."""
        return self.config.latent + len(self.data.classes)

    # -----------------------------------------------------------------------------------------------------------------
    # The model
    # -----------------------------------------------------------------------------------------------------------------

    def _posterior(self, x: Tensor, y: Tensor) -> Latents:
        return self._encoded(torch.cat([x, self.class_planes.value[y][:, None].to(x.dtype)], 1))  # [B, D]

    def _maps(self, z: Tensor, y: Tensor) -> Tensor:
        return self._decoded(torch.cat([z, F.one_hot(y, len(self.data.classes)).to(z.dtype)], 1))  # [B, maps, H, W]

    def _drawn_classes(self, n: int, device: torch.device, generator: Randomness | None) -> Tensor:
        return likelihoods.integers(len(self.data.classes), n, generator, device)

    # -----------------------------------------------------------------------------------------------------------------
    # Training
    # -----------------------------------------------------------------------------------------------------------------

    def loss(self, x: Tensor, y: Tensor | None, context: StepContext) -> dict[str, Tensor]:
        """-ELBO of log p(x|y) with a weighted KL. `reconstruction` = E[-log p(x|z, y)], `kl` and `elbo` are the unweighted ones.

        x [B, C, H, W], y int64 [B] -> scalars []. Raises: CannotLearn: no labels.
        """
        if y is None:
            raise CannotLearn("A conditional VAE learns from images with classes, and these have none; choose a data set with classes.")
        x = self.evaluate_target(x, context.generator)
        q = self._posterior(x, y)
        with full(x.device):
            kl = likelihoods.kl_to_standard_normal(q.mean, q.sigma)  # [B, D]
            z = q.mean + q.sigma * likelihoods.normal(q.mean, 1, context.generator)[:, 0]
        maps = self._maps(z, y)
        with full(x.device):
            reconstruction = -self._log_likelihood(x, maps).mean()
            true_kl = kl.sum(1).mean()
            beta = self.beta_at(context.progress)
            penalty = likelihoods.free_bits(kl, self.config.free_bits) if self.config.free_bits else true_kl
            return {
                "loss": reconstruction + beta * penalty,
                "reconstruction": reconstruction,
                "kl": true_kl,
                "elbo": -(reconstruction + true_kl),
                "beta": torch.full_like(reconstruction, beta),
            }

    def headline_words(self, terms: dict[str, float]) -> str:
        """Of p(x|y), which is another number than that of p(x)."""
        return f"{super().headline_words(terms)} given y"

    # -----------------------------------------------------------------------------------------------------------------
    # log p(x|y)
    # -----------------------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def log_prob(self, x: Tensor, y: Tensor | None = None, generator: torch.Generator | None = None) -> Tensor:
        """A lower bound on log p(x|y) in nats [B], importance-weighted (Burda et al. 2016); without y on log p(x), classes uniform.

        The noise of an image comes from its own content and the generator's seed (0 without one), alike for every class.
        """
        seed = 0 if generator is None else generator.initial_seed()
        if y is not None:
            return self._log_p(x, y, seed)
        classes = len(self.data.classes)
        given = [self._log_p(x, torch.full((len(x),), label, device=x.device), seed) for label in range(classes)]
        return torch.stack(given).logsumexp(0) - math.log(classes)

    def _log_p(self, x: Tensor, y: Tensor, seed: int) -> Tensor:
        own = likelihoods.image_generators(x, seed)
        target = self.evaluate_target(x, own)
        with full(x.device):
            log_w = self._log_weights(target, y, self.config.score_samples, own).double()  # [k, B]
            return log_w.logsumexp(0) - math.log(len(log_w))

    def _log_weights(self, x: Tensor, y: Tensor, k: int, generator: Randomness | None) -> Tensor:
        """log p(x|z, y) + log p(z) - log q(z|x, y) of k codes per image [k, B]; x as `evaluate_target` returned it."""
        q = self._posterior(x, y)
        noise = likelihoods.normal(q.mean, k, generator)  # [B, k, D]
        z = q.mean[:, None] + q.sigma[:, None] * noise
        log_w = likelihoods.log_normal(z) - likelihoods.log_normal(noise) + q.sigma.log().sum(1, keepdim=True)  # [B, k]
        at_once = max(1, DECODED_AT_ONCE.get(x.device.type, 8192) // len(x))
        for start in range(0, k, at_once):
            some = z[:, start : start + at_once]
            maps = self._maps(some.flatten(0, 1), y.repeat_interleave(some.shape[1])).unflatten(0, some.shape[:2])
            log_w[:, start : start + at_once] += self._log_likelihoods_of(x, maps)
        return log_w.T

    @torch.no_grad()
    def likeliest_class(self, x: Tensor) -> Tensor:
        """The class int64 [B] whose evidence lower bound, at the mean of q(z|x, y), is the highest: Bayes' rule with classes uniform.

        Nothing is drawn, so that an image is always placed at the same class. x [B, C, H, W].
        """
        x = self.evaluate_target(x, likelihoods.image_generators(x, 0))
        bounds = []
        for label in range(len(self.data.classes)):
            y = torch.full((len(x),), label, device=x.device)
            q = self._posterior(x, y)
            kl = likelihoods.kl_to_standard_normal(q.mean, q.sigma).sum(1)
            bounds.append(self._log_likelihood(x, self._maps(q.mean, y)) - kl)
        return torch.stack(bounds).argmax(0)

    # -----------------------------------------------------------------------------------------------------------------
    # The latent space: z, and one score for each class, of which the largest decides
    # -----------------------------------------------------------------------------------------------------------------

    def posterior(self, x: Tensor) -> Latents:
        """q(z|x, y) of images x [B, C, H, W] at their likeliest class, which has the highest score: mean and sigma [B, D + K].

        Scores of N(0, 1) make each class the largest equally often, so that N(0, I) is the prior of both together.
        """
        with full(x.device):
            y = self.likeliest_class(x)
            q = self._posterior(x, y)
            scores = CLASS_SCORE * F.one_hot(y, len(self.data.classes)).to(q.mean.dtype)
            return Latents(torch.cat([q.mean, scores], 1), torch.cat([q.sigma, torch.zeros_like(scores)], 1))

    def encode(self, x: Tensor) -> Tensor:
        """The posterior's mean [B, D + K] of images x [B, C, H, W]."""
        return self.posterior(x).mean

    def decode(self, z: Tensor) -> Tensor:
        """The mean image of p(x|z, y) in [0, 1] [B, C, H, W], of z and the scores of the classes [B, D + K]."""
        with full(z.device):
            return self._mean_images(self._maps(z[:, : self.config.latent], z[:, self.config.latent :].argmax(1)))

    def sample(
        self, n: int, y: Tensor | None = None, temperature: float = 1.0, generator: torch.Generator | None = None
    ) -> Iterator[Frame]:
        """Mean images [n, C, H, W] of z ~ N(0, temperature² I) given y int64 [n], in one frame; without y, classes are drawn."""
        z, y = self._prior_draw(n, y, temperature, likelihoods.sample_generators(n, generator))
        with full(z.device):
            yield Frame(self._mean_images(self._maps(z, y)), 1, 1)

    def sample_observations(
        self, n: int, y: Tensor | None = None, temperature: float = 1.0, generator: torch.Generator | None = None
    ) -> Iterator[Frame]:
        """Images [n, C, H, W] drawn from p(x|z, y), of the z and y of `sample`, in one frame; in [0, 1], as x is."""
        own = likelihoods.sample_generators(n, generator)
        z, y = self._prior_draw(n, y, temperature, own)
        with full(z.device):
            yield Frame(self._observed(self._maps(z, y), own), 1, 1)

    def _prior_draw(self, n: int, y: Tensor | None, temperature: float, generator: Randomness | None) -> tuple[Tensor, Tensor]:
        z = temperature * likelihoods.normal(self.offset.value.new_empty(n, self.config.latent), 1, generator)[:, 0]
        return z, self._drawn_classes(n, z.device, generator) if y is None else y.to(z.device)

    # -----------------------------------------------------------------------------------------------------------------
    # Looking at a checkpoint
    # -----------------------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def describe(self, x: Tensor, generator: torch.Generator, y: Tensor | None = None) -> Description:
        """Numbers of one checkpoint given the classes y int64 [N], or those that it finds likeliest itself. x [N, C, H, W]."""
        target = self.evaluate_target(x, generator)
        with full(x.device):
            found = self.likeliest_class(x)
            given = found if y is None else y.to(x.device)
            q = self._posterior(target, given)
            kl = likelihoods.kl_to_standard_normal(q.mean, q.sigma).mean(0)  # [D]
            z = q.mean + q.sigma * likelihoods.normal(q.mean, 1, generator)[:, 0]
            reconstruction = -self._log_likelihood(target, self._maps(z, given)).mean().item()
            rebuilt = self._mean_images(self._maps(q.mean, given))
        numbers, words, active = self._figures(x, q.mean, rebuilt, reconstruction, kl.sum().item())
        if y is not None:
            right, images = int((found == given).sum()), len(x)
            numbers += (
                Number(
                    "Bayes accuracy",
                    100 * right / images,
                    "%",
                    1,
                    f"How often the class with the highest bound on p(x|y) is the right one, of {number_of(images, 'held-out image')}.",
                ),
            )
            commonest = max(1 / len(self.data.classes), given.bincount().max().item() / images)
            words += told_of_classes(right, images, commonest)
        classes = len(self.data.classes)
        told = torch.full_like(kl[:1], math.log(classes) / classes).expand(classes)  # the class itself is worth log K nats
        ones = torch.ones(self.latent_size, dtype=kl.dtype, device=kl.device)
        live = torch.cat([active, active.new_ones(classes)])
        return Description(numbers, words, torch.cat([kl, told]), ones, torch.zeros_like(ones), active=live, class_scores=classes)


def told_of_classes(right: int, images: int, chance: float) -> tuple[Diagnosis, ...]:
    """Whether the class makes a difference to p(x|y), in words; nothing where it does.

    Args:
        right: images whose own class is the likeliest.
        chance: accuracy of always answering the commonest class.
    """
    low, high = share_interval(right, images)
    if low > chance:
        return ()
    if high < chance + 0.2 * (1 - chance):
        return (Diagnosis("bad", "Images are no likelier given their own class than given another: y is ignored. Train longer."),)
    return (
        Diagnosis(
            "muted",
            f"{number_of(images, 'held-out image is', 'held-out images are')} too few to tell whether the class makes a difference.",
        ),
    )
