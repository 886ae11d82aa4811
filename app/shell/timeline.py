"""The time cursor: the loss as a thin curve over an axis of steps, a tick for every checkpoint, and the handle the window follows.

Drawn with QPainter alone, so that it is there at the first paint. Keeps at most a few thousand points, whatever the length of the run.
"""

from __future__ import annotations

import math
from typing import Any

from PySide6.QtCore import QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QFontMetrics, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPen, QPolygonF
from PySide6.QtWidgets import QSizePolicy, QWidget

from app.shell import formatting, theme
from app.shell.plain_text import set_tip
from app.shell.state import NEWEST, RULES

MOST_POINTS = 4096


class Sparkline:
    """A curve in bounded memory: when it grows too long, of every four points the lowest and the highest stay."""

    def __init__(self, most: int = MOST_POINTS) -> None:
        self.most = most
        self.steps: list[int] = []
        self.values: list[float] = []

    def clear(self) -> None:
        self.steps.clear()
        self.values.clear()

    def add(self, steps: Any, values: Any) -> None:
        """Append arrays of equal length (steps int [n], values float [n]); values that are no numbers are left out."""
        if len(steps) > 8 * self.most:
            stride = len(steps) // (4 * self.most)
            whole = len(steps) // stride * stride
            folded = values[:whole].reshape(-1, stride)
            at = steps[:whole:stride]
            for s, low, high in zip(at.tolist(), folded.min(axis=1).tolist(), folded.max(axis=1).tolist(), strict=True):
                self._append(s, low)
                self._append(s, high)
            steps, values = steps[whole:], values[whole:]
        for s, v in zip(_listed(steps), _listed(values), strict=True):
            self._append(s, v)
        while len(self.steps) > self.most:
            self._halve()

    def _append(self, step: int, value: float) -> None:
        if math.isfinite(value):
            self.steps.append(int(step))
            self.values.append(value)

    def _halve(self) -> None:
        """Groups of four become two: their lowest and their highest, in the order they came."""
        steps, values = [], []
        for start in range(0, len(self.steps), 4):
            group = self.values[start : start + 4]
            low = group.index(min(group))
            high = group.index(max(group))
            for i in sorted({low, high}):
                steps.append(self.steps[start + i])
                values.append(group[i])
        self.steps, self.values = steps, values

    def columns(self, first: float, last: float, width: int) -> list[tuple[int, float, float]]:
        """What to draw on `width` pixels between two steps: (column, lowest, highest) of every column that has points."""
        found: dict[int, tuple[float, float]] = {}
        span = max(last - first, 1e-9)
        for s, v in zip(self.steps, self.values, strict=True):
            if first <= s <= last:
                x = min(width - 1, int((s - first) / span * width))
                low, high = found.get(x, (v, v))
                found[x] = (min(low, v), max(high, v))
        return [(x, low, high) for x, (low, high) in sorted(found.items())]


def _listed(values: Any) -> list:
    return values.tolist() if hasattr(values, "tolist") else list(values)


