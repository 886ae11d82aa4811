"""One line: how images are decided about; then how many decisions there are, their undo, and the way to the set as it was curated."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QBoxLayout, QHBoxLayout, QWidget

from app.shell.formatting import count
from app.shell.plain_text import set_tip
from app.shell.theme import Colors
from app.widgets.curation_menu import CurationContext, take_back
from app.widgets.image_strip import ImageStrip
from app.widgets.parts import TextLines, button
from engine.common.data_names import split_name
from engine.messages import Curate, Curated, CuratedImage, CurationChanged, QueryFailed

HINT = "Right-click an image to leave it out, give it another class or tag it; the files stay as they are."
LEFT_OUT, RELABELLED, TAGGED = "×", "→", "#"  # marks in the corner of an image, the first that holds


class CurationLine(QWidget):
    """Hidden for sets whose images cannot be decided about. `changed` when what is in force about the shown set is known anew."""

    changed = Signal()

    def __init__(self, context: CurationContext, channel: str, hint: str = HINT, brief: bool = False) -> None:
        """`brief`: where the place is narrow, the links stand below the words."""
        super().__init__()
        self.context, self.channel, self.hint, self.brief = context, channel, hint, brief
        self.data = ""
        self.told: Curated | None = None
        column = QBoxLayout(QBoxLayout.Direction.TopToBottom if brief else QBoxLayout.Direction.LeftToRight, self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0 if brief else 8)
        row = QHBoxLayout()
        row.setSpacing(8)
        self.words = TextLines(1, "Decisions about single images")  # higher where the pane is narrow
        self.undo_button = button("Undo", self._undo, "")
        self.undo_button.setAccessibleName("Undo the last decision about images")
        self.use_button = button("Use the curated set", self._use, "")
        column.addWidget(self.words, 1)
        column.addLayout(row)
        for made in (self.undo_button, self.use_button):
            made.setProperty("kind", "link")
            row.addWidget(made)
        row.addStretch(1 if brief else 0)
        self.hide()
        context.bridge.on(CurationChanged, self._on_change)

    def set_colors(self, c: Colors) -> None:
        self.words.set_colors(c)

    def show_data(self, data: str) -> None:
        """Ask what was decided about a set; "" for none, and for sets whose images cannot be decided about."""
        self.data, self.told = data, None
        self.hide()
        self.context.bridge.forget(self.channel)
        if data:
            self.context.bridge.ask(self.channel, Curate(data=data), self._show, self._cannot)

    # what was decided about an image

    def known(self, name: str) -> CuratedImage | None:
        """What was decided about an image; None for nothing."""
        return next((one for one in self.told.images if one.name == name), None) if self.told is not None else None

    def words_of(self, name: str) -> str:
        """The same in words; "" for nothing."""
        one = self.known(name)
        if one is None:
            return ""
        parts = [
            "left out" if one.excluded else "",
            f"given the class {one.label}" if one.label else "",
            *(f"tag {tag}" for tag in one.tags),
        ]
        return " · ".join(part for part in parts if part)

    def mark(self, strip: ImageStrip, names: Sequence[str]) -> None:
        """A sign on each image of a strip that something was decided about; those that are left out are faint."""
        known = {} if self.told is None else {one.name: one for one in self.told.images}
        found = {place: known[name] for place, name in enumerate(names) if name in known}
        strip.marked = {place: _mark(one) for place, one in found.items()}
        strip.faint = frozenset(place for place, one in found.items() if one.excluded)
        strip.update()

    # the line

    def _on_change(self, event: CurationChanged) -> None:
        """The same files read by another recipe are another set: what was told of that one is asked anew for the one that is shown."""
        if event.told.data == self.data:
            self._show(event.told)
        elif self.data and split_name(event.told.data)[0] == split_name(self.data)[0]:
            self.context.bridge.ask(self.channel, Curate(data=self.data), self._show, self._cannot)

    def _cannot(self, _failure: QueryFailed) -> None:
        self.hide()  # what comes with the program, or a text

    def _show(self, told: Curated) -> None:
        self.told = told
        self.words.set_text(self._counts(told) if told.decisions else self.hint)
        set_tip(self.words, f"{self.words.text}\n{self.hint}" if told.decisions else self.hint)
        uses = self.data == told.curated and told.curated != told.plain
        self.use_button.setText("Use the whole set" if uses else "Use the curated set")
        shown = "Shows and trains on all images again." if uses else "Shows and trains on the set without what was left out."
        set_tip(self.use_button, f"{shown} The decisions are kept in {told.file}; the data’s own files are never changed.")
        self.use_button.setVisible(told.decisions > 0 or self.data != told.plain)
        set_tip(self.undo_button, f"Take back: {told.undo}.")
        self.undo_button.setVisible(bool(told.undo))
        self.show()
        self.changed.emit()

    def _counts(self, told: Curated) -> str:
        tagged = sum(bool(one.tags) for one in told.images)
        found = ((told.excluded, "left out", LEFT_OUT), (told.relabelled, "relabelled", RELABELLED), (tagged, "tagged", TAGGED))
        parts = [f"{count(number)} {words} ({mark})" for number, words, mark in found if number]
        decisions = "One decision" if told.decisions == 1 else f"{count(told.decisions)} decisions"
        return ", ".join(parts) if self.brief and parts else f"{decisions}: {', '.join(parts) or 'none in force'}"

    def _undo(self) -> None:
        if self.told is not None:
            take_back(self.context, self.told)

    def _use(self) -> None:
        if self.told is not None:
            self.context.state.open_data(self.told.plain if self.data == self.told.curated else self.told.curated)


def _mark(one: CuratedImage) -> str:
    return LEFT_OUT if one.excluded else RELABELLED if one.label else TAGGED
