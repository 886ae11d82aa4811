"""Chains with the figures that judge them, in pieces."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import numpy as np

from engine.mcmc.diagnostics import bulk_ess, rhat
from engine.mcmc.samplers import ChainPlan, run
from engine.messages import ChainFigures


@dataclass(frozen=True)
class Progressing:
    """k more steps of C chains, and what all steps so far are worth."""

    x: np.ndarray  # float64 [C, k, 2]
    accepted: np.ndarray  # bool [C, k]
    figures: ChainFigures


def run_with_figures(plan: ChainPlan, every: int) -> Generator[Progressing | None, None, None]:
    """A `Progressing` after every so many steps and at the end; None where it may be interrupted."""
    x = np.empty((plan.chains, plan.steps, 2))
    accepted = np.empty((plan.chains, plan.steps), dtype=bool)
    told = 0
    for done, move in enumerate(run(plan), 1):
        x[:, done - 1], accepted[:, done - 1] = move.x, move.accepted
        yield None
        if done % every == 0 or done == plan.steps:
            figures = yield from figures_of(x[:, :done], accepted[:, :done])
            yield Progressing(x[:, told:done].copy(), accepted[:, told:done].copy(), figures)
            told = done


def figures_of(x: np.ndarray, accepted: np.ndarray) -> Generator[None, None, ChainFigures]:
    """Of chains [C, T, 2] and what of their steps was accepted, bool [C, T]."""
    ess, found = [], []
    for axis in range(2):
        ess.append(bulk_ess(x[..., axis]))
        yield
        found.append(rhat(x[..., axis]))
        yield
    mean, deviation = x.mean((0, 1)), x.std((0, 1))
    pairs = [(float(pair[0]), float(pair[1])) for pair in (ess, found, mean, deviation)]
    return ChainFigures(x.shape[1], float(accepted.mean()), *pairs)
