"""The Curves pane: every loss term of several runs, live. A large plot, cards of all terms, what the curve says in words.

Here its parts are laid out and joined: who is followed, which term is shown, what is drawn when.
"""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import Qt, QTimer
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QButtonGroup, QCheckBox, QHBoxLayout, QPushButton, QSlider, QVBoxLayout, QWidget

from app.panes import Context, Pane
from app.panes.curves.curve_diagnosis import LEAST_POINTS, CurveFinding, diagnose
from app.panes.curves.diagnosis_card import DiagnosisCard
from app.panes.curves.export import CurvesExport
from app.panes.curves.followed_runs import LOSSES, TRAINING, VALID, FollowedRuns, family_title
from app.panes.curves.game_diagnosis import CHANCE, DISCRIMINATOR, DISTANCE, GENERATOR, diagnose_game
from app.panes.curves.redraw_schedule import RedrawSchedule
from app.panes.curves.run_legend import LegendEntry, RunLegend
from app.panes.curves.term_cards import TermCardGrid
from app.shell import formatting, theme
from app.shell.pane_availability import AvailabilityPage, Unavailable
from app.shell.plain_text import set_tip
from app.widgets.figure import Figure
from app.widgets.parts import ShrinkingPages, heading, muted
from engine.messages import Metrics, RunInfo

if TYPE_CHECKING:
    from app.panes.curves.plot import CurvePlot, Line
    from app.panes.curves.plot_card import CurvePlotCard

SIDE_WIDTH = 188  # pixels
ACCURACY = "accuracy"  # how the term of a classifier ends that leads to its errors
LOW = 460  # pixels: in a lower pane the cards go without sparklines and the diagnosis without its rules
TICK_MS = 100  # repaints at most ten times a second


