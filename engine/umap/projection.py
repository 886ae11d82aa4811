"""Maps of features and how far to trust them: exact neighbours, PCA, the graph that UMAP lays out, clusters. Plain functions.

Long ones are generators that yield the number of rows done, so that whoever waits can do something else or give up.
The layout of a UMAP itself is computed by a process of its own (`process.py`); models and messages are `queries/embedding.py`'s.
"""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from engine.common.importing import IMPORTING
from engine.evaluation.linear_probe import NEIGHBOURS, TEMPERATURE, knn

ROWS = 256  # of a matrix of distances, computed between two yields
CELLS = 2_000_000  # the same, numbers, of features of
WIDTH = 128  # numbers; fewer where there are more
SPARE = 8  # candidates measured anew besides the k that are wanted
TRUST_ALL = 5000  # up to so many points, trust is measured on all
TRUST_SOME = 1000  # beyond that, on so many
EPOCHS = ((2000, 500), (10_000, 300), (math.inf, 200))  # of a fresh UMAP: up to so many points, so many; few points need more
WARM_EPOCHS = ((2000, 50), (math.inf, 25))  # of one that begins from another map
WARM_ALPHA = 0.25  # first step length of a UMAP that begins from another map; a fresh one's is 1
RESTARTS: Any = 4  # of k-means; the best is taken
MAP_SIDE = 10.0  # side of the square in which a fresh layout begins, as in umap-learn

Rows = Generator[Any, None, tuple[Tensor, Tensor]]
Share = Generator[Any, None, float]


# ---------------------------------------------------------------------------------------------------------------------
# Neighbours
# ---------------------------------------------------------------------------------------------------------------------


def neighbours(features: Tensor, k: int) -> Rows:
    """The k nearest other points of every point, nearest first: float32 [N, D] -> int64 [N, k], float64 [N, k] Euclidean.

    Exact, but for points whose distances agree to seven digits. Products in float32 propose k + SPARE candidates, whose
    differences are measured anew; where the rounding of the products could have hidden a nearer point, the row is searched again
    in float64.
    """
    points = features - features.mean(0)  # the shortcut |a|² + |b|² - 2ab rounds less near the origin
    squares = points.square().sum(1)
    precise: Tensor | None = None
    places, distances = [], []
    for own in _pieces(torch.arange(len(features)), features):
        found, apart, sure = _search(points, squares, features, own, k)
        if not bool(sure.all()):
            precise = features.double() - features.double().mean(0) if precise is None else precise
            again = own[~sure]
            found[~sure], apart[~sure], _ = _search(precise, precise.square().sum(1), features, again, k)
        places.append(found)
        distances.append(apart)
        yield int(own[-1]) + 1
    return torch.cat(places), torch.cat(distances)


def _search(points: Tensor, squares: Tensor, features: Tensor, own: Tensor, k: int) -> tuple[Tensor, Tensor, Tensor]:
    """Places and distances [B, k] for the rows `own` [B], and in which rows rounding cannot have hidden a nearer point: bool [B]."""
    shortcut = torch.addmm(squares, points[own], points.T, alpha=-2)  # [B, N], |own|² is missing
    shortcut[torch.arange(len(own)), own] = torch.inf
    count = min(k + SPARE, len(points) - 1)
    best = shortcut.topk(count, largest=False)
    ways = features.index_select(0, best.indices.flatten()).view(len(own), count, -1) - features[own, None]
    apart = ways.square_().sum(2, dtype=torch.float64).sqrt()
    apart, order = apart.sort(dim=1, stable=True)
    # A sum of D products is off by at most about D + 4 units of rounding of what the largest of them could be.
    off = torch.finfo(points.dtype).eps * (points.shape[1] + 4) * (squares[own].sqrt() + squares.max().sqrt()).square()
    sure = apart[:, k - 1].square() <= squares[own] + best.values[:, -1] - off
    if count == len(points) - 1:  # all were measured
        sure.fill_(True)
    return best.indices.gather(1, order)[:, :k], apart[:, :k], sure


