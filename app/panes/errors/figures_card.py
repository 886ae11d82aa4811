"""A classifier in figures, and which classes it takes for each other most often."""

from __future__ import annotations

from functools import partial

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QGridLayout, QPushButton, QVBoxLayout

from app.shell.formatting import count, number, things
from app.shell.plain_text import set_tip
from app.shell.theme import Colors
from app.widgets.parts import Card, TextLines, clear, muted, plain
from engine.messages import ErrorsFound

FIGURES = (
    ("accuracy", "Share of right answers; in brackets Wilson’s 95 % interval."),
    ("log loss", "−log p of the true class, ± one standard error."),
    ("Brier score", "Σ (p − [is the class])² over the classes, from 0 to 2, ± one standard error."),
    ("confidence", "The probability that it gives its own answers, on average."),
    (
        "ECE",
        "Expected calibration error over 15 bins of equal width: how far confidence is from accuracy, on average. In brackets what a "
        "perfectly calibrated classifier stays below in 95 % of samples of so many images.",
    ),
)
PAIRS = 4
FINE = 0.1  # a limit from which on too few images were asked about to judge
LEAST = 0.01  # an ECE not worth a word
BRIEF = 16  # letters of a class in a pair: two of them must not make the column wider than the other


class ErrorFiguresCard(Card):
    """`picked(true, answer)` when one of the pairs is chosen."""

    picked = Signal(int, int)

    def __init__(self) -> None:
        super().__init__(12, 6)
        grid = QGridLayout()
        grid.setHorizontalSpacing(12)
        grid.setVerticalSpacing(2)
        self.cells = {}
        for row, (name, tip) in enumerate(FIGURES):
            label = muted(name, wrap=False)
            set_tip(label, tip)
            grid.addWidget(label, row, 0)
            self.cells[name] = plain("–")
            grid.addWidget(self.cells[name], row, 1, Qt.AlignmentFlag.AlignLeft)
        grid.setColumnStretch(1, 1)
        self.inside.addLayout(grid)
        self.verdict = TextLines(2, "What the calibration says", small=True)
        self.inside.addWidget(self.verdict)
        self.inside.addWidget(muted("Most often taken for each other", wrap=False))
        self.pairs = QVBoxLayout()
        self.pairs.setSpacing(0)
        self.inside.addLayout(self.pairs)
        self.inside.addStretch(1)

    def set_colors(self, c: Colors) -> None:
        self.verdict.set_colors(c)

    def show_figures(self, found: ErrorsFound | None) -> None:
        clear(self.pairs)
        if found is None:
            for cell in self.cells.values():
                cell.setText("–")
            self.verdict.set_text("")
            return
        f, (_, low, high) = found.figures, found.accuracy
        texts = (
            f"{number(100 * f['accuracy'], 1, '%')} ({number(100 * low, 1)} to {number(100 * high, 1, '%')})",
            f"{number(f['log_loss'], 3)} ± {number(f['log_loss_se'], 3, 'nat')}",
            f"{number(f['brier'], 3)} ± {number(f['brier_se'], 3)}",
            number(100 * f["confidence"], 1, "%"),
            f"{number(100 * f['calibration'], 1)} ± {number(100 * f['calibration_se'], 1, '%')} "
            f"(≤ {number(100 * f['calibration_limit'], 1, '%')})",
        )
        for (name, _), text in zip(FIGURES, texts, strict=True):
            self.cells[name].setText(text)
        self.verdict.set_text(*verdict(found))
        for true, answer, images in found.pairs[:PAIRS]:
            made = QPushButton(f"{brief(found.classes[true])} → {brief(found.classes[answer])}: {count(images)}")
            made.setProperty("kind", "link")
            made.setAccessibleName(f"{found.classes[true]} taken for {found.classes[answer]}, {things(images, 'time')}")
            set_tip(made, f"Show the images of {found.classes[true]} that were taken for {found.classes[answer]}.")
            made.clicked.connect(partial(self._picked, true, answer))
            self.pairs.addWidget(made, 0, Qt.AlignmentFlag.AlignLeft)
        if not found.pairs:
            self.pairs.addWidget(muted("None: every answer is right.", wrap=False))

    def _picked(self, true: int, answer: int, _checked: bool = False) -> None:
        self.picked.emit(true, answer)


def brief(name: str) -> str:
    """A class in a line that shares its width with another one: a long name loses its middle, or it would make the page wider."""
    return name if len(name) <= BRIEF else f"{name[: BRIEF // 2]}…{name[-BRIEF // 2 :]}"


def verdict(found: ErrorsFound) -> tuple[str, str]:
    """What the calibration error says of the confidence, and its level; by the rules that a classifier's own page has."""
    f = found.figures
    if f["calibration"] > max(f["calibration_limit"], LEAST):
        over = f["confidence"] > f["accuracy"]
        return ("Over-confident: surer than it is right." if over else "Under-confident: right more often than it is sure."), "warning"
    if f["calibration_limit"] > FINE:
        return f"{things(found.images, 'image is', 'images are')} too few to judge the calibration.", ""
    return f"Calibrated as far as {things(found.images, 'image')} can tell.", "good"
