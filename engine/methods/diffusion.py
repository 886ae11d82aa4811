"""Diffusion model as EDM (Karras et al. 2022), or flow matching (Lipman et al. 2023): a U-Net that takes noise away.

Its loss is per dimension and has no unit; its density is that of the probability-flow ODE (Song et al. 2021), in nats.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from engine.bases.denoising import Denoiser, DenoisingSettings
from engine.config import setting
from engine.losses import likelihoods
from engine.method import CannotLearn, DataSpec
from engine.nets.unet import UNet


@dataclass(frozen=True)
class Config(DenoisingSettings):
    width: int = setting(
        48, "Channels at the finest resolution; coarser ones have twice as many.", low=4, high=512, unit="channels", log=True
    )
    blocks: int = setting(1, "Residual blocks at each resolution, on the way down and again on the way up.", low=1, high=8, unit="blocks")
    conditional: bool = setting(False, "Learn p(x|y), so that a class can be asked for, and p(x) beside it.")
    label_dropout: float = setting(
        0.1, "Share of the images whose class is not told, from which p(x) is learned; guidance needs it.", low=0.01, high=0.9
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
        self.conditional = config.conditional
        if self.conditional and not data.classes:
            raise CannotLearn("These data have no classes to condition on; set conditional to false or choose a data set with classes.")
        self.net = UNet(channels, channels, (height, width), config.width, config.blocks)
        self.classes = nn.Embedding(len(data.classes) + 1, self.net.embedding_size) if self.conditional else None  # the last: none is told

    def network(self, x: Tensor, c_noise: Tensor, y: Tensor | None) -> Tensor:
        """The U-Net on scaled images [B, C, H, W], levels [B] and classes int64 [B], K for none, or None for none at all."""
        if self.classes is None:
            return self.net(x, c_noise)
        y = torch.full((len(x),), len(self.data.classes), device=x.device) if y is None else y
        return self.net(x, c_noise, self.classes(y))

    def dropped(self, y: Tensor | None, generator: torch.Generator | None) -> Tensor | None:
        """The classes int64 [B], with K = “none” in the place of some."""
        if self.classes is None or y is None:
            return None
        gone = likelihoods.uniform(self.mean.new_empty(len(y)), generator) < self.config.label_dropout
        return torch.where(gone, len(self.data.classes), y)
