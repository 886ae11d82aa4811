"""How old the keys are that views are told apart from: how many of them were encoded how many steps ago."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QEvent, QRectF, Qt
from PySide6.QtGui import QColor, QHelpEvent, QPainter, QPen
from PySide6.QtWidgets import QVBoxLayout, QWidget

from app.shell.formatting import count, number, things
from app.shell.plain_text import show_tip
from app.shell.theme import CATEGORIES, Colors
from app.widgets.chart import Chart
from app.widgets.colors import shade
from app.widgets.parts import Card, TextLines

MOST_BARS = 120  # ages that have a bar of their own


def binned(ages: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Edges [k + 1] and how many keys are in each bin [k]; a bin is one step, or several where there are many."""
    known = ages[ages >= 0]
    if not len(known):
        return np.array([0, 1]), np.zeros(1, np.int64)
    width = -(-(int(known.max()) + 1) // MOST_BARS)
    edges = np.arange(0, int(known.max()) + 1 + width, width)
    return edges, np.histogram(known, edges)[0]


def told(ages: np.ndarray) -> str:
    """The queue in words."""
    known = ages[ages >= 0]
    random = len(ages) - len(known)
    if not len(ages):
        return "The queue is empty: each view is told apart from the other keys of its own batch."
    if not len(known):
        return f"{things(len(ages), 'key')}, all of them the random vectors of the beginning: nothing has been encoded yet."
    mean, oldest = number(float(known.mean()), 1), count(int(known.max()))
    parts = [f"{things(len(ages), 'key')}. The mean one was encoded {mean} steps ago, the oldest {oldest}."]
    if random:
        parts.append(f"{number(100 * random / len(ages), 0, '%')} are still the random vectors of the beginning.")
    parts.append("The older a key, the more the network that encoded it differs from today’s.")
    return " ".join(parts)


class AgesChart(Chart):
    def __init__(self) -> None:
        self.edges, self.counts = np.array([0, 1]), np.zeros(1, np.int64)
        self.hint = ""
        self.known = False
        super().__init__("Ages of the keys in the queue")

    def set_ages(self, ages: np.ndarray | None) -> None:
        self.known = ages is not None and bool((ages >= 0).any())
        self.hint = "" if ages is None else told(ages)
        if ages is not None and self.known:
            self.edges, self.counts = binned(ages)
            self.low, self.high, self.top = 0.0, float(self.edges[-1]), 1.1 * float(self.counts.max())
        self.setAccessibleDescription(self.hint)
        self.update()

    def draw(self, painter: QPainter) -> None:
        if not self.known:
            self.draw_hint(painter, self.hint)
            return
        self.draw_axes(painter, "age of a key, in steps: 0 joined last", "keys", percent=False)
        color = shade(CATEGORIES[0], self._c)
        fill = QColor(color)
        fill.setAlpha(110)
        painter.setPen(QPen(color, 1))
        painter.setBrush(fill)
        bottom = self.plot().bottom()
        for left, right, value in zip(self.edges[:-1], self.edges[1:], self.counts, strict=True):
            x = self.to_x(float(left))
            gap = 1.0 if self.to_x(float(right)) - x > 4 else 0.0
            painter.drawRect(QRectF(x, self.to_y(float(value)), self.to_x(float(right)) - x - gap, bottom - self.to_y(float(value))))

    def event(self, event: QEvent) -> bool:
        if isinstance(event, QHelpEvent) and event.type() == QEvent.Type.ToolTip and self.known:
            place = int(np.searchsorted(self.edges, self.from_x(event.pos().x()), side="right")) - 1
            if 0 <= place < len(self.counts):
                first, last = int(self.edges[place]), int(self.edges[place + 1]) - 1
                ages = f"{count(first)}" if first == last else f"{count(first)} to {count(last)}"
                n = int(self.counts[place])
                show_tip(
                    event.globalPos(), f"{things(n, 'key that is', 'keys that are')} {ages} {'step' if ages == '1' else 'steps'} old", self
                )
                return True
        return super().event(event)

    def table(self) -> tuple[list[str], list[list[object]]]:
        """Columns and rows of the CSV."""
        rows = zip(self.edges[:-1], self.edges[1:], self.counts, strict=True)
        return ["from_step", "to_step", "keys"], [[int(first), int(last) - 1, int(keys)] for first, last, keys in rows]


class QueuePage(QWidget):
    def __init__(self) -> None:
        super().__init__()
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(8)
        self.said = TextLines(2, "The queue in words")
        column.addWidget(self.said, 0, Qt.AlignmentFlag.AlignTop)
        card = Card(12, 0)
        self.chart = AgesChart()
        card.inside.addWidget(self.chart, 1)
        column.addWidget(card, 1)

    def set_colors(self, c: Colors) -> None:
        self.said.set_colors(c)
        self.chart.set_colors(c)

    def set_ages(self, ages: np.ndarray | None) -> None:
        self.chart.set_ages(ages)
        self.said.set_text(self.chart.hint if self.chart.known else "")  # else the chart itself says why there is nothing
