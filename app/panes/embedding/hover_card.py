"""One point of a map: its image, what it is, and its true neighbours with how far they are. It lies over the map.

No layout holds the card, so it follows its own: whenever that needs another height, the card takes it and tells so by `resized`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PySide6.QtCore import QEvent, Qt, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QVBoxLayout, QWidget

from app.shell.plain_text import set_tip
from app.shell.theme import Colors
from app.widgets.image_strip import ImageStrip
from app.widgets.image_view import ImageView
from app.widgets.parts import Elided, TextLines, button

WIDTH = 232
NEAR = 8  # neighbours that are shown


@dataclass(frozen=True, eq=False)
class Shown:
    """What the card says about a point."""

    image: np.ndarray  # uint8 [C, H, W]
    title: str  # "class 7"
    lines: tuple[str, ...]  # name, what it is coloured by, trust
    near: np.ndarray  # uint8 [k, C, H, W], nearest first
    near_tips: tuple[str, ...]
    near_words: str


class HoverCard(QFrame):
    """`picked(k)`: the k-th neighbour; `closed`: a pinned card is to go; `resized`: it needs another place."""

    picked = Signal(int)
    closed = Signal()
    resized = Signal()

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setProperty("role", "raised")
        self.setAccessibleName("The point under the mouse")
        self.setFixedWidth(WIDTH)
        self.pinned = False
        column = QVBoxLayout(self)
        column.setContentsMargins(10, 8, 10, 8)
        column.setSpacing(4)
        row = QHBoxLayout()
        row.setSpacing(10)
        self.image = ImageView("The image of the point")
        self.image.setFixedSize(64, 64)
        words = QVBoxLayout()
        words.setSpacing(0)
        self.title = Elided("")
        self.title.setProperty("role", "title")
        self.lines = TextLines(3, "About the point", small=True)
        words.addWidget(self.title)
        words.addWidget(self.lines)
        words.addStretch(1)
        row.addWidget(self.image, 0, Qt.AlignmentFlag.AlignTop)
        row.addLayout(words, 1)
        column.addLayout(row)
        self.near_words = TextLines(1, "True neighbours", small=True)
        column.addWidget(self.near_words)
        self.near = ImageStrip("True neighbours, nearest first; choose one to look at it", columns=NEAR, rows=1, most=40)
        self.near.picked.connect(self.picked)
        self.near.setFixedHeight(26)
        column.addWidget(self.near)
        row = QHBoxLayout()
        self.hint = TextLines(1, "What a click does", small=True)
        self.close_button = button("Unpin", self.closed.emit, "Let the card follow the mouse again (Esc).")
        self.close_button.setProperty("kind", "link")
        row.addWidget(self.hint, 1)
        row.addStretch(0)
        row.addWidget(self.close_button)
        column.addLayout(row)
        self.hide()

    def set_colors(self, c: Colors) -> None:
        for part in (self.image, self.lines, self.near_words, self.near, self.hint):
            part.set_colors(c)

    def show_point(self, shown: Shown | None, pinned: bool = False) -> None:
        """A card that is not pinned lets the mouse through to the map."""
        self.pinned = pinned and shown is not None
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents, not self.pinned)
        if shown is None:
            self.hide()
            return
        self.image.set_pixels(shown.image)
        self.title.setText(shown.title)
        set_tip(self.title, shown.title)
        self.lines.set_text("\n".join(shown.lines))
        self.near_words.set_text(shown.near_words)
        self.near.set_pixels(shown.near[:NEAR], shown.near_tips[:NEAR])
        self.near.choose(-1)
        self.hint.set_text("" if self.pinned else "Click the point to keep this card.")
        self.hint.setVisible(not self.pinned)
        self.close_button.setVisible(self.pinned)
        self.show()
        self.raise_()
        self.fit()

    def fit(self) -> None:
        """As high as its texts need at the widths that the layout gives them."""
        layout = self.layout()
        assert layout is not None
        for _ in range(2):  # the first gives the texts their widths, which may change the heights that they ask for
            layout.activate()
        self.resize(WIDTH, layout.totalSizeHint().height())

    def event(self, event: QEvent) -> bool:
        handled = super().event(event)
        if event.type() == QEvent.Type.LayoutRequest:
            self.fit()
        return handled

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self.resized.emit()
