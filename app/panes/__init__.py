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

    A pane declares what it needs and takes, and in words what to do where it is empty (`{title}` stands for the run's
    method); `app.shell.pane_availability` decides from that, and the window shows its page in the place of the pane.
    """

    title: ClassVar[str]
    order: ClassVar[int]  # place among the tabs, from the left
    about: ClassVar[str] = ""  # one sentence: the tab's tooltip

    needs: ClassVar[tuple[str, ...]] = ()  # all of these capabilities of the run's method (`engine.messages.MethodInfo.capabilities`)
    needs_one_of: ClassVar[tuple[str, ...]] = ()  # and at least one of these, where there are any
    wants_run: ClassVar[bool] = True  # False: it can be used without a run that serves it
    is_data_page: ClassVar[bool] = False  # shows the data set that the state has selected: it comes to the front when one is opened
    takes_data: ClassVar[bool] = False  # a data set dropped on it is not opened as a page of its own
    takes_folders: ClassVar[bool] = False  # a folder dropped on it is a batch of images, and so are files of any kind

    # What other panes may hand over to it (`State.handed_over`): "score" or "mark" a `PictureRef`, "errors" through what, or
    # (through what, split).
    takes_over: ClassVar[tuple[str, ...]] = ()

    most_images: ClassVar[int] = 1  # images of one drop that it has room for, where `accept_images` is not written anew

    invites: ClassVar[str] = "Choose a run at the left, or start one with “New run”. This pane shows what it has learned."  # without a run
    waits: ClassVar[str] = "The first one comes within seconds of training. This page opens by itself."  # without a checkpoint
    refused: ClassVar[tuple[str, str]] = ("", "")  # heading and advice where the method lacks what is needed; empty: made from what lacks
    text_refused: ClassVar[str] = ""  # what to do where the method reads text; empty: that is no hindrance
    more_actions: ClassVar[tuple[tuple[str, str], ...]] = ()  # beside “New run…”: words on a button, name of a function of the pane
    shows_availability: ClassVar[bool] = False  # True: it holds the page that says why it is empty itself, see `RunPane`

    def __init__(self, context: Context) -> None:
        super().__init__()
        self.context = context
        self.setObjectName(f"pane-{type(self).__name__}")

    def activate(self) -> None:
        """The pane became visible: ask for what it shows. Hidden panes ask and draw nothing."""

    def deactivate(self) -> None:
        """The pane became hidden."""

    @classmethod
    def takes_images(cls) -> bool:
        """Whether images may be dropped on panes of this class."""
        return cls.accept_image is not Pane.accept_image or cls.accept_images is not Pane.accept_images

    def accept_image(self, path: str) -> bool:
        """An image was dropped on the pane (or opened while it was in front). Return whether the pane took it."""
        return False

    def accept_images(self, paths: list[str]) -> list[str]:
        """Several images at once; returns those that the pane took, the first ones it has room for: no image takes another's place."""
        taken: list[str] = []
        for path in paths:
            if len(taken) < self.most_images and self.accept_image(path):
                taken.append(path)
        return taken

    def take_over(self, purpose: str, what: object) -> bool:
        """Another pane hands something over for one of `takes_over`. Return whether the pane took it; it comes to the front then."""
        return False

    def accept_data(self, path: str) -> bool:
        """A data set was dropped on the pane, a file or a folder. Return whether the pane took it; else it opens as ever."""
        return False


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
