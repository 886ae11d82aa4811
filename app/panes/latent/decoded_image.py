"""The decoded image of z, the buttons below it and the line that says what is decoded."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PySide6.QtCore import Signal
from PySide6.QtGui import QImage, QUndoStack
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QVBoxLayout, QWidget

from app.panes.latent.position import LatentPosition
from app.panes.latent.tiles import SquareImageView
from app.shell.formatting import count, decoded_as, number
from app.shell.plain_text import set_tip
from app.shell.theme import Colors
from app.widgets.image_view import chw_to_qimage, enlarged
from app.widgets.parts import Card, TextLines, button, muted
from engine.messages import Decoded

ENCODE_HELP = "Encode an image file and go to its z. Files can be dropped, too."

CLASS_HELP = "The class that z is decoded as: the same z in another class. The way, the plane and the samples are of it too."
SCORES_HELP = "The class that z is decoded as: the one with the largest score, in its last dimensions. Another leaves the rest of z."


class DecodedImageCard(QWidget):
    """Keeps the newest decoded image, and a fault of the engine until the position or the step changes."""

    class_chosen = Signal(int)  # by the user

    def __init__(self, undo: QUndoStack, choose_image: Callable[[], object], draw_sample: Callable[[], object]) -> None:
        super().__init__()
        self.decoded: Decoded | None = None
        self.wanted_step: int | None = None
        self._fault = ""
        self._class_of: Callable[[np.ndarray], int | None] = lambda z: None
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(8)
        card = Card()
        self.picture = SquareImageView("Decoded image", "The picture of z appears here.")
        card.inside.addWidget(self.picture)
        column.addWidget(card)
        column.addSpacing(4)
        self.encode_button = button("Encode image…", choose_image, ENCODE_HELP)
        self.prior_button = button("Prior sample", draw_sample, "Draw z at random from the prior p(z).")
        self.undo_button = button("Undo", undo.undo)
        row = QHBoxLayout()
        row.setSpacing(6)
        for made in (self.encode_button, self.prior_button, self.undo_button):
            row.addWidget(made)
        row.addStretch(1)
        column.addLayout(row)
        self.classes = QComboBox()
        self.classes.setAccessibleName("Class to decode as")
        set_tip(self.classes, CLASS_HELP)
        self.classes.activated.connect(self.class_chosen)
        self.class_row = QWidget()
        row = QHBoxLayout(self.class_row)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(6)
        row.addWidget(muted("class", wrap=False))
        row.addWidget(self.classes)
        row.addStretch(1)
        self.class_row.hide()
        column.addWidget(self.class_row)
        self.status = TextLines(3, "What is decoded")
        column.addWidget(self.status)
        undo.canUndoChanged.connect(self.undo_button.setEnabled)
        undo.undoTextChanged.connect(self._undo_named)
        self.undo_button.setEnabled(undo.canUndo())
        self._undo_named(undo.undoText())

    def _undo_named(self, text: str) -> None:
        set_tip(self.undo_button, f"Undo the {text}" if text else "Nothing to undo")

    def offer_encoder(self, why_not: str) -> None:
        """Offer to encode an image, or say in a sentence why that cannot be."""
        self.encode_button.setEnabled(not why_not)
        set_tip(self.encode_button, why_not or ENCODE_HELP)

    def offer_classes(self, names: tuple[str, ...], class_of: Callable[[np.ndarray], int | None] = lambda z: None) -> None:
        """The classes to choose from; none where the decoder knows none. `class_of` reads it from z where its dimensions say it."""
        self._class_of = class_of
        if [self.classes.itemText(index) for index in range(self.classes.count())] != list(names):
            self.classes.clear()
            self.classes.addItems(list(names))
        self.class_row.setVisible(bool(names))

    def forget(self) -> None:
        """Another run is looked at."""
        self.offer_classes(())
        self.decoded = None
        self._fault = ""
        self.picture.set_pixels(None)

    def show_decoded(self, answer: Decoded, position: LatentPosition | None) -> None:
        self.decoded = answer
        self.picture.set_pixels(answer.images[0])
        self.describe(position)

    def fail(self, message: str) -> None:
        """Say a fault of the engine; it stays while nothing else is looked at."""
        self._fault = message
        self.status.set_text(message, "bad")

    def look_at_step(self, step: int | None) -> None:
        """The step of the time cursor: a picture of another one says so until its own has come."""
        self.wanted_step = step

    def clear_fault(self) -> None:
        """The position or the step is another one now: the fault was not about it."""
        self._fault = ""

    def report(self, text: str, level: str = "") -> None:
        """Say what became of something the user did; the next description replaces it."""
        self.status.set_text(text, level)

    def describe(self, position: LatentPosition | None) -> None:
        """The class, and the line under the picture."""
        if position is not None and self.classes.count():
            own = self._class_of(position.z)
            self.classes.setCurrentIndex(min(position.label if own is None else own, self.classes.count() - 1))
            set_tip(self.classes, CLASS_HELP if own is None else SCORES_HELP)
        if self._fault:
            self.status.set_text(self._fault, "bad")
            return
        parts = []
        if self.decoded is not None:
            if self.wanted_step is not None and self.wanted_step != self.decoded.step:
                parts.append(f"Still of step {count(self.decoded.step)}; step {count(self.wanted_step)} is on its way")
            kind = decoded_as(self.decoded.decode)
            parts.append(f"Decoded in {number(self.decoded.milliseconds, 1)} ms{f' as the {kind}' if kind else ''}")
            if self.decoded.log_prior is not None:
                parts.append(f"log p(z) {number(float(self.decoded.log_prior[0]), 1, 'nat')}")
        if position is not None:
            ends = [f"{name} is {letter}" for letter, name in position.ends()]
            if ends:
                parts += ends
            elif position.name:
                parts.append(position.name)
        self.status.set_text(" · ".join(parts))

    def export_picture(self, scale: int) -> QImage:
        """The picture, 256 pixels times `scale`; null when there is none."""
        if self.decoded is None:
            return QImage()
        image = chw_to_qimage(self.decoded.images[0])
        return enlarged(image, max(1, 256 // max(image.width(), image.height())) * scale)

    def export_details(self) -> dict[str, object]:
        """The step that the picture is of, also where the time cursor is at another one by now."""
        return {} if self.decoded is None else {"step": str(self.decoded.step), "decode": self.decoded.decode}

    def set_colors(self, c: Colors) -> None:
        self.picture.set_colors(c)
        self.status.set_colors(c)
