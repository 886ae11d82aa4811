"""The energy of an energy-based model as a score: -log p(x) but for a constant that nobody knows."""

from __future__ import annotations

from torch import Tensor

from engine.detectors.base import Detector, ImageBatch, ScoredModel, Steps
from engine.protocols import EnergyFunction


class UnnormalizedEnergy(Detector):
    """E(x) = -log p̃(x) (LeCun et al. 2006; Du and Mordatch 2019). Another one than the free energy of a classifier's logits."""

    name = "unnormalized_energy"
    title = "energy −log p̃(x)"
    density = "none"
    unit = "nat, unnormalized"
    source = "Du and Mordatch, Implicit Generation and Modeling with Energy-Based Models, NeurIPS 2019 (arXiv 1903.08689), section 4.4"
    help = (
        "The model's energy E(x), where p(x) = exp(−E(x)) / Z. Z is not known, so there are no bits and no comparison with other "
        "models: only the order of images counts."
    )
    place = 1

    @classmethod
    def suits(cls, subject: ScoredModel) -> bool:
        """Whether the model is an energy."""
        return subject.can(EnergyFunction)

    def score(self, look: ImageBatch) -> Tensor:
        """E(x), float64 [B]."""
        return self.method.energy(look.x).double()

    def steps(self, look: ImageBatch) -> Steps:
        """One pass of a small network; there is no log p to prepare."""
        yield
        return self.score(look)
