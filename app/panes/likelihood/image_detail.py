"""One image closely: as it was dropped, where its bits lie, what the network really saw and made of it, and what it knows that is near."""

from __future__ import annotations

from PySide6.QtCore import QRectF, Qt, Signal
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QPen, QResizeEvent
from PySide6.QtWidgets import QGridLayout, QLabel

from app.panes.likelihood.heat_map import BitsLegend, HeatMap
from app.panes.likelihood.scored_images import Dropped
from app.shell.formatting import count, decoded_as, number
from app.shell.plain_text import set_tip
from app.shell.theme import DARK, Colors
from app.widgets.image_strip import ImageStrip
from app.widgets.image_view import ImageView, to_qimage
from app.widgets.parts import Card, Elided, TextLines, muted, short
from engine.messages import ImageInspected

NO_MAP = "no bits per pixel: this method has no map"
NO_BITS = "no bits: the energy is unnormalized, log Z is not known"


def small(text: str) -> QLabel:
    label = muted(text, wrap=False)
    label.setProperty("role", "small")
    label.setAlignment(Qt.AlignmentFlag.AlignCenter)
    return label


class DropCard(Card):
    """Where images are let go: the image, and beside it its bits per pixel. Its frame is dashed."""

    def __init__(self) -> None:
        super().__init__(10, 6)
        self.setProperty("role", "drop")
        self.most = 340
        self._refused = False  # why it cannot be read stands in the place of the picture
        self._line, self._ground = QColor(DARK.line), QColor(DARK.background)
        self.original = ImageView("The image that is looked at", "Drop images or a folder here")
        self.heat = HeatMap("Bits per pixel appear here")
        self.grid = grid = QGridLayout()
        grid.setSpacing(6)
        grid.addWidget(self.original, 0, 0)
        grid.addWidget(self.heat, 0, 1)
        self.what = small("")
        grid.addWidget(self.what, 1, 0)
        self.legend = BitsLegend()
        grid.addWidget(self.legend, 1, 1)
        grid.setColumnStretch(0, 1)
        grid.setColumnStretch(1, 1)
        self.inside.addLayout(grid)
        self.caption = Elided("Drop images or a folder here")
        self.caption.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.caption.setProperty("role", "muted")
        self.size_line = TextLines(2, "Size of the image as PNG and by the model", small=True)
        self.inside.addWidget(self.caption)
        self.inside.addWidget(self.size_line)

    def set_colors(self, c: Colors) -> None:
        self._line, self._ground = QColor(c.muted), QColor(c.background)
        for widget in (self.original, self.heat, self.legend, self.size_line):
            widget.set_colors(c)
        self.update()

    def fit(self, most: int) -> None:
        """Both pictures square, as large as the width lets them be, but at most `most` pixels."""
        self.most = most
        side = min(max((self.width() - 26) // 2, 48), most)
        if self._refused:  # the sentence has the whole width, and is read whole
            side = max(side, self.original.hint_height(max(self.width() - 20, 48)))
        for view in (self.original, self.heat):
            if view.height() != side:
                view.setFixedHeight(side)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self.fit(self.most)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(self._line, 1, Qt.PenStyle.DashLine))
        painter.setBrush(self._ground)
        painter.drawRoundedRect(QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5), 10, 10)

    def show_entry(self, entry: Dropped | None) -> None:
        self.what.setText("" if entry is None or entry.error else "image")
        self._refused = entry is not None and bool(entry.error)
        if entry is None:
            self.original.set_image(None)
            self.caption.setText("Drop images or a folder here")
            set_tip(self.caption, "")
            self.fit(self.most)
            return
        self.original.hint = entry.error or "Reading it…"
        self.original.set_image(None if entry.original is None else to_qimage(entry.original))
        self.fit(self.most)
        self.caption.setText(entry.label)
        set_tip(self.caption, f"{entry.key}\nMore images and folders can be dropped here.")

    def show_look(self, look: ImageInspected | None, hint: str = "") -> None:
        bits = None if look is None else look.bits
        no_map = self._refused or (look is not None and bits is None)
        for widget in (self.heat, self.legend):
            widget.setVisible(not no_map)
        self.grid.setColumnStretch(1, 0 if no_map else 1)
        self.heat.hint = hint
        self.heat.set_bits(bits)
        self.legend.set_bits(bits)


