"""final_figures.json: a second copy of the final figures, since that test images were read must not be forgotten with the manifest."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import pydantic
from pydantic import BaseModel, ConfigDict, Field

from engine.storage import atomic_io
from engine.storage.run_files import FINAL_FIGURES

FORMAT = 1


class FinalReading(BaseModel):
    """Figures of one checkpoint on a split that was kept for the end, as they were read once."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    split: str
    step: Annotated[int, Field(ge=0, lt=1 << 62)]
    step_rule: str  # by which that checkpoint was taken
    images: Annotated[int, Field(ge=0, lt=1 << 62)]  # how many were looked at; of a text 0
    settings: dict[str, Any]
    values: dict[str, Any]  # with standard errors, as `nats_se`
    date: str  # UTC, ISO 8601
    versions: dict[str, str] = {}


Readings = tuple[FinalReading, ...]


class _Copy(BaseModel):
    """All of final_figures.json."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    format: int
    final_figures: Readings


def sealed_copy(readings: Readings) -> bytes:
    """The file's content: JSON that carries its own SHA-256."""
    return atomic_io.seal(_Copy(format=FORMAT, final_figures=readings).model_dump())


def read_copy(path: Path) -> Readings:
    """The readings that the copy in the run's folder `path` holds; none where there is no copy. Raises: atomic_io.Damaged."""
    file = path / FINAL_FIGURES
    if atomic_io.fault_of(file, None) == atomic_io.MISSING:
        return ()
    content = atomic_io.unseal(atomic_io.read_file(file, limit=atomic_io.MAX_JSON_BYTES))
    try:
        return _Copy.model_validate(content).final_figures
    except pydantic.ValidationError:
        raise atomic_io.Damaged("holds no final figures") from None


def readings_of(path: Path) -> tuple[Readings, str]:
    """As `read_copy`, and a sentence about what is wrong with the copy, "" when nothing is."""
    try:
        return read_copy(path), ""
    except atomic_io.Damaged as reason:
        sentence = f"{FINAL_FIGURES} of “{path.name}” {reason}: whether final figures were read from its test images is not known."
        return (), sentence


def united(readings: Readings, others: Readings) -> Readings:
    """All of both, each once, by date."""
    known = Counter(map(_key, readings))
    more = []
    for reading in others:
        if known[_key(reading)]:
            known[_key(reading)] -= 1
        else:
            more.append(reading)
    return tuple(sorted((*readings, *more), key=lambda reading: reading.date)) if more else readings


def _key(reading: FinalReading) -> str:
    """Equal for equal readings, also where a value is NaN."""
    return json.dumps(reading.model_dump(), default=atomic_io.plain, sort_keys=True)
