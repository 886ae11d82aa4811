"""Gaussian discriminant analysis: p(x|y) is a normal distribution of each class's pixels; Bayes' rule makes it a classifier.

With one covariance for all classes the posterior's logits are linear in x (Fisher 1936: LDA), with one for each they are quadratic
(QDA). One step does it all, in closed form. Covariances are shrunk towards a multiple of the identity, as in Ledoit and Wolf 2004.
Densities are of pixels in [0, 1]; bits per dimension add 8, as for every continuous density.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from engine.bases.classical import ClassicalMethod
from engine.common.counting import number_of
from engine.config import setting
from engine.losses import likelihoods
from engine.messages import Diagnosis, Number
from engine.method import CannotLearn, DataSpec, Description, Frame, Method, StepContext

MOST_NUMBERS = 2**25  # in all covariances together: 256 MB in a checkpoint
SMALLEST_VARIANCE = 1 / (12 * 255**2)  # of a pixel: what rounding to 256 values leaves unknown
SINGULAR = 1e-11  # smallest variance of a direction, given those before it, as a share of the mean variance


@dataclass(frozen=True)
class Config(ClassicalMethod):
    covariance: str = setting(
        "shared",
        "One covariance for all classes (linear discriminant analysis), or one for each class (quadratic).",
        choices=("shared", "own"),
    )
    shrinkage: float = setting(
        0.1,
        "Share of the covariance that is replaced by equal variances of all pixels: 0 is maximum likelihood, which needs many images.",
        low=0.0,
        high=1.0,
    )


class DoublePrecision(nn.Module):
    """A float64 tensor kept as the sum of two float32 ones, because some devices know no float64."""

    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.register_buffer("high", torch.empty(shape))
        self.register_buffer("low", torch.empty(shape))
        self.high: Tensor
        self.low: Tensor

    def reset(self, generator: torch.Generator) -> None:
        """Set it to zero."""
        self.high.zero_()
        self.low.zero_()

    def set(self, value: Tensor) -> None:
        """Take over a float64 tensor of the same shape."""
        high = value.to(torch.float32)
        self.high.copy_(high)
        self.low.copy_((value - high.double()).to(torch.float32))

    def get(self, device: torch.device) -> Tensor:
        """The float64 tensor on `device`."""
        return self.high.to(device).double() + self.low.to(device).double()


class DiscriminantAnalysis(Method):
    """A Gaussian density of the pixels of each class."""

    Config = Config
    title = "Discriminant analysis"
    family = "Conditional P(x|y)"
    density = "exact"
    sampling = "direct"
    conditional = True
    wants_labels = True
    needs = "classes"
    judged_from = 0
    full_batch = True
    source = "Fisher, The Use of Multiple Measurements in Taxonomic Problems, Annals of Eugenics 7, 1936; Ledoit and Wolf, 2004"
    summary = (
        "Each class is a normal distribution of pixels: a mean image and a covariance, one for all classes (LDA) or one for each (QDA). "
        "Nothing is learned by gradients, and log p(x|y) is exact; Bayes’ rule turns it into the posterior p(y|x). "
        "The density is of pixel values from 0 to 1 and may be above one, so its bits can be below zero."
    )
    formula = "p(x|y) = N(x; μ<sub>y</sub>, Σ<sub>y</sub>), &nbsp; p(y|x) ∝ p(x|y) p(y)"
    headline = ("bits_per_dim", "bits/dim", False)
    units: ClassVar = {"loss": "nat", "bits_per_dim": "bits/dim"}

    def __init__(self, config: Config, data: DataSpec) -> None:
        super().__init__(config, data)
        classes, dims = len(data.classes), data.dims
        if not classes:
            raise CannotLearn("Discriminant analysis learns p(x|y), and these images have no classes; choose data with classes.")
        groups = classes if config.covariance == "own" else 1
        if groups * dims**2 > MOST_NUMBERS:
            raise CannotLearn(
                f"{number_of(groups, 'covariance')} of {dims} pixel values would not fit the memory; choose "
                + ("one shared by all classes." if dims**2 <= MOST_NUMBERS else "smaller images.")
            )
        self.means = DoublePrecision(classes, dims)
        self.factors = DoublePrecision(groups, dims, dims)  # lower triangular L, Σ = L Lᵀ; zero before the first step
        self.register_buffer("counts", torch.empty(classes))  # training images of each class
        self.counts: Tensor

    def reset(self, generator: torch.Generator) -> None:
        """Nothing has been seen: every class is N(1/2, I)."""
        self.counts.zero_()

    @property
    def finished(self) -> bool:
        """Whether the covariances were computed."""
        return bool(self.counts.sum() > 0)

    # -----------------------------------------------------------------------------------------------------------------
    # Training
    # -----------------------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def fit_step(self, x: Tensor, y: Tensor | None, context: StepContext) -> dict[str, Tensor]:
        """Means and covariances of images x [N, C, H, W] of classes y int64 [N]; then the terms of `loss`.

        Covariances are those of maximum likelihood, the shared one the mean of the classes' own by their shares. A class with fewer than
        two images takes the shared one.

        Raises: CannotLearn: no labels, or a covariance that is singular.
        """
        if y is None:
            raise CannotLearn("Discriminant analysis learns from images with classes, and these have none; choose data with classes.")
        rows, labels = x.flatten(1).cpu(), y.cpu()
        counts = labels.bincount(minlength=len(self.counts)).double()
        means = rows.double().mean(0).expand(len(counts), -1).clone()
        scatters = means.new_zeros(len(counts) if self.config.covariance == "own" else 1, rows.shape[1], rows.shape[1])
        pooled = means.new_zeros(rows.shape[1], rows.shape[1])
        for label in range(len(counts)):
            own = rows[labels == label].double()
            if not len(own):
                continue
            means[label] = own.mean(0)
            centred = own - means[label]
            scatter = centred.T @ centred
            pooled += scatter / len(rows)
            if self.config.covariance == "own" and len(own) > 1:
                scatters[label] = scatter / len(own)
        for group in range(len(scatters)):
            if self.config.covariance == "shared" or counts[group] < 2:
                scatters[group] = pooled
        self.factors.set(torch.stack([self._factor(covariance, len(rows)) for covariance in scatters]))
        self.means.set(means)
        self.counts.copy_(counts)
        return self.loss(x, y, context)

    def _factor(self, covariance: Tensor, images: int) -> Tensor:
        """The Cholesky factor of a covariance [D, D] after shrinkage. Raises: CannotLearn: it is singular."""
        share, dims = self.config.shrinkage, len(covariance)
        level = max(covariance.trace().item() / dims, SMALLEST_VARIANCE)
        shrunk = (1 - share) * covariance + share * level * torch.eye(dims, dtype=covariance.dtype)
        factor, failed = torch.linalg.cholesky_ex(shrunk)
        if failed or factor.diagonal().min() ** 2 < SINGULAR * level:
            raise CannotLearn(
                f"The covariance of {dims} pixel values in {number_of(images, 'image')} is singular (some pixels never vary, or there are "
                "too few images); choose a larger shrinkage."
            )
        return factor

    def loss(self, x: Tensor, y: Tensor | None, context: StepContext) -> dict[str, Tensor]:
        """`loss`: nats of -log p(x|y). `bits_per_dim`: the same on the scale of 8-bit images. `accuracy`: of Bayes' rule, with the
        classes' shares of the training images as prior. x [B, C, H, W], y int64 [B] -> scalars []. Raises: CannotLearn: no labels.
        """
        if y is None:
            raise CannotLearn("Discriminant analysis learns from images with classes, and these have none; choose data with classes.")
        given = self.log_p_given(x)
        nats = -given.gather(1, y.to(given.device)[:, None]).mean()
        right = (given + self.log_prior(given.device)).argmax(1) == y.to(given.device)
        bits = nats / (self.data.dims * math.log(2)) + 8.0
        terms = {"loss": nats, "bits_per_dim": bits, "accuracy": right.double().mean()}
        return {name: value.to(x.device, torch.float32) for name, value in terms.items()}

    def headline_words(self, terms: dict[str, float]) -> str:
        """The density of p(x|y), and how often Bayes' rule is right."""
        return f"{100 * terms['accuracy']:.1f} % by Bayes’ rule, {terms['bits_per_dim']:.2f} bits/dim given y"

    # -----------------------------------------------------------------------------------------------------------------
    # What it can do
    # -----------------------------------------------------------------------------------------------------------------

    @staticmethod
    def _where(device: torch.device) -> torch.device:
        """Where float64 is known."""
        return torch.device("cpu") if device.type == "mps" else device

    def log_prior(self, device: torch.device) -> Tensor:
        """log of each class's share of the training images [K], one image more of each counted; float64."""
        counts = self.counts.to(device).double() + 1
        return (counts / counts.sum()).log()

    @torch.no_grad()
    def log_p_given(self, x: Tensor) -> Tensor:
        """log p(x|y) of images [B, C, H, W] for every class: float64 nats [B, K]."""
        device = self._where(x.device)
        rows = x.to(device).flatten(1).double()
        if not self.finished:
            far = (rows - 0.5).square().sum(1, keepdim=True).expand(-1, len(self.counts))
            return -0.5 * far - 0.5 * rows.shape[1] * likelihoods.LOG_2PI
        means, factors = self.means.get(device), self.factors.get(device)
        given = []
        for label, mean in enumerate(means):
            factor = factors[label if len(factors) > 1 else 0]
            white = torch.linalg.solve_triangular(factor, (rows - mean).T, upper=False)  # [D, B]
            given.append(-0.5 * white.square().sum(0) - factor.diagonal().log().sum() - 0.5 * rows.shape[1] * likelihoods.LOG_2PI)
        return torch.stack(given, 1)

    def log_prob(self, x: Tensor, y: Tensor | None = None, generator: torch.Generator | None = None) -> Tensor:
        """log p(x|y) in nats [B], exact, a density per unit of x; without y of p(x), all classes equally likely."""
        given = self.log_p_given(x)
        if y is None:
            return given.logsumexp(1) - math.log(given.shape[1])
        return given.gather(1, y.to(given.device).long()[:, None])[:, 0]

    def bits_per_dim(self, nats: float) -> float:
        """Of -log p(x) = `nats` per image, 8 bits added; see `likelihoods.bits_per_dim`."""
        return likelihoods.bits_per_dim(nats, self.data.dims, continuous=True)

    @torch.no_grad()
    def sample(
        self, n: int, y: Tensor | None = None, temperature: float = 1.0, generator: torch.Generator | None = None
    ) -> Iterator[Frame]:
        """Images [n, C, H, W] of x ~ N(μ_y, temperature² Σ_y), cut to [0, 1], in one frame; without y, classes are drawn."""
        here = self.counts.device
        own, device = likelihoods.sample_generators(n, generator), self._where(here)
        noise = likelihoods.normal(torch.empty(n, self.data.dims, dtype=torch.float64, device=device), 1, own)[:, 0]
        if y is None:
            y = likelihoods.integers(len(self.counts), n, own, device)
        labels, factors = y.to(device), self.factors.get(device)
        drawn = self.means.get(device)[labels] if self.finished else torch.full_like(noise, 0.5)
        if not self.finished:
            drawn = drawn + temperature * noise
        elif len(factors) == 1:
            drawn = drawn + temperature * noise @ factors[0].T
        else:
            for label in labels.unique().tolist():
                drawn[labels == label] += temperature * noise[labels == label] @ factors[label].T
        yield Frame(drawn.clamp(0, 1).to(here, torch.float32).unflatten(1, self.data.shape), 1, 1)

    @torch.no_grad()
    def describe(self, x: Tensor, generator: torch.Generator, y: Tensor | None = None) -> Description:
        """Densities of held-out images x [N, C, H, W] and, with labels y int64 [N], how often Bayes' rule is right; the mean images."""
        nats = -self.log_prob(x, None if y is None else y).mean().item()
        what = "−log p(x)" if y is None else "−log p(x|y)"
        numbers = [
            Number(what, nats, "nat", 1, "Exact, of the density of pixels from 0 to 1; it can be below zero."),
            Number(
                f"{what}, bits/dim",
                self.bits_per_dim(nats),
                "bits/dim",
                3,
                "The nats above / (D ln 2) + 8: the pixels from 0 to 1 have 256 values. Compare it with densities only.",
            ),
        ]
        if y is not None:
            accuracy = self.loss(x, y, StepContext())["accuracy"].item()
            numbers.append(
                Number("Bayes accuracy", 100 * accuracy, "%", 1, f"Of {number_of(len(x), 'held-out image')}, by p(y|x) ∝ p(x|y) p(y).")
            )
        if not self.finished:
            return Description(tuple(numbers), (Diagnosis("warning", "It has not begun: the first step finds means and covariances."),))
        dims, fewest = self.data.dims, int(self.counts.min() if self.config.covariance == "own" else self.counts.sum())
        of = "the smallest class" if self.config.covariance == "own" else "all classes"
        told = f"{number_of(fewest, 'image')} of {of} for a covariance of {dims:,} pixel values"
        if fewest <= dims:
            words = Diagnosis("warning", f"{told}: without the shrinkage it would be singular.")
        else:
            words = Diagnosis("good", f"{told}.")
        pictures = self.means.get(self._where(self.counts.device)).clamp(0, 1).float().unflatten(1, self.data.shape)
        return Description(tuple(numbers), (words,), pictures=pictures, captions=tuple(f"mean of {name}" for name in self.data.classes))
