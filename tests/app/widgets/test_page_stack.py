"""Pages in one place need the room of the one that is seen."""

from __future__ import annotations

from PySide6.QtWidgets import QLabel, QVBoxLayout, QWidget
from pytestqt.qtbot import QtBot

from app.widgets.page_stack import PageStack


def page(height: int, text: str = "") -> QWidget:
    made = QWidget()
    label = QLabel(text)
    label.setWordWrap(bool(text))
    label.setMinimumHeight(height)
    QVBoxLayout(made).addWidget(label)
    return made


def test_that_a_page_that_is_not_seen_needs_no_room(qtbot: QtBot) -> None:
    stack = PageStack()
    qtbot.addWidget(stack)
    stack.addWidget(page(40))
    stack.addWidget(page(400, "some words " * 200))
    low = stack.minimumSizeHint().height()
    assert 40 <= low < 100 and not stack.hasHeightForWidth()
    stack.setCurrentIndex(1)
    assert stack.minimumSizeHint().height() >= 400
    assert stack.hasHeightForWidth() and stack.heightForWidth(200) > stack.heightForWidth(800) >= 400
    stack.setCurrentIndex(0)
    assert stack.minimumSizeHint().height() == low
