"""Likelihood regret: how much better a code of its own would explain the image than the encoder's."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from engine.detectors.base import DECODES_AT_ONCE, Detector, ImageBatch, ScoredModel, Steps, finish
from engine.losses.likelihoods import image_generators, kl_to_standard_normal, normal, uniform
from engine.protocols import ImportanceWeighted

AT_ONCE = 8  # optimisation steps between two yields for a batch of one
EPSILON = 1e-3  # of Adam, large on purpose: gradients far below a thousandth of a nat are rounding, not to be walked along at full speed


class LikelihoodRegret(Detector):
    """Likelihood regret: what refitting the posterior to one image gains (Xiao et al. 2020)."""

    name = "likelihood_regret"
    version = 2  # since its noise is matched to the posterior's moments
    title = "likelihood regret"
    density = "none"
    unit = "nat"
    source = "Xiao et al., Likelihood Regret: An Out-of-Distribution Detection Score, 2020 (arXiv 2003.02977), section 4"
    help = (
        "By how much the ELBO of this one image rises when its posterior's mean μ and width σ are improved for it alone, the networks "
        "fixed (the (μ, σ) variant): the encoder knows good codes only for images like those it was trained on."
    )
    place = 14
    optimisation_steps = 50
    rate = 0.2  # of Adam at the first step, in units of z and of log σ; falls to zero along a cosine
    final_samples = 16  # of each of the two ELBOs that are compared

    @classmethod
    def suits(cls, subject: ScoredModel) -> bool:
        """Whether the model has a density and gives importance weights."""
        return subject.has_density and subject.can(ImportanceWeighted)

    def settings(self) -> dict[str, Any]:
        """What the scores depend on, for the files of kept scores."""
        return {"steps": self.optimisation_steps, "rate": self.rate, "samples": self.final_samples}

    def score(self, look: ImageBatch) -> Tensor:
        """The regret in nats [B]."""
        return finish(self.steps(look))

    def steps(self, look: ImageBatch) -> Steps:
        """The whole batch at once. Sums over images have separate gradients, and Adam works number by number, so images do not mix."""
        own = image_generators(look.x, look.seed)
        x = self.method.evaluate_target(look.x, own)
        q = self.method.posterior(x)
        half = (self.optimisation_steps + 1) // 2
        signs = 2 * (uniform(q.mean[:, None].expand(-1, half, -1), own) < 0.5).to(q.mean) - 1  # [B, steps / 2, D]
        noise = matched_noise(normal(q.mean, self.final_samples // 2, own))  # [B, final_samples, D]
        yield
        encoder = yield from self._elbo(x, q.mean, q.sigma, noise)
        mean, log_sigma = q.mean.detach().clone(), q.sigma.detach().log()
        adam = torch.optim.Adam([mean, log_sigma], eps=EPSILON)
        for step in range(self.optimisation_steps):
            sign = signs[:, step // 2] * (1 - 2 * (step % 2))  # every second step looks to the opposite side
            mean.grad, log_sigma.grad = self._gradients(x, mean, log_sigma, sign)
            adam.param_groups[0]["lr"] = self.rate * 0.5 * (1 + math.cos(math.pi * step / self.optimisation_steps))
            adam.step()
            if step % max(1, AT_ONCE // len(x)) == 0:
                yield
        own_code = yield from self._elbo(x, mean, log_sigma.exp(), noise)
        return (own_code - encoder).clamp(min=0)  # the encoder's own code is a candidate too

    def _gradients(self, x: Tensor, mean: Tensor, log_sigma: Tensor, sign: Tensor) -> list[Tensor]:
        """Of -ELBO, estimated at z = μ + σ·sign: over random signs that has the posterior's mean and variance in every dimension."""
        with torch.enable_grad():
            mean, log_sigma = mean.detach().requires_grad_(), log_sigma.detach().requires_grad_()
            sigma = log_sigma.exp()
            kl = kl_to_standard_normal(mean, sigma).sum()
            loss = kl - self.method.log_likelihoods(x, (mean + sigma * sign)[:, None]).sum()
            return list(torch.autograd.grad(loss, [mean, log_sigma]))

    def _elbo(self, x: Tensor, mean: Tensor, sigma: Tensor, noise: Tensor) -> Steps:
        """E[log p(x|z)] - KL of each image [B], float64."""
        z = mean[:, None] + sigma[:, None] * noise
        parts = []
        at_once = max(1, DECODES_AT_ONCE // len(x))
        for start in range(0, noise.shape[1], at_once):
            parts.append(self.method.log_likelihoods(x, z[:, start : start + at_once]).double())
            yield
        return torch.cat(parts, 1).mean(1) - kl_to_standard_normal(mean, sigma).double().sum(1)


def matched_noise(noise: Tensor) -> Tensor:
    """Standard normal noise [B, n, D] turned into 2n samples whose mean is exactly 0 and whose variance is exactly 1 in every dimension
    of every image, and whose covariances vanish within each n dimensions: then the expectation of a quadratic is exact there.

    Each n dimensions are made orthogonal (by QR, as in orthogonal Monte Carlo), and every sample has its opposite.
    """
    count = noise.shape[1]
    parts = []
    for part in noise.split(count, 2):
        q, r = torch.linalg.qr(part.double())
        parts.append(q * torch.diagonal(r, dim1=1, dim2=2).sign()[:, None] * math.sqrt(count))  # without QR's own choice of signs
    matched = torch.cat(parts, 2).to(noise)
    return torch.cat([matched, -matched], 1)
