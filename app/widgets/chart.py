"""What the small painted charts share: axes with rounded ticks, a place on screen for each value, copy, pictures and CSV."""

from __future__ import annotations

import math

from PySide6.QtCore import QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QContextMenuEvent, QFontMetrics, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QMenu, QSizePolicy, QWidget

from app.shell.formatting import MINUS, number
from app.shell.plain_text import set_tip
from app.shell.theme import DARK, Colors, font
from app.widgets.export import copy_image
from app.widgets.figure import Figure

LEFT, RIGHT = Qt.AlignmentFlag.AlignLeft, Qt.AlignmentFlag.AlignRight
MIDDLE = Qt.AlignmentFlag.AlignVCenter
TICK_ROOM = 76  # pixels that a tick of the lower axis has for its figure
LEAST_LEFT = 44  # pixels at the left for the figures of the upright axis, where those need no more
LEAST_SPACING = 24  # pixels between two grid lines in the closest of the charts


def ticks(low: float, high: float, most: int) -> list[float]:
    """Round values within [low, high], at most `most` steps between them (more where else there would be a single value): 1, 2 or 5
    times a power of ten."""
    if not (math.isfinite(low) and math.isfinite(high)) or high <= low or most < 1:
        return []
    size = 10.0 ** math.floor(math.log10((high - low) / most))
    steps = [size * factor for factor in (20, 10, 5, 2, 1, 0.5, 0.2, 0.1)]
    fine = next(place for place, step in reversed([*enumerate(steps[:5])]) if (high - low) / step <= most)
    found: list[float] = []
    for step in steps[fine:]:
        first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
        found = [place * step for place in range(first, last + 1)]
        if len(found) > 1:
            break
    return found


def figures(values: list[float]) -> list[str]:
    """Ticks as the window writes numbers, all with the same digits."""
    if not values:
        return []
    step = abs(values[1] - values[0]) if len(values) > 1 else abs(values[0]) or 1.0
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    if digits > 4 or max(abs(value) for value in values) >= 1e7:
        return [f"{value:.3g}".replace("-", MINUS) for value in values]
    return [number(value, digits) for value in values]


