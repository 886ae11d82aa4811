"""The axes of the small charts: every figure stands whole beside the plot, however long it is."""

from __future__ import annotations

import pytest
from PySide6.QtCore import QRectF
from PySide6.QtGui import QFont, QFontMetrics, QImage, QPainter
from PySide6.QtWidgets import QWidget

from app.panes.chains.plots import ChainTraces
from app.widgets.line_chart import LineChart

RANGES = [(0.0, 1.0), (13_600.0, 13_720.0), (-24_000.0, 180_000.0), (0.0, 2e-4), (-3.5, 2.5), (5.0, 5.0), (999_000.0, 1_000_100.0)]


class Recorder(QPainter):
    """Keeps where which text is written, and in what font."""

    def __init__(self, image: QImage) -> None:
        super().__init__(image)
        self.texts: list[tuple[QRectF, str, QFont]] = []

    def drawText(self, rect: QRectF, flags: object, text: str) -> None:  # type: ignore[override]
        self.texts.append((rect, text, self.font()))


def written(chart: LineChart, percent: bool) -> list[tuple[QRectF, str, QFont]]:
    image = QImage(chart.width(), chart.height(), QImage.Format.Format_RGB32)
    painter = Recorder(image)
    painter.setFont(chart._small)
    chart.draw_upright_axis(painter, 26, percent)
    painter.end()
    return painter.texts


@pytest.mark.parametrize("height", [96, 170, 420, 900])
@pytest.mark.parametrize(("bottom", "top"), RANGES)
def test_that_no_figure_of_the_upright_axis_is_cut(bottom: float, top: float, height: int, qapp: QWidget) -> None:
    for chart in (LineChart("a chart"), ChainTraces(0, "x")):
        chart.resize(400, height)
        chart.bottom, chart.top = bottom, top
        texts = written(chart, percent=False)
        assert texts or bottom == top
        for place, text, font in texts:
            assert QFontMetrics(font).horizontalAdvance(text) <= place.width(), text
            assert place.left() >= 0 and place.right() < chart.plot().left()


def test_that_short_figures_leave_the_plot_where_it_was(qapp: QWidget) -> None:
    chart = LineChart("a chart")
    chart.resize(400, 180)
    assert chart.plot() == QRectF(44, 8, 346, 139)
    for _place, text, font in written(chart, percent=True):
        assert QFontMetrics(font).horizontalAdvance(text) <= 38, text
    chart.bottom, chart.top = 13_600.0, 13_720.0
    assert chart.plot().left() > 44 and chart.plot().right() == 390
