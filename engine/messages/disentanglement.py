"""Messages of the inspector's disentanglement figures: MIG and DCI of a checkpoint's codes, on data with true factors."""

from __future__ import annotations

from dataclasses import dataclass

from engine.messages.base import Event, Work

__all__ = ["DisentanglementMeasured", "FactorFigures", "MeasureDisentanglement"]


@dataclass(frozen=True)
class FactorFigures:
    """What the codes say of one true factor."""

    name: str  # "hue"
    mig: float  # of this factor alone
    completeness: float
    informativeness: float
    code: int  # the dimension that tells most of it


@dataclass(frozen=True, eq=False, kw_only=True)
class MeasureDisentanglement(Work):
    """MIG and DCI of a run's features on its validation images -> `Progress`, then `DisentanglementMeasured`."""

    run: str
    step: int | None = None


@dataclass(frozen=True, eq=False)
class DisentanglementMeasured(Event):
    """The figures of one checkpoint, each with its standard error as `mig_se`."""

    job: str
    run: str
    step: int
    images: int
    values: dict[str, float]  # mig, dci_disentanglement, dci_completeness, dci_informativeness
    factors: tuple[FactorFigures, ...]
    codes: int  # D
    code_bins: int
    factor_bins: int
