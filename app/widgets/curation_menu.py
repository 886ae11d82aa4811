"""Decisions about single images: a menu that leaves them out, gives them a class or a tag; each can be undone with Ctrl+Z.

`CurationMenu(context, data, names)` is made for one opening. What it decides is told to all as `CurationChanged`.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import partial
from typing import Protocol

from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QUndoCommand, QUndoStack
from PySide6.QtWidgets import QLineEdit, QMenu, QWidget, QWidgetAction

from app.shell.bridge import Bridge
from app.shell.formatting import count
from app.shell.plain_text import without_markup
from app.shell.state import State
from app.shell.undo import push
from engine.messages import Curate, Curated, CuratedImage, CurationChanged, Notice, QueryFailed

MOST_CLASSES = 200  # in the menu
_channels = itertools.count(1)  # one for each decision: none is dropped for a newer one


class CurationContext(Protocol):
    """What of a pane's context is needed here."""

    @property
    def bridge(self) -> Bridge: ...
    @property
    def undo(self) -> QUndoStack: ...
    @property
    def state(self) -> State: ...


class CurationStep(QUndoCommand):
    """One decision; undone and done again in the file beside the data, and only where no other window has decided since."""

    def __init__(
        self, context: CurationContext, data: str, act: str, names: tuple[str, ...] = (), value: str = "", words: str = "", of: str = ""
    ) -> None:
        super().__init__(words)
        self.context, self.data = context, data
        self.decision = (act, names, value)
        self.of = of  # which decision this is about, or is: its sign, or until that is told the channel that it was asked on
        self.done = self.failed = False

    def redo(self) -> None:
        """Decide; or do again what was undone."""
        act, names, value = self.decision
        if not self.done:
            channel = self._ask(act, names, value)
            self.of = self.of or channel
        elif not self.failed:
            self._ask("undo" if act == "undo" else "redo")
        self.done = True

    def undo(self) -> None:
        """Take it back."""
        if not self.failed:
            self._ask("redo" if self.decision[0] == "undo" else "undo")

    def _ask(self, act: str, names: tuple[str, ...] = (), value: str = "") -> str:
        """Ask on a channel of its own -> the channel."""
        channel = f"curation-{next(_channels)}"
        query = Curate(data=self.data, act=act, names=names, value=value, of=self.of)
        self.context.bridge.ask(channel, query, partial(self._on_told, act), self._on_failure)
        return channel

    def _on_told(self, act: str, told: Curated) -> None:
        self.of = told.redo_sign if act == "undo" else told.undo_sign
        self.context.bridge.tell(CurationChanged(told))

    def _on_failure(self, failure: QueryFailed) -> None:
        self.failed = True
        self.context.bridge.tell(Notice("bad", failure.message, failure.details))


def take_back(context: CurationContext, told: Curated) -> None:
    """Undo the newest decision about a data set: as Ctrl+Z does where it was the last thing done here, else as a step of its own."""
    stack = context.undo
    newest = stack.command(stack.index() - 1) if stack.index() else None
    if isinstance(newest, CurationStep) and newest.decision[0] != "undo" and newest.of == told.undo_sign:
        stack.undo()
    elif told.undo:
        push(stack, CurationStep(context, told.data, "undo", words=f"Undo “{told.undo}”", of=told.undo_sign))


