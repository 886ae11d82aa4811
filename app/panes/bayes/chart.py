"""Rows of one class each: log p(x|y) below the best class, the posterior, and the classifier's answer."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFontMetrics, QPainter

from app.shell.formatting import number
from app.shell.plain_text import set_tip
from app.shell.theme import CATEGORIES
from app.widgets.chart import LEFT, MIDDLE, RIGHT, Chart
from app.widgets.colors import shade

ROW, HEAD = 25, 22  # pixels; a row is as high as a slider, which may stand beside it
FIGURES, WIDE_FIGURES = 64, 104  # pixels, without and with an error
NAMES = 48  # pixels of the shortest names; longer ones get what they need, up to a third of the width

ERRORS = (
    "± is one standard error of log p(x|y), of the probability flow’s random signs and its solver’s steps. The signs are drawn alike for "
    "all classes, so the differences between classes are surer than that."
)
NO_CLASSIFIER = "no classifier of these data"


class BayesBars(Chart):
    """Call `set_answer`. Three columns: nats below the best class, p(y|x) by Bayes' rule, p(y|x) of the classifier."""

    def __init__(self) -> None:
        self.names: tuple[str, ...] = ()
        self.columns: list[tuple[str, np.ndarray | None]] = []
        self.given: np.ndarray = np.zeros(0)
        self.errors: np.ndarray | None = None
        super().__init__("Bayes’ rule for each class")

    def set_answer(
        self,
        names: tuple[str, ...],
        given: np.ndarray,
        posterior: np.ndarray,
        classifier: np.ndarray | None,
        errors: np.ndarray | None = None,
    ) -> None:
        """log p(x|y) in nats, p(y|x) by Bayes' rule and p(y|x) of the classifier, and standard errors of the first, each [K]."""
        self.names, self.given, self.errors = names, given, errors
        below = given - given.max()
        self.columns = [("log p(x|y) − best, nat", below), ("p(y|x), Bayes’ rule", posterior), ("p(y|x), classifier", classifier)]
        set_tip(self, "" if errors is None else ERRORS)
        self.setMinimumHeight(HEAD + ROW * len(names))
        best = int(posterior.argmax())
        self.setAccessibleDescription(f"Bayes’ rule: {names[best]} with {number(100 * float(posterior[best]), 1, '%')}.")
        self.updateGeometry()
        self.update()

    def clear(self) -> None:
        """Nothing is known yet."""
        self.names, self.columns, self.given, self.errors = (), [], np.zeros(0), None
        self.setMinimumHeight(0)
        self.update()

    def sizeHint(self) -> QSize:
        return QSize(420, HEAD + ROW * max(3, len(self.names)))

    def names_width(self) -> float:
        """Pixels of the column of names, with the gap beside it."""
        metrics = QFontMetrics(self._small)
        needed = max((metrics.horizontalAdvance(name) for name in self.names), default=0) + 12
        return float(min(max(needed, NAMES), max(self.width() / 3, NAMES)))

    def draw(self, painter: QPainter) -> None:
        if not self.names:
            self.draw_hint(painter, "Drop a picture, or choose a held-out image: what each class says of it appears here.")
            return
        names = self.names_width()
        wide = (self.width() - names) / len(self.columns)
        painter.setFont(self._small)
        painter.setPen(QColor(self._c.muted))
        for at, (title, _) in enumerate(self.columns):
            painter.drawText(QRectF(names + at * wide, 0, wide - 8, HEAD), LEFT | MIDDLE, title)
        for row, name in enumerate(self.names):
            top = HEAD + row * ROW
            painter.setPen(QColor(self._c.text))
            told = painter.fontMetrics().elidedText(name, Qt.TextElideMode.ElideMiddle, int(names) - 10)
            painter.drawText(QRectF(0, top, names - 8, ROW), LEFT | MIDDLE, told)
            for at, (_, values) in enumerate(self.columns):
                self._bar(painter, QRectF(names + at * wide, top, wide - 8, ROW), at, row, values)

    def _bar(self, painter: QPainter, place: QRectF, at: int, row: int, values: np.ndarray | None) -> None:
        """A nat is drawn to the scale of the classes: the worst one has no bar, the best one a whole one."""
        if values is None:
            if row == 0:
                painter.setPen(QColor(self._c.muted))
                room = QRectF(place.left(), place.top() + 4, place.width(), max(ROW * len(self.names) - 4, ROW))
                painter.drawText(room, LEFT | Qt.AlignmentFlag.AlignTop | Qt.TextFlag.TextWordWrap, NO_CLASSIFIER)
            return
        figures = FIGURES if at or self.errors is None else WIDE_FIGURES
        value, reach = float(values[row]), max(place.width() - figures, 20)
        share = value if at else 1 - value / min(float(values.min()), -1e-9)
        painter.fillRect(QRectF(place.left(), place.top() + 6, max(reach * share, 1), ROW - 12), shade(CATEGORIES[at], self._c))
        painter.setPen(QColor(self._c.text))
        text = number(100 * value, 1, "%") if at else number(value, 1)
        if at == 0 and self.errors is not None:
            text += f" ± {number(float(self.errors[row]), 1)}"
        painter.drawText(QRectF(place.right() - figures, place.top(), figures, ROW), RIGHT | MIDDLE, text)

    def table(self) -> tuple[tuple[str, ...], list[tuple[object, ...]]]:
        rows: list[tuple[object, ...]] = [
            (
                name,
                float(self.given[i]),
                *("" if v is None else float(v[i]) for _, v in self.columns),
                "" if self.errors is None else float(self.errors[i]),
            )
            for i, name in enumerate(self.names)
        ]
        return ("class", "log p(x|y), nat", *(title for title, _ in self.columns), "standard error, nat"), rows
