"""The final figures of a run: what its best checkpoint is worth on the test images, read once, at the end."""

from __future__ import annotations

import math

from PySide6.QtWidgets import QVBoxLayout, QWidget

from app.shell import theme
from app.shell.formatting import count, number, things
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
    "rate_nats": "nat",
    "distortion_nats": "nat",
    "distortion_bits_per_dim": "bits/dim",
    "nats_given_class": "nat",
    "bits_per_dim": "bits/dim",
    "elbo_bits_per_dim": "bits/dim",
    "bits_per_token": "bits",
    "log_loss": "nat",
    "bayes_log_loss": "nat",
}
SHARES = ("accuracy", "bayes_accuracy", "calibration", "bayes_calibration", "linear", "knn")
NAMES = {
    "nats": "−log p(x)",
    "nats_given_class": "−log p(x|y)",
    "elbo_nats": "−ELBO",
    "bits_per_dim": "−log p(x), per dimension",
    "elbo_bits_per_dim": "−ELBO, per dimension",
    "rate_nats": "rate, KL(q(z|x) ∥ p(z))",
    "distortion_nats": "distortion, −log p(x|z)",
    "distortion_bits_per_dim": "distortion, per dimension",
    "knn": "nearest neighbours",
    "linear": "linear probe",
    "random_init_knn": "nearest neighbours, random encoder",
    "random_init_linear": "linear probe, random encoder",
    "pixels_knn": "nearest neighbours, raw pixels",
    "pixels_linear": "linear probe, raw pixels",
}


def figure_lines(figure: FinalFigure) -> list[tuple[str, str]]:
    """(name, value ± standard error with its unit) of each number that has a standard error; without it where it is not finite."""
    lines = []
    for name, value in figure.values.items():
        error = figure.values.get(f"{name}_se")
        if not isinstance(value, float) or not isinstance(error, float):
            continue
        words = NAMES.get(name, name.replace("_", " "))
        if "k" in figure.values and name in ("nats", "bits_per_dim"):
            words = f"{words} (IWAE, K = {figure.values['k']})"
        known = math.isfinite(error)  # of one image there is none
        if name.endswith(SHARES):
            lines.append((words, f"{100 * value:.1f} ± {100 * error:.1f} %" if known else f"{100 * value:.1f} %"))
        else:
            unit = UNITS.get(name, "")
            lines.append((words, f"{number(value, 3)} ± {number(error, 3, unit)}" if known else number(value, 3, unit)))
    return lines


def newest_of_each_kind(figures: tuple[FinalFigure, ...]) -> tuple[FinalFigure, ...]:
    """The last reading of densities or classes, and the last one of probes, oldest first."""
    last = {_is_probe(figure): figure for figure in figures}
    return tuple(figure for figure in figures if figure is last[_is_probe(figure)])


def _is_probe(figure: FinalFigure) -> bool:
    return "knn" in figure.values


def words_of(figures: tuple[FinalFigure, ...]) -> str:
    """When, of which checkpoint and on how many images the newest figures of each kind were read."""
    parts = []
    for last in newest_of_each_kind(figures):
        fitted = last.values.get("n_train")
        every = "" if _is_probe(last) and fitted is None else "all "  # a probe was once asked about a limited number
        images = f"{every}{things(last.images, 'test image')}" if last.images else "the whole test text"
        probes = f", probes fitted on {things(fitted, 'training image')}" if isinstance(fitted, int) else ""
        parts.append(f"Step {count(last.step)} ({last.step_rule}), {images}{probes}, {last.date[:10]}.")
    if len(figures) > 1:
        parts.append(f"Reading {len(figures)} of the test images: what an earlier one decided makes these look too good.")
    return " ".join(parts)


class FinalFiguresCard(QWidget):
    """The newest final figures of each kind of the chosen run; hidden where there are none."""

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
            self.figures.setText(
                "\n".join(f"{name}: {value}" for figure in newest_of_each_kind(figures) for name, value in figure_lines(figure))
            )
            self.when.setText(words_of(figures))
