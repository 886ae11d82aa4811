"""Losses of a generative adversarial network, of the discriminator's logits, and gradient penalties.

Everything is in float32 or better and averaged over the batch. `real` and `fake` are logits [B] of real and of generated images, high for
what the discriminator takes for real.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

OBJECTIVES = ("hinge", "non_saturating", "relativistic")


def discriminator_loss(objective: str, real: Tensor, fake: Tensor) -> Tensor:
    """What the discriminator minimizes, a scalar [].

    - non_saturating (Goodfellow et al. 2014): -log σ(D(x)) - log(1 - σ(D(G(z)))), in nats; 2 ln 2 where D = 0.
    - hinge (Lim and Ye 2017): max(0, 1 - D(x)) + max(0, 1 + D(G(z))); 2 where D = 0.
    - relativistic pairing (Jolicoeur-Martineau 2019; Huang et al. 2024, eq. 2): -log σ(D(x) - D(G(z))), in nats; ln 2 where D = 0.
    """
    if objective == "relativistic":
        return F.softplus(fake - real).mean()
    if objective == "hinge":
        return F.relu(1 - real).mean() + F.relu(1 + fake).mean()
    return F.softplus(-real).mean() + F.softplus(fake).mean()


def generator_loss(objective: str, real: Tensor, fake: Tensor) -> Tensor:
    """What the generator minimizes, a scalar []; only the relativistic one looks at `real`.

    - non_saturating: -log σ(D(G(z))), in nats; ln 2 where D = 0.
    - hinge: -D(G(z)).
    - relativistic pairing: -log σ(D(G(z)) - D(x)), in nats; ln 2 where D = 0.
    """
    if objective == "relativistic":
        return F.softplus(real - fake).mean()
    return -fake.mean() if objective == "hinge" else F.softplus(-fake).mean()


def squared_gradient(logits: Tensor, x: Tensor) -> Tensor:
    """E |∇D(x)|² of logits [B] of images x [B, ...] that require gradients, a scalar [] that can itself be descended.

    With γ/2 before it, this is R1 where x are real images and R2 where they are generated (Mescheder et al. 2018, eq. 9 and 10). Logits
    must depend on their own image only.
    """
    (gradient,) = torch.autograd.grad(logits.sum(), x, create_graph=True)
    return gradient.flatten(1).square().sum(1).mean()
