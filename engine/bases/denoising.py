"""Models that learn to take noise away, and draw and score images by that: what all of them share.

Here: the loss, samples, the density, the numbers of a checkpoint. A subclass supplies the network and what it is told beside the image.

Images are spread evenly over their 256 bins, brought to [-1, 1], and from there to mean 0 (of each channel) and deviation 1 (of all);
noise levels σ are in units of that deviation everywhere.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor

from engine.bases.probability_flow import SAMPLERS, Denoise, log_density, sampled, standard_normal
from engine.common.intervals import margin
from engine.common.spacing import evenly
from engine.config import BadSetting, Training, setting
from engine.losses import diffusion, likelihoods
from engine.messages import Diagnosis, Number
from engine.method import DataSpec, Description, Frame, Method, StepContext
from engine.precision import full
from engine.protocols import FlowDensity

LEVELS = (0.03, 0.1, 0.3, 1.0, 3.0)  # σ at which the loss is told by itself, in deviations of the images
HIGH_LEVELS = (10.0, 30.0)  # further ones where captions are told: there place and shape are decided
CAPTION_SHIFT = 1.0  # of the mean of ln σ in new runs: one shape of a 32×32 image is hidden by 10 to 30 deviations, not by 1 to 3
JUDGED_LEVELS = (0.1, 0.3, 1.0)  # where there is much to learn of any images
NOTHING = 0.8  # a weighted loss that is shown to be above it, and not to be below 1, has learned nothing
DESCRIBED = 128  # held-out images of a checkpoint's description
SMALLEST_DEVIATION = 2 / 255  # of images on [-1, 1]
SCORED_AT_ONCE = 32  # images in one walk of the ODE: bounds the memory of its gradients
GUIDANCE = (
    "This run was trained without classes or captions, so guidance has nothing to lead to: leave it at 1, or train with conditional = true."
)


@dataclass(frozen=True)
class DenoisingSettings(Training):
    """What every denoiser has."""

    objective: str = setting(
        "edm",
        "What the network learns: to take away noise of any level (EDM), or the velocity of the straight line from noise to image (flow "
        "matching).",
        choices=diffusion.OBJECTIVES,
        group="Objective",
    )
    noise_mean: float = setting(
        diffusion.P_MEAN,
        "Mean of the logarithm of the noise levels in training, for images of deviation 0.5; with captions 1 is added, since "
        "place and shape are decided at high noise. Only of EDM: flow matching draws its levels evenly in time.",
        low=-6.0,
        high=6.0,
        group="Objective",
    )
    noise_std: float = setting(
        diffusion.P_STD,
        "Standard deviation of the logarithm of the noise levels in training. Only of EDM.",
        low=0.05,
        high=5.0,
        group="Objective",
    )
    noise_shift: float = setting(0.0, "Added to noise_mean; absent in runs begun before captions shifted it.", group="", kept=True)


@dataclass(frozen=True)
class DenoisingSampler:
    """How samples are drawn."""

    steps: int = setting(18, "Noise levels on the way from noise to image.", low=1, high=1000, unit="steps", log=True, group="Sampler")
    sampler: str = setting(
        "heun",
        "How a step is made: along the ODE by Heun's method (two passes of the network) or Euler's (one), or with fresh noise (ancestral).",
        choices=SAMPLERS,
        group="Sampler",
    )
    guidance: float = setting(
        1.0,
        "How far samples are led to their class: 0 ignores it, 1 draws from p(x|y) as learned, more exaggerates; only with classes.",
        low=0.0,
        high=20.0,
        group="Sampler",
    )


class Denoiser(Method):
    """Base of diffusion models. A subclass supplies

        network(x [B, C, H, W], c_noise [B], y) -> [B, C, H, W]: F, in the precision around it

    and, where it knows conditions y, sets `conditional` and overrides `dropped`. y is None for no condition.
    """

    family = "Implicit density · iterative"
    largest_side = 128
    density = "bound"
    density_version = 2  # since the ODE is walked in equal steps of ln σ, and twice
    sampling = "iterative"
    headline = ("loss", "", False)
    units: ClassVar = {"loss": "per dimension"}
    valid_slice = 32
    SampleSettings = DenoisingSampler
    ODE_STEPS: ClassVar[int] = 16  # of the density: four evaluations each, and half as many in a coarser walk that tells the error
    ODE_PROBES: ClassVar[int] = 1  # random signs per evaluation

    def __init__(self, config: Any, data: DataSpec) -> None:
        super().__init__(config, data)
        self.mean: Tensor
        self.sigma_data: Tensor
        self.mean_image: Tensor
        self.register_buffer("mean", torch.empty(data.shape[0], 1, 1))  # of each channel, on [-1, 1]
        self.register_buffer("mean_image", torch.empty(data.shape))  # of each pixel, on [-1, 1]
        self.register_buffer("sigma_data", torch.empty(()))  # deviation of all numbers, on [-1, 1]

    @classmethod
    def settings_to_keep(cls, config: Any) -> dict[str, Any]:
        """How far new runs shift the mean of ln σ; those begun without a shift go on without."""
        return {"noise_shift": CAPTION_SHIFT} if config.conditioned_on == "caption" else {}

    def reset(self, generator: torch.Generator) -> None:
        """As if the images had mean grey and EDM's deviation."""
        torch.nn.init.zeros_(self.mean)
        torch.nn.init.zeros_(self.mean_image)
        torch.nn.init.constant_(self.sigma_data, diffusion.SIGMA_DATA)

    @torch.no_grad()
    def init_from_data(self, x: Tensor) -> None:
        """Measure the images' mean and deviation. x [N, C, H, W]."""
        on_scale = 2 * x - 1
        self.mean_image.copy_(on_scale.mean(0))
        self.mean.copy_(self.mean_image.mean((1, 2), keepdim=True))
        self.sigma_data.copy_((on_scale - self.mean).square().mean().sqrt().clamp(min=SMALLEST_DEVIATION))

    # -----------------------------------------------------------------------------------------------------------------
    # The network
    # -----------------------------------------------------------------------------------------------------------------

    def network(self, x: Tensor, c_noise: Tensor, y: Tensor | None) -> Tensor:
        """F(x; c_noise, y) [B, C, H, W] of scaled images [B, C, H, W], levels [B] and conditions."""
        raise NotImplementedError

    def dropped(self, y: Tensor | None, generator: torch.Generator | None) -> Tensor | None:
        """The conditions that a training step tells the network: some are left out, so that it learns p(x) too."""
        return None

    def denoise(self, x: Tensor, sigma: Tensor | float, y: Tensor | None = None) -> Tensor:
        """D(x; σ) = E[y | x] [B, C, H, W] of noisy images in units of the data's deviation; σ one number or [B].

        It is as precise as x but for the network, which keeps its own format.
        """
        each = torch.as_tensor(sigma, dtype=x.dtype, device=x.device).expand(len(x))
        c = diffusion.precondition(self.config.objective, each[:, None, None, None])
        return c.c_skip * x + c.c_out * self._raw(c, x, y).to(x.dtype)

    def _raw(self, c: diffusion.Preconditioning, x: Tensor, y: Tensor | None) -> Tensor:
        kind = self.sigma_data.dtype  # that of the weights: one knows no double, and all else is in double
        return self.network((c.c_in * x).to(kind), c.c_noise.flatten().to(kind), y)

    def guided(self, x: Tensor, sigma: float, y: Tensor | None, guidance: float) -> Tensor:
        """D(x; σ) + w (D(x; σ, y) - D(x; σ)): classifier-free guidance (Ho and Salimans 2022, as w = 1 + their w)."""
        if y is None or guidance == 1:
            return self.denoise(x, sigma, y)
        without = self.denoise(x, sigma, None)
        return without if guidance == 0 else without + guidance * (self.denoise(x, sigma, y) - without)

    def _from_images(self, x: Tensor, generator: Any) -> Tensor:
        """Images [B, C, H, W] of k/255, dequantized to (k + U[0, 1))/256, in units of the data's deviation."""
        u = (255 * x + likelihoods.uniform(x, generator)) / 256
        return (2 * u - 1 - self.mean) / self.sigma_data

    def _centre(self) -> Tensor:
        """What noise of the highest level lies around [C, H, W]: the mean image, in units of the data's deviation, float64."""
        return (self.mean_image - self.mean).double() / self.sigma_data.double()

    def _to_images(self, x: Tensor) -> Tensor:
        """The images k/255 whose bins x [B, C, H, W] lies in, the nearest where it is beyond black or white."""
        u = (x * self.sigma_data + self.mean + 1) / 2
        return ((256 * u).floor().clamp(0, 255) / 255).float()

    # -----------------------------------------------------------------------------------------------------------------
    # Training
    # -----------------------------------------------------------------------------------------------------------------

    def loss(self, x: Tensor, y: Tensor | None, context: StepContext) -> dict[str, Tensor]:
        """`loss`: squared error of the network's output, averaged over dimensions: EDM's weighted λ(σ) |D - y|², or flow matching's.

        Of held-out images also `loss σ 0.03` …: λ(σ) |D - y|² at that level: 1 where D only scales the noisy image, whatever the
        objective was. x [B, C, H, W], y int64 [B] or None -> scalars [].
        """
        objective, generator = self.config.objective, context.generator
        clean = self._from_images(x, generator)
        told = self.dropped(y, generator)
        start = likelihoods.uniform(clean.new_empty(()), generator)
        sigma = diffusion.training_levels(objective, diffusion.stratified(len(x), start), *self._noise())
        terms = {"loss": self._errors(clean, sigma, told, generator).mean()}
        if not self.training:
            terms |= self._losses_by_level(clean, told, generator)
        return terms

    def _noise(self) -> tuple[float, float]:
        """Mean and deviation of ln σ in training, for data of deviation 0.5.

        Noise hides what is large and told once, as a colour or a place in an image of many pixels, only at a high level (Hoogeboom et al.
        2023). What a caption says is decided there, so it is learned only as far as such levels are drawn.
        """
        return self.config.noise_mean + self.config.noise_shift, self.config.noise_std

    @property
    def levels(self) -> tuple[float, ...]:
        """σ at which the loss is told by itself."""
        return LEVELS + HIGH_LEVELS if self.condition == "caption" else LEVELS

    def _errors(self, clean: Tensor, sigma: Tensor, y: Tensor | None, generator: torch.Generator | None) -> Tensor:
        """|F - target|² per dimension [B] of images in units of their deviation [B, C, H, W] at levels σ [B], with noise drawn."""
        noise = standard_normal(clean, generator)
        sigma = sigma[:, None, None, None]
        c = diffusion.precondition(self.config.objective, sigma)
        raw = self._raw(c, clean + sigma * noise, y)
        with full(clean.device):
            return (raw.to(clean.dtype) - diffusion.target(self.config.objective, clean, noise, sigma)).square().flatten(1).mean(1)

    def _weighted(self, clean: Tensor, sigma: Tensor, y: Tensor | None, generator: torch.Generator | None) -> Tensor:
        """λ(σ) |D - y|² per dimension [B]: EDM's loss, whatever the objective was."""
        c = diffusion.precondition(self.config.objective, sigma)
        return diffusion.weight(sigma) * c.c_out.square() * self._errors(clean, sigma, y, generator)

    @torch.no_grad()
    def _losses_by_level(self, clean: Tensor, y: Tensor | None, generator: torch.Generator | None) -> dict[str, Tensor]:
        """The weighted loss at each of `levels`, each on its share of the images, so that all cost no more than one pass."""
        turn = torch.arange(max(len(clean), len(self.levels)), device=clean.device)
        rows, level = turn % len(clean), turn % len(self.levels)
        sigma = clean.new_tensor(self.levels)[level]
        errors = self._weighted(clean[rows], sigma, None if y is None else y[rows], generator)
        return {f"loss σ {value:g}": errors[level == i].mean() for i, value in enumerate(self.levels)}

    def headline_words(self, terms: dict[str, float]) -> str:
        """The loss, with the digits it takes to tell runs apart."""
        return f"loss {terms['loss']:.4f}"

    @property
    def pixel_levels(self) -> int:
        """How many values a channel of a pixel has."""
        return 256

    # -----------------------------------------------------------------------------------------------------------------
    # Samples
    # -----------------------------------------------------------------------------------------------------------------

    def sample(
        self, n: int, y: Tensor | None = None, temperature: float = 1.0, generator: torch.Generator | None = None
    ) -> Iterator[Frame]:
        """`sample_with` the defaults; the sampler has no temperature."""
        return self.sample_with(n, y, self.SampleSettings(), generator)

    def sample_with(
        self, n: int, y: Tensor | None, settings: DenoisingSampler, generator: torch.Generator | None = None
    ) -> Iterator[Frame]:
        """n images [n, C, H, W] as noise is taken away, a frame after each step; the last is the sample.

        A frame is the noisy image itself, clipped to [0, 1], not what the network makes of it. Levels are EDM's, from 0.004 deviations of
        the images up to 2.9 √dims of them (around the mean image), ρ = 7. Classes are drawn where none are given.

        Raises: BadSetting: guidance where there are no classes.
        """
        if settings.guidance != 1 and not self.condition:
            raise BadSetting(GUIDANCE)
        return self._frames(n, y, settings, generator)

    def _frames(self, n: int, y: Tensor | None, settings: DenoisingSampler, generator: torch.Generator | None) -> Iterator[Frame]:
        lowest, highest = diffusion.level_range(self.data.dims)
        own = likelihoods.sample_generators(n, generator)
        x = self._centre() + highest * standard_normal(self.mean.new_empty(n, *self.data.shape).double(), own)
        y = self._asked(n, y, own)
        denoise = partial(self._guided_in_full, y=y, guidance=settings.guidance)
        levels = diffusion.times(settings.steps, lowest, highest)
        walk = sampled(settings.sampler, denoise, x, levels, own)
        for step, x in enumerate(walk, 1):
            yield Frame(self._to_images(x), step, settings.steps, f"σ {levels[step]:.3g}")

    def _guided_in_full(self, x: Tensor, sigma: float, y: Tensor | None, guidance: float) -> Tensor:
        with full(x.device):
            return self.guided(x, sigma, y, guidance)

    def _asked(self, n: int, y: Tensor | None, generator: Sequence[torch.Generator]) -> Tensor | None:
        """The condition of each of n samples: what is given, or drawn where a class can be asked for and none is."""
        if not self.condition or (y is None and not self.conditional):
            return None
        if y is None:
            y = likelihoods.integers(len(self.data.classes), n, generator, self.mean.device)
        return y.to(self.mean.device)

    # -----------------------------------------------------------------------------------------------------------------
    # Density
    # -----------------------------------------------------------------------------------------------------------------

    def log_prob(self, x: Tensor, y: Tensor | None = None, generator: torch.Generator | None = None) -> Tensor:
        """A lower bound on log P(x) of 8-bit images in nats [B], by one draw of it; see `log_prob_steps`."""
        return self.flow_density(x, y, generator).log_p

    def flow_density(
        self, x: Tensor, y: Tensor | None = None, generator: torch.Generator | None = None, steps: int = 0, probes: int | None = None
    ) -> FlowDensity:
        """`log_prob_steps` with as many solver steps and probes as one likes; 0 steps and None probes are those of `log_prob`."""
        walk = self.log_prob_steps(x, y, generator, steps, probes)
        while True:
            try:
                next(walk)
            except StopIteration as end:
                return end.value

    def log_prob_steps(
        self, x: Tensor, y: Tensor | None = None, generator: torch.Generator | None = None, steps: int = 0, probes: int | None = None
    ) -> Generator[None, None, FlowDensity]:
        """A lower bound on log P(x) of 8-bit images [B, C, H, W] in nats, with a yield between passes of the network.

        log P(k) = log ∫ p((k + u)/256) du - dims log 256 ≥ E_u log p((k + u)/256) - dims log 256 (Theis et al. 2016): one u is drawn, so
        this is an estimate of the bound without bias. p is the density that the probability-flow ODE makes at the lowest level, exact but
        for the steps of its solver and, with probes, an estimated divergence (Song et al. 2021, section 4.3); both errors are told. 784
        pixels that vary by dequantization alone are scored within 0.6 nat, or 0.001 bits/dim, in `ODE_STEPS`. u and probes come from the
        image's own content and the generator's seed.

        Args:
            steps: of the solver; 0: `ODE_STEPS`. With twice as many its error is at least 16 times smaller, once they are small enough.
            probes: 0 for the exact divergence; None: `ODE_PROBES`.
        """
        own = likelihoods.image_generators(x, 0 if generator is None else generator.initial_seed())
        parts = []
        for start in range(0, len(x), SCORED_AT_ONCE):
            some = slice(start, start + SCORED_AT_ONCE)
            parts.append((yield from self._density(x[some], None if y is None else y[some], own[some], steps, probes)))
        if len(parts) == 1:
            return parts[0]
        return FlowDensity(*(torch.cat(values) for values in zip(*parts, strict=True)))

    def _density(
        self, x: Tensor, y: Tensor | None, own: Sequence[torch.Generator], steps: int, probes: int | None
    ) -> Generator[None, None, FlowDensity]:
        with torch.no_grad():
            clean, centre = self._from_images(x, own).double(), self._centre()
        with torch.inference_mode(False):  # gradients are taken of what knows y
            y = y.clone() if y is not None and self.condition else None
        lowest, highest = diffusion.level_range(self.data.dims)
        denoise: Denoise = partial(self._guided_in_full, y=y, guidance=1.0)
        count = self.ODE_PROBES if probes is None else probes
        found = yield from log_density(denoise, clean, centre, lowest, highest, steps or self.ODE_STEPS, count, own)
        per_bin = self.data.dims * (math.log(2 / 256) - self.sigma_data.double().log())  # a bin's width in units of the deviation
        return found._replace(log_p=found.log_p + per_bin)

    # -----------------------------------------------------------------------------------------------------------------
    # Looking at a checkpoint
    # -----------------------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def describe(self, x: Tensor, generator: torch.Generator) -> Description:
        """The weighted loss at each of `levels` on held-out images [N, C, H, W], and what it means."""
        x = x[torch.from_numpy(evenly(len(x), DESCRIBED)).to(x.device)]
        clean = self._from_images(x, generator)
        numbers, means, errors = [], [], []
        for level in self.levels:
            with full(x.device):
                each = self._weighted(clean, clean.new_full((len(x),), level), None, generator).double()
            numbers.append(
                Number(
                    f"loss at σ = {level:g}",
                    each.mean().item(),
                    "",
                    3,
                    f"λ(σ) |D(x; σ) − y|² per dimension, at noise of {level:g} deviations of the images; scaling the image alone gives 1.",
                )
            )
            if level in JUDGED_LEVELS:
                means.append(each.mean().item())
                errors.append(margin(each.std().item() / math.sqrt(len(each)), len(each)) if len(each) > 1 else math.inf)
        return Description(tuple(numbers), diagnose(sum(means) / len(means), max(errors)))


def diagnose(loss: float, reach: float) -> tuple[Diagnosis, ...]:
    """What the weighted loss means, averaged over the levels that say most; 1 is the best that scaling the noisy image reaches.

    - not shown to be below 1, but above 0.8: nothing is learned; bad. Not told from either on so few: nothing can be said.
    - above 0.7: it has begun; warning. Else good.

    Args:
        reach: half the width of the 95 % interval of the loss, over images.
    """
    if not loss + reach < 1:
        if loss - reach <= NOTHING:
            return (Diagnosis("muted", "The held-out images are too few to tell whether it takes away more noise than scaling would."),)
        return (Diagnosis("bad", "It takes away no more noise than scaling the image would: train longer, or lower learning_rate."),)
    explained = 100 * (1 - loss)
    if loss > 0.7:
        return (Diagnosis("warning", f"It finds {explained:.0f} % of what scaling cannot: it has just begun to learn. Train longer."),)
    return (Diagnosis("good", f"At middling noise it finds {explained:.0f} % of what scaling the noisy image cannot."),)
