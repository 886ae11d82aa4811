"""Images that were dropped on a map: what the network saw of the chosen one, how far it lies from all others, and its neighbours."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PySide6.QtCore import Signal
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout

from app.shell.plain_text import set_tip
from app.shell.theme import Colors
from app.widgets.image_strip import ImageStrip
from app.widgets.image_view import ImageView, to_qimage
from app.widgets.parts import Card, Elided, TextLines, button

EMPTY = "Drop an image on the map: it flies to where it belongs and shows its nearest neighbours."


@dataclass(frozen=True, eq=False)
class ProjectedImage:
    label: str
    original: np.ndarray  # uint8 [H, W, 3]
    seen: np.ndarray  # uint8 [C, H, W]
    words: str  # how far it is
    level: str
    near: np.ndarray  # uint8 [k, C, H, W]
    near_tips: tuple[str, ...]
    notes: str  # how it was adapted


class ProjectedImagePage(Card):
    picked = Signal(int)  # the k-th neighbour
    open_asked = Signal()
    clear_asked = Signal()

    def __init__(self) -> None:
        super().__init__(10, 6)
        row = QHBoxLayout()
        row.setSpacing(8)
        self.original, self.seen = ImageView("The image as it was dropped", "image"), ImageView("What the network sees", "seen")
        for view in (self.original, self.seen):
            view.setFixedSize(64, 64)
            row.addWidget(view)
        words = QVBoxLayout()
        words.setSpacing(0)
        self.name = Elided("")
        self.notes = TextLines(3, "How the image was adapted", small=True)
        words.addWidget(self.name)
        words.addWidget(self.notes)
        row.addLayout(words, 1)
        self.inside.addLayout(row)
        self.words = TextLines(2, "How far it is from the others")
        self.inside.addWidget(self.words)
        self.near = ImageStrip("Its nearest neighbours; choose one to look at it", columns=0, least=34, most=34)
        self.near.setMinimumHeight(36)
        self.near.picked.connect(self.picked)
        self.inside.addWidget(self.near, 1)
        row = QHBoxLayout()
        row.setSpacing(6)
        self.open_button = button("Open image…", self.open_asked.emit, "Choose image files. They can be dropped and pasted, too.")
        self.clear_button = button("Remove", self.clear_asked.emit, "Take the dropped images off the map.")
        row.addWidget(self.open_button)
        row.addWidget(self.clear_button)
        row.addStretch(1)
        self.inside.addLayout(row)
        self.show_image(None)

    def set_colors(self, c: Colors) -> None:
        for part in (self.original, self.seen, self.notes, self.words, self.near):
            part.set_colors(c)

    def show_image(self, projected_image: ProjectedImage | None) -> None:
        self.clear_button.setEnabled(projected_image is not None)
        for part in (self.original, self.seen, self.name, self.notes):
            part.setVisible(projected_image is not None)
        if projected_image is None:
            self.words.set_text(EMPTY)
            self.near.set_pixels(None)
            return
        self.original.set_image(to_qimage(projected_image.original))
        self.seen.set_pixels(projected_image.seen)
        self.name.setText(projected_image.label)
        set_tip(self.name, projected_image.label)
        self.notes.set_text(projected_image.notes)
        self.words.set_text(projected_image.words, projected_image.level)
        self.near.set_pixels(projected_image.near, projected_image.near_tips)
