"""What was selected on a map: its images, how many of which class, and what can be done with them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QFrame, QGridLayout, QHBoxLayout, QScrollArea, QVBoxLayout, QWidget

from app.shell.formatting import count, things
from app.shell.plain_text import set_tip
from app.shell.theme import Colors
from app.widgets.curation_line import CurationLine
from app.widgets.image_strip import ImageStrip
from app.widgets.parts import Card, TextLines, button

MOST_TILES = 400
EMPTY = "Nothing is selected. Switch the lasso on and draw round some points, click a class, or search."


@dataclass(frozen=True, eq=False)
class Selected:
    """The selected points, as the page says them."""

    images: np.ndarray  # uint8 [n, C, H, W]
    tips: tuple[str, ...]
    total: int
    classes: tuple[tuple[str, int], ...]  # most frequent first


class LassoPage(Card):
    picked = Signal(int)  # the k-th of the selected images
    csv_asked = Signal()
    curate_asked = Signal()
    kept = Signal(str)  # as "a" | "b"
    direction_asked = Signal()
    selection_shown = Signal()

    def __init__(self) -> None:
        super().__init__(10, 6)
        row = QHBoxLayout()
        row.setSpacing(6)
        self.words = TextLines(2, "What is selected", small=True)
        self.csv_button = button("Save as CSV", self.csv_asked.emit, "Number, name, label, place and value of every selected image.")
        self.csv_button.setProperty("kind", "link")
        self.curate_button = button("Curate…", self.curate_asked.emit, "Leave the selected images out, give them another class or a tag.")
        self.curate_button.setProperty("kind", "link")
        links = QVBoxLayout()
        links.setSpacing(0)
        links.addWidget(self.csv_button, 0, Qt.AlignmentFlag.AlignRight)
        links.addWidget(self.curate_button, 0, Qt.AlignmentFlag.AlignRight)
        links.addStretch(1)
        row.addWidget(self.words, 1)
        row.addLayout(links)
        self.inside.addLayout(row)
        self.images = ImageStrip("Selected images; choose one to look at it", columns=0, least=28, most=28)
        self.images.picked.connect(self.picked)
        self.area = QScrollArea()
        self.area.setFrameShape(QFrame.Shape.NoFrame)
        self.area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.area.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.area.setMinimumHeight(30)
        holder = QWidget()
        holder.setObjectName("contents")
        inner = QVBoxLayout(holder)
        inner.setContentsMargins(0, 0, 0, 0)
        inner.addWidget(self.images)
        inner.addStretch(1)
        self.area.setWidget(holder)
        self.area.setWidgetResizable(True)
        self.inside.addWidget(self.area, 1)
        self.a_button = button("Keep as A", lambda: self.kept.emit("a"), "Remember these points as the start of a direction.")
        self.b_button = button("Keep as B", lambda: self.kept.emit("b"), "Remember these points as the end of a direction.")
        self.direction_button = button(
            "Direction A → B",
            self.direction_asked.emit,
            "From the mean of A’s features to the mean of B’s: colours every point by how far it lies on that way.",
        )
        grid = QGridLayout()
        grid.setSpacing(6)
        grid.addWidget(self.a_button, 0, 0)
        grid.addWidget(self.b_button, 0, 1)
        grid.addWidget(self.direction_button, 1, 0, 1, 2)
        self.inside.addLayout(grid)
        self.ends = TextLines(1, "What A and B are", small=True)
        self.inside.addWidget(self.ends)
        self.way = ImageStrip("Decoded on the way from A to B", columns=0, rows=1, most=40)
        self.way.setFixedHeight(34)
        self.inside.addWidget(self.way)
        self.note = TextLines(4, "How well the direction separates A from B", small=True)
        self.inside.addWidget(self.note)
        self.show_selected(None)
        self.show_ends(None, None)
        self.show_way("", None)

    def hold_curation(self, line: CurationLine) -> None:
        """What was decided about the images, above them; a right click on one asks `images.menu_asked`."""
        self.images.has_menu = True
        self.inside.insertWidget(1, line)

    def set_colors(self, c: Colors) -> None:
        for part in (self.words, self.images, self.ends, self.way, self.note):
            part.set_colors(c)

    def show_selected(self, selected: Selected | None) -> None:
        some = selected is not None and selected.total > 0
        for made in (self.csv_button, self.curate_button, self.a_button, self.b_button):
            made.setEnabled(some)
        for link in (self.csv_button, self.curate_button):
            link.setVisible(some)  # the sentence in their place needs the width
        if selected is None or not some:
            self.words.set_text(EMPTY)  # as many lines as it needs
            self.images.empty_text = ""
            self.images.set_pixels(None)
            self.images.setFixedHeight(28)
            self.selection_shown.emit()
            return
        parts = [f"{name}: {count(n)}" for name, n in selected.classes]
        more = f", {count(len(selected.images))} of them below" if len(selected.images) < selected.total else ""
        self.words.set_text(f"{things(selected.total, 'image')}{more}\n{' · '.join(parts)}")
        self.area.verticalScrollBar().setValue(0)
        self.images.set_pixels(selected.images, selected.tips)
        self._fit()
        self.selection_shown.emit()

    def _fit(self) -> None:
        """The grid is as high as its tiles need; the area around it scrolls."""
        if self.images.images:
            side = self.images.least + self.images.gap
            across = max(1, (self.area.viewport().width() + self.images.gap) // side)
            self.images.setFixedHeight(-(-len(self.images.images) // across) * side)

    def resizeEvent(self, event: object) -> None:
        super().resizeEvent(event)  # type: ignore[arg-type]
        self._fit()

    def show_ends(self, a: int | None, b: int | None) -> None:
        """How many points were kept as A and as B."""
        parts = [f"{letter}: {things(n, 'image')}" for letter, n in (("A", a), ("B", b)) if n is not None]
        self.ends.set_text(" · ".join(parts))
        self.ends.setVisible(bool(parts))
        self.direction_button.setEnabled(a is not None and b is not None)
        if a is None or b is None:
            set_tip(self.direction_button, "Keep some points as A and others as B first.")
        else:
            set_tip(self.direction_button, "Colours every point by how far it lies on the way from A’s mean features to B’s.")

    def show_way(self, note: str, images: np.ndarray | None) -> None:
        self.note.set_text(note)
        self.note.setVisible(bool(note))
        self.way.set_pixels(images)
        self.way.setVisible(images is not None and len(images) > 0)
