"""A theme that is switched to looks as one that the window was opened in; what is seen is restyled once, what is not when it is seen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from PySide6.QtCore import QEvent, QObject, QPoint, QRect
from PySide6.QtGui import QColor, QFont, QImage, QPainter, QPalette
from PySide6.QtWidgets import QApplication, QGraphicsView, QLabel, QProgressBar, QWidget
from pytestqt.qtbot import QtBot
from shiboken6 import Shiboken

from app.shell.main_window import Window
from app.shell.settings import Settings
from engine import messages as m
from tests.kit import fake_engine as fake

OpenWindow = Callable[..., Window]
ROLES = [role for role in QPalette.ColorRole if role != QPalette.ColorRole.NColorRoles]


def address(thing: QObject) -> int:
    """Of the object in C++: a wrapper in Python may be another one at the next look."""
    return Shiboken.getCppPointer(thing)[0]  # type: ignore[attr-defined]


class StyleChanges(QObject):
    """Counts how often each widget is told that its style changed."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[int] = Counter()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.StyleChange:
            self.counts[address(watched)] += 1
        return False


def steady_run() -> tuple[m.Event, ...]:
    """The window's example with nothing that trains and nothing that is read, so that no bar moves."""
    ready, _, runs, *_ = fake.example()
    assert isinstance(runs, m.RunsListed)
    return ready, replace(runs, runs=runs.runs[1:3])


def settled(window: Window, pane: str, qtbot: QtBot) -> np.ndarray:
    """uint8 [H, W, 4]: the window with a pane in front; black where a bar moves or a plot is drawn in its own time."""
    window.show_pane(pane)
    qtbot.wait(60)
    picture = window.grab()
    painter = QPainter(picture)
    for moving in (*window.findChildren(QProgressBar), *window.findChildren(QGraphicsView)):
        if moving.isVisible():
            painter.fillRect(QRect(moving.mapTo(window, QPoint()), moving.size()), QColor("black"))
    painter.end()
    image = picture.toImage().convertToFormat(QImage.Format.Format_RGB32)
    return np.frombuffer(bytes(image.constBits()), np.uint8).reshape(image.height(), image.width(), 4)


def palettes(window: Window) -> set[tuple[str, tuple[str, ...]]]:
    """What the widgets of each class that can be seen draw with; Qt calls those of panes behind a tab visible, too."""
    shown = [widget for widget in window.findChildren(QWidget) if widget.isVisible() and not widget.visibleRegion().isEmpty()]
    return {(type(widget).__name__, tuple(widget.palette().color(role).name() for role in ROLES)) for widget in shown}


@pytest.mark.slow
@pytest.mark.parametrize("chosen, before", [("light", "dark"), ("dark", "light")])
def test_a_window_switched_to_a_theme_looks_as_one_that_was_opened_in_it(
    real_panes: None, open_window: OpenWindow, qtbot: QtBot, chosen: str, before: str
) -> None:
    pictures = []
    for opened_in, switches in ((chosen, ()), (before, (chosen,)), (chosen, (before, chosen))):
        window = open_window(steady_run(), Settings(theme=opened_in))
        qtbot.waitUntil(lambda: len(window.state.runs) == 2)  # noqa: B023
        window.choose_run("/runs/c")
        qtbot.waitUntil(lambda: len(window.inspector.rows) == 4 and bool(window.timeline.curve.steps))  # noqa: B023
        panes = sorted(window.docks.docks)
        for pane in panes:
            settled(window, pane, qtbot)  # all are built and styled before the switch
        for at, theme in enumerate(switches):
            if at:
                settled(window, panes[len(panes) // 2], qtbot)  # one has looked as the other theme, the rest lay behind all the time
            window.set_theme(theme)
        pictures.append({pane: (settled(window, pane, qtbot), palettes(window)) for pane in panes})
        window.close()
    opened, *switched = pictures
    assert len(opened) >= 8
    for seen in switched:
        for pane in opened:
            assert seen[pane][1] == opened[pane][1], pane
            if pane != "CurvesPane":  # it draws in its own time
                assert np.array_equal(seen[pane][0], opened[pane][0]), pane


def test_a_switch_restyles_what_is_seen_once_and_a_pane_behind_when_it_comes_to_the_front(
    real_panes: None, open_window: OpenWindow, qtbot: QtBot
) -> None:
    window = open_window(steady_run(), Settings(theme="dark"))
    settled(window, "LatentPane", qtbot)
    app = QApplication.instance()
    assert isinstance(app, QApplication)
    changes = StyleChanges()
    app.installEventFilter(changes)
    behind = window.docks.docks["DataPane"].contents
    inside = {address(widget) for widget in behind.findChildren(QWidget)}
    assert len(inside) > 50
    try:
        window.set_theme("light")
        of_the_window = [widget for widget in window.findChildren(QWidget) if address(widget) in changes.counts]
        assert len(of_the_window) > 300
        assert {changes.counts[address(widget)] for widget in of_the_window} == {1}, "none once for each of its ancestors"
        assert address(window.docks.docks["LatentPane"].pane) in changes.counts
        assert not inside & set(changes.counts)
        changes.counts.clear()
        settled(window, "DataPane", qtbot)
        assert inside <= set(changes.counts)
        changes.counts.clear()
        settled(window, "LatentPane", qtbot)
        settled(window, "DataPane", qtbot)
        assert not inside & set(changes.counts), "the theme is the same"
    finally:
        app.removeEventFilter(changes)


def test_a_widget_keeps_the_font_that_it_was_given(open_window: OpenWindow) -> None:
    window = open_window(steady_run(), Settings(theme="dark"))
    label = QLabel("p(x)", window)
    given = QFont("DejaVu Serif")
    given.setPixelSize(19)
    label.show()
    label.ensurePolished()
    label.setFont(given)
    window.set_theme("light")
    assert (label.font().family(), label.font().pixelSize()) == ("DejaVu Serif", 19)


def test_a_second_window_of_the_same_theme_restyles_nothing(open_window: OpenWindow, qtbot: QtBot) -> None:
    first = open_window(steady_run(), Settings(theme="light"))
    app = QApplication.instance()
    assert isinstance(app, QApplication)
    changes = StyleChanges()
    app.installEventFilter(changes)
    try:
        open_window(steady_run(), Settings(theme="light"))
    finally:
        app.removeEventFilter(changes)
    assert changes.counts[address(first.top)] == 0
