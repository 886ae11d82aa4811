"""What the inspector tells: the method of the chosen run, or of the form, and the numbers of the step that is looked at."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QObject, QTimer
from PySide6.QtWidgets import QWidget

from app.shell import formatting
from app.shell.bridge import Bridge
from app.shell.data_place import DataPlaceController
from app.shell.disentanglement_card import DisentanglementController
from app.shell.formatting import count
from app.shell.inspector import Inspector
from app.shell.latest_query import LatestQuery
from app.shell.state import RULES, State
from engine import messages as m

DESCRIBE_MS = 150  # the inspector asks at most this often


TERMS = {"bits_per_dim": "code length"}  # its unit says the rest
ENDED_EARLY = ("done", "stopped", "failed", "interrupted")
CLEARLY = 0.02  # of the best value: less is not called worse


def words_of_choice(info: m.RunInfo | None, step: int | None, follows: str) -> tuple[str, bool]:
    """By which rule a step was taken, with the run's best and newest number; and whether the step is clearly worse than the best."""
    if info is None or step is None:
        return "", False
    said, worse = _compared(info, step, follows)
    return f"{said} Step 0: nothing is trained here yet." if step == 0 else said, worse


def _compared(info: m.RunInfo, step: int, follows: str) -> tuple[str, bool]:
    rule = RULES[follows]
    best, newest = info.best, info.newest
    if best is None or newest is None or best.term != newest.term:
        return f"The {rule}." if follows else f"Step {rule}.", False

    def words(figure: m.RunFigure) -> str:
        return f"{TERMS.get(figure.term) or formatting.term(figure.term)} {formatting.number(figure.value, 3, figure.unit)}"

    if best.step == newest.step:
        text = "the newest and the best on validation" if step == best.step else f"the best on validation is step {count(best.step)}"
        head = "This is " if step == best.step else f"Step {rule}; "
        return f"{head}{text}, {words(best)}.", False
    gap = best.value - newest.value if best.bigger_is_better else newest.value - best.value
    worse = gap > CLEARLY * abs(best.value)
    if step == best.step:
        later = f"; at step {count(newest.step)} it is worse, {words(newest)}" if worse else ""
        return f"The best on validation: {words(best)}{later}.", False
    if step == newest.step:
        return f"The newest: {words(newest)}. Step {count(best.step)} is better on validation: {words(best)}.", worse
    return f"Step {rule}. The best on validation is step {count(best.step)}: {words(best)}.", False


class InspectorController(QObject):
    """Asks for the description of a checkpoint; while the form for a new run is open, the inspector tells of the form's method.

    `form_method` returns that method (None where none is chosen), and `form_is_open` whether there is a form.
    """

    def __init__(
        self,
        inspector: Inspector,
        state: State,
        bridge: Bridge,
        form_is_open: Callable[[], bool],
        form_method: Callable[[], m.MethodInfo | None],
        parent: QWidget,
    ) -> None:
        super().__init__(parent)
        self.inspector, self.state, self.bridge = inspector, state, bridge
        self.form_is_open, self.form_method = form_is_open, form_method
        self.disentanglement = DisentanglementController(inspector.disentanglement, state, bridge, form_is_open, self)
        self.data_place = DataPlaceController(inspector.data_place, state, bridge, form_is_open, parent)
        self.timer = QTimer(self)
        self.timer.setSingleShot(True)
        self.timer.setInterval(DESCRIBE_MS)
        self.timer.timeout.connect(self.describe)
        self._query = LatestQuery(bridge, "inspector", self._answered, self._failed)
        self._shown_step: int | None = None  # of the numbers that stand there

    def show_choice(self) -> None:
        """Say by which rule the checkpoint was taken, and where the run did better."""
        form = self.form_is_open()
        text, worse = ("", False) if form else words_of_choice(self.state.run_info, self.state.step, self.state.follows)
        self.inspector.show_choice(text, worse)
        info = None if form else self.state.run_info
        self.inspector.show_final(() if info is None else info.final_figures)
        self.disentanglement.look()
        self.data_place.look()

    def run_changed(self) -> None:
        self._query.forget()
        self._show(None)
        self.show_method()

    def step_changed(self) -> None:
        self.show_choice()
        if self.form_is_open():
            return  # the inspector tells of the method that is being chosen; `show_method` asks when the form closes
        if self.state.run is None or self.state.step is None:
            self._show(None)
            self._show_waiting()
            return
        self._say_what_follows()
        if not self.timer.isActive():
            self.timer.start()

    def describe(self) -> None:
        """Ask for the numbers of the step that is looked at; one question at a time, and the newest step always gets its own."""
        info = self.state.run_info
        if info is None or self.state.step is None or self.form_is_open():
            return
        self._query.want(m.Describe(run=info.run, step=self.state.step))

    def _wanted(self, run: str, step: int | None) -> bool:
        """Whether an answer is about what is looked at. While a training is followed an earlier step counts too, until the newer has come:
        on a busy machine checkpoints come faster than their numbers, and the last of them would be waited for in vain.
        """
        follows = self.state.cursor is None
        return not self.form_is_open() and self.state.run == run and (follows or self.state.step == step)

    def _answered(self, query: m.Describe, described: m.Described) -> None:
        if self._wanted(query.run, query.step):
            self._show(described)

    def _failed(self, why: m.QueryFailed) -> None:
        if not self.form_is_open():
            self._show(None)
            self.inspector.show_waiting(why.message)

    def _show(self, described: m.Described | None) -> None:
        self._shown_step = None if described is None else described.step
        self.inspector.show_described(described)
        self._say_what_follows()

    def _say_what_follows(self) -> None:
        """Whose numbers are being looked up, where others still stand there."""
        step = self.state.step
        behind = self._shown_step is not None and step is not None and step != self._shown_step
        self.inspector.show_following(step if behind else None)

    def show_method(self) -> None:
        self.show_choice()
        if self.form_is_open():
            self.inspector.show_method(self.form_method(), None, loading=self.state.engine is None)
            self._show(None)
            self.inspector.show_waiting("The numbers come with the first checkpoint.")
            return
        self.inspector.show_method(self.state.method_info, self.state.run_info, loading=self.state.engine is None)
        if self.state.run is not None and self.state.step is not None and not self.inspector.rows:
            self.timer.start()
        self._show_waiting()

    def stop(self) -> None:
        """The window closes: no timer goes on."""
        self.timer.stop()
        self._query.forget()
        self.data_place.stop()

    def _show_waiting(self) -> None:
        info = self.state.run_info
        if info is None:
            self.inspector.show_waiting("No run is chosen." if self.state.root else "Loading your runs…")
        elif info.fault:
            self.inspector.show_waiting(info.fault)
        elif self.state.step is None and any(not one.fault for one in info.checkpoints):
            self.inspector.show_waiting(
                "Looking at this checkpoint…"
            )  # its step is chosen in a moment, its numbers come when the engine is ready
        elif self.state.step is None and info.status in ENDED_EARLY and self.state.job_of(info.run) is None:
            self.inspector.show_waiting("It ended before its first checkpoint, so there are no numbers of it.")
        elif self.state.step is None:
            self.inspector.show_waiting("The first checkpoint comes with the first step.")
        elif not self.inspector.rows:
            self.inspector.show_waiting("Looking at this checkpoint…")
