"""What the loss of a run says, in words, each sentence with the rule behind it."""

from __future__ import annotations

from PySide6.QtWidgets import QLabel

from app.panes.curves.curve_diagnosis import CurveFinding
from app.shell.plain_text import set_tip
from app.widgets.parts import Card, clear, muted

MARGIN = 10


class DiagnosisCard(Card):
    """`width`: of the card in pixels, which its texts are broken at and have their whole height for."""

    def __init__(self, width: int) -> None:
        super().__init__(MARGIN, 6)
        self.findings: list[CurveFinding] | None = None
        self.low = False
        self._room = width - 2 * MARGIN - 2
        self._without = ""
        self._rules: list[QLabel] = []

    def set_low(self, low: bool) -> None:
        """In a low window the rules are in the tooltips only."""
        self.low = low
        for rule in self._rules:
            rule.setVisible(not low)

    def show_findings(self, findings: list[CurveFinding], without: str) -> None:
        """`without`: what is said where nothing was found."""
        if (findings, without) == (self.findings, self._without):
            return
        self.findings, self._without = findings, without
        clear(self.inside)
        self._rules = []
        for finding in findings:
            label = self._add(finding.text, finding.level)
            set_tip(label, f"The rule: {finding.rule}")
            self._rules.append(self._add(finding.rule, "small"))
        if not findings:
            self._add(without, "muted")
        self.set_low(self.low)

    def _add(self, text: str, role: str) -> QLabel:
        label = muted(text)
        label.setProperty("role", role)
        self.inside.addWidget(label)
        label.ensurePolished()  # its letters may be smaller than those of the card
        label.setMinimumHeight(label.heightForWidth(self._room))
        return label
