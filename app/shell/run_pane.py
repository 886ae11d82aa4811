"""A pane about the chosen run: its page, or in the page's place why there is nothing to see and what to do about it."""

from __future__ import annotations

from functools import partial
from typing import ClassVar

from PySide6.QtWidgets import QStackedWidget, QVBoxLayout, QWidget

from app.panes import Context, Pane
from app.widgets.parts import Card, EmptyState
from engine.messages import RunInfo


class RunPane(Pane):
    """Subclasses hand their page to `hold` and say in words when it has nothing to show; `{title}` stands for the run's method."""

    invites: ClassVar[str]  # what to do where no run is chosen
    waits: ClassVar[str] = "The first one comes within seconds of training. This page opens by itself."
    refused: ClassVar[tuple[str, str]]  # a heading and what to do where the method lacks what the pane needs
    text_refused: ClassVar[str] = ""  # what to do where the method reads text; empty: that is no hindrance
    more_actions: ClassVar[tuple[tuple[str, str], ...]] = ()  # beside "New run…": words on a button, name of a function here

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.shown = False

    def hold(self, page: QWidget, margin: int = 0) -> None:
        """Show `page` for runs that have something for it; with a margin around it, an empty pane is a card."""
        self.stack = QStackedWidget()
        outer = QVBoxLayout(self)
        outer.setContentsMargins(margin, margin, margin, margin)
        outer.addWidget(self.stack)
        more = tuple((words, getattr(self, name)) for words, name in self.more_actions)
        self.empty = EmptyState("", "", (("New run…", partial(self.trigger, "run.new")), *more))
        if margin:
            card = Card(0, 0)
            card.inside.addWidget(self.empty)
        self.stack.addWidget(card if margin else self.empty)
        self.stack.addWidget(page)

    def can(self, info: RunInfo) -> bool:
        """Whether the run's method has what the pane needs."""
        return set(self.needs) <= set(self.capabilities(info))

    def capabilities(self, info: RunInfo) -> tuple[str, ...]:
        method = self.context.state.methods.get(info.method)
        return method.capabilities if method else info.capabilities

    def why_not(self, info: RunInfo | None) -> tuple[str, str] | None:
        """Why there is nothing to see of a run now and what to do, as a heading and a sentence; None when there is."""
        if info is None:
            return "No run chosen", self.invites
        if info.fault:
            return "Something is wrong with this run", info.fault
        method = self.context.state.methods.get(info.method)
        title = method.title if method else info.title or info.method
        if self.text_refused and method is not None and method.accepts == "text":
            return f"{title} reads text", self.text_refused
        if not self.can(info):
            heading, advice = self.refused
            return heading.format(title=title), advice.format(title=title)
        if not any(not checkpoint.fault for checkpoint in info.checkpoints):
            return "No checkpoint yet", self.waits
        return None

    def able(self) -> bool:
        """Whether the chosen run has a checkpoint at the time cursor that can be drawn."""
        return self.context.state.step is not None and self.why_not(self.context.state.run_info) is None

    def check_empty(self) -> None:
        """Show the page, or why not."""
        why = self.why_not(self.context.state.run_info)
        if why is None and self.context.state.step is None:
            why = "No checkpoint yet", self.waits
        self.stack.setCurrentIndex(0 if why else 1)
        if why:
            self.empty.say(*why)

    def trigger(self, name: str) -> None:
        """One of the window's actions."""
        self.context.actions[name].trigger()
