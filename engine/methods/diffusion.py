"""Diffusion model as EDM (Karras et al. 2022), or flow matching (Lipman et al. 2023): a U-Net that takes noise away.

Its loss is per dimension and has no unit; its density is that of the probability-flow ODE (Song et al. 2021), in nats.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engine.bases.denoising import Denoiser, DenoisingSettings
from engine.common.conditions import MOST_WORDS
from engine.config import condition_setting, setting
from engine.losses import likelihoods
from engine.method import DataSpec
from engine.nets.text_encoder import TextEncoder, fewer_words
from engine.nets.unet import UNet

MAPS = 4  # that a caption draws beside the image
COARSE = 4  # places per side of each


@dataclass(frozen=True)
class Config(DenoisingSettings):
    width: int = setting(
        48, "Channels at the finest resolution; coarser ones have twice as many.", low=4, high=512, unit="channels", log=True
    )
    blocks: int = setting(1, "Residual blocks at each resolution, on the way down and again on the way up.", low=1, high=8, unit="blocks")
    conditional: bool = setting(False, "Learn p(x|y), so that a class can be asked for, and p(x) beside it.")
    condition: str = condition_setting()
    label_dropout: float = setting(
        0.1,
        "Share of the images whose class or caption is not told, from which p(x) is learned; guidance needs it.",
        low=0.01,
        high=0.9,
        needs="conditional",
    )
    batch_size: int = setting(32, "Images per optimizer step.", low=1, high=16384, unit="images", log=True, group="Training")
    learning_rate: float = setting(2e-3, "Step size of the optimizer at its highest.", low=1e-6, high=1.0, log=True, group="Training")
    clip: float = setting(1.0, "Longest gradient; longer ones are scaled down, 0 switches it off.", low=0.0, high=1e6, group="Training")


class Diffusion(Denoiser):
    """Denoising diffusion with EDM's preconditioning, or flow matching (Karras et al. 2022; Lipman et al. 2023)."""

    Config = Config
    title = "Diffusion"
    conditional = True
    source = (
        "Karras et al., Elucidating the Design Space of Diffusion-Based Generative Models, 2022 (arXiv 2206.00364); "
        "Lipman et al., Flow Matching for Generative Modeling, 2023 (arXiv 2210.02747)"
    )
    summary = (
        "The network learns to take noise away from images, at every level of noise. "
        "An image is drawn by starting at pure noise and taking away a little at a time, along an ordinary differential equation. "
        "Followed the other way, from an image to noise, the same equation gives the image's likelihood."
    )
    formula = "min E<sub>σ, y, ε</sub> λ(σ) ∥D(y + σε; σ) − y∥² &nbsp; dx/dσ = (x − D(x; σ))/σ &nbsp; d log p(x)/dσ = −tr ∂(dx/dσ)/∂x"

    def __init__(self, config: Config, data: DataSpec) -> None:
        super().__init__(config, data)
        channels, height, width = data.shape
        self.conditional = self.condition == "class"
        self.require_conditions()
        captioned = self.condition == "caption"
        self.net = UNet(channels + MAPS * captioned, channels, (height, width), config.width, config.blocks)
        self.captions = CaptionCondition(len(data.words), self.net.embedding_size, (height, width)) if captioned else None
        self.classes = nn.Embedding(len(data.classes) + 1, self.net.embedding_size) if self.conditional else None  # the last: none is told

    def network(self, x: Tensor, c_noise: Tensor, y: Tensor | None) -> Tensor:
        """The U-Net on scaled images [B, C, H, W], levels [B] and conditions: classes int64 [B], K for none, or captions int64 [B, L];
        None for none at all.
        """
        if self.captions is not None:
            told = self.told(y, len(x), x.device)
            assert told is not None
            vector, maps = self.captions(told)
            return self.net(torch.cat([x, maps.to(x.dtype)], 1), c_noise, vector)
        if self.classes is None:
            return self.net(x, c_noise)
        y = torch.full((len(x),), len(self.data.classes), device=x.device) if y is None else y
        return self.net(x, c_noise, self.classes(y))

    def dropped(self, y: Tensor | None, generator: torch.Generator | None) -> Tensor | None:
        """The classes int64 [B], with K = “none” in the place of some; captions int64 [B, L] with fewer words, or none."""
        if self.captions is not None:
            return fewer_words(y, self.config.label_dropout, generator) if y is not None and self.training else y
        if self.classes is None or y is None:
            return None
        gone = likelihoods.uniform(self.mean.new_empty(len(y)), generator) < self.config.label_dropout
        return torch.where(gone, len(self.data.classes), y)


class CaptionCondition(nn.Module):
    """Captions int64 [B, L] -> a vector [B, E] beside the noise level's, and coarse maps [B, 4, H, W] beside the image.

    The vector alone speaks to all places alike; the maps say where.
    """

    def __init__(self, words: int, size: int, shape: tuple[int, int]) -> None:
        super().__init__()
        self.shape = shape
        self.encoder = TextEncoder(words, MOST_WORDS, size)
        self.maps = nn.Linear(size, MAPS * COARSE**2)

    def forward(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """y int64 [B, L] -> [B, E], [B, 4, H, W]."""
        vector = self.encoder(y)
        coarse = self.maps(F.silu(vector)).unflatten(1, (MAPS, COARSE, COARSE))
        return vector, F.interpolate(coarse, size=self.shape, mode="bilinear", align_corners=False)
