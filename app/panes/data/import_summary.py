"""What an import understood, from top to bottom: warnings, splits and classes, where they are from, values, what is left out, notes."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import partial

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QGridLayout, QVBoxLayout

from app.panes.data.bad_files import BadFilesTable
from app.panes.data.report_column import shape_words
from app.panes.data.split_tree import SplitTree
from app.panes.data.value_chart import ValueChart, value_in_words
from app.shell import theme
from app.shell.formatting import count, number, things
from app.widgets.parts import Card, button, clear, heading, muted, plain, set_heading
from app.widgets.scrolled_column import ScrolledColumn
from engine.messages import DataReport, ImportFacts

EVEN = 1.05  # times as many images as the smallest class, up to which the largest is about as large
_AS_LEFT_OUT = re.compile(r"( and)? (was|were) left out$")
RENAME_HINT = "Double-click a class, or press F2, to rename it; a name that another class has makes the two one."


class ImportSummary(ScrolledColumn):
    """The right side of the page. `decision_asked(name, value)` by the button of a warning."""

    decision_asked = Signal(str, str)

    def __init__(self) -> None:
        super().__init__()
        self.setAccessibleName("What was understood")
        column = QVBoxLayout(self.contents)
        column.setContentsMargins(0, 0, 4, 0)
        column.setSpacing(8)
        self.warnings_card = Card(12, 6)
        self.warnings_card.setAccessibleName("Warnings")
        column.addWidget(self.warnings_card)
        column.addWidget(heading("Splits and classes"))
        self.tree = SplitTree()
        column.addWidget(self.tree)
        self.rename_hint = muted(RENAME_HINT)
        self.rename_hint.setProperty("role", "small")
        column.addWidget(self.rename_hint)
        column.addWidget(heading("As detected"))
        card = Card(12, 4)
        self.facts = QGridLayout()
        self.facts.setHorizontalSpacing(12)
        self.facts.setVerticalSpacing(6)
        self.facts.setColumnStretch(1, 1)
        card.inside.addLayout(self.facts)
        column.addWidget(card)
        self.values_heading = heading("Values")
        column.addWidget(self.values_heading)
        self.charts_card = Card(8, 4)
        self.before = ValueChart("Values in the files", "value in the files")
        self.after = ValueChart("8-bit values", "8-bit value that a network gets")
        for chart in (self.before, self.after):
            self.charts_card.inside.addWidget(chart)
        column.addWidget(self.charts_card)
        self.left_out_heading = heading("Left out")
        column.addWidget(self.left_out_heading)
        self.left_out_card = Card(12, 6)
        column.addWidget(self.left_out_card)
        self.bad_files = BadFilesTable()
        column.addWidget(self.bad_files)
        self.notes_heading = heading("Notes")
        column.addWidget(self.notes_heading)
        self.notes_card = Card(12, 8)
        column.addWidget(self.notes_card)
        column.addStretch(1)

    def set_colors(self, c: theme.Colors) -> None:
        for chart in (self.before, self.after):
            chart.set_colors(c)

    def show_report(self, report: DataReport, facts: ImportFacts) -> None:
        """All of it."""
        _fill(self.warnings_card, (warning.text for warning in report.warnings), "warning")
        for warning in report.warnings:
            if warning.decision is not None and warning.decision[0] in facts.offered:
                mend = button(warning.offer, partial(self.decision_asked.emit, *warning.decision), "Decide so, and read the set again.")
                self.warnings_card.inside.addWidget(mend, 0, Qt.AlignmentFlag.AlignLeft)
        can_rename = "rename" in facts.offered
        self.tree.set_report(report, can_rename)
        self.rename_hint.setVisible(can_rename and bool(report.classes))
        clear(self.facts)
        for place, (name, value) in enumerate(facts_in_words(report, facts)):
            self.facts.addWidget(muted(name, wrap=False), place, 0, Qt.AlignmentFlag.AlignTop)
            self.facts.addWidget(plain(value, wrap=True), place, 1)
        set_heading(self.values_heading, f"Values · from a sample of {things(report.sampled, 'image')}" if report.sampled else "Values")
        self.before.setVisible(bool(facts.histogram))
        if facts.histogram and facts.low is not None and facts.high is not None:
            self.before.set_values(facts.histogram, facts.low, facts.high, facts.scale)
        self.after.set_values(facts.histogram_after, 0, 256)
        clear(self.left_out_card.inside)
        for some in facts.left_out:
            more = ", …" if some.count > len(some.examples) else ""
            self.left_out_card.inside.addWidget(plain(f"{count(some.count)} {some.reason}: {', '.join(some.examples)}{more}", wrap=True))
            if some.keep and "keep" in facts.offered:
                back = button("Use them", partial(self.decision_asked.emit, "keep", ", ".join(some.keep)), f"Keep {', '.join(some.keep)}.")
                back.setAccessibleName(f"Use {count(some.count)} {_AS_LEFT_OUT.sub('', some.reason)}")
                self.left_out_card.inside.addWidget(back, 0, Qt.AlignmentFlag.AlignLeft)
        self.left_out_card.setVisible(bool(facts.left_out))
        total = sum(some.count for some in facts.left_out)
        set_heading(self.left_out_heading, f"Left out · {things(total, 'file')}")
        self.left_out_heading.setVisible(bool(facts.left_out))
        self.bad_files.show_report(report)
        said_above = tuple(f"{some.count:,} {some.reason}:" for some in facts.left_out)
        notes = [note for note in report.notes if not note.startswith(said_above)]
        _fill(self.notes_card, notes)
        self.notes_heading.setVisible(bool(notes))


def _fill(card: Card, sentences: Iterable[str], role: str = "") -> None:
    """A label for each sentence; hidden where there is none."""
    clear(card.inside)
    sentences = list(sentences)
    for sentence in sentences:
        label = plain(sentence, wrap=True)
        if role:
            label.setProperty("role", role)
        card.inside.addWidget(label)
    card.setVisible(bool(sentences))


def facts_in_words(report: DataReport, facts: ImportFacts) -> list[tuple[str, str]]:
    """Name and words of every line."""
    names = len(report.classes)
    classes = f"{count(names)} from {_origin(facts.classes_from, facts)}" if names else "none: no image has a class"
    rows = [
        ("classes", classes),
        ("splits", "drawn at random" if facts.splits_from == "none" else f"from {_origin(facts.splits_from, facts)}"),
        ("the network gets", shape_words(report.shape)),
        ("sizes", _sizes(report)),
        ("fit", {"crop": "cut to the centre", "letterbox": "whole, with borders", "squeeze": "squeezed"}[facts.fit] + _if_needed(report)),
        ("scale", _scale(facts)),
        ("background", f"{facts.background}, where an image is transparent"),
    ]
    train = [n for n in report.class_counts.get("train", ()) if n]
    if len(train) > 1:
        ratio = number(max(train) / min(train), 1)
        uneven = f"the largest class has {ratio} times as many training images as the smallest"
        balance = "all classes have about as many training images" if max(train) < EVEN * min(train) else uneven
        rows.insert(1, ("balance", balance))
    if report.duplicates:
        twins = " · ".join(f"“{a}” = “{b}”" for a, b in report.duplicate_examples[:2])
        rows.append(("exact twins", f"{count(report.duplicates)}: {twins}; drawn splits keep them together"))
    if report.near_duplicates:
        pairs = " · ".join(f"“{a}” ≈ “{b}”" for a, b, _ in report.near_examples[:2])
        rows.append(("near duplicates", f"{count(report.near_duplicates)}: {pairs}; drawn splits keep the nearest together"))
    return rows


def _origin(where: str, facts: ImportFacts) -> str:
    if ":" in where and where in facts.columns:
        table, _, column = where.rpartition(":")
        return f"the column “{column}” of {table}"
    return {"folders": "the names of folders", "names": "the names of files"}.get(where, where)


def _sizes(report: DataReport) -> str:
    listed = [f"{size} · {count(n)}" for size, n in list(report.sizes.items())[:4]]
    more = f" and {count(len(report.sizes) - 4)} more" if len(report.sizes) > 4 else ""
    return ", ".join(listed) + more + (" in the sample" if report.sampled else "")


def _if_needed(report: DataReport) -> str:
    """The fit says nothing where every image has the size already."""
    return " (no image needs it)" if list(report.sizes) == [shape_words(report.shape)] else ""


def _scale(facts: ImportFacts) -> str:
    if facts.scale is None:
        return "8 bits, as they are"
    low, high = facts.scale
    found = (
        f"; the files hold {value_in_words(facts.low)} to {value_in_words(facts.high)}"
        if facts.low is not None and facts.high is not None
        else ""
    )
    return f"{value_in_words(low)} is black, {value_in_words(high)} is white, for the whole set{found}"
