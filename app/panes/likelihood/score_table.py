"""The detectors' answers about one image as a table: value with unit, p-value, and a verdict in words beside a coloured dot.

Several runs stand under each other, each below its name. What a run cannot say now is greyed, with the reason.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Any

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QPersistentModelIndex, QRect, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QFontMetrics, QPainter, QResizeEvent
from PySide6.QtWidgets import QHeaderView, QPushButton, QSizePolicy, QStyle, QStyledItemDelegate, QStyleOptionViewItem, QTableView

from app.shell.formatting import number, things
from app.shell.theme import DARK, Colors, font
from app.widgets.parts import button
from engine.messages import CombinedScore, DetectorInfo, DetectorScore

COLUMNS = ("Detector", "Density", "Value", "p-value", "AUROC", "Verdict")
DETECTOR, DENSITY, VALUE, P_VALUE, AUROC, VERDICT = range(6)
ROW_HEIGHT = 26
DOT = 8
TWO_LINES = 38  # pixels of a row where the density stands below the name and the value below the p-value
SCROLL_BAR = 10
PADDING = 16  # pixels of a cell, both sides
UNNORMALIZED = ", unnormalized"  # how the unit of such a score ends
SHORT_REASONS = {"mutated": "needs a background model", "local": "needs a background model", "repeat": "needs two more seeds"}
TIPS = (
    "The score. High always means: unlike the training data.",
    "What kind of number stands behind it: an exact density, a bound on one, an unnormalized one, P(y|x), or features without a density.",
    "As people read it, in its unit; ↑: higher values are more unusual, ↓: lower ones.",
    "How many held-out images, which are like the training images but were not trained on, score at least as high: (1 + #) / (n + 1); "
    "images that belong together count as one.",
    "Probability that an image of the compared set scores higher than a held-out one; 0.5 is guessing. Never flipped.",
    "What the p-value says, by this score alone: unusual from 5 % downwards, where there are enough held-out images to say so.",
)
Index = QModelIndex | QPersistentModelIndex


@dataclass(frozen=True, eq=False)
class ScoreRow:
    """One line: a run's name (`info` None), or a detector of it."""

    run: str
    title: str
    info: DetectorInfo | None = None
    score: DetectorScore | None = None
    auroc: float | None = None
    waiting: bool = False  # the answer is on its way
    building: bool = False  # what it lacks is being made

    @property
    def shape(self) -> tuple[str, str, bool, bool, bool]:
        """What decides how its cells are laid out."""
        info = self.info
        return self.run, info.name if info else self.title, bool(info and info.missing), self.building, self.uncertain

    @property
    def uncertain(self) -> bool:
        """Whether its value stands with an error, which takes more room."""
        return self.score is not None and self.score.error is not None


def value_text(info: DetectorInfo, value: float, error: float | None = None) -> str:
    """A value with its unit, with as many digits as its size bears; ± its standard error where that is known."""
    size = abs(value)
    digits = 1 if size >= 1000 else 2 if size >= 1 or size == 0 else 3
    if "bits" in info.unit:
        digits = 2
    unit = info.unit.removesuffix(UNNORMALIZED)
    unit = "b/dim" if unit in ("bits/dim", "bits_per_dim") else unit
    if error is None or not math.isfinite(error):
        return number(value, digits, unit)
    digits = max(digits, min(4, 1 - math.floor(math.log10(error)) if error > 0 else 0))  # two figures of the error, within reason
    return f"{number(value, digits)} ± {number(error, digits, unit)}"


def is_unnormalized(info: DetectorInfo) -> bool:
    """Whether the score is -log p but for a constant that nobody knows, so that there are no bits."""
    return info.unit.endswith(UNNORMALIZED)


def density_text(info: DetectorInfo) -> str:
    """What kind of number stands behind a score, in a word."""
    return "unnormalized" if is_unnormalized(info) else info.density


def p_text(p: float, floor: float = 0.0) -> str:
    """0.004 -> "0.4 %"; "≤ 0.4 %" where no p-value can be smaller; a dash where there is none."""
    if math.isnan(p):
        return "–"
    return ("≤ " if 0 < p <= floor else "") + number(100 * p, 1 if p < 0.0995 else 0, "%")


