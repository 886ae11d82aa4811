"""Pages of a data set: its images by part and class, as they are or as a network sees them, or its text."""

from __future__ import annotations

from functools import partial

from PySide6.QtCore import QPoint, Qt, Signal
from PySide6.QtGui import QFont, QKeyEvent, QResizeEvent
from PySide6.QtWidgets import QComboBox, QFrame, QHBoxLayout, QPlainTextEdit, QVBoxLayout, QWidget

from app.panes import Context
from app.panes.data.network_view import NetworkViewBox
from app.panes.data.report_column import SPLIT_NAMES
from app.shell import theme
from app.shell.formatting import count
from app.widgets.curation_line import CurationLine
from app.widgets.curation_menu import CurationMenu
from app.widgets.image_strip import ImageStrip
from app.widgets.parts import Card, TextLines, button, heading, muted, set_heading
from engine.messages import BrowseData, DataPage, DataReport, QueryFailed

PAGE_LIMIT = 240  # images
TEXT_PAGE = 4000  # bytes


class PageGrid(ImageStrip):
    """Thumbnails that know when more or fewer fit."""

    resized = Signal()
    page_asked = Signal(int)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self.resized.emit()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        turn = {Qt.Key.Key_PageDown: 1, Qt.Key.Key_PageUp: -1}.get(Qt.Key(event.key()))
        if turn is None:
            super().keyPressEvent(event)
        else:
            self.page_asked.emit(turn)


