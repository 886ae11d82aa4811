"""The likelihood of a diffusion model: the density of its probability-flow ODE."""

from __future__ import annotations

from torch import Tensor

from engine.detectors.base import Detector, ImageBatch, ScoredModel
from engine.detectors.likelihood import bits
from engine.protocols import ProbabilityFlow


class OdeLikelihood(Detector):
    """Log-likelihood by the probability-flow ODE (Song et al. 2021)."""

    name = "ode_likelihood"
    title = "ODE likelihood"
    density = "bound"
    unit = "bits/dim"
    score_unit = "nat"
    source = "Song et al., Score-Based Generative Modeling through Stochastic Differential Equations, 2021 (arXiv 2011.13456), section 4.3"
    help = (
        "−log p(x): the image is followed along the probability-flow ODE until it is noise, and the divergence on the way is added up. "
        "A solver of finitely many steps is a little off, with twice as many at least 16 times less; that of 16 steps, compared with 8, "
        "is off by about 0.001 bits/dim. The divergence is estimated by one random direction at each step (Hutchinson), so a score has a "
        "standard error of a nat or a few. ± is both errors of this image together. "
        "A lower bound on average, as each grey value is spread over its bin by one random number (dequantization, Theis et al. 2016): "
        "how much another draw would change it is not in the ±."
    )
    place = 1

    @classmethod
    def suits(cls, subject: ScoredModel) -> bool:
        """Whether the model has a probability flow."""
        return subject.has_density and subject.can(ProbabilityFlow)

    def score(self, look: ImageBatch) -> Tensor:
        """-log p(x), nats [B]."""
        return -look.log_p

    def error(self, look: ImageBatch) -> Tensor | None:
        """Of the solver (Richardson) and of the random directions together, nats [B]."""
        return look.log_p_error

    def value(self, score: float) -> float:
        """Bits per dimension, from a score in nats."""
        return bits(self.method, score)
