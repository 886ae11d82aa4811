"""The real window without a screen: opened, waited for, photographed. The tour and the benchmarks stand on it."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

from PySide6.QtCore import QEventLoop, Qt, QTimer
from PySide6.QtWidgets import QApplication, QScrollArea, QWidget

from app.shell.bridge import EngineLike
from app.shell.main_window import Window
from app.shell.session_log import Hooks, Log
from app.shell.settings import Settings

POLL_MS = 5
QUIET_SECONDS = 0.3  # so long nothing must have been asked or answered before a picture is taken


class TooLate(Exception):
    """One sentence: what did not happen in time."""


class WindowDriver:
    """`with WindowDriver(engine) as driver:` gives an open, painted window with all its panes, and closes it at the end.

    Nothing of the user's own settings is read or written.
    """

    def __init__(self, engine: EngineLike, *, theme: str = "dark", size: tuple[int, int] = (1280, 800)) -> None:
        self.application = application()
        self.log = Log()
        self.window = Window(engine, Settings(theme=theme), None, self.log)
        self.window.state.set_theme(theme)
        self.window.resize(*size)
        self.hooks = Hooks(self.log)
        self._switch = sys.getswitchinterval()
        self._closed = False
        self._ended_in_time = True

    def __enter__(self) -> WindowDriver:
        sys.setswitchinterval(0.0005)  # as the program itself does
        self.hooks.install()
        self.window.show()
        self.wait(lambda: bool(self.window.docks.docks), "the panes were built", 60)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> bool:
        """Close the window; safe to call twice. Returns whether the engine's threads ended in time."""
        if not self._closed:
            self._closed = True
            self.window.close()
            self._ended_in_time = self.window.ended_in_time
            self.window.deleteLater()
            self.run_for(0.05)
            self.hooks.remove()
            self.log.close()
            sys.setswitchinterval(self._switch)
        return self._ended_in_time

    @property
    def faults(self) -> list[str]:
        """Everything that Qt, an exception or the engine complained about so far."""
        complaints = [r for r in self.log.records if r.level == "bad" or (r.level == "warning" and r.text.startswith("Qt:"))]
        return [f"{record.text}\n{record.details}".strip() for record in complaints]

    def pane(self, name: str) -> Any:
        """A pane by its class name."""
        return self.window.docks.docks[name].pane

    def show_pane(self, name: str) -> None:
        self.window.show_pane(name)

    def wait(self, condition: Callable[[], bool], what: str, seconds: float = 60) -> None:
        """Let the window live until a condition holds.

        Raises:
            TooLate: it did not within `seconds`, or something broke meanwhile.
        """
        if condition():
            return
        loop = QEventLoop()
        until = time.perf_counter() + seconds
        known = len(self.faults)

        def over() -> bool:
            return condition() or time.perf_counter() > until or len(self.faults) > known

        timer = QTimer()
        timer.setTimerType(Qt.TimerType.PreciseTimer)
        timer.timeout.connect(lambda: loop.quit() if over() else None)
        timer.start(POLL_MS)
        loop.exec()
        timer.stop()
        if not condition():
            broken = self.faults[known:]
            raise TooLate(f"It did not happen that {what}: " + (broken[0].splitlines()[0] if broken else f"{seconds:g} s were over."))

    def run_for(self, seconds: float) -> None:
        """Let the window live for a while."""
        loop = QEventLoop()
        timer = QTimer()
        timer.setTimerType(Qt.TimerType.PreciseTimer)
        timer.setSingleShot(True)
        timer.timeout.connect(loop.quit)
        timer.start(round(1000 * seconds))
        loop.exec()

    def settle(self, seconds: float = 60) -> None:
        """Wait until every question has its answer and nothing new was asked for a moment."""
        bridge = self.window.bridge
        quiet_since = time.perf_counter()

        def quiet() -> bool:
            nonlocal quiet_since
            if not bridge.idle:
                quiet_since = time.perf_counter()
            return time.perf_counter() - quiet_since > QUIET_SECONDS

        self.wait(quiet, "the window came to rest", seconds)

    def cut_off(self) -> str:
        """What does not fit into the window, in words; empty when everything does."""
        window, body = self.window, self.window.centralWidget()
        assert body is not None
        needed = body.minimumSizeHint()
        if needed.width() > window.width() or needed.height() > window.height():
            return f"its content needs {needed.width()}×{needed.height()} and is cut off"
        for area in window.findChildren(QScrollArea):
            inside = area.widget()
            if not area.isVisible() or inside is None or area.horizontalScrollBarPolicy() != Qt.ScrollBarPolicy.ScrollBarAlwaysOff:
                continue
            if (missing := inside.minimumSizeHint().width() - area.viewport().width()) > 0:
                return f"“{area.accessibleName() or inside.objectName() or 'a scrolled area'}” is cut off by {missing} px at the right"
        return ""

    def photograph(self, path: Path, widget: QWidget | None = None) -> tuple[int, int]:
        """Save what the window (or one widget) shows as PNG; returns how many distinct colours it has, and its bytes."""
        image = (widget or self.window).grab().toImage()
        path.parent.mkdir(parents=True, exist_ok=True)
        if not image.save(str(path)):
            raise OSError(f"{path} could not be written.")
        step = max(1, image.width() // 320)
        colours = {image.pixel(x, y) for x in range(0, image.width(), step) for y in range(0, image.height(), step)}
        return len(colours), path.stat().st_size


def application() -> QApplication:
    """The one application of this process, with our name, style and font; without a screen unless one was asked for."""
    from app.shell.application import prepare

    made = QApplication.instance()
    if not isinstance(made, QApplication):
        os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
        made = QApplication(["priorama"])
        prepare(made)
    return made