class CurationMenu(QMenu):
    """What can be decided about some images of a data set; it asks what is in force and fills itself when the answer comes."""

    def __init__(
        self, context: CurationContext, data: str, names: Sequence[str], parent: QWidget | None = None, classes: Sequence[str] = ()
    ) -> None:
        """`classes`: those of the images as the set is read; none where they are not known."""
        super().__init__(parent)
        self.classes = tuple(classes) or ("",) * len(names)
        self.context, self.data, self.names = context, data, tuple(names)
        self.told: Curated | None = None
        self.tag_line: QLineEdit | None = None
        self.setAccessibleName("Decide about the chosen images")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self._channel = f"curation-menu-{next(_channels)}"
        forget = partial(context.bridge.forget, self._channel)
        self.destroyed.connect(lambda *_: forget())
        self._say("Looking what was decided…")
        context.bridge.ask(self._channel, Curate(data=data), self._fill, self._on_failure)

    def open_at(self, place: QPoint) -> None:
        """Open at a place of the screen."""
        self.popup(place)

    @property
    def images(self) -> str:
        """What it is about, in words."""
        return "this image" if len(self.names) == 1 else f"{count(len(self.names))} images"

    def _say(self, words: str) -> None:
        self.clear()
        self.addAction(without_markup(words)).setEnabled(False)

    def _on_failure(self, failure: QueryFailed) -> None:
        self._say(failure.message)

    def _fill(self, told: Curated) -> None:
        self.told = told
        self.clear()
        known = {one.name: one for one in told.images}
        mine = [known.get(name, CuratedImage(name)) for name in self.names]
        self._act(f"Leave {self.images} out", "exclude", enabled=not all(one.excluded for one in mine))
        if any(one.excluded for one in mine):
            self._act(f"Take {self.images} in again", "include")
        self._add_classes(told, mine)
        self._add_tags(told, mine)
        self.addSeparator()
        undo = f"Undo: {told.undo}" if told.undo else "Undo"
        self._act(undo, "undo", enabled=bool(told.undo), words=f"Undo “{told.undo}”", of=told.undo_sign)
        if told.redo:
            self._act(f"Redo: {told.redo}", "redo", words=f"Redo “{told.redo}”", of=told.redo_sign)

    def _act(
        self, text: str, act: str, value: str = "", *, enabled: bool = True, menu: QMenu | None = None, words: str = "", of: str = ""
    ) -> None:
        """An action; `words` stand for it on the undo stack, where its text would not do."""
        made = (menu or self).addAction(without_markup(text).replace("&", "&&"))
        made.setEnabled(enabled and (bool(self.names) or act in ("undo", "redo")))
        made.triggered.connect(lambda _checked=False: self.decide(act, value, words or text, of))

    def _add_classes(self, told: Curated, mine: list[CuratedImage]) -> None:
        """The class that all images have already is ticked, and choosing it decides nothing."""
        menu = self.addMenu("Class")
        menu.setEnabled(bool(told.classes) and bool(self.names))
        menu.setStyleSheet("QMenu { menu-scrollable: 1; }")
        have = {one.label or own for one, own in zip(mine, self.classes, strict=True)}
        for name in told.classes[:MOST_CLASSES]:
            if have == {name}:
                ticked = menu.addAction(without_markup(name).replace("&", "&&"))
                ticked.setCheckable(True)
                ticked.setChecked(True)
                continue
            self._act(name, "relabel", name, menu=menu, words=f"Give {self.images} the class “{name}”")

    def _add_tags(self, told: Curated, mine: list[CuratedImage]) -> None:
        menu = self.addMenu("Tag…")
        menu.setEnabled(bool(self.names))
        self.tag_line = line = QLineEdit()
        line.setPlaceholderText("a new tag, then Enter")
        line.setAccessibleName("A new tag")
        line.setMaxLength(200)
        line.returnPressed.connect(self._tag)
        action = QWidgetAction(menu)
        action.setDefaultWidget(line)
        menu.addAction(action)
        worn = {tag for one in mine for tag in one.tags}
        for tag, number in told.tags[:MOST_CLASSES]:
            if tag in worn:
                self._act(f"Take “{tag}” off", "untag", tag, menu=menu)
            else:
                self._act(f"{tag} · {count(number)}", "tag", tag, menu=menu, words=f"Tag {self.images} “{tag}”")

    def _tag(self) -> None:
        text = "" if self.tag_line is None else self.tag_line.text().strip()
        if text:
            self.close()
            self.decide("tag", text, f"Tag {self.images} “{text}”")

    def decide(self, act: str, value: str = "", words: str = "", of: str = "") -> None:
        """Decide about the images, so that Ctrl+Z takes it back; `of` says which decision is undone or redone."""
        names = () if act in ("undo", "redo") else self.names
        push(self.context.undo, CurationStep(self.context, self.data, act, names, value, words, of))
