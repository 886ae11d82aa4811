"""What goes wrong is said, kept and survived."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import QTimer, qWarning
from pytestqt.qtbot import QtBot

from app.shell.log_pane import LogPane
from app.shell.main_window import Window
from app.shell.session_log import MOST, Hooks, Log, Record


@pytest.fixture
def hooks(window: Window) -> Iterator[Hooks]:
    made = Hooks(window.log)
    made.install()
    yield made
    made.remove()


def test_an_exception_in_a_slot_is_said_and_the_window_lives(window: Window, hooks: Hooks, qtbot: QtBot) -> None:
    with qtbot.captureExceptions():
        made = Hooks(window.log)
        made.install()  # over pytest-qt's own hook
        try:
            QTimer.singleShot(0, lambda: 1 / 0)
            qtbot.waitUntil(lambda: window.message_bar.isVisible())
        finally:
            made.remove()
    assert "ZeroDivisionError" in window.message_bar.label.text()
    window.message_bar.button.click()
    assert "1 / 0" in window.centre.log_pane.details.toPlainText()
    window.themes.toggle()
    assert window.isVisible()


def test_an_exception_in_a_thread_reaches_the_window(window: Window, hooks: Hooks, qtbot: QtBot) -> None:
    thread = threading.Thread(target=lambda: {}["lost"], name="query lane")
    thread.start()
    thread.join()
    qtbot.waitUntil(lambda: window.message_bar.isVisible())
    assert "query lane" in window.message_bar.label.text()


@pytest.mark.qt_no_exception_capture
def test_a_report_that_fails_itself_does_not_go_round_in_circles(qtbot: QtBot) -> None:
    log = Log()
    hooks = Hooks(log)
    calls: list[str] = []

    def fails(record: Record) -> None:
        calls.append(record.text)
        hooks._exception(ValueError, ValueError("again"), None)

    log.faulted.connect(fails)
    hooks._exception(KeyError, KeyError("first"), None)
    assert len(calls) == 1
    assert len(log.records) == 2


def test_words_of_qt_are_kept_in_the_log(window: Window, hooks: Hooks) -> None:
    qWarning("a slot was lost")
    assert any("a slot was lost" in record.text and record.level == "warning" for record in window.log.records)


def test_the_hooks_give_back_what_was_there(qtbot: QtBot) -> None:
    before = (sys.excepthook, threading.excepthook)
    hooks = Hooks(Log())
    hooks.install()
    assert sys.excepthook is not before[0]
    hooks.remove()
    assert (sys.excepthook, threading.excepthook) == before


def test_the_log_is_bounded_and_written(tmp_path: Path, qtbot: QtBot) -> None:
    log = Log(tmp_path / "priorama.log")
    for i in range(MOST + 10):
        log.add("info", f"line {i}")
    log.add("bad", "It broke.", "Traceback\n  here")
    log.close()
    assert len(log.records) == MOST
    written = (tmp_path / "priorama.log").read_text()
    assert "line 0\n" in written and "Traceback\n  here\n" in written


def test_that_the_file_is_bounded_too_and_one_older_one_is_kept(tmp_path: Path, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.shell.session_log.MOST_BYTES", 4_000)
    for session in range(2):
        log = Log(tmp_path / "priorama.log")
        for i in range(100):
            log.add("info", f"100 % of line {i} in session {session}")
        log.close()
    files = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert set(files) == {"priorama.log", "priorama.old.log"}
    assert all(len(text) <= 4_000 for text in files.values())
    assert files["priorama.log"].endswith("100 % of line 99 in session 1\n")


def test_that_a_full_disk_costs_lines_and_nothing_else(tmp_path: Path, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch) -> None:
    log = Log(tmp_path / "priorama.log")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("logging.StreamHandler.flush", full)
        log.add("info", "lost")
    log.add("info", "kept")
    log.close()
    assert [record.text for record in log.records] == ["lost", "kept"]
    assert "kept" in (tmp_path / "priorama.log").read_text()


def test_a_log_that_cannot_be_written_is_kept_in_memory(tmp_path: Path, qtbot: QtBot) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    log = Log(blocked / "priorama.log")
    log.add("info", "still here")
    assert [record.text for record in log.records] == ["still here"]


def test_details_open_the_message_they_belong_to_and_not_the_newest(window: Window) -> None:
    window.centre.log_pane.level.setCurrentIndex(2)  # faults only
    window.say("warning", "The disk is nearly full.", "12 MB are left")
    window.log.add("bad", "Something newer.", "another traceback")
    window.message_bar.button.click()
    assert "12 MB are left" in window.centre.log_pane.details.toPlainText()
    assert "The disk is nearly full." in window.centre.log_pane.list.currentItem().text()


def test_the_log_pane_filters_and_copies(qtbot: QtBot) -> None:
    log = Log()
    pane = LogPane(log)
    qtbot.addWidget(pane)
    pane.show()
    log.add("info", "small words")
    log.add("bad", "It broke.", "Traceback")
    assert pane.list.count() == 2
    pane.level.setCurrentIndex(2)
    pane.level.activated.emit(2)
    assert pane.list.count() == 1
    pane.list.setCurrentRow(0)
    assert "Traceback" in pane.details.toPlainText()
    with qtbot.waitSignal(pane.copied) as heard:
        pane.copy.click()
    assert heard.args is not None and heard.args[0].endswith("Traceback")
