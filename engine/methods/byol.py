"""BYOL: one network predicts what a slowly moving copy of it says of another view, without any negatives (Grill et al. 2020).

The loss is the squared distance of unit vectors, from 0 to 4, the mean over both directions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from engine.bases.encoder import EncoderMethod, EncoderSettings, precise
from engine.config import setting
from engine.losses.contrastive import follow, top1_retrieval
from engine.losses.distillation import along_cosine
from engine.losses.redundancy import cosine_regression
from engine.method import DataSpec, StepContext, View
from engine.nets.encoders import encoder
from engine.nets.heads import NormHead
from engine.precision import full
from engine.transforms.augmentation import Augmented, augment


@dataclass(frozen=True)
class Config(Augmented, EncoderSettings):
    hidden: int = setting(512, "Width of the hidden layer of projector and predictor.", low=4, high=8192, unit="units")
    projection: int = setting(128, "Numbers in which views are compared.", low=2, high=2048, unit="dimensions")
    momentum: float = setting(
        0.99,
        "Share that the target network keeps of itself at the first step; it rises to 1 along a cosine. Long trainings begin at 0.996.",
        low=0.0,
        high=1.0,
        group="Objective",
    )
    batch_size: int = setting(128, "Images per optimizer step.", low=2, high=16384, unit="images", log=True, group="Training")
    learning_rate: float = setting(3e-3, "Step size of the optimizer at its highest.", low=1e-6, high=1.0, log=True, group="Training")
    ema: float = setting(
        0.0, "Decay of the averaged weights that are shown and scored; 0 shows the raw ones.", low=0.0, high=0.99999, group="Training"
    )


class BYOL(EncoderMethod):
    """Bootstrap your own latent (Grill et al. 2020)."""

    Config = Config
    title = "BYOL"
    family = "Self-supervision · self-distillation"
    source = "Grill et al., Bootstrap Your Own Latent: A New Approach to Self-Supervised Learning, NeurIPS 2020 (arXiv 2006.07733)"
    summary = (
        "The online network looks at one view of an image and predicts what the target network, a moving average of it, says of another "
        "view. There are no negatives: the predictor and the slow target keep the answers from becoming all the same."
    )
    formula = "min ‖q(z<sub>θ</sub>)/‖·‖ − z′<sub>ξ</sub>/‖·‖‖², &nbsp; ξ ← m ξ + (1 − m) θ"
    headline = ("top1_retrieval", "", True)
    forward_passes = 4.0  # both views through the online network and the target

    def __init__(self, config: Config, data: DataSpec) -> None:
        super().__init__(config, data)
        self.valid_slice = config.batch_size  # type: ignore[misc]  # as many to choose from as in training
        self.head, self.target_head = (NormHead(self.network.features, config.hidden, config.projection) for _ in range(2))
        self.predictor = NormHead(config.projection, config.hidden, config.projection)
        self.target: Any = encoder(config.encoder, data.shape, config.width, config.blocks, config.norm)
        self.target.requires_grad_(False)
        self.target_head.requires_grad_(False)

    def on_train_start(self, images: int, generator: torch.Generator) -> None:
        """The target begins as the online network is."""
        self.target.load_state_dict(self.network.state_dict())
        self.target_head.load_state_dict(self.head.state_dict())

    def views(self, x: Tensor, generator: torch.Generator | None) -> tuple[View, ...]:
        """Two views of every image, drawn independently. x [B, C, H, W]."""
        recipe = self.config.recipe()
        return tuple(View(f"view {i}", *augment(x, recipe, generator), role="online and target") for i in (1, 2))

    def compared(self, x: Tensor, role: str = "") -> Tensor:
        """Unit vectors [B, d]: the target's with the role "target", else the online network's predictions."""
        with full(x.device):
            if role == "target":
                return F.normalize(self.target_head(self.target(x)), dim=1)
            return F.normalize(self.predictor(self.head(self.network(x))), dim=1)

    def loss(self, x: Tensor, y: Tensor | None, context: StepContext) -> dict[str, Tensor]:
        """`loss`: 2 - 2 cos of prediction and target, averaged over both directions. `top1_retrieval`: share of predictions that are
        nearest to their own image's target. x [B, C, H, W] -> scalars [].
        """
        pictures = [view.x for view in self.views(x, context.generator)]
        answers = [self._answers(picture) for picture in pictures]
        pairs = ((answers[0][0], answers[1][1]), (answers[1][0], answers[0][1]))
        with full(x.device):
            return {
                "loss": torch.stack([cosine_regression(asked, told) for asked, told in pairs]).mean(),
                "top1_retrieval": torch.stack([top1_retrieval(asked, told) for asked, told in pairs]).mean(),
            }

    def _answers(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The online network's prediction and the target's vector, each [B, d]: every view is a batch of its own to batch norm."""
        h = self.features(x)
        with torch.no_grad():
            h_target = precise(self.target(x))
        with full(x.device):
            prediction = self.predictor(self.head(h))
            with torch.no_grad():
                return precise(prediction), precise(self.target_head(h_target))

    @torch.no_grad()
    def after_step(self, context: StepContext) -> None:
        """The target follows, ever more slowly (Grill et al. 2020, section 3.3)."""
        momentum = along_cosine(self.config.momentum, 1.0, context.progress)
        follow(self.network, self.target, momentum)
        follow(self.head, self.target_head, momentum)
