"""Generative adversarial network (Goodfellow et al. 2014): hinge loss (Lim and Ye 2017) with the penalty R1 (Mescheder et al. 2018), the
non-saturating loss, or the relativistic one with R1 and R2 (R3GAN, Huang et al. 2024)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from engine.common.counting import number_of
from engine.common.intervals import share_interval
from engine.config import Training, setting
from engine.evaluation.mode_count import ModeCount, mode_count
from engine.losses import adversarial, likelihoods
from engine.losses.energy_distance import energy_distance
from engine.losses.likelihoods import Randomness
from engine.messages import Diagnosis, Number
from engine.method import CannotLearn, DataSpec, Description, Diverged, Frame, Method, ParameterGroup, Phase, StepContext
from engine.nets.adversarial import RANDOM_FEATURES, ImageDiscriminator, ImageGenerator, random_features
from engine.precision import full

MEASURED_AT_ONCE = 256  # images whose features are computed together
DIRECTION_CODES = 128  # codes at which the generator's derivatives are taken
AHEAD, BLIND = 0.95, 0.65  # pairs of a real image and a sample that are ranked right
FAR = 1.25  # squared distance of the samples' mean image from that of the data, in variances of an image: 1 is a usual single image
PATIENCE = 100  # steps in a row without a way back that end the training
LOOK_EVERY = 25  # steps between two looks at how many there are: a number leaves the device


@dataclass(frozen=True)
class Config(Training):
    latent: int = setting(64, "Numbers that an image is made from: the dimensions of z.", low=1, high=512, unit="dimensions", log=True)
    width: int = setting(16, "Channels of the larger maps; smaller ones have twice as many.", low=4, high=512, unit="channels", log=True)
    generator_blocks: int = setting(1, "Residual blocks of the generator at each size of its maps.", low=0, high=8, unit="blocks")
    discriminator_blocks: int = setting(1, "Residual blocks of the discriminator at each size of its maps.", low=0, high=8, unit="blocks")
    conditional: bool = setting(False, "Learn p(x|y), so that a class can be asked for.")
    objective: str = setting(
        "hinge",
        "What the two networks play for: hinge and non-saturating judge each image alone, relativistic (R3GAN) which of two is real.",
        choices=adversarial.OBJECTIVES,
        group="Objective",
    )
    gamma: float = setting(
        0.3,
        "Weight γ of the gradient penalty γ/2 E|∇D|² at real images (R1) and, of the relativistic loss, at generated ones too (R2); "
        "pixels from 0 to 1.",
        low=0.0,
        high=1000.0,
        group="Objective",
    )
    penalty_interval: int = setting(
        4, "The penalty is computed at every so many steps, and weighs as much more: it costs more than the loss itself.",
        low=1, high=64, unit="steps", group="Objective",
    )  # fmt: skip
    batch_size: int = setting(64, "Images per optimizer step.", low=1, high=16384, unit="images", log=True, group="Training")
    learning_rate: float = setting(2e-3, "Step size of the generator at its highest.", low=1e-6, high=1.0, log=True, group="Training")
    discriminator_rate: float = setting(
        2e-3, "Step size of the discriminator at its highest.", low=1e-6, high=1.0, log=True, group="Training"
    )
    generator_beta1: float = setting(0.0, "How long the generator's steps remember their direction.", low=0.0, high=0.99, group="Training")
    discriminator_beta1: float = setting(
        0.0, "How long the discriminator's steps remember their direction.", low=0.0, high=0.99, group="Training"
    )
    beta2: float = setting(
        0.99, "How long both remember the size of their gradients (AdamW); SGD and LARS do not.", low=0.0, high=0.9999, group="Training"
    )


@dataclass(frozen=True)
class SampleSettings:
    truncation: float = setting(
        1.0,
        "z is drawn from N(0, ψ² I): below 1 nearer to the centre, for images that are more typical and less varied.",
        low=0.0,
        high=2.0,
        label="truncation ψ",
        group="Sampling",
    )


class GAN(Method):
    """Generative adversarial network (Goodfellow et al. 2014) with gradient penalties."""

    Config = Config
    SampleSettings = SampleSettings
    title = "GAN"
    largest_side = 128
    family = "Implicit density · direct"
    sampling = "direct"
    conditional = True
    wants_labels = True  # of a class-conditional discriminator
    source = (
        "Goodfellow et al., Generative Adversarial Nets, NIPS 2014 (arXiv 1406.2661); "
        "Huang et al., The GAN is dead; long live the GAN!, NeurIPS 2024 (arXiv 2501.05441)"
    )
    summary = (
        "A generator turns random codes into images; a discriminator learns to tell them from real ones; each learns from the other's "
        "answers. The density of the images is never written down, so there is no likelihood: samples are compared with real images by "
        "their features. Penalties on the discriminator's gradient keep the game from swinging."
    )
    formula = (
        "D: min E[max(0, 1 − D(x))] + E[max(0, 1 + D(G(z)))] + γ/2 E|∇D(x)|²; G: min −E[D(G(z))] (hinge; the other losses: see objective)"
    )
    headline = ("energy_distance", "", False)
    phases: ClassVar = (Phase("discriminator_loss", "discriminator"), Phase("generator_loss", "generator"))
    training_only_buffers: ClassVar = ("penalties",)
    measured_buffers: ClassVar = ("feature_unit",)
    even_slices = True  # of a slice with few images the energy distance says nothing

    def __init__(self, config: Config, data: DataSpec) -> None:
        super().__init__(config, data)
        self.conditional = config.conditional
        if self.conditional and not data.classes:
            raise CannotLearn("These data have no classes to condition on; set conditional to false or choose a data set with classes.")
        classes = len(data.classes) if self.conditional else 0
        self.generator = ImageGenerator(data.shape, config.latent, config.width, config.generator_blocks, classes)
        self.discriminator = ImageDiscriminator(data.shape, config.width, config.discriminator_blocks, classes)
        self.penalties: Tensor
        self.register_buffer("penalties", torch.empty(2), persistent=False)  # R1 and R2 of the newest step that had them
        self.feature_unit: Tensor
        self.register_buffer("feature_unit", torch.empty(RANDOM_FEATURES))
        self.mean: Tensor
        self.register_buffer("mean", torch.empty(data.shape), persistent=False)
        self.variance: Tensor
        self.register_buffer("variance", torch.empty(()), persistent=False)
        self.strayed: Tensor
        self.register_buffer("strayed", torch.empty(()), persistent=False)
        self.lost: Tensor
        self.register_buffer("lost", torch.empty(()), persistent=False)
        self._directions: tuple[Tensor, Tensor] | None = None  # principal ones and their shares
        self.register_load_state_dict_pre_hook(GAN.keep_unit)
        self.register_load_state_dict_post_hook(GAN.forget_directions)

    @property
    def latent_size(self) -> int:
        """D, the size of z."""
        return self.config.latent

    def reset(self, generator: torch.Generator) -> None:
        """No penalty is known yet, and no data."""
        self.penalties.zero_()
        self.feature_unit.fill_(1.0)
        self.mean.fill_(0.5)
        self.variance.fill_(1.0)
        self.strayed.zero_()
        self.lost.zero_()

    @torch.no_grad()
    def init_from_data(self, x: Tensor) -> None:
        """Start from the mean image, and measure the unit of each random feature. x [N, C, H, W]."""
        self.mean.copy_(x.mean(0))
        self.variance.copy_((x - self.mean).square().mean().clamp(min=0.05**2))  # of images that are all alike: any unit
        self.generator.offset.value.copy_(self.mean.clamp(0.01, 0.99).logit())
        with full(x.device):
            self.feature_unit.copy_(feature_unit(x))

    def train(self, mode: bool = True) -> GAN:
        """Training or evaluation mode; a turn to either may follow a change of the weights."""
        self.forget_directions()
        return super().train(mode)

    def keep_unit(self, arrays: dict[str, Tensor], prefix: str, *_: object) -> None:
        """A checkpoint from before the unit was kept leaves it as it is, or at 1 where nothing was measured."""
        known = torch.ones(RANDOM_FEATURES) if self.feature_unit.is_meta else self.feature_unit
        arrays.setdefault(f"{prefix}feature_unit", known)

    def forget_directions(self, *_: object) -> None:
        """The weights are others: the principal directions are asked for anew."""
        self._directions = None

    # -----------------------------------------------------------------------------------------------------------------
    # Training
    # -----------------------------------------------------------------------------------------------------------------

    def optimizers(self) -> dict[str, ParameterGroup]:
        """One for each network."""
        c = self.config
        return {
            "discriminator": ParameterGroup(
                tuple(self.discriminator.parameters()),
                learning_rate=c.discriminator_rate,
                rate_setting="discriminator_rate",
                betas=(c.discriminator_beta1, c.beta2),
            ),
            "generator": ParameterGroup(tuple(self.generator.parameters()), betas=(c.generator_beta1, c.beta2)),
        }

    def loss(self, x: Tensor, y: Tensor | None, context: StepContext) -> dict[str, Tensor]:
        """`discriminator_loss` with its penalties, which stand beside it as `r1` and `r2`, and `generator_loss`.

        Where all are asked for, as on held-out images, also the `energy_distance` of as many samples, which judges a checkpoint.
        x [B, C, H, W], y int64 [B] or None -> scalars [].
        """
        y = y if self.conditional else None
        terms: dict[str, Tensor] = {}
        if context.phase in ("", "discriminator_loss"):
            terms |= self._discriminator_terms(x, y, context)
        if context.phase in ("", "generator_loss"):
            fake = self.generator(self._codes(len(x), context.generator), y)
            logits = self._logits(fake, y)
            real = self._logits(x, y) if self.config.objective == "relativistic" else logits
            with full(x.device):
                terms["generator_loss"] = adversarial.generator_loss(self.config.objective, real, logits)
                if context.phase:
                    self.strayed.copy_((fake.detach().mean(0) - self.mean).square().mean() / self.variance)
            if not context.phase:
                with full(x.device):
                    terms["energy_distance"] = sample_distance(fake.detach(), x, self.feature_unit)
        return terms

    def _discriminator_terms(self, x: Tensor, y: Tensor | None, context: StepContext) -> dict[str, Tensor]:
        c = self.config
        with torch.no_grad():
            fake = self.generator(self._codes(len(x), context.generator), y)
        penalized = c.gamma > 0 and (not context.phase or context.step % c.penalty_interval == 0)
        if not penalized:
            real_logits, fake_logits = self._logits(x, y), self._logits(fake, y)
            with full(x.device):
                loss = adversarial.discriminator_loss(c.objective, real_logits, fake_logits)
            return {"discriminator_loss": loss, "r1": self.penalties[0].clone(), "r2": self.penalties[1].clone()}
        with full(x.device), torch.enable_grad():  # the gradients of a gradient: nothing is rounded
            both = c.objective == "relativistic"
            x, fake = x.detach().requires_grad_(), fake.detach().requires_grad_(both)
            real_logits, fake_logits = self._logits(x, y), self._logits(fake, y)
            r1 = c.gamma / 2 * adversarial.squared_gradient(real_logits, x)
            r2 = c.gamma / 2 * adversarial.squared_gradient(fake_logits, fake) if both else torch.zeros_like(r1)
            loss = adversarial.discriminator_loss(c.objective, real_logits, fake_logits)
            weight = c.penalty_interval if context.phase else 1
            penalties = torch.stack([r1, r2]).detach()
            if context.phase:
                self.penalties.copy_(penalties)
            return {"discriminator_loss": loss + weight * (r1 + r2), "r1": penalties[0], "r2": penalties[1]}

    @torch.no_grad()
    def after_step(self, context: StepContext) -> None:
        """Count the steps in a row (`lost`) in which the samples' mean image lies farther from that of the data than single images do, or
        in which the generator's gradient is zero.

        Raises: Diverged: they are many.
        """
        slopes = [p.grad for p in self.generator.parameters() if p.grad is not None]
        stuck = ~torch.stack([slope.abs().amax() for slope in slopes]).amax().gt(0) if slopes else torch.zeros_like(self.lost).bool()
        self.lost.copy_(torch.where(stuck | (self.strayed > FAR), self.lost + 1, torch.zeros_like(self.lost)))
        if context.step % LOOK_EVERY == 0 and (steps := int(self.lost)) >= PATIENCE:
            c = self.config
            raise Diverged(
                f"The two networks diverged: for {number_of(steps, 'step')} the mean sample has been farther from that of the data than "
                "their images are, or the generator had no gradient to follow. The last good checkpoint is kept; start a new run with a "
                f"lower learning_rate (this one has {c.learning_rate:g}) and discriminator_rate ({c.discriminator_rate:g}), or a larger "
                f"gamma ({c.gamma:g})."
            )

    def _logits(self, x: Tensor, y: Tensor | None) -> Tensor:
        """D(x) of images [B, C, H, W], in float32 or better [B]."""
        logits = self.discriminator(x, y)
        return logits.float() if logits.dtype in (torch.bfloat16, torch.float16) else logits

    def _codes(self, n: int, generator: Randomness | None) -> Tensor:
        """z ~ N(0, I) [n, D]."""
        return likelihoods.normal(self.generator.offset.value.new_empty(n, self.config.latent), 1, generator)[:, 0]

    def headline_words(self, terms: dict[str, float]) -> str:
        """How far samples are from held-out images, in random features; 0 where they cannot be told apart."""
        return f"energy distance {terms['energy_distance']:.3f}"

    # -----------------------------------------------------------------------------------------------------------------
    # What it can do
    # -----------------------------------------------------------------------------------------------------------------

    def decode(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """Images [B, C, H, W] of coordinates [B, D] along the principal directions; N(0, I) in them is N(0, I) in z.

        Of the classes y int64 [B] where it is conditional; without them all are of the first class.
        """
        if self.conditional and y is None:
            y = torch.zeros(len(z), dtype=torch.int64, device=z.device)
        directions = self.principal_directions().to(z)
        with full(z.device):
            return self.generator(z @ directions.T, y if self.conditional else None)

    def decode_class(self, z: Tensor, y: Tensor) -> Tensor:
        """`decode` of classes y int64 [B]."""
        return self.decode(z, y)

    def sample(
        self, n: int, y: Tensor | None = None, temperature: float = 1.0, generator: torch.Generator | None = None
    ) -> Iterator[Frame]:
        """Images [n, C, H, W] of z ~ N(0, temperature² I), in one frame."""
        own = likelihoods.sample_generators(n, generator)
        z = self._codes(n, own)
        if self.conditional and y is None:
            y = likelihoods.integers(len(self.data.classes), n, own, z.device)
        with full(z.device):
            yield Frame(self.generator(temperature * z, None if y is None or not self.conditional else y.to(z.device)), 1, 1)

    def sample_with(self, n: int, y: Tensor | None, settings: Any, generator: torch.Generator | None = None) -> Iterator[Frame]:
        """As `sample`, with z scaled towards its centre by `settings.truncation`."""
        return self.sample(n, y, settings.truncation, generator)

    def principal_directions(self) -> Tensor:
        """Orthonormal directions of z as columns [D, D], by how much they change the image: eigenvectors of E[JᵀJ], J = ∂G/∂z.

        J is met through the gradients Jᵀu of random combinations u of pixels, E[uuᵀ] = I, at fixed codes. Kept until the weights change.
        """
        return self._principal()[0]

    def principal_shares(self) -> Tensor:
        """Of the variance of G(z), to first order: what each principal direction accounts for [D], the largest first; they add up to 1."""
        return self._principal()[1]

    def _principal(self) -> tuple[Tensor, Tensor]:
        if self._directions is None or self.training:
            self._directions = self._eigenvectors()
        return self._directions

    def _eigenvectors(self) -> tuple[Tensor, Tensor]:
        noise = torch.Generator().manual_seed(0)
        like = self.generator.offset.value
        with torch.inference_mode(False), torch.enable_grad(), full(like.device):
            z = self._codes(max(DIRECTION_CODES, 2 * self.latent_size), noise).clone().requires_grad_()
            y = torch.arange(len(z), device=z.device) % max(1, len(self.data.classes)) if self.conditional else None
            images = self.generator(z, y)
            signs = torch.randint(0, 2, images.shape, generator=noise).to(images) * 2 - 1
            (gradient,) = torch.autograd.grad((images * signs).sum(), z)  # row i: J(z_i)ᵀ u_i
        moment = gradient.double().T @ gradient.double()
        values, vectors = torch.linalg.eigh(moment if moment.isfinite().all() else torch.zeros_like(moment))
        values, vectors = values.flip(0).clamp(min=0), vectors.flip(1)
        largest = vectors.gather(0, vectors.abs().argmax(0, keepdim=True))
        directions = (vectors * largest.sign()).to(like)  # either sign is a direction: this one is always the same
        return directions, (values / values.sum().clamp(min=1e-300)).to(like)

    # -----------------------------------------------------------------------------------------------------------------
    # Looking at a checkpoint
    # -----------------------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def describe(self, x: Tensor, generator: torch.Generator, y: Tensor | None = None) -> Description:
        """Balance, modes and diversity of as many samples as there are held-out images x [N, C, H, W] of classes y int64 [N]."""
        frame = next(iter(self.sample(len(x), y, generator=generator)))
        numbers, words = [], []
        if not self.conditional or y is not None:
            with full(x.device):
                real, fake = self._logits(x, y if self.conditional else None), self._logits(frame.x, y if self.conditional else None)
            ranked = ranked_right(real, fake)
            told = "Pairs of a held-out image and a sample in which the discriminator finds the held-out one more real; 50 % is chance."
            numbers.append(Number("told apart", 100 * ranked, "%", 1, told))
            if self.config.objective != "relativistic":  # whose logits have no zero
                numbers += [
                    Number("real taken for real", 100 * (real > 0).double().mean().item(), "%", 1, "Held-out images with D(x) > 0."),
                    Number("samples seen through", 100 * (fake < 0).double().mean().item(), "%", 1, "Samples with D(G(z)) < 0."),
                ]
            words.append(balance(ranked, len(x)))
        modes = mode_count(x, frame.x, generator)
        if modes is not None:
            samples, expected = number_of(len(x), "sample"), f"{modes.expected:.1f}"
            about = f"Of k-means in the pixels of held-out images, that {samples} fall into; as many real images: {expected}."
            ratio = "Mean distance between two samples, of that between two held-out images, in pixels."
            numbers += [
                Number("clusters reached", modes.reached, f"of {modes.clusters}", 0, about),
                Number("diversity", 100 * modes.diversity, "%", 0, ratio),
            ]
            words.append(coverage(modes))
        ones = torch.ones(self.latent_size, dtype=x.dtype, device=x.device)
        return Description(tuple(numbers), tuple(words), None, ones, torch.zeros_like(ones), share=self.principal_shares())


def feature_unit(x: Tensor) -> Tensor:
    """The deviation [F] of each random feature over images [N, C, H, W], at least a tenth of their mean: what hardly varies counts less."""
    deviation = torch.cat([random_features(some) for some in x.split(MEASURED_AT_ONCE)]).std(0, correction=0)
    return deviation.clamp(min=0.1 * deviation.mean()).clamp(min=1e-6)


def sample_distance(fake: Tensor, real: Tensor, unit: Tensor) -> Tensor:
    """Energy distance [] of images [B, C, H, W] in random features, each in its unit [F], so that slices of any images can be averaged."""
    return energy_distance(random_features(fake) / unit, random_features(real) / unit).to(real)


def ranked_right(real: Tensor, fake: Tensor) -> float:
    """The share of pairs with D(x) > D(G(z)), equal ones by half, of logits [N], [M]: the area under the ROC curve."""
    above = real[:, None] > fake
    return (above.double() + 0.5 * (real[:, None] == fake).double()).mean().item()


def balance(ranked: float, images: int) -> Diagnosis:
    """Which network is ahead, from the share of pairs of so many images and as many samples that the discriminator ranks right.

    - shown to be above 95 %: the discriminator; warning.
    - shown to be below 50 %: it ranks samples above held-out images; warning.
    - shown to be below 65 %: it cannot tell; said as it is, since both a perfect generator and a blind discriminator look so.
    - shown to be above 50 %, and not nearly all: balanced; good. Else so few images do not tell.
    """
    share = f"{100 * ranked:.0f} %"
    low, high = share_interval(ranked * images, images)  # no narrower than that of the pairs (Birnbaum and Klose 1957)
    if low > AHEAD:
        return Diagnosis(
            "warning",
            f"The discriminator is far ahead: it ranks {share} of the pairs right. Train longer; if that stays, raise gamma or lower "
            "discriminator_rate.",
        )
    if high < 0.5:
        return Diagnosis(
            "warning",
            f"The discriminator ranks samples above held-out images ({share} of the pairs right; chance: 50 %): it lags behind the "
            "generator, or knows its training images by heart. Train longer, or choose another step.",
        )
    if high < BLIND:
        return Diagnosis(
            "muted",
            f"The discriminator cannot tell samples from held-out images ({share} of the pairs; chance: 50 %): they are that good, "
            "or it is too weak. Look at them, and measure their distance in an encoder's features.",
        )
    if low <= 0.5 or ranked > 0.5 * (1 + AHEAD):
        return Diagnosis(
            "muted",
            f"{number_of(images, 'held-out image is', 'held-out images are')} too few to tell which network is ahead ({share} of the "
            "pairs ranked right).",
        )
    return Diagnosis("good", f"The two networks are in balance: the discriminator ranks {share} of the pairs right.")


def coverage(modes: ModeCount) -> Diagnosis:
    """Whether the samples are as varied as held-out images.

    - at least half of the clusters missed, or less than half of the real images' diversity: mode collapse; bad.
    - a cluster missed, or less than 80 % of the diversity: warning.
    - else good. Real images are hardly ever warned of: a missed cluster is one that chance explains in at most 5 % of sets.
    """
    places = f"{modes.reached} of {modes.clusters} clusters of held-out images (as many real images: {modes.expected:.1f})"
    apart = f"{100 * modes.diversity:.0f} % as far apart as held-out images"
    if modes.missed >= modes.clusters / 2 or modes.diversity < 0.5:
        return Diagnosis(
            "bad",
            f"Mode collapse: samples fall into {places} and are {apart}. Raise gamma, lower both rates, or choose an earlier step.",
        )
    if modes.missed or modes.diversity < 0.8:
        return Diagnosis("warning", f"Samples are less varied than the data: they fall into {places} and are {apart}.")
    return Diagnosis("good", f"No sign of mode collapse in pixels: samples fall into {places} and are {apart}.")
