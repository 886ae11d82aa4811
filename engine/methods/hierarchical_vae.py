"""Hierarchical variational autoencoder of two levels, z2 -> z1 -> x, with top-down inference (ladder VAE, Sønderby et al. 2016).

p(z2) = N(0, I), p(z1|z2) = N(μp(z2), σp(z2)²), p(x|z1) as in a VAE. The encoder gives q(z2|x) and a Gaussian N(μe(x), σe(x)²) of what the
image says of z1; q(z1|x, z2) is that times p(z1|z2), so that its precision is the sum of both (eq. 8 to 10 of the paper).

Outside, the latent space is u = (z2, ε) with z1 = μp(z2) + σp(z2) ε: its prior is N(0, I), and ε = 0 is the mean of z1 given z2. Every
number is in nats, summed over the dimensions of an image and averaged over images.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from engine.bases.variational import DECODED_AT_ONCE, VariationalAutoencoder, VariationalSettings
from engine.config import setting
from engine.losses import likelihoods
from engine.losses.likelihoods import Randomness
from engine.messages import Number
from engine.method import DataSpec, Description, Frame, Latents, StepContext
from engine.nets import images as nets
from engine.precision import full

SCORE_SAMPLES = 64  # importance samples per image of log_prob
LEAST_SIGMA = 1e-4


@dataclass(frozen=True)
class Config(VariationalSettings):
    latent: int = setting(32, "The dimensions of z1, from which the image is drawn.", low=1, high=512, unit="dimensions", log=True)
    top_latent: int = setting(16, "The dimensions of z2, from which z1 is drawn.", low=1, high=512, unit="dimensions", log=True)
    kl_schedule: str = setting(
        "linear",
        "How the KL weight reaches beta: at once, along a line, or in cycles; at once, little is learned by z1 and z2.",
        choices=("constant", "linear", "cyclical"),
        label="KL schedule",
        group="Objective",
    )
    kl_span: float = setting(
        0.3, "Share of the training over which a linear schedule rises.", low=0.0, high=1.0, label="KL rise", group="Objective"
    )


class Seen(NamedTuple):
    """What the encoder makes of images."""

    top: Latents  # q(z2|x) [B, D2]
    evidence: Latents  # what the image says of z1 [B, D1]


class HierarchicalVAE(VariationalAutoencoder):
    """Two levels of Gaussian latent variables, inferred from the top down."""

    Config = Config
    title = "Hierarchical VAE"
    family = "Explicit density · bound"
    source = "Sønderby et al., Ladder Variational Autoencoders, 2016 (arXiv 1602.02282)"
    summary = (
        "A VAE whose prior of z1 is learned: z1 is drawn from a normal distribution whose mean and width a second code z2 decides. "
        "z2 can hold what an image is about, z1 the rest. The encoder first says what z2 may be, then combines what the image and z2 "
        "say of z1. What is trained is a lower bound on the likelihood of the images, with a KL for each level. "
        "A slider of z2 moves the mean of z1 along; one of z1 leads away from that mean, in units of its width."
    )
    formula = (
        "log p(x) ≥ E<sub>q</sub>[log p(x|z<sub>1</sub>) − KL(q(z<sub>1</sub>|x, z<sub>2</sub>) ∥ p(z<sub>1</sub>|z<sub>2</sub>))] "
        "− KL(q(z<sub>2</sub>|x) ∥ p(z<sub>2</sub>))"
    )
    units: ClassVar = dict.fromkeys(("loss", "reconstruction", "kl", "kl_z1", "kl_z2", "elbo"), "nat")

    def __init__(self, config: Config, data: DataSpec) -> None:
        super().__init__(config, data)
        outputs = 2 * (config.latent + config.top_latent)
        self.encoder = nets.encoder(config.network, data.shape, outputs, config.width, config.encoder_blocks)
        hidden = 8 * config.width
        self.top_down = nn.Sequential(
            nn.Linear(config.top_latent, hidden), nn.SiLU(), nn.Linear(hidden, hidden), nn.SiLU(), nn.Linear(hidden, 2 * config.latent)
        )

    @property
    def latent_size(self) -> int:
        """The size of u: of z2 and of ε, in this order."""
        return self.config.top_latent + self.config.latent

    # -----------------------------------------------------------------------------------------------------------------
    # The model
    # -----------------------------------------------------------------------------------------------------------------

    def _seen(self, x: Tensor) -> Seen:
        both = self._encoded(x)
        sizes = [self.config.top_latent, self.config.latent]
        (top_mean, mean), (top_sigma, sigma) = both.mean.split(sizes, 1), both.sigma.split(sizes, 1)
        return Seen(Latents(top_mean, top_sigma), Latents(mean, sigma))

    def _prior_of_z1(self, z2: Tensor) -> Latents:
        """p(z1|z2) of z2 [..., D2]: mean and sigma [..., D1]."""
        mean, raw = self.top_down(z2).chunk(2, dim=-1)
        mean, raw = (part if part.dtype == torch.float64 else part.float() for part in (mean, raw))
        return Latents(mean, nn.functional.softplus(raw) + LEAST_SIGMA)

    @staticmethod
    def _combined(evidence: Latents, prior: Latents) -> Latents:
        """q(z1|x, z2): the product of both Gaussians, normalized. Shapes broadcast to [..., D1]."""
        share = prior.sigma.square() / (prior.sigma.square() + evidence.sigma.square())  # of the evidence
        sigma = prior.sigma * evidence.sigma / (prior.sigma.square() + evidence.sigma.square()).sqrt()
        return Latents(prior.mean + share * (evidence.mean - prior.mean), sigma)

    @staticmethod
    def _kl(q: Latents, p: Latents) -> Tensor:
        """KL(q ∥ p) of each dimension, [...] -> nats [...]."""
        return likelihoods.kl_to_standard_normal((q.mean - p.mean) / p.sigma, q.sigma / p.sigma)

    def _z1(self, u: Tensor) -> Tensor:
        """u [..., D2 + D1] -> z1 [..., D1]."""
        z2, noise = u.split([self.config.top_latent, self.config.latent], -1)
        prior = self._prior_of_z1(z2)
        return prior.mean + prior.sigma * noise

    # -----------------------------------------------------------------------------------------------------------------
    # Training
    # -----------------------------------------------------------------------------------------------------------------

    def loss(self, x: Tensor, y: Tensor | None, context: StepContext) -> dict[str, Tensor]:
        """-ELBO with a weighted KL. `kl_z2` and `kl_z1` are the unweighted ones of each level, `kl` their sum; free bits hold for each
        dimension of each level. x [B, C, H, W] -> scalars [].
        """
        x = self.evaluate_target(x, context.generator)
        seen = self._seen(x)
        with full(x.device):
            z2 = seen.top.mean + seen.top.sigma * likelihoods.normal(seen.top.mean, 1, context.generator)[:, 0]
        prior = self._prior_of_z1(z2)
        with full(x.device):
            q = self._combined(seen.evidence, prior)
            z1 = q.mean + q.sigma * likelihoods.normal(q.mean, 1, context.generator)[:, 0]
        maps = self._decoded(z1)
        with full(x.device):
            reconstruction = -self._log_likelihood(x, maps).mean()
            levels = likelihoods.kl_to_standard_normal(seen.top.mean, seen.top.sigma), self._kl(q, prior)
            kl_z2, kl_z1 = (level.sum(1).mean() for level in levels)
            kl, free = kl_z2 + kl_z1, self.config.free_bits
            penalty = likelihoods.free_bits(levels[0], free) + likelihoods.free_bits(levels[1], free) if free else kl
            beta = self.beta_at(context.progress)
            return {
                "loss": reconstruction + beta * penalty,
                "reconstruction": reconstruction,
                "kl": kl,
                "kl_z1": kl_z1,
                "kl_z2": kl_z2,
                "elbo": -(reconstruction + kl),
                "beta": torch.full_like(reconstruction, beta),
            }

    # -----------------------------------------------------------------------------------------------------------------
    # The latent space
    # -----------------------------------------------------------------------------------------------------------------

    def posterior(self, x: Tensor) -> Latents:
        """Mean and sigma [B, D2 + D1] of u = (z2, ε) given images x [B, C, H, W]: of z2 exactly, of ε where z2 is at its mean."""
        with full(x.device):
            seen = self._seen(x)
            prior = self._prior_of_z1(seen.top.mean)
            q = self._combined(seen.evidence, prior)
            mean = torch.cat([seen.top.mean, (q.mean - prior.mean) / prior.sigma], 1)
            return Latents(mean, torch.cat([seen.top.sigma, q.sigma / prior.sigma], 1))

    def encode(self, x: Tensor) -> Tensor:
        """The posterior's mean [B, D2 + D1] of images x [B, C, H, W]."""
        return self.posterior(x).mean

    def decode(self, z: Tensor) -> Tensor:
        """The mean image of p(x|z1) in [0, 1] [B, C, H, W], of u [B, D2 + D1]; where ε is 0, at the mean of p(z1|z2)."""
        with full(z.device):
            return self._mean_images(self._decoded(self._z1(z)))

    def sample(
        self, n: int, y: Tensor | None = None, temperature: float = 1.0, generator: torch.Generator | None = None
    ) -> Iterator[Frame]:
        """Mean images [n, C, H, W] of z2 ~ p(z2), z1 ~ p(z1|z2), the noise of both times the temperature, in one frame."""
        yield Frame(self.decode(self._drawn(n, temperature, likelihoods.sample_generators(n, generator))), 1, 1)

    def sample_observations(
        self, n: int, y: Tensor | None = None, temperature: float = 1.0, generator: torch.Generator | None = None
    ) -> Iterator[Frame]:
        """Images [n, C, H, W] drawn from p(x|z1), of the z1 of `sample`, in one frame; in [0, 1], as x is."""
        own = likelihoods.sample_generators(n, generator)
        u = self._drawn(n, temperature, own)
        with full(u.device):
            yield Frame(self._observed(self._decoded(self._z1(u)), own), 1, 1)

    def _drawn(self, n: int, temperature: float, generator: Randomness | None) -> Tensor:
        return temperature * likelihoods.normal(self.offset.value.new_empty(n, self.latent_size), 1, generator)[:, 0]

    # -----------------------------------------------------------------------------------------------------------------
    # Bounds on log p(x)
    # -----------------------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def log_weights(self, x: Tensor, posterior: Latents, k: int, generator: Randomness | None) -> Tensor:
        """log p(x|z1) + log p(z1|z2) + log p(z2) - log q(z1|x, z2) - log q(z2|x) of k pairs of codes per image [k, B].

        x is what `evaluate_target` returned [B, C, H, W]. `posterior` is of the same images; q(z1|x, z2) asks the encoder itself, as it
        follows z2, and `posterior` has it at one z2 only.
        """
        with full(x.device):
            evidence = self._seen(x).evidence
            evidence = Latents(evidence.mean[:, None], evidence.sigma[:, None])  # [B, 1, D1]
            sizes = [self.config.top_latent, self.config.latent]
            mean, sigma = (part[:, None, : sizes[0]] for part in (posterior.mean, posterior.sigma))
            top_noise, noise = likelihoods.normal(posterior.mean, k, generator).split(sizes, -1)  # [B, k, D2], [B, k, D1]
            z2 = mean + sigma * top_noise
            prior = self._prior_of_z1(z2)
            q = self._combined(evidence, prior)
            z1 = q.mean + q.sigma * noise
            log_w = likelihoods.log_normal(z2) - likelihoods.log_normal(top_noise) + sigma.log().sum(-1)
            log_w = log_w + likelihoods.log_normal(z1, prior.mean, prior.sigma) - likelihoods.log_normal(z1, q.mean, q.sigma)  # [B, k]
            at_once = max(1, DECODED_AT_ONCE.get(x.device.type, 8192) // len(x))
            parts = [log_w[:, at : at + at_once] + self._given_z1(x, z1[:, at : at + at_once]) for at in range(0, k, at_once)]
            return torch.cat(parts, 1).T

    def log_likelihoods(self, x: Tensor, z: Tensor) -> Tensor:
        """log p(x|z1) in nats of images as `evaluate_target` returned them [B, C, H, W] at k codes u each [B, k, D2 + D1] -> [B, k]."""
        with full(x.device):
            return self._given_z1(x, self._z1(z))

    def _given_z1(self, x: Tensor, z1: Tensor) -> Tensor:
        """log p(x|z1) of images [B, C, H, W] at k codes each [B, k, D1] -> [B, k]."""
        return self._log_likelihoods_of(x, self._decoded(z1.flatten(0, 1)).unflatten(0, z1.shape[:2]))

    @torch.no_grad()
    def elbo(self, x: Tensor, generator: Randomness | None = None, samples: int = 1) -> Tensor:
        """The bound E[log w] of x as `evaluate_target` returned it, averaged over `samples` [B]."""
        return self.log_weights(x, self.posterior(x), samples, generator).mean(0)

    @torch.no_grad()
    def rate(self, x: Tensor, generator: Randomness | None = None, samples: int = 1) -> Tensor:
        """KL of both levels in nats [B], that of z1 averaged over `samples` of z2. x as `evaluate_target` returned it."""
        with full(x.device):
            return torch.cat([level.mean(1) for level in self._levels(x, samples, generator)], 1).sum(1)

    def _levels(self, x: Tensor, samples: int, generator: Randomness | None) -> tuple[Tensor, Tensor]:
        """KL in nats of each dimension of z2 [B, 1, D2] and of z1 [B, samples, D1]."""
        seen = self._seen(x)
        noise = likelihoods.normal(seen.top.mean, samples, generator)
        prior = self._prior_of_z1(seen.top.mean[:, None] + seen.top.sigma[:, None] * noise)
        q = self._combined(Latents(seen.evidence.mean[:, None], seen.evidence.sigma[:, None]), prior)
        return likelihoods.kl_to_standard_normal(seen.top.mean, seen.top.sigma)[:, None], self._kl(q, prior)

    @torch.no_grad()
    def log_prob(self, x: Tensor, y: Tensor | None = None, generator: torch.Generator | None = None) -> Tensor:
        """A lower bound on log p(x) in nats [B]: importance-weighted with 64 samples of both levels.

        The noise of an image comes from its own content and the generator's seed (0 without one).
        """
        own = likelihoods.image_generators(x, 0 if generator is None else generator.initial_seed())
        x = self.evaluate_target(x, own)
        q = self.posterior(x)
        *_, last = likelihoods.iwae(lambda k: self.log_weights(x, q, k, own), SCORE_SAMPLES, SCORE_SAMPLES)
        return last.log_p

    # -----------------------------------------------------------------------------------------------------------------
    # Looking at a checkpoint
    # -----------------------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def describe(self, x: Tensor, generator: torch.Generator) -> Description:
        """Numbers of one checkpoint, and the rules of `diagnose` applied to them. x [N, C, H, W]."""
        target = self.evaluate_target(x, generator)
        q = self.posterior(target)
        with full(x.device):
            levels = self._levels(target, 1, generator)
            top, first = (level.mean((0, 1)) for level in levels)  # [D2], [D1]
            seen = self._seen(target)
            z2 = seen.top.mean + seen.top.sigma * likelihoods.normal(seen.top.mean, 1, generator)[:, 0]
            given = self._combined(seen.evidence, self._prior_of_z1(z2))
            z1 = given.mean + given.sigma * likelihoods.normal(given.mean, 1, generator)[:, 0]
            reconstruction = -self._log_likelihood(target, self._decoded(z1)).mean().item()
            rebuilt = self.decode(q.mean)
        kl = torch.cat([top, first])
        numbers, words, active = self._figures(x, q.mean, rebuilt, reconstruction, kl.sum().item())
        numbers += tuple(
            Number(f"KL of z{level}", part.sum().item(), "nat", help=told)
            for level, part, told in (
                (2, top, "How much z2 tells about its image."),
                (1, first, "How much z1 tells about its image that z2 does not."),
            )
        )
        ones = torch.ones_like(kl)
        names = (*(f"z2.{d + 1}" for d in range(len(top))), *(f"z1.{d + 1}" for d in range(len(first))))
        return Description(numbers, words, kl, ones, torch.zeros_like(ones), active=active, names=names)
