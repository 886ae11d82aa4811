"""Everything the palette reaches: actions (panes are among them), runs, data."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from app.shell.actions import PANE, Actions
from app.shell.palette import Item
from app.shell.state import State


def palette_items(registry: Actions, state: State, choose_run: Callable[[str], object], choose_data: Callable[[str], object]) -> list[Item]:
    items = []
    for entry in registry.entries.values():
        kind = "pane" if entry.name.startswith(PANE) else "action"
        action = entry.action
        hint = f"{kind} · {entry.keys}" if entry.keys else kind
        items.append(Item(action.text().replace("&&", "&"), kind, action.trigger, hint, action.isEnabled()))
    for run, info in state.runs.items():
        items.append(Item(f"{info.title or info.method} · {info.data_name}", "run", partial(choose_run, run), f"run · {info.name}"))
    for data, one in state.data.items():
        items.append(Item(one.name, "data", partial(choose_data, data), f"data · {one.summary}"))
    return items
