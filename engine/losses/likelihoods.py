"""Densities and bounds as plain functions of tensors, in nats: likelihoods of an image, KL, ELBO terms, importance weights.

Images x are in [0, 1], 8-bit ones exactly k/255. Every function works in the number format it is given; callers switch
autocast off. Whoever wants bits per dimension divides by D ln 2 (`bits_per_dim`).
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from engine.common.active_dimensions import LEAST_VARIANCE

LOG_2PI = math.log(2 * math.pi)
Randomness = torch.Generator | Sequence[torch.Generator]  # one for the batch, or one per image
GOLDEN = 0x9E3779B97F4A7C15  # odd, so that no two of 2³² places have the same seed; 2⁶⁴ / golden ratio, so that near ones lie far apart


# ---------------------------------------------------------------------------------------------------------------------
# p(x|z)
# ---------------------------------------------------------------------------------------------------------------------


def bernoulli(x: Tensor, logits: Tensor) -> Tensor:
    """log p(x) of binary x per dimension: x l - softplus(l). x and logits of one shape [...] -> nats [...]."""
    return x * logits - F.softplus(logits)


def gaussian(x: Tensor, mean: Tensor, log_sigma: Tensor) -> Tensor:
    """log density per dimension, with every constant: -(x - μ)²/2σ² - log σ - log(2π)/2. All of one shape [...] -> nats [...]."""
    return -0.5 * ((x - mean) * torch.exp(-log_sigma)).square() - log_sigma - 0.5 * LOG_2PI


def discretized_logistic(x: Tensor, mean: Tensor, log_scale: Tensor) -> Tensor:
    """log P(x) per dimension for 8-bit x: the mass of a logistic distribution in the bin of x (Salimans et al. 2017, eq. 2).

    `mean` and `scale` live on the grid 2x - 1 in [-1, 1]; bins are 2/255 wide and the outer two are open,
    so the 256 masses sum to one. With a and b the bin's upper and lower edge in units of the scale,

        σ(a) - σ(b) = σ(a) σ(-b) (1 - e^(b - a)),

    which neither cancels nor overflows, however far x is from the mean.
    """
    precision = torch.exp(-log_scale)
    centred = 2 * x - 1 - mean
    upper = (centred + 1 / 255) * precision  # a
    lower = (centred - 1 / 255) * precision  # b
    log_width = torch.log(-torch.expm1(-2 / 255 * precision))  # log(1 - e^(b - a))
    is_black, is_white = x < 0.5 / 255, x > 254.5 / 255
    below = torch.where(is_white, 0.0, F.logsigmoid(upper))
    above = torch.where(is_black, 0.0, F.logsigmoid(-lower))
    return below + above + torch.where(is_black | is_white, 0.0, log_width)


def clipped_logistic_mean(mean: Tensor, log_scale: Tensor) -> Tensor:
    """The mean image in [0, 1] of a logistic variable on [-1, 1] whose tails are gathered at black and white.

    E[clip(v, 0, 1)] = ∫₀¹ P(v > t) dt = s (softplus(μ/s) - softplus((μ - 1)/s)), with μ and s brought to [0, 1].
    """
    mu, s = (mean + 1) / 2, torch.exp(log_scale) / 2
    return (s * (F.softplus(mu / s) - F.softplus((mu - 1) / s))).clamp(0, 1)


def binarize(x: Tensor, generator: Randomness | None) -> Tensor:
    """x ~ Bernoulli(grey value) (dynamic binarization, Burda et al. 2016). x [...] in 0..1 -> [...] of 0 and 1."""
    return (uniform(x, generator) < x).to(x.dtype)


# ---------------------------------------------------------------------------------------------------------------------
# q(z|x) and p(z)
# ---------------------------------------------------------------------------------------------------------------------


def kl_to_standard_normal(mean: Tensor, sigma: Tensor) -> Tensor:
    """KL(N(μ, σ²) | N(0, 1)) per dimension: (μ² + σ² - 1)/2 - log σ (Kingma and Welling 2014, appendix B). mean, sigma [...] -> nats
    [...].
    """
    return 0.5 * (mean.square() + sigma.square() - 1) - sigma.log()


def log_normal(z: Tensor, mean: Tensor | float = 0.0, sigma: Tensor | float = 1.0) -> Tensor:
    """log N(z; μ, σ²), summed over the last dimension. z [..., D] -> nats [...]."""
    log_sigma = sigma.log() if isinstance(sigma, Tensor) else math.log(sigma)
    return (-0.5 * ((z - mean) / sigma).square() - log_sigma - 0.5 * LOG_2PI).sum(-1)


def free_bits(kl: Tensor, least: float) -> Tensor:
    """KL with a floor of `least` nats per dimension: Σ_d max(λ, mean over the batch of KL_d) (Kingma et al. 2016, eq. 15).

    The mean is taken before the maximum. A dimension below the floor gets no gradient.

    Args:
        kl: nats per image and dimension [B, D].
    """
    return kl.mean(0).clamp(min=least).sum()


def kl_weight(schedule: str, progress: float, beta: float, span: float, cycles: int) -> float:
    """The weight of the KL term at a place in the training.

    constant: β. linear: rises from 0 to β over the first `span` of the training (Bowman et al. 2016).
    cyclical: `cycles` equal cycles, in each a rise over the first half, then β (Fu et al. 2019).
    """
    if schedule == "linear":
        return beta * min(1.0, progress / span) if span > 0 else beta
    if schedule == "cyclical" and progress < 1:
        return beta * min(1.0, 2 * (progress * cycles % 1.0))
    return beta


def active_dimensions(mean: Tensor) -> Tensor:
    """Which dimensions react to the image: A_u = Var_x(E[z_u|x]) > 1e-2 (Burda et al. 2016, section 5.1), bool [D]. mean [N, D]."""
    return mean.var(0, correction=0) > LEAST_VARIANCE


# ---------------------------------------------------------------------------------------------------------------------
# Estimates of log p(x)
# ---------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Estimate:
    """What is known after `k` samples per image."""

    k: int
    log_p: Tensor  # log (1/k) Σ w: the importance-weighted bound L_k [B], float64 nats
    elbo: Tensor  # (1/k) Σ log w [B], float64 nats
    effective: Tensor  # (Σ w)² / Σ w²: how many of the k samples carry the estimate [B]


def iwae(log_weights: Callable[[int], Tensor], total: int, chunk: int) -> Iterator[Estimate]:
    """The importance-weighted bound (Burda et al. 2016), streamed: memory for one chunk, a better estimate after each.

    Args:
        log_weights: called with k, returns fresh log w = log p(x, z) - log q(z|x) of k samples per image [k, B].
        total: samples per image in the end (K).
        chunk: samples per image at once.
    """
    done = 0
    log_sum = log_squares = plain = torch.zeros(())
    while done < total:
        k = min(chunk, total - done)
        log_w = log_weights(k).double()  # [k, B]
        new_sum, new_squares, new_plain = log_w.logsumexp(0), (2 * log_w).logsumexp(0), log_w.sum(0)
        if done == 0:
            log_sum, log_squares, plain = new_sum, new_squares, new_plain
        else:
            log_sum, log_squares, plain = torch.logaddexp(log_sum, new_sum), torch.logaddexp(log_squares, new_squares), plain + new_plain
        done += k
        yield Estimate(done, log_sum - math.log(done), plain / done, (2 * log_sum - log_squares).exp())


def bits_per_dim(nats: float, dims: int, continuous: bool = False) -> float:
    """Negative log-likelihood in bits per dimension of an 8-bit image.

    Args:
        nats: -log p(x) in total.
        dims: numbers per image, channels count.
        continuous: the density is one of x in [0, 1], not a probability of 256 values: 8 bits are added,
            which spreads each value over a bin 1/256 wide.
    """
    return nats / (dims * math.log(2)) + (8.0 if continuous else 0.0)


# ---------------------------------------------------------------------------------------------------------------------
# Randomness that belongs to an image or a sample, not to its batch
# ---------------------------------------------------------------------------------------------------------------------


def image_generators(x: Tensor, seed: int) -> list[torch.Generator]:
    """One generator per image, seeded with the image's content and `seed`: its noise is the same alone and in any batch. x [B, C, H,
    W].
    """
    pixels = x.detach().to("cpu", torch.float32).contiguous().flatten(1).numpy()
    return [torch.Generator().manual_seed(zlib.crc32(image.tobytes(), seed & 0xFFFFFFFF)) for image in pixels]


def sample_generators(n: int, generator: torch.Generator | None) -> list[torch.Generator]:
    """One generator per sample, seeded by one number drawn from `generator` and the sample's place: its noise is the same however many
    are drawn beside it. (A row of `torch.randn(n, D)` is not: it depends on n.)
    """
    device = "cpu" if generator is None else generator.device
    seed = int(torch.randint(2**63 - 1, (), generator=generator, device=device))
    return [torch.Generator().manual_seed((seed + place * GOLDEN) % 2**63) for place in range(n)]


def integers(high: int, n: int, generator: Randomness | None, device: torch.device) -> Tensor:
    """Integers from 0 to `high` - 1, all equally likely, int64 [n]."""
    if isinstance(generator, Sequence):
        return torch.tensor([int(torch.randint(high, (), generator=own)) for own in generator], device=device)
    return torch.randint(high, (n,), generator=generator, device=device if generator is None else generator.device).to(device)


def uniform(x: Tensor, generator: Randomness | None) -> Tensor:
    """Uniform numbers in [0, 1), shaped like x [B, ...]; drawn in float32, so that float64 networks see the same ones."""
    if isinstance(generator, Sequence):
        return torch.stack([torch.rand(x.shape[1:], generator=own) for own in generator]).to(x)
    device = generator.device if generator is not None else x.device
    return torch.rand(x.shape, generator=generator, device=device).to(x)


def normal(like: Tensor, k: int, generator: Randomness | None) -> Tensor:
    """k standard normal vectors for each row of `like` [B, D] -> [B, k, D], drawn in float32."""
    batch, dims = like.shape
    if isinstance(generator, Sequence):
        return torch.stack([torch.randn(k, dims, generator=own) for own in generator]).to(like)
    device = generator.device if generator is not None else like.device
    return torch.randn(batch, k, dims, generator=generator, device=device).to(like)
