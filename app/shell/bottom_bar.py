"""The line below: play, the step that is looked at, the time cursor over the loss, and the verbs of the chosen run's job."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFrame, QHBoxLayout, QPushButton, QVBoxLayout

from app.shell import formatting, theme
from app.shell.follow_switch import FollowSwitch
from app.shell.job_verbs import JobVerbs
from app.shell.plain_text import PlainLabel
from app.shell.state import NEWEST, State, judged_terms
from app.shell.timeline import Timeline
from engine.messages import Metrics


class BottomBar(QFrame):
    """Draws what the state says of the chosen run; what is done with it is heard from `timeline`, `verbs` and `play`."""

    def __init__(self, state: State) -> None:
        super().__init__()
        self.state = state
        self.setObjectName("bottom")
        self.setFixedHeight(theme.BOTTOM_HEIGHT)
        self.play = QPushButton("▶")
        self.play.setFixedWidth(38)
        self.play.setObjectName("play")
        self.step_label = theme.role(PlainLabel(), "muted")
        self.step_label.setTextFormat(Qt.TextFormat.RichText)
        self.step_label.setMinimumWidth(136)
        self.timeline = Timeline()
        self.term = ""  # whose points the curve over the cursor has
        self.verbs = JobVerbs()
        self.verbs.setMinimumWidth(theme.RIGHT_WIDTH)
        self.follow = FollowSwitch()
        where = QVBoxLayout()
        where.setContentsMargins(0, 14, 0, 10)
        where.setSpacing(4)
        where.addWidget(self.step_label)
        where.addWidget(self.follow)
        row = QHBoxLayout(self)
        row.setContentsMargins(16, 1, 0, 0)
        row.setSpacing(6)
        row.addWidget(self.play)
        row.addLayout(where)
        row.addWidget(self.timeline, 1)
        row.addSpacing(16)
        row.addWidget(self.verbs)
        self.timeline.moved.connect(state.set_cursor)
        self.timeline.live_chosen.connect(lambda: state.set_follow("newest"))
        self.timeline.best_chosen.connect(lambda: state.set_follow("best"))
        self.follow.chosen.connect(state.set_follow)

    def set_colors(self, colors: theme.Colors) -> None:
        self.timeline.set_colors(colors)
        self.show_time()  # its label carries a colour of its own

    def show_time(self) -> None:
        """The checkpoints of the chosen run, how far it has come, and the step that is looked at."""
        state = self.state
        info = state.run_info
        if info is None:
            self.step_label.setText("no run")
            self.timeline.show_checkpoints([], 0, 0, None)
            self.follow.show_choice(NEWEST, None, any_step=False)
            self.play.setEnabled(False)
            return
        now = state.steps_done
        steps = [c.step for c in state.checkpoints]
        self.timeline.show_checkpoints(steps, now, state.steps_planned, state.step, state.follows, state.best_step)
        self.follow.show_choice(state.follows, state.best_step, any_step=bool(steps))
        self.play.setEnabled(len(steps) > 1)
        color = theme.colors(state.theme).text
        shown = "–" if state.step is None else formatting.count(state.step)
        self.step_label.setText(f'step <span style="color:{color}; font-weight:600">{shown}</span> of {formatting.count(now)}')

    def show_verbs(self) -> None:
        job = self.state.job_of(self.state.run)
        method = self.state.method_info
        self.verbs.ends_by_itself = method is not None and method.ends_by_itself
        self.verbs.show_run(self.state.run_info, job, self.state.progress.get(job.job) if job else None)

    def show_playing(self, playing: bool) -> None:
        self.play.setText("❚❚" if playing else "▶")
        self.play.setAccessibleName("Stop playing" if playing else "Play through the checkpoints")

    def clear_curve(self) -> None:
        self.term = ""
        self.timeline.curve.clear()
        self.timeline.update()

    def add_metrics(self, event: Metrics) -> None:
        """Points of the loss, or of the number that judges a run without one, if they are of the chosen run."""
        terms = judged_terms(self.state.run_info)
        told = [term for term in terms if term in event.points]
        if event.run != self.state.run or not told:
            return
        if not event.history and self.term in terms and terms.index(self.term) < terms.index(told[0]):
            return
        if event.history or self.term != told[0]:
            self.timeline.curve.clear()
        self.term = told[0]
        steps, values = event.points[self.term]
        self.timeline.curve.add(steps, values)
        self.timeline.update()
