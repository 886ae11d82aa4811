"""Principal component analysis: the directions in which images differ most (Pearson 1901, Hotelling 1933), by scikit-learn.

One step does it all. Up to 1,024 pixel values the eigenvectors of the covariance are exact; beyond, they come from a randomized
singular value decomposition (Halko et al. 2011) with seven power iterations.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from engine.bases.classical import ClassicalMethod
from engine.common.importing import IMPORTING
from engine.config import setting
from engine.messages import Diagnosis, Number
from engine.method import CannotLearn, DataSpec, Description, Latents, Method, StepContext

EXACT = 1024  # pixel values of an image
SHOWN = 24  # components as pictures


@dataclass(frozen=True)
class Config(ClassicalMethod):
    components: int = setting(32, "Directions that are kept.", low=1, high=512, unit="components", log=True)


class PCA(Method):
    """Principal component analysis of pixels."""

    Config = Config
    title = "PCA"
    family = "Classical"
    judged_from = 0
    source = "Hotelling, Analysis of a Complex of Statistical Variables into Principal Components, J. Educ. Psychol. 24, 1933; scikit-learn"
    summary = (
        "The mean image, and the directions along which images differ from it, in order of how much. An image becomes its coordinates; "
        "going back loses only what lies in the directions left out. No linear code of this size loses less."
    )
    formula = "min |x − x̄ − W Wᵀ(x − x̄)|², &nbsp; WᵀW = I"
    headline = ("error", "", False)
    full_batch = True
    units: ClassVar = {}

    def __init__(self, config: Config, data: DataSpec) -> None:
        super().__init__(config, data)
        kept = min(config.components, data.dims)
        self.register_buffer("mean", torch.empty(data.dims))
        self.register_buffer("components", torch.empty(kept, data.dims))  # orthonormal rows, the widest first
        self.register_buffer("variance", torch.empty(kept))  # along each
        self.register_buffer("total", torch.empty(()))  # variance of all pixels together
        self.mean: Tensor
        self.components: Tensor
        self.variance: Tensor
        self.total: Tensor

    @property
    def latent_size(self) -> int:
        """D, the number of components."""
        return len(self.components)

    def reset(self, generator: torch.Generator) -> None:
        """The first pixels: any orthonormal rows will do before the images have been seen."""
        self.mean.fill_(0.5)
        torch.nn.init.eye_(self.components)
        self.variance.fill_(1.0)
        self.total.zero_()

    @property
    def finished(self) -> bool:
        """Whether the components were computed."""
        return bool(self.total > 0)

    def fit_step(self, x: Tensor, y: Tensor | None, context: StepContext) -> dict[str, Tensor]:
        """Compute all components from images x [N, C, H, W]; `loss`, `error`, `explained` as below, scalars []. Raises: CannotLearn:
        fewer than two images.
        """
        with IMPORTING:
            from sklearn.decomposition import PCA as Fit

        if len(x) < 2:
            raise CannotLearn("Components are directions in which images differ, so at least two training images are needed; add more.")
        rows = np.ascontiguousarray(x.flatten(1).cpu().numpy())
        kept = min(len(self.components), *rows.shape)
        solver = "covariance_eigh" if rows.shape[1] <= EXACT else "randomized" if kept < min(rows.shape) else "full"
        device = torch.device("cpu") if context.generator is None else context.generator.device
        seed = int(torch.randint(2**31 - 1, (), generator=context.generator, device=device))
        powers: Any = {"iterated_power": 7}  # which the library's annotations do not know
        fit = Fit(kept, svd_solver=solver, random_state=seed, **powers).fit(rows)
        self.mean.copy_(torch.from_numpy(fit.mean_))
        self.components[:kept] = torch.from_numpy(fit.components_).to(self.components)
        self.components[kept:] = 0  # fewer images than components: the others carry nothing
        self.variance[:kept] = torch.from_numpy(fit.explained_variance_).to(self.variance)
        self.variance[kept:] = 0
        self.total.fill_(max(float(rows.var(0, ddof=1).sum()), 1e-12))
        return self.loss(x, y, context)

    def loss(self, x: Tensor, y: Tensor | None, context: StepContext) -> dict[str, Tensor]:
        """`loss`: squared error of an image. `error`: the same per dimension. `explained`: share of these images' variance. x [N, C, H,
        W] -> scalars [].
        """
        rows = x.flatten(1)
        squared = (self._back(self.encode(x)) - rows).square().sum(1).mean()
        spread = (rows - rows.mean(0)).square().sum(1).mean()
        return {"loss": squared, "error": squared / self.data.dims, "explained": 1 - squared / spread.clamp(min=1e-12)}

    def headline_words(self, terms: dict[str, float]) -> str:
        """The explained variance as the list of runs shows it."""
        return f"{100 * terms['explained']:.1f} % explained"

    def encode(self, x: Tensor) -> Tensor:
        """Coordinates along the components [B, D]."""
        return (x.flatten(1) - self.mean.to(x.dtype)) @ self.components.to(x.dtype).T

    def posterior(self, x: Tensor) -> Latents:
        """A point: σ = 0. x [B, C, H, W] -> z [B, D]."""
        z = self.encode(x)
        return Latents(z, torch.zeros_like(z))

    def _back(self, z: Tensor) -> Tensor:
        return self.mean.to(z.dtype) + z @ self.components.to(z.dtype)

    def decode(self, z: Tensor) -> Tensor:
        """z [B, D] -> images [B, C, H, W] in 0..1."""
        return self._back(z).clamp(0, 1).unflatten(1, self.data.shape)

    @torch.no_grad()
    def describe(self, x: Tensor, generator: torch.Generator) -> Description:
        """Sliders are in units of the components' deviations; the pictures are the mean and the components around grey. x [N, C, H, W]."""
        terms = self.loss(x, None, StepContext())
        numbers = [
            Number(
                "squared error", terms["error"].item(), "per dimension", 5, "Mean of (x − reconstruction)², of held-out pixels from 0 to 1."
            ),
            Number("variance explained", 100 * terms["explained"].item(), "%", 1, "Of these held-out images."),
        ]
        deviation = self.variance.clamp(min=0).sqrt()
        if not self.finished:
            words = Diagnosis("warning", "It has not begun: the first step finds all components.")
            return Description(tuple(numbers), (words,), scale=deviation, centre=torch.zeros_like(deviation))
        share = (self.variance / self.total).cpu()
        enough = int((share.cumsum(0) < 0.9).sum()) + 1
        reached = share.sum().item()
        numbers.append(Number("first component", 100 * share[0].item(), "%", 1, "Share of the training images' variance along it."))
        words = f"The first {enough} components carry 90 % of the variance." if reached >= 0.9 else (
            f"All {len(share)} components together carry {100 * reached:.0f} % of the variance; keep more to lose less."
        )  # fmt: skip
        largest = self.components[:SHOWN].abs().amax(1, keepdim=True).clamp(min=1e-12)
        pictures = torch.cat([self.mean[None].clamp(0, 1), 0.5 + 0.5 * self.components[:SHOWN] / largest]).unflatten(1, self.data.shape)
        captions = (
            "mean image",
            *(f"component {i}: {100 * part:.1f} % of the variance" for i, part in enumerate(share[:SHOWN].tolist(), 1)),
        )
        return Description(
            tuple(numbers),
            (Diagnosis("good" if reached >= 0.9 else "warning", words),),
            scale=deviation.clamp(min=1e-6),
            centre=torch.zeros_like(deviation),
            pictures=pictures,
            captions=captions,
        )
