"""Every loss term of several runs, live: large plot, cards of all terms, what the curve says in words, CSV of every point.

Data live in `app.widgets.series`, drawing in `app.widgets.plot`, the rules in `curve_diagnosis`; here is who is followed and
what is shown.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QSize, Qt, QTimer
from PySide6.QtGui import QColor, QPainter, QPaintEvent
from PySide6.QtWidgets import QCheckBox, QGridLayout, QHBoxLayout, QScrollArea, QSlider, QStackedWidget, QVBoxLayout, QWidget

from app.panes import Context, Pane
from app.panes.curves.curve_diagnosis import Verdict, verdicts
from app.shell import theme
from app.shell.formatting import count
from app.widgets.export import PartWriter, ask_where, csv_lines, csv_text, file_name, png_bytes, write_file
from app.widgets.parts import Card, Elided, EmptyState, TextLines, button, clear, heading, muted, restyle, set_heading, short
from app.widgets.series import Series
from engine.messages import FollowRun, Metrics, UnfollowRun

if TYPE_CHECKING:
    from app.panes.curves.term_card import TermCard
    from app.widgets.plot import CurvePlot, Line

TICK_MS = 100  # repaints at most ten times a second ...
BUSY_SHARE = 0.08  # ... and never more than this share of the time
CARDS_MS = 500
VERDICT_MS = 1000
CSV_ROWS = 2000  # written in one piece
VALID = "valid "
FALLING = ("loss", "reconstruction", "error", "nll", "bits")  # terms whose lowest point is the best one


class RunRow(QWidget):
    """A run in the side list: tick, its colour with its marker, its name."""

    def __init__(self, run: str, name: str, color: str, marker: str, checked: bool, pane: CurvesPane) -> None:
        super().__init__()
        self.run = run
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(6)
        self.box = QCheckBox()
        self.box.setAccessibleName(f"Show the curves of {name}")
        self.box.setChecked(checked)
        self.box.toggled.connect(partial(pane.choose_run, run))
        row.addWidget(self.box)
        self.sign = Sign(color, marker)
        row.addWidget(self.sign)
        label = Elided(name)
        label.setToolTip(f"{name}\n{run}")
        row.addWidget(label, 1)


class Sign(QWidget):
    """The colour and the marker of a run, as on the plot."""

    def __init__(self, color: str, marker: str) -> None:
        super().__init__()
        self.color, self.marker = color, marker
        self.setFixedSize(22, 14)

    def sizeHint(self) -> QSize:
        return QSize(22, 14)

    def paintEvent(self, event: QPaintEvent) -> None:
        from pyqtgraph import mkBrush, mkPen
        from pyqtgraph.graphicsItems.ScatterPlotItem import drawSymbol

        if not self.color:
            return
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QColor(self.color))
        painter.drawLine(0, 7, 22, 7)
        painter.translate(11, 7)
        drawSymbol(painter, self.marker, 8, mkPen(None), mkBrush(self.color))


class CurvesPane(Pane):
    title = "Curves"
    order = 20
    about = "Every loss term, live; several runs over each other."

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.shown = False
        self.data: dict[str, dict[str, Series]] = {}  # run -> term -> points
        self.chosen: list[str] = []  # runs that were ticked, in their order
        self.followed: set[str] = set()
        self.term = "loss"
        self.cards: dict[str, TermCard] = {}
        self.rows: dict[str, RunRow] = {}
        self.found: list[Verdict] = []
        self.plot: CurvePlot | None = None
        self._colors = theme.colors(context.state.theme)
        self._slots: dict[str, int] = {}  # run -> its place among the colours, kept while it is shown
        self._last = {"plot": 0.0, "cards": 0.0, "verdict": 0.0}  # when each part was drawn
        self._changed = set(self._last)  # parts that are not up to date
        self._cost = 0.0
        self._drawn: object = None
        self._writer: PartWriter | None = None
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

    # ------------------------------------------------------------------------------------------------ widgets

    def _build(self) -> None:
        self.stack = QStackedWidget()
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(self.stack)
        self.empty = EmptyState(
            "No curves yet",
            "Train something, and every term of its loss is drawn here while it learns. Tick several runs to lay them over each other.",
            (("New run…", self._new_run),),
        )
        self.stack.addWidget(self.empty)
        page = QWidget()
        self.stack.addWidget(page)
        columns = QHBoxLayout(page)
        columns.setContentsMargins(16, 16, 16, 16)
        columns.setSpacing(16)
        side = QVBoxLayout()
        side.setSpacing(8)
        side.addWidget(heading("Runs"))
        runs = QScrollArea()
        runs.setWidgetResizable(True)
        runs.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        runs.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        contents = QWidget()
        contents.setObjectName("contents")
        self.run_rows = QVBoxLayout(contents)
        self.run_rows.setContentsMargins(0, 0, 0, 0)
        self.run_rows.setSpacing(6)
        self.run_rows.setAlignment(Qt.AlignmentFlag.AlignTop)
        runs.setWidget(contents)
        side.addWidget(runs, 1)
        side.addWidget(heading("Smoothing"))
        row = QHBoxLayout()
        self.smooth = QSlider(Qt.Orientation.Horizontal)
        self.smooth.setRange(0, 99)
        self.smooth.setValue(90)
        self.smooth.setAccessibleName("Smoothing")
        self.smooth.setToolTip(
            "Exponential moving average over all recorded points; it does not depend on the zoom. The raw curve stays visible, thin."
        )
        self.smooth.valueChanged.connect(self._smoothing_changed)
        self.smooth_label = muted("0.90", wrap=False)
        self.smooth_label.setFixedWidth(32)
        row.addWidget(self.smooth)
        row.addWidget(self.smooth_label)
        side.addLayout(row)
        self.log_x, self.log_y = QCheckBox("log step"), QCheckBox("log value")
        for box in (self.log_x, self.log_y):
            box.setAccessibleName(box.text())
            box.toggled.connect(self._logs_changed)
            side.addWidget(box)
        side.addSpacing(4)
        side.addWidget(heading("What it says"))
        self.verdict_card = Card(10, 6)
        side.addWidget(self.verdict_card)
        holder = QWidget()
        holder.setLayout(side)
        side.setContentsMargins(0, 0, 0, 0)
        holder.setFixedWidth(188)
        columns.addWidget(holder)
        self.main = QVBoxLayout()
        self.main.setSpacing(8)
        columns.addLayout(self.main, 1)

    def _build_plot(self) -> None:
        """The plot itself, when the pane is first seen: pyqtgraph takes most of a second to import."""
        if self.plot is not None:
            return
        from app.widgets.plot import CurvePlot

        row = QHBoxLayout()
        row.setSpacing(6)
        self.heading = heading("loss")
        row.addWidget(self.heading)
        row.addStretch(1)
        for name, run, help in (
            ("Show everything", self._show_all, "Take back the zoom (0, or double click)."),
            ("Copy", self._copy, "Copy the plot as a picture."),
            ("PNG…", partial(self._save_dialog, "png"), "Save the plot as a picture that carries run, step and settings."),
            ("CSV…", partial(self._save_dialog, "csv"), "Save every point of every term of the shown runs."),
        ):
            made = button(name, run, help)
            made.setProperty("kind", "link")
            row.addWidget(made)
        self.main.addLayout(row)
        card = Card(1, 0)
        self.plot = CurvePlot("Curves over steps; the arrow keys move the time cursor")
        self.plot.setMinimumHeight(180)
        card.inside.addWidget(self.plot)
        self.readout = TextLines(1, "Values under the mouse")
        line = QHBoxLayout()
        line.setContentsMargins(12, 2, 12, 6)
        line.addWidget(self.readout)
        card.inside.addLayout(line)
        self.main.addWidget(card, 1)
        self.cards_grid = QGridLayout()
        self.cards_grid.setSpacing(8)
        self.main.addLayout(self.cards_grid)
        self.plot.cursor_moved.connect(self.context.state.set_cursor)
        self.plot.saved_asked.connect(self._save_dialog)
        self.plot.looked_at.connect(self._say)
        self._restyle()

    # ------------------------------------------------------------------------------------------------ who is followed

    def activate(self) -> None:
        self.shown = True
        self._build_plot()
        self._drawn = None
        self._follow()
        self._all_changed(now=True)
        self._timer.start()
        self.tick()

    def deactivate(self) -> None:
        self.shown = False
        self._timer.stop()
        self._follow()

    def closeEvent(self, event: Any) -> None:
        self.deactivate()
        if self._writer is not None:
            self._writer.stop()
        super().closeEvent(event)

    def runs(self) -> list[str]:
        """The runs that are drawn: the one that is looked at, then the ticked ones."""
        state = self.context.state
        wanted = ([state.run] if state.run else []) + [run for run in self.chosen if run != state.run]
        return [run for run in wanted if run in state.runs]

    def choose_run(self, run: str, on: bool) -> None:
        """Lay a run's curves over the others, or take them away."""
        if on and run not in self.chosen:
            self.chosen.append(run)
        elif not on and run in self.chosen:
            self.chosen.remove(run)
        self._run_changed()

    def _follow(self) -> None:
        """Tell the engine whose points to send; a hidden pane follows nobody."""
        wanted = set(self.runs()) if self.shown else set()
        for run in self.followed - wanted:
            self.context.bridge.send(UnfollowRun(run))
            self.data.pop(run, None)
        for run in wanted - self.followed:
            self.context.bridge.send(FollowRun(run))
        self.followed = wanted
        for run in [run for run in self._slots if run not in self.runs()]:
            del self._slots[run]
        for run in self.runs():
            if run not in self._slots:
                taken = set(self._slots.values())
                self._slots[run] = next(place for place in range(len(taken) + 1) if place not in taken)

    def _run_changed(self) -> None:
        self._follow()
        self._fill_rows()
        self._check_empty()
        self._all_changed()
        self._drawn = None
        if self.plot is not None:
            self.plot.follows = True
        self.tick()

    def _runs_changed(self) -> None:
        state = self.context.state
        self.chosen = [run for run in self.chosen if run in state.runs]
        self._follow()
        self._fill_rows()
        self._check_empty()

    def _check_empty(self) -> None:
        self.stack.setCurrentIndex(1 if self.runs() else 0)
        if self.context.state.runs:
            self.empty.say("No run chosen", "Choose a run at the left to see its curves, or start another one.")

    def _fill_rows(self) -> None:
        """Rows of the side list; only made anew when something in them has changed."""
        state = self.context.state
        signs = {run: (self.color_of(run), self.marker_of(run)) if run in self._slots else ("", "o") for run in state.runs}
        new = {run: (info.name, signs[run], run in self.runs(), run == state.run) for run, info in state.runs.items()}
        if new == getattr(self, "_row_contents", None):
            return
        self._row_contents = new
        focused = next((run for run, row in self.rows.items() if row.box.hasFocus()), None)
        clear(self.run_rows)
        self.rows = {}
        for run, (name, (color, marker), checked, current) in new.items():
            row = RunRow(run, name, color, marker, checked, self)
            row.box.setEnabled(not current)
            if current:
                row.box.setToolTip("The run the window looks at is always shown.")
            self.rows[run] = row
            self.run_rows.addWidget(row)
        if focused in self.rows:
            self.rows[focused].box.setFocus()

    def color_of(self, run: str) -> str:
        color = theme.CATEGORIES[self._slots.get(run, 0) % len(theme.CATEGORIES)]
        if self.plot is None:
            return color
        from app.widgets.plot import shade

        return shade(color, self._colors).name()

    def marker_of(self, run: str) -> str:
        return theme.MARKERS[self._slots.get(run, 0) % len(theme.MARKERS)]

    # ------------------------------------------------------------------------------------------------ points

    def _on_metrics(self, event: Metrics) -> None:
        if event.run not in self.followed:
            return
        terms = self.data.setdefault(event.run, {})
        if event.history:
            for series in terms.values():
                series.clear()
        for name, (steps, values) in event.points.items():
            terms.setdefault(name, Series()).append(steps, values)
        self._all_changed()

    def terms(self) -> list[str]:
        """Terms of the shown runs, the loss first; a validation term goes with its own."""
        names: dict[str, None] = {"loss": None}
        for run in self.runs():
            for name in self.data.get(run, {}):
                names.setdefault(name, None)
        known = [name for name in names if any(len(self.data.get(run, {}).get(name, ())) for run in self.runs())]
        return [name for name in known if not (name.startswith(VALID) and name[len(VALID) :] in known)]

    def _series(self, run: str, term: str) -> Series:
        return self.data.setdefault(run, {}).setdefault(term, Series())

    # ------------------------------------------------------------------------------------------------ drawing

    def tick(self) -> None:
        """Draw what has changed, each part as often as it may."""
        if not self.shown or self.plot is None or not self._changed:
            return
        now = time.perf_counter()
        due = {part for part in self._changed if now - self._last[part] >= self._pause(part)}
        if not due:
            return
        if all(self._last[part] for part in due):  # none of them at once: one a tick, so that no frame has to carry them all
            due = {min(due, key=lambda part: self._last[part] + self._pause(part))}
        self._changed -= due
        self._last |= dict.fromkeys(due, now)
        terms = self.terms()
        if self.term not in terms and terms:
            self.term = terms[0]
        if "cards" in due:
            self._draw_cards(terms)
        if "plot" in due:
            self._draw_plot()
        if "verdict" in due:
            self._judge()
        spent = time.perf_counter() - now
        self._cost = spent if "plot" in due else max(self._cost, spent)

    def _pause(self, part: str) -> float:
        """Seconds that a part rests after it was drawn."""
        return {"plot": self._cost / BUSY_SHARE, "cards": CARDS_MS / 1000, "verdict": VERDICT_MS / 1000}[part]

    def _all_changed(self, *, now: bool = False) -> None:
        self._changed = set(self._last)
        if now:
            self._last = dict.fromkeys(self._last, 0.0)

    def _draw_plot(self) -> None:
        from app.widgets.plot import Line

        plot = self.plot
        assert plot is not None
        names = {run: self.context.state.runs[run].name for run in self.runs()}
        wanted = [(run, term) for run in self.runs() for term in (self.term, VALID + self.term) if len(self._series(run, term))]
        if (wanted, self.term) != self._drawn:
            self._drawn = (wanted, self.term)
            set_heading(self.heading, self.term)
            unit = self._unit(self.term)
            plot.value_name = f"{self.term}, {unit}" if unit else self.term
            lines: list[Line] = []
            for run, term in wanted:
                valid = term.startswith(VALID)
                name = f"{names[run]} · validation" if valid else names[run]
                lines.append(Line(f"{run} {term}", name, self._series(run, term), self.color_of(run), self.marker_of(run), valid))
            plot.smoothing = self.smooth.value() / 100
            plot.cursor = self.context.state.cursor
            plot.set_best(self._best())
            plot.set_lines(lines)
        else:
            plot.best = self._best()
            plot.redraw()
        self._say_rest()

    def _best(self) -> tuple[int, float, str] | None:
        """The step with the lowest validation value, or with the lowest smoothed one where nothing is validated."""
        run = self.context.state.run
        if run is None or not any(word in self.term for word in FALLING):
            return None
        import numpy as np

        valid, train = self._series(run, VALID + self.term), self._series(run, self.term)
        if len(valid) and np.isfinite(valid.values).any():
            index = int(np.nanargmin(valid.values))
            step, value, rule = int(valid.steps[index]), float(valid.values[index]), "lowest validation value"
        elif len(train) > 1 and np.isfinite(train.values).any():
            smooth = train.smoothed(self.smooth.value() / 100)
            index = int(np.nanargmin(smooth))
            step, value, rule = int(train.steps[index]), float(smooth[index]), "lowest smoothed value"
        else:
            return None
        return step, value, f"★ best {short(value)} at step {count(step)} ({rule})"

    def _draw_cards(self, terms: list[str]) -> None:
        if list(self.cards) != terms:
            from app.panes.curves.term_card import TermCard

            clear(self.cards_grid)
            self.cards = {}
            across = 4 if len(terms) % 4 == 0 or len(terms) > 5 else max(len(terms), 1)
            for place, term in enumerate(terms):
                card = TermCard(term)
                card.set_colors(self._colors)
                card.setChecked(term == self.term)
                card.clicked.connect(partial(self._card_clicked, term))
                self.cards[term] = card
                self.cards_grid.addWidget(card, place // across, place % across)
        for term, card in self.cards.items():
            shown = [(self._series(run, term), self.color_of(run)) for run in self.runs() if len(self._series(run, term))]
            card.show_lines(shown, self._unit(term))

    def _unit(self, term: str) -> str:
        """Of a term, where all runs that are drawn agree on it."""
        state = self.context.state
        methods = [state.methods.get(state.runs[run].method) for run in self.runs() if len(self._series(run, term))]
        units = {"" if method is None else method.unit_of(term) for method in methods}
        return units.pop() if len(units) == 1 else ""

    def _card_clicked(self, term: str, _checked: bool = False) -> None:
        self.show_term(term)

    def show_term(self, term: str) -> None:
        """Put a term on the large plot."""
        self.term = term
        for name, card in self.cards.items():
            card.setChecked(name == term)
        if self.plot is not None:
            self.plot.follows = True
        self._redraw_now()

    def _redraw_now(self) -> None:
        self._all_changed(now=True)
        self.tick()

    def _judge(self) -> None:
        """What the loss of the run says, in words."""
        state = self.context.state
        run = state.run
        found: list[Verdict] = []
        if run is not None:
            loss, valid = self._series(run, "loss"), self._series(run, VALID + "loss")
            running = state.job_of(run) is not None or (state.run_info is not None and state.run_info.status == "training")
            found = verdicts((loss.steps, loss.values), (valid.steps, valid.values), running)
        if found == self.found and self.verdict_card.inside.count():
            return
        self.found = found
        clear(self.verdict_card.inside)
        for verdict in found:
            label = muted(verdict.text)
            label.setProperty("role", verdict.level)
            label.setToolTip(f"The rule: {verdict.rule}")
            self.verdict_card.inside.addWidget(label)
            rule = muted(verdict.rule)
            rule.setProperty("role", "small")
            self.verdict_card.inside.addWidget(rule)
        if not found:
            self.verdict_card.inside.addWidget(muted("Too few points for a verdict."))

    def _cursor_changed(self) -> None:
        if self.plot is not None:
            self.plot.set_cursor(self.context.state.cursor)

    def _smoothing_changed(self, value: int) -> None:
        self.smooth_label.setText(f"{value / 100:.2f}")
        if self.plot is not None:
            self.plot.smoothing = value / 100
            self._changed.add("plot")
            self.tick()

    def _logs_changed(self, _on: bool) -> None:
        if self.plot is not None:
            self.plot.set_logs(self.log_x.isChecked(), self.log_y.isChecked())
            self._redraw_now()

    def _show_all(self) -> None:
        if self.plot is not None:
            self.plot.show_all()

    def _say(self, text: str) -> None:
        if text:
            self.readout.set_text(text)
        else:
            self._say_rest()

    def _say_rest(self) -> None:
        """The line below the plot while no mouse is over it."""
        plot = self.plot
        if plot is None or plot.hover_line.isVisible():
            return
        points = sum(len(line.series) for line in plot.lines)
        parts = [f"all {count(points)} points"]
        if plot.best is not None:
            parts.insert(0, plot.best[2])
        if plot.hidden_values:
            parts.append(f"{count(plot.hidden_values)} values ≤ 0 have no place on a log axis")
        self.readout.set_text(" · ".join(parts))

    # ------------------------------------------------------------------------------------------------ out of the window

    def about_this(self) -> dict[str, object]:
        """The recipe that exported files carry."""
        state = self.context.state
        about: dict[str, object] = {"Software": "Priorama", "term": self.term, "smoothing": str(self.smooth.value() / 100)}
        if state.step is not None:
            about["step"] = str(state.step)
        for place, run in enumerate(self.runs()):
            info = state.runs[run]
            tail = "" if place == 0 else f"_{place + 1}"
            about |= {f"run{tail}": info.name, f"data{tail}": info.data_name, f"seed{tail}": str(info.seed), f"config{tail}": info.config}
        return about

    def csv_parts(self) -> Iterator[str]:
        """Every point of every term of the shown runs as they are now, raw, some thousand lines at a time."""
        names = [(self.context.state.runs[run].name, self.data.get(run, {})) for run in self.runs()]
        curves = [(name, term, series.steps.copy(), series.values.copy()) for name, terms in names for term, series in terms.items()]
        yield csv_text(self.about_this(), ("run", "term", "step", "value"), ())
        for name, term, steps, values in curves:
            for start in range(0, len(steps), CSV_ROWS):
                part = zip(steps[start : start + CSV_ROWS].tolist(), values[start : start + CSV_ROWS].tolist(), strict=True)
                yield csv_lines((name, term, step, repr(value)) for step, value in part)

    def save_csv(self, path: str) -> None:
        """A long run takes a while to write; the window goes on meanwhile."""
        self.readout.set_text(f"Saving {Path(path).name}.")
        if self._writer is not None:
            self._writer.stop()
        self._writer = PartWriter(path, self.csv_parts(), partial(self._csv_written, path), self)
        self._writer.start()

    def _csv_written(self, path: str, error: OSError | None) -> None:
        self._writer = None
        self._written(path, error)

    def save_png(self, path: str) -> None:
        if self.plot is not None:
            self._write(path, png_bytes(self.plot.picture(), self.about_this()))

    def _write(self, path: str, data: bytes) -> None:
        try:
            write_file(path, data)
        except OSError as error:
            self._written(path, error)
        else:
            self._written(path, None)

    def _written(self, path: str, error: OSError | None) -> None:
        if error is not None:
            self.readout.set_text(f"“{Path(path).name}” could not be written: {error.strerror or error}. Choose another folder.", "bad")
        else:
            self.readout.set_text(f"Saved as {Path(path).name}.", "good")

    def _copy(self) -> None:
        if self.plot is not None:
            self.plot.copy()
            self.readout.set_text("The plot is on the clipboard.", "good")

    def _save_dialog(self, suffix: str) -> None:
        info = self.context.state.run_info
        name = file_name(info.name if info else "curves", self.term if suffix == "png" else "curves")
        ask_where(self, f"Save as {suffix.upper()}", name, suffix, self.save_png if suffix == "png" else self.save_csv)

    def _new_run(self) -> None:
        self.context.actions["run.new"].trigger()

    def _restyle(self) -> None:
        self._colors = restyle(self, self.context.state.theme)
        if self.plot is not None:
            self.plot.set_colors(self._colors)
            self.readout.set_colors(self._colors)
            for card in self.cards.values():
                card.set_colors(self._colors)
            self._drawn = None
            self._fill_rows()
            self._all_changed(now=True)
