"""A pane about the chosen run: its page, or in the page's place why there is nothing to see and what to do about it."""

from __future__ import annotations

from PySide6.QtWidgets import QVBoxLayout, QWidget

from app.panes import Context, Pane
from app.shell.pane_availability import AvailabilityPage, Unavailable, why_unavailable
from app.widgets.page_stack import PageStack
from app.widgets.parts import Card
from engine.messages import RunInfo


class RunPane(Pane):
    """Subclasses hand their page to `hold`, and say by the attributes of `Pane` what they need and what to do without it."""

    shows_availability = True

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.shown = False

    def hold(self, page: QWidget, margin: int = 0) -> None:
        """Show `page` for runs that have something for it; with a margin around it, an empty pane is a card."""
        self.stack = PageStack()
        outer = QVBoxLayout(self)
        outer.setContentsMargins(margin, margin, margin, margin)
        outer.addWidget(self.stack)
        self.empty = AvailabilityPage(self, self.context.actions)
        if margin:
            card = Card(0, 0)
            card.inside.addWidget(self.empty)
        self.stack.addWidget(card if margin else self.empty)
        self.stack.addWidget(page)
        state = self.context.state
        for changed in (state.run_changed, state.step_changed, state.runs_changed, state.methods_changed):
            changed.connect(self.check_empty)  # whatever else a pane does then: a run that is chosen has no step until it is settled

    def why_not(self, info: RunInfo | None) -> Unavailable | None:
        """Why there is nothing to see of a run now and what to do; None when there is."""
        state = self.context.state
        return why_unavailable(self, info, state.methods.get(info.method) if info else None, loading=not state.root)

    def able(self) -> bool:
        """Whether the chosen run has a checkpoint at the time cursor that can be drawn."""
        return self.context.state.step is not None and self.why_not(self.context.state.run_info) is None

    def check_empty(self) -> None:
        """Show the page, or why not."""
        why = self.why_not(self.context.state.run_info)
        if why is None and self.context.state.step is None:
            why = Unavailable("No checkpoint yet", self.waits, blocks=False)
        self.stack.setCurrentIndex(0 if why else 1)
        if why:
            self.empty.explain(why)

    def trigger(self, name: str) -> None:
        """One of the window's actions."""
        self.context.actions[name].trigger()