class Timeline(QWidget):
    """Emits `moved(step)` while the handle is dragged or stepped with the arrow keys, `live_chosen` when it is put on “now”, and
    `best_chosen` when the star over the best checkpoint is clicked."""

    moved = Signal(int)
    live_chosen = Signal()
    best_chosen = Signal()

    MARGIN = 10
    AXIS = 58
    TOP = 17
    STAR = 6  # its radius in pixels; its middle is so far below the top, plus two

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("timeline")
        self.setAccessibleName("Time cursor")
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setMouseTracking(True)
        self.colors = theme.DARK
        self.curve = Sparkline()
        self.checkpoints: list[int] = []
        self.total = 0  # planned steps, 0 when unknown
        self.now = 0  # the newest step that was trained
        self.step: int | None = None  # what the window draws
        self.follows = NEWEST  # what the step follows: "newest", "best", or "" where it was chosen by hand
        self.best: int | None = None  # the best checkpoint
        self.setEnabled(False)
        self._hover: int | None = None
        self._dragging = False

    def sizeHint(self) -> QSize:
        return QSize(640, theme.BOTTOM_HEIGHT - 1)

    def show_checkpoints(
        self, checkpoints: list[int], now: int, total: int | None, step: int | None, follows: str = NEWEST, best: int | None = None
    ) -> None:
        """Everything but the curve."""
        fresh = (checkpoints, now, total or 0, step, follows, best)
        if fresh == (self.checkpoints, self.now, self.total, self.step, self.follows, self.best):
            return
        self.checkpoints, self.now, self.total, self.step, self.follows, self.best = fresh
        self.setEnabled(bool(checkpoints))
        where = "nothing to look at yet" if step is None else f"step {step} of {now}, {RULES[follows]}"
        self.setAccessibleDescription(where)
        self.update()

    def set_colors(self, colors: theme.Colors) -> None:
        self.colors = colors
        self.update()

    # Places ---------------------------------------------------------------------------------------------------------

    @property
    def last(self) -> int:
        return max(self.total, self.now, self.checkpoints[-1] if self.checkpoints else 0, 1)

    def x_of(self, step: float) -> float:
        return self.MARGIN + step / self.last * (self.width() - 2 * self.MARGIN)

    def step_at(self, x: float) -> float:
        return (x - self.MARGIN) / max(1, self.width() - 2 * self.MARGIN) * self.last

    def nearest(self, x: float) -> int | None:
        """The checkpoint closest to a place on the screen."""
        return min(self.checkpoints, key=lambda s: abs(self.x_of(s) - x)) if self.checkpoints else None

    def on_star(self, point: QPointF) -> bool:
        """Whether a place on the screen is on the star of the best checkpoint."""
        return self.best is not None and abs(point.x() - self.x_of(self.best)) <= self.STAR + 3 and point.y() <= self.TOP

    # Hands ----------------------------------------------------------------------------------------------------------

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() != Qt.MouseButton.LeftButton or not self.checkpoints:
            return
        if self.on_star(event.position()):
            self.best_chosen.emit()
            return
        self._dragging = True
        self._go(event.position().x())

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        x = event.position().x()
        if self._dragging:
            self._go(x)
        on_star = self.on_star(event.position()) and not self._dragging
        tip = f"Step {formatting.count(self.best or 0)} is the best on validation. Click to follow the best." if on_star else ""
        if tip != self.toolTip():
            set_tip(self, tip)
        hover = self.best if on_star else self.nearest(x)
        if hover != self._hover:
            self._hover = hover
            self.update()

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        self._dragging = False

    def leaveEvent(self, event: Any) -> None:
        self._hover = None
        self.update()

    def _go(self, x: float) -> None:
        step = self.nearest(x)
        if step is not None:
            self._choose(step)

    def _choose(self, step: int) -> None:
        if step == self.checkpoints[-1]:
            if self.follows != NEWEST:
                self.live_chosen.emit()
        elif step != self.step or self.follows:
            self.moved.emit(step)

    def walk(self, by: int) -> None:
        """Go `by` checkpoints forward; past the newest is live."""
        if not self.checkpoints:
            return
        place = self.checkpoints.index(self.step) if self.step in self.checkpoints else len(self.checkpoints) - 1
        self._choose(self.checkpoints[min(max(0, place + by), len(self.checkpoints) - 1)])

    def keyPressEvent(self, event: QKeyEvent) -> None:
        keys = {
            Qt.Key.Key_Left: -1,
            Qt.Key.Key_Down: -1,
            Qt.Key.Key_Right: 1,
            Qt.Key.Key_Up: 1,
            Qt.Key.Key_PageDown: -5,
            Qt.Key.Key_PageUp: 5,
            Qt.Key.Key_Home: -len(self.checkpoints),
            Qt.Key.Key_End: len(self.checkpoints),
        }
        by = keys.get(Qt.Key(event.key()))
        if by is None:
            super().keyPressEvent(event)
        else:
            self.walk(by)

    # Drawing --------------------------------------------------------------------------------------------------------

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        c = self.colors
        left, right = self.MARGIN, self.width() - self.MARGIN
        axis = self.AXIS
        small = theme.font(11)
        painter.setFont(small)
        metrics = QFontMetrics(small)
        painter.fillRect(QRectF(left, axis - 0.5, right - left, 1), QColor(c.line))
        if not self.checkpoints and not self.curve.steps:
            painter.setPen(QColor(c.muted))
            painter.drawText(QRectF(left, self.TOP, right - left, axis - self.TOP - 4), Qt.AlignmentFlag.AlignCenter, self._empty_text())
            return
        now_x = self.x_of(self.now)
        if self.now < self.last:
            painter.fillRect(QRectF(now_x + 6, axis - 4, right - now_x - 6, 8), QColor(c.raised))
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        self._paint_curve(painter, left, right, axis)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
        pen = QPen(QColor(c.muted), 1)
        painter.setPen(pen)
        previous = -10
        for step in self.checkpoints:
            x = round(self.x_of(step))
            if x - previous >= 2:
                painter.drawLine(x, axis - 5, x, axis + 4)
                previous = x
        self._paint_star(painter)
        if self.step is not None:
            self._paint_handle(painter, metrics, axis)

    def _empty_text(self) -> str:
        return "The loss and the checkpoints of the chosen run appear here."

    def _paint_curve(self, painter: QPainter, left: int, right: int, axis: int) -> None:
        columns = self.curve.columns(0, self.last, max(1, right - left))
        if len(columns) < 2:
            return
        ordered = sorted(v for _, low, high in columns for v in (low, high))
        bottom = ordered[0]
        # One wild first value must not press the rest flat.
        usual = ordered[int(0.95 * (len(ordered) - 1))]
        top = min(ordered[-1], bottom + 4 * (usual - bottom)) if usual > bottom else ordered[-1]
        span = (top - bottom) or 1.0
        height = axis - 10 - self.TOP
        line = QPolygonF()
        for x, low, high in columns:
            for value in (high, low) if low != high else (low,):
                share = min(1.0, max(0.0, (value - bottom) / span))
                line.append(QPointF(left + x + 0.5, self.TOP + height * (1 - share)))
        painter.setPen(QPen(QColor(self.colors.accent), 1.3))
        painter.drawPolyline(line)

    def _paint_star(self, painter: QPainter) -> None:
        if self.best is None:
            return
        x, y = self.x_of(self.best), self.STAR + 2
        points = [
            QPointF(x + r * math.sin(k * math.pi / 5), y - r * math.cos(k * math.pi / 5))
            for k in range(10)
            for r in (self.STAR if k % 2 == 0 else 0.42 * self.STAR,)
        ]
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(self.colors.good))
        painter.drawPolygon(QPolygonF(points))

    def _paint_handle(self, painter: QPainter, metrics: QFontMetrics, axis: int) -> None:
        c = self.colors
        assert self.step is not None
        x = self.x_of(self.step)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setBrush(QColor(c.accent))
        painter.setPen(QPen(QColor(c.text if self.hasFocus() else c.panel), 2))
        painter.drawEllipse(QPointF(x, axis), 7, 7)
        painter.setPen(QColor(c.muted))
        baseline = axis + 8 + metrics.ascent()
        taken = self._label(painter, metrics, x, baseline, "now" if self.follows == NEWEST else formatting.count(self.step), None)
        if self.follows != NEWEST and self.checkpoints and self.step != self.checkpoints[-1]:
            taken = self._label(painter, metrics, self.x_of(self.checkpoints[-1]), baseline, "now", taken)
        if self._hover is not None and self._hover != self.step:
            self._label(painter, metrics, self.x_of(self._hover), baseline, formatting.count(self._hover), taken)

    def _label(self, painter: QPainter, metrics: QFontMetrics, x: float, y: int, text: str, taken: QRectF | None) -> QRectF:
        width = metrics.horizontalAdvance(text)
        left = min(max(0.0, x - width / 2), self.width() - width)
        box = QRectF(left - 4, y - metrics.ascent(), width + 8, metrics.height())
        if taken is not None and taken.intersects(box):
            return taken
        painter.drawText(QPointF(left, y), text)
        return box if taken is None else taken.united(box)
