"""The samples as they are seen: images or texts at the film's position, as they are or as surprisal in bits."""

from __future__ import annotations

import numpy as np
from PySide6.QtWidgets import QCheckBox, QStackedWidget

from app.panes.sampling.film import SampleFilm
from app.panes.sampling.sample_canvas import SampleCanvas
from app.panes.sampling.sample_grid import SampleGrid, captions, max_surprisal, sample_grid
from app.panes.sampling.sample_tree import SampleNode
from app.panes.sampling.text_canvas import TextCanvas, Texts
from app.shell.plain_text import set_tip
from app.shell.theme import Colors
from app.widgets.heat import HeatLegend
from app.widgets.parts import Card


class SamplesView(Card):
    """Has its own switch for the surprisal and its legend, to be put where there is room for them."""

    def __init__(self) -> None:
        super().__init__(12, 0)
        self.canvas = SampleCanvas("Samples; arrow keys move the chosen pixel")
        self.text = TextCanvas("Texts; arrow keys move the chosen character")
        self.canvases = QStackedWidget()
        self.canvases.addWidget(self.canvas)
        self.canvases.addWidget(self.text)
        self.inside.addWidget(self.canvases)
        self.legend = HeatLegend("Surprise, from dark to bright", "bits")
        self.bits_box = QCheckBox("Bits")
        self.bits_box.setAccessibleName("Show the surprise in bits")
        set_tip(self.bits_box, "How much each symbol surprised the model: −log₂ p of what stands there, before any filter.")

    def set_colors(self, c: Colors) -> None:
        for widget in (self.canvas, self.text, self.legend):
            widget.set_colors(c)

    def shows_text(self, node: SampleNode | None, expected: bool) -> bool:
        """`expected`: whether the chosen run writes text, where nothing has been drawn yet."""
        if node is None:
            return expected
        return node.began is not None and node.began.kind == "text"

    def show_samples(self, film: SampleFilm, *, expect_text: bool, symbols: bool, drawing: bool) -> None:
        """The samples of the film's node; `symbols`: whether they are drawn one by one; `drawing`: while a job draws them."""
        node = film.node
        text = self.shows_text(node, expect_text)
        self.canvases.setCurrentWidget(self.text if text else self.canvas)
        self.bits_box.setVisible(symbols)
        self.legend.setVisible(symbols and self._with_bits(node))
        self.canvas.empty_text = f"Samples appear here{', one symbol after the other' if symbols else ''}."
        if node is None or node.tokens is None:
            self.canvas.show_grid(None)
            self.text.show_texts(None)
            return
        if self._with_bits(node):
            self.legend.set_most(max_surprisal(node))
        if text:
            self.text.show_texts(self._texts(node, film.position))
        else:
            self.canvas.show_grid(self.grid(node, film.position, drawing=drawing, follows=not film.held and not film.playing))

    def _with_bits(self, node: SampleNode | None) -> bool:
        return self.bits_box.isChecked() and (node is None or node.has_symbols)

    def grid(self, node: SampleNode, position: int, *, drawing: bool = False, follows: bool = True) -> SampleGrid | None:
        """The images as they are to be seen at a position of the film."""
        return sample_grid(node, position, self.legend.most if self._with_bits(node) else None, drawing=drawing, follows=follows)

    def _texts(self, node: SampleNode, position: int) -> Texts:
        assert node.began is not None and node.tokens is not None
        bits = node.surprisal(position) if self._with_bits(node) else None
        under = captions(node) if node.count > 1 or node.done else ()
        places = np.minimum(node.places, position)
        return Texts(node.tokens, places, node.began.values, bits, self.legend.most, node.given_cells(), under)

    def mark(self, node: SampleNode | None, at: tuple[int, int] | None) -> None:
        """Mark the symbol at a place of a row of the node."""
        if node is None or at is None:
            self.canvas.set_mark(None)
            self.text.set_mark(None)
            return
        row, place = at
        self.canvas.set_mark((node.display_order().index(row), place // node.depth))
        self.text.set_mark(at if place < node.places[row] else None)
