"""What was found in a data set: counts, sizes, duplicates, bad files, class balance, and how it was read."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QGridLayout, QHBoxLayout, QVBoxLayout

from app.panes.data.bad_files import BadFilesTable
from app.panes.data.class_bars import ClassBalance
from app.shell.formatting import count, things
from app.shell.plain_text import set_tip
from app.widgets.parts import Card, Elided, button, clear, heading, muted, plain, set_heading
from app.widgets.scrolled_column import ScrolledColumn
from engine.messages import Curated, DataReport

SPLIT_NAMES = {"train": "training", "valid": "validation", "test": "test"}
SIZES_LISTED = 6
TRAIN = "Describe a new run on this data set."


class ReportColumn(ScrolledColumn):
    """The left side of the pane. `import_asked` by the button that leads to the page of the import, `train_asked` by that of a new run."""

    import_asked = Signal()
    train_asked = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setFixedWidth(300)
        column = QVBoxLayout(self.contents)
        column.setContentsMargins(0, 0, 4, 0)
        column.setSpacing(8)
        self.heading = heading("Data set")
        column.addWidget(self.heading)
        facts_card = Card(12, 4)
        self.facts = QGridLayout()
        self.facts.setHorizontalSpacing(12)
        self.facts.setVerticalSpacing(6)
        self.facts.setColumnStretch(1, 1)
        facts_card.inside.addLayout(self.facts)
        column.addWidget(facts_card)
        self.import_button = button("How it was read…", self.import_asked.emit, "See what was understood of it, and change how it is read.")
        self.train_button = button("Train on it…", self.train_asked.emit, TRAIN, primary=True)
        row = QHBoxLayout()
        row.setSpacing(8)
        row.addWidget(self.train_button)
        row.addWidget(self.import_button)
        row.addStretch(1)
        column.addLayout(row)
        self.train_note = muted("")
        self.train_note.hide()
        column.addWidget(self.train_note)
        self.bad_files = BadFilesTable()
        column.addWidget(self.bad_files)
        self.balance = ClassBalance()
        column.addWidget(self.balance)
        self.notes_heading = heading("How it was read")
        column.addWidget(self.notes_heading)
        self.notes_card = Card(12, 8)
        column.addWidget(self.notes_card)
        column.addStretch(1)

    def show_report(self, report: DataReport) -> None:
        """All but the class balance, which belongs to the chosen part."""
        self._show_facts(report)
        self.import_button.setVisible(report.understood is not None)
        self.bad_files.show_report(report)
        clear(self.notes_card.inside)
        for note in report.notes:
            self.notes_card.inside.addWidget(plain(note, wrap=True))
        self.notes_heading.setVisible(bool(report.notes))
        self.notes_card.setVisible(bool(report.notes))

    def say_curated(self, data: str, told: Curated | None) -> None:
        """Which decisions about single images a training on the shown set would not follow."""
        words = without_decisions(data, told)
        self.train_note.setText(words)
        self.train_note.setVisible(bool(words))
        set_tip(self.train_button, f"{TRAIN} {words}".strip())

    def _show_facts(self, report: DataReport) -> None:
        clear(self.facts)
        set_heading(self.heading, report.name)
        for place, (name, value, tip) in enumerate(facts_of(report)):
            left, right = muted(name, wrap=False), Elided(value)
            right.setAlignment(Qt.AlignmentFlag.AlignRight)
            set_tip(right, tip or value)
            set_tip(left, tip)
            if (name == "same in train and test") or (name in ("bad files", "exact duplicates") and value != "0"):
                right.setProperty("role", "warning")
            self.facts.addWidget(left, place, 0)
            self.facts.addWidget(right, place, 1)


def without_decisions(data: str, told: Curated | None) -> str:
    """A sentence where training on a set leaves decisions about its images aside; "" where it follows them, or they change nothing."""
    if told is None or data == told.curated:
        return ""
    if data != told.plain:
        return "Trains by earlier decisions about single images, not by those of now."
    if not told.excluded and not told.relabelled:
        return ""
    decisions = "one decision" if told.decisions == 1 else f"{count(told.decisions)} decisions"
    them = "it" if told.decisions == 1 else "them"
    return f"Trains without the {decisions} about single images; “Use the curated set” trains with {them}."


def facts_of(report: DataReport) -> list[tuple[str, str, str]]:
    """Name, value and tooltip of every line of the report."""
    unit = "byte" if report.kind == "text" else "image"
    rows = [(SPLIT_NAMES.get(split, split), things(n, unit), "") for split, n in report.counts.items() if n]
    if report.kind != "text":
        rows.append(("the network gets", shape_words(report.shape), ""))
        rows += _sizes(report)
        rows.append(("classes", count(len(report.classes)) if report.classes else "no labels", ""))
        same = " · ".join(f"“{Path(a).name}” = “{Path(b).name}”" for a, b in report.duplicate_examples[:3])
        rows.append(("exact duplicates", count(report.duplicates), same))
        if report.across_splits:
            rows.append(("same in train and test", count(report.across_splits), "The test result will be too good by these."))
    rows.append(("bad files", count(report.bad_total), ""))
    rows.append(("content", report.hash[:12], f"SHA-256 of the content: {report.hash}"))
    return rows


def _sizes(report: DataReport) -> list[tuple[str, str, str]]:
    if len(report.sizes) == 1:
        return [("size", size, "") for size in report.sizes]
    rows = [
        ("" if place else "sizes of the files", f"{size} · {count(n)}", "")
        for place, (size, n) in enumerate(list(report.sizes.items())[:SIZES_LISTED])
    ]
    if len(report.sizes) > SIZES_LISTED:
        rows.append(("", f"and {things(len(report.sizes) - SIZES_LISTED, 'more size')}", ""))
    return rows


def shape_words(shape: tuple[int, ...]) -> str:
    """(1, 28, 28) -> "28×28 grey"."""
    if len(shape) != 3:
        return ""
    return f"{shape[2]}×{shape[1]} {'grey' if shape[0] == 1 else 'colour'}"
