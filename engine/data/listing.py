"""How data sets of a list are told apart: the decisions that each is read by in words, and which two names stand for one set."""

from __future__ import annotations

import json

from engine.data.curation import effect, in_brief
from engine.data.errors import BadData
from engine.data.recipe import parted_name

SHOWN_PARTS, SHOWN_LETTERS = 2, 30  # of a decision that is a list


def decided_in_words(data: str) -> str:
    """“labels dx · leave out drafts/*, old/*, … · curated: 2 left out”; "" where nothing was decided, or it cannot be read."""
    try:
        path, recipe = parted_name(data)
    except BadData:
        return ""
    said = []
    for name, value in recipe.changed().items():
        if name == "curation":
            continue
        parts = value if isinstance(value, list) else [value]
        if isinstance(value, dict):
            parts = [f"{old} → {new}" for old, new in value.items()]
        more = ", …" if len(parts) > SHOWN_PARTS else ""
        said.append(f"{name.replace('_', ' ')} {', '.join(str(one)[:SHOWN_LETTERS] for one in parts[:SHOWN_PARTS])}{more}")
    return " · ".join([*said, *([in_brief(path, recipe.curation)] if recipe.curation else [])])


def identity(data: str) -> tuple[str, str, str]:
    """What two names of one set have in common: the path, the decisions in any order, and what the decisions about images come to."""
    try:
        path, recipe = parted_name(data)
    except BadData:
        return data, "", ""
    decisions = recipe.changed()
    carried = str(decisions.pop("curation", ""))
    return path, json.dumps(decisions, sort_keys=True), effect(path, carried) if carried else ""
