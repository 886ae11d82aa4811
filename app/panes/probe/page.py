"""How the Probe pane is laid out: what to measure on top, the bars, four small charts, and what one can train to compare."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QCheckBox, QComboBox, QGridLayout, QHBoxLayout, QMenu, QPushButton, QVBoxLayout

from app.panes.probe.bars import ProbeBars
from app.panes.probe.lines import ProbeLines
from app.panes.probe.results import SPLITS
from app.shell.formatting import count
from app.shell.plain_text import set_tip
from app.shell.theme import Colors
from app.widgets.parts import Card, TextLines, button, heading, muted
from app.widgets.scrolled_column import ScrolledColumn
from app.widgets.shown_step import ShownStep

SIZES = (2000, 5000, 10_000)
ERRORS = (
    "The images that {} gets wrong, in Errors: there each can be given another class, left out or tagged. "
    "It is fitted there anew, on up to 5\u202f000 training images, whatever is chosen here."
)
OWN_DATA = "Errors shows the run’s own data: choose “its own” above."


class ProbePage(ScrolledColumn):
    def __init__(self) -> None:
        super().__init__()
        column = QVBoxLayout(self.contents)
        column.setContentsMargins(16, 16, 16, 16)
        column.setSpacing(6)
        column.addLayout(self._controls())
        row = QHBoxLayout()
        self.status = TextLines(3, "What was compared, and what is going on")
        self.stop_button = button("Stop", None, "Stop measuring; the figures that are there stay.")
        self.shown_step = ShownStep()
        row.addWidget(self.status, 1)
        row.addWidget(self.shown_step, 0, Qt.AlignmentFlag.AlignTop)
        row.addWidget(self.stop_button, 0, Qt.AlignmentFlag.AlignTop)
        column.addLayout(row)
        row = QHBoxLayout()
        self.bars_heading = heading("What these features are worth")
        self.export_button = QPushButton("Export")
        self.export_button.setProperty("kind", "link")
        self.export_button.setAccessibleName("Export")
        self.export_menu = QMenu(self)
        self.export_button.setMenu(self.export_menu)
        self.errors_button, self.knn_errors_button = button("Linear probe’s errors…", None), button("kNN’s errors…", None)
        row.addWidget(self.bars_heading)
        row.addStretch(1)
        for made in (self.errors_button, self.knn_errors_button):
            made.setProperty("kind", "link")
            row.addWidget(made)
        row.addWidget(self.export_button)
        column.addLayout(row)
        self.bars = ProbeBars()
        card = Card(10, 0)
        card.inside.addWidget(self.bars)
        column.addWidget(card)
        column.addSpacing(4)
        column.addLayout(self._charts(), 1)
        column.addLayout(self._training())

    def _controls(self) -> QVBoxLayout:
        rows = QVBoxLayout()
        rows.setSpacing(6)
        row = QHBoxLayout()
        row.setSpacing(8)
        self.measure_button = button("Measure", None, "Freeze the encoder and see how well its features tell classes apart.", primary=True)
        self.data = QComboBox()
        self.data.setAccessibleName("Data to measure on")
        set_tip(self.data, "Images with classes. The run’s own, or others: they are scaled to what the network sees.")
        self.data.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)  # a long name widens nothing
        self.data.setMinimumContentsLength(14)
        self.limit = QComboBox()
        for size in SIZES:
            self.limit.addItem(f"{count(size)} images", size)
        self.limit.setCurrentIndex(1)
        self.limit.setAccessibleName("Number of images")
        set_tip(
            self.limit,
            "Training images that the probe is fitted on, and at most as many that it is asked about; both spread over their split.",
        )
        self.split = QComboBox()
        for split, words in SPLITS.items():
            self.split.addItem(f"{words} images", split)
        self.split.setAccessibleName("Split that is asked about")
        set_tip(
            self.split,
            "Whose classes are to be found. Validation images are for looking and choosing; test images are for the figures at the end: "
            "whatever is chosen by them makes them look too good.",
        )
        self.blocks = QCheckBox("every block")
        set_tip(self.blocks, "Measure after each block of the encoder, too.")
        self.labels = QCheckBox("fewer labels")
        set_tip(self.labels, "Measure with 1 % and 10 % of the training split’s labels, too.")
        row.addWidget(self.measure_button)
        row.addWidget(muted("on", wrap=False))
        row.addWidget(self.data)
        row.addWidget(self.limit)
        row.addWidget(self.split)
        row.addStretch(1)
        rows.addLayout(row)
        row = QHBoxLayout()
        row.setSpacing(8)
        row.addWidget(muted("Also measure", wrap=False))
        for box in (self.blocks, self.labels):
            box.setChecked(True)
            box.setAccessibleName(f"Measure {box.text()}")
            row.addWidget(box)
        row.addStretch(1)
        rows.addLayout(row)
        return rows

    def _charts(self) -> QGridLayout:
        right = "right answers, in %"
        self.by_block = ProbeLines("The probe at every block", "block of the encoder, from input to output", right, "")
        self.by_labels = ProbeLines("The linear probe with fewer labels", "labels it learned from", right, "")
        self.by_iteration = ProbeLines(
            "The linear probe while it is fitted", "iteration", "mean loss on training images, in nat",
            "The loss appears here while it is fitted.", percent=False,
        )  # fmt: skip
        self.by_step = ProbeLines(
            "Over the training", "step of the run", right, "Move the time cursor and measure again: the figures join here."
        )
        self.fit_heading = heading("Linear probe: loss")
        grid = QGridLayout()
        grid.setHorizontalSpacing(16)
        grid.setVerticalSpacing(6)
        titles = (heading("At every block"), heading("With fewer labels"), self.fit_heading, heading("Over the training"))
        for place, (title, chart) in enumerate(zip(titles, self.charts, strict=True)):
            card = Card(6, 0)
            card.inside.addWidget(chart)
            grid.addWidget(title, 2 * (place // 2), place % 2)
            grid.addWidget(card, 2 * (place // 2) + 1, place % 2)
            grid.setColumnStretch(place % 2, 1)
        return grid

    def show_offers(self, blocks: bool, own: bool) -> None:
        """`blocks`: whether the encoder can be asked after each of its blocks; `own`: of the run's own data. An empty chart says what
        fills it.
        """
        for made, whose in ((self.errors_button, "a linear probe"), (self.knn_errors_button, "a vote of neighbours")):
            made.setEnabled(own)
            set_tip(made, ERRORS.format(whose) if own else OWN_DATA)
        self.blocks.setVisible(blocks)
        for chart, box in ((self.by_block, self.blocks), (self.by_labels, self.labels)):
            chart.set_hint("Measure, and it appears here." if box.isChecked() else f"Tick “{box.text()}” and measure.")
        if not blocks:
            self.by_block.set_hint("This method’s encoder cannot be asked after each block; its features as a whole are measured above.")

    @property
    def charts(self) -> tuple[ProbeLines, ...]:
        return self.by_block, self.by_labels, self.by_iteration, self.by_step

    def _training(self) -> QHBoxLayout:
        row = QHBoxLayout()
        row.setSpacing(8)
        self.tune_button = button(
            "Fine-tune with 1 % of the labels", None, "Train this encoder on, end to end, with a linear head: a run of its own in the list."
        )
        self.scratch_button = button(
            "The same from scratch", None, "The same network on the same images, from random weights: what fine-tuning is compared with."
        )
        self.train_line = TextLines(1, "About fine-tuning", small=True)
        row.addWidget(self.tune_button)
        row.addWidget(self.scratch_button)
        row.addWidget(self.train_line, 1)
        return row

    def set_colors(self, c: Colors) -> None:
        for part in (self.bars, *self.charts, self.status, self.shown_step, self.train_line):
            part.set_colors(c)
