"""What continuous densities of pixels share: uniform dequantization, the change of scale to 8-bit values, and the way back to images.

A density of real numbers is no probability of 256 grey values. So each value k becomes v = (k + u) / 256 with u ~ U[0, 1) (Uria et al.
2013, Theis et al. 2016), drawn from the image's own content. What is reported is log p(v) - D log 256: the density where a grey level
is one unit wide. Of the 8-bit image, whose probability is the integral over its bin, the mean of that over u is a lower bound (Theis et
al. 2016, eq. 5): bits per dimension compare with those of discrete models, and on average never flatter a continuous one. So they are
called a bound, as those of a diffusion model are.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import ClassVar

import torch
from torch import Tensor

from engine.losses import likelihoods
from engine.losses.likelihoods import Randomness
from engine.method import CannotLearn, Frame, Method, StepContext
from engine.precision import full

LEVELS = 256
MOST_HELD_OUT = 500  # training images on which settings are chosen: the standard error of their mean is then small beside what is chosen
HELD_OUT_SHARE = 0.1


class DequantizedDensity(Method):
    """Base of methods that give log p of dequantized pixels, a bound on that of images. A subclass says `log_density` and `draw`."""

    density = "bound"
    sampling = "direct"
    family = "Classical"
    judged_from = 0
    full_batch = True
    valid_slice = 32
    headline = ("bits_per_dim", "bits/dim", False)
    units: ClassVar = {"loss": "nat", "bits_per_dim": "bits/dim"}

    def log_density(self, v: Tensor) -> Tensor:
        """log p(v) in nats [B], of dequantized pixels v in [0, 1], float64 [B, D]."""
        raise NotImplementedError

    def draw(self, n: int, temperature: float, generator: torch.Generator | None) -> Tensor:
        """v ~ p, float64 [n, D]; deviations from what is likeliest are shrunk by `temperature`."""
        raise NotImplementedError

    @torch.no_grad()
    def log_prob(self, x: Tensor, y: Tensor | None = None, generator: torch.Generator | None = None) -> Tensor:
        """log p(v) - D log 256 in nats [B], float64, of images x [B, C, H, W] dequantized by noise from their own content.

        On average over the noise a lower bound on log P(x) of 8-bit images.
        """
        seed = 0 if generator is None else generator.initial_seed()
        return self._log_p(x, likelihoods.image_generators(x, seed))

    def _log_p(self, x: Tensor, generator: Randomness | None) -> Tensor:
        with full(x.device):
            return self.log_density(dequantized(x, generator)) - self.data.dims * math.log(LEVELS)

    @torch.no_grad()
    def loss(self, x: Tensor, y: Tensor | None, context: StepContext) -> dict[str, Tensor]:
        """`loss`: -log p in nats per image; `bits_per_dim`: the same per dimension. x [N, C, H, W] -> scalars []."""
        return self.terms(-self._log_p(x, context.generator).mean(), x)

    def terms(self, nats: Tensor, x: Tensor) -> dict[str, Tensor]:
        """The named terms of a mean -log p in nats [], as precise as x [...]."""
        return {"loss": nats.to(x), "bits_per_dim": (nats / (self.data.dims * math.log(2))).to(x)}

    @torch.no_grad()
    def sample(
        self, n: int, y: Tensor | None = None, temperature: float = 1.0, generator: torch.Generator | None = None
    ) -> Iterator[Frame]:
        """Images [n, C, H, W] in one frame: v ~ p, each in the bin of its grey level; what lies outside of black and white is clipped."""
        v = self.draw(n, temperature, generator)
        levels = (v * LEVELS).floor().clamp(0, LEVELS - 1)
        yield Frame((levels / (LEVELS - 1)).float().unflatten(1, self.data.shape), 1, 1)


def dequantized(x: Tensor, generator: Randomness | None) -> Tensor:
    """v = (k + u) / 256 in (0, 1), float64 [B, D], of images x = k / 255 [B, C, H, W]."""
    return (x.double() * (LEVELS - 1) + likelihoods.uniform(x, generator).double()).flatten(1) / LEVELS


def held_out_split(images: int, most: int, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
    """Places of training images to fit on (at most `most`) and of others to choose settings on, int64, drawn at random.

    Raises:
        CannotLearn: fewer than two images.
    """
    require_two(images)
    order = shuffled(images, generator)
    held_out = max(1, min(MOST_HELD_OUT, round(HELD_OUT_SHARE * images)))
    return order[held_out : held_out + most], order[:held_out]


def require_two(images: int) -> None:
    """Raises: CannotLearn: fewer than two images."""
    if images < 2:
        raise CannotLearn("A density is fitted on some images and its settings are chosen on others: add training images, at least two.")


def shuffled(count: int, generator: torch.Generator | None) -> Tensor:
    """The numbers below `count` in random order, int64 on the CPU."""
    device = torch.device("cpu") if generator is None else generator.device
    return torch.randperm(count, generator=generator, device=device).cpu()
