"""What was said and what went wrong in this start: filter by level, read the details, copy, open the folder."""

from __future__ import annotations

import time

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QBrush, QColor
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QListWidget,
    QListWidgetItem,
    QPlainTextEdit,
    QPushButton,
    QSplitter,
    QVBoxLayout,
    QWidget,
)

from app.shell import theme
from app.shell.plain_text import PlainLabel, set_tip
from app.shell.session_log import LEVELS, Log, Record
from app.widgets.forms import Choice

SHOWS = (("everything", LEVELS), ("warnings and faults", ("warning", "bad")), ("faults", ("bad",)))


class LogPane(QFrame):
    copied = Signal(str)
    folder_wanted = Signal()
    closed = Signal()

    def __init__(self, log: Log, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("page")
        self.log = log
        self.colors = theme.DARK
        self.level = Choice()
        self.level.setAccessibleName("Which messages")
        for words, levels in SHOWS:
            self.level.addItem(words, levels)
        self.level.activated.connect(lambda _i: self.refresh())
        self.copy = QPushButton("Copy")
        self.copy.setAccessibleName("Copy the chosen message with its details")
        set_tip(self.copy, "Copy the chosen message with its details, or everything shown when none is chosen")
        self.copy.clicked.connect(lambda: self.copied.emit(self.text()))
        self.folder = QPushButton("Open folder")
        self.folder.setAccessibleName("Open the folder with the log file")
        set_tip(self.folder, str(log.path) if log.path else "There is no log file: the settings folder is not writable")
        self.folder.setEnabled(log.path is not None)
        self.folder.clicked.connect(self.folder_wanted)
        shut = QPushButton("Close")
        shut.setAccessibleName("Close the log")
        shut.clicked.connect(self.closed)
        head = QHBoxLayout()
        head.setSpacing(8)
        head.addWidget(theme.role(PlainLabel("LOG"), "heading"))
        head.addStretch()
        for widget in (self.level, self.copy, self.folder, shut):
            head.addWidget(widget)
        self.list = QListWidget()
        self.list.setWordWrap(True)
        self.list.setAccessibleName("Messages")
        self.list.currentItemChanged.connect(lambda *_: self._show_details())
        self.details = QPlainTextEdit()
        self.details.setReadOnly(True)
        self.details.setAccessibleName("Details of the chosen message")
        mono = theme.font(12)
        mono.setFamilies(list(theme.MONOSPACE))
        self.details.setFont(mono)
        split = QSplitter(Qt.Orientation.Horizontal)
        split.addWidget(self.list)
        split.addWidget(self.details)
        split.setSizes([1, 1])
        split.setChildrenCollapsible(False)
        column = QVBoxLayout(self)
        column.setContentsMargins(16, 12, 16, 12)
        column.setSpacing(8)
        column.addLayout(head)
        column.addWidget(split, 1)
        self.setFixedHeight(220)
        log.added.connect(self._added)

    def _wanted(self, record: Record) -> bool:
        return record.level in self.level.currentData()

    def _added(self, record: Record) -> None:
        if self.isVisible() and self._wanted(record):
            self._append(record)
            while self.list.count() > len(self.log.records):
                self.list.takeItem(0)
            self.list.scrollToBottom()

    def _append(self, record: Record) -> None:
        item = QListWidgetItem(f"{time.strftime('%H:%M:%S', time.localtime(record.when))}  {record.level}  {record.text}")
        item.setData(Qt.ItemDataRole.UserRole, record)
        set_tip(item, record.text)
        color = {"warning": self.colors.warning_text, "bad": self.colors.bad, "good": self.colors.good_text}.get(record.level)
        if color:
            item.setForeground(QBrush(QColor(color)))
        self.list.addItem(item)

    def refresh(self) -> None:
        self.list.clear()
        for record in list(self.log.records):
            if self._wanted(record):
                self._append(record)
        self.list.scrollToBottom()
        self._show_details()

    def show_newest(self) -> None:
        """Open with the newest message chosen."""
        self.show()
        self.refresh()
        self.list.setCurrentRow(self.list.count() - 1)

    def show_record(self, record: Record) -> None:
        """Open with one message chosen, whatever was filtered."""
        self.show()
        if not self._wanted(record):
            self.level.setCurrentIndex(0)
        self.refresh()
        rows = range(self.list.count())
        self.list.setCurrentRow(next((row for row in rows if self.list.item(row).data(Qt.ItemDataRole.UserRole) is record), -1))
        self._show(record)

    def _show_details(self) -> None:
        item = self.list.currentItem()
        self._show(item.data(Qt.ItemDataRole.UserRole) if item else None)

    def _show(self, record: Record | None) -> None:
        self.details.setPlainText(f"{record.text}\n\n{record.details}".strip() if record else "Choose a message to read it in full.")

    def text(self) -> str:
        """The chosen message with its details, or all that are shown."""
        item = self.list.currentItem()
        records = [item] if item else [self.list.item(i) for i in range(self.list.count())]
        shown: list[Record] = [i.data(Qt.ItemDataRole.UserRole) for i in records]
        return "\n".join(record.line() + (f"\n{record.details}" if record.details else "") for record in shown)

    def set_colors(self, colors: theme.Colors) -> None:
        self.colors = colors
        if self.isVisible():
            self.refresh()
