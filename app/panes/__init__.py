"""One folder here is one pane, or one file where that is enough. They are found by folder: there is no list to edit.

A pane is a subclass of `Pane`, in `pane.py` of its folder. It draws what the shared state says (run, step, theme) and asks the
engine through the bridge; it knows no other pane and no method by name.
"""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from PySide6.QtWidgets import QWidget

if TYPE_CHECKING:
    from PySide6.QtGui import QUndoStack

    from app.shell.actions import Actions
    from app.shell.bridge import Bridge
    from app.shell.state import State


@dataclass(frozen=True)
class Context:
    """All that a pane is given."""

    state: State
    bridge: Bridge
    actions: Actions
    undo: QUndoStack


class Pane(QWidget):
    """Base of all panes.

    `needs` are capabilities of the run's method (from `engine.messages.MethodInfo.capabilities`); the window shows the
    reason instead of the pane when one is missing. `wants_run` panes show "choose a run" without one.
    """

    title: ClassVar[str]
    order: ClassVar[int]  # place among the tabs, from the left
    needs: ClassVar[tuple[str, ...]] = ()
    wants_run: ClassVar[bool] = True
    takes_folders: ClassVar[bool] = False  # a folder dropped on it is a batch of images, and so are files of any kind
    about: ClassVar[str] = ""  # one sentence: the tab's tooltip

    def __init__(self, context: Context) -> None:
        super().__init__()
        self.context = context
        self.setObjectName(f"pane-{type(self).__name__}")

    def activate(self) -> None:
        """The pane became visible: ask for what it shows. Hidden panes ask and draw nothing."""

    def deactivate(self) -> None:
        """The pane became hidden."""

    def accept_image(self, path: str) -> bool:
        """An image was dropped on the pane (or opened while it was in front). Return whether the pane took it."""
        return False

    def accept_images(self, paths: list[str]) -> list[str]:
        """Several images at once; returns those that the pane took."""
        return [path for path in paths if self.accept_image(path)]


def find_panes() -> list[type[Pane]]:
    """Every pane class, from left to right."""
    found = []
    for module_info in pkgutil.iter_modules(__path__):
        name = f"{__name__}.{module_info.name}"
        module = importlib.import_module(f"{name}.pane" if module_info.ispkg else name)
        for value in vars(module).values():
            if isinstance(value, type) and issubclass(value, Pane) and value.__module__ == module.__name__:
                found.append(value)
    return sorted(found, key=lambda pane: pane.order)
