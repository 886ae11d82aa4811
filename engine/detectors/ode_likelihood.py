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
        "A solver of finitely many steps is a little off: with twice the steps at least 16 times less. The divergence is estimated by one "
        "random direction at each step (Hutchinson), so a score has a standard error of a nat or a few. "
        "A bound, because each of the 256 grey values is spread over a bin by one random number (dequantization)."
    )
    place = 1

    @classmethod
    def suits(cls, subject: ScoredModel) -> bool:
        """Whether the model has a probability flow."""
        return subject.has_density and subject.can(ProbabilityFlow)

    def score(self, look: ImageBatch) -> Tensor:
        """-log p(x), nats [B]."""
        return -look.log_p

    def value(self, score: float) -> float:
        """Bits per dimension, from a score in nats."""
        return bits(self.method, score)

    def about(self) -> str:
        """The help text, with the steps in use."""
        return f"{self.help} Here {self.method.ODE_STEPS} steps, compared with half as many and extrapolated."
