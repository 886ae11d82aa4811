"""What a loss curve says, in words, with the rule behind each sentence. Numbers in, sentences out; nothing is drawn here."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from app.panes.curves.series import ema
from app.shell.formatting import count

LEAST_POINTS = 40
MOST_POINTS = 20_000  # of a longer curve every second, third, ... point is judged
SMOOTH = 0.9
STRETCHES = 12  # whose means show whether a loss diverges
SHORTEST = 8  # points of a stretch
LONG_ENOUGH = 30  # points of a stretch whose mean shows how long the noise holds on
RISEN = 8  # standard errors of a difference of two means that are no chance, however often one looks
RISEN_SOON = 30  # likewise where stretches are too short to show the noise
LEAST_AFTER = 5  # validation losses after the lowest one: fewer cannot rise steadily enough to be no chance
MOST_AFTER = 60  # of which the distribution is computed exactly
ALARM = 0.01


@dataclass(frozen=True)
class CurveFinding:
    """A sentence about a curve and the rule it follows from."""

    level: str  # "good" | "muted" | "warning" | "bad"
    text: str
    rule: str


def diagnose(
    loss: tuple[np.ndarray, np.ndarray] | None,
    valid: tuple[np.ndarray, np.ndarray] | None,
    running: bool,
) -> list[CurveFinding]:
    """Judge a loss that should fall. `loss` and `valid` are (steps [n], values [n]); the worst comes first."""
    found = []
    if loss is not None and len(loss[0]):
        found += [v for v in (not_finite(*loss),) if v]  # of all points: one is enough
        loss = every_nth(*loss)
        found += [v for v in (diverged(*loss),) if v]
    if valid is not None and len(valid[0]):
        found += [v for v in (rising(*valid, loss),) if v]
    if not found and loss is not None:
        finding = flat(*loss, running=running)
        found += [finding] if finding else []
    if not found and loss is not None and len(loss[0]) >= LEAST_POINTS:
        found.append(
            CurveFinding("good", "The loss is falling." if running else "The loss was still falling when the run ended.", FALLING_RULE)
        )
    return found


def every_nth(steps: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """At most MOST_POINTS of the points, evenly, the last one among them."""
    n = -(-len(steps) // MOST_POINTS)
    return (steps, values) if n <= 1 else (steps[::-n][::-1], values[::-n][::-1])


def not_finite(steps: np.ndarray, values: np.ndarray) -> CurveFinding | None:
    bad = np.flatnonzero(~np.isfinite(values))
    if not len(bad):
        return None
    step = count(int(steps[bad[0]]))
    return CurveFinding(
        "bad",
        f"The loss is not a number at step {step}. Try a smaller learning rate, or precision fp32.",
        "A value of the loss is infinite or not a number.",
    )


def diverged(steps: np.ndarray, values: np.ndarray) -> CurveFinding | None:
    """The loss has gone up again by more than half of all it had fallen, far beyond its noise, in two stretches one after the other.

    The curve is cut into STRETCHES of equal length, back from its end, and judged by their means: the last two must both lie above the
    lowest. What chance does to a mean is read off the means themselves, the median of their second differences, which neither a trend
    nor a turn moves; so noise that holds on from step to step counts as what it is. The bounds are those that keep false alarms of whole
    runs, looked at again and again, below 5 %, with white noise and with noise that holds on for 20 steps.
    """
    if len(values) < LEAST_POINTS or not np.isfinite(values).all():
        return None
    length = max(len(values) // STRETCHES, SHORTEST)
    count_ = len(values) // length
    stretches = values[len(values) - count_ * length :].astype(np.float64).reshape(count_, length)
    means = stretches.mean(1)
    best = int(np.argmin(means[:-2]))
    start = max(float(values[: max(length // 4, 5)].mean()), float(means[: best + 1].max()))
    risen = float(means[-2:].min() - means[best])
    turns = np.abs(means[2:] - 2 * means[1:-1] + means[:-2])
    deviation = max(
        float(np.median(turns)) / (0.6745 * math.sqrt(6)),  # of a normal deviation's median; of a second difference's variance
        float(np.median(stretches.std(1))) / math.sqrt(length),  # as if every point were by itself: it is at least that
    )
    bound = RISEN if length >= LONG_ENOUGH else RISEN_SOON
    if risen <= 0.5 * (start - means[best]) or risen <= bound * math.sqrt(2) * deviation:
        return None
    lowest = int(np.argmin(ema(values.astype(np.float64), SMOOTH)[0]))
    return CurveFinding(
        "bad",
        f"The loss has been diverging since step {count(int(steps[lowest]))}. Try a smaller learning rate.",
        f"The means of the last two of {count_} stretches have risen from the lowest one by more than half of what it had fallen, and by "
        f"{bound} times what chance makes of such a difference.",
    )


def rising(steps: np.ndarray, values: np.ndarray, loss: tuple[np.ndarray, np.ndarray] | None = None) -> CurveFinding | None:
    """Overfitting: the validation loss had fallen, rises since its minimum by more than chance, and the training loss does not.

    After the minimum of a flat, noisy curve the values come in any order, whatever the noise: how often a later one is higher
    (Mann 1945) then has a known distribution, and is held against that. Nothing is said before LEAST_AFTER values have come.
    """
    good = np.isfinite(values)
    steps, values = steps[good], values[good].astype(np.float64)
    best = int(np.argmin(values)) if len(values) else 0
    after = values[best + 1 :]
    if len(after) < LEAST_AFTER or best == 0:
        return None
    fallen = float(values[:best].max() - values[best])
    noise = float(np.maximum(-np.diff(after), 0).mean()) / 0.564  # of what goes down in between; a normal one goes down by .564 σ
    if fallen <= 4 * noise or float(np.median(after[-3:])) - values[best] <= max(3 * noise, 0.01 * fallen):
        return None
    if chance_of_rise(after) > ALARM or (loss is not None and _rises_too(*loss, int(steps[best]))):
        return None
    return CurveFinding(
        "warning",
        f"Overfitting: the validation loss has been rising since step {count(int(steps[best]))}. Use that step.",
        f"Since its minimum, at least {LEAST_AFTER} validation losses rise more steadily than they would by chance in {100 * ALARM:g} % of "
        "flat curves (Mann–Kendall), by three times their noise, and the training loss does not rise.",
    )


def chance_of_rise(values: np.ndarray) -> float:
    """How likely a random order of distinct values [n] has at least so many pairs whose later one is higher (Mann 1945), exactly."""
    n = len(values)
    later_is_higher = int(np.triu(values[None, :] > values[:, None], 1).sum())
    if n > MOST_AFTER:  # nearly normal
        mean, deviation = n * (n - 1) / 4, math.sqrt(n * (n - 1) * (2 * n + 5) / 72)
        return 0.5 * math.erfc((later_is_higher - 0.5 - mean) / (deviation * math.sqrt(2)))
    orders = np.ones(1)  # share of orders by their number of such pairs, one value more at a time
    for size in range(2, n + 1):
        orders = np.convolve(orders, np.full(size, 1 / size))
    return float(orders[later_is_higher:].sum())


def _rises_too(steps: np.ndarray, values: np.ndarray, since: int) -> bool:
    """Whether the training loss is higher at the end than around a step, by more than twice the standard error."""
    values = values.astype(np.float64)
    place, width = int(np.searchsorted(steps, since)), max(len(values) // 20, 5)
    there, end = values[max(place - width, 0) : place + width], values[-width:]
    if len(there) < 2 or len(end) < 2:
        return False
    error = math.sqrt(there.var() / len(there) + end.var() / len(end))
    return bool(end.mean() - there.mean() > 2 * error)


FALLING_RULE = "Falling: the average of the last stretch lies below the stretch before by more than 0.1 % and twice its standard error."
FLAT_RULE = (
    "Flat: the average of the last stretch differs from the stretch before by less than twice its standard error or 0.1 %, "
    "and cannot have fallen by more than 2 % of all the loss has fallen, or 0.5 % of its value."
)
UNCLEAR_RULE = "A fall of the last stretch is neither shown nor ruled out: its standard error is too large for either."


def flat(steps: np.ndarray, values: np.ndarray, running: bool = True) -> CurveFinding | None:
    """The longest stretch at the end whose two halves have the same mean, at least a fifth of the run; that it cannot be told where the
    noise would hide a fall that matters.
    """
    good = np.isfinite(values)
    steps, values = steps[good], values[good].astype(np.float64)
    if len(values) < LEAST_POINTS:
        return None
    found = most = None  # points of the stretch, and by how much the loss can have fallen within it
    for share in (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8):
        length = int(len(values) * share) // 2 * 2
        if length < 20:
            continue
        before, after = values[-length : -length // 2], values[-length // 2 :]
        error = float(np.sqrt((before.var() + after.var()) / (length / 2)))
        fall = float(before.mean() - after.mean())
        if fall > max(2 * error, 1e-3 * abs(after.mean())):
            break
        found, most = length, fall + 2 * error
    if found is None or most is None:
        return None
    now = float(values[-found // 2 :].mean())
    if most > max(0.02 * (float(values[:5].mean()) - now), 0.005 * abs(now)):
        return CurveFinding("muted", "Whether the loss still falls cannot be told from its noise.", UNCLEAR_RULE)
    stretch = int(steps[-1] - steps[-found])
    hint = " More steps will change little; a smaller learning rate or another setting may." if running else ""
    return CurveFinding(
        "warning" if running else "muted", f"The loss {'has been' if running else 'was'} flat for {count(stretch)} steps.{hint}", FLAT_RULE
    )
