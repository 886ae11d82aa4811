"""The map of points, on its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication

from app.panes.embedding.scatter import Scatter


@pytest.fixture
def show(qapp: QApplication) -> Iterator[Callable[..., Scatter]]:
    made: list[Scatter] = []

    def show_one(places: object = None, width: int = 400, height: int = 300) -> Scatter:
        widget = Scatter(hint="Choose a run to see its map.")
        widget.setAttribute(Qt.WidgetAttribute.WA_DontShowOnScreen)
        widget.resize(width, height)
        widget.show()
        if places is not None:
            widget.set_points(np.asarray(places))
        made.append(widget)
        return widget

    yield show_one
    for widget in made:
        widget.close()
        widget.deleteLater()
