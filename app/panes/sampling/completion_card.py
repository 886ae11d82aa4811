"""An image of one's own, and the part of it that is given: the rest is for the model to draw."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import Signal
from PySide6.QtWidgets import QComboBox, QHBoxLayout

from app.panes.sampling.sample_canvas import MaskPainter
from app.shell.formatting import count, number
from app.shell.theme import Colors
from app.widgets.parts import Card, TextLines, button, muted
from engine.messages import SymbolsRead

COMPLETIONS = 8
BRUSHES = (1, 3, 5, 9)  # px


class CompletionCard(Card):
    """`open_asked` for another image, `complete_asked` to draw what is missing."""

    open_asked = Signal()
    complete_asked = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.read: SymbolsRead | None = None
        self.painter = MaskPainter("The part of the image that is given; arrows and Space change it")
        self.painter.empty_text = "Drop an image, or open one: the model completes what you take out of it."
        self.painter.painted_over.connect(self._say)
        self.inside.addWidget(self.painter, 1)
        self.note = TextLines(4, "What is given", small=True)
        self.inside.addWidget(self.note)
        row = QHBoxLayout()
        row.setSpacing(6)
        self.open_button = button("Open…", self.open_asked.emit, "Choose an image to complete. It can be dropped here, too.")
        self.half_button = button("Upper half", self.give_upper_half, "Give the upper half only.")
        self.all_button = button("All", self.give_all, "Give everything; then paint with the mouse what is to be drawn anew.")
        for made in (self.open_button, self.half_button, self.all_button):
            row.addWidget(made)
        row.addStretch(1)
        self.inside.addLayout(row)
        row = QHBoxLayout()
        row.setSpacing(6)
        row.addWidget(muted("Brush", wrap=False))
        self.brush = QComboBox()
        self.brush.setAccessibleName("Brush")
        for size in BRUSHES:
            self.brush.addItem(f"{size} px", (size + 1) // 2)
        self.brush.currentIndexChanged.connect(self._brush_chosen)
        self.brush.setCurrentIndex(1)
        row.addWidget(self.brush)
        row.addStretch(1)
        self.complete_button = button(
            f"Complete ×{COMPLETIONS}", self.complete_asked.emit, "Draw what is missing; the likeliest comes first.", primary=True
        )
        row.addWidget(self.complete_button)
        self.inside.addLayout(row)
        self.show_read(None)

    def set_colors(self, c: Colors) -> None:
        self.painter.set_colors(c)
        self.note.set_colors(c)

    def show_read(self, read: SymbolsRead | None, keep: bool = False) -> None:
        """Another image, its upper half given; `keep` what was painted, where the image is the same one read anew."""
        known = self.painter.known if keep and read is not None and self.painter.known.shape == (read.rows, read.columns) else None
        self.read = read
        if read is None:
            self.painter.show_image(None)
            self._say()
            return
        self.painter.show_image(read.image, read.rows, read.columns, known)
        if known is None:
            self.give_upper_half()
        else:
            self._say()

    def _brush_chosen(self, *_: object) -> None:
        self.painter.brush = int(self.brush.currentData())

    def _upper_half(self) -> np.ndarray:
        assert self.read is not None
        known = np.zeros((self.read.rows, self.read.columns), bool)
        known[: self.read.rows // 2] = True
        return known

    def give_upper_half(self) -> None:
        if self.read is not None:
            self.painter.set_known(self._upper_half())

    def give_all(self) -> None:
        if self.read is not None:
            self.painter.set_known(np.ones((self.read.rows, self.read.columns), bool))

    def given(self) -> np.ndarray | None:
        """The symbols that are given, int32 [N] with -1 elsewhere; None when nothing is missing."""
        if self.read is None or self.painter.known.all():
            return None
        known = np.repeat(self.painter.known.ravel(), self.read.depth)
        return np.where(known, self.read.tokens, -1).astype(np.int32)

    def part(self) -> str:
        """What is given, in words."""
        half = np.array_equal(self.painter.known, self._upper_half())
        return "upper half" if half else f"{count(int(self.painter.known.sum()))} given"

    def _say(self) -> None:
        read = self.read
        for made in (self.half_button, self.all_button):
            made.setEnabled(read is not None)
        known = self.painter.known.ravel()
        missing = 0 if read is None else int((~known).sum())
        self.complete_button.setEnabled(missing > 0)
        if read is None:
            self.note.set_text("")
            return
        what = "patch" if read.kind == "codes" else "pixel"
        parts = [f"{read.label} · {number(float(read.log_p.sum(dtype=np.float64)), 1, 'nat')}."]
        parts += [f"{note.rstrip('.')}." for note in read.notes]
        late = int(known[int(np.argmin(known)) :].sum()) if missing else 0
        if not missing:
            parts.append("Paint with the mouse what is to be drawn; the right button gives it back.")
        elif late:
            those, come = ("es" if what == "patch" else "s", "come") if late > 1 else ("", "comes")
            parts.append(
                f"{count(late)} given {what}{those} {come} after the first missing one: kept as they are, but what is drawn before "
                "them does not know them; the ranking does."
            )
        else:
            parts.append(f"{count(int(known.sum()))} given, {count(missing)} to be drawn.")
        self.note.set_text(" ".join(parts), "warning" if late else "")