def arrow(info: DetectorInfo) -> str:
    """Which values are more unusual."""
    return "↓" if info.direction == "lower" else "↑"


def short_verdict(score: DetectorScore | CombinedScore) -> str:
    """A verdict as a cell of the table has room for; the tooltip has all of it."""
    if math.isnan(score.p_value):
        return "no p-value"
    return {"none": "too few images", "plain": "not unusual", "warning": "unusual, p ≤ 5 %", "bad": "unusual, p ≤ 1 %"}[score.level]


def floor_text(score: DetectorScore) -> str:
    """What a p-value means that cannot be smaller; empty for others."""
    count, groups = score.calibration_images, score.calibration_groups
    if math.isnan(score.p_value):
        return ""
    if score.p_value > score.p_floor:
        parts = f" in {things(groups, 'group')}" if groups != count else ""
        return f"Against {things(count, 'held-out image')}{parts}." if count else ""
    images = things(count, "held-out image")
    held_out = images if groups == count else f"{images}, which are {things(groups, 'group')},"
    return f"None of the {held_out} scores as high; {p_text(score.p_value)} is the smallest p-value that so many can give."


def reason(info: DetectorInfo) -> str:
    """Why a score cannot be had now, as a cell says it: short where a button offers what is missing; the tooltip has all of it."""
    return SHORT_REASONS.get(info.remedy, info.missing) if info.remedy else info.missing


class ScoreModel(QAbstractTableModel):
    def __init__(self) -> None:
        super().__init__()
        self.rows: list[ScoreRow] = []
        self.c: Colors = DARK

    def set_rows(self, rows: list[ScoreRow]) -> bool:
        """Returns whether the table has another shape now; only then is it laid out anew."""
        if [row.shape for row in rows] == [row.shape for row in self.rows]:
            self.rows = rows
            if rows:
                self.dataChanged.emit(self.index(0, 0), self.index(len(rows) - 1, len(COLUMNS) - 1))
            return False
        self.beginResetModel()
        self.rows = rows
        self.endResetModel()
        return True

    def rowCount(self, parent: Index | None = None) -> int:
        return len(self.rows)

    def columnCount(self, parent: Index | None = None) -> int:
        return len(COLUMNS)

    def text(self, row: ScoreRow, column: int) -> str:
        info, score = row.info, row.score
        if info is None:
            return row.title if column == DETECTOR else ""
        if column == DETECTOR:
            return info.title
        if column == DENSITY:
            return density_text(info)
        if column == AUROC:
            return "" if row.auroc is None or info.missing else f"{row.auroc:.3f}"
        if info.missing:
            return info.missing if column in (VALUE, P_VALUE) else ""
        if score is None:
            return "…" if row.waiting and column in (VALUE, P_VALUE) else ""
        value = f"{value_text(info, score.value, score.error)} {arrow(info)}"
        return {VALUE: value, P_VALUE: p_text(score.p_value, score.p_floor), VERDICT: short_verdict(score)}[column]

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        row, column = self.rows[index.row()], index.column()
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.AccessibleTextRole):
            return self.text(row, column)
        if role == Qt.ItemDataRole.TextAlignmentRole:
            right = column in (VALUE, P_VALUE, AUROC) and not (row.info and row.info.missing)
            return (Qt.AlignmentFlag.AlignRight if right else Qt.AlignmentFlag.AlignLeft) | Qt.AlignmentFlag.AlignVCenter
        if role == Qt.ItemDataRole.ToolTipRole and row.info is not None:
            value = value_text(row.info, row.score.value, row.score.error) if row.score is not None else ""
            verdict, floor = (row.score.verdict, floor_text(row.score)) if row.score is not None else ("", "")
            return "\n".join(
                part for part in (row.info.title, value, verdict, floor, row.info.missing, row.info.help, row.info.source) if part
            )
        if role == Qt.ItemDataRole.ForegroundRole:
            faint = row.info is None or bool(row.info.missing) or column == DENSITY
            low = column == AUROC and row.auroc is not None and row.auroc < 0.5
            return QColor(self.c.warning_text if low else self.c.muted if faint else self.c.text)
        if role == Qt.ItemDataRole.FontRole and row.info is None:
            return font(11)
        return None

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if orientation == Qt.Orientation.Horizontal:
            if role == Qt.ItemDataRole.DisplayRole:
                return COLUMNS[section].upper()
            if role == Qt.ItemDataRole.TextAlignmentRole:
                right = section in (VALUE, P_VALUE, AUROC)
                return (Qt.AlignmentFlag.AlignRight if right else Qt.AlignmentFlag.AlignLeft) | Qt.AlignmentFlag.AlignVCenter
            if role == Qt.ItemDataRole.ToolTipRole:
                return TIPS[section]
        return None

    def flags(self, index: Index) -> Qt.ItemFlag:
        return super().flags(index) if self.rows[index.row()].info is not None else Qt.ItemFlag.NoItemFlags


