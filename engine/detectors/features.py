"""Distances in an encoder's feature space: to the classes' means, or to the nearest training images."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from engine.detectors.base import FEATURES_AT_ONCE, FIT_IMAGES, Detector, ImageBatch, ScoredModel, TrainingImages, aside
from engine.protocols import Classifier, Encoder


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
        features = self.compared((yield from training.features(self.method)))
        assert training.labels is not None
        labels = torch.from_numpy(np.asarray(training.labels))
        means, inverse = yield from aside(lambda: tied_gaussian(features, labels))
        self.fitted = {"means": means.numpy(), "inverse": inverse.numpy()}

    def score(self, look: ImageBatch) -> Tensor:
        """The squared distance to the nearest class mean, float64 [B]."""
        means, inverse = (torch.from_numpy(self.fitted[name]) for name in ("means", "inverse"))
        return class_distances(self.compared(look.features), means, inverse).amin(1)

    def compared(self, features: Tensor) -> Tensor:
        """What is measured of features [N, D]: themselves."""
        return features


class RelativeMahalanobis(Mahalanobis):
    """Mahalanobis distance to the nearest class mean, less that to the mean of all images (Ren et al. 2021)."""

    name = "relative_mahalanobis"
    version = 1
    title = "relative Mahalanobis"
    source = "Ren et al., A Simple Fix to Mahalanobis Distance for Improving Near-OOD Detection, 2021 (arXiv 2106.09022), eq. 3, last layer"
    help = (
        "The Mahalanobis distance to the nearest class mean, less the distance to the mean of all classes by the covariance of all: "
        "what all images share cancels out."
    )
    place = 32

    def fit(self, training: TrainingImages) -> Iterator[None]:
        """As of `Mahalanobis`; and one Gaussian for all training images, whatever their class."""
        yield from super().fit(training)
        features = yield from training.features(self.method)
        one = torch.zeros(len(features), dtype=torch.long)
        mean, inverse = yield from aside(lambda: tied_gaussian(features, one))
        self.fitted |= {"mean": mean.numpy(), "inverse of all": inverse.numpy()}

    def score(self, look: ImageBatch) -> Tensor:
        """Squared distance to the nearest class mean, less that to the common mean, float64 [B]."""
        mean, inverse = (torch.from_numpy(self.fitted[name]) for name in ("mean", "inverse of all"))
        return super().score(look) - class_distances(look.features, mean, inverse)[:, 0]


class UnitMahalanobis(Mahalanobis):
    """Mahalanobis distance of features scaled to length one (Müller and Hein 2025)."""

    name = "unit_mahalanobis"
    version = 1
    title = "Mahalanobis++"
    source = "Müller and Hein, Mahalanobis++: Improving OOD Detection via Feature Normalization, 2025 (arXiv 2505.18032)"
    help = "The Mahalanobis distance after every image's features are scaled to length one: how strongly features respond no longer counts."
    place = 33

    def compared(self, features: Tensor) -> Tensor:
        """Features [N, D] of unit length."""
        return unit_length(features)


class Vim(Detector):
    """Virtual-logit matching (Wang et al. 2022): the features' part outside their principal space, beside the logits."""

    name = "vim"
    title = "ViM"
    density = "features"
    unit = ""
    source = "Wang, Li, Feng and Zhang, ViM: Out-Of-Distribution with Virtual-logit Matching, CVPR 2022 (arXiv 2203.10807), eq. 5 to 7"
    help = (
        "Length of the part of the features that lies outside the directions in which training images vary most (half of all), scaled "
        "to the size of a logit, less log Σ exp(logits)."
    )
    place = 34
    fits = True

    @classmethod
    def suits(cls, subject: ScoredModel) -> bool:
        """Whether the model classifies and its features are known."""
        return subject.can(Encoder) and subject.can(Classifier)

    def fit(self, training: TrainingImages) -> Iterator[None]:
        """The origin of the features, the directions outside the principal space [D, D - D/2], and α."""
        features = yield from training.features(self.method)
        rows = np.arange(min(len(features), HEAD_IMAGES)) * len(features) // min(len(features), HEAD_IMAGES)
        logits = []
        for start in range(0, len(rows), FEATURES_AT_ONCE):
            logits.append(ImageBatch(self.method, training.images[rows[start : start + FEATURES_AT_ONCE]]).logits)
            yield
        few, told = features[torch.from_numpy(rows)], torch.cat(logits)
        origin, outside = yield from aside(lambda: _outside(features, few, told))
        lengths = ((few - origin) @ outside).norm(dim=1)
        alpha = told.amax(1).mean() / lengths.mean().clamp(min=1e-12)
        self.fitted = {"origin": origin.numpy(), "outside": outside.numpy(), "alpha": np.array([float(alpha)])}

    def score(self, look: ImageBatch) -> Tensor:
        """α |P⊥(f - o)| - logsumexp(logits), float64 [B]."""
        origin, outside = (torch.from_numpy(self.fitted[name]) for name in ("origin", "outside"))
        residual = ((look.features - origin) @ outside).norm(dim=1)
        return float(self.fitted["alpha"][0]) * residual - look.logits.logsumexp(1)


def _outside(features: Tensor, few: Tensor, logits: Tensor) -> tuple[Tensor, Tensor]:
    """The origin o = -(Wᵀ)⁺ b [D], and an orthonormal basis [D, D - D/2] of what is outside the principal space of f - o.

    W and b of the last layer are found again from its inputs `few` [n, D] and outputs `logits` [n, K], which they are linear in.
    """
    inputs = torch.cat([few, torch.ones(len(few), 1, dtype=few.dtype)], 1)
    layer = torch.linalg.lstsq(inputs, logits, driver="gelsd").solution  # [D + 1, K]
    origin = -torch.linalg.pinv(layer[:-1].T) @ layer[-1]
    moved = features - origin
    _, axes = torch.linalg.eigh(moved.T @ moved / len(moved))  # ascending
    return origin, axes[:, : features.shape[1] - features.shape[1] // 2].clone()


HEAD_IMAGES = 2000  # training images whose logits are compared with their features
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
