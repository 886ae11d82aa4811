"""VICReg: two views get the same vector, while every dimension must vary and no two may say the same (Bardes, Ponce and LeCun 2022)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from engine.bases.encoder import EncoderMethod, EncoderSettings, precise
from engine.config import setting
from engine.losses.contrastive import top1_retrieval
from engine.losses.redundancy import covariance_penalty, invariance, variance_hinge
from engine.method import CannotLearn, DataSpec, StepContext, View
from engine.nets.heads import NormHead
from engine.precision import full
from engine.transforms.augmentation import Augmented, augment


@dataclass(frozen=True)
class Config(Augmented, EncoderSettings):
    expander: int = setting(512, "Width of the expander's three layers, in which views are compared.", low=4, high=8192, unit="dimensions")
    invariance: float = setting(25.0, "Weight of the squared difference of the two views.", low=0.0, high=1000.0, group="Objective")
    variance: float = setting(
        25.0, "Weight of the hinge that keeps every dimension's deviation at 1 or above.", low=0.0, high=1000.0, group="Objective"
    )
    covariance: float = setting(1.0, "Weight of the squared covariances of different dimensions.", low=0.0, high=1000.0, group="Objective")
    batch_size: int = setting(
        128, "Images per step, over which variances and covariances are taken.", low=2, high=16384, unit="images", log=True,
        group="Training",
    )  # fmt: skip
    learning_rate: float = setting(3e-3, "Step size of the optimizer at its highest.", low=1e-6, high=1.0, log=True, group="Training")
    ema: float = setting(
        0.0, "Decay of the averaged weights that are shown and scored; 0 shows the raw ones.", low=0.0, high=0.99999, group="Training"
    )


class VICReg(EncoderMethod):
    """Variance-invariance-covariance regularization (Bardes et al. 2022)."""

    Config = Config
    title = "VICReg"
    family = "Self-supervision · redundancy reduction"
    source = "Bardes, Ponce and LeCun, VICReg: Variance-Invariance-Covariance Regularization, ICLR 2022 (arXiv 2105.04906)"
    summary = (
        "Two views of an image shall get the same vector. So that not all images get the same one, each dimension must vary over the "
        "batch, and different dimensions must not vary together. No negatives, no second network."
    )
    formula = "min λ s(z, z′) + μ [v(z) + v(z′)] + ν [c(z) + c(z′)]"
    headline = ("top1_retrieval", "", True)
    batch_splits = False
    forward_passes = 2.0

    def __init__(self, config: Config, data: DataSpec) -> None:
        super().__init__(config, data)
        self.valid_slice = config.batch_size  # type: ignore[misc]  # variances over as many as in training
        self.head = NormHead(self.network.features, config.expander, config.expander, 3)

    def views(self, x: Tensor, generator: torch.Generator | None) -> tuple[View, ...]:
        """Two views of every image, drawn independently. x [B, C, H, W]."""
        recipe = self.config.recipe()
        return tuple(View(f"view {i}", *augment(x, recipe, generator)) for i in (1, 2))

    def compared(self, x: Tensor, role: str = "") -> Tensor:
        """Unit vectors [B, d] in the directions of the vectors that the loss compares."""
        with full(x.device):
            return F.normalize(self.head(self.network(x)), dim=1)

    def loss(self, x: Tensor, y: Tensor | None, context: StepContext) -> dict[str, Tensor]:
        """`loss`: the weighted sum of `invariance`, `variance` (the mean over the two views) and `covariance` (their sum), as in the
        released code. `top1_retrieval`: share of views whose partner is the nearest of the other views by cosine. x [B, C, H, W] ->
        scalars []. Raises: CannotLearn: a single image.
        """
        c = self.config
        heads = [self.features(view.x) for view in self.views(x, context.generator)]
        with full(x.device):
            a, b = (context.gather(precise(self.head(h))) for h in heads)
            if len(a) < 2:
                raise CannotLearn(
                    "VICReg needs two images or more in a batch and among the validation images: one has no variance; add images."
                )
            same, spread, mixed = (
                invariance(a, b),
                variance_hinge(a) + variance_hinge(b),
                covariance_penalty(a) + covariance_penalty(b),
            )
            return {
                "loss": c.invariance * same + c.variance * spread / 2 + c.covariance * mixed,
                "invariance": same,
                "variance": spread / 2,
                "covariance": mixed,
                "top1_retrieval": top1_retrieval(a, b),
            }
