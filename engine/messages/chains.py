"""Messages of the Chains pane: Markov chains on a density in the plane, as they walk. No run is needed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.messages.base import Event, Work

if TYPE_CHECKING:
    import numpy as np

__all__ = ["ChainFigures", "ChainsBegan", "ChainsMoved", "RunChains"]


@dataclass(frozen=True, eq=False, kw_only=True)
class RunChains(Work):
    """Run Markov chains -> `ChainsBegan`, then `ChainsMoved` again and again.

    The noise of a chain depends on `seed`, its number and the step alone: it stays when another setting changes.
    """

    target: str = "banana"  # of `engine.common.chains.DENSITIES`
    sampler: str = "hmc"  # of `engine.common.chains.SAMPLER_TITLES`
    steps: int = 1000
    step_size: float = 0.15
    leapfrog: int = 15  # leapfrog steps of HMC
    chains: int = 4
    seed: int = 0
    shape: float = 0.5  # of the density: 0 easy, 1 hard


@dataclass(frozen=True)
class ChainFigures:
    """What chains are worth after so many steps; NaN where there are too few. Pairs are of x and y."""

    steps: int
    acceptance: float  # share of steps that moved; of the unadjusted sampler: that did not run away
    ess: tuple[float, float]  # bulk effective sample size of all chains together
    rhat: tuple[float, float]  # rank-normalized, split
    mean: tuple[float, float]
    deviation: tuple[float, float]


@dataclass(frozen=True, eq=False)
class ChainsBegan(Event):
    """The density, and where the chains begin."""

    job: str
    formula: str
    extent: tuple[float, float, float, float]  # left, right, bottom, top
    log_p: np.ndarray  # float32 [rows, columns] of normalized log p over the extent, the top row first
    mean: tuple[float, float]  # exact, as the chains should find it
    deviation: tuple[float, float]
    starts: np.ndarray  # float64 [C, 2]
    steps: int  # that will be made


@dataclass(frozen=True, eq=False)
class ChainsMoved(Event):
    """The next steps of all chains."""

    job: str
    done: int  # steps made, these included
    x: np.ndarray  # float64 [C, k, 2], after each of k steps
    accepted: np.ndarray  # bool [C, k]
    figures: ChainFigures  # of all steps so far
    final: bool = False