class ScoreDelegate(QStyledItemDelegate):
    """A thin line under each row, the chosen row raised, and the verdict's dot."""

    def __init__(self, table: ScoreTable) -> None:
        super().__init__(table)
        self.table = table

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        c, row = self.table.c, self.table.model_.rows[index.row()]
        box = QRectF(option.rect)  # type: ignore[attr-defined]
        painter.save()
        if option.state & QStyle.StateFlag.State_Selected:  # type: ignore[attr-defined]
            painter.fillRect(box, QColor(c.raised))
            if index.column() == 0:
                painter.fillRect(QRectF(box.left(), box.top(), 2, box.height()), QColor(c.accent))
        painter.fillRect(QRectF(box.left(), box.bottom() - 1, box.width(), 1), QColor(c.line))
        inside = box.adjusted(PADDING / 2, 0, -PADDING / 2, 0)
        if index.column() == VERDICT and row.score is not None and row.info is not None and not row.info.missing:
            dot = {"warning": c.warning, "bad": c.bad}.get(row.score.level, c.muted)
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(dot) if row.score.level != "none" else Qt.BrushStyle.NoBrush)
            painter.drawEllipse(QRectF(inside.left(), inside.center().y() - DOT / 2, DOT, DOT))
            inside.setLeft(inside.left() + DOT + 7)
        painter.setFont(index.data(Qt.ItemDataRole.FontRole) or self.table.font())
        painter.setPen(index.data(Qt.ItemDataRole.ForegroundRole))
        align = Qt.AlignmentFlag(index.data(Qt.ItemDataRole.TextAlignmentRole))
        text, below = self.table.cell_text(index.row(), index.column())
        if row.info is None:  # a run's own name
            text = painter.fontMetrics().elidedText(text, Qt.TextElideMode.ElideMiddle, int(inside.width()))
        elif row.info.missing and index.column() in (VALUE, P_VALUE):
            align |= Qt.TextFlag.TextWordWrap
        if below:
            half = inside.height() / 2
            painter.drawText(inside.adjusted(0, 3, 0, -half), align, text)
            painter.setPen(QColor(c.muted))
            painter.drawText(inside.adjusted(0, half - 3, 0, 0), align, below)
        else:
            painter.drawText(inside, align, text)
        painter.restore()

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        return QSize(60, ROW_HEIGHT)


