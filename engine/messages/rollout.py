"""Messages of a film that is rolled out: the next frame is drawn given the last four, and then is one of the last four itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.messages.base import Event, Work

if TYPE_CHECKING:
    import numpy as np

__all__ = ["FrameRolledOut", "RollOut", "RolloutBegan"]


@dataclass(frozen=True, eq=False, kw_only=True)
class RollOut(Work):
    """Draw the frames after the first four of a held-out clip, one after the other -> `RolloutBegan`, then `FrameRolledOut` for each.

    The noise of a frame depends on `seed` and its number only.
    """

    run: str
    step: int | str | None = None
    clip: int = 0  # of the validation split, in its order; beyond the last one they begin anew
    frames: int = 8  # how many are drawn
    seed: int = 0


@dataclass(frozen=True, eq=False)
class RolloutBegan(Event):
    """The clip: what is given, and how it truly goes on."""

    job: str
    run: str
    step: int
    clip: int
    clips: int  # held-out clips in all
    name: str  # of the first true frame that is not given
    frames: int  # that will be drawn
    before: np.ndarray  # uint8 [4, C, H, W], the oldest first
    truth: np.ndarray  # uint8 [T, C, H, W], T ≤ frames: the clip may end before the film does
    truth_log_p: np.ndarray  # float64 [T]: log p in nats of each true frame given the four true ones before it


@dataclass(frozen=True, eq=False)
class FrameRolledOut(Event):
    """One frame that was drawn given the four before it, those drawn before among them."""

    job: str
    run: str
    step: int
    frame: int  # 1 … frames
    frames: int
    image: np.ndarray  # uint8 [C, H, W]
    log_p: float  # nats, given the four before it
    final: bool
