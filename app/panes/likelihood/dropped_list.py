"""The images dropped so far, one line each: name, and the p-value of all its scores together (Holm) or why there is none.

Hundreds are no burden.
"""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QPersistentModelIndex, QRectF, Qt, Signal
from PySide6.QtGui import QColor, QPainter
from PySide6.QtWidgets import QHeaderView, QStyle, QStyledItemDelegate, QStyleOptionViewItem, QTableView

from app.panes.likelihood.score_table import floor_text, p_text
from app.panes.likelihood.scored_images import Dropped
from app.shell.plain_text import without_markup
from app.shell.theme import DARK, Colors, font

ROW_HEIGHT = 26
MARK = "●"
MARKED = f"{MARK} Unusual among all images here, by all scores together (Benjamini–Hochberg)."
COLUMNS = ("Image", "p (Holm)")
TIPS = (
    "",
    "The p-value of all scores of the chosen run together, by Holm’s procedure: the smallest one, made larger by how many there are.",
)
Index = QModelIndex | QPersistentModelIndex


class DroppedModel(QAbstractTableModel):
    def __init__(self) -> None:
        super().__init__()
        self.entries: list[Dropped] = []
        self.run, self.detector = "", ""
        self.marked: set[int] = set()  # ids of entries that are unusual among all of them
        self.c: Colors = DARK
        self._places: dict[int, int] = {}  # id of an entry -> its row

    def set_entries(self, entries: list[Dropped]) -> None:
        """New ones at the end are added; anything else is shown anew."""
        have = len(self.entries)
        if len(entries) >= have and all(a is b for a, b in zip(self.entries, entries, strict=False)):
            if len(entries) == have:
                return
            self.beginInsertRows(QModelIndex(), have, len(entries) - 1)
            self.entries = list(entries)
            self._places = {id(entry): place for place, entry in enumerate(self.entries)}
            self.endInsertRows()
            return
        self.beginResetModel()
        self.entries = list(entries)
        self._places = {id(entry): place for place, entry in enumerate(self.entries)}
        self.endResetModel()

    def place(self, entry: Dropped | None) -> int:
        return -1 if entry is None else self._places.get(id(entry), -1)

    def changed(self, entry: Dropped) -> None:
        place = self.place(entry)
        if place >= 0:
            self.dataChanged.emit(self.index(place, 0), self.index(place, 1))

    def all_changed(self) -> None:
        if self.entries:
            self.dataChanged.emit(self.index(0, 0), self.index(len(self.entries) - 1, 1))

    def rowCount(self, parent: Index | None = None) -> int:
        return len(self.entries)

    def columnCount(self, parent: Index | None = None) -> int:
        return 2

    def said(self, entry: Dropped) -> tuple[str, str]:
        """What stands behind the name, and its level."""
        if entry.error:
            return "unreadable", "warning"
        together = entry.combined.get(self.run)
        if together is None:
            return ("…" if self.run not in entry.scores else "–"), ""
        mark = f"{MARK} " if id(entry) in self.marked else ""
        return f"{mark}{p_text(together.p_value, together.p_floor)}", together.level

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if orientation == Qt.Orientation.Horizontal:
            if role == Qt.ItemDataRole.DisplayRole:
                return COLUMNS[section]
            if role == Qt.ItemDataRole.ToolTipRole:
                return TIPS[section]
            if role == Qt.ItemDataRole.TextAlignmentRole:
                side = Qt.AlignmentFlag.AlignRight if section else Qt.AlignmentFlag.AlignLeft
                return side | Qt.AlignmentFlag.AlignVCenter
        return None

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        entry = self.entries[index.row()]
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.AccessibleTextRole):
            # of the run's own images only the number: the tooltip has the whole name
            own = entry.picture.data is not None and entry.picture.index is not None
            name = entry.label.rpartition(", ")[2] if own else entry.label
            return name if index.column() == 0 else self.said(entry)[0]
        if role == Qt.ItemDataRole.ForegroundRole and index.column() == 1:
            level = self.said(entry)[1]
            return QColor({"warning": self.c.warning_text, "bad": self.c.bad}.get(level, self.c.muted))
        if role == Qt.ItemDataRole.TextAlignmentRole and index.column() == 1:
            return Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        if role == Qt.ItemDataRole.ToolTipRole:
            score, together = entry.score(self.run, self.detector), entry.combined.get(self.run)
            said = [f"All {together.scores} scores together (Holm): {together.verdict}"] if together is not None else []
            said += [f"By the chosen score: {score.verdict}", floor_text(score)] if score is not None else []
            said += [MARKED] if id(entry) in self.marked else []
            return without_markup("\n".join(part for part in (entry.key, entry.error, *said) if part))
        return None


