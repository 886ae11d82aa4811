"""What is said of two networks' curves: simulated games, where each rule must speak and where it must not (5 % of false alarms)."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pytest

from app.panes.curves.game_diagnosis import CHANCE, diagnose_game
from app.panes.curves.pane import CurvesPane
from engine import messages as m
from tests.kit.panes import RUN, Kit, run_info

GAMES = 200
ALLOWED = 0.05 + 2 * math.sqrt(0.05 * 0.95 / GAMES)
NONE = (np.empty(0), np.empty(0))


def softplus(x: np.ndarray) -> np.ndarray:
    return np.logaddexp(0, x)


def game(objective: str, apart: float, seed: int, steps: int = 200, batch: int = 64) -> tuple[np.ndarray, np.ndarray]:
    """The discriminator's loss where logits are N(±apart/2, 1), a penalty at every fourth step: by its formula, written out."""
    rng = np.random.default_rng(seed)
    real, fake = (rng.normal(sign * apart / 2, 1, (steps, batch)) for sign in (1, -1))
    if objective == "hinge":
        loss = np.maximum(0, 1 - real) + np.maximum(0, 1 + fake)
    elif objective == "relativistic":
        loss = softplus(fake - real)
    else:
        loss = softplus(-real) + softplus(fake)
    values = loss.mean(1)
    values[::4] += rng.uniform(0, 1, len(values[::4]))
    return np.arange(1, steps + 1), values.astype(np.float32)


@pytest.mark.parametrize("objective", CHANCE)
@pytest.mark.parametrize("apart", [1.0, 2.0])
def test_that_a_game_in_balance_is_hardly_ever_called_lost(objective: str, apart: float) -> None:
    """70 to 92 % of the pairs are ranked right."""
    found = [diagnose_game(loss := game(objective, apart, seed), loss, NONE, objective) for seed in range(GAMES)]
    assert all(len(findings) == 1 and findings[0].rule for findings in found)
    levels = [findings[0].level for findings in found]
    assert levels.count("warning") / GAMES <= ALLOWED
    assert levels.count("good") / GAMES >= 1 - ALLOWED


@pytest.mark.parametrize("objective", CHANCE)
def test_that_a_discriminator_that_is_far_ahead_or_guesses_is_told(objective: str) -> None:
    ahead = [diagnose_game(loss := game(objective, 8.0, seed), loss, NONE, objective)[0] for seed in range(20)]
    assert all(finding.level == "warning" and "far ahead" in finding.text for finding in ahead)
    blind = [diagnose_game(loss := game(objective, 0.0, seed), loss, NONE, objective)[0] for seed in range(20)]
    assert all(finding.level == "muted" and "guessing" in finding.text for finding in blind)
    few = game(objective, 8.0, 0, steps=30)
    assert diagnose_game(few, few, NONE, objective) == []


def test_that_samples_that_move_away_from_the_data_are_told_and_noise_is_not() -> None:
    loss, steps = game("hinge", 2.0, 0), np.arange(0, 4000, 100)
    rng = np.random.default_rng(0)
    fall = 3 + 20 * np.exp(-steps / 500)
    gone = fall + 0.01 * np.maximum(steps - 2000, 0) + rng.normal(0, 0.2, len(steps))
    (first, *_) = diagnose_game(loss, loss, (steps, gone), "hinge")
    assert first.level == "warning" and "move away from the data" in first.text and "collapse" in first.text and "Overfit" not in first.text
    alarms = sum(
        diagnose_game(loss, loss, (steps, fall + rng.normal(0, 0.2, len(steps))), "hinge")[0].level == "warning" for _ in range(GAMES)
    )
    assert alarms / GAMES <= ALLOWED
    broken = loss[1].copy()
    broken[150] = np.nan
    assert diagnose_game((loss[0], broken), loss, NONE, "hinge")[0].level == "bad"


@pytest.fixture
def pane(kit: Kit) -> Iterator[CurvesPane]:
    made = kit.open(CurvesPane)
    assert isinstance(made, CurvesPane)
    yield made


def test_that_the_pane_says_it_of_a_run_with_two_losses(kit: Kit, pane: CurvesPane) -> None:
    kit.look_at(run_info(method="gan", config={"objective": "hinge"}, newest=m.RunFigure("energy_distance", 0.7, "", False, 64)))
    loss = game("hinge", 8.0, 0)
    kit.bridge.tell(m.Metrics(RUN, {"discriminator_loss": loss, "generator_loss": loss}, True))
    pane.redraw_now()
    assert ["far ahead" in finding.text for finding in pane._diagnose()] == [True]
