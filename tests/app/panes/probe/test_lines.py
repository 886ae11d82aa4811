"""The small line charts of the Probe pane."""

from __future__ import annotations

import pytest
from PySide6.QtCore import Qt

from app.panes.probe.lines import Points, ProbeLines
from tests.kit.text_fit import listening


@pytest.mark.parametrize(("xs", "wanted"), [((512.0,), {"512"}), ((0.0, 1.0), {"0", "1"}), ((0.0, 40.0), {"0", "20", "40"})])
def test_that_steps_and_iterations_are_whole_numbers_on_their_axis(qtbot, xs: tuple[float, ...], wanted: set[str]) -> None:
    chart = ProbeLines("Over the training", "step of the run", "right answers, in %", "")
    chart.setAttribute(Qt.WidgetAttribute.WA_DontShowOnScreen)
    qtbot.addWidget(chart)
    chart.resize(360, 150)
    chart.show()
    chart.set_lines([Points("linear", xs, tuple(0.5 for _ in xs))])
    with listening() as painted:
        chart.grab()
    assert {text for *_, text, _ in painted.texts if text.replace(".", "").replace("−", "").isdigit()} == wanted
