"""The right side: what one is looking at in words and as a formula, the numbers of this checkpoint, and the diagnosis."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt
from PySide6.QtGui import QFont, QTextDocument
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QScrollArea, QVBoxLayout, QWidget

from app.shell import formatting, theme
from app.shell.data_place import DataPlaceCard
from app.shell.disentanglement_card import DisentanglementCard
from app.shell.final_figures import FinalFiguresCard
from app.shell.message_bar import Dot
from app.shell.plain_text import PlainLabel, set_tip
from app.widgets.parts import heading as section
from app.widgets.parts import set_heading
from engine.messages import Described, Diagnosis, FinalFigure, MethodInfo, Number, RunInfo

if TYPE_CHECKING:
    from app.widgets.image_strip import ImageStrip


def heading(text: str) -> QLabel:
    label = section(text)
    label.setContentsMargins(4, 0, 0, 0)
    label.setWordWrap(True)  # no heading makes the column wider than its place
    return label


def formula_font(formula: str) -> QFont:
    """Serif, and small enough that the formula stays on one line where that is possible."""
    serif = QFont()
    serif.setFamilies(["STIX Two Text", "Times New Roman", "Nimbus Roman", "DejaVu Serif"])
    for size in (15, 14, 13):
        serif.setPixelSize(size)
        page = QTextDocument()
        page.setDefaultFont(serif)
        page.setHtml(formula)
        if page.idealWidth() <= theme.RIGHT_WIDTH - 54:
            break
    return serif


TWO_FIGURES = (
    "The validation figure was measured when the checkpoint was written, on the run’s validation images, with the same noise each time. "
    "The numbers below are of a few fixed held-out images, with other noise where a method needs noise: the two differ a little."
)


class NumberRow(QWidget):
    """name ........ value unit, with a line below."""

    def __init__(self, number: Number) -> None:
        super().__init__()
        self.name = theme.role(PlainLabel(), "muted")
        self.name.setWordWrap(True)  # beside a long value
        self.value = PlainLabel()
        self.value.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self.value.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        row = QHBoxLayout()
        row.setContentsMargins(8, 0, 8, 0)
        row.addWidget(self.name, 1)
        row.addWidget(self.value)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addLayout(row, 1)
        column.addWidget(theme.role(QFrame(), "line"))
        self.setMinimumHeight(32)
        self.show_number(number)

    def show_number(self, number: Number) -> None:
        self.name.setText(number.name)
        self.value.setText(formatting.number(number.value, number.digits, number.unit))
        set_tip(self, number.help)


class DiagnosisRow(QWidget):
    def __init__(self) -> None:
        super().__init__()
        self.level = "good"
        self.dot = Dot()
        self.text = PlainLabel()
        self.text.setWordWrap(True)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(8)
        row.addWidget(self.dot, 0, Qt.AlignmentFlag.AlignTop)
        row.addWidget(self.text, 1)

    def show_diagnosis(self, diagnosis: Diagnosis, colors: theme.Colors) -> None:
        self.level = diagnosis.level
        self.text.setText(diagnosis.text)
        self.text.setAccessibleName(f"{diagnosis.level}: {diagnosis.text}")
        self.set_colors(colors)

    def set_colors(self, colors: theme.Colors) -> None:
        self.dot.set_color({"good": colors.good, "warning": colors.warning, "bad": colors.bad}.get(self.level, colors.accent))


class Inspector(QScrollArea):
    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName("Inspector")
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.colors = theme.DARK
        body = QWidget()
        body.setObjectName("contents")
        self.setWidget(body)
        self.column = QVBoxLayout(body)
        self.column.setContentsMargins(14, 18, 15, 16)
        self.column.setSpacing(8)

        self.subject = heading("What you are looking at")
        self.summary = PlainLabel()
        self.summary.setWordWrap(True)
        self.summary.setContentsMargins(4, 0, 4, 0)
        self.summary.setTextFormat(Qt.TextFormat.RichText)
        self.formula_card = theme.role(QFrame(), "card")
        self.formula = PlainLabel()
        self.formula.setWordWrap(True)
        self.formula.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.formula.setTextFormat(Qt.TextFormat.RichText)
        inside = QVBoxLayout(self.formula_card)
        inside.setContentsMargins(8, 14, 8, 14)
        inside.addWidget(self.formula)
        self.source = theme.role(PlainLabel(), "small")
        self.source.setWordWrap(True)
        self.source.setContentsMargins(4, 0, 4, 0)
        self.facts = theme.role(PlainLabel(), "small")
        self.facts.setWordWrap(True)
        self.facts.setContentsMargins(4, 0, 4, 0)

        self.data_place = DataPlaceCard()
        self.numbers_heading = heading("This checkpoint")
        self.waiting = theme.role(PlainLabel(), "muted")
        self.waiting.setWordWrap(True)
        self.waiting.setContentsMargins(4, 0, 4, 0)
        self.choice = theme.role(PlainLabel(), "muted")  # by which rule this checkpoint was taken, and what the others are worth
        self.choice.setTextFormat(Qt.TextFormat.PlainText)
        self.choice.setWordWrap(True)
        self.choice.setContentsMargins(4, 0, 4, 0)
        self.choice.hide()
        self.numbers_box = QVBoxLayout()
        self.numbers_box.setSpacing(0)
        self.rows: list[NumberRow] = []
        self._of_step = ""  # that the numbers are of, in words

        self.final_heading = heading("Final figures")
        self.final = FinalFiguresCard()
        self.disentanglement = DisentanglementCard()

        self.pictures_heading = heading("What it has learned")
        self.pictures: ImageStrip | None = None  # made when there are some: it needs numpy, which the first paint does not wait for

        self.diagnosis_heading = heading("Diagnosis")
        self.diagnosis_card = theme.role(QFrame(), "card")
        self.diagnosis_box = QVBoxLayout(self.diagnosis_card)
        self.diagnosis_box.setContentsMargins(12, 12, 12, 12)
        self.diagnosis_box.setSpacing(8)
        self.diagnoses: list[DiagnosisRow] = []

        for widget in (self.subject, self.summary, self.formula_card, self.source, self.facts, self.data_place):
            self.column.addWidget(widget)
        self.column.addSpacing(4)
        self.column.addWidget(self.numbers_heading)
        self.column.addWidget(self.choice)
        self.column.addWidget(self.waiting)
        self.column.addLayout(self.numbers_box)
        self.column.addWidget(self.final_heading)
        self.column.addWidget(self.final)
        self.column.addWidget(self.disentanglement)
        self.column.addSpacing(8)
        self.column.addWidget(self.diagnosis_heading)
        self.column.addWidget(self.diagnosis_card)
        self.column.addSpacing(8)
        self.column.addWidget(self.pictures_heading)
        self.column.addStretch()
        self.show_method(None, None)
        self.show_final(())
        self.show_described(None)

    def show_method(self, method: MethodInfo | None, run: RunInfo | None, loading: bool = False) -> None:
        """Words and formula of a method, and where this run stands; while the engine is `loading` it has told neither."""
        if method is None and loading:
            what = "" if run is None else f"{run.title or run.method} on {run.data_name}. "
            self.summary.setText(f"{what}The engine is starting; this takes a few seconds.")
        elif method is None:
            self.summary.setText(
                "A run is one training of one method on one data set. Choose one at the left, or start one with “New run”: "
                "the built-in digits need no download and show a falling loss within seconds."
                if run is None
                else escape(f"{run.title or run.method} on {run.data_name}.")
                + " Its method is not known here, so it can only be looked at as numbers."
            )
        else:
            self.summary.setText(f'<p style="line-height:125%">{method.summary}</p>')
            self.formula.setFont(formula_font(method.formula))
            self.formula.setText(method.formula)
            self.source.setText(method.source)
        self.formula_card.setVisible(method is not None and bool(method.formula))
        self.source.setVisible(method is not None and bool(method.source))
        facts = []
        if run is not None:
            facts = [p for p in (f"seed {run.seed}", run.device, run.precision, f"density: {method.density}" if method else "") if p]
        self.facts.setText(" · ".join(facts))
        self.facts.setVisible(bool(facts))

    def show_choice(self, text: str, worse: bool) -> None:
        """By which rule the checkpoint was taken; `worse`: a clearly better one is there."""
        self.choice.setText(text)
        set_tip(self.choice, TWO_FIGURES if text else "")
        self.choice.setVisible(bool(text))
        level = "warning" if worse else "muted"
        if self.choice.property("role") != level:
            self.choice.setProperty("role", level)
            theme.restyle(self.choice)

    def show_final(self, figures: tuple[FinalFigure, ...]) -> None:
        """What was read on test images; nothing where nothing was."""
        self.final_heading.setVisible(bool(figures))
        self.final.show_figures(figures)

    def show_waiting(self, text: str) -> None:
        """Why there are no numbers yet; empty hides the sentence."""
        self.waiting.setText(text)
        self.waiting.setVisible(bool(text))

    def show_following(self, step: int | None) -> None:
        """The step whose numbers are on their way, while those of another one stand there; None: these are the newest."""
        follows = "" if step is None else f", {formatting.count(step)} follows"
        set_heading(self.numbers_heading, f"This checkpoint{self._of_step}{follows}")

    def show_described(self, described: Described | None) -> None:
        """The numbers and the diagnosis of one checkpoint; None empties both."""
        numbers = described.numbers if described else ()
        diagnosis = described.diagnosis if described else ()
        self._of_step = f" · step {formatting.count(described.step)}" if described else ""
        self.show_following(None)
        while len(self.rows) > len(numbers):
            row = self.rows.pop()
            self.numbers_box.removeWidget(row)
            row.deleteLater()
        for i, number in enumerate(numbers):
            if i < len(self.rows):
                self.rows[i].show_number(number)
            else:
                self.rows.append(NumberRow(number))
                self.numbers_box.addWidget(self.rows[-1])
        while len(self.diagnoses) > len(diagnosis):
            gone = self.diagnoses.pop()
            self.diagnosis_box.removeWidget(gone)
            gone.deleteLater()
        for i, one in enumerate(diagnosis):
            if i >= len(self.diagnoses):
                self.diagnoses.append(DiagnosisRow())
                self.diagnosis_box.addWidget(self.diagnoses[-1])
            self.diagnoses[i].show_diagnosis(one, self.colors)
        self._show_pictures(described)
        self.diagnosis_heading.setVisible(bool(diagnosis))
        self.diagnosis_card.setVisible(bool(diagnosis))
        if described is not None:
            none = "There are no numbers of this checkpoint; below is said why." if diagnosis else "This method reports no numbers."
            self.show_waiting("" if numbers else none)

    def _show_pictures(self, described: Described | None) -> None:
        """What the weights look like, of the methods that can show it."""
        pictures = described.pictures if described else None
        self.pictures_heading.setVisible(pictures is not None)
        if pictures is not None and self.pictures is None:
            from app.widgets.image_strip import ImageStrip

            self.pictures = ImageStrip("Pictures of the weights", columns=5, least=28, most=48, gap=4)
            self.pictures.set_colors(self.colors)
            self.column.insertWidget(self.column.indexOf(self.pictures_heading) + 1, self.pictures)
        if self.pictures is not None:
            self.pictures.set_pixels(pictures, described.captions if described else ())
            self.pictures.setVisible(pictures is not None)

    def set_colors(self, colors: theme.Colors) -> None:
        self.colors = colors
        if self.pictures is not None:
            self.pictures.set_colors(colors)
        for row in self.diagnoses:
            row.set_colors(colors)
