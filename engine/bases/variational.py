"""What variational autoencoders share: the likelihoods of pixels p(x|z), the weight of the KL, decoding, and what a checkpoint means.

Not here: the posterior, the prior and the loss, which are a method's own. Every number is in nats, summed over the dimensions of an
image and averaged over images.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from engine.common.active_dimensions import DEFINITION
from engine.config import Training, setting
from engine.losses import likelihoods
from engine.losses.likelihoods import Randomness
from engine.messages import Diagnosis, Number
from engine.method import DataSpec, Latents, Method, StepContext
from engine.nets import images as nets

EXPLAINED_HELP = "Of the held-out pixels, by the reconstructions from the posterior means; below zero: worse than the pixels’ own mean."
SMALLEST_SIGMA = 1 / 255  # of a Gaussian in [0, 1]: without a floor the density has no upper bound
SMALLEST_LOG_SCALE = -7.0  # of a logistic on [-1, 1] (PixelCNN++)
DECODED_AT_ONCE = {"cpu": 512}  # images while scoring: what stays in the processor's cache; other devices take 8,192


@dataclass(frozen=True)
class VariationalSettings(Training):
    """What every variational autoencoder has."""

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


class Figures(NamedTuple):
    """What is said of a checkpoint."""

    numbers: tuple[Number, ...]
    words: tuple[Diagnosis, ...]
    active: Tensor  # which dimensions react to the image: bool [D]


class VariationalAutoencoder(Method):
    """Base of the methods with a Gaussian posterior and a decoder p(x|z)."""

    density = "bound"
    largest_side = 128
    sampling = "direct"
    headline = ("elbo", "nat", True)
    units: ClassVar = dict.fromkeys(("loss", "reconstruction", "kl", "elbo"), "nat")

    def __init__(self, config: Any, data: DataSpec, given: int = 0) -> None:
        """given: numbers that the decoder is told beside z; the encoder then sees one channel more."""
        super().__init__(config, data)
        channels = data.shape[0]
        maps = 2 * channels if self._learns_sigma_maps else channels
        seen = (channels + 1, *data.shape[1:]) if given else data.shape
        self.encoder = nets.encoder(config.network, seen, 2 * config.latent, config.width, config.encoder_blocks)
        self.decoder = nets.decoder(config.network, data.shape, maps, config.latent + given, config.width, config.decoder_blocks)
        self.offset = nets.Offset((maps, *data.shape[1:]))
        self.log_sigma = nn.Parameter(torch.empty(())) if config.likelihood != "bernoulli" and config.sigma == "global" else None
        self.kl_weight: Tensor
        self.register_buffer("kl_weight", torch.empty(()))  # of the newest step, so that a checkpoint knows where its warm-up was

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

    def _log_likelihoods_of(self, x: Tensor, maps: Tensor) -> Tensor:
        """log p(x|z) of images [B, C, H, W] at k codes each, given maps [B, k, K, H, W] -> [B, k]."""
        if self.config.likelihood == "bernoulli":  # the same as below, with a matrix product instead of a product per pixel
            logits = maps.flatten(2)
            return torch.bmm(logits, x.reshape(len(x), -1, 1))[:, :, 0] - nn.functional.softplus(logits).sum(-1)
        return self._log_likelihood(x[:, None], maps)

    def _encoded(self, seen: Tensor) -> Latents:
        """q(z|·) of what the encoder sees [B, ...]: mean and sigma [B, D]."""
        mean, raw = _at_least_float32(self.encoder(seen)).chunk(2, dim=1)
        return Latents(mean, nn.functional.softplus(raw) + 1e-4)  # softplus, so that a strange image cannot overflow it

    def _decoded(self, codes: Tensor) -> Tensor:
        """The maps [B, K, H, W] of p(x|·) for what the decoder is told [B, ...]."""
        return self.offset(_at_least_float32(self.decoder(codes)))

    def _mean_images(self, maps: Tensor) -> Tensor:
        """The mean images of p(x|z) in [0, 1] [B, C, H, W], of maps [B, K, H, W]."""
        if self.config.likelihood == "bernoulli":
            return maps.sigmoid()
        mean, log_width = self._mean_and_width(maps)
        if self.config.likelihood == "gaussian":
            return mean.clamp(0, 1)
        return likelihoods.clipped_logistic_mean(mean, log_width)

    def _observed(self, maps: Tensor, generator: Randomness | None) -> Tensor:
        """Images [B, C, H, W] drawn from p(x|z), in [0, 1] as x is, of maps [B, K, H, W]."""
        like = maps.new_empty(len(maps), *self.data.shape)
        if self.config.likelihood == "bernoulli":
            return (likelihoods.uniform(like, generator) < maps.sigmoid()).to(maps.dtype)
        mean, log_width = self._mean_and_width(maps)
        if self.config.likelihood == "gaussian":
            noise = likelihoods.normal(like.flatten(1), 1, generator).view_as(like)
            return (mean + log_width.exp() * noise).clamp(0, 1)
        u = likelihoods.uniform(like.double(), generator).clamp(2.0**-25, 1 - 2.0**-25)  # drawn in float32, 2⁻²⁴ apart
        drawn = mean + log_width.exp() * u.logit()  # a logistic on [-1, 1]; the bin of the nearest of 256 levels
        return (((drawn + 1) / 2).clamp(0, 1) * 255).round().to(maps.dtype) / 255

    # -----------------------------------------------------------------------------------------------------------------
    # Training and units
    # -----------------------------------------------------------------------------------------------------------------

    def beta_at(self, progress: float) -> float:
        """The weight of the KL when a share `progress` of the training is done."""
        c = self.config
        return likelihoods.kl_weight(c.kl_schedule, progress, c.beta, c.kl_span, c.kl_cycles)

    def after_step(self, context: StepContext) -> None:
        """Move the weight of the KL along its schedule."""
        self.kl_weight.fill_(self.beta_at(context.progress))

    @property
    def pixel_levels(self) -> int:
        """How many values a channel of a pixel has; 0: continuous."""
        return {"discretized_logistic": 256, "bernoulli": 2}.get(self.config.likelihood, 0)

    def headline_words(self, terms: dict[str, float]) -> str:
        """Bits per dimension where pixels have 256 values or a density; nats of binary images."""
        if self.config.likelihood == "bernoulli":
            return f"ELBO −{-terms['elbo']:.1f} nat"
        return f"{self.bits_per_dim(-terms['elbo']):.2f} bits/dim"

    def evaluate_target(self, x: Tensor, generator: Randomness | None) -> Tensor:
        """The image whose likelihood is meant: for Bernoulli a binary one, drawn once and shared by all K samples; else x itself. x [B,
        C, H, W].
        """
        return likelihoods.binarize(x, generator) if self.config.likelihood == "bernoulli" else x

    def bits_per_dim(self, nats: float) -> float:
        """Of -log p(x) = `nats` per image; see `likelihoods.bits_per_dim`."""
        return likelihoods.bits_per_dim(nats, self.data.dims, continuous=self.config.likelihood == "gaussian")

    # -----------------------------------------------------------------------------------------------------------------
    # Looking at a checkpoint
    # -----------------------------------------------------------------------------------------------------------------

    def _figures(self, x: Tensor, mean: Tensor, rebuilt: Tensor, reconstruction: float, kl: float) -> Figures:
        """Numbers and words of a checkpoint.

        Args:
            x, rebuilt: held-out images and the mean images of the posteriors' means [N, C, H, W].
            mean: the posteriors' means [N, D].
            reconstruction, kl: E[-log p(x|z)] and KL(q(z|x) ∥ p(z)) per image, in nats.
        """
        error = (rebuilt - x).square().mean().item()
        variance = (x - x.mean(0)).square().mean().item()
        is_active = likelihoods.active_dimensions(mean)
        active = int(is_active.sum())
        explained = 1 - error / variance if variance > 0 else math.nan
        elbo = -(reconstruction + kl)
        bits_help = {
            "bernoulli": "Of black-or-white pixels drawn from the grey values; not comparable with 8-bit images.",
            "gaussian": "A density plus 8 bits, without dequantization: a guide, not a code length; only compare it among Gaussians.",
            "discretized_logistic": "Of 256 grey values: an upper bound on the code length; 8 would be uniform noise.",
        }[self.config.likelihood]
        numbers = (
            Number("reconstruction", reconstruction, "nat", help="−log p(x|z), summed over pixels, averaged over images."),
            Number("KL", kl, "nat", help="How much the codes tell about their image."),
            Number("ELBO", elbo, "nat", help="Lower bound on log p(x), with the KL term unweighted."),
            Number("ELBO, bits/dim", self.bits_per_dim(-elbo), "bits/dim", 3, bits_help),
            Number("active dimensions", active, f"of {len(is_active)}", 0, DEFINITION),
            Number("variance explained", 100 * explained, "%", 1, EXPLAINED_HELP),
        )
        return Figures(numbers, diagnose(active, len(is_active), float(self.kl_weight), self.config.beta, explained), is_active)


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
