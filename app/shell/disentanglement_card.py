"""MIG and DCI in the inspector, for encoders of data with true factors: measured when asked for, on validation images."""

from __future__ import annotations

import math
from collections.abc import Callable

from PySide6.QtCore import QObject
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from app.shell import theme
from app.shell.bridge import Bridge
from app.shell.formatting import count, number, things
from app.shell.plain_text import PlainLabel, set_tip
from app.shell.state import State
from app.widgets.parts import button, heading
from engine import messages as m
from engine.common.factored_data import has_factors

NAMES = {
    "mig": "MIG",
    "dci_disentanglement": "DCI disentanglement",
    "dci_completeness": "DCI completeness",
    "dci_informativeness": "DCI informativeness",
}
HELP = (
    "MIG (Chen et al. 2018): how much more the best code tells of a factor than the second best, as a share of the factor’s entropy. "
    "DCI (Eastwood and Williams 2018): whether each code matters for one factor only (disentanglement), each factor for one code only "
    "(completeness), and how well trees tell the factors from the codes (informativeness, R²). 1 is best, 0 is chance."
)
KEPT = 32  # checkpoints whose figures are kept


def figures_text(found: m.DisentanglementMeasured) -> str:
    """A line for each figure with its standard error."""
    lines = []
    for name, title in NAMES.items():
        error = found.values[f"{name}_se"]
        beside = f" ± {number(error, 3)}" if math.isfinite(error) else ""
        lines.append(f"{title}: {number(found.values[name], 3)}{beside}")
    return "\n".join(lines)


def factors_text(found: m.DisentanglementMeasured) -> str:
    """A line for each factor, then what was measured."""
    lines = [
        f"{one.name}: MIG {number(one.mig, 2)}, told {number(one.informativeness, 2)}, most by dimension {one.code}"
        if found.codes > 1
        else f"{one.name}: MIG {number(one.mig, 2)}, told {number(one.informativeness, 2)}"
        for one in found.factors
    ]
    about = (
        f"Step {count(found.step)}, {things(found.images, 'validation image')}, {things(found.code_bins, 'bin')} for each of "
        f"{count(found.codes)} codes, {found.factor_bins} for each factor."
    )
    return "\n".join([*lines, about])


class DisentanglementCard(QWidget):
    """Heading, button and figures; hidden where the run's data have no factors."""

    def __init__(self) -> None:
        super().__init__()
        column = QVBoxLayout(self)
        column.setContentsMargins(4, 0, 4, 0)
        column.setSpacing(6)
        column.addWidget(heading("Disentanglement"))
        row = QHBoxLayout()
        self.measure_button = button("Measure MIG and DCI", None, HELP)
        row.addWidget(self.measure_button)
        row.addStretch(1)
        column.addLayout(row)
        self.figures, self.each, self.line = PlainLabel(), theme.role(PlainLabel(), "small"), theme.role(PlainLabel(), "small")
        for label in (self.figures, self.each, self.line):
            label.setWordWrap(True)
            column.addWidget(label)
        set_tip(self.figures, HELP)
        self.setAccessibleName("Disentanglement: MIG and DCI")
        self.show_found(None)
        self.hide()

    def show_found(self, found: m.DisentanglementMeasured | None, line: str = "", busy: bool = False) -> None:
        """The figures of the checkpoint that is looked at, if there are some, and what is going on."""
        self.figures.setText("" if found is None else figures_text(found))
        self.each.setText("" if found is None else factors_text(found))
        self.line.setText(line)
        for label in (self.figures, self.each, self.line):
            label.setVisible(bool(label.text()))
        self.measure_button.setVisible(found is None)
        self.measure_button.setEnabled(not busy)


class DisentanglementController(QObject):
    """Measures the checkpoint that is looked at when the button is pressed, and keeps what was found for each."""

    def __init__(self, card: DisentanglementCard, state: State, bridge: Bridge, form_is_open: Callable[[], bool], parent: QObject) -> None:
        super().__init__(parent)
        self.card, self.state, self.bridge, self.form_is_open = card, state, bridge, form_is_open
        self.found: dict[tuple[str, int], m.DisentanglementMeasured] = {}
        self.asked: tuple[str, str, int] | None = None  # job, run, step
        self.line = ""
        card.measure_button.clicked.connect(self.measure)
        bridge.on(m.DisentanglementMeasured, self._measured)
        bridge.on(m.Progress, self._progress)
        bridge.on(m.Ended, self._ended)
        state.run_gone.connect(self._run_gone)
        state.run_replaced.connect(self._run_gone)

    def look(self) -> None:
        """Show what is known of the run and step that the window looks at."""
        info, step = self.state.run_info, self.state.step
        fits = info is not None and step is not None and has_factors(info.data) and "encode" in info.capabilities
        self.card.setVisible(fits and not self.form_is_open())
        if info is None or step is None or not fits:
            return
        mine = self.asked is not None and self.asked[1:] == (info.run, step)
        self.card.show_found(self.found.get((info.run, step)), self.line if mine else "", busy=mine)

    def measure(self) -> None:
        """Ask for the figures of this checkpoint; what was still being measured of another one ends."""
        run, step = self.state.run, self.state.step
        if run is None or step is None:
            return
        job = self.bridge.new_job("disentanglement")
        self.asked, self.line = (job, run, step), "Measuring…"
        self.bridge.send(m.MeasureDisentanglement(job=job, channel="disentanglement", run=run, step=step))
        self.look()

    def _measured(self, event: m.DisentanglementMeasured) -> None:
        self.found[event.run, event.step] = event
        while len(self.found) > KEPT:
            del self.found[next(iter(self.found))]
        self.look()

    def _progress(self, event: m.Progress) -> None:
        if self.asked is not None and event.job == self.asked[0]:
            total = "" if event.total is None else f" of {count(event.total)}"
            self.line = f"Measuring: {event.unit} {count(event.done)}{total}"
            self.look()

    def _ended(self, event: m.Ended) -> None:
        if self.asked is not None and event.job == self.asked[0]:
            failed = event.outcome != "ok"
            _, run, step = self.asked
            self.asked, self.line = None, ""
            self.look()
            if failed and (self.state.run, self.state.step) == (run, step):
                self.card.show_found(None, event.message)

    def _run_gone(self, run: str) -> None:
        self.found = {key: found for key, found in self.found.items() if key[0] != run}
