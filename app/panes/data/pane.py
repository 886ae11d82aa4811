"""What is in a data set: counts, classes, bad files, duplicates, the images themselves, and what the network will really see."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QContextMenuEvent, QFont, QImage, QMouseEvent, QPainter, QPaintEvent, QResizeEvent
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QHeaderView,
    QMenu,
    QPlainTextEdit,
    QProgressBar,
    QScrollArea,
    QSizePolicy,
    QStackedWidget,
    QTableView,
    QVBoxLayout,
    QWidget,
)

from app.panes import Context, Pane
from app.shell import theme
from app.shell.formatting import count, number
from app.widgets.export import ask_where, copy_image, csv_text, file_name, png_bytes, write_file
from app.widgets.image_strip import ImageStrip
from app.widgets.parts import Card, Elided, EmptyState, TextLines, button, clear, heading, muted, offer, plain, restyle, set_heading
from engine.messages import BadFile, BrowseData, DataPage, DataReport, Ended, OpenData, Progress, QueryFailed, StopJob

SPLITS = {"train": "training", "valid": "validation", "test": "test"}
PAGE_LIMIT = 240
TEXT_PAGE = 4000  # bytes
WRAPPED_ROWS = 300  # longer lists of bad files are shown line by line: measuring every row takes time


class BadFiles(QAbstractTableModel):
    """Files that could not be used, with the reason."""

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
            return f"{bad.path}\n{bad.reason}"
        return None

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if role == Qt.ItemDataRole.DisplayRole and orientation == Qt.Orientation.Horizontal:
            return ("File", "Why it is left out")[section]
        return None


class ClassBars(QWidget):
    """Images per class as bars; a click asks for that class."""

    picked = Signal(int)
    ROW = 20

    def __init__(self) -> None:
        super().__init__()
        self.names: tuple[str, ...] = ()
        self.counts: tuple[int, ...] = ()
        self.chosen = -1
        self._c = theme.DARK
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setAccessibleName("Images per class")

    def set_colors(self, c: theme.Colors) -> None:
        self._c = c
        self.update()

    def set_counts(self, names: tuple[str, ...], counts: tuple[int, ...]) -> None:
        self.names, self.counts = names, counts
        self.setFixedHeight(max(len(names), 1) * self.ROW)
        self.setAccessibleDescription(", ".join(f"{name}: {n}" for name, n in zip(names, counts, strict=False)))
        self.update()

    def sizeHint(self) -> QSize:
        return QSize(200, max(len(self.names), 1) * self.ROW)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        self.draw(painter, self.width())

    def draw(self, painter: QPainter, width: int) -> None:
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        c, most = self._c, max(self.counts, default=0) or 1
        metrics = painter.fontMetrics()
        left = min(max((metrics.horizontalAdvance(name) for name in self.names), default=0) + 10, width * 0.4)
        right = metrics.horizontalAdvance(count(most)) + 10
        for row, (name, n) in enumerate(zip(self.names, self.counts, strict=False)):
            top = row * self.ROW
            painter.setPen(QColor(c.text if row == self.chosen else c.muted))
            name = metrics.elidedText(name, Qt.TextElideMode.ElideRight, int(left - 8))
            painter.drawText(QRectF(0, top, left, self.ROW), Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, name)
            painter.drawText(
                QRectF(width - right, top, right, self.ROW), Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignRight, count(n)
            )
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(c.accent if self.chosen in (-1, row) else c.line))
            painter.drawRoundedRect(QRectF(left, top + 6, max((width - left - right) * n / most, 1.0), self.ROW - 12), 2, 2)

    def picture(self, factor: int = 2) -> QImage:
        image = QImage(self.width() * factor, self.height() * factor, QImage.Format.Format_RGB32)
        image.fill(QColor(self._c.background))
        painter = QPainter(image)
        painter.scale(factor, factor)
        painter.setFont(self.font())
        self.draw(painter, self.width())
        painter.end()
        return image

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        row = int(event.position().y() // self.ROW)
        if event.button() == Qt.MouseButton.LeftButton and 0 <= row < len(self.names):
            self.picked.emit(row)


class Pages(ImageStrip):
    """Thumbnails that know when more or fewer fit."""

    resized = Signal()
    page_asked = Signal(int)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self.resized.emit()

    def keyPressEvent(self, event) -> None:
        turn = {Qt.Key.Key_PageDown: 1, Qt.Key.Key_PageUp: -1}.get(Qt.Key(event.key()))
        if turn is None:
            super().keyPressEvent(event)
        else:
            self.page_asked.emit(turn)


class DataPane(Pane):
    title = "Data"
    order = 10
    wants_run = False
    is_data_page = True
    about = "What is in a data set, and what the network will really see of it."

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.shown = False
        self.reports: dict[str, DataReport] = {}
        self.report: DataReport | None = None
        self.job = ""
        self.asked = ""  # the data set that the job inspects
        self._void: set[str] = set()  # jobs whose report would come too late: the set was opened again meanwhile
        self.page: DataPage | None = None
        self.offset = 0
        self._page_awaited = False
        self._listed = set(context.state.data)
        self._build()
        state, bridge = context.state, context.bridge
        state.selected_data_changed.connect(self._selected)
        state.data_opened.connect(self._forget)
        state.data_changed.connect(self._data_listed)
        state.run_changed.connect(self._run_changed)
        state.runs_changed.connect(self._run_changed)
        state.theme_changed.connect(self._restyle)
        bridge.on(DataReport, self._on_report)
        bridge.on(Progress, self._on_progress)
        bridge.on(Ended, self._on_ended)
        self._restyle()
        self._selected()

    # ------------------------------------------------------------------------------------------------ widgets

    def _build(self) -> None:
        self.stack = QStackedWidget()
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(self.stack)
        self.empty = EmptyState("", "", (("Open data…", None),))
        offer(self.empty.buttons[0], (self.context.actions["data.open"], self.context.actions["data.open_file"]))
        self.stack.addWidget(self.empty)
        self.stack.addWidget(self._working())
        page = QWidget()
        self.stack.addWidget(page)
        columns = QHBoxLayout(page)
        columns.setContentsMargins(16, 16, 16, 16)
        columns.setSpacing(16)
        columns.addWidget(self._facts())
        right = QVBoxLayout()
        right.setSpacing(8)
        columns.addLayout(right, 1)
        self._browser(right)

    def _working(self) -> QWidget:
        page = QWidget()
        column = QVBoxLayout(page)
        column.setSpacing(12)
        column.addStretch(2)
        self.working_title = plain("", wrap=True)
        self.working_title.setProperty("role", "title")
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setAccessibleName("Progress of the inspection")
        self.working_note = TextLines(1, "What is being read")
        self.cancel = button("Cancel", self.cancel_inspection, "Stop looking; nothing is kept.")
        middle = QVBoxLayout()
        middle.setSpacing(12)
        for widget in (self.working_title, self.bar, self.working_note):
            widget.setFixedWidth(420)
            middle.addWidget(widget)
        middle.addWidget(self.cancel, 0, Qt.AlignmentFlag.AlignLeft)
        row = QHBoxLayout()
        row.addStretch(1)
        row.addLayout(middle)
        row.addStretch(1)
        column.addLayout(row)
        column.addStretch(3)
        return page

    def _facts(self) -> QWidget:
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setFixedWidth(300)
        contents = QWidget()
        contents.setObjectName("contents")
        scroll.setWidget(contents)
        column = QVBoxLayout(contents)
        column.setContentsMargins(0, 0, 4, 0)
        column.setSpacing(8)
        self.facts_heading = heading("Data set")
        column.addWidget(self.facts_heading)
        self.facts_card = Card(12, 4)
        self.facts = QGridLayout()
        self.facts.setHorizontalSpacing(12)
        self.facts.setVerticalSpacing(6)
        self.facts.setColumnStretch(1, 1)
        self.facts_card.inside.addLayout(self.facts)
        column.addWidget(self.facts_card)
        self.bad_heading = heading("Bad files")
        row = QHBoxLayout()
        row.addWidget(self.bad_heading)
        row.addStretch(1)
        self.bad_csv = button("CSV…", partial(self._save_dialog, "bad"), "Save the list of bad files with their reasons.")
        self.bad_csv.setProperty("kind", "link")
        row.addWidget(self.bad_csv)
        self.bad_row = QWidget()
        self.bad_row.setLayout(row)
        row.setContentsMargins(0, 4, 0, 0)
        column.addWidget(self.bad_row)
        self.bad_model = BadFiles()
        self.bad_table = QTableView()
        self.bad_table.setModel(self.bad_model)
        self.bad_table.setAccessibleName("Bad files and why they are left out")
        self.bad_table.verticalHeader().hide()
        self.bad_table.verticalHeader().setDefaultSectionSize(24)
        self.bad_table.horizontalHeader().setSectionResizeMode(0, QHeaderView.ResizeMode.Interactive)
        self.bad_table.horizontalHeader().setStretchLastSection(True)
        self.bad_table.horizontalHeader().setDefaultAlignment(Qt.AlignmentFlag.AlignLeft)
        self.bad_table.setShowGrid(False)
        self.bad_table.setSelectionBehavior(QTableView.SelectionBehavior.SelectRows)
        self.bad_table.setTabKeyNavigation(False)
        self.bad_table.setFrameShape(QFrame.Shape.NoFrame)
        self.bad_table.setMinimumHeight(220)
        column.addWidget(self.bad_table)
        self.bars_heading = heading("Class balance")
        row = QHBoxLayout()
        row.addWidget(self.bars_heading)
        row.addStretch(1)
        self.bars_menu_button = button("Export", self._bars_menu, "Copy the chart, save it as PNG or CSV.")
        self.bars_menu_button.setProperty("kind", "link")
        row.addWidget(self.bars_menu_button)
        self.bars_row = QWidget()
        self.bars_row.setLayout(row)
        row.setContentsMargins(0, 4, 0, 0)
        column.addWidget(self.bars_row)
        self.bars_card = Card(12, 6)
        self.bars = ClassBars()
        self.bars.picked.connect(self._bar_picked)
        self.bars_card.inside.addWidget(self.bars)
        self.balance = muted("")
        self.balance.setProperty("role", "small")
        self.bars_card.inside.addWidget(self.balance)
        column.addWidget(self.bars_card)
        self.notes_heading = heading("How it was read")
        column.addWidget(self.notes_heading)
        self.notes_card = Card(12, 8)
        column.addWidget(self.notes_card)
        column.addStretch(1)
        return scroll

    def _browser(self, right: QVBoxLayout) -> None:
        row = QHBoxLayout()
        row.setSpacing(8)
        self.browser_heading = heading("Images")
        row.addWidget(self.browser_heading)
        row.addStretch(1)
        self.where = muted("", wrap=False)
        self.where.setProperty("role", "small")
        row.addWidget(self.where)
        right.addLayout(row)
        row = QHBoxLayout()
        row.setSpacing(6)
        self.split, self.label = QComboBox(), QComboBox()
        for box, name in ((self.split, "Part of the data set"), (self.label, "Class")):
            box.setAccessibleName(name)
            box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToContents)
            box.activated.connect(self._filter_changed)
            row.addWidget(box)
        self.previous = button("Previous", partial(self.turn, -1), "The page before (Page Up)")
        self.next = button("Next", partial(self.turn, 1), "The next page (Page Down)")
        row.addWidget(self.previous)
        row.addWidget(self.next)
        row.addStretch(1)
        right.addLayout(row)
        self.seen = QCheckBox("What the network will really see")
        self.seen.setAccessibleName("Show the images as the network of the chosen run sees them")
        self.seen.toggled.connect(self._filter_changed)
        right.addWidget(self.seen)
        card = Card(12, 8)
        self.grid = Pages("Images of the data set", columns=0, least=52, most=96, gap=4)
        self.grid.empty_text = "No image here."
        self.grid.resized.connect(self._fit_changed)
        self.grid.page_asked.connect(self.turn)
        self.grid.picked.connect(self._say_image)
        self.grid.looked_at.connect(self._say_image)
        self.text = QPlainTextEdit()
        self.text.setReadOnly(True)
        self.text.setAccessibleName("Text of the data set")
        self.text.setFont(_mono())
        self.text.setFrameShape(QFrame.Shape.NoFrame)
        card.inside.addWidget(self.grid, 1)
        card.inside.addWidget(self.text, 1)
        self.line = TextLines(2, "About the image")
        card.inside.addWidget(self.line)
        right.addWidget(card, 1)

    # ------------------------------------------------------------------------------------------------ which data set

    @property
    def data(self) -> str | None:
        """What is looked at: the chosen set, otherwise that of the run."""
        state = self.context.state
        return state.selected_data or (state.run_info.data if state.run_info else None)

    def activate(self) -> None:
        self.shown = True
        self._selected()

    def deactivate(self) -> None:
        self.shown = False
        self.context.bridge.forget("data")
        if self._page_awaited:
            self._page_awaited = False
            self.page = None  # it is asked for again when the pane is seen

    def closeEvent(self, event: Any) -> None:
        self.context.bridge.forget("data")
        super().closeEvent(event)

    def _selected(self) -> None:
        data = self.data
        if data is None:
            self.report = None
            self.stack.setCurrentIndex(0)
            self.empty.say(
                "No data set chosen",
                "Choose one at the left, open a folder of images, an .npz or a text, or drop a folder on the window. "
                "Nothing is copied and nothing is trained before you say so.",
            )
            return
        if not self.shown:
            return
        if data in self.reports:
            self._show_report(self.reports[data])
        elif self.asked != data:
            self.inspect(data)
        else:
            self.stack.setCurrentIndex(1)  # it is being looked into

    def _forget(self, data: str) -> None:
        """What was known of a set is out of date."""
        self.reports.pop(data, None)
        if data == self.asked:
            self._void.add(self.job)
            self._stop()

    def _data_listed(self) -> None:
        """A set that has left the list is read afresh should it come back."""
        listed = set(self.context.state.data)
        for gone in self._listed - listed:
            self.reports.pop(gone, None)
        self._listed = listed

    def _stop(self) -> None:
        if self.job:
            self.context.bridge.send(StopJob(self.job))
        self.job = self.asked = ""

    def inspect(self, data: str) -> None:
        """Ask the engine what is in a set."""
        self._stop()
        self.job, self.asked = self.context.bridge.new_job("data"), data
        known = self.context.state.data.get(data)
        self.working_title.setText(f"Looking into {known.name if known else Path(data).name or data}")
        self.working_note.set_text("Reading.")
        self.bar.setRange(0, 0)
        self.cancel.setEnabled(True)
        self.stack.setCurrentIndex(1)
        self.context.bridge.send(OpenData(self.job, data))

    def _jobs_for_this(self) -> list[str]:
        """The job asked for here, and any that the window has begun for the same set."""
        jobs = [job.job for job in self.context.state.jobs.values() if job.kind == "data" and job.label == Path(self.asked).name]
        return list(dict.fromkeys(([self.job] if self.job else []) + jobs)) if self.asked else []

    def cancel_inspection(self) -> None:
        if self.asked:
            for job in self._jobs_for_this():
                self.context.bridge.send(StopJob(job))
            self.cancel.setEnabled(False)
            self.working_note.set_text("Stopping.")

    def _on_progress(self, event: Progress) -> None:
        if event.job not in self._jobs_for_this():
            return
        if event.total:
            self.bar.setRange(0, event.total)
            self.bar.setValue(event.done)
        of = f" of {count(event.total)}" if event.total else ""
        left = f" · {number(event.seconds_left, 0, 's')} left" if event.seconds_left and event.seconds_left > 1 else ""
        self.working_note.set_text(f"{count(event.done)}{of} {event.unit}s{left}{' · ' + event.note if event.note else ''}")

    def _on_report(self, event: DataReport) -> None:
        if event.job in self._void:
            return
        self.reports[event.data] = event
        if event.data == self.asked and event.job != self.job:  # somebody else has looked meanwhile
            self.context.bridge.send(StopJob(self.job))
        if self.shown and event.data == self.data:
            self._show_report(event)

    def _on_ended(self, event: Ended) -> None:
        if event.job != self.job or not self.job:
            return
        asked, self.job, self.asked = self.asked, "", ""
        if event.outcome == "ok" or asked in self.reports or asked != self.data:
            return
        self.stack.setCurrentIndex(0)
        if event.outcome == "stopped":
            self.empty.say("Stopped looking", "Choose the set again to read it, or open another one.")
        else:
            self.empty.say("This data set cannot be used", event.message)

    def _run_changed(self) -> None:
        info = self.context.state.run_info
        info = info if info is not None and len(info.shape) == 3 else None  # a network of texts sees no images
        self.seen.setEnabled(info is not None)
        self.seen.setToolTip(
            f"Show every image as “{info.name}” gets it: {_shape(info.shape)}."
            if info
            else "Choose a run at the left: its network says what it sees."
        )
        if self.context.state.selected_data is None and (self.report is None or self.report.data != self.data):
            self._selected()
        elif self.seen.isChecked() and self.shown and self.page is not None and self._query().seen_by != self._asked_as:
            self._ask_page()

    # ------------------------------------------------------------------------------------------------ the report

    def _show_report(self, report: DataReport) -> None:
        changed = self.report is not report
        self.report = report
        self.stack.setCurrentIndex(2)
        if changed:
            self._fill_facts(report)
            self._fill_bad(report)
            self._fill_notes(report)
            self._fill_filters(report)
            self._fill_bars()
            self.offset = 0
            self.page = None
        text = report.kind == "text"
        self.grid.setVisible(not text)
        self.text.setVisible(text)
        self.seen.setVisible(not text)
        self.label.setVisible(not text and bool(report.classes))
        set_heading(self.browser_heading, "Text" if text else "Images")
        if text and changed:
            self.text.setPlainText(report.text_sample)
        if self.page is None:
            self._ask_page()

    def _fill_facts(self, report: DataReport) -> None:
        clear(self.facts)
        set_heading(self.facts_heading, report.name)
        unit = "bytes" if report.kind == "text" else "images"
        rows: list[tuple[str, str, str]] = [
            (f"{SPLITS.get(split, split)}", f"{count(n)} {unit}", "") for split, n in report.counts.items() if n
        ]
        if report.kind != "text":
            rows.append(("the network gets", _shape(report.shape), ""))
            for place, (size, n) in enumerate(list(report.sizes.items())[:6]):
                rows.append(
                    (
                        "size" if len(report.sizes) == 1 else "" if place else "sizes of the files",
                        f"{size} · {count(n)}" if len(report.sizes) > 1 else size,
                        "",
                    )
                )
            if len(report.sizes) > 6:
                rows.append(("", f"and {count(len(report.sizes) - 6)} more sizes", ""))
            rows.append(("classes", count(len(report.classes)) if report.classes else "no labels", ""))
            same = " · ".join(f"“{Path(a).name}” = “{Path(b).name}”" for a, b in report.duplicate_examples[:3])
            rows.append(("exact duplicates", count(report.duplicates), same))
            if report.across_splits:
                rows.append(("same in train and test", count(report.across_splits), "The test result will be too good by these."))
        rows.append(("bad files", count(report.bad_total), ""))
        rows.append(("content", report.hash[:12], f"SHA-256 of the content: {report.hash}"))
        for place, (name, value, tip) in enumerate(rows):
            left, right = muted(name, wrap=False), Elided(value)
            right.setAlignment(Qt.AlignmentFlag.AlignRight)
            right.setToolTip(tip or value)
            left.setToolTip(tip)
            if (name == "same in train and test") or (name in ("bad files", "exact duplicates") and value != "0"):
                right.setProperty("role", "warning")
            self.facts.addWidget(left, place, 0)
            self.facts.addWidget(right, place, 1)

    def _fill_bad(self, report: DataReport) -> None:
        self.bad_model.set_bad(report.bad)
        shown = bool(report.bad)
        self.bad_row.setVisible(shown)
        self.bad_table.setVisible(shown)
        more = report.bad_total - len(report.bad)
        listed = f", first {count(len(report.bad))} listed" if more > 0 else ""
        set_heading(self.bad_heading, f"Bad files · {count(report.bad_total)}{listed}")
        self.bad_table.setColumnWidth(0, 110)
        if shown and len(report.bad) <= WRAPPED_ROWS:
            self.bad_table.resizeRowsToContents()

    def _fill_notes(self, report: DataReport) -> None:
        clear(self.notes_card.inside)
        for note in report.notes:
            self.notes_card.inside.addWidget(plain(note, wrap=True))
        self.notes_heading.setVisible(bool(report.notes))
        self.notes_card.setVisible(bool(report.notes))

    def _fill_filters(self, report: DataReport) -> None:
        self.split.clear()
        for split, n in report.counts.items():
            if n:
                self.split.addItem(f"{SPLITS.get(split, split)} · {count(n)}", split)
        self.label.clear()
        self.label.addItem("all classes", None)
        for index, name in enumerate(report.classes):
            self.label.addItem(name, index)

    def _fill_bars(self) -> None:
        report = self.report
        counts = report.class_counts.get(self.split.currentData() or "train", ()) if report else ()
        shown = bool(report and report.classes and counts)
        self.bars_row.setVisible(shown)
        self.bars_card.setVisible(shown)
        if not shown or report is None:
            return
        self.bars.chosen = self.label.currentData() if self.label.currentData() is not None else -1
        self.bars.set_counts(report.classes, counts)
        low, high = min(counts), max(counts)
        if low == 0:
            none = [name for name, n in zip(report.classes, counts, strict=False) if n == 0]
            self.balance.setText(f"No image of {', '.join(f'“{name}”' for name in none[:3])}{' …' if len(none) > 3 else ''} in this part.")
        else:
            ratio = high / low
            word = "Balanced" if ratio < 1.25 else "Uneven"
            self.balance.setText(f"{word}: the largest class is {number(ratio, 2)} times the smallest.")

    def _bar_picked(self, row: int) -> None:
        self.label.setCurrentIndex(0 if self.label.currentData() == row else row + 1)
        self._filter_changed()

    # ------------------------------------------------------------------------------------------------ a page of it

    def page_size(self) -> int:
        if self.report is not None and self.report.kind == "text":
            return TEXT_PAGE
        return min(self.grid.capacity(), PAGE_LIMIT)

    def _query(self) -> BrowseData:
        state = self.context.state
        seen_by = state.run if self.seen.isChecked() and self.seen.isEnabled() else None
        return BrowseData(
            data=self.report.data if self.report else "",
            split=self.split.currentData() or "train",
            offset=self.offset,
            count=self.page_size(),
            label=self.label.currentData() if self.label.isVisibleTo(self) else None,
            seen_by=seen_by if self.report is None or self.report.kind != "text" else None,
        )

    def _ask_page(self) -> None:
        if not self.shown or self.report is None:
            return
        query = self._query()
        self._asked_as = query.seen_by
        self._page_awaited = True
        self.context.bridge.ask("data", query, partial(self._on_page, query), self._on_failure)

    _asked_as: str | None = None

    def _on_page(self, query: BrowseData, page: DataPage) -> None:
        self._page_awaited = False
        if self.report is None or page.data != self.report.data or query.split != (self.split.currentData() or "train"):
            return
        if query.count < self.page_size() and page.offset + query.count < page.total and self.report.kind != "text":
            self._ask_page()  # the pane has grown since
        self.page = page
        last = min(page.offset + (len(page.images) if not page.text else query.count), page.total)
        self.where.setText(f"{count(min(page.offset + 1, page.total))}–{count(last)} of {count(page.total)}" if page.total else "none")
        self.previous.setEnabled(page.offset > 0)
        self.next.setEnabled(last < page.total)
        if self.report.kind == "text":
            self.text.setPlainText(page.text or self.report.text_sample)
        else:
            tips = [
                " · ".join(part for part in (name, f"class {label}" if label else "") if part)
                for name, label in zip(page.names, page.labels or [""] * len(page.names), strict=True)
            ]
            self.grid.set_pixels(page.images, tips)
            self.grid.choose(-1)
        self._say_page()

    def _say_page(self) -> None:
        page = self.page
        if page is None:
            return
        notes = " ".join(page.notes)
        if self._asked_as:
            info = self.context.state.runs.get(self._asked_as)
            notes = f"As “{info.name if info else 'the run'}” sees them. {notes}"
        elif not notes and self.report is not None and self.report.kind != "text":
            notes = "Choose an image to read its name."
        self.line.set_text(notes)

    def _say_image(self, index: int) -> None:
        page = self.page
        if page is None or index >= len(page.names):
            return
        label = f" · class {page.labels[index]}" if page.labels else ""
        self.line.set_text(
            f"{page.names[index]}{label} · number {count(page.indices[index])} of the {SPLITS.get(page.split, page.split)} part"
        )

    def _on_failure(self, failure: QueryFailed) -> None:
        self._page_awaited = False
        self.line.set_text(failure.message, "bad")

    def _filter_changed(self, *_: object) -> None:
        self.offset = 0
        self._fill_bars()
        self._ask_page()

    def _fit_changed(self) -> None:
        if self.shown and self.page is not None and self.page.total and self.page_size() > len(self.page.images):
            last = self.page.offset + len(self.page.images)
            if last < self.page.total:
                self._ask_page()

    def turn(self, pages: int) -> None:
        """Next or previous page."""
        if self.page is None:
            return
        size = self.page_size()
        target = max(0, self.offset + pages * size)
        if target < self.page.total and target != self.offset:
            self.offset = target
            self._ask_page()

    # ------------------------------------------------------------------------------------------------ out of the window

    def _about(self) -> dict[str, object]:
        report = self.report
        about: dict[str, object] = {"Software": "Priorama"}
        if report is not None:
            about |= {"data": report.name, "content": report.hash, "split": self.split.currentData() or "train"}
        return about

    def _bars_menu(self) -> None:
        menu = QMenu(self)
        menu.addAction("Copy chart").triggered.connect(self._copy_bars)
        menu.addAction("Save as PNG…").triggered.connect(partial(self._save_dialog, "chart"))
        menu.addAction("Save as CSV…").triggered.connect(partial(self._save_dialog, "classes"))
        menu.aboutToHide.connect(menu.deleteLater)
        menu.popup(self.bars_menu_button.mapToGlobal(self.bars_menu_button.rect().bottomLeft()))

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        if self.bars.isVisible() and self.bars.rect().contains(self.bars.mapFromGlobal(event.globalPos())):
            self._bars_menu()

    def _copy_bars(self, *_: object) -> None:
        copy_image(self.bars.picture())

    def _save_dialog(self, what: str, *_: object) -> None:
        if self.report is None:
            return
        suffix, save = {"bad": ("csv", self.save_bad), "classes": ("csv", self.save_classes), "chart": ("png", self.save_chart)}[what]
        ask_where(self, f"Save as {suffix.upper()}", file_name(self.report.name, what), suffix, save)

    def save_bad(self, path: str) -> None:
        if self.report is not None:
            rows = ((bad.path, bad.reason) for bad in self.report.bad)
            self._write(path, csv_text(self._about(), ("file", "reason"), rows))

    def save_classes(self, path: str) -> None:
        report = self.report
        if report is not None:
            splits = list(report.class_counts)
            rows = ((name, *(report.class_counts[split][index] for split in splits)) for index, name in enumerate(report.classes))
            self._write(path, csv_text(self._about(), ("class", *splits), rows))

    def save_chart(self, path: str) -> None:
        self._write(path, png_bytes(self.bars.picture(), self._about()))

    def _write(self, path: str, data: bytes | str) -> None:
        try:
            write_file(path, data)
        except OSError as error:
            self.line.set_text(f"“{Path(path).name}” could not be written: {error.strerror or error}. Choose another folder.", "bad")
        else:
            self.line.set_text(f"Saved as {Path(path).name}.", "good")

    def _restyle(self) -> None:
        colors = restyle(self, self.context.state.theme)
        for widget in (self.bars, self.grid, self.line, self.working_note):
            widget.set_colors(colors)
        self._run_changed()


def _shape(shape: tuple[int, ...]) -> str:
    """(1, 28, 28) -> "28×28 grey"."""
    if len(shape) != 3:
        return ""
    return f"{shape[2]}×{shape[1]} {'grey' if shape[0] == 1 else 'colour'}"


def _mono() -> QFont:
    made = QFont(list(theme.MONOSPACE))
    made.setPixelSize(12)
    return made
