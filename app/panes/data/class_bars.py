"""Images per class: bars to choose a class by, and in words how even the classes are."""

from __future__ import annotations

from PySide6.QtCore import QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QMouseEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QHBoxLayout, QSizePolicy, QVBoxLayout, QWidget

from app.shell import theme
from app.shell.formatting import count, number
from app.widgets.figure import FINE, Figure
from app.widgets.parts import Card, button, heading, muted
from engine.messages import DataReport

BALANCED = 1.25  # largest class over smallest, below which a set is called balanced
SPOKEN = 50  # classes that are read out to who cannot see them
HIGHEST = 24_000  # px of a picture


class ClassBars(QWidget):
    """Images per class as bars; a click asks for that class."""

    picked = Signal(int)
    ROW = 20

    def __init__(self) -> None:
        super().__init__()
        self.names: tuple[str, ...] = ()
        self.counts: tuple[int, ...] = ()
        self.chosen = -1
        self._longest = ""  # of the names, in pixels
        self._c = theme.DARK
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setAccessibleName("Images per class")

    def set_colors(self, c: theme.Colors) -> None:
        self._c = c
        self.update()

    def set_counts(self, names: tuple[str, ...], counts: tuple[int, ...]) -> None:
        if (names, counts) != (self.names, self.counts):
            self.names, self.counts = names, counts
            metrics = self.fontMetrics()
            self._longest = max(names, key=metrics.horizontalAdvance, default="")  # the most letters need not be the widest
            self.setFixedHeight(max(len(names), 1) * self.ROW)
            told = [f"{name}: {n}" for name, n in zip(names[:SPOKEN], counts[:SPOKEN], strict=False)]
            self.setAccessibleDescription(", ".join(told) + (f", and {count(len(names) - SPOKEN)} more" if len(names) > SPOKEN else ""))
        self.update()

    def sizeHint(self) -> QSize:
        return QSize(200, max(len(self.names), 1) * self.ROW)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        self.draw(painter, self.width(), event.rect().top(), event.rect().bottom() + 1)

    def draw(self, painter: QPainter, width: int, top: int, bottom: int) -> None:
        """The rows between two heights, in px: there can be tens of thousands, and few are in sight."""
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        c, most = self._c, max(self.counts, default=0) or 1
        metrics = painter.fontMetrics()
        left = min(metrics.horizontalAdvance(self._longest) + 10, width * 0.4)
        right = metrics.horizontalAdvance(count(most)) + 10
        for row in range(max(top // self.ROW, 0), min(-(-bottom // self.ROW), len(self.names), len(self.counts))):
            name, n, y = self.names[row], self.counts[row], row * self.ROW
            painter.setPen(QColor(c.text if row == self.chosen else c.muted))
            name = metrics.elidedText(name, Qt.TextElideMode.ElideMiddle, int(left - 8))
            painter.drawText(QRectF(0, y, left, self.ROW), Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, name)
            painter.drawText(
                QRectF(width - right, y, right, self.ROW), Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignRight, count(n)
            )
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(c.accent if self.chosen in (-1, row) else c.line))
            painter.drawRoundedRect(QRectF(left, y + 6, max((width - left - right) * n / most, 1.0), self.ROW - 12), 2, 2)

    def figure(self) -> Figure:
        """All bars, also those that are scrolled out of sight, as far as a picture can be high."""
        high = min(self.height(), HIGHEST // FINE)

        def draw(painter: QPainter) -> None:
            painter.setFont(self.font())
            self.draw(painter, self.width(), 0, high)

        return Figure(self.width(), high, self._c.background, draw)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        row = int(event.position().y() // self.ROW)
        if event.button() == Qt.MouseButton.LeftButton and 0 <= row < len(self.names):
            self.picked.emit(row)


class ClassBalance(QWidget):
    """The bars with their heading and a sentence; `export_asked` by the heading's button."""

    export_asked = Signal()

    def __init__(self) -> None:
        super().__init__()
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(8)
        row = QHBoxLayout()
        row.setContentsMargins(0, 4, 0, 0)
        row.addWidget(heading("Class balance"))
        row.addStretch(1)
        self.export_button = button("Export", self.export_asked.emit, "Copy the chart, save it as a picture or as CSV.")
        self.export_button.setProperty("kind", "link")
        row.addWidget(self.export_button)
        column.addLayout(row)
        card = Card(12, 6)
        self.bars = ClassBars()
        card.inside.addWidget(self.bars)
        self.words = muted("")
        self.words.setProperty("role", "small")
        card.inside.addWidget(self.words)
        column.addWidget(card)

    def show_split(self, report: DataReport | None, split: str, chosen: int) -> None:
        """The classes of one part of the data set, one of them chosen (-1: none); hidden where there are none."""
        counts = report.class_counts.get(split, ()) if report else ()
        shown = bool(report and report.classes and counts)
        self.setVisible(shown)
        if not shown or report is None:
            return
        self.bars.chosen = chosen
        self.bars.set_counts(report.classes, counts)
        low, high = min(counts), max(counts)
        if low == 0:
            none = [name for name, n in zip(report.classes, counts, strict=False) if n == 0]
            named = ", ".join(f"“{name}”" for name in none[:3])
            self.words.setText(f"No image of {named}{' …' if len(none) > 3 else ''} in this part.")
        else:
            word = "Balanced" if high / low < BALANCED else "Uneven"
            self.words.setText(f"{word}: the largest class is {number(high / low, 2)} times the smallest.")
