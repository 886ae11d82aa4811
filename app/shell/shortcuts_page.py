"""The sheet of shortcuts: every action of the registry with its keys and what it does, by menu."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QFrame, QGridLayout, QHBoxLayout, QPushButton, QScrollArea, QVBoxLayout, QWidget

from app.shell import theme
from app.shell.actions import MENUS, Actions
from app.shell.plain_text import PlainLabel


class ShortcutsPage(QWidget):
    closed = Signal()

    def __init__(self, registry: Actions, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("page")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.registry = registry
        self.area = QScrollArea()
        self.area.setWidgetResizable(True)
        self.area.setFrameShape(QFrame.Shape.NoFrame)
        self.area.setAccessibleName("Shortcuts")
        title = theme.role(PlainLabel("Shortcuts"), "title")
        title.setFont(theme.font(16, bold=True))
        shut = QPushButton("Close")
        shut.setAccessibleName("Close the shortcuts")
        shut.clicked.connect(self.closed)
        head = QHBoxLayout()
        head.addWidget(title)
        head.addStretch()
        head.addWidget(shut)
        column = QVBoxLayout(self)
        column.setContentsMargins(16, 16, 16, 16)
        column.addLayout(head)
        column.addWidget(self.area, 1)

    def fill(self) -> None:
        """Make the sheet afresh; panes may have added actions."""
        body = QWidget()
        body.setObjectName("contents")
        grid = QGridLayout(body)
        grid.setHorizontalSpacing(24)
        grid.setVerticalSpacing(6)
        grid.setColumnStretch(2, 1)
        row = 0
        for menu in MENUS:
            entries = [entry for entry in self.registry.entries.values() if entry.menu == menu]
            if not entries:
                continue
            grid.addWidget(theme.role(PlainLabel(menu.upper()), "heading"), row, 0, 1, 3)
            row += 1
            for entry in entries:
                name = PlainLabel(entry.action.text().replace("&&", "&"))
                name.setWordWrap(True)
                name.setMinimumWidth(140)
                grid.addWidget(name, row, 0)
                if entry.keys:
                    keys = theme.role(PlainLabel(entry.keys), "key")
                    grid.addWidget(keys, row, 1, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
                about = theme.role(PlainLabel(entry.action.statusTip()), "muted")
                about.setWordWrap(True)
                about.setMinimumWidth(160)
                grid.addWidget(about, row, 2)
                row += 1
        grid.setRowStretch(row, 1)
        self.area.setWidget(body)
