"""Scores of a classifier's output P(y|x): it must answer even for what it has never seen, and how it answers may betray it.

The softmax of a sure classifier rounds to one, and then nothing could be ranked: what is compared is the probability of all other
classes together, summed by itself in float64.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from engine.detectors.base import Detector, ImageBatch, ScoredModel
from engine.protocols import Classifier


class OfClassifier(Detector):
    """A detector that looks at a classifier's logits alone."""

    density = "P(y|x)"

    @classmethod
    def suits(cls, subject: ScoredModel) -> bool:
        """Whether the model classifies."""
        return subject.can(Classifier)


class Msp(OfClassifier):
    """Maximum softmax probability (Hendrycks and Gimpel 2017)."""

    name = "msp"
    title = "softmax maximum"
    unit = ""
    source = "Hendrycks and Gimpel, A Baseline for Detecting Misclassified and Out-of-Distribution Examples, 2017 (arXiv 1610.02136)"
    help = "The probability of the class it chooses; a sure answer is no proof that the image is known."
    place = 20
    direction = "lower"

    def score(self, look: ImageBatch) -> Tensor:
        """1 - max softmax probability, float64 [B]."""
        return doubt(look.logits)

    def value(self, score: float) -> float:
        """The maximum softmax probability, from a score."""
        return 1 - score


class MaxLogit(OfClassifier):
    """Maximum logit (Hendrycks et al. 2022)."""

    name = "max_logit"
    title = "largest logit"
    unit = ""
    source = "Hendrycks et al., Scaling Out-of-Distribution Detection for Real-World Settings, 2022 (arXiv 1911.11132)"
    help = "The chosen class's logit before the softmax compares it with the others."
    place = 21
    direction = "lower"

    def score(self, look: ImageBatch) -> Tensor:
        """Minus the largest logit, float64 [B]."""
        return -look.logits.amax(1)

    def value(self, score: float) -> float:
        """The largest logit, from a score."""
        return -score


class Energy(OfClassifier):
    """Free energy of the logits (Liu et al. 2020)."""

    name = "energy"
    title = "energy"
    unit = ""
    source = "Liu et al., Energy-based Out-of-distribution Detection, 2020 (arXiv 2010.03759), eq. 4 with T = 1"
    help = "−log Σ exp(logits): low where some class is strongly supported."
    place = 22

    def score(self, look: ImageBatch) -> Tensor:
        """-logsumexp of the logits, float64 [B]."""
        return -look.logits.logsumexp(1)


class Odin(OfClassifier):
    """Temperature scaling and input perturbation (Liang et al. 2018)."""

    name = "odin"
    title = "ODIN"
    unit = ""
    source = "Liang et al., Enhancing The Reliability of Out-of-distribution Image Detection, 2018 (arXiv 1706.02690), eq. 1 and 2"
    help = (
        "The softmax maximum at temperature 1,000 after each pixel has moved by 0.0014 towards a surer answer: "
        "known images become sure more readily."
    )
    place = 23
    direction = "lower"
    temperature = 1000.0
    epsilon = 0.0014  # of the range from black to white; the authors' value for CIFAR-10, not tuned here

    def settings(self) -> dict[str, Any]:
        """What the scores depend on, for the files of kept scores."""
        return {"temperature": self.temperature, "epsilon": self.epsilon}

    def score(self, look: ImageBatch) -> Tensor:
        """1 - max softmax probability at temperature T after a step of size epsilon towards it, float64 [B]."""
        logits = self.method.classify(self._surer(look.x)).double() if self.epsilon else look.logits
        return doubt(logits / self.temperature)

    def _surer(self, x: Tensor) -> Tensor:
        """x̃ = x + ε sign(∇ log max softmax(f(x)/T)); each image's gradient is its own, since the sum over the batch is taken."""
        with torch.enable_grad():
            x = x.clone().requires_grad_()
            log_softmax = (self.method.classify(x).double() / self.temperature).log_softmax(1).amax(1)
            (gradient,) = torch.autograd.grad(log_softmax.sum(), x)
        return x.detach() + self.epsilon * gradient.sign()

    def value(self, score: float) -> float:
        """The maximum softmax probability at temperature T, from a score."""
        return 1 - score


class Gen(OfClassifier):
    """Generalized entropy (Liu, Lochman and Zach 2023)."""

    name = "gen"
    title = "generalized entropy"
    unit = ""
    source = (
        "Liu, Lochman and Zach, GEN: Pushing the Limits of Softmax-Based Out-of-Distribution Detection, CVPR 2023, eq. 3, γ = 0.1, M = 100"
    )
    help = "Σ pᵞ (1 − p)ᵞ over the 100 likeliest classes, with γ = 0.1: the many small probabilities of an unsure answer count."
    place = 24
    gamma = 0.1
    classes = 100

    def settings(self) -> dict[str, Any]:
        """What the scores depend on, for the files of kept scores."""
        return {"gamma": self.gamma, "classes": self.classes}

    def score(self, look: ImageBatch) -> Tensor:
        """The generalized entropy, float64 [B]: 0 for an answer that is certain."""
        log_p = look.logits.log_softmax(1)  # [B, K]
        chosen = log_p.topk(min(self.classes, log_p.shape[1]), dim=1).values
        # log(1 - p) of the largest is summed from the others: 1 - p rounds to 0 for a sure answer
        rest = torch.log(-torch.expm1(chosen.clamp(max=-1e-300)))
        rest[:, 0] = doubt(look.logits).clamp(min=1e-300).log()
        return (self.gamma * (chosen + rest)).exp().sum(1)


def doubt(logits: Tensor) -> Tensor:
    """1 - max softmax [B] of float64 logits [B, K], without the cancellation."""
    chosen = logits.argmax(1, keepdim=True)
    return logits.softmax(1).scatter(1, chosen, 0.0).sum(1)
