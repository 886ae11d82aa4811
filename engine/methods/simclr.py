"""SimCLR: two random views of an image must find each other among all views of the batch (Chen et al. 2020).

The loss is in nats, the mean over all 2N views. How many negatives a view has is decided by the batch size: 2N - 2.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from engine.bases.encoder import EncoderMethod, EncoderSettings, precise
from engine.config import setting
from engine.losses.contrastive import nt_xent
from engine.method import DataSpec, StepContext, View
from engine.nets.heads import Head
from engine.precision import full
from engine.transforms.augmentation import Augmented, augment


@dataclass(frozen=True)
class Config(Augmented, EncoderSettings):
    projection: int = setting(128, "Numbers in which views are compared.", low=2, high=2048, unit="dimensions")
    temperature: float = setting(
        0.2, "What cosines are divided by: the lower it is, the more the nearest negatives count.", low=0.01, high=10.0, log=True,
        group="Objective",
    )  # fmt: skip
    micro_batch_size: int = setting(
        0, "Images whose activations are in memory at a time, 0: the whole batch. Gradients stay those of the whole batch, exactly "
        "where there is no batch norm; batch norm then sees a piece at a time.", low=0, high=16384, unit="images", group="Training",
    )  # fmt: skip
    batch_size: int = setting(
        128, "Images per step: each view has twice as many, less two, negatives.", low=2, high=16384, unit="images",
        log=True, group="Training")  # fmt: skip
    learning_rate: float = setting(3e-3, "Step size of the optimizer at its highest.", low=1e-6, high=1.0, log=True, group="Training")
    ema: float = setting(
        0.0, "Decay of the averaged weights that are shown and scored; 0 shows the raw ones.", low=0.0, high=0.99999, group="Training"
    )


class SimCLR(EncoderMethod):
    """Contrastive learning of two views with NT-Xent (Chen et al. 2020)."""

    Config = Config
    title = "SimCLR"
    family = "Self-supervision · contrastive"
    source = "Chen, Kornblith, Norouzi and Hinton, A Simple Framework for Contrastive Learning, ICML 2020 (arXiv 2002.05709)"
    summary = (
        "Every image is seen twice, each time cropped, mirrored and changed in its light and colours at random. The network must tell "
        "which two views come from the same image, among all views of the batch. What survives the changes is what it learns."
    )
    formula = "min −log exp(s(z<sub>i</sub>, z<sub>j</sub>)/τ) / Σ<sub>k≠i</sub> exp(s(z<sub>i</sub>, z<sub>k</sub>)/τ)"
    headline = ("top1_retrieval", "", True)
    units: ClassVar = {"loss": "nat", "mi_lower_bound": "nat"}
    batch_splits = False
    forward_passes = 2.0

    def __init__(self, config: Config, data: DataSpec) -> None:
        super().__init__(config, data)
        self.valid_slice = config.batch_size  # type: ignore[misc]  # as many negatives as in training
        self.head = Head(self.network.features, self.network.features, config.projection)

    def views(self, x: Tensor, generator: torch.Generator | None) -> tuple[View, ...]:
        """Two views of every image, drawn independently. x [B, C, H, W]."""
        recipe = self.config.recipe()
        drawn = (augment(x, recipe, generator) for _ in range(2))
        return tuple(View(f"view {i}", *pair) for i, pair in enumerate(drawn, 1))

    def compared(self, x: Tensor, role: str = "") -> Tensor:
        """Unit vectors [B, d]: the projections whose cosines the loss compares."""
        with full(x.device):
            return F.normalize(self.head(self.network(x)), dim=1)

    def project(self, x: Tensor, context: StepContext) -> Tensor:
        """Projections of both views [B, 2, d]; both go through the network together, so batch norm sees them as one batch."""
        both = torch.cat([view.x for view in self.views(x, context.generator)])
        h = self.features(both)
        with full(x.device):
            return precise(self.head(h)).unflatten(0, (2, -1)).transpose(0, 1)

    def contrast(self, z: Tensor, context: StepContext) -> dict[str, Tensor]:
        """`loss`: NT-Xent. `top1_retrieval`: share of views whose partner is the most similar of all. `mi_lower_bound`: ln(2N - 1) -
        loss, a lower bound on the mutual information of the two views, which can show ln(2N - 1) at most (van den Oord et al. 2018).
        z [N, 2, d] -> scalars [].
        """
        z = context.gather(z)
        with full(z.device):
            loss, found = nt_xent(z, self.config.temperature)
        return {"loss": loss, "top1_retrieval": found, "mi_lower_bound": math.log(2 * len(z) - 1) - loss}

    def loss(self, x: Tensor, y: Tensor | None, context: StepContext) -> dict[str, Tensor]:
        """The terms of `contrast` for two views of every image x [B, C, H, W]; scalars []."""
        return self.contrast(self.project(x, context), context)
