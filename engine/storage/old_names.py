"""What runs of version 0.1.0 call settings, loss terms and parameters that have other names today.

A run says in its manifest and in every checkpoint which names it was written with (`vocabulary`, absent in version 0.1.0). What is read
goes through here; nothing on the disk changes until the run is trained further.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, TypeVar

VOCABULARY = 2  # counted up when something that stands in runs is renamed; 1: version 0.1.0

Value = TypeVar("Value")

SETTINGS: dict[str, dict[str, str]] = {"simclr": {"piece": "micro_batch_size"}}  # method -> old name -> today's
_CONTRASTIVE = {"found": "top1_retrieval", "information": "mi_lower_bound"}
TERMS: dict[str, dict[str, str]] = {  # method -> old name -> today's
    "simclr": _CONTRASTIVE,
    "moco": _CONTRASTIVE,
    "memory_bank": _CONTRASTIVE,
    "dino": {"found": "top1_retrieval"},
    "energy": {"sample_distance": "energy_distance"},  # of development before 0.3
}
PARAMETERS: dict[str, str] = {  # pattern in an old name, of any method -> what stands in its place (`re.sub`)
    r"\bwiden\.(weight|bias)$": r"fc1.\1",  # of the transformers
    r"\bnarrow\.(weight|bias)$": r"fc2.\1",
}

_VALID = "valid "  # before the terms of held-out images
_RESUMED = re.compile(r"(weights/|working/|optimizer/[^/]+/)(.*)", re.DOTALL)  # before a parameter's name in resume.safetensors


def settings_today(method: str, config: Mapping[str, Value]) -> dict[str, Value]:
    """A run's settings, each under today's name."""
    names = SETTINGS.get(method, {})
    return {names.get(name, name): value for name, value in config.items()}


def terms_today(method: str, terms: Mapping[str, Value]) -> dict[str, Value]:
    """Numbers by the term of the loss they are of, each under today's name; also those of held-out images."""
    names = TERMS.get(method, {})
    names = names | {_VALID + old: _VALID + new for old, new in names.items()}
    return {names.get(name, name): value for name, value in terms.items()}


def figures_today(method: str, figures: dict[str, Any]) -> dict[str, Any]:
    """A manifest's numbers of checkpoints, each a dict with its `term`, with today's names of the terms."""
    names = TERMS.get(method, {})
    told = {key: figure for key, figure in figures.items() if isinstance(figure, dict) and isinstance(figure.get("term"), str)}
    known = {key: figure for key, figure in told.items() if figure["term"] in names}
    return figures | {key: {**figure, "term": names[figure["term"]]} for key, figure in known.items()}


def row_today(method: str, row: dict[str, Any]) -> dict[str, Any]:
    """A row of metrics.jsonl with today's names of the terms."""
    values = row.get("values")
    return {**row, "values": terms_today(method, values)} if method in TERMS and isinstance(values, dict) else row


def state_today(method: str, state: dict[str, Any]) -> dict[str, Any]:
    """What a checkpoint's state.json keeps, with today's names: the terms of its validation and the settings of its plan."""
    valid, plan = state.get("valid"), state.get("plan")
    if isinstance(valid, dict):
        state = {**state, "valid": terms_today(method, valid)}
    if isinstance(plan, dict) and isinstance(plan.get("config"), dict):
        state = {**state, "plan": {**plan, "config": settings_today(method, plan["config"])}}
    return state


def arrays_today(arrays: Mapping[str, Value], vocabulary: int) -> dict[str, Value]:
    """A checkpoint's arrays, those of parameters under today's names; `vocabulary` is the one it was written with."""
    return dict(arrays) if vocabulary >= VOCABULARY else {_parameter_today(name): value for name, value in arrays.items()}


def _parameter_today(name: str) -> str:
    found = _RESUMED.fullmatch(name)
    prefix, name = (found[1], found[2]) if found else ("", name)
    for old, new in PARAMETERS.items():
        name = re.sub(old, new, name)
    return prefix + name
