"""The page of the next batch: its images with their views, and beside them how views are made."""

from __future__ import annotations

from PySide6.QtWidgets import QHBoxLayout, QScrollArea, QVBoxLayout, QWidget

from app.panes.views.augmentation_settings import ViewSettings
from app.panes.views.view_grid import ViewGrid
from app.shell.theme import Colors
from app.widgets.parts import Card, heading

SETTINGS_WIDTH = 264


class BatchPage(QWidget):
    def __init__(self) -> None:
        super().__init__()
        columns = QHBoxLayout(self)
        columns.setContentsMargins(0, 0, 0, 0)
        columns.setSpacing(16)
        card = Card(1, 0)
        self.grid = ViewGrid()
        self.grid.picked.connect(self.show_row)
        self.area = QScrollArea()
        self.area.setWidgetResizable(True)
        self.area.setFrameShape(QScrollArea.Shape.NoFrame)
        self.area.setAccessibleName("Images of the next batch")
        holder = QWidget()
        holder.setObjectName("contents")
        inside = QVBoxLayout(holder)
        inside.setContentsMargins(0, 0, 0, 0)
        inside.addWidget(self.grid)
        inside.addStretch(1)
        self.area.setWidget(holder)
        card.inside.addWidget(self.area)
        columns.addWidget(card, 1)
        column = QWidget()
        column.setFixedWidth(SETTINGS_WIDTH)
        side = QVBoxLayout(column)
        side.setContentsMargins(0, 0, 0, 0)
        side.setSpacing(8)
        side.addWidget(heading("How views are made"))
        self.settings = ViewSettings()
        side.addWidget(self.settings, 1)
        columns.addWidget(column)

    def set_colors(self, c: Colors) -> None:
        self.grid.set_colors(c)
        self.settings.set_colors(c)

    def show_row(self, row: int) -> None:
        """Scroll until all of a row is seen."""
        half = self.grid.row_height() / 2
        self.area.ensureVisible(0, round(self.grid.top(row) + half), 0, round(half + 8))
