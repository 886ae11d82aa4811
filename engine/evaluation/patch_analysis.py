"""What attention weights and patch features of a vision transformer say: entropies and distances, components as colours, cosines.

Functions of tensors alone; which images and which network is decided elsewhere (`engine.queries.patches`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

ROBUST = (0.02, 0.98)  # quantiles of a component that become the darkest and the brightest value of its colour
FEWEST = 4  # patches that components are computed of
LEVEL = 1e-6  # of a component's size: below it, it is not said to be larger in the middle of the images than at their edges


class AttentionSummary(NamedTuple):
    """What one query looks at, and how each head looks in general. The last row is of the mean over heads."""

    maps: Tensor  # [heads + 1, h, w]: shares of the query's attention
    rest: Tensor  # [heads + 1]: the share on tokens that are no patches
    entropies: Tensor  # [heads + 1]: of the shares among patches, in nats
    distances: Tensor  # [heads + 1]: mean attention distance between patches, in patches


class PatchComponents(NamedTuple):
    """Principal components of patch features."""

    scores: list[Tensor]  # of each image [h, w, 3]; NaN where a patch was left out
    kept: list[Tensor]  # of each image bool [h, w]
    explained: tuple[float, ...]  # share of the kept patches' variance along each of three components
    first_explained: float  # share of all patches' variance along the first component of all


def summarize_attention(weights: Tensor, grid: tuple[int, int], query: int | None) -> AttentionSummary:
    """Attention maps of one query, with their entropies, and the mean attention distance of each head.

    Args:
        weights: softmax(QKᵀ/√d) of one image [heads, T, T]; the last h w tokens are the patches.
        query: the token whose attention is shown; None: the mean over all patches.
    """
    patches = grid[0] * grid[1]
    weights = torch.cat([weights, weights.mean(0, keepdim=True)]).double()
    among = weights[:, -patches:, -patches:]
    rows = weights[:, -patches:].mean(1) if query is None else weights[:, query]  # [heads + 1, T]
    maps = rows[:, -patches:]
    shares = maps / maps.sum(1, keepdim=True).clamp(min=1e-300)
    return AttentionSummary(
        maps=maps.unflatten(1, grid).float(),
        rest=rows[:, : rows.shape[1] - patches].sum(1).float(),
        entropies=torch.special.entr(shares).sum(1).float(),
        distances=attention_distance(among, grid).float(),
    )


def attention_distance(weights: Tensor, grid: tuple[int, int]) -> Tensor:
    """Mean attention distance (Dosovitskiy et al. 2021, section 4.5): how far apart patches are that look at each other, in patches.

    Args:
        weights: between patches [heads, h w, h w]; each row is scaled to sum to 1.
    """
    shares = weights / weights.sum(2, keepdim=True).clamp(min=1e-300)
    return (shares * apart(grid)).sum(2).mean(1)


def apart(grid: tuple[int, int]) -> Tensor:
    """Euclidean distances between the centres of all patches of a grid, in patches, float64 [h w, h w]."""
    rows, columns = torch.meshgrid(*(torch.arange(n, dtype=torch.float64) for n in grid), indexing="ij")
    places = torch.stack([rows.flatten(), columns.flatten()], 1)
    return torch.cdist(places, places, compute_mode="donot_use_mm_for_euclid_dist")


def patch_components(features: Sequence[Tensor], foreground: str = "") -> PatchComponents:
    """The first three principal components of patch features [h, w, D] of several images.

    With a foreground, patches with a first component above or below 0 are kept and the components are computed anew from them
    (Oquab et al. 2023, DINOv2, section 7.5). Signs are such that scores are higher in the middle of images than at their edges.

    Args:
        foreground: "": all patches | "above" | "below".

    Raises:
        ValueError: hardly any patch is left, or there are too few: one sentence.
    """
    kept = [torch.ones(one.shape[:2], dtype=torch.bool) for one in features]
    mean, directions, explained = _components(features, kept)
    first_explained = explained[0]
    if foreground:
        sign = 1 if foreground == "above" else -1
        kept = [sign * ((one.double() - mean) @ directions[:, 0]) > 0 for one in features]
        mean, directions, explained = _components(features, kept)
    scores = []
    for one, where in zip(features, kept, strict=True):
        found = (one.double() - mean) @ directions
        scores.append(torch.where(where[:, :, None], found, torch.nan).float())
    return PatchComponents(scores, kept, explained, first_explained)


def _components(features: Sequence[Tensor], kept: Sequence[Tensor]) -> tuple[Tensor, Tensor, tuple[float, ...]]:
    """Mean [D], three directions [D, 3] and their shares of the variance, of the patches that are kept; an image at a time."""
    count = sum(int(where.sum()) for where in kept)
    if count < FEWEST:
        raise ValueError(f"Only {count} patches are left, too few for principal components; keep all patches or show more images.")
    size = features[0].shape[2]
    mean = sum((one[where].double().sum(0) for one, where in _pairs(features, kept)), torch.zeros(size, dtype=torch.float64)) / count
    covariance = torch.zeros(size, size, dtype=torch.float64)
    for one, where in _pairs(features, kept):
        rows = one[where].double() - mean
        covariance += rows.T @ rows
    values, vectors = torch.linalg.eigh(covariance)  # ascending
    values, vectors = values.flip(0).clamp(min=0), vectors.flip(1)
    directions = torch.zeros(size, 3, dtype=torch.float64)
    directions[:, : min(3, size)] = vectors[:, :3]
    shares = torch.zeros(3, dtype=torch.float64)
    shares[: min(3, size)] = values[:3] / values.sum().clamp(min=1e-300)
    return mean, directions * _signs(features, kept, mean, directions), tuple(shares.tolist())


def _signs(features: Sequence[Tensor], kept: Sequence[Tensor], mean: Tensor, directions: Tensor) -> Tensor:
    """1 or -1 for each component [3]: it is larger in the middle of images than at their edges; where that says nothing, its largest
    entry is positive.
    """
    leaning, spread = torch.zeros(3, dtype=torch.float64), torch.zeros(3, dtype=torch.float64)
    for one, where in _pairs(features, kept):
        middle = -apart_from_middle((one.shape[0], one.shape[1]))[where]
        scores = (one[where].double() - mean) @ directions
        leaning += ((middle - middle.mean())[:, None] * scores).sum(0) if len(middle) else 0
        spread += scores.abs().sum(0)
    largest = directions.gather(0, directions.abs().argmax(0, keepdim=True))[0]
    decides = torch.where(leaning.abs() > LEVEL * spread, leaning, largest)
    return torch.where(decides < 0, -1.0, 1.0).double()


def apart_from_middle(grid: tuple[int, int]) -> Tensor:
    """Distance of each patch from the middle of the grid, in patches, float64 [h, w]."""
    rows, columns = ((torch.arange(n, dtype=torch.float64) - (n - 1) / 2) for n in grid)
    return (rows[:, None].square() + columns[None].square()).sqrt()


def _pairs(features: Sequence[Tensor], kept: Sequence[Tensor]) -> Iterable[tuple[Tensor, Tensor]]:
    return zip(features, kept, strict=True)


def component_colors(components: PatchComponents) -> Tensor:
    """Scores as red, green and blue, uint8 [N, h, w, 3]: of each component the range between two quantiles; black where left out."""
    scores = torch.stack(components.scores).double()
    kept = torch.stack(components.kept)
    rows = scores[kept]
    low, high = (torch.quantile(rows, q, dim=0) for q in ROBUST)
    wide = high - low
    shares = torch.where(wide > 0, (scores - low) / torch.where(wide > 0, wide, 1.0), 0.5)
    return torch.where(kept[..., None], (shares.clamp(0, 1) * 255).round(), 0.0).to(torch.uint8)


def patch_cosines(features: Sequence[Tensor], patch: tuple[int, int]) -> Tensor:
    """Cosine similarities of one patch of the first image to all patches [N, h, w], of features [h, w, D] each."""
    vector = F.normalize(features[0][patch].double(), dim=0)
    return torch.stack([(F.normalize(one.double(), dim=2) @ vector) for one in features]).clamp(-1, 1).float()


def best_patches(cosines: Tensor, patch: tuple[int, int], count: int) -> list[tuple[int, int, int]]:
    """(image, row, column) of the most similar patches, the most similar first, of cosines [N, h, w]; the patch itself is left out."""
    found = cosines.clone()
    found[(0, *patch)] = -torch.inf
    order = found.flatten().argsort(descending=True, stable=True)[: max(0, min(count, found.numel() - 1))]
    _, rows, columns = cosines.shape
    return [(int(i) // (rows * columns), int(i) // columns % rows, int(i) % columns) for i in order]
