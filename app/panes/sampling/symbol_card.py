"""The distribution of one symbol: what the model says could stand at a place, what does, and another choice to branch from."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import Signal
from PySide6.QtWidgets import QButtonGroup, QHBoxLayout, QPushButton, QStackedWidget

from app.panes.sampling.probability_bars import SymbolRows, ValueBars
from app.panes.sampling.sample_tree import CHANNELS, POSITIONS, SYMBOL_KINDS, SampleNode
from app.shell.formatting import number
from app.shell.plain_text import set_tip
from app.shell.theme import Colors
from app.widgets.parts import Card, Elided, TextLines, button
from engine.messages import SymbolDistributed


class SymbolCard(Card):
    """`regrow_asked(symbol)`, and `channel_asked(channel)` for the red, green or blue value of a pixel."""

    regrow_asked = Signal(int)
    channel_asked = Signal(int)

    def __init__(self) -> None:
        super().__init__()
        row = QHBoxLayout()
        row.setSpacing(10)
        self.where = Elided("")
        self.where.setProperty("role", "muted")
        row.addWidget(self.where, 1)
        self.channels = QButtonGroup(self)
        self.channels.setExclusive(True)
        for index, name in enumerate(CHANNELS):
            made = QPushButton(name[0].upper())
            made.setProperty("kind", "path")
            made.setCheckable(True)
            made.setFixedWidth(16)
            made.setAccessibleName(f"The pixel's {name} value")
            set_tip(made, made.accessibleName())
            self.channels.addButton(made, index)
            row.addWidget(made)
        self.channels.idClicked.connect(self.channel_asked)
        self.inside.addLayout(row)
        self.bars = ValueBars("Probabilities of the values; arrow keys choose one")
        self.rows = SymbolRows("Probabilities of the symbols; arrow keys choose one")
        self.shapes = QStackedWidget()
        for shape in (self.bars, self.rows):
            shape.picked.connect(self._say)
            shape.taken.connect(self.regrow_asked)
            self.shapes.addWidget(shape)
        self.inside.addWidget(self.shapes, 1)
        self.words = TextLines(2, "The chosen value")
        self.inside.addWidget(self.words)
        self.regrow_button = button("Regrow from here", self._regrow, "Put this value there and let what follows grow as a branch.")
        self.inside.addWidget(self.regrow_button)

    def set_colors(self, c: Colors) -> None:
        for part in (self.bars, self.rows, self.words):
            part.set_colors(c)

    @property
    def shape(self) -> ValueBars | SymbolRows:
        return self.bars if self.shapes.currentWidget() is self.bars else self.rows

    @property
    def channel(self) -> int:
        return max(self.channels.checkedId(), 0)

    def show_place(self, node: SampleNode | None, at: tuple[int, int] | None, answer: SymbolDistributed | None, *, symbols: bool) -> None:
        """`at`: sample and place; `answer` may still be under way; `symbols`: whether samples are drawn one symbol after the other."""
        kind = node.began.kind if node is not None and node.began is not None else "pixels" if symbols else "whole"
        self.regrow_button.setVisible(symbols)
        self.shapes.setCurrentWidget(self.rows if kind in ("codes", "text") else self.bars)
        for made in self.channels.buttons():
            made.setVisible(node is not None and node.depth == len(CHANNELS))
        empty = f"Click a {POSITIONS[kind]} to see what else could have stood there."
        if kind not in SYMBOL_KINDS:
            how = "together, step by step" if kind == "steps" else "at once"
            empty = f"This model draws all pixels {how}; no pixel has a distribution of its own."
        elif at is not None and node is not None and at[1] > node.places[at[0]]:
            empty = f"This {POSITIONS[kind]} is not there yet."
        self.bars.empty_text = self.rows.empty_text = empty
        values = () if node is None or node.began is None else node.began.values
        there, where = -1, ""
        if at is not None and node is not None and node.tokens is not None:
            row, place = at
            if node.depth == len(CHANNELS):
                self.channels.button(place % node.depth).setChecked(True)
            where = f"{node.letter(row)} · {node.place_words(place)}"
            if place < node.places[row] and node.log_p is not None:
                there = int(node.tokens[row, place])
                where += f" · {number(-float(node.log_p[row, place]) / np.log(2), 2, 'bits')}"
        self.where.setText(where)
        raw, drawn, patches = (None, None, None) if answer is None else (answer.raw, answer.filtered, answer.patches)
        self.bars.show_distribution(raw if self.shape is self.bars else None, drawn, values, there)
        self.rows.show_distribution(raw if self.shape is self.rows else None, drawn, values, there, patches)
        self._say()

    def _say(self, *_: object) -> None:
        shape = self.shape
        known = len(shape.raw) > 0
        self.regrow_button.setEnabled(known and shape.candidate >= 0)
        if not known:
            self.words.set_text("")
        elif shape.candidate >= 0:
            self.words.set_text(shape.words(shape.candidate))
        else:
            told = f"{shape.words(shape.there)}. " if shape.there >= 0 else ""
            self.words.set_text(f"{told}Choose another one to regrow what follows.")

    def _regrow(self) -> None:
        self.regrow_asked.emit(self.shape.candidate)
