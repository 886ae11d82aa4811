"""What features are worth for telling classes apart: a vote of nearest neighbours and a linear probe. Tensors in, numbers out.

No run, no file, no lane: those are in `queries/probing.py`.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from engine.common.pixels import to_float
from engine.detectors.base import FEATURES_AT_ONCE
from engine.method import DataSpec, Method, build
from engine.protocols import BlockEncoder, provides

NEIGHBOURS = 200  # that vote (Wu et al. 2018, section 3.4)
TEMPERATURE = 0.1  # of their votes; in the paper 0.07
C = 1.0  # how little large weights cost, as scikit-learn names and sets it; never tuned
CONVERGED = 1e-6  # length of the gradient with respect to W and b at which the fit ends
MOST_ITERATIONS = 1000
MEMORY = 20  # steps that the curvature is estimated from
MOST_TRIALS = 25  # of a step's length along its direction
IMAGES_AT_ONCE = FEATURES_AT_ONCE  # through the encoder
QUERIES_AT_ONCE = 100


# ---------------------------------------------------------------------------------------------------------------------
# Features
# ---------------------------------------------------------------------------------------------------------------------


def features_of(method: Any, images: np.ndarray, blocks: bool = False) -> Generator[int, None, dict[str, Tensor]]:
    """Features of uint8 images [N, C, H, W], each float32 [N, F]: of the encoder under "", and by name after each of its blocks.

    Eval mode, no gradients, no augmentation. Yields how many are done.
    """
    parts: dict[str, list[Tensor]] = {}
    size = min(IMAGES_AT_ONCE, method.valid_slice)
    for start in range(0, len(images), size):
        x = to_float(torch.from_numpy(np.array(images[start : start + size])))
        for name, values in _looked_at(method, x, blocks).items():
            parts.setdefault(name, []).append(values.flatten(1).float())
        yield start + len(x)
    return {name: torch.cat(values) for name, values in parts.items()}


@torch.no_grad()
def _looked_at(method: Any, x: Tensor, blocks: bool) -> dict[str, Tensor]:
    assert not method.training
    return {"": method.encode(x), **(method.blocks(x) if blocks and provides(method, BlockEncoder) else {})}


def untrained(kind: type[Method], config: Any, data: DataSpec, seed: int, images: np.ndarray) -> Method:
    """The same method as it was before its first step, ready to encode: what step 0 of the run holds.

    Batch norm then normalizes nothing (mean 0, variance 1). With the statistics of training images in place of that, SimCLR's ResNet
    gave CIFAR-10's linear probe 24 % in place of 33 %, and kNN 25 % in place of 23 %. The first is kept, harder for the linear probe.

    Args:
        images: some of the training split, uint8 [N, C, H, W], for methods that look at them once.
    """
    method = build(kind, config, data, seed)
    with torch.no_grad():
        method.init_from_data(to_float(torch.from_numpy(np.array(images))))
    return method.requires_grad_(False).eval()


# ---------------------------------------------------------------------------------------------------------------------
# Nearest neighbours
# ---------------------------------------------------------------------------------------------------------------------


def knn(
    bank: Tensor,
    labels: Tensor,
    queries: Tensor,
    classes: int,
    k: int = NEIGHBOURS,
    temperature: float = TEMPERATURE,
    own: Tensor | None = None,
) -> Generator[int, None, Tensor]:
    """The classes [M] that the k nearest of the bank's features vote for: each with exp(cosine / temperature) (Wu et al. 2018).

    Args:
        bank: features [N, D] of known images, whose classes are `labels` [N].
        queries: features [M, D].
        own: rows of the bank [M] that are the queries themselves, and have no vote about themselves.
    """
    bank, queries = F.normalize(bank.float(), dim=1), F.normalize(queries.float(), dim=1)
    found = []
    for start in range(0, len(queries), QUERIES_AT_ONCE):
        some = queries[start : start + QUERIES_AT_ONCE]
        mine = None if own is None else own[start : start + len(some)]
        found.append(votes(bank, labels, some, classes, k, temperature, mine).argmax(1))
        yield start + len(some)
    return torch.cat(found)


def votes(
    bank: Tensor,
    labels: Tensor,
    queries: Tensor,
    classes: int,
    k: int = NEIGHBOURS,
    temperature: float = TEMPERATURE,
    own: Tensor | None = None,
) -> Tensor:
    """What each class [M, K] is voted for by the k nearest of the bank: Σ exp((cosine - 1) / temperature). As `knn`, of unit features."""
    k = min(k, len(bank) - (own is not None))
    cosines = queries @ bank.T
    if own is not None:
        cosines[torch.arange(len(queries)), own] = -math.inf
    near, places = cosines.topk(k, dim=1, sorted=False)
    weights = ((near - 1) / temperature).exp()  # exp(-1 / temperature) is common to all
    return torch.zeros(len(queries), classes).scatter_add_(1, labels[places], weights)


@dataclass(frozen=True)
class Neighbours:
    """A vote of nearest neighbours as a classifier: p(y|x) = (votes of y + v / K) / (all votes + v), where v is the mean vote.

    The one vote that is spread evenly keeps every class possible, so that the log loss is finite; the likeliest class is that of `knn`.
    """

    bank: Tensor  # unit features [N, D]
    labels: Tensor  # int64 [N]
    classes: int

    def log_p(self, features: Tensor, own: Tensor | None = None) -> Tensor:
        """log p(y|x) float64 [M, K] of features [M, D]; `own` as for `knn`. All classes alike where nobody is left to vote."""
        given = votes(self.bank, self.labels, F.normalize(features.float(), dim=1), self.classes, own=own).double()
        total = given.sum(1, keepdim=True)
        voters = min(NEIGHBOURS, len(self.bank) - (own is not None))
        mean = total / voters if voters else torch.ones_like(total)
        return ((given + mean / self.classes) / (total + mean)).log()


# ---------------------------------------------------------------------------------------------------------------------
# The linear probe
# ---------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Linear:
    """Logits = W (f - mean) / scale + b: mean and scale are those of the training features; a feature that never changes counts nothing."""

    weight: Tensor  # [K, D]
    bias: Tensor  # [K]
    mean: Tensor  # [D]
    scale: Tensor  # [D]

    def logits(self, features: Tensor) -> Tensor:
        """Logits float64 [N, K] of features [N, D] that have not been standardized."""
        weight = self.weight / self.scale
        return features.double() @ weight.T + (self.bias - weight @ self.mean)

    def right(self, features: Tensor, labels: Tensor) -> np.ndarray:
        """1 for each of the features [N, D] whose class it finds, else 0; float64 [N]."""
        return (self.logits(features).argmax(1) == labels).double().numpy()


@dataclass(frozen=True)
class Fitted:
    """Where the fit stands after an iteration."""

    iteration: int
    loss: float  # nats: mean cross-entropy and penalty
    gradient: float  # length of the gradient with respect to W and b
    linear: Linear
    converged: bool = False


def fit(features: Tensor, labels: Tensor, classes: int, c: float = C) -> Iterator[Fitted]:
    """Multinomial logistic regression on standardized features: min over W, b of mean −log softmax(W z + b)_y + |W|² / (2 c N).

    Convex, so where it converges is where every solver does. L-BFGS (Nocedal 1980) in float64, along the features' principal axes, each
    scaled so that the first steps are about Newton's: a few dozen iterations in place of hundreds.

    Args:
        features: [N, D], labels: int64 [N].
    """
    axes = _Axes(features, classes, 1 / (c * len(features)))
    targets = F.one_hot(labels, classes).double()
    u = torch.zeros(classes, axes.rows.shape[1], dtype=torch.float64)
    # An iteration a step, ended by our own measure of the gradient, in the units of W and b.
    lbfgs = torch.optim.LBFGS(
        [u], max_iter=1, max_eval=MOST_TRIALS, history_size=MEMORY, tolerance_grad=0, tolerance_change=0, line_search_fn="strong_wolfe"
    )
    place, loss = torch.full_like(u, torch.nan), u.new_empty(())  # where the objective was computed last

    def closure() -> Tensor:
        nonlocal place, loss
        if not torch.equal(u, place):  # the solver asks anew for what its line search has just seen
            place = u.clone()
            loss, u.grad = axes.objective(u, targets)
        return loss

    for iteration in range(MOST_ITERATIONS + 1):
        value, before = closure().item(), u.clone()
        assert u.grad is not None
        length = axes.length(u.grad)
        done = length <= CONVERGED or iteration == MOST_ITERATIONS
        yield Fitted(iteration, value, length, axes.linear(u), length <= CONVERGED)
        if done:
            return
        lbfgs.step(closure)  # type: ignore[arg-type]
        if torch.equal(u, before):  # float64 sees no way down any more
            return


class _Axes:
    """Standardized features along their principal axes. Axis i with variance e_i is scaled by s_i = (e_i / K + penalty)^(-1/2): at W = 0
    the objective's curvature is then about 1 in all directions. W = U diag(s) Vᵀ, and the last column is for the bias."""

    def __init__(self, features: Tensor, classes: int, penalty: float) -> None:
        x = features.double()
        self.mean = x.mean(0)
        deviation = x.std(0, correction=0)
        self.scale = torch.where(deviation > 1e-7 * self.mean.abs(), deviation, torch.inf)  # else it varies by float32's rounding at most
        x = (x - self.mean) / self.scale  # [N, D]
        n = len(x)
        if n >= x.shape[1]:
            variance, self.axes = torch.linalg.eigh(x.T @ x / n)  # [D], [D, D]
            along = x @ self.axes
        else:  # fewer images than features: the solution lies in the span of the images
            variance, sides = torch.linalg.eigh(x @ x.T / n)
            used = variance > 1e-12 * variance[-1].clamp(min=1e-30)
            variance, sides = variance[used], sides[:, used]
            along = sides * (n * variance).sqrt()
            self.axes = x.T @ (sides / (n * variance).sqrt())
        self.sizes = (variance.clamp(min=0) / classes + penalty).rsqrt()
        self.of_bias = math.sqrt(classes)
        self.rows = torch.cat([along * self.sizes, torch.full((n, 1), self.of_bias, dtype=x.dtype)], 1)
        self.penalties = torch.cat([penalty * self.sizes.square(), torch.zeros(1, dtype=x.dtype)])

    def objective(self, u: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """The loss [] at u [K, D + 1], and its gradient [K, D + 1]."""
        log_p = F.log_softmax(self.rows @ u.T, 1)
        loss = -(log_p * targets).sum(1).mean() + (self.penalties * u.square()).sum() / 2
        return loss, (log_p.exp() - targets).T @ self.rows / len(targets) + self.penalties * u

    def length(self, gradient: Tensor) -> float:
        """Of the gradient with respect to W and b."""
        return torch.cat([gradient[:, :-1] / self.sizes, gradient[:, -1:] / self.of_bias], 1).norm().item()

    def linear(self, u: Tensor) -> Linear:
        return Linear((u[:, :-1] * self.sizes) @ self.axes.T, u[:, -1] * self.of_bias, self.mean, self.scale)
