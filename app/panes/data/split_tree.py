"""The tree of an import: splits, in them the classes, each with its count and a few of its images; a class is renamed in its row."""

from __future__ import annotations

from typing import Any

import numpy as np
from PySide6.QtCore import QAbstractItemModel, QModelIndex, QPersistentModelIndex, QRect, QSize, Qt, QTimer, Signal
from PySide6.QtGui import QImage, QPainter
from PySide6.QtWidgets import QAbstractItemView, QHeaderView, QStyledItemDelegate, QStyleOptionViewItem, QTreeView

from app.panes.data.report_column import SPLIT_NAMES
from app.shell.formatting import count, things
from app.widgets.image_view import chw_to_qimage
from engine.messages import ClassExamplesFound, DataReport

EACH = 5  # images in a row
TILE = 24  # px
ROW = 30  # px
ROWS_SEEN = 12  # before the tree scrolls
FEW = 12  # classes, up to which all splits are unfolded
ASKED_AT_ONCE = 60  # rows

Index = QModelIndex | QPersistentModelIndex
Row = tuple[str, int]  # split and class; -1 for the split itself


class SplitTreeModel(QAbstractItemModel):
    """Splits at the top, classes below; what is in a row is only looked up when it is drawn."""

    rename_asked = Signal(str, str)  # a class as it is shown, and what it shall be called

    def __init__(self) -> None:
        super().__init__()
        self.report: DataReport | None = None
        self.splits: list[str] = []
        self.can_rename = False

    def set_report(self, report: DataReport, can_rename: bool) -> None:
        self.beginResetModel()
        self.report, self.can_rename = report, can_rename
        self.splits = [split for split, n in report.counts.items() if n]
        self.endResetModel()

    def row_of(self, index: Index) -> Row:
        """Split and class of a row."""
        top = int(index.internalId())
        return (self.splits[index.row()], -1) if top == 0 else (self.splits[top - 1], index.row())

    def index(self, row: int, column: int, parent: Index = QModelIndex()) -> QModelIndex:  # noqa: B008
        if not self.hasIndex(row, column, parent):
            return QModelIndex()
        return self.createIndex(row, column, parent.row() + 1 if parent.isValid() else 0)

    def parent(self, index: Index) -> QModelIndex:  # type: ignore[override]
        top = int(index.internalId()) if index.isValid() else 0
        return self.createIndex(top - 1, 0, 0) if top else QModelIndex()

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        if not parent.isValid():
            return len(self.splits)
        of_split = parent.internalId() == 0 and parent.column() == 0 and self.report is not None
        return len(self.report.classes) if of_split and self.report is not None else 0

    def columnCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        return 3

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        report = self.report
        if report is None or not index.isValid():
            return None
        split, label = self.row_of(index)
        name = SPLIT_NAMES.get(split, split) if label < 0 else report.classes[label]
        n = report.counts[split] if label < 0 else report.class_counts[split][label]
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.EditRole):
            return (name, count(n), None)[index.column()]
        if role == Qt.ItemDataRole.TextAlignmentRole and index.column() == 1:
            return Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        if role == Qt.ItemDataRole.AccessibleTextRole:
            return f"{name}, {things(n, 'image')}"
        return None

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if role == Qt.ItemDataRole.DisplayRole and orientation == Qt.Orientation.Horizontal:
            return ("Split and class", "Images", "Some of them")[section]
        if role == Qt.ItemDataRole.TextAlignmentRole and section == 1:
            return Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter  # above its figures
        return None

    def flags(self, index: Index) -> Qt.ItemFlag:
        plain = Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable
        editable = self.can_rename and index.column() == 0 and index.internalId() != 0
        return plain | Qt.ItemFlag.ItemIsEditable if editable else plain

    def setData(self, index: Index, value: Any, role: int = Qt.ItemDataRole.EditRole) -> bool:
        name, shown = str(value).strip(), self.data(index)
        if role != Qt.ItemDataRole.EditRole or not name or name == shown:
            return False
        self.rename_asked.emit(str(shown), name)
        return True


