"""Energy-based model (Du and Mordatch 2019): p(x) = exp(-E(x)) / Z with a network for E and samples by Langevin dynamics.

The chains of a step go on from a replay buffer (persistent contrastive divergence, Tieleman 2008), a share of them anew from noise, by
x ← x - s ∇E(x) + n ξ with ξ ~ N(0, I), kept within [0, 1]. That is Langevin dynamics of exp(-E/T) with T = n² / 2s. As in the paper and
in JEM (Grathwohl et al. 2020) n is far smaller than √(2s): the chains are those of a cold distribution, T ≪ 1, too short to forget
their start, and their gradients are clipped. So E ranks images, but exp(-E) is not what is sampled and Z is not known: no bits.

Chains are moved by `after_step`, so a step's loss compares the data with chains that have followed the weights it is computed with.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from engine.common.counting import number_of
from engine.common.intervals import difference_margin, share_interval
from engine.config import Training, setting
from engine.losses import likelihoods
from engine.losses.energy import contrastive_energy
from engine.losses.energy_distance import energy_distance
from engine.losses.likelihoods import Randomness
from engine.messages import Diagnosis, Number
from engine.method import DataSpec, Description, Diverged, Frame, Method, ParameterGroup, StepContext
from engine.nets.energy import EnergyNet, pixel_gradient
from engine.precision import full

BOUND = 1e3  # energies beyond it count as diverged
PATIENCE = 50  # steps in a row with most chains diverged that end the training
NOISE_IMAGES = 128  # of uniform noise, that held-out images are compared with
NO_DISTANCE = 0.5  # between mean energies of images and of noise, in deviations of an energy: what is shown to be less is none


@dataclass(frozen=True)
class Config(Training):
    width: int = setting(32, "Channels at full resolution; smaller maps have up to 4 times as many.", low=4, high=256, log=True)
    langevin_steps: int = setting(20, "Langevin steps of the chains after each training step.", low=1, high=1000, log=True, group="Sampler")
    langevin_size: float = setting(10.0, "Step size s: how far a chain follows −∇E.", low=1e-3, high=1e3, log=True, group="Sampler")
    langevin_noise: float = setting(0.01, "Standard deviation n of the noise of a Langevin step.", low=0.0, high=1.0, group="Sampler")
    langevin_clip: float = setting(0.03, "Largest |∂E/∂pixel| that a chain follows; 0: any.", low=0.0, high=1e3, group="Sampler")
    replay: int = setting(4096, "Chains that are kept from step to step.", low=16, high=100_000, unit="chains", log=True, group="Sampler")
    restarts: float = setting(0.05, "Share of a step's chains that begin anew from noise.", low=0.0, high=1.0, group="Sampler")
    alpha: float = setting(0.1, "Weight of E², which keeps energies near zero.", low=0.0, high=100.0, group="Objective")
    input_noise: float = setting(
        0.01, "Noise on training images, so that the network cannot tell them by exact pixels.", low=0.0, high=1.0, group="Objective"
    )
    batch_size: int = setting(
        64, "Images per optimizer step, and as many chains.", low=1, high=16384, unit="images", log=True, group="Training"
    )
    learning_rate: float = setting(3e-4, "Step size of the optimizer at its highest.", low=1e-6, high=1.0, log=True, group="Training")
    clip: float = setting(1.0, "Longest gradient; longer ones are scaled down, 0 switches it off.", low=0.0, high=1e6, group="Training")


@dataclass(frozen=True)
class LangevinSettings:
    """Of sampling; sizes are multiples of the training's."""

    steps: int = setting(200, "Langevin steps from noise to the sample.", low=1, high=10_000, unit="steps", log=True, group="Sampling")
    step_size: float = setting(1.0, "Step size, as a multiple of the training's.", low=0.0, high=100.0, unit="× training", group="Sampling")
    noise: float = setting(
        1.0,
        "Noise of a step, as a multiple of the training's; 0 descends the energy.",
        low=0.0,
        high=100.0,
        unit="× training",
        group="Sampling",
    )


