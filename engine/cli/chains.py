"""The verb `chains`: Markov chains on a density in the plane, as the Chains pane runs them."""

from __future__ import annotations

import argparse
import csv
import io
import math
from typing import Any

from engine.cli.console import Console
from engine.cli.out_file import writable
from engine.cli.parser import VerbParsers, positive, positive_int, seed
from engine.common.chains import DENSITIES, SAMPLER_TITLES, without_figures
from engine.common.counting import number_of


def add(verbs: VerbParsers) -> None:
    """Its words."""
    sub = verbs.add("chains", run_verb, "Run Markov chains on a density in the plane, and say what they are worth.")
    sub.add_argument("--target", default="banana", choices=tuple(DENSITIES), help="the density")
    sub.add_argument("--shape", type=_share, default=0.5, help="how hard it is, from 0 to 1")
    sub.add_argument("--sampler", default="hmc", choices=tuple(SAMPLER_TITLES), help="how it is sampled")
    sub.add_argument("--steps", type=positive_int, default=1000)
    sub.add_argument("--step-size", type=positive, default=0.15, metavar="E")
    sub.add_argument("--leapfrog", type=positive_int, default=15, metavar="L", help="leapfrog steps of HMC")
    sub.add_argument("--chains", type=positive_int, default=4, metavar="C")
    sub.add_argument("--seed", type=seed, default=0, help="seed of all randomness")
    sub.add_argument("--out", metavar="F.csv", help="the steps as a table: chain, step, x, y, accepted")


def run_verb(options: argparse.Namespace, console: Console) -> dict[str, Any]:
    """{"target", "sampler", …, "acceptance", "ess", "rhat", "mean", "mean_exact", "deviation", "deviation_exact"}.

    Pairs are of x and y, null where there are too few steps.
    """
    import numpy as np

    from engine.mcmc.runs import run_with_figures
    from engine.mcmc.samplers import ChainPlan
    from engine.mcmc.targets import target_named
    from engine.storage.atomic_io import write_file

    o = options
    plan = ChainPlan(o.target, o.sampler, o.steps, o.step_size, o.leapfrog, o.chains, o.seed, o.shape).checked()
    out = writable(o.out, "--out") if o.out else None
    pieces = [item for item in run_with_figures(plan, plan.steps) if item is not None]
    figures = pieces[-1].figures
    mean, deviation = target_named(plan.target, plan.shape).moments()
    if out is not None:
        x, accepted = np.concatenate([piece.x for piece in pieces], 1), np.concatenate([piece.accepted for piece in pieces], 1)
        text = io.StringIO()
        table = csv.writer(text, lineterminator="\n")
        table.writerow(("chain", "step", "x", "y", "accepted"))
        for chain, step in np.ndindex(o.chains, o.steps):
            at = x[chain, step].tolist()
            table.writerow((chain, step + 1, repr(at[0]), repr(at[1]), int(accepted[chain, step])))
        write_file(out, text.getvalue().encode())
        console.say(f"{number_of(o.chains * o.steps, 'step')} in {o.out}")
    known = all(map(math.isfinite, (*figures.ess, *figures.rhat)))
    worth = f"ESS {figures.ess[0]:.0f} and {figures.ess[1]:.0f}, R-hat {max(figures.rhat):.3f}" if known else without_figures(o.steps)
    console.say(f"accepted {100 * figures.acceptance:.1f} %, {worth}")
    return {
        "target": o.target,
        "shape": o.shape,
        "sampler": o.sampler,
        "steps": o.steps,
        "step_size": o.step_size,
        "leapfrog": o.leapfrog if o.sampler == "hmc" else None,
        "chains": o.chains,
        "seed": o.seed,
        "acceptance": figures.acceptance,
        "ess": _numbers(figures.ess),
        "rhat": _numbers(figures.rhat),
        "mean": _numbers(figures.mean),
        "mean_exact": _numbers(mean),
        "deviation": _numbers(figures.deviation),
        "deviation_exact": _numbers(deviation),
        "file": o.out,
    }


def _numbers(pair: Any) -> list[float | None]:
    """JSON knows no NaN."""
    return [float(value) if math.isfinite(value) else None for value in pair]


def _share(text: str) -> float:
    """A number from 0 to 1."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"“{text}” is not a number from 0 to 1")
    return value
