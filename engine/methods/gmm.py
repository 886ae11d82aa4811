"""Gaussian mixture by expectation-maximization (Dempster, Laird and Rubin 1977), by scikit-learn.

Candidates (covariances, regularization, components) are compared by cross-validation: a step fits one on four fifths of the training
images and scores it on the last fifth, until every image was held out once. Some pixels are black in nearly all images, and the few in
which they are not cost a narrow component hundreds of nats each: a tenth of the images may hold none of them. The best is then fitted on
all images, a few EM iterations a step, until the likelihood rises no more. The space of pixels is kept whole, so log p is a density of
images (dequantized: see `engine.bases.dequantized`), not of their projections.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from engine.bases.classical import ClassicalMethod
from engine.bases.dequantized import LEVELS, DequantizedDensity, dequantized, require_two, shuffled
from engine.common.counting import number_of
from engine.common.importing import IMPORTING
from engine.common.spacing import evenly
from engine.config import setting
from engine.losses import likelihoods
from engine.messages import Diagnosis, Number
from engine.method import CannotLearn, DataSpec, Description, StepContext

LADDER = (1, 2, 5, 10, 20, 50, 100, 200)  # components that are tried
# Added to the covariances' diagonals; a pixel's range is 1. At least the square of a grey level: a pixel that was the same in all training
# images may be a level brighter in the next.
VARIANCES = tuple((levels / LEVELS) ** 2 for levels in (1, 4, 16))
FOLDS = 5  # of the cross-validation
MOST_NUMBERS = 2**23  # of all full covariances together: 32 MB
SELECTED_ON = 2500  # training images that candidates are compared on
BUDGET = 2e11  # multiplications of a step: seconds on two cores, so that Stop is soon heeded
TOLERANCE = 1e-3  # nats per image that an EM iteration must bring, as in scikit-learn
REFITS = 50  # steps on all images at most
UNENDING = 1e300  # a tolerance that ends scikit-learn's loop after two iterations, without a warning that it has not converged
SHOWN = 100  # means as pictures
NOT_BEGUN, SELECTING, REFITTING, DONE = range(4)
DIAGONAL, FULL = 0, 1


@dataclass(frozen=True)
class Config(ClassicalMethod):
    components: int = setting(50, "Components, or, where they are selected, the most that are tried.", low=1, high=200, unit="components")
    covariance: str = setting(
        "selected",
        "Of a component: full (pixels depend on each other), diagonal (they do not), or what suits held-out training images better.",
        choices=("selected", "full", "diagonal"),
    )
    regularization: float = setting(
        0.0, "Variance added to every pixel, which keeps covariances invertible; 0: selected, or 0.001.", low=0.0, high=1.0
    )
    select: bool = setting(True, "Choose components, covariance and regularization by cross-validation on training images.")
    images: int = setting(10_000, "Most training images that are used.", low=2, high=1_000_000, unit="images", log=True)


@dataclass(frozen=True)
class Candidate:
    """What a mixture may be."""

    kind: int  # DIAGONAL | FULL
    variance: float
    components: int


class GMM(DequantizedDensity):
    """Mixture of Gaussians with full or diagonal covariances."""

    Config = Config
    title = "Gaussian mixture"
    source = "Dempster, Laird and Rubin, Maximum Likelihood from Incomplete Data via the EM Algorithm, J. R. Stat. Soc. B 39, 1977"
    summary = (
        "Each image comes from one of K normal distributions of all its pixels, fitted by expectation-maximization. How many, with full or "
        "diagonal covariances, is chosen by cross-validation: on training images that were held out meanwhile. log p is that of pixels "
        "with uniform noise added within their grey level (dequantization): on average a lower bound on log p of the 8-bit image."
    )
    formula = "p(v) = Σ<sub>k</sub> π<sub>k</sub> N(v; μ<sub>k</sub>, Σ<sub>k</sub>)"

    def __init__(self, config: Config, data: DataSpec) -> None:
        super().__init__(config, data)
        k, d = config.components, data.dims
        self.most_full = min(k, MOST_NUMBERS // d**2) if config.covariance != "diagonal" else 0
        self.candidates = self._candidates()
        self.register_buffer("weights", torch.empty(k))
        self.register_buffer("means", torch.empty(k, d))
        self.register_buffer("diagonals", torch.empty(k, d))  # 1/σ, of diagonal covariances
        self.register_buffer("factors", torch.empty(self.most_full, d, d))  # P, upper triangular, Σ⁻¹ = P Pᵀ, of full ones
        # NOT_BEGUN …; the candidate that is next; the one that stands in the buffers; the seed of the split; steps on all images; the fold
        # that is next
        self.register_buffer("state", torch.empty(6, dtype=torch.int64))
        self.register_buffer("tried", torch.empty(len(self.candidates), FOLDS, dtype=torch.bool))
        self.register_buffer("scores", torch.empty(len(self.candidates), FOLDS, dtype=torch.float64))  # held-out nats, of those tried
        self.register_buffer("likelihood", torch.empty((), dtype=torch.float64))  # nats per image, of the last refit
        self.weights: Tensor
        self.means: Tensor
        self.diagonals: Tensor
        self.factors: Tensor
        self.state: Tensor
        self.tried: Tensor
        self.scores: Tensor
        self.likelihood: Tensor

    def _candidates(self) -> list[Candidate]:
        """In the order in which they are tried: from few components to many, of each kind."""
        c: Config = self.config
        needed = self.config.components if not c.select else 1
        kinds = {"selected": (DIAGONAL, FULL), "full": (FULL,), "diagonal": (DIAGONAL,)}[c.covariance]
        kinds = tuple(kind for kind in kinds if kind == DIAGONAL or self.most_full >= needed)
        if not kinds:
            most = MOST_NUMBERS // self.data.dims**2
            fit = f"only {most}" if most else "not even one"
            raise CannotLearn(
                f"Of full covariances of {self.data.dims:,} pixel values {fit} fits the memory set aside; set covariance=diagonal"
                f"{' or fewer components' if most else ''}."
            )
        if not c.select:
            return [Candidate(kinds[-1], c.regularization or 1e-3, c.components)]
        variances = (c.regularization,) if c.regularization else VARIANCES
        return [
            Candidate(kind, variance, k)
            for kind in kinds
            for variance in variances
            for k in sorted({*(k for k in LADDER if k <= self._most(kind)), self._most(kind)})
        ]

    def _most(self, kind: int) -> int:
        return self.config.components if kind == DIAGONAL else self.most_full

    def reset(self, generator: torch.Generator) -> None:
        """One wide component around grey, before there are images."""
        self.weights.zero_()
        self.weights[0] = 1
        self.means.fill_(0.5)
        self.diagonals.fill_(1.0)
        self.factors.copy_(torch.eye(self.data.dims).expand_as(self.factors))
        for buffer in (self.state, self.tried, self.scores, self.likelihood):
            buffer.zero_()

    @property
    def finished(self) -> bool:
        """Whether the best candidate has converged on all images."""
        return int(self.state[0]) == DONE

    @property
    def kept(self) -> Candidate:
        """The candidate whose parameters stand in the buffers; before the first step one diagonal component."""
        return Candidate(DIAGONAL, 1.0, 1) if int(self.state[0]) == NOT_BEGUN else self.candidates[int(self.state[2])]

    # -- fitting ---------------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def fit_step(self, x: Tensor, y: Tensor | None, context: StepContext) -> dict[str, Tensor]:
        """Fit and score one candidate, or go on with the best on all images x [N, C, H, W]. The terms are of held-out training images
        while candidates are compared, and of all images that are used from then on.

        Raises: CannotLearn: fewer than two images, or no candidate can be fitted.
        """
        if int(self.state[0]) == NOT_BEGUN:
            require_two(len(x))
            self.state[3] = int(shuffled(2**24, context.generator)[0])  # one split, whatever noise the steps have
            self.state[0] = SELECTING
        fixed = torch.Generator().manual_seed(int(self.state[3]))
        order = shuffled(len(x), fixed)[: self.config.images]
        if int(self.state[0]) == SELECTING:
            rows = self._rows(x, order[:SELECTED_ON], fixed)
            held_out = np.arange(len(rows)) % min(FOLDS, len(rows)) == int(self.state[5])
            self._try(rows[~held_out], rows[held_out], int(self.state[3]))
            nats = self._score(int(self.state[2]))
        else:
            nats = self._refit(self._rows(x, order, fixed))
        return self.terms(nats + self.data.dims * math.log(LEVELS), x)

    def _rows(self, x: Tensor, which: Tensor, generator: torch.Generator) -> np.ndarray:
        return dequantized(x[which.to(x.device)].cpu(), generator).numpy()

    def _try(self, rows: np.ndarray, held_out: np.ndarray, seed: int) -> None:
        """Fit the next candidate on rows [n, D] and score it on `held_out` [m, D]; after its last fold keep it if it is the best so far.

        One that is worse than the best on each of its first two folds is left at that.
        """
        at, fold = int(self.state[1]), int(self.state[5])
        candidate, best = self.candidates[at], int(self.state[2])
        possible = candidate.components == 1 or 2 * candidate.components <= len(rows)
        mixture = _fitted(rows, candidate, seed, None) if possible and len(held_out) else None
        first = at == best or not bool(self.tried[best].any())  # of all that can be fitted
        if mixture is not None:
            self.tried[at, fold], self.scores[at, fold] = True, -float(mixture.score_samples(held_out).mean())
            lost = not first and fold == 1 and bool((self.scores[at, :2] > self.scores[best, :2]).all())
            folds = min(FOLDS, len(rows) + len(held_out)) if len(self.candidates) > 1 else 1
            over = lost or fold + 1 == folds
            if first or (over and not lost and self._score(at) < self._score(best)):
                self.state[2] = at
                self._take(mixture, candidate)
            if not over:
                self.state[5] = fold + 1
                return
        else:
            self.tried[at] = False
        self.state[1], self.state[5] = self._after(at), 0
        if int(self.state[1]) == len(self.candidates):
            if not bool(self.tried.any()):
                raise CannotLearn(
                    "No mixture could be fitted: its covariances have no inverse. Set a larger regularization, then start again."
                )
            self.state[0] = REFITTING
            self.likelihood.fill_(-UNENDING)

    def _score(self, at: int, beside: int | None = None) -> Tensor:
        """Mean held-out nats [] of a candidate; where another one is named, over the folds that both were tried on."""
        folds = self.tried[at] if beside is None else self.tried[at] & self.tried[beside]
        return self.scores[at][folds].sum() / folds.sum().clamp(min=1)

    def _after(self, at: int) -> int:
        """The next candidate: more components of the same kind only while they helped."""
        following = at + 1
        if at and self._is_ladder(at - 1, at) and not self._score(at, at - 1) < self._score(at - 1, at):
            while following < len(self.candidates) and self._is_ladder(at, following):
                following += 1
        return following

    def _is_ladder(self, a: int, b: int) -> bool:
        one, other = self.candidates[a], self.candidates[b]
        return (one.kind, one.variance) == (other.kind, other.variance)

    def _refit(self, rows: np.ndarray) -> Tensor:
        """EM iterations of the best candidate on rows [n, D]; -log p(v) in nats per image []."""
        candidate = self.kept
        k = candidate.components
        precisions = self.diagonals[:k].double().square()
        if candidate.kind == FULL:
            precisions = self.factors[:k].double() @ self.factors[:k].double().mT
        weights = self.weights[:k].double()
        start = {
            "weights_init": (weights / weights.sum()).cpu().numpy(),
            "means_init": self.means[:k].double().cpu().numpy(),
            "precisions_init": precisions.cpu().numpy(),
        }
        mixture = _fitted(rows, candidate, 0, start)
        self.state[4] += 1
        if mixture is None:  # it can go no further: what was selected stands
            self.state[0] = DONE
            return self._score(int(self.state[2]))
        self._take(mixture, candidate)
        found = float(mixture.lower_bound_)
        if found - float(self.likelihood) < TOLERANCE or int(self.state[4]) >= REFITS:
            self.state[0] = DONE
        self.likelihood.fill_(found)
        return torch.tensor(-found, dtype=torch.float64)

    def _take(self, mixture: Any, candidate: Candidate) -> None:
        k = candidate.components
        self.weights.zero_()
        self.weights[:k] = torch.from_numpy(mixture.weights_).to(self.weights)
        self.means[:k] = torch.from_numpy(mixture.means_).to(self.means)
        factors = self.diagonals if candidate.kind == DIAGONAL else self.factors
        factors[:k] = torch.from_numpy(mixture.precisions_cholesky_).to(factors)

    # -- what it can do --------------------------------------------------------------------------------------------------

    def log_density(self, v: Tensor) -> Tensor:
        """log p(v) in nats [B] of dequantized pixels, float64 [B, D]."""
        return self._log_joint(v).logsumexp(1)

    def _log_joint(self, v: Tensor) -> Tensor:
        """log π_k + log N(v; μ_k, Σ_k), float64 [B, K]."""
        k = self.kept.components
        weights, means = self.weights[:k].double(), self.means[:k].double()
        if self.kept.kind == DIAGONAL:
            roots = self.diagonals[:k].double()
            precisions = roots.square()
            squared = v.square() @ precisions.T - 2 * v @ (means * precisions).T + (means.square() * precisions).sum(1)  # [B, K]
            log_root = roots.log().sum(1)
        else:
            factors = self.factors[:k].double()
            squared = torch.stack([((v - mean) @ factor).square().sum(1) for mean, factor in zip(means, factors, strict=True)], dim=1)
            log_root = factors.diagonal(dim1=1, dim2=2).log().sum(1)
        weights = (weights / weights.sum()).clamp(min=1e-300)
        return weights.log() + log_root - 0.5 * (squared + self.data.dims * math.log(2 * math.pi))

    def draw(self, n: int, temperature: float, generator: torch.Generator | None) -> Tensor:
        """A component for each sample, and its noise times `temperature`: float64 [n, D]."""
        k, device = self.kept.components, self.weights.device
        own = likelihoods.sample_generators(n, generator)
        u = likelihoods.uniform(torch.empty(n, dtype=torch.float64, device=device), own)
        noise = likelihoods.normal(torch.empty(n, self.data.dims, dtype=torch.float64, device=device), 1, own)[:, 0]
        shares = self.weights[:k].double().cumsum(0)
        which = torch.searchsorted(shares / shares[-1], u).clamp(max=k - 1)
        if self.kept.kind == DIAGONAL:
            moved = noise / self.diagonals[which].double()
        else:
            moved = torch.empty_like(noise)
            for component in which.unique().tolist():
                mine = which == component
                factor = self.factors[component].double()
                moved[mine] = torch.linalg.solve_triangular(factor.T, noise[mine].T, upper=False).T  # Pᵀ e = noise
        return self.means[which].double() + temperature * moved

    @torch.no_grad()
    def describe(self, x: Tensor, generator: torch.Generator) -> Description:
        """What was selected, the score of held-out images x [N, C, H, W], and the components' means as pictures."""
        stage = int(self.state[0])
        if stage == NOT_BEGUN:
            return Description(diagnosis=(Diagnosis("warning", "It has not begun: the first step fits the first mixture."),))
        x = x[torch.from_numpy(evenly(len(x), 128)).to(x.device)]
        joint = self._log_joint(dequantized(x, likelihoods.image_generators(x, 0)))
        nats = -joint.logsumexp(1).mean().item() + self.data.dims * math.log(LEVELS)
        used = joint.softmax(1).mean(0)
        kept = self.kept
        effective = float((-(used * used.clamp(min=1e-300).log()).sum()).exp())
        numbers = (
            Number("components", kept.components, "", 0, "Of the mixture that stands now."),
            Number("regularization", kept.variance, "", 6, "Variance added to every pixel; its range is 1."),
            Number(
                "−log p(x)",
                nats,
                "nat",
                1,
                f"Of {number_of(len(x), 'held-out image')}, each with its own fixed uniform noise within its grey levels.",
            ),
            Number(
                "−log p(x), bits/dim",
                self.bits_per_dim(nats),
                "bits/dim",
                3,
                "An upper bound on the code length; 8 is uniform noise. The nats above / (D ln 2).",
            ),
            Number("components in use", effective, f"of {kept.components}", 1, "exp of the entropy of their shares of these images."),
        )
        weights = self.weights[: kept.components]
        order = weights.argsort(descending=True)[:SHOWN]
        pictures = self.means[order].clamp(0, 1).unflatten(1, self.data.shape)
        captions = tuple(f"mean {i}: {100 * float(weights[at]):.1f} % of the images" for i, at in enumerate(order.tolist(), 1))
        return Description(numbers, (self._diagnosis(stage, kept),), pictures=pictures, captions=captions)

    def _diagnosis(self, stage: int, kept: Candidate) -> Diagnosis:
        what = number_of(kept.components, f"{'full' if kept.kind == FULL else 'diagonal'} component")
        if stage == SELECTING:
            tried = int(self.tried.any(1).sum())
            return Diagnosis("muted", f"{tried} mixtures were tried on training images held out meanwhile; the best so far: {what}.")
        if stage == REFITTING:
            return Diagnosis("muted", f"Selected: {what}. It is now fitted on all training images that are used.")
        if self.config.select and kept.components == self._most(kept.kind) > 1:
            return Diagnosis("warning", f"Selected: {what}, the most that may be: more may fit better.")
        return Diagnosis("good", f"Converged with {what}.")


def _fitted(rows: np.ndarray, candidate: Candidate, seed: int, start: dict[str, np.ndarray] | None) -> Any:
    """scikit-learn's mixture after EM on rows [n, D], from k-means or from `start`, until it converges or the step's budget is spent.

    None: a covariance has no inverse.
    """
    with IMPORTING:
        from sklearn.mixture import GaussianMixture

    kind = "full" if candidate.kind == FULL else "diag"
    cost = 3.0 * rows.size * candidate.components * (rows.shape[1] if candidate.kind == FULL else 4)  # of two iterations and a look
    given: Any = {"warm_start": True, "max_iter": 2, "tol": UNENDING, "random_state": seed, **(start or {})}
    mixture = GaussianMixture(candidate.components, covariance_type=kind, reg_covar=candidate.variance, **given)
    before = -math.inf
    for _ in range(max(1, min(50, int(BUDGET / cost)))):
        try:
            mixture.fit(rows)
        except ValueError:  # of ill-defined covariances
            return None
        if mixture.lower_bound_ - before < TOLERANCE:
            break
        before = mixture.lower_bound_
    return mixture