class EnergyBased(Method):
    """Energy-based model trained by Langevin sampling with a replay buffer."""

    Config = Config
    SampleSettings = LangevinSettings
    title = "Energy-based model"
    family = "Implicit density · iterative"
    sampling = "iterative"
    source = "Du and Mordatch, Implicit Generation and Modeling with Energy-Based Models, NeurIPS 2019 (arXiv 1903.08689)"
    summary = (
        "A network gives every image an energy: low for likely ones. Training lowers it on images of the data and raises it where "
        "Langevin chains, which roll down the energy with a little noise, come to. The density exp(−E(x))/Z is explicit, but Z is not "
        "known, so energies rank images and have no bits. The noise is smaller than the step size asks for: the chains sample a "
        "colder distribution than exp(−E)."
    )
    formula = "p(x) = exp(−E(x)) / Z, &nbsp; x ← x − s ∇E(x) + n ξ, &nbsp; ξ ~ N(0, I)"
    headline = ("energy_distance", "", False)
    units: ClassVar = {"energy_difference": "nat", "energy_data": "nat"}
    batch_splits = False
    training_only_buffers = ("replay", "chains", "trouble")
    valid_slice = 128

    def __init__(self, config: Config, data: DataSpec) -> None:
        super().__init__(config, data)
        self.network = EnergyNet(data.shape, config.width)
        # Filled when training starts; where there is none, nothing has been sampled yet.
        self.register_buffer("replay", torch.zeros(0, *data.shape, device="cpu"), persistent=False)  # [R, C, H, W]
        self.register_buffer("chains", torch.zeros(0, *data.shape, device="cpu"), persistent=False)  # of this step [B, C, H, W]
        self.register_buffer("trouble", torch.zeros(2, device="cpu"), persistent=False)  # share of chains restarted, such steps in a row
        self.replay: Tensor
        self.chains: Tensor
        self.trouble: Tensor

    def reset(self, generator: torch.Generator) -> None:
        """The chains are begun when the training starts."""
        self.trouble.zero_()

    def on_train_start(self, images: int, generator: torch.Generator) -> None:
        """All chains begin as uniform noise."""
        weight = self.network.out.weight
        drawn = torch.rand(max(self.config.replay, self.config.batch_size), *self.data.shape, generator=generator)
        self.replay = drawn.to(weight)
        self.chains = self.replay[: self.config.batch_size].clone()
        self.trouble = torch.zeros(2, device=weight.device)

    def optimizers(self) -> dict[str, ParameterGroup]:
        """An optimizer without momentum (β1 = 0), as in the paper: the samples that a gradient belongs to move from step to step."""
        return {"all": ParameterGroup(tuple(self.parameters()), betas=(0.0, 0.999))}

    # -- training --------------------------------------------------------------------------------------------------------

    def energy(self, x: Tensor) -> Tensor:
        """E(x) = -log p(x) - log Z in nats [B] of images [B, C, H, W]; Z is not known, and temperature 1 is assumed."""
        with full(x.device):
            return self.network(x.to(self.network.out.weight.dtype))

    def loss(self, x: Tensor, y: Tensor | None, context: StepContext) -> dict[str, Tensor]:
        """`loss`: E(data) - E(chains) + α E². `energy_distance`: that of pixels between data and chains. `restarted`: share of the
        chains that diverged and began anew; where most did, only the E² term is learned from. x [B, C, H, W] -> scalars [].
        """
        chains = self._chains(len(x), context.generator).to(x)
        noise = likelihoods.normal(x.flatten(1), 1, context.generator).view_as(x)
        data = (x + self.config.input_noise * noise).clamp(0, 1) if self.training else x
        with full(x.device):
            # float: under autocast the network's own products are in bf16
            energies = self.network(torch.cat([data, chains])).to(torch.promote_types(x.dtype, torch.float32))
            difference, magnitude = contrastive_energy(energies[: len(x)], energies[len(x) :], self.config.alpha)
            skipped = self.trouble[1] > 0
            return {
                "loss": torch.where(skipped, torch.zeros_like(difference), difference) + magnitude,
                "energy_difference": difference,
                "energy_data": energies[: len(x)].mean(),
                "energy_distance": energy_distance(x, chains).to(difference),
                "restarted": self.trouble[0].to(difference, copy=True),
            }

    def _chains(self, n: int, generator: torch.Generator | None) -> Tensor:
        """Chains to compare n images with [at most n, C, H, W]: in training those of this step, else any; noise before there are any.

        None is in it twice: the distance of a set that holds an image twice is too small within, so that of two sets is too large.
        """
        device = self.network.out.weight.device if generator is None else generator.device
        chains = self.chains if self.training else self.replay
        if not len(chains):
            return torch.rand(n, *self.data.shape, generator=generator, device=device)
        return chains[torch.randperm(len(chains), generator=generator, device=device)[:n].to(chains.device)]

    def after_step(self, context: StepContext) -> None:
        """Move the next step's chains along the new weights.

        Raises: Diverged: most chains have diverged for many steps.
        """
        if not len(self.replay):
            return
        c, g = self.config, context.generator
        device = self.replay.device if g is None else g.device
        count = len(self.chains)
        which = torch.randperm(len(self.replay), generator=g, device=device)[:count].to(self.replay.device)
        fresh = torch.rand(self.chains.shape, generator=g, device=device).to(self.chains)
        anew = torch.rand(count, generator=g, device=device).to(self.chains) < c.restarts
        x = torch.where(anew[:, None, None, None], fresh, self.replay[which])
        bad = torch.zeros(count, dtype=torch.bool, device=x.device)
        for _ in range(c.langevin_steps):
            x, lost = self._moved(x, fresh, c.langevin_size, c.langevin_noise, g)
            bad |= lost
        with torch.no_grad():
            bad |= ~(self.energy(x).abs() <= BOUND)
            x = torch.where(bad[:, None, None, None], fresh, x)
            self.chains.copy_(x)
            self.replay[which] = x
            share = bad.float().mean()
            self.trouble.copy_(torch.stack([share, torch.where(share > 0.5, self.trouble[1] + 1, torch.zeros_like(share))]))
        if context.step % PATIENCE == 0 and float(self.trouble[1]) >= PATIENCE:
            raise Diverged(
                f"The energies diverged: beyond ±{BOUND:g} for {number_of(int(self.trouble[1]), 'step')}. The last good checkpoint is "
                f"kept; start a new run with a lower learning_rate (this one has {c.learning_rate:g}), a larger "
                "alpha or smaller langevin_size."
            )

    def _moved(self, x: Tensor, fresh: Tensor, size: float, noise: float, g: Randomness | None) -> tuple[Tensor, Tensor]:
        """One Langevin step of chains [n, C, H, W]; those without a finite gradient begin anew. Also which did, bool [n]."""
        _, gradient = pixel_gradient(self.network, x)
        lost = ~gradient.flatten(1).isfinite().all(1)
        xi = likelihoods.normal(x.flatten(1), 1, g).view_as(x)
        moved = langevin_step(x, gradient, xi, size, noise, self.config.langevin_clip)
        return torch.where(lost[:, None, None, None], fresh, moved), lost

    def headline_words(self, terms: dict[str, float]) -> str:
        """How far the chains' images are from held-out ones, as the list of runs shows it."""
        return f"energy distance {terms['energy_distance']:.3f}"

    # -- what it can do --------------------------------------------------------------------------------------------------

    def encode(self, x: Tensor) -> Tensor:
        """Features [B, F] before the last layer, of images [B, C, H, W]."""
        with full(x.device):
            return self.network.encode(x)

    def sample(
        self, n: int, y: Tensor | None = None, temperature: float = 1.0, generator: torch.Generator | None = None
    ) -> Iterator[Frame]:
        """As `sample_with` the defaults; `temperature` multiplies T, so the noise by its root."""
        return self._sampled(n, LangevinSettings(noise=temperature**0.5), generator)

    def sample_with(
        self, n: int, y: Tensor | None, settings: LangevinSettings, generator: torch.Generator | None = None
    ) -> Iterator[Frame]:
        """Langevin chains from uniform noise, a frame after every step: images [n, C, H, W]. A seed's noise is the same whatever is set."""
        return self._sampled(n, settings, generator)

    def _sampled(self, n: int, settings: LangevinSettings, generator: torch.Generator | None) -> Iterator[Frame]:
        own = likelihoods.sample_generators(n, generator)
        x = fresh = likelihoods.uniform(self.network.out.weight.new_empty(n, *self.data.shape), own)
        size, noise = settings.step_size * self.config.langevin_size, settings.noise * self.config.langevin_noise
        for step in range(1, settings.steps + 1):
            with full(x.device):
                x, _ = self._moved(x, fresh, size, noise, own)
                energy = self._energies(x)
            yield Frame(x, step, settings.steps, energy=energy)

    @torch.no_grad()
    def _energies(self, x: Tensor) -> Tensor:
        """E(x) [n] of images [n, C, H, W]."""
        return self.network(x)

    @torch.no_grad()
    def describe(self, x: Tensor, generator: torch.Generator) -> Description:
        """Energies of held-out images x [N, C, H, W], of uniform noise and of images with shuffled pixels; in words, what that means."""
        noise = torch.rand(NOISE_IMAGES, *self.data.shape, generator=generator, device=generator.device).to(x)
        order = torch.randperm(x[0].numel(), generator=generator, device=generator.device).to(x.device)
        shuffled = x.flatten(1)[:, order].view_as(x)
        data, of_noise, of_shuffled = (self.energy(images) for images in (x, noise, shuffled))
        c = self.config
        cold = c.langevin_noise**2 / (2 * c.langevin_size)
        above = (of_shuffled[None] > data[:, None]).to(data).mean().item()
        numbers = (
            Number("energy", data.mean().item(), "nat, unnormalized", 3, "Mean of held-out images. Only differences mean something."),
            Number("of noise", of_noise.mean().item(), "nat, unnormalized", 3, "Mean of images of uniform noise."),
            Number(
                "of shuffled pixels",
                of_shuffled.mean().item(),
                "nat, unnormalized",
                3,
                "Mean of held-out images with pixels in another order.",
            ),
            Number("shuffled above held-out", 100 * above, "%", 1, "How often a shuffled image has the higher energy: AUROC."),
            Number("temperature of the chains", cold, "", 7, "T = n² / 2s: the chains sample about exp(−E/T), not exp(−E)."),
        )
        return Description(numbers, (diagnose(EnergySpread.of(data), EnergySpread.of(of_noise), above),))


