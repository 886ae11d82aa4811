"""An image of the user's beside what the network sees of it and its reconstruction; and held-out images with theirs."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QGridLayout, QLabel, QSizePolicy, QVBoxLayout, QWidget

from app.shell.formatting import decoded_as, number
from app.shell.plain_text import set_tip
from app.shell.theme import Colors
from app.widgets.image_strip import ImageStrip
from app.widgets.image_view import ImageView, to_qimage
from app.widgets.parts import Card, TextLines, heading, muted, set_heading
from engine.messages import Encoded, Reconstructed


def small(text: str) -> QLabel:
    """A small line in the middle of its place."""
    label = muted(text, wrap=False)
    label.setProperty("role", "small")
    label.setAlignment(Qt.AlignmentFlag.AlignCenter)
    return label


class EncodedImageCard(QWidget):
    """The image that was encoded last: original, as the network sees it, reconstruction. Hidden until there is one."""

    def __init__(self) -> None:
        super().__init__()
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(8)
        self.heading = heading("Your image")
        self.heading.setWordWrap(True)
        self.heading.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)  # a long file name widens nothing
        self.card = Card(8, 4)
        grid = QGridLayout()
        grid.setHorizontalSpacing(8)
        grid.setVerticalSpacing(2)
        self.original, self.seen, self.rebuilt = (ImageView(name) for name in ("Original image", "What the network sees", "Reconstruction"))
        for index, (view, name) in enumerate(((self.original, "original"), (self.seen, "network sees"), (self.rebuilt, "reconstruction"))):
            view.setFixedHeight(64)
            grid.addWidget(view, 0, index)
            label = small(name)
            grid.addWidget(label, 1, index, Qt.AlignmentFlag.AlignTop)
        self.kind = label  # of the reconstruction
        self.card.inside.addLayout(grid)
        self.notes = TextLines(2, "How the image was adapted", small=True)
        self.card.inside.addWidget(self.notes)
        column.addWidget(self.heading)
        column.addWidget(self.card)
        self.hide()

    def show_encoded(self, answer: Encoded) -> None:
        self.original.set_image(to_qimage(answer.original))
        self.seen.set_pixels(answer.seen)
        self.rebuilt.set_pixels(answer.reconstruction)
        self.kind.setText(f"reconstruction\n{decoded_as(answer.decode)}".strip())
        nats = f" · −ELBO {number(answer.nats, 1, 'nat')}" if answer.nats is not None else ""
        set_heading(self.heading, "", f"{answer.label}{nats}")  # a file keeps its letters
        set_tip(self.heading, "−ELBO: a code built from this network needs at most so much for this image." if nats else "")
        self.notes.setVisible(bool(answer.notes))
        self.notes.set_text(" ".join(f"{note.rstrip('.')}." for note in answer.notes))
        self.show()

    def set_colors(self, c: Colors) -> None:
        for part in (self.original, self.seen, self.rebuilt, self.notes):
            part.set_colors(c)


class HeldOutCard(QWidget):
    """Held-out images above their reconstructions; one that is chosen is to be encoded. Hidden until they are there."""

    chosen = Signal(object, str)  # uint8 [H, W] or [H, W, 3], and what it is

    def __init__(self) -> None:
        super().__init__()
        self.reconstructed: Reconstructed | None = None
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(8)
        self.heading = heading("Held-out images, reconstructed")
        set_tip(self.heading, "Images that were never trained on, above what encoding and decoding leave of them.")
        self.card = Card(8, 4)
        self.originals = ImageStrip("Held-out images; choose one to encode it", columns=8, rows=1, most=64)
        self.reconstructions = ImageStrip("Their reconstructions", columns=8, rows=1, most=64)
        self.reconstructions.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        for strip in (self.originals, self.reconstructions):
            set_tip(strip, "Choose one to encode it.")
            strip.picked.connect(self.choose)
            self.card.inside.addWidget(strip)
        self.kind = small("")
        self.kind.hide()
        self.card.inside.addWidget(self.kind)
        column.addWidget(self.heading)
        column.addWidget(self.card)
        self.hide()

    def forget(self) -> None:
        """Another run is looked at."""
        self.reconstructed = None
        self.originals.set_pixels(None)
        self.reconstructions.set_pixels(None)
        self.hide()

    def show_reconstructed(self, answer: Reconstructed) -> None:
        self.reconstructed = answer
        self.originals.set_pixels(answer.originals)
        self.reconstructions.set_pixels(answer.reconstructions)
        self.kind.setText(f"below: {decoded_as(answer.decode, many=True)}")
        self.kind.setVisible(bool(answer.decode))
        self.show()

    def choose(self, index: int) -> None:
        """Have one of the images encoded."""
        if self.reconstructed is None:
            return
        image = self.reconstructed.originals[index]
        pixels = image[0] if image.shape[0] == 1 else np.ascontiguousarray(image.transpose(1, 2, 0))
        self.originals.choose(index)
        self.chosen.emit(pixels, f"held-out image {index + 1}")

    def set_colors(self, c: Colors) -> None:
        self.originals.set_colors(c)
        self.reconstructions.set_colors(c)
