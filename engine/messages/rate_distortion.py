"""Messages of the Latent pane's rate-distortion plane: the two parts of the bound, of each run with one."""

from __future__ import annotations

from dataclasses import dataclass

from engine.messages.base import Event, Work

__all__ = ["MeasureRateDistortion", "RateDistortionMeasured"]


@dataclass(frozen=True, eq=False, kw_only=True)
class MeasureRateDistortion(Work):
    """Rate and distortion of runs on validation images of their data -> `Progress`, and a `RateDistortionMeasured` for each run."""

    runs: tuple[tuple[str, int | None], ...]  # (run, step)
    limit: int = 500


@dataclass(frozen=True, eq=False)
class RateDistortionMeasured(Event):
    """A point of the plane, nats per image, or why there is none."""

    job: str
    run: str
    step: int
    rate: float = 0.0  # KL(q(z|x) ∥ p(z))
    rate_se: float = 0.0
    distortion: float = 0.0  # E[-log p(x|z)]
    distortion_se: float = 0.0
    distortion_bits_per_dim: float = 0.0
    elbo: float = 0.0
    elbo_se: float = 0.0
    images: int = 0
    comparable: tuple[str, ...] = ()  # content of the data and likelihood of the pixels: only points of the same ones can be compared
    error: str = ""  # one sentence; then there is no point
