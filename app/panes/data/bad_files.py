"""Files of a data set that could not be used, with the reason for each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QRect, Qt, Signal
from PySide6.QtGui import QFontMetrics
from PySide6.QtWidgets import QFrame, QHBoxLayout, QHeaderView, QTableView, QVBoxLayout, QWidget

from app.shell.formatting import count
from app.shell.plain_text import without_markup
from app.widgets.parts import button, heading, set_heading
from engine.messages import BadFile, DataReport

BESIDE, ABOVE = 18, 10  # pixels of a cell that are not for its text, across and upwards
WRAPPED_ROWS = 300  # longer lists are shown line by line: measuring every row takes time


class BadFilesModel(QAbstractTableModel):
    """One row for each file: its name and the reason."""

    def __init__(self, bad: tuple[BadFile, ...] = ()) -> None:
        super().__init__()
        self.bad = bad

    def set_bad(self, bad: tuple[BadFile, ...]) -> None:
        self.beginResetModel()
        self.bad = bad
        self.endResetModel()

    def rowCount(self, parent: Any = None) -> int:
        return len(self.bad)

    def columnCount(self, parent: Any = None) -> int:
        return 2

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:  # type: ignore[override]
        bad = self.bad[index.row()]
        if role == Qt.ItemDataRole.DisplayRole:
            return (Path(bad.path).name or bad.path, bad.reason)[index.column()]
        if role == Qt.ItemDataRole.ToolTipRole:
            return without_markup(f"{bad.path}\n{bad.reason}")
        return None

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if role == Qt.ItemDataRole.DisplayRole and orientation == Qt.Orientation.Horizontal:
            return ("File", "Why it is left out")[section]
        return None


class BadFilesTable(QWidget):
    """The table with its heading; `export_asked` by the heading's button."""

    export_asked = Signal()

    def __init__(self) -> None:
        super().__init__()
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(8)
        row = QHBoxLayout()
        row.setContentsMargins(0, 4, 0, 0)
        self.heading = heading("Bad files")
        row.addWidget(self.heading)
        row.addStretch(1)
        csv_button = button("CSV…", self.export_asked.emit, "Save the list of bad files with their reasons.")
        csv_button.setProperty("kind", "link")
        row.addWidget(csv_button)
        column.addLayout(row)
        self.model = BadFilesModel()
        self.table = QTableView()
        self.table.setModel(self.model)
        self.table.setAccessibleName("Bad files and why they are left out")
        self.table.verticalHeader().hide()
        self.table.verticalHeader().setDefaultSectionSize(24)
        self.table.horizontalHeader().setSectionResizeMode(0, QHeaderView.ResizeMode.Interactive)
        self.table.horizontalHeader().setStretchLastSection(True)
        self.table.horizontalHeader().setDefaultAlignment(Qt.AlignmentFlag.AlignLeft)
        self.table.setShowGrid(False)
        self.table.setSelectionBehavior(QTableView.SelectionBehavior.SelectRows)
        self.table.setTabKeyNavigation(False)
        self.table.setFrameShape(QFrame.Shape.NoFrame)
        self.table.setMinimumHeight(220)
        self.table.horizontalHeader().sectionResized.connect(self._resized)
        column.addWidget(self.table)

    def show_report(self, report: DataReport) -> None:
        """Hidden where every file could be used."""
        self.model.set_bad(report.bad)
        self.setVisible(bool(report.bad))
        more = report.bad_total - len(report.bad)
        listed = f", first {count(len(report.bad))} listed" if more > 0 else ""
        sample = " in the sample" if report.sampled else ""
        set_heading(self.heading, f"Bad files · {count(report.bad_total)}{sample}{listed}")
        self.table.setColumnWidth(0, 110)
        self._fit_rows(self.table.columnWidth(1))

    def _resized(self, section: int, _before: int, wide: int) -> None:
        if section == 1:
            self._fit_rows(wide)

    def _fit_rows(self, wide: int) -> None:
        """Every reason is read whole, in as many lines as it needs; Qt's own measure forgets the padding that the style gives to a cell."""
        if len(self.model.bad) > WRAPPED_ROWS:
            return
        metrics = QFontMetrics(self.table.font())
        room = QRect(0, 0, max(wide - BESIDE, 40), 10_000)
        for row, bad in enumerate(self.model.bad):
            lines = metrics.boundingRect(room, Qt.TextFlag.TextWordWrap.value, bad.reason)
            self.table.setRowHeight(row, lines.height() + ABOVE)
