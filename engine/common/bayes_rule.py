"""Bayes' rule on numbers: from log p(x|y) and a prior over classes to the posterior and the marginal. Without torch."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Posterior(NamedTuple):
    """What Bayes' rule says of images."""

    log_posterior: np.ndarray  # log p(y|x) in nats [..., K]
    log_marginal: np.ndarray  # log p(x) in nats [...]


def posterior(given: np.ndarray, prior: np.ndarray) -> Posterior:
    """log p(y|x) = log p(x|y) + log p(y) - log p(x), with log p(x) = log Σ_y p(x|y) p(y).

    Args:
        given: log p(x|y) in nats [..., K].
        prior: p(y) [K], not all zero; it is normalized.
    """
    with np.errstate(divide="ignore"):
        log_prior = np.log(np.asarray(prior, np.float64) / np.sum(prior))
    joint = np.asarray(given, np.float64) + log_prior
    most = joint.max(-1, keepdims=True)
    marginal = most + np.log(np.exp(joint - most).sum(-1, keepdims=True))
    return Posterior(joint - marginal, marginal[..., 0])


def with_share(prior: np.ndarray, label: int, share: float) -> np.ndarray:
    """The prior [K] with p(label) = share in [0, 1]; the others keep their proportions, or become equal where they had none."""
    share = min(max(share, 0.0), 1.0)
    others = np.array(prior, np.float64)
    others[label] = 0
    if others.sum() <= 0:
        others[:] = 1
        others[label] = 0
    moved = others / max(others.sum(), 1e-300) * (1 - share)
    moved[label] = share if len(moved) > 1 else 1.0
    return moved
