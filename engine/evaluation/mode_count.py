"""Whether samples are as varied as real images: how many clusters of held-out images they reach, and how far apart they are.

Both look at pixels only, so both are cheap, need no classifier, and miss what pixels do not tell. Nothing here knows a method.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

CLUSTERS = 10
FEWEST = 40  # held-out images; with fewer nothing is counted
ROUNDS = 10  # of k-means
FALSE_ALARMS = 0.05  # share of sets of real images in which a cluster is called missed


@dataclass(frozen=True)
class ModeCount:
    """Where n samples fall among the clusters of held-out images."""

    clusters: int  # K
    reached: int  # clusters that any sample is nearest to
    expected: float  # clusters that n real images would reach on average
    missed: int  # clusters without a sample although real images of their own number make chance unlikely
    diversity: float  # mean distance between two samples, over that between two held-out images


def mode_count(real: Tensor, samples: Tensor, generator: torch.Generator, clusters: int = CLUSTERS) -> ModeCount | None:
    """Count the modes of samples [n, ...] against held-out images [N, ...]; None where there are fewer than 40 of these or all are equal.

    k-means on one half of the real images gives the centroids, the other half says how often real images fall to each: as fresh as the
    samples are. A cluster with b of B such images and no sample is missed if the chance of that, were both drawn alike, is at most 5 % / K
    (all b of the b lie among B of B + n: the hypergeometric test of Fisher), so that of ten sets of real images hardly one has any.
    """
    real, samples = real.flatten(1).double(), samples.flatten(1).double()
    spread = mean_distance(real)
    if len(real) < FEWEST or len(samples) < 2 or spread == 0:
        return None
    order = torch.randperm(len(real), generator=generator)
    fitted, fresh = real[order[: len(real) // 2]], real[order[len(real) // 2 :]]
    centroids = k_means(fitted, clusters, generator)
    theirs, ours = (torch.bincount(nearest(x, centroids), minlength=len(centroids)) for x in (fresh, samples))
    share = torch.bincount(nearest(real, centroids), minlength=len(centroids)).double() / len(real)
    expected = (1 - (1 - share) ** len(samples)).sum().item()
    unlikely = chance_of_none(theirs, len(fresh), len(samples)) <= FALSE_ALARMS / len(centroids)
    return ModeCount(
        len(centroids), int((ours > 0).sum()), expected, int(((ours == 0) & unlikely).sum()), (mean_distance(samples) / spread).item()
    )


def chance_of_none(found: Tensor, fresh: int, samples: int) -> Tensor:
    """The probability [K] that all `found` int64 [K] of a cluster's images are among the `fresh` ones, not the samples, by chance."""
    total = torch.tensor(float(fresh + samples), dtype=torch.float64)
    n, b = torch.tensor(float(samples), dtype=torch.float64), found.double()
    # C(total - b, n) / C(total, n)
    log_p = (total - b + 1).lgamma() - (total - b - n + 1).lgamma() - (total + 1).lgamma() + (total - n + 1).lgamma()
    return log_p.exp()


def k_means(x: Tensor, clusters: int, generator: torch.Generator) -> Tensor:
    """Centroids [K, D] of rows [N, D] after some rounds of Lloyd's algorithm from rows at random; K at most N, empty clusters left out."""
    centroids = x[torch.randperm(len(x), generator=generator)[:clusters]].clone()
    for _ in range(ROUNDS):
        own = nearest(x, centroids)
        count = torch.bincount(own, minlength=len(centroids))
        sums = torch.zeros_like(centroids).index_add_(0, own, x)
        centroids = (sums / count.clamp(min=1)[:, None])[count > 0]
    return centroids


def nearest(x: Tensor, centroids: Tensor) -> Tensor:
    """The place of the nearest centroid, int64 [N], of rows [N, D] among [K, D]."""
    return torch.cdist(x, centroids).argmin(1)


def mean_distance(x: Tensor) -> Tensor:
    """Mean Euclidean distance of two different rows of [N, D], a scalar []."""
    return torch.cdist(x, x).sum() / (len(x) * max(1, len(x) - 1))
