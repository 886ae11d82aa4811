"""What does not fit scrolls up and down, never to the side: a column of settings, cards or rows as wide as its place."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QScrollArea, QWidget


class ScrolledColumn(QScrollArea):
    """Lay out `contents`. It takes no keyboard focus, and the ground behind it is seen through it.

    `sideways`: what is too wide for the place can be scrolled to the side as well.
    """

    def __init__(self, *, sideways: bool = False) -> None:
        super().__init__()
        self.setWidgetResizable(True)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        if not sideways:
            self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.contents = QWidget()
        self.contents.setObjectName("contents")  # the style sheet leaves such widgets without a ground
        self.setWidget(self.contents)