class ImageDetail(Card):
    """What the network saw, its reconstruction and the difference where there is one, and the nearest training images."""

    picked = Signal(int)

    def __init__(self) -> None:
        super().__init__(10, 4)
        grid = QGridLayout()
        grid.setHorizontalSpacing(8)
        grid.setVerticalSpacing(2)
        self.seen, self.rebuilt, self.difference = (ImageView(name) for name in ("What the network sees", "Reconstruction", "Difference"))
        self.captions = []
        for column, (view, name) in enumerate(
            ((self.seen, "network sees"), (self.rebuilt, "reconstruction"), (self.difference, "difference"))
        ):
            view.setFixedHeight(56)
            label = small(name)
            self.captions.append(label)
            grid.addWidget(view, 0, column)
            grid.addWidget(label, 1, column, Qt.AlignmentFlag.AlignTop)
            grid.setColumnStretch(column, 1)
        self.inside.addLayout(grid)
        self.notes = TextLines(2, "How the image was adapted", small=True)
        self.inside.addWidget(self.notes)
        self.near_line = TextLines(1, "Nearest training images", small=True)
        self.inside.addWidget(self.near_line)
        self.near = ImageStrip("Nearest training images", columns=0, rows=1, gap=3)
        self.near.empty_text = "What the network sees, and what is near, appears here."
        self.near.picked.connect(self.picked)
        self.inside.addWidget(self.near)
        self.fit(56)
        self.show_look(None, None)

    def set_colors(self, c: Colors) -> None:
        for widget in (self.seen, self.rebuilt, self.difference, self.notes, self.near_line, self.near):
            widget.set_colors(c)

    def fit(self, side: int) -> None:
        """How high the pictures are."""
        for view in (self.seen, self.rebuilt, self.difference):
            if view.height() != side:
                view.setFixedHeight(side)
        tile = side - 20
        self.near.least = self.near.most = tile
        self.near.setFixedHeight(tile + 1)

    def show_notes(self, entry: Dropped | None) -> None:
        notes = () if entry is None else entry.notes
        self.notes.set_text(" ".join(f"{note.rstrip('.')}." for note in notes))

    def show_look(self, look: ImageInspected | None, entry: Dropped | None) -> None:
        self.show_notes(entry)
        self.seen.set_pixels(None if look is None else look.seen)
        for widget in (self.seen, self.captions[0]):
            widget.setVisible(look is not None)
        both = look is not None and look.reconstruction is not None
        for view, label in ((self.rebuilt, self.captions[1]), (self.difference, self.captions[2])):
            view.setVisible(both)
            label.setVisible(both)
        if look is not None:
            self.captions[1].setText(f"reconstruction\n{decoded_as(look.decode)}".strip())
        self.rebuilt.set_pixels(look.reconstruction if look is not None else None)
        self.difference.set_pixels(look.difference if look is not None else None)
        if look is None:
            self.near_line.set_text("")
            self.near.set_pixels(None)
            return
        self.near_line.set_text(look.nearest_missing or f"Nearest training images, by {look.nearest_by}")
        tips = [
            f"{label} · distance {short(float(distance))}"
            for label, distance in zip(look.nearest_labels, look.nearest_distances, strict=False)
        ]
        self.near.set_pixels(look.nearest, tips)


def size_text(png_bytes: int, look: ImageInspected | None, no_bits: str = NO_MAP) -> str:
    """What a PNG file of the image that the network saw needs, and the model's code for each pixel, or why there is none."""
    parts = []
    if png_bytes:
        raw = f" · raw {count(look.seen.size)}" if look is not None else ""
        parts.append(f"PNG file {count(png_bytes)} bytes{raw}")
    if look is not None and look.bits is not None:
        parts.append(f"model {number(float(look.bits.mean()), 2, 'bit/pixel')}")
    elif look is not None:
        parts.append(no_bits)
    return "\n".join(parts)
