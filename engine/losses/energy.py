"""The loss of an energy-based model p(x) ∝ exp(-E(x)), from energies alone."""

from __future__ import annotations

from torch import Tensor


def contrastive_energy(data: Tensor, samples: Tensor, alpha: float) -> tuple[Tensor, Tensor]:
    """(E[E(x)] - E[E(x')], α E[E(x)² + E(x')²]) of energies of data [B] and of samples of the model [B'], scalars [].

    The gradient of the first is that of -E[log p(x)], because that of log Z is -E_p[∇E] (Hinton 2002; exact where x' ~ p). The second
    keeps energies near zero, which the first leaves free up to a constant (Du and Mordatch 2019, section 3.3).
    """
    return data.mean() - samples.mean(), alpha * (data.square().mean() + samples.square().mean())
