"""Pictures out of the window are what is on screen, finer; SVG and PDF hold lines and letters."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QBuffer, QPoint, Qt
from PySide6.QtGui import QColor, QImage, QPainter, QRegion
from PySide6.QtSvg import QSvgRenderer
from PySide6.QtWidgets import QGraphicsView, QWidget
from pytestqt.qtbot import QtBot

from app.panes.curves.plot import CurvePlot, Line
from app.panes.curves.series import Series
from app.panes.data.class_bars import ClassBars
from app.shell import theme
from app.shell.application import prepare
from app.widgets.figure import FINE, Figure, figure_of
from app.widgets.parts import Card, heading, muted


def pixels(image: QImage) -> np.ndarray:
    """Grey values [H, W] from 0 to 255."""
    grey = image.convertToFormat(QImage.Format.Format_Grayscale8)
    return np.array(grey.constBits()).reshape(grey.height(), grey.bytesPerLine())[:, : grey.width()].astype(float)


def likeness(a: QImage, b: QImage) -> float:
    """Correlation of two pictures of one size, each smoothed over 3×3 pixels: 1 for the same."""

    def smooth(image: QImage) -> np.ndarray:
        x = np.pad(pixels(image), 1, mode="edge")
        return np.mean([x[i : i + x.shape[0] - 2, j : j + x.shape[1] - 2] for i in range(3) for j in range(3)], axis=0)

    return float(np.corrcoef(smooth(a).ravel(), smooth(b).ravel())[0, 1])


def smaller(image: QImage, like: QImage) -> QImage:
    return image.scaled(like.size(), Qt.AspectRatioMode.IgnoreAspectRatio, Qt.TransformationMode.SmoothTransformation)


def curves(qtbot: QtBot) -> tuple[QWidget, Figure]:
    plot = CurvePlot("Curves")
    qtbot.addWidget(plot)
    plot.resize(640, 320)
    plot.show()
    lines = []
    for place in range(2):
        series = Series()
        steps = np.arange(1, 2001)
        series.append(steps, 200 / np.sqrt(steps) + 40 * place + np.sin(steps / 30))
        lines.append(Line(str(place), f"run {place}", series, theme.CATEGORIES[place], theme.MARKERS[place], place == 1))
    plot.value_name = "loss, nat"
    plot.set_lines(lines)
    plot.set_cursor(900)
    plot.set_best((1900, 50.0, "best"))
    qtbot.waitExposed(plot)
    plot.grab()
    return plot.view, plot.figure()


def bars(qtbot: QtBot) -> tuple[QWidget, Figure]:
    made = ClassBars()
    qtbot.addWidget(made)
    made.set_counts(tuple("abcdefgh"), (10, 20, 30, 40, 50, 60, 70, 80))
    made.resize(260, made.height())
    made.show()
    return made, made.figure()


def seen(widget: QWidget, background: str) -> QImage:
    """A widget in the screen's pixels, on the ground that its figure has."""
    image = QImage(widget.size(), QImage.Format.Format_RGB32)
    image.fill(QColor(background))
    painter = QPainter(image)
    if isinstance(widget, QGraphicsView):
        painter.drawPixmap(0, 0, widget.grab())
    else:
        widget.render(painter, QPoint(), QRegion(), QWidget.RenderFlag.DrawChildren)
    painter.end()
    return image


def card(qtbot: QtBot) -> tuple[QWidget, Figure]:
    made = Card()
    qtbot.addWidget(made)
    made.inside.addWidget(heading("A heading"))
    made.inside.addWidget(muted("A sentence that is long enough to be wrapped where there is little room for it."))
    made.resize(300, 120)
    made.show()
    return made, figure_of(made, theme.DARK.background)


KINDS = {"curves": curves, "bars": bars, "card": card}


@pytest.fixture(params=KINDS)
def shown(request: pytest.FixtureRequest, qtbot: QtBot, qapp) -> Iterator[tuple[QImage, Figure]]:
    """A widget as it is on screen, and its figure."""
    prepare(qapp)
    theme.apply_theme(qapp, "dark")
    widget, figure = KINDS[request.param](qtbot)
    yield seen(widget, figure.background), figure
    qapp.setStyleSheet("")


def test_that_a_png_is_what_is_on_screen_three_times_as_fine(shown: tuple[QImage, Figure]) -> None:
    screen, figure = shown
    picture = figure.image()
    assert picture.size() == screen.size() * FINE
    assert likeness(smaller(picture, screen), screen) > 0.95
    blown = screen.scaled(picture.size(), Qt.AspectRatioMode.IgnoreAspectRatio, Qt.TransformationMode.SmoothTransformation)
    edges = [np.square(np.diff(pixels(image), axis=1)).sum() for image in (picture, blown)]
    assert edges[0] > 1.5 * edges[1], "it is as coarse as the screen"


def test_that_an_svg_is_what_is_on_screen_with_letters(shown: tuple[QImage, Figure]) -> None:
    screen, figure = shown
    data = figure.contents("a.svg", {"run": "a<b>"})
    assert b"<text" in data and b"<image" not in data
    assert b"{&quot;run&quot;: &quot;a&lt;b&gt;&quot;}" in data
    renderer = QSvgRenderer(data)
    assert renderer.isValid()
    drawn = QImage(screen.size(), QImage.Format.Format_RGB32)
    painter = QPainter(drawn)
    renderer.render(painter)
    painter.end()
    assert likeness(drawn, screen) > 0.9


def test_that_a_pdf_is_one_page_of_that_size_with_its_recipe(shown: tuple[QImage, Figure], tmp_path: Path) -> None:
    screen, figure = shown
    data = figure.contents("a.pdf", {"run": "a"})
    assert data.startswith(b"%PDF-") and b"/EmbeddedFile" in data
    wide, high = (float(part) for part in re.findall(rb"/MediaBox \[0 0 ([\d.]+) ([\d.]+)\]", data)[0])
    assert (wide, high) == pytest.approx((0.75 * screen.width(), 0.75 * screen.height()), abs=1)
    if shutil.which("gs") is None:
        return
    (tmp_path / "a.pdf").write_bytes(data)
    said = ["gs", "-q", "-dNOPAUSE", "-dBATCH", "-dSAFER", "-sDEVICE=png16m", "-r96", "-dTextAlphaBits=4", "-dGraphicsAlphaBits=4"]
    subprocess.run([*said, f"-sOutputFile={tmp_path / 'a.png'}", str(tmp_path / "a.pdf")], check=True, timeout=60)
    assert likeness(smaller(QImage(str(tmp_path / "a.png")), screen), screen) > 0.9


def test_that_a_png_carries_its_recipe(shown: tuple[QImage, Figure]) -> None:
    buffer = QBuffer()
    buffer.setData(shown[1].contents("a.png", {"run": "a"}))
    image = QImage.fromData(buffer.data())
    assert image.text("run") == "a"
