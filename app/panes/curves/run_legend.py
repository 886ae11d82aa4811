"""The side list of runs: which of them are drawn, and with what colour and marker."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QColor, QPainter, QPaintEvent
from PySide6.QtWidgets import QCheckBox, QHBoxLayout, QVBoxLayout, QWidget

from app.shell.plain_text import set_tip
from app.widgets.parts import Elided, clear
from app.widgets.scrolled_column import ScrolledColumn


@dataclass(frozen=True)
class LegendEntry:
    """What a row says of a run; colour "" while its curves are not drawn."""

    name: str
    color: str  # "#rrggbb"
    marker: str  # a symbol of pyqtgraph
    checked: bool
    looked_at: bool  # the run that the window looks at is always drawn


class RunLegend(ScrolledColumn):
    """A row for every run, with a tick."""

    chosen = Signal(str, bool)  # run; whether its curves shall be drawn

    def __init__(self) -> None:
        super().__init__()
        self._column = QVBoxLayout(self.contents)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(6)
        self._column.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.rows: dict[str, RunLegendRow] = {}
        self._entries: dict[str, LegendEntry] | None = None

    def show_entries(self, entries: dict[str, LegendEntry]) -> None:
        """Show the runs; rows are only made anew when something in them has changed."""
        if entries == self._entries:
            return
        self._entries = entries
        focused = next((run for run, row in self.rows.items() if row.box.hasFocus()), None)
        clear(self._column)
        self.rows = {}
        for run, entry in entries.items():
            row = self.rows[run] = RunLegendRow(run, entry)
            row.box.toggled.connect(partial(self.chosen.emit, run))
            self._column.addWidget(row)
        if focused in self.rows:
            self.rows[focused].box.setFocus()


class RunLegendRow(QWidget):
    """A run: tick, its colour with its marker, its name."""

    def __init__(self, run: str, entry: LegendEntry) -> None:
        super().__init__()
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(6)
        self.box = QCheckBox()
        self.box.setAccessibleName(f"Show the curves of {entry.name}")
        self.box.setChecked(entry.checked)
        self.box.setEnabled(not entry.looked_at)
        if entry.looked_at:
            set_tip(self.box, "The run the window looks at is always shown.")
        row.addWidget(self.box)
        row.addWidget(LineSample(entry.color, entry.marker))
        label = Elided(entry.name)
        set_tip(label, f"{entry.name}\n{run}")
        row.addWidget(label, 1)


class LineSample(QWidget):
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
