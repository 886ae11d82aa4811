"""A column that scrolls: as wide as its place, no bar below, and the ground of the card it lies in behind it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from PySide6.QtCore import QCoreApplication, Qt
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QApplication, QLabel, QVBoxLayout
from pytestqt.qtbot import QtBot

from app.shell import theme
from app.widgets.parts import Card
from app.widgets.scrolled_column import ScrolledColumn

APP = Path(__file__).parents[3] / "app"


@pytest.mark.parametrize("name", ["dark", "light"])
def test_that_it_is_as_wide_as_its_place_scrolls_down_and_shows_the_ground_behind(qapp: QApplication, qtbot: QtBot, name: str) -> None:
    theme.apply_theme(qapp, name)
    card, area = Card(0, 0), ScrolledColumn()
    qtbot.addWidget(card)
    card.inside.addWidget(area)
    column = QVBoxLayout(area.contents)
    for _ in range(40):
        column.addWidget(QLabel("a row"))
    card.resize(200, 160)
    card.show()
    QCoreApplication.sendPostedEvents()
    assert area.contents.width() == area.viewport().width() > 150
    assert area.verticalScrollBar().maximum() > 0 and not area.horizontalScrollBar().isVisible()
    assert area.focusPolicy() == Qt.FocusPolicy.NoFocus
    ground = card.grab().toImage().pixelColor(150, 80)
    assert ground == QColor(theme.colors(name).background)


def test_that_what_is_too_wide_can_be_reached_where_that_is_wanted(qtbot: QtBot) -> None:
    for sideways in (True, False):
        area = ScrolledColumn(sideways=sideways)
        qtbot.addWidget(area)
        QVBoxLayout(area.contents).addWidget(QLabel("wide " * 80))
        area.resize(200, 160)
        area.show()
        QCoreApplication.sendPostedEvents()
        assert area.horizontalScrollBar().isVisible() == sideways


def test_that_no_pane_sets_up_such_a_column_of_its_own() -> None:
    """A class that is a scroll area with contents of its own is a `ScrolledColumn`."""
    own = []
    for file in (APP / "panes").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef) and any(getattr(base, "id", "") == "QScrollArea" for base in node.bases):
                own.append(node.name)
    assert sorted(own) == ["LegendArea", "MatrixArea"], "those are as high as what they hold"
