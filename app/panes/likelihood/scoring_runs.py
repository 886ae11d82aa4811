"""Which runs score together, and at which step each: the chosen one at the time cursor, and those that were added to it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from PySide6.QtWidgets import QMenu

from app.panes.likelihood.controller import LikelihoodController
from app.panes.likelihood.scored_images import RunStep
from app.shell.pane_availability import Unavailable
from app.shell.plain_text import set_tip
from app.shell.state import State
from engine.messages import RunInfo


class ScoringRuns:
    """`able()`: whether the chosen run can score at the time cursor; `why_not(info)`: why another run cannot, None where it can."""

    def __init__(
        self,
        state: State,
        controller: LikelihoodController,
        able: Callable[[], bool],
        why_not: Callable[[RunInfo], Unavailable | None],
        changed: Callable[[], None],
    ) -> None:
        self.added: list[str] = []  # runs that score beside the chosen one
        self.followed = ""  # what was followed when it came to what is looked at; "" where that was chosen by hand
        self._state, self._controller, self._able, self._why_not, self._changed = state, controller, able, why_not, changed

    def newest(self) -> tuple[RunStep, ...]:
        """The chosen run at the time cursor, and of those beside it the step that is followed, the best or the newest."""
        state = self._state
        if not self._able() or state.run is None or state.step is None:
            return ()
        out = [(state.run, state.step)]
        for run in self.added:
            info, step = state.runs.get(run), state.step_of(run)
            if run != state.run and info is not None and step is not None and not self._why_not(info):
                out.append((run, step))
        return tuple(out)

    def current(self) -> tuple[RunStep, ...]:
        """What scores now: a step chosen by hand at once, the newest one of a training when the controller is ready for it.

        The last step of a training that has ended does not wait: no newer one will come.
        """
        newest, now = self.newest(), self._controller.wanted
        if not any(self._trains(run) for run, _ in newest) and not self._controller.stopped:
            return newest
        follows = (self.followed != "" and self._state.follows == self.followed) or newest[:1] == now[:1]
        same_runs = [run for run, _ in newest] == [run for run, _ in now]
        return now if newest and same_runs and follows and self._controller.patience() else newest

    def _trains(self, run: str) -> bool:
        info = self._state.runs.get(run)
        return self._state.job_of(run) is not None or (info is not None and info.status == "training")

    def set_added(self, run: str, scores: bool) -> None:
        """Let another run score the same images, or no longer."""
        if scores != (run in self.added):
            self.added = [*self.added, run] if scores else [other for other in self.added if other != run]
            self._changed()

    def fill_menu(self, menu: QMenu) -> None:
        state = self._state
        menu.clear()
        for run, info in state.runs.items():
            if run == state.run:
                continue
            action = menu.addAction(f"{info.title or info.method} · {info.data_name}   {info.name}")
            action.setCheckable(True)
            action.setChecked(run in self.added)
            why = self._why_not(info)
            action.setEnabled(why is None)
            set_tip(action, f"{why.heading} – {why.advice}" if why else "")
            action.toggled.connect(partial(self.set_added, run))
        if menu.isEmpty():
            menu.addAction("There is no other run").setEnabled(False)
