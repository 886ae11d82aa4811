"""What the curves of a generative adversarial network say, in words: neither loss should fall, so no rule of `curve_diagnosis` fits them.

Numbers in, sentences out; nothing is drawn here.
"""

from __future__ import annotations

import math

import numpy as np

from app.panes.curves.curve_diagnosis import LEAST_POINTS, CurveFinding, every_nth, not_finite, rising
from app.shell.formatting import number

Points = tuple[np.ndarray, np.ndarray]  # steps [n], values [n]

DISCRIMINATOR, GENERATOR, DISTANCE = "discriminator_loss", "generator_loss", "energy_distance"
CHANCE = {"hinge": 2.0, "non_saturating": 2 * math.log(2), "relativistic": math.log(2)}  # the discriminator's loss where it guesses
AHEAD, BLIND = 0.2, 0.97  # of that loss
STRETCH = 0.2  # of the curve, at its end

AHEAD_RULE = f"The median of the last fifth of the discriminator's loss is below {AHEAD:g} of what guessing costs, by twice its error."
BLIND_RULE = f"The median of the last fifth of the discriminator's loss is above {BLIND:g} of what guessing costs, by twice its error."
BALANCE_RULE = f"The median of the last fifth of the discriminator's loss lies between {AHEAD:g} and {BLIND:g} of what guessing costs."


def diagnose_game(discriminator: Points, generator: Points, distance: Points, objective: str) -> list[CurveFinding]:
    """Whether samples move away from the data, and which network is ahead; the worst first.

    Args:
        discriminator, generator: their losses at every step.
        distance: the energy distance of samples to held-out images, of every checkpoint.
        objective: one of `CHANCE`.
    """
    found = [finding for loss in (discriminator, generator) if (finding := not_finite(*loss))][:1]
    if len(distance[0]) and (finding := rising(*distance)):
        text = finding.text.replace("Overfitting: the validation loss has", "Samples move away from the data: their energy distance has")
        words = text + " Mode collapse looks like this; more gamma or lower rates may prevent it."
        found.append(CurveFinding(finding.level, words, finding.rule.replace(", and the training loss does not rise", "")))
    return found + ([] if found else balance(*every_nth(*discriminator), CHANCE[objective]))


def balance(steps: np.ndarray, values: np.ndarray, chance: float) -> list[CurveFinding]:
    """Which network is ahead at the end, by the discriminator's loss; penalties, which come at some steps only, hardly move its median."""
    if len(values) < LEAST_POINTS:
        return []
    last = values[-max(int(STRETCH * len(values)), LEAST_POINTS // 2) :].astype(np.float64)
    median = float(np.median(last))
    error = 1.2533 * 1.4826 * float(np.median(np.abs(last - median))) / math.sqrt(len(last))  # of a median of normal numbers
    told = f"its loss is {number(median, 2)}, where guessing costs {number(chance, 2)}"
    if median + 2 * error < AHEAD * chance:
        words = f"The discriminator is far ahead: {told}. If that stays, raise gamma or lower discriminator_rate."
        return [CurveFinding("warning", words, AHEAD_RULE)]
    if median - 2 * error > BLIND * chance:
        words = f"The discriminator hardly does better than guessing: {told}. Samples are that good, or it is too weak: look at them."
        return [CurveFinding("muted", words, BLIND_RULE)]
    return [CurveFinding("good", f"The two networks are in balance: of the discriminator {told}.", BALANCE_RULE)]
