"""The one plot of curves: themed pyqtgraph with a time cursor, a hover readout, log axes, zoom, and copy, pictures and CSV.

Every point stays in `app.panes.curves.series`; what is handed to pyqtgraph is the lowest and the highest value of each pixel column.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import QEvent, QPointF, QRectF, Qt, Signal
from PySide6.QtGui import QColor, QContextMenuEvent, QKeyEvent, QPainter, QPen, QResizeEvent
from PySide6.QtWidgets import QMenu, QVBoxLayout, QWidget

from app.panes.curves.plot_axes import FigureAxis, TimeBox, wider
from app.panes.curves.plot_legend import CornerLegend, LegendSample
from app.panes.curves.series import Series, thinned
from app.shell.formatting import count
from app.shell.plain_text import set_tip
from app.shell.theme import DARK, Colors, font
from app.widgets.colors import mixed, shade
from app.widgets.export import copy_image
from app.widgets.figure import Figure
from app.widgets.parts import short

MOST_NAMED = 6  # curves that the legend names one by one; of more it says once what a dashed line is
DASHES = [3.0, 2.5]  # of a validation curve, in widths of its line
STAR_REACH = 8  # pixels from the star at which a click still means it
MARKS = 7  # markers along a curve, so that colour is not the only sign
AHEAD = 0.05  # of the width: a curve that grows finds room for its next points


@dataclass(eq=False)
class Line:
    """One curve: its points and its looks."""

    key: str
    name: str  # as the legend says it
    series: Series
    color: str
    marker: str
    dashed: bool = False  # a validation curve beside that of training
    sparse: bool = False  # values of checkpoints alone, which no smoothing may move


def fits(view: list[float], low: float, high: float) -> bool:
    """Whether a view shows a range and little more: then the axes, which are dear to draw, can stay as they are."""
    return view[0] <= low and high <= view[1] and view[1] - view[0] <= (1 + 3 * AHEAD) * (high - low)


class CurvePlot(QWidget):
    """Lines over steps. Call `set_lines` when their set changes and `redraw` when their points do."""

    cursor_moved = Signal(int)  # the user chose a step
    saved_asked = Signal(str)  # "png" (any picture) | "csv"
    looked_at = Signal(str)  # the readout under the mouse

    def __init__(self, name: str) -> None:
        super().__init__()
        self.lines: list[Line] = []
        self.log_x = self.log_y = False
        self.smoothing = 0.0
        self.cursor: int | None = None
        self.best: tuple[int, float, str] | None = None  # step, value, what it says
        self.follows = True  # the view shows everything and grows with the curves
        self.redraws = 0
        self.hidden_values = 0  # not positive, so not on a log axis
        self.value_name = ""
        self._colors: Colors = DARK
        self._items: dict[str, tuple[pg.PlotCurveItem, pg.PlotCurveItem, pg.ScatterPlotItem]] = {}
        self._ours = False
        self.box = TimeBox()
        self.view = pg.PlotWidget(viewBox=self.box, axisItems={side: FigureAxis(side) for side in ("left", "bottom")})
        self.view.setAccessibleName(name)
        set_tip(self.view, "Ctrl and wheel, or + and −: zoom. Shift and drag: move. Double click, or 0: show everything.")
        self.view.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.view.installEventFilter(self)
        self.view.setAntialiasing(True)
        self.plot: Any = self.view.getPlotItem()
        self.plot.hideButtons()
        self.plot.setMenuEnabled(False)
        self.plot.ctrlMenu.setParent(self.view, self.plot.ctrlMenu.windowFlags())  # it would outlive the plot
        self.plot.setContentsMargins(0, 8, 12, 0)
        self.box.disableAutoRange()
        for side in ("left", "bottom"):
            axis = self.plot.getAxis(side)
            axis.enableAutoSIPrefix(False)
            axis.setGrid(28)
        self.plot.getAxis("left").setWidth(64)
        self.cursor_line = pg.InfiniteLine(angle=90, movable=False)
        self.cursor_line.setZValue(20)
        self.hover_line = pg.InfiniteLine(angle=90, movable=False)
        self.hover_line.setZValue(15)
        self.hover_points = pg.ScatterPlotItem(size=7)
        self.hover_points.setZValue(25)
        self.best_point = pg.ScatterPlotItem(size=13, symbol="star")
        self.best_point.setZValue(24)
        for item in (self.cursor_line, self.hover_line, self.hover_points, self.best_point):
            self.plot.addItem(item, ignoreBounds=True)
            item.hide()
        self.legend = CornerLegend(self.box)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.view)
        self.box.pointed.connect(self._pointed)
        self.box.whole_asked.connect(self.show_all)
        self.box.sigXRangeChanged.connect(self._range_changed)
        self.box.sigRangeChangedManually.connect(self._zoomed)
        scene: Any = self.view.scene()
        scene.sigMouseMoved.connect(self._hover)
        self.set_colors(DARK)

    # looks

    def set_colors(self, c: Colors) -> None:
        self._colors = c
        self.view.setBackground(c.background)
        for side in ("left", "bottom"):
            axis = self.plot.getAxis(side)
            axis.setPen(pg.mkPen(c.line))
            axis.setTextPen(pg.mkPen(c.muted))
        self.cursor_line.setPen(pg.mkPen(c.accent, width=1))
        self.hover_line.setPen(pg.mkPen(c.muted, width=1, style=Qt.PenStyle.DotLine))
        self.best_point.setPen(pg.mkPen(c.background))
        self.best_point.setBrush(pg.mkBrush(c.good))
        self.legend.set_colors(c)
        self.set_lines(self.lines)

    def _name_axes(self) -> None:
        style = {"color": self._colors.muted, "font-size": f"{font(11).pixelSize()}px"}
        self.plot.setLabel("left", escape(self.value_name) + (" (log)" if self.log_y else ""), **style)
        self.plot.setLabel("bottom", "step (log)" if self.log_x else "step", **style)

    def set_lines(self, lines: list[Line]) -> None:
        for items in self._items.values():
            for item in items:
                self.plot.removeItem(item)
        self._items.clear()
        self.legend.clear()
        self.lines = lines
        back = QColor(self._colors.background)
        for line in lines:
            color = shade(line.color, self._colors)
            thin = pg.PlotCurveItem(pen=pg.mkPen(mixed(color, back, 0.42), width=1), skipFiniteCheck=False)
            pen = QPen(color, 1.4)
            pen.setCosmetic(True)
            if line.dashed:
                pen.setDashPattern(DASHES)
            main = pg.PlotCurveItem(pen=pen, skipFiniteCheck=False)
            marks = pg.ScatterPlotItem(size=8, symbol=line.marker, pen=pg.mkPen(back), brush=pg.mkBrush(color))
            for item in (thin, main, marks):
                self.plot.addItem(item, ignoreBounds=True)
            self._items[line.key] = (thin, main, marks)
            if not (line.dashed and len(lines) > MOST_NAMED):
                self.legend.addItem(LegendSample(pen, line.marker), line.name)
        if len(lines) > MOST_NAMED and any(line.dashed for line in lines):
            dashed = QPen(QColor(self._colors.muted), 1.4)
            dashed.setCosmetic(True)
            dashed.setDashPattern(DASHES)
            self.legend.addItem(LegendSample(dashed, ""), "dashed: validation")
        self.legend.fit()
        self._name_axes()
        self.redraw()

    def set_logs(self, log_x: bool, log_y: bool) -> None:
        self.log_x, self.log_y = log_x, log_y
        self.plot.getAxis("bottom").setLogMode(log_x)
        self.plot.getAxis("left").setLogMode(log_y)
        self._name_axes()
        self.show_all()

    def set_cursor(self, step: int | None) -> None:
        self.cursor = step
        self.cursor_line.setVisible(step is not None)
        if step is not None:
            self.cursor_line.setValue(self._x(step))

    def set_best(self, best: tuple[int, float, str] | None) -> None:
        self.best = best
        visible = best is not None and not (self.log_y and best[1] <= 0)
        self.best_point.setVisible(visible)
        if best is not None and visible:
            self.best_point.setData([self._x(best[0])], [np.log10(best[1]) if self.log_y else best[1]])

    # from steps and values to the screen

    def _x(self, step: float) -> float:
        return float(np.log10(max(step, 1))) if self.log_x else float(step)

    def step_at(self, x: float) -> float:
        return float(10**x) if self.log_x else x

    def _xs(self, steps: np.ndarray) -> np.ndarray:
        return np.log10(np.maximum(steps, 1)) if self.log_x else steps.astype(np.float64)

    def _ys(self, values: np.ndarray) -> np.ndarray:
        values = values.astype(np.float64)
        if not self.log_y:
            return np.where(np.isfinite(values), values, np.nan)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where((values > 0) & np.isfinite(values), np.log10(values), np.nan)

    def show_all(self) -> None:
        """The view holds every point again and grows with them."""
        self.follows = True
        self.redraw()

    def redraw(self) -> None:
        """Draw what the lines hold now; the only place where points reach pyqtgraph."""
        self.redraws += 1
        self._ours = True
        if self.follows:
            ends = [(self._x(line.series.steps[0]), self._x(line.series.steps[-1])) for line in self.lines if len(line.series)]
            if ends:
                low, high = min(end[0] for end in ends), max(end[1] for end in ends)
                room = 0.01 * (high - low) or 0.5
                if not fits(self.box.viewRange()[0], max(low - room / 2, 0.0), high + room / 2):
                    self.box.setXRange(max(low - room, 0.0), high + AHEAD * (high - low) + room, padding=0)
        left, right = self.box.viewRange()[0]
        columns = max(int(self.box.width()), 200)
        lowest, highest = np.inf, -np.inf
        self.hidden_values = 0
        shown: list[tuple[np.ndarray, np.ndarray]] = []
        for line in self.lines:
            thin, main, marks = self._items[line.key]
            if not len(line.series):
                for item in (thin, main, marks):
                    item.clear()
                continue
            x = self._xs(line.series.steps)
            raw = thinned(x, self._ys(line.series.values), left, right, columns)
            if self.log_y:
                self.hidden_values += int(np.sum(~(line.series.values > 0)))
            smooth = self.smoothing > 0 and not line.dashed and not line.sparse
            if smooth:
                thin.setData(*raw, connect="finite")
                drawn = thinned(x, self._ys(line.series.smoothed(self.smoothing)), left, right, columns)
            else:
                thin.clear()
                drawn = raw
            main.setData(*drawn, connect="finite")
            shown.append(drawn)
            places = self._mark_places(drawn[0], drawn[1], left, right)
            marks.setData(drawn[0][places], drawn[1][places])
            for part in (raw[1], drawn[1]):
                if np.isfinite(part).any():
                    lowest, highest = min(lowest, float(np.nanmin(part))), max(highest, float(np.nanmax(part)))
        if np.isfinite(lowest) and self.follows_height:
            room = 0.06 * (highest - lowest) or 0.5 * abs(highest) or 0.5
            if not fits(self.box.viewRange()[1], lowest - room / 2, highest + room / 2):
                self.box.setYRange(lowest - room, highest + room, padding=0)
        self.set_cursor(self.cursor)
        self.set_best(self.best)
        self.legend.fit()
        self.legend.avoid(shown)
        self.view.scene().prepareForPaint()  # type: ignore[attr-defined]  # now, not while it is being painted, or it is painted twice
        self._ours = False

    @property
    def follows_height(self) -> bool:
        return True

    @staticmethod
    def _mark_places(x: np.ndarray, y: np.ndarray, left: float, right: float) -> np.ndarray:
        """Where the markers sit: all of few points, otherwise some evenly over what is seen."""
        seen = np.flatnonzero((x >= left) & (x <= right) & np.isfinite(y))
        if len(seen) <= 2 * MARKS:
            return seen
        wanted = left + (np.arange(MARKS) + 0.5) / MARKS * (right - left)
        return np.unique(seen[np.clip(np.searchsorted(x[seen], wanted), 0, len(seen) - 1)])

    def _range_changed(self, *_: object) -> None:
        if not self._ours:
            self.redraw()

    def _zoomed(self, *_: object) -> None:
        self.follows = False

    # mouse and keyboard

    def _pointed(self, x: float) -> None:
        reach = STAR_REACH * self.box.viewPixelSize()[0]
        if self.best is not None and self.best_point.isVisible() and abs(self._x(self.best[0]) - x) <= reach:
            nearest = self.best[0]  # the star is meant, not the point of a curve beside it
        else:
            nearest = self.nearest_step(self.step_at(x))
        if nearest is not None:
            self.cursor_moved.emit(nearest)

    def nearest_step(self, step: float) -> int | None:
        """The recorded step nearest to one."""
        found = [int(line.series.steps[line.series.at(step)]) for line in self.lines if len(line.series)]
        return min(found, key=lambda other: abs(other - step)) if found else None

    def _hover(self, position: QPointF) -> None:
        inside = self.box.sceneBoundingRect().contains(position)
        if not inside or not self.lines:
            self.leave_hover()
            return
        self.read_out(self.step_at(self.box.mapSceneToView(position).x()))

    def leave_hover(self) -> None:
        self.hover_line.hide()
        self.hover_points.hide()
        self.looked_at.emit("")

    def read_out(self, step: float) -> str:
        """The exact values nearest to a step, in words; marks them on the curves."""
        parts, spots, at = [], [], None
        for line in self.lines:
            if not len(line.series):
                continue
            index = line.series.at(step)
            found, value = int(line.series.steps[index]), float(line.series.values[index])
            if at is None:
                at = found
            parts.append(f"{line.name} {short(value)}" + ("" if found == at else f" (step {count(found)})"))
            y = float(self._ys(np.array([value]))[0])
            if np.isfinite(y):
                spots.append({"pos": (self._x(found), y), "brush": pg.mkBrush(shade(line.color, self._colors)), "pen": None})
        if at is None:
            return ""
        self.hover_line.setValue(self._x(at))
        self.hover_line.show()
        self.hover_points.setData(spots)
        self.hover_points.show()
        text = f"step {count(at)} · " + " · ".join(parts)
        self.looked_at.emit(text)
        return text

    def eventFilter(self, watched, event: QEvent) -> bool:
        if event.type() == QEvent.Type.KeyPress and self._key(event):  # type: ignore[arg-type]
            return True
        if event.type() == QEvent.Type.Leave:
            self.leave_hover()
        if event.type() == QEvent.Type.ContextMenu:
            self._menu(event)  # type: ignore[arg-type]
            return True
        return super().eventFilter(watched, event)

    def _key(self, event: QKeyEvent) -> bool:
        """Left and right walk from point to point, Home and End to the ends; plus, minus and 0 zoom."""
        key = event.key()
        if key in (Qt.Key.Key_Plus, Qt.Key.Key_Equal, Qt.Key.Key_Minus):
            self.follows = False
            self.box.scaleBy(x=0.8 if key != Qt.Key.Key_Minus else 1.25)
            return True
        if key == Qt.Key.Key_0:
            self.show_all()
            return True
        line = next((line for line in self.lines if len(line.series)), None)
        if line is None or key not in (Qt.Key.Key_Left, Qt.Key.Key_Right, Qt.Key.Key_Home, Qt.Key.Key_End):
            return False
        last = len(line.series) - 1
        now = last if self.cursor is None else line.series.at(self.cursor)
        index = {Qt.Key.Key_Left: now - 1, Qt.Key.Key_Right: now + 1, Qt.Key.Key_Home: 0, Qt.Key.Key_End: last}[Qt.Key(key)]
        step = int(line.series.steps[min(max(index, 0), last)])
        self.cursor_moved.emit(step)
        self.read_out(step)
        return True

    def _menu(self, event: QContextMenuEvent) -> None:
        menu = QMenu(self)
        for text, run in (
            ("Copy picture", self.copy),
            ("Save as PNG, SVG or PDF…", lambda: self.saved_asked.emit("png")),
            ("Save as CSV…", lambda: self.saved_asked.emit("csv")),
            ("Show everything", self.show_all),
        ):
            menu.addAction(text).triggered.connect(run)
        menu.aboutToHide.connect(menu.deleteLater)
        menu.popup(event.globalPos())

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        if self.lines:
            self.redraw()

    # out of the window

    def figure(self) -> Figure:
        """The plot as it stands, without what the mouse is doing."""
        return Figure(self.view.width(), self.view.height(), self._colors.background, self._draw)

    def _draw(self, painter: QPainter) -> None:
        """Draw with any painter: no item hands over pixels that it has kept, and lines have their width on screen."""
        self.leave_hover()
        fine = painter.device().devicePixelRatioF()
        items = self.view.scene().items()
        keeping = [item for item in items if isinstance(item, (pg.ScatterPlotItem, FigureAxis))]
        curves = [(item, item.opts["pen"]) for item in items if isinstance(item, pg.PlotCurveItem)]
        lines: list[tuple[Any, QPen]] = [(item, item.pen) for item in items if isinstance(item, (pg.InfiniteLine, LegendSample))]
        for item in keeping:
            item.setExportMode(True)
        for item, pen in curves:
            item.opts["pen"] = wider(pen, fine)
        for item, pen in lines:
            item.pen = item.currentPen = wider(pen, fine)
        try:
            whole = self.view.viewport().rect()
            self.view.render(painter, QRectF(whole), whole)
        finally:
            for item in keeping:
                item.setExportMode(False)
            for item, pen in curves:
                item.opts["pen"] = pen
            for item, pen in lines:
                item.pen = item.currentPen = pen

    def copy(self) -> None:
        copy_image(self.figure().image())
