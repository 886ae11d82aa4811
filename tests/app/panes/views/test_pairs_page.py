"""The page of similarities: its column at the right is as wide as what stands in it."""

from __future__ import annotations

import pytest
from PySide6.QtWidgets import QApplication, QScrollArea
from pytestqt.qtbot import QtBot

from app.panes.views.pairs_page import PairsPage
from app.shell import theme


@pytest.mark.parametrize("name", ["light", "dark"])
def test_that_the_column_beside_the_matrix_cuts_nothing_off(name: str, qtbot: QtBot, qapp: QApplication) -> None:
    before = qapp.styleSheet()
    theme.apply_theme(qapp, name)
    try:
        page = PairsPage()
        qtbot.addWidget(page)
        page.resize(832, 690)
        page.show()
        for figure in page.figures:
            figure.setText("0.9999")
        area = page.findChild(QScrollArea)
        assert area is not None and (inside := area.widget()) is not None
        assert inside.minimumSizeHint().width() <= area.viewport().width()
    finally:
        qapp.setStyleSheet(before)
