"""Three samplers on the plane: unadjusted Langevin, Metropolis-adjusted Langevin, Hamiltonian Monte Carlo.

A step size ε is a length for all of them: one Langevin step moves by ε²/2 ∇log p + ε ξ, which is one leapfrog step of ε. So MALA is HMC
with one leapfrog step, and the sliders of one mean the same in another. The noise of a chain depends on the seed, its number and the
step alone: it stays when a setting moves, when chains are added, and when there are more steps. So does the direction in which it begins.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from engine.common.chains import MOST_CHAINS, MOST_LEAPFROG, MOST_STEPS, STEP_SIZES
from engine.mcmc.targets import Target, UnknownTarget, target_named

FROM_MEAN = 2.0  # deviations of the target, that chains begin from its mean
GOLDEN_ANGLE = math.pi * (3 - math.sqrt(5))  # between the directions of two chains: any number of them lie well apart
FARTHEST = 1e6  # a chain beyond it has run away


class BadChains(ValueError):
    """One sentence: which setting, and what is allowed."""


@dataclass(frozen=True)
class ChainPlan:
    """Chains to be run. Raises BadChains or UnknownTarget where `checked`."""

    target: str = "banana"
    sampler: str = "hmc"
    steps: int = 1000
    step_size: float = 0.15  # ε
    leapfrog: int = 15  # leapfrog steps of HMC
    chains: int = 4
    seed: int = 0
    shape: float = 0.5  # of the target

    def checked(self) -> ChainPlan:
        """This, if it can be run."""
        if self.sampler not in SAMPLERS:
            raise UnknownTarget(f"There is no sampler “{self.sampler}”; there are: {', '.join(SAMPLERS)}.")
        target_named(self.target)
        for name, value, least, most in (
            ("steps", self.steps, 1, MOST_STEPS),
            ("chains", self.chains, 1, MOST_CHAINS),
            ("leapfrog", self.leapfrog, 1, MOST_LEAPFROG),
            ("step size", self.step_size, *STEP_SIZES),
            ("shape", self.shape, 0.0, 1.0),
        ):
            if not least <= value <= most:
                raise BadChains(f"The {name} of chains can be from {least:,g} to {most:,g}, not {value:,g}.")
        return self


@dataclass(frozen=True)
class Move:
    """What one step made of C chains."""

    x: np.ndarray  # [C, 2], where they are now
    accepted: np.ndarray  # bool [C]; of ULA: that it did not run away
    proposal: np.ndarray  # [C, 2]
    energy_error: np.ndarray  # [C], H after - H before; NaN where there is no such test


def leapfrog(target: Target, x: np.ndarray, p: np.ndarray, step_size: float, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Positions and momenta [C, 2] after `steps` leapfrog steps of H(x, p) = -log p(x) + |p|²/2 (Neal 2011, section 2.3)."""
    p = p + step_size / 2 * target.gradient(x)
    for step in range(steps):
        x = x + step_size * p
        p = p + (step_size / 2 if step == steps - 1 else step_size) * target.gradient(x)
    return x, p


def hamiltonian(target: Target, x: np.ndarray, p: np.ndarray) -> np.ndarray:
    """-log p(x) + |p|²/2, [C, 2] each -> [C]."""
    return -target.log_p(x) + 0.5 * (p**2).sum(-1)


def ula(target: Target, x: np.ndarray, xi: np.ndarray, u: np.ndarray, plan: ChainPlan) -> Move:
    """x + ε²/2 ∇log p(x) + ε ξ (Roberts and Tweedie 1996): nothing is rejected, so it samples another density, the nearer the smaller ε."""
    e = plan.step_size
    with np.errstate(all="ignore"):
        proposal = x + e**2 / 2 * target.gradient(x) + e * xi
    stays = np.abs(proposal).max(-1) <= FARTHEST  # false where it is no number
    return Move(np.where(stays[:, None], proposal, x), stays, proposal, np.full(len(x), np.nan))


def mala(target: Target, x: np.ndarray, xi: np.ndarray, u: np.ndarray, plan: ChainPlan) -> Move:
    """The same proposal, accepted with the probability of Metropolis and Hastings: exact for every ε (Besag 1994)."""
    e = plan.step_size
    with np.errstate(all="ignore"):
        proposal = x + e**2 / 2 * target.gradient(x) + e * xi
        back = (x - proposal - e**2 / 2 * target.gradient(proposal)) / e  # the noise that would lead back
        error = -target.log_p(proposal) + target.log_p(x) + 0.5 * ((back**2).sum(-1) - (xi**2).sum(-1))
    return _metropolis(x, proposal, error, u)


def hmc(target: Target, x: np.ndarray, xi: np.ndarray, u: np.ndarray, plan: ChainPlan) -> Move:
    """Momentum ξ, leapfrog steps along the Hamiltonian flow, then accept or stay (Duane et al. 1987, Neal 2011)."""
    with np.errstate(all="ignore"):
        proposal, p = leapfrog(target, x, xi, plan.step_size, plan.leapfrog)
        error = hamiltonian(target, proposal, p) - hamiltonian(target, x, xi)
    return _metropolis(x, proposal, error, u)


def _metropolis(x: np.ndarray, proposal: np.ndarray, error: np.ndarray, u: np.ndarray) -> Move:
    """Accept with probability min(1, exp(-error)); what is no number is rejected."""
    with np.errstate(all="ignore"):
        accepted = (np.log(u) < -error) & np.isfinite(error)
    return Move(np.where(accepted[:, None], proposal, x), accepted, proposal, error)


SAMPLERS: dict[str, Callable[[Target, np.ndarray, np.ndarray, np.ndarray, ChainPlan], Move]] = {"ula": ula, "mala": mala, "hmc": hmc}


def starts(plan: ChainPlan) -> np.ndarray:
    """Where the chains begin [C, 2]: over-dispersed, as R-hat wants it (Gelman and Rubin 1992): on an ellipse of twice the target's
    deviations around its mean, √2 as wide as the target itself, but within its extent. The seed turns it.
    """
    target = target_named(plan.target, plan.shape)
    mean, deviation = target.moments()
    left, right, bottom, top = target.extent
    angle = 2 * math.pi * np.random.default_rng((plan.seed, 2)).random() + GOLDEN_ANGLE * np.arange(plan.chains)
    x = mean + FROM_MEAN * deviation * np.stack([np.cos(angle), np.sin(angle)], 1)
    return x.clip((left, bottom), (right, top))


def run(plan: ChainPlan) -> Iterator[Move]:
    """One `Move` for every step."""
    plan = plan.checked()
    target, step, x = target_named(plan.target, plan.shape), SAMPLERS[plan.sampler], starts(plan)
    normals = [np.random.default_rng((plan.seed, chain, 0)) for chain in range(plan.chains)]
    uniforms = [np.random.default_rng((plan.seed, chain, 1)) for chain in range(plan.chains)]
    for _ in range(plan.steps):
        xi = np.stack([own.standard_normal(2) for own in normals])
        u = np.array([own.random() for own in uniforms])
        move = step(target, x, xi, u, plan)
        x = move.x
        yield move
