"""Scores of known and of strange images as two histograms, with a threshold to drag and a mark for the image that is looked at."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QPointF, QRectF, Qt, Signal
from PySide6.QtGui import QBrush, QColor, QFocusEvent, QFontMetrics, QKeyEvent, QMouseEvent, QPainter, QPainterPath, QPen, QPolygonF

from app.panes.likelihood import separation
from app.shell.theme import CATEGORIES
from app.widgets.chart import LEFT, MIDDLE, Chart
from app.widgets.colors import shade
from app.widgets.parts import short
from engine.common import ood_metrics

GRIP = 9  # pixels beside the line that still take it
FINE = 1 / 200  # of the width: one press of an arrow key


class Histogram(Chart):
    """Call `set_scores`, `set_threshold` and `set_mark`. High scores lie at the right and mean "unlike the training data".

    `threshold_moved` comes for moves by the user only; a drag or a row of key presses lies between `grabbed` and `let_go`.
    """

    threshold_moved = Signal(float)
    grabbed = Signal()
    let_go = Signal()

    def __init__(self) -> None:
        self.known = self.strange = np.zeros(0)
        self.known_name = self.strange_name = ""
        self.threshold = float("nan")
        self.mark: float | None = None
        self.unit_name = ""
        self.hint = ""
        self.beyond = ""  # what lies outside of the axis, in words
        self._edges = np.linspace(0, 1, 2)
        self._known_shares = self._strange_shares = np.zeros(1)
        self._held = False
        self._by_keys = False
        super().__init__("Distribution of scores")
        self.setMouseTracking(True)

    def set_scores(self, known: np.ndarray, strange: np.ndarray, known_name: str, strange_name: str, unit_name: str) -> None:
        self.known, self.strange = np.asarray(known, np.float64), np.asarray(strange, np.float64)
        self.known_name, self.strange_name, self.unit_name = known_name, strange_name, unit_name
        self._lay_out()

    def _lay_out(self) -> None:
        self.low, self.high = separation.shown_range(self.known, self.strange)
        # as wide as suits the known side, however far away the others lie
        ends = np.percentile(self.known[np.isfinite(self.known)], (1, 99)) if np.isfinite(self.known).any() else (0.0, 1.0)
        width = max(float(ends[1] - ends[0]), 1e-12) / np.clip(np.sqrt(max(len(self.known), 1)), 6, 24)
        bins = int(np.clip(np.ceil((self.high - self.low) / width), 8, 96))
        self._edges = np.linspace(self.low, self.high, bins + 1)
        self._known_shares = ood_metrics.histogram_shares(self.known, self._edges)
        self._strange_shares = ood_metrics.histogram_shares(self.strange, self._edges) if self.crowd else np.zeros(bins)
        self.top = max(float(self._known_shares.max()), float(self._strange_shares.max()), 1e-3) * 1.18
        self.beyond = separation.beyond_in_words(*separation.beyond(self.low, self.high, self.known, self.strange))
        self._tell()
        self.update()

    @property
    def crowd(self) -> bool:
        """Whether there are enough strange images for a histogram of their own."""
        return len(self.strange) >= separation.FEW

    def set_threshold(self, value: float) -> None:
        """Put the line somewhere without telling anyone."""
        self.threshold = value
        self._tell()
        self.update()

    def set_mark(self, value: float | None) -> None:
        if value != self.mark:
            self.mark = value
            self.update()

    def _tell(self) -> None:
        """What a screen reader says."""
        true, false = ood_metrics.rates_at(self.known, self.strange, self.threshold)
        parts = [f"threshold {short(self.threshold)}"] if np.isfinite(self.threshold) else []
        parts += [f"true positives {100 * true:.1f} %"] if np.isfinite(true) else []
        parts += [f"false positives {100 * false:.1f} %"] if np.isfinite(false) else []
        parts += [self.beyond] if self.beyond else []
        self.setAccessibleDescription(", ".join(parts))

    # drawing

    def plot(self) -> QRectF:
        """Below the line that says what lies outside of the axis, where there is one."""
        place = super().plot()
        return place.adjusted(0, QFontMetrics(self._small).height() - 2, 0, 0) if self.beyond else place

    def tints(self) -> tuple[QColor, QColor]:
        """Of the known and the strange images."""
        return shade(CATEGORIES[0], self._c), shade(CATEGORIES[1], self._c)

    def draw(self, painter: QPainter) -> None:
        if not len(self.known):
            self.draw_hint(painter, self.hint)
            return
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        self.draw_axes(painter, f"{self.unit_name} → unlike training", "share of the images of each side, in %")
        blue, orange = self.tints()
        self._steps(painter, self._known_shares, blue, Qt.BrushStyle.SolidPattern)
        if self.crowd:
            self._steps(painter, self._strange_shares, orange, Qt.BrushStyle.BDiagPattern)
        else:
            self._stems(painter, orange)
        place = self.plot()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
        painter.setPen(QColor(self._c.muted))
        painter.drawLine(place.bottomLeft(), place.bottomRight())
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if np.isfinite(self.threshold):
            self._threshold(painter)
        self._legend(painter, blue, orange)
        if self.beyond:
            self._say_beyond(painter)
        if self.mark is not None and np.isfinite(self.mark):
            self._mark(painter)

    def _steps(self, painter: QPainter, shares: np.ndarray, color: QColor, pattern: Qt.BrushStyle) -> None:
        bottom = self.plot().bottom()
        path = QPainterPath(QPointF(self.to_x(self._edges[0]), bottom))
        for left, right, share in zip(self._edges[:-1], self._edges[1:], shares, strict=True):
            path.lineTo(self.to_x(left), self.to_y(share))
            path.lineTo(self.to_x(right), self.to_y(share))
        path.lineTo(self.to_x(self._edges[-1]), bottom)
        fill = QColor(color)
        fill.setAlpha(90 if pattern == Qt.BrushStyle.SolidPattern else 200)
        painter.fillPath(path, QBrush(fill, pattern))
        painter.setPen(QPen(color, 1.4))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawPath(path)

    def _stems(self, painter: QPainter, color: QColor) -> None:
        """Few images: each one a stem with a square head."""
        bottom = self.plot().bottom()
        for value in self.strange[np.isfinite(self.strange)]:
            x = self._inside(value)
            painter.setPen(QPen(color, 1.6))
            painter.drawLine(QPointF(x, bottom), QPointF(x, bottom - 16))
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(color)
            painter.drawRect(QRectF(x - 3, bottom - 19, 6, 6))

    def _inside(self, value: float) -> float:
        """Where a value is drawn: at the edge when it lies beyond."""
        return self.to_x(min(max(value, self.low), self.high))

    def _legend(self, painter: QPainter, blue: QColor, orange: QColor) -> None:
        rows = [(blue, Qt.BrushStyle.SolidPattern, self.known_name)]
        if len(self.strange):
            rows.append((orange, Qt.BrushStyle.BDiagPattern if self.crowd else Qt.BrushStyle.SolidPattern, self.strange_name))
        painter.setFont(self._small)
        metrics = painter.fontMetrics()
        place = self.plot()
        width = min(max(metrics.horizontalAdvance(name) for _, _, name in rows) + 20, place.width() * 0.55)
        # over the emptier half of the plot
        half = len(self._known_shares) // 2
        heights = np.maximum(self._known_shares, self._strange_shares)
        left = place.left() + 6 if heights[:half].max(initial=0) < heights[half:].max(initial=0) else place.right() - width - 2
        ground = QColor(self._c.background)
        ground.setAlpha(210)
        height = metrics.height() + 1
        painter.fillRect(QRectF(left - 3, place.top() - 3, width + 6, len(rows) * height + 3), ground)
        for row, (color, pattern, name) in enumerate(rows):
            top = place.top() + row * height
            swatch = QRectF(left, top + height / 2 - 5, 12, 9)
            fill = QColor(color)
            fill.setAlpha(90 if pattern == Qt.BrushStyle.SolidPattern and row == 0 else 220)
            painter.fillRect(swatch, QBrush(fill, pattern))
            painter.setPen(QPen(color, 1))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRect(swatch)
            painter.setPen(QColor(self._c.text))
            name = metrics.elidedText(name, Qt.TextElideMode.ElideMiddle, int(width - 18))
            painter.drawText(QRectF(left + 18, top, width - 18, height), LEFT | MIDDLE, name)

    def _say_beyond(self, painter: QPainter) -> None:
        """In the margin above the plot, where nothing else stands."""
        painter.setFont(self._small)
        place, metrics = self.plot(), painter.fontMetrics()
        width = metrics.horizontalAdvance(self.beyond) + 1
        painter.setPen(QColor(self._c.muted))
        painter.drawText(QRectF(max(place.right() - width, 0), 2, width, metrics.height()), LEFT | MIDDLE, self.beyond)

    def _threshold(self, painter: QPainter) -> None:
        place, x = self.plot(), self._inside(self.threshold)
        pen = QPen(QColor(self._c.text), 2 if self._held else 1.4)
        pen.setDashPattern([3, 3])
        painter.setPen(pen)
        painter.drawLine(QPointF(x, place.top()), QPointF(x, place.bottom() + 3))
        painter.setFont(self._small)
        text = f"threshold {short(self.threshold)} · drag"
        self._tag(painter, x, place.top() + 2 * painter.fontMetrics().height() + 8, text, QColor(self._c.muted))

    def _mark(self, painter: QPainter) -> None:
        assert self.mark is not None
        place, x = self.plot(), self._inside(self.mark)
        color = QColor(self._c.bad if self.mark >= self.threshold else self._c.good)
        painter.setPen(QPen(QColor(self._c.background), 1.5))
        painter.setBrush(color)
        painter.drawEllipse(QPointF(x, place.bottom()), 6, 6)
        beyond = self.mark > self.high or self.mark < self.low
        if beyond:  # an arrow says that it lies farther out
            way = 1 if self.mark > self.high else -1
            tip = x + way * 12
            painter.drawPolygon(
                QPolygonF(
                    [QPointF(tip, place.bottom()), QPointF(x + way * 6, place.bottom() - 5), QPointF(x + way * 6, place.bottom() + 5)]
                )
            )
        painter.setFont(self._small)
        text = f"this image {short(self.mark)}" if beyond else "this image"
        self._tag(painter, x, place.bottom() - painter.fontMetrics().height() - 8, text, QColor(self._c.text))

    def _tag(self, painter: QPainter, x: float, top: float, text: str, color: QColor) -> None:
        """A word beside an upright line, on the side where there is room."""
        metrics, place = painter.fontMetrics(), self.plot()
        width = metrics.horizontalAdvance(text)
        left = x + 6 if x + 8 + width < place.right() else x - 6 - width
        ground = QColor(self._c.background)
        ground.setAlpha(210)
        painter.fillRect(QRectF(left - 2, top, width + 4, metrics.height()), ground)
        painter.setPen(color)
        painter.drawText(QRectF(left, top, width + 1, metrics.height()), LEFT | MIDDLE, text)

    # mouse and keyboard

    def near_line(self, x: float) -> bool:
        return bool(np.isfinite(self.threshold)) and abs(x - self._inside(self.threshold)) <= GRIP

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() == Qt.MouseButton.LeftButton and len(self.known):
            self._held = True
            self.grabbed.emit()
            self._move_to(self.from_x(event.position().x()))

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if self._held:
            self._move_to(self.from_x(event.position().x()))
        else:
            self.setCursor(Qt.CursorShape.SplitHCursor if self.near_line(event.position().x()) else Qt.CursorShape.ArrowCursor)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        if self._held:
            self._held = False
            self.let_go.emit()
            self.update()

    def _move_to(self, value: float) -> None:
        value = float(min(max(value, self.low), self.high))
        if value != self.threshold:
            self.set_threshold(value)
            self.threshold_moved.emit(value)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Left and right move the threshold, ten times as far with Shift; Home and End go to the ends."""
        key, room = event.key(), self.high - self.low
        step = room * FINE * (10 if event.modifiers() & Qt.KeyboardModifier.ShiftModifier else 1)
        if not len(self.known) or key not in (Qt.Key.Key_Left, Qt.Key.Key_Right, Qt.Key.Key_Home, Qt.Key.Key_End):
            super().keyPressEvent(event)
            return
        now = self.threshold if np.isfinite(self.threshold) else self.high
        now = min(max(now, self.low), self.high)
        if not self._by_keys:
            self._by_keys = True
            self.grabbed.emit()
        target = {Qt.Key.Key_Left: now - step, Qt.Key.Key_Right: now + step, Qt.Key.Key_Home: self.low, Qt.Key.Key_End: self.high}
        self._move_to(target[Qt.Key(key)])

    def focusOutEvent(self, event: QFocusEvent) -> None:
        if self._by_keys:
            self._by_keys = False
            self.let_go.emit()
        super().focusOutEvent(event)
