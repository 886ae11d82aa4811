"""The frame of all tests: a private home for runs and settings, and a look after each test at what it left behind.

Warnings are errors (pyproject.toml); here also stray log warnings, threads, timers, windows and child processes.
"""

from __future__ import annotations

import gc
import logging
import os
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

os.environ["QT_QPA_PLATFORM"] = os.environ.get("PRIORAMA_TEST_PLATFORM", "offscreen")  # before Qt is imported anywhere
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ["PYTHONNOUSERSITE"] = "1"

import psutil
import pytest

if TYPE_CHECKING:
    from tests.kit.panes import Kit

ROOT = Path(__file__).resolve().parents[1]
GRACE_SECONDS = 15.0  # for threads and processes that have been told to end


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="also run the tests marked slow")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--slow") or os.environ.get("CI") or "slow" in (config.getoption("markexpr") or ""):
        return
    slow = [item for item in items if item.get_closest_marker("slow")]
    if slow:
        config.hook.pytest_deselected(items=slow)
        items[:] = [item for item in items if not item.get_closest_marker("slow")]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder with MNIST, Fashion-MNIST, CIFAR-10 and the odd images; skips where it is absent."""
    for folder in (ROOT.parent / "shared" / "data", ROOT / "shared" / "data"):
        if folder.is_dir():
            return folder
    pytest.skip("needs ../shared/data (MNIST, Fashion-MNIST, CIFAR-10, odd images), which is not there")


@pytest.fixture(autouse=True)
def private_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test reads or writes the user's own runs and settings."""
    home = tmp_path / "home"
    for name in ("RUNS", "CONFIG", "CACHE"):
        monkeypatch.setenv(f"PRIORAMA_{name}", str(home / name.lower()))
    for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME"):
        monkeypatch.setenv(name, str(home / name.lower()))
    return home


class _WarningsHeard(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(f"{record.name} {record.levelname}: {record.getMessage()}")


@pytest.fixture(autouse=True)
def no_stray_log_warnings(request: pytest.FixtureRequest) -> Iterator[None]:
    """A log line of level warning or above fails the test, unless the test asks for `caplog` and looks at it itself."""
    if "caplog" in request.fixturenames:
        yield
        return
    heard = _WarningsHeard()
    root = logging.getLogger()
    root.addHandler(heard)
    try:
        yield
    finally:
        root.removeHandler(heard)
    if heard.lines:
        pytest.fail("stray log warnings:\n" + "\n".join(heard.lines), pytrace=False)


@pytest.fixture(autouse=True)
def nothing_left_behind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """After each test: no new Python thread, child process, running QThread, active QTimer or top-level widget."""
    threads = set(threading.enumerate())
    children = _children()
    started: list[tuple[weakref.ref, str, str]] = []
    widgets: set[int] = set()
    if "PySide6.QtCore" in sys.modules:
        _record_starts(monkeypatch, started)
        widgets = {id(widget) for widget in _top_level_widgets()}
    yield
    if "engine.data.decoder" in sys.modules:
        sys.modules["engine.data.decoder"].close()  # its process waits for the next picture on purpose
    if "PySide6.QtCore" in sys.modules:
        _delete_what_is_doomed()

    def left() -> list[str]:
        found = [f"thread {thread.name}" for thread in threading.enumerate() if thread not in threads and thread.is_alive()]
        found += [f"child process {pid}: {_command(pid)}" for pid in _children() - children if not _is_harmless(pid)]
        found += [f"{what}, started at {where}" for ref, what, where in started if _is_running(ref())]
        if "PySide6.QtWidgets" in sys.modules:
            found += [f"top-level widget {widget!r}" for widget in _top_level_widgets() if id(widget) not in widgets]
        return found

    if _patiently(left):
        gc.collect()
        if "PySide6.QtCore" in sys.modules:
            _delete_what_is_doomed()
    if remains := left():
        pytest.fail("left behind:\n" + "\n".join(remains), pytrace=False)


def _patiently(left: Callable[[], list[str]]) -> list[str]:
    """What is left once threads and processes had their time to end; widgets and timers are not waited for."""
    until = time.monotonic() + GRACE_SECONDS
    while (found := left()) and any(line.startswith(("thread", "child")) for line in found) and time.monotonic() < until:
        threading.Event().wait(0.01)
    return found


def _record_starts(monkeypatch: pytest.MonkeyPatch, started: list[tuple[weakref.ref, str, str]]) -> None:
    """Remember every QTimer and QThread that Python starts, and from where."""
    from PySide6.QtCore import QThread, QTimer

    def recording(kind: type, original: Callable) -> Callable:
        def start(self: object, *args: object) -> None:
            caller = sys._getframe(1)
            started.append((weakref.ref(self), kind.__name__, f"{caller.f_code.co_filename}:{caller.f_lineno}"))
            original(self, *args)

        return start

    for kind in (QTimer, QThread):
        monkeypatch.setattr(kind, "start", recording(kind, kind.start))


def _is_running(thing: object) -> bool:
    from PySide6.QtCore import QTimer
    from shiboken6 import isValid

    if thing is None or not isValid(thing):
        return False
    return thing.isActive() if isinstance(thing, QTimer) else thing.isRunning()  # type: ignore[attr-defined]


def _top_level_widgets() -> list:
    if "PySide6.QtWidgets" not in sys.modules:
        return []
    from PySide6.QtWidgets import QApplication

    if not isinstance(QApplication.instance(), QApplication):
        return []
    return [widget for widget in QApplication.topLevelWidgets() if widget.metaObject().className() != "QTipLabel"]


def _delete_what_is_doomed() -> None:
    """Carry out every pending deleteLater."""
    from PySide6.QtCore import QCoreApplication, QEvent

    if QCoreApplication.instance() is not None:
        QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)  # type: ignore[arg-type]


def _children() -> set[int]:
    """Our child processes, by id (on Linux without a walk over the whole process table)."""
    tasks = Path("/proc/self/task")
    try:
        return {int(pid) for task in tasks.iterdir() for pid in (task / "children").read_text().split()}
    except OSError:
        return {child.pid for child in psutil.Process().children()}


def _command(pid: int) -> str:
    try:
        return " ".join(psutil.Process(pid).cmdline())[:200]
    except psutil.Error:
        return ""


def _is_harmless(pid: int) -> bool:
    """Ended but not yet waited for, or Python's own housekeeping."""
    try:
        process = psutil.Process(pid)
        return process.status() == psutil.STATUS_ZOMBIE or "resource_tracker" in " ".join(process.cmdline())
    except psutil.Error:
        return True


@pytest.fixture
def kit(qapp: object) -> Iterator[Kit]:
    """A bridge, a state and an engine of paper, for a pane or two; see `tests.kit.panes`."""
    from tests.kit.panes import Kit

    made = Kit()
    yield made
    made.end()
