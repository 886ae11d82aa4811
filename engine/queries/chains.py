"""What the Chains pane asks: Markov chains in the plane, step by step."""

from __future__ import annotations

from collections.abc import Generator

import numpy as np

from engine import messages as m
from engine.mcmc.runs import Progressing, run_with_figures
from engine.mcmc.samplers import ChainPlan, starts
from engine.mcmc.targets import target_named
from engine.queries.answers import Job, answers
from engine.queries.session import QuerySession

GRID = 240  # places along each side that the density is looked at
FIGURES = 100  # times that figures are computed


@answers(m.RunChains)
def run_chains(session: QuerySession, work: m.RunChains) -> Job:
    """Raises: UnknownTarget, BadChains."""
    plan = ChainPlan(work.target, work.sampler, work.steps, work.step_size, work.leapfrog, work.chains, work.seed, work.shape).checked()
    yield began(work.job, plan)
    yield from _moves(work.job, run_with_figures(plan, max(1, plan.steps // FIGURES)), plan.steps)
    return ""


def began(job: str, plan: ChainPlan) -> m.ChainsBegan:
    """The density on a grid, and the chains' first places."""
    target = target_named(plan.target, plan.shape)
    left, right, bottom, top = target.extent
    places = np.stack(np.meshgrid(np.linspace(left, right, GRID), np.linspace(top, bottom, GRID)), axis=-1)
    mean, deviation = target.moments()
    return m.ChainsBegan(
        job,
        target.formula,
        target.extent,
        target.log_p(places).astype(np.float32),
        (float(mean[0]), float(mean[1])),
        (float(deviation[0]), float(deviation[1])),
        starts(plan),
        plan.steps,
    )


def _moves(job: str, running: Generator[Progressing | None, None, None], steps: int) -> Job:
    for item in running:
        if item is None:
            yield None
        else:
            yield m.ChainsMoved(job, item.figures.steps, item.x, item.accepted, item.figures, item.figures.steps == steps)
    return ""
