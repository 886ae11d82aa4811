"""Likelihoods with something taken off that makes simple images look likely: a background model's likelihood, or a code length."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import torch
from torch import Tensor

from engine.detectors.base import LOCAL, MUTATED, Detector, ImageBatch, ScoredModel, Steps, background_kinds, density_steps, finish
from engine.detectors.code_length import WEBP_EFFORT, code_bits
from engine.detectors.likelihood import bits


class LikelihoodRatio(Detector):
    """Log-likelihood ratio to a background model (Ren et al. 2019)."""

    name = "likelihood_ratio"
    title = "likelihood ratio"
    density = "none"
    unit = "nat"
    source = "Ren et al., Likelihood Ratios for Out-of-Distribution Detection, 2019 (arXiv 1906.02845), eq. 3"
    help = (
        "log p(x) − log p₀(x), where p₀ is the same model trained on images with random pixels: what both find easy, "
        "such as a plain background, cancels out."
    )
    place = 10
    direction = "lower"
    kind: ClassVar[str] = MUTATED  # of background model

    @classmethod
    def suits(cls, subject: ScoredModel) -> bool:
        """Whether the model has a density."""
        return subject.has_density

    def _lacks(self) -> tuple[str, str]:
        """What is missing, and what one click can do about it."""
        if self.kind in self.subject.backgrounds:
            return "", ""
        return self.subject.lacking.get(self.kind, ("It needs a background model beside the run; build it first.", self.kind))

    def missing(self) -> str:
        """Why there is no score: the background model that is lacking; "" when there is one."""
        return self._lacks()[0]

    def remedy(self) -> str:
        """What the window's button can do about `missing`."""
        return self._lacks()[1]

    def settings(self) -> dict[str, Any]:
        """What the scores depend on, for the files of kept scores."""
        return {"background": self.subject.facts.get(self.kind, ""), "samples": self.subject.samples}

    def score(self, look: ImageBatch) -> Tensor:
        """log p_background(x) - log p(x), nats [B]."""
        return finish(self.steps(look))

    def steps(self, look: ImageBatch) -> Steps:
        """As `score`, a few images between two yields; returns nats [B]."""
        yield from look.prepare()
        background = yield from density_steps(self.subject.backgrounds[self.kind], look.x, look.samples, look.seed)
        return background.log_p - look.log_p

    def value(self, score: float) -> float:
        """The log-likelihood ratio in nats, from a score."""
        return -score


class LocalRatio(LikelihoodRatio):
    """Log-likelihood ratio to a model that sees only a pixel's neighbourhood (Zhang et al. 2021)."""

    name = "local_ratio"
    title = "local ratio"
    source = "Zhang et al., On the Out-of-distribution Generalization of Probabilistic Image Modelling, 2021 (arXiv 2109.02639), section 4"
    help = (
        "log p(x) − log p₁(x), where p₁ was trained on the same images but sees only a small window before each pixel (five rows above, "
        "four columns to either side): edges and smooth parts, which all images share, cancel out, and what lies further apart remains."
    )
    place = 11
    kind = LOCAL

    @classmethod
    def suits(cls, subject: ScoredModel) -> bool:
        """Whether the model has a density and its method can have a local background model."""
        return subject.has_density and LOCAL in background_kinds(subject.method)


class InputComplexity(Detector):
    """Code length under the model minus that of a lossless compressor (Serrà et al. 2020)."""

    name = "input_complexity"
    version = 2  # since images of few levels are packed before they are compressed
    title = "input complexity"
    density = "none"
    unit = "bits/dim"
    source = "Serrà et al., Input complexity and out-of-distribution detection, 2020 (arXiv 1909.11480), eq. 2"
    help = (
        "The model's code length minus that of a general lossless compressor (the best of PNG, WebP and deflate) for the same values, "
        "both in bits: how much worse the model knows the image than somebody who was never trained."
    )
    place = 12

    @classmethod
    def suits(cls, subject: ScoredModel) -> bool:
        """Whether the model has a density."""
        return subject.has_density

    def settings(self) -> dict[str, Any]:
        """What the scores depend on, for the files of kept scores."""
        return {"samples": self.subject.samples, "effort": WEBP_EFFORT}

    def score(self, look: ImageBatch) -> Tensor:
        """-log2 p(x) minus the length of the compressed image, both in bits per dimension, float64 [B]."""
        dims = math.prod(look.images.shape[1:])
        model = torch.tensor([bits(self.method, -float(log_p)) for log_p in look.log_p], dtype=torch.float64)
        return model - torch.from_numpy(code_bits(*look.coded)) / dims

    def error(self, look: ImageBatch) -> Tensor | None:
        """That of log p, in bits per dimension [B]; the compressor is exact."""
        return None if look.log_p_error is None else look.log_p_error / (math.log(2) * math.prod(look.images.shape[1:]))
