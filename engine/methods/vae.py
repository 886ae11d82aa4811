"""Variational autoencoder (Kingma and Welling 2014): a Gaussian posterior, a N(0, I) prior, a bound on log p(x).

Every number is in nats, summed over the dimensions of an image and averaged over images.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from engine.common.active_dimensions import DEFINITION
from engine.config import Training, setting
from engine.losses import likelihoods
from engine.losses.likelihoods import Randomness
from engine.messages import Diagnosis, Number
from engine.method import DataSpec, Description, Frame, Latents, Method, StepContext
from engine.nets import images as nets
from engine.precision import full

SMALLEST_SIGMA = 1 / 255  # of a Gaussian in [0, 1]: without a floor the density has no upper bound
SMALLEST_LOG_SCALE = -7.0  # of a logistic on [-1, 1] (PixelCNN++)
SCORE_SAMPLES = 64  # importance samples per image of log_prob
DECODED_AT_ONCE = {"cpu": 512}  # images while scoring: what stays in the processor's cache; other devices take 8,192


@dataclass(frozen=True)
class Config(Training):
    network: str = setting("conv", "Convolutions, or plain fully connected layers.", choices=("conv", "mlp"))
    latent: int = setting(32, "Numbers that describe an image: the dimensions of z.", low=1, high=512, unit="dimensions", log=True)
    width: int = setting(
        48, "Channels on the grid of patches; plain layers are 8 to 10 times as wide.", low=4, high=512, unit="channels", log=True
    )
    encoder_blocks: int = setting(0, "Residual blocks (or further plain layers) of the encoder.", low=0, high=16, unit="blocks")
    decoder_blocks: int = setting(0, "Residual blocks (or further plain layers) of the decoder.", low=0, high=16, unit="blocks")
    learning_rate: float = setting(3e-3, "Step size of the optimizer at its highest.", low=1e-6, high=1.0, log=True, group="Training")
    likelihood: str = setting(
        "discretized_logistic",
        "What p(x|z) is: 256 grey values (discretized logistic), black or white drawn anew at each use (Bernoulli), or a Gaussian density.",
        choices=("discretized_logistic", "bernoulli", "gaussian"),
        group="Objective",
    )
    sigma: str = setting(
        "per_pixel",
        "The width of the likelihood: fixed, one learned number, or learned for every pixel; Bernoulli has none.",
        choices=("per_pixel", "global", "fixed"),
        group="Objective",
    )
    sigma_value: float = setting(
        0.1, "The width where it is fixed, on a scale where black is 0 and white is 1.", low=0.004, high=10.0, log=True, group="Objective"
    )
    beta: float = setting(
        1.0, "Weight of the KL term; 1 is the bound on log p(x), more asks for simpler codes.", low=0.0, high=100.0, group="Objective"
    )
    kl_schedule: str = setting(
        "constant",
        "How the KL weight reaches beta: at once, along a line, or in cycles.",
        choices=("constant", "linear", "cyclical"),
        label="KL schedule",
        group="Objective",
    )
    kl_span: float = setting(
        0.1, "Share of the training over which a linear schedule rises.", low=0.0, high=1.0, label="KL rise", group="Objective"
    )
    kl_cycles: int = setting(4, "Cycles of a cyclical schedule.", low=1, high=100, label="KL cycles", group="Objective")
    free_bits: float = setting(
        0.0,
        "Each dimension may carry this much for free, so that none is given up early.",
        low=0.0,
        high=10.0,
        unit="nat",
        group="Objective",
    )


class VAE(Method):
    """Variational autoencoder with a Gaussian posterior (Kingma and Welling 2014)."""

    Config = Config
    title = "VAE"
    family = "Explicit density · bound"
    density = "bound"
    sampling = "direct"
    source = "Kingma and Welling, Auto-Encoding Variational Bayes, 2014 (arXiv 1312.6114)"
    summary = (
        "The encoder turns an image into a small cloud of codes, the decoder turns any code back into an image. "
        "The codes are pressed towards one common normal distribution, so that new images can be drawn from it. "
        "What is trained is a lower bound on the likelihood of the images."
    )
    formula = "log p(x) ≥ E<sub>q(z|x)</sub>[log p(x|z)] − KL(q(z|x) ∥ p(z))"
    headline = ("elbo", "nat", True)
    units: ClassVar = dict.fromkeys(("loss", "reconstruction", "kl", "elbo"), "nat")

    def __init__(self, config: Config, data: DataSpec) -> None:
        super().__init__(config, data)
        channels = data.shape[0]
        maps = 2 * channels if self._learns_sigma_maps else channels
        self.encoder = nets.encoder(config.network, data.shape, 2 * config.latent, config.width, config.encoder_blocks)
        self.decoder = nets.decoder(config.network, data.shape, maps, config.latent, config.width, config.decoder_blocks)
        self.offset = nets.Offset((maps, *data.shape[1:]))
        self.log_sigma = nn.Parameter(torch.empty(())) if config.likelihood != "bernoulli" and config.sigma == "global" else None
        self.kl_weight: Tensor
        self.register_buffer("kl_weight", torch.empty(()))  # of the newest step, so that a checkpoint knows where its warm-up was

    @property
    def latent_size(self) -> int:
        """D, the size of z."""
        return self.config.latent

    @property
    def _learns_sigma_maps(self) -> bool:
        return self.config.likelihood != "bernoulli" and self.config.sigma == "per_pixel"

    def reset(self, generator: torch.Generator) -> None:
        """Set the weight of the KL and the learned scale to their start."""
        nn.init.constant_(self.kl_weight, self.beta_at(0.0))
        if self.log_sigma is not None:
            nn.init.zeros_(self.log_sigma)

    @torch.no_grad()
    def init_from_data(self, x: Tensor) -> None:
        """Start from the mean image: p(x|z) of the untrained network is about the pixels' own mean and deviation. x [N, C, H, W]."""
        channels = self.data.shape[0]
        mean, deviation = x.mean(0), x.std(0, correction=0)  # [C, H, W]
        overall = (x - mean).square().mean().sqrt()
        if self.config.likelihood == "bernoulli":
            self.offset.value.copy_(mean.clamp(1e-3, 1 - 1e-3).logit())
            return
        logistic = self.config.likelihood == "discretized_logistic"
        self.offset.value[:channels] = 2 * mean - 1 if logistic else mean
        # a logistic of scale s deviates by s π / √3; its grid is twice as long
        unit = 2 * math.sqrt(3) / math.pi if logistic else 1.0
        if self._learns_sigma_maps:
            self.offset.value[channels:] = (unit * deviation.clamp(min=0.1)).log()
        if self.log_sigma is not None:
            self.log_sigma.copy_((unit * overall.clamp(min=0.1)).log())

    # -----------------------------------------------------------------------------------------------------------------
    # The model
    # -----------------------------------------------------------------------------------------------------------------

    def _posterior(self, x: Tensor) -> Latents:
        mean, raw = _at_least_float32(self.encoder(x)).chunk(2, dim=1)
        return Latents(mean, nn.functional.softplus(raw) + 1e-4)  # [B, D]; softplus, so that a strange image cannot overflow it

    def _maps(self, z: Tensor) -> Tensor:
        return self.offset(_at_least_float32(self.decoder(z)))  # [B, K, H, W]

    def _mean_and_width(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        """μ and log σ of a Gaussian in [0, 1], or of a logistic on [-1, 1]; the floor is soft, so its gradient never ends."""
        logistic = self.config.likelihood == "discretized_logistic"
        if self._learns_sigma_maps:
            mean, raw = maps.chunk(2, dim=-3)
        elif self.log_sigma is not None:
            mean, raw = maps, self.log_sigma.to(maps.dtype)
        else:
            return maps, torch.full((), math.log(self.config.sigma_value * (2 if logistic else 1)), dtype=maps.dtype, device=maps.device)
        floor = SMALLEST_LOG_SCALE if logistic else math.log(SMALLEST_SIGMA)
        return mean, floor + nn.functional.softplus(raw - floor)

    def _log_likelihood(self, x: Tensor, maps: Tensor) -> Tensor:
        """log p(x|z) in nats [...] of images [..., C, H, W] given maps [..., K, H, W]."""
        if self.config.likelihood == "bernoulli":
            per_pixel = likelihoods.bernoulli(x, maps)
        elif self.config.likelihood == "gaussian":
            per_pixel = likelihoods.gaussian(x, *self._mean_and_width(maps))
        else:
            per_pixel = likelihoods.discretized_logistic(x, *self._mean_and_width(maps))
        return per_pixel.flatten(-3).sum(-1)

    # -----------------------------------------------------------------------------------------------------------------
    # Training
    # -----------------------------------------------------------------------------------------------------------------

    def beta_at(self, progress: float) -> float:
        """The weight of the KL when a share `progress` of the training is done."""
        c = self.config
        return likelihoods.kl_weight(c.kl_schedule, progress, c.beta, c.kl_span, c.kl_cycles)

    def loss(self, x: Tensor, y: Tensor | None, context: StepContext) -> dict[str, Tensor]:
        """-ELBO with a weighted KL. `reconstruction` = E[-log p(x|z)], `kl` and `elbo` are the true, unweighted ones."""
        x = self.evaluate_target(x, context.generator)
        q = self._posterior(x)
        with full(x.device):
            kl = likelihoods.kl_to_standard_normal(q.mean, q.sigma)  # [B, D]
            z = q.mean + q.sigma * likelihoods.normal(q.mean, 1, context.generator)[:, 0]
        maps = self._maps(z)
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

    @property
    def pixel_levels(self) -> int:
        """How many values a channel of a pixel has; 0: continuous."""
        return {"discretized_logistic": 256, "bernoulli": 2}.get(self.config.likelihood, 0)

    def headline_words(self, terms: dict[str, float]) -> str:
        """Bits per dimension where pixels have 256 values or a density; nats of binary images."""
        if self.config.likelihood == "bernoulli":
            return f"ELBO −{-terms['elbo']:.1f} nat"
        return f"{self.bits_per_dim(-terms['elbo']):.2f} bits/dim"

    def after_step(self, context: StepContext) -> None:
        """Move the weight of the KL along its schedule."""
        self.kl_weight.fill_(self.beta_at(context.progress))

    # -----------------------------------------------------------------------------------------------------------------
    # What it can do
    # -----------------------------------------------------------------------------------------------------------------

    def evaluate_target(self, x: Tensor, generator: Randomness | None) -> Tensor:
        """The image whose likelihood is meant: for Bernoulli a binary one, drawn once and shared by all K samples; else x itself. x [B,
        C, H, W].
        """
        return likelihoods.binarize(x, generator) if self.config.likelihood == "bernoulli" else x

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
            maps = self._maps(z)
            if self.config.likelihood == "bernoulli":
                return maps.sigmoid()
            mean, log_width = self._mean_and_width(maps)
            if self.config.likelihood == "gaussian":
                return mean.clamp(0, 1)
            return likelihoods.clipped_logistic_mean(mean, log_width)

    def sample(
        self, n: int, y: Tensor | None = None, temperature: float = 1.0, generator: torch.Generator | None = None
    ) -> Iterator[Frame]:
        """Mean images [n, C, H, W] of z ~ N(0, temperature² I), in one frame."""
        yield Frame(self.decode(self._prior_codes(n, temperature, generator)), 1, 1)

    def sample_observations(
        self, n: int, y: Tensor | None = None, temperature: float = 1.0, generator: torch.Generator | None = None
    ) -> Iterator[Frame]:
        """Images [n, C, H, W] drawn from p(x|z), of the z of `sample`, in one frame; in [0, 1], as x is."""
        z = self._prior_codes(n, temperature, generator)
        with full(z.device):
            maps = self._maps(z)
            where = maps.device if generator is None else generator.device
            size = (n, *self.data.shape)
            if self.config.likelihood == "bernoulli":
                yield Frame((torch.rand(size, generator=generator, device=where).to(maps.device) < maps.sigmoid()).to(maps.dtype), 1, 1)
                return
            mean, log_width = self._mean_and_width(maps)
            if self.config.likelihood == "gaussian":
                noise = torch.randn(size, generator=generator, device=where).to(maps.device)
                yield Frame((mean + log_width.exp() * noise).clamp(0, 1), 1, 1)
                return
            u = torch.rand(size, generator=generator, device=where, dtype=torch.float64).clamp(1e-12, 1 - 1e-12).to(maps.device)
            drawn = mean + log_width.exp() * u.logit()  # a logistic on [-1, 1]; the bin of the nearest of 256 levels
            yield Frame((((drawn + 1) / 2).clamp(0, 1) * 255).round().to(maps.dtype) / 255, 1, 1)

    def _prior_codes(self, n: int, temperature: float, generator: torch.Generator | None) -> Tensor:
        """z ~ N(0, temperature² I) [n, D]."""
        return temperature * likelihoods.normal(self.offset.value.new_empty(n, self.config.latent), 1, generator)[:, 0]

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
            log_ratio = likelihoods.log_normal(z) - likelihoods.log_normal(noise) + sigma.log().sum(-1)  # [B, k]
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
        batch, k, _ = z.shape
        maps = self._maps(z.flatten(0, 1)).unflatten(0, (batch, k))  # [B, k, K, H, W]
        if self.config.likelihood == "bernoulli":  # the same as below, with a matrix product instead of a product per pixel
            logits = maps.flatten(2)
            return torch.bmm(logits, x.reshape(batch, -1, 1))[:, :, 0] - nn.functional.softplus(logits).sum(-1)
        return self._log_likelihood(x[:, None], maps)

    @torch.no_grad()
    def elbo(self, x: Tensor, generator: Randomness | None = None, samples: int = 1) -> Tensor:
        """The bound E[log w] of x as `evaluate_target` returned it, averaged over `samples` [B]."""
        return self.log_weights(x, self.posterior(x), samples, generator).mean(0)

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

    def bits_per_dim(self, nats: float) -> float:
        """Of -log p(x) = `nats` per image; see `likelihoods.bits_per_dim`."""
        return likelihoods.bits_per_dim(nats, self.data.dims, continuous=self.config.likelihood == "gaussian")

    # -----------------------------------------------------------------------------------------------------------------
    # Looking at a checkpoint
    # -----------------------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def describe(self, x: Tensor, generator: torch.Generator) -> Description:
        """Numbers of one checkpoint, and the rules of `diagnose` applied to them. x [N, C, H, W]."""
        target = self.evaluate_target(x, generator)
        q = self.posterior(target)
        with full(x.device):
            kl = likelihoods.kl_to_standard_normal(q.mean, q.sigma).mean(0)  # [D]
            z = q.mean + q.sigma * likelihoods.normal(q.mean, 1, generator)[:, 0]
            reconstruction = -self._log_likelihood(target, self._maps(z)).mean().item()
            error = (self.decode(q.mean) - x).square().mean().item()
            variance = (x - x.mean(0)).square().mean().item()
        elbo = -(reconstruction + kl.sum().item())
        is_active = likelihoods.active_dimensions(q.mean)
        active = int(is_active.sum())
        explained = 1 - error / variance if variance > 0 else math.nan
        bits_help = {
            "bernoulli": "Of black-or-white pixels drawn from the grey values; not comparable with 8-bit images.",
            "gaussian": "A density plus 8 bits, without dequantization: a guide, not a code length; only compare it among Gaussians.",
            "discretized_logistic": "Of 256 grey values: an upper bound on the code length; 8 would be uniform noise.",
        }[self.config.likelihood]
        numbers = (
            Number("reconstruction", reconstruction, "nat", help="−log p(x|z), summed over pixels, averaged over images."),
            Number("KL", kl.sum().item(), "nat", help="How much the codes tell about their image."),
            Number("ELBO", elbo, "nat", help="Lower bound on log p(x), with the KL term unweighted."),
            Number("ELBO, bits/dim", self.bits_per_dim(-elbo), "bits/dim", 3, bits_help),
            Number("active dimensions", active, f"of {self.config.latent}", 0, DEFINITION),
            Number("variance explained", 100 * explained, "%", 1, "Of the pixels, by the reconstructions from the posterior means."),
        )
        words = diagnose(active, self.config.latent, float(self.kl_weight), self.config.beta, explained)
        ones = torch.ones_like(kl)
        return Description(numbers, words, kl, ones, torch.zeros_like(ones), active=is_active)


def diagnose(active: int, latent: int, weight: float, beta: float, explained: float) -> tuple[Diagnosis, ...]:
    """What the numbers of a checkpoint mean, in words.

    - weight < beta: a warm-up is still going on; warning. Numbers at another weight are not comparable.
    - no dimension is active, at the full weight: posterior collapse; bad. Nothing while the weight rises.
    - fewer than half are active: warning. At least half, but not all: good, and the idle ones are named.
    - all are active: good.
    - reconstructions explain less than half of the pixels' variance although dimensions are active: warning.

    Args:
        active: dimensions with Var_x(E[z_u|x]) > 0.01.
        weight: the KL weight when the checkpoint was written.
        explained: share of the pixels' variance that the reconstructions explain; nan when the pixels do not vary.
    """
    said = []
    idle = latent - active
    rising = weight < 0.999 * beta
    if rising:
        said.append(
            Diagnosis("warning", f"The KL weight is still rising: {weight:.2g} of {beta:.2g}. Compare this checkpoint when it has arrived.")
        )
    if active == 0 and rising:
        said.append(Diagnosis("muted", "No dimension is active yet: whether that stays so shows once the KL weight has arrived."))
    elif active == 0:
        remedy = "Lower beta, let it rise slowly (KL schedule “linear”), or allow free bits."
        said.append(Diagnosis("bad", f"Posterior collapse: none of the {latent} dimensions carries information about the image. {remedy}"))
    elif idle:
        carry = f"{idle} of {latent} dimensions carry no information" if idle > 1 else f"1 of {latent} dimensions carries no information"
        if active < latent / 2:
            said.append(Diagnosis("warning", f"{carry}: most of the latent space is idle. A lower beta or free bits would use more of it."))
        else:
            said.append(Diagnosis("good", f"{carry}; the other {active} do. A spare dimension costs nothing; its slider changes nothing."))
    else:
        said.append(Diagnosis("good", f"All {latent} dimensions carry information. A larger latent space may bring more."))
    if active and explained < 0.5:
        said.append(
            Diagnosis(
                "warning",
                f"The reconstructions explain {100 * explained:.0f} % of the pixels' variance: train longer, or widen the network.",
            )
        )
    return tuple(said)


def _at_least_float32(x: Tensor) -> Tensor:
    return x.float() if x.dtype in (torch.bfloat16, torch.float16) else x