class CurvesPane(Pane):
    title = "Curves"
    order = 20
    about = "Every loss term, live; several runs over each other."
    wants_run = False  # runs that were ticked stay where none is chosen
    shows_availability = True
    invites = (
        "Choose a run at the left, or start one: every term of its loss is drawn here while it learns. "
        "Tick several runs to lay them over each other."
    )

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.shown = False
        self.followed = FollowedRuns(context.state, context.bridge)
        self.schedule = RedrawSchedule()
        self.term = "loss"  # on the large plot
        self._last: dict[str, str] = {}  # group -> the term of it that was there last
        self.plot_card: CurvePlotCard | None = None  # from when the pane is first seen
        self.export = CurvesExport(self.followed, self._settings, self._figure, self._report, self)
        self._colors = theme.colors(context.state.theme)
        self._timer = QTimer(self)
        self._timer.setInterval(TICK_MS)
        self._timer.timeout.connect(self.tick)
        self._build()
        state, bridge = context.state, context.bridge
        bridge.on(Metrics, self._on_metrics)
        state.run_changed.connect(self._run_changed)
        state.runs_changed.connect(self._runs_changed)
        state.cursor_changed.connect(self._cursor_changed)
        state.theme_changed.connect(self._restyle)
        self._restyle()
        self._runs_changed()

    # -- layout

    def _build(self) -> None:
        self.stack = ShrinkingPages()
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(self.stack)
        self.empty = AvailabilityPage(self, self.context.actions)
        self.empty.explain(Unavailable("No run chosen", self.invites))
        self.stack.addWidget(self.empty)
        page = QWidget()
        self.stack.addWidget(page)
        columns = QHBoxLayout(page)
        columns.setContentsMargins(16, 16, 16, 16)
        columns.setSpacing(16)
        columns.addWidget(self._side())
        self.main = QVBoxLayout()
        self.main.setSpacing(8)
        self.term_cards = TermCardGrid()
        self.term_cards.term_chosen.connect(self.show_term)
        self.main.addWidget(self._group_row())
        self.main.addLayout(self.term_cards)
        columns.addLayout(self.main, 1)

    def _group_row(self) -> QWidget:
        """Which terms have cards: what is learned, or how the training goes."""
        self.group_row = QWidget()
        row = QHBoxLayout(self.group_row)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(12)
        self.groups = QButtonGroup(self)
        self.groups.setExclusive(True)
        self.group_tabs: dict[str, QPushButton] = {}
        tips = {LOSSES: "What is learned: the loss and its terms.", TRAINING: "How it goes: learning rate, gradients, speed, memory."}
        for name, tip in tips.items():
            tab = self.group_tabs[name] = QPushButton(name.upper())
            tab.setProperty("kind", "tab")
            tab.setCheckable(True)
            tab.setAccessibleName(name)
            set_tip(tab, tip)
            tab.clicked.connect(partial(self._group_chosen, name))
            self.groups.addButton(tab)
            row.addWidget(tab)
        row.addStretch(1)
        self.group_tabs[LOSSES].setChecked(True)
        self.group_row.hide()
        return self.group_row

    def _group_chosen(self, name: str, _checked: bool = False) -> None:
        """Show the group's cards; the plot shows what it showed last of the group, else its first term."""
        terms = self.followed.groups().get(name, [])
        kept = self._last.get(name, "")
        if terms:
            self.show_term(kept if kept in terms else terms[0])

    def _side(self) -> QWidget:
        holder = QWidget()
        side = QVBoxLayout(holder)
        side.setContentsMargins(0, 0, 0, 0)
        side.setSpacing(8)
        side.addWidget(heading("Runs"))
        self.legend = RunLegend()
        self.legend.chosen.connect(self.choose_run)
        side.addWidget(self.legend, 1)
        side.addWidget(heading("Smoothing"))
        row = QHBoxLayout()
        self.smooth = QSlider(Qt.Orientation.Horizontal)
        self.smooth.setRange(0, 99)
        self.smooth.setValue(90)
        self.smooth.setAccessibleName("Smoothing")
        set_tip(
            self.smooth,
            "Exponential moving average over all recorded points; it does not depend on the zoom. The raw curve stays visible, thin.",
        )
        self.smooth.valueChanged.connect(self._smoothing_changed)
        self.smooth_label = muted("0.90", wrap=False)
        self.smooth_label.setFixedWidth(32)
        row.addWidget(self.smooth)
        row.addWidget(self.smooth_label)
        side.addLayout(row)
        self.log_x, self.log_y = QCheckBox("log step"), QCheckBox("log value")
        logs = QHBoxLayout()
        for box in (self.log_x, self.log_y):
            box.setAccessibleName(box.text())
            box.toggled.connect(self._logs_changed)
            logs.addWidget(box)
        logs.addStretch(1)
        side.addLayout(logs)
        side.addSpacing(4)
        side.addWidget(heading("What it says"))
        self.diagnosis_card = DiagnosisCard(SIDE_WIDTH)
        side.addWidget(self.diagnosis_card)
        holder.setFixedWidth(SIDE_WIDTH)
        return holder

    def _build_plot(self) -> None:
        """The plot itself, when the pane is first seen with a run to draw: pyqtgraph takes most of a second to import."""
        if self.plot_card is not None or not self.shown or not self.followed.runs():
            return
        from app.panes.curves.plot_card import CurvePlotCard

        show_errors = partial(self.context.state.handed_over.emit, "errors", "")
        self.plot_card = CurvePlotCard(partial(self.export.ask, "png"), partial(self.export.ask, "csv"), show_errors)
        self.main.insertWidget(0, self.plot_card, 1)
        self.plot_card.plot.cursor_moved.connect(self.context.state.set_cursor)
        self.plot_card.plot.saved_asked.connect(self.export.ask)
        self._restyle()

    @property
    def plot(self) -> CurvePlot | None:
        """None until the pane is first seen with a run to draw."""
        return self.plot_card.plot if self.plot_card is not None else None

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        around = self.parentWidget()  # a scroll area's viewport may be lower than the pane has to be
        low = (around.height() if around is not None else self.height()) < LOW
        self.term_cards.set_low(low)
        self.diagnosis_card.set_low(low)

    # -- who is followed

    def activate(self) -> None:
        self.shown = True
        if self._colors is not theme.colors(self.context.state.theme):
            self._restyle()
        self._build_plot()
        self._forget_lines()
        self.followed.follow(self.shown)
        self.schedule.all_changed(now=True)
        self._timer.start()
        self.tick()

    def deactivate(self) -> None:
        self.shown = False
        self._timer.stop()
        self.followed.follow(self.shown)

    def closeEvent(self, event: Any) -> None:
        self.deactivate()
        self.export.close()
        super().closeEvent(event)

    def choose_run(self, run: str, on: bool) -> None:
        """Lay a run's curves over the others, or take them away."""
        self.followed.choose(run, on)
        self._run_changed()

    def _run_changed(self) -> None:
        self._show_runs()
        self._build_plot()
        self.schedule.all_changed()
        self._forget_lines()
        if self.plot is not None:
            self.plot.follows = True
        self.tick()

    def _runs_changed(self) -> None:
        self.followed.forget_missing()
        self._show_runs()

    def _show_runs(self) -> None:
        """Follow the runs that are drawn now; list all of them."""
        self.followed.follow(self.shown)
        self._fill_legend()
        self.stack.setCurrentIndex(1 if self.followed.runs() else 0)

    def _fill_legend(self) -> None:
        state, drawn = self.context.state, self.followed.runs()
        entries = {}
        for run, info in state.runs.items():
            color, marker = (self.color_of(run), self.followed.marker_of(run)) if self.followed.is_drawn(run) else ("", "o")
            entries[run] = LegendEntry(info.name, color, marker, run in drawn, run == state.run)
        self.legend.show_entries(entries)

    def color_of(self, run: str) -> str:
        """Of its curves, as "#rrggbb"."""
        color = self.followed.category_of(run)
        if self.plot_card is None:
            return color
        from app.panes.curves.plot import shade

        return shade(color, self._colors).name()

    # -- drawing

    def _on_metrics(self, event: Metrics) -> None:
        if self.followed.add(event):
            self.schedule.all_changed()

    def tick(self) -> None:
        """Draw what has changed, each part as often as it may."""
        if not self.shown or self.plot_card is None or not self.schedule.changed:
            return
        began = time.perf_counter()
        due = self.schedule.take_due(began)
        if not due:
            return
        groups = self.followed.groups()
        if groups and not any(self.term in terms for terms in groups.values()):
            self.term = next(iter(groups.values()))[0]
        if "cards" in due:
            self._draw_cards(groups)
        if "plot" in due:
            self._draw_plot(self.plot_card)
        if "diagnosis" in due:
            self.diagnosis_card.show_findings(self._diagnose(), self._no_verdict())
        self.schedule.spent(due, time.perf_counter() - began)

    def redraw_now(self) -> None:
        """Draw every part, whenever it was drawn last."""
        self.schedule.all_changed(now=True)
        self.tick()

    def _forget_lines(self) -> None:
        if self.plot_card is not None:
            self.plot_card.forget_lines()

    def _draw_plot(self, card: CurvePlotCard) -> None:
        followed, term = self.followed, self.term
        smoothing = self.smooth.value() / 100
        alone = len(followed.together(term)) == 1
        best = followed.best(term, smoothing) if alone else None
        title = term if alone else family_title(term)
        info = self.context.state.run_info
        card.errors_link.setVisible(term.endswith(ACCURACY) and info is not None and "classify" in info.capabilities)
        card.loading = followed.loading()
        card.draw(title, followed.unit(term), self._lines(term), best, smoothing, self.context.state.cursor)

    def _lines(self, term: str) -> list[Line]:
        """The curve of every run, and of its validation."""
        from app.panes.curves.plot import Line

        together = self.followed.together(term)
        if len(together) > 1:
            return self._lines_together(self.followed.runs()[0], together)
        lines = []
        for run in self.followed.runs():
            name, color, marker = self.context.state.runs[run].name, self.color_of(run), self.followed.marker_of(run)
            for key, shown, valid in ((term, name, False), (VALID + term, f"{name} · validation", True)):
                series = self.followed.series(run, key)
                if len(series):
                    lines.append(Line(f"{run} {key}", shown, series, color, marker, valid, key.startswith(VALID)))
        return lines

    def _lines_together(self, run: str, terms: list[tuple[str, str]]) -> list[Line]:
        """The curves of several terms of one run, and of their validation."""
        from app.panes.curves.plot import Line, shade

        lines = []
        for place, (term, name) in enumerate(terms):
            color = shade(theme.CATEGORIES[place % len(theme.CATEGORIES)], self._colors).name()
            marker = theme.MARKERS[place % len(theme.MARKERS)]
            for key, shown, valid in ((term, name, False), (VALID + term, f"{name} · validation", True)):
                series = self.followed.series(run, key)
                if len(series):
                    lines.append(Line(f"{run} {key}", shown, series, color, marker, valid, key.startswith(VALID)))
        return lines

    def _draw_cards(self, groups: dict[str, list[str]]) -> None:
        """The cards of the group that the plot's term is of."""
        shown = next((name for name, terms in groups.items() if self.term in terms), LOSSES)
        self.group_row.setVisible(len(groups) > 1)
        self.group_tabs[shown].setChecked(True)
        self._last[shown] = self.term
        self.term_cards.show_terms(groups.get(shown, []), self.term, self._colors)
        self.term_cards.check(self.term)
        for term, card in self.term_cards.cards.items():
            curves = [(series, self.color_of(run)) for run, series in self.followed.curves(term)]
            card.show_lines(curves, self.followed.unit(term))

    def _diagnose(self) -> list[CurveFinding]:
        """What the loss of the run says, or what stands for it, in words; nothing of a term that is meant to rise."""
        state = self.context.state
        if state.run is None:
            return []
        if (found := self._diagnose_game(state.run, state.run_info)) is not None:
            return found
        term, figure = self.followed.judged(state.run), state.run_info.newest if state.run_info is not None else None
        if figure is not None and figure.term == term and figure.bigger_is_better:
            return []
        loss, valid = self.followed.series(state.run, term), self.followed.series(state.run, VALID + term)
        running = state.job_of(state.run) is not None or (state.run_info is not None and state.run_info.status == "training")
        return diagnose((loss.steps, loss.values), (valid.steps, valid.values), running)

    def _no_verdict(self) -> str:
        """Why nothing is said where `_diagnose` finds nothing."""
        run, info = self.context.state.run, self.context.state.run_info
        if run is None:
            return "Choose a run at the left to have its loss judged."
        judged, figure = self.followed.judged(run), None if info is None else info.newest
        if figure is not None and figure.term == judged and figure.bigger_is_better:
            return f"“{formatting.term(judged)}” is meant to rise: these rules are for losses, which fall."
        found = len(self.followed.series(run, judged))
        if not found and any(len(self.followed.series(run, one)) for one in self.followed.terms()):
            return "No term of this run has to fall as it is trained, so no rule of losses applies."
        return f"Too few points for a verdict: {found} of {LEAST_POINTS}."

    def _diagnose_game(self, run: str, info: RunInfo | None) -> list[CurveFinding] | None:
        """What the losses of two networks that play against each other say; None where there are none."""
        objective = "" if info is None else str(info.config.get("objective"))
        series = [self.followed.series(run, name) for name in (DISCRIMINATOR, GENERATOR, VALID + DISTANCE)]
        if objective not in CHANCE or not len(series[0]) or not len(series[1]):
            return None
        discriminator, generator, distance = ((one.steps, one.values) for one in series)
        return diagnose_game(discriminator, generator, distance, objective)

    def show_term(self, term: str) -> None:
        """Put a term on the large plot."""
        self.term = term
        self.term_cards.check(term)
        if self.plot is not None:
            self.plot.follows = True
        self.redraw_now()

    def _cursor_changed(self) -> None:
        if self.plot is not None:
            self.plot.set_cursor(self.context.state.cursor)

    def _smoothing_changed(self, value: int) -> None:
        self.smooth_label.setText(f"{value / 100:.2f}")
        if self.plot is not None:
            self.plot.smoothing = value / 100
            self.schedule.changed.add("plot")
            self.tick()

    def _logs_changed(self, _on: bool) -> None:
        if self.plot is not None:
            self.plot.set_logs(self.log_x.isChecked(), self.log_y.isChecked())
            self.redraw_now()

    # -- out of the window

    def _settings(self) -> tuple[str, float]:
        """Term on the plot and smoothing, for exported files."""
        return self.term, self.smooth.value() / 100

    def _figure(self) -> Figure | None:
        return self.plot.figure() if self.plot is not None else None

    def _report(self, text: str, level: str = "") -> None:
        if self.plot_card is not None:
            self.plot_card.report(text, level)

    def _restyle(self) -> None:
        """Hidden curves wait until they are seen: all of them are made anew."""
        if not self.shown:
            return
        self._colors = theme.colors(self.context.state.theme)
        if self.plot_card is not None:
            self.plot_card.set_colors(self._colors)
            self.term_cards.set_colors(self._colors)
            self._fill_legend()
            self.schedule.all_changed(now=True)
