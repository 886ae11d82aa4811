"""Plain autoencoder (Hinton and Salakhutdinov 2006): the VAE's networks without its noise, prior and likelihood."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from engine.config import Training, setting
from engine.messages import Diagnosis, Number
from engine.method import DataSpec, Description, Latents, Method, StepContext
from engine.nets import images as nets
from engine.precision import full


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


class Autoencoder(Method):
    """Autoencoder with squared error."""

    Config = Config
    title = "Autoencoder"
    largest_side = 128
    family = "Explicit density · bound"
    judged_from = 0
    source = "Hinton and Salakhutdinov, Reducing the Dimensionality of Data with Neural Networks, Science 313, 2006"
    summary = (
        "The encoder turns an image into a point, the decoder turns the point back into the image, and the squared error is made small. "
        "Nothing says where the points should lie: there is no prior to draw from and no likelihood. "
        "It stands beside the VAE to show what the prior is for."
    )
    formula = "min |x − g(f(x))|²"
    headline = ("error", "", False)

    def __init__(self, config: Config, data: DataSpec) -> None:
        super().__init__(config, data)
        self.encoder = nets.encoder(config.network, data.shape, config.latent, config.width, config.encoder_blocks)
        self.decoder = nets.decoder(config.network, data.shape, data.shape[0], config.latent, config.width, config.decoder_blocks)
        self.offset = nets.Offset(data.shape)

    @property
    def latent_size(self) -> int:
        """D, the size of the code."""
        return self.config.latent

    @torch.no_grad()
    def init_from_data(self, x: Tensor) -> None:
        """Start from the mean image. x [N, C, H, W]."""
        self.offset.value.copy_(x.mean(0))

    def headline_words(self, terms: dict[str, float]) -> str:
        """The squared error per dimension as the list of runs shows it."""
        return f"error {terms['error']:.4f}"

    def loss(self, x: Tensor, y: Tensor | None, context: StepContext) -> dict[str, Tensor]:
        """`loss`: squared error summed over an image, averaged over images. `error`: the same per dimension. x [B, C, H, W] -> scalars
        [].
        """
        reconstruction = self.decoder(self.encoder(x))
        with full(x.device):
            squared = (self.offset(reconstruction) - x).square().flatten(1).sum(1).mean()
            return {"loss": squared, "error": squared / self.data.dims}

    def encode(self, x: Tensor) -> Tensor:
        """Images [B, C, H, W] -> codes [B, D]."""
        with full(x.device):
            return self.encoder(x)  # [B, D]

    def posterior(self, x: Tensor) -> Latents:
        """A point: σ = 0. x [B, C, H, W] -> z [B, D]."""
        z = self.encode(x)
        return Latents(z, torch.zeros_like(z))

    def decode(self, z: Tensor) -> Tensor:
        """Codes [B, D] -> images [B, C, H, W] in 0..1."""
        with full(z.device):
            return self.offset(self.decoder(z)).clamp(0, 1)  # [B, C, H, W]

    @torch.no_grad()
    def describe(self, x: Tensor, generator: torch.Generator) -> Description:
        """Sliders are measured in the codes' own mean and deviation over these images: there is no prior to measure with. x [N, C, H,
        W].
        """
        z = self.encode(x)
        error = (self.decode(z) - x).square().mean().item()
        variance = (x - x.mean(0)).square().mean().item()
        numbers = [Number("squared error", error, "per dimension", 5, "Mean of (x − reconstruction)², pixels from 0 to 1.")]
        if variance > 0:
            explained = 100 * (1 - error / variance)
            numbers.append(
                Number(
                    "variance explained",
                    explained,
                    "%",
                    1,
                    "Of the held-out pixels, by the reconstructions; below zero: worse than the pixels’ own mean.",
                )
            )
        deviation = z.std(0, correction=0)
        spread = deviation.max() / deviation.clamp(min=1e-12).min()
        numbers.append(Number("widest / narrowest code", spread.item(), "", 1, "Ratio of the codes' deviations: a VAE's would be near 1."))
        words = (
            "It has no prior: nothing made the codes fill a known shape, so a random z mostly falls where no image was ever encoded, "
            "and decoding it is not sampling. Sliders are in units of the codes' own deviation; the VAE is the same network with a prior."
        )
        return Description(tuple(numbers), (Diagnosis("warning", words),), None, deviation, z.mean(0))
