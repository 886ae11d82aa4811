"""Variational autoencoder (Kingma and Welling 2014): a Gaussian posterior, a N(0, I) prior, a bound on log p(x).

As settings: the importance-weighted objective (Burda et al. 2016) and the VampPrior (Tomczak and Welling 2018). Every number is in
nats, summed over the dimensions of an image and averaged over images.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from engine.bases.variational import DECODED_AT_ONCE, VariationalAutoencoder, VariationalSettings
from engine.common.spacing import evenly
from engine.config import setting
from engine.losses import likelihoods
from engine.losses.likelihoods import Randomness
from engine.method import DataSpec, Description, Frame, Latents, StepContext
from engine.precision import full

SCORE_SAMPLES = 64  # importance samples per image of log_prob
DRAWS_DESCRIBED = 8  # codes per image where a KL has no closed form
MIXED_AT_ONCE = 2**22  # numbers in one table of codes × components × dimensions


@dataclass(frozen=True)
class Config(VariationalSettings):
    objective: str = setting(
        "elbo",
        "What is maximized: the evidence lower bound, or the importance-weighted one, which is tighter (free bits are the former's).",
        choices=("elbo", "iwae"),
        group="Objective",
    )
    importance_samples: int = setting(
        5, "Codes per image of the importance-weighted objective.", low=1, high=128, unit="samples", log=True, group="Objective"
    )
    prior: str = setting(
        "normal",
        "What p(z) is: a standard normal, or the mean of the posteriors of learned pseudo-inputs (VampPrior).",
        choices=("normal", "vamp"),
        group="Model",
    )
    pseudo_inputs: int = setting(
        100, "Learned images whose posteriors are the components of a VampPrior.", low=1, high=1000, unit="components", log=True
    )


class VAE(VariationalAutoencoder):
    """Variational autoencoder with a Gaussian posterior (Kingma and Welling 2014)."""

    Config = Config
    title = "VAE"
    family = "Explicit density · bound"
    source = "Kingma and Welling, Auto-Encoding Variational Bayes, 2014 (arXiv 1312.6114)"
    summary = (
        "The encoder turns an image into a small cloud of codes, the decoder turns any code back into an image. "
        "The codes are pressed towards one common normal distribution, so that new images can be drawn from it. "
        "What is trained is a lower bound on the likelihood of the images."
    )
    formula = "log p(x) ≥ E<sub>q(z|x)</sub>[log p(x|z)] − KL(q(z|x) ∥ p(z))"

    def __init__(self, config: Config, data: DataSpec) -> None:
        super().__init__(config, data)
        self.pseudo_logits = nn.Parameter(torch.empty(config.pseudo_inputs, *data.shape)) if config.prior == "vamp" else None

    @property
    def latent_size(self) -> int:
        """D, the size of z."""
        return self.config.latent

    def reset(self, generator: torch.Generator) -> None:
        """Set the KL weight, the learned scale and the pseudo-inputs to their start."""
        super().reset(generator)
        if self.pseudo_logits is not None:
            self.pseudo_logits.data.normal_(0.0, 1.0, generator=generator)

    @torch.no_grad()
    def init_from_data(self, x: Tensor) -> None:
        """Start from the mean image; pseudo-inputs start from training images, as far as there are any. x [N, C, H, W]."""
        super().init_from_data(x)
        if self.pseudo_logits is not None:
            taken = x[torch.from_numpy(evenly(len(x), len(self.pseudo_logits))).to(x.device)]
            self.pseudo_logits.data[: len(taken)] = taken.clamp(0.02, 0.98).logit()

    # -----------------------------------------------------------------------------------------------------------------
    # The model
    # -----------------------------------------------------------------------------------------------------------------

    def _posterior(self, x: Tensor) -> Latents:
        return self._encoded(x)  # [B, D]

    def _maps(self, z: Tensor) -> Tensor:
        return self._decoded(z)  # [B, K, H, W]

    def _components(self) -> Latents | None:
        """The posteriors [J, D] whose mean is the prior; None where it is N(0, I)."""
        return None if self.pseudo_logits is None else self._posterior(self.pseudo_logits.sigmoid())

    @staticmethod
    def _log_prior(z: Tensor, components: Latents | None) -> Tensor:
        """log p(z) in nats: [..., D] -> [...]."""
        if components is None:
            return likelihoods.log_normal(z)
        rows = z.flatten(0, -2)[:, None]  # [n, 1, D]
        pieces = rows.split(max(1, MIXED_AT_ONCE // components.mean.numel()))
        each = torch.cat([likelihoods.log_normal(some, components.mean, components.sigma).logsumexp(1) for some in pieces])
        return each.view(z.shape[:-1]) - math.log(len(components.mean))

    # -----------------------------------------------------------------------------------------------------------------
    # Training
    # -----------------------------------------------------------------------------------------------------------------

    def loss(self, x: Tensor, y: Tensor | None, context: StepContext) -> dict[str, Tensor]:
        """-ELBO with a weighted KL. `reconstruction` = E[-log p(x|z)], `kl` and `elbo` are the true, unweighted ones.

        With the importance-weighted objective `loss` is -log (1/K) Σ_k p(x|z_k) (p(z_k) / q(z_k|x))^β, and `iwae` the bound at β = 1.
        """
        x = self.evaluate_target(x, context.generator)
        q = self._posterior(x)
        beta = self.beta_at(context.progress)
        if self.config.objective == "iwae":
            return self._importance_weighted_loss(x, q, beta, context.generator)
        components = self._components()
        with full(x.device):
            noise = likelihoods.normal(q.mean, 1, context.generator)[:, 0]
            z = q.mean + q.sigma * noise
        maps = self._maps(z)
        with full(x.device):
            reconstruction = -self._log_likelihood(x, maps).mean()
            if components is None:
                kl = likelihoods.kl_to_standard_normal(q.mean, q.sigma)  # [B, D]
                true_kl = kl.sum(1).mean()
                penalty = likelihoods.free_bits(kl, self.config.free_bits) if self.config.free_bits else true_kl
            else:  # no closed form, and none of single dimensions: what is free is so in total
                true_kl = (likelihoods.log_normal(noise) - q.sigma.log().sum(1) - self._log_prior(z, components)).mean()
                penalty = true_kl.clamp(min=self.config.free_bits * z.shape[1]) if self.config.free_bits else true_kl
            return {
                "loss": reconstruction + beta * penalty,
                "reconstruction": reconstruction,
                "kl": true_kl,
                "elbo": -(reconstruction + true_kl),
                "beta": torch.full_like(reconstruction, beta),
            }

    def _importance_weighted_loss(self, x: Tensor, q: Latents, beta: float, generator: torch.Generator | None) -> dict[str, Tensor]:
        components, k = self._components(), self.config.importance_samples
        with full(x.device):
            noise = likelihoods.normal(q.mean, k, generator)  # [B, k, D]
            z = q.mean[:, None] + q.sigma[:, None] * noise
        maps = self._maps(z.flatten(0, 1)).unflatten(0, (len(x), k))
        with full(x.device):
            log_p = self._log_likelihoods_of(x, maps)  # [B, k]
            ratio = self._log_prior(z, components) - likelihoods.log_normal(noise) + q.sigma.log().sum(1, keepdim=True)
            reconstruction, kl = -log_p.mean(), -ratio.mean()

            def bound(weight: float) -> Tensor:
                return ((log_p + weight * ratio).logsumexp(1) - math.log(k)).mean()

            return {
                "loss": -bound(beta),
                "reconstruction": reconstruction,
                "kl": kl,
                "elbo": -(reconstruction + kl),
                "iwae": bound(1.0),
                "beta": torch.full_like(reconstruction, beta),
            }

    # -----------------------------------------------------------------------------------------------------------------
    # What it can do
    # -----------------------------------------------------------------------------------------------------------------

    def posterior(self, x: Tensor) -> Latents:
        """q(z|x) of images x [B, C, H, W]: mean and sigma [B, D]."""
        with full(x.device):
            return self._posterior(x)

    def encode(self, x: Tensor) -> Tensor:
        """The posterior's mean [B, D] of images x [B, C, H, W]."""
        return self.posterior(x).mean  # [B, D]

    def decode(self, z: Tensor) -> Tensor:
        """The mean image of p(x|z) in [0, 1]."""
        with full(z.device):
            return self._mean_images(self._maps(z))

    def sample(
        self, n: int, y: Tensor | None = None, temperature: float = 1.0, generator: torch.Generator | None = None
    ) -> Iterator[Frame]:
        """Mean images [n, C, H, W] of z ~ p(z), its noise times the temperature, in one frame."""
        yield Frame(self.decode(self.sample_prior(n, temperature, likelihoods.sample_generators(n, generator))), 1, 1)

    def sample_observations(
        self, n: int, y: Tensor | None = None, temperature: float = 1.0, generator: torch.Generator | None = None
    ) -> Iterator[Frame]:
        """Images [n, C, H, W] drawn from p(x|z), of the z of `sample`, in one frame; in [0, 1], as x is."""
        own = likelihoods.sample_generators(n, generator)
        z = self.sample_prior(n, temperature, own)
        with full(z.device):
            yield Frame(self._observed(self._maps(z), own), 1, 1)

    @torch.no_grad()
    def sample_prior(self, n: int, temperature: float = 1.0, generator: Randomness | None = None) -> Tensor:
        """z [n, D] drawn from p(z); of a VampPrior the component is drawn as it is, and the noise around it scaled."""
        noise = temperature * likelihoods.normal(self.offset.value.new_empty(n, self.config.latent), 1, generator)[:, 0]
        if self.pseudo_logits is None:
            return noise
        chosen = likelihoods.integers(len(self.pseudo_logits), n, generator, noise.device)
        with full(noise.device):
            parts = self._posterior(self.pseudo_logits.sigmoid())
            return parts.mean[chosen] + parts.sigma[chosen] * noise

    @torch.no_grad()
    def log_prior(self, z: Tensor) -> Tensor:
        """log p(z) in nats: [N, D] -> [N]."""
        with full(z.device):
            parts = self._components()
            return self._log_prior(z, None if parts is None else Latents(parts.mean.to(z.dtype), parts.sigma.to(z.dtype)))

    @torch.no_grad()
    def log_weights(self, x: Tensor, posterior: Latents, k: int, generator: Randomness | None) -> Tensor:
        """log w = log p(x|z) + log p(z) - log q(z|x) of k samples per image [k, B]; the encoder is not asked again.

        Args:
            x: what `evaluate_target` returned [B, C, H, W].
            posterior: of the same images.
            generator: one for the batch, or one per image.
        """
        mean, sigma = posterior.mean[:, None], posterior.sigma[:, None]  # [B, 1, D]
        with full(x.device):
            noise = likelihoods.normal(posterior.mean, k, generator)  # [B, k, D]
            z = mean + sigma * noise
            log_ratio = self._log_prior(z, self._components()) - likelihoods.log_normal(noise) + sigma.log().sum(-1)  # [B, k]
            log_w = torch.empty_like(log_ratio)
            at_once = max(1, DECODED_AT_ONCE.get(x.device.type, 8192) // len(x))
            for start in range(0, k, at_once):
                part = slice(start, start + at_once)
                log_w[:, part] = log_ratio[:, part] + self._log_likelihoods(x, z[:, part])
            return log_w.T

    def log_likelihoods(self, x: Tensor, z: Tensor) -> Tensor:
        """log p(x|z) in nats of images as `evaluate_target` returned them [B, C, H, W] at k codes each [B, k, D] -> [B, k]."""
        with full(x.device):
            return self._log_likelihoods(x, z)

    def _log_likelihoods(self, x: Tensor, z: Tensor) -> Tensor:
        """log p(x|z) of images [B, C, H, W] at k codes each [B, k, D] -> [B, k]."""
        return self._log_likelihoods_of(x, self._maps(z.flatten(0, 1)).unflatten(0, z.shape[:2]))

    @torch.no_grad()
    def elbo(self, x: Tensor, generator: Randomness | None = None, samples: int = 1) -> Tensor:
        """The bound E[log w] of x as `evaluate_target` returned it, averaged over `samples` [B]."""
        return self.log_weights(x, self.posterior(x), samples, generator).mean(0)

    @torch.no_grad()
    def rate(self, x: Tensor, generator: Randomness | None = None, samples: int = 1) -> Tensor:
        """KL(q(z|x) ∥ p(z)) in nats [B]: in closed form, of a VampPrior over `samples` codes. x as `evaluate_target` returned it."""
        q, components = self.posterior(x), self._components()
        with full(x.device):
            if components is None:
                return likelihoods.kl_to_standard_normal(q.mean, q.sigma).sum(1)
            noise = likelihoods.normal(q.mean, samples, generator)  # [B, k, D]
            log_q = likelihoods.log_normal(noise) - q.sigma.log().sum(1, keepdim=True)
            return (log_q - self._log_prior(q.mean[:, None] + q.sigma[:, None] * noise, components)).mean(1)

    @torch.no_grad()
    def log_prob(self, x: Tensor, y: Tensor | None = None, generator: torch.Generator | None = None) -> Tensor:
        """A lower bound on log p(x) in nats [B]: importance-weighted with 64 samples (density per unit of x for a Gaussian).

        The noise of an image comes from its own content and the generator's seed (0 without one): the same image has
        the same value whatever else is in the batch.
        """
        seed = 0 if generator is None else generator.initial_seed()
        own = likelihoods.image_generators(x, seed)
        x = self.evaluate_target(x, own)
        q = self.posterior(x)
        log_p = torch.zeros(())
        for estimate in likelihoods.iwae(lambda k: self.log_weights(x, q, k, own), SCORE_SAMPLES, SCORE_SAMPLES):
            log_p = estimate.log_p
        return log_p

    # -----------------------------------------------------------------------------------------------------------------
    # Looking at a checkpoint
    # -----------------------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def describe(self, x: Tensor, generator: torch.Generator) -> Description:
        """Numbers of one checkpoint, and the rules of `diagnose` applied to them. x [N, C, H, W].

        The KL of a single dimension under a VampPrior is that to the prior's marginal, so they do not add up to the KL of all.
        """
        target = self.evaluate_target(x, generator)
        q, components = self.posterior(target), self._components()
        with full(x.device):
            z = q.mean + q.sigma * likelihoods.normal(q.mean, 1, generator)[:, 0]
            reconstruction = -self._log_likelihood(target, self._maps(z)).mean().item()
            if components is None:
                kl = likelihoods.kl_to_standard_normal(q.mean, q.sigma).mean(0)  # [D]
                total, scale = kl.sum().item(), torch.ones_like(kl)
                centre = torch.zeros_like(kl)
            else:
                noise = likelihoods.normal(q.mean, DRAWS_DESCRIBED, generator)
                drawn = q.mean[:, None] + q.sigma[:, None] * noise
                log_q = likelihoods.log_normal(noise) - q.sigma.log().sum(1, keepdim=True)
                total = (log_q - self._log_prior(drawn, components)).mean().item()
                kl = self._marginal_kl(q, drawn.flatten(0, 1), noise.flatten(0, 1), components)
                centre = components.mean.mean(0)  # mean and deviation of the mixture
                scale = (components.sigma.square().mean(0) + components.mean.var(0, correction=0)).sqrt()
            rebuilt = self.decode(q.mean)
        numbers, words, active = self._figures(x, q.mean, rebuilt, reconstruction, total)
        return Description(numbers, words, kl, scale, centre, active=active)

    def _marginal_kl(self, q: Latents, z: Tensor, noise: Tensor, components: Latents) -> Tensor:
        """KL(q(z_d|x) ∥ p(z_d)) of each dimension [D], averaged over draws z of the images and never below zero: z, noise [n, D]."""
        sigma = q.sigma.repeat_interleave(len(z) // len(q.sigma), 0)
        found = []
        for d in range(z.shape[1]):
            parts = Latents(components.mean[:, d : d + 1], components.sigma[:, d : d + 1])
            log_q = likelihoods.log_normal(noise[:, d : d + 1]) - sigma[:, d].log()
            found.append((log_q - self._log_prior(z[:, d : d + 1], parts)).mean())
        return torch.stack(found).clamp(min=0)