def langevin_step(x: Tensor, gradient: Tensor, xi: Tensor, size: float, noise: float, clip: float) -> Tensor:
    """x - s ∇E + n ξ within [0, 1], of images, gradients and standard normal numbers [n, C, H, W]; `clip` bounds each |∂E/∂x|, 0: none."""
    if clip:
        gradient = gradient.clamp(-clip, clip)
    return (x - size * gradient + noise * xi).clamp(0, 1)


@dataclass(frozen=True)
class EnergySpread:
    """Mean and deviation (ddof 1) of the energies of so many images; the deviation of a single one is NaN."""

    mean: float
    deviation: float
    count: int

    @classmethod
    def of(cls, energies: Tensor) -> EnergySpread:
        """Of energies [N]."""
        energies = energies.double()
        return cls(energies.mean().item(), energies.std().item() if len(energies) > 1 else math.nan, len(energies))


def diagnose(data: EnergySpread, noise: EnergySpread, above: float) -> Diagnosis:
    """What energies of held-out images and of noise mean, and the share of pairs in which a shuffled image is above a held-out one.

    - energies beyond half of BOUND run away; bad.
    - noise is shown to be at most half a deviation above held-out images: nothing is learned; bad.
    - shuffled pixels are shown to be above in fewer than 90 % of the pairs: warning.
    - noise is shown to be above, and shuffled pixels are in at least 90 % of the pairs: good. Else so few images do not tell.
    """
    if not (abs(data.mean) <= BOUND / 2 and abs(noise.mean) <= BOUND / 2):
        return Diagnosis("bad", "The energies run away: lower the learning rate or raise alpha.")
    apart, spread = noise.mean - data.mean, math.sqrt((data.deviation**2 + noise.deviation**2) / 2)
    reach = difference_margin(data.deviation, data.count, noise.deviation, noise.count)
    low, high = share_interval(above * data.count, data.count)  # no narrower than that of the pairs (Birnbaum and Klose 1957)
    if apart - reach <= 0 and apart + reach <= NO_DISTANCE * spread:
        return Diagnosis("bad", "Noise has no higher energy than held-out images: nothing was learned yet, or the chains no longer move.")
    few = number_of(data.count, "held-out image is", "held-out images are")
    if apart - reach <= 0 or (low <= 0.5 and high >= 0.9):
        return Diagnosis("muted", f"{few} too few to tell energies from those of noise or of shuffled pixels.")
    if high < 0.9:
        words = "Held-out images have lower energy than noise, but often not than the same pixels in another order: train longer."
        return Diagnosis("warning", words)
    if above < 0.9:
        return Diagnosis(
            "muted",
            f"Held-out images have lower energy than noise; {few} too few to tell whether also than their own pixels in another order.",
        )
    return Diagnosis("good", "Held-out images have lower energy than noise and than their own pixels in another order.")
