"""Every term of the loss as a small card: name, newest value and a sparkline per run. Pressing one puts the term on the large plot."""

from __future__ import annotations

from functools import partial

import numpy as np
from PySide6.QtCore import QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QFont, QFontMetrics, QPainter, QPaintEvent, QPen, QPolygonF
from PySide6.QtWidgets import QAbstractButton, QGridLayout, QSizePolicy

from app.panes.curves.series import Series, thinned
from app.shell import formatting
from app.shell.plain_text import set_tip
from app.shell.theme import DARK, Colors, font
from app.widgets.parts import clear, short
from engine.common.training_metrics import of_phase

LAST = "last batch"  # what the number is of


class TermCardGrid(QGridLayout):
    """The cards side by side, one of them checked."""

    term_chosen = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.setSpacing(8)
        self.cards: dict[str, TermCard] = {}
        self.low = False

    def set_low(self, low: bool) -> None:
        """In a low window the cards go without their sparklines, so that the plot keeps its height."""
        self.low = low
        for card in self.cards.values():
            card.set_low(low)

    def show_terms(self, terms: list[str], checked: str, c: Colors) -> None:
        """A card for each term; the cards are only made anew when the terms are others."""
        if list(self.cards) == terms:
            return
        clear(self)
        self.cards = {}
        across = 4 if len(terms) % 4 == 0 or len(terms) > 5 else max(len(terms), 1)
        for place, term in enumerate(terms):
            card = self.cards[term] = TermCard(term)
            card.set_colors(c)
            card.set_low(self.low)
            card.setChecked(term == checked)
            card.clicked.connect(partial(self._clicked, term))
            self.addWidget(card, place // across, place % across)

    def _clicked(self, term: str, _checked: bool = False) -> None:
        self.term_chosen.emit(term)

    def check(self, term: str) -> None:
        for name, card in self.cards.items():
            card.setChecked(name == term)

    def set_colors(self, c: Colors) -> None:
        for card in self.cards.values():
            card.set_colors(c)


LEAST_WIDTH = 96  # pixels of a card: five side by side in a small window
HEIGHT, LOW_HEIGHT = 72, 46  # pixels of a card, with and without its sparkline
PADDING = 10  # pixels beside its texts
NARROWEST = 80  # per cent of a letter's own width


def narrowed(plain: QFont, text: str, width: float) -> QFont:
    """The font, with narrower letters where the text needs them to fit into `width` pixels; never below NARROWEST of their width."""
    narrow = QFont(plain)
    for stretch in range(100, NARROWEST - 1, -4):
        narrow.setStretch(stretch)
        if QFontMetrics(narrow).horizontalAdvance(text) <= width:
            break
    return narrow


class TermCard(QAbstractButton):
    """The newest value of one term and its curves, small."""

    def __init__(self, term: str) -> None:
        super().__init__()
        self.term = term
        self.unit = ""
        self.lines: list[tuple[Series, str]] = []  # points and colour, the run that is looked at first
        self.setCheckable(True)
        name = formatting.term(term)
        self.setText(name)
        self.setAccessibleName(f"Show {name}")
        set_tip(self, f"Show “{name}” on the large plot")
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.low = False
        self.setFixedHeight(HEIGHT)
        self.setMinimumWidth(LEAST_WIDTH)
        self._c: Colors = DARK
        self._small, self._bold = font(11), font(13, bold=True)

    def sizeHint(self) -> QSize:
        return QSize(128, self.minimumHeight())

    def set_low(self, low: bool) -> None:
        """Without the sparkline."""
        self.low = low
        self.setFixedHeight(LOW_HEIGHT if low else HEIGHT)
        self.update()

    def set_colors(self, c: Colors) -> None:
        self._c = c
        self.update()

    def show_lines(self, lines: list[tuple[Series, str]], unit: str = "") -> None:
        self.lines, self.unit = lines, unit
        if lines and len(lines[0][0]):
            self.setAccessibleDescription(f"of the last batch {short(float(lines[0][0].values[-1]))} {unit}".rstrip())
        value = short(float(lines[0][0].values[-1])) if lines and len(lines[0][0]) else ""
        wide = QFontMetrics(self._bold).horizontalAdvance(value + " ") + QFontMetrics(self._small).horizontalAdvance(unit)
        self.setMinimumWidth(max(LEAST_WIDTH, wide + 2 * PADDING + 2))  # a value and its whole unit, where the unit is a long one
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        c = self._c
        chosen = self.isChecked() or self.hasFocus()
        painter.setPen(QPen(QColor(c.accent if chosen else c.line), 1))
        painter.setBrush(QColor(c.background if not self.isChecked() else c.raised))
        painter.drawRoundedRect(QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5), 8, 8)
        inside = QRectF(self.rect()).adjusted(PADDING, 7, -PADDING, -8)
        painter.setFont(self._small)
        painter.setPen(QColor(c.muted))
        measured = of_phase(self.term)  # whose it is comes first: the end may be cut off
        name = formatting.term(self.term) if measured is None else " · ".join(reversed(measured))
        painter.setFont(narrowed(self._small, name, inside.width()))
        name = painter.fontMetrics().elidedText(name, Qt.TextElideMode.ElideRight, int(inside.width()))
        painter.drawText(inside, Qt.AlignmentFlag.AlignTop | Qt.AlignmentFlag.AlignLeft, name)
        if painter.fontMetrics().horizontalAdvance(name + "  " + LAST) <= inside.width():
            painter.drawText(inside, Qt.AlignmentFlag.AlignTop | Qt.AlignmentFlag.AlignRight, LAST)
        if not self.lines or not len(self.lines[0][0]):
            return
        painter.setFont(self._bold)
        painter.setPen(QColor(c.text))
        value = short(float(self.lines[0][0].values[-1]))
        below = inside.adjusted(0, 15, 0, 0)
        painter.drawText(below, Qt.AlignmentFlag.AlignTop | Qt.AlignmentFlag.AlignLeft, value)
        after = painter.fontMetrics().horizontalAdvance(value + " ")
        painter.setFont(self._small)
        painter.setPen(QColor(c.muted))
        what = painter.fontMetrics().elidedText(self.unit, Qt.TextElideMode.ElideRight, int(inside.width() - after))
        painter.drawText(below.adjusted(after, 2, 0, 0), Qt.AlignmentFlag.AlignTop | Qt.AlignmentFlag.AlignLeft, what)
        if self.low:
            return
        self._sparklines(painter, QRectF(inside.left(), inside.bottom() - 20, inside.width(), 20))

    def _sparklines(self, painter: QPainter, place: QRectF) -> None:
        shown = []
        for series, color in self.lines:
            if len(series) >= 2:
                x, y = thinned(series.steps, series.values, series.steps[0], series.steps[-1], int(place.width()))
                good = np.isfinite(y)
                if good.sum() >= 2:
                    shown.append((x[good].astype(float), y[good].astype(float), color))
        if not shown:
            return
        left, right = min(x[0] for x, _, _ in shown), max(x[-1] for x, _, _ in shown)
        every = np.concatenate([y for _, y, _ in shown])
        low, high = float(np.percentile(every, 1)), float(np.percentile(every, 97))
        span = (high - low) or 1.0
        for x, y, color in reversed(shown):
            across = place.left() + (x - left) / ((right - left) or 1.0) * place.width()
            down = place.bottom() - np.clip((y - low) / span, 0, 1) * place.height()
            painter.setPen(QPen(QColor(color), 1))
            painter.drawPolyline(QPolygonF([QPointF(a, b) for a, b in zip(across, down, strict=True)]))
