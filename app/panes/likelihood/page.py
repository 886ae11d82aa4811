"""How the Likelihood pane is laid out: the image and what is near it at the left, scores and charts at the right.

The pane connects the parts; here they only get their places, which of them are seen, and their sizes.
"""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QButtonGroup, QHBoxLayout, QMenu, QPushButton, QVBoxLayout, QWidget

from app.panes.likelihood.batch_line import BatchLine
from app.panes.likelihood.corruption import CorruptionCard
from app.panes.likelihood.distribution import DistributionCard
from app.panes.likelihood.dropped_list import DroppedList
from app.panes.likelihood.image_detail import DropCard, ImageDetail
from app.panes.likelihood.score_table import ScoreTable
from app.shell.formatting import count
from app.shell.plain_text import set_tip
from app.shell.theme import Colors
from app.widgets.chart import Chart
from app.widgets.parts import Card, TextLines, button, heading, plain
from app.widgets.scrolled_column import ScrolledColumn

TALL = 760  # pixels from which both the close look and the list are seen
SHORT = 480  # pixels below which what is told elsewhere too is left out
BELOW_TABLE = 350  # pixels that the charts need


class LikelihoodPage(ScrolledColumn):
    right_shown = Signal(int)  # 0 distribution, 1 corruption

    def __init__(self) -> None:
        super().__init__(sideways=True)
        columns = QHBoxLayout(self.contents)
        columns.setContentsMargins(12, 16, 12, 16)
        columns.setSpacing(12)
        left, right = QVBoxLayout(), QVBoxLayout()
        for column in (left, right):
            column.setSpacing(6)
        columns.addLayout(left, 36)
        columns.addLayout(right, 64)
        self._build_left(left)
        self._build_right(right)
        self.show_left(0)

    def _build_left(self, left: QVBoxLayout) -> None:
        self.drop_card = DropCard()
        left.addWidget(self.drop_card)
        row = QHBoxLayout()
        row.setSpacing(6)
        self.open_button = button("Open images…", None, "Choose image files. Files and folders can be dropped and pasted, too.")
        self.test_button = button("Test images", None, "Take images of the run’s own test split: most of them should be not unusual.")
        row.addWidget(self.open_button)
        row.addWidget(self.test_button)
        row.addStretch(1)
        left.addLayout(row)
        row = QHBoxLayout()
        self.status = TextLines(2, "What is going on", small=True)
        self.stop_button = button("Stop", None, "Stop what is being computed; what is there stays.")
        self.stop_button.setProperty("kind", "link")
        row.addWidget(self.status, 1)
        row.addWidget(self.stop_button, 0, Qt.AlignmentFlag.AlignTop)
        left.addLayout(row)
        self.left_tabs = self._tabs(left, ("Up close", "Dropped so far"), self.show_left)
        self.closer = ImageDetail()
        left.addWidget(self.closer)
        self.list_heading = heading("Dropped so far")
        left.addWidget(self.list_heading)
        self.list_card = Card(6, 4)
        self.list = DroppedList()
        self.list_card.inside.addWidget(self.list)
        self.marks_line = TextLines(2, "How many of the dropped images are unusual", small=True)
        self.marks_line.hide()
        self.list_card.inside.addWidget(self.marks_line)
        self.batch_line = BatchLine()
        self.list_card.inside.addWidget(self.batch_line)
        left.addWidget(self.list_card, 1)
        self.left_rest = QWidget()
        left.addWidget(self.left_rest, 1)
        row = QHBoxLayout()
        row.setSpacing(6)
        self.csv_button = button("Export CSV", None, "Every image with every score’s value and p-value, run, step and weights.")
        self.clear_button = button("Clear", None, "Forget all dropped images.")
        row.addWidget(self.csv_button)
        row.addWidget(self.clear_button)
        row.addStretch(1)
        left.addLayout(row)

    def _build_right(self, right: QVBoxLayout) -> None:
        row = QHBoxLayout()
        self.table_heading = plain("", wrap=True)
        self.table_heading.setProperty("role", "heading")
        self.runs_button = self._menu_link("Add runs", "Runs that score together")
        set_tip(self.runs_button, "Let other runs score the same images: one table for all of them.")
        self.runs_menu = QMenu(self)
        self.runs_menu.setToolTipsVisible(True)
        self.runs_button.setMenu(self.runs_menu)
        row.addWidget(self.table_heading, 1)
        row.addWidget(self.runs_button, 0, Qt.AlignmentFlag.AlignTop)
        right.addLayout(row)
        card = Card(0, 0)
        card.inside.setContentsMargins(6, 2, 6, 4)
        self.table = ScoreTable()
        card.inside.addWidget(self.table)
        right.addWidget(card)
        self.about_line = TextLines(1, "About the chosen score", small=True)
        right.addWidget(self.about_line)
        self.export_button = self._menu_link("Export", "Export")
        self.right_tabs = self._tabs(right, ("Distribution", "Corruption"), self.show_right, self.export_button)
        self.distribution, self.corruption = DistributionCard(), CorruptionCard()
        right.addWidget(self.distribution, 1)
        right.addWidget(self.corruption, 1)
        self.corruption.hide()

    @staticmethod
    def _menu_link(text: str, name: str) -> QPushButton:
        made = QPushButton(text)
        made.setProperty("kind", "link")
        made.setAccessibleName(name)
        return made

    def _tabs(self, column: QVBoxLayout, names: tuple[str, ...], show: Callable[[int], None], end: QWidget | None = None) -> QButtonGroup:
        """Headings that switch what stands below them; `end` stands at the end of their line."""
        row = QHBoxLayout()
        row.setSpacing(12)
        group = QButtonGroup(self)
        for index, name in enumerate(names):
            tab = QPushButton(name.upper())
            tab.setProperty("kind", "tab")
            tab.setCheckable(True)
            tab.setAccessibleName(name)
            group.addButton(tab, index)
            row.addWidget(tab)
        row.addStretch(1)
        if end is not None:
            row.addWidget(end)
        column.addLayout(row)
        group.button(0).setChecked(True)
        group.idClicked.connect(show)
        return group

    def set_colors(self, c: Colors) -> None:
        for part in (
            self.drop_card, self.closer, self.list, self.table, self.distribution, self.corruption, self.status,
            self.about_line, self.marks_line, self.batch_line,
        ):  # fmt: skip
            part.set_colors(c)

    # -- what is seen ----------------------------------------------------------------------------------------------------

    def show_left(self, index: int) -> None:
        """The close look (0) or the list (1); both where there is room."""
        tall = self.height() >= TALL
        for tab in self.left_tabs.buttons():
            tab.setVisible(not tall)
        self.left_tabs.button(index).setChecked(True)
        self.closer.setVisible(tall or index == 0)
        self.list_heading.setVisible(tall)
        self.list_card.setVisible(tall or index == 1)
        self.left_rest.setVisible(not tall and index == 0)

    def show_right(self, index: int) -> None:
        """The distribution (0) or the corruption (1)."""
        self.right_tabs.button(index).setChecked(True)
        self.distribution.setVisible(index == 0)
        self.corruption.setVisible(index == 1)
        self.right_shown.emit(index)

    @property
    def corrupting(self) -> bool:
        return not self.corruption.isHidden()

    @property
    def chart(self) -> Chart:
        """The one that is in front."""
        return self.corruption.chart if self.corrupting else self.distribution.chart

    def say_status(self, text: str, level: str = "") -> None:
        """The line under the picture."""
        self.status.set_text(text, level)

    def say_how_many(self, total: int) -> None:
        words = f"Dropped so far · {count(total)}" if total else "Dropped so far"
        self.left_tabs.button(1).setText(words.upper())
        self.list_heading.setText(words.upper())
        for made in (self.csv_button, self.clear_button):
            made.setEnabled(total > 0)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        height = self.height()
        self.table.set_most_height(min(round(0.46 * height), max(height - BELOW_TABLE, 110)))
        self.drop_card.fit(round(0.28 * height) if height >= TALL else max(round(0.2 * height), 64))
        self.about_line.setVisible(height >= TALL)
        self.drop_card.size_line.setVisible(height >= SHORT)
        self.distribution.shorten(height < SHORT)
        self.closer.fit(80 if height >= TALL else 56)
        self.show_left(self.left_tabs.checkedId())
