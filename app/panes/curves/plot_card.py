"""The large plot of one term with its heading, its links and the line of values below it.

It imports pyqtgraph, which takes most of a second: the pane imports this file when it is first seen.
"""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from app.panes.curves.plot import CurvePlot, Line
from app.shell import formatting
from app.shell.formatting import things
from app.shell.theme import Colors
from app.widgets.parts import Card, TextLines, button, heading, set_heading


class CurvePlotCard(QWidget):
    def __init__(self, save_picture: Callable[[], object], save_csv: Callable[[], object], show_errors: Callable[[], object]) -> None:
        super().__init__()
        self._drawn: object = None  # which lines the plot has
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(8)
        row = QHBoxLayout()
        row.setSpacing(6)
        self.heading = heading("loss")
        row.addWidget(self.heading)
        row.addStretch(1)
        self.plot = CurvePlot("Curves over steps; the arrow keys move the time cursor")
        self.errors_link = button("Which images are wrong…", show_errors, "Confusion matrix and images of the wrong answers, in Errors.")
        self.errors_link.setProperty("kind", "link")
        self.errors_link.hide()
        row.addWidget(self.errors_link)
        for name, run, help in (
            ("Show everything", self.plot.show_all, "Take back the zoom (0, or double click)."),
            ("Copy", self._copy, "Copy the plot as a picture."),
            ("Picture…", save_picture, "Save the plot as PNG, SVG or PDF; the file carries run, step and settings."),
            ("CSV…", save_csv, "Save every point of every term of the shown runs."),
        ):
            made = button(name, run, help)
            made.setProperty("kind", "link")
            row.addWidget(made)
        column.addLayout(row)
        card = Card(1, 0)
        self.plot.setMinimumHeight(112)
        card.inside.addWidget(self.plot)
        self.readout = TextLines(1, "Values under the mouse")
        line = QHBoxLayout()
        line.setContentsMargins(12, 2, 12, 6)
        line.addWidget(self.readout)
        card.inside.addLayout(line)
        column.addWidget(card, 1)
        self.loading = False  # some points are still on their way
        self.plot.looked_at.connect(self._say_values)

    def forget_lines(self) -> None:
        """Another drawing makes the lines anew: their runs or colours have changed."""
        self._drawn = None

    def draw(
        self, term: str, unit: str, lines: list[Line], best: tuple[int, float, str] | None, smoothing: float, cursor: int | None
    ) -> None:
        """Draw a term; where the lines are those of before, only their points are drawn anew."""
        keys = (term, [line.key for line in lines])
        if keys != self._drawn:
            self._drawn = keys
            name = formatting.term(term)
            set_heading(self.heading, name)
            self.plot.value_name = f"{name}, {unit}" if unit else name
            self.plot.smoothing = smoothing
            self.plot.cursor = cursor
            self.plot.set_best(best)
            self.plot.set_lines(lines)
        else:
            self.plot.best = best
            self.plot.redraw()
        self._say_summary()

    def report(self, text: str, level: str = "") -> None:
        """Say what became of something the user did."""
        self.readout.set_text(text, level)

    def _say_values(self, text: str) -> None:
        if text:
            self.readout.set_text(text)
        else:
            self._say_summary()

    def _say_summary(self) -> None:
        """The line below the plot while no mouse is over it."""
        plot = self.plot
        if plot.hover_line.isVisible():
            return
        points = sum(len(line.series) for line in plot.lines)
        if self.loading:
            self.readout.set_text("Loading the points…")
            return
        parts = [f"all {things(points, 'point')}" if points else "no points yet"]
        if plot.best is not None:
            parts.insert(0, plot.best[2])
        if plot.hidden_values:
            parts.append(f"{things(plot.hidden_values, 'value')} ≤ 0 without a place on a log axis")
        self.readout.set_text(" · ".join(parts))

    def _copy(self) -> None:
        self.plot.copy()
        self.report("The plot is on the clipboard.", "good")

    def set_colors(self, c: Colors) -> None:
        self.plot.set_colors(c)
        self.readout.set_colors(c)
        self.forget_lines()