class DroppedDelegate(QStyledItemDelegate):
    """A thin line under each row; the chosen one raised, with its own colours."""

    def __init__(self, owner: DroppedList) -> None:
        super().__init__(owner)
        self.owner = owner

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        c, box = self.owner.model_.c, QRectF(option.rect)  # type: ignore[attr-defined]
        painter.save()
        if option.state & QStyle.StateFlag.State_Selected:  # type: ignore[attr-defined]
            painter.fillRect(box, QColor(c.raised))
            if index.column() == 0:
                painter.fillRect(QRectF(box.left(), box.top(), 2, box.height()), QColor(c.accent))
        painter.fillRect(QRectF(box.left(), box.bottom() - 1, box.width(), 1), QColor(c.line))
        painter.setFont(self.owner.font())
        painter.setPen(index.data(Qt.ItemDataRole.ForegroundRole) or QColor(c.text))
        inside = box.adjusted(8, 0, -8, 0)
        text = painter.fontMetrics().elidedText(index.data(), Qt.TextElideMode.ElideMiddle, int(inside.width()) + 1)
        align = index.data(Qt.ItemDataRole.TextAlignmentRole) or Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
        painter.drawText(inside, Qt.AlignmentFlag(align), text)
        painter.restore()


class DroppedList(QTableView):
    """`picked(entry)` comes when the user goes to another line."""

    picked = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self.model_ = DroppedModel()
        self.model_.setParent(self)
        self.setModel(self.model_)
        self.setItemDelegate(DroppedDelegate(self))
        self.setFont(font(12))
        self.setAccessibleName("Images dropped so far, with their p-values")
        self.setShowGrid(False)
        self.setFrameShape(QTableView.Shape.NoFrame)
        self.setSelectionBehavior(QTableView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QTableView.SelectionMode.SingleSelection)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.setWordWrap(False)
        self.setTabKeyNavigation(False)
        self.verticalHeader().hide()
        self.verticalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        self.verticalHeader().setDefaultSectionSize(ROW_HEIGHT)
        self.setProperty("kind", "bare")
        head = self.horizontalHeader()
        head.setHighlightSections(False)
        head.setSectionsClickable(False)
        head.setMinimumSectionSize(36)
        head.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        head.setSectionResizeMode(1, QHeaderView.ResizeMode.Fixed)
        self.setColumnWidth(1, self.fontMetrics().horizontalAdvance("unreadable") + 18 + 6)
        self.setMinimumHeight(3 * ROW_HEIGHT + 4)
        self._ours = False
        self.selectionModel().currentRowChanged.connect(self._row_changed)

    def set_colors(self, c: Colors) -> None:
        self.model_.c = c
        self.viewport().update()

    def choose(self, entry: Dropped | None) -> None:
        """Select a line without telling anyone."""
        place = self.model_.place(entry)
        if place == self.currentIndex().row():
            return
        self._ours = True
        if place >= 0:
            self.selectRow(place)
        else:
            self.setCurrentIndex(QModelIndex())
        self._ours = False

    def _row_changed(self, current: QModelIndex, _previous: QModelIndex) -> None:
        if not self._ours and current.isValid():
            self.picked.emit(self.model_.entries[current.row()])
