"""Rotation: which of four quarter turns brought a picture into its position (Gidaris et al. 2018, RotNet).

The loss is in nats, the mean over all four turns of every image of the batch. Who knows nothing has ln 4.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from engine.bases.encoder import EncoderMethod, EncoderSettings, described, precise
from engine.common.counting import number_of
from engine.config import setting
from engine.messages import Number
from engine.method import DataSpec, Description, StepContext, View
from engine.nets.heads import Head
from engine.precision import full
from engine.transforms.augmentation import Augmented, augment
from engine.transforms.pretext import answered, quarter_turns, square

TURNS = ("as it is", "turned by 90°", "turned by 180°", "turned by 270°")


@dataclass(frozen=True)
class Config(Augmented, EncoderSettings):
    rotation: float = setting(0.0, "Always 0: by how much a picture is turned is the question.", group="")
    crop_least: float = setting(0.5, "Smallest share of the picture's area that a crop keeps.", low=0.01, high=1.0, group="Augmentation")
    jitter: float = setting(
        0.0,
        "Probability that brightness and contrast are changed, of pictures in colour also saturation and hue.",
        low=0.0,
        high=1.0,
        group="Augmentation",
    )
    grey: float = setting(0.0, "Probability that a picture loses its colours.", low=0.0, high=1.0, group="Augmentation", of_colour=True)
    batch_size: int = setting(
        64, "Images per step; the network sees each of them four times.", low=1, high=16384, unit="images", log=True, group="Training"
    )
    learning_rate: float = setting(2e-3, "Step size of the optimizer at its highest.", low=1e-6, high=1.0, log=True, group="Training")
    ema: float = setting(
        0.0, "Decay of the averaged weights that are shown and scored; 0 shows the raw ones.", low=0.0, high=0.99999, group="Training"
    )


class Rotation(EncoderMethod):
    """Predicts by which quarter turn a picture was turned (Gidaris et al. 2018)."""

    Config = Config
    title = "Rotation"
    family = "Self-supervision · pretext"
    source = (
        "Gidaris, Singh and Komodakis, Unsupervised Representation Learning by Predicting Image Rotations, ICLR 2018 (arXiv 1803.07728)"
    )
    summary = (
        "Every picture is shown upright, lying on either side and upside down, and the network must say which is which. "
        "To know which way is up, it must find out what things look like. Pictures that are not square are cropped to their middle."
    )
    formula = "min −¼ Σ<sub>k</sub> log p(k | x turned by k · 90°)"
    headline = ("accuracy", "", True)
    forward_passes = 4.0  # all quarter turns of an image
    units: ClassVar = {"loss": "nat"}
    puzzle = "rotation"

    def __init__(self, config: Config, data: DataSpec) -> None:
        super().__init__(config, data)
        self.head = Head(self.network.features, self.network.features, len(TURNS))

    # -----------------------------------------------------------------------------------------------------------------
    # Training
    # -----------------------------------------------------------------------------------------------------------------

    def views(self, x: Tensor, generator: torch.Generator | None) -> tuple[View, ...]:
        """The four turns of every image, which is cropped and mirrored first: so no edge of it tells the turn. x [B, C, H, W]."""
        seen, drawn = augment(x, self.config.recipe(), generator)
        return tuple(View(name, turned, drawn) for name, turned in zip(TURNS, quarter_turns(square(seen)), strict=True))

    def loss(self, x: Tensor, y: Tensor | None, context: StepContext) -> dict[str, Tensor]:
        """`loss`: cross-entropy of the true turn. `accuracy`: share of pictures whose turn is found. All four turns go through the
        network together, so batch norm knows no turn from another. x [B, C, H, W] -> scalars [].
        """
        logits = self._logits(torch.cat([view.x for view in self.views(x, context.generator)]))
        turn = torch.arange(len(TURNS), device=x.device).repeat_interleave(len(x))
        with full(x.device):
            right = (logits.argmax(1) == turn).to(logits.dtype).mean()
            return {"loss": F.cross_entropy(logits, turn), "accuracy": right}

    def _logits(self, x: Tensor) -> Tensor:  # [B, 4]
        h = self.features(x)
        with full(x.device):
            return precise(self.head(h))

    # -----------------------------------------------------------------------------------------------------------------
    # What it can do
    # -----------------------------------------------------------------------------------------------------------------

    def answers(self, x: Tensor) -> Tensor:
        """Probability of each turn [B, 4]: by 0°, 90°, 180°, 270° counter-clockwise."""
        return self._log_answers(x).exp().float()

    def _log_answers(self, x: Tensor) -> Tensor:
        with full(x.device):
            return self._logits(square(x)).double().log_softmax(1)

    @torch.no_grad()
    def describe(self, x: Tensor, generator: torch.Generator) -> Description:
        """How the features are spread, and how often all four turns of held-out images are told, without augmentation. x [N, C, H, W]."""
        log_p = torch.stack([self._log_answers(turned) for turned in quarter_turns(square(x))])  # [4, B, 4]
        turn = torch.arange(len(TURNS), device=x.device)[:, None]
        right = (log_p.argmax(2) == turn).double().mean(1)  # [4]
        spread = described(self.encode(x))
        asked = len(TURNS) * len(x)
        numbers = (
            Number("accuracy", 100 * right.mean().item(), "%", 1, f"Of {number_of(asked, 'turned picture')}; chance level 25 %."),
            Number("hardest turn", 100 * right.min().item(), "%", 1, f"Accuracy where the picture is {TURNS[int(right.argmin())]}."),
            Number(
                "cross-entropy",
                -log_p.gather(2, turn[..., None].expand(-1, len(x), 1)).mean().item(),
                "nat", 3, f"−log p(true turn) per picture; {math.log(len(TURNS)):.2f} knows nothing.",
            ),
        )  # fmt: skip
        word = answered("the turn", right.mean().item(), len(TURNS), len(x))  # the four turns of an image are no four pieces of evidence
        return Description(numbers + spread.numbers, (word, *spread.diagnosis))
