"""Bayes' rule: what densities of x given each class say about the class, and about x whatever its class."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor


class Bayes(NamedTuple):
    """Bayes' rule for a class-conditional density; log p(y|x) and log p(x) in nats."""

    log_posterior: Tensor  # log p(y|x) [B, K]
    log_marginal: Tensor  # log p(x) [B]


def bayes(given: Tensor, log_prior: Tensor | None = None) -> Bayes:
    """log p(y|x) = log p(x|y) + log p(y) - log p(x), with log p(x) = logsumexp_y (log p(x|y) + log p(y)).

    Args:
        given: log p(x|y) in nats [B, K].
        log_prior: log p(y) [K], normalized; without it all classes are equally likely.
    """
    joint = given - math.log(given.shape[1]) if log_prior is None else given + log_prior
    marginal = joint.logsumexp(1)
    return Bayes(joint - marginal[:, None], marginal)


def given_each_class(method: object, x: Tensor, classes: int, seed: int = 0) -> Tensor:
    """log p(x|y) of images [B, C, H, W] under a class-conditional method, for every class: float64 nats [B, K].

    Whatever a density draws (two levels, a posterior) is drawn alike for all classes.
    """
    columns = []
    for label in range(classes):
        y = torch.full((len(x),), label, device=x.device)
        columns.append(method.log_prob(x, y, torch.Generator(x.device).manual_seed(seed)).double())  # type: ignore[attr-defined]
    return torch.stack(columns, 1)
