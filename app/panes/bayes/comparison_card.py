"""The card with Bayes' rule beside the classifier: how often each is right, how well it is calibrated, how unusual the picture is to it."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QGridLayout

from app.panes.bayes.comparison import ClassifierFigures, Unusual
from app.shell.formatting import THIN, number
from app.shell.plain_text import set_tip
from app.widgets.parts import Card, muted, plain

HEADS = ("", "accuracy", "calibration error", "this picture")
HELP = (
    "",
    "How often the likeliest class is the right one, ± one standard error.",
    "Expected calibration error over 15 bins of confidence: how far the probability of an answer is from how often it is right. "
    "In brackets what a perfectly calibrated classifier stays below in 95 % of samples.",
    "Where its score stands among the validation images; the p-value is the share of them that are as unusual.",
)
UNKNOWN = "–"


class ComparisonCard(Card):
    """Call `set_row` for each of the two; it is empty before."""

    def __init__(self) -> None:
        super().__init__(8, 0)
        grid = QGridLayout()
        grid.setHorizontalSpacing(16)
        grid.setVerticalSpacing(4)
        self.inside.addLayout(grid)
        for column, (text, tip) in enumerate(zip(HEADS, HELP, strict=True)):
            label = muted(text, wrap=False)
            set_tip(label, tip)
            grid.addWidget(label, 0, column)
        self.cells = tuple(tuple(plain(UNKNOWN, wrap=column == 3) for column in range(4)) for _ in range(2))
        for row, cells in enumerate(self.cells, 1):
            for column, cell in enumerate(cells):
                grid.addWidget(cell, row, column, Qt.AlignmentFlag.AlignTop)
        for row, name in enumerate(("Bayes’ rule", "classifier")):
            self.cells[row][0].setText(name)
        grid.setColumnStretch(3, 1)

    def clear_row(self, row: int, why: str = UNKNOWN) -> None:
        """`why` stands in the last column."""
        for cell, text in zip(self.cells[row][1:], (UNKNOWN, UNKNOWN, why), strict=True):
            cell.setText(text)

    def set_row(self, row: int, figures: ClassifierFigures, picture: Unusual | None, score: str) -> None:
        """`score`: the picture's own, in words."""
        told = self.cells[row]
        told[1].setText(f"{number(100 * figures.accuracy, 1)} ± {number(100 * figures.accuracy_se, 1, '%')}")
        told[2].setText(f"{number(100 * figures.calibration, 1, '%')} (≤ {number(100 * figures.limit, 1, '%')})")
        told[3].setText(score if picture is None else f"{score}: {in_words(picture)}")


def in_words(picture: Unusual) -> str:
    """“lower than for 99 % of them, p = 0.012: unusual by this score (p ≤ 0.05)”."""
    share = f"{100 * picture.below:.0f}{THIN}%"
    return f"lower than for {share} of them, p = {number(picture.p, 3)}: {picture.verdict.words}"
