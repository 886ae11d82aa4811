"""The rate-distortion plane: every VAE run of the same data as a point, with lines of equal ELBO (Alemi et al. 2018)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from PySide6.QtCore import QPointF, QRectF, Qt, QTimer
from PySide6.QtGui import QColor, QPainter, QPen
from PySide6.QtWidgets import QWidget

from app.shell.bridge import Bridge
from app.shell.formatting import count, number, things
from app.shell.job_controller import JobController
from app.shell.state import State
from app.shell.theme import Colors
from app.widgets.chart import LEFT, MIDDLE, ticks
from app.widgets.export import ask_where, csv_text, file_name, save_file
from app.widgets.figure import DRAWINGS
from app.widgets.line_chart import LineChart
from app.widgets.parts import Card, TextLines
from engine.messages import Ended, MeasureRateDistortion, Progress, RateDistortionMeasured, RunInfo

LIMIT = 500  # validation images of each run
MOST_RUNS = 40  # the newest
ROOM = 0.12  # of the range, around the points
HINT = "Rate and distortion of the runs appear here."
ABOUT = (
    "Each point is a run at its best checkpoint (the chosen run: at the cursor): across what a code costs (rate, KL), upwards what the "
    "image costs given its code (distortion). Runs on one dashed line have the same ELBO; below and to the left is better."
)


@dataclass(frozen=True)
class RunPoint:
    """A run in the plane."""

    name: str
    beta: float | None
    point: RateDistortionMeasured
    chosen: bool = False  # the run that the window looks at
    newest: bool = False

    @property
    def words(self) -> str:
        beta = "" if self.beta is None else f" (β {self.beta:g})"
        told = f"rate {number(self.point.rate, 1)} ± {number(self.point.rate_se, 1, 'nat')}, "
        told += f"distortion {number(self.point.distortion, 1)} ± {number(self.point.distortion_se, 1, 'nat')} "
        return f"{self.name}{beta}: {told}({number(self.point.distortion_bits_per_dim, 3, 'bits/dim')})"


class RateDistortionChart(LineChart):
    """Call `set_points`."""

    def __init__(self) -> None:
        self.points: list[RunPoint] = []
        super().__init__("Rate and distortion of runs")
        self.setMinimumHeight(170)

    def set_points(self, points: list[RunPoint]) -> None:
        self.points = points
        self._lay_out()
        self.setAccessibleDescription(". ".join(point.words for point in points))
        self.update()

    def _lay_out(self) -> None:
        if not self.points:
            return
        for low, high, values in (
            ("low", "high", [one.point.rate for one in self.points]),
            ("bottom", "top", [one.point.distortion for one in self.points]),
        ):
            room = ROOM * (max(values) - min(values)) or max(0.05 * abs(values[0]), 1.0)
            setattr(self, low, min(values) - room)
            setattr(self, high, max(values) + room)

    def levels(self) -> list[float]:
        """-ELBO of the dashed lines R + D = level that cross the plot, nats."""
        return ticks(self.low + self.bottom, self.high + self.top, 6)

    def ends_of(self, level: float) -> tuple[QPointF, QPointF]:
        """Where a line of equal ELBO enters and leaves the plot: D = level - R."""
        left, right = max(self.low, level - self.top), min(self.high, level - self.bottom)
        return QPointF(self.to_x(left), self.to_y(level - left)), QPointF(self.to_x(right), self.to_y(level - right))

    def draw(self, painter: QPainter) -> None:
        if not self.points:
            self.draw_hint(painter, HINT)
            return
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        self.draw_axes(painter, "rate, nat per image", "distortion, nat per image", percent=False)
        c, metrics = self._c, painter.fontMetrics()
        painter.setFont(self._small)
        for level in self.levels():
            start, end = self.ends_of(level)
            painter.setPen(self.pen(QColor(c.muted), 1, (4, 4)))
            painter.drawLine(start, end)
            if end.x() - start.x() > 60:
                text = f"ELBO {number(-level, 0)}"
                painter.setPen(QColor(c.muted))
                wide = metrics.horizontalAdvance(text) + 2
                left = min(end.x() - wide - 4, self.plot().right() - wide)
                slope = (end.y() - start.y()) / (end.x() - start.x())
                y = start.y() + slope * (left - start.x())
                painter.drawText(QRectF(left, y - metrics.height() - 2, wide, metrics.height()), LEFT | MIDDLE, text)
        for one in self.points:
            self._draw_point(painter, one)

    def _draw_point(self, painter: QPainter, one: RunPoint) -> None:
        c, at = self._c, QPointF(self.to_x(one.point.rate), self.to_y(one.point.distortion))
        color = QColor(c.accent) if one.chosen else self.color(0)
        painter.setPen(QPen(color, 1.1))
        for error, across in ((one.point.rate_se, True), (one.point.distortion_se, False)):
            if math.isfinite(error):
                x, y = (one.point.rate, one.point.distortion)
                a, b = (((x - error, y), (x + error, y)) if across else ((x, y - error), (x, y + error)))  # fmt: skip
                painter.drawLine(QPointF(self.to_x(a[0]), self.to_y(a[1])), QPointF(self.to_x(b[0]), self.to_y(b[1])))
        self.draw_markers(painter, self.marker(2), color, 9 if one.chosen else 7, [at])
        if one.newest:
            painter.setPen(QPen(QColor(c.text), 1.5))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawEllipse(at, 9, 9)
        text = ("" if one.beta is None else f"β {one.beta:g}") if not (one.chosen or one.newest) else one.name
        text += " (newest)" if one.newest else ""
        metrics = painter.fontMetrics()
        wide = metrics.horizontalAdvance(text) + 2
        left = at.x() + 12 if at.x() + 12 + wide < self.width() else at.x() - 12 - wide
        painter.setPen(QColor(c.text if one.chosen or one.newest else c.muted))
        painter.drawText(QRectF(max(left, 0.0), at.y() - metrics.height() / 2, wide, metrics.height()), LEFT | MIDDLE, text)

    def table(self) -> tuple[tuple[str, ...], list[tuple[object, ...]]]:
        """Header and rows of a CSV."""
        header = (
            *("run", "step", "beta", "rate_nats", "rate_se", "distortion_nats", "distortion_se", "distortion_bits_per_dim"),
            *("elbo_nats", "elbo_se", "images"),
        )
        rows: list[tuple[object, ...]] = []
        for one in self.points:
            p = one.point
            figures = (p.rate, p.rate_se, p.distortion, p.distortion_se, p.distortion_bits_per_dim, p.elbo, p.elbo_se)
            rows.append((one.name, p.step, "" if one.beta is None else one.beta, *map(repr, figures), p.images))
        return header, rows


class RateDistortionController(JobController):
    """Measures every run with a rate that was trained on the data of the chosen one, its own first; what was measured is kept."""

    name = "latent.rates"
    resume = "Open another tab and come back to go on."

    def __init__(self, state: State, bridge: Bridge, changed: Callable[[], None], parent: QWidget) -> None:
        super().__init__(bridge, parent)
        self.state, self.changed = state, changed
        self.found: dict[tuple[str, int], RateDistortionMeasured] = {}
        self._resting = QTimer(self)
        self._resting.setSingleShot(True)
        self._resting.timeout.connect(self.look)
        bridge.on(RateDistortionMeasured, self._measured)
        bridge.on(Progress, self._progress)
        bridge.on(Ended, self._ended)
        state.run_gone.connect(self._run_gone)
        state.run_replaced.connect(self._run_gone)

    def candidates(self) -> list[tuple[RunInfo, int]]:
        """The runs of the same data whose method has a rate, newest first, with their best step; the chosen run with that at the cursor."""
        mine, step = self.state.run_info, self.state.step
        if mine is None or step is None:
            return []
        rated = {name for name, method in self.state.methods.items() if "rate" in method.capabilities}
        found = []
        for info in sorted(self.state.runs.values(), key=lambda info: -info.created):
            at = step if info.run == mine.run else info.best.step if info.best is not None else self.state.step_of(info.run)
            if info.method in rated and (info.data, info.shape) == (mine.data, mine.shape) and info.checkpoints and at is not None:
                found.append((info, at))
        return found[:MOST_RUNS]

    def points(self) -> list[RunPoint]:
        """What is known of the candidates that can be compared with the chosen run, or else with the newest."""
        candidates = self.candidates()
        known = [(info, self.found.get((info.run, step))) for info, step in candidates]
        good = [(info, point) for info, point in known if point is not None and not point.error]
        kind = next((point.comparable for info, point in good if info.run == self.state.run), good[0][1].comparable if good else ())
        newest = candidates[0][0].run if candidates else ""
        return [
            RunPoint(info.name, _beta(info), point, chosen=info.run == self.state.run, newest=info.run == newest)
            for info, point in good
            if point.comparable == kind
        ]

    def left_out(self) -> int:
        """Measured runs whose distortions are other quantities, or that have none."""
        return sum((info.run, step) in self.found for info, step in self.candidates()) - len(self.points())

    def go_on(self) -> None:
        if not self.active:
            return
        lacking = [(info.run, step) for info, step in self.candidates() if (info.run, step) not in self.found]
        lacking.sort(key=lambda run_step: run_step[0] != self.state.run)
        if lacking:
            self.begin("rates", lambda job: MeasureRateDistortion(job=job, channel=self.name, runs=tuple(lacking), limit=LIMIT))
        self.changed()

    def look(self) -> None:
        """Another run or step is looked at, or there are other runs; what a training adds waits as long as the last points took."""
        if not self.active:
            return
        patience = self.patience()
        if patience == 0:
            self.renew()
            self.go_on()
        elif math.isfinite(patience):
            self._resting.start(round(1000 * patience) + 1)
        self.changed()

    def set_active(self, active: bool) -> None:
        if not active:
            self._resting.stop()
        super().set_active(active)

    def _measured(self, event: RateDistortionMeasured) -> None:
        if self.purpose_of(event.job):
            self.found[event.run, event.step] = event
            self.changed()

    def _progress(self, event: Progress) -> None:
        if self.purpose_of(event.job):
            self.say(f"{event.note or 'Reading the data'}: {event.unit} {count(event.done)}")
            self.changed()

    def _ended(self, event: Ended) -> None:
        if self.purpose_of(event.job):
            del self.jobs["rates"]
            if event.outcome != "ok" or any((info.run, step) not in self.found for info, step in self.candidates()):
                self._given_up.add("rates")
            self.say("" if event.outcome == "ok" else event.message, "bad" if event.outcome == "failed" else "")
            self.settled()
            self.changed()

    def _run_gone(self, run: str) -> None:
        self.found = {key: point for key, point in self.found.items() if key[0] != run}


class RateDistortionCard(Card):
    """The chart, and what it shows in words."""

    def __init__(self, state: State, bridge: Bridge) -> None:
        super().__init__(12, 8)
        self.chart = RateDistortionChart()
        self.line = TextLines(3, "About rate and distortion", small=True)
        self.inside.addWidget(self.chart, 1)
        self.inside.addWidget(self.line)
        self.controller = RateDistortionController(state, bridge, self.show_points, self)
        self.controller.said.connect(self.show_points)
        self.chart.saved_asked.connect(self._ask)
        state.run_changed.connect(self.controller.look)
        state.step_changed.connect(self.controller.look)
        state.runs_changed.connect(self.controller.look)
        state.methods_changed.connect(self.controller.look)

    def set_active(self, active: bool) -> None:
        """Whether it is seen; nothing is asked while it is not."""
        if active and not self.controller.active:
            self.controller.renew()
        self.controller.set_active(active)

    def show_points(self) -> None:
        controller = self.controller
        self.chart.set_points(controller.points())
        out = controller.left_out()
        left_out = f" {things(out, 'run')} with another likelihood, or without a point, left out." if out else ""
        self.line.set_text(controller.line or f"{ABOUT}{left_out}", controller.level)

    def save(self, kind: str, path: str) -> None:
        """The chart as a picture, or its points as CSV."""
        about = {"Software": "Priorama", "images": f"{LIMIT} validation images at most", "units": "nat per image"}
        figure = self.chart.figure().contents(path, about) if kind == "png" else csv_text(about, *self.chart.table())
        self.line.set_text(*save_file(path, figure))

    def _ask(self, kind: str) -> None:
        where = file_name("rate-distortion")
        ask_where(self, f"Save the chart as {kind.upper()}", where, kind, partial(self.save, kind), DRAWINGS if kind == "png" else ())

    def set_colors(self, c: Colors) -> None:
        self.chart.set_colors(c)
        self.line.set_colors(c)


def _beta(info: RunInfo) -> float | None:
    beta = info.config.get("beta")
    return float(beta) if isinstance(beta, (int, float)) else None
