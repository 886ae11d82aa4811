"""What a checkpoint's state.json must say for a training to go on from it: checked whole before any of it is used."""

from __future__ import annotations

from typing import Annotated, Any

import pydantic
from pydantic import BaseModel, ConfigDict, Field

from engine.storage.run_folders import BadRun

Whole = Annotated[int, Field(ge=0, lt=1 << 62, strict=True)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
_STRICT = ConfigDict(extra="ignore", frozen=True, strict=True)  # what later versions add is ignored


class Place(BaseModel):
    """A place in the order of the data."""

    model_config = _STRICT

    epoch: Whole
    index: Whole


class StoredPlan(BaseModel):
    """`Plan` as it is stored."""

    model_config = _STRICT

    method: str
    data: str
    config: dict[str, Any] = {}
    seed: Annotated[int, Field(ge=-(1 << 62), lt=1 << 62)] = 0
    steps: Annotated[int, Field(ge=0, lt=1 << 62)] | None = None
    minutes: Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)] | None = None
    device: str = "auto"
    precision: str = "auto"
    name: str | None = None
    mutation: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] = 0.0


class ResumeState(BaseModel):
    """What `Trainer.numbers` and the recorder write beside the tensors."""

    model_config = _STRICT

    step: Whole
    seconds: Annotated[float, Field(ge=0, le=1e12, allow_inf_nan=False)]
    micro: Annotated[int, Field(ge=1, lt=1 << 31)]
    order: Place
    plan: StoredPlan
    best: Finite | None = None
    best_step: Whole | None = None  # absent in version 0.1.0


def checked(state: dict[str, Any], name: str, step: int) -> ResumeState:
    """The state of the checkpoint at `step` of the run called `name`. Raises: BadRun."""
    try:
        found = ResumeState.model_validate(state)
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise unusable(name, step, f"{where}: {first['msg']}") from None
    if found.step != step:
        raise unusable(name, step, f"it calls itself step {found.step:,}")
    return found


def unusable(name: str, step: int, why: str) -> BadRun:
    """One sentence: training cannot go on from this checkpoint, and why."""
    return BadRun(f"No training can go on from step {step:,} of “{name}”: its state does not fit ({why}). Start a new run.")
