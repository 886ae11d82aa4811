"""Messages: no message moves anything that could be clicked, and none of them is lost."""

from __future__ import annotations

from PySide6.QtCore import QPoint, QRect
from PySide6.QtWidgets import QApplication, QWidget
from pytestqt.qtbot import QtBot

from app.shell.inspector import DiagnosisRow
from app.shell.main_window import Window
from engine import messages as m

LONG = "The run in this folder cannot be continued, since its newest checkpoint is damaged; " * 4


def places(window: Window) -> dict[QWidget, QRect]:
    """Where every visible widget of the window stands, but for what the message bar holds."""
    QApplication.processEvents()
    bar = window.message_bar
    seen = [widget for widget in window.findChildren(QWidget) if widget.isVisibleTo(window) and not widget.objectName().startswith("qt_")]
    return {w: QRect(w.mapTo(window, QPoint()), w.size()) for w in seen if w is not bar and not bar.isAncestorOf(w)}


def test_that_no_message_moves_anything(real_panes: None, window: Window, qtbot: QtBot) -> None:
    window.resize(1280, 800)
    qtbot.waitUntil(lambda: any(row.isVisible() for row in window.inspector.findChildren(DiagnosisRow)))
    before = places(window)
    assert len(before) > 50
    for level, text, details in (
        ("info", "Saved.", ""),
        ("bad", LONG, ""),
        ("warning", LONG, "Traceback"),
        ("good", "Done.\nTwo lines.", ""),
    ):
        window.say(level, text, details)
        assert window.message_bar.isVisible()
        assert places(window) == before
        free = QRect(window.message_bar.mapTo(window, QPoint()), window.message_bar.size())
        assert not [w for w, place in before.items() if place.intersects(free) and not w.isAncestorOf(window.message_bar)]
    while window.message_bar.current is not None:
        window.message_bar.dismiss()
        assert places(window) == before
    assert not window.message_bar.isVisible()


def test_that_a_long_message_does_not_widen_the_window(window: Window) -> None:
    window.resize(960, 560)
    QApplication.processEvents()
    window.say("bad", LONG * 3)
    QApplication.processEvents()
    assert window.width() == 960


def test_that_faults_queue_up_and_the_line_says_how_many_wait(window: Window) -> None:
    bar = window.message_bar
    window.say("bad", "First fault.")
    assert not bar.more.isVisible()
    window.say("bad", "Second fault.")
    window.say("warning", "Take care.")
    window.say("info", "Small words.")
    assert (bar.label.text(), bar.more.text()) == ("Second fault.", "+3")
    seen = []
    while bar.current is not None:
        seen.append((bar.current.text, bar.more.text()))
        bar.dismiss()
    assert seen == [("Second fault.", "+3"), ("First fault.", "+2"), ("Take care.", "+1"), ("Small words.", "")]


def test_that_the_same_fault_twice_is_one_message(window: Window) -> None:
    for _ in range(3):
        window.say("bad", "The disk is full.")
    assert window.message_bar.more.text() == ""


def test_that_what_is_too_long_for_the_line_can_be_read_whole(window: Window) -> None:
    bar = window.message_bar
    window.say("bad", "Short.")
    assert not bar.button.isVisible()
    window.say("bad", LONG)
    assert bar.button.isVisible() and bar.label.toolTip() == LONG
    bar.button.click()
    assert LONG.strip() in window.centre.log_pane.details.toPlainText()


def test_that_a_fault_that_was_read_gives_way_to_what_comes_after_it(window: Window) -> None:
    bar = window.message_bar
    window.say("bad", "The disk is full.")
    window.say("good", "The run was exported.")
    assert bar.label.text() == "The disk is full." and bar._reading.isActive()
    bar._reading.timeout.emit()
    assert (bar.label.text(), bar.more.text()) == ("The run was exported.", "")
    bar.dismiss()
    window.say("bad", "The disk is full.")
    bar._reading.timeout.emit()
    assert bar.label.text() == "The disk is full.", "it stands until something comes"
    window.say("info", "The run is queued.")
    assert (bar.label.text(), bar.more.text()) == ("The run is queued.", "")
    assert any(record.text == "The disk is full." for record in window.log.records)


def failed(window: Window, job: str, run: str, outcome: str = "failed") -> None:
    window.bridge.tell(m.JobChanged(job, "train", "running", run=run))
    window.bridge.tell(m.Ended(job, outcome, f"{run} {outcome}.", run=run))


def test_that_a_fault_goes_when_the_same_was_done_with_success(window: Window) -> None:
    bar = window.message_bar
    failed(window, "train-1", "/runs/a")
    assert bar.label.text() == "/runs/a failed."
    window.bridge.tell(m.JobChanged("export-1", "export", "running"))
    window.bridge.tell(m.Ended("export-1", "ok", "The run was exported."))
    assert bar.label.text() == "/runs/a failed.", "that was another kind of act"
    failed(window, "train-2", "/runs/b", "ok")
    assert bar.label.text() == "/runs/a failed.", "that was another run"
    failed(window, "train-3", "/runs/a", "ok")
    shown = []
    while bar.current is not None:
        shown.append(bar.label.text())
        bar.dismiss()
    assert "/runs/a failed." not in shown and "/runs/a ok." in shown
    assert any(record.text == "/runs/a failed." for record in window.log.records), "it stays in the log"


def test_that_a_fault_of_a_data_set_goes_when_that_set_opens_and_not_when_another_does(window: Window) -> None:
    bar = window.message_bar

    def opened(job: str, name: str, outcome: str, message: str) -> None:
        window.bridge.tell(m.JobChanged(job, "data", "running", label=name))
        window.bridge.tell(m.Ended(job, outcome, message))

    opened("data-1", "cats", "failed", "cats cannot be read.")
    opened("data-2", "dogs", "ok", "")
    assert bar.label.text() == "cats cannot be read."
    opened("data-3", "cats", "ok", "")
    assert bar.current is None


def test_that_a_fault_goes_when_its_run_goes_on_or_is_gone_even_while_it_waits(window: Window) -> None:
    bar = window.message_bar
    for gone in (lambda run: window.bridge.tell(m.JobChanged("x", "train", "running", run=run)), window.state.run_gone.emit):
        failed(window, "train-1", "/runs/a")
        failed(window, "train-2", "/runs/b")
        assert (bar.label.text(), bar.more.text()) == ("/runs/b failed.", "+1")
        gone("/runs/a")
        assert (bar.label.text(), bar.more.text()) == ("/runs/b failed.", "")
        gone("/runs/b")
        assert bar.current is None and not bar.isVisible()


def test_that_a_fault_stays_a_minute_at_most_while_somebody_is_at_the_window(window: Window, monkeypatch) -> None:
    bar = window.message_bar
    window.say("bad", "The disk is full.")
    assert bar._timer.isActive() and bar._timer.interval() == 60_000
    monkeypatch.setattr(window, "isActiveWindow", lambda: False)
    bar._timer.timeout.emit()
    assert bar.label.text() == "The disk is full." and bar._timer.isActive(), "nobody can have read it"
    monkeypatch.setattr(window, "isActiveWindow", lambda: True)
    bar._timer.timeout.emit()
    assert bar.current is None
    assert bar.shut.accessibleName() == "Close this message"