class Chart(QWidget):
    """Draws itself in `draw`, within `plot()`; a right click offers copy, pictures and CSV."""

    saved_asked = Signal(str)  # "png" (any picture) | "csv"

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name
        self.low, self.high = 0.0, 1.0  # of the lower axis
        self.bottom, self.top = 0.0, 1.0  # of the upright axis
        self.painted = 0
        self._c: Colors = DARK
        self._small = font(11)
        self._left: tuple[tuple[float, ...], float] = ((), float(LEAST_LEFT))  # of which axis and height, and its room
        self.setFont(font(12))
        self.setAccessibleName(name)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumSize(200, 96)

    def sizeHint(self) -> QSize:
        return QSize(420, 180)

    def set_colors(self, c: Colors) -> None:
        self._c = c
        self.update()

    # where things are

    def plot(self) -> QRectF:
        """The place of the curves, without axes and their names."""
        left = self.left_room()
        return QRectF(left, 8, max(self.width() - left - 10, 20), max(self.height() - 8 - 33, 20))

    def left_room(self) -> float:
        """Pixels at the left of the plot that the figures of the upright axis need."""
        key = (self.bottom, self.top, self.height())
        if key != self._left[0]:
            texts = figures(ticks(self.bottom, self.top, max(2, self.height() // LEAST_SPACING)))
            metrics = QFontMetrics(self._small)
            self._left = key, float(max([LEAST_LEFT, *(metrics.horizontalAdvance(text) + 8 for text in texts)]))
        return self._left[1]

    def to_x(self, value: float) -> float:
        place = self.plot()
        return place.left() + (value - self.low) / (self.high - self.low) * place.width()

    def from_x(self, x: float) -> float:
        place = self.plot()
        return self.low + (x - place.left()) / place.width() * (self.high - self.low)

    def to_y(self, value: float) -> float:
        place = self.plot()
        return place.bottom() - (value - self.bottom) / (self.top - self.bottom) * place.height()

    # drawing

    def paintEvent(self, event: QPaintEvent) -> None:
        self.painted += 1
        painter = QPainter(self)
        self.draw(painter)
        if self.hasFocus():
            painter.setPen(QPen(QColor(self._c.accent), 1))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5), 6, 6)

    def draw(self, painter: QPainter) -> None:
        raise NotImplementedError

    def draw_hint(self, painter: QPainter, text: str) -> None:
        painter.setPen(QColor(self._c.muted))
        place = QRectF(self.rect()).adjusted(24, 8, -24, -8)
        painter.drawText(place, Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap, text)

    def draw_axes(self, painter: QPainter, below: str, beside: str, percent: bool = True) -> None:
        """Ticks and names of both axes; `percent` writes the upright one in %."""
        place, c = self.plot(), self._c
        painter.setFont(self._small)
        metrics = painter.fontMetrics()
        height = metrics.height()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
        across = ticks(self.low, self.high, max(2, int(place.width() // TICK_ROOM)))
        for value, text in zip(across, figures(across), strict=True):
            x = self.to_x(value)
            painter.setPen(QColor(c.line))
            painter.drawLine(QPointF(x, place.bottom()), QPointF(x, place.bottom() + 4))
            painter.setPen(QColor(c.muted))
            wide = metrics.horizontalAdvance(text)
            left = min(max(x - wide / 2, 0), self.width() - wide)
            painter.drawText(QRectF(left, place.bottom() + 5, wide + 1, height), LEFT, text)
        self.draw_upright_axis(painter, 28, percent)
        painter.setPen(QColor(c.muted))
        self.draw_name_below(painter, below)
        set_tip(self, f"{self.name}. Across: {below}. Upwards: {beside}.")
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)

    def draw_name_below(self, painter: QPainter, name: str) -> None:
        """The name of the lower axis, in the middle of it where there is room, else of the whole chart."""
        place, metrics = self.plot(), painter.fontMetrics()
        wide, height = metrics.horizontalAdvance(name) + 1, metrics.height()
        left = min(max(place.center().x() - wide / 2, 0), max(self.width() - wide, 0))
        painter.drawText(QRectF(left, self.height() - height - 1, wide, height), LEFT, name)

    def draw_upright_axis(self, painter: QPainter, spacing: int, percent: bool) -> None:
        """Grid lines with their figures, at least `spacing` pixels apart; `percent` writes shares in %."""
        place, height = self.plot(), painter.fontMetrics().height()
        values = ticks(self.bottom, self.top, max(2, int(place.height() // spacing)))
        for value, text in zip(values, figures([100 * value for value in values] if percent else values), strict=True):
            y = self.to_y(value)
            painter.setPen(QColor(self._c.line))
            painter.drawLine(QPointF(place.left(), y), QPointF(place.right(), y))
            painter.setPen(QColor(self._c.muted))
            painter.drawText(QRectF(0, y - height / 2, place.left() - 6, height), RIGHT | MIDDLE, f"{text} %" if percent else text)

    # out of the window

    def figure(self) -> Figure:
        """The chart as it stands."""

        def draw(painter: QPainter) -> None:
            painter.setFont(self.font())
            self.draw(painter)

        return Figure(self.width(), self.height(), self._c.background, draw)

    def copy(self) -> None:
        copy_image(self.figure().image())

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        menu = QMenu(self)
        menu.addAction("Copy picture").triggered.connect(self.copy)
        menu.addAction("Save as PNG, SVG or PDF…").triggered.connect(lambda: self.saved_asked.emit("png"))
        menu.addAction("Save as CSV…").triggered.connect(lambda: self.saved_asked.emit("csv"))
        menu.aboutToHide.connect(menu.deleteLater)
        menu.popup(event.globalPos())
