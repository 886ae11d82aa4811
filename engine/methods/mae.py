"""Masked autoencoder: a transformer sees a quarter of an image's patches, and a small one paints the others (He et al. 2022).

The loss is the squared error of hidden patches only, by default after each patch was given mean 0 and deviation 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engine.bases.encoder import EncoderMethod, EncoderSettings, precise
from engine.config import WEIGHT_DECAY, setting
from engine.method import CannotLearn, DataSpec, StepContext, View
from engine.nets.transformer import NormalLinear
from engine.nets.vit import Learned, ViT, ViTBlock
from engine.precision import full
from engine.transforms.augmentation import Augmented, Draw, augment

TINY = 1e-6  # added to a patch's variance before its root
GREY = 0.5  # what stands for a hidden patch in pictures of what the network sees


@dataclass(frozen=True)
class Config(Augmented, EncoderSettings):
    encoder: str = setting("vit", "Always a transformer: only it can leave patches out.", choices=("vit",), group="")
    norm: str = setting("batch", "A transformer has layer norm.", group="")
    width: int = setting(48, "A quarter of the transformer's width.", low=4, high=256, unit="channels")
    hidden: float = setting(0.75, "Share of the patches that are hidden.", low=0.05, high=0.95, group="Objective")
    normalized: bool = setting(True, "Compare patches after each has mean 0 and deviation 1: contrast counts, brightness does not.",
        group="Objective")  # fmt: skip
    decoder_width: int = setting(64, "Width of the decoder, which is thrown away after the training.", low=4, high=512, unit="numbers")
    decoder_blocks: int = setting(1, "Blocks of the decoder.", low=1, high=8, unit="blocks")
    crop_least: float = setting(0.5, "Smallest share of the picture's area that a crop keeps.", low=0.01, high=1.0, group="Augmentation")
    jitter: float = setting(
        0.0,
        "Probability that brightness and contrast are changed, of pictures in colour also saturation and hue.",
        low=0.0,
        high=1.0,
        group="Augmentation",
    )
    grey: float = setting(0.0, "Probability that a picture loses its colours.", low=0.0, high=1.0, group="Augmentation", of_colour=True)
    batch_size: int = setting(128, "Images per optimizer step.", low=2, high=16384, unit="images", log=True, group="Training")
    learning_rate: float = setting(2e-3, "Step size of the optimizer at its highest.", low=1e-6, high=1.0, log=True, group="Training")
    weight_decay: float = setting(0.05, WEIGHT_DECAY, low=0.0, high=1.0, group="Training")
    ema: float = setting(
        0.0, "Decay of the averaged weights that are shown and scored; 0 shows the raw ones.", low=0.0, high=0.99999, group="Training"
    )


class MAE(EncoderMethod):
    """Masked autoencoder (He et al. 2022)."""

    Config = Config
    title = "MAE"
    family = "Self-supervision · pretext"
    source = "He, Chen, Xie, Li, Dollár and Girshick, Masked Autoencoders Are Scalable Vision Learners, CVPR 2022 (arXiv 2111.06377)"
    summary = (
        "Three quarters of an image's patches are left out. A transformer sees the rest only, and a small decoder must paint what is "
        "missing. The features of an image are the mean of its patches, all of which the encoder then sees."
    )
    formula = "min ‖m ⊙ (x − g(f(x<sub>visible</sub>)))‖² / ‖m‖²"
    headline = ("loss", "", False)
    network: ViT

    def __init__(self, config: Config, data: DataSpec) -> None:
        super().__init__(config, data)
        if min(data.shape[1:]) < 2 * self.network.patch:
            raise CannotLearn("A masked autoencoder needs images of several patches; choose larger ones.")
        self.forward_passes = 1 - config.hidden
        width, features = config.decoder_width, self.network.features
        self.narrow = NormalLinear(features, width)
        self.blank, self.places = Learned(1, 1, width), Learned(1, self.patches, width)
        heads = width // 32 if width % 32 == 0 else 1
        self.decoder = nn.ModuleList(ViTBlock(width, heads) for _ in range(config.decoder_blocks))
        self.norm, self.paint = nn.LayerNorm(width), NormalLinear(width, data.shape[0] * self.network.patch**2)

    @property
    def patches(self) -> int:
        """How many patches an image has."""
        return self.network.grid[0] * self.network.grid[1]

    # -- training ------------------------------------------------------------------------------------------------------

    def views(self, x: Tensor, generator: torch.Generator | None) -> tuple[View, ...]:
        """The picture with grey in place of the patches that are left out. x [B, C, H, W]."""
        seen, drawn, order = self._posed(x, generator)
        hidden = self._hidden(order)
        whole = F.interpolate(hidden.unflatten(1, self.network.grid)[:, None].float(), scale_factor=self.network.patch)
        return (View("visible patches", torch.where(whole[:, :, : x.shape[2], : x.shape[3]] > 0, GREY, seen), drawn),)

    def _posed(self, x: Tensor, generator: torch.Generator | None) -> tuple[Tensor, Draw, Tensor]:
        """Augmented pictures, what the augmentation did, and the patches [B, T] in a random order: the first are seen."""
        seen, drawn = augment(x, self.config.recipe(), generator)
        noise = torch.rand(len(x), self.patches, generator=generator, device=generator.device if generator else x.device)
        return seen, drawn, noise.to(x.device).argsort(1)

    @property
    def _visible(self) -> int:
        return min(self.patches - 1, max(1, round(self.patches * (1 - self.config.hidden))))

    def _hidden(self, order: Tensor) -> Tensor:
        """Which patches are hidden, bool [B, T]."""
        return torch.ones_like(order, dtype=torch.bool).scatter(1, order[:, : self._visible], False)

    def loss(self, x: Tensor, y: Tensor | None, context: StepContext) -> dict[str, Tensor]:
        """`loss`: squared error of hidden patches, the mean over their numbers and over images. x [B, C, H, W] -> scalars []."""
        seen, _, order = self._posed(x, context.generator)
        painted = self._painted(seen, order)
        with full(x.device):
            target, hidden = self._targets(seen), self._hidden(order)
            error = (precise(painted) - target).square().mean(2)  # [B, T]
            return {"loss": (error * hidden).sum() / hidden.sum()}

    def _targets(self, x: Tensor) -> Tensor:
        """The pixels of every patch [B, T, C p²], each patch with mean 0 and deviation 1 where the settings say so."""
        patch = self.network.patch
        padded = F.pad(x, (0, -x.shape[3] % patch, 0, -x.shape[2] % patch))
        pixels = F.unfold(padded, patch, stride=patch).mT
        if not self.config.normalized:
            return pixels
        return (pixels - pixels.mean(2, keepdim=True)) / (pixels.var(2, keepdim=True) + TINY).sqrt()

    def _painted(self, x: Tensor, order: Tensor) -> Tensor:
        """What the decoder says of every patch [B, T, C p²], from the visible ones only."""
        visible = order[:, : self._visible]
        tokens = self.network.begun(x)
        kept = tokens[:, 1:].gather(1, visible[:, :, None].expand(-1, -1, tokens.shape[2]))
        h = torch.cat([tokens[:, :1], kept], 1)
        for block in self.network.blocks:
            h = block(h)
        h = self.narrow(self.network.norm(h))
        blank = self.blank.value.to(h.dtype).expand(len(x), self.patches, -1)
        place = visible[:, :, None].expand(-1, -1, h.shape[2])
        full_row = blank.scatter(1, place, h[:, 1:]) + self.places.value.to(h.dtype)
        h = torch.cat([h[:, :1], full_row], 1)
        for block in self.decoder:
            h = block(h)
        return self.paint(self.norm(h))[:, 1:]

    # -- what it can do ------------------------------------------------------------------------------------------------

    def encode(self, x: Tensor) -> Tensor:
        """The mean over all patches after the last norm [B, F]; nothing is hidden, nothing is random."""
        with full(x.device):
            return self.network.tokens(x)[:, 1:].mean(1)

    def blocks(self, x: Tensor) -> dict[str, Tensor]:
        """The mean of the patches after each block, and the features: [B, F] each."""
        with full(x.device):
            return self.network.each(x) | {"features": self.encode(x)}

    def headline_words(self, terms: dict[str, float]) -> str:
        """The error as the list of runs shows it."""
        return f"error {terms['loss']:.3f}"
