"""One line: how many decisions there are about single images of a data set, and the way to the set as it was curated, and back."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QHBoxLayout, QWidget

from app.shell.formatting import count
from app.shell.plain_text import set_tip
from app.shell.theme import Colors
from app.widgets.curation_menu import CurationContext
from app.widgets.parts import TextLines, button
from engine.common.data_names import split_name
from engine.messages import Curate, Curated, CurationChanged, QueryFailed


class CurationLine(QWidget):
    """Hidden while nothing was decided. `changed` when what is in force about the shown set is known anew."""

    changed = Signal()

    def __init__(self, context: CurationContext, channel: str) -> None:
        super().__init__()
        self.context, self.channel = context, channel
        self.data = ""
        self.told: Curated | None = None
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(8)
        self.words = TextLines(1, "Decisions about single images")  # higher where the pane is narrow
        self.use_button = button("Use the curated set", self._use, "")
        self.use_button.setProperty("kind", "link")
        row.addWidget(self.words, 1)
        row.addWidget(self.use_button)
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

    @property
    def excluded(self) -> frozenset[str]:
        """The names of the images that are left out."""
        return frozenset() if self.told is None else frozenset(one.name for one in self.told.images if one.excluded)

    def words_of(self, name: str) -> str:
        """What was decided about an image; "" for nothing."""
        one = next((one for one in self.told.images if one.name == name), None) if self.told is not None else None
        if one is None:
            return ""
        parts = [
            "left out" if one.excluded else "",
            f"given the class {one.label}" if one.label else "",
            *(f"tag {tag}" for tag in one.tags),
        ]
        return " · ".join(part for part in parts if part)

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
        parts = [
            f"{count(told.excluded)} left out" if told.excluded else "",
            f"{count(told.relabelled)} with another class" if told.relabelled else "",
        ]
        tagged = sum(number for _, number in told.tags)
        parts.append(f"{count(tagged)} tagged" if tagged else "")
        decisions = "One decision" if told.decisions == 1 else f"{count(told.decisions)} decisions"
        self.words.set_text(f"{decisions} about images: {', '.join(part for part in parts if part) or 'none in force'}")
        uses = self.data == told.curated and told.curated != told.plain
        self.use_button.setText("Use the whole set" if uses else "Use the curated set")
        shown = "Shows and trains on all images again." if uses else "Shows and trains on the set without what was left out."
        set_tip(self.use_button, f"{shown} The decisions are kept in {told.file}; the data’s own files are never changed.")
        self.setVisible(told.decisions > 0 or self.data != told.plain)
        self.changed.emit()

    def _use(self) -> None:
        if self.told is not None:
            self.context.state.open_data(self.told.plain if self.data == self.told.curated else self.told.curated)
