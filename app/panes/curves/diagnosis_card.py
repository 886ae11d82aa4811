"""What the loss of a run says, in words, each sentence with the rule behind it."""

from __future__ import annotations

from app.panes.curves.curve_diagnosis import CurveFinding
from app.shell.plain_text import set_tip
from app.widgets.parts import Card, clear, muted


class DiagnosisCard(Card):
    def __init__(self) -> None:
        super().__init__(10, 6)
        self.findings: list[CurveFinding] = []

    def show_findings(self, findings: list[CurveFinding]) -> None:
        if findings == self.findings and self.inside.count():
            return
        self.findings = findings
        clear(self.inside)
        for finding in findings:
            label = muted(finding.text)
            label.setProperty("role", finding.level)
            set_tip(label, f"The rule: {finding.rule}")
            self.inside.addWidget(label)
            rule = muted(finding.rule)
            rule.setProperty("role", "small")
            self.inside.addWidget(rule)
        if not findings:
            self.inside.addWidget(muted("Too few points for a verdict."))
