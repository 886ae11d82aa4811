"""The density itself: exact, that of dequantized pixels, or the bounds from below of a latent variable model."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from engine.detectors.base import Detector, ImageBatch, ScoredModel
from engine.protocols import DequantizedPixels, ImportanceWeighted, ProbabilityFlow

DEQUANTIZED = (
    "Here a lower bound on average: each grey value is spread over its bin by one random number (dequantization, Theis et al. 2016)."
)


def bits(method: Any, nats: float) -> float:
    """-log p in nats as bits per dimension (a continuous density is moved to the 8-bit scale)."""
    return float(method.bits_per_dim(nats))


class LogLikelihood(Detector):
    """log p(x), or that of dequantized pixels."""

    name = "log_likelihood"
    title = "log-likelihood"
    density = "exact or bound"
    unit = "bits/dim"
    score_unit = "nat"
    source = "Bishop, Novelty detection and neural network validation, 1994; Nalisnick et al. 2019 (arXiv 1810.09136) on when it fails"
    help = (
        "−log p(x), the length of the image's ideal code under the model. "
        "Simple images have short codes whatever the model was trained on, so it can prefer strangers to its own data."
    )
    place = 1

    @classmethod
    def suits(cls, subject: ScoredModel) -> bool:
        """Whether the model's density is exact, or is that of dequantized pixels."""
        return subject.has_density and (subject.method.density == "exact" or subject.can(DequantizedPixels))

    def about(self) -> str:
        """The explanation, and why it is a bound where it is one."""
        return f"{self.help} {DEQUANTIZED}" if self.method.density == "bound" else self.help

    def score(self, look: ImageBatch) -> Tensor:
        """-log p(x), nats [B]."""
        return -look.log_p

    def value(self, score: float) -> float:
        """Bits per dimension (or per image of binary pixels), from a score in nats."""
        return bits(self.method, score)


class Elbo(Detector):
    """The evidence lower bound (Kingma and Welling 2014)."""

    name = "elbo"
    title = "ELBO"
    density = "bound"
    unit = "nat"
    source = "Kingma and Welling, Auto-Encoding Variational Bayes, 2014 (arXiv 1312.6114)"
    help = "A lower bound on log p(x): how well the image is reconstructed from its code, less what the code itself costs."
    place = 2
    direction = "lower"

    @classmethod
    def suits(cls, subject: ScoredModel) -> bool:
        """Whether the model's density is bounded through a latent variable, not through dequantization alone."""
        return (
            subject.has_density
            and subject.method.density == "bound"
            and not subject.can(DequantizedPixels)
            and not subject.can(ProbabilityFlow)
        )

    def settings(self) -> dict[str, Any]:
        """What the scores depend on, for the files of kept scores."""
        return {"samples": self.subject.samples} if self.subject.can(ImportanceWeighted) else {}

    def score(self, look: ImageBatch) -> Tensor:
        """-ELBO, nats [B]."""
        return -look.elbo

    def value(self, score: float) -> float:
        """The ELBO in nats, from a score."""
        return -score


class Iwae(Detector):
    """The importance-weighted bound with K samples (Burda et al. 2016)."""

    name = "iwae"
    title = "importance-weighted bound"
    density = "bound"
    unit = "nat"
    source = "Burda et al., Importance Weighted Autoencoders, 2016 (arXiv 1509.00519), eq. 8"
    help = "A closer bound on log p(x): the average of K importance weights instead of the average of their logarithms."
    place = 3
    direction = "lower"

    @classmethod
    def suits(cls, subject: ScoredModel) -> bool:
        """Whether the model has a density and gives importance weights."""
        return subject.has_density and subject.can(ImportanceWeighted)

    def settings(self) -> dict[str, Any]:
        """What the scores depend on, for the files of kept scores."""
        return {"samples": self.subject.samples}

    def about(self) -> str:
        """The explanation, with the K in use."""
        return f"{self.help} Here K = {self.subject.samples}."

    def score(self, look: ImageBatch) -> Tensor:
        """Minus the importance-weighted bound, nats [B]."""
        return -look.log_p

    def value(self, score: float) -> float:
        """The bound in nats, from a score."""
        return -score
