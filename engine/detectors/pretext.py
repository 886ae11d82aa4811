"""Scores of a pretext task: what an encoder cannot solve on an image, it may never have seen the like of."""

from __future__ import annotations

import torch
from torch import Tensor

from engine.detectors.base import Detector, ImageBatch, ScoredModel
from engine.protocols import RotationPuzzle
from engine.transforms.pretext import quarter_turns, square


class RotationScore(Detector):
    """Cross-entropy of the four quarter turns of an image (Hendrycks et al. 2019)."""

    name = "rotation"
    title = "rotation score"
    density = "P(y|x)"
    unit = "nat"
    source = (
        "Hendrycks, Mazeika, Kadavath and Song, Using Self-Supervised Learning Can Improve Model Robustness and Uncertainty, NeurIPS 2019"
    )
    help = "−log p(turn), the mean over the image's four quarter turns: known images show which way is up."
    place = 25

    @classmethod
    def suits(cls, subject: ScoredModel) -> bool:
        """Whether the model tells quarter turns."""
        return subject.can(RotationPuzzle) and subject.method.puzzle == "rotation"

    def score(self, look: ImageBatch) -> Tensor:
        """The mean cross-entropy over four turns, float64 nats [B]."""
        told = [self.method.answers(turned)[:, turn] for turn, turned in enumerate(quarter_turns(square(look.x)))]
        return -torch.stack(told).double().clamp(min=1e-38).log().mean(0)
