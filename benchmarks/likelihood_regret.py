"""Likelihood regret of a VAE: a batch of images at once, against one image after the other with as many steps.

The peer is what published code does with the code of one image: its mean and log σ are parameters of `torch.optim.Adam`. It takes
the same number of steps at the same rates, with as many samples in each, and compares bounds on the same number of samples.

What limits the ratio on one core is arithmetic. A decode is 2.7 million multiplications, so 50 of them with their gradients and 32
without are 0.72 GFLOP for each image. Measured with one thread of a Zen 5 (torch 2.13, MKL's 95 GFLOP/s): 12 ms of processor time for
an image, 66 % of it in matrix products and convolutions; the peer 145 ms. At 95 GFLOP/s the arithmetic alone is 7.6 ms, where the ratio
would be 19 if all else cost nothing. Only a batch can use a second core.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from benchmarks import Row, interleave, main, seconds_of
from engine.config import make_config
from engine.detectors.base import ImageBatch, of
from engine.detectors.regret import LikelihoodRegret
from engine.losses.likelihoods import kl_to_standard_normal
from engine.method import DataSpec, build
from engine.methods import method_named

IMAGES = 128
PEER_IMAGES = 4


def measure() -> list[Row]:
    kind = method_named("vae")
    method = build(kind, make_config(kind.Config, {}), DataSpec((1, 28, 28)), seed=0).eval().requires_grad_(False)
    images = np.random.default_rng(0).integers(0, 256, (IMAGES, 1, 28, 28), dtype=np.uint8)
    detector = of(LikelihoodRegret, method)
    found: dict[str, Tensor] = {}

    def ours() -> None:
        found["ours"] = detector.score(ImageBatch(method, images))

    def peer() -> None:
        found["peer"] = torch.stack([_alone(method, image) for image in ImageBatch(method, images[:PEER_IMAGES]).x])

    with torch.no_grad():
        method.posterior(ImageBatch(method, images[:1]).x)  # type: ignore[operator]
        a, b, ratio = interleave(lambda: seconds_of(ours) / IMAGES, lambda: seconds_of(peer) / PEER_IMAGES, rounds=3)
    assert torch.allclose(found["ours"][:PEER_IMAGES], found["peer"], rtol=0.1), "the two ways find different regrets"
    return [Row("likelihood regret, 28×28", a, "s per image", "image-by-image loop", b, 1 / ratio, "≥ 20", 1 / ratio >= 20)]


def _alone(method: torch.nn.Module, image: Tensor) -> Tensor:
    x = image[None]
    q = method.posterior(x)  # type: ignore[operator]
    mean, log_sigma = q.mean.clone().requires_grad_(), q.sigma.log().requires_grad_()
    adam = torch.optim.Adam([mean, log_sigma], LikelihoodRegret.rate, eps=1e-3)
    falling = torch.optim.lr_scheduler.CosineAnnealingLR(adam, LikelihoodRegret.optimisation_steps)
    for _ in range(LikelihoodRegret.optimisation_steps):
        with torch.enable_grad():
            sigma = log_sigma.exp()
            z = mean + sigma * torch.randn_like(mean)
            loss = kl_to_standard_normal(mean, sigma).sum() - method.log_likelihoods(x, z[:, None]).sum()  # type: ignore[operator]
        adam.zero_grad()
        loss.backward()
        adam.step()
        falling.step()
    bounds = []
    for centre, sigma in ((q.mean, q.sigma), (mean.detach(), log_sigma.detach().exp())):
        z = centre[:, None] + sigma[:, None] * torch.randn(1, LikelihoodRegret.final_samples, centre.shape[1])
        bounds.append(method.log_likelihoods(x, z).mean() - kl_to_standard_normal(centre, sigma).sum())  # type: ignore[operator]
    return (bounds[1] - bounds[0]).double()


if __name__ == "__main__":
    main(measure)