class ScoreTable(QTableView):
    """`chosen(run, detector)` comes when the user takes another row; `remedy_asked(run, remedy)` from the button of a missing one."""

    chosen = Signal(str, str)
    remedy_asked = Signal(str, str)
    repeat_asked = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.c: Colors = DARK
        self._buttons: list[QPushButton] = []
        self.model_ = ScoreModel()
        self.model_.setParent(self)
        self.setModel(self.model_)
        self.setItemDelegate(ScoreDelegate(self))
        self.setProperty("kind", "bare")
        self.setFont(font(12))
        self.setAccessibleName("Scores of the image")
        self.setShowGrid(False)
        self.setFrameShape(QTableView.Shape.NoFrame)
        self.setSelectionBehavior(QTableView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QTableView.SelectionMode.SingleSelection)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setTabKeyNavigation(False)
        self.verticalHeader().hide()
        self.verticalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        self.verticalHeader().setDefaultSectionSize(ROW_HEIGHT)
        head = self.horizontalHeader()
        head.setHighlightSections(False)
        head.setSectionsClickable(False)
        head.setMinimumSectionSize(36)
        head.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        head.setSectionResizeMode(DETECTOR, QHeaderView.ResizeMode.Stretch)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.comparing = False
        self.repeatable = ""  # the run that `repeat_asked` is about: the chosen one
        self.most_height = 400
        self.narrow = False  # two lines in a row, for want of room
        self._fit_columns()
        self.selectionModel().currentRowChanged.connect(self._row_changed)
        self._ours = False

    def cell_text(self, row: int, column: int) -> tuple[str, str]:
        """What a cell says, and what stands below it in a narrow table."""
        shown, model = self.model_.rows[row], self.model_
        text, info = model.text(shown, column), shown.info
        if info is None:
            return text, ""
        if info.missing and column in (VALUE, P_VALUE):
            return reason(info), ""
        if not self.narrow:
            return text, ""
        if column == VERDICT:
            return text.split(",")[0].removesuffix(" images"), ""  # the p-value stands beside it
        if column == DETECTOR:
            return text, model.text(shown, DENSITY)
        return text, model.text(shown, VALUE) if column == P_VALUE and shown.score is not None else ""

    def _fit_columns(self) -> None:
        """Every column where they fit beside each other; else the density below the name and the value below the p-value."""
        metrics, verdicts = self.fontMetrics(), ("unusual, p ≤ 5 %", "too few images")
        self.setColumnHidden(AUROC, not self.comparing)

        def wide(*texts: str) -> int:
            return max(map(metrics.horizontalAdvance, texts)) + PADDING

        head = QFontMetrics(font(12)).horizontalAdvance
        infos = [row.info for row in self.model_.rows if row.info is not None]
        sizes = {
            DENSITY: max(wide("features", *map(density_text, infos)), head("DENSITY") + PADDING + 4),
            VALUE: wide("−1 234.5 nat ↓", *["12.345 ± 0.0012 b/dim ↑"] * any(row.uncertain for row in self.model_.rows)),
            P_VALUE: max(wide("≤ 0.65 %"), head("P-VALUE") + PADDING + 4),
            AUROC: head("AUROC") + PADDING + 6,
            VERDICT: wide(*verdicts) + DOT + 7,
        }
        name = wide("Detector", *(info.title for info in infos)) + 4
        others = sum(size for column, size in sizes.items() if column != AUROC or self.comparing)
        self.narrow = name + others > self.width() - SCROLL_BAR
        if self.narrow:
            sizes[P_VALUE] = max(sizes[P_VALUE], sizes[VALUE])
            sizes[VERDICT] = wide("not unusual") + DOT + 7
        for column, size in sizes.items():
            self.setColumnWidth(column, size)
        hidden = self.isColumnHidden(VALUE)
        for column in (DENSITY, VALUE):
            self.setColumnHidden(column, self.narrow)
        kept = [size for column, size in sizes.items() if column in (P_VALUE, VERDICT) or (column == AUROC and self.comparing)]
        self.least_width = name + sum(kept) + SCROLL_BAR if self.narrow else 300
        self.setMinimumWidth(self.least_width)
        if hidden != self.narrow:
            self._span()
        self._fit_rows()

    def _fit_rows(self) -> None:
        """Rows are as high as their lines; a reason is wrapped."""
        metrics = self.fontMetrics()
        first = P_VALUE if self.narrow else VALUE
        for place, row in enumerate(self.model_.rows):
            height = TWO_LINES if self.narrow and row.info is not None else ROW_HEIGHT
            if row.info is not None and row.info.missing:
                last = VERDICT if row.info.remedy and self.indexWidget(self.model_.index(place, VERDICT)) else VERDICT + 1
                room = sum(self.columnWidth(column) for column in range(first, last) if not self.isColumnHidden(column)) - PADDING
                needed = metrics.boundingRect(QRect(0, 0, max(room, 1), 10_000), Qt.TextFlag.TextWordWrap.value, reason(row.info))
                height = max(height, needed.height() + 8)
            if self.rowHeight(place) != height:
                self.setRowHeight(place, height)
        self.setFixedHeight(self.wanted_height())

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        if event.size().width() != event.oldSize().width():
            self._fit_columns()

    def set_colors(self, c: Colors) -> None:
        self.c = self.model_.c = c
        self.viewport().update()

    def set_rows(self, rows: list[ScoreRow], chosen: tuple[str, str], comparing: bool) -> None:
        """Show these; `chosen` (run, detector) is the row that is looked at."""
        changed = self.model_.set_rows(rows) or comparing != self.comparing
        self.comparing = comparing
        if changed:
            self._span()
            self._fit_columns()
        place = next((i for i, row in enumerate(rows) if row.info is not None and (row.run, row.info.name) == chosen), -1)
        if place != self.currentIndex().row():
            self._ours = True
            if place >= 0:
                self.selectRow(place)
            else:
                self.setCurrentIndex(QModelIndex())
            self._ours = False
        self.updateGeometry()
        self.setFixedHeight(self.wanted_height())

    def _span(self) -> None:
        """A reason takes the room of the figures; names of runs take the whole line; a remedy is a button at the end of its line."""
        self.clearSpans()
        for former in self._buttons:
            former.hide()
            former.deleteLater()
        self._buttons = []
        first = P_VALUE if self.isColumnHidden(VALUE) else VALUE
        for place, row in enumerate(self.model_.rows):
            if row.info is None:
                self.setSpan(place, 0, 1, len(COLUMNS))
            elif row.info.missing and row.info.remedy and (row.info.remedy != "repeat" or row.run == self.repeatable):
                self.setSpan(place, first, 1, VERDICT - first)
                made = button("Build it", partial(self.remedy_asked.emit, row.run, row.info.remedy), row.info.missing)
                made.setProperty("kind", "link")
                made.setAccessibleName(f"Build what {row.info.title} needs")
                if row.info.remedy == "repeat":
                    made.clicked.disconnect()
                    made.clicked.connect(lambda _checked=False: self.repeat_asked.emit())
                    made.setText("Repeat ×3")
                    made.setAccessibleName(f"Train what {row.info.title} needs: this run with two more seeds")
                if row.building:
                    made.setText("Building…")
                    made.setEnabled(False)
                self.setIndexWidget(self.model_.index(place, VERDICT), made)
                self._buttons.append(made)
            elif row.info.missing:
                self.setSpan(place, first, 1, VERDICT - first + 1)

    def wanted_height(self) -> int:
        rows = len(self.model_.rows)
        needed = sum(map(self.rowHeight, range(rows))) if rows else ROW_HEIGHT
        return min(needed + self.horizontalHeader().sizeHint().height() + 2, max(self.most_height, 4 * ROW_HEIGHT))

    def sizeHint(self) -> QSize:
        return QSize(420, self.wanted_height())

    def set_most_height(self, pixels: int) -> None:
        if pixels != self.most_height:
            self.most_height = pixels
            self.setFixedHeight(self.wanted_height())

    def minimumSizeHint(self) -> QSize:
        return QSize(300, 3 * ROW_HEIGHT)

    def _row_changed(self, current: QModelIndex, _previous: QModelIndex) -> None:
        if self._ours or not current.isValid():
            return
        row = self.model_.rows[current.row()]
        if row.info is not None:
            self.chosen.emit(row.run, row.info.name)

    def remedy_button(self, detector: str) -> Any:
        """The button of a missing detector, for a click; None when there is none."""
        for place, row in enumerate(self.model_.rows):
            if row.info is not None and row.info.name == detector:
                return self.indexWidget(self.model_.index(place, VERDICT))
        return None
