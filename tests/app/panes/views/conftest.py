"""Widgets on a screen that nobody sees."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QWidget


@pytest.fixture
def on_screen(qapp) -> Iterator[Callable[..., QWidget]]:
    made: list[QWidget] = []

    def show(widget: QWidget, width: int = 500, height: int = 400) -> QWidget:
        widget.setAttribute(Qt.WidgetAttribute.WA_DontShowOnScreen)
        widget.resize(width, height)
        widget.show()
        made.append(widget)
        return widget

    yield show
    for widget in made:
        widget.close()
        widget.deleteLater()
