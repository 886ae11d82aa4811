"""The loss of an energy-based model p(x) ∝ exp(-E(x)), from energies alone."""

from __future__ import annotations

import torch
from torch import Tensor


def contrastive_energy(data: Tensor, samples: Tensor, alpha: float) -> tuple[Tensor, Tensor]:
    """(E[E(x)] - E[E(x')], α E[E(x)² + E(x')²]) of energies of data [B] and of samples of the model [B'], scalars [].

    The gradient of the first is that of -E[log p(x)], because that of log Z is -E_p[∇E] (Hinton 2002; exact where x' ~ p). The second
    keeps energies near zero, which the first leaves free up to a constant (Du and Mordatch 2019, section 3.3).
    """
    return data.mean() - samples.mean(), alpha * (data.square().mean() + samples.square().mean())


@torch.no_grad()
def energy_distance(x: Tensor, y: Tensor) -> Tensor:
    """2 E|x - y| - E|x - x'| - E|y - y'| of images [B, ...] and [B', ...], scalar [], estimated without bias: 0 on average where both
    come from one distribution, positive on average otherwise (Székely and Rizzo 2013). The energy of its name is another one than E(x).
    """
    a, b = x.flatten(1).double(), y.flatten(1).double()
    within = [torch.cdist(rows, rows).sum() / max(1, len(rows) * (len(rows) - 1)) for rows in (a, b)]
    return 2 * torch.cdist(a, b).mean() - within[0] - within[1]