def _pieces(rows: Tensor, features: Tensor, share: int = 1) -> tuple[Tensor, ...]:
    """Rows in pieces whose distances to all points take some ten milliseconds; `share`: how many times longer each number takes."""
    count, size = features.shape
    return rows.split(max(1, min(ROWS, CELLS * WIDTH // (share * count * max(WIDTH, size)))))


def neighbours_on_map(places: np.ndarray, k: int) -> np.ndarray:
    """The k nearest other points of every point on a map: [N, 2] -> int64 [N, k], nearest first."""
    with IMPORTING:
        from scipy.spatial import KDTree

    count = len(places)
    found = np.asarray(KDTree(places).query(places, k + 1)[1])  # a point finds itself too, though not always first
    itself = found == np.arange(count)[:, None]
    itself[~itself.any(1), -1] = True  # many points at one place: it was not among those found
    return found[~itself].reshape(count, k)


# ---------------------------------------------------------------------------------------------------------------------
# PCA and the way back to a former map
# ---------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Plane:
    """The first principal components. Their signs are fixed: the largest entry of each is positive."""

    centre: np.ndarray  # float64 [D]
    axes: np.ndarray  # float64 [C, D], orthonormal
    variances: np.ndarray  # float64 [C], with N - 1
    explained: tuple[float, ...]  # shares of the whole variance

    def project(self, features: np.ndarray) -> np.ndarray:
        """[N, D] -> float32 [N, C]."""
        return ((features - self.centre) @ self.axes.T).astype(np.float32)


def pca(features: Tensor, components: int = 2) -> Plane:
    """Principal components of [N, D], from the smaller of the two matrices of products, in float64.

    Axes that do not exist, for want of points or features, are zero.
    """
    x = features.double()
    centre = x.mean(0)
    x = x - centre
    count, size = x.shape
    if size <= count:
        found, vectors = torch.linalg.eigh(x.T @ x)
        axes = vectors.T.flip(0)[:components]
    else:
        found, vectors = torch.linalg.eigh(x @ x.T)
        axes = (vectors.T.flip(0)[:components] @ x).clone()
        axes = axes / axes.norm(dim=1, keepdim=True).clamp(min=1e-300)
    scatter = found.flip(0)[:components].clamp(min=0)
    total = float(x.square().sum())
    axes[scatter <= 1e-12 * total] = 0
    largest = axes.gather(1, axes.abs().argmax(1, keepdim=True))
    axes = axes * torch.where(largest < 0, -1.0, 1.0)
    lacking = components - len(axes)
    axes = torch.cat([axes, axes.new_zeros(lacking, size)])
    scatter = torch.cat([scatter, scatter.new_zeros(lacking)])
    shares = tuple(float(s) / total if total > 0 else 0.0 for s in scatter)
    return Plane(centre.numpy(), axes.numpy(), (scatter / max(1, count - 1)).numpy(), shares)


def align(places: np.ndarray, target: np.ndarray) -> np.ndarray:
    """`places` turned, mirrored and moved, but not stretched, to lie on `target` as well as can be (Schönemann 1966): float32 [N, 2]."""
    a, b = places.astype(np.float64), target.astype(np.float64)
    u, _, vt = np.linalg.svd((a - a.mean(0)).T @ (b - b.mean(0)))
    return ((a - a.mean(0)) @ (u @ vt) + b.mean(0)).astype(np.float32)


# ---------------------------------------------------------------------------------------------------------------------
# UMAP (McInnes, Healy and Melville 2018, arXiv 1802.03426), up to the layout
# ---------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Graph:
    """Edges of the fuzzy union, each in both directions, by rows."""

    head: np.ndarray  # int32 [E]
    tail: np.ndarray  # int32 [E]
    weight: np.ndarray  # float32 [E], in (0, 1]


def graph(places: np.ndarray, distances: np.ndarray) -> Graph:
    """The fuzzy graph of points, from their neighbours [N, k] and the distances [N, k]: a ∪ b = a + b - ab (section 3.1).

    umap-learn counts a point among its own neighbours, so these are the numbers of its `n_neighbors = k + 1`.
    """
    with IMPORTING:
        from scipy.sparse import coo_matrix

    count, k = places.shape
    nearest, width = smooth(distances)
    weights = memberships(distances, nearest, width)
    one_way = coo_matrix((weights.ravel(), (np.repeat(np.arange(count), k), places.ravel())), (count, count)).tocsr()
    other_way = one_way.T.tocsr()
    union = (one_way + other_way - one_way.multiply(other_way)).tocsr()
    union.sort_indices()
    union = union.tocoo()
    keep = union.data > 0
    return Graph(union.row[keep].astype(np.int32), union.col[keep].astype(np.int32), union.data[keep].astype(np.float32))


def smooth(distances: np.ndarray, from_zero: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """ρ [N], the distance to the nearest point that is not at the same place, and σ [N] such that Σ exp(-(d - ρ)⁺/σ) = log₂(k + 1).

    distances: [N, k], ascending. With `from_zero` ρ is 0, as umap-learn has it for new points. σ is never below a thousandth of
    the mean distance.
    """
    d = distances.astype(np.float64)
    target = np.log2(d.shape[1] + 1)
    rho = np.where(d > 0, d, np.inf).min(1)
    rho = np.zeros(len(d)) if from_zero else np.where(np.isfinite(rho), rho, 0.0)
    over = np.maximum(d - rho[:, None], 0)
    low, high, sigma = np.zeros(len(d)), np.full(len(d), np.inf), np.ones(len(d))
    for _ in range(64):
        total = np.exp(-over / sigma[:, None]).sum(1)
        done = np.abs(total - target) < 1e-5
        high = np.where(~done & (total > target), sigma, high)
        low = np.where(~done & (total <= target), sigma, low)
        middle = np.where(np.isfinite(high), (low + high) / 2, 2 * sigma)
        sigma = np.where(done, sigma, middle)
    own_mean = d.sum(1) / (d.shape[1] + 1)  # the point itself counts, at distance 0
    floor = 1e-3 * np.where(rho > 0, own_mean, own_mean.mean())
    return rho, np.maximum(sigma, floor)


def memberships(distances: np.ndarray, rho: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    """exp(-(d - ρ)⁺/σ): [N, k] -> float64 [N, k]."""
    over = np.maximum(distances - rho[:, None], 0)
    return np.where(over > 0, np.exp(-over / np.maximum(sigma, 1e-300)[:, None]), 1.0)


def curve(min_dist: float) -> tuple[float, float]:
    """a, b such that 1 / (1 + a d^(2b)) falls as 1 up to `min_dist`, then exp(-(d - min_dist)) (section 4.2)."""
    with IMPORTING:
        from scipy.optimize import curve_fit

    d = np.linspace(0, 3, 300)
    wanted = np.where(d < min_dist, 1.0, np.exp(-(d - min_dist)))
    (a, b), _ = curve_fit(lambda d, a, b: 1 / (1 + a * d ** (2 * b)), d, wanted)
    return float(a), float(b)


def beginning(plane: np.ndarray, seed: int) -> np.ndarray:
    """Where a fresh layout begins: the plane of the two principal components, in a square, with a little noise: float32 [N, 2]."""
    extent = np.ptp(plane, axis=0)
    square = MAP_SIDE * (plane - plane.min(0)) / np.where(extent > 0, extent, 1)
    noise = np.random.default_rng(seed).normal(scale=1e-4 if extent.max() > 0 else 1.0, size=plane.shape)  # of equal points, noise is all
    return (square + noise).astype(np.float32)


def epochs_for(count: int, warm: bool) -> int:
    """Epochs of a layout of `count` points; fewer when it starts from an earlier one."""
    return next(epochs for most, epochs in (WARM_EPOCHS if warm else EPOCHS) if count <= most)


def place(distances: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Where a new point belongs on a UMAP: the mean of its nearest points' places [k, 2], weighted by memberships; float32 [2].

    Where umap-learn's `transform` begins. A point at distance 0 of another has its place.
    """
    if distances[0] == 0:
        return places[0].astype(np.float32)
    weights = memberships(distances[None], *smooth(distances[None], from_zero=True))[0]
    return (weights @ places / weights.sum()).astype(np.float32)


# ---------------------------------------------------------------------------------------------------------------------
# Trust
# ---------------------------------------------------------------------------------------------------------------------


def trusted_rows(count: int) -> np.ndarray:
    """Indices int64 [n] of the points that trustworthiness and the vote in feature space are measured on: all, or always the same
    random ones.
    """
    if count <= TRUST_ALL:
        return np.arange(count)
    return np.sort(np.random.default_rng(0).choice(count, TRUST_SOME, replace=False))


def survived(true: np.ndarray, near: np.ndarray) -> np.ndarray:
    """Share of each point's true neighbours that are among its nearest on the map: [N, k], [N, k] -> float32 [N]."""
    shares = [(a[:, :, None] == b[:, None, :]).any(2).mean(1) for a, b in zip(_slices(true), _slices(near), strict=True)]
    return np.concatenate(shares).astype(np.float32)


def _slices(rows: np.ndarray, size: int = 4096) -> list[np.ndarray]:
    return [rows[start : start + size] for start in range(0, max(1, len(rows)), size)]


def trustworthiness(features: Tensor, near: np.ndarray, rows: np.ndarray) -> Share:
    """1 - 2 / (n k (2N - 3k - 1)) ΣΣ max(0, r(i, j) - k) (Venna and Kaski 2001): r(i, j) is j's rank among i's neighbours in
    feature space, j are the k nearest on the map, int [N, k], and i runs over `rows` [n].

    Each row is exact: ranks among all N. Not a number where k ≥ N/2, for which it is not defined.
    """
    count, k = near.shape
    if not 0 < k < count / 2:
        return float("nan")
    x = features.double()
    x = x - x.mean(0)
    squares = x.square().sum(1)
    penalty = 0
    done = 0
    for own in _pieces(torch.from_numpy(rows), x, share=4):
        apart = torch.addmm(squares, x[own], x.T, alpha=-2)  # [B, N], |own|² is missing in all
        apart[torch.arange(len(own)), own] = torch.inf
        theirs = apart.gather(1, torch.from_numpy(near[own.numpy()]))
        for j in range(k):
            rank = (apart < theirs[:, j : j + 1]).sum(1) + 1
            penalty += int((rank - k).clamp(min=0).sum())
        done += len(own)
        yield done
    return 1 - 2 * penalty / (len(rows) * k * (2 * count - 3 * k - 1))


def knn_accuracy(features: Tensor, labels: np.ndarray, rows: np.ndarray, k: int = NEIGHBOURS, temperature: float = TEMPERATURE) -> Share:
    """Share of `rows` whose class the nearest k other points vote for (`linear_probe.knn`). features [N, D], labels [N], rows int64
    [n].
    """
    known, own = torch.from_numpy(np.asarray(labels, dtype=np.int64)), torch.from_numpy(rows)
    found = yield from knn(features, known, features[own], int(known.max()) + 1, k, temperature, own)
    return (found == known[own]).double().mean().item()


def vote_accuracy(near: np.ndarray, labels: np.ndarray) -> float:
    """Share of the points whose class most of their nearest on the map have [N, k]; of equally many, the first class."""
    classes = int(labels.max()) + 1
    votes = np.zeros((len(near), classes), np.int32)
    for column in near.T:
        votes[np.arange(len(near)), labels[column]] += 1
    return float((votes.argmax(1) == labels).mean())


# ---------------------------------------------------------------------------------------------------------------------
# Clusters and directions
# ---------------------------------------------------------------------------------------------------------------------


def clusters(features: np.ndarray, count: int, seed: int) -> np.ndarray:
    """k-means of standardized features [N, D] -> int64 [N], the largest cluster is 0. `count` at most: no more than there are points."""
    with IMPORTING:
        from sklearn.cluster import KMeans
        from sklearn.preprocessing import StandardScaler

    standard = StandardScaler().fit_transform(features.astype(np.float64))
    count = min(count, len(np.unique(standard, axis=0)))
    found = KMeans(count, n_init=RESTARTS, random_state=seed % 2**32).fit_predict(standard)
    order = np.argsort(-np.bincount(found, minlength=count), kind="stable")
    return np.argsort(order)[found].astype(np.int64)


def along(features: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Every point's place on the line through the means of two groups, 0 at the first and 1 at the second: float64 [N]."""
    x = features.astype(np.float64)
    start, end = x[a].mean(0), x[b].mean(0)
    return (x - start) @ (end - start) / np.square(end - start).sum()


def along_without(features: np.ndarray, a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same of the groups' own points [|a|], [|b|], each measured on the line of all the others."""
    x = features.astype(np.float64)
    means = {0: x[a].mean(0), 1: x[b].mean(0)}
    shares = []
    for side, own in ((0, a), (1, b)):
        rest = (len(own) * means[side] - x[own]) / (len(own) - 1)  # [n, D]: the mean without each point
        start = rest if side == 0 else means[0]
        end = means[1] if side == 0 else rest
        way = end - start
        shares.append(((x[own] - start) * way).sum(1) / np.square(way).sum(1).clip(1e-300))
    return shares[0], shares[1]
