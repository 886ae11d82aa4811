"""How the Errors pane is laid out: the confusion matrix and the images of a cell, below them the reliability diagram and the figures."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QObject, QSize, Qt
from PySide6.QtWidgets import QCheckBox, QComboBox, QFrame, QGridLayout, QHBoxLayout, QMenu, QScrollArea, QVBoxLayout, QWidget

from app.panes.errors.figures_card import ErrorFiguresCard
from app.panes.errors.gallery import ErrorGallery
from app.panes.errors.matrix import ConfusionMatrix
from app.panes.errors.reliability import ReliabilityDiagram
from app.shell.formatting import count
from app.shell.plain_text import set_tip
from app.shell.theme import Colors
from app.widgets.curation_line import CurationLine
from app.widgets.parts import Card, Elided, TextLines, button, heading, muted
from app.widgets.scrolled_column import ScrolledColumn
from app.widgets.shown_step import ShownStep

SPLITS = {"valid": "validation", "test": "test", "train": "training"}
SIZES = (2000, 5000, 10_000, None)
WAYS = {"classifier": "the classifier", "bayes": "Bayes’ rule", "probe": "a linear probe", "knn": "nearest neighbours"}
CURATE = "Give this image another class, leave it out or tag it; the files stay as they are, and Ctrl+Z takes it back."
NO_CURATE = "Test images are not relabelled by a classifier’s answers: its figures on them would look too good. Choose validation images."
ON_TEST = "Look at test images last: whatever is chosen by them, or relabelled, makes their figures look too good."
UPPER, LOWER = 376, 236  # pixels of the two rows at least


class MatrixArea(QScrollArea):
    """As large as its place; a matrix of many classes scrolls."""

    def __init__(self, matrix: ConfusionMatrix) -> None:
        super().__init__()
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setWidgetResizable(True)
        matrix.setObjectName("contents")  # the card's own background behind it
        self.setWidget(matrix)
        matrix.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.KeyPress:
            matrix = self.widget()
            assert isinstance(matrix, ConfusionMatrix)
            handled = super().eventFilter(watched, event)
            cell = matrix.cell(*matrix.focused).center()
            self.ensureVisible(round(cell.x()), round(cell.y()), 24, 24)
            return handled
        return super().eventFilter(watched, event)

    def minimumSizeHint(self) -> QSize:
        return QSize(200, 180)


class ErrorsPage(ScrolledColumn):
    def __init__(self) -> None:
        super().__init__()
        column = QVBoxLayout(self.contents)
        column.setContentsMargins(16, 12, 16, 12)
        column.setSpacing(6)
        column.addLayout(self._controls())
        self.test_line = TextLines(1, "About test images")
        self.test_line.set_text(ON_TEST, "warning")
        self.test_line.hide()
        column.addWidget(self.test_line)
        row = QHBoxLayout()
        self.status = TextLines(2, "What was asked about, and what is going on")
        self.shown_step = ShownStep()
        self.stop_button = button("Stop", None, "End it at once; the figures that are there stay.")
        row.addWidget(self.status, 1)
        row.addWidget(self.shown_step, 0, Qt.AlignmentFlag.AlignTop)
        row.addWidget(self.stop_button, 0, Qt.AlignmentFlag.AlignTop)
        column.addLayout(row)
        grid = QGridLayout()
        grid.setHorizontalSpacing(16)
        grid.setVerticalSpacing(6)
        for place, (top, part, least) in enumerate(
            ((self._matrix_head(), self._matrix(), UPPER), (self._gallery_head(), self._gallery(), UPPER),
             (self._reliability_head(), self._reliability(), LOWER), (self._figures_head(), self._figures(), LOWER))
        ):  # fmt: skip
            line = 2 * (place // 2)
            grid.addLayout(top, line, place % 2)
            grid.addWidget(part, line + 1, place % 2)
            grid.setRowMinimumHeight(line + 1, least)
            grid.setRowStretch(line + 1, 3 if least == UPPER else 2)
        grid.setColumnStretch(0, 1)
        grid.setColumnStretch(1, 1)
        column.addLayout(grid, 1)

    # ------------------------------------------------------------------------------------------------ parts

    def _controls(self) -> QHBoxLayout:
        row = QHBoxLayout()
        row.setSpacing(8)
        self.through, self.split, self.limit = QComboBox(), QComboBox(), QComboBox()
        for split, words in SPLITS.items():
            self.split.addItem(f"{words} images", split)
        for size in SIZES:
            self.limit.addItem("all of them" if size is None else f"at most {count(size)}", size)
        self.limit.setCurrentIndex(1)
        for box, name, tip in (
            (self.through, "What answers", "What tells the classes apart: a classifier, Bayes’ rule, a linear probe or neighbours."),
            (self.split, "Split", "Whose images are asked about. Validation images are for looking and choosing: whatever is chosen by "
             "test images makes their figures look too good."),
            (self.limit, "Number of images", "How many images are asked about, spread over the split."),
        ):  # fmt: skip
            box.setAccessibleName(name)
            set_tip(box, tip)
        row.addWidget(muted("Answers of", wrap=False))
        row.addWidget(self.through)
        row.addWidget(muted("on", wrap=False))
        row.addWidget(self.split)
        row.addWidget(self.limit)
        row.addStretch(1)
        self.export_button = button("Export", None, "Copy or save the matrix, the diagram and the table of errors.")
        self.export_button.setProperty("kind", "link")
        self.export_menu = QMenu(self)
        self.export_button.setMenu(self.export_menu)
        row.addWidget(self.export_button)
        return row

    def _matrix_head(self) -> QHBoxLayout:
        row = QHBoxLayout()
        row.addWidget(heading("Confusion matrix"))
        row.addStretch(1)
        self.few = QCheckBox("most confused")
        set_tip(self.few, "Only the classes with the most errors.")
        self.few.setAccessibleName("Only the most confused classes")
        self.shares = QCheckBox("shares")
        set_tip(self.shares, "Shares of the true class in %, in place of counts.")
        self.shares.setAccessibleName("Shares of the true class")
        row.addWidget(self.few)
        row.addWidget(self.shares)
        return row

    def _matrix(self) -> QWidget:
        card = Card(8, 4)
        self.matrix = ConfusionMatrix()
        self.area = MatrixArea(self.matrix)
        card.inside.addWidget(self.area, 1)
        self.cell_line = TextLines(2, "About the cell", small=True, grows=False)
        card.inside.addWidget(self.cell_line)
        return card

    def _gallery_head(self) -> QHBoxLayout:
        row = QHBoxLayout()
        self.gallery_heading = Elided("ERRORS")  # long names of classes make neither column wider
        self.gallery_heading.setProperty("role", "heading")
        row.addWidget(self.gallery_heading)
        return row

    def _gallery_tools(self) -> QHBoxLayout:
        row = QHBoxLayout()
        row.setSpacing(6)
        self.wrong = button("All errors", None, "All wrong answers, the surest first.")
        self.unsure = button("Right but unsure", None, "Right answers, the least sure first.")
        for made in (self.wrong, self.unsure):
            made.setProperty("kind", "link")
            row.addWidget(made)
            row.addSpacing(4)
        row.addStretch(1)
        self.where = muted("", wrap=False)
        self.previous = button("‹", None, "The page before (Page Up)")
        self.next = button("›", None, "The next page (Page Down)")
        self.previous.setAccessibleName("Previous page")
        self.next.setAccessibleName("Next page")
        row.addWidget(self.where)
        for made in (self.previous, self.next):
            made.setProperty("kind", "link")
            made.setFixedWidth(20)
            row.addWidget(made)
        return row

    def _gallery(self) -> QWidget:
        card = Card(12, 4)
        card.inside.addLayout(self._gallery_tools())
        self.gallery = ErrorGallery()
        card.inside.addWidget(self.gallery, 1)
        self._gallery_column = card.inside
        self.image_line = TextLines(3, "About the image", small=True, grows=False)
        card.inside.addWidget(self.image_line)
        row = QHBoxLayout()
        row.setSpacing(6)
        self.mark_button = button("Embedding", None, "Mark this image on the map of the features.")
        self.score_button = button("Likelihood", None, "Put this image among those that are scored.")
        self.curate_button = button("Relabel…", None, CURATE)
        row.addWidget(muted("Show in", wrap=False))
        for made, name in (
            (self.mark_button, "Show in Embedding"),
            (self.score_button, "Score in Likelihood"),
            (self.curate_button, "Relabel, leave out or tag"),
        ):
            made.setAccessibleName(name)
            row.addWidget(made)
        row.addStretch(1)
        card.inside.addLayout(row)
        return card

    def hold_curation(self, line: CurationLine) -> None:
        """What was decided about the images, below them; its place is kept while it is hidden, so that no image moves."""
        policy = line.sizePolicy()
        policy.setRetainSizeWhenHidden(True)
        line.setSizePolicy(policy)
        self._gallery_column.insertWidget(2, line)

    def _reliability_head(self) -> QHBoxLayout:
        row = QHBoxLayout()
        row.addWidget(heading("Reliability"))
        row.addStretch(1)
        self.mass = QCheckBox("bins of equal count")
        set_tip(self.mass, "Bins that hold about equally many answers, in place of bins of equal width.")
        self.mass.setAccessibleName("Bins of equally many answers")
        row.addWidget(self.mass)
        return row

    def _reliability(self) -> QWidget:
        card = Card(8, 4)
        self.reliability = ReliabilityDiagram()
        card.inside.addWidget(self.reliability, 1)
        self.bin_line = TextLines(2, "About the bin", small=True, grows=False)
        card.inside.addWidget(self.bin_line)
        return card

    def _figures_head(self) -> QHBoxLayout:
        row = QHBoxLayout()
        row.addWidget(heading("In figures"))
        row.addStretch(1)
        return row

    def _figures(self) -> QWidget:
        self.figures = ErrorFiguresCard()
        return self.figures

    def set_colors(self, c: Colors) -> None:
        parts = (self.status, self.test_line, self.shown_step, self.cell_line, self.image_line, self.bin_line)
        for part in (*parts, self.matrix, self.gallery, self.reliability, self.figures):
            part.set_colors(c)
