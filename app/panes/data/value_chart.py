"""The values of a set's images as a histogram: as they are in the files, with what becomes black and white, or as a network gets them."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QPointF, QRectF
from PySide6.QtGui import QColor, QPainter, QPen

from app.shell.formatting import number
from app.shell.theme import CATEGORIES
from app.widgets.chart import LEFT, RIGHT, Chart
from app.widgets.colors import shade
from app.widgets.parts import short


def value_in_words(value: float) -> str:
    """A value of a file: 4095 and not 4095.0 where it is whole."""
    return number(value, 0) if value == round(value) and abs(value) < 1e7 else short(value)


class ValueChart(Chart):
    """Call `set_values`."""

    def __init__(self, name: str, below: str) -> None:
        self.below = below
        self.counts: tuple[int, ...] = ()
        self.borders: tuple[float, float] | None = None
        super().__init__(name)
        self.setFixedHeight(132)

    def set_values(self, counts: Sequence[int], low: float, high: float, borders: tuple[float, float] | None = None) -> None:
        """Counts in equal steps from low to high; `borders` become black and white."""
        self.counts, self.borders = tuple(counts), borders
        self.low, self.high = (low, high) if high > low else (low, low + 1)
        self.bottom, self.top = 0.0, max((n / max(sum(counts), 1) for n in counts), default=1.0) * 1.15 or 1.0
        words = f"from {value_in_words(low)} to {value_in_words(high)}"
        if borders is not None:
            words += f", {value_in_words(borders[0])} becomes black and {value_in_words(borders[1])} white"
        self.setAccessibleDescription(words)
        self.update()

    def edges(self) -> list[float]:
        """Where the steps begin, and where the last one ends."""
        steps = max(len(self.counts), 1)
        return [self.low + (self.high - self.low) * place / steps for place in range(steps + 1)]

    def table(self) -> tuple[tuple[str, ...], list[tuple[float, float, int]]]:
        """The columns and rows of its CSV."""
        edges = self.edges()
        return ("from", "to", "values"), list(zip(edges, edges[1:], self.counts, strict=False))

    def draw(self, painter: QPainter) -> None:
        if not self.counts:
            self.draw_hint(painter, "There are no values.")
            return
        self.draw_axes(painter, self.below, "share of the values, in %")
        place, total, edges = self.plot(), sum(self.counts), self.edges()
        painter.setPen(QPen(QColor(self._c.background), 0))
        painter.setBrush(shade(CATEGORIES[0], self._c))
        for start, end, n in zip(edges, edges[1:], self.counts, strict=False):
            if n:
                top = min(self.to_y(n / total), place.bottom() - 2)  # one value among thousands is seen too
                painter.drawRect(QRectF(self.to_x(start), top, self.to_x(end) - self.to_x(start), place.bottom() - top))
        for value, word, side in zip(self.borders or (), ("black", "white"), (LEFT, RIGHT), strict=False):
            if self.low <= value <= self.high:
                x = self.to_x(value)
                painter.setPen(QPen(QColor(self._c.accent), 1.5))
                painter.drawLine(QPointF(x, place.top()), QPointF(x, place.bottom()))
                painter.setPen(QColor(self._c.text))
                painter.setFont(self._small)
                box = QRectF(x + 4, place.top(), 60, 16) if side is LEFT else QRectF(x - 64, place.top(), 60, 16)
                painter.drawText(box, side, word)
