"""VQ-VAE (van den Oord et al. 2017): an image as a small grid of codes from a codebook, and back. Tokens for a prior to learn.

Every number is in nats, summed over an image and averaged over images. Without a prior over the codes its density is a bound
with the uniform one: log p(x) ≥ log p(x|z(x)) - n log K for n codes out of K. `token_transformer` learns a better prior.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from engine.common.counting import number_of
from engine.config import Training, setting
from engine.losses import likelihoods
from engine.messages import Diagnosis, Number
from engine.method import DataSpec, Description, Method, StepContext
from engine.nets.images import Offset
from engine.nets.quantizer import GridDecoder, GridEncoder, Quantizer, code_grid, perplexity
from engine.precision import full

SMALLEST_LOG_SCALE = -7.0  # of a logistic on [-1, 1] (PixelCNN++)


@dataclass(frozen=True)
class Config(Training):
    codes: int = setting(512, "Vectors in the codebook: what a place of the grid can be.", low=2, high=8192, unit="codes", log=True)
    code_size: int = setting(32, "Numbers in each vector of the codebook.", low=1, high=256, unit="numbers", log=True)
    width: int = setting(64, "Channels of the networks on the grid.", low=4, high=512, unit="channels", log=True)
    blocks: int = setting(2, "Residual blocks of the encoder, and as many of the decoder.", low=0, high=16, unit="blocks")
    commitment: float = setting(
        0.25, "Weight β of the squared distance that keeps the encoder near its codes.", low=0.0, high=10.0, group="Objective"
    )
    decay: float = setting(
        0.99, "Memory of the codebook's moving averages; 0 is a step of k-means on every batch.", low=0.0, high=0.9999, group="Objective"
    )
    revive: float = setting(
        0.05,
        "A code used less than this share of the even use begins anew at an encoder output; 0 never.",
        low=0.0,
        high=0.5,
        group="Objective",
    )
    learning_rate: float = setting(2e-3, "Step size of the optimizer at its highest.", low=1e-6, high=1.0, log=True, group="Training")


class VQVAE(Method):
    """Codes are discrete, so there is no latent space to walk: nothing lies between two codes.

    codes(x) -> int64 [B, h, w];  from_codes(codes) -> images [B, C, H, W];  decode(encode(x)) -> the same images
    """

    Config = Config
    title = "VQ-VAE"
    largest_side = 128
    family = "Explicit density · bound"
    density = "bound"
    source = "van den Oord, Vinyals and Kavukcuoglu, Neural Discrete Representation Learning, NIPS 2017 (arXiv 1711.00937)"
    summary = (
        "The encoder turns an image into a small grid of codes, each chosen from one common codebook, and the decoder turns the grid back "
        "into the image. The codes are tokens: a token transformer can learn which grids are likely, and draw new ones. "
        "By itself it has no such prior: its bound on log p(x) takes all grids as equally likely, and nothing can be drawn from it."
    )
    formula = "log p(x) ≥ log p(x|z(x)) − n log K, &nbsp; z(x)<sub>i</sub> = argmin<sub>k</sub> |f(x)<sub>i</sub> − e<sub>k</sub>|²"
    headline = ("bound", "nat", True)
    units: ClassVar = {"loss": "nat", "reconstruction": "nat", "bound": "nat", "perplexity": "codes", "used_codes": "codes"}

    def __init__(self, config: Config, data: DataSpec) -> None:
        super().__init__(config, data)
        _, self.grid = code_grid(data.shape)
        maps = 2 * data.shape[0]  # mean and width of every pixel's logistic
        self.encoder = GridEncoder(data.shape, config.code_size, config.width, config.blocks)
        self.quantizer = Quantizer(config.codes, config.code_size, config.decay, config.revive)
        self.decoder = GridDecoder(data.shape, maps, config.code_size, config.width, config.blocks)
        self.offset = Offset((maps, *data.shape[1:]))

    @torch.no_grad()
    def init_from_data(self, x: Tensor) -> None:
        """Start from the mean image, its deviation, and a codebook of what the untrained encoder gives. x [N, C, H, W]."""
        mean, deviation = x.mean(0), x.std(0, correction=0).clamp(min=0.1)  # [C, H, W]
        unit = 2 * math.sqrt(3) / math.pi  # a logistic of scale s deviates by s π / √3; its grid is twice as long
        self.offset.value.copy_(torch.cat([2 * mean - 1, (unit * deviation).log()]))
        self.quantizer.start_at(self._vectors(x).flatten(0, 2))

    @property
    def uniform_nats(self) -> float:
        """n log K: what a grid costs when all are equally likely."""
        return math.prod(self.grid) * math.log(self.config.codes)

    # -----------------------------------------------------------------------------------------------------------------
    # The model
    # -----------------------------------------------------------------------------------------------------------------

    def _vectors(self, x: Tensor) -> Tensor:
        """z_e(x) [B, h, w, D]"""
        return _at_least_float32(self.encoder(x))

    def _mean_and_width(self, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """μ and log s of a logistic on [-1, 1] for every pixel [B, C, H, W]; the floor is soft, so its gradient never ends."""
        maps = self.offset(_at_least_float32(self.decoder(vectors)))
        with full(vectors.device):
            mean, raw = maps.chunk(2, dim=1)
            return mean, SMALLEST_LOG_SCALE + F.softplus(raw - SMALLEST_LOG_SCALE)

    def log_likelihood_map(self, x: Tensor, codes: Tensor) -> Tensor:
        """log p(x|z) in nats per pixel [B, H, W], channels summed, of images at given codes [B, h, w]."""
        with full(x.device):
            return likelihoods.discretized_logistic(x, *self._mean_and_width(self.quantizer.lookup(codes))).sum(1)

    # -----------------------------------------------------------------------------------------------------------------
    # Training
    # -----------------------------------------------------------------------------------------------------------------

    def loss(self, x: Tensor, y: Tensor | None, context: StepContext) -> dict[str, Tensor]:
        """log p(x|z) and the commitment; the codebook learns by itself (`after_step`).

        `loss` = reconstruction + β commitment. `reconstruction`: -log p(x|z). `commitment`: |z_e - sg[e]|², summed over the grid.
        `bound`: log p(x|z) - n log K. `perplexity` and `used_codes` of this batch.
        """
        z = self._vectors(x)
        with full(x.device):
            chosen = self.quantizer(z)
        if self.training and torch.is_grad_enabled():
            self.quantizer.observe(z, chosen.codes)
        mean, log_scale = self._mean_and_width(chosen.vectors)
        with full(x.device):
            reconstruction = -likelihoods.discretized_logistic(x, mean, log_scale).flatten(1).sum(1).mean()
            commitment = chosen.distance.flatten(1).sum(1).mean()
            return {
                "loss": reconstruction + self.config.commitment * commitment,
                "reconstruction": reconstruction,
                "commitment": commitment,
                "bound": -reconstruction - self.uniform_nats,
                "perplexity": perplexity(chosen.codes, self.config.codes).to(z.dtype),
                "used_codes": _used(chosen.codes, self.config.codes).to(z.dtype),
            }

    @property
    def pixel_levels(self) -> int:
        """How many values a channel of a pixel has."""
        return 256

    def forget_batch(self) -> None:
        """Drop what was noted of the last batch."""
        self.quantizer.forget()

    def after_step(self, context: StepContext) -> None:
        """Move the codebook."""
        self.quantizer.update(context.generator)

    def headline_words(self, terms: dict[str, float]) -> str:
        """The code length as the list of runs shows it."""
        return f"{likelihoods.bits_per_dim(-terms['bound'], self.data.dims):.2f} bits/dim"

    # -----------------------------------------------------------------------------------------------------------------
    # What it can do
    # -----------------------------------------------------------------------------------------------------------------

    def codes(self, x: Tensor) -> Tensor:
        """z(x): the code of every place, int64 [B, h, w]."""
        with full(x.device):
            return self.quantizer.nearest(self._vectors(x))

    def from_codes(self, codes: Tensor) -> Tensor:
        """The mean image of p(x|z) in [0, 1], of codes [B, h, w]."""
        return self.decode(self.quantizer.lookup(codes).flatten(1))

    def encode(self, x: Tensor) -> Tensor:
        """The chosen vectors of the codebook, place after place [B, h w D]."""
        return self.quantizer.lookup(self.codes(x)).flatten(1)

    def decode(self, z: Tensor) -> Tensor:
        """The mean image of p(x|z) in [0, 1], [B, C, H, W], of vectors [B, h w D] as `encode` gives them."""
        with full(z.device):
            return likelihoods.clipped_logistic_mean(*self._mean_and_width(z.unflatten(1, (*self.grid, -1))))

    @torch.no_grad()
    def log_prob(self, x: Tensor, y: Tensor | None = None, generator: torch.Generator | None = None) -> Tensor:
        """A lower bound on log p(x) in nats [B]: that of the one grid z(x), with a uniform prior over grids. Nothing is drawn."""
        return self.log_likelihood_map(x, self.codes(x)).flatten(1).sum(1) - self.uniform_nats

    # -----------------------------------------------------------------------------------------------------------------
    # Looking at a checkpoint
    # -----------------------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def describe(self, x: Tensor, generator: torch.Generator) -> Description:
        """Numbers of one checkpoint, and the rules of `diagnose` applied to them. x [N, C, H, W]."""
        codes, size = self.codes(x), self.config.codes
        nats = -self.log_likelihood_map(x, codes).flatten(1).sum(1).mean().item()
        error = (self.from_codes(codes) - x).square().mean().item()
        variance = (x - x.mean(0)).square().mean().item()
        used, spread = int(_used(codes, size)), perplexity(codes, size).item()
        rows, columns = self.grid
        numbers = [
            Number("reconstruction", nats, "nat", help="−log p(x|z), summed over pixels, averaged over images."),
            Number(
                "codes, all equally likely",
                self.uniform_nats,
                "nat",
                help=f"What {rows} × {columns} codes out of {size} cost without a prior.",
            ),
            Number("bound", -(nats + self.uniform_nats), "nat", help="Lower bound on log p(x) with a uniform prior over the codes."),
            Number("bound, bits/dim", likelihoods.bits_per_dim(nats + self.uniform_nats, self.data.dims), "bits/dim", 3),
            Number("used codes", used, f"of {size}", 0, f"That occur at all in {number_of(len(x), 'held-out image')}."),
            Number("perplexity", spread, f"of {size}", 1, "How many codes, used equally often, would be as varied as these."),
        ]
        if variance > 0:
            numbers.append(
                Number(
                    "variance explained",
                    100 * (1 - error / variance),
                    "%",
                    1,
                    "Of the held-out pixels, by the reconstructions; below zero: worse than the pixels’ own mean.",
                )
            )
        return Description(tuple(numbers), diagnose(used, expected_codes(size, codes.numel()), size, spread))


def diagnose(used: int, possible: float, size: int, spread: float) -> tuple[Diagnosis, ...]:
    """What the use of the codebook means, in words.

    - one code only: collapse; bad.
    - fewer than half of those that would occur if all were equally frequent: warning. Else good.
    """
    if used == 1:
        return (Diagnosis("bad", "The codebook has collapsed: every place of every image has the same code. Lower the learning rate."),)
    if used < possible / 2:
        said = (
            f"Only {used} of {size} codes occur, where about {possible:.0f} would if all were used alike. "
            "Train longer, raise revive, or take fewer codes."
        )
        return (Diagnosis("warning", said),)
    return (Diagnosis("good", f"{used} of {size} codes occur, as varied as {spread:.0f} equally frequent ones."),)


def expected_codes(size: int, drawn: int) -> float:
    """How many of `size` equally frequent codes occur among so many drawn ones, on average."""
    return size * (1 - (1 - 1 / size) ** drawn)


def _used(codes: Tensor, size: int) -> Tensor:
    return (torch.bincount(codes.flatten(), minlength=size) > 0).sum()


def _at_least_float32(x: Tensor) -> Tensor:
    return x.float() if x.dtype in (torch.bfloat16, torch.float16) else x