class DataBrowser(QWidget):
    """The right side of the pane. Asks for one page at a time, while `active`; `filter_changed` by part or class."""

    filter_changed = Signal()

    def __init__(self, context: Context) -> None:
        super().__init__()
        self.context = context
        self.active = False
        self.report: DataReport | None = None
        self.page: DataPage | None = None
        self.offset = 0
        self.note = ""  # see `set_note`
        self._awaited = False
        self._seen_by: str | None = None  # the run whose network's view was asked for last
        right = QVBoxLayout(self)
        right.setContentsMargins(0, 0, 0, 0)
        right.setSpacing(8)
        self._build_top(right)
        self._build_page(right)

    def _build_top(self, right: QVBoxLayout) -> None:
        row = QHBoxLayout()
        row.setSpacing(8)
        self.heading = heading("Images")
        row.addWidget(self.heading)
        row.addStretch(1)
        self.where = muted("", wrap=False)
        self.where.setProperty("role", "small")
        row.addWidget(self.where)
        right.addLayout(row)
        row = QHBoxLayout()
        row.setSpacing(6)
        self.split_box, self.class_box = QComboBox(), QComboBox()
        for box, name in ((self.split_box, "Part of the data set"), (self.class_box, "Class")):
            box.setAccessibleName(name)
            box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToContents)
            box.activated.connect(self._filter)
            row.addWidget(box)
        self.previous = button("Previous", partial(self.turn, -1), "The page before (Page Up)")
        self.next = button("Next", partial(self.turn, 1), "The next page (Page Down)")
        row.addWidget(self.previous)
        row.addWidget(self.next)
        row.addStretch(1)
        right.addLayout(row)
        self.network_view = NetworkViewBox()
        self.network_view.toggled.connect(self._filter)
        right.addWidget(self.network_view)
        self.curation = CurationLine(self.context, "data-curation")
        self.curation.changed.connect(self._mark_curated)
        right.addWidget(self.curation)

    def _build_page(self, right: QVBoxLayout) -> None:
        card = Card(12, 8)
        self.grid = PageGrid("Images of the data set", columns=0, least=52, most=96, gap=4)
        self.grid.empty_text = "No image here."
        self.grid.resized.connect(self._resized)
        self.grid.page_asked.connect(self.turn)
        self.grid.picked.connect(self._say_image)
        self.grid.looked_at.connect(self._say_image)
        self.grid.has_menu = True
        self.grid.menu_asked.connect(self._open_menu)
        self.text = QPlainTextEdit()
        self.text.setReadOnly(True)
        self.text.setAccessibleName("Text of the data set")
        self.text.setFont(_monospace())
        self.text.setFrameShape(QFrame.Shape.NoFrame)
        card.inside.addWidget(self.grid, 1)
        card.inside.addWidget(self.text, 1)
        self.line = TextLines(2, "About the image")
        card.inside.addWidget(self.line)
        right.addWidget(card, 1)

    def set_colors(self, c: theme.Colors) -> None:
        self.grid.set_colors(c)
        self.line.set_colors(c)
        self.curation.set_colors(c)

    # which part of it

    @property
    def split(self) -> str:
        return self.split_box.currentData() or "train"

    @property
    def label(self) -> int | None:
        """The chosen class; None: all of them."""
        return self.class_box.currentData()

    def _is_text(self) -> bool:
        return self.report is not None and self.report.kind == "text"

    def hide_page(self) -> None:
        """Nobody looks: a page under way is asked for again when the pane is seen."""
        self.active = False
        self.context.bridge.forget("data")
        if self._awaited:
            self._awaited = False
            self.page = None

    def show_report(self, report: DataReport) -> None:
        """Pages of another data set, or of the same one where it has not changed."""
        changed = self.report is not report
        self.report = report
        if changed:
            self._show_filters(report)
            self.offset = 0
            self.page = None
            self.filter_changed.emit()
        text = self._is_text()
        self.grid.setVisible(not text)
        self.text.setVisible(text)
        self.network_view.setVisible(not text)
        self.class_box.setVisible(not text and bool(report.classes))
        set_heading(self.heading, "Text" if text else "Images")
        if text and changed:
            self.text.setPlainText(report.text_sample)
        if self.page is None:
            self._ask()
        if changed:
            self.curation.show_data("" if text else report.data)

    def _show_filters(self, report: DataReport) -> None:
        self.split_box.clear()
        for split, n in report.counts.items():
            if n:
                self.split_box.addItem(f"{SPLIT_NAMES.get(split, split)} · {count(n)}", split)
        self.class_box.clear()
        self.class_box.addItem("all classes", None)
        for index, name in enumerate(report.classes):
            self.class_box.addItem(name, index)

    def toggle_class(self, row: int) -> None:
        """Show one class only, or all of them again."""
        self.class_box.setCurrentIndex(0 if self.label == row else row + 1)
        self._filter()

    def _filter(self, *_: object) -> None:
        self.offset = 0
        self.filter_changed.emit()
        self._ask()

    def set_note(self, note: str) -> None:
        """What is to be known of all images that are shown; "" for nothing."""
        changed, self.note = note != self.note, note
        if changed and self.page is not None:
            self._say_page(self.page)

    def run_changed(self) -> None:
        """Another run's network may see the images in another way."""
        self.network_view.show_run(self.context.state.run_info)
        if self.network_view.isChecked() and self.page is not None and self._query().seen_by != self._seen_by:
            self._ask()

    # one page

    def page_size(self) -> int:
        """Images, or bytes of a text."""
        return TEXT_PAGE if self._is_text() else min(self.grid.capacity(), PAGE_LIMIT)

    def turn(self, pages: int) -> None:
        """Next or previous page."""
        if self.page is None:
            return
        target = max(0, self.offset + pages * self.page_size())
        if target < self.page.total and target != self.offset:
            self.offset = target
            self._ask()

    def _query(self) -> BrowseData:
        return BrowseData(
            data=self.report.data if self.report else "",
            split=self.split,
            offset=self.offset,
            count=self.page_size(),
            label=self.label if self.class_box.isVisibleTo(self) else None,
            seen_by=None if self._is_text() else self.network_view.run(),
        )

    def _ask(self) -> None:
        if not self.active or self.report is None:
            return
        query = self._query()
        self._seen_by = query.seen_by
        self._awaited = True
        self.context.bridge.ask("data", query, partial(self._on_page, query), self._on_failure)

    def _on_page(self, query: BrowseData, page: DataPage) -> None:
        self._awaited = False
        if self.report is None or page.data != self.report.data or query.split != self.split:
            return
        if query.count < self.page_size() and page.offset + query.count < page.total and not self._is_text():
            self._ask()  # the pane has grown since
        self.page = page
        last = min(page.offset + (len(page.images) if not page.text else query.count), page.total)
        self.where.setText(f"{count(min(page.offset + 1, page.total))}–{count(last)} of {count(page.total)}" if page.total else "none")
        self.previous.setEnabled(page.offset > 0)
        self.next.setEnabled(last < page.total)
        if self._is_text():
            self.text.setPlainText(page.text or self.report.text_sample)
        else:
            self.grid.set_pixels(page.images)
            self.grid.choose(-1)
            self._mark_curated()
        self._say_page(page)

    def _on_failure(self, failure: QueryFailed) -> None:
        self._awaited = False
        self.line.set_text(failure.message, "bad")

    def _resized(self) -> None:
        page = self.page
        fits_more = self.active and page is not None and page.total and self.page_size() > len(page.images)
        if fits_more and page is not None and page.offset + len(page.images) < page.total:
            self._ask()

    def _say_page(self, page: DataPage) -> None:
        notes = " ".join(page.notes)
        if self._seen_by:
            info = self.context.state.runs.get(self._seen_by)
            notes = f"As “{info.name if info else 'the run'}” sees them. {notes}"
        elif not notes and not self._is_text():
            notes = "Choose an image to read its name."
        self.line.set_text(f"{self.note} {notes}".strip())

    def _say_image(self, index: int) -> None:
        page = self.page
        if page is None or index >= len(page.names):
            return
        part = SPLIT_NAMES.get(page.split, page.split)
        self.line.set_text(f"{self._caption(page, index)} · number {count(page.indices[index])} of the {part} part")

    def _caption(self, page: DataPage, index: int) -> str:
        """An image's name, its class and what was decided about it."""
        own = page.labels[index] if page.labels else ""
        return " · ".join(
            part for part in (page.names[index], f"class {own}" if own else "", self.curation.words_of(page.names[index])) if part
        )

    # decisions about single images

    def _open_menu(self, index: int, place: QPoint) -> None:
        if self.page is not None and self.report is not None and index < len(self.page.names):
            classes = self.page.labels[index : index + 1]
            CurationMenu(self.context, self.report.data, (self.page.names[index],), self, classes).open_at(place)

    def _mark_curated(self) -> None:
        """A sign on the images that something was decided about, which their tips and the caption tell, too."""
        page = self.page
        if page is not None:
            self.curation.mark(self.grid, page.names)
            self.grid.tips = [self._caption(page, index) for index in range(len(page.names))]
        if self.grid.chosen >= 0:
            self._say_image(self.grid.chosen)


def _monospace() -> QFont:
    made = QFont(list(theme.MONOSPACE))
    made.setPixelSize(12)
    return made
