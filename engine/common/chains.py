"""What engine and window both know of Markov chains in the plane: names of densities and samplers, and how far their settings go."""

from __future__ import annotations

DENSITIES = {  # name -> title, what its shape parameter (0 to 1) is
    "gaussian": ("Correlated Gaussian", "correlation"),
    "banana": ("Banana", "bend"),
    "ring": ("Ring", "thinness"),
    "mixture": ("Mixture of three Gaussians", "distance"),
}
SAMPLER_TITLES = {"ula": "Langevin, unadjusted", "mala": "Langevin, adjusted (MALA)", "hmc": "Hamiltonian (HMC)"}
MOST_STEPS, MOST_CHAINS, MOST_LEAPFROG = 20_000, 16, 200
STEP_SIZES = (1e-4, 10.0)
FEWEST_STEPS = 16  # that ESS and R-hat are computed of: both halves of a chain are looked at, by 8 steps at least
LEAST_RHAT = 1.01  # chains that agree are below it (Vehtari et al. 2021, section 4)
LEAST_ESS = 400  # below it figures of all chains together are not to be trusted (the same)
EXPLAINED = {
    "ula": "x ← x + ε²/2 ∇log p + ε ξ. Nothing is rejected, so the chain samples a wider density, the nearer to p the smaller ε.",
    "mala": "The same proposal, accepted or rejected by Metropolis and Hastings: exact for every ε.",
    "hmc": "A random momentum, leapfrog steps along the Hamiltonian flow, then accept or stay: far moves that are seldom rejected.",
}


def without_figures(steps: int) -> str:
    """Why chains of so many steps have no ESS or R-hat, in words; to be said where these are no numbers."""
    if steps < FEWEST_STEPS:
        return f"too few steps for ESS and R-hat, which need {FEWEST_STEPS}"
    return "a coordinate of the chains does not vary, so ESS and R-hat are not defined; take another step size"
