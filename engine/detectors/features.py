"""Distances in an encoder's feature space: to the classes' means, or to the nearest training images."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from engine.detectors.base import FIT_IMAGES, Detector, ImageBatch, ScoredModel, TrainingImages, aside
from engine.protocols import Encoder


class Mahalanobis(Detector):
    """Mahalanobis distance to the nearest class mean of the features (Lee et al. 2018)."""

    name = "mahalanobis"
    version = 3  # since the covariance is shrunk
    title = "Mahalanobis distance"
    density = "features"
    unit = ""
    source = "Lee et al., A Simple Unified Framework for Detecting Out-of-Distribution Samples, 2018 (arXiv 1807.03888), eq. 2, last layer"
    help = (
        "Squared distance of the features to the nearest class mean of the training images, in units of their common spread "
        "(covariance shrunk towards a round one, Ledoit and Wolf 2004)."
    )
    place = 30
    fits = True

    @classmethod
    def suits(cls, subject: ScoredModel) -> bool:
        """Whether the model encodes and its data have classes."""
        return subject.can(Encoder) and len(subject.method.data.classes) > 1

    def fit(self, training: TrainingImages) -> Iterator[None]:
        """Class means and the covariance all classes share: scatter around the own class's mean, divided by all N."""
        features = yield from training.features(self.method)
        assert training.labels is not None
        labels = torch.from_numpy(np.asarray(training.labels))
        means, inverse = yield from aside(lambda: tied_gaussian(features, labels))
        self.fitted = {"means": means.numpy(), "inverse": inverse.numpy()}

    def score(self, look: ImageBatch) -> Tensor:
        """The squared distance to the nearest class mean, float64 [B]."""
        means, inverse = (torch.from_numpy(self.fitted[name]) for name in ("means", "inverse"))
        return class_distances(look.features, means, inverse).amin(1)


FLAT = 1e-6  # of the largest variance: smaller ones are float32 rounding of the features, which must not be whitened


def tied_gaussian(features: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Means [K, D] of the classes that occur, and the inverse [D, D] of their tied covariance after shrinkage, in float64.

    The shrunk covariance has no variance below `FLAT` of its largest: there only the rounding of the features would be measured.
    """
    present = labels.unique()
    means = torch.stack([features[labels == label].mean(0) for label in present])
    covariance = ledoit_wolf(features - means[torch.searchsorted(present, labels)])
    variances, axes = torch.linalg.eigh(covariance)
    floor = FLAT * float(variances[-1]) if float(variances[-1]) > 0 else 1.0
    return means, (axes / variances.clamp(min=floor)) @ axes.T


def ledoit_wolf(centred: Tensor) -> Tensor:
    """(1 - ρ) S + ρ (tr S / D) I [D, D] of centred rows [N, D], S their covariance: ρ of Ledoit and Wolf 2004 (A well-conditioned
    estimator for large-dimensional covariance matrices), which expects the smallest squared error.
    """
    count, dims = centred.shape
    covariance = centred.T @ centred / count
    spread = covariance.trace() / dims
    round_ = spread * torch.eye(dims, dtype=centred.dtype)
    apart = (covariance - round_).square().sum()
    noise = (centred.square().sum(1).square().sum() / count - covariance.square().sum()) / count
    share = float((noise / apart).clamp(0, 1)) if float(apart) > 0 else 0.0
    return (1 - share) * covariance + share * round_


def class_distances(features: Tensor, means: Tensor, inverse: Tensor) -> Tensor:
    """(f - μ_k)ᵀ Σ⁺ (f - μ_k): [B, D] -> [B, K]."""
    apart = features[:, None] - means  # [B, K, D]
    return torch.einsum("bkd,de,bke->bk", apart, inverse, apart)


class Knn(Detector):
    """Distance to the k-th nearest training feature on the unit sphere (Sun et al. 2022)."""

    name = "knn"
    version = 2  # since jigsaw's features are those of tiles
    title = "k nearest neighbours"
    density = "features"
    unit = ""
    source = "Sun et al., Out-of-Distribution Detection with Deep Nearest Neighbors, 2022 (arXiv 2204.06507), with k = 50"
    help = (
        f"Distance of the features, scaled to length one, to those of the 50th nearest of {FIT_IMAGES:,} training images spread over all "
        "of them (of all where there are fewer)."
    )
    place = 31
    fits = True
    k = 50

    @classmethod
    def suits(cls, subject: ScoredModel) -> bool:
        """Whether the model encodes."""
        return subject.can(Encoder)

    def settings(self) -> dict[str, Any]:
        """What the scores depend on, for the files of kept scores."""
        return {"k": self.k}

    def fit(self, training: TrainingImages) -> Iterator[None]:
        """Keep the training images' features at unit length, float32 [N, D]."""
        features = yield from training.features(self.method)
        self.fitted = {"bank": unit_length(features).float().numpy()}  # float32 keeps the file small; errors near 1e-7

    def score(self, look: ImageBatch) -> Tensor:
        """Distance to the k-th nearest of the kept features [B]."""
        bank = torch.from_numpy(self.fitted["bank"])
        return nearest(unit_length(look.features), bank, min(self.k, len(bank)))[0][:, -1]


def unit_length(features: Tensor) -> Tensor:
    """features [N, D] divided by their Euclidean norms."""
    return features / features.norm(dim=1, keepdim=True).clamp(min=1e-12)


def nearest(rows: Tensor, bank: Tensor, k: int, chunk: int = 4096) -> tuple[Tensor, Tensor]:
    """Euclidean distances to the k nearest rows of `bank`, ascending, and their places: [B, D], [N, D] -> float64 [B, k], int64 [B, k].

    Exact, a chunk of the bank at a time. Differences of the k found are taken anew: the shortcut |a|² + |b|² - 2ab that finds
    them would drown small distances in rounding.
    """
    rows = rows.double()
    found: tuple[Tensor, Tensor] | None = None
    for start in range(0, len(bank), chunk):
        part = bank[start : start + chunk].double()
        squared = part.square().sum(1) - 2 * rows @ part.T  # [B, n], up to |row|²
        if found is not None:
            squared = torch.cat([found[0], squared], 1)
        best = squared.topk(min(k, squared.shape[1]), largest=False)
        places = torch.arange(start, start + len(part)).expand(len(rows), -1)
        if found is not None:
            places = torch.cat([found[1], places], 1)
        found = best.values, places.gather(1, best.indices)
    assert found is not None
    distances = (bank[found[1]].double() - rows[:, None]).norm(dim=2)  # [B, k]
    distances, order = distances.sort(dim=1, stable=True)
    return distances, found[1].gather(1, order)
