"""How a data set's name carries the decisions of its import: `PATH?{"labels": "dx"}`."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def name_with(data: str, decisions: Mapping[str, Any]) -> str:
    """The name of a data set that is read by decisions; as it is where nothing was decided."""
    return data if not decisions else f"{data}?{json.dumps(decisions, sort_keys=True, ensure_ascii=False)}"


def split_name(data: str) -> tuple[str, str]:
    """(path or built-in name, the JSON text of the decisions; "" for none)."""
    place = data.find("?{")
    if place < 0 or not data.endswith("}") or os.path.lexists(data):
        return data, ""
    return data[:place], data[place + 1 :]


def path_and_decisions(data: str) -> tuple[str, dict[str, Any]]:
    """(path or built-in name, decisions); none where their text is no JSON object, which the engine refuses in words."""
    path, text = split_name(data)
    try:
        decisions = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return path, {}
    return path, decisions if isinstance(decisions, dict) else {}


def short_name(data: str) -> str:
    """What a data set is called in one or two words: the last part of its path."""
    path, _ = split_name(data)
    return Path(path).name or path
