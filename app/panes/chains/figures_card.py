"""What the chains are worth so far, coordinate by coordinate, and in words."""

from __future__ import annotations

import math

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QGridLayout, QLabel, QWidget

from app.panes.chains.settings import ChainSettings
from app.shell.formatting import count, number, things
from app.shell.plain_text import set_tip
from app.widgets.parts import Card, muted, plain
from engine.common.chains import LEAST_ESS, LEAST_RHAT, without_figures
from engine.messages import ChainFigures, ChainsBegan

ROWS = (
    ("ess", "ESS", "Bulk effective sample size (Vehtari et al. 2021): so many independent draws would tell the mean as well."),
    ("rhat", "R-hat", "Rank-normalized, split: how much wider all chains together are than each by itself; below 1.01 they agree."),
    ("mean", "mean", "Of all chains so far."),
    ("mean_exact", "exact", "The density's own mean."),
    ("deviation", "deviation", "Standard deviation of all chains so far."),
    ("deviation_exact", "exact", "The density's own standard deviation."),
)
FEW, MANY = 0.15, 0.99  # accepted
CLEARLY = 1.05  # R-hat beyond which chains disagree


class ChainFiguresCard(Card):
    """Call `show_figures`."""

    def __init__(self) -> None:
        super().__init__(12, 4)
        holder = QWidget()
        grid = QGridLayout(holder)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(8)
        grid.setVerticalSpacing(2)
        self.cells: dict[tuple[str, int], QLabel] = {}
        self.acceptance = self._cell("accepted", 1)
        grid.addWidget(muted("accepted", wrap=False), 0, 0)
        grid.addWidget(self.acceptance, 0, 1, 1, 2)
        for column, name in ((1, "x"), (2, "y")):
            grid.addWidget(self._right(muted(name, wrap=False)), 1, column)
            grid.setColumnStretch(column, 1)
        for row, (key, name, tip) in enumerate(ROWS, 2):
            label = muted(name, wrap=False)
            set_tip(label, tip)
            grid.addWidget(label, row, 0)
            for axis in range(2):
                grid.addWidget(self._cell(key, axis), row, 1 + axis)
        self.inside.addWidget(holder)

    @staticmethod
    def _right(label: QLabel) -> QLabel:
        label.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        return label

    def _cell(self, key: str, axis: int) -> QLabel:
        self.cells[key, axis] = self._right(plain("–"))
        return self.cells[key, axis]

    def show_figures(self, figures: ChainFigures | None, began: ChainsBegan | None) -> None:
        self.acceptance.setText("–" if figures is None else number(100 * figures.acceptance, 1, "%"))
        for key, _, _ in ROWS:
            name, exact = key.removesuffix("_exact"), key.endswith("_exact")
            source = began if exact else figures
            for axis in range(2):
                value = math.nan if source is None else getattr(source, name)[axis]
                self.cells[key, axis].setText(written(name, value))

    def texts(self) -> dict[tuple[str, int], str]:
        return {key: label.text() for key, label in self.cells.items()}


def written(name: str, value: float) -> str:
    """A figure as the card and the export say it."""
    if not math.isfinite(value):
        return "–"
    return count(round(value)) if name == "ess" else number(value, 3 if name == "rhat" else 2)


def verdict(figures: ChainFigures | None, settings: ChainSettings) -> tuple[str, str]:
    """What the figures mean and what to do, and the level of it."""
    if figures is None:
        return "Choose a density and a sampler at the right; move a slider while the chains walk.", ""
    after = f"After {things(figures.steps, 'step')}: "
    rhat, ess = max(figures.rhat), min(figures.ess)
    if settings.sampler != "ula" and figures.acceptance < FEW:
        return f"{after}nearly every proposal is rejected; take a smaller step size.", "bad"
    if settings.sampler == "ula" and figures.acceptance < 1:
        return f"{after}a chain runs away, and nothing rejects its steps; take a smaller step size.", "bad"
    if not math.isfinite(rhat) or not math.isfinite(ess):
        return f"{after}{without_figures(figures.steps)}.", ""
    if rhat > LEAST_RHAT:
        return (
            f"{after}the chains disagree (R-hat {number(rhat, 3)}, should be below {LEAST_RHAT}); take more steps, or other ones.",
            "warning",
        )
    if ess < LEAST_ESS:
        return f"{after}they agree, but are worth only {things(round(ess), 'independent draw')}; {LEAST_ESS} are wanted.", "warning"
    if settings.sampler == "ula":
        return f"{after}they agree with each other, on a density wider than the one asked for: compare the deviations.", "warning"
    if figures.acceptance > MANY:
        return f"{after}they agree. Nearly every step is accepted: a larger one would get further.", "good"
    return f"{after}the chains agree, and are worth {things(round(ess), 'independent draw')}.", "good"
