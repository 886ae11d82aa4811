"""Small methods to ask: a Gaussian p(x), a linear classifier, a linear VAE whose posterior is known."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from engine.config import make_config
from engine.losses import likelihoods
from engine.method import DataSpec, Latents, build
from engine.methods import method_named
from tests.kit.tensors import seeded

SHAPE = (1, 4, 4)


def images(count: int, seed: int = 0, shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, *shape), dtype=np.uint8)


class Gaussian:
    """p(x) = N(mean, 1), each pixel alone."""

    density = "exact"
    pixel_levels = 0
    valid_slice = 8

    def __init__(self, mean: float = 0.5) -> None:
        self.mean = mean
        self.data = DataSpec(SHAPE, ("a", "b"))
        self.config = SimpleNamespace()

    def evaluate_target(self, x: Tensor, generator: Any) -> Tensor:
        return x

    def bits_per_dim(self, nats: float) -> float:
        return likelihoods.bits_per_dim(nats, self.data.dims)

    def log_prob(self, x: Tensor, y: Tensor | None = None, generator: Any = None) -> Tensor:
        return likelihoods.log_normal(x.double().flatten(1), self.mean)


class Linear:
    """A classifier of three classes and an encoder of five features."""

    density = "none"

    def __init__(self, seed: int = 0) -> None:
        self.w = torch.randn(16, 3, generator=seeded(seed))
        self.f = torch.randn(16, 5, generator=seeded(seed + 1))
        self.data = DataSpec(SHAPE, ("a", "b", "c"))

    def classify(self, x: Tensor) -> Tensor:
        return x.flatten(1) @ self.w

    def encode(self, x: Tensor) -> Tensor:
        return x.flatten(1) @ self.f


class LinearVAE:
    """p(z) = N(0, I), p(x|z) = N(Wz + 1/2, s²) with orthogonal columns of W, so that the exact posterior has independent dimensions."""

    density = "bound"
    pixel_levels = 0
    valid_slice = 8

    def __init__(self, shift: float = 0.0, widen: float = 1.0) -> None:
        q, _ = torch.linalg.qr(torch.randn(16, 3, generator=seeded(7), dtype=torch.float64))
        self.w = q * torch.tensor([2.0, 1.0, 0.5])
        self.s = 0.7
        self.shift, self.widen = shift, widen
        self.data = DataSpec(SHAPE)
        self.config = SimpleNamespace()

    def evaluate_target(self, x: Tensor, generator: Any) -> Tensor:
        return x.double()

    def posterior(self, x: Tensor) -> Latents:
        precision = 1 + self.w.square().sum(0) / self.s**2  # [D]
        mean = (x.flatten(1) - 0.5) @ self.w / self.s**2 / precision
        return Latents(mean + self.shift, (self.widen * precision.rsqrt()).expand_as(mean))

    def log_likelihoods(self, x: Tensor, z: Tensor) -> Tensor:
        return likelihoods.log_normal(x.flatten(1)[:, None], z @ self.w.T + 0.5, torch.tensor(self.s, dtype=torch.float64))

    def bits_per_dim(self, nats: float) -> float:
        return likelihoods.bits_per_dim(nats, self.data.dims)

    def elbo(self, x: Tensor, generator: Any = None, samples: int = 1) -> Tensor:
        return self.log_weights(x, self.posterior(x), samples, generator).mean(0)

    def log_weights(self, x: Tensor, posterior: Latents, k: int, generator: Any) -> Tensor:
        noise = likelihoods.normal(posterior.mean, k, generator)
        z = posterior.mean[:, None] + posterior.sigma[:, None] * noise
        log_q = likelihoods.log_normal(z, posterior.mean[:, None], posterior.sigma[:, None])
        return (self.log_likelihoods(x, z) + likelihoods.log_normal(z) - log_q).T

    def log_prob(self, x: Tensor, y: Tensor | None = None, generator: Any = None) -> Tensor:
        """Exact: N(1/2, W Wᵀ + s² I)."""
        covariance = self.w @ self.w.T + self.s**2 * torch.eye(16, dtype=torch.float64)
        return torch.distributions.MultivariateNormal(torch.full((16,), 0.5, dtype=torch.float64), covariance).log_prob(
            x.double().flatten(1)
        )


def vae(shape: tuple[int, ...] = (1, 8, 8), **settings: Any) -> Any:
    kind = method_named("vae")
    config = make_config(kind.Config, {"network": "mlp", "width": 4, "latent": 3, **settings})
    return build(kind, config, DataSpec(shape), seed=0).eval().requires_grad_(False)
