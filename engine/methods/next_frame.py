"""The next frame of a clip given the last four, p(frame | four before it): a gated PixelCNN whose gates a small convolutional network of
the frames before shifts at every place (van den Oord et al. 2016, section 2.3: conditioning on maps)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from engine.common.conditions import PAST_FRAMES
from engine.common.pixels import to_float
from engine.config import setting
from engine.losses import likelihoods
from engine.messages import Diagnosis, Number
from engine.method import DataSpec, Description
from engine.methods.pixel_cnn import Config as PixelConfig
from engine.methods.pixel_cnn import PixelCNN
from engine.nets.frame_encoder import FrameEncoder

MISSING = -1.0  # in place of every value of a frame that is not told
HALF = 0.5  # of the code length: a saving below has just begun


@dataclass(frozen=True)
class Config(PixelConfig):
    condition = "frames"

    conditional: bool = setting(True, "Learn p(frame | frames before).", group="")
    width: int = setting(32, "Channels of either stack, and of the maps of the frames before.", low=4, high=512, unit="channels", log=True)
    layers: int = setting(3, "Gated layers, each of both stacks.", low=1, high=64, unit="layers")
    cell_layers: int = setting(
        0, "Layers that look at the rows above in cells of 4×4 pixels: far sight for little time; 0 leaves them out.", low=0, high=16,
        unit="layers",
    )  # fmt: skip
    encoder_layers: int = setting(3, "Layers of the network that looks at the frames before.", low=1, high=32, unit="layers")
    frame_dropout: float = setting(
        0.1, "Share of the training images that are not told the frames before, from which p(x) is learned.", low=0.01, high=0.9
    )
    batch_size: int = setting(8, "Images per optimizer step.", low=1, high=16384, unit="images", log=True, group="Training")


class NextFrame(PixelCNN):
    """A PixelCNN of the next frame that is told the four before it."""

    Config = Config
    title = "Next frame"
    family = "Explicit density · exact"
    conditional = False  # on frames, not on classes
    past_frames = PAST_FRAMES
    source = (
        "van den Oord et al., Conditional Image Generation with PixelCNN Decoders, 2016 (arXiv 1606.05328); of films: Kalchbrenner et al., "
        "Video Pixel Networks, 2017 (arXiv 1610.00527)"
    )
    summary = (
        "A small convolutional network looks at the last four frames of a clip and tells a PixelCNN what they say about every place of "
        "the next frame. The next frame is then drawn pixel by pixel, with its exact probability; drawn frames follow each other as a "
        "film. Now and then it is not told the frames before, so that it knows p(x) of a single frame too."
    )
    formula = (
        "log p(x<sub>t</sub> | x<sub>t−4</sub> … x<sub>t−1</sub>) = "
        "Σ<sub>i</sub> log p(x<sub>t,i</sub> | x<sub>t,1</sub> … x<sub>t,i−1</sub>, x<sub>t−4</sub> … x<sub>t−1</sub>)"
    )

    def __init__(self, config: Config, data: DataSpec) -> None:
        super().__init__(config, data, maps=FrameEncoder.maps_of(data.shape[0], config.width))
        self.encoder = FrameEncoder(self.past_frames, self.channels, config.width, config.encoder_layers)

    def dropped(self, y: Tensor, generator: torch.Generator | None) -> Tensor:
        """The frames before [B, 4, C, H, W] in [0, 1], and MISSING throughout for some of the images."""
        gone = likelihoods.uniform(torch.empty(len(y), device=y.device), generator) < self.config.frame_dropout
        return torch.where(gone[:, None, None, None, None], MISSING, _values(y))

    def conditioning(self, y: Tensor | None) -> Tensor | None:
        """Maps [B, H, W, M] of the frames before, uint8 or in [0, 1], [B, 4, C, H, W]."""
        return None if y is None else self.encoder(_values(y).to(self.encoder.first.weight.dtype))

    @torch.no_grad()
    def describe(self, x: Tensor, generator: torch.Generator, y: Tensor | None = None) -> Description:
        """Code lengths of some held-out frames x [N, C, H, W], with and without the frames before them, y uint8 [N, 4, C, H, W]."""
        if y is None:
            return super().describe(x, generator)
        alone = -self.log_prob(x).double()
        given = -self.log_prob(x, y).double()
        bits, before = (self.bits_per_dim(nats.mean().item()) for nats in (given, alone))
        error = self.bits_per_dim(((alone - given).std() / math.sqrt(len(x))).item()) if len(x) > 1 else math.inf
        numbers = (
            Number("−log p(x | four before)", given.mean().item(), "nat", 1, "Exact, per frame: the chain rule over all its pixels."),
            Number("−log p(x | four before), bits/dim", bits, "bits/dim", 3, f"Code length of {len(x)} held-out frames."),
            Number("−log p(x), bits/dim", before, "bits/dim", 3, "Code length of the same frames where nothing before them is told."),
        )
        return Description(numbers, _diagnose(bits, before, error))


def _values(y: Tensor) -> Tensor:
    """Frames uint8 or in [0, 1] -> in [0, 1]."""
    return to_float(y) if y.dtype == torch.uint8 else y


def _diagnose(given: float, alone: float, error: float) -> tuple[Diagnosis, ...]:
    """What the frames before save of the code length, both in bits/dim; `error`: of the difference."""
    saved = alone - given
    if saved <= 2 * error:
        return (Diagnosis("bad", "The frames before do not shorten the code: the motion is not used yet. Train longer."),)
    share = 100 * saved / alone
    if saved < HALF * alone:
        return (
            Diagnosis("warning", f"The frames before shorten the code by only {share:.0f} %: the motion is not known well. Train longer."),
        )
    return (Diagnosis("good", f"Knowing the four frames before, the code of the next is {share:.0f} % shorter than alone."),)
