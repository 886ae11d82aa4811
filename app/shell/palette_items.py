"""Everything the palette reaches: actions (panes are among them), runs, data, and what can be pressed in the panes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from PySide6.QtCore import QObject
from PySide6.QtWidgets import QPushButton, QWidget
from shiboken6 import isValid

from app.shell.actions import PANE, Actions
from app.shell.palette import Item
from app.shell.state import State


def palette_items(registry: Actions, state: State, choose_run: Callable[[str], object], choose_data: Callable[[str], object]) -> list[Item]:
    items = []
    for entry in registry.entries.values():
        kind = "pane" if entry.name.startswith(PANE) else "action"
        action = entry.action
        hint = f"{kind} · {entry.keys}" if entry.keys else kind
        items.append(Item(action.text().replace("&&", "&"), kind, action.trigger, hint, entry.words, action.isEnabled()))
    for run, info in state.runs.items():
        items.append(Item(f"{info.title or info.method} · {info.data_name}", "run", partial(choose_run, run), f"run · {info.name}"))
    for data, one in state.data.items():
        items.append(Item(one.name, "data", partial(choose_data, data), f"data · {one.summary}"))
    return items


def pane_items(pane: QWidget, title: str, show: Callable[[], object]) -> list[Item]:
    """What can be pressed in a pane as it is now: its buttons, and the entries of their menus. Each brings the pane to the front first."""
    items = []
    for button in pane.findChildren(QPushButton):
        words = max(button.text().replace("&&", "&"), button.accessibleName(), key=len)  # “Show in Embedding” of one that says “Embedding”
        if not words or not button.isVisibleTo(pane):
            continue
        hint, enabled, menu = f"action · {title}", button.isEnabled(), button.menu()
        entries = [] if menu is None else [one for one in menu.actions() if one.text() and not one.isSeparator() and one.menu() is None]
        for one in entries:
            text = f"{title}: {words}, {one.text().replace('&&', '&')}"
            items.append(Item(text, "action", partial(_do, show, one, one.trigger), hint, enabled=enabled and one.isEnabled()))
        if not entries:
            items.append(Item(f"{title}: {words}", "action", partial(_do, show, button, button.click), hint, enabled=enabled))
    return items


def _do(show: Callable[[], object], pressed: QObject, press: Callable[[], object]) -> None:
    show()
    if isValid(pressed):  # coming to the front may have drawn the pane anew
        press()
