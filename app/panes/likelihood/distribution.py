"""The card with the two histograms: what is compared, how well it is told apart, and the images that change sides with the threshold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from PySide6.QtCore import Signal
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QSizePolicy, QVBoxLayout

from app.panes.likelihood import separation
from app.panes.likelihood.histogram import Histogram
from app.shell.formatting import number, things
from app.shell.plain_text import set_tip
from app.shell.theme import Colors
from app.widgets.image_strip import ImageStrip
from app.widgets.parts import Card, TextLines, plain, short
from engine.common import ood_metrics

OTHER = "\0other"  # the entry that opens another data set
THUMBNAILS = 24
FPR_TIP = (
    "AUROC: probability that a stranger scores higher than a known image; 0.5 is guessing, and a value below it is shown as it is. "
    "FPR@95: share of known images that are called strange when 95 % of the strangers are found."
)


@dataclass(frozen=True, eq=False)
class Sides:
    """What the card shows: scores of both sides, and how to call them."""

    known: np.ndarray  # [n]
    strange: np.ndarray  # [k]
    known_name: str
    strange_name: str
    unit_name: str  # of the scores
    images: Sequence[np.ndarray] = field(default_factory=tuple)  # uint8 [C, H, W] of the strange ones
    labels: Sequence[str] = field(default_factory=tuple)


class DistributionCard(Card):
    threshold_moved = Signal(float)
    compare_chosen = Signal(str)  # a data set, "" for the dropped images, OTHER for one that is not listed
    picked = Signal(int)  # one of the strange images

    def __init__(self) -> None:
        super().__init__(10, 4)
        self.sides: Sides | None = None
        self.flips = np.zeros(0, np.int64)  # indices of the strange images that are shown
        self._before = float("nan")  # where the threshold stood before it was moved
        row = QHBoxLayout()
        row.setSpacing(10)
        self.compare = QComboBox()
        self.compare.setAccessibleName("Compare the held-out images with")
        self.compare.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.compare.setMinimumContentsLength(14)
        self.compare.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        self.compare.activated.connect(lambda _index: self.compare_chosen.emit(self.compare.currentData()))
        self.figures = plain("", wrap=True)
        set_tip(self.figures, FPR_TIP)
        self.rates_line = TextLines(1, "True and false positives at the threshold", small=True)
        beside = QVBoxLayout()
        beside.setSpacing(0)
        beside.addWidget(self.figures)
        beside.addWidget(self.rates_line)
        row.addWidget(self.compare)
        row.addLayout(beside, 1)
        self.inside.addLayout(row)
        self.words = TextLines(1, "What the AUROC says", small=True)
        self.inside.addWidget(self.words)
        self.chart = Histogram()
        self.chart.setMinimumHeight(130)
        self.chart.threshold_moved.connect(self._moved)
        self.chart.grabbed.connect(self._grabbed)
        self.inside.addWidget(self.chart, 1)
        self.flips_line = TextLines(1, "Images that change sides", small=True)
        self.strip = ImageStrip(
            "Images that change sides with the threshold; choose one to look at it", columns=0, least=34, most=34, rows=1
        )
        self.strip.setFixedHeight(36)
        self.strip.picked.connect(self._picked)
        self.inside.addWidget(self.flips_line)
        self.inside.addWidget(self.strip)

    def set_colors(self, c: Colors) -> None:
        for widget in (self.rates_line, self.words, self.chart, self.flips_line, self.strip):
            widget.set_colors(c)

    def shorten(self, short: bool) -> None:
        """Leave out the images that change sides, for want of height."""
        self.chart.setMinimumHeight(90 if short else 130)
        for part in (self.flips_line, self.strip):
            part.setVisible(not short)

    def set_choices(self, choices: list[tuple[str, str]], chosen: str) -> None:
        """(words, data set) to compare with."""
        now = [(self.compare.itemText(i), self.compare.itemData(i)) for i in range(self.compare.count())]
        if now != choices:
            self.compare.clear()
            for text, data in choices:
                self.compare.addItem(text, data)
        place = next((i for i, (_, data) in enumerate(choices) if data == chosen), 0)
        self.compare.setCurrentIndex(place)

    def show_sides(self, sides: Sides | None, threshold: float, hint: str = "") -> None:
        """Draw these; the threshold stands where it is told to."""
        self.sides = sides
        self.chart.hint = hint
        if sides is None:
            self.chart.set_scores(np.zeros(0), np.zeros(0), "", "", "")
            self.chart.set_mark(None)
        else:
            self.chart.set_scores(sides.known, sides.strange, sides.known_name, sides.strange_name, sides.unit_name)
        self.chart.set_threshold(threshold)
        if not np.isfinite(self._before):
            self._before = threshold
        self._say()

    def table(self) -> tuple[tuple[str, ...], list[tuple[object, ...]]]:
        """What is drawn, as header and rows of a CSV."""
        rows: list[tuple[object, ...]] = []
        sides = self.sides
        if sides is not None:
            rows += [("held-out", index, "", repr(float(score))) for index, score in enumerate(sides.known)]
            labels = sides.labels if len(sides.labels) == len(sides.strange) else [""] * len(sides.strange)
            rows += [("compared", index, labels[index], repr(float(score))) for index, score in enumerate(sides.strange)]
        return ("side", "index", "label", "score"), rows

    def _grabbed(self) -> None:
        self._before = self.chart.threshold

    def _moved(self, threshold: float) -> None:
        self._say()
        self.threshold_moved.emit(threshold)

    def _picked(self, place: int) -> None:
        if place < len(self.flips):
            self.picked.emit(int(self.flips[place]))

    def _say(self) -> None:
        sides = self.sides
        if sides is None:
            for line in (self.rates_line, self.words, self.flips_line):
                line.set_text("")
            self.figures.setText("")
            self.flips = np.zeros(0, np.int64)
            self.strip.set_pixels(None)
            return
        area = ood_metrics.auroc(sides.known, sides.strange)
        if np.isfinite(area):
            lost = ood_metrics.fpr_at(sides.known, sides.strange)
            self.figures.setText(f"AUROC {area:.3f} · FPR@95 {number(100 * lost, 1, '%')}")
        else:
            self.figures.setText("")
        self.words.set_text(*separation.auroc_in_words(area, len(sides.strange)))
        true, false = ood_metrics.rates_at(sides.known, sides.strange, self.chart.threshold)
        parts = [f"true positives {number(100 * true, 1, '%')}"] if np.isfinite(true) else []
        parts += [f"false positives {number(100 * false, 1, '%')}"] if np.isfinite(false) else []
        self.rates_line.set_text(" · ".join(parts))
        self._show_flips(sides)

    def _show_flips(self, sides: Sides) -> None:
        threshold = self.chart.threshold
        every = ood_metrics.changed_calls(sides.strange, self._before, threshold) if len(sides.images) else np.zeros(0, np.int64)
        self.flips = every[:THUMBNAILS]
        if len(every):
            now = "unlike training" if threshold < self._before else "known"
            self.flips_line.set_text(f"{things(len(every), 'image')} flipped: called {now} now")
        elif len(sides.images):
            scores = np.asarray(sides.strange, np.float64)
            self.flips = np.argsort(np.abs(scores - threshold), kind="stable")[: min(THUMBNAILS, len(sides.images))]
            self.flips_line.set_text("Strangers nearest to the threshold; drag it, and those that flip appear here")
        else:
            self.flips_line.set_text("Drop images or compare with a data set to fill the other side" if not len(sides.strange) else "")
        if not len(self.flips):
            self.strip.set_pixels(None)
            return
        tips = []
        for index in self.flips:
            called = "unlike training" if sides.strange[index] >= threshold else "known"
            tips.append(f"{sides.labels[index]}: score {short(float(sides.strange[index]))}, called {called}")
        self.strip.set_pixels([sides.images[index] for index in self.flips], tips)  # type: ignore[arg-type]
        self.strip.choose(-1)
