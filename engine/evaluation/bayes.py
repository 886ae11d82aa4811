"""Bayes' rule: what densities of x given each class say about the class, and about x whatever its class."""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from engine.common.counting import is_or_are, number_of
from engine.detectors.base import finish
from engine.losses.calibration import calibration_error, calibration_limit
from engine.protocols import FlowDensity, ProbabilityFlow, provides

RESAMPLES = 200  # of the images, for the standard error of a calibration error
UNIFORM, OF_DATA = "uniform", "data"


class BadPrior(ValueError):
    """One sentence: what is wrong with a prior over classes, and what one may be."""


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


class GivenClasses(NamedTuple):
    """log p(x|y) of images for every class, in nats."""

    log_p: Tensor  # float64 [B, K]
    error: Tensor | None  # standard error of a probability flow's probes and solver [B, K]; None of other densities
    solver_error: Tensor | None  # the solver's share of it [B, K]


def given_in_steps(method: object, x: Tensor, classes: int, seed: int = 0) -> Generator[None, None, GivenClasses]:
    """log p(x|y) of images [B, C, H, W] under a class-conditional method, for every class, with a yield after each, and between the passes
    of a probability flow.

    Whatever a density draws (two levels, a posterior, the probes of a flow) is drawn alike for all classes.
    """
    columns: list[FlowDensity] = []
    for label in range(classes):
        y, generator = torch.full((len(x),), label, device=x.device), torch.Generator(x.device).manual_seed(seed)
        if provides(method, ProbabilityFlow):
            columns.append((yield from method.log_prob_steps(x, y, generator)))
        else:
            log_p = method.log_prob(x, y, generator)  # type: ignore[attr-defined]
            columns.append(FlowDensity(log_p, log_p, log_p))
        yield
    log_p = torch.stack([one.log_p.double() for one in columns], 1)
    if not provides(method, ProbabilityFlow):
        return GivenClasses(log_p, None, None)
    return GivenClasses(log_p, torch.stack([one.error for one in columns], 1), torch.stack([one.solver_error for one in columns], 1))


def given_each_class(method: object, x: Tensor, classes: int, seed: int = 0) -> GivenClasses:
    """`given_in_steps` at a stretch."""
    return finish(given_in_steps(method, x, classes, seed))


def marginal_error(error: Tensor, log_posterior: Tensor) -> Tensor:
    """How far log p(x) may be off [B] where each log p(x|y) may be off by `error` [B, K], all alike: Σ_y p(y|x) error."""
    return (log_posterior.exp() * error).sum(1)


def class_prior(text: str, classes: Sequence[str], labels: np.ndarray | None) -> np.ndarray:
    """p(y) [K] of words: “uniform”, “data” (the classes' shares of the training labels int64 [N]), or K numbers with commas between.

    Numbers are normalized. Raises: BadPrior.
    """
    count = len(classes)
    if text == UNIFORM:
        return np.full(count, 1 / count)
    if text == OF_DATA:
        if labels is None:
            raise BadPrior("These data have no labels to take a prior from; give uniform, or a probability for each class.")
        return np.bincount(np.asarray(labels), minlength=count) / len(labels)
    try:
        numbers = np.array([float(part) for part in text.split(",")])
    except ValueError:
        raise BadPrior(f"A prior is uniform, data, or {count} probabilities with commas between, not “{text}”.") from None
    if len(numbers) != count:
        raise BadPrior(
            f"There {is_or_are(count)} {number_of(count, 'class', 'classes')}, and the prior has {number_of(len(numbers), 'number')}; "
            "give one for each class, in order."
        )
    if not np.isfinite(numbers).all() or (numbers < 0).any() or numbers.sum() <= 0:
        raise BadPrior("The probabilities of a prior are numbers from 0 on, not all of them zero.")
    return numbers / numbers.sum()


def calibration(confidence: np.ndarray, right: np.ndarray, groups: np.ndarray | None = None, seed: int = 0) -> dict[str, float]:
    """Expected calibration error of answers (Guo et al. 2017), in how far it is known, and what chance alone would give.

    Args:
        confidence: probability of each answer [N]. right: whether it was right [N]. groups [N]: images that are one piece of evidence.

    Returns:
        `calibration`, `calibration_se` (bootstrap over images, or over groups) and `calibration_limit`, which a perfectly calibrated
        classifier exceeds in 5 % of samples: the estimate is above zero even for that one.
    """
    sure, true = torch.from_numpy(np.asarray(confidence, np.float64)), torch.from_numpy(np.asarray(right)).bool()
    group = np.arange(len(sure)) if groups is None else np.unique(groups, return_inverse=True)[1].reshape(-1)
    order = np.argsort(group, kind="stable")
    members = np.split(order, np.flatnonzero(np.diff(group[order])) + 1)
    rng, errors = np.random.default_rng(seed), []
    for _ in range(RESAMPLES if len(members) > 1 else 0):
        drawn = torch.from_numpy(np.concatenate([members[i] for i in rng.integers(0, len(members), len(members))]))
        errors.append(calibration_error(sure[drawn], true[drawn]))
    return {
        "calibration": calibration_error(sure, true),
        "calibration_se": float(np.std(errors, ddof=1)) if errors else float("nan"),
        "calibration_limit": calibration_limit(sure, torch.Generator().manual_seed(seed)),
    }
