"""What a loss curve says, in words, with the rule behind each sentence. Numbers in, sentences out; nothing is drawn here."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from app.panes.curves.series import ema
from app.shell.formatting import count

LEAST_POINTS = 40
MOST_POINTS = 20_000  # of a longer curve every second, third, ... point is judged
SMOOTH = 0.9


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
        found += [v for v in (rising(*valid),) if v]
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
    """The smoothed loss has gone up again by more than half of all it had fallen, and stays there."""
    if len(values) < LEAST_POINTS or not np.isfinite(values).all():
        return None
    smooth = ema(values.astype(np.float64), SMOOTH)[0]
    best = int(np.argmin(smooth))
    fallen = float(np.max(smooth[: best + 1]) - smooth[best])
    tail = smooth[-max(len(smooth) // 20, 5) :]
    risen = float(np.min(tail) - smooth[best])
    spread = float(np.std(values[max(best - 20, 0) : best + 20]))
    if risen <= 0.5 * fallen or risen <= 4 * spread:
        return None
    return CurveFinding(
        "bad",
        f"The loss has been diverging since step {count(int(steps[best]))}. Try a smaller learning rate.",
        "The smoothed loss (0.9) has risen from its lowest point by more than half of what it had fallen, and by four times its spread.",
    )


def rising(steps: np.ndarray, values: np.ndarray) -> CurveFinding | None:
    """Validation loss: at least the last three values are above the best by more than the noise of the curve."""
    good = np.isfinite(values)
    steps, values = steps[good], values[good].astype(np.float64)
    if len(values) < 5:
        return None
    best = int(np.argmin(values))
    after = values[best + 1 :]
    if 0 < len(after) < 3 and after.min() - values[best] > 0.1 * (values[: best + 1].max() - values[best]):
        return CurveFinding(
            "warning",
            f"The validation loss is higher than at step {count(int(steps[best]))}: the network begins to memorize. Use that step.",
            "Every validation loss since the lowest one lies above it by more than a tenth of all it had fallen.",
        )
    if len(after) < 3:
        return None
    changes = np.abs(np.diff(values[best:]))
    noise = float(np.median(changes)) / 2
    late = after[-3:]
    if not ((late - values[best] > max(noise, 1e-3 * abs(values[best]))).all() and late[-1] >= late[0]):
        return None
    return CurveFinding(
        "warning",
        f"The validation loss has been rising since step {count(int(steps[best]))}: the network begins to memorize. Use that step.",
        "The last three validation losses lie above the lowest one by 0.1 % and by half the usual change, and do not fall.",
    )


FALLING_RULE = "Falling: the average of the last stretch lies below the stretch before by more than 0.1 % and twice its standard error."
FLAT_RULE = "Flat: the average of the last stretch differs from the stretch before by less than twice its standard error or 0.1 %."


def flat(steps: np.ndarray, values: np.ndarray, running: bool = True) -> CurveFinding | None:
    """The longest stretch at the end whose two halves have the same mean, at least a fifth of the run."""
    good = np.isfinite(values)
    steps, values = steps[good], values[good].astype(np.float64)
    if len(values) < LEAST_POINTS:
        return None
    found = None
    for share in (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8):
        length = int(len(values) * share) // 2 * 2
        if length < 20:
            continue
        before, after = values[-length : -length // 2], values[-length // 2 :]
        error = float(np.sqrt((before.var() + after.var()) / (length / 2)))
        if before.mean() - after.mean() > max(2 * error, 1e-3 * abs(after.mean())):
            break
        found = length
    if found is None:
        return None
    stretch = int(steps[-1] - steps[-found])
    hint = " More steps will change little; a smaller learning rate or another setting may." if running else ""
    return CurveFinding(
        "warning" if running else "muted", f"The loss {'has been' if running else 'was'} flat for {count(stretch)} steps.{hint}", FLAT_RULE
    )
