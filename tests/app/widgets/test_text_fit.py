"""The test that looks for texts that are cut off: it finds each kind of them in a small window made for it, and nothing in a good one."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from PySide6.QtCore import QCoreApplication, QRectF, Qt
from PySide6.QtGui import QFont, QPainter, QPaintEvent
from PySide6.QtWidgets import QComboBox, QLabel, QPushButton, QScrollArea, QTableWidget, QTableWidgetItem, QVBoxLayout, QWidget
from pytestqt.qtbot import QtBot

from app.shell import theme
from app.widgets.parts import TextLines
from tests.kit.text_fit import misfits, overlaps

TEXT = "a text that needs some room"


class Painter(QWidget):
    """Paints a text into a rectangle, shortened or not."""

    def __init__(self, width: int, elided: bool) -> None:
        super().__init__()
        self.room, self.elided = width, elided
        self.setMinimumSize(300, 40)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        text = painter.fontMetrics().elidedText(TEXT, Qt.TextElideMode.ElideRight, self.room) if self.elided else TEXT
        painter.drawText(QRectF(0, 0, self.room, 40), Qt.AlignmentFlag.AlignLeft, text)


@pytest.fixture
def found(qtbot: QtBot) -> Callable[..., set[str]]:
    """The kinds of misfits in a window that holds one widget."""

    def look(widget: QWidget, names: tuple[str, ...] = ()) -> set[str]:
        window = QWidget()
        qtbot.addWidget(window)
        window.setFont(theme.font(13))
        window.resize(400, 200)
        QVBoxLayout(window).addWidget(widget)
        window.show()
        QCoreApplication.sendPostedEvents()
        return {one.kind for one in misfits(window, names)}

    return look


def fixed(widget: QWidget, width: int, height: int = 30) -> QWidget:
    widget.setFixedSize(width, height)
    return widget


def test_that_good_texts_are_left_alone(found) -> None:
    long = QLabel(TEXT * 8)
    long.setWordWrap(True)
    for widget in (QLabel(TEXT), QPushButton(TEXT), long, Painter(290, elided=True), Painter(290, elided=False)):
        assert found(widget) == set()


def test_that_texts_wider_than_their_place_are_found(found) -> None:
    combo = QComboBox()
    combo.addItem(TEXT)
    for widget in (QLabel(TEXT), QPushButton(TEXT), combo, Painter(40, elided=False)):
        assert "clipped" in found(widget if isinstance(widget, Painter) else fixed(widget, 60)), type(widget).__name__
    wrapped = QLabel(TEXT * 8)
    wrapped.setWordWrap(True)
    assert found(fixed(wrapped, 200, 30)) == {"clipped"}


def test_that_a_shortened_text_is_found_unless_somebody_chose_it(found) -> None:
    assert found(Painter(60, elided=True)) == {"elided"}
    assert found(Painter(60, elided=True), ("some room",)) == set()


def test_that_cells_and_headers_are_looked_at(found) -> None:
    table = QTableWidget(1, 1)
    table.setHorizontalHeaderLabels(["n"])
    table.setItem(0, 0, QTableWidgetItem(TEXT))
    table.setColumnWidth(0, 60)
    assert found(table) == {"clipped"}


def test_that_what_lies_outside_can_be_reached_only_by_scrolling(found) -> None:
    page = QWidget()
    page.setMinimumSize(700, 600)
    QPushButton(TEXT, page).move(450, 550)
    area = QScrollArea()
    area.setWidget(page)
    assert found(area) == {"needs sideways scrolling"}
    page, area = QWidget(), QScrollArea()
    page.setMinimumSize(700, 600)
    QPushButton(TEXT, page).move(450, 550)
    area.setWidget(page)
    area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    assert found(area) == {"cut off"}
    bare = QWidget()
    QPushButton(TEXT, bare).move(390, 0)
    assert found(bare) == {"cut off"}


def test_that_small_letters_are_found(found) -> None:
    label = QLabel(TEXT)
    small = QFont()
    small.setPixelSize(11)
    label.setFont(small)
    assert found(label) == {"too small"}


@pytest.mark.parametrize("size", [8, 10, 11, 12, 13, 16])
def test_that_the_program_has_no_font_below_12_px(size: int, qapp) -> None:
    assert theme.font(size).pixelSize() >= 12
    assert theme.font(20).pixelSize() > theme.font(16).pixelSize() > theme.font(12).pixelSize()


def test_that_lines_grow_with_their_text_and_stay_so_until_it_is_gone(found) -> None:
    lines = TextLines(1, "What happens")
    lines.resize(200, lines.height())
    least = lines.height()
    lines.set_text(TEXT * 6)
    grown = lines.height()
    assert grown > 3 * least - 12
    lines.set_text("short")
    assert lines.height() == grown  # a readout that changes often moves nothing
    lines.set_text("")
    assert lines.height() == least
    lines.set_text(TEXT * 6)
    assert found(lines) == set()


def test_that_widgets_which_lie_over_each_other_are_found(qtbot: QtBot) -> None:
    for height, found in ((200, 0), (60, 1)):
        card = QWidget()
        qtbot.addWidget(card)
        column = QVBoxLayout(card)
        for name in ("above", "below"):
            column.addWidget(fixed(QLabel(name), 100, 40))
        card.setFixedHeight(height)
        card.show()
        QCoreApplication.sendPostedEvents()
        assert len(overlaps(card)) == found


@pytest.mark.parametrize(
    "word",
    ("a_class/of_photographs/taken_in_the_second_survey/scan-2024-11-00744.left.png", "x" * 90, "/long" * 20),
    ids=("path", "x", "steps"),
)
def test_that_a_word_longer_than_the_line_goes_on_in_the_next(qtbot: QtBot, word: str) -> None:
    line = TextLines(1, "A file")
    qtbot.addWidget(line)
    line.setFixedWidth(120)
    line.set_text(word)
    line.show()
    assert misfits(line) == []
    assert line.height() > 3 * line.fontMetrics().lineSpacing(), "all of it is there"
