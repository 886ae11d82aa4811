"""k-means: every image belongs to the nearest of K centroids, every centroid is the mean of its images (Lloyd 1982).

A step is one iteration of scikit-learn's Lloyd algorithm over all training images; it begins with k-means++ (Arthur and Vassilvitskii
2007).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from engine.bases.classical import ClassicalMethod, agreement
from engine.common.counting import number_of
from engine.common.importing import IMPORTING
from engine.config import setting
from engine.messages import Diagnosis, Number
from engine.method import DataSpec, Description, Method, StepContext


@dataclass(frozen=True)
class Config(ClassicalMethod):
    clusters: int = setting(10, "Centroids: how many groups the images are divided into.", low=2, high=1000, unit="clusters", log=True)
    tolerance: float = setting(
        1e-5, "It ends when no centroid moves further, as a share of the images' spread.", low=1e-8, high=0.1, log=True, group="Training"
    )


class KMeans(Method):
    """Lloyd's algorithm on pixels, begun with k-means++."""

    Config = Config
    title = "k-means"
    family = "Classical"
    judged_from = 0
    source = "Lloyd, Least Squares Quantization in PCM, IEEE Trans. Inf. Theory 28, 1982; as in scikit-learn"
    summary = (
        "Every image belongs to the nearest centroid, and every centroid moves to the mean of its images, again and again until nothing "
        "changes. It knows pixels only: two digits that lie a little apart are as strange to each other as two different ones."
    )
    formula = "min Σ<sub>i</sub> |x<sub>i</sub> − c<sub>k(i)</sub>|²"
    headline = ("inertia", "", False)
    full_batch = True
    wants_labels = True
    units: ClassVar = {}

    def __init__(self, config: Config, data: DataSpec) -> None:
        super().__init__(config, data)
        self.register_buffer("centroids", torch.empty(config.clusters, data.dims))
        self.register_buffer("state", torch.empty(2))  # whether there are centroids, how far the last step moved them
        self.centroids: Tensor
        self.state: Tensor

    def reset(self, generator: torch.Generator) -> None:
        """Set all centroids to grey and the state to the start."""
        self.centroids.fill_(0.5)
        self.state.copy_(torch.tensor([0.0, 1.0]))

    @property
    def finished(self) -> bool:
        """Whether the centroids have stopped moving."""
        return bool(self.state[0]) and float(self.state[1]) <= self.config.tolerance

    def fit_step(self, x: Tensor, y: Tensor | None, context: StepContext) -> dict[str, Tensor]:
        """One iteration over all images. `inertia`: mean squared distance of an image to its centroid before the centroids move. x [N,
        C, H, W] -> scalars [].
        """
        with IMPORTING:
            from sklearn.cluster import KMeans as Lloyd
            from sklearn.cluster import kmeans_plusplus

        rows = np.ascontiguousarray(x.flatten(1).cpu().numpy())
        clusters = min(self.config.clusters, len(rows))
        if not self.state[0]:
            seed = int(torch.randint(2**31 - 1, (), generator=context.generator, device=_device(context)))
            centres, _ = kmeans_plusplus(rows, clusters, random_state=seed)
            self.centroids[:clusters] = torch.from_numpy(centres).to(self.centroids)
            self.centroids[clusters:] = self.centroids[:1]  # more clusters than images: doubles of the first, which win nothing
        before = self.centroids[:clusters].clone()
        terms = self.loss(x, y, context)
        start: Any = {"init": before.cpu().numpy(), "n_init": 1}  # which the library's annotations do not know
        lloyd = Lloyd(clusters, max_iter=1, tol=0, algorithm="lloyd", **start).fit(rows)
        self.centroids[:clusters] = torch.from_numpy(lloyd.cluster_centers_).to(self.centroids)
        moved = (self.centroids[:clusters] - before).square().sum(1).max() / x.flatten(1).var(0, correction=0).sum().clamp(min=1e-12)
        self.state.copy_(torch.stack([torch.ones_like(moved), moved]))
        return {**terms, "moved": moved}

    def loss(self, x: Tensor, y: Tensor | None, context: StepContext) -> dict[str, Tensor]:
        """`loss` and `inertia`: mean squared distance of an image to its centroid. x [N, C, H, W] -> scalars []."""
        inertia = self.encode(x).amin(1).square().mean()
        return {"loss": inertia, "inertia": inertia}

    def headline_words(self, terms: dict[str, float]) -> str:
        """The inertia as the list of runs shows it."""
        return f"inertia {terms['inertia']:.2f} per image"

    def encode(self, x: Tensor) -> Tensor:
        """Distances to the centroids [B, K]."""
        rows, centres = x.flatten(1), self.centroids.to(x.dtype)
        squared = rows.square().sum(1, keepdim=True) - 2 * rows @ centres.T + centres.square().sum(1)
        return squared.clamp(min=0).sqrt()

    def decode(self, z: Tensor) -> Tensor:
        """The nearest centroid as an image: distances z [B, K] -> [B, C, H, W]."""
        return self.centroids[z.argmin(1)].clamp(0, 1).unflatten(1, self.data.shape)

    @torch.no_grad()
    def describe(self, x: Tensor, generator: torch.Generator, y: Tensor | None = None) -> Description:
        """Sizes of the groups of held-out images x [N, C, H, W] and, with labels y [N], how they agree with the classes."""
        distances = self.encode(x)
        groups = distances.argmin(1)
        sizes = groups.bincount(minlength=self.config.clusters)
        spread = (x - x.mean(0)).square().flatten(1).sum(1).mean().item()
        inertia = distances.amin(1).square().mean().item()
        numbers = [
            Number("inertia per image", inertia, "", 3, "Mean squared distance of a held-out image to its centroid, pixels from 0 to 1."),
            Number("variance explained", 100 * (1 - inertia / max(spread, 1e-12)), "%", 1, "Of the held-out pixels, by the centroids."),
            Number("clusters in use", float((sizes > 0).sum()), f"of {len(sizes)}", 0, "By at least one held-out image."),
        ]
        words = Diagnosis("good", "Each centroid below is the mean of its images; the sharper it is, the more alike they are.")
        if not self.state[0]:
            words = Diagnosis("warning", "It has not begun: the centroids are grey until the first step.")
        elif y is not None:
            information, accuracy = agreement(groups.cpu(), y.cpu())
            numbers += [
                Number("NMI with the classes", information, "", 3, "Normalized mutual information: 0 independent, 1 the same division."),
                Number("accuracy", 100 * accuracy, "%", 1, "When each cluster is given at most one class, the best way."),
            ]
        captions = tuple(f"cluster {i}: {int(size)} of {number_of(len(x), 'held-out image')}" for i, size in enumerate(sizes))
        pictures = self.centroids.clamp(0, 1).unflatten(1, self.data.shape)
        return Description(tuple(numbers), (words,), pictures=pictures[:100], captions=captions[:100])


def _device(context: StepContext) -> torch.device:
    return torch.device("cpu") if context.generator is None else context.generator.device
