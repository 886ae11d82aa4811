"""EMP-SSL: many small crops of an image get the same vector, and the vectors of a batch fill their space (Tong et al. 2023).

With many crops of every image at once, few epochs are enough. The vectors' volume is their coding rate, in nats.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from engine.bases.encoder import EncoderMethod, EncoderSettings, precise
from engine.config import setting
from engine.losses.contrastive import top1_retrieval
from engine.losses.redundancy import total_coding_rate
from engine.method import DataSpec, StepContext, View
from engine.nets.heads import NormHead
from engine.precision import full
from engine.transforms.augmentation import Augmented, augment


@dataclass(frozen=True)
class Config(Augmented, EncoderSettings):
    patches: int = setting(8, "Crops of every image; the paper takes 20 to 200.", low=2, high=200, unit="crops", group="Objective")
    projection: int = setting(256, "Numbers in which crops are compared.", low=2, high=2048, unit="dimensions")
    invariance: float = setting(
        200.0, "Weight of the cosine of every crop with the mean of its image's crops.", low=0.0, high=10_000.0, group="Objective"
    )
    distortion: float = setting(
        0.2, "ε²: up to what squared error vectors are coded.", low=1e-4, high=10.0, log=True, label="distortion ε²", group="Objective"
    )
    crop_most: float = setting(0.5, "Largest share of the picture's area that a crop keeps.", low=0.01, high=1.0, group="Augmentation")
    batch_size: int = setting(64, "Images per optimizer step; each gives all its crops.", low=2, high=16384, unit="images", log=True,
        group="Training")  # fmt: skip
    learning_rate: float = setting(3e-3, "Step size of the optimizer at its highest.", low=1e-6, high=1.0, log=True, group="Training")
    ema: float = setting(
        0.0, "Decay of the averaged weights that are shown and scored; 0 shows the raw ones.", low=0.0, high=0.99999, group="Training"
    )


class EMPSSL(EncoderMethod):
    """Extreme multi-patch self-supervised learning (Tong et al. 2023)."""

    Config = Config
    title = "EMP-SSL"
    family = "Self-supervision · redundancy reduction"
    source = "Tong, Chen, Ma and LeCun, EMP-SSL: Towards Self-Supervised Learning in One Training Epoch, 2023 (arXiv 2304.03977)"
    summary = (
        "Many small crops are taken of every image at once. All crops of an image shall point the same way, and the vectors of each crop "
        "number over the batch shall fill as many directions as they can (the highest coding rate), which keeps them from collapsing."
    )
    formula = (
        "max (1/n) Σ<sub>i</sub> R(Z<sub>i</sub>) + (λ/n) Σ<sub>i</sub> cos(Z<sub>i</sub>, Z̄), &nbsp; R(Z) = ½ log det(I + d/(Bε²) Z Zᵀ)"
    )
    headline = ("top1_retrieval", "", True)
    units: ClassVar = {"coding rate": "nat"}
    batch_splits = False

    def __init__(self, config: Config, data: DataSpec) -> None:
        super().__init__(config, data)
        self.forward_passes = float(config.patches)
        self.valid_slice = config.batch_size  # type: ignore[misc]  # a coding rate of as many as in training
        self.head = NormHead(self.network.features, 2 * config.projection, config.projection)

    def views(self, x: Tensor, generator: torch.Generator | None) -> tuple[View, ...]:
        """So many crops of every image, drawn independently, each enlarged to the image's size. x [B, C, H, W]."""
        recipe = self.config.recipe(crop=(min(self.config.crop_least, self.config.crop_most), self.config.crop_most))
        return tuple(View(f"crop {i}", *augment(x, recipe, generator)) for i in range(1, self.config.patches + 1))

    def compared(self, x: Tensor, role: str = "") -> Tensor:
        """Unit vectors [B, d]: the projections that the loss compares."""
        with full(x.device):
            return F.normalize(self.head(self.network(x)), dim=1)

    def loss(self, x: Tensor, y: Tensor | None, context: StepContext) -> dict[str, Tensor]:
        """`loss`: -`coding rate` - λ `similarity`. `coding rate`: of the vectors of one crop of all images, the mean over crops.
        `similarity`: cosine of a crop with the mean of its image's. `top1_retrieval`: share of first crops whose image's second crop is
        the nearest. x [B, C, H, W] -> scalars [].
        """
        drawn = torch.cat([view.x for view in self.views(x, context.generator)])  # all crops are one batch to batch norm
        h = self.features(drawn)
        with full(x.device):
            z = F.normalize(precise(self.head(h)), dim=1).unflatten(0, (self.config.patches, -1))  # [n, B, d]
            z = context.gather(z.transpose(0, 1)).transpose(0, 1)
            mean = z.mean(0, keepdim=True)
            similarity = F.cosine_similarity(z, mean, dim=2).mean()
            rate = torch.stack([total_coding_rate(crops, self.config.distortion) for crops in z]).mean()
            return {
                "loss": -rate - self.config.invariance * similarity,
                "coding rate": rate,
                "similarity": similarity,
                "top1_retrieval": top1_retrieval(z[0], z[1]),
            }
