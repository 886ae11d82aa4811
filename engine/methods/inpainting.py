"""Inpainting: what is hidden of a picture is told from the rest (Pathak et al. 2016, context encoder; its reconstruction loss alone).

The loss is the squared error of the hidden pixels only, the mean over their numbers, then over images.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from engine.bases.encoder import EncoderMethod, EncoderSettings, described, precise
from engine.common.intervals import margin
from engine.config import setting
from engine.messages import Diagnosis, Number
from engine.method import DataSpec, Description, StepContext, View
from engine.nets.images import ConvDecoder, Offset
from engine.precision import full
from engine.transforms.augmentation import Augmented, Draw, augment
from engine.transforms.pretext import MASKS, hidden_error, mask, without

LITTLE, MUCH = 0.05, 0.3  # shares of the hidden pixels' variance that are explained


@dataclass(frozen=True)
class Config(Augmented, EncoderSettings):
    mask: str = setting(
        "patches",
        "What is hidden: a block in the middle, four smaller blocks anywhere, or patches of a grid of 8×8, drawn anew each time.",
        choices=MASKS,
        group="Objective",
    )
    hidden: float = setting(0.5, "Share of the picture's area that is hidden.", low=0.02, high=0.9, group="Objective")
    decoder_width: int = setting(
        32, "Channels of the decoder that fills the holes; it is thrown away after the training.", low=4, high=128, unit="channels"
    )
    crop_least: float = setting(0.5, "Smallest share of the picture's area that a crop keeps.", low=0.01, high=1.0, group="Augmentation")
    jitter: float = setting(
        0.0,
        "Probability that brightness and contrast are changed, of pictures in colour also saturation and hue.",
        low=0.0,
        high=1.0,
        group="Augmentation",
    )
    grey: float = setting(0.0, "Probability that a picture loses its colours.", low=0.0, high=1.0, group="Augmentation", of_colour=True)
    batch_size: int = setting(64, "Images per optimizer step.", low=2, high=16384, unit="images", log=True, group="Training")
    learning_rate: float = setting(2e-3, "Step size of the optimizer at its highest.", low=1e-6, high=1.0, log=True, group="Training")
    ema: float = setting(
        0.0, "Decay of the averaged weights that are shown and scored; 0 shows the raw ones.", low=0.0, high=0.99999, group="Training"
    )


class Inpainting(EncoderMethod):
    """Context encoder: fills in what is hidden of a picture (Pathak et al. 2016)."""

    Config = Config
    title = "Inpainting"
    largest_side = 128
    family = "Self-supervision · pretext"
    source = (
        "Pathak, Krähenbühl, Donahue, Darrell and Efros, Context Encoders: Feature Learning by Inpainting, CVPR 2016 (arXiv 1604.07379)"
    )
    summary = (
        "Parts of a picture are hidden, and the network must paint what belongs there. From a whole that it cannot see it must conclude "
        "what the picture shows. Only the hidden part is judged; whatever is uncertain becomes a blurred mean."
    )
    formula = "min ‖m ⊙ (x − g(f((1 − m) ⊙ x)))‖² / ‖m‖²"
    headline = ("rmse", "", False)
    puzzle = "mask"

    def __init__(self, config: Config, data: DataSpec) -> None:
        super().__init__(config, data)
        self.decoder = ConvDecoder(data.shape, data.shape[0], self.network.features, config.decoder_width, 1)
        self.offset = Offset(data.shape)

    @torch.no_grad()
    def init_from_data(self, x: Tensor) -> None:
        """Start from the mean image. x [N, C, H, W]."""
        self.offset.value.copy_(x.mean(0))

    # -----------------------------------------------------------------------------------------------------------------
    # Training
    # -----------------------------------------------------------------------------------------------------------------

    def views(self, x: Tensor, generator: torch.Generator | None) -> tuple[View, ...]:
        """The picture with grey in place of what is hidden. x [B, C, H, W]."""
        seen, hidden, drawn = self._posed(x, generator)
        return (View("masked", without(seen, hidden), drawn),)

    def loss(self, x: Tensor, y: Tensor | None, context: StepContext) -> dict[str, Tensor]:
        """`loss`: squared error of what is hidden. `rmse`: its root, averaged over images, in parts of the range from black to white. x
        [B, C, H, W] -> scalars [].
        """
        seen, hidden, _ = self._posed(x, context.generator)
        painted = self._painted(without(seen, hidden))
        with full(x.device):
            error = hidden_error(painted, seen, hidden)  # [B]
            return {"loss": error.mean(), "rmse": error.detach().sqrt().mean()}

    def headline_words(self, terms: dict[str, float]) -> str:
        """The root mean square error as the list of runs shows it."""
        return f"off by {100 * terms['rmse']:.1f} %"

    def _posed(self, x: Tensor, generator: torch.Generator | None) -> tuple[Tensor, Tensor, Draw]:
        """Augmented pictures, what is hidden of them [B, 1, H, W], and what the augmentation did."""
        seen, drawn = augment(x, self.config.recipe(), generator)
        return seen, self.masked(seen, generator), drawn

    def _painted(self, x: Tensor) -> Tensor:
        """The whole picture that the network imagines behind a masked one [B, C, H, W]."""
        return self.offset(precise(self.decoder(self.features(x))))

    # -----------------------------------------------------------------------------------------------------------------
    # What it can do
    # -----------------------------------------------------------------------------------------------------------------

    def masked(self, x: Tensor, generator: torch.Generator | None) -> Tensor:
        """What the settings would hide of these pictures, bool [B, 1, H, W]."""
        return mask(self.config.mask, self.config.hidden, len(x), (x.shape[2], x.shape[3]), generator, x.device)

    def fill(self, x: Tensor, hidden: Tensor) -> Tensor:
        """The pictures with what is hidden, bool [B, 1, H, W], painted in; all else as it is."""
        with full(x.device):
            return torch.where(hidden, self._painted(without(x, hidden)).clamp(0, 1), x)

    @torch.no_grad()
    def describe(self, x: Tensor, generator: torch.Generator) -> Description:
        """How the features are spread, and how well holes in held-out images are filled, without augmentation. x [N, C, H, W]."""
        hidden = self.masked(x, generator)
        error = hidden_error(self.fill(x, hidden), x, hidden)
        base = hidden_error(others_mean(x), x, hidden)  # [N]
        guess = base.mean().item()
        explained = 1 - error.mean().item() / guess if guess > 0 else 0.0
        apart = error - (1 - explained) * base
        reach = margin(apart.std().item() / (guess * math.sqrt(len(x))), len(x)) if guess > 0 and len(x) > 1 else math.inf
        spread = described(self.encode(x))
        numbers = (
            Number("error", 100 * error.sqrt().mean().item(), "%", 1, "Root mean square of the hidden pixels, of the range of values."),
            Number("variance explained", 100 * explained, "%", 1, "Of the hidden pixels; painting the mean picture would explain none."),
        )
        return Description(numbers + spread.numbers, (diagnose(explained, reach), *spread.diagnosis))


def others_mean(x: Tensor) -> Tensor:
    """For each image the mean of the others [N, C, H, W]: what painting the mean picture costs is measured on images it does not know."""
    return (x.sum(0) - x) / max(1, len(x) - 1)


def diagnose(explained: float, reach: float) -> Diagnosis:
    """What the share of the hidden pixels' variance that is explained means.

    - shown to be below LITTLE: no better than the mean picture; bad. Below MUCH: warning. Else good.
    - neither shown to be below LITTLE nor above 0: nothing can be said of so few images.

    Args:
        reach: half the width of the 95 % interval of the share.
    """
    share = f"{100 * explained:.0f} % of what is hidden"
    if explained - reach <= 0 and explained + reach >= LITTLE:
        return Diagnosis("muted", f"It explains {share}; the held-out images are too few to say more.")
    if explained < 0:
        return Diagnosis("bad", "Painting the mean picture would be nearer to what is hidden: train longer, or hide less.")
    if explained + reach < LITTLE:
        return Diagnosis("bad", f"It explains {share}, hardly more than the mean picture would: train longer, or hide less.")
    if explained < MUCH:
        return Diagnosis("warning", f"It explains {share}: colours near the holes, little of the shapes. Train longer, or hide less.")
    return Diagnosis("good", f"It explains {share}: it concludes from what it sees to what it does not see.")
