"""The final figures of a run: what its best checkpoint is worth on the test images, read once, at the end."""

from __future__ import annotations

from PySide6.QtWidgets import QVBoxLayout, QWidget

from app.shell import theme
from app.shell.formatting import count, number
from app.shell.plain_text import PlainLabel
from engine.messages import FinalFigure

ACTION = "Final figures on the test images…"
CONSEQUENCE = (
    "Scores the best checkpoint on every test image and keeps the figures with their date in the run. "
    "Do it once, at the end: whoever chooses by them makes them look too good."
)
UNITS = {
    "nats": "nat",
    "elbo_nats": "nat",
    "nats_per_token": "nat",
    "bits_per_dim": "bits/dim",
    "bits_per_token": "bits",
    "log_loss": "nat",
    "bayes_log_loss": "nat",
}
SHARES = ("accuracy", "bayes_accuracy", "calibration", "bayes_calibration", "linear", "knn")


def figure_lines(figure: FinalFigure) -> list[tuple[str, str]]:
    """(name, value ± standard error with its unit) of each number that has a standard error."""
    lines = []
    for name, value in figure.values.items():
        error = figure.values.get(f"{name}_se")
        if not isinstance(value, float) or not isinstance(error, float):
            continue
        words = name.replace("_", " ")
        if name in SHARES:
            lines.append((words, f"{100 * value:.1f} ± {100 * error:.1f} %"))
        else:
            lines.append((words, f"{number(value, 3)} ± {number(error, 3, UNITS.get(name, ''))}"))
    return lines


def words_of(figures: tuple[FinalFigure, ...]) -> str:
    """When, of which checkpoint and on how many images the newest figures were read."""
    last = figures[-1]
    every = "" if "linear" in last.values else "all "  # a linear probe is asked about a limited number
    images = f"{every}{count(last.images)} test images" if last.images else "the whole test text"
    again = (
        "" if len(figures) == 1 else f" Reading {len(figures)} of the test images: what an earlier one decided makes these look too good."
    )
    return f"Step {count(last.step)} ({last.step_rule}), {images}, {last.date[:10]}.{again}"


class FinalFiguresCard(QWidget):
    """The newest final figures of the chosen run; hidden where there are none."""

    def __init__(self) -> None:
        super().__init__()
        self.column = QVBoxLayout(self)
        self.column.setContentsMargins(4, 0, 4, 0)
        self.column.setSpacing(4)
        self.when = theme.role(PlainLabel(), "small")
        self.figures = PlainLabel()
        for label in (self.figures, self.when):
            label.setWordWrap(True)
            self.column.addWidget(label)
        self.setAccessibleName("Final figures on test images")
        self.hide()

    def show_figures(self, figures: tuple[FinalFigure, ...]) -> None:
        self.setVisible(bool(figures))
        if figures:
            self.figures.setText("\n".join(f"{name}: {value}" for name, value in figure_lines(figures[-1])))
            self.when.setText(words_of(figures))