class ExamplesDelegate(QStyledItemDelegate):
    """Paints the images of a row, and asks for those that are not there yet."""

    def __init__(self, tree: SplitTree) -> None:
        super().__init__(tree)
        self.tree = tree

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        return QSize(EACH * (TILE + 3), ROW)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        super().paint(painter, option, index)
        place: Any = option.rect  # type: ignore[attr-defined]
        for number, image in enumerate(self.tree.images_of(self.tree.tree_model.row_of(index))):
            left = place.left() + 4 + number * (TILE + 3)
            if left + TILE <= place.right():
                painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, image.width() > TILE)
                painter.drawImage(QRect(left, place.top() + (ROW - TILE) // 2, TILE, TILE), image)


class SplitTree(QTreeView):
    """`examples_wanted(rows)` for rows that came into sight."""

    examples_wanted = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self.tree_model = SplitTreeModel()
        self.setModel(self.tree_model)
        self.setAccessibleName("Splits and classes")
        self.setUniformRowHeights(True)
        self.setItemDelegateForColumn(2, ExamplesDelegate(self))
        self.setEditTriggers(QAbstractItemView.EditTrigger.DoubleClicked | QAbstractItemView.EditTrigger.EditKeyPressed)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setExpandsOnDoubleClick(False)
        self.setTabKeyNavigation(False)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        header = self.header()
        header.setStretchLastSection(False)
        header.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        header.setMinimumSectionSize(40)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        header.setSectionResizeMode(1, QHeaderView.ResizeMode.Fixed)
        header.setSectionResizeMode(2, QHeaderView.ResizeMode.Fixed)
        header.resizeSection(1, 84)
        header.resizeSection(2, EACH * (TILE + 3) + 12)
        self.expanded.connect(self._fit)
        self.collapsed.connect(self._fit)
        self._images: dict[Row, list[QImage]] = {}
        self._missing: dict[Row, None] = {}
        self._asking = QTimer(self)
        self._asking.setSingleShot(True)
        self._asking.setInterval(0)
        self._asking.timeout.connect(self._ask)

    def set_report(self, report: DataReport, can_rename: bool) -> None:
        """The splits and classes of a set; the images of the one before are gone."""
        self._images.clear()
        self._missing.clear()
        before, model = self.tree_model.report, self.tree_model
        same = before is not None and (before.name, before.classes) == (report.name, report.classes)
        unfolded = {split: self.isExpanded(self._top(place)) for place, split in enumerate(model.splits)} if same else {}
        scrolled = self.verticalScrollBar().value() if same else 0
        model.set_report(report, can_rename)
        for place, split in enumerate(model.splits):
            if unfolded.get(split, place == 0 or len(report.classes) <= FEW):
                self.expand(self._top(place))
        self._fit()
        self.verticalScrollBar().setValue(scrolled)

    def _fit(self, *_: object) -> None:
        model = self.tree_model
        shown = sum(1 + (model.rowCount(at) if self.isExpanded(at) else 0) for at in map(self._top, range(len(model.splits))))
        self.setFixedHeight(self.header().sizeHint().height() + min(max(shown, 1), ROWS_SEEN) * ROW + 4)

    def _top(self, place: int) -> QModelIndex:
        return self.tree_model.index(place, 0)

    def images_of(self, row: Row) -> list[QImage]:
        """What is known of a row; the rest is asked for."""
        if row not in self._images:
            self._missing[row] = None
            if not self._asking.isActive():
                self._asking.start()
            return []
        return self._images[row]

    def _ask(self) -> None:
        rows = tuple(row for row in self._missing if row not in self._images)[-ASKED_AT_ONCE:]
        self._missing.clear()
        if rows:
            self.examples_wanted.emit(rows)

    def show_examples(self, found: ClassExamplesFound) -> None:
        """The images of some rows."""
        start = 0
        for row, n in zip(found.rows, found.counts, strict=True):
            self._images[row] = [chw_to_qimage(np.asarray(image)) for image in found.images[start : start + n]]
            start += n
        self.viewport().update()
