"""Rows of the lists at the left, runs and data alike: what mouse, keyboard and focus do to each."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from PySide6.QtCore import QEvent, QPoint, QPointF, Qt
from PySide6.QtGui import QColor, QEnterEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from app.shell import theme
from app.shell.data_list import DataList
from app.shell.list_row import ListRow
from app.shell.run_list import RunList
from engine import messages as m
from tests.kit.panes import run_info


def runs() -> tuple[RunList, list[ListRow]]:
    made = RunList()
    made.show_runs({name: run_info(name) for name in ("/runs/a", "/runs/b")}, {}, None)
    return made, list(made.cards.values())


def data() -> tuple[DataList, list[ListRow]]:
    made = DataList()
    made.show_data({name: m.DataInfo(name, name, "images", "few") for name in ("a", "b")}, None)
    return made, list(made.lines.values())


@pytest.mark.parametrize("make", [runs, data])
def test_that_rows_of_every_list_are_framed_chosen_and_walked_alike(
    qtbot: QtBot, make: Callable[[], tuple[RunList | DataList, list]]
) -> None:
    owner, (first, second) = make()
    qtbot.addWidget(owner)
    owner.resize(240, 300)
    owner.show()
    chosen: list[str] = []
    owner.chosen.connect(chosen.append)
    colors = theme.DARK
    edge = QPoint(first.width() // 2, 0)

    def frame() -> str:
        return first.grab().toImage().pixelColor(edge).name()

    plain = frame()
    QApplication.sendEvent(first, QEnterEvent(QPointF(5, 5), QPointF(5, 5), QPointF(5, 5)))
    assert frame() == QColor(colors.line).name() != plain
    QApplication.sendEvent(first, QEvent(QEvent.Type.Leave))
    assert frame() == plain
    owner.activateWindow()
    first.setFocus()
    qtbot.waitUntil(first.hasFocus)
    assert frame() == QColor(colors.accent).name()
    QTest.keyClick(first, Qt.Key.Key_Down)
    assert second.hasFocus() and len(chosen) == 1 and frame() == plain
    QTest.keyClick(second, Qt.Key.Key_Up)
    QTest.keyClick(first, Qt.Key.Key_Return)
    QTest.mousePress(second, Qt.MouseButton.LeftButton, pos=QPoint(20, 10))
    assert chosen[1] == chosen[2] != chosen[0] == chosen[3]
    asked: list[int] = []
    owner.menu = lambda row, at: asked.append(at.y() - row.mapToGlobal(QPoint(0, 0)).y())  # type: ignore[method-assign]
    QTest.keyClick(second, Qt.Key.Key_Menu)
    assert asked and 0 < asked[0] < second.height()
