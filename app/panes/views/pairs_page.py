"""The page of the batch's similarities: the map, the pair that is looked at, and the other images that are found most similar."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QComboBox, QGridLayout, QHBoxLayout, QScrollArea, QVBoxLayout, QWidget

from app.panes.views.formatting import cosine, pixels
from app.panes.views.similarity_matrix import Similarities, SimilarityMap
from app.panes.views.view_grid import is_local
from app.shell.formatting import number
from app.shell.theme import Colors
from app.widgets.image_strip import ImageStrip
from app.widgets.image_view import ImageView, chw_to_qimage
from app.widgets.parts import Card, TextLines, heading, muted
from engine.messages import BatchShown

HARDEST = 6
SIDE = 304  # px of the column at the right: six figures of four digits side by side


def agreement(shown: BatchShown) -> list[str]:
    """How similar a teacher and a student find different views of the same image, on average; nothing where there is no teacher."""
    found: dict[str, list[np.ndarray]] = {}
    for a, teacher in enumerate(shown.watchers):
        for b, student in enumerate(shown.watchers):
            if (teacher.role, student.role) == ("teacher", "student") and teacher.view != student.view:
                name = "local crops" if is_local(shown, student.view) else "the other global crop"
                found.setdefault(name, []).append(shown.cosines[:, a, b])
    told = [f"{cosine(float(np.mean(values)))} on {name}" for name, values in found.items()]
    return [f"Teacher and student agree by {' and '.join(told)}."] if told else []


class PairsPage(QWidget):
    """`pair_chosen(a, b)`: other watchers are to be compared."""

    pair_chosen = Signal(int, int)

    def __init__(self) -> None:
        super().__init__()
        self.similar: Similarities | None = None
        self._columns: list[int] = []  # of the matrix, one for each of the hardest
        columns = QHBoxLayout(self)
        columns.setContentsMargins(0, 0, 0, 0)
        columns.setSpacing(16)
        card = Card(12, 8)
        self.map = SimilarityMap()
        self.map.hint = "The similarities appear here."
        card.inside.addWidget(self.map, 1)
        columns.addWidget(card, 1)
        side = QVBoxLayout()
        side.setSpacing(8)
        holder = QWidget()
        holder.setObjectName("contents")
        holder.setLayout(side)
        side.setContentsMargins(0, 0, 0, 0)
        holder.setFixedWidth(SIDE)
        area = QScrollArea()  # where there is little height the map shrinks, and this scrolls
        area.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        area.setWidgetResizable(True)
        area.setWidget(holder)
        area.setFixedWidth(SIDE + area.verticalScrollBar().sizeHint().width())
        columns.addWidget(area)
        self._build_choice(side)
        self._build_pair(side)
        self._build_hardest(side)
        side.addStretch(1)
        self.map.picked.connect(self._picked)
        self.map.looked_at.connect(self._show_pair)

    def _build_choice(self, side: QVBoxLayout) -> None:
        side.addWidget(heading("Compared"))
        grid = QGridLayout()
        grid.setSpacing(8)
        self.a, self.b = QComboBox(), QComboBox()
        for row, (box, name) in enumerate(((self.a, "rows"), (self.b, "columns"))):
            box.setAccessibleName(f"View in the {name}")
            box.activated.connect(self._chosen)
            grid.addWidget(muted(name, wrap=False), row, 0)
            grid.addWidget(box, row, 1)
        grid.setColumnStretch(1, 1)
        side.addLayout(grid)
        self.summary = TextLines(5, "How similar positives and negatives are", small=True)
        side.addWidget(self.summary)

    def _build_pair(self, side: QVBoxLayout) -> None:
        side.addWidget(heading("This pair"))
        card = Card(12, 8)
        row = QHBoxLayout()
        row.setSpacing(8)
        self.left, self.right = ImageView("View of the row"), ImageView("View of the column")
        for view in (self.left, self.right):
            view.setFixedSize(88, 88)
            row.addWidget(view)
        row.addStretch(1)
        card.inside.addLayout(row)
        self.pair_words = TextLines(3, "The pair in words", small=True)
        card.inside.addWidget(self.pair_words)
        side.addWidget(card)

    def _build_hardest(self, side: QVBoxLayout) -> None:
        side.addWidget(heading("Hardest negatives"))
        self.hardest_of = TextLines(1, "What they are found similar to", small=True)
        side.addWidget(self.hardest_of)
        card = Card(12, 4)
        self.hardest = ImageStrip("Other images that are found most similar", columns=HARDEST, least=24, most=40, gap=2, rows=1)
        self.hardest.setFixedHeight(42)
        self.hardest.picked.connect(self._hardest_picked)
        self.hardest.looked_at.connect(self._hardest_picked)
        card.inside.addWidget(self.hardest)
        row = QHBoxLayout()
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(2)
        self.figures = [muted("", wrap=False) for _ in range(HARDEST)]
        for figure in self.figures:
            figure.setProperty("role", "small")
            figure.setMinimumWidth(figure.fontMetrics().horizontalAdvance("0.0000") + 2)
            figure.setAlignment(Qt.AlignmentFlag.AlignHCenter)
            row.addWidget(figure, 1)
        card.inside.addLayout(row)
        side.addWidget(card)

    def set_colors(self, c: Colors) -> None:
        for widget in (self.map, self.left, self.right, self.hardest, self.summary, self.pair_words, self.hardest_of):
            widget.set_colors(c)

    def set_batch(self, shown: BatchShown | None) -> None:
        self.similar = None if shown is None else Similarities(shown)
        self.map.set_similar(self.similar)
        if shown is None or self.similar is None:
            for view in (self.left, self.right):
                view.set_pixels(None)
            self.hardest.set_pixels(None)
            for lines in (self.summary, self.pair_words, self.hardest_of):
                lines.set_text("")
            for figure in self.figures:
                figure.setText("")
            return
        names = [watcher.name for watcher in shown.watchers]
        for box, place in ((self.a, shown.pair[0]), (self.b, shown.pair[1])):
            if [box.itemText(index) for index in range(box.count())] != names:
                box.clear()
                box.addItems(names)
            box.setCurrentIndex(place)
        self._summarize(self.similar)
        self._show_pair(*self.map.chosen)
        self._show_hardest(self.map.chosen[0])

    def choose_image(self, image: int) -> None:
        """Look at an image's row, and at its own other view."""
        if self.similar is not None and 0 <= image < self.similar.n:
            columns = [int(column) for column in self.similar.positive[image].nonzero()[0]]
            self._picked(image, columns[0] if columns else image)

    def _summarize(self, similar: Similarities) -> None:
        positive, negative = similar.means()
        right, rows = similar.found()
        same, other = (cosine(value, similar.digits) for value in (positive, negative))
        parts = [f"The same image: {same} on average. Other images: {other}."]
        parts.append(f"Its own partner is the most similar of all for {right} of {rows} ({number(100 * right / rows, 0, '%')}).")
        parts += agreement(similar.shown)
        self.summary.set_text(" ".join(parts))

    def _show_pair(self, row: int, column: int) -> None:
        similar = self.similar
        if similar is None:
            return
        for view, place, rows in ((self.left, row, True), (self.right, column, False)):
            view.set_pixels(self._picture(similar, place, rows))
        self.pair_words.set_text(self.map.said(row, column))

    @staticmethod
    def _picture(similar: Similarities, place: int, rows: bool) -> np.ndarray:
        shown, image = similar.shown, place % similar.n
        watcher = shown.watchers[similar.watcher(place, rows)]
        return shown.originals[image] if watcher.view < 0 else pixels(shown.views[watcher.view].x[image])

    def _show_hardest(self, row: int) -> None:
        similar = self.similar
        if similar is None:
            return
        self._columns = similar.hardest(row, HARDEST)
        images = [self._picture(similar, column, False) for column in self._columns]
        tips = [self.map.said(row, column) for column in self._columns]
        self.hardest.choose(-1)
        self.hardest.images = [chw_to_qimage(image) for image in images]  # crops of two sizes may stand side by side
        self.hardest.tips = tips
        self.hardest.update()
        self.hardest_of.set_text(f"of {similar.name(row, True)}")
        for place, figure in enumerate(self.figures):
            there = place < len(self._columns)
            figure.setText(cosine(similar.matrix[row, self._columns[place]], similar.digits) if there else "")

    def _picked(self, row: int, column: int) -> None:
        self.map.choose(row, column)
        self._show_pair(row, column)
        self._show_hardest(row)

    def _hardest_picked(self, index: int) -> None:
        if index < len(self._columns):
            row, column = self.map.chosen[0], self._columns[index]
            self.map.choose(row, column)
            self._show_pair(row, column)

    def _chosen(self, _index: int) -> None:
        self.pair_chosen.emit(self.a.currentIndex(), self.b.currentIndex())
